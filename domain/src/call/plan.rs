//! How the calls of a campaign, or a single call, are to be made.

use crate::retry;
use crate::time::{MINUTE, Millis, SECOND};
use serde::{Deserialize, Serialize};

/// Copied into a call when it is created, so that a later change of the campaign does not bend
/// calls that are under way.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Configured name of the carrier account; [`Plan::EXTERNAL`] when the application dials.
    pub carrier: String,
    pub agent: AgentSpec,
    pub retry: retry::Policy,
    pub ring_timeout_s: u32,
    pub max_duration_s: u32,
    pub amd: AmdPolicy,
    pub record: bool,
    /// How long an attempt whose outcome is not known is searched for before it counts as lost.
    pub settle_ms: Millis,
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct AgentSpec {
    /// Configured name of the voice agent provider, such as `elevenlabs`.
    pub provider: String,
    /// The provider's id of the agent.
    pub agent_id: String,
    pub first_message: Option<String>,
    pub language: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AmdPolicy {
    pub enabled: bool,
    pub on_machine: MachineAction,
    /// An undecided verdict counts as a person. False only by explicit wish.
    pub unknown_is_human: bool,
    pub timeout_s: u32,
}

impl Default for AmdPolicy {
    fn default() -> Self {
        AmdPolicy { enabled: true, on_machine: MachineAction::Hangup, unknown_is_human: true, timeout_s: 30 }
    }
}

/// What to do when a machine has answered.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum MachineAction {
    /// Let the agent talk on.
    Continue,
    #[default]
    Hangup,
    /// Wait for the end of the greeting, say this and hang up.
    LeaveMessage { text: String, language: String },
}

impl Default for Plan {
    fn default() -> Self {
        Plan {
            carrier: "twilio".into(),
            agent: AgentSpec::default(),
            retry: retry::Policy::default(),
            ring_timeout_s: 25,
            max_duration_s: 900,
            amd: AmdPolicy::default(),
            record: false,
            settle_ms: 10 * MINUTE,
        }
    }
}

/// A value that a plan cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct PlanError {
    pub field: &'static str,
    pub why: &'static str,
}

impl Plan {
    /// The carrier name of calls that the application dials itself and reports on.
    pub const EXTERNAL: &'static str = "external";

    pub fn is_external(&self) -> bool {
        self.carrier == Self::EXTERNAL
    }

    /// # Errors
    /// The first field that is out of bounds, and what is allowed.
    pub fn validate(&self) -> Result<(), PlanError> {
        let check = |ok: bool, field, why| if ok { Ok(()) } else { Err(PlanError { field, why }) };
        check(
            !self.carrier.is_empty() && self.carrier.len() <= 64,
            "carrier",
            "1 to 64 characters: the name of a carrier in the configuration, or 'external'",
        )?;
        check(
            self.is_external() || !self.agent.agent_id.is_empty(),
            "agent.agent_id",
            "required: the provider's id of the voice agent",
        )?;
        check(self.agent.agent_id.len() <= 128, "agent.agent_id", "at most 128 characters")?;
        check(
            self.agent.first_message.as_ref().is_none_or(|m| m.len() <= 1000),
            "agent.first_message",
            "at most 1000 bytes",
        )?;
        check((15..=600).contains(&self.ring_timeout_s), "ring_timeout_s", "15 to 600 seconds")?;
        check((10..=14_400).contains(&self.max_duration_s), "max_duration_s", "10 to 14400 seconds")?;
        check((3..=59).contains(&self.amd.timeout_s), "amd.timeout_s", "3 to 59 seconds")?;
        check(
            (30 * SECOND..=24 * 60 * MINUTE).contains(&self.settle_ms),
            "settle_s",
            "30 seconds to 24 hours",
        )?;
        if let MachineAction::LeaveMessage { text, .. } = &self.amd.on_machine {
            check(
                !text.trim().is_empty() && text.len() <= 1000,
                "amd.message",
                "1 to 1000 bytes of text to leave after the beep",
            )?;
        }
        Ok(())
    }
}
