//! The end of an attempt, and of a call.

use super::super::event::{AttemptEnd, What};
use super::super::state::{Phase, State};
use super::Draft;
use super::dial::ATTEMPTS_MAX;
use crate::campaign::Trouble;
use crate::carrier::Instruction;
use crate::effect::Effect;
use crate::id::{CallId, Entity};
use crate::machine::Rejection;
use crate::retry::{Disposition, Next, Outcome};
use crate::row::{ContactNo, Contacted, Fact, RowKey, RowWrite};
use crate::time::{DAY, Millis, SECOND};
use crate::{campaign, customer};

pub(super) fn facts(me: Entity, s: &State) -> Vec<Fact> {
    match (s.phase.is_alive(), s.customer) {
        (true, Some(customer)) => {
            vec![Fact::Row(RowKey::Contacted { company: me.company, customer })]
        }
        _ => Vec::new(),
    }
}

/// The person's record with a new attempt, alive.
pub(super) fn with_attempt(mut contacted: Contacted, now: Millis, call: CallId, attempt: u16) -> Contacted {
    // The newest is kept however old it is: a gap may be longer than a day.
    let newest = contacted.attempts.last().copied();
    contacted.attempts.retain(|at| *at > now - DAY || Some(*at) == newest);
    contacted.attempts.push(now);
    contacted.live = Some((call, attempt));
    contacted
}

/// What an ended attempt means besides its outcome.
#[derive(Clone, Copy)]
pub(super) struct Ending {
    pub outcome: Outcome,
    /// The carrier's code where it refused, 0 otherwise.
    pub code: u32,
    /// The carrier never took the dial: it does not count, and comes again at this time.
    pub again_at: Option<Millis>,
    /// The same would happen to every other dial of the campaign.
    pub trouble: Option<Trouble>,
    /// How long was talked, where the carrier says so.
    pub talk_ms: Option<Millis>,
}

impl Ending {
    pub fn of(outcome: Outcome) -> Self {
        Ending { outcome, code: 0, again_at: None, trouble: None, talk_ms: None }
    }
}

/// Ends the attempt that is alive: frees its permit and the person in the same transaction, and
/// decides whether another attempt follows.
pub(super) fn attempt(d: &mut Draft<'_>, end: Ending) -> Result<(), Rejection> {
    let (company, call, now) = (d.company(), d.call(), d.cx.now);
    let counted = end.again_at.is_none();
    if let Some(customer) = d.s.customer {
        let row = RowKey::Contacted { company, customer };
        let contacted: Option<Contacted> = d.cx.facts.row(&row)?;
        if let Some(mut contacted) = contacted
            && contacted.live.is_some_and(|(c, _)| c == call)
        {
            contacted.live = None;
            if !counted {
                // The phone never rang: it is no reason to keep a distance.
                contacted.attempts.pop();
            }
            let surplus = contacted.attempts.len().saturating_sub(Contacted::MAX);
            contacted.attempts.drain(..surplus);
            d.rows.push(RowWrite::set(row, &contacted));
        }
    }
    if let (false, Some(campaign)) = (d.s.plan.is_external(), d.s.campaign) {
        d.rows.push(RowWrite::clear(RowKey::Permit { company, campaign, call }));
    }
    let answered_at = d.s.live.as_ref().and_then(|l| l.answered_at);
    let talk_ms = answered_at.map_or(0, |at| end.talk_ms.unwrap_or((now - at).max(0)));
    d.event(What::AttemptEnded(Box::new(AttemptEnd {
        outcome: end.outcome,
        counted,
        code: end.code,
        talk_ms,
    })));
    next(d, end);
    Ok(())
}

/// What follows an ended attempt.
fn next(d: &mut Draft<'_>, end: Ending) {
    let now = d.cx.now;
    let again = if d.s.cancel || d.s.attempt >= ATTEMPTS_MAX {
        None
    } else if let Some(at) = end.again_at {
        Some(at.max(patience(d, end)))
    } else {
        match d.s.plan.retry.next(d.s.counted, end.outcome, now, d.cx.random) {
            Next::At(at) => Some(at),
            Next::Final(_) => None,
        }
    };
    let Some(at) = again else {
        let left = d.s.past.last().is_some_and(|p| p.message_left);
        // Called off is what might have been tried again; any other end speaks for itself.
        let open = end.outcome.is_retryable() && end.outcome != Outcome::Voicemail;
        let disposition =
            if d.s.cancel && open { Disposition::Canceled } else { Disposition::of(end.outcome, left) };
        return conclude(d, disposition, end.again_at.is_none().then_some(end.outcome));
    };
    d.event(What::RetryPlanned { at });
    if let (Some(campaign), Some(contact)) = (d.s.campaign, d.s.contact) {
        d.effects.push(Effect::send(
            Entity::campaign(d.company(), campaign),
            campaign::Command::Released(Box::new(campaign::Released {
                contact,
                call: d.call(),
                place: d.s.place,
                priority: d.s.priority,
                attempts: d.s.counted,
                from: d.s.from.clone(),
                retry_at: at,
                outcome: end.outcome,
                verdict: d.s.past.last().map(|p| p.verdict).unwrap_or_default(),
                counted: end.again_at.is_none(),
                trouble: end.trouble,
                code: end.code,
            })),
        ));
    }
}

/// A carrier that is busy time after time is asked less and less often for the same call.
fn patience(d: &Draft<'_>, end: Ending) -> Millis {
    let Some(Trouble::Busy { .. }) = end.trouble else { return d.cx.now };
    let refused = d.s.past.iter().rev().take_while(|p| !p.counted).take(7).count();
    let steps = u32::try_from(refused).unwrap_or(0).saturating_sub(1);
    d.cx.now + (BUSY_STEP_MS << steps)
}

const BUSY_STEP_MS: Millis = 5 * SECOND;

/// The final word on a call: everyone who waits for it hears it in the same transaction. `outcome`
/// is that of the attempt that ended with it, if one did and it counts.
pub(super) fn conclude(d: &mut Draft<'_>, disposition: Disposition, outcome: Option<Outcome>) {
    let (company, call, now) = (d.company(), d.call(), d.cx.now);
    let queued_at = d.s.next_at;
    d.event(What::Ended { disposition });
    d.index(RowKey::CallByDisposition { company, disposition, at: now, call });
    if let Some(campaign) = d.s.campaign {
        let finished = finished(d, d.s.contact, queued_at, outcome);
        d.effects.push(Effect::send(Entity::campaign(company, campaign), finished));
    }
    if let Some(customer) = d.s.customer {
        d.effects.push(Effect::send(
            Entity::customer(company, customer),
            customer::Command::CallEnded(Box::new(customer::CallEnded {
                call,
                phone: d.s.to.clone(),
                last4: d.s.last4,
                direction: d.s.direction,
                disposition,
                attempts: d.s.counted,
                started_at: d.s.created_at,
                talk_ms: d.s.talk_ms,
            })),
        ));
    }
}

pub(super) fn finished(
    d: &Draft<'_>,
    contact: Option<ContactNo>,
    queued_at: Option<Millis>,
    outcome: Option<Outcome>,
) -> campaign::Command {
    let last = d.s.past.last();
    campaign::Command::Finished(Box::new(campaign::Finished {
        contact,
        call: d.call(),
        priority: d.s.priority,
        queued_at,
        disposition: d.s.ended.as_ref().map_or(Disposition::Failed, |e| e.disposition),
        attempts: d.s.counted,
        talk_ms: d.s.talk_ms,
        verdict: last.map(|p| p.verdict).unwrap_or_default(),
        // An attempt that ended earlier was reported when it ended.
        outcome,
    }))
}

/// Somebody wants the call to end.
pub(super) fn hangup(d: &mut Draft<'_>) -> Result<(), Rejection> {
    match d.s.phase {
        Phase::Absent => Err(Rejection::NotFound("call")),
        // Asked twice, or too late: the wish is fulfilled.
        Phase::Ended => Ok(()),
        Phase::Queued => {
            d.event(What::HangupRequested);
            conclude(d, Disposition::Canceled, None);
            Ok(())
        }
        Phase::Dispatching
        | Phase::Unknown
        | Phase::Initiated
        | Phase::Ringing
        | Phase::InProgress
        | Phase::Reattaching => {
            if d.s.cancel {
                return Ok(());
            }
            d.event(What::HangupRequested);
            // Without an id there is nothing to hang up yet; the id brings the hang-up with it.
            if let Some(sid) = d.s.live.as_ref().and_then(|l| l.sid.clone()) {
                d.instruct(sid, Instruction::Hangup);
            }
            Ok(())
        }
    }
}
