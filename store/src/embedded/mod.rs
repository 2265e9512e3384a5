//! The engine for one machine: a log-structured merge tree under one committing thread.
//!
//! Transactions are optimistic. Reads run on the caller's thread against the state that the first
//! read fixed. Commits go to one thread, which takes whatever waits as one group, checks each
//! transaction's reads against what was committed since, writes the group with one sync, makes it
//! visible and answers. While one group is syncing the next gathers; nobody waits for a timer.

mod background;
mod committer;
mod directory;
mod engine;
mod failure;
mod filter;
mod fingerprints;
mod group;
mod journal;
mod layers;
mod memtable;
mod queue;
mod reads;
mod resolver;
mod space;
mod tables;
mod transaction;
mod view;
mod views;

#[cfg(test)]
mod tests;

use crate::clock::{Clock, SystemClock};
use crate::{Store, StoreError, Transaction};
use async_trait::async_trait;
use background::{Background, Closed};
use committer::Committer;
use directory::Directory;
use engine::Engine;
use fingerprints::fingerprint;
use journal::Recovered;
use layers::Stack;
use memtable::NewRow;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use tables::Tables;
use transaction::Optimistic;
use view::View;

const MIB: usize = 1024 * 1024;

/// How the engine keeps its files and bounds its memory.
#[derive(Clone)]
pub struct Options {
    /// Directory of the data; created if it does not exist. One process at a time may use it.
    pub path: PathBuf,
    /// Blocks of data kept in memory, in bytes.
    pub cache_bytes: u64,
    /// Newest rows kept in memory before they are written to a table, in bytes. Up to four times
    /// this is held, in memory and in the journal, while tables are being written. It also bounds
    /// what a restart has to read again.
    pub memtable_bytes: u64,
    /// Transactions queued for commit, in bytes; beyond that, commits wait before they queue.
    pub queue_bytes_max: usize,
    /// Transactions committed by one sync, in bytes.
    pub group_bytes_max: usize,
    /// Keys remembered for conflict checks, in bytes. Where more are written while an old
    /// transaction is still about, it becomes too old sooner.
    pub conflict_bytes_max: usize,
    /// Commits are refused while the disk has less free space than this, in bytes, so that there
    /// is always room to write tables. 0 turns that off.
    pub free_bytes_min: u64,
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
            queue_bytes_max: 64 * MIB,
            group_bytes_max: 8 * MIB,
            conflict_bytes_max: 64 * MIB,
            free_bytes_min: 256 * MIB as u64,
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// Opens the data directory, creating it where there is none. Blocks for as long as it takes
    /// to replay what was not yet in tables, which is well under a second with the default memtable.
    ///
    /// A metrics recorder must be installed before, or nothing is counted:
    /// `tandem_store_commits_total`, `tandem_store_conflicts_total`, `tandem_store_fsyncs_total` and
    /// the histogram `tandem_store_commit_seconds` (from handing over to acknowledgement).
    pub fn open(self) -> Result<Arc<Embedded>, StoreError> {
        self.open_on(journal::files())
    }

    fn open_on(self, journal_files: journal::Opener) -> Result<Arc<Embedded>, StoreError> {
        let mut directory = Directory::open(&self.path)?;
        let tables = Arc::new(Tables::open(&self, &directory.tables())?);
        let (journal, recovered) =
            journal::open(&directory.journal(), directory.salt, tables.persisted(), journal_files)?;
        let stack = Arc::new(Stack::new(tables.arrangement()?, self.memtable_bytes));
        let closed = replay(&recovered, &directory, &stack, self.memtable_bytes)?;
        let engine = Arc::new(Engine::new(self, View::new(recovered.last, stack.current())));
        let nudge = Box::new({
            let engine = Arc::downgrade(&engine);
            move || engine.upgrade().iter().for_each(|engine| engine.queue.nudge())
        });
        let background = Arc::new(Background::new(tables, stack.clone(), closed, journal.flushed(), nudge));
        if journal.is_crowded() {
            background.flush_now()?;
        }
        directory.mark_ready()?;
        let committer = Committer::new(engine.clone(), journal, stack, background.clone());
        let threads = start(committer, &background)
            .map_err(|error| StoreError::Unavailable(format!("no thread for the store: {error}")))?;
        let running = Running { committer: threads.0, background, threads: threads.1, _directory: directory };
        Ok(Arc::new(Embedded { engine, running: Mutex::new(Some(running)) }))
    }
}

/// Puts what is not in tables into memtables again. Gives those that are full.
fn replay(
    recovered: &Recovered,
    directory: &Directory,
    stack: &Stack,
    memtable_bytes: u64,
) -> Result<VecDeque<Closed>, StoreError> {
    let mut closed = VecDeque::new();
    let close = |sequence| stack.rotate().map(|memtable| Closed { memtable, sequence });
    for group in &recovered.groups {
        let layers = stack.current();
        for (key, value) in group.rows(&directory.journal())? {
            let fingerprint = fingerprint(&key);
            layers.newest().insert(group.sequence, NewRow { fingerprint, key, value });
        }
        if layers.newest().bytes() >= memtable_bytes {
            closed.extend(close(group.sequence));
        }
    }
    // Every start takes another file of the journal. Where files were left by more than one, they
    // are freed soon, so that many short lives do not pile them up.
    if recovered.last_by_file.iter().filter(|last| **last > 0).count() > 1 {
        closed.extend(close(recovered.last));
    }
    Ok(closed)
}

fn start(
    committer: Committer,
    background: &Arc<Background>,
) -> std::io::Result<(JoinHandle<()>, Vec<JoinHandle<()>>)> {
    let threads = background.start()?;
    let committer = std::thread::Builder::new().name("store-commit".into()).spawn(move || committer.run());
    if committer.is_err() {
        background.stop();
    }
    Ok((committer?, threads))
}

/// An open data directory.
pub struct Embedded {
    engine: Arc<Engine>,
    running: Mutex<Option<Running>>,
}

struct Running {
    committer: JoinHandle<()>,
    background: Arc<Background>,
    threads: Vec<JoinHandle<()>>,
    _directory: Directory,
}

impl Embedded {
    /// Groups made durable since the start, each with one sync.
    pub fn groups_committed(&self) -> u64 {
        self.engine.groups()
    }
}

/// Works off what is queued, then lets go of the directory. Writing the memtable out saves the next
/// start from reading it again.
fn shut_down(engine: &Engine, running: Running, write_out: bool) {
    engine.queue.close();
    let mut panicked = running.committer.join().is_err();
    running.background.stop();
    for thread in running.threads {
        panicked |= thread.join().is_err();
    }
    if panicked {
        tracing::error!("a thread of the store panicked");
    }
    if write_out && let Err(error) = running.background.write_out(engine.view().version()) {
        tracing::warn!(%error, "the newest rows stay in the journal for the next start");
    }
    engine.view().revoke();
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if let Some(running) = self.running.get_mut().take() {
            shut_down(&self.engine, running, false);
        }
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
        let Some(running) = self.running.lock().take() else { return Ok(()) };
        let engine = self.engine.clone();
        tokio::task::spawn_blocking(move || shut_down(&engine, running, true))
            .await
            .map_err(|error| StoreError::Unavailable(format!("closing failed: {error}")))
    }
}
