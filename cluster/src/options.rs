//! How a node takes part in a cluster.

use crate::observe::Timing;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use tandem_store::Store;

/// Versions of the protocol between nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocol {
    pub min: u32,
    pub max: u32,
}

impl Protocol {
    /// The newest version that both speak.
    pub fn common(self, other: Protocol) -> Option<u32> {
        let newest = self.max.min(other.max);
        (newest >= self.min && newest >= other.min).then_some(newest)
    }
}

/// Certificates for mutual TLS between nodes, in PEM.
#[derive(Clone)]
pub struct Tls {
    /// Whoever presents a certificate of this authority is a node.
    pub ca: Vec<u8>,
    pub cert: Vec<u8>,
    pub key: Vec<u8>,
    /// The name that the certificates of all nodes carry.
    pub domain: String,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("domain", &self.domain).finish_non_exhaustive()
    }
}

/// Milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Where applications and carriers reach a node: shown to operators.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    pub grpc: String,
    pub http: String,
}

#[derive(Clone)]
pub struct Options {
    pub store: Arc<dyn Store>,
    /// Name of the cluster.
    pub cluster: String,
    /// Name of this node, unique within it.
    pub node: String,
    pub shards: u16,
    pub listen: SocketAddr,
    /// Where other nodes reach it, as `host:port`; where it listens if there is none.
    pub advertise: Option<String>,
    pub tls: Option<Tls>,
    /// Shown to operators.
    pub build: String,
    pub protocol: Protocol,
    pub timing: Timing,
    pub clock: Clock,
    /// A node whose clock differs by more than this from those that are there does not join.
    pub clock_ms_max: i64,
    /// Shards handed over at once.
    pub hand_overs_max: usize,
    /// Requests under way to one other node.
    pub requests_max: usize,
}
