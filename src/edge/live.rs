//! The conversations that this node holds at present.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tandem_domain::id::Attempt;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long one that was told to leave is waited for.
const LEAVE_MAX: Duration = Duration::from_secs(1);

/// Why a conversation is told to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Told {
    /// A newer connection of the same call has taken its place.
    Superseded,
    /// The call is over.
    CallOver,
}

struct Entry {
    id: u64,
    generation: u32,
    /// The carrier's id of the call.
    sid: String,
    tell: watch::Sender<Option<Told>>,
    gone: CancellationToken,
}

/// Which conversations are held here. A clone is another door to the same.
///
/// This is for the speed of it, and for the order of words: which connection of a call is the newest, the call alone
/// decides, wherever its connections are held.
#[derive(Clone)]
pub struct Live(Arc<Inner>);

struct Inner {
    entries: Mutex<HashMap<Attempt, Entry>>,
    count: watch::Sender<usize>,
    next_id: AtomicU64,
}

impl Live {
    pub(crate) fn new() -> Self {
        let inner =
            Inner { entries: Mutex::default(), count: watch::Sender::new(0), next_id: AtomicU64::new(0) };
        Live(Arc::new(inner))
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

    /// Gives a connection the conversation of an attempt. An older generation makes way at once: the carrier has closed
    /// its stream before it opened this one. The same or a newer one does not (`None`).
    pub(crate) async fn admit(&self, attempt: Attempt, generation: u32, sid: &str) -> Option<Here> {
        let (here, older) = {
            let mut entries = self.0.entries.lock();
            if entries.get(&attempt).is_some_and(|entry| entry.generation >= generation) {
                return None;
            }
            self.place(&mut entries, attempt, generation, sid)
        };
        if let Some(older) = older {
            // It may have words to store, which the call takes only as long as it is the newest.
            let _ = timeout(LEAVE_MAX, older.cancelled()).await;
        }
        Some(here)
    }

    /// Takes the place of an attempt, and tells whoever has it; gives when that one is gone.
    fn place(
        &self,
        entries: &mut HashMap<Attempt, Entry>,
        attempt: Attempt,
        generation: u32,
        sid: &str,
    ) -> (Here, Option<CancellationToken>) {
        let entry = Entry {
            id: self.0.next_id.fetch_add(1, Ordering::Relaxed),
            generation,
            sid: sid.to_owned(),
            tell: watch::Sender::new(None),
            gone: CancellationToken::new(),
        };
        let here = Here {
            live: self.clone(),
            attempt,
            id: entry.id,
            told: entry.tell.subscribe(),
            gone: entry.gone.clone(),
        };
        let older = entries.insert(attempt, entry).map(|older| {
            older.tell.send_replace(Some(Told::Superseded));
            older.gone
        });
        self.counted(entries);
        (here, older)
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
    id: u64,
    told: watch::Receiver<Option<Told>>,
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
}

impl Drop for Here {
    fn drop(&mut self) {
        let mut entries = self.live.0.entries.lock();
        if entries.get(&self.attempt).is_some_and(|entry| entry.id == self.id) {
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
    use tokio::time::{Instant, sleep};

    fn attempt(number: u16) -> Attempt {
        Attempt { company: CompanyId::from_bytes([1; 16]), call: CallId::from_bytes([2; 16]), number }
    }

    #[tokio::test(start_paused = true)]
    async fn the_newest_generation_has_the_conversation() {
        let live = Live::new();
        let first = live.admit(attempt(1), 1, "CA1").await.unwrap();
        let other = live.admit(attempt(2), 1, "CA2").await.unwrap();
        assert_eq!(live.count(), 2);
        assert!(live.admit(attempt(1), 1, "CA1").await.is_none(), "a second of the same");
        let second = live.admit(attempt(1), 3, "CA1").await.unwrap();
        assert_eq!(first.told().await, Told::Superseded);
        drop(first);
        assert_eq!(live.count(), 2, "the older one's end does not free the newer one's place");
        assert!(live.admit(attempt(1), 2, "CA1").await.is_none(), "one that comes too late");
        drop((second, other));
        live.idle().await;
        assert_eq!(live.count(), 0);
        assert!(live.admit(attempt(1), 1, "CA1").await.is_some(), "what is stale the call knows");
    }

    #[tokio::test(start_paused = true)]
    async fn the_older_one_has_a_moment_for_its_last_words() {
        let live = Live::new();
        let older = live.admit(attempt(1), 1, "CA1").await.unwrap();
        let began = Instant::now();
        let words = Duration::from_millis(300);
        let leaving = async {
            assert_eq!(older.told().await, Told::Superseded);
            sleep(words).await;
            drop(older);
        };
        let (newer, ()) = tokio::join!(live.admit(attempt(1), 2, "CA1"), leaving);
        assert!(newer.is_some() && began.elapsed() == words);
        // One that hangs is not waited for any longer.
        let third = live.admit(attempt(1), 3, "CA1").await;
        assert!(third.is_some() && began.elapsed() == words + LEAVE_MAX);
        assert_eq!(live.count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_call_waits_for_its_conversation() {
        let live = Live::new();
        let limit = Duration::from_secs(1);
        live.call_over(attempt(1), "CA1", limit).await;
        let here = live.admit(attempt(1), 1, "CA1").await.unwrap();
        live.call_over(attempt(1), "CA9", limit).await;
        let conversation = async {
            assert_eq!(here.told().await, Told::CallOver);
            sleep(Duration::from_millis(10)).await;
            drop(here);
        };
        let started = Instant::now();
        tokio::join!(live.call_over(attempt(1), "CA1", limit), conversation);
        assert!(started.elapsed() < limit);
        let _deaf = live.admit(attempt(1), 2, "CA1").await.unwrap();
        live.call_over(attempt(1), "CA1", limit).await;
        assert!(started.elapsed() >= limit, "but not for ever");
    }
}
