//! What has happened to a call.

use super::command::MediaEnd;
use super::plan::Plan;
use super::state::{Direction, Ended, Live, Past, Phase, State, Verdict};
use crate::carrier::AnsweredBy;
use crate::dial::Place;
use crate::id::{CampaignId, CustomerId};
use crate::retry::{Disposition, Outcome};
use crate::row::{ContactNo, Priority};
use crate::sealed::Sealed;
use crate::time::{Millis, SECOND};
use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Event {
    pub at: Millis,
    pub what: What,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum What {
    Created(Box<Created>),
    /// The campaign has offered a permit.
    Offered {
        contact: ContactNo,
    },
    /// The permission to dial: exactly one request to the carrier follows, or none.
    AttemptStarted {
        attempt: u16,
        from: String,
    },
    /// The carrier has it, under this id.
    Accepted {
        sid: String,
    },
    /// The carrier's answer was lost.
    OutcomeUnknown,
    Initiated,
    Ringing,
    Answered,
    Judged {
        answered_by: AnsweredBy,
        verdict: Verdict,
    },
    MediaOpened {
        generation: u32,
    },
    MediaClosed {
        generation: u32,
        end: MediaEnd,
    },
    /// Turns `first ..= first + count - 1` were stored.
    Said {
        first: u32,
        count: u32,
    },
    /// The machine is being left its message.
    MessageLeft,
    HangupRequested,
    /// The next look at itself; without news so far.
    CheckPlanned {
        at: Option<Millis>,
    },
    Recorded {
        attempt: u16,
        recording: String,
    },
    AttemptEnded(Box<AttemptEnd>),
    RetryPlanned {
        at: Millis,
    },
    Ended {
        disposition: Disposition,
    },
    Annotated {
        note: Option<Sealed>,
        flagged: Option<bool>,
    },
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Created {
    pub direction: Direction,
    pub customer: CustomerId,
    pub campaign: Option<CampaignId>,
    pub contact: Option<ContactNo>,
    pub priority: Priority,
    pub to: Sealed,
    pub last4: [u8; 4],
    pub place: Place,
    pub person: Option<Sealed>,
    pub plan: Plan,
    pub from: Option<String>,
    pub next_at: Option<Millis>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AttemptEnd {
    pub outcome: Outcome,
    pub counted: bool,
    pub code: u32,
    pub talk_ms: Millis,
}

/// Folds one event into the state and plans the next look at itself.
pub(super) fn evolve(s: &mut State, event: &Event) {
    let at = event.at;
    fold(s, event);
    // A call looks after itself as long as an attempt is alive: the carrier may fall silent.
    match &event.what {
        What::AttemptStarted { .. }
        | What::Accepted { .. }
        | What::OutcomeUnknown
        | What::Initiated
        | What::Ringing
        | What::Answered
        | What::MediaOpened { .. }
        | What::MediaClosed { .. }
        // What was said of who answered decides how long the call may last.
        | What::Judged { .. }
        | What::MessageLeft
        | What::HangupRequested => s.check_at = check_after(s, at),
        What::CheckPlanned { at } => s.check_at = *at,
        What::AttemptEnded(_) | What::Ended { .. } => s.check_at = None,
        // A conversation that is heard needs no looking after.
        What::Said { .. } if s.talks_until().is_some() => s.check_at = check_after(s, at),
        What::Created(_)
        | What::Offered { .. }
        | What::Said { .. }
        | What::Recorded { .. }
        | What::RetryPlanned { .. }
        | What::Annotated { .. } => {}
    }
}

/// How long to wait for news from the carrier before asking, by phase.
fn check_after(s: &State, at: Millis) -> Option<Millis> {
    let wait = match s.phase {
        Phase::Absent | Phase::Queued | Phase::Ended => return None,
        // The dispatcher reports within its own time limit; this is for when it died.
        Phase::Dispatching => DISPATCH_MS,
        Phase::Unknown => SETTLE_STEP_MS,
        Phase::Initiated | Phase::Ringing => match &s.live {
            Some(live) if live.hangup_sent => HANGUP_MS,
            _ => Millis::from(s.plan.ring_timeout_s) * SECOND + SILENCE_MS,
        },
        Phase::InProgress | Phase::Reattaching => match &s.live {
            Some(live) if live.hangup_sent => HANGUP_MS,
            // To say its message the carrier takes the call from the media connection.
            Some(live) if live.message_left => MESSAGE_MS,
            Some(live) if live.conversation_over || s.is_dismissed() => HANGUP_MS,
            // Its media is lost. The carrier ends the call or asks for its document, both within a moment.
            Some(live) if s.phase == Phase::Reattaching || (live.generation > 0 && !live.media_open) => {
                REATTACH_MS
            }
            _ => match s.talks_until() {
                Some(until) => (until - at).clamp(HANGUP_MS, LOOK_MS),
                None => Millis::from(s.plan.max_duration_s) * SECOND + SILENCE_MS,
            },
        },
    };
    // An application that dials itself is given longer: nobody can be asked.
    Some(at + if s.plan.is_external() { wait.max(s.plan.settle_ms) } else { wait })
}

pub(super) const DISPATCH_MS: Millis = 30 * SECOND;
pub(super) const SETTLE_STEP_MS: Millis = 15 * SECOND;
pub(super) const SILENCE_MS: Millis = 60 * SECOND;
pub(super) const REATTACH_MS: Millis = 10 * SECOND;
/// A conversation of which nothing was heard for so long is asked about: whoever held it may be gone with its node,
/// and the carrier's word of the end may be lost.
pub(super) const LOOK_MS: Millis = 60 * SECOND;
/// A message takes less than this to be said: at most 1000 bytes of text.
pub(super) const MESSAGE_MS: Millis = 150 * SECOND;
pub(super) const HANGUP_MS: Millis = 15 * SECOND;

/// Attempts that are kept in the state.
const PAST_MAX: usize = 32;

/// A carrier that is busy for long refuses one dial after the other. They do not count, no call was
/// made, and only the newest of them are kept.
fn forget_refused(s: &mut State) {
    if s.past.len() >= PAST_MAX
        && let Some(oldest) = s.past.iter().position(|p| !p.counted)
    {
        s.past.remove(oldest);
    }
}

/// One match over what happened, without a catch-all: a new variant does not compile until it is
/// decided what it does to the state.
fn fold(s: &mut State, event: &Event) {
    let at = event.at;
    match &event.what {
        What::Created(c) => {
            *s = State {
                phase: Phase::Queued,
                direction: c.direction,
                created_at: at,
                customer: Some(c.customer),
                campaign: c.campaign,
                contact: c.contact,
                priority: c.priority,
                to: c.to.clone(),
                last4: c.last4,
                place: c.place,
                person: c.person.clone(),
                plan: c.plan.clone(),
                from: c.from.clone(),
                next_at: c.next_at,
                ..State::default()
            };
        }
        What::Offered { contact } => s.contact = Some(*contact),
        What::AttemptStarted { attempt, from } => {
            s.phase = Phase::Dispatching;
            s.attempt = *attempt;
            s.next_at = None;
            s.live = Some(Box::new(Live { from: from.clone(), permitted_at: at, ..Live::default() }));
        }
        What::Accepted { sid } => {
            if matches!(s.phase, Phase::Dispatching | Phase::Unknown) {
                s.phase = Phase::Initiated;
            }
            if let Some(live) = &mut s.live {
                live.sid = Some(sid.clone());
                live.checks = 0;
            }
        }
        What::OutcomeUnknown => s.phase = Phase::Unknown,
        What::Initiated => s.phase = Phase::Initiated,
        What::Ringing => {
            s.phase = Phase::Ringing;
            if let Some(live) = &mut s.live {
                live.ringing_at = Some(at);
                live.checks = 0;
            }
        }
        What::Answered => {
            s.phase = Phase::InProgress;
            if let Some(live) = &mut s.live {
                live.answered_at = Some(at);
                live.checks = 0;
            }
        }
        What::Judged { verdict, .. } => {
            if let Some(live) = &mut s.live {
                live.verdict = *verdict;
            }
        }
        What::MediaOpened { generation } => {
            s.phase = Phase::InProgress;
            if let Some(live) = &mut s.live {
                live.generation = *generation;
                live.media_open = true;
                live.checks = 0;
            }
        }
        What::MediaClosed { generation: _, end } => {
            if let Some(live) = &mut s.live {
                live.media_open = false;
                match end {
                    MediaEnd::Agent(_) => live.conversation_over = true,
                    // The call is over, and its end on the way; or it goes on, and asks what to do.
                    MediaEnd::Carrier => {}
                    MediaEnd::Node => s.phase = Phase::Reattaching,
                }
            }
        }
        What::Said { first, count } => s.turns = first + count,
        What::MessageLeft => {
            if let Some(live) = &mut s.live {
                live.message_left = true;
            }
        }
        What::HangupRequested => {
            s.cancel = true;
            if let Some(live) = &mut s.live {
                live.hangup_sent = true;
            }
        }
        // A look at a conversation that may go on is none that was in vain.
        What::CheckPlanned { .. } if s.talks_until().is_some_and(|until| at < until) => {}
        What::CheckPlanned { .. } => {
            if let Some(live) = &mut s.live {
                live.checks = live.checks.saturating_add(1);
            }
        }
        What::Recorded { attempt, recording } => {
            if let Some(past) = s.past.iter_mut().find(|p| p.number == *attempt) {
                past.recording = Some(recording.clone());
            } else if let Some(live) = &mut s.live {
                live.recording = Some(recording.clone());
            }
        }
        What::AttemptEnded(end) => {
            let live = s.live.take().unwrap_or_default();
            s.last_generation = live.generation;
            forget_refused(s);
            s.past.push(Past {
                number: s.attempt,
                sid: live.sid,
                started_at: live.permitted_at,
                answered_at: live.answered_at,
                ended_at: at,
                outcome: end.outcome,
                verdict: live.verdict,
                message_left: live.message_left,
                counted: end.counted,
                code: end.code,
                recording: live.recording,
            });
            if end.counted {
                s.counted = s.counted.saturating_add(1);
            }
            s.talk_ms = s.talk_ms.saturating_add(end.talk_ms);
            s.phase = Phase::Queued;
        }
        What::RetryPlanned { at } => s.next_at = Some(*at),
        What::Ended { disposition } => {
            s.phase = Phase::Ended;
            s.next_at = None;
            s.ended = Some(Ended { at, disposition: *disposition });
        }
        What::Annotated { note, flagged } => {
            if let Some(note) = note {
                s.note = Some(note.clone());
            }
            if let Some(flagged) = flagged {
                s.flagged = *flagged;
            }
        }
    }
}
