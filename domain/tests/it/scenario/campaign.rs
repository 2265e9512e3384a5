//! Campaigns from start to end.

use crate::world::World;
use crate::world::setup::{closed_for, contact, limits, owned, person, plain};
use tandem_domain::call;
use tandem_domain::campaign::{Command, Config, Limits, Phase, Reason, call_of};
use tandem_domain::carrier::{End, Progress, RefusalReason};
use tandem_domain::customer;
use tandem_domain::dial::Bar;
use tandem_domain::retry::Disposition;
use tandem_domain::row::{DncSource, Priority, RowKey};
use tandem_domain::time::{DAY, HOUR, MINUTE, SECOND};
use tandem_domain::window::Hours;

#[test]
fn everybody_is_called_once_and_it_completes() {
    let mut w = World::ordinary(Limits::default());
    let id = w.running(0, plain(), 2..12);
    w.flow();
    assert_eq!(w.everybody_answers(), 10);
    let s = w.campaign(id);
    assert_eq!((s.phase, s.counts.of(Disposition::Completed)), (Phase::Completed, 10));
    w.check_rest();
}

#[test]
fn the_schedule_and_the_budget_of_a_contact() {
    let mut w = World::ordinary(Limits::default());
    let id = w.running(0, plain(), [2]);
    w.flow();
    for wait in [15 * MINUTE, HOUR, 4 * HOUR, DAY] {
        assert_eq!(w.nobody_answers(), 1);
        w.pass(wait - SECOND);
        assert!(w.dialed().is_empty(), "too early for the attempt after {wait} ms");
        w.pass(SECOND);
    }
    assert_eq!(w.nobody_answers(), 1);
    let s = w.campaign(id);
    assert_eq!((s.phase, s.counts.attempts), (Phase::Completed, 5));
    assert_eq!(s.counts.of(Disposition::NoAnswer), 1);
}

#[test]
fn one_budget_for_all_outcomes() {
    let mut w = World::ordinary(Limits::default());
    let id = w.running(0, plain(), [2]);
    w.flow();
    let failed = End::Failed(tandem_domain::carrier::Cause::Carrier);
    let waits = [15 * MINUTE, HOUR, 4 * HOUR, DAY, DAY];
    for (end, wait) in [End::Busy, End::NoAnswer, failed, End::Busy, End::NoAnswer].into_iter().zip(waits) {
        let dial = w.dial();
        let sid = w.accept(dial.attempt);
        w.progress(&sid, Progress::Ended(end));
        w.pass(wait);
    }
    assert_eq!(w.campaign(id).phase, Phase::Completed);
    assert_eq!(w.call_no(id, 0).counted, 5);
}

#[test]
fn the_gap_to_the_person_binds_every_campaign() {
    let mut w = World::ordinary(Limits::default());
    let config = Config { gap_ms: 4 * HOUR, ..plain() };
    let a = w.running(0, config.clone(), [2]);
    w.flow();
    assert_eq!(w.everybody_answers(), 1);
    let b = w.running(1, config, [2]);
    w.pass(4 * HOUR - 2 * SECOND);
    assert!(w.dialed().is_empty(), "too soon after the call of another campaign");
    w.pass(2 * MINUTE);
    assert_eq!(w.everybody_answers(), 1);
    assert_eq!((w.campaign(a).phase, w.campaign(b).phase), (Phase::Completed, Phase::Completed));
}

#[test]
fn trouble_of_the_account_pauses_and_does_not_count() {
    for (reason, expected) in [
        (RefusalReason::Account, Reason::CarrierAccount { code: 20_003 }),
        (RefusalReason::CallerId, Reason::CallerId { code: 20_003 }),
        (RefusalReason::Configuration, Reason::CarrierConfiguration { code: 20_003 }),
    ] {
        let mut w = World::ordinary(Limits::default());
        let id = w.running(0, plain(), 2..5);
        w.flow();
        for dial in w.dialed() {
            w.refuse(dial.attempt, reason, 20_003);
        }
        w.flow();
        let s = w.campaign(id);
        assert_eq!((s.phase, s.reason), (Phase::Paused, Some(expected)));
        assert_eq!((s.counts.attempts, s.ready), (0, 3));
        w.pass(DAY);
        assert!(w.dialed().is_empty(), "paused");
        w.tell_campaign(id, Command::Resume).unwrap();
        w.flow();
        assert_eq!(w.everybody_answers(), 3);
        assert_eq!(w.campaign(id).phase, Phase::Completed);
        assert_eq!(w.call_no(id, 0).counted, 1);
    }
}

#[test]
fn a_carrier_that_asks_for_a_pause_gets_it() {
    let mut w = World::ordinary(Limits::default());
    let config = Config { limits: limits(1, 0, 0), ..plain() };
    let id = w.running(0, config, 2..5);
    w.flow();
    let dial = w.dial();
    w.refuse(dial.attempt, RefusalReason::RateLimited { retry_after_ms: Some(30_000) }, 20_429);
    w.flow();
    w.pass(29 * SECOND);
    assert!(w.dialed().is_empty(), "the carrier has asked for half a minute");
    w.pass(2 * SECOND);
    assert_eq!(w.dialed().len(), 1);
    assert_eq!(w.campaign(id).counts.attempts, 0);
}

#[test]
fn a_pause_of_weeks_is_not_believed() {
    let mut w = World::ordinary(Limits::default());
    w.running(0, plain(), [2]);
    w.flow();
    let dial = w.dial();
    w.refuse(dial.attempt, RefusalReason::RateLimited { retry_after_ms: Some(u32::MAX) }, 20_429);
    w.pass(HOUR);
    assert_eq!(w.dialed().len(), 1, "{}", w.describe());
}

#[test]
fn a_carrier_that_is_full_for_hours_costs_nobody_their_turn() {
    let mut w = World::ordinary(Limits::default());
    let id = w.running(0, plain(), 2..4);
    for _ in 0..2_000 {
        w.pass(5 * SECOND);
        for dial in w.dialed() {
            w.refuse(dial.attempt, RefusalReason::Overloaded, 22_005);
        }
    }
    assert_eq!(w.campaign(id).counts.finished, 0, "nobody was ever dialed");
    assert!(w.call_no(id, 0).past.len() <= 64);
    w.pass(10 * MINUTE);
    assert_eq!(w.everybody_answers(), 2);
    assert_eq!(w.campaign(id).phase, Phase::Completed);
}

#[test]
fn nobody_is_called_who_asked_not_to_be() {
    let mut w = World::ordinary(Limits::default());
    let id = w.create(0, plain());
    w.add(id, 2..4);
    let stop = customer::Command::DoNotCall { source: DncSource::Operator, call: None };
    w.tell_customer(person(2), stop.clone()).unwrap();
    w.tell_campaign(id, Command::Start).unwrap();
    w.deliver_all();
    // The second one says so when the permit is on its way.
    w.tick_due();
    w.tell_customer(person(3), stop).unwrap();
    w.flow();
    assert!(w.dialed().is_empty());
    let s = w.campaign(id);
    assert_eq!((s.phase, s.counts.of(Disposition::DoNotCall), s.counts.attempts), (Phase::Completed, 2, 0));
    assert_eq!(s.today, 0, "permits that were not used");
}

#[test]
fn stopping_sweeps_whoever_waits_and_lets_live_calls_end() {
    let mut w = World::ordinary(Limits::default());
    let config = Config { limits: limits(2, 0, 0), ..plain() };
    let id = w.running(0, config, 2..12);
    w.flow();
    let dials = w.dialed();
    // One waits for another attempt, one talks.
    let busy = w.accept(dials[0].attempt);
    w.progress(&busy, Progress::Ended(End::Busy));
    let talks = w.accept(dials[1].attempt);
    w.progress(&talks, Progress::Answered);
    w.deliver_all();
    w.tell_campaign(id, Command::Stop).unwrap();
    w.flow();
    assert_eq!(w.campaign(id).phase, Phase::Stopping);
    w.progress(&talks, Progress::Ended(End::Completed));
    w.flow();
    let s = w.campaign(id);
    assert_eq!(s.phase, Phase::Stopped);
    assert_eq!(s.counts.of(Disposition::Completed), 1);
    assert_eq!(s.counts.of(Disposition::Canceled), 1);
    assert_eq!(s.counts.of(Disposition::Stopped), 8);
    w.check_rest();
}

#[test]
fn a_draft_can_be_stopped() {
    let mut w = World::ordinary(Limits::default());
    let empty = w.create(0, plain());
    w.tell_campaign(empty, Command::Stop).unwrap();
    assert_eq!(w.campaign(empty).phase, Phase::Stopped);
    let id = w.create(1, plain());
    w.add(id, 0..12);
    w.tell_campaign(id, Command::Stop).unwrap();
    w.flow();
    assert_eq!((w.campaign(id).phase, w.campaign(id).counts.of(Disposition::Stopped)), (Phase::Stopped, 12));
}

#[test]
fn a_call_that_is_hung_up_while_its_place_in_the_queue_has_moved() {
    let mut w = World::ordinary(Limits::default());
    // Office hours: the second attempt falls into the night.
    let mut config = Config { hours: Hours::default(), ..plain() };
    config.plan.retry = tandem_domain::retry::Unchecked {
        schedule_ms: vec![12 * HOUR],
        ..tandem_domain::retry::Policy::default().get().clone()
    }
    .check()
    .unwrap();
    let id = w.running(0, config, [2]);
    w.flow();
    assert_eq!(w.nobody_answers(), 1);
    // At midnight its place moves to the morning; then an operator ends the call.
    w.pass(12 * HOUR);
    assert_eq!(w.campaign(id).ready, 1);
    w.tell_call(call_of(id, 0), call::Command::Hangup).unwrap();
    w.flow();
    let s = w.campaign(id);
    assert_eq!((s.phase, s.ready, s.in_flight), (Phase::Completed, 0, 0));
    assert!(!w.rows.iter().any(|(key, _)| matches!(key, RowKey::Ready { .. })), "a place is left behind");
}

#[test]
fn high_priority_goes_first_and_a_lane_that_is_not_due_holds_nobody_back() {
    let mut w = World::ordinary(Limits::default());
    let id = w.create(0, Config { limits: limits(1, 0, 0), ..plain() });
    let contacts = vec![contact(2, Priority::Low), contact(3, Priority::Normal), contact(4, Priority::High)];
    w.tell_campaign(id, Command::AddContacts { contacts }).unwrap();
    w.tell_campaign(id, Command::Start).unwrap();
    w.flow();
    assert_eq!(w.dial().customer, person(4));
    let high = call_of(id, 2);
    w.refuse(
        tandem_domain::id::Attempt { company: w.company, call: high, number: 1 },
        RefusalReason::Unreachable,
        1,
    );
    w.flow();
    // The first waits a quarter of an hour; the others do not.
    assert_eq!(w.everybody_answers(), 1);
    assert_eq!(w.everybody_answers(), 1);
}

#[test]
fn several_hundred_contacts_outside_of_their_hours_wait_for_the_morning() {
    let mut w = World::ordinary(Limits::default());
    w.now += 12 * HOUR;
    let config = Config { hours: Hours::default(), ..plain() };
    let id = w.create(0, config);
    for batch in 0..4u8 {
        let contacts = (0..150u16)
            .map(|n| {
                let mut c = contact(2, Priority::Normal);
                let mut bytes = [batch; 16];
                bytes[..2].copy_from_slice(&n.to_be_bytes());
                c.customer = tandem_domain::id::CustomerId::from_bytes(bytes);
                c
            })
            .collect();
        w.tell_campaign(id, Command::AddContacts { contacts }).unwrap();
    }
    w.tell_campaign(id, Command::Start).unwrap();
    w.flow();
    assert!(w.dialed().is_empty());
    let before = w.campaigns[&id].log.len();
    w.pass(8 * HOUR);
    assert!(w.campaigns[&id].log.len() - before < 20, "it looks again and again in the night");
    w.pass(HOUR);
    assert_eq!(w.dialed().len(), 10);
}

#[test]
fn a_full_caller_id_is_waited_for_without_looking_again_and_again() {
    let mut w = World::new(1);
    w.found(Limits::default(), owned(&[limits(1, 0, 0)]), plain());
    w.deliver_all();
    let id = w.running(0, plain(), 2..5);
    w.flow();
    let dial = w.dial();
    let sid = w.accept(dial.attempt);
    w.progress(&sid, Progress::Answered);
    let before = w.campaigns[&id].log.len();
    w.pass(4 * MINUTE);
    assert!(w.campaigns[&id].log.len() - before < 3, "{} events", w.campaigns[&id].log.len() - before);
    w.progress(&sid, Progress::Ended(End::Completed));
    w.flow();
    assert_eq!(w.dialed().len(), 1);
}

#[test]
fn a_paced_caller_id_is_used_when_its_time_has_come() {
    let mut w = World::new(1);
    w.found(Limits::default(), owned(&[limits(0, 500, 0)]), plain());
    w.flow();
    let id = w.running(0, plain(), 2..8);
    w.flow();
    let mut made = w.dialed().len();
    let before = w.campaigns[&id].log.len();
    for _ in 0..10 {
        w.pass(SECOND);
        made += w.dialed().len();
    }
    assert_eq!(made, 6, "one every two seconds");
    let events = w.campaigns[&id].log.len() - before;
    assert!(events <= 12, "{events} events for 5 dials");
}

#[test]
fn a_campaign_whose_company_is_slow_to_answer_does_not_spin() {
    let mut w = World::ordinary(Limits::default());
    let config = Config { limits: limits(1, 0, 0), ..plain() };
    let id = w.running(0, config, 2..6);
    w.flow();
    assert_eq!(w.everybody_answers(), 1);
    w.dialed();
    // Midnight; the company does not answer for a while.
    w.now = w.now.div_euclid(DAY) * DAY + DAY + SECOND;
    for _ in 0..100 {
        w.tick_due();
    }
    let asked = w.lanes.values().flatten().count();
    assert!(asked <= 2, "{asked} messages");
    let _ = id;
}

#[test]
fn pausing_waits_for_live_calls_and_nobody_new_is_dialed() {
    let mut w = World::ordinary(Limits::default());
    let config = Config { limits: limits(2, 0, 0), ..plain() };
    let id = w.running(0, config, 2..8);
    w.flow();
    let dials = w.dialed();
    w.tell_campaign(id, Command::Pause { reason: Reason::Operator }).unwrap();
    assert_eq!(w.campaign(id).phase, Phase::Pausing);
    for dial in dials {
        let sid = w.accept(dial.attempt);
        w.progress(&sid, Progress::Ended(End::Busy));
    }
    w.flow();
    assert_eq!(w.campaign(id).phase, Phase::Paused);
    w.pass(DAY);
    assert!(w.dialed().is_empty());
    w.tell_campaign(id, Command::Resume).unwrap();
    w.flow();
    assert_eq!(w.dialed().len(), 2);
}

#[test]
fn a_campaign_cannot_be_dialed_by_the_application() {
    let mut w = World::ordinary(Limits::default());
    let mut config = plain();
    config.plan.carrier = call::Plan::EXTERNAL.into();
    let create = Command::Create { name: "x".into(), config: Box::new(config), direct: false };
    let id = tandem_domain::id::CampaignId::from_bytes([9; 16]);
    assert!(w.tell_campaign(id, create).is_err());
}

#[test]
fn an_unknown_zone_ends_a_contact_and_no_permit_is_lost() {
    let mut w = World::ordinary(Limits::default());
    let id = w.running(0, plain(), [0]);
    w.flow();
    let s = w.campaign(id);
    assert_eq!((s.phase, s.counts.of(Disposition::Expired)), (Phase::Completed, 1));
    assert_eq!(Bar::ZoneUnknown.reason(), "ZONE_UNKNOWN");
}

#[test]
fn long_holidays_are_waited_for() {
    let mut w = World::ordinary(Limits::default());
    // Longer than an opening is sought ahead.
    let config = Config { hours: closed_for(0, 40), ..plain() };
    let id = w.running(0, config, 2..6);
    w.flow();
    assert_eq!((w.campaign(id).ready, w.dialed().len()), (4, 0), "{}", w.describe());
    w.pass(39 * DAY);
    assert_eq!((w.campaign(id).ready, w.dialed().len()), (4, 0), "{}", w.describe());
    // It is noon; they open at midnight.
    w.pass(12 * HOUR);
    assert_eq!(w.everybody_answers(), 4);
    let s = w.campaign(id);
    assert_eq!((s.phase, s.counts.of(Disposition::Completed)), (Phase::Completed, 4));
}

#[test]
fn a_retry_that_meets_long_holidays_waits_too() {
    let mut w = World::ordinary(Limits::default());
    let config = Config { hours: closed_for(1, 40), ..plain() };
    let id = w.running(0, config, [2]);
    w.flow();
    for wait in [15 * MINUTE, HOUR, 4 * HOUR] {
        assert_eq!(w.nobody_answers(), 1);
        w.pass(wait);
    }
    // The next one, a day later, would fall into the holidays.
    assert_eq!(w.nobody_answers(), 1);
    w.pass(40 * DAY);
    assert_eq!((w.campaign(id).phase, w.dialed().len()), (Phase::Running, 0), "{}", w.describe());
    w.pass(7 * HOUR);
    assert_eq!(w.everybody_answers(), 1);
    assert_eq!(w.campaign(id).phase, Phase::Completed);
}
