//! What a campaign may do now, and when it wants to look again: concurrency, pace, attempts of
//! the day, and caller ids.

use super::state::{Phase, State};
use crate::time::{DAY, HOUR, MINUTE, Millis, SECOND};

/// Dials may be permitted so much ahead of their time: fewer, larger claims. The place where
/// requests leave keeps the exact distance.
const AHEAD_US: i64 = 100_000;

/// A question to the company that was not answered is asked again after this time,
const ASK_AGAIN_MS: Millis = MINUTE;
/// and one that was answered with nothing after this, or when the day turns. Should there be more
/// before that, the company says so.
const NOTHING_LEFT_MS: Millis = HOUR;
/// How long the company's clock may be behind at the turn of a day before it is asked again.
const TURN_MS: Millis = SECOND;
/// A campaign with nothing to do for longer than this lets others go first.
const IDLE_MS: Millis = 10 * SECOND;

/// How soon a call that waits for one certain caller id is looked at again: while that is in use,
const CALLER_LOOK_MS: Millis = SECOND;
/// and when the company was asked for more of its attempts. Less than [`IDLE_MS`]: who rests gives
/// back what it has asked for.
const CALLER_ASK_MS: Millis = 5 * SECOND;

/// What the queue waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outlook {
    /// A permit that comes back, a share or a contact.
    News,
    /// To be looked at, not before this time.
    Look(Millis),
    /// The company is to lend more, and is asked at this time.
    Ask(Millis),
    /// Whoever stands in it is to be taken out.
    Sweep,
}

/// The campaign's own limit, of which 0 means none, within what the company lent.
fn within(own: u32, lent: Option<u32>) -> u32 {
    let own = if own == 0 { u32::MAX } else { own };
    own.min(lent.unwrap_or(0))
}

fn concurrency(s: &State) -> u32 {
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

/// The campaign's own attempts of the day are all made.
fn own_day_is_over(s: &State) -> bool {
    let max = s.config.limits.attempts_a_day;
    max > 0 && s.today >= max
}

fn left_today(s: &State) -> u32 {
    let own = match s.config.limits.attempts_a_day {
        0 => u32::MAX,
        max => max.saturating_sub(s.today),
    };
    let lent = s.share.as_ref().map_or(0, |x| x.quota.saturating_sub(s.today));
    own.min(lent)
}

/// Whether what was lent is of another day.
pub(super) fn stale(s: &State, now: Millis) -> bool {
    s.share.as_ref().is_none_or(|x| x.day != day_of(now))
}

/// The first millisecond at which a dial that is due at `tat_us` may be permitted.
fn opens_at(tat_us: i64) -> Millis {
    tat_us.saturating_sub(AHEAD_US).saturating_add(999).div_euclid(1000)
}

fn paced(tat_us: i64, now: Millis) -> bool {
    opens_at(tat_us) <= now
}

/// Caller ids as they are lent and used, in their order.
fn callers(s: &State) -> impl Iterator<Item = Caller<'_>> {
    let lent = s.share.as_ref().map_or(&[][..], |x| &x.callers);
    s.callers.iter().zip(lent).map(|(used, lent)| Caller { used, lent })
}

struct Caller<'a> {
    used: &'a super::state::CallerUse,
    lent: &'a crate::company::CallerShare,
}

impl Caller<'_> {
    fn has_room(&self) -> bool {
        self.used.in_flight < self.lent.concurrency
    }
    fn has_attempts(&self) -> bool {
        self.used.today < self.lent.quota
    }
}

/// The caller id that is used least of those that have room.
fn caller(s: &State, now: Millis) -> Option<usize> {
    callers(s)
        .enumerate()
        .filter(|(_, c)| c.has_room() && c.has_attempts() && paced(c.used.tat_us, now))
        .min_by_key(|(i, c)| (c.used.in_flight, c.used.today, *i))
        .map(|(i, _)| i)
}

/// The caller id for one more dial now, if every limit has room for it.
pub(super) fn room(s: &State, now: Millis) -> Option<usize> {
    (free(s) > 0 && left_today(s) > 0 && paced(s.tat_us, now)).then(|| caller(s, now)).flatten()
}

/// Why one certain caller id cannot be used while others can.
pub(super) struct Shortage {
    /// When to look again.
    pub until: Millis,
    /// The company may lend more of it, and is to be asked.
    pub ask: bool,
}

/// Whether one certain caller id has room, where some other has.
pub(super) fn shortage(s: &State, now: Millis, caller: usize) -> Option<Shortage> {
    let Some(c) = callers(s).nth(caller) else {
        return Some(Shortage { until: now + CALLER_ASK_MS, ask: true });
    };
    // What was lent to one that rests was lowered to what it had used.
    let ask = s.idle;
    if !c.has_attempts() {
        // The company has answered since the last dial, and had no more: it says so when it has.
        let answered = s.share.as_ref().is_some_and(|x| x.at.saturating_mul(1000) > c.used.tat_us);
        let until = if answered && !ask {
            (now + NOTHING_LEFT_MS).min((Millis::from(s.day) + 1) * DAY).max(now + CALLER_ASK_MS)
        } else {
            now + CALLER_ASK_MS
        };
        return Some(Shortage { until, ask: ask || !answered });
    }
    if !c.has_room() {
        let wait = match c.used.in_flight {
            0 if ask => CALLER_ASK_MS,
            // Others have it, and the company takes its time to share it anew.
            0 => ASK_AGAIN_MS,
            _ => CALLER_LOOK_MS,
        };
        return Some(Shortage { until: now + wait, ask });
    }
    let paced_until = opens_at(c.used.tat_us);
    (paced_until > now).then_some(Shortage { until: paced_until, ask })
}

/// One dial more: moves every clock that paces it.
pub(super) fn advance(s: &mut State, now: Millis, caller: usize) {
    let now_us = now.saturating_mul(1000);
    s.tat_us = s.tat_us.max(now_us).saturating_add(interval_us(milli_cps(s)));
    let rate = caller_milli_cps(s, caller);
    s.in_flight += 1;
    s.today += 1;
    if let Some(c) = s.callers.get_mut(caller) {
        c.in_flight += 1;
        c.today += 1;
        c.tat_us = c.tat_us.max(now_us).saturating_add(interval_us(rate));
    }
}

fn caller_milli_cps(s: &State, caller: usize) -> u32 {
    s.share.as_ref().and_then(|x| x.callers.get(caller)).map_or(u32::MAX, |c| c.milli_cps)
}

/// Rates at the last gate, where dials of all campaigns meet: of the company, of this campaign, of
/// the caller id.
pub(super) fn gate_milli_cps(s: &State, caller: usize) -> [u32; 3] {
    let [company, number] =
        s.share.as_ref().and_then(|x| x.callers.get(caller)).map_or([u32::MAX; 2], |c| c.whole_milli_cps);
    [company, milli_cps(s), number]
}

/// Nobody else can be called: everybody has their final word.
pub(super) fn all_finished(s: &State) -> bool {
    s.counts.finished >= s.counts.contacts
}

pub(super) fn outlook(s: &State) -> Outlook {
    match s.phase {
        Phase::Stopping if s.ready > 0 => Outlook::Sweep,
        // What is left in the queue belongs to calls that ended while they waited.
        Phase::Running if s.ready > 0 && !s.direct && all_finished(s) && s.in_flight == 0 => Outlook::Sweep,
        Phase::Running if s.ready > 0 => waiting(s),
        // Only single calls can run with nobody in the queue.
        Phase::Running if s.in_flight == 0 && !s.idle && s.turned => ask(s),
        Phase::Running if s.in_flight == 0 && !s.idle => Outlook::Look(s.next_due.unwrap_or(0)),
        Phase::Starting | Phase::Resuming => Outlook::Ask(s.asked.map_or(0, |at| at + ASK_AGAIN_MS)),
        _ => Outlook::News,
    }
}

/// The next question to the company: when somebody is due, and not again while it has not answered
/// or has just answered with nothing.
fn ask(s: &State) -> Outlook {
    Outlook::Ask(match s.asked {
        Some(at) => at + ASK_AGAIN_MS,
        None => s.next_due.unwrap_or(0).max(s.ask_after),
    })
}

/// Whether the company may be asked now: it is not while it has not answered.
pub(super) fn may_ask(s: &State, now: Millis) -> bool {
    s.asked.is_none_or(|at| at + ASK_AGAIN_MS <= now)
}

/// What a queue with somebody in it waits for.
fn waiting(s: &State) -> Outlook {
    let due = s.next_due.unwrap_or(0);
    if s.turned {
        return ask(s);
    }
    if own_day_is_over(s) {
        let tomorrow = (Millis::from(s.day) + 1) * DAY;
        // One look more, which finds nothing to do and lets others go first until then.
        return Outlook::Look(if s.in_flight == 0 && !s.idle { due } else { due.max(tomorrow) });
    }
    // Whoever has no attempts left may be lent no concurrency either: it has to ask for both.
    if left_today(s) == 0 || !callers(s).any(|c| c.has_attempts()) {
        return ask(s);
    }
    if free(s) == 0 {
        return if s.idle { ask(s) } else { Outlook::News };
    }
    let ready =
        callers(s).filter(|c| c.has_room() && c.has_attempts()).map(|c| opens_at(c.used.tat_us)).min();
    match ready {
        Some(at) => Outlook::Look(due.max(at).max(opens_at(s.tat_us))),
        // One has room and no attempts left: there may be more to be had.
        None if s.idle || callers(s).any(|c| c.has_room()) => ask(s),
        None => Outlook::News,
    }
}

/// When this campaign wants to look at its queue again.
pub(super) fn wakeup(s: &State) -> Option<Millis> {
    match outlook(s) {
        Outlook::News => None,
        Outlook::Look(at) | Outlook::Ask(at) => Some(at),
        Outlook::Sweep => Some(0),
    }
}

/// When to ask again after a share that came at `at`. One that was sent because others had changed
/// something is no `answer`: it says nothing of what there is for whoever asks.
pub(super) fn ask_after(s: &State, at: Millis, answer: bool) -> Millis {
    let answered = State { ask_after: 0, next_due: None, ..s.clone() };
    if s.turned {
        at + TURN_MS
    } else if s.phase == Phase::Running && !s.idle && matches!(outlook(&answered), Outlook::Ask(_)) {
        if !answer {
            return s.ask_after;
        }
        (at + NOTHING_LEFT_MS).min((Millis::from(s.day) + 1) * DAY).max(at + TURN_MS)
    } else {
        0
    }
}

/// Nothing is alive and nothing due for a while.
pub(super) fn rests(s: &State, at: Millis) -> bool {
    s.phase == Phase::Running
        && s.in_flight == 0
        && (s.ready == 0 || own_day_is_over(s) || s.next_due.is_some_and(|due| due > at + IDLE_MS))
}

/// With the last attempt back, whether there is nothing to do is looked at a little later.
pub(super) fn look_whether_it_rests(s: &mut State, at: Millis) {
    if rests(s, at) && !s.idle {
        s.next_due = Some(at + IDLE_MS);
    }
}

/// It rests, and keeps none of the day's attempts back from others. A share that is on its way to
/// it would give them back: that one belongs to the session before.
pub(super) fn rest(s: &mut State) {
    s.idle = true;
    s.session = s.session.wrapping_add(1);
    let today = s.today;
    let Some(share) = &mut s.share else { return };
    if share.quota < u32::MAX {
        share.quota = share.quota.min(today);
    }
    for (lent, used) in share.callers.iter_mut().zip(&s.callers) {
        if lent.quota < u32::MAX {
            lent.quota = lent.quota.min(used.today);
        }
    }
}

/// Permits held, over all and per caller id.
pub(super) fn in_use(s: &State) -> Vec<u32> {
    std::iter::once(s.in_flight).chain(s.callers.iter().map(|c| c.in_flight)).collect()
}

/// Whether more is in use than the company lends by now.
pub(super) fn over(s: &State) -> bool {
    s.share.as_ref().is_some_and(|share| {
        s.in_flight > share.concurrency || callers(s).any(|c| c.used.in_flight > c.lent.concurrency)
    })
}
