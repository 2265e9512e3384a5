//! A company lends its limits to its campaigns.

use crate::world::setup::{NUMBERS, limits, owned, plain};
use crate::world::{START, World};
use tandem_domain::campaign::{Command, Config, Limits, Phase, Reason};
use tandem_domain::carrier::{End, Progress};
use tandem_domain::company::{self, Caller, Update};
use tandem_domain::id::Entity;
use tandem_domain::row::Priority;
use tandem_domain::time::{DAY, MINUTE, SECOND};

/// The campaigns that run, and what each may use.
fn shares(w: &World) -> Vec<u32> {
    w.campaigns
        .values()
        .filter(|k| !k.state.direct)
        .map(|k| k.state.share.as_ref().map_or(0, |s| s.concurrency))
        .collect()
}

#[test]
fn the_only_campaign_gets_the_only_permit() {
    for n in 0..8 {
        let mut w = World::ordinary(limits(1, 0, 0));
        let id = w.running(n * 29, plain(), 2..4);
        w.flow();
        assert_eq!(w.everybody_answers(), 1);
        assert_eq!(w.everybody_answers(), 1);
        assert_eq!(w.campaign(id).phase, Phase::Completed);
    }
}

#[test]
fn up_to_five_campaigns_share_and_take_over_what_others_give_back() {
    for count in 2..=5u8 {
        let mut w = World::ordinary(limits(10, 0, 0));
        let ids: Vec<_> = (0..count)
            .map(|n| {
                let id = w.create(n, plain());
                w.add(id, 2..12);
                id
            })
            .collect();
        for id in &ids {
            w.tell_campaign(*id, Command::Start).unwrap();
            w.deliver_all();
            w.check();
        }
        w.flow();
        let lent: u32 = shares(&w).iter().sum();
        assert_eq!(lent, 10, "{count} campaigns have {:?}", shares(&w));
        assert!(shares(&w).iter().all(|s| *s >= 10 / u32::from(count)));
        // One person is called by one campaign at a time, and all are called by each in the end.
        for _ in 0..200 {
            w.everybody_answers();
            w.pass(MINUTE);
        }
        for id in ids {
            assert_eq!(w.campaign(id).phase, Phase::Completed);
        }
        w.rest();
        w.check_rest();
    }
}

#[test]
fn a_share_that_was_sent_before_a_pause_is_not_used_after_it() {
    let mut w = World::ordinary(limits(10, 0, 0));
    let a = w.running(0, plain(), 2..12);
    w.deliver_all();
    // Another campaign changes everybody's share; the news is still on its way to the first.
    let b = w.create(1, plain());
    w.add(b, 2..12);
    w.tell_campaign(b, Command::Start).unwrap();
    let company = tandem_domain::id::Entity::company(w.company);
    let campaign = |id| tandem_domain::id::Entity::campaign(w.company, id);
    let (ea, eb) = (campaign(a), campaign(b));
    w.deliver((eb, company));
    // The first pauses and resumes at once: it leaves and joins again.
    w.tell_campaign(a, Command::Pause { reason: Reason::Operator }).unwrap();
    assert_eq!(w.campaign(a).phase, Phase::Paused);
    w.tell_campaign(a, Command::Resume).unwrap();
    // The old news arrives first.
    w.deliver((company, ea));
    w.check();
    w.deliver((ea, company));
    w.check();
    w.flow();
    w.check();
}

#[test]
fn attempts_of_a_day_that_are_used_up_are_not_asked_for_without_end() {
    let mut w = World::ordinary(limits(0, 0, 3));
    let id = w.running(0, plain(), 2..10);
    w.flow();
    let first = w.everybody_answers();
    assert_eq!(first + w.everybody_answers() + w.everybody_answers(), 3);
    let before = w.campaigns[&id].log.len();
    w.pass(10 * MINUTE);
    let events = w.campaigns[&id].log.len() - before;
    assert!(events < 40, "{events} events while nothing can be done");
    assert!(w.dialed().is_empty());
    w.pass(DAY);
    assert!(!w.dialed().is_empty(), "a new day: {}", w.describe());
}

#[test]
fn a_caller_id_with_a_limit_a_day_gets_all_of_it() {
    let mut w = World::new(1);
    w.found(Limits::default(), owned(&[limits(0, 0, 7)]), plain());
    w.deliver_all();
    w.running(0, plain(), 2..12);
    let mut made = 0;
    for _ in 0..20 {
        w.pass(SECOND);
        made += w.everybody_answers();
    }
    assert_eq!(made, 7);
    w.pass(DAY);
    assert_eq!(w.everybody_answers(), 3, "{}", w.describe());
}

#[test]
fn attempts_of_a_campaign_that_has_left_still_count() {
    let mut w = World::ordinary(limits(0, 0, 10));
    let mut made = 0;
    for n in 0..4 {
        w.running(n, plain(), 2..8);
        for _ in 0..20 {
            w.pass(SECOND);
            made += w.everybody_answers();
        }
    }
    assert_eq!(made, 10, "six people each, ten attempts a day");
}

#[test]
fn pausing_and_resuming_does_not_use_up_the_day() {
    let mut w = World::ordinary(limits(0, 0, 20));
    let id = w.running(0, plain(), 2..3);
    for _ in 0..60 {
        w.tell_campaign(id, Command::Pause { reason: Reason::Operator }).unwrap();
        w.deliver_all();
        w.tell_campaign(id, Command::Resume).unwrap();
        w.deliver_all();
    }
    w.flow();
    assert_eq!(w.everybody_answers(), 1, "{}", w.describe());
}

#[test]
fn calls_that_are_declined_do_not_use_up_the_day() {
    let mut w = World::ordinary(limits(0, 0, 5));
    let id = w.running(0, plain(), 2..4);
    w.tell_company(company::Command::Close { reason: "checked".into() }).unwrap();
    w.pass(30 * MINUTE);
    assert!(w.dialed().is_empty());
    assert_eq!(w.campaign(id).today, 0);
    w.tell_company(company::Command::Open).unwrap();
    w.pass(2 * MINUTE);
    assert_eq!(w.everybody_answers(), 2, "{}", w.describe());
}

#[test]
fn a_closed_company_is_not_asked_by_everybody_in_turn() {
    let mut w = World::ordinary(Limits::default());
    let id = w.create(0, plain());
    w.add(id, 2..12);
    w.tell_company(company::Command::Close { reason: "checked".into() }).unwrap();
    w.tell_campaign(id, Command::Start).unwrap();
    w.flow();
    let before = w.campaigns[&id].log.len();
    w.pass(60 * MINUTE);
    let events = w.campaigns[&id].log.len() - before;
    assert!(events < 61 * 2 * 10, "{events} events in an hour in which nobody may dial");
}

#[test]
fn a_new_rate_of_the_company_reaches_its_campaigns() {
    let mut w = World::ordinary(limits(0, 5_000, 0));
    let id = w.running(0, plain(), 2..12);
    let update = Update { limits: Some(limits(0, 1_000, 0)), ..Update::default() };
    w.tell_company(company::Command::Update { settings: Box::new(update), from: None }).unwrap();
    w.deliver_all();
    assert!(w.campaign(id).share.as_ref().unwrap().milli_cps <= 1_000);
}

#[test]
fn one_campaign_has_the_whole_rate_of_its_company() {
    let mut w = World::ordinary(limits(0, 1_000, 0));
    let id = w.running(0, plain(), 2..12);
    w.flow();
    assert_eq!(w.campaign(id).share.as_ref().unwrap().milli_cps, 1_000);
    let mut made = w.dialed().len();
    for _ in 0..5 {
        w.pass(SECOND);
        made += w.dialed().len();
    }
    assert_eq!(made, 6);
}

#[test]
fn the_last_gate_keeps_the_rate_of_the_whole_company() {
    let mut w = World::ordinary(limits(0, 4_000, 0));
    for n in 0..2 {
        w.running(n, plain(), [2 + n]);
    }
    w.flow();
    for dial in w.dialed() {
        let company = dial
            .paces
            .iter()
            .find(|p| matches!(p.key, tandem_domain::effect::PaceKey::Company(_)))
            .map(|p| p.milli_cps);
        assert_eq!(company, Some(4_000), "a key that all campaigns share has the rate of all");
    }
}

#[test]
fn a_limit_where_there_was_none_counts_what_is_in_use() {
    let mut w = World::ordinary(Limits::default());
    let a = w.running(0, plain(), 2..12);
    w.flow();
    assert_eq!(w.dialed().len(), 10);
    let b = w.create(1, plain());
    w.add(b, 2..12);
    let update = Update { limits: Some(limits(4, 0, 0)), ..Update::default() };
    w.tell_company(company::Command::Update { settings: Box::new(update), from: None }).unwrap();
    w.tell_campaign(b, Command::Start).unwrap();
    w.pass(SECOND);
    assert_eq!(w.dialed().len(), 0, "ten are alive and four may be: {}", w.describe());
    assert_eq!(w.campaign(a).in_flight, 10);
}

#[test]
fn single_calls_keep_their_count_when_the_company_changes_its_caller_ids() {
    let mut w = World::new(1);
    w.found(limits(0, 0, 0), owned(&[limits(2, 0, 0), limits(2, 0, 0)]), plain());
    w.deliver_all();
    for n in 2..5 {
        let order = w.order(n, plain().plan, None, tandem_domain::row::Priority::Normal);
        w.place(order);
    }
    w.flow();
    let dials = w.dialed();
    assert_eq!(dials.len(), 3);
    // The order of the caller ids changes, and one is gone.
    let mut callers = owned(&[limits(2, 0, 0), limits(2, 0, 0), limits(2, 0, 0)]);
    callers.remove(0);
    let update = Update { callers: Some(callers), ..Update::default() };
    w.tell_company(company::Command::Update { settings: Box::new(update), from: None }).unwrap();
    w.flow();
    w.check();
    for dial in dials {
        let sid = w.accept(dial.attempt);
        w.progress(&sid, tandem_domain::carrier::Progress::Ended(tandem_domain::carrier::End::Completed));
    }
    w.flow();
    let direct = &w.campaigns[&tandem_domain::campaign::direct(w.company)].state;
    assert_eq!(direct.in_flight, 0);
    assert!(direct.callers.iter().all(|c| c.in_flight == 0), "{:?}", direct.callers);
}

#[test]
fn settings_for_single_calls_are_checked() {
    let mut w = World::ordinary(Limits::default());
    let wrong = Config { gap_ms: -1, ..plain() };
    let update = Update { single_calls: Some(wrong), ..Update::default() };
    assert!(w.tell_company(company::Command::Update { settings: Box::new(update), from: None }).is_err());
    let update = Update { limits: Some(limits(u32::MAX, 0, 0)), ..Update::default() };
    assert!(w.tell_company(company::Command::Update { settings: Box::new(update), from: None }).is_err());
    let _ = NUMBERS;
}

#[test]
fn a_caller_id_that_comes_back_keeps_its_distance() {
    let mut w = World::ordinary(Limits::default());
    // One call in five seconds.
    let slow = owned(&[limits(0, 200, 0)]);
    let callers = |callers: &[Caller]| {
        let callers = Some(callers.to_vec());
        let settings = Box::new(Update { callers, ..Update::default() });
        company::Command::Update { settings, from: None }
    };
    w.tell_company(callers(&slow)).expect("updated");
    w.flow();
    for n in [2, 3] {
        let order = w.order(n, plain().plan, None, Priority::Normal);
        w.place(order);
    }
    w.flow();
    assert_eq!(w.everybody_answers(), 1);
    w.tell_company(callers(&[])).expect("updated");
    w.flow();
    w.tell_company(callers(&slow)).expect("updated");
    w.flow();
    w.pass(4 * SECOND);
    assert_eq!(w.dialed().len(), 0, "it was away, and its last dial was {} ms ago", w.now - START);
    w.pass(MINUTE);
    assert_eq!(w.everybody_answers(), 1);
}

#[test]
fn attempts_that_are_lent_one_by_one_are_all_made_in_one_moment() {
    // A twentieth at a time, which is one.
    let mut w = World::ordinary(limits(0, 0, 20));
    let id = w.running(0, plain(), 2..12);
    w.flow();
    assert_eq!(w.everybody_answers(), 10);
    assert_eq!((w.campaign(id).phase, w.now), (Phase::Completed, START));
}

#[test]
fn a_campaign_that_is_done_for_the_day_keeps_nothing_from_others() {
    // One call at a time, and each campaign may make two a day.
    let mut w = World::ordinary(limits(1, 0, 0));
    let config = Config { limits: limits(0, 0, 2), ..plain() };
    let ids = [0u8, 1, 2].map(|n| w.running(n, config.clone(), 2 + 3 * n..5 + 3 * n));
    let mut made = 0;
    for _ in 0..20 {
        w.pass(10 * SECOND);
        made += w.everybody_answers();
    }
    assert_eq!(made, 6, "{}", w.describe());
    assert!(ids.iter().all(|id| w.campaign(*id).ready == 1));
    // The last one of each on the next day.
    w.pass(START + DAY - w.now - START % DAY);
    for _ in 0..20 {
        w.pass(10 * SECOND);
        made += w.everybody_answers();
    }
    assert_eq!(made, 9, "{}", w.describe());
    assert!(ids.iter().all(|id| w.campaign(*id).phase == Phase::Completed));
}

#[test]
fn who_has_no_attempts_left_keeps_nothing_from_others() {
    // One call at a time; the caller id of the first campaign may make two a day.
    let mut w = World::new(1);
    w.found(limits(1, 0, 0), owned(&[limits(0, 0, 2), limits(0, 0, 0)]), plain());
    let config = |n: usize| Config { callers: vec![NUMBERS[n].into()], ..plain() };
    let few = w.running(0, config(0), 2..6);
    let many = w.running(1, config(1), 6..12);
    let mut made = 0;
    for _ in 0..20 {
        w.pass(10 * SECOND);
        made += w.everybody_answers();
    }
    assert_eq!(made, 8, "{}", w.describe());
    assert_eq!((w.campaign(few).ready, w.campaign(many).phase), (2, Phase::Completed));
    w.pass(START + DAY - w.now - START % DAY);
    for _ in 0..20 {
        w.pass(10 * SECOND);
        made += w.everybody_answers();
    }
    assert_eq!((made, w.campaign(few).phase), (10, Phase::Completed), "{}", w.describe());
}

#[test]
fn news_of_others_is_no_answer_to_who_wants_more() {
    // Lent one by one.
    let mut w = World::ordinary(limits(0, 0, 20));
    let id = w.running(0, Config { limits: limits(1, 0, 0), ..plain() }, 2..6);
    w.flow();
    let used_up = |w: &World| w.campaign(id).share.as_ref().is_some_and(|s| s.quota <= w.campaign(id).today);
    for _ in 0..3 {
        for dial in w.dialed() {
            let sid = w.accept(dial.attempt);
            w.progress(&sid, Progress::Ended(End::Completed));
        }
        w.deliver_all();
        w.tick(Entity::campaign(w.company, id));
        if used_up(&w) && w.campaign(id).asked.is_none() {
            // Before it has asked the company changes something else.
            let update = Update { limits: Some(limits(0, 50_000, 20)), ..Update::default() };
            w.tell_company(company::Command::Update { settings: Box::new(update), from: None }).unwrap();
            w.deliver_all();
            w.flow();
            assert!(!used_up(&w), "it waits for what it never asked for: {}", w.describe());
            return;
        }
    }
    panic!("it was never out of attempts: {}", w.describe());
}
