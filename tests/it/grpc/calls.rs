//! Calls.

use super::world::{CALLER, Client, World, eventually, external, metadata, reason};
use std::collections::BTreeMap;
use std::time::Duration;
use tandem_domain::agent::Speaker;
use tandem_domain::call::{Call, Command, SaidTurn};
use tandem_domain::id::{CallId, CompanyId, Entity};
use tandem_proto::v1;
use tonic::{Code, Request};
use v1::CarrierStep as Step;

const TO: &str = "+12025550143";

fn place(to: &str) -> v1::PlaceCallRequest {
    v1::PlaceCallRequest { to: to.into(), plan: Some(external()), ..<_>::default() }
}

async fn placed(client: &Client, request: v1::PlaceCallRequest) -> v1::PlaceCallResponse {
    client.calls().place_call(request).await.expect("placed").into_inner()
}

fn step(call_id: &str, step: Step) -> v1::ReportCallRequest {
    v1::ReportCallRequest {
        call_id: call_id.into(),
        step: step.into(),
        attempt: if step == Step::Begin { 0 } else { 1 },
        from: if step == Step::Begin { CALLER.into() } else { String::new() },
        outcome: if step == Step::Ended { v1::Outcome::Answered.into() } else { 0 },
        ..<_>::default()
    }
}

async fn report(client: &Client, request: v1::ReportCallRequest) -> v1::CallStatus {
    let told = client.calls().report_call(request).await.expect("taken").into_inner();
    told.status.expect("a status")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_the_application_dials_goes_through_its_life() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let text = v1::Variable { value: Some(v1::variable::Value::Text("gold".into())) };
    let request = v1::PlaceCallRequest {
        to: "(202) 555-0143".into(),
        default_region: "us".into(),
        name: "Ada Lovelace".into(),
        variables: BTreeMap::from([("plan".to_owned(), text)]),
        ..place("")
    };
    let call = placed(&client, request).await;
    assert_eq!(call.status.expect("a status").phase(), v1::CallPhase::Queued);
    assert!(!call.replayed);

    let phases = [
        (Step::Begin, v1::CallPhase::Dispatching),
        (Step::Ringing, v1::CallPhase::Ringing),
        (Step::Answered, v1::CallPhase::InProgress),
        (Step::Talking, v1::CallPhase::InProgress),
        (Step::Ended, v1::CallPhase::Ended),
    ];
    for (name, phase) in phases {
        let status = report(&client, step(&call.call_id, name)).await;
        assert_eq!((status.phase(), status.attempt), (phase, 1), "{name:?}");
    }

    let shown = client.calls().get_call(v1::GetCallRequest { call_id: call.call_id.clone() }).await;
    let shown = shown.expect("there").into_inner().call.expect("a call");
    assert_eq!(shown.phone, TO);
    assert_eq!((shown.name.as_str(), shown.phone_last4.as_str()), ("Ada Lovelace", "0143"));
    assert!(shown.variables.contains_key("plan"));
    assert_eq!(shown.disposition(), v1::Disposition::Completed);
    assert_eq!(shown.attempts.len(), 1);
    assert_eq!(shown.attempts[0].outcome(), v1::Outcome::Answered);
    assert_eq!(shown.whereabouts.expect("known").time_zones, ["America/New_York"]);
    // The customer hears of it by a message.
    let named = v1::get_customer_request::Customer::Phone(TO.into());
    eventually("the customer counts the call", async || {
        let request = v1::GetCustomerRequest { customer: Some(named.clone()) };
        let told = client.customers().get_customer(request).await;
        told.is_ok_and(|c| c.into_inner().customer.is_some_and(|c| c.total_calls == 1))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_a_carrier_is_dialed_and_ends() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let call = placed(&client, v1::PlaceCallRequest { to: TO.into(), ..<_>::default() }).await;
    eventually("the call ends", async || {
        let request = v1::GetCallRequest { call_id: call.call_id.clone() };
        let shown = client.calls().get_call(request).await.expect("there").into_inner().call;
        shown.is_some_and(|c| c.disposition() == v1::Disposition::Completed)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_gives_the_same_call_and_another_request_is_refused() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let text = |t: &str| v1::Variable { value: Some(v1::variable::Value::Text(t.into())) };
    let variables: BTreeMap<_, _> = (0..20).map(|n| (format!("v{n}"), text("x"))).collect();
    let request = v1::PlaceCallRequest { idempotency_key: "order 66".into(), variables, ..place(TO) };
    let first = placed(&client, request.clone()).await;
    let again = placed(&client, request.clone()).await;
    assert_eq!((again.call_id.as_str(), again.replayed), (first.call_id.as_str(), true));
    assert!(!first.replayed);
    let other = v1::PlaceCallRequest { priority: v1::Priority::High.into(), ..request.clone() };
    let refused = client.calls().place_call(other).await.expect_err("another request");
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::FailedPrecondition, "IDEMPOTENCY_KEY_REUSED")
    );
    let list = client.calls().list_calls(v1::ListCallsRequest::default()).await.expect("listed").into_inner();
    assert_eq!(list.calls.len(), 1);

    // A step, too, is taken once.
    let begin = v1::ReportCallRequest { idempotency_key: "b".into(), ..step(&first.call_id, Step::Begin) };
    let first = client.calls().report_call(begin.clone()).await.expect("begun").into_inner();
    let again = client.calls().report_call(begin).await.expect("replayed").into_inner();
    assert_eq!((first.replayed, again.replayed), (false, true));
    assert_eq!(first.status, again.status);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_place_the_first_call_to_one_person_at_once_all_get_through() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { placed(&client, place(TO)).await.call_id })
        })
        .collect();
    let mut ids = Vec::new();
    for call in calls {
        let call_id = call.await.expect("placed");
        // Whoever's key was stored, the number is sealed with it.
        let shown = client.calls().get_call(v1::GetCallRequest { call_id: call_id.clone() }).await;
        assert_eq!(shown.expect("there").into_inner().call.expect("a call").phone, TO);
        ids.push(call_id);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_forbids_the_dial_is_named_and_explained() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let call = placed(&client, place(TO)).await;
    let explain = v1::ExplainCallRequest { call_id: call.call_id.clone(), at: None };
    let told = client.calls().explain_call(explain.clone()).await.expect("told").into_inner();
    assert_eq!(told.blocked_by, Vec::new());
    assert!(told.hours_close_at.is_some());

    let dnc = v1::SetDoNotCallRequest {
        customer: Some(v1::set_do_not_call_request::Customer::Phone(TO.into())),
        ..<_>::default()
    };
    client.customers().set_do_not_call(dnc).await.expect("entered");
    let refused = client.calls().report_call(step(&call.call_id, Step::Begin)).await.expect_err("forbidden");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "DO_NOT_CALL"));
    assert_eq!(metadata(&refused, "final").as_deref(), Some("true"));
    let told = client.calls().explain_call(explain).await.expect("told").into_inner();
    assert_eq!(told.blocked_by.iter().map(|h| h.reason.as_str()).collect::<Vec<_>>(), ["DO_NOT_CALL"]);
    assert!(told.blocked_by[0].r#final);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hours_of_the_called_person_hold_and_say_when_they_open() {
    let world = World::start().await;
    let (company, client) = world.company().await;
    let hours = v1::CallingHours {
        week: vec![v1::calling_hours::Day {
            day: v1::DayOfWeek::Wednesday.into(),
            intervals: vec![v1::calling_hours::Interval { open_minute: 600, close_minute: 660 }],
        }],
        excluded_dates: Vec::new(),
    };
    let settings = v1::CampaignSettings { hours: Some(hours), ..<_>::default() };
    let update = v1::UpdateCompanyRequest { single_calls: Some(settings), ..<_>::default() };
    client.companies().update_company(update).await.expect("updated");
    let call = placed(&client, place(TO)).await;
    let refused = client.calls().report_call(step(&call.call_id, Step::Begin)).await.expect_err("closed");
    assert_eq!(reason(&refused), "OUTSIDE_HOURS");
    // Tuesday noon is before Wednesday, ten o'clock in New York.
    assert_eq!(metadata(&refused, "clears_at").as_deref(), Some("2026-06-03T14:00:00Z"));
    let at = Some(prost_types::Timestamp { seconds: 1_780_495_200, nanos: 0 });
    let explain = v1::ExplainCallRequest { call_id: call.call_id, at };
    let told = client.calls().explain_call(explain).await.expect("told").into_inner();
    assert_eq!(told.blocked_by, Vec::new(), "open at ten");
    let get = v1::GetCompanyRequest { company_id: company.to_string() };
    client.companies().get_company(get).await.expect("still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_out_of_order_change_nothing() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let call = placed(&client, place(TO)).await;
    for early in [Step::Ringing, Step::Answered, Step::Talking, Step::Ended] {
        let refused = client.calls().report_call(step(&call.call_id, early)).await.expect_err("too early");
        assert_eq!(reason(&refused), "ILLEGAL_TRANSITION", "{early:?}");
        assert_eq!(metadata(&refused, "state").as_deref(), Some("queued"));
    }
    let mut carried = v1::PlaceCallRequest { to: TO.into(), ..<_>::default() };
    carried.not_before = Some(prost_types::Timestamp { seconds: 1_790_000_000, nanos: 0 });
    let carried = placed(&client, carried).await;
    let refused =
        client.calls().report_call(step(&carried.call_id, Step::Begin)).await.expect_err("a carrier's");
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_filtered_and_paged() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let mut ids = Vec::new();
    for n in 0..7 {
        let to = if n % 2 == 0 { TO.to_owned() } else { format!("+1202555015{n}") };
        ids.push(placed(&client, place(&to)).await.call_id);
    }
    let hangup = v1::HangupCallRequest { call_id: ids[3].clone(), ..<_>::default() };
    let status =
        client.calls().hangup_call(hangup).await.expect("ended").into_inner().status.expect("a status");
    assert_eq!(status.disposition(), v1::Disposition::Canceled);

    let all = collected(&client, v1::ListCallsRequest { page_size: 3, ..<_>::default() }).await;
    let mut newest_first = ids.clone();
    newest_first.reverse();
    assert_eq!(all, newest_first);
    let of_one = v1::ListCallsRequest {
        customer: Some(v1::list_calls_request::Customer::Phone(TO.into())),
        page_size: 2,
        ..<_>::default()
    };
    assert_eq!(collected(&client, of_one.clone()).await.len(), 4);
    let canceled = v1::Disposition::Canceled.into();
    let ended = v1::ListCallsRequest { disposition: canceled, ..<_>::default() };
    assert_eq!(collected(&client, ended).await, [ids[3].clone()]);
    let both = v1::ListCallsRequest { disposition: canceled, ..of_one.clone() };
    assert_eq!(collected(&client, both).await, Vec::<String>::new());
    let later = Some(prost_types::Timestamp { seconds: 1_790_000_000, nanos: 0 });
    assert!(collected(&client, v1::ListCallsRequest { since: later, ..<_>::default() }).await.is_empty());
    assert_eq!(collected(&client, v1::ListCallsRequest { until: later, ..<_>::default() }).await.len(), 7);

    // A token belongs to its list.
    let first = client.calls().list_calls(of_one).await.expect("a page").into_inner();
    let stray = v1::ListCallsRequest { page_token: first.next_page_token, page_size: 2, ..<_>::default() };
    let refused = client.calls().list_calls(stray).await.expect_err("another list");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "INVALID_PAGE_TOKEN"));
}

async fn collected(client: &Client, mut request: v1::ListCallsRequest) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..100 {
        let page = client.calls().list_calls(request.clone()).await.expect("a page").into_inner();
        ids.extend(page.calls.into_iter().map(|c| c.call_id));
        if page.next_page_token.is_empty() {
            return ids;
        }
        request.page_token = page.next_page_token;
    }
    panic!("a list without an end");
}

/// Lets something be said in a call, as the media bridge would.
async fn say(world: &World, company: CompanyId, call_id: &str, texts: &[&str]) {
    let call: CallId = call_id.parse().expect("an id");
    let entity = Entity::call(company, call);
    let state = world.handle().read::<Call>(entity).await.expect("readable").expect("there").state;
    let key = world.handle().vault().person(company, state.customer.expect("a person")).await.expect("a key");
    let turns = texts.iter().map(|text| SaidTurn {
        at: world.now(),
        speaker: Speaker::Agent,
        text: key.seal(text.as_bytes()).expect("sealed"),
    });
    let said = Command::Said { attempt: 1, generation: 1, turns: turns.collect() };
    world.handle().send::<Call>(entity, said, None).await.expect("said");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_is_read_in_order_and_in_pages() {
    let world = World::start().await;
    let (company, client) = world.company().await;
    let call_id = placed(&client, place(TO)).await.call_id;
    let empty = v1::GetTranscriptRequest { call_id: call_id.clone(), ..<_>::default() };
    let turns = client.calls().get_transcript(empty.clone()).await.expect("read").into_inner().turns;
    assert!(turns.is_empty());
    for name in [Step::Begin, Step::Ringing, Step::Answered, Step::Talking] {
        report(&client, step(&call_id, name)).await;
    }
    say(&world, company, &call_id, &["zero", "one", "two"]).await;
    say(&world, company, &call_id, &["three", "four"]).await;
    let mut read = Vec::new();
    let mut request = v1::GetTranscriptRequest { page_size: 2, ..empty };
    loop {
        let page = client.calls().get_transcript(request.clone()).await.expect("read").into_inner();
        read.extend(page.turns.into_iter().map(|t| (t.number, t.text)));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let expected = ["zero", "one", "two", "three", "four"];
    assert_eq!(read, (0..).zip(expected.map(str::to_owned)).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_are_sealed_and_shown() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let call_id = placed(&client, place(TO)).await.call_id;
    let annotate = v1::AnnotateCallRequest {
        call_id: call_id.clone(),
        note: Some("wants a quote".into()),
        flagged: Some(true),
        ..<_>::default()
    };
    client.calls().annotate_call(annotate.clone()).await.expect("noted");
    let shown = client.calls().get_call(v1::GetCallRequest { call_id: call_id.clone() }).await;
    let shown = shown.expect("there").into_inner().call.expect("a call");
    assert_eq!((shown.note.as_str(), shown.flagged), ("wants a quote", true));
    for bad in [
        v1::AnnotateCallRequest { call_id, note: None, flagged: None, ..<_>::default() },
        v1::AnnotateCallRequest { note: Some("x".repeat(4_001)), ..annotate },
    ] {
        let refused = client.calls().annotate_call(bad).await.expect_err("refused");
        assert_eq!(reason(&refused), "INVALID_FIELD");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_has_passed_is_told_as_such() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    // A deadline that the client sets, the client keeps too, and often first; the node's own shows what the
    // node says.
    let hasty = world.other_door(&client, |options| options.timeout = Duration::ZERO).await;
    let told = hasty.calls().place_call(place(TO)).await.expect_err("too late");
    assert_eq!(told.code(), Code::DeadlineExceeded, "{told:?}");
    assert_eq!(reason(&told), "DEADLINE");
    let list = client.calls().list_calls(v1::ListCallsRequest::default()).await.expect("listed").into_inner();
    assert!(list.calls.is_empty(), "nothing was begun");
    let mut early = Request::new(place(TO));
    early.set_timeout(Duration::from_secs(20));
    client.calls().place_call(early).await.expect("in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_company_without_a_number_to_call_from_is_told_so() {
    let world = World::start().await;
    let request = v1::CreateCompanyRequest {
        name: "No numbers".into(),
        single_calls: Some(super::world::settings()),
        ..<_>::default()
    };
    let made = world.make_company(request).await;
    let client = world.client(&made.secret);
    let call = v1::PlaceCallRequest { to: TO.into(), ..<_>::default() };
    let refused = client.calls().place_call(call.clone()).await.expect_err("no caller id");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "NO_CALLER_ID"));
    // As soon as there is one, it is used.
    let caller_ids = vec![v1::CallerId { number: CALLER.into(), limits: None }];
    let caller_ids = Some(v1::CallerIds { caller_ids });
    let update = v1::UpdateCompanyRequest { caller_ids, ..<_>::default() };
    client.companies().update_company(update).await.expect("updated");
    client.calls().place_call(call).await.expect("placed");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_the_company_is_shown_as_the_caller() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let from = |from: &str| v1::PlaceCallRequest { to: TO.into(), from: from.into(), ..<_>::default() };
    let strange = client.calls().place_call(from("+12025550177")).await.expect_err("not its own");
    assert_eq!((strange.code(), reason(&strange).as_str()), (Code::InvalidArgument, "NOT_A_CALLER_ID"));
    let garbage = client.calls().place_call(from("202")).await.expect_err("no number");
    assert_eq!(reason(&garbage), "INVALID_FIELD");
    placed(&client, from(CALLER)).await;

    let call = placed(&client, place("+12025550144")).await;
    let begin = |from: &str| v1::ReportCallRequest { from: from.into(), ..step(&call.call_id, Step::Begin) };
    let strange = client.calls().report_call(begin("+12025550177")).await.expect_err("not its own");
    assert_eq!((strange.code(), reason(&strange).as_str()), (Code::InvalidArgument, "NOT_A_CALLER_ID"));
    assert_eq!(report(&client, begin("")).await.phase(), v1::CallPhase::Dispatching);
}
