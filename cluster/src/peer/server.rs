//! Requests of other nodes.

use super::{KEEP_ALIVE, KEEP_ALIVE_WAIT, MESSAGE_BYTES_MAX};
use crate::cluster::Inner;
use crate::error::JoinError;
use crate::options::Protocol;
use futures_util::{Stream, stream};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tandem_proto::peer::peer_service_server::{PeerService, PeerServiceServer};
use tandem_proto::peer::{
    AskRequest, AskResponse, HelloRequest, HelloResponse, NudgeRequest, NudgeResponse, WatchRequest,
    WatchResponse,
};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

/// Requests under way at once, from all nodes together, for each that one of them may have.
const NODES_AT_ONCE: usize = 8;
/// Streams of one connection.
const STREAMS_MAX: u32 = 65_536;

struct Service {
    inner: Arc<Inner>,
    places: Semaphore,
}

/// Serves other nodes until the cluster ends.
#[allow(clippy::disallowed_methods, reason = "it ends with the cluster")]
pub(crate) fn serve(inner: Arc<Inner>, listener: TcpListener) -> Result<(), JoinError> {
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let mut server = Server::builder()
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE_WAIT))
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(1024 * 1024)
        .initial_connection_window_size(8 * 1024 * 1024);
    if let Some(tls) = &inner.options.tls {
        let tls = ServerTlsConfig::new()
            .identity(Identity::from_pem(&tls.cert, &tls.key))
            .client_ca_root(Certificate::from_pem(&tls.ca));
        server = server.tls_config(tls).map_err(|e| JoinError::Tls(e.to_string()))?;
    }
    let places = Semaphore::new(inner.options.requests_max.max(1).saturating_mul(NODES_AT_ONCE));
    let ended = inner.ended.clone();
    let service = PeerServiceServer::new(Service { inner, places })
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let serving = server.add_service(service).serve_with_incoming(incoming);
    tokio::spawn(async move {
        tokio::select! {
            served = serving => {
                if let Err(error) = served {
                    tracing::error!(%error, "the service for other nodes has ended");
                }
            }
            () = ended.cancelled() => {}
        }
    });
    Ok(())
}

impl Service {
    /// Whoever means another life of this node has an old view of the cluster.
    fn check(&self, incarnation: &str) -> Result<(), Status> {
        if self.inner.life.read().0 == incarnation {
            Ok(())
        } else {
            Err(Status::failed_precondition("this node has begun anew since"))
        }
    }
}

type Watching = Pin<Box<dyn Stream<Item = Result<WatchResponse, Status>> + Send>>;

#[tonic::async_trait]
impl PeerService for Service {
    async fn hello(&self, request: Request<HelloRequest>) -> Result<Response<HelloResponse>, Status> {
        let HelloRequest { protocol_min, protocol_max, cluster, node, build } = request.into_inner();
        let options = &self.inner.options;
        if cluster != options.cluster {
            let why = format!("this is a node of the cluster {:?}", options.cluster);
            return Err(Status::failed_precondition(why));
        }
        let Some(protocol) = options.protocol.common(Protocol { min: protocol_min, max: protocol_max })
        else {
            let (min, max) = (options.protocol.min, options.protocol.max);
            tracing::error!(node, build, protocol_min, protocol_max, "a node speaks another protocol");
            let why = format!(
                "node {:?} (build {}) speaks versions {min} to {max} of the protocol, the caller {protocol_min} to \
                 {protocol_max}: upgrade one version at a time",
                options.node, options.build
            );
            return Err(Status::failed_precondition(why));
        };
        Ok(Response::new(HelloResponse {
            protocol,
            node: options.node.clone(),
            incarnation: self.inner.life.read().0.clone(),
            build: options.build.clone(),
        }))
    }

    async fn ask(&self, request: Request<AskRequest>) -> Result<Response<AskResponse>, Status> {
        let AskRequest { incarnation, body, .. } = request.into_inner();
        self.check(&incarnation)?;
        let Ok(_place) = self.places.try_acquire() else {
            return Err(Status::resource_exhausted("too many requests of other nodes are under way"));
        };
        let host = self.inner.host.get().ok_or_else(|| Status::failed_precondition("it only starts"))?;
        Ok(Response::new(AskResponse { body: host.answer(body).await }))
    }

    async fn nudge(&self, _: Request<NudgeRequest>) -> Result<Response<NudgeResponse>, Status> {
        self.inner.hurry.notify_one();
        Ok(Response::new(NudgeResponse {}))
    }

    type WatchStream = Watching;

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Watching>, Status> {
        /// A watcher is told that there is news at least so often, should it have missed some.
        const LOOK_EVERY: Duration = Duration::from_secs(5);
        let WatchRequest { incarnation, entity } = request.into_inner();
        self.check(&incarnation)?;
        let host = self.inner.host.get().ok_or_else(|| Status::failed_precondition("it only starts"))?;
        let news = host.watch(&entity).ok_or_else(|| Status::failed_precondition("it is not here"))?;
        let ended = self.inner.ended.clone();
        let told = stream::unfold((news, true, ended), |(mut news, first, ended)| async move {
            // The first tells that the watching has begun: what came before is there to be read.
            if !first {
                tokio::select! {
                    changed = tokio::time::timeout(LOOK_EVERY, news.changed()) => {
                        if let Ok(Err(_)) = changed {
                            return None;
                        }
                    }
                    () = ended.cancelled() => return None,
                }
            }
            let events = *news.borrow_and_update();
            Some((Ok(WatchResponse { events }), (news, false, ended)))
        });
        Ok(Response::new(Box::pin(told)))
    }
}
