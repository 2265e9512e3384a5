//! Customers.

use super::world::{CALLER, World, eventually, external, reason};
use std::collections::BTreeMap;
use tandem_proto::v1;
use tonic::Code;

const PHONE: &str = "+12025550143";

fn lookup(n: u32) -> v1::LookupRequest {
    let call_id = uuid::Uuid::from_u128(u128::from(n) + 1).to_string();
    v1::LookupRequest { phone: PHONE.into(), call_id, ..<_>::default() }
}

fn by_phone() -> v1::GetCustomerRequest {
    v1::GetCustomerRequest { customer: Some(v1::get_customer_request::Customer::Phone(PHONE.into())) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_calls_at_once_make_one_customer_with_a_hundred_calls() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    // Every call is announced twice.
    let asked: Vec<_> = (0..200)
        .map(|n| {
            let client = client.clone();
            let ask = async move {
                client.customers().lookup(lookup(n % 100)).await.map(tonic::Response::into_inner)
            };
            tokio::spawn(ask)
        })
        .collect();
    let (mut strangers, mut counted, mut ids) = (0, 0, Vec::new());
    for told in asked {
        let told = told.await.expect("asked").expect("told");
        strangers += u32::from(!told.returning);
        counted += u32::from(told.counted);
        ids.push(told.customer.expect("a customer").customer_id);
    }
    ids.dedup();
    assert_eq!((strangers, counted, ids.len()), (1, 100, 1));
    let shown = client.customers().get_customer(by_phone()).await.expect("there").into_inner();
    let shown = shown.customer.expect("a customer");
    assert_eq!((shown.total_calls, shown.phone.as_str()), (100, PHONE));
    assert_eq!(shown.status(), v1::CustomerStatus::Placeholder);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_caller_comes_back_with_their_context() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let mut customers = client.customers();
    let first = customers.lookup(lookup(1)).await.expect("told").into_inner();
    assert!(!first.returning && first.counted);
    let value = v1::Variable { value: Some(v1::variable::Value::Boolean(true)) };
    let update = v1::UpdateCustomerRequest {
        customer: Some(v1::update_customer_request::Customer::Phone("(202) 555-0143".into())),
        ..<_>::default()
    };
    // Without a country a number is not one.
    assert_eq!(reason(&customers.update_customer(update).await.expect_err("no country")), "INVALID_NUMBER");
    let customer_id = first.customer.expect("a customer").customer_id;
    let update = v1::UpdateCustomerRequest {
        customer: Some(v1::update_customer_request::Customer::CustomerId(customer_id)),
        status: v1::CustomerStatus::Customer.into(),
        name: Some("Ada Lovelace".into()),
        variables: BTreeMap::from([("vip".to_owned(), value.clone())]),
        tags: Some(v1::Tags { tags: vec!["founder".into()] }),
        idempotency_key: "u1".into(),
        ..<_>::default()
    };
    let told = customers.update_customer(update.clone()).await.expect("updated").into_inner();
    assert!(!told.replayed && told.customer.expect("a customer").became_customer_at.is_some());
    assert!(customers.update_customer(update).await.expect("replayed").into_inner().replayed);

    let known = customers.lookup(lookup(2)).await.expect("told").into_inner();
    assert!(known.returning && known.counted);
    let known = known.customer.expect("a customer");
    assert_eq!((known.name.as_str(), known.total_calls), ("Ada Lovelace", 2));
    assert_eq!((known.variables["vip"].clone(), known.tags), (value, vec!["founder".to_owned()]));
    let again = customers.lookup(lookup(2)).await.expect("told").into_inner();
    assert!(!again.counted);
    let keyed = v1::LookupRequest { idempotency_key: "l".into(), ..lookup(3) };
    assert!(!customers.lookup(keyed.clone()).await.expect("told").into_inner().replayed);
    assert!(customers.lookup(keyed).await.expect("told").into_inner().replayed);
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_read_newest_first_with_numbers_that_stay() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let mut customers = client.customers();
    customers.lookup(lookup(1)).await.expect("told");
    for n in 0..5 {
        let note = v1::AddNoteRequest {
            customer: Some(v1::add_note_request::Customer::Phone(PHONE.into())),
            text: format!("note {n}"),
            ..<_>::default()
        };
        customers.add_note(note).await.expect("noted");
    }
    let mut request = v1::GetHistoryRequest {
        customer: Some(v1::get_history_request::Customer::Phone(PHONE.into())),
        page_size: 3,
        ..<_>::default()
    };
    let mut read = Vec::new();
    loop {
        let page = customers.get_history(request.clone()).await.expect("read").into_inner();
        read.extend(page.entries);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(read.iter().map(|e| e.number).collect::<Vec<_>>(), [6, 5, 4, 3, 2, 1, 0]);
    let note = |n: &v1::HistoryEntry| match &n.what {
        Some(v1::history_entry::What::NoteAdded(note)) => note.text.clone(),
        _ => String::new(),
    };
    assert_eq!(note(&read[0]), "note 4");
    assert!(matches!(read[6].what, Some(v1::history_entry::What::CustomerCreated(_))));
    assert!(matches!(read[5].what, Some(v1::history_entry::What::CallStarted(_))));

    let nobody = v1::GetHistoryRequest {
        customer: Some(v1::get_history_request::Customer::Phone("+12025550199".into())),
        ..<_>::default()
    };
    assert_eq!(customers.get_history(nobody).await.expect_err("unknown").code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn do_not_call_and_consent_need_no_customer_and_bind_the_next_dial() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let mut customers = client.customers();
    let place = v1::PlaceCallRequest { to: PHONE.into(), plan: Some(external()), ..<_>::default() };
    let placed = client.calls().place_call(place).await.expect("placed").into_inner();
    let begin = v1::ReportCallRequest {
        call_id: placed.call_id,
        step: v1::CarrierStep::Begin.into(),
        from: CALLER.into(),
        ..<_>::default()
    };
    let dnc = v1::SetDoNotCallRequest {
        customer: Some(v1::set_do_not_call_request::Customer::CustomerId(placed.customer_id.clone())),
        idempotency_key: "d".into(),
        ..<_>::default()
    };
    let told = customers.set_do_not_call(dnc.clone()).await.expect("entered").into_inner();
    assert_eq!((told.customer_id.as_str(), told.replayed), (placed.customer_id.as_str(), false));
    assert!(customers.set_do_not_call(dnc).await.expect("replayed").into_inner().replayed);
    let refused = client.calls().report_call(begin.clone()).await.expect_err("forbidden");
    assert_eq!(reason(&refused), "DO_NOT_CALL");
    let clear = v1::ClearDoNotCallRequest {
        customer: Some(v1::clear_do_not_call_request::Customer::Phone(PHONE.into())),
        ..<_>::default()
    };
    customers.clear_do_not_call(clear).await.expect("cleared");

    let revoke = v1::RevokeConsentRequest {
        customer: Some(v1::revoke_consent_request::Customer::Phone(PHONE.into())),
        ..<_>::default()
    };
    customers.revoke_consent(revoke).await.expect("revoked");
    let refused = client.calls().report_call(begin.clone()).await.expect_err("forbidden");
    assert_eq!(reason(&refused), "NO_CONSENT");
    let consent = v1::SetConsentRequest {
        customer: Some(v1::set_consent_request::Customer::Phone(PHONE.into())),
        basis: v1::ConsentBasis::Written.into(),
        ..<_>::default()
    };
    let without = v1::SetConsentRequest { basis: 0, ..consent.clone() };
    assert_eq!(customers.set_consent(without).await.expect_err("on what?").code(), Code::InvalidArgument);
    customers.set_consent(consent).await.expect("given");
    client.calls().report_call(begin).await.expect("permitted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slip_in_an_id_is_nobody() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let nobody = "00000000-0000-4000-8000-000000000000".to_owned();
    let dnc = v1::SetDoNotCallRequest {
        customer: Some(v1::set_do_not_call_request::Customer::CustomerId(nobody.clone())),
        ..<_>::default()
    };
    assert_eq!(client.customers().set_do_not_call(dnc).await.expect_err("nobody").code(), Code::NotFound);
    let get =
        v1::GetCustomerRequest { customer: Some(v1::get_customer_request::Customer::CustomerId(nobody)) };
    assert_eq!(client.customers().get_customer(get).await.expect_err("nobody").code(), Code::NotFound);
    let none = v1::GetCustomerRequest { customer: None };
    assert_eq!(client.customers().get_customer(none).await.expect_err("who?").code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_shown_with_the_customer() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let dnc = v1::SetDoNotCallRequest {
        customer: Some(v1::set_do_not_call_request::Customer::Phone(PHONE.into())),
        source: v1::DoNotCallSource::OptOut.into(),
        ..<_>::default()
    };
    // Entered before anything else was known of them.
    client.customers().set_do_not_call(dnc).await.expect("entered");
    client.customers().lookup(lookup(1)).await.expect("told");
    eventually("it is shown", async || {
        let shown = client.customers().get_customer(by_phone()).await.expect("there").into_inner();
        shown.do_not_call_source() == v1::DoNotCallSource::OptOut
            && shown.do_not_call_since.is_some()
            && shown.customer.is_some_and(|c| c.do_not_call)
    })
    .await;
}
