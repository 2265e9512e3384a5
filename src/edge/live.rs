//! The conversations that this node holds at present.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tandem_domain::id::Attempt;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// What an older connection may still have had in its buffers when a newer one came does not count as a sign of life.
const GRACE: Duration = Duration::from_millis(100);
/// A connection that carries a call hears something every 20 ms.
const PROOF: Duration = Duration::from_millis(1_000);
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Why a conversation is told to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Told {
    /// A newer connection of the same call has taken its place.
    Superseded,
    /// The carrier has said that the call is over.
    CallOver,
}

struct Entry {
    /// The carrier's id of the call.
    sid: String,
    generation: u32,
    tell: watch::Sender<Option<Told>>,
    heard: Arc<AtomicU64>,
    gone: CancellationToken,
}

/// Which conversations are held here. A clone is another door to the same.
#[derive(Clone)]
pub struct Live(Arc<Inner>);

struct Inner {
    entries: Mutex<HashMap<Attempt, Entry>>,
    count: watch::Sender<usize>,
}

impl Live {
    pub(crate) fn new() -> Self {
        Live(Arc::new(Inner { entries: Mutex::default(), count: watch::Sender::new(0) }))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        *self.0.count.borrow()
    }

    /// Returns once there are none.
    pub async fn idle(&self) {
        // The sender lives as long as `self`.
        let _ = self.0.count.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Takes a conversation down, and tells an older one of the same attempt to end. `None`: a newer one is here.
    pub(crate) fn enter(&self, attempt: Attempt, sid: &str, generation: u32) -> Option<Here> {
        let mut entries = self.0.entries.lock();
        if entries.get(&attempt).is_some_and(|other| other.generation >= generation) {
            return None;
        }
        let entry = Entry {
            sid: sid.to_owned(),
            generation,
            tell: watch::Sender::new(None),
            heard: Arc::default(),
            gone: CancellationToken::new(),
        };
        let here = Here {
            live: self.clone(),
            attempt,
            generation,
            told: entry.tell.subscribe(),
            heard: Arc::clone(&entry.heard),
            gone: entry.gone.clone(),
        };
        if let Some(older) = entries.insert(attempt, entry) {
            older.tell.send_replace(Some(Told::Superseded));
        }
        self.counted(&entries);
        drop(entries);
        Some(here)
    }

    /// A further connection asks for this attempt. One that is still heard keeps it (`false`): a carrier opens one at
    /// a time, so the further one is not what it seems. One that is not heard any more makes way.
    pub(crate) async fn make_way(&self, attempt: Attempt) -> bool {
        let (heard, gone) = {
            let entries = self.0.entries.lock();
            let Some(entry) = entries.get(&attempt) else { return true };
            (Arc::clone(&entry.heard), entry.gone.clone())
        };
        let until = Instant::now() + PROOF;
        sleep(GRACE).await;
        let before = heard.load(Ordering::Relaxed);
        while !gone.is_cancelled() && Instant::now() < until {
            if heard.load(Ordering::Relaxed) != before {
                return false;
            }
            sleep(LOOK_EVERY).await;
        }
        true
    }

    /// The carrier says that the call is over: lets its conversation take down what was said, since nothing is taken
    /// down of an attempt that has ended.
    pub(crate) async fn call_over(&self, attempt: Attempt, sid: &str, within: Duration) {
        let gone = {
            let entries = self.0.entries.lock();
            let Some(entry) = entries.get(&attempt).filter(|entry| entry.sid == sid) else { return };
            entry.tell.send_if_modified(|told| {
                let silent = told.is_none();
                if silent {
                    *told = Some(Told::CallOver);
                }
                silent
            });
            entry.gone.clone()
        };
        if timeout(within, gone.cancelled()).await.is_err() {
            tracing::warn!(%attempt, "a conversation outlives its call");
        }
    }

    fn counted(&self, entries: &HashMap<Attempt, Entry>) {
        self.0.count.send_replace(entries.len());
        metrics::gauge!("tandem_conversations_live").set(entries.len() as f64);
    }
}

/// A conversation's place among the living. Dropped, it is free.
pub(crate) struct Here {
    live: Live,
    attempt: Attempt,
    generation: u32,
    told: watch::Receiver<Option<Told>>,
    heard: Arc<AtomicU64>,
    gone: CancellationToken,
}

impl Here {
    /// Returns once it is told to end.
    pub async fn told(&self) -> Told {
        let mut told = self.told.clone();
        match told.wait_for(Option::is_some).await {
            Ok(told) => told.unwrap_or(Told::Superseded),
            // Its place was taken and the entry dropped.
            Err(_) => Told::Superseded,
        }
    }

    /// The carrier has been heard.
    pub fn heard(&self) {
        self.heard.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        let mut entries = self.live.0.entries.lock();
        if entries.get(&self.attempt).is_some_and(|entry| entry.generation == self.generation) {
            entries.remove(&self.attempt);
            self.live.counted(&entries);
        }
        drop(entries);
        self.gone.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_domain::id::{CallId, CompanyId};

    fn attempt(number: u16) -> Attempt {
        Attempt { company: CompanyId::from_bytes([1; 16]), call: CallId::from_bytes([2; 16]), number }
    }

    #[tokio::test(start_paused = true)]
    async fn the_newest_connection_has_the_conversation() {
        let live = Live::new();
        let first = live.enter(attempt(1), "CA1", 1).unwrap();
        assert!(live.enter(attempt(1), "CA1", 1).is_none(), "the same generation twice");
        let other = live.enter(attempt(2), "CA2", 1).unwrap();
        assert_eq!(live.count(), 2);
        let second = live.enter(attempt(1), "CA1", 2).unwrap();
        assert_eq!(first.told().await, Told::Superseded);
        drop(first);
        assert_eq!(live.count(), 2, "the older one's end does not free the newer one's place");
        drop((second, other));
        live.idle().await;
        assert_eq!(live.count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_heard_does_not_make_way() {
        let live = Live::new();
        assert!(live.make_way(attempt(1)).await, "nobody is there");
        let here = Arc::new(live.enter(attempt(1), "CA1", 1).unwrap());
        assert!(live.make_way(attempt(1)).await, "nothing is heard");
        let speaking = tokio::spawn({
            let here = Arc::clone(&here);
            async move {
                loop {
                    here.heard();
                    sleep(Duration::from_millis(20)).await;
                }
            }
        });
        assert!(!live.make_way(attempt(1)).await);
        speaking.abort();
        let _ = speaking.await;
        let leaving = live.make_way(attempt(1));
        let (way, ()) = tokio::join!(leaving, async {
            sleep(GRACE * 2).await;
            drop(here);
        });
        assert!(way, "it has gone meanwhile");
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_call_waits_for_its_conversation() {
        let live = Live::new();
        let limit = Duration::from_secs(1);
        live.call_over(attempt(1), "CA1", limit).await;
        let here = live.enter(attempt(1), "CA1", 1).unwrap();
        live.call_over(attempt(1), "CA9", limit).await;
        let conversation = async {
            assert_eq!(here.told().await, Told::CallOver);
            sleep(Duration::from_millis(10)).await;
            drop(here);
        };
        let started = Instant::now();
        tokio::join!(live.call_over(attempt(1), "CA1", limit), conversation);
        assert!(started.elapsed() < limit);
        let _deaf = live.enter(attempt(1), "CA1", 2).unwrap();
        live.call_over(attempt(1), "CA1", limit).await;
        assert!(started.elapsed() >= limit, "but not for ever");
    }
}
