//! Single calls that are to be dialed from one certain caller id.

use crate::world::World;
use crate::world::setup::{NUMBERS, limits, owned, plain};
use tandem_domain::call::{CarrierStep, Command, Plan};
use tandem_domain::campaign::{Config, Limits, direct};
use tandem_domain::carrier::{End, Progress};
use tandem_domain::company::{self, Caller, Update};
use tandem_domain::id::CallId;
use tandem_domain::machine::Rejection;
use tandem_domain::retry::Disposition;
use tandem_domain::row::Priority;
use tandem_domain::time::{DAY, MINUTE, SECOND};

/// A company with these caller ids.
fn company(callers: &[Limits]) -> World {
    let mut w = World::new(1);
    w.found(Limits::default(), owned(callers), Config { limits: Limits::default(), ..plain() });
    w.flow();
    w
}

fn place(w: &mut World, person: u8, from: usize) -> CallId {
    let mut order = w.order(person, plain().plan, None, Priority::Normal);
    order.from = Some(NUMBERS[from].to_owned());
    w.place(order)
}

fn has_now(w: &mut World, callers: Vec<Caller>) {
    let settings = Box::new(Update { callers: Some(callers), ..Update::default() });
    w.tell_company(company::Command::Update { settings, from: None }).expect("updated");
}

fn froms(w: &mut World) -> Vec<String> {
    let dials = w.dialed();
    for dial in &dials {
        let sid = w.accept(dial.attempt);
        w.progress(&sid, Progress::Answered);
        w.progress(&sid, Progress::Ended(End::Completed));
    }
    w.flow();
    dials.into_iter().map(|d| d.from).collect()
}

fn end_of(w: &World, call: CallId) -> Option<Disposition> {
    w.call(call).ended.as_ref().map(|e| e.disposition)
}

#[test]
fn a_call_is_dialed_from_the_caller_id_it_asks_for() {
    let mut w = company(&[Limits::default(); 4]);
    for person in 2..7 {
        place(&mut w, person, 2);
    }
    w.flow();
    assert_eq!(froms(&mut w), [NUMBERS[2]; 5]);
    w.check_rest();
}

#[test]
fn retries_ask_for_the_same_caller_id() {
    let mut w = company(&[Limits::default(); 4]);
    place(&mut w, 2, 3);
    w.flow();
    assert_eq!(w.nobody_answers(), 1);
    w.pass(15 * MINUTE);
    assert_eq!(froms(&mut w), [NUMBERS[3]]);
}

#[test]
fn nobody_else_may_be_shown_as_the_caller() {
    let mut w = company(&[Limits::default()]);
    let strange = |w: &World, plan| {
        let mut order = w.order(2, plan, None, Priority::Normal);
        order.from = Some(NUMBERS[1].to_owned());
        order
    };
    let order = strange(&w, plain().plan);
    assert_eq!(w.try_place(order), Err(Rejection::NotACallerId));
    let external = Plan { carrier: Plan::EXTERNAL.into(), ..plain().plan };
    // An application that dials itself names it later.
    let order = strange(&w, external.clone());
    assert_eq!(w.try_place(order).map_err(|e| e.reason()), Err("INVALID_FIELD"));
    let order = w.order(2, external, None, Priority::Normal);
    let call = w.place(order);
    let begin = |from: &str| Command::Step(CarrierStep::Begin { from: from.into() });
    for wrong in [NUMBERS[1], "garbage"] {
        assert_eq!(w.tell_call(call, begin(wrong)).map(|_| ()), Err(Rejection::NotACallerId));
    }
    w.tell_call(call, begin(NUMBERS[0])).expect("its own");
    let end = CarrierStep::Ended { attempt: 1, outcome: tandem_domain::retry::Outcome::Busy };
    w.tell_call(call, Command::Step(end)).expect("reported");
    w.pass(15 * MINUTE);
    w.tell_call(call, begin("")).expect("it need not say");
}

#[test]
fn a_call_that_waits_for_its_caller_id_lets_others_go_first() {
    let mut w = company(&[limits(1, 0, 0), limits(0, 0, 0)]);
    let first = place(&mut w, 2, 0);
    let second = place(&mut w, 3, 0);
    let other = place(&mut w, 4, 1);
    w.flow();
    let dials = w.dialed();
    assert_eq!(dials.iter().map(|d| d.attempt.call).collect::<Vec<_>>(), [first, other]);
    w.pass(3 * SECOND);
    assert!(w.dialed().is_empty(), "its caller id is in use");
    for dial in dials {
        let sid = w.accept(dial.attempt);
        w.progress(&sid, Progress::Ended(End::Completed));
    }
    w.pass(SECOND);
    assert_eq!(w.dial().attempt.call, second);
}

#[test]
fn a_caller_id_with_a_pace_is_waited_for() {
    // One call in five seconds.
    let mut w = company(&[limits(0, 200, 0), limits(0, 0, 0)]);
    for person in 2..5 {
        place(&mut w, person, 0);
    }
    w.flow();
    assert_eq!(froms(&mut w).len(), 1);
    for _ in 0..2 {
        w.pass(4 * SECOND);
        assert!(w.dialed().is_empty(), "{}", w.describe());
        w.pass(SECOND);
        assert_eq!(froms(&mut w), [NUMBERS[0]]);
    }
}

#[test]
fn the_attempts_of_a_day_of_a_caller_id_are_all_had_and_then_waited_for() {
    // Lent one by one.
    let mut w = company(&[limits(0, 0, 3), limits(0, 0, 0)]);
    for person in 2..7 {
        place(&mut w, person, 0);
    }
    let mut made = 0;
    for _ in 0..4 {
        w.pass(10 * SECOND);
        made += froms(&mut w).len();
    }
    assert_eq!(made, 3, "{}", w.describe());
    let events = |w: &World| w.campaigns[&direct(w.company)].log.len();
    let before = events(&w);
    w.pass(3 * 60 * MINUTE);
    assert!(w.dialed().is_empty());
    assert!(events(&w) < before + 30, "it asks again and again: {}", events(&w) - before);
    // The other two on the next day.
    w.pass(DAY - 4 * 60 * MINUTE);
    for _ in 0..4 {
        w.pass(30 * MINUTE);
        made += froms(&mut w).len();
    }
    assert_eq!(made, 5, "{}", w.describe());
}

#[test]
fn a_caller_id_that_is_given_up_ends_the_calls_that_asked_for_it() {
    let mut w = company(&[limits(1, 0, 0), limits(0, 0, 0)]);
    let first = place(&mut w, 2, 0);
    let second = place(&mut w, 3, 0);
    w.flow();
    let dial = w.dial();
    // While it is in use, and when it is not any more.
    let mut rest = owned(&[Limits::default(); 2]);
    rest.remove(0);
    has_now(&mut w, rest);
    w.pass(5 * SECOND);
    assert!(w.dialed().is_empty(), "{}", w.describe());
    assert_eq!(end_of(&w, second), Some(Disposition::Failed));
    let sid = w.accept(dial.attempt);
    w.progress(&sid, Progress::Answered);
    w.progress(&sid, Progress::Ended(End::Completed));
    w.flow();
    assert_eq!(end_of(&w, first), Some(Disposition::Completed));
    w.rest();
    w.check_rest();
}

#[test]
fn a_call_that_overtakes_the_news_of_its_caller_id_waits_for_it() {
    let mut w = company(&[Limits::default()]);
    has_now(&mut w, owned(&[Limits::default(); 2]));
    // The campaign of single calls has not heard of the second yet.
    let call = place(&mut w, 2, 1);
    let lane = (tandem_domain::id::Entity::call(w.company, call), w.direct());
    w.deliver(lane);
    w.tick_due();
    let back = (w.direct(), lane.0);
    assert!(w.lanes.contains_key(&back), "a permit, and not from that number");
    w.deliver(back);
    w.deliver(lane);
    assert!(w.dialed().is_empty() && end_of(&w, call).is_none());
    w.pass(2 * SECOND);
    assert_eq!(froms(&mut w), [NUMBERS[1]]);
}
