//! What stands under the keys of a cluster: JSON, so that builds that know more fields and builds that know fewer read
//! each other's rows.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One life of a node: a new one with every start, and whenever it was taken for dead.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub String);

impl Incarnation {
    pub fn fresh() -> Incarnation {
        Incarnation(uuid::Uuid::new_v4().simple().to_string())
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The cluster itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    pub name: String,
    pub shards: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Has shards, or is about to.
    Active,
    /// Hands its shards over and gets no others.
    Draining,
    /// Was not heard of; its shards were taken over. What it writes is refused, and it joins anew once it notices.
    Down,
}

/// A node as others know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    pub incarnation: Incarnation,
    pub state: State,
    /// Raised with every renewal; that it does not change any more is how others see that the node is gone.
    pub counter: u64,
    /// Where other nodes reach it: `host:port`.
    pub peer: String,
    #[serde(default)]
    pub grpc: String,
    #[serde(default)]
    pub http: String,
    #[serde(default)]
    pub build: String,
    #[serde(default = "one")]
    pub protocol_min: u32,
    #[serde(default = "one")]
    pub protocol_max: u32,
    /// Its clock at the renewal, in milliseconds since 1970. Never used to decide who lives.
    #[serde(default)]
    pub clock_ms: i64,
    #[serde(default)]
    pub joined_ms: i64,
}

fn one() -> u32 {
    1
}

/// Who has a shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub node: String,
    pub incarnation: Incarnation,
}

/// A row that is not what its key says.
#[derive(Debug, Clone, thiserror::Error)]
#[error("a row of the cluster cannot be read: {0}")]
pub struct Damaged(String);

pub fn encode<T: Serialize>(row: &T) -> Vec<u8> {
    // Plain data with text keys: it encodes.
    serde_json::to_vec(row).unwrap_or_default()
}

pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Damaged> {
    serde_json::from_slice(bytes).map_err(|e| Damaged(e.to_string()))
}

/// A node alone writes its name and nothing else.
pub fn decode_owner(bytes: &[u8]) -> Option<Owner> {
    decode(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_older_and_newer_builds_are_read() {
        let old = br#"{"incarnation":"x","state":"active","counter":3,"peer":"h:1"}"#;
        let node: Node = decode(old).expect("fields may be missing");
        assert_eq!((node.protocol_min, node.counter, node.state), (1, 3, State::Active));
        let new = br#"{"incarnation":"x","state":"draining","counter":3,"peer":"h:1","more":{"a":1}}"#;
        assert_eq!(decode::<Node>(new).expect("fields may be new").state, State::Draining);
        assert!(decode::<Node>(b"garbage").is_err());
        assert_eq!(decode_owner(b"node-1"), None);
    }
}
