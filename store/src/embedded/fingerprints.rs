//! 64-bit hashes of keys, worked out by the callers so that the committing thread need not.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::LazyLock;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// One seed for all keys of the process.
static SEED: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0));

/// Two keys that share a fingerprint may cost something, but never correctness.
pub(super) fn fingerprint(key: &[u8]) -> u64 {
    xxh3_64_with_seed(key, *SEED)
}

pub(super) type FingerprintMap<V> = HashMap<u64, V, BuildHasherDefault<Identity>>;

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
