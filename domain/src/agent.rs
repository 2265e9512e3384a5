//! What a voice agent is told when a conversation opens, and what it reports, in neutral terms.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Who speaks in a transcript.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Speaker {
    Agent,
    Caller,
}

/// A value that a prompt may refer to as `{{name}}`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Variable {
    Text(String),
    Number(f64),
    Bool(bool),
}

pub type Variables = BTreeMap<String, Variable>;

/// What the agent needs to open one conversation.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Opening {
    /// The provider's id of the agent.
    pub agent_id: String,
    /// Our id of the person, opaque to the provider.
    pub user_id: Option<String>,
    pub variables: Variables,
    /// Replaces the agent's own first sentence.
    pub first_message: Option<String>,
    pub language: Option<String>,
}

/// How a conversation with an agent ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum AgentEnd {
    /// The agent closed it in the ordinary way (close code 1000).
    Finished,
    /// We closed it.
    Released,
    /// Trouble at the agent's side; opening another conversation may help.
    Dropped { code: u16 },
    /// Our side's fault (configuration, variables): retrying does not help.
    Refused { code: u16, kind: String },
}
