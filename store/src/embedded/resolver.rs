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

    /// Keys in `[begin, end)` that groups after `version` wrote, the open one included.
    pub fn written_since(&mut self, version: u64, begin: &[u8], end: &[u8]) -> Vec<(u64, Bytes)> {
        let mut written = Vec::new();
        for group in self.groups_since(version) {
            group.sort();
            let first = group.keys.partition_point(|key| key_bytes(&group.arena, key) < begin);
            let keys = group.keys[first..].iter().take_while(|key| key_bytes(&group.arena, key) < end);
            written.extend(
                keys.map(|key| (key.fingerprint, Bytes::copy_from_slice(key_bytes(&group.arena, key)))),
            );
        }
        written
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
