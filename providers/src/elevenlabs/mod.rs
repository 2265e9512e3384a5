//! ElevenLabs Agents: conversations over a WebSocket, opened by a signed URL.

mod conversation;
mod end;
mod message;
mod prepared;
pub mod signature;

use crate::Secret;
use crate::agent::{OpenError, Session, VoiceAgent};
use crate::net::http::{Client, HttpError, Limits, Lost};
use crate::net::tls::{self, Roots};
use crate::net::{ConnectError, Connector, Socket, Target, TargetError, TlsError};
use async_trait::async_trait;
use bytes::Bytes;
use conversation::Pace;
use http::header::{ACCEPT, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use prepared::Prepared;
use serde::Deserialize;
use std::time::Duration;
use tandem_domain::agent::Opening;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

/// Memory for reading, in bytes per conversation. The library's default is 128 KiB.
const READ_BUFFER_BYTES: usize = 8 * 1024;
/// Writes smaller than this are put together until the next flush.
const WRITE_BUFFER_BYTES: usize = 4 * 1024;
/// What may wait to be written: the largest command, with every character escaped, and some.
const WRITE_BUFFER_BYTES_MAX: usize = 512 * 1024;
/// Largest message that is read: about a minute and a half of audio.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

#[derive(Clone, Debug)]
pub struct Options {
    pub api_key: Secret,
    /// Scheme, host, perhaps a port. The socket's own address comes with the signed URL.
    pub base_url: String,
    /// For the name, TCP and TLS together, of either connection.
    pub connect_timeout: Duration,
    /// For the signed URL, and again for the socket's handshake.
    pub request_timeout: Duration,
    /// From the socket's opening to the agent's being ready.
    pub ready_timeout: Duration,
    /// A socket that has been silent this long is probed; after as long again it is given up.
    pub silence_max: Duration,
    /// A socket that takes nothing for this long is given up.
    pub stall_max: Duration,
    pub roots: Roots,
}

impl Options {
    pub const BASE_URL: &str = "https://api.elevenlabs.io";

    pub fn new(api_key: Secret) -> Self {
        Options {
            api_key,
            base_url: Options::BASE_URL.to_owned(),
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(10),
            ready_timeout: Duration::from_secs(10),
            silence_max: Duration::from_secs(15),
            stall_max: Duration::from_secs(10),
            roots: Roots::default(),
        }
    }
}

/// Why an adapter cannot be set up.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the API key is empty or cannot stand in a header")]
    ApiKey,
    #[error("base URL: {0}")]
    BaseUrl(#[from] TargetError),
    #[error("{0}")]
    Tls(#[from] TlsError),
}

/// A workspace at ElevenLabs.
#[derive(Debug)]
pub struct ElevenLabs {
    client: Client,
    connector: OpaqueConnector,
    headers: [(HeaderName, HeaderValue); 2],
    request_timeout: Duration,
    pace: Pace,
    prepared: Opaque<Prepared>,
}

/// Signed URLs are secrets.
#[derive(Default)]
struct Opaque<T>(T);

impl<T> std::fmt::Debug for Opaque<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("..")
    }
}

struct OpaqueConnector(Connector);

impl std::fmt::Debug for OpaqueConnector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connector")
    }
}

#[derive(Deserialize)]
struct SignedUrl {
    signed_url: String,
}

impl ElevenLabs {
    pub fn new(options: Options) -> Result<Self, ConfigError> {
        let mut key = HeaderValue::from_str(options.api_key.expose()).map_err(|_| ConfigError::ApiKey)?;
        if key.is_empty() {
            return Err(ConfigError::ApiKey);
        }
        key.set_sensitive(true);
        let connector = Connector::new(tls::client_config(&options.roots)?, options.connect_timeout);
        let limits = Limits {
            request_timeout: options.request_timeout,
            // Asking again for a URL hurts nobody.
            idle_max: Duration::from_secs(30),
            body_bytes_max: 64 * 1024,
            ..Limits::default()
        };
        Ok(ElevenLabs {
            client: Client::new(Target::base(&options.base_url)?, connector.clone(), limits)?,
            connector: OpaqueConnector(connector),
            headers: [
                (HeaderName::from_static("xi-api-key"), key),
                (ACCEPT, HeaderValue::from_static("application/json")),
            ],
            request_timeout: options.request_timeout,
            prepared: Opaque::default(),
            pace: Pace {
                ready_timeout: options.ready_timeout,
                silence_max: options.silence_max,
                stall_max: options.stall_max,
            },
        })
    }

    /// A URL that admits to one conversation; good for 15 minutes.
    async fn signed_url(&self, agent_id: &str) -> Result<String, OpenError> {
        let query =
            form_urlencoded::Serializer::new(String::new()).append_pair("agent_id", agent_id).finish();
        let path = format!("/v1/convai/conversation/get-signed-url?{query}");
        let answer =
            self.client.send(Method::GET, &path, &self.headers, Bytes::new()).await.map_err(|error| {
                match error {
                    HttpError::NotSent(not_sent) => OpenError::Unreachable(not_sent.to_string()),
                    HttpError::Lost(Lost::Timeout) => OpenError::Timeout,
                    HttpError::Lost(lost) => OpenError::Unreachable(lost.to_string()),
                }
            })?;
        if !answer.status.is_success() {
            return Err(refused(answer.status, answer.retry_after_ms));
        }
        let body = answer.body.map_err(|_| OpenError::Malformed("the answer broke off"))?;
        serde_json::from_slice::<SignedUrl>(&body)
            .map(|answer| answer.signed_url)
            .map_err(|_| OpenError::Malformed("no signed URL in the answer"))
    }

    async fn socket(&self, url: &str) -> Result<WebSocketStream<Socket>, OpenError> {
        let target =
            Target::socket(url).map_err(|_| OpenError::Malformed("the signed URL is not a socket's"))?;
        if self.client.target().secure && !target.secure {
            return Err(OpenError::Malformed("the signed URL is not secure"));
        }
        let stream = self.connector.0.connect(&target).await.map_err(|error| match error {
            ConnectError::Timeout => OpenError::Timeout,
            error => OpenError::Unreachable(error.to_string()),
        })?;
        let request = url
            .into_client_request()
            .map_err(|_| OpenError::Malformed("the signed URL is not a socket's"))?;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(WRITE_BUFFER_BYTES)
            .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let handshake = tokio_tungstenite::client_async_with_config(request, stream, Some(config));
        match timeout(self.request_timeout, handshake).await {
            Err(_) => Err(OpenError::Timeout),
            Ok(Ok((socket, _))) => Ok(socket),
            Ok(Err(SocketError::Http(answer))) => Err(refused(answer.status(), None)),
            Ok(Err(error)) => Err(OpenError::Unreachable(kind_of(&error).to_owned())),
        }
    }

    /// Opens a conversation at this address.
    async fn open_at(&self, url: &str, opening: &Opening) -> Result<Session, OpenError> {
        use futures_util::SinkExt as _;
        let mut socket = self.socket(url).await?;
        let first = Message::text(message::initiation(opening));
        match timeout(self.request_timeout, socket.send(first)).await {
            Err(_) => return Err(OpenError::Timeout),
            Ok(Err(error)) => return Err(OpenError::Unreachable(kind_of(&error).to_owned())),
            Ok(Ok(())) => {}
        }
        Ok(conversation::session(socket, self.pace))
    }
}

#[async_trait]
impl VoiceAgent for ElevenLabs {
    async fn open(&self, opening: &Opening) -> Result<Session, OpenError> {
        if let Some(url) = self.prepared.0.take(&opening.agent_id) {
            match self.open_at(&url, opening).await {
                // What was prepared may be good no more, or never have been.
                Err(
                    error @ (OpenError::Credentials { .. }
                    | OpenError::UnknownAgent
                    | OpenError::Refused { .. }
                    | OpenError::Malformed(_)),
                ) => tracing::debug!(%error, "a prepared conversation was refused and is asked for anew"),
                opened => return opened,
            }
        }
        let url = self.signed_url(&opening.agent_id).await?;
        self.open_at(&url, opening).await
    }

    async fn prepare(&self, agent_id: &str) {
        if !self.prepared.0.has_room(agent_id) {
            return;
        }
        match self.signed_url(agent_id).await {
            Ok(url) => self.prepared.0.put(agent_id, url),
            // Whoever opens the conversation will hear of it.
            Err(error) => tracing::debug!(%error, "a conversation could not be prepared"),
        }
    }
}

/// What a status means that is no success.
fn refused(status: StatusCode, retry_after_ms: Option<u32>) -> OpenError {
    let number = status.as_u16();
    match number {
        401 | 403 => OpenError::Credentials { status: number },
        404 => OpenError::UnknownAgent,
        408 => OpenError::Timeout,
        429 => OpenError::RateLimited { retry_after_ms },
        400..=499 => OpenError::Refused { status: number },
        500..=599 => OpenError::Server { status: number },
        _ => OpenError::Malformed("an answer that is neither success nor error"),
    }
}

/// What went wrong with a socket, without the content that some errors carry.
fn kind_of(error: &SocketError) -> &'static str {
    match error {
        SocketError::ConnectionClosed | SocketError::AlreadyClosed => "closed",
        SocketError::Io(_) => "the connection broke",
        SocketError::Tls(_) => "TLS",
        SocketError::Capacity(_) => "a message was too large",
        SocketError::Protocol(_) | SocketError::Utf8(_) | SocketError::AttackAttempt => "not a WebSocket's",
        SocketError::WriteBufferFull(_) => "too much waits to be written",
        SocketError::Url(_) | SocketError::Http(_) | SocketError::HttpFormat(_) => "the handshake failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_checked_and_not_shown() {
        let options = Options::new(Secret::from("hidden"));
        let agent = ElevenLabs::new(options.clone()).unwrap();
        for text in [format!("{options:?}"), format!("{agent:?}")] {
            assert!(!text.contains("hidden"), "{text}");
        }
        for key in ["", "a\nb"] {
            let wrong = Options { api_key: Secret::from(key), ..options.clone() };
            assert_eq!(ElevenLabs::new(wrong).unwrap_err(), ConfigError::ApiKey);
        }
        let wrong = Options { base_url: "wss://h".into(), ..options };
        assert!(matches!(ElevenLabs::new(wrong), Err(ConfigError::BaseUrl(_))));
    }

    #[test]
    fn statuses_have_their_meaning() {
        for (status, expected) in [
            (401, OpenError::Credentials { status: 401 }),
            (404, OpenError::UnknownAgent),
            (422, OpenError::Refused { status: 422 }),
            (429, OpenError::RateLimited { retry_after_ms: Some(5) }),
            (500, OpenError::Server { status: 500 }),
        ] {
            assert_eq!(refused(StatusCode::from_u16(status).unwrap(), Some(5)), expected);
        }
        assert!(OpenError::Server { status: 500 }.is_retryable());
        assert!(!OpenError::UnknownAgent.is_retryable());
    }
}
