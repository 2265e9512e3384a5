//! The two halves of a conversation, and the queue between the one that speaks and the adapter
//! that puts it on the wire.
//!
//! The sender never waits: audio is live, so when the wire cannot keep up the oldest of it is
//! forgotten, as a late piece would only delay all that follows.

use super::AgentEvent;
use crate::twilio::media::is_base64;
use futures_util::stream::{Stream, StreamExt as _};
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

/// Most pieces of audio that wait to be sent: a little more than a second of 20 ms pieces.
pub const AUDIO_QUEUE_MAX: usize = 64;
/// Most other commands that wait to be sent.
pub const CONTROL_QUEUE_MAX: usize = 32;
/// Largest text of one command, in bytes.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// A conversation that has begun.
#[derive(Debug)]
pub struct Session {
    pub sender: Sender,
    pub receiver: Receiver,
}

/// Something the agent is to be sent.
#[derive(Clone, PartialEq, Eq)]
pub enum Command {
    /// Base64 text in the agent's input format, checked.
    Audio(String),
    ToolResult {
        id: String,
        result: String,
        is_error: bool,
    },
    /// Something to know, without a turn of the caller's. With an id only the latest of that id counts.
    ContextUpdate {
        text: String,
        context_id: Option<String>,
    },
    /// Counts as something the caller said.
    UserMessage(String),
    /// End the conversation.
    Close,
}

impl fmt::Debug for Command {
    // What is said is not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Audio(payload) => write!(f, "Audio {{ chars: {} }}", payload.len()),
            Command::ToolResult { id, is_error, .. } => {
                write!(f, "ToolResult {{ id: {id:?}, is_error: {is_error} }}")
            }
            Command::ContextUpdate { .. } => f.write_str("ContextUpdate"),
            Command::UserMessage(_) => f.write_str("UserMessage"),
            Command::Close => f.write_str("Close"),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SendError {
    #[error("the conversation is over")]
    Closed,
    #[error("too much waits to be sent already")]
    Full,
    #[error("not base64")]
    NotBase64,
    #[error("the text is larger than {TEXT_BYTES_MAX} bytes")]
    TooLarge,
}

#[derive(Default)]
struct Queue {
    audio: VecDeque<String>,
    control: VecDeque<Command>,
    /// Audio that was forgotten because the wire could not keep up.
    dropped: u64,
    closing: bool,
    closed: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    consumer: AtomicWaker,
    senders: AtomicUsize,
}

/// The half that speaks. Dropping the last one ends the conversation.
pub struct Sender(Arc<Shared>);

impl Sender {
    /// Sends a piece of the caller's voice: base64 text in the agent's input format.
    pub fn audio(&self, payload: &str) -> Result<(), SendError> {
        if payload.len() > TEXT_BYTES_MAX {
            return Err(SendError::TooLarge);
        }
        if !is_base64(payload) {
            return Err(SendError::NotBase64);
        }
        {
            let mut queue = self.0.queue.lock();
            if queue.closing || queue.closed {
                return Err(SendError::Closed);
            }
            if queue.audio.len() == AUDIO_QUEUE_MAX {
                queue.audio.pop_front();
                queue.dropped += 1;
            }
            queue.audio.push_back(payload.to_owned());
        }
        self.0.consumer.wake();
        Ok(())
    }

    /// Answers a tool call. `result` is text for the agent, JSON by custom.
    pub fn tool_result(&self, id: &str, result: &str, is_error: bool) -> Result<(), SendError> {
        self.control(
            Command::ToolResult { id: id.to_owned(), result: result.to_owned(), is_error },
            result.len(),
        )
    }

    /// Tells the agent something without taking a turn.
    pub fn context_update(&self, text: &str, context_id: Option<&str>) -> Result<(), SendError> {
        let context_id = context_id.map(str::to_owned);
        self.control(Command::ContextUpdate { text: text.to_owned(), context_id }, text.len())
    }

    /// Says something in the caller's place.
    pub fn user_message(&self, text: &str) -> Result<(), SendError> {
        self.control(Command::UserMessage(text.to_owned()), text.len())
    }

    /// Ends the conversation once what waits, other than audio, has been sent. The receiver then
    /// yields `Ended(Released)`, unless the agent ended it first.
    pub fn close(&self) {
        self.0.queue.lock().closing = true;
        self.0.consumer.wake();
    }

    /// How many pieces of audio have been forgotten because the wire could not keep up.
    pub fn audio_dropped(&self) -> u64 {
        self.0.queue.lock().dropped
    }

    fn control(&self, command: Command, bytes: usize) -> Result<(), SendError> {
        if bytes > TEXT_BYTES_MAX {
            return Err(SendError::TooLarge);
        }
        {
            let mut queue = self.0.queue.lock();
            if queue.closing || queue.closed {
                return Err(SendError::Closed);
            }
            if queue.control.len() == CONTROL_QUEUE_MAX {
                return Err(SendError::Full);
            }
            queue.control.push_back(command);
        }
        self.0.consumer.wake();
        Ok(())
    }
}

impl Clone for Sender {
    fn clone(&self) -> Self {
        self.0.senders.fetch_add(1, Ordering::Relaxed);
        Sender(Arc::clone(&self.0))
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        if self.0.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.close();
        }
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}

/// The adapter's end of the queue. Dropping it lets senders know that the conversation is over.
pub struct Commands {
    shared: Arc<Shared>,
    done: bool,
}

impl Commands {
    /// What to send next: other commands before audio, `Close` at last and once, then `None`.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Command>> {
        if self.done {
            return Poll::Ready(None);
        }
        self.shared.consumer.register(cx.waker());
        let mut queue = self.shared.queue.lock();
        if let Some(command) = queue.control.pop_front() {
            return Poll::Ready(Some(command));
        }
        if queue.closing {
            queue.audio = VecDeque::new();
            self.done = true;
            return Poll::Ready(Some(Command::Close));
        }
        match queue.audio.pop_front() {
            Some(payload) => Poll::Ready(Some(Command::Audio(payload))),
            None => Poll::Pending,
        }
    }

    /// Whether the conversation is to end, for an adapter that cannot take commands yet. Leaves
    /// everything in the queue.
    pub fn poll_closing(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.shared.consumer.register(cx.waker());
        if self.shared.queue.lock().closing { Poll::Ready(()) } else { Poll::Pending }
    }

    /// As [`Commands::poll_next`]; loses nothing when dropped.
    pub async fn next(&mut self) -> Option<Command> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }
}

impl Drop for Commands {
    fn drop(&mut self) {
        let mut queue = self.shared.queue.lock();
        queue.closed = true;
        queue.audio = VecDeque::new();
        queue.control = VecDeque::new();
    }
}

/// A queue of commands, for an adapter that implements [`super::VoiceAgent`].
pub fn channel() -> (Sender, Commands) {
    let shared = Arc::new(Shared {
        queue: Mutex::new(Queue::default()),
        consumer: AtomicWaker::new(),
        senders: AtomicUsize::new(1),
    });
    (Sender(Arc::clone(&shared)), Commands { shared, done: false })
}

/// The half that hears. It also drives the connection, so it must be asked for events without
/// long pauses: only then are commands sent and the provider's probes answered.
pub struct Receiver(Pin<Box<dyn Stream<Item = AgentEvent> + Send>>);

impl Receiver {
    /// A receiver that yields what `events` yields. The stream ends after `Ended`.
    pub fn new(events: impl Stream<Item = AgentEvent> + Send + 'static) -> Self {
        Receiver(Box::pin(events))
    }

    /// The next event; `None` after `Ended`. Loses nothing when dropped before it is done.
    pub async fn next(&mut self) -> Option<AgentEvent> {
        self.0.next().await
    }
}

impl Stream for Receiver {
    type Item = AgentEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<AgentEvent>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receiver")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    fn now(commands: &mut Commands) -> Option<Option<Command>> {
        commands.next().now_or_never()
    }

    #[test]
    fn other_commands_overtake_audio_and_close_comes_last() {
        let (sender, mut commands) = channel();
        sender.audio("AAAA").unwrap();
        sender.tool_result("tc1", "{}", false).unwrap();
        sender.user_message("hello").unwrap();
        assert!(matches!(now(&mut commands), Some(Some(Command::ToolResult { .. }))));
        assert_eq!(now(&mut commands), Some(Some(Command::UserMessage("hello".into()))));
        assert_eq!(now(&mut commands), Some(Some(Command::Audio("AAAA".into()))));
        assert_eq!(now(&mut commands), None);
        sender.audio("BBBB").unwrap();
        sender.context_update("x", None).unwrap();
        sender.close();
        assert_eq!(sender.audio("CCCC"), Err(SendError::Closed));
        assert!(matches!(now(&mut commands), Some(Some(Command::ContextUpdate { .. }))));
        assert_eq!(now(&mut commands), Some(Some(Command::Close)));
        assert_eq!(now(&mut commands), Some(None));
    }

    #[test]
    fn late_audio_is_forgotten_first() {
        let (sender, mut commands) = channel();
        for i in 0..AUDIO_QUEUE_MAX + 3 {
            sender.audio(&format!("{i:04}")).unwrap();
        }
        assert_eq!(sender.audio_dropped(), 3);
        assert_eq!(now(&mut commands), Some(Some(Command::Audio("0003".into()))));
    }

    #[test]
    fn the_queue_is_bounded_and_checked() {
        let (sender, commands) = channel();
        for _ in 0..CONTROL_QUEUE_MAX {
            sender.user_message("x").unwrap();
        }
        assert_eq!(sender.user_message("x"), Err(SendError::Full));
        assert_eq!(sender.audio("\"}"), Err(SendError::NotBase64));
        assert_eq!(sender.user_message(&"x".repeat(TEXT_BYTES_MAX + 1)), Err(SendError::TooLarge));
        drop(commands);
        assert_eq!(sender.user_message("x"), Err(SendError::Closed));
    }

    #[tokio::test]
    async fn the_last_sender_gone_closes() {
        let (sender, mut commands) = channel();
        let other = sender.clone();
        drop(sender);
        assert_eq!(now(&mut commands), None);
        let waiting = tokio::spawn(async move { commands.next().await });
        tokio::task::yield_now().await;
        drop(other);
        assert_eq!(waiting.await.unwrap(), Some(Command::Close));
    }
}
