//! What transactions and the committing thread share.

use super::Options;
use super::disk::{Disk, Put};
use super::failure::Trouble;
use super::queue::Queue;
use super::view::View;
use crate::TRANSACTION_MS_MAX;
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use std::collections::VecDeque;
use std::sync::{Arc, Weak};

pub(super) struct Engine {
    pub options: Options,
    pub queue: Queue,
    disk: RwLock<Option<Disk>>,
    current: RwLock<Arc<View>>,
    /// Views that were replaced, with the time of that, until no transaction may use them.
    retired: Mutex<VecDeque<(u64, Weak<View>)>>,
}

impl Engine {
    pub fn new(options: Options, disk: Disk) -> Self {
        let current = RwLock::new(Arc::new(View::new(1, disk.state())));
        let queue = Queue::new(options.queue_bytes_max);
        Self { options, queue, disk: RwLock::new(Some(disk)), current, retired: Mutex::default() }
    }

    /// The newest committed state.
    pub fn view(&self) -> Arc<View> {
        self.current.read().clone()
    }

    pub fn apply(&self, puts: impl Iterator<Item = (Bytes, Put)>) -> Result<(), Trouble> {
        match &*self.disk.read() {
            Some(disk) => disk.apply(puts),
            None => Err(Trouble::refused("the store is closed")),
        }
    }

    /// Makes what was applied the newest state.
    pub fn publish(&self, version: u64, now_ms: u64) {
        let Some(state) = self.disk.read().as_ref().map(Disk::state) else { return };
        let view = Arc::new(View::new(version, state));
        let replaced = std::mem::replace(&mut *self.current.write(), view);
        let mut retired = self.retired.lock();
        retired.push_back((now_ms, Arc::downgrade(&replaced)));
        while retired.front().is_some_and(|(at_ms, _)| now_ms.saturating_sub(*at_ms) > TRANSACTION_MS_MAX) {
            if let Some(view) = retired.pop_front().and_then(|(_, view)| view.upgrade()) {
                view.revoke();
            }
        }
    }

    /// Lets go of the files. Transactions that are still around get an error from their reads.
    pub fn release(&self) {
        for (_, view) in self.retired.lock().drain(..) {
            if let Some(view) = view.upgrade() {
                view.revoke();
            }
        }
        self.current.read().revoke();
        self.disk.write().take();
    }
}
