//! The adapters that Tandem uses in earnest, against the simulator: both must mean the same by what is on the wire.

use super::calls::one;
use super::orchestrator::Received;
use super::world::{ACCOUNT, FROM, KEY, World, XI_KEY};
use base64::Engine as _;
use tandem_domain::agent::{AgentEnd, Opening};
use tandem_domain::carrier::{
    AmdRequest, AnsweredBy, Cause, DialOutcome, DialRequest, End, Instruction, InstructionOutcome, Progress,
    RecordingRequest, RefusalReason,
};
use tandem_providers::agent::{AgentEvent, OpenError, VoiceAgent as _};
use tandem_providers::carrier::{Carrier as _, CarrierError};
use tandem_providers::elevenlabs::{self, ElevenLabs};
use tandem_providers::twilio::callback::{amd, document, recording, status, stream};
use tandem_providers::twilio::{Credentials, Options, Twilio};
use tandem_simulator::{Fault, Person, Scenario};

const TO: &str = "+15550100001";

fn twilio(world: &World) -> Twilio {
    let credentials = Credentials::ApiKey { sid: KEY.0.to_owned(), secret: KEY.1.into() };
    let mut options = Options::new(ACCOUNT, credentials);
    options.base_url.clone_from(&world.sim.carrier_url);
    Twilio::new(options).expect("an adapter")
}

fn elevenlabs(world: &World, key: &str) -> ElevenLabs {
    let mut options = elevenlabs::Options::new(key.into());
    options.base_url.clone_from(&world.sim.agent_url);
    ElevenLabs::new(options).expect("an adapter")
}

fn request(world: &World, attempt: &str) -> DialRequest {
    let base = &world.orchestrator.base;
    DialRequest {
        to: TO.to_owned(),
        from: FROM.to_owned(),
        document_url: format!("{base}/doc"),
        status_url: format!("{base}/status/{attempt}"),
        fallback_url: Some(format!("{base}/fallback")),
        ring_timeout_s: 25,
        max_duration_s: 600,
        amd: Some(AmdRequest {
            verdict_url: format!("{base}/amd/{attempt}"),
            until_message_end: false,
            timeout_s: 30,
        }),
        recording: Some(RecordingRequest {
            status_url: format!("{base}/recording/{attempt}"),
            dual_channel: true,
        }),
    }
}

fn pairs(received: &Received) -> Vec<(String, String)> {
    received.form.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn reports(world: &World, attempt: &str) -> Vec<Progress> {
    let received = world.orchestrator.at(&format!("/status/{attempt}"));
    received.iter().map(|received| status::parse(&pairs(received)).expect("a report").progress).collect()
}

#[tokio::test]
async fn a_call_is_placed_followed_and_found() {
    let mut mix = one(Person::Human, 3, true);
    mix.talk.detection_ms = [500, 500];
    let world = World::new(mix).await;
    let xml = world
        .orchestrator
        .connect("")
        .replace("<Stream ", &format!("<Stream statusCallback=\"{}/stream/a1\" ", world.orchestrator.base));
    world.orchestrator.documents.lock().clear();
    world.orchestrator.answer("/doc", 200, &xml);
    let carrier = twilio(&world);
    let DialOutcome::Accepted { sid } = carrier.dial(&request(&world, "a1")).await else {
        panic!("not accepted")
    };
    world.ended(1).await;
    world.until("the recording", |world| !world.orchestrator.at("/recording/a1").is_empty()).await;
    assert_eq!(
        reports(&world, "a1"),
        [Progress::Initiated, Progress::Ringing, Progress::Answered, Progress::Ended(End::Completed)]
    );
    let last = world.orchestrator.at("/status/a1").pop().expect("the end");
    let report = status::parse(&pairs(&last)).expect("a report");
    assert_eq!((report.sid.as_str(), report.sequence, report.sip_code), (sid.as_str(), Some(3), Some(200)));
    assert!(report.at.is_some() && report.duration_s.is_some_and(|s| s > 3));

    let asked = document::parse(&pairs(&world.orchestrator.at("/doc")[0])).expect("a document request");
    assert_eq!(asked.report.progress, Progress::Answered);
    let verdict = amd::parse(&pairs(&world.orchestrator.at("/amd/a1")[0])).expect("a verdict");
    assert_eq!((verdict.call_sid.as_str(), verdict.answered_by), (sid.as_str(), AnsweredBy::Human));
    let recorded = recording::parse(&pairs(&world.orchestrator.at("/recording/a1")[0])).expect("a recording");
    assert_eq!(recorded.report.channels, Some(2));
    let events = world.orchestrator.at("/stream/a1");
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|event| stream::parse(&pairs(event)).is_ok()));

    let fetched = carrier.fetch(&sid).await.expect("an answer").expect("the call");
    assert_eq!(
        (fetched.progress, fetched.answered_by),
        (Progress::Ended(End::Completed), Some(AnsweredBy::Human))
    );
    let found = carrier.find(TO, FROM, 0).await.expect("a list");
    assert_eq!(found.len(), 1);
    assert!(found[0].sid == sid && found[0].created_at.is_some());
    assert_eq!(carrier.instruct(&sid, &Instruction::Hangup).await, InstructionOutcome::AlreadyEnded);
    assert!(carrier.fetch("CA00000000000000000000000000000000").await.expect("an answer").is_none());
}

#[tokio::test]
async fn ends_and_refusals_mean_the_same_on_both_sides() {
    for (person, end) in [
        (Person::Busy, End::Busy),
        (Person::NoAnswer, End::NoAnswer),
        (Person::NotInService, End::Failed(Cause::InvalidNumber)),
        (Person::Unreachable, End::Failed(Cause::Unreachable)),
    ] {
        let world = World::new(one(person, 0, false)).await;
        assert!(matches!(twilio(&world).dial(&request(&world, "a1")).await, DialOutcome::Accepted { .. }));
        world.ended(1).await;
        assert_eq!(reports(&world, "a1").pop(), Some(Progress::Ended(end)), "{person:?}");
    }
    let world = World::new(one(Person::InvalidNumber, 0, false)).await;
    let refused = |outcome| match outcome {
        DialOutcome::Refused(refusal) => (refusal.reason, refusal.code),
        other => panic!("{other:?}"),
    };
    let outcome = twilio(&world).dial(&request(&world, "a1")).await;
    assert_eq!(refused(outcome), (RefusalReason::InvalidNumber, 21211));
    for code in [20003, 20005] {
        world.sim.control.suspend(Some(code));
        let carrier = twilio(&world);
        assert_eq!(refused(carrier.dial(&request(&world, "a1")).await), (RefusalReason::Account, code));
        assert_eq!(carrier.find(TO, FROM, 0).await.err(), Some(CarrierError::Account { code }));
    }
}

#[tokio::test]
async fn faults_of_the_carrier_are_read_as_what_they_are() {
    for (fault, calls) in [
        (Fault::Throttled, 0),
        (Fault::ErrorBefore, 0),
        (Fault::CutBefore, 0),
        (Fault::ErrorAfter, 1),
        (Fault::CutAfter, 1),
    ] {
        let mut mix = one(Person::Busy, 0, false);
        mix.numbers[0].posts = vec![vec![fault]];
        let world = World::new(mix).await;
        let carrier = twilio(&world);
        match (fault, carrier.dial(&request(&world, "a1")).await) {
            (Fault::Throttled, DialOutcome::Refused(refusal)) => {
                assert_eq!(refusal.reason, RefusalReason::RateLimited { retry_after_ms: Some(1_000) });
            }
            (_, DialOutcome::Unknown) => {}
            (fault, outcome) => panic!("{fault:?}: {outcome:?}"),
        }
        // Whether a call exists is settled by the carrier's own list.
        assert_eq!(carrier.find(TO, FROM, 0).await.expect("a list").len(), calls, "{fault:?}");
        assert_eq!(world.sim.log.summary().calls, calls as u64);
    }
}

#[tokio::test]
async fn a_live_call_does_as_it_is_told() {
    let mut mix = one(Person::Voicemail, 0, false);
    mix.talk.record_ms = 3_600_000;
    let world = World::new(mix).await;
    let carrier = twilio(&world);
    let DialOutcome::Accepted { sid } = carrier.dial(&request(&world, "a1")).await else {
        panic!("not accepted")
    };
    world.until("a stream", |world| !world.orchestrator.starts.lock().is_empty()).await;
    let message =
        Instruction::SayAndHangup { text: "Call us back.".to_owned(), language: "en-US".to_owned() };
    assert_eq!(carrier.instruct(&sid, &message).await, InstructionOutcome::Done);
    world.ended(1).await;
    assert!(world.orchestrator.talked().contains(&"stop".to_owned()));
    let end = world.sim.log.snapshot().call_ends().next().expect("ended").clone();
    assert!(end.heard >= 1);

    let mut mix = one(Person::NoAnswer, 0, false);
    mix.network.ring_ms = 60_000;
    let world = World::at(mix, 10.0).await;
    let carrier = twilio(&world);
    let DialOutcome::Accepted { sid } = carrier.dial(&request(&world, "a2")).await else {
        panic!("not accepted")
    };
    assert_eq!(carrier.instruct(&sid, &Instruction::Hangup).await, InstructionOutcome::Done);
    world.ended(1).await;
    assert_eq!(reports(&world, "a2").pop(), Some(Progress::Ended(End::Canceled)));
}

#[tokio::test]
async fn a_conversation_goes_both_ways_and_ends() {
    let world = World::new(Scenario::default()).await;
    let agent = elevenlabs(&world, XI_KEY);
    let opening =
        Opening { agent_id: "agent_1".to_owned(), user_id: Some("lead".to_owned()), ..Opening::default() };
    let mut session = agent.open(&opening).await.expect("a session");
    let (mut seen, mut turns) = (Vec::new(), 0);
    while let Some(event) = session.receiver.next().await {
        match event {
            AgentEvent::Ready { .. } => seen.push("ready"),
            AgentEvent::Audio { payload, .. } => {
                let sound = base64::engine::general_purpose::STANDARD.decode(payload).expect("base64");
                assert!(!sound.is_empty());
                seen.push("audio");
                turns += 1;
                if turns < 5 {
                    session.sender.user_message("go on").expect("sent");
                }
            }
            AgentEvent::ToolCall(call) => {
                session.sender.tool_result(&call.id, "noon", false).expect("sent");
                seen.push("tool");
            }
            AgentEvent::UserTranscript { .. } => seen.push("user"),
            AgentEvent::AgentResponse { .. } => seen.push("agent"),
            AgentEvent::Ended(end) => {
                assert_eq!(end, AgentEnd::Finished);
                seen.push("end");
            }
            AgentEvent::AgentCorrection { .. } | AgentEvent::Interrupted { .. } => seen.push("interrupted"),
        }
    }
    assert_eq!((seen.first(), seen.last()), (Some(&"ready"), Some(&"end")), "{seen:?}");
    for (what, times) in [("agent", 5), ("user", 4), ("tool", 1)] {
        assert_eq!(seen.iter().filter(|seen| **seen == what).count(), times, "{what}: {seen:?}");
    }
    let refused = elevenlabs(&world, "wrong").open(&opening).await.err();
    assert!(matches!(refused, Some(OpenError::Credentials { status: 401 })), "{refused:?}");
}
