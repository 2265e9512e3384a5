//! Requests to other nodes.

use super::{KEEP_ALIVE, KEEP_ALIVE_WAIT, MESSAGE_BYTES_MAX};
use crate::cluster::NotAnswered;
use crate::error::JoinError;
use crate::options::{Options, Protocol};
use crate::rows::{Incarnation, Node};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tandem_proto::peer::peer_service_client::PeerServiceClient;
use tandem_proto::peer::{AskRequest, HelloRequest, NudgeRequest, WatchRequest};
use tokio::sync::{OnceCell, Semaphore, watch};
use tokio::time::timeout;
use tonic::Code;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// How long a connection may take to be made.
const CONNECT_MAX: Duration = Duration::from_millis(500);
/// How long a request may take. Its sender is usually less patient.
const ASK_MAX: Duration = Duration::from_secs(10);
const NUDGE_MAX: Duration = Duration::from_millis(500);
/// Connections to lives of nodes that are remembered.
const LINKS_MAX: usize = 1_000;

type Client = PeerServiceClient<Channel>;

/// A connection to one life of a node, made when it is first needed.
struct Link {
    address: String,
    client: OnceCell<Client>,
    places: Semaphore,
}

/// The connections of a node to the others.
pub(crate) struct Peers {
    links: Mutex<HashMap<Incarnation, Arc<Link>>>,
    tls: Option<ClientTlsConfig>,
    hello: HelloRequest,
    protocol: Protocol,
    requests_max: usize,
}

impl Peers {
    pub fn new(options: &Options) -> Result<Peers, JoinError> {
        let tls = options.tls.as_ref().map(|tls| {
            ClientTlsConfig::new()
                .ca_certificate(Certificate::from_pem(&tls.ca))
                .identity(Identity::from_pem(&tls.cert, &tls.key))
                .domain_name(tls.domain.clone())
        });
        if let Some(tls) = &tls {
            // Tried here, so that a bad certificate is found at the start.
            let tried = Endpoint::from_static("https://[::1]:1").tls_config(tls.clone());
            tried.map_err(|e| JoinError::Tls(e.to_string()))?;
        }
        let hello = HelloRequest {
            protocol_min: options.protocol.min,
            protocol_max: options.protocol.max,
            cluster: options.cluster.clone(),
            node: options.node.clone(),
            build: options.build.clone(),
        };
        let (protocol, requests_max) = (options.protocol, options.requests_max.max(1));
        Ok(Peers { links: Mutex::default(), tls, hello, protocol, requests_max })
    }

    fn link(&self, node: &Node) -> Arc<Link> {
        let mut links = self.links.lock();
        if let Some(link) = links.get(&node.incarnation).filter(|link| link.address == node.peer) {
            return link.clone();
        }
        if links.len() >= LINKS_MAX {
            links.clear();
        }
        let places = Semaphore::new(self.requests_max);
        let link = Arc::new(Link { address: node.peer.clone(), client: OnceCell::new(), places });
        links.insert(node.incarnation.clone(), link.clone());
        link
    }

    /// A connection that has failed: the next request makes another.
    fn drop_link(&self, node: &Node, link: &Arc<Link>) {
        let mut links = self.links.lock();
        if links.get(&node.incarnation).is_some_and(|there| Arc::ptr_eq(there, link)) {
            links.remove(&node.incarnation);
        }
    }

    async fn client(&self, link: &Link, node: &Node) -> Option<Client> {
        let made = link.client.get_or_try_init(|| self.connect(node)).await;
        match made {
            Ok(client) => Some(client.clone()),
            Err(why) => {
                tracing::debug!(peer = node.peer, why, "a node cannot be reached");
                None
            }
        }
    }

    async fn connect(&self, node: &Node) -> Result<Client, String> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let mut endpoint = Endpoint::from_shared(format!("{scheme}://{}", node.peer))
            .map_err(|e| e.to_string())?
            .connect_timeout(CONNECT_MAX)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE_WAIT)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(1024 * 1024)
            .initial_connection_window_size(8 * 1024 * 1024);
        if let Some(tls) = &self.tls {
            endpoint = endpoint.tls_config(tls.clone()).map_err(|e| e.to_string())?;
        }
        let channel = timeout(CONNECT_MAX * 2, endpoint.connect()).await;
        let channel = channel.map_err(|_| "no connection in time".to_owned())?.map_err(|e| e.to_string())?;
        let mut client = PeerServiceClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let hello = timeout(CONNECT_MAX * 2, client.hello(self.hello.clone())).await;
        let answer = hello.map_err(|_| "no answer in time".to_owned())?.map_err(|status| {
            if status.code() == Code::FailedPrecondition {
                tracing::error!(
                    peer = node.peer,
                    why = status.message(),
                    "a node refuses to talk to this one"
                );
            }
            status.message().to_owned()
        })?;
        let answer = answer.into_inner();
        let spoken = Protocol { min: answer.protocol, max: answer.protocol };
        if answer.incarnation != node.incarnation.0 || self.protocol.common(spoken).is_none() {
            return Err("somebody else answers at this address".to_owned());
        }
        Ok(client)
    }

    pub async fn ask(&self, node: &Node, shard: u16, body: Bytes) -> Result<Bytes, NotAnswered> {
        let link = self.link(node);
        let Ok(_place) = link.places.try_acquire() else { return Err(NotAnswered::Overloaded) };
        let Some(mut client) = self.client(&link, node).await else {
            self.drop_link(node, &link);
            return Err(NotAnswered::NotThere);
        };
        let request = AskRequest { shard: u32::from(shard), incarnation: node.incarnation.0.clone(), body };
        match timeout(ASK_MAX, client.ask(request)).await {
            Ok(Ok(answer)) => Ok(answer.into_inner().body),
            Ok(Err(status)) if status.code() == Code::FailedPrecondition => Err(NotAnswered::NotThere),
            Ok(Err(status)) if status.code() == Code::ResourceExhausted => Err(NotAnswered::Overloaded),
            Ok(Err(status)) => {
                tracing::debug!(peer = node.peer, %status, "a request to a node was lost");
                self.drop_link(node, &link);
                Err(NotAnswered::Lost)
            }
            Err(_) => Err(NotAnswered::Lost),
        }
    }

    pub async fn nudge(&self, node: &Node) {
        let link = self.link(node);
        let nudged = async {
            match self.client(&link, node).await {
                Some(mut client) => client.nudge(NudgeRequest {}).await.is_ok(),
                None => false,
            }
        };
        // It would look by itself a moment later.
        if !timeout(NUDGE_MAX, nudged).await.unwrap_or(false) {
            self.drop_link(node, &link);
        }
    }

    /// Passes on what a node tells of an entity, until it tells no more.
    pub async fn watch(&self, node: &Node, entity: Bytes, news: &watch::Sender<u64>) {
        let link = self.link(node);
        let Some(mut client) = self.client(&link, node).await else {
            self.drop_link(node, &link);
            return;
        };
        let request = WatchRequest { incarnation: node.incarnation.0.clone(), entity };
        let Ok(told) = client.watch(request).await else { return };
        let mut told = told.into_inner();
        while let Ok(Some(more)) = told.message().await {
            news.send_replace(more.events);
        }
    }
}
