//! The state of a call.

use super::event::SILENCE_MS;
use super::plan::{MachineAction, Plan};
use crate::carrier::AnsweredBy;
use crate::dial::Place;
use crate::id::{CampaignId, CustomerId};
use crate::retry::{Disposition, Outcome};
use crate::row::{ContactNo, Priority};
use crate::sealed::Sealed;
use crate::time::{Millis, SECOND};
use serde::{Deserialize, Serialize};

/// Where a call stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum Phase {
    /// There is no such call.
    #[default]
    Absent,
    /// Waiting for its next attempt.
    Queued,
    /// The permission to dial is given; the carrier's answer is not known yet.
    Dispatching,
    /// The carrier's answer was lost: never dialed again, being settled.
    Unknown,
    /// Taken by the carrier.
    Initiated,
    Ringing,
    InProgress,
    /// Answered, and the media connection is lost for the moment.
    Reattaching,
    /// Has its final disposition.
    Ended,
}

impl Phase {
    pub const ALL: [Phase; 9] = [
        Phase::Absent,
        Phase::Queued,
        Phase::Dispatching,
        Phase::Unknown,
        Phase::Initiated,
        Phase::Ringing,
        Phase::InProgress,
        Phase::Reattaching,
        Phase::Ended,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Phase::Absent => "absent",
            Phase::Queued => "queued",
            Phase::Dispatching => "dispatching",
            Phase::Unknown => "unknown",
            Phase::Initiated => "initiated",
            Phase::Ringing => "ringing",
            Phase::InProgress => "in_progress",
            Phase::Reattaching => "reattaching",
            Phase::Ended => "ended",
        }
    }

    /// An attempt is alive: it holds a permit.
    pub fn is_alive(self) -> bool {
        match self {
            Phase::Dispatching
            | Phase::Unknown
            | Phase::Initiated
            | Phase::Ringing
            | Phase::InProgress
            | Phase::Reattaching => true,
            Phase::Absent | Phase::Queued | Phase::Ended => false,
        }
    }

    pub fn is_answered(self) -> bool {
        matches!(self, Phase::InProgress | Phase::Reattaching)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum Direction {
    #[default]
    Outbound,
    Inbound,
}

/// Who or what answered, as far as is known now. May be revised as long as nothing irreversible
/// followed from it; it is never a reason to keep a person waiting in silence.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum Verdict {
    #[default]
    Unknown,
    LikelyHuman,
    LikelyMachine,
    Human,
    Machine {
        beep: bool,
    },
    Fax,
}

impl Verdict {
    pub fn of(said: AnsweredBy, unknown_is_human: bool) -> Verdict {
        match said {
            AnsweredBy::Human => Verdict::Human,
            AnsweredBy::MachineStart => Verdict::LikelyMachine,
            AnsweredBy::MachineEndBeep => Verdict::Machine { beep: true },
            AnsweredBy::MachineEndSilence | AnsweredBy::MachineEndOther => Verdict::Machine { beep: false },
            AnsweredBy::Fax => Verdict::Fax,
            AnsweredBy::Unknown if unknown_is_human => Verdict::LikelyHuman,
            AnsweredBy::Unknown => Verdict::LikelyMachine,
        }
    }

    pub fn is_machine(self) -> bool {
        matches!(self, Verdict::LikelyMachine | Verdict::Machine { .. })
    }

    pub fn name(self) -> &'static str {
        match self {
            Verdict::Unknown => "unknown",
            Verdict::LikelyHuman => "likely_human",
            Verdict::LikelyMachine => "likely_machine",
            Verdict::Human => "human",
            Verdict::Machine { .. } => "machine",
            Verdict::Fax => "fax",
        }
    }
}

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct State {
    pub phase: Phase,
    pub direction: Direction,
    pub created_at: Millis,
    pub customer: Option<CustomerId>,
    /// The campaign whose permits it uses; absent for calls that the application dials itself.
    pub campaign: Option<CampaignId>,
    pub contact: Option<ContactNo>,
    pub priority: Priority,
    pub to: Sealed,
    pub last4: [u8; 4],
    pub place: Place,
    /// Name and variables for the agent, as [`crate::row::Person`].
    pub person: Option<Sealed>,
    pub plan: Plan,
    /// The one caller id, E.164, that it is to be dialed from.
    pub from: Option<String>,
    /// Number of the newest attempt, 0 before the first.
    pub attempt: u16,
    /// Attempts that count against the retry budget.
    pub counted: u16,
    pub past: Vec<Past>,
    pub live: Option<Box<Live>>,
    /// When the next attempt may be made, while waiting for one.
    pub next_at: Option<Millis>,
    /// When this call wants to look after itself.
    pub check_at: Option<Millis>,
    pub turns: u32,
    /// Newest media connection of the attempt that ended last: its last words may come later.
    pub last_generation: u32,
    pub talk_ms: Millis,
    /// Somebody asked for its end: no further attempt.
    pub cancel: bool,
    pub ended: Option<Ended>,
    pub note: Option<Sealed>,
    pub flagged: bool,
}

impl State {
    /// Somebody talks, or is about to, and nothing is known that would end it: until when it may go on at most. The
    /// carrier ends it earlier, and says so.
    pub(super) fn talks_until(&self) -> Option<Millis> {
        let live = self.live.as_deref()?;
        let ends = live.hangup_sent || live.message_left || live.conversation_over || self.is_dismissed();
        let held = live.media_open || live.generation == 0;
        let talks = self.phase == Phase::InProgress && held && !ends && !self.plan.is_external();
        let longest = Millis::from(self.plan.max_duration_s) * SECOND + SILENCE_MS;
        talks.then(|| live.answered_at.unwrap_or(live.permitted_at) + longest)
    }

    /// Whoever answered, as far as is known now, is not to be talked to.
    pub fn is_dismissed(&self) -> bool {
        match self.live.as_ref().map(|live| live.verdict) {
            Some(Verdict::Fax) => !self.plan.is_external(),
            Some(Verdict::LikelyMachine | Verdict::Machine { .. }) => {
                self.plan.amd.on_machine == MachineAction::Hangup && !self.plan.is_external()
            }
            Some(Verdict::Unknown | Verdict::LikelyHuman | Verdict::Human) | None => false,
        }
    }
}

/// The attempt that is alive.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Live {
    pub from: String,
    pub permitted_at: Millis,
    /// The carrier's id: the first that presented itself for this attempt.
    pub sid: Option<String>,
    pub ringing_at: Option<Millis>,
    pub answered_at: Option<Millis>,
    pub verdict: Verdict,
    /// A message to the machine is being left: the verdict is acted upon and stands.
    pub message_left: bool,
    pub hangup_sent: bool,
    /// Generation of the media connection; a lower one is stale.
    pub generation: u32,
    pub media_open: bool,
    /// The agent has ended the conversation: nothing is re-attached any more.
    pub conversation_over: bool,
    /// How often it was looked after without news.
    pub checks: u16,
    pub recording: Option<String>,
}

/// An attempt that has ended.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Past {
    pub number: u16,
    pub sid: Option<String>,
    pub started_at: Millis,
    pub answered_at: Option<Millis>,
    pub ended_at: Millis,
    pub outcome: Outcome,
    pub verdict: Verdict,
    pub message_left: bool,
    /// Counts against the budget. A dial that the carrier never took does not.
    pub counted: bool,
    /// The carrier's code where it refused, 0 otherwise.
    pub code: u32,
    pub recording: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ended {
    pub at: Millis,
    pub disposition: Disposition,
}
