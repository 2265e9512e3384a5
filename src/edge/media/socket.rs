//! One carrier's media socket: hears without waiting for what is to be written, and writes without waiting at all.
//!
//! There is no task of its own: each time the next message is asked for, orders are written and messages are read.
//! Neither waits for the other, so a carrier that does not read cannot keep us from hearing it.

use super::outgoing::Outgoing;
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tandem_providers::twilio::media::{write_clear, write_mark, write_media};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message, Utf8Bytes};

/// Memory for reading, in bytes per socket. A frame of the caller's voice has about 350. The library's default is
/// 128 KiB.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// Writes smaller than this are put together until the next flush.
const WRITE_BUFFER_BYTES: usize = 4 * 1024;
/// What may wait within the library, besides [`Outgoing`].
const WRITE_BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Largest message that is read.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Longest piece of audio in one order: a second and a half. A multiple of four, so that each piece is base64 of its
/// own.
const PIECE_CHARS_MAX: usize = 16_000;
/// How long the carrier may take to answer our close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// For every media socket.
pub(super) fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
}

/// Why a socket is of no use any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Gone {
    #[error("the carrier closed the socket")]
    Closed,
    #[error("the socket broke")]
    Broken,
    #[error("nothing was heard for too long")]
    Silent,
    #[error("nothing was taken for too long")]
    Stalled,
    #[error("what came is no protocol")]
    Unreadable,
}

/// What was heard.
#[derive(Debug)]
pub(crate) enum Heard {
    Text(Utf8Bytes),
    /// Never sent by a carrier.
    Binary,
}

pub(crate) struct CarrierSocket<S> {
    wire: WebSocketStream<S>,
    out: Outgoing,
    silence_max: Duration,
    stall_max: Duration,
    heard_at: Instant,
    probed: bool,
    probe: bool,
    unflushed: bool,
    /// Cleared when writing fails; what the carrier said before is still read.
    writable: bool,
    stalled_since: Option<Instant>,
    timer: Pin<Box<Sleep>>,
}

impl<S> CarrierSocket<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    pub fn new(wire: WebSocketStream<S>, silence_max: Duration, stall_max: Duration) -> Self {
        CarrierSocket {
            wire,
            out: Outgoing::default(),
            silence_max,
            stall_max,
            heard_at: Instant::now(),
            probed: false,
            probe: false,
            unflushed: false,
            writable: true,
            stalled_since: None,
            timer: Box::pin(sleep(silence_max)),
        }
    }

    /// What the carrier says next. Loses nothing when dropped before it is done.
    pub async fn next(&mut self) -> Result<Heard, Gone> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Has a piece of the agent's voice played, in base64.
    pub fn play(&mut self, stream_sid: &str, payload: &str) {
        let mut rest = payload;
        while !rest.is_empty() {
            let (piece, more) = rest.split_at_checked(PIECE_CHARS_MAX).unwrap_or((rest, ""));
            let mut frame = String::new();
            write_media(&mut frame, stream_sid, piece);
            self.out.audio(frame.into());
            rest = more;
        }
    }

    /// Asks for `name` once all audio before it has been played. `false`: too many are asked for already.
    pub fn mark(&mut self, stream_sid: &str, name: &str) -> bool {
        let mut frame = String::new();
        write_mark(&mut frame, stream_sid, name);
        self.out.other(frame.into())
    }

    /// Has all audio forgotten that was not played, here and at the carrier.
    pub fn clear(&mut self, stream_sid: &str) {
        let mut frame = String::new();
        write_clear(&mut frame, stream_sid);
        self.out.instead(frame.into());
    }

    /// Pieces of audio that were forgotten because the socket was stuck.
    pub fn dropped(&self) -> u64 {
        self.out.dropped
    }

    /// Closes the socket, and waits a moment for the carrier to agree.
    pub async fn close(mut self, code: CloseCode) {
        let frame = CloseFrame { code, reason: Utf8Bytes::from_static("") };
        let closing = async {
            if self.wire.send(Message::Close(Some(frame))).await.is_ok() {
                while let Some(Ok(_)) = self.wire.next().await {}
            }
        };
        if timeout(CLOSE_TIMEOUT, closing).await.is_err() {
            tracing::debug!("a media socket was not closed by the carrier");
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Heard, Gone>> {
        loop {
            self.poll_write(cx);
            match Pin::new(&mut self.wire).poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => {
                    (self.heard_at, self.probed) = (Instant::now(), false);
                    match message {
                        Message::Text(text) => return Poll::Ready(Ok(Heard::Text(text))),
                        Message::Binary(_) => return Poll::Ready(Ok(Heard::Binary)),
                        Message::Close(_) => {
                            // The library has put its answer in line; this is its one chance to leave.
                            let _ = Pin::new(&mut self.wire).poll_flush(cx);
                            return Poll::Ready(Err(Gone::Closed));
                        }
                        // The library answers pings by itself.
                        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
                    }
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(gone(&error))),
                Poll::Ready(None) => return Poll::Ready(Err(Gone::Broken)),
                Poll::Pending => match self.poll_time(cx) {
                    Poll::Ready(Some(gone)) => return Poll::Ready(Err(gone)),
                    Poll::Ready(None) => {}
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
    }

    /// Writes what can be written now. While the socket takes nothing, nothing more is put into it: what waits then
    /// waits in the queue, where it can still be cleared.
    fn poll_write(&mut self, cx: &mut Context<'_>) {
        while self.writable {
            if self.unflushed {
                match Pin::new(&mut self.wire).poll_flush(cx) {
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

    /// Puts orders into the socket's buffer until it is full or there are none.
    fn poll_fill(&mut self, cx: &mut Context<'_>) {
        loop {
            match Pin::new(&mut self.wire).poll_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return self.writable = false,
                Poll::Pending => return,
            }
            let message = if std::mem::take(&mut self.probe) {
                Message::Ping(bytes::Bytes::new())
            } else {
                let Some(order) = self.out.next() else { return };
                Message::Text(order)
            };
            match Pin::new(&mut self.wire).start_send(message) {
                Ok(()) => self.unflushed = true,
                Err(_) => return self.writable = false,
            }
        }
    }

    /// Waits for the next time limit. `Ready(None)` when there is something to write.
    fn poll_time(&mut self, cx: &mut Context<'_>) -> Poll<Option<Gone>> {
        loop {
            let silent = self.heard_at + if self.probed { 2 * self.silence_max } else { self.silence_max };
            let stalled = self.stalled_since.filter(|_| self.writable).map(|since| since + self.stall_max);
            let due = stalled.map_or(silent, |stalled| stalled.min(silent));
            let now = Instant::now();
            if due > now {
                // Moved only when it is not early enough or has rung: what is heard meanwhile merely makes it ring
                // for nothing once.
                if self.timer.is_elapsed() || self.timer.deadline() > due {
                    self.timer.as_mut().reset(due);
                }
                match self.timer.as_mut().poll(cx) {
                    Poll::Ready(()) => continue,
                    Poll::Pending => return Poll::Pending,
                }
            }
            if stalled.is_some_and(|stalled| stalled <= now) {
                return Poll::Ready(Some(Gone::Stalled));
            }
            if self.probed {
                return Poll::Ready(Some(Gone::Silent));
            }
            (self.probed, self.probe) = (true, true);
            return Poll::Ready(None);
        }
    }
}

fn gone(error: &SocketError) -> Gone {
    use tokio_tungstenite::tungstenite::error::ProtocolError;
    match error {
        SocketError::ConnectionClosed | SocketError::AlreadyClosed => Gone::Closed,
        SocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Gone::Broken,
        SocketError::Capacity(_)
        | SocketError::Protocol(_)
        | SocketError::Utf8(_)
        | SocketError::AttackAttempt => Gone::Unreadable,
        _ => Gone::Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_providers::twilio::media::Order;
    use tokio::io::{DuplexStream, duplex};
    use tokio_tungstenite::tungstenite::protocol::Role;

    const LIMIT: Duration = Duration::from_secs(10);

    async fn pair(buffer: usize) -> (CarrierSocket<DuplexStream>, WebSocketStream<DuplexStream>) {
        let (ours, theirs) = duplex(buffer);
        let wire = WebSocketStream::from_raw_socket(ours, Role::Server, Some(config())).await;
        let peer = WebSocketStream::from_raw_socket(theirs, Role::Client, None).await;
        (CarrierSocket::new(wire, LIMIT, LIMIT), peer)
    }

    async fn heard(peer: &mut WebSocketStream<DuplexStream>) -> String {
        loop {
            match peer.next().await.unwrap().unwrap() {
                Message::Text(text) => return text.as_str().to_owned(),
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn orders_leave_while_it_listens() {
        let (mut socket, mut peer) = pair(64 * 1024).await;
        socket.play("MZ1", "f39/");
        socket.mark("MZ1", "t1");
        let talk = async {
            let media = heard(&mut peer).await;
            assert!(
                matches!(Order::parse(&media), Ok(Some(Order::Media { payload, .. })) if payload == "f39/")
            );
            assert!(matches!(Order::parse(&heard(&mut peer).await), Ok(Some(Order::Mark { .. }))));
            peer.send(Message::text("hello")).await.unwrap();
            peer.send(Message::binary(vec![1])).await.unwrap();
            peer.close(None).await.unwrap();
        };
        let listen = async {
            assert!(matches!(socket.next().await, Ok(Heard::Text(text)) if text == "hello"));
            assert!(matches!(socket.next().await, Ok(Heard::Binary)));
            assert_eq!(socket.next().await.unwrap_err(), Gone::Closed);
        };
        tokio::join!(talk, listen);
    }

    #[tokio::test(start_paused = true)]
    async fn long_audio_goes_in_pieces_that_stand_alone() {
        let (mut socket, mut peer) = pair(256 * 1024).await;
        let payload = format!("{}f3==", "AAAA".repeat(10_000));
        socket.play("MZ1", &payload);
        socket.play("MZ1", "");
        let talk = async {
            let mut whole = String::new();
            while whole.len() < payload.len() {
                let text = heard(&mut peer).await;
                let Ok(Some(Order::Media { payload: piece, .. })) = Order::parse(&text) else { panic!() };
                assert!(piece.len() <= PIECE_CHARS_MAX && piece.len().is_multiple_of(4));
                whole.push_str(&piece);
            }
            assert_eq!(whole, payload);
        };
        tokio::select! { () = talk => {}, gone = socket.next() => panic!("{gone:?}") }
    }

    /// The carrier reads nothing. What was not written yet is cleared with what was, and the socket is given up.
    #[tokio::test(start_paused = true)]
    async fn a_carrier_that_does_not_read_is_given_up() {
        let (mut socket, mut peer) = pair(1_024).await;
        for _ in 0..600 {
            socket.play("MZ1", &"AAAA".repeat(400));
        }
        assert!(socket.dropped() > 0, "the queue is bounded");
        let started = Instant::now();
        let keeps_talking = async {
            loop {
                sleep(Duration::from_millis(20)).await;
                if peer.send(Message::text("x")).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let listen = async {
            loop {
                if let Err(gone) = socket.next().await {
                    return gone;
                }
            }
        };
        let gone = tokio::select! { gone = listen => gone, () = keeps_talking => unreachable!() };
        assert_eq!(gone, Gone::Stalled);
        assert!(started.elapsed() >= LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_probed_and_then_given_up() {
        let (mut socket, mut peer) = pair(64 * 1024).await;
        let started = Instant::now();
        // A peer that answers pings lives, however silent it is.
        {
            let answers = async {
                loop {
                    tokio::time::timeout(LIMIT / 2, peer.next()).await.ok();
                    if started.elapsed() > 5 * LIMIT {
                        return;
                    }
                }
            };
            tokio::select! { () = answers => {}, gone = socket.next() => panic!("{gone:?}") }
        }
        // One that does not is dead.
        assert_eq!(socket.next().await.unwrap_err(), Gone::Silent);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_too_large_or_no_protocol_ends_it() {
        let (mut socket, mut peer) = pair(256 * 1024).await;
        peer.send(Message::text("x".repeat(MESSAGE_BYTES_MAX + 1))).await.unwrap();
        assert_eq!(socket.next().await.unwrap_err(), Gone::Unreadable);

        let (mut socket, peer) = pair(1_024).await;
        let mut raw = peer.into_inner();
        tokio::io::AsyncWriteExt::write_all(&mut raw, &[0xff; 64]).await.unwrap();
        assert_eq!(socket.next().await.unwrap_err(), Gone::Unreadable);

        let (mut socket, peer) = pair(1_024).await;
        drop(peer);
        assert_eq!(socket.next().await.unwrap_err(), Gone::Broken);
    }

    #[tokio::test(start_paused = true)]
    async fn closing_does_not_wait_for_ever() {
        let (socket, peer) = pair(1_024).await;
        let started = Instant::now();
        socket.close(CloseCode::Normal).await;
        assert!(started.elapsed() <= CLOSE_TIMEOUT);
        drop(peer);
    }
}
