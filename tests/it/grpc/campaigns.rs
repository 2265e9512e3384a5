//! Campaigns: made, filled, run, explained.

use super::world::{CALLER, Client, World, eventually, reason, settings};
use tandem_proto::v1;
use tokio_stream::StreamExt as _;
use tonic::Code;

pub fn create(name: &str) -> v1::CreateCampaignRequest {
    let settings = v1::CampaignSettings { caller_ids: vec![CALLER.into()], ..settings() };
    v1::CreateCampaignRequest { name: name.into(), settings: Some(settings), ..<_>::default() }
}

pub async fn created(client: &Client, request: v1::CreateCampaignRequest) -> String {
    client.campaigns().create_campaign(request).await.expect("made").into_inner().campaign_id
}

pub async fn shown(client: &Client, campaign_id: &str) -> v1::Campaign {
    let request = v1::GetCampaignRequest { campaign_id: campaign_id.into() };
    client.campaigns().get_campaign(request).await.expect("there").into_inner().campaign.expect("a campaign")
}

/// Adds these numbers.
pub async fn filled(client: &Client, campaign_id: &str, phones: &[&str]) -> v1::ImportContactsResponse {
    let contact =
        |phone: &&str| v1::NewContact { phone: (*phone).into(), name: "Ada".into(), ..<_>::default() };
    let contacts = v1::NewContacts { contacts: phones.iter().map(contact).collect() };
    let header = v1::ImportContactsHeader { campaign_id: campaign_id.into(), ..<_>::default() };
    let messages = [
        v1::import_contacts_request::Content::Header(header),
        v1::import_contacts_request::Content::Contacts(contacts),
    ];
    let messages = messages.map(|content| v1::ImportContactsRequest { content: Some(content) });
    client.campaigns().import_contacts(tokio_stream::iter(messages)).await.expect("imported").into_inner()
}

pub async fn start(client: &Client, campaign_id: &str) {
    let request = v1::StartCampaignRequest { campaign_id: campaign_id.into(), ..<_>::default() };
    client.campaigns().start_campaign(request).await.expect("started");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_runs_to_its_end_and_adds_up() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let campaign = created(&client, create("Spring")).await;
    let phones: Vec<String> = (0..30).map(|n| format!("+12125550{n:03}")).collect();
    let phones: Vec<&str> = phones.iter().map(String::as_str).collect();
    let told = filled(&client, &campaign, &phones).await;
    assert_eq!((told.read, told.added, told.duplicates, told.invalid), (30, 30, 0, 0));
    let again = filled(&client, &campaign, &phones[..5]).await;
    assert_eq!((again.added, again.duplicates), (0, 5));

    start(&client, &campaign).await;
    eventually("the campaign ends", async || {
        shown(&client, &campaign).await.phase() == v1::CampaignPhase::Completed
    })
    .await;
    let ended = shown(&client, &campaign).await;
    let progress = ended.progress.expect("progress");
    assert_eq!((progress.contacts, progress.finished, progress.duplicates), (30, 30, 5));
    let of = |d: v1::Disposition| {
        let found = progress.dispositions.iter().find(|c| c.disposition() == d);
        found.map_or(0, |c| c.count)
    };
    // Of 000 to 029, those that end in 7 are busy.
    assert_eq!((of(v1::Disposition::Completed), of(v1::Disposition::Busy)), (27, 3));
    assert_eq!((progress.in_flight, progress.ready, progress.attempts), (0, 0, 30));
    assert!(ended.started_at.is_some() && ended.ended_at.is_some());

    let list = v1::ListContactsRequest { campaign_id: campaign.clone(), page_size: 20, ..<_>::default() };
    let first = client.campaigns().list_contacts(list.clone()).await.expect("listed").into_inner();
    let rest = v1::ListContactsRequest { page_token: first.next_page_token, ..list };
    let rest = client.campaigns().list_contacts(rest).await.expect("listed").into_inner();
    let contacts: Vec<_> = first.contacts.into_iter().chain(rest.contacts).collect();
    assert_eq!(contacts.iter().map(|c| c.contact).collect::<Vec<_>>(), (0..30).collect::<Vec<_>>());
    assert!(contacts.iter().all(|c| c.attempts == 1 && c.disposition() != v1::Disposition::Unspecified));
    let calls = v1::ListCallsRequest { campaign_id: campaign.clone(), page_size: 500, ..<_>::default() };
    let calls = client.calls().list_calls(calls).await.expect("listed").into_inner().calls;
    assert_eq!(calls.len(), 30);
    assert!(calls.iter().all(|c| contacts.iter().any(|x| x.call_id == c.call_id)));
}

#[tokio::test(flavor = "multi_thread")]
async fn its_life_obeys_its_phases() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let mut campaigns = client.campaigns();
    let campaign_id = created(&client, create("Spring")).await;
    let start = v1::StartCampaignRequest { campaign_id: campaign_id.clone(), ..<_>::default() };
    let refused = campaigns.start_campaign(start.clone()).await.expect_err("nobody to call");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
    let resume = v1::ResumeCampaignRequest { campaign_id: campaign_id.clone(), ..<_>::default() };
    let refused = campaigns.resume_campaign(resume.clone()).await.expect_err("not paused");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "ILLEGAL_TRANSITION"));

    // Nobody can be called before next Wednesday, so it stays where it is told to be.
    let day = v1::calling_hours::Day {
        day: v1::DayOfWeek::Wednesday.into(),
        intervals: vec![v1::calling_hours::Interval { open_minute: 600, close_minute: 660 }],
    };
    let hours = Some(v1::CallingHours { week: vec![day], excluded_dates: Vec::new() });
    let settings = Some(v1::CampaignSettings { hours, ..<_>::default() });
    let update = v1::UpdateCampaignRequest { campaign_id: campaign_id.clone(), settings, ..<_>::default() };
    campaigns.update_campaign(update.clone()).await.expect("changed");
    filled(&client, &campaign_id, &["+12125550100", "+12125550101"]).await;
    campaigns.start_campaign(start).await.expect("started");
    eventually("it runs", async || shown(&client, &campaign_id).await.phase() == v1::CampaignPhase::Running)
        .await;
    let refused = campaigns.update_campaign(update.clone()).await.expect_err("it runs");
    assert_eq!(reason(&refused), "ILLEGAL_TRANSITION");

    let pause = v1::PauseCampaignRequest { campaign_id: campaign_id.clone(), idempotency_key: "p".into() };
    let paused = campaigns.pause_campaign(pause.clone()).await.expect("paused").into_inner();
    let again = campaigns.pause_campaign(pause).await.expect("replayed").into_inner();
    assert_eq!((paused.replayed, again.replayed), (false, true));
    let stands = shown(&client, &campaign_id).await;
    assert_eq!((stands.phase(), stands.reason()), (v1::CampaignPhase::Paused, v1::CampaignReason::Operator));
    campaigns.update_campaign(update).await.expect("changed while it rests");
    campaigns.resume_campaign(resume).await.expect("resumed");
    eventually("it runs", async || shown(&client, &campaign_id).await.phase() == v1::CampaignPhase::Running)
        .await;
    let stop = v1::StopCampaignRequest { campaign_id: campaign_id.clone(), ..<_>::default() };
    campaigns.stop_campaign(stop).await.expect("stopped");
    eventually("it has stopped", async || {
        shown(&client, &campaign_id).await.phase() == v1::CampaignPhase::Stopped
    })
    .await;
    let stopped = shown(&client, &campaign_id).await.progress.expect("progress");
    assert_eq!(stopped.dispositions[0].disposition(), v1::Disposition::Stopped);
    assert_eq!(stopped.finished, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn preflight_tells_who_will_be_skipped_and_when_the_others_can_be_called() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let request = v1::CreateCampaignRequest {
        settings: Some(v1::CampaignSettings {
            // From nine to eight, as the campaigns of people who say nothing.
            hours: None,
            bounds: None,
            ..create("").settings.expect("settings")
        }),
        ..create("Default hours")
    };
    let campaign_id = created(&client, request).await;
    // New York, Los Angeles, a toll-free number that may be anywhere, and one on the list.
    let phones = ["+12125550101", "+12125550102", "+13105550101", "+18005550199", "+12125550103"];
    filled(&client, &campaign_id, &phones).await;
    let dnc = v1::SetDoNotCallRequest {
        customer: Some(v1::set_do_not_call_request::Customer::Phone("+12125550103".into())),
        ..<_>::default()
    };
    client.customers().set_do_not_call(dnc).await.expect("entered");

    // At noon in New York it is nine in Los Angeles; three hours earlier, six.
    let at = |hours: i64| Some(prost_types::Timestamp { seconds: 1_780_416_000 + hours * 3_600, nanos: 0 });
    let preflight = async |at| {
        let request = v1::PreflightCampaignRequest { campaign_id: campaign_id.clone(), at };
        let mut told = client.campaigns().preflight_campaign(request).await.expect("told").into_inner();
        let mut last = None;
        while let Some(message) = told.next().await {
            last = Some(message.expect("told"));
        }
        last.expect("a message")
    };
    let noon = preflight(at(0)).await;
    assert!(noon.complete);
    assert_eq!((noon.scanned, noon.callable), (5, 3));
    let counts = |told: &v1::PreflightCampaignResponse| {
        let mut counts: Vec<_> = told.barred.iter().map(|h| (h.reason.clone(), h.count, h.r#final)).collect();
        counts.sort();
        counts
    };
    let skipped = [("DO_NOT_CALL".to_owned(), 1, true), ("ZONE_UNKNOWN".to_owned(), 1, true)];
    assert_eq!(counts(&noon), skipped);
    let early = preflight(at(-3)).await;
    assert_eq!(early.callable, 2);
    assert!(counts(&early).contains(&("OUTSIDE_HOURS".to_owned(), 1, false)));
    assert_eq!(early.openings.len(), 1);
    assert_eq!(early.openings[0].at, at(0), "nine o'clock in Los Angeles");

    // The same rule, asked one by one.
    let explain = |phone: &str| v1::ExplainContactRequest {
        campaign_id: campaign_id.clone(),
        who: Some(v1::explain_contact_request::Who::Phone(phone.into())),
        at: at(-3),
    };
    let told = client.campaigns().explain_contact(explain(phones[2])).await.expect("told").into_inner();
    let reasons: Vec<_> = told.blocked_by.iter().map(|h| h.reason.as_str()).collect();
    assert_eq!(reasons, ["CAMPAIGN_NOT_RUNNING", "OUTSIDE_HOURS"]);
    assert_eq!(told.blocked_by[1].clears_at, at(0));
    assert_eq!(told.phase(), v1::CampaignPhase::Draft);
    let contact = told.contact.expect("a contact");
    assert_eq!((contact.contact, contact.name.as_str()), (2, "Ada"));
    let told = client.campaigns().explain_contact(explain(phones[4])).await.expect("told").into_inner();
    assert_eq!(told.blocked_by[0].reason, "DO_NOT_CALL");
    let nobody = client.campaigns().explain_contact(explain("+12125550199")).await.expect_err("not in it");
    assert_eq!(nobody.code(), Code::NotFound);
    let none = v1::ExplainContactRequest { who: None, ..explain(phones[0]) };
    assert_eq!(
        client.campaigns().explain_contact(none).await.expect_err("who?").code(),
        Code::InvalidArgument
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_says_what_holds_the_campaign_and_its_contacts_back() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let campaign_id = created(&client, create("Spring")).await;
    let explain = v1::ExplainCampaignRequest { campaign_id: campaign_id.clone(), ..<_>::default() };
    let told = client.campaigns().explain_campaign(explain.clone()).await.expect("told").into_inner();
    assert_eq!(told.blocked_by[0].reason, "CAMPAIGN_NOT_RUNNING");
    assert_eq!(told.blocked_by[0].details["phase"], "draft");
    assert_eq!(told.sampled, 0);
    filled(&client, &campaign_id, &["+12125550101", "+12125550102"]).await;
    let close = v1::CloseCompanyRequest { reason: "emergency".into(), ..<_>::default() };
    client.companies().close_company(close).await.expect("closed");
    let told = client.campaigns().explain_campaign(explain).await.expect("told").into_inner();
    assert_eq!((told.sampled, told.callable), (2, 0));
    assert_eq!(told.blocked_by[0].reason, "COMPANY_CLOSED");
    assert_eq!((told.held[0].reason.as_str(), told.held[0].count), ("COMPANY_CLOSED", 2));
    client.companies().open_company(v1::OpenCompanyRequest::default()).await.expect("opened");
    start(&client, &campaign_id).await;
    eventually("it ends", async || {
        shown(&client, &campaign_id).await.phase() == v1::CampaignPhase::Completed
    })
    .await;
    let explain = v1::ExplainCampaignRequest { campaign_id, ..<_>::default() };
    let told = client.campaigns().explain_campaign(explain).await.expect("told").into_inner();
    assert_eq!((told.sampled, told.finished), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn campaigns_are_listed_newest_first_and_made_once_under_one_key() {
    let world = World::start().await;
    let (company, client) = world.company().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(created(&client, create(&format!("number {n}"))).await);
    }
    let keyed = v1::CreateCampaignRequest { idempotency_key: "k".into(), ..create("keyed") };
    ids.push(created(&client, keyed.clone()).await);
    let again = client.campaigns().create_campaign(keyed).await.expect("replayed").into_inner();
    assert_eq!((&again.campaign_id, again.replayed), (&ids[5], true));
    let mut listed = Vec::new();
    let mut request = v1::ListCampaignsRequest { page_size: 4, ..<_>::default() };
    loop {
        let page = client.campaigns().list_campaigns(request.clone()).await.expect("a page").into_inner();
        listed.extend(page.campaigns.into_iter().map(|c| c.campaign_id));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    ids.reverse();
    assert_eq!(listed, ids);

    // The single calls are no campaign of anybody's.
    let direct = tandem_domain::campaign::direct(company).to_string();
    assert!(shown(&client, &direct).await.single_calls);
    let stop = v1::StopCampaignRequest { campaign_id: direct, ..<_>::default() };
    assert_eq!(
        client.campaigns().stop_campaign(stop).await.expect_err("not so").code(),
        Code::InvalidArgument
    );
}
