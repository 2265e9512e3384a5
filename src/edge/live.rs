//! The conversations that this node holds at present.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tandem_domain::id::Attempt;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// What an older connection may still have had in its buffers when a newer one came does not count as a sign of life.
const GRACE: Duration = Duration::from_millis(100);
/// A connection that carries a call hears something every 20 ms.
const PROOF: Duration = Duration::from_millis(1_000);
/// How long one that is still being opened is waited for.
const OPENING_MAX: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// Of two that come within this time the earlier has it, whichever is the first to say whose it is: no carrier opens
/// another so soon.
const TOGETHER: Duration = Duration::from_millis(500);
/// How long one that was told to leave is waited for.
const LEAVE_MAX: Duration = Duration::from_secs(1);
/// How often one that waits may find that yet another was faster.
const OVERTAKEN_MAX: usize = 3;

/// Why a conversation is told to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Told {
    /// A newer connection of the same call has taken its place.
    Superseded,
    /// The carrier has said that the call is over.
    CallOver,
}

struct Entry {
    id: u64,
    came: Instant,
    /// The carrier's id of the call.
    sid: String,
    tell: watch::Sender<Option<Told>>,
    signs: Arc<Signs>,
}

/// Signs of life.
#[derive(Default)]
struct Signs {
    /// The call has granted the conversation.
    open: AtomicBool,
    heard: AtomicU64,
    gone: CancellationToken,
}

impl Signs {
    /// Whether something is heard within the time in which something must be.
    async fn are_seen(&self) -> bool {
        let mut until = Instant::now() + OPENING_MAX;
        while !self.open.load(Ordering::Acquire) && !self.gone.is_cancelled() && Instant::now() < until {
            sleep(LOOK_EVERY).await;
        }
        sleep(GRACE).await;
        let before = self.heard.load(Ordering::Relaxed);
        until = Instant::now() + PROOF;
        while !self.gone.is_cancelled() && Instant::now() < until {
            if self.heard.load(Ordering::Relaxed) != before {
                return true;
            }
            sleep(LOOK_EVERY).await;
        }
        false
    }
}

/// Which conversations are held here. A clone is another door to the same.
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

    /// Gives a connection the conversation of an attempt. Where another has it and is still heard, it keeps it
    /// (`None`): a carrier opens one at a time, so a further one is not what it seems. One that is not heard any more
    /// makes way. `came` is when the connection was opened.
    pub(crate) async fn admit(&self, attempt: Attempt, sid: &str, came: Instant) -> Option<Here> {
        for _ in 0..OVERTAKEN_MAX {
            let (other, signs) = {
                let mut entries = self.0.entries.lock();
                match entries.get(&attempt) {
                    Some(entry) if entry.came <= came || entry.came - came > TOGETHER => {
                        (entry.id, Arc::clone(&entry.signs))
                    }
                    _ => return Some(self.place(&mut entries, attempt, sid, came)),
                }
            };
            if signs.are_seen().await {
                return None;
            }
            let here = {
                let mut entries = self.0.entries.lock();
                let free = entries.get(&attempt).is_none_or(|entry| entry.id == other);
                free.then(|| self.place(&mut entries, attempt, sid, came))
            };
            if here.is_some() {
                // Deaf as it is, it has words to store, which the call takes only as long as it is the newest.
                let _ = timeout(LEAVE_MAX, signs.gone.cancelled()).await;
                return here;
            }
        }
        None
    }

    /// Takes the place of an attempt, and tells whoever has it.
    fn place(
        &self,
        entries: &mut HashMap<Attempt, Entry>,
        attempt: Attempt,
        sid: &str,
        came: Instant,
    ) -> Here {
        let entry = Entry {
            came,
            id: self.0.next_id.fetch_add(1, Ordering::Relaxed),
            sid: sid.to_owned(),
            tell: watch::Sender::new(None),
            signs: Arc::default(),
        };
        let here = Here {
            live: self.clone(),
            attempt,
            id: entry.id,
            told: entry.tell.subscribe(),
            signs: Arc::clone(&entry.signs),
        };
        if let Some(older) = entries.insert(attempt, entry) {
            older.tell.send_replace(Some(Told::Superseded));
        }
        self.counted(entries);
        here
    }

    /// The carrier says that the call is over: lets its conversation take down what was said, since nothing is taken
    /// down of an attempt that has ended.
    pub(crate) async fn call_over(&self, attempt: Attempt, sid: &str, within: Duration) {
        let signs = {
            let entries = self.0.entries.lock();
            let Some(entry) = entries.get(&attempt).filter(|entry| entry.sid == sid) else { return };
            entry.tell.send_if_modified(|told| {
                let silent = told.is_none();
                if silent {
                    *told = Some(Told::CallOver);
                }
                silent
            });
            Arc::clone(&entry.signs)
        };
        if timeout(within, signs.gone.cancelled()).await.is_err() {
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
    signs: Arc<Signs>,
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

    /// The call has granted the conversation.
    pub fn opened(&self) {
        self.signs.open.store(true, Ordering::Release);
    }

    /// The carrier has been heard.
    pub fn heard(&self) {
        self.signs.heard.fetch_add(1, Ordering::Relaxed);
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
        self.signs.gone.cancel();
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
        let first = live.admit(attempt(1), "CA1", Instant::now()).await.unwrap();
        first.opened();
        let other = live.admit(attempt(2), "CA2", Instant::now()).await.unwrap();
        assert_eq!(live.count(), 2);
        let second = live.admit(attempt(1), "CA1", Instant::now()).await.expect("the first is not heard");
        assert_eq!(first.told().await, Told::Superseded);
        drop(first);
        assert_eq!(live.count(), 2, "the older one's end does not free the newer one's place");
        drop((second, other));
        live.idle().await;
        assert_eq!(live.count(), 0);
    }

    async fn speaks(here: &Here) {
        loop {
            here.heard();
            sleep(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_heard_does_not_make_way() {
        let live = Live::new();
        let here = live.admit(attempt(1), "CA1", Instant::now()).await.unwrap();
        here.opened();
        tokio::select! {
            () = speaks(&here) => {}
            second = live.admit(attempt(1), "CA1", Instant::now()) => assert!(second.is_none()),
        }
        // It goes while the other waits.
        let (second, ()) = tokio::join!(live.admit(attempt(1), "CA1", Instant::now()), async {
            sleep(GRACE * 2).await;
            drop(here);
        });
        assert!(second.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_that_come_together_the_earlier_has_it() {
        let live = Live::new();
        let came = Instant::now();
        let later = live.admit(attempt(1), "CA1", came + TOGETHER / 2).await.unwrap();
        later.opened();
        let earlier = live.admit(attempt(1), "CA1", came).await.expect("it was only slower to say so");
        assert_eq!(later.told().await, Told::Superseded);
        earlier.opened();
        // One that was opened long before has nothing to claim from one that is heard.
        let old = came - TOGETHER;
        tokio::select! {
            () = speaks(&earlier) => {}
            old = live.admit(attempt(1), "CA1", old - TOGETHER) => assert!(old.is_none()),
        }
    }

    /// Two come at once: the first has it, though it cannot be heard before its call has granted it.
    #[tokio::test(start_paused = true)]
    async fn one_that_is_being_opened_is_waited_for() {
        let live = Live::new();
        let here = live.admit(attempt(1), "CA1", Instant::now()).await.unwrap();
        let opening = async {
            sleep(Duration::from_secs(3)).await;
            here.opened();
            speaks(&here).await;
        };
        tokio::select! {
            () = opening => {}
            second = live.admit(attempt(1), "CA1", Instant::now()) => assert!(second.is_none()),
        }
        // Of two that wait for a dead one, one gets its place; the other finds that one.
        let (second, third) = tokio::join!(live.admit(attempt(1), "CA1", Instant::now()), async {
            let third = live.admit(attempt(1), "CA1", Instant::now()).await;
            if let Some(third) = &third {
                third.opened();
            }
            third
        });
        assert!(second.is_some() && third.is_some(), "neither is ever heard");
        assert_eq!(live.count(), 1);
        assert_eq!(here.told().await, Told::Superseded);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_call_waits_for_its_conversation() {
        let live = Live::new();
        let limit = Duration::from_secs(1);
        live.call_over(attempt(1), "CA1", limit).await;
        let here = live.admit(attempt(1), "CA1", Instant::now()).await.unwrap();
        live.call_over(attempt(1), "CA9", limit).await;
        let conversation = async {
            assert_eq!(here.told().await, Told::CallOver);
            sleep(Duration::from_millis(10)).await;
            drop(here);
        };
        let started = Instant::now();
        tokio::join!(live.call_over(attempt(1), "CA1", limit), conversation);
        assert!(started.elapsed() < limit);
        let _deaf = live.admit(attempt(1), "CA1", Instant::now()).await.unwrap();
        live.call_over(attempt(1), "CA1", limit).await;
        assert!(started.elapsed() >= limit, "but not for ever");
    }
}
