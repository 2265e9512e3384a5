//! One conversation's socket, driven by whoever asks for its events.
//!
//! There is no task of its own: each time the next event is asked for, answers to pings and
//! commands are written, in this order, and messages are read. Neither waits for the other, so a
//! provider that does not read cannot keep us from hearing it.

use super::end::{ABNORMAL, NORMAL, UNREADABLE, end};
use super::message::{self, Incoming};
use crate::agent::{AgentEvent, Command, Commands, Receiver, Session, channel};
use futures_util::{Sink, Stream};
use std::collections::VecDeque;
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tandem_domain::agent::AgentEnd;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

/// How long the provider may take to answer our close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Most answers to pings that wait to be written; only the newest matter.
const PONGS_MAX: usize = 8;
/// Most messages that cannot be read before the conversation is given up.
const UNREADABLE_MAX: u32 = 16;

/// Time limits of a conversation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub ready_timeout: Duration,
    pub silence_max: Duration,
    pub stall_max: Duration,
}

/// A session over `socket`, whose first message has been sent.
pub(super) fn session<S>(socket: WebSocketStream<S>, pace: Pace) -> Session
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, commands) = channel();
    let now = Instant::now();
    let conversation = Conversation {
        socket,
        commands: Some(commands),
        pace,
        phase: Phase::Opening { until: now + pace.ready_timeout },
        pongs: VecDeque::new(),
        probe: false,
        interrupted: None,
        trouble: None,
        unreadable: 0,
        stalled_since: None,
        unflushed: false,
        writable: true,
        timer: Box::pin(sleep(pace.ready_timeout)),
    };
    Session { sender, receiver: Receiver::new(conversation) }
}

enum Phase {
    /// The agent has not said that it is ready. Nothing but answers to pings is sent.
    Opening {
        until: Instant,
    },
    Talking {
        heard_at: Instant,
        probed: bool,
    },
    /// We have said that we close.
    Closing {
        until: Instant,
    },
    Over,
}

struct Conversation<S> {
    socket: WebSocketStream<S>,
    /// Taken when the conversation is over, which lets senders know.
    commands: Option<Commands>,
    pace: Pace,
    phase: Phase,
    pongs: VecDeque<u64>,
    probe: bool,
    /// Audio up to here has been overtaken by an interruption.
    interrupted: Option<u64>,
    /// What an `error` message said, for the close that follows it.
    trouble: Option<(Option<u16>, Option<String>)>,
    unreadable: u32,
    stalled_since: Option<Instant>,
    unflushed: bool,
    /// Cleared when writing fails; what the provider said before is still read.
    writable: bool,
    timer: Pin<Box<Sleep>>,
}

impl<S> Stream for Conversation<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    type Item = AgentEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<AgentEvent>> {
        let this = &mut *self;
        loop {
            if let Phase::Over = this.phase {
                return Poll::Ready(None);
            }
            this.poll_write(cx);
            match Pin::new(&mut this.socket).poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => {
                    if let Some(event) = this.hear(message, cx) {
                        return Poll::Ready(Some(event));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    let code = match error {
                        SocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => ABNORMAL,
                        SocketError::Protocol(_) | SocketError::Utf8(_) => UNREADABLE,
                        _ => ABNORMAL,
                    };
                    return Poll::Ready(Some(this.over_without_close(code)));
                }
                Poll::Ready(None) => return Poll::Ready(Some(this.over_without_close(ABNORMAL))),
                Poll::Pending => match this.poll_time(cx) {
                    Poll::Ready(Some(event)) => return Poll::Ready(Some(event)),
                    Poll::Ready(None) => {}
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
    }
}

impl<S> Conversation<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    /// Writes what can be written now. While the socket takes nothing, nothing more is put into
    /// it: what waits then waits in the queue, where late audio is forgotten.
    fn poll_write(&mut self, cx: &mut Context<'_>) {
        while self.writable {
            if self.unflushed {
                match Pin::new(&mut self.socket).poll_flush(cx) {
                    Poll::Ready(Ok(())) => (self.unflushed, self.stalled_since) = (false, None),
                    Poll::Ready(Err(_)) => self.writable = false,
                    Poll::Pending => {
                        self.stalled_since.get_or_insert_with(Instant::now);
                        return;
                    }
                }
            } else {
                self.poll_fill(cx);
                if !self.unflushed {
                    return;
                }
            }
        }
    }

    /// Puts messages into the socket's buffer until it is full or there are none.
    fn poll_fill(&mut self, cx: &mut Context<'_>) {
        loop {
            match Pin::new(&mut self.socket).poll_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return self.writable = false,
                Poll::Pending => return,
            }
            let Some(message) = self.poll_message(cx) else { return };
            match Pin::new(&mut self.socket).start_send(message) {
                Ok(()) => self.unflushed = true,
                // One message more than fits; the rest of the conversation is not harmed.
                Err(SocketError::WriteBufferFull(_)) => tracing::warn!("a message to the agent was dropped"),
                Err(_) => return self.writable = false,
            }
        }
    }

    /// The next message to send, if there is one now.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Option<Message> {
        if let Phase::Closing { .. } | Phase::Over = self.phase {
            return None;
        }
        if let Some(event_id) = self.pongs.pop_front() {
            return Some(Message::text(message::pong(event_id)));
        }
        if std::mem::take(&mut self.probe) {
            return Some(Message::Ping(bytes::Bytes::new()));
        }
        let commands = self.commands.as_mut()?;
        let command = match self.phase {
            Phase::Opening { .. } => match commands.poll_closing(cx) {
                Poll::Ready(()) => Command::Close,
                Poll::Pending => return None,
            },
            _ => match commands.poll_next(cx) {
                Poll::Ready(command) => command?,
                Poll::Pending => return None,
            },
        };
        match message::write(&command) {
            Some(text) => Some(Message::text(text)),
            None => {
                self.phase = Phase::Closing { until: Instant::now() + CLOSE_TIMEOUT };
                Some(Message::Close(Some(CloseFrame { code: NORMAL.into(), reason: "".into() })))
            }
        }
    }

    /// Takes a message of the provider; gives the event it amounts to, if any.
    fn hear(&mut self, message: Message, cx: &mut Context<'_>) -> Option<AgentEvent> {
        if let Phase::Talking { heard_at, probed } = &mut self.phase {
            *heard_at = Instant::now();
            *probed = false;
        }
        let text = match message {
            Message::Text(text) => text,
            Message::Close(frame) => return Some(self.over_by_close(frame, cx)),
            Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_) => return None,
        };
        if let Phase::Closing { .. } = self.phase {
            return None;
        }
        let Some(incoming) = message::read(&text) else {
            self.unreadable += 1;
            tracing::debug!(bytes = text.len(), "unreadable message of the agent");
            return (self.unreadable > UNREADABLE_MAX).then(|| self.over(end(UNREADABLE, None)));
        };
        match incoming {
            Incoming::Event(event) => self.pass(event),
            Incoming::Ping(event_id) => {
                if self.pongs.len() == PONGS_MAX {
                    self.pongs.pop_front();
                }
                self.pongs.push_back(event_id);
                None
            }
            Incoming::Error { code, kind } => {
                tracing::info!(code, kind, "the agent reports an error");
                self.trouble = Some((code, kind));
                None
            }
            Incoming::Ignored => None,
        }
    }

    /// Lets an event through, unless it comes before its time or too late.
    fn pass(&mut self, event: AgentEvent) -> Option<AgentEvent> {
        match (&event, &self.phase) {
            (AgentEvent::Ready { .. }, Phase::Opening { .. }) => {
                self.phase = Phase::Talking { heard_at: Instant::now(), probed: false };
            }
            (AgentEvent::Ready { .. }, _) | (_, Phase::Opening { .. }) => return None,
            (AgentEvent::Interrupted { event_id }, _) => self.interrupted = self.interrupted.max(*event_id),
            (AgentEvent::Audio { event_id: Some(id), .. }, _) if Some(*id) <= self.interrupted => {
                return None;
            }
            _ => {}
        }
        Some(event)
    }

    /// Waits for the next time limit. `Ready(None)` when there is something to write.
    fn poll_time(&mut self, cx: &mut Context<'_>) -> Poll<Option<AgentEvent>> {
        loop {
            let mut due = match self.phase {
                Phase::Opening { until } | Phase::Closing { until } => until,
                Phase::Talking { heard_at, probed } => {
                    heard_at + if probed { 2 * self.pace.silence_max } else { self.pace.silence_max }
                }
                Phase::Over => return Poll::Ready(None),
            };
            if let Some(since) = self.stalled_since.filter(|_| self.writable) {
                due = due.min(since + self.pace.stall_max);
            }
            let now = Instant::now();
            if due > now {
                // Moved only when it is not early enough or has rung: what is heard meanwhile
                // merely makes it ring for nothing once.
                if self.timer.is_elapsed() || self.timer.deadline() > due {
                    self.timer.as_mut().reset(due);
                }
                match self.timer.as_mut().poll(cx) {
                    Poll::Ready(()) => continue,
                    Poll::Pending => return Poll::Pending,
                }
            }
            if let Phase::Talking { probed: probed @ false, heard_at } = &mut self.phase
                && *heard_at + self.pace.silence_max <= now
            {
                *probed = true;
                self.probe = true;
                return Poll::Ready(None);
            }
            return Poll::Ready(Some(self.over_without_close(ABNORMAL)));
        }
    }

    fn over_by_close(&mut self, frame: Option<CloseFrame>, cx: &mut Context<'_>) -> AgentEvent {
        // The library has put its answer to the close in line; this is its one chance to leave.
        let _ = Pin::new(&mut self.socket).poll_flush(cx);
        if let Phase::Closing { .. } = self.phase {
            return self.over(AgentEnd::Released);
        }
        let (said, kind) = self.trouble.take().unwrap_or_default();
        let Some(frame) = frame else { return self.over(end(said.unwrap_or(NORMAL), kind)) };
        let reason = (!frame.reason.is_empty()).then(|| message::word(&frame.reason));
        self.over(end(frame.code.into(), kind.or(reason)))
    }

    /// The socket is gone, or is given up, without the provider's having closed it.
    fn over_without_close(&mut self, code: u16) -> AgentEvent {
        if let Phase::Closing { .. } = self.phase {
            return self.over(AgentEnd::Released);
        }
        match self.trouble.take() {
            // It said why before it went.
            Some((Some(said), kind)) if said != NORMAL => self.over(end(said, kind)),
            _ => self.over(end(code, None)),
        }
    }

    fn over(&mut self, end: AgentEnd) -> AgentEvent {
        self.phase = Phase::Over;
        self.commands = None;
        AgentEvent::Ended(end)
    }
}
