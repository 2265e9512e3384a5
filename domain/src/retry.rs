//! What came of an attempt, whether there is another one, and when.
//!
//! One budget counts every attempt of a contact, whatever rule asked for it, so that two rules
//! together can never make more calls than the company allowed.

mod outcome;

#[cfg(test)]
mod tests;

pub use outcome::{Disposition, Outcome, OutcomeSet};

use crate::time::{DAY, HOUR, MINUTE, Millis, SECOND};
use serde::{Deserialize, Serialize};

/// When a contact is called again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "Unchecked", into = "Unchecked")]
pub struct Policy(Unchecked);

/// A policy as configured.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Unchecked {
    /// Attempts in all, the first included: the budget of a contact across all rules.
    pub attempts_max: u16,
    /// Delay in ms after the first, second, … attempt; the last counts for all further ones.
    pub schedule_ms: Vec<Millis>,
    /// After which outcomes there is another attempt.
    pub retried: OutcomeSet,
    /// Delay in ms after a busy line instead of the schedule's, if shorter than that.
    pub busy_delay_ms: Option<Millis>,
    /// Each delay is lengthened by up to this many thousandths of itself.
    pub jitter_permille: u16,
}

/// Why a policy was refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PolicyError {
    #[error("attempts must be between 1 and {ATTEMPTS_MAX}")]
    Attempts,
    #[error("a policy with more than one attempt needs a schedule of 1 to {SCHEDULE_MAX} delays")]
    Schedule,
    #[error("delays must be between one second and 30 days")]
    Delay,
    #[error("{} is final and cannot be retried", .0.name())]
    NotRetryable(Outcome),
    #[error("jitter must be between 0 and {JITTER_PERMILLE_MAX} thousandths")]
    Jitter,
}

pub const ATTEMPTS_MAX: u16 = 20;
pub const SCHEDULE_MAX: usize = 16;
pub const JITTER_PERMILLE_MAX: u16 = 500;
const DELAY_MS_MIN: Millis = SECOND;
const DELAY_MS_MAX: Millis = 30 * DAY;

/// What follows an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Next {
    /// Another attempt, not before this time.
    At(Millis),
    Final(FinalReason),
}

/// Why there is no further attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinalReason {
    /// Somebody answered.
    Answered,
    /// The policy does not retry this outcome, or it can never be retried.
    NotRetried,
    /// As many attempts were made as one contact gets.
    BudgetSpent,
}

impl FinalReason {
    /// A stable name.
    pub fn name(self) -> &'static str {
        match self {
            FinalReason::Answered => "answered",
            FinalReason::NotRetried => "not_retried",
            FinalReason::BudgetSpent => "budget_spent",
        }
    }
}

impl Unchecked {
    pub fn check(self) -> Result<Policy, PolicyError> {
        if !(1..=ATTEMPTS_MAX).contains(&self.attempts_max) {
            return Err(PolicyError::Attempts);
        }
        if self.schedule_ms.len() > SCHEDULE_MAX || (self.attempts_max > 1 && self.schedule_ms.is_empty()) {
            return Err(PolicyError::Schedule);
        }
        let delays = self.schedule_ms.iter().chain(&self.busy_delay_ms);
        if !delays.into_iter().all(|delay| (DELAY_MS_MIN..=DELAY_MS_MAX).contains(delay)) {
            return Err(PolicyError::Delay);
        }
        if let Some(outcome) = self.retried.iter().find(|outcome| !outcome.is_retryable()) {
            return Err(PolicyError::NotRetryable(outcome));
        }
        if self.jitter_permille > JITTER_PERMILLE_MAX {
            return Err(PolicyError::Jitter);
        }
        Ok(Policy(self))
    }
}

impl TryFrom<Unchecked> for Policy {
    type Error = PolicyError;
    fn try_from(unchecked: Unchecked) -> Result<Policy, PolicyError> {
        unchecked.check()
    }
}

impl From<Policy> for Unchecked {
    fn from(policy: Policy) -> Unchecked {
        policy.0
    }
}

impl Default for Policy {
    /// Five attempts: the first, and after 15 min, 1 h, 4 h and 24 h. A lost attempt is not
    /// repeated, because it may have been a call.
    fn default() -> Self {
        Policy(Unchecked {
            attempts_max: 5,
            schedule_ms: vec![15 * MINUTE, HOUR, 4 * HOUR, DAY],
            retried: [
                Outcome::Voicemail,
                Outcome::Busy,
                Outcome::NoAnswer,
                Outcome::Unreachable,
                Outcome::CarrierFailure,
            ]
            .into_iter()
            .collect(),
            busy_delay_ms: None,
            jitter_permille: 0,
        })
    }
}

impl Policy {
    /// One attempt and no more.
    pub fn once() -> Policy {
        Policy(Unchecked { attempts_max: 1, ..Policy::default().0 })
    }

    pub fn get(&self) -> &Unchecked {
        &self.0
    }

    pub fn attempts_max(&self) -> u16 {
        self.0.attempts_max
    }

    /// What follows the attempt number `attempts_made` (all attempts of the contact so far, this
    /// one included), which ended so at `ended_at`. `random` is evenly distributed and decides the
    /// jitter.
    pub fn next(&self, attempts_made: u16, outcome: Outcome, ended_at: Millis, random: u64) -> Next {
        if outcome == Outcome::Answered {
            return Next::Final(FinalReason::Answered);
        }
        if !outcome.is_retryable() || !self.0.retried.contains(outcome) {
            return Next::Final(FinalReason::NotRetried);
        }
        if attempts_made >= self.0.attempts_max {
            return Next::Final(FinalReason::BudgetSpent);
        }
        let Some(delay) = self.delay_ms(attempts_made, outcome) else {
            return Next::Final(FinalReason::BudgetSpent);
        };
        Next::At(ended_at.saturating_add(delay).saturating_add(self.jitter_ms(delay, random)))
    }

    /// The shortest wait after attempt number `attempts_made`; `None` without a schedule.
    pub fn delay_ms(&self, attempts_made: u16, outcome: Outcome) -> Option<Millis> {
        let schedule = &self.0.schedule_ms;
        let nth = usize::from(attempts_made.saturating_sub(1));
        let delay = schedule.get(nth).or(schedule.last()).copied()?;
        match self.0.busy_delay_ms {
            Some(busy) if outcome == Outcome::Busy => Some(busy.min(delay)),
            _ => Some(delay),
        }
    }

    fn jitter_ms(&self, delay: Millis, random: u64) -> Millis {
        let most = delay / 1_000 * Millis::from(self.0.jitter_permille);
        let scaled = (i128::from(random) * (i128::from(most) + 1)) >> 64;
        Millis::try_from(scaled).unwrap_or(0)
    }
}
