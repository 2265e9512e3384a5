//! What can go wrong between a caller and an entity.

use tandem_domain::machine::Rejection;

/// Why a command was not answered with a reply.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SendError {
    /// The entity refused; nothing has changed.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The shard is not here, is being handed over, or restarts: try again, here or elsewhere.
    #[error("not available at the moment: {0}")]
    Unavailable(&'static str),
    /// Too much waits already. Nothing was done.
    #[error("too many commands wait for this {0}")]
    Overloaded(&'static str),
    /// The command killed its entity again and again and was set aside.
    #[error("the command was set aside as a dead letter")]
    DeadLetter,
    /// The store failed. Nothing was written.
    #[error("the store failed: {0}")]
    Store(String),
}

impl SendError {
    pub fn is_retryable(&self) -> bool {
        matches!(self, SendError::Unavailable(_) | SendError::Overloaded(_))
    }

    /// Stable code, as it travels in error details.
    pub fn reason(&self) -> &'static str {
        match self {
            SendError::Rejected(r) => r.reason(),
            SendError::Unavailable(_) => "UNAVAILABLE",
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
