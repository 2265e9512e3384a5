//! Messages on the conversation's socket. The set grows monthly: types, fields and values that are
//! not known are ignored.

use crate::agent::{AgentEvent, AudioFormat, Command, ToolCall};
use crate::twilio::media::is_base64;
use crate::wire::{Number, Text, push_text};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tandem_domain::agent::{Opening, Variable};

/// What a message of the agent asks of us.
#[derive(Debug, PartialEq)]
pub(super) enum Incoming {
    Event(AgentEvent),
    /// To be answered at once.
    Ping(u64),
    /// Comes before a close. A close code, and the provider's word for what is wrong.
    Error {
        code: Option<u16>,
        kind: Option<String>,
    },
    /// Not known, or of no interest.
    Ignored,
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(default, rename = "conversation_initiation_metadata_event")]
    metadata: Option<Metadata>,
    #[serde(borrow, default, rename = "audio_event")]
    audio: Option<Audio<'a>>,
    #[serde(default, rename = "user_transcription_event")]
    transcript: Option<Transcript>,
    #[serde(default, rename = "agent_response_event")]
    response: Option<Response>,
    #[serde(default, rename = "agent_response_correction_event")]
    correction: Option<Correction>,
    #[serde(default, rename = "interruption_event")]
    interruption: Option<Numbered>,
    #[serde(default, rename = "ping_event")]
    ping: Option<Numbered>,
    #[serde(default, rename = "client_tool_call")]
    tool: Option<Tool>,
    #[serde(default, rename = "error_event")]
    error: Option<Trouble>,
}

#[derive(Deserialize)]
struct Metadata {
    conversation_id: String,
    agent_output_audio_format: String,
    /// Absent in old versions, which took the same for both ways.
    #[serde(default)]
    user_input_audio_format: Option<String>,
}

#[derive(Deserialize)]
struct Audio<'a> {
    #[serde(borrow)]
    audio_base_64: Text<'a>,
    #[serde(default)]
    event_id: Option<Number>,
}

#[derive(Deserialize)]
struct Transcript {
    user_transcript: String,
    #[serde(default)]
    event_id: Option<Number>,
}

#[derive(Deserialize)]
struct Response {
    agent_response: String,
    #[serde(default)]
    event_id: Option<Number>,
}

#[derive(Deserialize)]
struct Correction {
    #[serde(default)]
    original_agent_response: String,
    corrected_agent_response: String,
    #[serde(default)]
    event_id: Option<Number>,
}

#[derive(Deserialize)]
struct Numbered {
    #[serde(default)]
    event_id: Option<Number>,
}

#[derive(Deserialize)]
struct Tool {
    tool_name: String,
    tool_call_id: String,
    #[serde(default)]
    parameters: Value,
}

#[derive(Deserialize)]
struct Trouble {
    #[serde(default)]
    code: Option<Number>,
    #[serde(default)]
    error_type: Option<String>,
}

/// Reads a message; `None` for what is not one.
pub(super) fn read(text: &str) -> Option<Incoming> {
    let wire: Wire<'_> = serde_json::from_str(text).ok()?;
    let id = |number: Option<Number>| number.map(|number| number.0);
    Some(match &*wire.kind.0 {
        "audio" => {
            let audio = wire.audio?;
            if !is_base64(&audio.audio_base_64.0) {
                return None;
            }
            let payload = audio.audio_base_64.0.into_owned();
            Incoming::Event(AgentEvent::Audio { payload, event_id: id(audio.event_id) })
        }
        "ping" => Incoming::Ping(id(wire.ping?.event_id)?),
        "interruption" => {
            Incoming::Event(AgentEvent::Interrupted { event_id: id(wire.interruption?.event_id) })
        }
        "user_transcript" => {
            let said = wire.transcript?;
            Incoming::Event(AgentEvent::UserTranscript {
                text: said.user_transcript,
                event_id: id(said.event_id),
            })
        }
        "agent_response" => {
            let said = wire.response?;
            Incoming::Event(AgentEvent::AgentResponse {
                text: said.agent_response,
                event_id: id(said.event_id),
            })
        }
        "agent_response_correction" => {
            let said = wire.correction?;
            Incoming::Event(AgentEvent::AgentCorrection {
                original: said.original_agent_response,
                corrected: said.corrected_agent_response,
                event_id: id(said.event_id),
            })
        }
        "client_tool_call" => {
            let call = wire.tool?;
            let (id, name) = (call.tool_call_id, call.tool_name);
            Incoming::Event(AgentEvent::ToolCall(ToolCall { id, name, parameters: call.parameters }))
        }
        "conversation_initiation_metadata" => {
            let metadata = wire.metadata?;
            let output_format = AudioFormat::from_name(&metadata.agent_output_audio_format);
            let input_format = metadata
                .user_input_audio_format
                .map_or(output_format.clone(), |name| AudioFormat::from_name(&name));
            let conversation_id = metadata.conversation_id;
            Incoming::Event(AgentEvent::Ready { conversation_id, input_format, output_format })
        }
        "error" => {
            let trouble = wire.error?;
            let code = id(trouble.code).and_then(|code| u16::try_from(code).ok());
            Incoming::Error { code, kind: trouble.error_type.map(|kind| word(&kind)) }
        }
        _ => Incoming::Ignored,
    })
}

/// Longest word kept of what the provider says is wrong, in characters.
const WORD_CHARS_MAX: usize = 64;

/// A word of the provider as it may be stored and shown: short, and made of harmless characters.
pub(super) fn word(text: &str) -> String {
    let harmless = |c: char| if c.is_ascii_alphanumeric() || "_-.: ".contains(c) { c } else { '_' };
    text.chars().take(WORD_CHARS_MAX).map(harmless).collect()
}

/// The first message of a conversation.
pub(super) fn initiation(opening: &Opening) -> String {
    let mut message = Map::new();
    message.insert("type".into(), "conversation_initiation_client_data".into());
    // Overrides must be allowed in the agent's settings, or the conversation is refused: only what
    // is really overridden is named.
    let mut agent = Map::new();
    if let Some(first) = &opening.first_message {
        agent.insert("first_message".into(), first.as_str().into());
    }
    if let Some(language) = &opening.language {
        agent.insert("language".into(), language.as_str().into());
    }
    if !agent.is_empty() {
        message.insert("conversation_config_override".into(), json!({ "agent": agent }));
    }
    if !opening.variables.is_empty() {
        let variables: Map<String, Value> =
            opening.variables.iter().map(|(name, value)| (name.clone(), variable(value))).collect();
        message.insert("dynamic_variables".into(), variables.into());
    }
    if let Some(user) = &opening.user_id {
        message.insert("user_id".into(), user.as_str().into());
    }
    Value::Object(message).to_string()
}

fn variable(value: &Variable) -> Value {
    /// Up to here every whole number is itself.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    match value {
        Variable::Text(text) => text.as_str().into(),
        Variable::Bool(flag) => (*flag).into(),
        // A prompt should say "3 seats", not "3.0 seats".
        #[allow(clippy::cast_possible_truncation)]
        Variable::Number(number) if number.fract() == 0.0 && number.abs() <= EXACT_MAX => {
            (*number as i64).into()
        }
        Variable::Number(number) if number.is_finite() => (*number).into(),
        // Not JSON, but a variable that is missing ends the conversation.
        Variable::Number(number) => number.to_string().into(),
    }
}

/// A command as a message; `None` for `Close`, which is not one.
pub(super) fn write(command: &Command) -> Option<String> {
    Some(match command {
        Command::Audio(payload) => {
            let mut text = String::with_capacity(payload.len() + 24);
            text.push_str("{\"user_audio_chunk\":");
            push_text(&mut text, payload);
            text.push('}');
            text
        }
        Command::ToolResult { id, result, is_error } => json!({
            "type": "client_tool_result", "tool_call_id": id, "result": result, "is_error": is_error,
        })
        .to_string(),
        Command::ContextUpdate { text, context_id: None } => {
            json!({"type": "contextual_update", "text": text}).to_string()
        }
        Command::ContextUpdate { text, context_id: Some(id) } => {
            json!({"type": "contextual_update", "text": text, "context_id": id}).to_string()
        }
        Command::UserMessage(text) => json!({"type": "user_message", "text": text}).to_string(),
        Command::Close => return None,
    })
}

pub(super) fn pong(event_id: u64) -> String {
    format!(r#"{{"type":"pong","event_id":{event_id}}}"#)
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
