//! The ways out of this node, to entities whose shards are elsewhere.
//!
//! The runtime knows nothing of nodes and networks: who does implements [`Elsewhere`]. What travels is bytes, made and
//! read by [`crate::wire`].

use crate::error::SendError;
use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;
use tandem_domain::id::Entity;
use tokio::sync::watch;

/// Who knows where shards are.
#[async_trait]
pub trait Elsewhere: Send + Sync + 'static {
    /// Takes a request to whoever has this shard, in one hop, and brings back the answer.
    async fn ask(&self, shard: u16, request: Bytes) -> Result<Bytes, NotAsked>;

    /// Returns when somebody else may have the shard, or after a moment.
    async fn changed(&self, shard: u16);

    /// Tells `news` the number of an entity's newest event whenever there are new ones, for as long as anybody
    /// listens.
    fn watch(&self, shard: u16, of: Entity, news: watch::Sender<u64>);

    /// Whether nobody can have taken over the shards of this node by now.
    fn is_leased(&self) -> bool;

    /// A shard that was opened here under `epoch` has died; the epoch under which it may be opened again, or `None`
    /// where it is somebody else's by now.
    ///
    /// # Errors
    /// Where the store fails: to be asked again.
    async fn reclaim(&self, shard: u16, epoch: u64) -> Result<Option<u64>, SendError>;

    /// Somebody else has this shard, as a commit has found out.
    fn deposed(&self, shard: u16, epoch: u64);
}

/// Why there is no answer from elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAsked {
    /// Nobody has it at the moment, or it could not be reached: nothing was done.
    NotThere,
    /// Too much is on its way there already; nothing was done.
    Overloaded,
    /// It was on its way when the connection was lost: it may or may not have been done.
    Lost,
}

impl From<NotAsked> for SendError {
    fn from(e: NotAsked) -> SendError {
        match e {
            NotAsked::NotThere => SendError::Moved,
            NotAsked::Overloaded => SendError::Overloaded("node"),
            NotAsked::Lost => SendError::Lost,
        }
    }
}

/// Nobody else is there.
pub(crate) type MaybeElsewhere = Option<Arc<dyn Elsewhere>>;
