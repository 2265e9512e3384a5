//! What is said in a conversation.

use super::provider::{Line, audio, open, open_with, options, provider, ready, rest};
use serde_json::{Value, json};
use std::time::Duration;
use tandem_domain::agent::AgentEnd;
use tandem_providers::agent::{AgentEvent, SendError, Session, tool};
use tokio_tungstenite::tungstenite::Message;

async fn ready_session<T>(provider: &super::provider::Provider<T>) -> Session {
    let mut session = open(provider).await;
    assert!(matches!(session.receiver.next().await, Some(AgentEvent::Ready { .. })));
    session
}

#[tokio::test]
async fn audio_goes_both_ways() {
    let provider = provider(|mut line: Line| async move {
        line.begin().await;
        let heard = line.hear().await;
        line.say(audio(1, "AAAA")).await;
        line.say(audio(2, "f39/")).await;
        line.close(1000, "").await;
        heard
    })
    .await;
    let mut session = ready_session(&provider).await;
    session.sender.audio("f38=").unwrap();
    assert_eq!(
        rest(&mut session).await,
        [
            AgentEvent::Audio { payload: "AAAA".into(), event_id: Some(1) },
            AgentEvent::Audio { payload: "f39/".into(), event_id: Some(2) },
            AgentEvent::Ended(AgentEnd::Finished),
        ]
    );
    assert_eq!(provider.scene.await.unwrap(), json!({"user_audio_chunk": "f38="}));
    assert_eq!(session.sender.audio("f38="), Err(SendError::Closed));
}

#[tokio::test]
async fn the_agent_is_sent_nothing_before_it_is_ready() {
    let provider = provider(|mut line: Line| async move {
        let first = line.hear().await;
        // A ping is answered even now; what was said before it is not here yet.
        line.say(json!({"type": "ping", "ping_event": {"event_id": 1}})).await;
        let second = line.hear().await;
        line.say(audio(9, "AAAA")).await;
        line.say(ready()).await;
        let third = line.hear().await;
        line.close(1000, "").await;
        [first, second, third]
    })
    .await;
    let mut session = open(&provider).await;
    session.sender.audio("f39/").unwrap();
    let events = rest(&mut session).await;
    assert!(matches!(events[..], [AgentEvent::Ready { .. }, AgentEvent::Ended(_)]), "{events:?}");
    let [first, second, third] = provider.scene.await.unwrap();
    assert_eq!(first["type"], "conversation_initiation_client_data");
    assert_eq!(second, json!({"type": "pong", "event_id": 1}));
    assert_eq!(third, json!({"user_audio_chunk": "f39/"}));
}

#[tokio::test]
async fn every_ping_is_answered_at_once() {
    let provider = provider(|mut line: Line| async move {
        line.begin().await;
        let mut answers = Vec::new();
        for event_id in 1..=20 {
            line.say(json!({"type": "ping", "ping_event": {"event_id": event_id, "ping_ms": 50}})).await;
            answers.push(line.hear().await);
        }
        line.close(1000, "").await;
        answers
    })
    .await;
    let mut session = ready_session(&provider).await;
    assert_eq!(rest(&mut session).await, [AgentEvent::Ended(AgentEnd::Finished)]);
    let expected: Vec<Value> = (1..=20).map(|id| json!({"type": "pong", "event_id": id})).collect();
    assert_eq!(provider.scene.await.unwrap(), expected);
}

#[tokio::test]
async fn audio_that_an_interruption_has_overtaken_is_dropped() {
    let provider = provider(|mut line: Line| async move {
        line.begin().await;
        line.say(audio(4, "AAAA")).await;
        line.say(json!({"type": "interruption", "interruption_event": {"event_id": 5}})).await;
        line.say(audio(4, "BBBB")).await;
        line.say(audio(5, "CCCC")).await;
        line.say(json!({"type": "audio", "audio_event": {"audio_base_64": "EEEE"}})).await;
        line.say(audio(6, "DDDD")).await;
        // An older interruption does not bring back what a newer one has overtaken.
        line.say(json!({"type": "interruption", "interruption_event": {"event_id": 2}})).await;
        line.say(audio(5, "CCCC")).await;
        line.close(1000, "").await;
    })
    .await;
    let mut session = ready_session(&provider).await;
    assert_eq!(
        rest(&mut session).await,
        [
            AgentEvent::Audio { payload: "AAAA".into(), event_id: Some(4) },
            AgentEvent::Interrupted { event_id: Some(5) },
            AgentEvent::Audio { payload: "EEEE".into(), event_id: None },
            AgentEvent::Audio { payload: "DDDD".into(), event_id: Some(6) },
            AgentEvent::Interrupted { event_id: Some(2) },
            AgentEvent::Ended(AgentEnd::Finished),
        ]
    );
}

#[tokio::test]
async fn what_was_said_is_reported() {
    let provider = provider(|mut line: Line| async move {
        line.begin().await;
        line.say(json!({"type": "agent_response", "agent_response_event": {"agent_response": "Hello there", "event_id": 1}})).await;
        line.say(json!({"type": "user_transcript", "user_transcription_event": {"user_transcript": "Wait", "event_id": 2}})).await;
        line.say(json!({"type": "agent_response_correction", "agent_response_correction_event":
            {"original_agent_response": "Hello there", "corrected_agent_response": "Hello", "event_id": 1}})).await;
        line.close(1000, "").await;
    })
    .await;
    let mut session = ready_session(&provider).await;
    assert_eq!(
        rest(&mut session).await,
        [
            AgentEvent::AgentResponse { text: "Hello there".into(), event_id: Some(1) },
            AgentEvent::UserTranscript { text: "Wait".into(), event_id: Some(2) },
            AgentEvent::AgentCorrection {
                original: "Hello there".into(),
                corrected: "Hello".into(),
                event_id: Some(1)
            },
            AgentEvent::Ended(AgentEnd::Finished),
        ]
    );
}

#[tokio::test]
async fn tools_are_called_and_answered() {
    let provider = provider(|mut line: Line| async move {
        line.begin().await;
        let mut answers = Vec::new();
        for (id, name) in [("tc1", "current_time"), ("tc2", "unknown")] {
            line.say(json!({"type": "client_tool_call", "client_tool_call":
                {"tool_name": name, "tool_call_id": id, "parameters": {"time_zone": "Asia/Tokyo"}, "event_id": 6}}))
                .await;
            answers.push(line.hear().await);
        }
        line.close(1000, "").await;
        answers
    })
    .await;
    let tools = tool::Registry::built_in(std::sync::Arc::new(|| 0));
    let mut session = ready_session(&provider).await;
    while let Some(event) = session.receiver.next().await {
        if let AgentEvent::ToolCall(call) = event {
            let answer = tools.run(&call).await;
            session.sender.tool_result(&call.id, &answer.result, answer.is_error).unwrap();
        }
    }
    let answers = provider.scene.await.unwrap();
    assert_eq!((&answers[0]["tool_call_id"], &answers[0]["is_error"]), (&json!("tc1"), &json!(false)));
    let result: Value = serde_json::from_str(answers[0]["result"].as_str().unwrap()).unwrap();
    assert_eq!(result["local_time"], "1970-01-01T09:00:00+09:00");
    assert_eq!((&answers[1]["tool_call_id"], &answers[1]["is_error"]), (&json!("tc2"), &json!(true)));
}

#[tokio::test]
async fn commands_are_sent_while_the_receiver_waits() {
    let provider = provider(|mut line: Line| async move {
        line.begin().await;
        let heard = [line.hear().await, line.hear().await];
        line.close(1000, "").await;
        heard
    })
    .await;
    let mut session = ready_session(&provider).await;
    let sender = session.sender.clone();
    let waiting = tokio::spawn(async move { rest(&mut session).await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    sender.context_update("on hold", Some("hold")).unwrap();
    sender.user_message("hello").unwrap();
    let heard = provider.scene.await.unwrap();
    assert_eq!(heard[0], json!({"type": "contextual_update", "text": "on hold", "context_id": "hold"}));
    assert_eq!(heard[1], json!({"type": "user_message", "text": "hello"}));
    assert_eq!(waiting.await.unwrap(), [AgentEvent::Ended(AgentEnd::Finished)]);
}

#[tokio::test]
async fn garbage_is_endured_up_to_a_point() {
    let provider = provider(|mut line: Line| async move {
        line.begin().await;
        for text in ["", "{", "{\"type\":\"audio\"}", "[1,2]", "{\"type\":\"next_year\"}"] {
            line.say_text(text).await;
        }
        futures_util::SinkExt::send(&mut line.0, Message::Binary(vec![0, 1, 2].into())).await.unwrap();
        line.say(audio(1, "AAAA")).await;
        for _ in 0..30 {
            line.say_text("nonsense").await;
        }
        let _ = line.hear_close().await;
    })
    .await;
    let mut session = ready_session(&provider).await;
    assert_eq!(
        rest(&mut session).await,
        [
            AgentEvent::Audio { payload: "AAAA".into(), event_id: Some(1) },
            AgentEvent::Ended(AgentEnd::Dropped { code: 1007 }),
        ]
    );
}

#[tokio::test]
async fn a_silent_socket_is_probed_and_kept_while_it_answers() {
    let provider = provider(|mut line: Line| async move {
        line.begin().await;
        // Reading answers the probes of the socket; nothing is said for many times the limit.
        let heard = tokio::time::timeout(Duration::from_millis(400), line.hear()).await;
        assert!(heard.is_err());
        line.say(audio(1, "AAAA")).await;
        line.close(1000, "").await;
    })
    .await;
    let mut options = options(&provider.http.url);
    options.silence_max = Duration::from_millis(50);
    let mut session = open_with(options).await;
    let events = rest(&mut session).await;
    assert!(
        matches!(
            events[..],
            [AgentEvent::Ready { .. }, AgentEvent::Audio { .. }, AgentEvent::Ended(AgentEnd::Finished)]
        ),
        "{events:?}"
    );
}
