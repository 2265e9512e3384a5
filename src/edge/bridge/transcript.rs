//! What is said, sealed and stored as it comes.
//!
//! The agent's newest turn is held back until it is certain that it was said: an agent tells what it is about to say,
//! and takes part of it back when it is interrupted. While one commit is under way, turns gather for the next.

use super::super::tell::{Untold, named_key, tell};
use futures_util::future::BoxFuture;
use std::time::Duration;
use tandem_actors::vault::PersonKey;
use tandem_actors::{Handle, Key};
use tandem_domain::agent::Speaker;
use tandem_domain::call::{Call, Command, Reply, SaidTurn};
use tandem_domain::id::{Attempt, Entity};
use tandem_domain::time::Millis;
use tokio::time::timeout;

/// Longest turn that is stored, in bytes. What is beyond is cut off.
const TURN_BYTES_MAX: usize = 16 * 1024;
/// Turns of one commit, and their bytes.
const BATCH_MAX: usize = 32;
const BATCH_BYTES_MAX: usize = 128 * 1024;
/// Turns that wait to be stored. Beyond, the newest are lost: it takes a store that hangs for many minutes.
const WAITING_MAX: usize = 512;

/// How long a commit is tried for while the conversation goes on.
const COMMIT_PATIENCE: Duration = Duration::from_secs(30);

struct Turn {
    at: Millis,
    speaker: Speaker,
    text: String,
}

pub(super) struct Transcript {
    handle: Handle,
    attempt: Attempt,
    generation: u32,
    key: PersonKey,
    /// The agent's newest turn, which may still be corrected.
    held: Option<Turn>,
    waiting: Vec<SaidTurn>,
    commit: Option<Commit>,
    batch: u32,
    lost: usize,
}

/// What the call thinks of the connection on which something was said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// As far as is known, it has the conversation.
    Holds,
    /// It is stale: a newer one has the conversation.
    Stale,
}

struct Commit {
    turns: usize,
    done: BoxFuture<'static, Result<Reply, Untold>>,
}

impl Transcript {
    pub fn new(handle: Handle, attempt: Attempt, generation: u32, key: PersonKey) -> Self {
        Transcript {
            handle,
            attempt,
            generation,
            key,
            held: None,
            waiting: Vec::new(),
            commit: None,
            batch: 0,
            lost: 0,
        }
    }

    fn turn(&self, speaker: Speaker, text: String) -> Turn {
        Turn { at: self.handle.clock().now(), speaker, text }
    }

    /// The caller was understood to say this.
    pub fn caller(&mut self, text: String) {
        self.settle();
        let turn = self.turn(Speaker::Caller, text);
        self.take(turn);
    }

    /// The agent is about to say this.
    pub fn agent(&mut self, text: String) {
        self.settle();
        self.held = Some(self.turn(Speaker::Agent, text));
    }

    /// The agent was interrupted: of `original` it said no more than this.
    pub fn corrected(&mut self, original: &str, corrected: String) {
        match &mut self.held {
            Some(turn) if turn.text == original || original.is_empty() => turn.text = corrected,
            // The turn is stored already, and what is stored stays.
            _ => metrics::counter!("tandem_corrections_late_total").increment(1),
        }
    }

    /// What the agent said last was said.
    pub fn settle(&mut self) {
        if let Some(turn) = self.held.take() {
            self.take(turn);
        }
    }

    fn take(&mut self, turn: Turn) {
        let text = cut(turn.text.trim(), TURN_BYTES_MAX);
        if text.is_empty() {
            return;
        }
        if self.waiting.len() >= WAITING_MAX {
            self.lost += 1;
            return;
        }
        match self.key.seal(text.as_bytes()) {
            Ok(text) => self.waiting.push(SaidTurn { at: turn.at, speaker: turn.speaker, text }),
            Err(error) => {
                tracing::error!(attempt = %self.attempt, %error, "what was said cannot be sealed");
                self.lost += 1;
            }
        }
    }

    /// Stores what waits. Returns when a commit is done, and whether the call still takes what is said on this
    /// connection; waits for ever while there is nothing to store. Loses nothing when dropped before it is done.
    pub async fn next(&mut self) -> Standing {
        if self.commit.is_none() {
            self.commit = self.begin();
        }
        let Some(commit) = &mut self.commit else { return std::future::pending().await };
        let done = (&mut commit.done).await;
        let turns = commit.turns;
        self.commit = None;
        match done {
            Ok(Reply::Status(status)) if status.ignored => {
                tracing::warn!(attempt = %self.attempt, turns, "the call takes no more words of this connection");
                self.lost += turns;
                Standing::Stale
            }
            Ok(_) => Standing::Holds,
            Err(why) => {
                tracing::error!(attempt = %self.attempt, turns, ?why, "what was said could not be stored");
                self.lost += turns;
                Standing::Holds
            }
        }
    }

    fn begin(&mut self) -> Option<Commit> {
        let mut bytes = 0;
        let fits = self.waiting.iter().take(BATCH_MAX).take_while(|turn| {
            bytes += turn.text.0.len();
            bytes <= BATCH_BYTES_MAX
        });
        // One alone fits in any case.
        let count = fits.count().max(1).min(self.waiting.len());
        if count == 0 {
            return None;
        }
        let turns: Vec<SaidTurn> = self.waiting.drain(..count).collect();
        self.batch += 1;
        let key = self.batch_key();
        let (handle, to) = (self.handle.clone(), Entity::call(self.attempt.company, self.attempt.call));
        let (attempt, generation) = (self.attempt.number, self.generation);
        let done = Box::pin(async move {
            let command = Command::Said { attempt, generation, turns };
            tell::<Call>(&handle, to, command, Some(key), COMMIT_PATIENCE).await
        });
        Some(Commit { turns: count, done })
    }

    /// Names a batch, so that one whose answer was lost is not stored twice.
    fn batch_key(&self) -> Key {
        named_key(&format!("said {} {} {}", self.attempt, self.generation, self.batch))
    }

    /// Stores all there is, within `patience`.
    pub async fn finish(&mut self, patience: Duration) {
        self.settle();
        let storing = async {
            while self.commit.is_some() || !self.waiting.is_empty() {
                self.next().await;
            }
        };
        // Left unfinished, a commit may still happen; nobody will know.
        if timeout(patience, storing).await.is_err() {
            self.lost += self.waiting.len() + self.commit.take().map_or(0, |commit| commit.turns);
        }
        self.waiting.clear();
        if self.lost > 0 {
            tracing::error!(attempt = %self.attempt, turns = self.lost, "part of what was said is not stored");
            metrics::counter!("tandem_turns_lost_total").increment(self.lost as u64);
        }
    }
}

/// As much of a text as fits into so many bytes.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max {
        return text;
    }
    let end = (0..=bytes_max).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}
