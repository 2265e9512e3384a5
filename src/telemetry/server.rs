//! The small server for monitoring: `/metrics`, `/livez`, `/readyz`.

use super::metrics::Recorder;
use super::readiness::Readiness;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

/// Connections served at a time. Monitoring has a few; more are kept waiting.
const CONNECTIONS_MAX: usize = 64;
/// How long a request's head may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may live: whoever reads metrics comes again.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);
const UPKEEP_EVERY: Duration = Duration::from_secs(5);
/// Rest after an accept that failed, as it does when no files are left.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// The server, bound to its address.
pub struct Server {
    listener: TcpListener,
    recorder: Recorder,
    readiness: Readiness,
}

/// The address cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("metrics.listen: cannot listen on {address}: {error}")]
pub struct ServerError {
    pub address: SocketAddr,
    pub error: std::io::Error,
}

impl Server {
    /// # Errors
    /// An address that is taken, or not this machine's.
    pub async fn bind(
        address: SocketAddr,
        recorder: Recorder,
        readiness: Readiness,
    ) -> Result<Server, ServerError> {
        let listener = TcpListener::bind(address).await.map_err(|error| ServerError { address, error })?;
        Ok(Server { listener, recorder, readiness })
    }

    /// Where it listens, with the port that port 0 has become.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` comes true. To be stopped last, so that a node that drains can be watched.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut upkeep = interval(UPKEEP_EVERY);
        upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stop = std::pin::pin!(stop);
        loop {
            let accept = async {
                let permit = connections.clone().acquire_owned().await;
                (permit, self.listener.accept().await)
            };
            tokio::select! {
                () = &mut stop => return,
                _ = upkeep.tick() => self.recorder.upkeep(),
                (permit, accepted) = accept => match accepted {
                    Ok((stream, _)) => {
                        let (recorder, readiness) = (self.recorder.clone(), self.readiness.clone());
                        tokio::spawn(async move {
                            serve(stream, recorder, readiness).await;
                            drop(permit);
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection for metrics was not accepted");
                        sleep(ACCEPT_REST).await;
                    }
                },
            }
        }
    }
}

async fn serve(stream: TcpStream, recorder: Recorder, readiness: Readiness) {
    let service = service_fn(|request| {
        let response = answer(&request, &recorder, &readiness);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    // Whoever breaks off or sends garbage has only themselves to tell.
    if let Ok(Err(error)) = timeout(CONNECTION_TIMEOUT, connection).await {
        tracing::debug!(%error, "a connection for metrics broke");
    }
}

fn answer<B>(request: &Request<B>, recorder: &Recorder, readiness: &Readiness) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET");
    }
    let state = readiness.state();
    let status = |good| if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    match request.uri().path() {
        "/metrics" => {
            let mut response = text(StatusCode::OK, recorder.render());
            let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response
        }
        "/livez" => text(status(state.is_alive()), format!("{state}\n")),
        "/readyz" => text(status(state.is_ready()), format!("{state}\n")),
        _ => text(StatusCode::NOT_FOUND, "/metrics, /livez and /readyz are here\n"),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::State;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::oneshot;

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn get(address: SocketAddr, path: &str) -> String {
        ask(address, &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await
    }

    #[tokio::test]
    async fn monitoring_is_answered() {
        let readiness = Readiness::starting("opening the store");
        let recorder = Recorder::install().unwrap();
        metrics::counter!("test_server_total").increment(7);
        let server = Server::bind(([127, 0, 0, 1], 0).into(), recorder, readiness.clone()).await.unwrap();
        let address = server.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(server.run(async { drop(stopped.await) }));

        assert!(get(address, "/livez").await.starts_with("HTTP/1.1 200"));
        let answer = get(address, "/readyz").await;
        assert!(
            answer.starts_with("HTTP/1.1 503") && answer.ends_with("starting: opening the store\n"),
            "{answer}"
        );
        readiness.set(State::Ready);
        assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        readiness.set(State::Draining);
        assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 503"));
        assert!(get(address, "/livez").await.starts_with("HTTP/1.1 200"));
        readiness.set(State::Broken("the store is gone"));
        assert!(get(address, "/livez").await.starts_with("HTTP/1.1 503"));

        let answer = get(address, "/metrics").await;
        assert!(answer.contains("version=0.0.4") && answer.contains("test_server_total 7"), "{answer}");
        assert!(get(address, "/").await.starts_with("HTTP/1.1 404"));
        assert!(
            ask(address, "POST /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                .await
                .contains(" 405 ")
        );
        let answer = ask(address, "\0\u{1}garbage\r\n\r\n").await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
        assert!(get(address, "/livez").await.starts_with("HTTP/1.1 503"), "garbage harms nobody else");

        stop.send(()).unwrap();
        running.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn a_taken_address_is_an_error() {
        let taken = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = taken.local_addr().unwrap();
        let bound = Server::bind(address, Recorder::install().unwrap(), Readiness::starting("")).await;
        assert!(bound.is_err_and(|error| error.to_string().contains(&address.to_string())));
    }
}
