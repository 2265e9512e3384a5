//! Tells of most keys that are not in a memtable that they are not, at the price of one cache line.
//!
//! A Bloom filter in blocks: a key's bits all lie in one block of 512 (Putze, Sanders and Singler,
//! "Cache-, Hash- and Space-Efficient Bloom Filters", 2007). Written to by one thread, read by all.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const WORDS: usize = 8;
/// Bits of a key.
const BITS: u32 = 5;
/// Bits for each row: one key in about fifty that is not there has to be looked for.
const BITS_PER_ROW: u64 = 10;
const BLOCKS_MAX: u64 = 1 << 17;

#[repr(align(64))]
#[derive(Default)]
struct Block([AtomicU64; WORDS]);

pub(super) struct Filter {
    blocks: Box<[Block]>,
}

/// The word and the bit in it of each of a key's bits.
fn bits(fingerprint: u64) -> impl Iterator<Item = (usize, u64)> {
    // The high half chooses the block. Nine bits at a time are a place among 512.
    let mixed = fingerprint.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..BITS).map(move |n| {
        let place = (mixed >> (n * 9)) & 511;
        ((place >> 6) as usize, 1 << (place & 63))
    })
}

impl Filter {
    /// For about so many rows. More of them only make it less sharp.
    pub fn for_rows(rows: u64) -> Self {
        let blocks = (rows.saturating_mul(BITS_PER_ROW) / 512).clamp(8, BLOCKS_MAX);
        Self { blocks: (0..blocks).map(|_| Block::default()).collect() }
    }

    fn block(&self, fingerprint: u64) -> &Block {
        let at = ((fingerprint >> 32) * self.blocks.len() as u64) >> 32;
        &self.blocks[at as usize]
    }

    /// Whoever sees the row in the memtable finds it here: it is put in before.
    pub fn insert(&self, fingerprint: u64) {
        let block = self.block(fingerprint);
        for (word, bit) in bits(fingerprint) {
            if block.0[word].load(Relaxed) & bit == 0 {
                block.0[word].fetch_or(bit, Relaxed);
            }
        }
    }

    /// False only where the key was never put in.
    pub fn may_have(&self, fingerprint: u64) -> bool {
        let block = self.block(fingerprint);
        bits(fingerprint).all(|(word, bit)| block.0[word].load(Relaxed) & bit != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::random::Random;

    #[test]
    fn what_was_put_in_is_found_and_most_of_the_rest_is_not() {
        let mut random = Random::new(1);
        let filter = Filter::for_rows(20_000);
        let there: Vec<u64> = (0..20_000).map(|_| random.number()).collect();
        for fingerprint in &there {
            filter.insert(*fingerprint);
        }
        assert!(there.iter().all(|fingerprint| filter.may_have(*fingerprint)));
        let found = (0..20_000).filter(|_| filter.may_have(random.number())).count();
        assert!(found < 1_000, "{found} of 20000 were never put in");
    }
}
