//! Claiming ready contacts: who is next, within every limit, at a steady pace.

use super::event::{Event, What, evolve};
use super::state::{Phase, State};
use super::{Campaign, Command};
use crate::call;
use crate::company;
use crate::dial;
use crate::effect::Effect;
use crate::id::{CampaignId, Entity};
use crate::machine::{Context, Decision, Rejection};
use crate::retry::Disposition;
use crate::row::{ContactEnd, ReadyEntry, RowKey, RowWrite};
use crate::time::{DAY, Millis};
use crate::window::Verdict;

/// Rows of the ready queue looked at in one go, in each lane.
pub(super) const PAGE: usize = 128;

/// Dials may be permitted so much ahead of their time: fewer, larger claims. The place where
/// requests leave keeps the exact distance.
const AHEAD_US: i64 = 100_000;

/// The campaign's own limit, of which 0 means none, within what the company lent.
fn within(own: u32, lent: Option<u32>) -> u32 {
    let own = if own == 0 { u32::MAX } else { own };
    own.min(lent.unwrap_or(0))
}

pub(super) fn concurrency(s: &State) -> u32 {
    within(s.config.limits.concurrency, s.share.as_ref().map(|x| x.concurrency))
}

/// Thousandths of a dial per second; `u32::MAX` means no limit.
pub(super) fn milli_cps(s: &State) -> u32 {
    within(s.config.limits.milli_cps, s.share.as_ref().map(|x| x.milli_cps))
}

fn free(s: &State) -> u32 {
    concurrency(s).saturating_sub(s.in_flight)
}

/// Microseconds between two dials at this rate.
fn interval_us(milli_cps: u32) -> i64 {
    if milli_cps == u32::MAX { 0 } else { 1_000_000_000 / i64::from(milli_cps.max(1)) }
}

pub(super) fn day_of(now: Millis) -> i32 {
    i32::try_from(now.div_euclid(DAY)).unwrap_or(i32::MAX)
}

/// Attempts of this day that are left, by the campaign's own limit and by what the company lent.
fn left_today(s: &State) -> u32 {
    let own = match s.config.limits.attempts_a_day {
        0 => u32::MAX,
        max => max.saturating_sub(s.today),
    };
    let lent = s.share.as_ref().map_or(0, |x| x.quota.saturating_sub(s.today));
    own.min(lent)
}

/// When this campaign wants to look at its queue again.
pub(super) fn wakeup(s: &State) -> Option<Millis> {
    match s.phase {
        Phase::Stopping if s.ready > 0 => Some(0),
        Phase::Running if s.ready > 0 && free(s) > 0 => {
            if left_today(s) == 0 {
                // More may be had from the company at once, or tomorrow.
                let own = s.config.limits.attempts_a_day;
                let spent = own > 0 && s.today >= own;
                return Some(if s.asked || spent { Millis::from(s.day + 1) * DAY } else { 0 });
            }
            let paced = (s.tat_us - AHEAD_US).div_euclid(1000) + 1;
            Some(s.next_due.unwrap_or(0).max(paced))
        }
        _ => None,
    }
}

/// One dial more: moves every clock that paces it.
pub(super) fn advance(s: &mut State, now: Millis, caller: usize) {
    let now_us = now.saturating_mul(1000);
    s.tat_us = s.tat_us.max(now_us) + interval_us(milli_cps(s));
    let caller_rate = caller_milli_cps(s, caller);
    s.today += 1;
    if let Some(c) = s.callers.get_mut(caller) {
        c.in_flight += 1;
        c.today += 1;
        c.tat_us = c.tat_us.max(now_us) + interval_us(caller_rate);
    }
}

fn caller_milli_cps(s: &State, caller: usize) -> u32 {
    s.share.as_ref().and_then(|x| x.callers.get(caller)).map_or(u32::MAX, |c| c.milli_cps)
}

fn paced(tat_us: i64, now: Millis) -> bool {
    tat_us - now.saturating_mul(1000) <= AHEAD_US
}

/// The caller id that is used least of those that have room.
fn caller(s: &State, now: Millis) -> Option<usize> {
    let share = s.share.as_ref()?;
    s.callers
        .iter()
        .enumerate()
        .filter(|(i, used)| {
            share.callers.get(*i).is_some_and(|lent| {
                used.in_flight < lent.concurrency && used.today < lent.quota && paced(used.tat_us, now)
            })
        })
        .min_by_key(|(i, used)| (used.in_flight, used.today, *i))
        .map(|(i, _)| i)
}

pub(super) fn claim(s: &State, cx: &Context<'_>) -> Result<Decision<Campaign>, Rejection> {
    let now = cx.now;
    let mut s = s.clone();
    let mut d = Decision::new(Vec::new(), super::decide::status(&s));
    let Some(due) = wakeup(&s) else { return Ok(d) };
    if now < due {
        return Ok(d);
    }
    if s.phase == Phase::Stopping {
        return sweep(s, cx);
    }
    let company = cx.me.company;
    let campaign = CampaignId(cx.me.id);
    // A new day, or the lent attempts are used up: ask for more before going on.
    let stale = s.share.as_ref().is_none_or(|x| x.day != day_of(now));
    if (stale || left_today(&s) == 0) && !s.asked {
        let event = Event { at: now, what: What::AskedForMore };
        evolve(&mut s, &event);
        d.events.push(event);
        d.effects.push(Effect::send(Entity::company(company), join(&s, campaign)));
        return Ok(d);
    }
    if stale {
        return Ok(d);
    }

    let entries = cx.facts.ready();
    let mut granted = Vec::new();
    let mut next_due: Option<Millis> = None;
    let mut later = |due: Millis| next_due = Some(next_due.map_or(due, |d| d.min(due)));
    // A page that is full says nothing about what follows it.
    for lane in crate::row::Priority::ALL {
        let mut rows = entries.iter().filter(|e| e.lane == lane);
        if rows.clone().count() >= PAGE
            && let Some(last) = rows.next_back()
        {
            later(last.due);
        }
    }
    let mut trial = s.clone();
    for e in entries {
        if e.due > now {
            later(e.due);
            continue;
        }
        // The same rule decides again when the call begins; here it saves permits.
        match dial::hours_at(now, &e.value.place, &s.config.hours, s.config.bounds) {
            Verdict::Closed { opens_at } => {
                defer(&mut d, cx, campaign, e, opens_at);
                later(opens_at);
                continue;
            }
            // The call itself finds out that no time will do, and ends with that word.
            Verdict::Open { .. } | Verdict::Never { .. } => {}
        }
        let room = free(&trial) > 0 && left_today(&trial) > 0 && paced(trial.tat_us, now);
        let Some(caller) = room.then(|| caller(&trial, now)).flatten() else {
            later(e.due);
            // Rows further down are only looked at for the hours, and these are looked at in time.
            break;
        };
        let Some(begin) = begin(&s, campaign, e, caller) else {
            return Err(Rejection::internal("a ready contact has no contact row"));
        };
        advance(&mut trial, now, caller);
        trial.in_flight += 1;
        d.rows.push(RowWrite::clear(ready_key(company, campaign, e, e.due)));
        d.rows.push(RowWrite::mark(RowKey::InFlight { company, campaign, no: e.no }));
        d.effects.push(Effect::send(Entity::call(company, e.value.call), call::Command::Begin(begin)));
        granted.push((e.no, u8::try_from(caller).unwrap_or(u8::MAX)));
    }
    if granted.is_empty() && d.rows.is_empty() && next_due == s.next_due {
        // Nothing could be done and nothing was learnt: a caller id has no room. Look again soon.
        later_than(&mut next_due, now);
    }
    let event = Event { at: now, what: What::Claimed { granted, swept: 0, next_due } };
    evolve(&mut s, &event);
    d.events.push(event);
    Ok(d)
}

/// A queue that is due and cannot be served is looked at again after this time.
const LOOK_AGAIN_MS: Millis = 200;

fn later_than(next_due: &mut Option<Millis>, now: Millis) {
    if next_due.is_none_or(|d| d <= now) {
        *next_due = Some(now + LOOK_AGAIN_MS);
    }
}

fn ready_key(company: crate::id::CompanyId, campaign: CampaignId, e: &ReadyEntry, due: Millis) -> RowKey {
    RowKey::Ready { company, campaign, lane: e.lane, due, no: e.no }
}

fn defer(d: &mut Decision<Campaign>, cx: &Context<'_>, campaign: CampaignId, e: &ReadyEntry, until: Millis) {
    let company = cx.me.company;
    d.rows.push(RowWrite::clear(ready_key(company, campaign, e, e.due)));
    d.rows.push(RowWrite::set(ready_key(company, campaign, e, until), &e.value));
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
        caller: u8::try_from(caller).ok()?,
        milli_cps: [
            s.share.as_ref().map_or(u32::MAX, |x| x.milli_cps),
            milli_cps(s),
            caller_milli_cps(s, caller),
        ],
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
        in_use: in_use(s),
    }))
}

/// Permits held, over all and per caller id.
pub(super) fn in_use(s: &State) -> Vec<u32> {
    std::iter::once(s.in_flight).chain(s.callers.iter().map(|c| c.in_flight)).collect()
}

/// Whether more is in use than the company lends by now.
pub(super) fn over(s: &State) -> bool {
    s.share.as_ref().is_some_and(|share| {
        s.in_flight > share.concurrency
            || s.callers.iter().zip(&share.callers).any(|(used, lent)| used.in_flight > lent.concurrency)
    })
}

/// The campaign stops: whoever still waits gets a final word.
fn sweep(mut s: State, cx: &Context<'_>) -> Result<Decision<Campaign>, Rejection> {
    let (company, campaign) = (cx.me.company, CampaignId(cx.me.id));
    let mut d = Decision::new(Vec::new(), super::decide::status(&s));
    let mut finished = Vec::new();
    let mut swept = 0;
    let entries = cx.facts.ready();
    for e in entries {
        d.rows.push(RowWrite::clear(ready_key(company, campaign, e, e.due)));
        swept += 1;
        if e.value.fresh {
            let end = ContactEnd { disposition: Disposition::Stopped, attempts: 0, at: cx.now, call: None };
            d.rows.push(RowWrite::set(RowKey::ContactEnd { company, campaign, no: e.no }, &end));
            finished.push(e.no);
        } else {
            // Its call waits for another attempt; it ends, and tells.
            d.effects.push(Effect::send(Entity::call(company, e.value.call), call::Command::Hangup));
        }
    }
    let mut event = |what| {
        let event = Event { at: cx.now, what };
        evolve(&mut s, &event);
        d.events.push(event);
    };
    // An empty page with a count above zero would be a broken count; believe the rows.
    let swept = if entries.is_empty() { u32::MAX / 2 } else { swept };
    event(What::Claimed { granted: Vec::new(), swept, next_due: Some(0) });
    for contact in finished {
        event(What::Finished {
            contact,
            caller: 0,
            disposition: Disposition::Stopped,
            outcome: None,
            verdict: call::Verdict::Unknown,
            talk_ms: 0,
            in_flight: false,
            queued: false,
        });
    }
    if s.in_flight == 0 && s.ready == 0 && s.counts.finished >= s.counts.contacts {
        super::decide::end(&mut s, cx, &mut d, Phase::Stopped);
    }
    d.reply = super::decide::status(&s);
    Ok(d)
}

/// Whether [`Command::Tick`] has something to read the queue for.
pub(super) fn wants_queue(s: &State, command: &Command, now: Millis) -> bool {
    matches!(command, Command::Tick) && wakeup(s).is_some_and(|at| at <= now)
}
