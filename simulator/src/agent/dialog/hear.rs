//! What the caller says, and when they have finished.

use super::{Dialog, Out, State};
use crate::agent::message;
use crate::audio::Heard;

/// What is written for speech that has no words here.
const NO_WORDS: &str = "...";

impl Dialog {
    pub(super) fn hear(&mut self, heard: Heard, out: &mut Vec<Out>) {
        match heard {
            Heard::Started { text, manner } => {
                if self.speaking() || (manner.interrupts && self.just_spoke()) {
                    self.interrupted(out);
                }
                match &mut self.state {
                    State::Opening | State::Over => {}
                    State::Calling { .. } => self.pending = Some(text),
                    state => *state = State::Hearing { words: Some(text), silent_ms: 0 },
                }
            }
            Heard::Speech { .. } => self.not_silent(),
            Heard::Finished => {
                if matches!(self.state, State::Hearing { .. }) {
                    self.heard(out);
                }
            }
            Heard::Noise { bytes } => {
                // A click is no speech.
                if self.pace.audio_ms(bytes) < 10 && !matches!(self.state, State::Hearing { .. }) {
                    return;
                }
                if self.speaking() {
                    self.interrupted(out);
                }
                if matches!(self.state, State::Listening { .. } | State::Reacting { .. }) {
                    self.state = State::Hearing { words: None, silent_ms: 0 };
                }
                self.not_silent();
            }
            Heard::Silence { bytes } => {
                let ms = self.pace.audio_ms(bytes);
                let end_ms = self.agent.end_of_turn_ms;
                if let State::Hearing { words: None, silent_ms } = &mut self.state {
                    *silent_ms += ms;
                    if *silent_ms >= end_ms {
                        self.heard(out);
                    }
                }
            }
        }
    }

    pub(super) fn not_silent(&mut self) {
        if let State::Hearing { silent_ms, .. } = &mut self.state {
            *silent_ms = 0;
        }
    }

    pub(super) fn speaking(&self) -> bool {
        matches!(self.state, State::Speaking { .. })
    }

    /// Whether the agent was the last to speak.
    pub(super) fn just_spoke(&self) -> bool {
        self.last.is_some() && matches!(self.state, State::Listening { .. })
    }

    pub(super) fn interrupted(&mut self, out: &mut Vec<Out>) {
        self.interruptions += 1;
        let event = self.event;
        out.push(Out::Send(message::interruption(event)));
        if let Some((text, from_ms, ms)) = self.last.take() {
            let spoken = (self.clock_ms.saturating_sub(from_ms)).min(ms) as f64 / ms.max(1) as f64;
            let letters = (text.chars().count() as f64 * spoken) as usize;
            let corrected: String = text.chars().take(letters).collect();
            if let Some(turn) = self.transcript.iter_mut().rev().find(|turn| turn.agent) {
                turn.text.clone_from(&corrected);
                turn.interrupted = true;
            }
            out.push(Out::Send(message::correction(&text, &corrected, event)));
        }
        // Audio that was under way when the caller cut in: it must be dropped by its event id.
        out.push(Out::Send(message::audio(&self.last_piece, event)));
        self.listen();
    }

    /// The caller has finished a turn.
    pub(super) fn heard(&mut self, out: &mut Vec<Out>) {
        if let State::Hearing { words, .. } = std::mem::replace(&mut self.state, State::Over) {
            self.user_turn(words.unwrap_or_else(|| NO_WORDS.to_owned()), out);
        }
    }

    pub(super) fn user_turn(&mut self, text: String, out: &mut Vec<Out>) {
        self.user_turns += 1;
        self.prompts = 0;
        self.event += 1;
        out.push(Out::Send(message::user_transcript(&text, self.event)));
        self.write(false, &text);
        self.last = None;
        self.state = State::Reacting { until_ms: self.clock_ms + self.agent.reaction_ms };
    }
}
