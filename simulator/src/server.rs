//! HTTP servers that can also misbehave: an answer marked with [`Cut`] is never sent, the connection breaks instead.

use axum::Router;
use axum::body::Body;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Read buffer of a connection; requests here are small forms.
const BUFFER_BYTES: usize = 16 * 1024;

/// Put into an answer's extensions to have the connection cut instead of the answer sent.
#[derive(Clone, Copy)]
pub(crate) struct Cut;

#[derive(Debug, thiserror::Error)]
#[error("cut on purpose")]
struct CutOnPurpose;

/// Serves `router` on `listener` until `stop`.
pub(crate) fn serve(
    listener: TcpListener,
    router: Router,
    connections_max: usize,
    stop: CancellationToken,
    tasks: &TaskTracker,
) {
    let connections = Arc::new(Semaphore::new(connections_max.max(1)));
    let inner = tasks.clone();
    tasks.spawn(async move {
        loop {
            let accept = async {
                let permit = Arc::clone(&connections).acquire_owned().await;
                (permit, listener.accept().await)
            };
            let (permit, accepted) = tokio::select! {
                () = stop.cancelled() => return,
                accepted = accept => accepted,
            };
            let Ok((socket, _)) = accepted else {
                // Out of descriptors: give the others time to close.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let (router, stop) = (router.clone(), stop.clone());
            inner.spawn(async move {
                let _permit = permit;
                let _ = socket.set_nodelay(true);
                connection(TokioIo::new(socket), router, stop).await;
            });
        }
    });
}

async fn connection(io: TokioIo<tokio::net::TcpStream>, router: Router, stop: CancellationToken) {
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let router = router.clone();
        async move {
            let answer = match router.oneshot(request.map(Body::new)).await {
                Ok(answer) => answer,
                Err(never) => {
                    let never: Infallible = never;
                    match never {}
                }
            };
            if answer.extensions().get::<Cut>().is_some() { Err(CutOnPurpose) } else { Ok(answer) }
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(io, service)
        .with_upgrades();
    tokio::select! {
        () = stop.cancelled() => {}
        // Broken connections are the other side's business.
        _ = connection => {}
    }
}

/// Binds, with the address that was really taken.
pub(crate) async fn bind(addr: SocketAddr) -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(addr).await?;
    let addr = listener.local_addr()?;
    Ok((listener, addr))
}
