//! What has happened to a campaign.

use super::limits;
use super::state::{CallerUse, Config, Parted, Phase, Reason, State};
use crate::call::Verdict;
use crate::company::{CallerShare, Share};
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
        /// The last so many caller ids are not among the settings any more, and only in use until
        /// their calls end.
        leaving: u8,
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
        permit: Permit,
        until: Millis,
    },
    /// An attempt ended; the contact is ready again at `retry_at`.
    Released {
        contact: ContactNo,
        permit: Option<Permit>,
        outcome: Outcome,
        verdict: Verdict,
        counted: bool,
        retry_at: Millis,
    },
    /// A contact has its final disposition.
    Finished {
        contact: ContactNo,
        /// What it held.
        permit: Option<Permit>,
        disposition: Disposition,
        outcome: Option<Outcome>,
        verdict: Verdict,
        talk_ms: Millis,
        /// It stood in the ready queue.
        queued: bool,
    },
    /// The permit of a contact that had its final disposition already came back.
    Returned {
        contact: ContactNo,
        permit: Permit,
    },
    /// The carrier asked for a pause.
    BackedOff {
        until: Millis,
    },
}

/// A permit that came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Permit {
    /// Place of its caller id in the campaign's list, if it still stands there.
    pub caller: Option<u8>,
    /// No attempt was made with it: there is one more of this day.
    pub again_today: bool,
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
        What::Configured { config, leaving } => {
            s.leaving = *leaving;
            move_callers(s, &config.callers, at);
            s.config = (**config).clone();
            s.session = s.session.wrapping_add(1);
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
            if matches!(phase, Phase::Starting | Phase::Resuming) {
                s.session = s.session.wrapping_add(1);
                s.asked = Some(at);
                s.idle = false;
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
            let answer = s.asked.take().is_some();
            s.turned = limits::stale(s, at);
            s.ask_after = limits::ask_after(s, at, answer);
        }
        What::AskedForMore => {
            s.asked = Some(at);
            s.turned = limits::stale(s, at);
            s.idle = false;
        }
        What::Claimed { granted, swept, next_due } => {
            for (_, caller) in granted {
                limits::advance(s, at, usize::from(*caller));
                s.idle = false;
            }
            let granted = u32::try_from(granted.len()).unwrap_or(u32::MAX);
            s.ready = s.ready.saturating_sub(granted).saturating_sub(*swept);
            s.next_due = *next_due;
            if limits::rests(s, at) && !s.idle {
                limits::rest(s);
            }
        }
        What::Declined { permit, until, .. } => {
            s.ready += 1;
            due_from(s, *until);
            permit_back(s, Some(*permit), at);
        }
        What::Released { permit, outcome, verdict, counted, retry_at, .. } => {
            if *counted {
                s.counts.attempt(*outcome, *verdict);
            }
            s.ready += 1;
            due_from(s, *retry_at);
            permit_back(s, *permit, at);
        }
        What::Finished { permit, disposition, outcome, verdict, talk_ms, queued, .. } => {
            if *queued {
                s.ready = s.ready.saturating_sub(1);
            }
            if let Some(outcome) = outcome {
                s.counts.attempt(*outcome, *verdict);
            }
            s.counts.talk_ms = s.counts.talk_ms.saturating_add(*talk_ms);
            s.counts.disposition(*disposition);
            permit_back(s, *permit, at);
        }
        What::Returned { permit, .. } => permit_back(s, Some(*permit), at),
        What::BackedOff { until } => s.tat_us = s.tat_us.max(until.saturating_mul(1000)),
    }
}

fn due_from(s: &mut State, due: Millis) {
    s.next_due = Some(s.next_due.map_or(due, |d| d.min(due)));
}

fn permit_back(s: &mut State, permit: Option<Permit>, at: Millis) {
    let Some(permit) = permit else { return };
    s.in_flight = s.in_flight.saturating_sub(1);
    let back = u32::from(permit.again_today);
    s.today = s.today.saturating_sub(back);
    if let Some(c) = permit.caller.and_then(|i| s.callers.get_mut(usize::from(i))) {
        c.in_flight = c.in_flight.saturating_sub(1);
        c.today = c.today.saturating_sub(back);
    }
    limits::look_whether_it_rests(s, at);
}

/// Use and share of a caller id belong to the number, wherever it stands in the list; and the
/// distance that it has to keep is kept even when it leaves the list and comes back.
fn move_callers(s: &mut State, to: &[String], at: Millis) {
    let was = |number: &String| s.config.callers.iter().position(|c| c == number);
    let places: Vec<Option<usize>> = to.iter().map(was).collect();
    let left = s.config.callers.iter().zip(&s.callers).filter(|(number, _)| !to.contains(number));
    let left = left.map(|(number, used)| Parted { number: number.clone(), tat_us: used.tat_us });
    let mut parted: Vec<Parted> = left.chain(s.parted.iter().cloned()).collect();
    parted.retain(|p| p.tat_us > at.saturating_mul(1000));
    let used = |(number, i): (&String, &Option<usize>)| match i.and_then(|i| s.callers.get(i)) {
        Some(used) => used.clone(),
        None => {
            let tat_us = parted.iter().find(|p| p.number == *number).map_or(0, |p| p.tat_us);
            CallerUse { tat_us, ..CallerUse::default() }
        }
    };
    let callers = to.iter().zip(&places).map(used).collect();
    parted.retain(|p| !to.contains(&p.number));
    parted.truncate(Config::CALLERS_MAX);
    if let Some(share) = &mut s.share {
        let lent = places.iter().map(|i| i.and_then(|i| share.callers.get(i)).cloned().unwrap_or(NOTHING));
        share.callers = lent.collect();
    }
    s.callers = callers;
    s.parted = parted;
}

const NOTHING: CallerShare =
    CallerShare { concurrency: 0, milli_cps: 1, quota: 0, whole_milli_cps: [u32::MAX; 2] };
