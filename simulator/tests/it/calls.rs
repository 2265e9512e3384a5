//! Lives of calls.

use super::world::World;
use tandem_simulator::log::HangUp;
use tandem_simulator::scenario::{Attempt, Number};
use tandem_simulator::{Person, Scenario};

const TO: &str = "+15550100001";

/// One number with one person, talking `turns` turns.
pub fn one(person: Person, turns: u64, hangs_up: bool) -> Scenario {
    let attempt = Attempt {
        person: Some(person),
        turns: Some(turns),
        hangs_up: Some(hangs_up),
        rings: Some(2),
        ..Attempt::default()
    };
    Scenario {
        numbers: vec![Number { number: TO.to_owned(), attempts: vec![attempt], posts: vec![] }],
        ..Scenario::default()
    }
}

#[tokio::test]
async fn a_person_picks_up_and_talks_with_the_agent() {
    for speed in [20.0, 1_000.0] {
        let world = World::at(one(Person::Human, 2, true), speed).await;
        let sid = world.call(TO, "a1", &[]).await;
        let summary = world.ended(1).await;
        world.until("the agent", |world| world.sim.log.snapshot().agent_conversations().count() == 1).await;

        assert_eq!(world.statuses("a1", "CallStatus"), ["initiated", "ringing", "in-progress", "completed"]);
        assert_eq!(world.statuses("a1", "SequenceNumber"), ["0", "1", "2", "3"]);
        let received = world.orchestrator.at("/");
        assert!(received.iter().all(|received| received.signed), "{received:?}");
        let last = world.orchestrator.at("/status/a1").pop().expect("completed");
        assert_eq!((last.field("CallSid"), last.field("SipResponseCode")), (sid.as_str(), "200"));
        assert!(last.field("CallDuration").parse::<u32>().expect("seconds") > 3);
        assert!(last.field("Timestamp").ends_with("+0000"));

        let documents = world.orchestrator.at("/doc");
        assert_eq!(documents.len(), 1);
        assert_eq!(documents[0].field("CallStatus"), "in-progress");
        let start = world.orchestrator.starts.lock()[0].clone();
        assert_eq!(start["start"]["callSid"], sid.as_str());
        assert_eq!(start["start"]["customParameters"]["attempt"], "a1");
        assert_eq!(start["start"]["mediaFormat"]["encoding"], "audio/x-mulaw");

        // What the agent understood is what the person said: the sound went through the bridge unchanged.
        let talked = world.orchestrator.talked();
        let understood = world.sim.log.snapshot().agent_conversations().next().expect("closed").user_turns;
        assert_eq!(understood, 3, "{talked:?}");
        let said: Vec<&String> = talked.iter().filter(|line| line.starts_with("user: ")).collect();
        assert!(said.len() >= 2 && said.iter().all(|line| line.len() > 10), "{talked:?}");
        let end = world.sim.log.snapshot().call_ends().next().expect("ended").clone();
        assert_eq!((end.by, end.said, end.status.as_str()), (HangUp::Person, 3, "completed"));
        assert_eq!(end.heard, 3, "{talked:?}");
        let snapshot = world.sim.log.snapshot();
        let conversation = snapshot.conversations().next().expect("a conversation");
        assert!(conversation.frames_sent >= 3 && conversation.frames_received >= 3);
        assert_eq!((conversation.by.as_str(), conversation.invalid), ("call", 0));
        assert_eq!((summary.conversations, summary.agent_conversations, summary.answered), (1, 1, 1));
        world.sim.shutdown().await;
    }
}

#[tokio::test]
async fn near_real_speed_the_audio_is_plain() {
    let mut mix = one(Person::Human, 1, true);
    mix.numbers[0].attempts[0].rings = Some(0);
    mix.network.setup_ms = [0, 0];
    // Four times real speed is the most at which a byte still stands for one sample.
    let world = World::at(mix, 4.0).await;
    world.call(TO, "a1", &[]).await;
    world.ended(1).await;
    let snapshot = world.sim.log.snapshot();
    let conversation = snapshot.conversations().next().expect("a conversation");
    let end = snapshot.call_ends().next().expect("ended");
    // 50 frames of 160 bytes for every second of the stream, silence included.
    let frames = end.talk_ms / 20;
    assert!((frames * 8 / 10..=frames + 5).contains(&conversation.frames_sent), "{conversation:?} {end:?}");
    // The agent's sentences at 8,000 bytes a second.
    assert!(conversation.bytes_received > 3 * 8_000, "{conversation:?}");
    assert_eq!((end.said, end.heard), (2, 2));
}

#[tokio::test]
async fn the_agent_ends_when_the_person_waits_and_the_document_goes_on() {
    let world = World::new(one(Person::Human, 2, false)).await;
    world.orchestrator.documents.lock().clear();
    world.orchestrator.answer("/doc", 200, &world.orchestrator.connect("<Say>One last word.</Say><Hangup/>"));
    world.call(TO, "a1", &[]).await;
    world.ended(1).await;
    let talked = world.orchestrator.talked();
    assert!(talked.contains(&"close 1000".to_owned()), "{talked:?}");
    assert!(talked.contains(&"tool get_current_time".to_owned()), "{talked:?}");
    assert!(talked.iter().any(|line| line.starts_with("agent: ") && line.contains("half past nine")));
    let end = world.sim.log.snapshot().call_ends().next().expect("ended").clone();
    assert_eq!(end.by, HangUp::Document);
    let snapshot = world.sim.log.snapshot();
    // The orchestrator's side has ended it; on a busy machine its socket may be gone before the
    // closing handshake is through.
    let by = snapshot.conversations().next().map(|end| end.by.clone());
    assert!(matches!(by.as_deref(), Some("peer" | "broken")), "{by:?}");
    assert_eq!(snapshot.agent_conversations().next().and_then(|end| end.code), Some(1000));
}

#[tokio::test]
async fn an_interruption_clears_what_was_to_be_played() {
    for speed in [20.0, 1_000.0] {
        let world = World::at(one(Person::Interrupter, 2, true), speed).await;
        world.call(TO, "a1", &[]).await;
        world.ended(1).await;
        let talked = world.orchestrator.talked();
        assert!(talked.contains(&"interruption".to_owned()), "{talked:?}");
        assert!(talked.contains(&"correction".to_owned()), "{talked:?}");
        let snapshot = world.sim.log.snapshot();
        let conversation = snapshot.conversations().next().expect("a conversation");
        assert!(conversation.clears >= 1);
        let end = snapshot.call_ends().next().expect("ended");
        assert_eq!((end.by, end.said), (HangUp::Person, 3), "{talked:?}");
        let marks = world.orchestrator.marks.load(std::sync::atomic::Ordering::SeqCst);
        assert!(marks >= 3, "{marks} at speed {speed}: {talked:?} {conversation:?}");
    }
}

#[tokio::test]
async fn a_machine_takes_a_message_after_its_beep() {
    let world = World::new(one(Person::Voicemail, 0, false)).await;
    let verdict = format!("{}/amd/a1", world.orchestrator.base);
    let more = [
        ("MachineDetection", "DetectMessageEnd"),
        ("AsyncAmd", "true"),
        ("AsyncAmdStatusCallback", &*verdict),
    ];
    let sid = world.call(TO, "a1", &more).await;
    world.until("a verdict", |world| !world.orchestrator.at("/amd/a1").is_empty()).await;
    let received = world.orchestrator.at("/amd/a1")[0].clone();
    assert!(received.signed);
    assert_eq!(received.field("AnsweredBy"), "machine_end_beep");
    let twiml = "<Response><Say>Please call us back.</Say><Hangup/></Response>";
    let (status, _) =
        world.post(&format!("/Calls/{sid}.json"), &[("Twiml", twiml)]).await.expect("an answer");
    assert_eq!(status, 200);
    let summary = world.ended(1).await;
    let end = world.sim.log.snapshot().call_ends().next().expect("ended").clone();
    assert_eq!((end.by, end.message.as_deref()), (HangUp::Document, Some("Please call us back.")));
    assert_eq!(summary.answered_by["machine_end_beep"], 1);
    assert_eq!(summary.messages_left, 1);
    let (_, call) = world.get(&format!("/Calls/{sid}.json")).await;
    assert_eq!(call["answered_by"], "machine_end_beep");
}

#[tokio::test]
async fn a_machine_that_nobody_hangs_up_on_fills_its_tape() {
    let mut mix = one(Person::Voicemail, 0, false);
    mix.talk.record_ms = 5_000;
    let world = World::new(mix).await;
    world.orchestrator.documents.lock().clear();
    world.orchestrator.answer("/doc", 200, "<Response><Pause length=\"600\"/></Response>");
    world.call(TO, "a1", &[]).await;
    world.ended(1).await;
    let end = world.sim.log.snapshot().call_ends().next().expect("ended").clone();
    assert_eq!((end.by, end.message), (HangUp::TapeFull, None));
}

#[tokio::test]
async fn with_synchronous_detection_the_document_waits_for_the_verdict() {
    for (person, expected) in [
        (Person::Human, "human"),
        (Person::Voicemail, "machine_start"),
        (Person::Fax, "fax"),
        (Person::Silent, "unknown"),
    ] {
        let world = World::at(one(person, 1, true), 1_000.0).await;
        world.orchestrator.documents.lock().clear();
        world.orchestrator.answer("/doc", 200, "<Response><Hangup/></Response>");
        world.call(TO, "a1", &[("MachineDetection", "Enable")]).await;
        world.ended(1).await;
        let documents = world.orchestrator.at("/doc");
        assert_eq!(documents[0].field("AnsweredBy"), expected);
        assert!(documents[0].field("MachineDetectionDuration").parse::<u32>().is_ok());
    }
}

#[tokio::test]
async fn calls_that_nobody_answers_end_as_they_should() {
    for (person, status, sip, seen) in [
        (Person::Busy, "busy", "486", vec!["initiated", "busy"]),
        (Person::NoAnswer, "no-answer", "487", vec!["initiated", "ringing", "no-answer"]),
        (Person::NotInService, "failed", "404", vec!["initiated", "failed"]),
        (Person::Unreachable, "failed", "480", vec!["initiated", "failed"]),
    ] {
        let world = World::new(one(person, 0, false)).await;
        let sid = world.call(TO, "a1", &[("Timeout", "20")]).await;
        let summary = world.ended(1).await;
        assert_eq!(world.statuses("a1", "CallStatus"), seen);
        let last = world.orchestrator.at("/status/a1").pop().expect("the end");
        assert_eq!((last.field("SipResponseCode"), last.field("CallDuration")), (sip, "0"));
        assert_eq!(summary.calls_by_end[status], 1);
        assert!(world.orchestrator.at("/doc").is_empty());
        let (_, call) = world.get(&format!("/Calls/{sid}.json")).await;
        assert_eq!((call["status"].as_str(), call["duration"].as_str()), (Some(status), None));
    }
}

#[tokio::test]
async fn nobody_answers_in_time() {
    let mut mix = one(Person::Human, 1, true);
    mix.numbers[0].attempts[0].rings = Some(30);
    let world = World::new(mix).await;
    world.call(TO, "a1", &[("Timeout", "15")]).await;
    let summary = world.ended(1).await;
    assert_eq!(summary.calls_by_end["no-answer"], 1);
}

#[tokio::test]
async fn a_number_that_is_none_is_refused_at_once() {
    let world = World::new(one(Person::InvalidNumber, 0, false)).await;
    for to in [TO, "12345", "+0123456789", "garbage", "+1555010000155501000"] {
        let (status, body) = world.dial(to, "a1", &[]).await.expect("an answer");
        assert_eq!(
            (status, body["code"].as_u64(), body["status"].as_u64()),
            (400, Some(21211), Some(400)),
            "{to}"
        );
    }
    assert_eq!(world.sim.log.summary().calls, 0);
}

#[tokio::test]
async fn a_call_can_be_canceled_while_it_rings_and_hung_up_while_it_talks() {
    let mut mix = one(Person::NoAnswer, 0, false);
    mix.numbers[0].attempts.push(Attempt {
        person: Some(Person::Silent),
        rings: Some(0),
        ..Attempt::default()
    });
    mix.talk.patience_ms = 3_600_000;
    let world = World::at(mix, 50.0).await;
    let sid = world.call(TO, "a1", &[("Timeout", "600")]).await;
    world.until("ringing", |world| world.statuses("a1", "CallStatus").len() == 2).await;
    let path = format!("/Calls/{sid}.json");
    let (status, _) = world.post(&path, &[("Status", "canceled")]).await.expect("an answer");
    assert_eq!(status, 200);
    world.ended(1).await;
    assert_eq!(world.statuses("a1", "CallStatus").pop().as_deref(), Some("canceled"));
    let (status, body) = world.post(&path, &[("Status", "completed")]).await.expect("an answer");
    assert_eq!((status, body["code"].as_u64()), (400, Some(21220)));

    let sid = world.call(TO, "a2", &[]).await;
    world.until("a stream", |world| !world.orchestrator.starts.lock().is_empty()).await;
    let path = format!("/Calls/{sid}.json");
    let (status, body) = world.post(&path, &[("Status", "canceled")]).await.expect("an answer");
    assert_eq!((status, body["code"].as_u64()), (400, Some(21220)), "it talks already");
    let (status, _) = world.post(&path, &[("Status", "completed")]).await.expect("an answer");
    assert_eq!(status, 200);
    world.ended(2).await;
    let end = world.sim.log.snapshot().call_ends().last().expect("ended").clone();
    assert_eq!((end.by, end.status.as_str()), (HangUp::Rest, "completed"));
    assert!(world.orchestrator.talked().contains(&"stop".to_owned()));
}

#[tokio::test]
async fn a_call_is_cut_off_at_its_time_limit() {
    let mut mix = one(Person::Silent, 0, false);
    mix.talk.patience_ms = 3_600_000;
    let world = World::new(mix).await;
    world.call(TO, "a1", &[("TimeLimit", "10")]).await;
    world.ended(1).await;
    let end = world.sim.log.snapshot().call_ends().next().expect("ended").clone();
    assert_eq!((end.by, end.talk_ms), (HangUp::TimeLimit, 10_000));
}

#[tokio::test]
async fn the_fallback_is_asked_when_the_document_fails() {
    for (status, body) in [(500, ""), (200, "not xml"), (404, "<Response/>")] {
        let world = World::new(one(Person::Human, 1, true)).await;
        world.orchestrator.documents.lock().clear();
        world.orchestrator.answer("/doc", status, body);
        world.orchestrator.answer("/fallback", 200, "<Response><Say>Sorry.</Say></Response>");
        let fallback = format!("{}/fallback", world.orchestrator.base);
        world.call(TO, "a1", &[("FallbackUrl", &fallback)]).await;
        world.ended(1).await;
        let asked = world.orchestrator.at("/fallback");
        assert_eq!(asked.len(), 1, "{status} {body}");
        assert_eq!(asked[0].field("ErrorCode"), "11200");
        let end = world.sim.log.snapshot().call_ends().next().expect("ended").clone();
        assert_eq!((end.by, end.heard), (HangUp::Document, 1));
    }
    let world = World::new(one(Person::Human, 1, true)).await;
    world.orchestrator.documents.lock().clear();
    world.orchestrator.answer("/doc", 500, "");
    world.call(TO, "a1", &[]).await;
    world.ended(1).await;
    let end = world.sim.log.snapshot().call_ends().next().expect("ended").clone();
    assert_eq!(end.by, HangUp::DocumentFailed);
}

#[tokio::test]
async fn redirects_are_followed_and_do_not_go_on_for_ever() {
    let world = World::new(one(Person::Silent, 0, false)).await;
    world.orchestrator.documents.lock().clear();
    let again = format!("<Response><Redirect>{}/doc</Redirect></Response>", world.orchestrator.base);
    world.orchestrator.answer("/doc", 200, &again);
    world.call(TO, "a1", &[]).await;
    world.ended(1).await;
    let end = world.sim.log.snapshot().call_ends().next().expect("ended").clone();
    assert!(matches!(end.by, HangUp::DocumentFailed | HangUp::Silence), "{end:?}");
    let asked = world.orchestrator.at("/doc").len();
    assert!((2..=200).contains(&asked), "{asked}");
}

#[tokio::test]
async fn a_dropped_call_ends_in_the_middle() {
    let world = World::new(one(Person::Drops, 1, true)).await;
    world.call(TO, "a1", &[]).await;
    world.ended(1).await;
    let end = world.sim.log.snapshot().call_ends().next().expect("ended").clone();
    assert_eq!((end.by, end.said, end.status.as_str()), (HangUp::Lost, 1, "completed"));
}

#[tokio::test]
async fn a_recorded_call_has_a_file() {
    let world = World::new(one(Person::Human, 1, true)).await;
    let callback = format!("{}/recording/a1", world.orchestrator.base);
    let more = [
        ("Record", "true"),
        ("RecordingChannels", "dual"),
        ("RecordingStatusCallback", &*callback),
        ("RecordingStatusCallbackEvent", "in-progress completed"),
    ];
    let sid = world.call(TO, "a1", &more).await;
    world.until("the recording", |world| world.orchestrator.at("/recording/a1").len() == 2).await;
    let received = world.orchestrator.at("/recording/a1");
    assert_eq!(received[0].field("RecordingStatus"), "in-progress");
    assert_eq!(received[1].field("RecordingStatus"), "completed");
    assert_eq!((received[1].field("CallSid"), received[1].field("RecordingChannels")), (sid.as_str(), "2"));
    let recording = received[1].field("RecordingSid");
    let last = world.orchestrator.at("/status/a1").pop().expect("the end");
    assert_eq!(last.field("RecordingSid"), recording);

    let url = format!("{}.wav", received[1].field("RecordingUrl"));
    let answer = super::world::client()
        .get(&url)
        .basic_auth(super::world::KEY.0, Some(super::world::KEY.1))
        .send()
        .await
        .expect("an answer");
    let wav = answer.bytes().await.expect("a body");
    assert_eq!(&wav[..4], b"RIFF");
    let (_, list) = world.get(&format!("/Calls/{sid}/Recordings.json")).await;
    assert_eq!(list["recordings"][0]["sid"], recording);
    let delete = super::world::client()
        .delete(world.rest(&format!("/Recordings/{recording}.json")))
        .basic_auth(super::world::KEY.0, Some(super::world::KEY.1));
    assert_eq!(delete.send().await.expect("an answer").status().as_u16(), 204);
    assert_eq!(world.get(&format!("/Recordings/{recording}.json")).await.0, 404);
}
