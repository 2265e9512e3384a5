//! What was said last, for an agent that takes a conversation up again.

use std::collections::VecDeque;
use tandem_actors::query;
use tandem_actors::vault::PersonKey;
use tandem_domain::agent::Speaker;
use tandem_domain::id::Attempt;
use tandem_store::Store;

/// Turns that are kept, and their bytes in all.
const TURNS_MAX: usize = 24;
const BYTES_MAX: usize = 8 * 1024;
/// Turns of a call that are looked through for the newest.
const READ_MAX: usize = query::PAGE_MAX;

#[derive(Default)]
pub(super) struct Recent {
    turns: VecDeque<(Speaker, String)>,
    bytes: usize,
}

impl Recent {
    pub fn said(&mut self, speaker: Speaker, text: &str) {
        let text = super::transcript::cut(text, BYTES_MAX / 4).to_owned();
        self.bytes += text.len();
        self.turns.push_back((speaker, text));
        while self.turns.len() > TURNS_MAX || self.bytes > BYTES_MAX {
            let Some((_, oldest)) = self.turns.pop_front() else { break };
            self.bytes -= oldest.len();
        }
    }

    /// Nobody has said anything yet.
    pub fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// What the agent really said.
    pub fn corrected(&mut self, original: &str, corrected: &str) {
        let last = self.turns.iter_mut().rev().find(|(speaker, _)| *speaker == Speaker::Agent);
        if let Some((_, text)) = last
            && original.starts_with(text.as_str())
        {
            let corrected = super::transcript::cut(corrected, BYTES_MAX / 4).to_owned();
            self.bytes = self.bytes - text.len() + corrected.len();
            *text = corrected;
        }
    }

    /// What an agent is to know that comes in the middle. `None` at the beginning of a conversation.
    pub fn context(&self) -> Option<String> {
        if self.turns.is_empty() {
            return None;
        }
        let mut text =
            "The line was interrupted for a moment and is back. Do not greet again; go on where the \
                        conversation was. So far:"
                .to_owned();
        for (speaker, said) in &self.turns {
            text.push_str(match speaker {
                Speaker::Agent => "\nYou: ",
                Speaker::Caller => "\nCaller: ",
            });
            text.push_str(said);
        }
        Some(text)
    }
}

/// Reads what was said last in a call with so many turns. What cannot be read is left out: better to go on without.
pub(super) async fn read(store: &dyn Store, attempt: Attempt, key: &PersonKey, turns: u32) -> Recent {
    let mut recent = Recent::default();
    let page = query::turns(store, attempt.company, attempt.call, None, READ_MAX).await;
    let page = match page {
        Ok(page) => page,
        Err(error) => {
            tracing::warn!(%attempt, %error, "what was said before cannot be read");
            return recent;
        }
    };
    let skipped = page.items.len().saturating_sub(TURNS_MAX);
    for turn in page.items.iter().skip(skipped) {
        if let Ok(text) = key.open_text(&turn.text) {
            recent.said(turn.speaker, &text);
        }
    }
    tracing::debug!(%attempt, turns, known = recent.turns.len(), "a conversation goes on");
    recent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_turns_are_kept() {
        let mut recent = Recent::default();
        assert_eq!(recent.context(), None);
        for n in 0..100 {
            recent.said(Speaker::Caller, &format!("turn {n}"));
        }
        let context = recent.context().unwrap();
        assert_eq!(context.matches("Caller: ").count(), TURNS_MAX);
        assert!(context.ends_with("\nCaller: turn 99"));
        for _ in 0..10 {
            recent.said(Speaker::Agent, &"é".repeat(BYTES_MAX));
        }
        assert!(recent.bytes <= BYTES_MAX && recent.context().unwrap().len() < BYTES_MAX + 1_000);
        assert!(!recent.turns.is_empty());
    }

    #[test]
    fn what_was_cut_off_was_not_said() {
        let mut recent = Recent::default();
        recent.said(Speaker::Agent, "Good morning. How are you?");
        recent.said(Speaker::Caller, "Fine.");
        recent.corrected("Another sentence", "Anoth");
        recent.corrected("Good morning. How are you?", "Good morning.");
        assert!(recent.context().unwrap().ends_with("\nYou: Good morning.\nCaller: Fine."));
        assert_eq!(recent.bytes, "Good morning.Fine.".len());
    }
}
