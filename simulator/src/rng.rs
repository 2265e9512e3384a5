//! A small random generator whose draws depend on names, not on the order in which they are made.
//!
//! Every decision of the simulator takes a generator of its own, keyed by (seed, label, key, n). Adding a
//! fault, or having two calls race, therefore never shifts what another decision draws.

/// SplitMix64: 64 bits of state, full period, good enough mixing for choices in a simulation.
#[derive(Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    /// The generator of decision `label` about `key`, the `n`-th time.
    pub(crate) fn keyed(seed: u64, label: &str, key: &str, n: u64) -> Self {
        // FNV-1a over the parts with a separator that cannot occur in text, then mixed with the seed.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut eat = |bytes: &[u8]| {
            for byte in bytes {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        };
        eat(label.as_bytes());
        eat(&[0xff]);
        eat(key.as_bytes());
        eat(&[0xff]);
        eat(&n.to_le_bytes());
        let mut rng = Self(seed ^ hash);
        // The first output still shows the structure of the seed; throw it away.
        rng.next();
        rng
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Uniform in `low..=high`; `low` when the range is empty.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        if high <= low {
            return low;
        }
        let span = high - low + 1;
        low + ((u128::from(self.next()) * u128::from(span)) >> 64) as u64
    }

    /// 32 lower-case hex digits, as the tail of a carrier's identifiers.
    pub(crate) fn hex32(&mut self) -> String {
        format!("{:016x}{:016x}", self.next(), self.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_name_draws_the_same_and_another_name_draws_another() {
        let draw = |seed, label: &str, key: &str, n| Rng::keyed(seed, label, key, n).next();
        assert_eq!(draw(7, "person", "+1555", 0), draw(7, "person", "+1555", 0));
        let base = draw(7, "person", "+1555", 0);
        for other in [
            draw(8, "person", "+1555", 0),
            draw(7, "persons", "+1555", 0),
            draw(7, "person", "+1556", 0),
            draw(7, "person", "+1555", 1),
            draw(7, "perso", "n+1555", 0),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn draws_are_spread_evenly() {
        let mut hits = 0_u32;
        let mut tens = [0_u32; 10];
        for n in 0..10_000 {
            let mut rng = Rng::keyed(1, "spread", "k", n);
            hits += u32::from(rng.chance(0.3));
            tens[rng.between(0, 9) as usize] += 1;
        }
        assert!((2_800..3_200).contains(&hits), "{hits} of 10000 at probability 0.3");
        assert!(tens.iter().all(|count| (850..1_150).contains(count)), "{tens:?}");
    }

    #[test]
    fn certain_and_impossible_are_exact() {
        for n in 0..1_000 {
            let mut rng = Rng::keyed(n, "c", "k", 0);
            assert!(rng.chance(1.0));
            assert!(!rng.chance(0.0));
        }
    }
}
