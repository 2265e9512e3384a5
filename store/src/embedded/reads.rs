//! What a transaction has read and wants protected.

use super::fingerprints::fingerprint;
use bytes::Bytes;

/// Keys and ranges read for conflicts.
#[derive(Default)]
pub(super) struct Reads {
    pub points: Vec<(u64, Bytes)>,
    /// Half-open, as far as they were walked.
    pub ranges: Vec<(Bytes, Bytes)>,
    bytes: usize,
}

impl Reads {
    pub fn is_empty(&self) -> bool {
        self.points.is_empty() && self.ranges.is_empty()
    }

    /// Bytes of keys held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn point(&mut self, key: &[u8]) {
        self.bytes += key.len();
        self.points.push((fingerprint(key), Bytes::copy_from_slice(key)));
    }

    pub fn range(&mut self, begin: Bytes, end: Bytes) {
        self.bytes += begin.len() + end.len();
        self.ranges.push((begin, end));
    }
}
