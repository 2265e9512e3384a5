//! An ordered, transactional key-value store with strict serializability: one trait, several
//! engines, one conformance suite.
//!
//! The semantics and the limits are FoundationDB's, on every engine, so that what runs on one
//! machine runs on a cluster: optimistic transactions, conflict reads and snapshot reads,
//! read-your-writes, a distinct error for an outcome that is not known.

pub mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod embedded;
mod overlay;
#[cfg(feature = "postgresql")]
pub mod postgresql;
pub mod tuple;

use async_trait::async_trait;
use bytes::Bytes;
use std::any::Any;
use std::sync::Arc;

/// Longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 10_000;
/// Longest value, in bytes.
pub const VALUE_BYTES_MAX: usize = 100_000;
/// Largest transaction (keys and values written, keys read for conflicts), in bytes.
pub const TRANSACTION_BYTES_MAX: usize = 10_000_000;
/// Longest life of a transaction from its first read, in milliseconds.
pub const TRANSACTION_MS_MAX: u64 = 5_000;

/// One database, shared by whoever holds the `Arc`.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// A new transaction. It costs nothing until its first read, which fixes what it sees.
    fn begin(&self) -> Box<dyn Transaction>;

    /// Whether a commit may fail with [`CommitError::Unknown`] while the process lives on. Where
    /// it cannot, callers need not write marks to find out what happened.
    fn may_lose_outcomes(&self) -> bool;

    /// Name of the engine, for reports.
    fn engine(&self) -> &'static str;

    /// Writes out what can be written out and releases the database. Acknowledged commits are
    /// durable with or without it.
    async fn close(&self) -> Result<(), StoreError>;
}

/// A state of the rows that a transaction has seen. Keeping one keeps what was written since, so it is
/// to be let go soon; kept too long it makes a commit fail with [`StoreError::TooOld`].
#[derive(Clone)]
pub struct Seen(Arc<dyn Any + Send + Sync>);

impl Seen {
    /// Of an engine's own kind.
    pub fn new<T: Any + Send + Sync>(state: Arc<T>) -> Seen {
        Seen(state)
    }

    /// The state, where it is of this kind.
    pub fn state<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.0.clone().downcast().ok()
    }
}

/// How a read takes part in conflict detection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Read {
    /// The commit fails with [`CommitError::Conflict`] if what was read has changed since.
    Conflict,
    /// Sees the same snapshot and never conflicts.
    Snapshot,
}

/// Half-open range of keys `[begin, end)`, and how to walk it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Range {
    pub begin: Vec<u8>,
    pub end: Vec<u8>,
    /// At most so many rows; 0 is refused.
    pub limit: usize,
    /// From the end down.
    pub reverse: bool,
}

pub type Row = (Bytes, Bytes);

/// One transaction. Dropping it without commit forgets it.
#[async_trait]
pub trait Transaction: Send {
    /// The value under `key` as of this transaction's snapshot and its own writes.
    async fn get(&mut self, key: &[u8], read: Read) -> Result<Option<Bytes>, StoreError>;

    /// The values under `keys`, in their order: as getting each of them, in as few round trips as the engine can.
    async fn get_many(&mut self, keys: &[&[u8]], read: Read) -> Result<Vec<Option<Bytes>>, StoreError> {
        let mut values = Vec::with_capacity(keys.len());
        for key in keys {
            values.push(self.get(key, read).await?);
        }
        Ok(values)
    }

    /// Rows of a range in key order (or reversed), own writes included, at most `limit`.
    /// With [`Read::Conflict`] the part of the range that was walked is protected.
    async fn range(&mut self, range: Range, read: Read) -> Result<Vec<Row>, StoreError>;

    /// What this transaction sees, for another one to rely on; `None` where the engine cannot do that.
    fn seen(&mut self) -> Option<Seen> {
        None
    }

    /// The commit fails with [`CommitError::Conflict`] if `key` has changed since `seen`: as good as
    /// reading it again, without the reading. False where it has to be read: the engine cannot do that, or
    /// this transaction has written the key itself.
    fn rely(&mut self, _key: &[u8], _seen: &Seen) -> bool {
        false
    }

    /// The commit fails with [`CommitError::Conflict`] unless `key` has this value then: as good as reading it and
    /// finding it so, without the reading. False where it has to be read: the engine cannot do that, or this
    /// transaction has written the key itself.
    fn expect(&mut self, _key: &[u8], _value: Option<&[u8]>) -> bool {
        false
    }

    /// Sets `key` to `value`, or clears it where there is none. Shares the bytes instead of copying them.
    fn write(&mut self, key: Bytes, value: Option<Bytes>);

    fn set(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.write(key.into(), Some(value.into()));
    }

    fn clear(&mut self, key: Vec<u8>) {
        self.write(key.into(), None);
    }

    /// Clears `[begin, end)`.
    fn clear_range(&mut self, begin: Vec<u8>, end: Vec<u8>);
    /// Adds to a little-endian signed 64-bit counter without reading it, so it never conflicts.
    /// An absent key counts as 0. Reading it back in the same transaction sees the sum.
    fn add(&mut self, key: Vec<u8>, delta: i64);

    /// Makes everything durable, or nothing. Returns only after the data is synced. Who drops the
    /// future instead of waiting for it does not learn the outcome.
    async fn commit(self: Box<Self>) -> Result<(), CommitError>;
}

/// Trouble of the store outside of a commit.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    #[error("the transaction is too old: it lived more than {TRANSACTION_MS_MAX} ms")]
    TooOld,
    #[error("a key needs at least one byte")]
    KeyEmpty,
    #[error("the key has {0} bytes; at most {KEY_BYTES_MAX} are allowed")]
    KeyTooLong(usize),
    #[error("the value has {0} bytes; at most {VALUE_BYTES_MAX} are allowed")]
    ValueTooLong(usize),
    #[error("the transaction has {0} bytes; at most {TRANSACTION_BYTES_MAX} are allowed")]
    TransactionTooLarge(usize),
    #[error("a range read needs begin < end and a limit above 0")]
    BadRange,
    #[error(
        "the data under {path} is in use by another process; stop it first, or choose another data directory"
    )]
    InUse { path: String },
    #[error("the data under {path} cannot be read: {reason}")]
    Corrupt { path: String, reason: String },
    #[error("no space is left for the data: {0}")]
    Full(String),
    #[error("the store is closed or has failed: {0}")]
    Unavailable(String),
    /// Trying again does not help.
    #[error("the store refused: {0}")]
    Refused(String),
}

impl StoreError {
    /// Whether the same request may succeed later without anyone's help.
    pub fn is_retryable(&self) -> bool {
        matches!(self, StoreError::TooOld | StoreError::Unavailable(_))
    }
}

/// Why a commit did not return success.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// Something that was read has changed. Nothing was written.
    #[error("a row that was read has changed meanwhile")]
    Conflict,
    /// It may or may not have been written, and is no longer in flight.
    #[error("the outcome of the commit is not known: {0}")]
    Unknown(String),
    /// Nothing was written.
    #[error(transparent)]
    Store(#[from] StoreError),
}
