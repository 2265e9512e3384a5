use super::*;
use proptest::prelude::*;

fn event(text: &str) -> AgentEvent {
    match read(text) {
        Some(Incoming::Event(event)) => event,
        other => panic!("{other:?}"),
    }
}

#[test]
fn messages_are_read() {
    assert_eq!(
        event(
            r#"{"type":"conversation_initiation_metadata","conversation_initiation_metadata_event":
            {"conversation_id":"conv_1","agent_output_audio_format":"ulaw_8000","user_input_audio_format":"pcm_16000"}}"#
        ),
        AgentEvent::Ready {
            conversation_id: "conv_1".into(),
            input_format: AudioFormat::Pcm { sample_rate_hz: 16_000 },
            output_format: AudioFormat::ULAW_8000,
        }
    );
    assert_eq!(
        event(
            r#"{"type":"audio","audio_event":{"audio_base_64":"f39/","event_id":4,"alignment":{"chars":["a"]}}}"#
        ),
        AgentEvent::Audio { payload: "f39/".into(), event_id: Some(4) }
    );
    assert_eq!(
        event(
            r#"{"type":"user_transcript","user_transcription_event":{"user_transcript":"hello","event_id":"5"}}"#
        ),
        AgentEvent::UserTranscript { text: "hello".into(), event_id: Some(5) }
    );
    assert_eq!(
        event(r#"{"type":"agent_response","agent_response_event":{"agent_response":"hi"}}"#),
        AgentEvent::AgentResponse { text: "hi".into(), event_id: None }
    );
    assert_eq!(
        event(
            r#"{"type":"agent_response_correction","agent_response_correction_event":
            {"original_agent_response":"hi there","corrected_agent_response":"hi","event_id":6}}"#
        ),
        AgentEvent::AgentCorrection {
            original: "hi there".into(),
            corrected: "hi".into(),
            event_id: Some(6)
        }
    );
    assert_eq!(
        event(r#"{"type":"interruption","interruption_event":{"event_id":5}}"#),
        AgentEvent::Interrupted { event_id: Some(5) }
    );
    assert_eq!(
        event(
            r#"{"type":"client_tool_call","client_tool_call":
            {"tool_name":"book","tool_call_id":"tc1","parameters":{"slot":"10"},"event_id":6}}"#
        ),
        AgentEvent::ToolCall(ToolCall {
            id: "tc1".into(),
            name: "book".into(),
            parameters: json!({"slot": "10"})
        })
    );
    assert_eq!(
        read(r#"{"type":"ping","ping_event":{"event_id":7,"ping_ms":null}}"#),
        Some(Incoming::Ping(7))
    );
    assert_eq!(
        read(r#"{"type":"error","error_event":{"code":1008,"error_type":"override_error","message":"m"}}"#),
        Some(Incoming::Error { code: Some(1008), kind: Some("override_error".into()) })
    );
}

#[test]
fn what_is_not_known_is_ignored_and_what_is_broken_is_not_read() {
    for text in [
        r#"{"type":"vad_score","vad_score_event":{"vad_score":0.5}}"#,
        r#"{"type":"next_year","next_year_event":[1]}"#,
        r#"{"type":""}"#,
    ] {
        assert_eq!(read(text), Some(Incoming::Ignored), "{text}");
    }
    for text in [
        "",
        "null",
        "[]",
        "{}",
        r#"{"type":7}"#,
        r#"{"type":"audio"}"#,
        r#"{"type":"audio","audio_event":{"event_id":1}}"#,
        r#"{"type":"audio","audio_event":{"audio_base_64":"not base64"}}"#,
        r#"{"type":"ping","ping_event":{}}"#,
        r#"{"type":"client_tool_call","client_tool_call":{"tool_name":"x"}}"#,
    ] {
        assert_eq!(read(text), None, "{text}");
    }
}

#[test]
fn the_first_message_names_only_what_is_overridden() {
    let plain: Value = serde_json::from_str(&initiation(&Opening::default())).unwrap();
    assert_eq!(plain, json!({"type": "conversation_initiation_client_data"}));
    let opening = Opening {
        agent_id: "agent_1".into(),
        user_id: Some("lead-1".into()),
        variables: [
            ("name".into(), Variable::Text("Ana \"A\"".into())),
            ("amount".into(), Variable::Number(3.0)),
            ("rate".into(), Variable::Number(0.5)),
            ("odd".into(), Variable::Number(f64::NAN)),
            ("vip".into(), Variable::Bool(true)),
        ]
        .into(),
        first_message: Some("Hi".into()),
        language: Some("de".into()),
    };
    let whole: Value = serde_json::from_str(&initiation(&opening)).unwrap();
    assert_eq!(
        whole,
        json!({
            "type": "conversation_initiation_client_data",
            "conversation_config_override": {"agent": {"first_message": "Hi", "language": "de"}},
            "dynamic_variables": {"name": "Ana \"A\"", "amount": 3, "rate": 0.5, "odd": "NaN", "vip": true},
            "user_id": "lead-1",
        })
    );
}

#[test]
fn commands_are_written() {
    let written = |command| write(&command).unwrap();
    assert_eq!(written(Command::Audio("f39/".into())), r#"{"user_audio_chunk":"f39/"}"#);
    let json = |command| serde_json::from_str::<Value>(&written(command)).unwrap();
    assert_eq!(
        json(Command::ToolResult { id: "tc1".into(), result: "{\"ok\":true}".into(), is_error: false }),
        json!({"type": "client_tool_result", "tool_call_id": "tc1", "result": "{\"ok\":true}", "is_error": false})
    );
    assert_eq!(
        json(Command::ContextUpdate { text: "on hold".into(), context_id: Some("hold".into()) }),
        json!({"type": "contextual_update", "text": "on hold", "context_id": "hold"})
    );
    assert_eq!(
        json(Command::ContextUpdate { text: "x".into(), context_id: None }),
        json!({"type": "contextual_update", "text": "x"})
    );
    assert_eq!(json(Command::UserMessage("hello".into())), json!({"type": "user_message", "text": "hello"}));
    assert_eq!(write(&Command::Close), None);
    assert_eq!(pong(7), r#"{"type":"pong","event_id":7}"#);
}

#[test]
fn words_of_the_provider_are_made_harmless() {
    assert_eq!(word("missing_dynamic_variable"), "missing_dynamic_variable");
    assert_eq!(word("a\n\"b\" é"), "a__b_ _");
    assert_eq!(word(&"x".repeat(500)).len(), WORD_CHARS_MAX);
}

proptest! {
    #[test]
    fn garbage_never_panics(text in ".{0,200}", kind in "[a-z_]{0,20}") {
        let _ = read(&text);
        let _ = read(&format!(r#"{{"type":"{kind}","audio_event":{text}}}"#));
    }
}
