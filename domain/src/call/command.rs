//! What a call can be told, and what it answers.

use super::plan::{AgentSpec, Plan};
use super::state::Phase;
use crate::agent::{AgentEnd, Speaker};
use crate::carrier::{AnsweredBy, DialOutcome, InstructionOutcome, RecordingReport, Report};
use crate::dial::Place;
use crate::id::{CampaignId, CustomerId};
use crate::retry::{Disposition, Outcome};
use crate::row::{Contact, ContactNo, Priority};
use crate::sealed::Sealed;
use crate::time::Millis;
use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Command {
    /// A single call, placed over the API.
    Place(Box<Order>),
    /// A campaign gives its permit for the next attempt.
    Begin(Begin),
    /// The application, which dials itself, reports a step (carrier `external`).
    Step(CarrierStep),
    /// What came of asking the carrier to place the attempt.
    Dialed {
        attempt: u16,
        outcome: DialOutcome,
    },
    /// A callback, or the answer to a fetch.
    Reported {
        attempt: u16,
        report: Report,
    },
    /// The answer to a search for an attempt whose outcome is unknown.
    Found {
        attempt: u16,
        report: Option<Report>,
    },
    /// A fetch found that the carrier does not know the call.
    Missing {
        attempt: u16,
        sid: String,
    },
    /// Verdict of answering machine detection.
    Amd {
        attempt: u16,
        sid: String,
        answered_by: AnsweredBy,
    },
    Recorded {
        attempt: u16,
        sid: String,
        recording: RecordingReport,
    },
    Instructed {
        attempt: u16,
        outcome: InstructionOutcome,
    },
    /// The carrier asks what an answered call is to do: for the first time, or because a document could not be
    /// had. `again` only from builds before [`Command::Reattach`].
    Document {
        attempt: u16,
        sid: String,
        again: bool,
    },
    /// The carrier's media socket presents itself, by a document of a build before [`Command::Attach`]: it
    /// says no generation, and gets the next.
    MediaOpened {
        attempt: u16,
        sid: String,
    },
    MediaClosed {
        attempt: u16,
        generation: u32,
        end: MediaEnd,
    },
    /// Something was said.
    Said {
        attempt: u16,
        generation: u32,
        turns: Vec<SaidTurn>,
    },
    /// An operator or the application ends it: no further attempt.
    Hangup,
    Annotate {
        note: Option<Sealed>,
        flagged: Option<bool>,
    },
    Tick,
    /// The media connection that a document of this generation led to has ended at the carrier, which asks
    /// what the call is to do now. Whatever held an older or the same connection here holds nothing any more.
    Reattach {
        attempt: u16,
        sid: String,
        generation: u32,
    },
    /// The carrier's media socket presents itself, with the generation that its document gave it.
    Attach {
        attempt: u16,
        sid: String,
        generation: u32,
    },
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Order {
    pub customer: CustomerId,
    pub to: Sealed,
    pub last4: [u8; 4],
    pub place: Place,
    pub person: Option<Sealed>,
    /// Whose permits it uses; absent for the `external` carrier.
    pub campaign: Option<CampaignId>,
    pub priority: Priority,
    pub plan: Plan,
    /// The caller id to dial from, E.164, one of the company's; otherwise any of them. An application
    /// that dials itself names it when it begins.
    pub from: Option<String>,
    pub not_before: Option<Millis>,
    /// The customer's data key, sealed by the company's, when the placer found none stored.
    pub new_key: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Begin {
    pub campaign: CampaignId,
    pub contact: ContactNo,
    /// What the call is to be, with the first permit of a contact.
    pub first: Option<Box<First>>,
    /// Caller id to use, E.164.
    pub from: String,
    /// Calls per second, in thousandths, that bind this dial: company, campaign, caller id.
    pub milli_cps: [u32; 3],
}

/// The call of a contact comes into being with its first attempt.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct First {
    pub contact: Contact,
    pub plan: Plan,
}

/// Steps of a call that the application dials itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum CarrierStep {
    /// Asks for the permission to dial now; refused with the bar that stands, or where `from`, E.164,
    /// is not a caller id of the company. Empty where the application does not say.
    Begin {
        from: String,
    },
    Ringing {
        attempt: u16,
    },
    Answered {
        attempt: u16,
        answered_by: Option<AnsweredBy>,
    },
    /// The conversation has begun.
    Talking {
        attempt: u16,
    },
    Ended {
        attempt: u16,
        outcome: Outcome,
    },
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum MediaEnd {
    /// The carrier's side closed or stopped its stream.
    Carrier,
    /// The agent's side ended it.
    Agent(AgentEnd),
    /// This node lost its hold on it.
    Node,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SaidTurn {
    pub at: Millis,
    pub speaker: Speaker,
    pub text: Sealed,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Reply {
    Status(Status),
    Document(Document),
    Media(MediaGrant),
}

/// Where the call stands after a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Status {
    pub phase: Phase,
    pub attempt: u16,
    pub next_at: Option<Millis>,
    pub disposition: Option<Disposition>,
    /// Nothing changed: the command was late, doubled or stale.
    pub ignored: bool,
}

/// What an answered call is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Document {
    /// Connect the media socket: what builds answered that knew no generations. Never given any more.
    Connect,
    Hangup,
    /// Connect the media socket, as the connection of this generation. Any of a lower one is stale then.
    Stream {
        generation: u32,
    },
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum MediaGrant {
    /// The socket carries the conversation from now on; older generations are stale.
    Go(Box<Conversation>),
    /// Not this socket: the attempt has ended, or another call claims it.
    Refused,
}

/// What the media bridge needs to hold the conversation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Conversation {
    pub generation: u32,
    pub customer: CustomerId,
    pub agent: AgentSpec,
    pub person: Option<Sealed>,
    /// Turns said so far, in this or an earlier connection.
    pub turns: u32,
}
