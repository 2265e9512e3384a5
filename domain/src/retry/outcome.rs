//! The closed sets of ends: of an attempt, and of a contact.

use crate::carrier::Cause;
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
