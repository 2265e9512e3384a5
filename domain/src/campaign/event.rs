//! What has happened to a campaign.

use super::claim;
use super::state::{CallerUse, Config, Phase, Reason, State};
use crate::call::Verdict;
use crate::company::Share;
use crate::retry::{Disposition, Outcome};
use crate::row::ContactNo;
use crate::time::Millis;
use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Event {
    pub at: Millis,
    pub what: What,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum What {
    Created {
        name: String,
        config: Box<Config>,
        direct: bool,
    },
    Configured {
        config: Box<Config>,
    },
    /// New contacts, the earliest of them due at `due`.
    Added {
        added: u32,
        duplicates: u32,
        due: Millis,
    },
    Phase {
        phase: Phase,
        reason: Option<Reason>,
    },
    Shared(Box<Share>),
    /// Asked the company for more of the day's attempts.
    AskedForMore,
    /// A look at the ready queue: who was given a permit, who was moved to a later time, who was
    /// taken out because the campaign stops.
    Claimed {
        granted: Vec<(ContactNo, u8)>,
        swept: u32,
        next_due: Option<Millis>,
    },
    /// A permit came back unused.
    Declined {
        contact: ContactNo,
        caller: u8,
        until: Millis,
    },
    /// An attempt ended; the contact is ready again at `retry_at`.
    Released {
        contact: ContactNo,
        caller: u8,
        outcome: Outcome,
        verdict: Verdict,
        counted: bool,
        retry_at: Millis,
        in_flight: bool,
    },
    /// A contact has its final disposition.
    Finished {
        contact: ContactNo,
        caller: u8,
        disposition: Disposition,
        outcome: Option<Outcome>,
        verdict: Verdict,
        talk_ms: Millis,
        /// It held a permit.
        in_flight: bool,
        /// It stood in the ready queue.
        queued: bool,
    },
    /// The permit of a contact that had its final disposition already came back.
    Returned {
        contact: ContactNo,
        caller: u8,
    },
    /// The carrier asked for a pause.
    BackedOff {
        until: Millis,
    },
}

pub(super) fn evolve(s: &mut State, event: &Event) {
    let at = event.at;
    match &event.what {
        What::Created { name, config, direct } => {
            *s = State {
                phase: Phase::Draft,
                name: name.clone(),
                direct: *direct,
                callers: vec![CallerUse::default(); config.callers.len()],
                config: (**config).clone(),
                created_at: at,
                ..State::default()
            };
        }
        What::Configured { config } => {
            s.callers.resize(config.callers.len(), CallerUse::default());
            s.config = (**config).clone();
        }
        What::Added { added, duplicates, due } => {
            s.counts.contacts += added;
            s.counts.duplicates += duplicates;
            s.next_no += added;
            s.ready += added;
            if *added > 0 {
                due_from(s, *due);
            }
        }
        What::Phase { phase, reason } => {
            s.phase = *phase;
            s.reason = *reason;
            if *phase == Phase::Running && s.started_at.is_none() {
                s.started_at = Some(at);
            }
            if matches!(phase, Phase::Running | Phase::Stopping) {
                s.next_due = (s.ready > 0).then_some(0);
            }
            if phase.is_final() {
                s.ended_at = Some(at);
            }
        }
        What::Shared(share) => {
            if share.day != s.day {
                s.day = share.day;
                s.today = 0;
                s.callers.iter_mut().for_each(|c| c.today = 0);
            }
            s.share = Some((**share).clone());
            s.asked = false;
        }
        What::AskedForMore => s.asked = true,
        What::Claimed { granted, swept, next_due } => {
            for (_, caller) in granted {
                claim::advance(s, at, usize::from(*caller));
            }
            let granted = u32::try_from(granted.len()).unwrap_or(u32::MAX);
            s.in_flight += granted;
            s.ready = s.ready.saturating_sub(granted + swept);
            s.next_due = *next_due;
        }
        What::Declined { caller, until, .. } => {
            permit_back(s, *caller);
            s.ready += 1;
            due_from(s, *until);
        }
        What::Released { caller, outcome, verdict, counted, retry_at, in_flight, .. } => {
            if *in_flight {
                permit_back(s, *caller);
            }
            if *counted {
                s.counts.attempt(*outcome, *verdict);
            }
            s.ready += 1;
            due_from(s, *retry_at);
        }
        What::Finished { caller, disposition, outcome, verdict, talk_ms, in_flight, queued, .. } => {
            if *in_flight {
                permit_back(s, *caller);
            }
            if *queued {
                s.ready = s.ready.saturating_sub(1);
            }
            if let Some(outcome) = outcome {
                s.counts.attempt(*outcome, *verdict);
            }
            s.counts.talk_ms += talk_ms;
            s.counts.disposition(*disposition);
        }
        What::Returned { caller, .. } => permit_back(s, *caller),
        What::BackedOff { until } => s.tat_us = s.tat_us.max(until.saturating_mul(1000)),
    }
}

fn due_from(s: &mut State, due: Millis) {
    s.next_due = Some(s.next_due.map_or(due, |d| d.min(due)));
}

fn permit_back(s: &mut State, caller: u8) {
    s.in_flight = s.in_flight.saturating_sub(1);
    if let Some(c) = s.callers.get_mut(usize::from(caller)) {
        c.in_flight = c.in_flight.saturating_sub(1);
    }
}
