//! Callbacks and documents.

use super::line::{connects, hangs_up};
use super::world::{ACCOUNT, PUBLIC, World, account, answered, pairs, status_form};
use bytes::Bytes;
use http::{Method, StatusCode};
use tandem_domain::call::{MachineAction, Phase, Verdict, What};
use tandem_domain::carrier::Instruction;
use tandem_domain::retry::Outcome;
use tandem_providers::Secret;
use tandem_providers::twilio::signature::Key;
use uuid::Uuid;

const NO_CONTENT: StatusCode = StatusCode::NO_CONTENT;

#[tokio::test(flavor = "multi_thread")]
async fn progress_reaches_the_call_in_any_order_and_once() {
    let mut world = World::start().await;
    let taken = world.call().await;
    assert_eq!(world.status(&taken, &taken.sid, "ringing", "1").await.status, NO_CONTENT);
    assert_eq!(world.state(&taken).await.phase, Phase::Ringing);
    let events = world.events(&taken).await;
    // Late, doubled.
    for (status, sequence) in [("initiated", "0"), ("queued", "0"), ("ringing", "1"), ("ringing", "1")] {
        assert_eq!(world.status(&taken, &taken.sid, status, sequence).await.status, NO_CONTENT);
    }
    assert_eq!(world.events(&taken).await, events, "nothing new has happened");
    assert_eq!(world.status(&taken, &taken.sid, "busy", "2").await.status, NO_CONTENT);
    let state = world.state(&taken).await;
    assert_eq!((state.phase, state.past.len()), (Phase::Queued, 1));
    assert_eq!(world.status(&taken, &taken.sid, "busy", "2").await.status, NO_CONTENT);
    assert_eq!(world.state(&taken).await.past.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_call_gets_the_conversation_and_any_other_hangs_up() {
    let mut world = World::start().await;
    let taken = world.call().await;
    let answer = world.document(&taken, &taken.sid).await;
    assert_eq!(answer.status, StatusCode::OK);
    let (stream, again) = connects(&answer.body);
    assert_eq!(stream.url, "wss://calls.example.test/voice/media/v1");
    assert_eq!(stream.parameters[0], ("attempt".to_owned(), taken.attempt.to_string()));
    assert!(again.starts_with(&taken.dialed.request.document_url.replace("#", "?again=1#")), "{again}");

    let other = "CAffffffffffffffffffffffffffffffff";
    let answer = world.document(&taken, other).await;
    assert!(hangs_up(&answer.body), "{answer:?}");
    let told = tokio::time::timeout(super::line::STUCK, async {
        while world.rest.told(other).is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    });
    told.await.expect("the second call is hung up");
    assert_eq!(world.rest.told(other), [Instruction::Hangup]);

    // The carrier asks again: a retry of the same request, and after the stream has ended.
    for url in [&taken.dialed.request.document_url, &again] {
        let answer = world.post(url, &answered(&taken.sid)).await;
        connects(&answer.body);
    }
    let (_, third) = connects(&world.post(&again, &answered(&taken.sid)).await.body);
    assert!(third.contains("?again=2#"), "{third}");
    // The fallback does as the document does.
    let fallback = taken.dialed.request.fallback_url.clone().expect("one");
    connects(&world.post(&fallback, &answered(&taken.sid)).await.body);
    // Without end it is not asked again.
    let last = again.replace("again=1", "again=200");
    assert!(hangs_up(&world.post(&last, &answered(&taken.sid)).await.body));

    assert_eq!(world.status(&taken, &taken.sid, "completed", "3").await.status, NO_CONTENT);
    assert!(hangs_up(&world.document(&taken, &taken.sid).await.body), "the call is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_left_its_message() {
    let mut world = World::start().await;
    let message =
        MachineAction::LeaveMessage { text: "Please call us back.".into(), language: "en-US".into() };
    let taken = world.call_with(|config| config.plan.amd.on_machine = message).await;
    let amd = taken.dialed.request.amd.clone().expect("detection");
    assert!(amd.until_message_end);
    let verdict = [
        ("AccountSid", ACCOUNT),
        ("CallSid", taken.sid.as_str()),
        ("AnsweredBy", "machine_end_beep"),
        ("MachineDetectionDuration", "4200"),
    ];
    world.status(&taken, &taken.sid, "in-progress", "2").await;
    for _ in 0..2 {
        assert_eq!(world.post(&amd.verdict_url, &verdict).await.status, NO_CONTENT);
    }
    let live = world.state(&taken).await.live.expect("alive");
    assert_eq!((live.verdict, live.message_left), (Verdict::Machine { beep: true }, true));
    assert!(hangs_up(&world.document(&taken, &taken.sid).await.body), "nobody talks into the message");
    let completed = status_form(&taken.sid, "completed", "3");
    world.post(&taken.dialed.request.status_url, &completed).await;
    let past = world.state(&taken).await.past;
    assert_eq!((past[0].outcome, past[0].message_left), (Outcome::Voicemail, true));
    let says = Instruction::SayAndHangup { text: "Please call us back.".into(), language: "en-US".into() };
    assert_eq!(world.rest.told(&taken.sid), [says]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_is_taken_down_once() {
    let mut world = World::start().await;
    let taken = world.call_with(|config| config.plan.record = true).await;
    let recording = taken.dialed.request.recording.clone().expect("a recording");
    assert!(recording.dual_channel);
    world.status(&taken, &taken.sid, "completed", "3").await;
    let form = [
        ("AccountSid", ACCOUNT),
        ("CallSid", taken.sid.as_str()),
        ("RecordingSid", "RE0123456789abcdef0123456789abcdef"),
        ("RecordingStatus", "completed"),
        ("RecordingDuration", "61"),
    ];
    for _ in 0..2 {
        assert_eq!(world.post(&recording.status_url, &form).await.status, NO_CONTENT);
    }
    let recorded = world.events(&taken).await;
    assert_eq!(recorded.iter().filter(|what| matches!(what, What::Recorded { .. })).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_sign_changes_nothing() {
    let mut world = World::start().await;
    let taken = world.call().await;
    let events = world.events(&taken).await;
    let url = &taken.dialed.request.status_url;
    let form = status_form(&taken.sid, "completed", "3");
    let good = world.key.sign(url, &pairs(&form));
    let other = Key::new(&Secret::from("54321")).sign(url, &pairs(&form));
    let elsewhere = world.key.sign(&taken.dialed.request.document_url, &pairs(&form));
    let changed = status_form(&taken.sid, "busy", "3");
    assert_eq!(world.post_signed(url, &form, None).await.status, StatusCode::BAD_REQUEST);
    for (form, signature) in [
        (&form, other.as_str()),
        (&form, elsewhere.as_str()),
        (&form, ""),
        (&form, "not base64!"),
        (&changed, good.as_str()),
    ] {
        let answer = world.post_signed(url, form, Some(signature)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{signature}");
    }
    // An account that is none of ours, by whoever knows our token.
    let mut foreign = form.clone();
    foreign[0].1 = "ACffffffffffffffffffffffffffffffff";
    assert_eq!(world.post(url, &foreign).await.status, StatusCode::FORBIDDEN);
    assert_eq!(world.events(&taken).await, events);
    assert_eq!(world.post_signed(url, &form, Some(&good)).await.status, NO_CONTENT, "the control");
    assert_ne!(world.events(&taken).await, events);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_callback_gets_a_clear_answer() {
    let mut world = World::start().await;
    let taken = world.call().await;
    let events = world.events(&taken).await;
    let ids = taken.attempt.to_string();
    let form = status_form(&taken.sid, "completed", "3");
    let unknown = ids.replace(&taken.attempt.call.to_string(), &Uuid::new_v4().to_string());
    for (path, status) in [
        ("".to_owned(), StatusCode::NOT_FOUND),
        ("/".to_owned(), StatusCode::NOT_FOUND),
        ("/tw/v1/1/2/3/status".to_owned(), StatusCode::NOT_FOUND),
        (format!("/tw/v1/{ids}/secret"), StatusCode::NOT_FOUND),
        (format!("/tw/v1/{ids}/status?x=1"), StatusCode::NOT_FOUND),
        (format!("/tw/v1/{ids}/document?again=x"), StatusCode::NOT_FOUND),
        (format!("/tw/v1/{unknown}/status"), StatusCode::NOT_FOUND),
    ] {
        let answer = world.post(&format!("{PUBLIC}{path}"), &form).await;
        assert_eq!(answer.status, status, "{path}");
    }
    // A call that exists and one that does not look the same to whoever cannot sign.
    for ids in [&ids, &unknown] {
        let url = format!("{PUBLIC}/tw/v1/{ids}/status");
        assert_eq!(world.post_signed(&url, &form, Some("AAAA")).await.status, StatusCode::FORBIDDEN);
        assert_eq!(world.post_signed(&url, &form, None).await.status, StatusCode::BAD_REQUEST);
    }
    let document = format!("{PUBLIC}/tw/v1/{unknown}/document");
    assert!(hangs_up(&world.post(&document, &answered(&taken.sid)).await.body), "nobody's call hangs up");

    let url = &taken.dialed.request.status_url;
    for method in [Method::GET, Method::PUT] {
        let answer = world.send(method, url, Bytes::new(), None).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    }
    let large = "x".repeat(100_000);
    let answer = world.post(url, &[("AccountSid", ACCOUNT), ("CallSid", large.as_str())]).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let many: Vec<(&str, &str)> = (0..300).map(|_| ("a", "b")).collect();
    assert_eq!(world.post(url, &many).await.status, StatusCode::BAD_REQUEST);
    for form in [
        vec![("AccountSid", ACCOUNT)],
        vec![("AccountSid", ACCOUNT), ("CallSid", "CA1"), ("CallStatus", "busy")],
        vec![("AccountSid", ACCOUNT), ("CallSid", taken.sid.as_str())],
    ] {
        assert_eq!(world.post(url, &form).await.status, StatusCode::BAD_REQUEST, "{form:?}");
    }
    assert_eq!(world.events(&taken).await, events);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_speaks_for_its_own_calls_only() {
    const OTHER: &str = "ACfedcba9876543210fedcba9876543210";
    let mut world =
        World::with(|options| options.accounts.push(account("spare", OTHER, "other token"))).await;
    let taken = world.call().await;
    let events = world.events(&taken).await;
    let other = Key::new(&Secret::from("other token"));
    let mut form = status_form(&taken.sid, "completed", "3");
    form[0].1 = OTHER;
    let url = &taken.dialed.request.status_url;
    let answer = world.post_signed(url, &form, Some(&other.sign(url, &pairs(&form)))).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND, "as if there were no such call");
    let mut form = answered(&taken.sid);
    form[0].1 = OTHER;
    let url = &taken.dialed.request.document_url;
    let answer = world.post_signed(url, &form, Some(&other.sign(url, &pairs(&form)))).await;
    assert!(hangs_up(&answer.body));
    assert_eq!(world.events(&taken).await, events);
    connects(&world.document(&taken, &taken.sid).await.body);
}

/// The node cannot take anything down: the carrier is told to come again, and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_not_there_asks_to_come_again() {
    let mut world = World::with(|options| {
        options.limits.callback_patience = std::time::Duration::from_millis(200);
    })
    .await;
    let taken = world.call().await;
    world.node.take().expect("running").stop().await;
    let answer = world.status(&taken, &taken.sid, "ringing", "1").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let answer = world.document(&taken, &taken.sid).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
}
