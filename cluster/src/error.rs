//! What can go wrong when a node joins.

use std::net::SocketAddr;
use tandem_store::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    #[error("the store: {0}")]
    Store(#[from] StoreError),
    #[error("a row of the cluster cannot be read: {0}")]
    Damaged(String),
    #[error(
        "this store holds the cluster {stored:?} and the configuration says {asked:?}: give every cluster a store prefix of its \
         own, or correct cluster.name"
    )]
    OtherCluster { stored: String, asked: String },
    #[error(
        "the cluster has {stored} shards and the configuration says {asked}: set node.shards to {stored}"
    )]
    Shards { stored: u16, asked: u16 },
    #[error(
        "a node named {name:?} is running already, at {peer}: every node needs a node.name of its own; stop that one first, \
         or change the name"
    )]
    NameTaken { name: String, peer: String },
    #[error(
        "this machine's clock is {ahead_ms} ms ahead of that of node {other:?} (negative: behind); at most {max_ms} ms are \
         allowed: set the clocks by NTP"
    )]
    Clock { other: String, ahead_ms: i64, max_ms: i64 },
    #[error(
        "the nodes do not speak one protocol: node {other:?} (build {build}) speaks versions {theirs:?}, this build {ours:?}: \
         upgrade one version at a time"
    )]
    Protocol { other: String, build: String, theirs: (u32, u32), ours: (u32, u32) },
    #[error("{0} cannot be listened on: {1}")]
    Listen(SocketAddr, std::io::Error),
    #[error("TLS between nodes: {0}")]
    Tls(String),
    #[error("others keep changing the same rows")]
    Contended,
}

/// Why a change of the cluster's rows was not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    #[error("the store: {0}")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Damaged(#[from] crate::rows::Damaged),
    /// Somebody else was faster, or what was seen is not so any more.
    #[error("it has changed meanwhile")]
    Overtaken,
    #[error("there is no node {0:?}")]
    NoNode(String),
    #[error("node {name:?} is {state}: {why}")]
    Not { name: String, state: &'static str, why: &'static str },
    #[error("others keep changing the same rows")]
    Contended,
}
