//! An HTTP/1.1 client for requests that must not be sent twice.
//!
//! General clients quietly send a request again when a kept connection turns out to be closed.
//! This one tells apart what it can prove: a request whose first byte was never offered to a
//! socket was not sent ([`HttpError::NotSent`]), and any other without an answer may have been
//! ([`HttpError::Lost`]). Only the former is ever put on another connection, and only once.
//!
//! The proof does not rest on the HTTP library alone: it must hand the request back untouched, and
//! a counter under it must show that the connection was not written to meanwhile.

use super::connect::{ConnectError, Connector, Socket};
use super::target::Target;
use bytes::Bytes;
use http::header::{DATE, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

/// Bounds of a client.
#[derive(Clone, Debug)]
pub struct Limits {
    /// From a request's first byte to its answer's last.
    pub request_timeout: Duration,
    /// Longest wait for a free connection, when all are in use.
    pub queue_timeout: Duration,
    /// A connection that has rested longer is not used again: the shorter this is, the less often
    /// a request meets a connection that the server is just closing, which makes its fate unknown.
    pub idle_max: Duration,
    /// Most connections at a time, and so most requests under way.
    pub connections_max: usize,
    /// Largest answer that is read, in bytes.
    pub body_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            request_timeout: Duration::from_secs(15),
            queue_timeout: Duration::from_secs(2),
            idle_max: Duration::from_secs(2),
            connections_max: 64,
            body_bytes_max: 1 << 20,
        }
    }
}

/// One server, over a few kept connections.
pub struct Client {
    target: Target,
    host: HeaderValue,
    connector: Connector,
    limits: Limits,
    permits: Semaphore,
    idle: Mutex<Vec<(Connection, Instant)>>,
}

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    /// From `Retry-After`, in seconds or as a date.
    pub retry_after_ms: Option<u32>,
    /// `Err` where the head came whole and the body did not.
    pub body: Result<Bytes, BodyError>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BodyError {
    #[error("the answer is too large")]
    TooLarge,
    #[error("the answer broke off")]
    Broken,
    #[error("the answer did not end in time")]
    Timeout,
}

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HttpError {
    /// It is certain that no byte of the request left.
    #[error("not sent: {0}")]
    NotSent(NotSent),
    /// The request may have arrived.
    #[error("no answer: {0}")]
    Lost(Lost),
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotSent {
    #[error("{0}")]
    Connect(#[from] ConnectError),
    #[error("too many requests are under way")]
    Busy,
    #[error("the connection closed first")]
    Closed,
    #[error("the request cannot be written as HTTP")]
    Malformed,
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Lost {
    #[error("timed out")]
    Timeout,
    #[error("{0}")]
    Connection(String),
}

impl Client {
    pub fn new(target: Target, connector: Connector, limits: Limits) -> Result<Self, super::TargetError> {
        let host = HeaderValue::from_str(&target.authority).map_err(|_| super::TargetError::Malformed)?;
        let permits = Semaphore::new(limits.connections_max.clamp(1, Semaphore::MAX_PERMITS));
        Ok(Client { target, host, connector, limits, permits, idle: Mutex::new(Vec::new()) })
    }

    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Sends one request to `path` (with its query) and reads the answer.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<Answer, HttpError> {
        let mut request = self.request(method, path, headers, body)?;
        let _permit = timeout(self.limits.queue_timeout, self.permits.acquire())
            .await
            .ok()
            .and_then(Result::ok)
            .ok_or(HttpError::NotSent(NotSent::Busy))?;
        // Lets connections that have been closed meanwhile notice it, while the request is still ours.
        tokio::task::yield_now().await;
        if let Some(connection) = self.checkout() {
            match self.exchange(connection, request).await {
                Err(Failure::Untouched(back)) => request = *back,
                Err(Failure::Lost(lost)) => return Err(HttpError::Lost(lost)),
                Ok(answer) => return Ok(answer),
            }
        }
        let connection = self.open().await.map_err(HttpError::NotSent)?;
        self.exchange(connection, request).await.map_err(|failure| match failure {
            Failure::Untouched(_) => HttpError::NotSent(NotSent::Closed),
            Failure::Lost(lost) => HttpError::Lost(lost),
        })
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, HttpError> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .body(Full::new(body))
            .map_err(|_| HttpError::NotSent(NotSent::Malformed))?;
        let map = request.headers_mut();
        map.insert(HOST, self.host.clone());
        map.insert(USER_AGENT, HeaderValue::from_static(concat!("tandem/", env!("CARGO_PKG_VERSION"))));
        for (name, value) in headers {
            map.insert(name.clone(), value.clone());
        }
        Ok(request)
    }

    /// A kept connection that, as far as can be seen, is still good.
    fn checkout(&self) -> Option<Connection> {
        let mut idle = self.idle.lock();
        while let Some((connection, since)) = idle.pop() {
            if since.elapsed() > self.limits.idle_max {
                // The most recent rested too long, so all the others did.
                idle.clear();
                return None;
            }
            if connection.sender.is_ready() {
                return Some(connection);
            }
        }
        None
    }

    fn check_in(&self, connection: Connection) {
        let mut idle = self.idle.lock();
        idle.retain(|(kept, since)| since.elapsed() <= self.limits.idle_max && !kept.sender.is_closed());
        if idle.len() < self.limits.connections_max && !connection.sender.is_closed() {
            idle.push((connection, Instant::now()));
        }
    }

    async fn open(&self) -> Result<Connection, NotSent> {
        let socket = self.connector.connect(&self.target).await?;
        let offered = Arc::new(AtomicU64::new(0));
        let counted = Counted { socket, offered: Arc::clone(&offered) };
        let (sender, driver) = http1::handshake(TokioIo::new(counted)).await.map_err(|_| NotSent::Closed)?;
        let task = tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "connection ended");
            }
        });
        Ok(Connection { sender, offered, task: task.abort_handle() })
    }

    async fn exchange(
        &self,
        mut connection: Connection,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, Failure> {
        let deadline = Instant::now() + self.limits.request_timeout;
        let offered_before = connection.offered.load(Ordering::SeqCst);
        let sent = tokio::time::timeout_at(deadline, connection.sender.try_send_request(request)).await;
        let response = match sent {
            Err(_) => return Err(Failure::Lost(Lost::Timeout)),
            Ok(Ok(response)) => response,
            Ok(Err(mut error)) => {
                let untouched = connection.offered.load(Ordering::SeqCst) == offered_before;
                return Err(match error.take_message() {
                    Some(request) if untouched => Failure::Untouched(Box::new(request)),
                    _ => Failure::Lost(Lost::Connection(error.into_error().to_string())),
                });
            }
        };
        let (status, retry_after_ms) = (response.status(), retry_after_ms(response.headers()));
        let body = tokio::time::timeout_at(deadline, self.body(response)).await;
        let body = body.unwrap_or(Err(BodyError::Timeout));
        if body.is_ok() {
            self.check_in(connection);
        }
        Ok(Answer { status, retry_after_ms, body })
    }

    async fn body(&self, response: Response<Incoming>) -> Result<Bytes, BodyError> {
        let limited = Limited::new(response.into_body(), self.limits.body_bytes_max);
        match limited.collect().await {
            Ok(whole) => Ok(whole.to_bytes()),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(BodyError::TooLarge),
            Err(_) => Err(BodyError::Broken),
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("target", &self.target).field("limits", &self.limits).finish()
    }
}

enum Failure {
    /// Nothing was written: here it is back.
    Untouched(Box<Request<Full<Bytes>>>),
    Lost(Lost),
}

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// How often anything was offered to the socket.
    offered: Arc<AtomicU64>,
    task: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // A peer that no longer reads could keep an orderly end waiting for ever.
        self.task.abort();
    }
}

/// A socket that counts how often something was offered for writing, taken or not.
struct Counted {
    socket: Socket,
    offered: Arc<AtomicU64>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.offered.fetch_add(1, Ordering::SeqCst);
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// `Retry-After` in milliseconds: seconds, or a date measured against the answer's own `Date`, so
/// that no clock of ours is compared with the server's.
fn retry_after_ms(headers: &HeaderMap) -> Option<u32> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let ms = match text.parse::<u64>() {
        Ok(seconds) => seconds.saturating_mul(1_000),
        Err(_) => {
            let until = http_date_ms(text)?;
            let now = http_date_ms(headers.get(DATE)?.to_str().ok()?)?;
            u64::try_from(until.saturating_sub(now)).unwrap_or(0)
        }
    };
    Some(u32::try_from(ms).unwrap_or(u32::MAX))
}

fn http_date_ms(text: &str) -> Option<i64> {
    jiff::fmt::rfc2822::parse(text.trim()).ok().map(|date| date.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn retry_after_is_read_both_ways() {
        let date = (DATE, "Wed, 21 Oct 2026 07:28:00 GMT");
        for (pairs, expected) in [
            (vec![(RETRY_AFTER, "3")], Some(3_000)),
            (vec![(RETRY_AFTER, "0")], Some(0)),
            (vec![(RETRY_AFTER, "99999999999")], Some(u32::MAX)),
            (vec![(RETRY_AFTER, "Wed, 21 Oct 2026 07:28:30 GMT"), date.clone()], Some(30_000)),
            (vec![(RETRY_AFTER, "Wed, 21 Oct 2026 07:27:30 GMT"), date.clone()], Some(0)),
            (vec![(RETRY_AFTER, "Wed, 21 Oct 2026 07:28:30 GMT")], None),
            (vec![(RETRY_AFTER, "soon"), date], None),
            (vec![(RETRY_AFTER, "-1")], None),
            (vec![], None),
        ] {
            assert_eq!(retry_after_ms(&headers(&pairs)), expected, "{pairs:?}");
        }
    }

    fn client(address: std::net::SocketAddr) -> Client {
        let tls = crate::net::tls::client_config(&Default::default()).unwrap();
        let connector = Connector::new(tls, Duration::from_secs(5));
        Client::new(Target::base(&format!("http://{address}")).unwrap(), connector, Limits::default())
            .unwrap()
    }

    /// The server has closed a connection that rests, and nobody has looked yet when the next
    /// request comes: it goes out once, on a new connection.
    #[tokio::test]
    async fn a_request_is_not_put_on_a_connection_that_was_closed_unnoticed() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = client(listener.local_addr().unwrap());
        let connection = client.open().await.unwrap();
        let offered = Arc::clone(&connection.offered);
        // Let the driver come to rest, then close without giving it a chance to see.
        tokio::time::sleep(Duration::from_millis(10)).await;
        drop(listener.accept().await.unwrap());
        std::thread::sleep(Duration::from_millis(10));
        assert!(connection.sender.is_ready(), "nobody has noticed");
        client.check_in(connection);

        let server = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut buffer = vec![0; 4_096];
            let read = socket.read(&mut buffer).await.unwrap();
            socket.write_all(b"HTTP/1.1 204 X\r\n\r\n").await.unwrap();
            String::from_utf8_lossy(&buffer[..read]).into_owned()
        };
        let send = client.send(Method::POST, "/calls", &[], Bytes::from_static(b"a=b"));
        let (answer, seen) = tokio::join!(send, server);
        assert_eq!(answer.unwrap().status, StatusCode::NO_CONTENT);
        assert!(seen.starts_with("POST /calls HTTP/1.1\r\n") && seen.ends_with("a=b"), "{seen}");
        assert_eq!(offered.load(Ordering::SeqCst), 0, "the first connection was never written to");
    }

    /// The connection ends between taking the request and writing it: here it is back.
    #[tokio::test]
    async fn a_request_that_was_not_written_comes_back() {
        use futures_util::FutureExt as _;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = client(listener.local_addr().unwrap());
        for taken_first in [true, false] {
            let connection = client.open().await.unwrap();
            let (offered, task) = (Arc::clone(&connection.offered), connection.task.clone());
            let request = client.request(Method::POST, "/calls", &[], Bytes::from_static(b"a=b")).unwrap();
            let mut exchange = Box::pin(client.exchange(connection, request));
            if taken_first {
                assert!((&mut exchange).now_or_never().is_none());
            }
            task.abort();
            let Err(Failure::Untouched(back)) = exchange.await else { panic!("not untouched") };
            assert_eq!((back.method(), back.uri().path()), (&Method::POST, "/calls"));
            assert_eq!(offered.load(Ordering::SeqCst), 0);
        }
    }

    /// The connection ends after something was written: nobody knows.
    #[tokio::test]
    async fn a_request_that_was_written_is_lost() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = client(listener.local_addr().unwrap());
        let connection = client.open().await.unwrap();
        let (offered, task) = (Arc::clone(&connection.offered), connection.task.clone());
        let request = client.request(Method::POST, "/calls", &[], Bytes::from_static(b"a=b")).unwrap();
        let end = async {
            while offered.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
            task.abort();
        };
        let (outcome, ()) = tokio::join!(client.exchange(connection, request), end);
        assert!(matches!(outcome, Err(Failure::Lost(Lost::Connection(_)))));
    }
}
