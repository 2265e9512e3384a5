//! The newest rows, in memory, in every version that a transaction may see.
//!
//! A key that is written again and again, such as a counter, would leave a version for every
//! group, and whoever walks over it would walk over all of them; so versions that no transaction
//! can see are taken out as new ones come in.

use super::filter::Filter;
use super::fingerprints::FingerprintMap;
use bytes::Bytes;
use crossbeam_skiplist::SkipMap;
use std::cmp::Ordering;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Memory of a row besides its key and value: the node, and what holds the two.
const ROW_OVERHEAD_BYTES: u64 = 128;

/// A row as it goes in; no value means that the key is cleared.
pub(super) struct NewRow {
    pub fingerprint: u64,
    pub key: Bytes,
    pub value: Option<Bytes>,
}

/// A row as one state sees it; no value means that the key is cleared.
pub(super) type Seen = (Bytes, Option<Bytes>);

/// A version of a key: in key order, and within a key the newest first.
#[derive(PartialEq, Eq)]
pub(super) struct Version {
    key: Bytes,
    sequence: u64,
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key).then_with(|| other.sequence.cmp(&self.sequence))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Version {
    /// Where to look for what `state` sees of `key`: states see what is below them.
    pub fn seen_by(state: u64, key: &[u8]) -> Self {
        Self { key: Bytes::copy_from_slice(key), sequence: state.saturating_sub(1) }
    }
}

/// Written to by one thread, read by all.
pub(super) struct Memtable {
    filter: Filter,
    rows: SkipMap<Version, Option<Bytes>>,
    bytes: AtomicU64,
}

fn row_bytes(key: &[u8], value: Option<&Bytes>) -> u64 {
    (key.len() + value.map_or(0, Bytes::len)) as u64 + ROW_OVERHEAD_BYTES
}

/// Bytes of a row, about, for as long as it is not known.
const ROW_BYTES: u64 = 256;

impl Memtable {
    /// One that is full with so many bytes.
    pub fn for_bytes(bytes: u64) -> Self {
        Self { filter: Filter::for_rows(bytes / ROW_BYTES), rows: SkipMap::new(), bytes: AtomicU64::new(0) }
    }

    /// Bytes of memory, about.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Of a key that comes twice in a group, the last row counts.
    pub fn insert(&self, sequence: u64, row: NewRow) {
        let NewRow { fingerprint, key, value } = row;
        self.filter.insert(fingerprint);
        self.bytes.fetch_add(row_bytes(&key, value.as_ref()), Relaxed);
        self.rows.insert(Version { key, sequence }, value);
    }

    fn contains(&self, version: &Version) -> bool {
        self.rows.contains_key(version)
    }

    fn remove(&self, version: &Version) {
        if let Some(row) = self.rows.remove(version) {
            self.bytes.fetch_sub(row_bytes(&version.key, row.value().as_ref()), Relaxed);
        }
    }

    /// The value of a key as of a state. The outer `None`: this memtable does not know the key.
    pub fn get(&self, fingerprint: u64, place: &Version) -> Option<Option<Bytes>> {
        if !self.filter.may_have(fingerprint) {
            return None;
        }
        let row = self.rows.lower_bound(std::ops::Bound::Included(place))?;
        (row.key().key == place.key).then(|| row.value().clone())
    }

    /// The rows of `[begin, end)` as `state` sees them, in key order.
    pub fn walk(&self, begin: &[u8], end: &[u8], state: u64) -> impl Iterator<Item = Seen> {
        let mut rows = self.rows.range(Self::span(begin, end));
        let mut last: Option<Bytes> = None;
        std::iter::from_fn(move || {
            loop {
                let row = rows.next()?;
                let Version { key, sequence } = row.key();
                // Versions come newest first, so the first one that is seen is the one.
                if *sequence < state && last.as_ref() != Some(key) {
                    last = Some(key.clone());
                    return Some((key.clone(), row.value().clone()));
                }
            }
        })
    }

    /// The same from the end down.
    pub fn walk_back(&self, begin: &[u8], end: &[u8], state: u64) -> impl Iterator<Item = Seen> {
        let mut rows = self.rows.range(Self::span(begin, end));
        let mut newest: Option<Seen> = None;
        std::iter::from_fn(move || {
            loop {
                let Some(row) = rows.next_back() else { return newest.take() };
                let Version { key, sequence } = row.key();
                if *sequence >= state {
                    continue;
                }
                // Versions come oldest first, so the last one that is seen is the one.
                let before = newest.replace((key.clone(), row.value().clone()));
                if let Some(before) = before.filter(|(before, _)| before != key) {
                    return Some(before);
                }
            }
        })
    }

    fn span(begin: &[u8], end: &[u8]) -> std::ops::Range<Version> {
        let first = |key| Version { key: Bytes::copy_from_slice(key), sequence: u64::MAX };
        first(begin)..first(end)
    }

    /// The newest version of every row, in key order, with its sequence.
    pub fn newest(&self) -> impl Iterator<Item = (u64, Seen)> {
        let mut last: Option<Bytes> = None;
        self.rows.iter().filter_map(move |row| {
            let Version { key, sequence } = row.key();
            if last.as_ref() == Some(key) {
                return None;
            }
            last = Some(key.clone());
            Some((*sequence, (key.clone(), row.value().clone())))
        })
    }
}

/// The last two versions of each key in the memtable that is written to, by fingerprint.
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
            memtable.insert(sequence, row);
        }
    }

    /// The memtable is a new one.
    pub fn forget(&mut self) {
        self.last.clear();
    }
}

/// Takes the version before the newest out. Two keys that share a fingerprint share their entry, so
/// it is made sure that the newest is one of the same key.
fn remove_covered(memtable: &Memtable, key: &Bytes, last: Last) {
    if memtable.contains(&Version { key: key.clone(), sequence: last.newest }) {
        memtable.remove(&Version { key: key.clone(), sequence: last.before });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::random::Random;
    use crate::embedded::fingerprints::fingerprint;
    use std::collections::BTreeMap;

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
        let value = memtable.get(7, &Version::seen_by(state, key.as_bytes()))?;
        value.map(|value| String::from_utf8_lossy(&value).into_owned())
    }

    #[test]
    fn a_key_keeps_two_versions_where_nobody_needs_more() {
        let (memtable, mut versions) = (Memtable::for_bytes(100_000), Versions::default());
        for sequence in 1..=100 {
            put(&mut versions, &memtable, sequence, sequence, 7, "k");
            assert_eq!(seen(&memtable, "k", sequence + 1), Some(sequence.to_string()));
            let before = (sequence > 1).then(|| (sequence - 1).to_string());
            assert_eq!(seen(&memtable, "k", sequence), before);
        }
        assert_eq!(memtable.rows.len(), 2);
        assert_eq!(memtable.bytes(), 2 * ROW_OVERHEAD_BYTES + "k99k100".len() as u64);
    }

    #[test]
    fn what_an_old_state_sees_is_kept() {
        let (memtable, mut versions) = (Memtable::for_bytes(100_000), Versions::default());
        for sequence in 1..=10 {
            // From the fifth on, someone looks at the state below the fifth.
            put(&mut versions, &memtable, sequence, sequence.min(5), 7, "k");
        }
        assert_eq!(seen(&memtable, "k", 5), Some("4".into()));
        assert_eq!(seen(&memtable, "k", 11), Some("10".into()));
    }

    #[test]
    fn keys_that_share_a_fingerprint_do_not_lose_rows() {
        let (memtable, mut versions) = (Memtable::for_bytes(100_000), Versions::default());
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
        let (memtable, mut versions) = (Memtable::for_bytes(100_000), Versions::default());
        for sequence in 1..=3 {
            put(&mut versions, &memtable, sequence, sequence, 7, "a");
            put(&mut versions, &memtable, sequence, sequence, 7, "b");
            assert_eq!(seen(&memtable, "a", sequence + 1), Some(sequence.to_string()));
            assert_eq!(seen(&memtable, "b", sequence + 1), Some(sequence.to_string()));
        }
    }

    /// Every state reads as it was when it was the newest, by key and by walk, in both directions.
    #[test]
    fn every_state_reads_as_it_was() {
        for seed in 0..50 {
            let mut random = Random::new(seed);
            let memtable = Memtable::for_bytes(100_000);
            let mut states: Vec<BTreeMap<Vec<u8>, Option<Bytes>>> = vec![BTreeMap::new()];
            for sequence in 1..40u64 {
                let mut rows = states[sequence as usize - 1].clone();
                for _ in 0..random.below(4) {
                    let key = vec![b'a' + random.below(8) as u8];
                    let value =
                        (!random.one_in(4)).then(|| Bytes::from(random.number().to_le_bytes().to_vec()));
                    let (fingerprint, stored) = (fingerprint(&key), value.clone());
                    memtable.insert(sequence, NewRow { fingerprint, key: key.clone().into(), value: stored });
                    rows.insert(key, value);
                }
                states.push(rows);
            }
            for (newest, rows) in states.iter().enumerate() {
                let state = newest as u64 + 1;
                for key in b'a'..=b'i' {
                    let found = memtable.get(fingerprint(&[key]), &Version::seen_by(state, &[key]));
                    assert_eq!(found, rows.get(&vec![key]).cloned());
                }
                let (begin, end) = ([b'a' + random.below(8) as u8], [b'j']);
                let expected: Vec<Seen> = rows
                    .range(begin.to_vec()..)
                    .map(|(key, value)| (key.clone().into(), value.clone()))
                    .collect();
                assert_eq!(memtable.walk(&begin, &end, state).collect::<Vec<_>>(), expected);
                let mut back: Vec<Seen> = memtable.walk_back(&begin, &end, state).collect();
                back.reverse();
                assert_eq!(back, expected);
            }
            let newest: Vec<Seen> = memtable.newest().map(|(_, row)| row).collect();
            let expected: Vec<Seen> =
                states[39].iter().map(|(key, value)| (key.clone().into(), value.clone())).collect();
            assert_eq!(newest, expected);
        }
    }
}
