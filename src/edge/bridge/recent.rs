//! What was said last, for an agent that takes a conversation up again.

use std::collections::VecDeque;
use tandem_actors::vault::PersonKey;
use tandem_actors::{Handle, query};
use tandem_domain::agent::Speaker;
use tandem_domain::call::Call;
use tandem_domain::id::{Attempt, Entity};
use tandem_domain::row::Turn;

/// Turns that are kept, and their bytes in all.
const TURNS_MAX: usize = 24;
const BYTES_MAX: usize = 8 * 1024;
/// Turns of a call are looked through for the newest in so many pages at most.
const PAGES_MAX: usize = 32;

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

    /// The same, with what was said before it.
    pub fn after(mut self, earlier: Recent) -> Recent {
        let later = std::mem::replace(&mut self, earlier);
        for (speaker, text) in later.turns {
            self.said(speaker, &text);
        }
        self
    }

    /// What an agent is to know that comes in the middle.
    pub fn context(&self) -> String {
        if self.turns.is_empty() {
            return "The line was interrupted for a moment and is back. Nothing that was said is known."
                .to_owned();
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
        text
    }
}

/// Reads what was said last in this attempt of a call. What cannot be read is left out: better to go on without.
pub(super) async fn read(handle: Handle, attempt: Attempt, key: PersonKey) -> Recent {
    let call = handle.read::<Call>(Entity::call(attempt.company, attempt.call)).await;
    let before = call.ok().flatten().and_then(|view| view.state.past.last().map(|past| past.ended_at));
    let mut newest: VecDeque<Turn> = VecDeque::new();
    let mut after = None;
    for _ in 0..PAGES_MAX {
        let page =
            query::turns(&**handle.store(), attempt.company, attempt.call, after.as_deref(), query::PAGE_MAX)
                .await;
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(%attempt, %error, "what was said before cannot be read");
                break;
            }
        };
        // What was said in an earlier attempt, to a machine perhaps, was another conversation.
        newest.extend(page.items.into_iter().filter(|turn| before.is_none_or(|before| turn.at > before)));
        newest.drain(..newest.len().saturating_sub(TURNS_MAX));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let mut recent = Recent::default();
    for turn in &newest {
        if let Ok(text) = key.open_text(&turn.text) {
            recent.said(turn.speaker, &text);
        }
    }
    tracing::debug!(%attempt, known = recent.turns.len(), "a conversation goes on");
    recent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_turns_are_kept() {
        let mut recent = Recent::default();
        assert!(recent.context().contains("Nothing that was said is known"));
        for n in 0..100 {
            recent.said(Speaker::Caller, &format!("turn {n}"));
        }
        let context = recent.context();
        assert_eq!(context.matches("Caller: ").count(), TURNS_MAX);
        assert!(context.ends_with("\nCaller: turn 99"));
        for _ in 0..10 {
            recent.said(Speaker::Agent, &"é".repeat(BYTES_MAX));
        }
        assert!(recent.bytes <= BYTES_MAX && recent.context().len() < BYTES_MAX + 1_000);
        assert!(!recent.turns.is_empty());
    }

    #[test]
    fn what_was_cut_off_was_not_said() {
        let mut recent = Recent::default();
        recent.said(Speaker::Agent, "Good morning. How are you?");
        recent.said(Speaker::Caller, "Fine.");
        recent.corrected("Another sentence", "Anoth");
        recent.corrected("Good morning. How are you?", "Good morning.");
        assert!(recent.context().ends_with("\nYou: Good morning.\nCaller: Fine."));
        assert_eq!(recent.bytes, "Good morning.Fine.".len());
    }

    #[test]
    fn what_was_said_before_comes_before() {
        let (mut earlier, mut later) = (Recent::default(), Recent::default());
        earlier.said(Speaker::Agent, "Shall I book it?");
        later.said(Speaker::Agent, "I am back.");
        let both = later.after(earlier);
        assert!(both.context().ends_with("\nYou: Shall I book it?\nYou: I am back."));
        assert_eq!(both.bytes, "Shall I book it?I am back.".len());
    }
}
