//! Decides whether what a transaction read has changed since, from a memory of what was written
//! lately. After FoundationDB's resolver: whoever read before the memory begins is too old.
//!
//! The memory goes back to the oldest view in use, which is usually a group or two, and no further
//! than a bound.

use super::fingerprints::FingerprintMap;
use super::reads::Reads;
use bytes::Bytes;
use std::collections::VecDeque;

/// Counted for each key besides its bytes.
const KEY_OVERHEAD_BYTES: usize = 56;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Accepted,
    Conflict,
    TooOld,
}

/// What one group of transactions wrote.
#[derive(Default)]
struct Group {
    version: u64,
    /// Keys, one behind the other.
    arena: Vec<u8>,
    keys: Vec<Key>,
    ranges: Vec<(Bytes, Bytes)>,
    /// Whether `keys` is in key order; it is sorted when a range is first checked against it.
    sorted: bool,
}

#[derive(Clone, Copy)]
struct Key {
    fingerprint: u64,
    start: u32,
    end: u32,
}

/// The last write to a key: its group, and the key's index in that group.
#[derive(Clone, Copy)]
struct Write {
    version: u64,
    index: usize,
}

pub(super) struct Resolver {
    last_write: FingerprintMap<Write>,
    groups: VecDeque<Group>,
    /// Versions of groups that cleared ranges: every key read is checked against those.
    range_clears: VecDeque<u64>,
    /// Reads at versions below this cannot be checked any more.
    oldest_version: u64,
    bytes: usize,
    bytes_max: usize,
    /// A forgotten group whose memory is used again.
    spare: Group,
}

impl Group {
    fn bytes(&self) -> usize {
        let ranges: usize =
            self.ranges.iter().map(|(begin, end)| begin.len() + end.len() + KEY_OVERHEAD_BYTES).sum();
        self.arena.len() + self.keys.len() * KEY_OVERHEAD_BYTES + ranges
    }

    fn sort(&mut self) {
        if !self.sorted {
            let arena = &self.arena;
            self.keys.sort_unstable_by(|a, b| key_bytes(arena, a).cmp(key_bytes(arena, b)));
            self.sorted = true;
        }
    }

    /// Whether any key in `[begin, end)` was written. The group is sorted.
    fn wrote_in(&self, begin: &[u8], end: &[u8]) -> bool {
        let first = self.keys.partition_point(|key| key_bytes(&self.arena, key) < begin);
        self.keys.get(first).is_some_and(|key| key_bytes(&self.arena, key) < end)
    }
}

fn key_bytes<'a>(arena: &'a [u8], key: &Key) -> &'a [u8] {
    &arena[key.start as usize..key.end as usize]
}

impl Resolver {
    /// `version` is the state's version at the start; the memory begins there.
    pub fn new(version: u64, bytes_max: usize) -> Self {
        Self {
            last_write: FingerprintMap::default(),
            groups: VecDeque::new(),
            range_clears: VecDeque::new(),
            oldest_version: version,
            bytes: 0,
            bytes_max,
            spare: Group::default(),
        }
    }

    /// Opens the group that will become `version`. No view older than `oldest_view` is in use.
    pub fn begin_group(&mut self, version: u64, oldest_view: u64) {
        while let Some(group) = self.groups.front() {
            if group.version > oldest_view && self.bytes <= self.bytes_max {
                break;
            }
            self.forget_oldest();
        }
        let mut group = std::mem::take(&mut self.spare);
        group.version = version;
        self.groups.push_back(group);
    }

    fn forget_oldest(&mut self) {
        let Some(mut group) = self.groups.pop_front() else { return };
        self.oldest_version = group.version;
        self.bytes -= group.bytes();
        for key in &group.keys {
            if self.last_write.get(&key.fingerprint).is_some_and(|write| write.version == group.version) {
                self.last_write.remove(&key.fingerprint);
            }
        }
        if self.range_clears.front() == Some(&group.version) {
            self.range_clears.pop_front();
        }
        group.arena.clear();
        group.keys.clear();
        group.ranges.clear();
        group.sorted = false;
        self.spare = group;
    }

    /// Forgets the open group, which was not committed, and with it all others: it may have hidden
    /// what they wrote. Nothing newer than `published` has been seen by anyone.
    pub fn abandon_group(&mut self, published: u64) {
        self.last_write.clear();
        self.groups.clear();
        self.range_clears.clear();
        self.bytes = 0;
        self.oldest_version = published;
    }

    /// Whether reads made at `version` still hold, the open group's writes so far included.
    pub fn check(&mut self, version: u64, reads: &Reads) -> Verdict {
        if reads.is_empty() {
            return Verdict::Accepted;
        }
        if version < self.oldest_version {
            return Verdict::TooOld;
        }
        let written =
            |fingerprint| self.last_write.get(fingerprint).is_some_and(|write| write.version > version);
        if reads.points.iter().any(|(fingerprint, _)| written(fingerprint)) {
            return Verdict::Conflict;
        }
        if self.range_clears.back().is_some_and(|cleared| *cleared > version)
            && self.any_cleared_since(version, reads)
        {
            return Verdict::Conflict;
        }
        if !reads.ranges.is_empty() && self.any_range_written_since(version, reads) {
            return Verdict::Conflict;
        }
        Verdict::Accepted
    }

    fn groups_since(&mut self, version: u64) -> impl Iterator<Item = &mut Group> {
        let first = self.groups.partition_point(|group| group.version <= version);
        self.groups.range_mut(first..)
    }

    fn any_cleared_since(&mut self, version: u64, reads: &Reads) -> bool {
        self.groups_since(version).flat_map(|group| &group.ranges).any(|(begin, end)| {
            reads.points.iter().any(|(_, key)| begin <= key && key < end)
                || reads.ranges.iter().any(|(other_begin, other_end)| begin < other_end && other_begin < end)
        })
    }

    fn any_range_written_since(&mut self, version: u64, reads: &Reads) -> bool {
        self.groups_since(version).any(|group| {
            group.sort();
            reads.ranges.iter().any(|(begin, end)| group.wrote_in(begin, end))
        })
    }

    /// Keys in `[begin, end)` that groups after `version` wrote, the open one included. `None` if
    /// the memory does not go back that far.
    pub fn written_since(&mut self, version: u64, begin: &[u8], end: &[u8]) -> Option<Vec<(u64, Bytes)>> {
        if version < self.oldest_version {
            return None;
        }
        let mut written = Vec::new();
        for group in self.groups_since(version) {
            group.sort();
            let first = group.keys.partition_point(|key| key_bytes(&group.arena, key) < begin);
            let keys = group.keys[first..].iter().take_while(|key| key_bytes(&group.arena, key) < end);
            written.extend(
                keys.map(|key| (key.fingerprint, Bytes::copy_from_slice(key_bytes(&group.arena, key)))),
            );
        }
        Some(written)
    }

    /// Index under which the open group has noted this key already.
    pub fn index_in_group(&self, fingerprint: u64) -> Option<usize> {
        let group = self.groups.back()?;
        self.last_write
            .get(&fingerprint)
            .filter(|write| write.version == group.version)
            .map(|write| write.index)
    }

    /// Notes a key written by the open group, under `index`.
    pub fn wrote(&mut self, fingerprint: u64, key: &[u8], index: usize) {
        let Some(group) = self.groups.back_mut() else { return };
        let start = group.arena.len() as u32;
        group.arena.extend_from_slice(key);
        group.keys.push(Key { fingerprint, start, end: group.arena.len() as u32 });
        group.sorted = false;
        self.bytes += key.len() + KEY_OVERHEAD_BYTES;
        self.last_write.insert(fingerprint, Write { version: group.version, index });
    }

    /// Notes a range cleared by the open group.
    pub fn cleared(&mut self, begin: Bytes, end: Bytes) {
        let Some(group) = self.groups.back_mut() else { return };
        self.bytes += begin.len() + end.len() + KEY_OVERHEAD_BYTES;
        group.ranges.push((begin, end));
        if self.range_clears.back() != Some(&group.version) {
            self.range_clears.push_back(group.version);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::random::Random;
    use crate::embedded::fingerprints::fingerprint;

    fn key(n: u64) -> Bytes {
        Bytes::from(format!("{n:02}"))
    }

    fn write(
        resolver: &mut Resolver,
        version: u64,
        oldest_view: u64,
        keys: &[u64],
        cleared: Option<(u64, u64)>,
    ) {
        resolver.begin_group(version, oldest_view);
        for (index, n) in keys.iter().enumerate() {
            resolver.wrote(fingerprint(&key(*n)), &key(*n), index);
        }
        if let Some((begin, end)) = cleared {
            resolver.cleared(key(begin), key(end));
        }
    }

    fn point(n: u64) -> Reads {
        let mut reads = Reads::default();
        reads.point(&key(n));
        reads
    }

    /// Against a list of all writes ever.
    #[test]
    fn verdicts_are_those_of_a_complete_memory() {
        for seed in 0..200 {
            let mut random = Random::new(seed);
            let mut resolver = Resolver::new(0, 1_000_000);
            let mut writes: Vec<(u64, u64, u64)> = Vec::new();
            let mut oldest_view = 0;
            for version in 1..60 {
                let keys: Vec<u64> = (0..random.below(4)).map(|_| random.below(40)).collect();
                let begin = random.below(40);
                let cleared = random.one_in(5).then(|| (begin, begin + 1 + random.below(5)));
                oldest_view += random.below(version - oldest_view);
                write(&mut resolver, version, oldest_view, &keys, cleared);
                writes.extend(keys.iter().map(|n| (version, *n, n + 1)));
                writes.extend(cleared.map(|(begin, end)| (version, begin, end)));
                for _ in 0..5 {
                    let mut reads = Reads::default();
                    let mut spans = Vec::new();
                    for _ in 0..1 + random.below(3) {
                        let begin = random.below(40);
                        if random.one_in(2) {
                            reads.point(&key(begin));
                            spans.push((begin, begin + 1));
                        } else {
                            let end = begin + 1 + random.below(6);
                            reads.range(key(begin), key(end));
                            spans.push((begin, end));
                        }
                    }
                    let read_version = oldest_view + random.below(version - oldest_view);
                    let overlap = |write: &(u64, u64, u64)| {
                        write.0 > read_version
                            && spans.iter().any(|span| span.0 < write.2 && write.1 < span.1)
                    };
                    let expected =
                        if writes.iter().any(overlap) { Verdict::Conflict } else { Verdict::Accepted };
                    assert_eq!(
                        resolver.check(read_version, &reads),
                        expected,
                        "seed {seed} version {version}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_nobody_can_ask_for_is_forgotten() {
        let mut resolver = Resolver::new(0, 1_000_000);
        for version in 1..=100 {
            write(&mut resolver, version, version - 1, &[version % 40], Some((50, 60)));
        }
        assert_eq!(
            (resolver.groups.len(), resolver.last_write.len(), resolver.range_clears.len()),
            (1, 1, 1)
        );
        assert_eq!(resolver.check(98, &point(1)), Verdict::TooOld);
        assert_eq!(resolver.check(98, &Reads::default()), Verdict::Accepted);
        resolver.begin_group(101, 100);
        assert_eq!(resolver.bytes, 0);
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut resolver = Resolver::new(0, 1_000);
        for version in 1..=100 {
            write(&mut resolver, version, 0, &[version % 40], None);
            assert!(resolver.bytes <= 1_000 + 2 + KEY_OVERHEAD_BYTES);
        }
        assert_eq!(resolver.check(1, &point(39)), Verdict::TooOld);
        assert_eq!(resolver.check(99, &point(39)), Verdict::Accepted);
    }

    #[test]
    fn an_abandoned_group_makes_no_conflicts() {
        let mut resolver = Resolver::new(0, 1_000_000);
        write(&mut resolver, 1, 0, &[1], None);
        write(&mut resolver, 2, 0, &[1, 2], None);
        resolver.abandon_group(1);
        assert_eq!(resolver.check(1, &point(2)), Verdict::Accepted);
        assert_eq!(resolver.check(0, &point(9)), Verdict::TooOld, "what group 1 wrote is not known any more");
    }

    #[test]
    fn keys_of_a_range_are_listed_from_a_version_on() {
        let mut resolver = Resolver::new(0, 1_000_000);
        write(&mut resolver, 1, 0, &[5, 1], None);
        write(&mut resolver, 2, 0, &[7, 3, 5], None);
        let listed = resolver.written_since(1, b"03", b"07").expect("the memory goes back that far");
        let mut listed: Vec<Bytes> = listed.into_iter().map(|(_, key)| key).collect();
        listed.sort();
        assert_eq!(listed, [key(3), key(5)]);
        resolver.begin_group(3, 2);
        assert_eq!(resolver.written_since(1, b"03", b"07"), None);
    }
}
