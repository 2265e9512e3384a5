//! Why a node does not start.

use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error(transparent)]
    Store(#[from] tandem_store::StoreError),
    #[error(transparent)]
    Join(#[from] tandem_cluster::JoinError),
    #[error(transparent)]
    Keys(#[from] tandem_actors::vault::KeyError),
    #[error(transparent)]
    Start(#[from] tandem_actors::StartError),
    #[error(transparent)]
    Edge(#[from] crate::edge::ServeError),
    #[error(
        "the key file {} is not the one of this data: it opens nothing of it; restore the one that was made with the data",
        .0.display()
    )]
    WrongKey(PathBuf),
    #[error("the companies cannot be read: {0}")]
    Companies(String),
    #[error("{0}")]
    Provider(String),
    #[error("the simulated clock cannot be kept: {0}")]
    Clock(String),
    #[error(transparent)]
    Monitoring(#[from] crate::telemetry::ServerError),
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    #[error("grpc.tls: {0}")]
    Tls(String),
    #[error("metrics cannot be recorded: {0}")]
    Metrics(String),
    #[error("the built-in descriptors cannot be read: {0}")]
    Reflection(String),
}
