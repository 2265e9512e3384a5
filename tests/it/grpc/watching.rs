//! Watches: every event once, in order, from wherever one goes on.

use super::campaigns::{create, created, filled, start};
use super::world::{CALLER, Client, World, external};
use std::time::Duration;
use tandem_proto::v1;
use tokio_stream::StreamExt as _;
use tonic::{Code, Request};
use v1::CarrierStep as Step;

const TO: &str = "+12025550143";

async fn placed(client: &Client) -> String {
    let place = v1::PlaceCallRequest { to: TO.into(), plan: Some(external()), ..<_>::default() };
    client.calls().place_call(place).await.expect("placed").into_inner().call_id
}

async fn report(client: &Client, call_id: &str, step: Step) {
    let request = v1::ReportCallRequest {
        call_id: call_id.into(),
        step: step.into(),
        attempt: if step == Step::Begin { 0 } else { 1 },
        from: CALLER.into(),
        outcome: if step == Step::Ended { v1::Outcome::Answered.into() } else { 0 },
        ..<_>::default()
    };
    client.calls().report_call(request).await.expect("taken");
}

const STEPS: [Step; 5] = [Step::Begin, Step::Ringing, Step::Answered, Step::Talking, Step::Ended];

async fn watched(client: &Client, request: v1::WatchCallRequest) -> Vec<v1::CallEvent> {
    let stream = client.calls().watch_call(request).await.expect("watching").into_inner();
    stream.map(|m| m.expect("told").event.expect("an event")).collect().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_sees_every_event_while_it_happens_and_the_stream_ends_with_the_call() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let call_id = placed(&client).await;
    let request = v1::WatchCallRequest { call_id: call_id.clone(), ..<_>::default() };
    let watcher = tokio::spawn({
        let (client, request) = (client.clone(), request.clone());
        async move { watched(&client, request).await }
    });
    for step in STEPS {
        report(&client, &call_id, step).await;
    }
    let live =
        tokio::time::timeout(Duration::from_secs(20), watcher).await.expect("it ends").expect("watched");
    let numbers: Vec<u64> = live.iter().map(|e| e.event).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    assert!(matches!(live[0].what, Some(v1::call_event::What::Created(_))));
    assert!(matches!(live.last().expect("events").what, Some(v1::call_event::What::Ended(_))));
    // Whoever comes later sees the same.
    assert_eq!(watched(&client, request.clone()).await, live);
    // Whoever resumes sees the rest, from any place.
    for after in 0..=live.len() {
        let resumed = v1::WatchCallRequest { after_event: after as u64, ..request.clone() };
        assert_eq!(watched(&client, resumed).await, live[after..], "after {after}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_stays_sees_what_follows_the_end() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let call_id = placed(&client).await;
    for step in STEPS {
        report(&client, &call_id, step).await;
    }
    let request = v1::WatchCallRequest { call_id: call_id.clone(), keep_open: true, ..<_>::default() };
    let mut stream = client.calls().watch_call(request).await.expect("watching").into_inner();
    loop {
        let event = stream.next().await.expect("open").expect("told").event.expect("an event");
        if matches!(event.what, Some(v1::call_event::What::Ended(_))) {
            break;
        }
    }
    let annotate = v1::AnnotateCallRequest { call_id, flagged: Some(true), ..<_>::default() };
    client.calls().annotate_call(annotate).await.expect("flagged");
    let event = stream.next().await.expect("open").expect("told").event.expect("an event");
    assert!(matches!(event.what, Some(v1::call_event::What::Annotated(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_with_its_deadline() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let call_id = placed(&client).await;
    let mut request = Request::new(v1::WatchCallRequest { call_id, after_event: 100, ..<_>::default() });
    // Long enough for the stream to begin; the client keeps its deadline until then and no longer.
    request.metadata_mut().insert("grpc-timeout", "2S".parse().expect("ASCII"));
    let mut stream = client.calls().watch_call(request).await.expect("watching").into_inner();
    let ended = stream.next().await.expect("a word").expect_err("the deadline");
    assert_eq!(ended.code(), Code::DeadlineExceeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_is_watched_event_by_event_or_as_a_whole() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let campaign_id = created(&client, create("Spring")).await;
    let watch = v1::WatchCampaignRequest { campaign_id: campaign_id.clone(), ..<_>::default() };
    let collect = |request: v1::WatchCampaignRequest| {
        let client = client.clone();
        tokio::spawn(async move {
            let stream = client.campaigns().watch_campaign(request).await.expect("watching").into_inner();
            stream.map(|m| m.expect("told")).collect::<Vec<_>>().await
        })
    };
    let every = Some(prost_types::Duration { seconds: 0, nanos: 100_000_000 });
    let events = collect(watch.clone());
    let wholes = collect(v1::WatchCampaignRequest { progress_every: every, ..watch.clone() });
    filled(&client, &campaign_id, &["+12125550101", "+12125550102", "+12125550107"]).await;
    start(&client, &campaign_id).await;
    let events = tokio::time::timeout(Duration::from_secs(20), events).await.expect("ends").expect("watched");
    let wholes = tokio::time::timeout(Duration::from_secs(20), wholes).await.expect("ends").expect("watched");

    let numbers: Vec<u64> = events.iter().map(|m| m.event.as_ref().expect("an event").event).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    let finished = events.iter().filter(|m| {
        let what = m.event.as_ref().and_then(|e| e.what.as_ref());
        matches!(what, Some(v1::campaign_event::What::ContactFinished(_)))
    });
    assert_eq!(finished.count(), 3);
    let last = events.last().expect("events");
    assert_eq!(last.phase(), v1::CampaignPhase::Completed);
    assert_eq!(last.progress.as_ref().expect("progress").finished, 3);

    let numbers: Vec<u64> = wholes.iter().map(|m| m.event.as_ref().expect("an event").event).collect();
    assert!(numbers.is_sorted() && !numbers.is_empty());
    assert!(wholes.iter().all(|m| m.progress.is_some()));
    assert_eq!(wholes.last().expect("one").phase(), v1::CampaignPhase::Completed);
    // Whoever has seen the end is not kept waiting.
    let seen = *numbers.last().expect("one");
    let rest =
        collect(v1::WatchCampaignRequest { after_event: seen, progress_every: every, ..watch.clone() });
    assert!(rest.await.expect("watched").is_empty());
    assert!(
        collect(v1::WatchCampaignRequest { after_event: seen, ..watch }).await.expect("watched").is_empty()
    );
}
