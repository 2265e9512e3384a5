//! For how long a node's knowledge is the truth without asking the store.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Runs from the beginning of the last renewal that succeeded.
#[derive(Debug)]
pub struct Lease {
    base: Instant,
    /// Microseconds after `base`; 0 without a lease.
    until: AtomicU64,
}

impl Lease {
    pub fn new() -> Self {
        Lease { base: Instant::now(), until: AtomicU64::new(0) }
    }

    fn micros(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.base).as_micros()).unwrap_or(u64::MAX)
    }

    /// A renewal that began at `began` has become durable.
    pub fn extend(&self, began: Instant, by: Duration) {
        self.until.fetch_max(self.micros(began + by), Ordering::AcqRel);
    }

    /// The node has been taken for dead, or leaves.
    pub fn revoke(&self) {
        self.until.store(0, Ordering::Release);
    }

    pub fn holds(&self) -> bool {
        self.micros(Instant::now()) < self.until.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_holds_for_its_time_and_not_once_it_is_revoked() {
        let lease = Lease::new();
        assert!(!lease.holds());
        lease.extend(Instant::now(), Duration::from_millis(600));
        assert!(lease.holds());
        tokio::time::advance(Duration::from_millis(599)).await;
        assert!(lease.holds());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!lease.holds());
        lease.extend(Instant::now(), Duration::from_millis(600));
        lease.revoke();
        assert!(!lease.holds());
    }
}
