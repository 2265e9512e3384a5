//! Claiming ready contacts: who is next, within every limit, at a steady pace.

use super::decide::Draft;
use super::event::What;
use super::limits::{self, Outlook};
use super::state::{Phase, State};
use crate::call;
use crate::company;
use crate::dial;
use crate::effect::Effect;
use crate::id::{CampaignId, Entity};
use crate::machine::Rejection;
use crate::retry::Disposition;
use crate::row::{ContactEnd, Held, ReadyEntry, RowKey, RowWrite};
use crate::time::Millis;
use crate::window::Verdict;

/// Rows of the ready queue looked at in one go, in each lane.
pub(super) const PAGE: usize = 128;

/// Whether a timer finds something to read the queue for.
pub(super) fn wants_queue(s: &State, now: Millis) -> bool {
    match limits::outlook(s) {
        Outlook::News | Outlook::Ask(_) => false,
        Outlook::Look(at) => at <= now && !limits::stale(s, now),
        Outlook::Sweep => true,
    }
}

pub(super) fn tick(d: &mut Draft<'_>) -> Result<(), Rejection> {
    let now = d.cx.now;
    match limits::outlook(&d.s) {
        Outlook::News => {}
        Outlook::Look(at) | Outlook::Ask(at) if now < at => {}
        Outlook::Ask(_) => ask(d),
        Outlook::Look(_) if limits::stale(&d.s, now) => ask(d),
        Outlook::Look(_) => claim(d),
        Outlook::Sweep => sweep(d),
    }
    Ok(())
}

/// Asks the company for (more of) its share.
fn ask(d: &mut Draft<'_>) {
    d.event(What::AskedForMore);
    d.join();
}

fn looked(d: &mut Draft<'_>, granted: Vec<(u32, u8)>, swept: u32, next_due: Option<Millis>) {
    let was_idle = d.s.idle;
    d.event(What::Claimed { granted, swept, next_due });
    if d.s.idle != was_idle {
        d.join();
    }
}

fn claim(d: &mut Draft<'_>) {
    let now = d.cx.now;
    let (company, campaign) = (d.cx.me.company, CampaignId(d.cx.me.id));
    let entries = d.cx.facts.ready();
    if entries.is_empty() && d.s.ready > 0 {
        // A count above zero and no rows: the rows are believed.
        let swept = d.s.ready;
        looked(d, Vec::new(), swept, None);
        return;
    }
    let mut granted = Vec::new();
    let mut broken = Vec::new();
    // A certain caller id is wanted, and the company may have more of it.
    let mut short = false;
    let mut next_due: Option<Millis> = None;
    let mut later = |due: Millis| next_due = Some(next_due.map_or(due, |d| d.min(due)));
    // A page that is full says nothing about what follows it.
    for lane in crate::row::Priority::ALL {
        let mut rows = entries.iter().filter(|e| e.lane == lane);
        if let Some(last) = rows.nth(PAGE - 1) {
            later(last.due);
        }
    }
    // The state as it will be: every permit counts for the next.
    let mut trial = d.s.clone();
    for e in entries {
        if e.due > now {
            later(e.due);
            continue;
        }
        // The same rule decides again when the call begins; here it saves permits.
        match dial::hours_at(now, &e.value.place, &d.s.config.hours, d.s.config.bounds) {
            Verdict::Closed { opens_at: at } | Verdict::NotInSight { look_at: at } => {
                d.rows.push(RowWrite::clear(ready_key(d, e, e.due)));
                d.rows.push(RowWrite::set(ready_key(d, e, at), &e.value));
                later(at);
                continue;
            }
            // The call itself finds out that no time will do, and ends with that word.
            Verdict::Open { .. } | Verdict::Never { .. } => {}
        }
        let Some(any) = limits::room(&trial, now) else {
            // Whoever follows is looked at when there is room again.
            later(e.due);
            break;
        };
        let caller = match named(&d.s, e) {
            None => any,
            Some(caller) => match limits::shortage(&trial, now, caller) {
                None => caller,
                // It steps aside for those who can be called from another.
                Some(shortage) => {
                    d.rows.push(RowWrite::clear(ready_key(d, e, e.due)));
                    d.rows.push(RowWrite::set(ready_key(d, e, shortage.until), &e.value));
                    later(shortage.until);
                    short |= shortage.ask;
                    continue;
                }
            },
        };
        d.rows.push(RowWrite::clear(ready_key(d, e, e.due)));
        let Some(begin) = begin(&d.s, campaign, e, caller) else {
            broken.push(e.no);
            continue;
        };
        limits::advance(&mut trial, now, caller);
        let held = Held { from: begin.from.clone(), day: d.s.day };
        d.rows.push(RowWrite::set(RowKey::InFlight { company, campaign, no: e.no }, &held));
        d.effects.push(Effect::send(Entity::call(company, e.value.call), call::Command::Begin(begin)));
        granted.push((e.no, u8::try_from(caller).unwrap_or(u8::MAX)));
    }
    looked(d, granted, 0, next_due);
    if short && limits::may_ask(&d.s, now) {
        ask(d);
    }
    for no in broken {
        // Its row is gone: nobody can be called, and nobody is to wait for it.
        finish(d, no, Disposition::Failed, true);
    }
    super::returned::settle(d);
}

/// The place of the caller id that this call is to be dialed from, if it asks for one. Where the
/// campaign has not got it any one will do: the call finds out, and knows what to do.
fn named(s: &State, e: &ReadyEntry) -> Option<usize> {
    let from = e.value.from.as_ref()?;
    let own = s.config.callers.len().saturating_sub(usize::from(s.leaving));
    s.config.callers.iter().take(own).position(|c| c == from)
}

fn ready_key(d: &Draft<'_>, e: &ReadyEntry, due: Millis) -> RowKey {
    let (company, campaign) = (d.cx.me.company, CampaignId(d.cx.me.id));
    RowKey::Ready { company, campaign, lane: e.lane, due, no: e.no }
}

fn begin(s: &State, campaign: CampaignId, e: &ReadyEntry, caller: usize) -> Option<call::Begin> {
    let first = if e.value.fresh {
        let contact = e.contact.clone()?;
        Some(Box::new(call::First { contact, plan: s.config.plan.clone() }))
    } else {
        None
    };
    Some(call::Begin {
        campaign,
        contact: e.no,
        first,
        from: s.config.callers.get(caller)?.clone(),
        milli_cps: limits::gate_milli_cps(s, caller),
    })
}

pub(super) fn join(s: &State, campaign: CampaignId) -> company::Command {
    company::Command::Join(Box::new(company::Join {
        campaign,
        concurrency: s.config.limits.concurrency,
        milli_cps: s.config.limits.milli_cps,
        callers: s.config.callers.clone(),
        used_today: s.today,
        callers_today: s.callers.iter().map(|c| c.today).collect(),
        day: s.day,
        in_use: limits::in_use(s),
        session: s.session,
        idle: s.idle,
    }))
}

/// A contact that has no call gets its final word.
fn finish(d: &mut Draft<'_>, no: u32, disposition: Disposition, queued: bool) {
    let (company, campaign) = (d.cx.me.company, CampaignId(d.cx.me.id));
    let end = ContactEnd { disposition, attempts: 0, at: d.cx.now, call: None };
    d.rows.push(RowWrite::set(RowKey::ContactEnd { company, campaign, no }, &end));
    d.event(What::Finished {
        contact: no,
        permit: None,
        disposition,
        outcome: None,
        verdict: call::Verdict::Unknown,
        talk_ms: 0,
        queued,
    });
}

/// The campaign stops, or is done: whoever still waits gets a final word.
fn sweep(d: &mut Draft<'_>) {
    let company = d.cx.me.company;
    let stops = d.s.phase == Phase::Stopping;
    let entries = d.cx.facts.ready();
    let mut finished = Vec::new();
    for e in entries {
        d.rows.push(RowWrite::clear(ready_key(d, e, e.due)));
        if stops && e.value.fresh {
            finished.push(e.no);
        } else if stops {
            // Its call waits for another attempt; it ends, and tells.
            d.effects.push(Effect::send(Entity::call(company, e.value.call), call::Command::Hangup));
        }
    }
    let swept = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    // An empty page and a count above zero: the rows are believed.
    let swept = if swept == 0 { d.s.ready } else { swept };
    d.event(What::Claimed { granted: Vec::new(), swept, next_due: None });
    for no in finished {
        finish(d, no, Disposition::Stopped, false);
    }
    super::returned::settle(d);
}
