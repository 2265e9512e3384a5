//! Two threads behind the committing one: one writes closed memtables to tables, the other merges
//! tables. They share nothing but the tables and a little state, so that neither waits for the
//! other.

use super::layers::Stack;
use super::memtable::Memtable;
use super::tables::{Arrangement, Tables};
use crate::StoreError;
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
/// Nobody waits for a merge as long as they keep up, so commits may go first on a busy machine.
/// Flushes are not put behind: commits wait for them sooner.
const MERGE_NICENESS: i32 = 5;

pub(super) struct Background {
    tables: Arc<Tables>,
    stack: Arc<Stack>,
    /// Held from looking at the tables until the stack has them: the newest look must win.
    arranging: Mutex<()>,
    /// What was replaced and is still looked at. It is freed here, because freeing a memtable or
    /// removing files takes a while, and everywhere else somebody would wait for it.
    replaced: Mutex<Replaced>,
    /// Shared with the journal: everything up to here is in tables.
    flushed: Arc<AtomicU64>,
    /// Has the committing thread let go of what was replaced.
    nudge: Box<dyn Fn() + Send + Sync>,
    /// Whether commits have to look into `state` before they go on.
    pressure: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
    /// Held for reading while tables are written, for writing while leftovers are swept away.
    writing: RwLock<()>,
}

#[derive(Default)]
struct Replaced {
    memtables: Vec<Arc<Memtable>>,
    arrangements: Vec<Arc<Arrangement>>,
}

#[derive(Default)]
struct State {
    closed: VecDeque<Closed>,
    merge_due: bool,
    /// Why the last flush failed, and why the last merge.
    troubles: [Option<StoreError>; 2],
    stopping: bool,
}

#[derive(Clone, Copy)]
enum Work {
    Flush,
    Merge,
}

/// A memtable that takes no more rows, with the sequence of its last group.
pub(super) struct Closed {
    pub memtable: Arc<Memtable>,
    pub sequence: u64,
}

impl Background {
    pub fn new(
        tables: Arc<Tables>,
        stack: Arc<Stack>,
        closed: VecDeque<Closed>,
        flushed: Arc<AtomicU64>,
        nudge: Box<dyn Fn() + Send + Sync>,
    ) -> Self {
        let state = State { closed, merge_due: true, ..State::default() };
        let pressure = AtomicBool::new(state.closed.len() >= CLOSED_MEMTABLES_MAX);
        Self {
            tables,
            stack,
            arranging: Mutex::new(()),
            replaced: Mutex::default(),
            flushed,
            nudge,
            pressure,
            state: Mutex::new(state),
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

    /// Closes the memtable and has it written to a table. `sequence` is the last group in it.
    pub fn close_memtable(&self, sequence: u64) {
        let Some(memtable) = self.stack.rotate() else { return };
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
        if self.stack.current().newest().bytes() >= WRITE_OUT_BYTES_MIN {
            self.close_memtable(sequence);
        }
        self.flush_now()
    }

    /// Writes what is closed to tables at once, while the threads do not run.
    pub fn flush_now(&self) -> Result<(), StoreError> {
        while self.flush_oldest()? {}
        Ok(())
    }

    /// Writes the oldest closed memtable to tables, if there is one.
    fn flush_oldest(&self) -> Result<bool, StoreError> {
        let oldest =
            self.state.lock().closed.front().map(|closed| (closed.memtable.clone(), closed.sequence));
        let Some((memtable, sequence)) = oldest else { return Ok(false) };
        self.tables.flush(&memtable)?;
        self.arrange(Some(&memtable))?;
        self.flushed.store(sequence, Ordering::Release);
        let mut state = self.state.lock();
        state.closed.pop_front();
        state.merge_due = true;
        state.troubles[Work::Flush as usize] = None;
        self.set_pressure(&state);
        drop(state);
        self.changed.notify_all();
        Ok(true)
    }

    /// Lets readers from now on see the tables as they are now. `written` is in them.
    fn arrange(&self, written: Option<&Arc<Memtable>>) -> Result<(), StoreError> {
        let _in_order = self.arranging.lock();
        let before = self.stack.arrange(self.tables.arrangement()?, written);
        let mut replaced = self.replaced.lock();
        replaced.arrangements.push(before);
        replaced.memtables.extend(written.cloned());
        drop(replaced);
        (self.nudge)();
        Ok(())
    }

    /// Frees what nobody looks at any more. True if there is nothing left to free.
    fn release(&self) -> bool {
        let mut replaced = self.replaced.lock();
        let Replaced { memtables, arrangements } = &mut *replaced;
        let freed = (
            memtables.extract_if(.., |memtable| Arc::strong_count(memtable) == 1).collect::<Vec<_>>(),
            arrangements
                .extract_if(.., |arrangement| Arc::strong_count(arrangement) == 1)
                .collect::<Vec<_>>(),
        );
        let nothing_left = memtables.is_empty() && arrangements.is_empty();
        drop(replaced);
        drop(freed);
        nothing_left
    }

    /// Waits until the background has caught up far enough to take more; fails if it cannot.
    pub fn wait_for_room(&self) -> Result<(), StoreError> {
        if !self.pressure.load(Ordering::Acquire) {
            return Ok(());
        }
        let give_up = Instant::now() + PRESSURE_MAX;
        let mut state = self.state.lock();
        while self.pressure.load(Ordering::Acquire) {
            if let Some(trouble) = state.troubles.iter().flatten().next() {
                return Err(trouble.clone());
            }
            if state.stopping || self.changed.wait_until(&mut state, give_up).timed_out() {
                return Err(StoreError::Unavailable("tables are not written fast enough".into()));
            }
        }
        Ok(())
    }

    /// Memtables and arrangements that are not freed yet.
    #[cfg(test)]
    pub fn not_freed(&self) -> usize {
        let replaced = self.replaced.lock();
        replaced.memtables.len() + replaced.arrangements.len() + self.state.lock().closed.len()
    }

    fn flush_loop(&self) {
        let mut retry = RETRY;
        let mut nothing_to_free = true;
        loop {
            let mut state = self.state.lock();
            if !state.stopping && state.closed.is_empty() {
                if nothing_to_free {
                    self.changed.wait(&mut state);
                } else {
                    self.changed.wait_for(&mut state, RELEASE);
                }
            }
            if state.stopping {
                return;
            }
            drop(state);
            match self.attempt(|| self.flush_oldest()) {
                Ok(_) => retry = RETRY,
                Err(error) => retry = self.pause_after(Work::Flush, error, retry),
            }
            nothing_to_free = self.release();
        }
    }

    fn merge_loop(&self) {
        yield_to_others(MERGE_NICENESS);
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
            match self.attempt(|| self.merge_once()) {
                Ok(merged) => {
                    retry = RETRY;
                    let mut state = self.state.lock();
                    state.merge_due |= merged;
                    state.troubles[Work::Merge as usize] = None;
                    self.set_pressure(&state);
                    drop(state);
                    self.changed.notify_all();
                }
                Err(error) => {
                    retry = self.pause_after(Work::Merge, error, retry);
                    self.state.lock().merge_due = true;
                }
            }
        }
    }

    fn merge_once(&self) -> Result<bool, StoreError> {
        let merged = self.tables.compact()?;
        if merged {
            self.arrange(None)?;
        }
        Ok(merged)
    }

    /// Writes tables; if that fails, removes what it left behind.
    fn attempt<T>(&self, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        let working = self.writing.read();
        let first_table = self.tables.next_table();
        let outcome = work();
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
    fn pause_after(&self, work: Work, error: StoreError, retry: Duration) -> Duration {
        let mut state = self.state.lock();
        if !state.stopping {
            tracing::error!(%error, "tables cannot be written");
            state.troubles[work as usize] = Some(error);
            self.changed.notify_all();
            let give_up = Instant::now() + retry;
            while !state.stopping && !self.changed.wait_until(&mut state, give_up).timed_out() {}
        }
        (retry * 2).min(RETRY_MAX)
    }
}

/// Lets other threads of the process go first on a busy machine.
#[cfg(target_os = "linux")]
fn yield_to_others(niceness: i32) {
    // On Linux a process number that is a thread's means that thread.
    let thread = Some(rustix::thread::gettid());
    let lowered = rustix::process::getpriority_process(thread)
        .and_then(|present| rustix::process::setpriority_process(thread, present + niceness));
    if let Err(error) = lowered {
        tracing::debug!(%error, "the priority of a background thread stays as it is");
    }
}

#[cfg(not(target_os = "linux"))]
fn yield_to_others(_: i32) {}
