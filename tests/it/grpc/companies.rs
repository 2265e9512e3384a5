//! Companies.

use super::world::{CALLER, World, external, reason, settings};
use tandem_proto::v1;
use tonic::Code;

#[tokio::test(flavor = "multi_thread")]
async fn the_first_key_is_shown_once() {
    let world = World::start().await;
    let mut admin = world.admin().companies();
    let request = v1::CreateCompanyRequest {
        name: " Acme ".into(),
        caller_ids: vec![v1::CallerId { number: "+1 (202) 555-0100".into(), limits: None }],
        single_calls: Some(settings()),
        idempotency_key: "acme".into(),
        ..<_>::default()
    };
    let made = admin.create_company(request.clone()).await.expect("made").into_inner();
    let company = made.company.clone().expect("a company");
    assert_eq!((company.name.as_str(), company.caller_ids[0].number.as_str()), ("Acme", CALLER));
    assert!(company.open && made.secret.starts_with("tdm_"));
    let key = made.key.expect("a key");
    assert_eq!((key.scopes.len(), key.name.as_str()), (8, "first"));
    assert!(made.secret.contains(&key.key_id));

    let again = admin.create_company(request).await.expect("replayed").into_inner();
    assert!(again.replayed && again.secret.is_empty());
    assert_eq!(again.company.expect("a company").company_id, company.company_id);
    assert_eq!(again.key.expect("a key").key_id, key.key_id);
    // It is the first key that stands.
    let client = world.client(&made.secret);
    client.companies().get_company(v1::GetCompanyRequest::default()).await.expect("valid");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_sees_all_companies_and_works_for_the_one_that_is_named() {
    let world = World::start().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(world.company().await.0.to_string());
    }
    ids.sort();
    let mut admin = world.admin().companies();
    let mut listed = Vec::new();
    let mut request = v1::ListCompaniesRequest { page_size: 2, ..<_>::default() };
    loop {
        let page = admin.list_companies(request.clone()).await.expect("a page").into_inner();
        listed.extend(page.companies.into_iter().map(|c| c.company_id));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(listed, ids);
    let unnamed = admin.get_company(v1::GetCompanyRequest::default()).await.expect_err("which?");
    assert_eq!(unnamed.code(), Code::InvalidArgument);
    let get = v1::GetCompanyRequest { company_id: ids[1].clone() };
    admin.get_company(get).await.expect("the operator may");
    let create = v1::CreateKeyRequest {
        company_id: ids[1].clone(),
        scopes: vec![v1::Scope::CallsRead.into()],
        idempotency_key: "k".into(),
        ..<_>::default()
    };
    let made = admin.create_key(create.clone()).await.expect("made").into_inner();
    let client = world.client(&made.secret);
    client.calls().list_calls(v1::ListCallsRequest::default()).await.expect("valid");
    let again = admin.create_key(create).await.expect("replayed").into_inner();
    assert!(again.replayed && again.secret.is_empty());
    assert_eq!(again.key, made.key);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_stop_forbids_every_dial_until_it_is_lifted() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let place = v1::PlaceCallRequest { to: "+12025550143".into(), plan: Some(external()), ..<_>::default() };
    let call_id = client.calls().place_call(place).await.expect("placed").into_inner().call_id;
    let begin = v1::ReportCallRequest {
        call_id,
        step: v1::CarrierStep::Begin.into(),
        from: CALLER.into(),
        ..<_>::default()
    };
    let close = v1::CloseCompanyRequest { reason: "a complaint".into(), ..<_>::default() };
    client.companies().close_company(close).await.expect("closed");
    let company = client.companies().get_company(v1::GetCompanyRequest::default()).await.expect("there");
    let company = company.into_inner().company.expect("a company");
    assert_eq!((company.open, company.closed_reason.as_str()), (false, "a complaint"));
    let refused = client.calls().report_call(begin.clone()).await.expect_err("stopped");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "COMPANY_CLOSED"));
    client.companies().open_company(v1::OpenCompanyRequest::default()).await.expect("opened");
    client.calls().report_call(begin).await.expect("permitted");
    let empty = client.companies().close_company(v1::CloseCompanyRequest::default()).await;
    assert_eq!(empty.expect_err("why?").code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_update_leaves_out_stays() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let limits = v1::Limits { concurrency: Some(7), ..<_>::default() };
    let update = v1::UpdateCompanyRequest { limits: Some(limits), ..<_>::default() };
    let first = client.companies().update_company(update).await.expect("updated").into_inner();
    let first = first.company.expect("a company");
    let gap = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    let single_calls = Some(v1::CampaignSettings { gap, ..<_>::default() });
    let update = v1::UpdateCompanyRequest { single_calls, ..<_>::default() };
    let second = client.companies().update_company(update).await.expect("updated").into_inner();
    let second = second.company.expect("a company");
    assert_eq!(second.limits.expect("limits").concurrency, Some(7));
    assert_eq!(second.caller_ids, first.caller_ids);
    let (before, after) = (first.single_calls.expect("settings"), second.single_calls.expect("settings"));
    assert_eq!((after.gap, after.plan), (gap, before.plan));
    assert_eq!(after.hours, before.hours);
}
