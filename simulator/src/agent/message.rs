//! Messages of the agent's socket, both ways.

use base64::Engine as _;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// What the client sends. Unknown types are ignored, as the real agent does.
#[derive(Debug, PartialEq)]
pub(super) enum Incoming {
    Initiation(Box<Initiation>),
    Audio(Vec<u8>),
    Pong(u64),
    ToolResult {
        id: String,
        result: String,
        is_error: bool,
    },
    /// Counts as a turn of the caller.
    Text(String),
    /// Something to know, which is no turn.
    Context,
    /// The caller is busy: the agent does not break in.
    Activity,
    Other,
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct Initiation {
    pub(super) user: Option<String>,
    pub(super) first_message: Option<String>,
    pub(super) variables: Map<String, Value>,
}

/// Not a message of the protocol.
#[derive(Debug, PartialEq)]
pub(super) struct Invalid;

#[derive(Deserialize)]
struct Wire {
    #[serde(rename = "type")]
    kind: Option<String>,
    user_audio_chunk: Option<String>,
    event_id: Option<u64>,
    tool_call_id: Option<String>,
    #[serde(default)]
    result: Value,
    #[serde(default)]
    is_error: bool,
    text: Option<Value>,
    user_id: Option<String>,
    #[serde(default)]
    dynamic_variables: Map<String, Value>,
    #[serde(default)]
    conversation_config_override: Value,
}

impl Incoming {
    pub(super) fn parse(text: &str) -> Result<Self, Invalid> {
        let wire: Wire = serde_json::from_str(text).map_err(|_| Invalid)?;
        if let Some(audio) = wire.user_audio_chunk {
            let audio =
                base64::engine::general_purpose::STANDARD.decode(audio.as_bytes()).map_err(|_| Invalid)?;
            return Ok(Self::Audio(audio));
        }
        Ok(match wire.kind.as_deref().ok_or(Invalid)? {
            "conversation_initiation_client_data" => Self::Initiation(Box::new(Initiation {
                user: wire.user_id,
                first_message: wire.conversation_config_override["agent"]["first_message"]
                    .as_str()
                    .map(str::to_owned),
                variables: wire.dynamic_variables,
            })),
            "pong" => Self::Pong(wire.event_id.ok_or(Invalid)?),
            "client_tool_result" => Self::ToolResult {
                id: wire.tool_call_id.ok_or(Invalid)?,
                result: match wire.result {
                    Value::String(text) => text,
                    // The result is a string on the wire.
                    _ => return Err(Invalid),
                },
                is_error: wire.is_error,
            },
            "user_message" => {
                Self::Text(wire.text.and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_default())
            }
            "contextual_update" => match wire.text {
                Some(Value::String(_)) => Self::Context,
                _ => return Err(Invalid),
            },
            "user_activity" => Self::Activity,
            _ => Self::Other,
        })
    }
}

pub(super) fn metadata(conversation: &str) -> Value {
    json!({
        "type": "conversation_initiation_metadata",
        "conversation_initiation_metadata_event": {
            "conversation_id": conversation,
            "agent_output_audio_format": "ulaw_8000",
            "user_input_audio_format": "ulaw_8000",
        },
    })
}

pub(super) fn audio(sound: &[u8], event: u64) -> Value {
    let sound = base64::engine::general_purpose::STANDARD.encode(sound);
    json!({ "type": "audio", "audio_event": { "audio_base_64": sound, "event_id": event } })
}

pub(super) fn user_transcript(text: &str, event: u64) -> Value {
    json!({
        "type": "user_transcript",
        "user_transcription_event": { "user_transcript": text, "event_id": event },
    })
}

pub(super) fn agent_response(text: &str, event: u64) -> Value {
    json!({
        "type": "agent_response",
        "agent_response_event": { "agent_response": text, "event_id": event },
    })
}

pub(super) fn correction(original: &str, corrected: &str, event: u64) -> Value {
    json!({
        "type": "agent_response_correction",
        "agent_response_correction_event": {
            "original_agent_response": original,
            "corrected_agent_response": corrected,
            "event_id": event,
        },
    })
}

pub(super) fn interruption(event: u64) -> Value {
    json!({ "type": "interruption", "interruption_event": { "event_id": event } })
}

pub(super) fn ping(event: u64) -> Value {
    json!({ "type": "ping", "ping_event": { "event_id": event, "ping_ms": 20 } })
}

pub(super) fn tool_call(name: &str, id: &str, parameters: &Map<String, Value>, event: u64) -> Value {
    json!({
        "type": "client_tool_call",
        "client_tool_call": {
            "tool_name": name, "tool_call_id": id, "parameters": parameters, "event_id": event,
        },
    })
}

pub(super) fn error(code: u16, kind: &str) -> Value {
    json!({
        "type": "error",
        "error_event": { "code": code, "error_type": kind, "message": "simulated", "reason": kind },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_clients_are_read() {
        let read = Incoming::parse;
        assert_eq!(read(r#"{"user_audio_chunk":"f39/"}"#), Ok(Incoming::Audio(vec![0x7f, 0x7f, 0x7f])));
        assert_eq!(read(r#"{"type":"pong","event_id":7}"#), Ok(Incoming::Pong(7)));
        assert_eq!(read(r#"{"type":"contextual_update","text":"x"}"#), Ok(Incoming::Context));
        assert_eq!(read(r#"{"type":"contextual_update"}"#), Err(Invalid));
        assert_eq!(read(r#"{"type":"feedback","event_id":3,"score":"like"}"#), Ok(Incoming::Other));
        assert_eq!(
            read(r#"{"type":"client_tool_result","tool_call_id":"t","result":"{}","is_error":true}"#),
            Ok(Incoming::ToolResult { id: "t".into(), result: "{}".into(), is_error: true })
        );
        let initiation = read(
            r#"{"type":"conversation_initiation_client_data","user_id":"u",
                "conversation_config_override":{"agent":{"first_message":"Hi {{name}}"}},
                "dynamic_variables":{"name":"Ana"}}"#,
        );
        let Ok(Incoming::Initiation(initiation)) = initiation else { panic!("{initiation:?}") };
        assert_eq!(initiation.first_message.as_deref(), Some("Hi {{name}}"));
        assert_eq!(initiation.variables["name"], "Ana");
    }

    #[test]
    fn what_is_no_message_is_invalid() {
        for text in [
            "",
            "no",
            "[]",
            "{}",
            r#"{"type":"pong"}"#,
            r#"{"user_audio_chunk":"***"}"#,
            r#"{"type":"client_tool_result","tool_call_id":"t","result":{"a":1}}"#,
        ] {
            assert_eq!(Incoming::parse(text), Err(Invalid), "{text}");
        }
    }
}
