//! What transactions and the committing thread share.

use super::Options;
use super::queue::Queue;
use super::view::View;
use parking_lot::RwLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) struct Engine {
    pub options: Options,
    pub queue: Queue,
    /// The newest committed state.
    current: RwLock<Arc<View>>,
    groups: AtomicU64,
}

impl Engine {
    pub fn new(options: Options, view: View) -> Self {
        let queue = Queue::new(options.queue_bytes_max);
        Self { options, queue, current: RwLock::new(Arc::new(view)), groups: AtomicU64::new(0) }
    }

    pub fn view(&self) -> Arc<View> {
        self.current.read().clone()
    }

    /// Makes a view the newest; only the committing thread does. Returns the one before.
    pub fn publish(&self, view: View) -> Arc<View> {
        std::mem::replace(&mut *self.current.write(), Arc::new(view))
    }

    pub fn count_group(&self) {
        self.groups.fetch_add(1, Ordering::Relaxed);
    }

    /// Groups committed since the start.
    pub fn groups(&self) -> u64 {
        self.groups.load(Ordering::Relaxed)
    }
}
