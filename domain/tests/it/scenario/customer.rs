//! People: what is known of them from the first moment on.

use crate::world::World;
use crate::world::setup::{person, phone, plain};
use tandem_domain::call::{CarrierStep, Command, Plan};
use tandem_domain::campaign::Limits;
use tandem_domain::customer::{self, Entry, Recognise};
use tandem_domain::id::CallId;
use tandem_domain::retry::{Disposition, Outcome};
use tandem_domain::row::{ConsentBasis, DncSource, Priority};

fn opted_out() -> World {
    let mut w = World::ordinary(Limits::default());
    let command = customer::Command::DoNotCall { source: DncSource::List, call: None };
    w.tell_customer(person(2), command).expect("taken");
    w.tell_customer(person(2), customer::Command::Consent { basis: ConsentBasis::Written }).expect("taken");
    assert!(w.customers.is_empty(), "an entry of a list makes nobody a customer");
    w
}

/// Came into being with what had been said before.
fn knows_it(w: &World) {
    let s = &w.customers[&person(2)].state;
    assert!(s.do_not_call, "{s:?}");
    assert_eq!(s.consent, Some(ConsentBasis::Written));
    let log = &w.customers[&person(2)].log;
    let first: Vec<_> = log.iter().map(|event| Entry::from(event.what.clone())).collect();
    assert_eq!(first[0], Entry::CustomerCreated);
    assert_eq!(first[1], Entry::DoNotCall { source: DncSource::List });
    assert_eq!(first[2], Entry::ConsentGiven { basis: ConsentBasis::Written });
}

fn recognise(call: u128) -> customer::Command {
    customer::Command::Recognise(Box::new(Recognise {
        call: CallId(uuid::Uuid::from_u128(call)),
        phone: phone(2),
        last4: *b"0100",
        new_key: None,
    }))
}

#[test]
fn who_calls_in_after_an_opt_out_is_known_to_have_opted_out() {
    let mut w = opted_out();
    w.tell_customer(person(2), recognise(1)).expect("recognised");
    knows_it(&w);
    // And is told apart from somebody who took it back.
    w.tell_customer(person(2), customer::Command::AllowCalls).expect("taken");
    assert!(!w.customers[&person(2)].state.do_not_call);
    w.check();
}

#[test]
fn a_contact_of_a_campaign_who_opted_out_is_known_to_have_opted_out() {
    let mut w = opted_out();
    let id = w.running(0, plain(), [2]);
    w.flow();
    assert_eq!(w.campaign(id).counts.of(Disposition::DoNotCall), 1);
    knows_it(&w);
    w.check();
}

#[test]
fn who_is_called_singly_after_an_opt_out_is_known_to_have_opted_out() {
    let mut w = opted_out();
    let order = w.order(2, plain().plan, None, Priority::Normal);
    let call = w.place(order);
    w.flow();
    assert_eq!(w.call(call).ended.as_ref().map(|e| e.disposition), Some(Disposition::DoNotCall));
    knows_it(&w);
    w.check();
}

#[test]
fn who_opts_out_during_a_call_that_is_reported_is_known_to_have_opted_out() {
    let mut w = World::ordinary(Limits::default());
    let plan = Plan { carrier: Plan::EXTERNAL.into(), ..plain().plan };
    let order = w.order(2, plan, None, Priority::Normal);
    let call = w.place(order);
    let step = Command::Step;
    w.tell_call(call, step(CarrierStep::Begin { from: String::new() })).expect("permitted");
    w.tell_call(call, step(CarrierStep::Answered { attempt: 1, answered_by: None })).expect("taken");
    let said = customer::Command::DoNotCall { source: DncSource::OptOut, call: Some(call) };
    w.tell_customer(person(2), said).expect("taken");
    let end = CarrierStep::Ended { attempt: 1, outcome: Outcome::Answered };
    w.tell_call(call, step(end)).expect("taken");
    w.flow();
    let s = &w.customers[&person(2)].state;
    assert!(s.do_not_call && s.total_calls == 1, "{s:?}");
    w.check();
}
