//! The way of a commit from the caller's task to the committing thread: bounded by bytes, taken
//! over in one go, and with at most one wake-up while the thread sleeps.

use super::group::Commit;
use crate::StoreError;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use tokio::sync::{Semaphore, TryAcquireError};

/// Counted for every commit besides its keys and values.
const COMMIT_BYTES: usize = 256;

pub(super) struct Queue {
    state: Mutex<State>,
    waiting: Condvar,
    /// Bytes that may still be queued or in work.
    room: Semaphore,
    bytes_max: usize,
}

struct State {
    commits: VecDeque<Commit>,
    sleeping: bool,
    /// Wakes the thread without a commit.
    nudged: bool,
    closed: bool,
}

/// Bytes a commit takes up in the queue.
fn room_for(commit: &Commit, bytes_max: usize) -> u32 {
    let bytes = (commit.bytes + COMMIT_BYTES).min(bytes_max);
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

impl Queue {
    pub fn new(bytes_max: usize) -> Self {
        let bytes_max = bytes_max.clamp(COMMIT_BYTES, u32::MAX as usize);
        Self {
            state: Mutex::new(State {
                commits: VecDeque::new(),
                sleeping: false,
                nudged: false,
                closed: false,
            }),
            waiting: Condvar::new(),
            room: Semaphore::new(bytes_max),
            bytes_max,
        }
    }

    /// Hands a commit over, waiting for room. Cancelled while waiting, nothing is handed over.
    pub async fn push(&self, commit: Commit) -> Result<(), StoreError> {
        let room = room_for(&commit, self.bytes_max);
        match self.room.try_acquire_many(room) {
            Ok(permit) => permit.forget(),
            Err(TryAcquireError::Closed) => return Err(closed()),
            Err(TryAcquireError::NoPermits) => match self.room.acquire_many(room).await {
                Ok(permit) => permit.forget(),
                Err(_) => return Err(closed()),
            },
        }
        let mut state = self.state.lock();
        if state.closed {
            return Err(closed());
        }
        state.commits.push_back(commit);
        let wake = std::mem::take(&mut state.sleeping);
        drop(state);
        if wake {
            self.waiting.notify_one();
        }
        Ok(())
    }

    /// Has the committing thread look around even if there is nothing to commit.
    pub fn nudge(&self) {
        self.state.lock().nudged = true;
        self.waiting.notify_one();
    }

    /// Waits for commits and takes them over, up to `bytes_max` of them; none after a nudge. False
    /// once closed and drained.
    pub fn take(&self, group: &mut Vec<Commit>, bytes_max: usize) -> bool {
        let mut state = self.state.lock();
        while state.commits.is_empty() {
            if state.closed {
                return false;
            }
            if std::mem::take(&mut state.nudged) {
                return true;
            }
            state.sleeping = true;
            self.waiting.wait(&mut state);
        }
        let mut bytes = 0;
        while let Some(commit) = state.commits.front() {
            bytes += commit.bytes;
            if bytes > bytes_max && !group.is_empty() {
                break;
            }
            group.extend(state.commits.pop_front());
        }
        true
    }

    /// Gives the room of a finished group back.
    pub fn release(&self, group: &[Commit]) {
        let room: usize = group.iter().map(|commit| room_for(commit, self.bytes_max) as usize).sum();
        self.room.add_permits(room);
    }

    /// Takes no more commits and forgets those that are queued.
    pub fn abandon(&self) {
        self.close();
        let forgotten = std::mem::take(&mut self.state.lock().commits);
        drop(forgotten);
    }

    /// Takes no more commits; what is queued is still worked off.
    pub fn close(&self) {
        self.state.lock().closed = true;
        self.room.close();
        self.waiting.notify_all();
    }
}

pub(super) fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".into())
}
