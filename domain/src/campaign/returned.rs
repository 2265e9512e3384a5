//! Permits coming back, and final dispositions.

use super::command::{Declined, Finished, Released, Trouble};
use super::decide::{self, Draft};
use super::event::{Permit, What};
use super::limits;
use super::state::{Phase, Reason};
use crate::dial::Bar;
use crate::effect::Effect;
use crate::id::{CampaignId, Entity};
use crate::machine::Rejection;
use crate::row::{ContactEnd, ContactNo, Fact, Held, ReadyValue, RowKey, RowWrite};
use crate::time::{MINUTE, Millis};

/// How long the company's single calls wait after the carrier refused one of them: nobody is there
/// to resume them.
const SINGLE_CALLS_WAIT_MS: Millis = MINUTE;

pub(super) fn facts(me: Entity, no: ContactNo, queued: Option<RowKey>) -> Vec<Fact> {
    let (company, campaign) = (me.company, CampaignId(me.id));
    let mut facts = vec![
        Fact::Row(RowKey::InFlight { company, campaign, no }),
        Fact::Row(RowKey::ContactEnd { company, campaign, no }),
    ];
    facts.extend(queued.map(Fact::Row));
    facts
}

/// Where a contact stood in the queue when its call ended while waiting.
pub(super) fn queued_key(me: Entity, f: &Finished) -> Option<RowKey> {
    let (company, campaign) = (me.company, CampaignId(me.id));
    Some(RowKey::Ready { company, campaign, lane: f.priority, due: f.queued_at?, no: f.contact? })
}

impl Draft<'_> {
    /// Takes the permit of a contact back, if it holds one.
    fn take_back(&mut self, no: ContactNo, used: bool) -> Result<Option<Permit>, Rejection> {
        let (company, campaign) = (self.cx.me.company, CampaignId(self.cx.me.id));
        let row = RowKey::InFlight { company, campaign, no };
        let Some(held) = self.cx.facts.row::<Held>(&row)? else { return Ok(None) };
        self.rows.push(RowWrite::clear(row));
        let caller = self.s.config.callers.iter().position(|c| *c == held.from);
        Ok(Some(Permit {
            caller: caller.and_then(|i| u8::try_from(i).ok()),
            again_today: !used && held.day == self.s.day,
        }))
    }

    fn ready(&mut self, no: ContactNo, lane: crate::row::Priority, due: Millis, value: &ReadyValue) {
        let (company, campaign) = (self.cx.me.company, CampaignId(self.cx.me.id));
        self.rows.push(RowWrite::set(RowKey::Ready { company, campaign, lane, due, no }, value));
    }

    fn has_ended(&self, no: ContactNo) -> Result<bool, Rejection> {
        let (company, campaign) = (self.cx.me.company, CampaignId(self.cx.me.id));
        self.cx.facts.present(&RowKey::ContactEnd { company, campaign, no })
    }
}

pub(super) fn declined(d: &mut Draft<'_>, x: &Declined) -> Result<(), Rejection> {
    let Some(permit) = d.take_back(x.contact, false)? else { return Ok(()) };
    let (place, call, attempts, from) = (x.place, x.call, x.attempts, x.from.clone());
    let ready = ReadyValue { place, call, attempts, fresh: x.fresh, from };
    d.ready(x.contact, x.priority, x.until, &ready);
    d.event(What::Declined { contact: x.contact, permit, until: x.until });
    if x.bar == Bar::CompanyClosed && d.s.tat_us < x.until.saturating_mul(1000) {
        // It bars everybody: the others need not find out one by one.
        d.event(What::BackedOff { until: x.until });
    }
    settle(d);
    Ok(())
}

pub(super) fn released(d: &mut Draft<'_>, x: &Released) -> Result<(), Rejection> {
    if d.has_ended(x.contact)? {
        return Ok(());
    }
    let permit = d.take_back(x.contact, x.counted)?;
    let (place, call, attempts, from) = (x.place, x.call, x.attempts, x.from.clone());
    let ready = ReadyValue { place, call, attempts, fresh: false, from };
    d.ready(x.contact, x.priority, x.retry_at, &ready);
    d.event(What::Released {
        contact: x.contact,
        permit,
        outcome: x.outcome,
        verdict: x.verdict,
        counted: x.counted,
        retry_at: x.retry_at,
    });
    if let Some(trouble) = x.trouble {
        troubled(d, trouble, x.code);
    }
    settle(d);
    Ok(())
}

/// What would befall every other dial as well is not tried on every other contact.
fn troubled(d: &mut Draft<'_>, trouble: Trouble, code: u32) {
    let reason = match trouble {
        Trouble::Account => Reason::CarrierAccount { code },
        Trouble::CallerId => Reason::CallerId { code },
        Trouble::Configuration => Reason::CarrierConfiguration { code },
        Trouble::Busy { until } => return d.event(What::BackedOff { until }),
    };
    if d.s.direct {
        let until = d.cx.now + SINGLE_CALLS_WAIT_MS;
        d.event(What::BackedOff { until });
    } else if matches!(d.s.phase, Phase::Running | Phase::Starting | Phase::Resuming) {
        decide::halt(d, reason);
    }
}

pub(super) fn finished(d: &mut Draft<'_>, x: &Finished) -> Result<(), Rejection> {
    let (company, campaign) = (d.cx.me.company, CampaignId(d.cx.me.id));
    let Some(no) = x.contact else { return Ok(()) };
    let permit = d.take_back(no, x.outcome.is_some())?;
    if d.has_ended(no)? {
        // It has its final word; only the permit is to be taken back.
        if let Some(permit) = permit {
            d.event(What::Returned { contact: no, permit });
            settle(d);
        }
        return Ok(());
    }
    let queued = match queued_key(d.cx.me, x) {
        Some(key) if d.cx.facts.present(&key)? => {
            d.rows.push(RowWrite::clear(key));
            true
        }
        _ => false,
    };
    let value =
        ContactEnd { disposition: x.disposition, attempts: x.attempts, at: d.cx.now, call: Some(x.call) };
    d.rows.push(RowWrite::set(RowKey::ContactEnd { company, campaign, no }, &value));
    d.event(What::Finished {
        contact: no,
        permit,
        disposition: x.disposition,
        outcome: x.outcome,
        verdict: x.verdict,
        talk_ms: x.talk_ms,
        queued,
    });
    settle(d);
    Ok(())
}

/// A phase that waited for the last permit to come back may be over now.
pub(super) fn settle(d: &mut Draft<'_>) {
    // It held more than its share, and has just come down to it: others may have the rest now.
    if d.came_down() {
        let version = d.s.share.as_ref().map_or(0, |x| x.version);
        d.taken_down(version);
    }
    if d.s.in_flight > 0 {
        return;
    }
    let over = d.s.ready == 0 && limits::all_finished(&d.s);
    match d.s.phase {
        Phase::Pausing => {
            let reason = d.s.reason;
            d.event(What::Phase { phase: Phase::Paused, reason });
            leave(d);
        }
        Phase::Stopping if over => d.end(Phase::Stopped),
        Phase::Running if over && !d.s.direct => d.end(Phase::Completed),
        _ => {}
    }
}

/// It does not run any more, and says what it has used.
pub(super) fn leave(d: &mut Draft<'_>) {
    let leave = crate::company::Leave {
        campaign: CampaignId(d.cx.me.id),
        day: d.s.day,
        used_today: d.s.today,
        callers_today: d.s.callers.iter().map(|c| c.today).collect(),
    };
    d.effects.push(Effect::send(
        Entity::company(d.cx.me.company),
        crate::company::Command::Leave(Box::new(leave)),
    ));
}
