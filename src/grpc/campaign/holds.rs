//! What holds a whole campaign back: read off its state, in the order in which claiming asks.

use crate::grpc::convert::hold::{Wait, wait};
use tandem_domain::campaign::{Phase, State};
use tandem_domain::time::{DAY, Millis};
use tandem_proto::v1::Hold;

/// How far ahead of their time dials are permitted (see `tandem_domain::campaign`): within it nothing
/// is held back by the pace.
const AHEAD_US: i64 = 100_000;

/// Everything that holds the campaign back at this time. Empty when it is about to dial.
pub fn holds(s: &State, now: Millis) -> Vec<Hold> {
    if s.phase != Phase::Running {
        let mut details = vec![("phase", s.phase.name().to_owned())];
        if let Some(reason) = s.reason {
            details.push(("cause", reason.name().to_owned()));
        }
        return vec![wait(Wait::Phase, None, &details)];
    }
    if s.ready == 0 {
        let details = [("in_flight", s.in_flight.to_string())];
        return vec![wait(Wait::NobodyReady, None, &details)];
    }
    let mut holds = limits(s, now);
    if let Some(due) = s.next_due.filter(|due| *due > now) {
        holds.push(wait(Wait::NotDue, Some(due), &[]));
    }
    holds
}

/// The limits alone: what holds back a contact that could be called otherwise.
pub fn limits(s: &State, now: Millis) -> Vec<Hold> {
    let Some(share) = &s.share else { return vec![wait(Wait::Share, None, &[])] };
    let mut holds = Vec::new();
    let at_once = limited(s.config.limits.concurrency).min(share.concurrency);
    if s.in_flight >= at_once {
        let details = [("in_flight", s.in_flight.to_string()), ("limit", at_once.to_string())];
        holds.push(wait(Wait::Concurrency, None, &details));
    }
    let today = i32::try_from(now.div_euclid(DAY)).unwrap_or(i32::MAX);
    let own = limited(s.config.limits.attempts_a_day);
    if s.day == today && s.today >= own.min(share.quota) {
        // More may be lent before the day ends, unless the campaign's own limit is reached.
        let tomorrow = Millis::from(today + 1) * DAY;
        let clears_at = (s.today >= own || s.asked.is_some()).then_some(tomorrow);
        holds.push(wait(Wait::Day, clears_at, &[("attempts_today", s.today.to_string())]));
    }
    if let Some(hold) = pace(s, limited(s.config.limits.milli_cps).min(share.milli_cps), now) {
        holds.push(hold);
    }
    let free = s.callers.iter().zip(&share.callers).any(|(used, lent)| {
        used.in_flight < lent.concurrency && used.today < lent.quota && ahead_us(used.tat_us, now) <= AHEAD_US
    });
    if !free {
        holds.push(wait(Wait::CallerIds, None, &[("caller_ids", s.callers.len().to_string())]));
    }
    holds
}

/// 0 means no limit.
fn limited(limit: u32) -> u32 {
    if limit == 0 { u32::MAX } else { limit }
}

fn ahead_us(tat_us: i64, now: Millis) -> i64 {
    tat_us.saturating_sub(now.saturating_mul(1_000))
}

fn pace(s: &State, milli_cps: u32, now: Millis) -> Option<Hold> {
    let ahead = ahead_us(s.tat_us, now);
    if ahead <= AHEAD_US {
        return None;
    }
    let clears_at = Some(s.tat_us.saturating_sub(AHEAD_US).div_euclid(1_000) + 1);
    // The pace alone never runs further ahead than one dial; the rest is the carrier's wish.
    let interval_us = if milli_cps == u32::MAX { 0 } else { 1_000_000_000 / i64::from(milli_cps.max(1)) };
    if ahead > AHEAD_US + interval_us {
        return Some(wait(Wait::Carrier, clears_at, &[]));
    }
    let details = [("calls_per_second", format!("{:.3}", f64::from(milli_cps) / 1_000.0))];
    Some(wait(Wait::Pace, clears_at, &details))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tandem_domain::campaign::{CallerUse, Campaign, Config, Counts, Limits};
    use tandem_domain::company::{CallerShare, Share};
    use tandem_domain::machine::Machine;

    const NOW: Millis = 20_000 * DAY + 1_000;

    fn running() -> State {
        let caller =
            CallerShare { concurrency: 5, milli_cps: u32::MAX, quota: 100, whole_milli_cps: [u32::MAX; 2] };
        let share = Share {
            version: 1,
            concurrency: 5,
            milli_cps: 1_000,
            day: 20_000,
            quota: 100,
            callers: vec![caller],
            at: NOW,
        };
        State {
            phase: Phase::Running,
            config: Config { limits: Limits::default(), ..Config::default() },
            share: Some(share),
            ready: 3,
            counts: Counts { contacts: 3, ..Counts::default() },
            day: 20_000,
            callers: vec![CallerUse::default()],
            ..State::default()
        }
    }

    fn reasons(s: &State) -> Vec<String> {
        holds(s, NOW).into_iter().map(|h| h.reason).collect()
    }

    #[test]
    fn nothing_holds_back_a_campaign_that_is_about_to_dial() {
        assert_eq!(reasons(&running()), Vec::<String>::new());
    }

    #[test]
    fn each_limit_has_its_word() {
        let busy = State { in_flight: 5, ..running() };
        assert_eq!(reasons(&busy), ["CONCURRENCY_REACHED"]);
        assert_eq!(reasons(&State { today: 100, ..running() }), ["DAILY_LIMIT_REACHED"]);
        assert_eq!(reasons(&State { tat_us: NOW * 1_000 + 900_000, ..running() }), ["PACED"]);
        assert_eq!(reasons(&State { tat_us: NOW * 1_000 + 60_000_000, ..running() }), ["CARRIER_BACK_OFF"]);
        let used = CallerUse { in_flight: 5, ..CallerUse::default() };
        assert_eq!(reasons(&State { callers: vec![used], ..running() }), ["CALLER_IDS_EXHAUSTED"]);
        assert_eq!(reasons(&State { share: None, ..running() }), ["WAITING_FOR_SHARE"]);
        assert_eq!(reasons(&State { ready: 0, ..running() }), ["NO_CONTACT_READY"]);
        assert_eq!(reasons(&State { next_due: Some(NOW + 1), ..running() }), ["NOT_DUE"]);
        let paused = State { phase: Phase::Paused, ..running() };
        assert_eq!(reasons(&paused), ["CAMPAIGN_NOT_RUNNING"]);
    }

    proptest! {
        /// What is shown here and what the campaign does are one: it looks at its queue now exactly when
        /// none of these holds stands (its caller ids it finds out about only by looking).
        #[test]
        fn holds_stand_exactly_when_the_campaign_does_not_want_to_look(
            in_flight in 0u32..8,
            today in 0u32..120,
            asked: bool,
            lead_us in -2_000_000i64..4_000_000,
            due in proptest::option::of(-5_000i64..5_000),
            // With nobody ready a campaign only looks whether it may rest.
            ready in 1u32..3,
        ) {
            let s = State {
                in_flight,
                today,
                asked: (asked && today >= 100).then_some(NOW),
                tat_us: NOW * 1_000 + lead_us,
                next_due: due.map(|d| NOW + d),
                ready,
                ..running()
            };
            let looks = Campaign::wakeup(&s).is_some_and(|at| at <= NOW);
            let held: Vec<String> = reasons(&s);
            // Out of attempts for the day it looks once, to ask the company for more.
            let due_now = s.next_due.is_none_or(|due| due <= NOW);
            let asks = today >= 100 && s.asked.is_none() && due_now;
            prop_assert_eq!(looks, held.is_empty() || asks, "{:?}", held);
        }
    }
}
