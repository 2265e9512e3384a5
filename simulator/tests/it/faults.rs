//! Every fault, one at a time.

use super::calls::one;
use super::world::World;
use tandem_simulator::log::{Delivery, Event, HangUp};
use tandem_simulator::{AgentFault, Fault, Person, Scenario};

const TO: &str = "+15550100001";

fn with(person: Person, fault: Fault) -> Scenario {
    let mut mix = one(person, 2, true);
    mix.numbers[0].attempts[0].faults = vec![fault];
    mix
}

fn at_create(fault: Fault) -> Scenario {
    let mut mix = one(Person::Busy, 0, false);
    mix.numbers[0].posts = vec![vec![fault]];
    mix.network.slow_answer_ms = 50;
    mix
}

#[tokio::test]
async fn what_fails_before_accepting_leaves_no_call() {
    for (fault, status, code) in [(Fault::Throttled, 429, 20429), (Fault::ErrorBefore, 500, 20500)] {
        let world = World::new(at_create(fault)).await;
        let (got, body) = world.dial(TO, "a1", &[]).await.expect("an answer");
        assert_eq!((got, body["code"].as_u64()), (status, Some(code)));
        assert_eq!(world.sim.log.summary().calls, 0);
        // The second POST for the same attempt goes through, and is counted.
        world.call(TO, "a1", &[]).await;
        let summary = world.ended(1).await;
        assert_eq!((summary.posts, summary.double_dials, summary.double_calls), (2, 1, 0));
    }
    let world = World::new(at_create(Fault::CutBefore)).await;
    assert!(world.dial(TO, "a1", &[]).await.is_err());
    let summary = world.sim.log.summary();
    assert_eq!((summary.posts_by_answer["cut"], summary.calls), (1, 0));
}

#[tokio::test]
async fn a_throttled_create_says_when_to_come_back() {
    let world = World::new(at_create(Fault::Throttled)).await;
    let form = [("To", TO), ("From", super::world::FROM)];
    let answer = super::world::client()
        .post(world.rest("/Calls.json"))
        .basic_auth(super::world::KEY.0, Some(super::world::KEY.1))
        .form(&form)
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.headers()["retry-after"], "1");
}

#[tokio::test]
async fn what_fails_after_accepting_calls_nevertheless() {
    for (fault, answer) in [(Fault::ErrorAfter, "500"), (Fault::CutAfter, "cut"), (Fault::SlowAnswer, "201")]
    {
        let world = World::new(at_create(fault)).await;
        let created = world.dial(TO, "a1", &[]).await;
        match fault {
            Fault::ErrorAfter => assert_eq!(created.expect("an answer").1["code"], 20500),
            Fault::CutAfter => assert!(created.is_err()),
            _ => assert_eq!(created.expect("an answer").0, 201),
        }
        let summary = world.ended(1).await;
        assert_eq!((summary.posts_by_answer[answer], summary.calls), (1, 1), "{fault:?}");
        assert_eq!(world.statuses("a1", "CallStatus"), ["initiated", "busy"]);
        let snapshot = world.sim.log.snapshot();
        assert!(snapshot.posts().next().expect("the POST").sid.is_some());
    }
}

#[tokio::test]
async fn callbacks_are_lost_doubled_reordered_and_delayed() {
    for (fault, expected) in [
        (Fault::CallbackLost, vec!["0", "2", "3"]),
        (Fault::CallbackDoubled, vec!["0", "1", "1", "2", "3"]),
        (Fault::CallbackReordered, vec!["0", "2", "1", "3"]),
    ] {
        let world = World::new(with(Person::Human, fault)).await;
        world.call(TO, "a1", &[]).await;
        world.ended(1).await;
        assert_eq!(world.statuses("a1", "SequenceNumber"), expected, "{fault:?}");
        let snapshot = world.sim.log.snapshot();
        let withheld = snapshot.callbacks().filter(|callback| callback.outcome == Delivery::Withheld).count();
        assert_eq!(withheld, usize::from(fault == Fault::CallbackLost));
    }
    let mut mix = with(Person::Busy, Fault::CallbackDelayed);
    mix.network.callback_delay_ms = 60_000;
    let world = World::new(mix).await;
    world.call(TO, "a1", &[]).await;
    world.until("the end", |world| world.sim.log.snapshot().call_ends().next().is_some()).await;
    world.ended(1).await;
    assert_eq!(world.statuses("a1", "CallStatus"), ["initiated", "busy"]);
}

#[tokio::test]
async fn callbacks_are_tried_again_as_their_url_says() {
    let world = World::new(one(Person::Busy, 0, false)).await;
    // `#rc=2&rp=all` is on every status callback here.
    for status in [500, 503, 204] {
        world.orchestrator.answer("/status/a1", status, "");
    }
    world.call(TO, "a1", &[]).await;
    world.ended(1).await;
    assert_eq!(world.statuses("a1", "CallStatus"), ["initiated", "initiated", "initiated", "busy"]);
    let received = world.orchestrator.at("/status/a1");
    assert!(received.iter().all(|received| received.signed));
    assert_eq!(received[0].token, received[2].token);
    assert_ne!(received[0].token, received[3].token);
}

#[tokio::test]
async fn a_second_socket_is_opened_and_its_service_would_show() {
    for refuses in [true, false] {
        let world = World::at(with(Person::Human, Fault::SecondSocket), 20.0).await;
        world.orchestrator.refuses_second.store(refuses, std::sync::atomic::Ordering::SeqCst);
        world.call(TO, "a1", &[]).await;
        world.ended(1).await;
        world.until("both sockets to close", |world| world.sim.log.summary().live_conversations == 0).await;
        let summary = world.sim.log.summary();
        assert_eq!(summary.conversations, 2);
        assert_eq!(summary.second_sockets_served, u64::from(!refuses));
        assert_eq!(summary.attempts_with_several_conversations, u64::from(!refuses));
    }
}

#[tokio::test]
async fn garbage_on_the_media_socket_is_really_sent_and_the_call_goes_on() {
    let world = World::new(with(Person::Human, Fault::MediaGarbage)).await;
    world.call(TO, "a1", &[]).await;
    world.ended(1).await;
    assert_eq!(world.orchestrator.invalid_frames.load(std::sync::atomic::Ordering::SeqCst), 10);
    let end = world.sim.log.snapshot().call_ends().next().expect("ended").clone();
    assert_eq!((end.by, end.said), (HangUp::Person, 3));
}

#[tokio::test]
async fn a_media_socket_that_breaks_leaves_the_call_alive() {
    let world = World::new(with(Person::Human, Fault::MediaCut)).await;
    world.orchestrator.documents.lock().clear();
    let again =
        world.orchestrator.connect(&format!("<Redirect>{}/again</Redirect>", world.orchestrator.base));
    world.orchestrator.answer("/doc", 200, &again);
    world.orchestrator.answer("/again", 200, &world.orchestrator.connect("<Hangup/>"));
    world.call(TO, "a1", &[]).await;
    let summary = world.ended(1).await;
    assert_eq!(summary.conversations, 2);
    let snapshot = world.sim.log.snapshot();
    let by: Vec<&str> = snapshot.conversations().map(|end| end.by.as_str()).collect();
    assert_eq!(by[0], "cut");
    assert_eq!(world.orchestrator.at("/again").len(), 1);
    // As for any document, and signed: the orchestrator checks that.
    let asked = &world.orchestrator.at("/again")[0];
    assert_eq!((asked.field("CallStatus"), asked.field("To")), ("in-progress", TO));
    assert_eq!(summary.reattached, 1, "and the person hears something again");
    assert!(snapshot.entries.iter().any(|entry| matches!(entry.event, Event::Reattached { .. })));
}

/// The document that the call goes on with cannot be had: as at its beginning, the fallback is asked, and without one
/// the call ends.
#[tokio::test]
async fn where_a_call_cannot_go_on_the_fallback_is_asked() {
    for has_fallback in [true, false] {
        let world = World::new(with(Person::Human, Fault::MediaCut)).await;
        world.orchestrator.documents.lock().clear();
        let base = world.orchestrator.base.clone();
        let again = world.orchestrator.connect(&format!("<Redirect>{base}/again</Redirect>"));
        world.orchestrator.answer("/doc", 200, &again);
        world.orchestrator.answer("/again", 503, "");
        world.orchestrator.answer("/fallback", 200, &world.orchestrator.connect("<Hangup/>"));
        let fallback = format!("{base}/fallback");
        let more = [("FallbackUrl", fallback.as_str())];
        world.call(TO, "a1", if has_fallback { &more } else { &[] }).await;
        let summary = world.ended(1).await;
        let asked = world.orchestrator.at("/fallback");
        assert_eq!((asked.len(), summary.conversations), if has_fallback { (1, 2) } else { (0, 1) });
        if has_fallback {
            assert_eq!(asked[0].field("ErrorCode"), "11200");
            assert_eq!(asked[0].field("ErrorUrl"), format!("{base}/again"));
        } else {
            assert_eq!(
                world.sim.log.snapshot().call_ends().next().expect("an end").by,
                HangUp::DocumentFailed
            );
        }
        assert_eq!(summary.reattached, u64::from(has_fallback));
    }
}

#[tokio::test]
async fn detection_can_be_wrong_or_undecided() {
    for (person, fault, expected) in [
        (Person::Human, Fault::AmdWrong, "machine_start"),
        (Person::Voicemail, Fault::AmdWrong, "human"),
        (Person::Human, Fault::AmdUnknown, "unknown"),
    ] {
        let world = World::new(with(person, fault)).await;
        let verdict = format!("{}/amd/a1", world.orchestrator.base);
        let more =
            [("MachineDetection", "Enable"), ("AsyncAmd", "true"), ("AsyncAmdStatusCallback", &*verdict)];
        world.call(TO, "a1", &more).await;
        world.until("a verdict", |world| !world.orchestrator.at("/amd/a1").is_empty()).await;
        assert_eq!(world.orchestrator.at("/amd/a1")[0].field("AnsweredBy"), expected);
    }
}

fn agent_fault(fault: AgentFault) -> Scenario {
    let mut mix = one(Person::Human, 3, false);
    mix.talk.patience_ms = 4_000;
    mix.agent.faults.insert(fault, 1.0);
    mix
}

#[tokio::test]
async fn the_agent_fails_in_every_way_and_the_call_still_ends() {
    for (fault, expected) in [
        (AgentFault::SignedUrlError, "no agent"),
        (AgentFault::SignedUrlBusy, "no agent"),
        (AgentFault::Close1002, "close 1002"),
        (AgentFault::Close1008, "close 1008"),
        (AgentFault::Close1011, "close 1011"),
        (AgentFault::Cut, "agent broken"),
        (AgentFault::EndsAtOnce, "close 1000"),
        (AgentFault::Garbage, "close 1000"),
    ] {
        let world = World::new(agent_fault(fault)).await;
        world.call(TO, "a1", &[]).await;
        world.ended(1).await;
        let talked = world.orchestrator.talked();
        assert_eq!(talked.last().map(String::as_str), Some(expected), "{fault:?}: {talked:?}");
        let end = world.sim.log.snapshot().call_ends().next().expect("ended").clone();
        assert_eq!(end.by, HangUp::Document, "{fault:?}");
    }
}

#[tokio::test]
async fn a_silent_agent_is_hung_up_on_by_the_person() {
    let world = World::new(agent_fault(AgentFault::NeverAnswers)).await;
    world.call(TO, "a1", &[]).await;
    world.ended(1).await;
    let end = world.sim.log.snapshot().call_ends().next().expect("ended").clone();
    assert_eq!((end.by, end.said, end.heard), (HangUp::Silence, 1, 0));
}

#[tokio::test]
async fn a_flood_of_audio_does_not_stop_the_call() {
    let mut mix = agent_fault(AgentFault::Flood);
    // Four megabytes take their time on a busy machine.
    mix.talk.patience_ms = 300_000;
    let world = World::new(mix).await;
    world.call(TO, "a1", &[]).await;
    world.ended(1).await;
    let snapshot = world.sim.log.snapshot();
    let conversation = snapshot.conversations().next().expect("a conversation");
    assert!(conversation.bytes_received >= 4_000_000, "{conversation:?}");
}
