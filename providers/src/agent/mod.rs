//! A conversation with a voice agent, whoever provides it.
//!
//! [`VoiceAgent::open`] begins one and gives a [`Session`]: a [`Sender`], cheap to clone and never
//! waiting, and a [`Receiver`] that yields [`AgentEvent`]s and drives the connection while it is
//! asked for them.

mod audio;
mod session;
pub mod tool;

pub use audio::AudioFormat;
pub use session::{
    AUDIO_QUEUE_MAX, CONTROL_QUEUE_MAX, Command, Commands, Receiver, SendError, Sender, Session, channel,
};

use async_trait::async_trait;
use std::fmt;
use tandem_domain::agent::{AgentEnd, Opening};

/// A provider of voice agents.
#[async_trait]
pub trait VoiceAgent: Send + Sync {
    /// Begins a conversation. Once this returns the agent has been told of `opening`; whether it
    /// accepts shows as [`AgentEvent::Ready`] or [`AgentEvent::Ended`].
    ///
    /// Nothing is retried. Dropping the future gives up the attempt.
    async fn open(&self, opening: &Opening) -> Result<Session, OpenError>;

    /// A conversation with this agent is likely to be opened in a moment: does what can be done for it before. May fail,
    /// or be in vain; `open` needs no preparation.
    async fn prepare(&self, agent_id: &str) {
        let _ = agent_id;
    }
}

/// What an agent says and does.
#[derive(Clone, PartialEq)]
pub enum AgentEvent {
    /// The agent listens. Always before anything else but `Ended`.
    Ready { conversation_id: String, input_format: AudioFormat, output_format: AudioFormat },
    /// A piece of the agent's voice: base64 text (checked) in the output format. Pieces that an
    /// interruption has overtaken do not appear.
    Audio { payload: String, event_id: Option<u64> },
    /// What the caller was understood to say, when they had finished.
    UserTranscript { text: String, event_id: Option<u64> },
    /// What the agent is about to say.
    AgentResponse { text: String, event_id: Option<u64> },
    /// What the agent really said of `original`, because it was interrupted.
    AgentCorrection { original: String, corrected: String, event_id: Option<u64> },
    /// The caller broke in: audio that waits to be played must be forgotten.
    Interrupted { event_id: Option<u64> },
    /// The agent wants something done here and waits for the result.
    ToolCall(ToolCall),
    /// The conversation is over. Nothing follows.
    Ended(AgentEnd),
}

impl fmt::Debug for AgentEvent {
    // What was said is not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AgentEvent::Ready { conversation_id, input_format, output_format } => f
                .debug_struct("Ready")
                .field("conversation_id", conversation_id)
                .field("input_format", input_format)
                .field("output_format", output_format)
                .finish(),
            AgentEvent::Audio { payload, event_id } => {
                write!(f, "Audio {{ chars: {}, event_id: {event_id:?} }}", payload.len())
            }
            AgentEvent::UserTranscript { text, event_id } => {
                write!(f, "UserTranscript {{ bytes: {}, event_id: {event_id:?} }}", text.len())
            }
            AgentEvent::AgentResponse { text, event_id } => {
                write!(f, "AgentResponse {{ bytes: {}, event_id: {event_id:?} }}", text.len())
            }
            AgentEvent::AgentCorrection { original, corrected, event_id } => write!(
                f,
                "AgentCorrection {{ bytes: {} of {}, event_id: {event_id:?} }}",
                corrected.len(),
                original.len()
            ),
            AgentEvent::Interrupted { event_id } => write!(f, "Interrupted {{ event_id: {event_id:?} }}"),
            AgentEvent::ToolCall(call) => call.fmt(f),
            AgentEvent::Ended(end) => f.debug_tuple("Ended").field(end).finish(),
        }
    }
}

/// Something the agent wants done.
#[derive(Clone, PartialEq)]
pub struct ToolCall {
    /// Names the call in the answer.
    pub id: String,
    /// Which tool.
    pub name: String,
    /// What the agent filled in; an object, by its own promise.
    pub parameters: serde_json::Value,
}

impl fmt::Debug for ToolCall {
    // Parameters hold what the caller said of themselves.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ToolCall {{ id: {:?}, name: {:?} }}", self.id, self.name)
    }
}

/// Why a conversation did not begin.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpenError {
    #[error("no connection to the agent's provider: {0}")]
    Unreachable(String),
    #[error("the agent's provider did not answer in time")]
    Timeout,
    /// The plan's concurrency is used up or the system is busy.
    #[error("too many conversations at once")]
    RateLimited { retry_after_ms: Option<u32> },
    #[error("the agent's provider refuses the credentials (status {status})")]
    Credentials { status: u16 },
    #[error("the agent is not known to its provider")]
    UnknownAgent,
    /// A definite no for another reason.
    #[error("the agent's provider refused (status {status})")]
    Refused { status: u16 },
    #[error("trouble at the agent's provider (status {status})")]
    Server { status: u16 },
    #[error("unreadable answer of the agent's provider: {0}")]
    Malformed(&'static str),
}

impl OpenError {
    /// Whether opening again may help.
    pub fn is_retryable(&self) -> bool {
        match self {
            OpenError::Unreachable(_)
            | OpenError::Timeout
            | OpenError::RateLimited { .. }
            | OpenError::Server { .. }
            | OpenError::Malformed(_) => true,
            OpenError::Credentials { .. } | OpenError::UnknownAgent | OpenError::Refused { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_that_was_said() {
        let call = ToolCall {
            id: "tc1".into(),
            name: "book".into(),
            parameters: serde_json::json!({"name": "hidden words"}),
        };
        for event in [
            AgentEvent::UserTranscript { text: "hidden words".into(), event_id: None },
            AgentEvent::AgentResponse { text: "hidden words".into(), event_id: Some(1) },
            AgentEvent::AgentCorrection {
                original: "hidden words".into(),
                corrected: "hidden".into(),
                event_id: None,
            },
            AgentEvent::ToolCall(call),
        ] {
            assert!(!format!("{event:?}").contains("hidden"), "{event:?}");
        }
    }
}
