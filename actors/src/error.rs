//! What can go wrong between a caller and an entity.

use serde::{Deserialize, Serialize};
use tandem_domain::interned::Text;
use tandem_domain::machine::Rejection;

/// Why a command was not answered with a reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum SendError {
    /// The entity refused; nothing has changed.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The shard is not here, or is about to leave. Nothing was done: try again, here or elsewhere.
    #[error("it is on its way to another node")]
    Moved,
    /// Whoever was asked was lost before the answer came. It may or may not have been done.
    #[error("the node that was asked is gone, and its answer with it")]
    Lost,
    /// It cannot be had at the moment: try again. It was not done, or its answer was lost.
    #[error("not available at the moment: {0}")]
    Unavailable(#[serde(with = "tandem_domain::interned")] Text),
    /// Too much waits already. Nothing was done.
    #[error("too many commands wait for this {0}")]
    Overloaded(#[serde(with = "tandem_domain::interned")] Text),
    /// The command killed its entity again and again and was set aside.
    #[error("the command was set aside as a dead letter")]
    DeadLetter,
    /// The store failed. Nothing was written.
    #[error("the store failed: {0}")]
    Store(String),
}

impl SendError {
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            SendError::Moved | SendError::Lost | SendError::Unavailable(_) | SendError::Overloaded(_)
        )
    }

    /// Stable code, as it travels in error details.
    pub fn reason(&self) -> &'static str {
        match self {
            SendError::Rejected(r) => r.reason(),
            SendError::Moved | SendError::Lost | SendError::Unavailable(_) => "UNAVAILABLE",
            SendError::Overloaded(_) => "OVERLOADED",
            SendError::DeadLetter => "DEAD_LETTER",
            SendError::Store(_) => "STORE_FAILED",
        }
    }
}

/// Why a node could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Store(#[from] tandem_store::StoreError),
    #[error("the shards could not be claimed: {0}")]
    Claim(String),
    #[error(
        "the data was made for {stored} shards and the configuration says {asked}: the number is fixed once"
    )]
    Shards { stored: u16, asked: u16 },
    #[error(
        "the data has layout version {0}, which this build does not know; use the build that wrote it, or a newer one"
    )]
    Format(u32),
    #[error("an actor could not be started: {0}")]
    Spawn(String),
}
