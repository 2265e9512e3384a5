//! The listener: connections, their bounds and their end.

use super::accounts::Accounts;
use super::live::Live;
use super::options::{Agents, Alone, EdgeOptions, Limits};
use super::request;
use super::urls::Urls;
use http::StatusCode;
use http::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tandem_actors::Handle;
use tandem_providers::agent::tool::Registry;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const TLS_TIMEOUT: Duration = Duration::from_secs(10);
/// Rest after an accept that failed, as it does when no files are left.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// Memory for a request's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long requests that are under way may take at the end.
const LAST_REQUESTS: Duration = Duration::from_secs(5);
/// Preparations ahead of conversations that are under way at a time; what is more goes without.
const PREPARATIONS_MAX: usize = 256;

/// What everything here shares.
pub(crate) struct Edge {
    pub handle: Handle,
    pub urls: Urls,
    pub accounts: Accounts,
    pub agents: Agents,
    pub tools: Registry,
    pub limits: Limits,
    pub signed_upgrades: bool,
    pub live: Live,
    /// Room for connections that bring requests.
    pub connections: Arc<Semaphore>,
    /// Room for media sockets.
    pub sockets: Arc<Semaphore>,
    /// Room for preparations ahead of a conversation.
    pub preparations: Arc<Semaphore>,
    pub tasks: TaskTracker,
    /// Conversations are to end: this node lets go of them.
    pub release: CancellationToken,
    pub alone: Alone,
}

/// The address cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("http.listen: cannot listen on {address}: {error}")]
pub struct ServeError {
    pub address: SocketAddr,
    pub error: std::io::Error,
}

/// Takes carriers' callbacks, answers their document requests and holds their media sockets, until it is shut down.
///
/// # Errors
/// An address that is taken, or not this machine's.
pub async fn serve(options: EdgeOptions) -> Result<Running, ServeError> {
    let failed = |error| ServeError { address: options.listen, error };
    let listener = match options.listener {
        Some(listener) => listener,
        None => TcpListener::bind(options.listen).await.map_err(failed)?,
    };
    let address = listener.local_addr().map_err(failed)?;
    let limits = options.limits;
    let edge = Arc::new(Edge {
        handle: options.handle,
        urls: options.urls,
        accounts: Accounts::new(options.accounts),
        agents: options.agents,
        tools: options.tools,
        signed_upgrades: options.signed_upgrades,
        live: Live::new(),
        connections: Arc::new(Semaphore::new(limits.connections_max)),
        sockets: Arc::new(Semaphore::new(limits.conversations_max)),
        limits,
        preparations: Arc::new(Semaphore::new(PREPARATIONS_MAX)),
        tasks: TaskTracker::new(),
        release: CancellationToken::new(),
        alone: options.alone,
    });
    let stop = CancellationToken::new();
    let tls = options.tls.map(TlsAcceptor::from);
    edge.tasks.spawn(accept(listener, Arc::clone(&edge), tls, stop.clone()));
    Ok(Running { address, edge, stop })
}

/// A running edge. Dropped, it ends at once.
pub struct Running {
    address: SocketAddr,
    edge: Arc<Edge>,
    stop: CancellationToken,
}

impl Running {
    /// Where it listens, with the port that port 0 has become.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The conversations held at present.
    pub fn live(&self) -> &Live {
        &self.edge.live
    }

    /// Tasks of this edge: connections, media sockets and the listener.
    pub fn tasks(&self) -> usize {
        self.edge.tasks.len()
    }

    /// Lets conversations come to their end for at most `grace`, while everything is served as before. Those that
    /// remain are let go, and no request is taken any more. To be called while the node still takes commands, or can
    /// pass them on: what was said is stored to the last.
    ///
    /// Where there are other nodes this one stops listening before it lets go, each conversation at its next pause: the
    /// carrier asks again what to do, and whom it reaches then goes on. A node that is alone listens to the last.
    pub async fn shutdown(self, grace: Duration) {
        let left = timeout(grace, self.edge.live.idle()).await.is_err();
        let alone = (self.edge.alone)();
        if left {
            tracing::info!(conversations = self.edge.live.count(), alone, "conversations are let go");
        }
        if !alone {
            self.stop.cancel();
        }
        self.edge.release.cancel();
        let farewell = self.edge.limits.farewell_patience + LAST_REQUESTS + super::bridge::PAUSE_MAX;
        if timeout(farewell, self.edge.live.idle()).await.is_err() {
            tracing::warn!(conversations = self.edge.live.count(), "conversations do not end");
        }
        self.stop.cancel();
        self.edge.tasks.close();
        if timeout(LAST_REQUESTS, self.edge.tasks.wait()).await.is_err() {
            tracing::warn!(tasks = self.edge.tasks.len(), "connections do not end and are left behind");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.edge.release.cancel();
        self.stop.cancel();
    }
}

async fn accept(listener: TcpListener, edge: Arc<Edge>, tls: Option<TlsAcceptor>, stop: CancellationToken) {
    loop {
        let accept = async {
            let permit = Arc::clone(&edge.connections).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            () = stop.cancelled() => return,
            accepted = accept => accepted,
        };
        match (permit, accepted) {
            (Ok(permit), Ok((stream, _))) => {
                let connection = connection(stream, Arc::clone(&edge), tls.clone(), stop.clone(), permit);
                edge.tasks.spawn(connection);
            }
            (_, Err(error)) => {
                tracing::warn!(%error, "a carrier's connection was not accepted");
                sleep(ACCEPT_REST).await;
            }
            // The semaphore is never closed.
            (Err(_), _) => return,
        }
    }
}

/// Serves one connection. The permit goes with it; a media socket that it becomes has a place of its own.
async fn connection(
    stream: TcpStream,
    edge: Arc<Edge>,
    tls: Option<TlsAcceptor>,
    stop: CancellationToken,
    _permit: OwnedSemaphorePermit,
) {
    // Audio goes out in small pieces, each of which is awaited.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let Some(tls) = tls else { return requests(stream, edge, stop).await };
    match timeout(TLS_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => requests(stream, edge, stop).await,
        Ok(Err(error)) => tracing::debug!(%error, "no TLS with whoever connected"),
        Err(_) => tracing::debug!("whoever connected does not speak TLS"),
    }
}

async fn requests<S>(stream: S, edge: Arc<Edge>, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let head_timeout = edge.limits.head_timeout;
    let service = service_fn(move |request| {
        let edge = Arc::clone(&edge);
        async move {
            let mut answer = request::answer(&edge, request).await;
            // A connection that rests takes a place; where places are scarce, it is not kept.
            if edge.connections.available_permits() < edge.limits.connections_max / 4
                && answer.status() != StatusCode::SWITCHING_PROTOCOLS
            {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            match timeout(LAST_REQUESTS, connection).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    // Whoever breaks off or sends garbage has only themselves to tell.
    if let Err(error) = ended {
        tracing::debug!(%error, "a carrier's connection broke");
    }
}
