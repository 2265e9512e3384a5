//! Who wants to know when an entity has new events.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use tandem_domain::id::Entity;
use tokio::sync::watch;

#[derive(Default)]
pub(crate) struct Watchers {
    senders: Mutex<HashMap<Entity, watch::Sender<u64>>>,
    /// Asked on every commit, so that commits without watchers take no lock.
    count: AtomicUsize,
}

impl Watchers {
    pub fn notify(&self, e: Entity, events: u64) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut senders = self.senders.lock();
        if let Some(sender) = senders.get(&e)
            && sender.send(events).is_err()
        {
            senders.remove(&e);
            self.count.store(senders.len(), Ordering::Release);
        }
    }

    /// Lets go of the watchers of entities that are not here any more: they begin anew where those are.
    pub fn let_go(&self, leaves: impl Fn(Entity) -> bool) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut senders = self.senders.lock();
        senders.retain(|e, _| !leaves(*e));
        self.count.store(senders.len(), Ordering::Release);
    }

    pub fn watch(&self, e: Entity) -> watch::Receiver<u64> {
        let mut senders = self.senders.lock();
        // Those that nobody listens to any more are found when the next one comes.
        senders.retain(|_, s| !s.is_closed());
        let receiver = senders.entry(e).or_insert_with(|| watch::channel(0).0).subscribe();
        self.count.store(senders.len(), Ordering::Release);
        receiver
    }
}
