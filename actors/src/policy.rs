//! When something that has died is started again, and when it is not.

use std::collections::VecDeque;
use tandem_domain::time::Millis;

/// At most `restarts` within `within_ms`; one more and it stays down.
#[derive(Debug, Clone)]
pub(crate) struct RestartPolicy {
    restarts: usize,
    within_ms: Millis,
    past: VecDeque<Millis>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Restart,
    GiveUp,
}

impl RestartPolicy {
    pub fn new(restarts: usize, within_ms: Millis) -> Self {
        RestartPolicy { restarts, within_ms, past: VecDeque::new() }
    }

    /// Something has died at `now`.
    pub fn died(&mut self, now: Millis) -> Verdict {
        while self.past.front().is_some_and(|at| *at + self.within_ms <= now) {
            self.past.pop_front();
        }
        self.past.push_back(now);
        if self.past.len() > self.restarts { Verdict::GiveUp } else { Verdict::Restart }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_up_only_when_deaths_are_close_together() {
        let mut policy = RestartPolicy::new(2, 1_000);
        assert_eq!(policy.died(0), Verdict::Restart);
        assert_eq!(policy.died(100), Verdict::Restart);
        assert_eq!(policy.died(200), Verdict::GiveUp);
        assert_eq!(policy.died(900), Verdict::GiveUp);
        assert_eq!(policy.died(5_000), Verdict::Restart);
    }
}
