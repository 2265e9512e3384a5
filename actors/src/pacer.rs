//! The last gate before a dial leaves this node: it keeps the exact distance between dials.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;
use tandem_domain::effect::{Pace, PaceKey};
use tokio::time::Instant;

/// Keys that were not used for a while are forgotten when there are more than this.
const KEYS_MAX: usize = 10_000;

#[derive(Default)]
pub(crate) struct Pacer {
    next: Mutex<HashMap<PaceKey, Instant>>,
}

impl Pacer {
    /// The time at which a dial bound by these rates may leave, or `None` if that is later than
    /// `latest`; then nothing is taken.
    pub fn reserve(&self, paces: &[Pace], speed: f64, now: Instant, latest: Instant) -> Option<Instant> {
        let mut next = self.next.lock();
        let at = paces.iter().filter_map(|p| next.get(&p.key).copied()).fold(now, Instant::max);
        if at > latest {
            return None;
        }
        for pace in paces {
            let apart = 1000.0 / f64::from(pace.milli_cps.max(1)) / speed.max(1e-9);
            next.insert(pace.key.clone(), at + Duration::from_secs_f64(apart));
        }
        if next.len() > KEYS_MAX {
            next.retain(|_, t| *t > now);
        }
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_domain::id::CompanyId;

    #[test]
    fn dials_leave_at_the_slowest_rate_that_binds_them() {
        let company = PaceKey::Company(CompanyId::from_bytes([1; 16]));
        let number = PaceKey::CallerId(CompanyId::from_bytes([1; 16]), "+15550100".into());
        let both = [Pace { key: company.clone(), milli_cps: 10_000 }, Pace { key: number, milli_cps: 2_000 }];
        let pacer = Pacer::default();
        let now = Instant::now();
        let late = now + Duration::from_secs(10);
        let first = pacer.reserve(&both, 1.0, now, late).unwrap();
        let second = pacer.reserve(&both, 1.0, now, late).unwrap();
        assert_eq!(first, now);
        assert_eq!(second - first, Duration::from_millis(500));
        let third = pacer.reserve(&both[..1], 1.0, now, late).unwrap();
        assert_eq!(third - second, Duration::from_millis(100));
        assert!(pacer.reserve(&both, 1.0, now, now).is_none());
    }
}
