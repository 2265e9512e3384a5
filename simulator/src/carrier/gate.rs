//! The gate of the carrier's own queue: so many calls a second leave it.

use crate::pace::Pace;
use parking_lot::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// Hands out departure times, evenly spaced.
#[derive(Default)]
pub(super) struct Gate {
    next: Mutex<Option<Instant>>,
}

impl Gate {
    /// When the next call may leave, at `calls_per_s` (simulated; 0 for no gate). `None`: more than `waiting_max` calls
    /// wait already.
    pub(super) fn place(&self, calls_per_s: f64, waiting_max: usize, pace: &Pace) -> Option<Instant> {
        let now = Instant::now();
        if calls_per_s <= 0.0 {
            return Some(now);
        }
        let interval = Duration::from_secs_f64((1.0 / calls_per_s / pace.speed()).min(86_400.0));
        let mut next = self.next.lock();
        let at = next.map_or(now, |next| next.max(now));
        if !interval.is_zero() && (at - now).as_secs_f64() / interval.as_secs_f64() > waiting_max as f64 {
            return None;
        }
        *next = Some(at + interval);
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pace::SystemClock;
    use std::sync::Arc;

    #[tokio::test(start_paused = true)]
    async fn calls_leave_evenly_and_the_queue_is_bounded() {
        let pace = Pace::new(10.0, None, None, Arc::new(SystemClock));
        let gate = Gate::default();
        let now = Instant::now();
        let places: Vec<_> =
            (0..5).map(|_| gate.place(1.0, 3, &pace).map(|at| (at - now).as_millis())).collect();
        assert_eq!(places, [Some(0), Some(100), Some(200), Some(300), None]);
        tokio::time::advance(Duration::from_millis(250)).await;
        assert_eq!(gate.place(1.0, 3, &pace).map(|at| (at - now).as_millis()), Some(400));
        assert_eq!(gate.place(0.0, 0, &pace), Some(Instant::now()));
    }
}
