//! The newest rows, in memory, in every version that a transaction may see.
//!
//! Kept twice: by key, for whoever asks for one row, and in key order, for whoever walks. Most rows
//! are never walked over, so the order is made as it is needed: rows gather in a tail, a full tail
//! becomes a sorted run, and runs are merged as they grow. All of it is cheaper than keeping every
//! row in its place in a tree from the start, and nothing of it takes long at a time.
//!
//! A key that is written again and again, such as a counter, would leave a version for every
//! group, and whoever walks over it would walk over all of them; so versions that no transaction
//! can see are taken out as new ones come in, and as runs are made.

mod runs;

use super::filter::Filter;
use super::fingerprints::FingerprintMap;
use bytes::Bytes;
use parking_lot::RwLock;
use runs::{Merged, Runs};
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Memory of a row besides its key and value: what holds the two, twice.
const ROW_OVERHEAD_BYTES: u64 = 192;
/// Bytes of a row, about, for as long as it is not known.
const ROW_BYTES: u64 = 320;
/// Rows that go in before readers get a turn.
const AT_ONCE: usize = 16;

/// A row as it goes in; no value means that the key is cleared.
pub(super) struct NewRow {
    pub fingerprint: u64,
    pub key: Bytes,
    pub value: Option<Bytes>,
}

/// A row as one state sees it; no value means that the key is cleared.
pub(super) type Seen = (Bytes, Option<Bytes>);

/// One version of a key, and the one that was put in before it under the same fingerprint.
struct Version {
    key: Bytes,
    sequence: u64,
    value: Option<Bytes>,
    older: Option<Box<Version>>,
}

impl Version {
    fn bytes(&self) -> u64 {
        row_bytes(&self.key, self.value.as_ref())
    }
}

/// Written to by one thread, read by all.
pub(super) struct Memtable {
    filter: Filter,
    by_key: RwLock<FingerprintMap<Version>>,
    in_order: Runs,
    bytes: AtomicU64,
}

fn row_bytes(key: &[u8], value: Option<&Bytes>) -> u64 {
    (key.len() + value.map_or(0, Bytes::len)) as u64 + ROW_OVERHEAD_BYTES
}

impl Memtable {
    /// One that is full with so many bytes.
    pub fn for_bytes(bytes: u64) -> Self {
        Self {
            filter: Filter::for_rows(bytes / ROW_BYTES),
            by_key: RwLock::default(),
            in_order: Runs::default(),
            bytes: AtomicU64::new(0),
        }
    }

    /// Bytes of memory, about.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    pub fn is_empty(&self) -> bool {
        self.bytes() == 0
    }

    /// Puts the rows of a group in, one for each key; of a key that comes twice the last counts.
    /// `lowest_state` is the lowest state that anyone looks at, which does not see the group. Groups
    /// come in the order of their sequences.
    pub fn insert(&self, sequence: u64, lowest_state: u64, rows: impl IntoIterator<Item = NewRow>) {
        let mut rows = rows.into_iter().peekable();
        let mut bytes = self.bytes();
        while rows.peek().is_some() {
            let mut by_key = self.by_key.write();
            for NewRow { fingerprint, key, value } in rows.by_ref().take(AT_ONCE) {
                self.filter.insert(fingerprint);
                self.in_order.push(key.clone(), sequence, value.clone(), lowest_state);
                let version = Version { key, sequence, value, older: None };
                bytes += version.bytes();
                match by_key.entry(fingerprint) {
                    Entry::Vacant(free) => drop(free.insert(version)),
                    Entry::Occupied(mut taken) => {
                        bytes -= put_before(taken.get_mut(), version, lowest_state);
                    }
                }
            }
        }
        self.bytes.store(bytes, Relaxed);
    }

    /// The value of a key as of a state, which sees what is below it. The outer `None`: this memtable
    /// does not know the key.
    pub fn get(&self, fingerprint: u64, key: &[u8], state: u64) -> Option<Option<Bytes>> {
        if !self.filter.may_have(fingerprint) {
            return None;
        }
        let by_key = self.by_key.read();
        let mut next = by_key.get(&fingerprint);
        while let Some(version) = next {
            if version.sequence < state && version.key == key {
                return Some(version.value.clone());
            }
            next = version.older.as_deref();
        }
        None
    }

    /// The rows of `[begin, end)` as `state` sees them, in key order.
    pub fn walk(&self, begin: &[u8], end: &[u8], state: u64) -> impl Iterator<Item = Seen> + use<> {
        let mut rows = self.in_order.between(begin, end);
        let mut last: Option<Bytes> = None;
        std::iter::from_fn(move || {
            loop {
                let row = rows.next()?;
                // Versions come newest first, so the first one that is seen is the one.
                if row.sequence < state && last.as_ref() != Some(&row.key) {
                    last = Some(row.key.clone());
                    return Some((row.key, row.value));
                }
            }
        })
    }

    /// The same from the end down.
    pub fn walk_back(&self, begin: &[u8], end: &[u8], state: u64) -> impl Iterator<Item = Seen> + use<> {
        let mut rows = self.in_order.between(begin, end);
        let mut newest: Option<Seen> = None;
        std::iter::from_fn(move || {
            loop {
                let Some(row) = rows.next_back() else { return newest.take() };
                if row.sequence >= state {
                    continue;
                }
                // Versions come oldest first, so the last one that is seen is the one.
                let key = row.key.clone();
                let before = newest.replace((row.key, row.value));
                if let Some(before) = before.filter(|(before, _)| *before != key) {
                    return Some(before);
                }
            }
        })
    }

    /// The newest version of every row, in key order, with its sequence.
    pub fn newest(&self) -> impl Iterator<Item = (u64, Seen)> + use<> {
        let mut last: Option<Bytes> = None;
        let mut rows: Merged = self.in_order.all();
        std::iter::from_fn(move || {
            loop {
                let row = rows.next()?;
                if last.as_ref() != Some(&row.key) {
                    last = Some(row.key.clone());
                    return Some((row.sequence, (row.key, row.value)));
                }
            }
        })
    }
}

/// Puts a version before those that are there under its fingerprint. Takes out the one of its key
/// that nobody can see any more, and gives its bytes.
fn put_before(first: &mut Version, version: Version, lowest_state: u64) -> u64 {
    let mut freed = 0;
    if first.key == version.key && first.sequence == version.sequence {
        freed = first.bytes();
        let Version { value, .. } = version;
        first.value = value;
        return freed;
    }
    let key = version.key.clone();
    let before = std::mem::replace(first, version);
    first.older = Some(Box::new(before));
    // States see what is below them: with the lowest above a version, none sees those before it.
    let mut covered = false;
    let mut next = &mut first.older;
    while let Some(mut version) = next.take() {
        if version.key == key {
            if covered {
                freed += version.bytes();
                *next = version.older.take();
                continue;
            }
            covered = version.sequence < lowest_state;
        }
        next = &mut next.insert(version).older;
    }
    freed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::random::Random;
    use crate::embedded::fingerprints::fingerprint;
    use std::collections::BTreeMap;

    fn put(memtable: &Memtable, sequence: u64, lowest: u64, fingerprint: u64, key: &str) {
        let (key, value) = (Bytes::from(key.to_owned()), Some(Bytes::from(sequence.to_string())));
        memtable.insert(sequence, lowest, [NewRow { fingerprint, key, value }]);
    }

    fn seen(memtable: &Memtable, key: &str, state: u64) -> Option<String> {
        let value = memtable.get(7, key.as_bytes(), state)?;
        value.map(|value| String::from_utf8_lossy(&value).into_owned())
    }

    #[test]
    fn a_key_keeps_two_versions_where_nobody_needs_more() {
        let memtable = Memtable::for_bytes(100_000);
        for sequence in 1..=100 {
            put(&memtable, sequence, sequence, 7, "k");
            assert_eq!(seen(&memtable, "k", sequence + 1), Some(sequence.to_string()));
            let before = (sequence > 1).then(|| (sequence - 1).to_string());
            assert_eq!(seen(&memtable, "k", sequence), before);
        }
        let by_key = memtable.by_key.read();
        let kept = std::iter::successors(by_key.get(&7), |version| version.older.as_deref());
        assert_eq!(kept.count(), 2);
        drop(by_key);
        assert_eq!(memtable.bytes(), 2 * ROW_OVERHEAD_BYTES + "k99k100".len() as u64);
    }

    #[test]
    fn what_an_old_state_sees_is_kept() {
        let memtable = Memtable::for_bytes(100_000);
        for sequence in 1..=10 {
            // From the fifth on, someone looks at the state below the fifth.
            put(&memtable, sequence, sequence.min(5), 7, "k");
        }
        assert_eq!(seen(&memtable, "k", 5), Some("4".into()));
        assert_eq!(seen(&memtable, "k", 11), Some("10".into()));
    }

    #[test]
    fn keys_that_share_a_fingerprint_do_not_lose_rows() {
        let memtable = Memtable::for_bytes(100_000);
        for sequence in 1..=10 {
            let key = if sequence % 3 == 0 { "a" } else { "b" };
            put(&memtable, sequence, sequence, 7, key);
        }
        assert_eq!(seen(&memtable, "a", 11), Some("9".into()));
        assert_eq!(seen(&memtable, "b", 11), Some("10".into()));
        assert_eq!(seen(&memtable, "a", 10), Some("9".into()));
        assert_eq!(seen(&memtable, "b", 10), Some("8".into()));
    }

    #[test]
    fn a_group_that_writes_both_of_a_shared_fingerprint_keeps_both() {
        let memtable = Memtable::for_bytes(100_000);
        for sequence in 1..=3 {
            put(&memtable, sequence, sequence, 7, "a");
            put(&memtable, sequence, sequence, 7, "b");
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
                    let row = NewRow { fingerprint, key: key.clone().into(), value: stored };
                    memtable.insert(sequence, 0, [row]);
                    rows.insert(key, value);
                }
                states.push(rows);
            }
            for (newest, rows) in states.iter().enumerate() {
                let state = newest as u64 + 1;
                for key in b'a'..=b'i' {
                    let found = memtable.get(fingerprint(&[key]), &[key], state);
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
