//! Permits coming back, and final dispositions.

use super::Campaign;
use super::command::{Declined, Finished, Released, Trouble};
use super::decide::{self, Draft};
use super::event::What;
use super::state::{Phase, Reason};
use crate::effect::Effect;
use crate::id::{CampaignId, Entity};
use crate::machine::{Context, Decision, Rejection};
use crate::row::{ContactEnd, ContactNo, Fact, ReadyValue, RowKey, RowWrite};

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

fn in_flight(cx: &Context<'_>, no: ContactNo) -> Result<bool, Rejection> {
    let (company, campaign) = (cx.me.company, CampaignId(cx.me.id));
    present(cx, &RowKey::InFlight { company, campaign, no })
}

fn present(cx: &Context<'_>, key: &RowKey) -> Result<bool, Rejection> {
    cx.facts.present(key)
}

pub(super) fn declined(d: &mut Draft<'_>, x: &Declined) -> Result<(), Rejection> {
    let (company, campaign) = (d.cx.me.company, CampaignId(d.cx.me.id));
    if !in_flight(d.cx, x.contact)? {
        return Ok(());
    }
    d.rows.push(RowWrite::clear(RowKey::InFlight { company, campaign, no: x.contact }));
    let ready = ReadyValue { place: x.place, call: x.call, attempts: x.attempts, fresh: x.fresh };
    d.rows.push(RowWrite::set(
        RowKey::Ready { company, campaign, lane: x.priority, due: x.until, no: x.contact },
        &ready,
    ));
    d.event(What::Declined { contact: x.contact, caller: x.caller, until: x.until });
    settle(d);
    Ok(())
}

pub(super) fn released(d: &mut Draft<'_>, x: &Released) -> Result<(), Rejection> {
    let (company, campaign) = (d.cx.me.company, CampaignId(d.cx.me.id));
    let held = in_flight(d.cx, x.contact)?;
    if held {
        d.rows.push(RowWrite::clear(RowKey::InFlight { company, campaign, no: x.contact }));
    }
    let ready = ReadyValue { place: x.place, call: x.call, attempts: x.attempts, fresh: false };
    d.rows.push(RowWrite::set(
        RowKey::Ready { company, campaign, lane: x.priority, due: x.retry_at, no: x.contact },
        &ready,
    ));
    d.event(What::Released {
        contact: x.contact,
        caller: x.caller,
        outcome: x.outcome,
        verdict: x.verdict,
        counted: x.counted,
        retry_at: x.retry_at,
        in_flight: held,
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
    if matches!(d.s.phase, Phase::Running | Phase::Starting | Phase::Resuming) {
        decide::halt(d, reason);
    }
}

pub(super) fn finished(d: &mut Draft<'_>, x: &Finished) -> Result<(), Rejection> {
    let (company, campaign) = (d.cx.me.company, CampaignId(d.cx.me.id));
    let Some(no) = x.contact else { return Ok(()) };
    let held = in_flight(d.cx, no)?;
    if held {
        d.rows.push(RowWrite::clear(RowKey::InFlight { company, campaign, no }));
    }
    let end = RowKey::ContactEnd { company, campaign, no };
    if present(d.cx, &end)? {
        // It has its final word; only the permit is to be taken back.
        if held {
            d.event(What::Returned { contact: no, caller: x.caller });
        }
        settle(d);
        return Ok(());
    }
    let queued = match queued_key(d.cx.me, x) {
        Some(key) if present(d.cx, &key)? => {
            d.rows.push(RowWrite::clear(key));
            true
        }
        _ => false,
    };
    let value =
        ContactEnd { disposition: x.disposition, attempts: x.attempts, at: d.cx.now, call: Some(x.call) };
    d.rows.push(RowWrite::set(end, &value));
    d.event(What::Finished {
        contact: no,
        caller: x.caller,
        disposition: x.disposition,
        outcome: x.outcome,
        verdict: x.verdict,
        talk_ms: x.talk_ms,
        in_flight: held,
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
        d.effects.push(Effect::send(
            Entity::company(d.cx.me.company),
            crate::company::Command::Shared {
                campaign: CampaignId(d.cx.me.id),
                version,
                in_use: super::claim::in_use(&d.s),
            },
        ));
    }
    if d.s.in_flight > 0 {
        return;
    }
    let everyone = d.s.counts.finished >= d.s.counts.contacts;
    match d.s.phase {
        Phase::Pausing => {
            let reason = d.s.reason;
            d.event(What::Phase { phase: Phase::Paused, reason });
            leave(d);
        }
        Phase::Stopping if d.s.ready == 0 && everyone => d.end(Phase::Stopped),
        Phase::Running if everyone && !d.s.direct => d.end(Phase::Completed),
        _ => {}
    }
}

pub(super) fn leave(d: &mut Draft<'_>) {
    let campaign = CampaignId(d.cx.me.id);
    d.effects
        .push(Effect::send(Entity::company(d.cx.me.company), crate::company::Command::Leave { campaign }));
}

/// The end of a campaign: no dial is possible from this commit on.
pub(super) fn end_rows(d: &mut Decision<Campaign>, cx: &Context<'_>, policy: &crate::row::DialPolicy) {
    let (company, campaign) = (cx.me.company, CampaignId(cx.me.id));
    d.rows.push(RowWrite::set(RowKey::Policy { company, campaign: Some(campaign) }, policy));
    d.effects.push(Effect::send(Entity::company(company), crate::company::Command::Leave { campaign }));
}
