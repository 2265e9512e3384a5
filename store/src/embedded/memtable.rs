//! The newest rows, in memory. A key that is written again and again, such as a counter, would
//! leave a version for every group, and whoever walks over it would walk over all of them; so
//! versions that no transaction can see are taken out as new ones come in.

use super::fingerprints::FingerprintMap;
use bytes::Bytes;
use lsm_tree::{InternalValue, Memtable, Slice, ValueType};

/// A row as it goes in; no value means that the key is cleared.
pub(super) struct NewRow {
    pub fingerprint: u64,
    pub key: Bytes,
    pub value: Option<Bytes>,
}

/// The last two versions of each key in the memtable, by the key's fingerprint.
#[derive(Default)]
pub(super) struct Versions {
    last: FingerprintMap<Last>,
}

#[derive(Clone, Copy)]
struct Last {
    newest: u64,
    /// 0 if there is none.
    before: u64,
}

impl Versions {
    /// Puts the rows of a group in. `lowest_state` is the lowest state that anyone looks at, which
    /// does not see the group.
    pub fn insert(
        &mut self,
        memtable: &Memtable,
        sequence: u64,
        lowest_state: u64,
        rows: impl Iterator<Item = NewRow>,
    ) {
        for row in rows {
            let first = Last { newest: sequence, before: 0 };
            let last = self.last.entry(row.fingerprint).or_insert(first);
            if last.newest != sequence {
                // States see what is below them: with the lowest above `newest`, none sees `before`.
                if last.before > 0 && last.newest < lowest_state {
                    remove_covered(memtable, &row.key, *last);
                }
                *last = Last { newest: sequence, before: last.newest };
            }
            insert(memtable, sequence, row.key, row.value);
        }
    }

    /// The memtable is a new one.
    pub fn forget(&mut self) {
        self.last.clear();
    }
}

/// Puts one row in.
pub(super) fn insert(memtable: &Memtable, sequence: u64, key: Bytes, value: Option<Bytes>) {
    let kind = if value.is_some() { ValueType::Value } else { ValueType::Tombstone };
    let value = Slice::from(value.unwrap_or_default());
    memtable.insert(InternalValue::from_components(Slice::from(key), value, sequence, kind));
}

/// Takes the version before the newest out. Two keys that share a fingerprint share their entry, so
/// it is made sure that the newest is one of the same key.
fn remove_covered(memtable: &Memtable, key: &Bytes, last: Last) {
    let version = |sequence| InternalValue::new_tombstone(Slice::from(key.clone()), sequence).key;
    if memtable.items.contains_key(&version(last.newest)) {
        memtable.items.remove(&version(last.before));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(
        versions: &mut Versions,
        memtable: &Memtable,
        sequence: u64,
        lowest: u64,
        fingerprint: u64,
        key: &str,
    ) {
        let (key, value) = (Bytes::from(key.to_owned()), Some(Bytes::from(sequence.to_string())));
        versions.insert(memtable, sequence, lowest, [NewRow { fingerprint, key, value }].into_iter());
    }

    fn seen(memtable: &Memtable, key: &str, state: u64) -> Option<String> {
        memtable.get(key.as_bytes(), state).map(|row| String::from_utf8_lossy(&row.value).into_owned())
    }

    #[test]
    fn a_key_keeps_two_versions_where_nobody_needs_more() {
        let (memtable, mut versions) = (Memtable::new(0), Versions::default());
        for sequence in 1..=100 {
            put(&mut versions, &memtable, sequence, sequence, 7, "k");
            assert_eq!(seen(&memtable, "k", sequence + 1), Some(sequence.to_string()));
            let before = (sequence > 1).then(|| (sequence - 1).to_string());
            assert_eq!(seen(&memtable, "k", sequence), before);
        }
        assert_eq!(memtable.len(), 2);
    }

    #[test]
    fn what_an_old_state_sees_is_kept() {
        let (memtable, mut versions) = (Memtable::new(0), Versions::default());
        for sequence in 1..=10 {
            // From the fifth on, someone looks at the state below the fifth.
            put(&mut versions, &memtable, sequence, sequence.min(5), 7, "k");
        }
        assert_eq!(seen(&memtable, "k", 5), Some("4".into()));
        assert_eq!(seen(&memtable, "k", 11), Some("10".into()));
    }

    #[test]
    fn keys_that_share_a_fingerprint_do_not_lose_rows() {
        let (memtable, mut versions) = (Memtable::new(0), Versions::default());
        for sequence in 1..=10 {
            let key = if sequence % 3 == 0 { "a" } else { "b" };
            put(&mut versions, &memtable, sequence, sequence, 7, key);
        }
        assert_eq!(seen(&memtable, "a", 11), Some("9".into()));
        assert_eq!(seen(&memtable, "b", 11), Some("10".into()));
        assert_eq!(seen(&memtable, "a", 10), Some("9".into()));
        assert_eq!(seen(&memtable, "b", 10), Some("8".into()));
    }

    #[test]
    fn a_group_that_writes_both_of_a_shared_fingerprint_keeps_both() {
        let (memtable, mut versions) = (Memtable::new(0), Versions::default());
        for sequence in 1..=3 {
            put(&mut versions, &memtable, sequence, sequence, 7, "a");
            put(&mut versions, &memtable, sequence, sequence, 7, "b");
            assert_eq!(seen(&memtable, "a", sequence + 1), Some(sequence.to_string()));
            assert_eq!(seen(&memtable, "b", sequence + 1), Some(sequence.to_string()));
        }
    }
}
