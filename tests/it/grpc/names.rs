//! Plans that name carriers and voice agents which the node does not have: refused before anybody is dialed.

use super::campaigns::{create, created, filled, shown, start};
use super::world::{CALLER, Client, World, eventually, external, reason, settings};
use std::sync::Arc;
use tandem::configured::Configured;
use tandem_proto::v1;
use tokio_stream::StreamExt as _;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

fn twilio() -> Configured {
    Configured::default().with_carrier("twilio", true).with_carrier("null", false)
}

/// A door of a node that has this.
async fn door(world: &World, client: &Client, configured: Configured) -> Client {
    world.other_door(client, |options| options.configured = Arc::new(configured)).await
}

fn plan(carrier: &str, provider: &str) -> v1::Plan {
    let agent = v1::Agent {
        provider: (!provider.is_empty()).then(|| provider.to_owned()),
        agent_id: Some("agent_1".into()),
        ..<_>::default()
    };
    v1::Plan { carrier: Some(carrier.into()), agent: Some(agent), ..<_>::default() }
}

fn campaign_by(plan: v1::Plan) -> v1::CreateCampaignRequest {
    let mut request = create("Spring");
    request.settings.get_or_insert_default().plan = Some(plan);
    request
}

/// The field that a refusal names, and what is said of it.
fn field_of(status: &Status) -> (String, String) {
    assert_eq!(
        (status.code(), reason(status).as_str()),
        (Code::InvalidArgument, "INVALID_FIELD"),
        "{status:?}"
    );
    let details = status.get_error_details();
    let violation = &details.bad_request().expect("a field").field_violations[0];
    (violation.field.clone(), violation.description.clone())
}

const NO_NAME: &str = "names no voice agent provider, of which 2 are configured: a, b";
const NONE: &str = "no voice agent provider is configured on this node";

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_that_nobody_could_talk_for_is_not_made() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let two = door(&world, &client, twilio().with_agent("a").with_agent("b")).await;
    let none = door(&world, &client, twilio()).await;
    for (client, plan, field, why) in [
        (&two, plan("twilio", ""), "settings.plan.agent.provider", NO_NAME),
        (
            &two,
            plan("twilio", "c"),
            "settings.plan.agent.provider",
            "named 'c' is configured on this node; configured: a, b",
        ),
        (
            &two,
            plan("main", "a"),
            "settings.plan.carrier",
            "no carrier named 'main' is configured on this node; configured: null, twilio",
        ),
        (&none, plan("twilio", ""), "settings.plan.agent.provider", NONE),
    ] {
        let refused = client.campaigns().create_campaign(campaign_by(plan)).await.expect_err(why);
        let (named, told) = field_of(&refused);
        assert_eq!(named, field);
        assert!(told.contains(why), "{told}");
    }
    for (client, plan) in
        [(&two, plan("twilio", "b")), (&client, plan("twilio", "")), (&none, plan("null", ""))]
    {
        created(client, campaign_by(plan)).await;
    }
    // A change is asked about where it touches the plan.
    let campaign_id = created(&client, create("Autumn")).await;
    let update = |settings| v1::UpdateCampaignRequest {
        campaign_id: campaign_id.clone(),
        settings: Some(settings),
        ..<_>::default()
    };
    let rename = update(v1::CampaignSettings { plan: Some(plan("twilio", "x")), ..<_>::default() });
    let refused = client.campaigns().update_campaign(rename).await.expect_err("nobody of this name");
    assert_eq!(field_of(&refused).0, "settings.plan.agent.provider");
    let gap = v1::CampaignSettings { gap: Some(prost_types::Duration::default()), ..<_>::default() };
    none.campaigns().update_campaign(update(gap)).await.expect("no word of the plan");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_whose_plan_leads_nowhere_any_more_is_not_set_going() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    // Nobody can be called before next Wednesday, so it stays where it is told to be.
    let day = v1::calling_hours::Day {
        day: v1::DayOfWeek::Wednesday.into(),
        intervals: vec![v1::calling_hours::Interval { open_minute: 600, close_minute: 660 }],
    };
    let mut request = create("Spring");
    let settings = request.settings.get_or_insert_default();
    settings.hours = Some(v1::CallingHours { week: vec![day], excluded_dates: Vec::new() });
    let campaign_id = created(&client, request).await;
    filled(&client, &campaign_id, &["+12125550100", "+12125550101"]).await;
    // The node is started again with another configuration.
    let changed = door(&world, &client, twilio().with_agent("a").with_agent("b")).await;

    let begin = v1::StartCampaignRequest { campaign_id: campaign_id.clone(), ..<_>::default() };
    let refused = changed.campaigns().start_campaign(begin.clone()).await.expect_err("nobody could talk");
    let (field, why) = field_of(&refused);
    assert_eq!(field, "settings.plan.agent.provider");
    assert!(why.contains(NO_NAME), "{why}");
    assert_eq!(shown(&client, &campaign_id).await.phase(), v1::CampaignPhase::Draft);

    // It is seen before anybody tries, and not only contact by contact.
    let preflight = async |client: &Client| {
        let request = v1::PreflightCampaignRequest { campaign_id: campaign_id.clone(), at: None };
        let told = client.campaigns().preflight_campaign(request).await.expect("told").into_inner();
        let told: Vec<_> = told.collect().await;
        told.into_iter().last().expect("a message").expect("told")
    };
    let told = preflight(&changed).await;
    assert_eq!((told.complete, told.scanned), (true, 2));
    let [hold] = told.blocked_by.as_slice() else { panic!("{:?}", told.blocked_by) };
    assert_eq!(hold.reason, "NOT_CONFIGURED");
    assert_eq!(hold.details["field"], "plan.agent.provider");
    assert_eq!((hold.details["given"].as_str(), hold.details["configured"].as_str()), ("", "a, b"));
    assert!(hold.description.contains(NO_NAME), "{}", hold.description);
    assert!(preflight(&client).await.blocked_by.is_empty());
    let explain = v1::ExplainCampaignRequest { campaign_id: campaign_id.clone(), ..<_>::default() };
    let told = changed.campaigns().explain_campaign(explain).await.expect("told").into_inner();
    let reasons: Vec<_> = told.blocked_by.iter().map(|hold| hold.reason.as_str()).collect();
    assert_eq!(reasons, ["NOT_CONFIGURED", "CAMPAIGN_NOT_RUNNING"]);

    // Nor is one resumed; and one that runs is answered as ever.
    start(&client, &campaign_id).await;
    eventually("it runs", async || shown(&client, &campaign_id).await.phase() == v1::CampaignPhase::Running)
        .await;
    changed.campaigns().start_campaign(begin).await.expect("it runs already");
    let pause = v1::PauseCampaignRequest { campaign_id: campaign_id.clone(), ..<_>::default() };
    changed.campaigns().pause_campaign(pause).await.expect("paused");
    let resume = v1::ResumeCampaignRequest { campaign_id: campaign_id.clone(), ..<_>::default() };
    let refused = changed.campaigns().resume_campaign(resume.clone()).await.expect_err("nobody could talk");
    assert_eq!(field_of(&refused).0, "settings.plan.agent.provider");
    client.campaigns().resume_campaign(resume).await.expect("resumed");
    let nobody = v1::StartCampaignRequest { campaign_id: uuid(), ..<_>::default() };
    let refused = changed.campaigns().start_campaign(nobody).await.expect_err("there is none");
    assert_eq!(refused.code(), Code::NotFound);
}

fn uuid() -> String {
    uuid::Uuid::from_bytes([9; 16]).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_call_that_nobody_could_talk_in_is_not_taken() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let two = door(&world, &client, twilio().with_agent("a").with_agent("b")).await;
    let place =
        |plan: Option<v1::Plan>| v1::PlaceCallRequest { to: "+12025550143".into(), plan, ..<_>::default() };
    // The company's own plan names no provider.
    for (wanted, field) in [
        (None, "plan.agent.provider"),
        (Some(plan("twilio", "c")), "plan.agent.provider"),
        (Some(plan("other", "a")), "plan.carrier"),
    ] {
        let refused = two.calls().place_call(place(wanted)).await.expect_err("nobody could talk");
        assert_eq!(field_of(&refused).0, field);
    }
    let calls = v1::ListCallsRequest::default();
    assert_eq!(two.calls().list_calls(calls).await.expect("listed").into_inner().calls, []);
    for wanted in [plan("twilio", "a"), external()] {
        two.calls().place_call(place(Some(wanted))).await.expect("placed");
    }
    client.calls().place_call(place(None)).await.expect("the only one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_company_cannot_have_its_single_calls_made_by_nobody() {
    let world = World::start().await;
    let admin = world.admin();
    let two = door(&world, &admin, twilio().with_agent("a").with_agent("b")).await;
    let company = |plan: Option<v1::Plan>| v1::CreateCompanyRequest {
        name: "Acme".into(),
        caller_ids: vec![v1::CallerId { number: CALLER.into(), limits: None }],
        single_calls: Some(v1::CampaignSettings { plan, ..settings() }),
        ..<_>::default()
    };
    for (wanted, field) in [
        (plan("twilio", ""), "single_calls.plan.agent.provider"),
        (plan("twilio", "c"), "single_calls.plan.agent.provider"),
        (plan("other", "a"), "single_calls.plan.carrier"),
    ] {
        let refused =
            two.companies().create_company(company(Some(wanted))).await.expect_err("nobody could talk");
        assert_eq!(field_of(&refused).0, field);
    }
    // Each call names its own agent; or the company says nothing of its calls.
    let bare = v1::Plan { carrier: Some("twilio".into()), ..<_>::default() };
    for plan in [Some(bare), None] {
        two.companies().create_company(company(plan)).await.expect("made");
    }
    let made =
        two.companies().create_company(company(Some(plan("twilio", "b")))).await.expect("made").into_inner();
    let client = two.clone();
    let company_id = made.company.expect("a company").company_id;
    let update = |settings| v1::UpdateCompanyRequest {
        company_id: company_id.clone(),
        single_calls: Some(settings),
        ..<_>::default()
    };
    let change = v1::CampaignSettings { plan: Some(plan("twilio", "c")), ..<_>::default() };
    let refused = client.companies().update_company(update(change)).await.expect_err("nobody could talk");
    assert_eq!(field_of(&refused).0, "single_calls.plan.agent.provider");
    let gap = v1::CampaignSettings { gap: Some(prost_types::Duration::default()), ..<_>::default() };
    let fewer = door(&world, &admin, twilio()).await;
    fewer.companies().update_company(update(gap)).await.expect("no word of the plan");
}
