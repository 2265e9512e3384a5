//! The greeting of an agent that cannot do without one, in the middle of a conversation: nobody hears it.

use tandem_providers::agent::AgentEvent;

/// Swallows what an agent says of itself when a conversation opens, until it says something else.
#[derive(Default)]
pub(super) struct Mute {
    /// Names the greeting.
    event_id: Option<u64>,
    over: bool,
}

impl Mute {
    /// Whether this belongs to the greeting.
    pub fn swallows(&mut self, event: &AgentEvent) -> bool {
        if self.over {
            return false;
        }
        let id = match event {
            AgentEvent::Audio { event_id, .. }
            | AgentEvent::AgentResponse { event_id, .. }
            | AgentEvent::AgentCorrection { event_id, .. } => *event_id,
            // The person speaks: what comes now is the answer.
            AgentEvent::UserTranscript { .. } => {
                self.over = true;
                return false;
            }
            AgentEvent::Ready { .. }
            | AgentEvent::Interrupted { .. }
            | AgentEvent::ToolCall(_)
            | AgentEvent::Ended(_) => return false,
        };
        // Without a name it is taken for the greeting until the person speaks.
        let Some(id) = id else { return true };
        self.over = id > *self.event_id.get_or_insert(id);
        !self.over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audio(event_id: Option<u64>) -> AgentEvent {
        AgentEvent::Audio { payload: "f39/".into(), event_id }
    }

    fn response(event_id: Option<u64>) -> AgentEvent {
        AgentEvent::AgentResponse { text: "Hello!".into(), event_id }
    }

    #[test]
    fn only_the_greeting_is_swallowed() {
        let mut mute = Mute::default();
        for greeting in [response(Some(1)), audio(Some(1)), audio(Some(1)), audio(None)] {
            assert!(mute.swallows(&greeting), "{greeting:?}");
        }
        assert!(!mute.swallows(&AgentEvent::Interrupted { event_id: Some(1) }));
        assert!(!mute.swallows(&audio(Some(2))));
        assert!(!mute.swallows(&audio(None)) && !mute.swallows(&response(Some(2))));
    }

    #[test]
    fn whoever_is_spoken_to_is_heard() {
        let mut mute = Mute::default();
        assert!(mute.swallows(&audio(None)));
        let said = AgentEvent::UserTranscript { text: "Are you there?".into(), event_id: None };
        assert!(!mute.swallows(&said) && !mute.swallows(&audio(None)));
    }
}
