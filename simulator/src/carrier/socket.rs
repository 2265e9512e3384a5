//! One media socket as the carrier opens it.

use super::Carrier;
use crate::wire::{Format, Frame, Media, Origin, SIGNATURE_HEADER, Start};
use base64::Engine as _;
use futures_util::{SinkExt as _, StreamExt as _};
use std::borrow::Cow;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as WsError, Message, protocol::CloseFrame};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A peer that does not take a frame for so long is gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// Largest message that is taken, in bytes.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

pub(crate) fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * MESSAGE_BYTES_MAX)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
}

pub(super) struct Socket {
    inner: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub(super) stream_sid: String,
    account_sid: String,
    call_sid: String,
    sequence: u64,
    chunk: u64,
    /// Simulated time between the answer and the beginning of the stream.
    began_ms: u64,
    pub(super) frames_sent: u64,
    buffer: String,
}

/// Why a media socket did not open.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("not a usable URL")]
    Url,
    #[error("refused with {0}")]
    Refused(u16),
    #[error("no answer in time")]
    TimedOut,
    #[error("no connection")]
    Unreachable,
}

/// The socket is gone.
#[derive(Debug)]
pub(super) struct Gone;

impl Socket {
    /// Connects to `url` with a signature, as the carrier does.
    pub(super) async fn open(
        carrier: &Carrier,
        url: &str,
        stream_sid: String,
        call_sid: String,
    ) -> Result<Self, ConnectError> {
        let mut request = url.into_client_request().map_err(|_| ConnectError::Url)?;
        let signature = carrier.webhooks.key().sign(url, &[]);
        request.headers_mut().insert(SIGNATURE_HEADER, signature.parse().map_err(|_| ConnectError::Url)?);
        let connector = Connector::Rustls(carrier.webhooks.tls());
        let opening =
            tokio_tungstenite::connect_async_tls_with_config(request, Some(config()), true, Some(connector));
        match tokio::time::timeout(CONNECT_TIMEOUT, opening).await {
            Err(_) => Err(ConnectError::TimedOut),
            Ok(Err(WsError::Http(answer))) => Err(ConnectError::Refused(answer.status().as_u16())),
            Ok(Err(WsError::Url(_))) => Err(ConnectError::Url),
            Ok(Err(_)) => Err(ConnectError::Unreachable),
            Ok(Ok((inner, _))) => Ok(Self {
                inner,
                stream_sid,
                account_sid: carrier.account.sid.clone(),
                call_sid,
                sequence: 0,
                chunk: 0,
                began_ms: 0,
                frames_sent: 0,
                buffer: String::new(),
            }),
        }
    }

    /// Sends the first two frames. `at_ms`: simulated time since the answer.
    pub(super) async fn begin(&mut self, parameters: Vec<(String, String)>, at_ms: u64) -> Result<(), Gone> {
        self.began_ms = at_ms;
        self.frame(Frame::Connected).await?;
        let start = Start {
            stream_sid: self.stream_sid.clone(),
            account_sid: self.account_sid.clone(),
            call_sid: self.call_sid.clone(),
            parameters,
            format: Format::mulaw_8000(),
        };
        self.frame(Frame::Start(start)).await
    }

    /// Sends one frame of the person's sound, complete `at_ms` after the answer (simulated).
    pub(super) async fn media(&mut self, sound: &[u8], at_ms: u64) -> Result<(), Gone> {
        self.chunk += 1;
        self.frames_sent += 1;
        let media = Media {
            chunk: self.chunk,
            timestamp_ms: at_ms.saturating_sub(self.began_ms),
            payload: Cow::Owned(base64::engine::general_purpose::STANDARD.encode(sound)),
        };
        self.frame(Frame::Media(media)).await
    }

    pub(super) async fn mark(&mut self, name: &str) -> Result<(), Gone> {
        self.frame(Frame::Mark { name: Cow::Borrowed(name) }).await
    }

    async fn frame(&mut self, frame: Frame<'_>) -> Result<(), Gone> {
        if !matches!(frame, Frame::Connected) {
            self.sequence += 1;
        }
        let origin =
            Origin { stream_sid: &self.stream_sid, account_sid: &self.account_sid, call_sid: &self.call_sid };
        frame.write(&mut self.buffer, &origin, self.sequence);
        let text = self.buffer.clone();
        self.send(Message::text(text)).await
    }

    pub(super) async fn send(&mut self, message: Message) -> Result<(), Gone> {
        match tokio::time::timeout(SEND_TIMEOUT, self.inner.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }

    /// The next message. `None` when the socket is closed, with whether that was done properly.
    pub(super) async fn next(&mut self) -> Result<Message, bool> {
        match self.inner.next().await {
            Some(Ok(Message::Close(_))) => {
                // Lets the close handshake finish.
                let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.inner.next()).await;
                Err(true)
            }
            Some(Ok(message)) => Ok(message),
            Some(Err(WsError::ConnectionClosed)) | None => Err(true),
            Some(Err(_)) => Err(false),
        }
    }

    /// Says `stop` and closes.
    pub(super) async fn end(mut self) {
        let goodbye = async {
            self.frame(Frame::Stop).await?;
            let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
            let _ = self.inner.close(Some(frame)).await;
            // What was under way is read and thrown away until the other side has closed too.
            while let Some(Ok(_)) = self.inner.next().await {}
            Ok::<(), Gone>(())
        };
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, goodbye).await;
    }
}
