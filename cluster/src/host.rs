//! What a cluster needs of whoever runs the shards.

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;

/// Runs the shards that the cluster gives to this node.
#[async_trait]
pub trait Host: Send + Sync + 'static {
    /// Starts a shard under this epoch; does nothing where it runs under it already.
    ///
    /// # Errors
    /// With words for the log; it is tried again.
    async fn open(&self, shard: u16, epoch: u64) -> Result<(), String>;

    /// Takes nothing new for a shard, finishes what has come in, and writes nothing once this returns.
    async fn close(&self, shard: u16);

    /// Gives a shard up at once: up to this epoch it is another node's.
    fn lose(&self, shard: u16, epoch: u64);

    /// The shards that run, with their epochs.
    fn open_shards(&self) -> Vec<(u16, u64)>;

    /// Answers another node's request. It goes no further.
    async fn answer(&self, request: Bytes) -> Bytes;

    /// Watches an entity of a shard that runs here; `None` where it does not.
    fn watch(&self, entity: &[u8]) -> Option<watch::Receiver<u64>>;
}
