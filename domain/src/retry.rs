//! What came of an attempt, whether there is another one, and when.
//!
//! One budget counts every attempt of a contact, whatever rule asked for it, so that two rules
//! together can never make more calls than the company allowed.

use crate::carrier::Cause;
use crate::time::{DAY, HOUR, MINUTE, Millis, SECOND};
use serde::{Deserialize, Serialize};

/// How one attempt ended. A closed set; the order is for ever, because it is stored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Answered by a person, or by somebody not known to be a machine.
    Answered,
    /// Answered by a machine, whether or not a message was left.
    Voicemail,
    Fax,
    Busy,
    NoAnswer,
    /// There is no such number.
    InvalidNumber,
    /// The number exists and could not be reached.
    Unreachable,
    /// The carrier or the called side forbids calls to this number.
    Blocked,
    /// Trouble of the carrier or the network.
    CarrierFailure,
    /// We ended it before it was answered.
    Canceled,
    /// It was never learned what became of it. It may have rung.
    Lost,
    /// The carrier refused to place it, for a reason that is not the number's.
    Rejected,
}

impl Outcome {
    pub const ALL: [Outcome; 12] = [
        Outcome::Answered,
        Outcome::Voicemail,
        Outcome::Fax,
        Outcome::Busy,
        Outcome::NoAnswer,
        Outcome::InvalidNumber,
        Outcome::Unreachable,
        Outcome::Blocked,
        Outcome::CarrierFailure,
        Outcome::Canceled,
        Outcome::Lost,
        Outcome::Rejected,
    ];

    /// A stable name.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Answered => "answered",
            Outcome::Voicemail => "voicemail",
            Outcome::Fax => "fax",
            Outcome::Busy => "busy",
            Outcome::NoAnswer => "no_answer",
            Outcome::InvalidNumber => "invalid_number",
            Outcome::Unreachable => "unreachable",
            Outcome::Blocked => "blocked",
            Outcome::CarrierFailure => "carrier_failure",
            Outcome::Canceled => "canceled",
            Outcome::Lost => "lost",
            Outcome::Rejected => "rejected",
        }
    }

    pub fn from_name(name: &str) -> Option<Outcome> {
        Outcome::ALL.into_iter().find(|outcome| outcome.name() == name)
    }

    /// Whether a policy may ask for another attempt after it. Who answered, does not exist, must
    /// not be called or was called off by us is not called again.
    pub fn is_retryable(self) -> bool {
        match self {
            Outcome::Voicemail
            | Outcome::Busy
            | Outcome::NoAnswer
            | Outcome::Unreachable
            | Outcome::CarrierFailure
            | Outcome::Lost
            | Outcome::Rejected => true,
            Outcome::Answered
            | Outcome::Fax
            | Outcome::InvalidNumber
            | Outcome::Blocked
            | Outcome::Canceled => false,
        }
    }
}

impl From<Cause> for Outcome {
    fn from(cause: Cause) -> Outcome {
        match cause {
            Cause::InvalidNumber => Outcome::InvalidNumber,
            Cause::Unreachable => Outcome::Unreachable,
            Cause::Blocked => Outcome::Blocked,
            Cause::Carrier | Cause::Unspecified => Outcome::CarrierFailure,
        }
    }
}

/// What finally became of a contact or a call. A closed set; the order is for ever, because it is
/// stored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// There was a conversation.
    Completed,
    /// A machine answered the last attempt; no message was left.
    Voicemail,
    /// A message was left on a machine.
    VoicemailLeft,
    Busy,
    NoAnswer,
    /// Carrier or network trouble, or never reachable.
    Failed,
    InvalidNumber,
    /// On a do-not-call list.
    DoNotCall,
    /// No consent on record.
    NoConsent,
    Canceled,
    /// It was never learned what became of the last attempt.
    Lost,
    /// The campaign was stopped before it was this contact's turn.
    Stopped,
    /// The time in which it could be called ran out.
    Expired,
    Fax,
    /// The carrier or the called side forbids calls to this number.
    Blocked,
}

impl Disposition {
    pub const ALL: [Disposition; 15] = [
        Disposition::Completed,
        Disposition::Voicemail,
        Disposition::VoicemailLeft,
        Disposition::Busy,
        Disposition::NoAnswer,
        Disposition::Failed,
        Disposition::InvalidNumber,
        Disposition::DoNotCall,
        Disposition::NoConsent,
        Disposition::Canceled,
        Disposition::Lost,
        Disposition::Stopped,
        Disposition::Expired,
        Disposition::Fax,
        Disposition::Blocked,
    ];

    /// A stable name.
    pub fn name(self) -> &'static str {
        match self {
            Disposition::Completed => "completed",
            Disposition::Voicemail => "voicemail",
            Disposition::VoicemailLeft => "voicemail_left",
            Disposition::Busy => "busy",
            Disposition::NoAnswer => "no_answer",
            Disposition::Failed => "failed",
            Disposition::InvalidNumber => "invalid_number",
            Disposition::DoNotCall => "do_not_call",
            Disposition::NoConsent => "no_consent",
            Disposition::Canceled => "canceled",
            Disposition::Lost => "lost",
            Disposition::Stopped => "stopped",
            Disposition::Expired => "expired",
            Disposition::Fax => "fax",
            Disposition::Blocked => "blocked",
        }
    }

    pub fn from_name(name: &str) -> Option<Disposition> {
        Disposition::ALL.into_iter().find(|disposition| disposition.name() == name)
    }

    /// The disposition of a call whose last attempt ended so. `message_left` counts for a machine
    /// that answered.
    pub fn of(last: Outcome, message_left: bool) -> Disposition {
        match last {
            Outcome::Answered => Disposition::Completed,
            Outcome::Voicemail if message_left => Disposition::VoicemailLeft,
            Outcome::Voicemail => Disposition::Voicemail,
            Outcome::Fax => Disposition::Fax,
            Outcome::Busy => Disposition::Busy,
            Outcome::NoAnswer => Disposition::NoAnswer,
            Outcome::InvalidNumber => Disposition::InvalidNumber,
            Outcome::Blocked => Disposition::Blocked,
            Outcome::Unreachable | Outcome::CarrierFailure | Outcome::Rejected => Disposition::Failed,
            Outcome::Canceled => Disposition::Canceled,
            Outcome::Lost => Disposition::Lost,
        }
    }
}

/// A set of outcomes, stored as bits in the order of [`Outcome::ALL`].
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OutcomeSet(u16);

impl OutcomeSet {
    pub fn contains(self, outcome: Outcome) -> bool {
        self.0 & Self::bit(outcome) != 0
    }

    #[must_use]
    pub fn with(self, outcome: Outcome) -> OutcomeSet {
        OutcomeSet(self.0 | Self::bit(outcome))
    }

    #[must_use]
    pub fn without(self, outcome: Outcome) -> OutcomeSet {
        OutcomeSet(self.0 & !Self::bit(outcome))
    }

    pub fn iter(self) -> impl Iterator<Item = Outcome> {
        Outcome::ALL.into_iter().filter(move |outcome| self.contains(*outcome))
    }

    fn bit(outcome: Outcome) -> u16 {
        1 << (outcome as u16)
    }
}

impl FromIterator<Outcome> for OutcomeSet {
    fn from_iter<I: IntoIterator<Item = Outcome>>(outcomes: I) -> Self {
        outcomes.into_iter().fold(OutcomeSet::default(), OutcomeSet::with)
    }
}

impl std::fmt::Debug for OutcomeSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

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
