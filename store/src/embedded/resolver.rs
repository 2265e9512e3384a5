//! Decides whether what a transaction read has changed since, from a bounded memory of what was
//! written lately. After FoundationDB's resolver: versions are numbered, and whoever read at a
//! version older than the memory reaches is too old.

use super::reads::Reads;
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

/// Passes a fingerprint through: it is a hash already.
#[derive(Default)]
pub(super) struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

pub(super) type FingerprintMap<V> = HashMap<u64, V, BuildHasherDefault<Identity>>;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Accepted,
    Conflict,
    TooOld,
}

/// What one group of transactions wrote.
struct Group {
    version: u64,
    committed_ms: u64,
    keys: Vec<(u64, Bytes)>,
    ranges: Vec<(Bytes, Bytes)>,
    /// Whether `keys` is in key order; it is sorted when a range is first checked against it.
    sorted: bool,
}

/// The writes of the last few seconds, by key and by group.
pub(super) struct Resolver {
    last_write: FingerprintMap<u64>,
    groups: VecDeque<Group>,
    /// Groups that cleared ranges, to be checked for every key read.
    range_clears: VecDeque<u64>,
    /// Reads at versions below this cannot be checked any more.
    oldest_version: u64,
    keys: usize,
    keys_max: usize,
    window_ms: u64,
}

impl Resolver {
    /// `version` is the state's version at the start; the memory is empty and reaches back to it.
    pub fn new(version: u64, keys_max: usize, window_ms: u64) -> Self {
        Self {
            last_write: FingerprintMap::default(),
            groups: VecDeque::new(),
            range_clears: VecDeque::new(),
            oldest_version: version,
            keys: 0,
            keys_max,
            window_ms,
        }
    }

    /// Opens the group that will become `version`, forgetting what is out of the window.
    pub fn begin_group(&mut self, version: u64, now_ms: u64) {
        while let Some(group) = self.groups.front() {
            let aged = now_ms.saturating_sub(group.committed_ms) > self.window_ms;
            if !aged && self.keys <= self.keys_max {
                break;
            }
            self.forget_oldest();
        }
        let keys = Vec::new();
        self.groups.push_back(Group {
            version,
            committed_ms: now_ms,
            keys,
            ranges: Vec::new(),
            sorted: false,
        });
    }

    fn forget_oldest(&mut self) {
        let Some(group) = self.groups.pop_front() else { return };
        self.oldest_version = group.version;
        self.keys -= group.keys.len();
        for (fingerprint, _) in group.keys {
            if self.last_write.get(&fingerprint) == Some(&group.version) {
                self.last_write.remove(&fingerprint);
            }
        }
        if self.range_clears.front() == Some(&group.version) {
            self.range_clears.pop_front();
        }
    }

    /// Whether reads made at `version` still hold, given all groups up to the open one.
    pub fn check(&mut self, version: u64, reads: &Reads) -> Verdict {
        if version < self.oldest_version {
            return Verdict::TooOld;
        }
        let key_written =
            |fingerprint: &u64| self.last_write.get(fingerprint).is_some_and(|written| *written > version);
        if reads.points.iter().any(|(fingerprint, _)| key_written(fingerprint)) {
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
            if !group.sorted {
                group.keys.sort_unstable_by(|a, b| a.1.cmp(&b.1));
                group.sorted = true;
            }
            reads.ranges.iter().any(|(begin, end)| {
                let first = group.keys.partition_point(|(_, key)| key < begin);
                group.keys.get(first).is_some_and(|(_, key)| key < end)
            })
        })
    }

    /// Notes a key written by the open group.
    pub fn wrote(&mut self, fingerprint: u64, key: Bytes) {
        let Some(group) = self.groups.back_mut() else { return };
        self.last_write.insert(fingerprint, group.version);
        group.keys.push((fingerprint, key));
        group.sorted = false;
        self.keys += 1;
    }

    /// Notes a range cleared by the open group.
    pub fn cleared(&mut self, begin: Bytes, end: Bytes) {
        let Some(group) = self.groups.back_mut() else { return };
        group.ranges.push((begin, end));
        if self.range_clears.back() != Some(&group.version) {
            self.range_clears.push_back(group.version);
        }
    }
}
