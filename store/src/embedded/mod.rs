//! The engine for one machine: a log-structured merge tree under one committing thread.
//!
//! Transactions are optimistic. Reads run on the caller's thread against the state that the first
//! read fixed. Commits go to one thread, which takes whatever waits as one group, checks each
//! transaction's reads against what was committed since, writes the group with one sync, makes it
//! visible and answers. While one group is syncing the next gathers; nobody waits for a timer.

mod committer;
mod disk;
mod engine;
mod failure;
mod queue;
mod reads;
mod resolver;
mod transaction;
mod view;

use crate::clock::{Clock, SystemClock};
use crate::{Store, StoreError, Transaction};
use async_trait::async_trait;
use committer::Committer;
use disk::Disk;
use engine::Engine;
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use transaction::Optimistic;

const MIB: usize = 1024 * 1024;

/// How the engine keeps its files and bounds its memory.
#[derive(Clone)]
pub struct Options {
    /// Directory of the data; created if it does not exist. One process at a time may use it.
    pub path: PathBuf,
    /// Blocks of data kept in memory, in bytes.
    pub cache_bytes: u64,
    /// Newest data kept in memory before it is written to a table, in bytes. Up to three times
    /// this is held while tables are being written; it also bounds what a restart replays.
    pub memtable_bytes: u64,
    /// Journals kept on disk until their data is in tables, in bytes.
    pub journal_bytes: u64,
    /// Transactions queued for commit, in bytes; beyond that, commits wait before they queue.
    pub queue_bytes_max: usize,
    /// Transactions committed by one sync, in bytes.
    pub group_bytes_max: usize,
    /// Keys remembered for conflict checks. Where more are written within a transaction's longest
    /// life, transactions become too old sooner.
    pub conflict_keys_max: usize,
    /// What ages transactions.
    pub clock: Arc<dyn Clock>,
}

impl Options {
    /// Defaults that suit a node with a few GB of memory.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            cache_bytes: 128 * MIB as u64,
            memtable_bytes: 32 * MIB as u64,
            journal_bytes: 128 * MIB as u64,
            queue_bytes_max: 64 * MIB,
            group_bytes_max: 8 * MIB,
            conflict_keys_max: 1_000_000,
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// Opens the data directory, creating it where there is none. Blocks for as long as it takes
    /// to replay what was not yet in tables.
    pub fn open(self) -> Result<Arc<Embedded>, StoreError> {
        let disk = Disk::open(&self)?;
        let engine = Arc::new(Engine::new(self, disk));
        let committer = Committer::new(engine.clone());
        let thread = std::thread::Builder::new()
            .name("store-commit".into())
            .spawn(move || committer.run())
            .map_err(|error| StoreError::Unavailable(format!("no thread for commits: {error}")))?;
        Ok(Arc::new(Embedded { engine, committer: Mutex::new(Some(thread)) }))
    }
}

/// An open data directory.
pub struct Embedded {
    engine: Arc<Engine>,
    committer: Mutex<Option<JoinHandle<()>>>,
}

/// Works off what is queued, then lets go of the files. Doing it twice does no harm.
fn shut_down(engine: &Engine, committer: Option<JoinHandle<()>>) {
    engine.queue.close();
    if committer.is_some_and(|thread| thread.join().is_err()) {
        tracing::error!("the committing thread panicked");
    }
    engine.release();
}

impl Drop for Embedded {
    fn drop(&mut self) {
        shut_down(&self.engine, self.committer.get_mut().take());
    }
}

#[async_trait]
impl Store for Embedded {
    fn begin(&self) -> Box<dyn Transaction> {
        Box::new(Optimistic::new(self.engine.clone()))
    }

    fn may_lose_outcomes(&self) -> bool {
        false
    }

    fn engine(&self) -> &'static str {
        "embedded"
    }

    async fn close(&self) -> Result<(), StoreError> {
        let (engine, committer) = (self.engine.clone(), self.committer.lock().take());
        tokio::task::spawn_blocking(move || shut_down(&engine, committer))
            .await
            .map_err(|error| StoreError::Unavailable(format!("closing failed: {error}")))
    }
}
