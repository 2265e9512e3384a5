//! Two threads behind the committing one: one writes closed memtables to tables, the other merges
//! tables. They share nothing but the tables and a little state, so that neither waits for the
//! other.

use super::tables::Tables;
use crate::StoreError;
use lsm_tree::Memtable;
use parking_lot::{Condvar, Mutex, RwLock};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Closed memtables at which commits wait for one to be written.
const CLOSED_MEMTABLES_MAX: usize = 3;
/// Runs of level 0 at which commits wait for a merge: reads look into every one of them.
const LEVEL_0_RUNS_MAX: usize = 24;
/// A smaller memtable is read from the journal as fast as a table is opened.
const WRITE_OUT_BYTES_MIN: u64 = 1024 * 1024;
const RETRY: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// How often memory is looked through for what nobody sees any more.
const RELEASE: Duration = Duration::from_millis(200);
const PRESSURE_MAX: Duration = Duration::from_secs(60);

pub(super) struct Background {
    tables: Arc<Tables>,
    /// Shared with the journal: everything up to here is in tables.
    flushed: Arc<AtomicU64>,
    /// The lowest state that a transaction may look at.
    lowest_state: AtomicU64,
    /// Whether commits have to look into `state` before they go on.
    pressure: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
    /// Held for reading while tables are written, for writing while leftovers are swept away.
    writing: RwLock<()>,
}

#[derive(Default)]
struct State {
    closed: VecDeque<Closed>,
    merge_due: bool,
    /// Why the last flush or merge failed.
    trouble: Option<StoreError>,
    stopping: bool,
}

/// A memtable that takes no more rows, with the sequence of its last group.
struct Closed {
    memtable: Arc<Memtable>,
    sequence: u64,
}

impl Background {
    pub fn new(tables: Arc<Tables>, flushed: Arc<AtomicU64>) -> Self {
        Self {
            tables,
            flushed,
            lowest_state: AtomicU64::new(0),
            pressure: AtomicBool::new(false),
            state: Mutex::new(State { merge_due: true, ..State::default() }),
            changed: Condvar::new(),
            writing: RwLock::new(()),
        }
    }

    pub fn start(self: &Arc<Self>) -> std::io::Result<Vec<JoinHandle<()>>> {
        let (flusher, merger) = (self.clone(), self.clone());
        let flusher =
            std::thread::Builder::new().name("store-flush".into()).spawn(move || flusher.flush_loop())?;
        let merger =
            std::thread::Builder::new().name("store-merge".into()).spawn(move || merger.merge_loop());
        match merger {
            Ok(merger) => Ok(vec![flusher, merger]),
            Err(error) => {
                self.stop();
                Err(error)
            }
        }
    }

    /// Ends both threads, soon. What is not in tables is in the journal.
    pub fn stop(&self) {
        self.tables.stop();
        self.state.lock().stopping = true;
        self.changed.notify_all();
    }

    /// States below this will not be looked at any more.
    pub fn set_lowest_state(&self, sequence: u64) {
        self.lowest_state.store(sequence, Ordering::Release);
    }

    /// Closes the memtable and has it written to a table. `sequence` is the last group in it.
    pub fn close_memtable(&self, sequence: u64) {
        let Some(memtable) = self.tables.rotate() else { return };
        let mut state = self.state.lock();
        state.closed.push_back(Closed { memtable, sequence });
        self.set_pressure(&state);
        drop(state);
        self.changed.notify_all();
    }

    fn set_pressure(&self, state: &State) {
        let pressure =
            state.closed.len() >= CLOSED_MEMTABLES_MAX || self.tables.level_0_runs() >= LEVEL_0_RUNS_MAX;
        self.pressure.store(pressure, Ordering::Release);
    }

    /// Writes the memtable to a table if it is worth it, after the threads have ended. `sequence`
    /// is the last group in it.
    pub fn write_out(&self, sequence: u64) -> Result<(), StoreError> {
        if self.tables.memtable_bytes() >= WRITE_OUT_BYTES_MIN {
            self.close_memtable(sequence);
        }
        self.flush_now()
    }

    /// Writes what is closed to tables at once, while the threads do not run.
    pub fn flush_now(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        if let Some(last) = state.closed.back() {
            self.tables.flush(self.lowest_state.load(Ordering::Acquire))?;
            self.flushed.store(last.sequence, Ordering::Release);
            state.closed.clear();
        }
        Ok(())
    }

    /// Waits until the background has caught up far enough to take more; fails if it cannot.
    pub fn wait_for_room(&self) -> Result<(), StoreError> {
        if !self.pressure.load(Ordering::Acquire) {
            return Ok(());
        }
        let give_up = Instant::now() + PRESSURE_MAX;
        let mut state = self.state.lock();
        while self.pressure.load(Ordering::Acquire) {
            if let Some(trouble) = &state.trouble {
                return Err(trouble.clone());
            }
            if state.stopping || self.changed.wait_until(&mut state, give_up).timed_out() {
                return Err(StoreError::Unavailable("tables are not written fast enough".into()));
            }
        }
        Ok(())
    }

    fn flush_loop(&self) {
        let mut written: Vec<Arc<Memtable>> = Vec::new();
        let mut retry = RETRY;
        loop {
            let mut state = self.state.lock();
            if !state.stopping && state.closed.is_empty() {
                if written.is_empty() {
                    self.changed.wait(&mut state);
                } else {
                    self.changed.wait_for(&mut state, RELEASE);
                }
            }
            if state.stopping {
                return;
            }
            let closed = state.closed.len();
            let Some(sequence) = state.closed.back().map(|last| last.sequence) else {
                drop(state);
                self.release(&mut written);
                continue;
            };
            drop(state);
            match self.attempt(|lowest_state| self.tables.flush(lowest_state)) {
                Ok(()) => {
                    retry = RETRY;
                    self.flushed.store(sequence, Ordering::Release);
                    let mut state = self.state.lock();
                    written.extend(state.closed.drain(..closed).map(|closed| closed.memtable));
                    state.merge_due = true;
                    state.trouble = None;
                    self.set_pressure(&state);
                    drop(state);
                    self.changed.notify_all();
                }
                Err(error) => retry = self.pause_after(error, retry),
            }
            self.release(&mut written);
        }
    }

    /// Frees written memtables once no state looks at them. Here, because freeing a large one takes
    /// a while, and everywhere else somebody would wait for it.
    fn release(&self, written: &mut Vec<Arc<Memtable>>) {
        if let Err(error) = self.tables.forget_old_arrangements(self.lowest_state.load(Ordering::Acquire)) {
            tracing::warn!(%error, "old arrangements of tables are kept");
        }
        written.retain(|memtable| Arc::strong_count(memtable) > 1);
    }

    fn merge_loop(&self) {
        let mut retry = RETRY;
        loop {
            let mut state = self.state.lock();
            while !state.merge_due && !state.stopping {
                self.changed.wait(&mut state);
            }
            if state.stopping {
                return;
            }
            state.merge_due = false;
            drop(state);
            match self.attempt(|lowest_state| self.tables.compact(lowest_state)) {
                Ok(merged) => {
                    retry = RETRY;
                    let mut state = self.state.lock();
                    state.merge_due |= merged;
                    self.set_pressure(&state);
                    drop(state);
                    self.changed.notify_all();
                }
                Err(error) => {
                    retry = self.pause_after(error, retry);
                    self.state.lock().merge_due = true;
                }
            }
        }
    }

    /// Writes tables; if that fails, removes what it left behind.
    fn attempt<T>(&self, work: impl FnOnce(u64) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let working = self.writing.read();
        let first_table = self.tables.next_table();
        let outcome = work(self.lowest_state.load(Ordering::Acquire));
        drop(working);
        if outcome.is_err() {
            let _nobody_is_writing = self.writing.write();
            if let Err(error) = self.tables.sweep(first_table) {
                tracing::warn!(%error, "leftovers of a failed flush or merge stay until the next start");
            }
        }
        outcome
    }

    /// Notes the trouble and waits before the next attempt. Returns how long to wait after that.
    fn pause_after(&self, error: StoreError, retry: Duration) -> Duration {
        let mut state = self.state.lock();
        if !state.stopping {
            tracing::error!(%error, "tables cannot be written");
            state.trouble = Some(error);
            self.changed.notify_all();
            let give_up = Instant::now() + retry;
            while !state.stopping && !self.changed.wait_until(&mut state, give_up).timed_out() {}
        }
        (retry * 2).min(RETRY_MAX)
    }
}
