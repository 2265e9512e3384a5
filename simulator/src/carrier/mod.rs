//! The carrier: Twilio's REST interface in front, the telephone network behind.

mod courier;
mod error;
mod gate;
mod leg;
mod life;
mod list;
mod order;
mod person;
mod playback;
mod recording;
mod resource;
mod rest;
mod second;
mod socket;
mod stream;
mod talk;

use crate::log::Log;
use crate::pace::Pace;
use crate::scenario::{CallPlan, Chooser};
use crate::simulator::{Limits, Shared};
use crate::webhooks::Webhooks;
use crate::wire::Secret;
use gate::Gate;
use order::{RecordingOrder, Source};
use parking_lot::{Mutex, RwLock};
use recording::Recording;
use resource::Resource;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use rest::router;
pub(crate) use socket::config as websocket_config;

/// Orders that a live call may have waiting.
const ORDERS_MAX: usize = 8;
/// Recordings that can still be fetched.
const RECORDINGS_MAX: usize = 10_000;

/// Who may use the REST interface.
pub(crate) struct Account {
    pub(crate) sid: String,
    pub(crate) auth_token: Secret,
    /// (`SK…`, secret).
    pub(crate) api_keys: Vec<(String, Secret)>,
    /// 0, or the error code with which every request is refused.
    pub(crate) suspended: AtomicU32,
}

pub(crate) struct Carrier {
    pub(crate) account: Account,
    pub(crate) pace: Pace,
    pub(crate) log: Log,
    pub(crate) chooser: Arc<RwLock<Arc<Chooser>>>,
    pub(crate) webhooks: Webhooks,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) live_max: usize,
    pub(crate) ended_kept_max: usize,
    /// Part of every call's id, so that two runs with one seed do not hand out the same ids.
    pub(crate) run: u64,
    /// `http://host:port` of the REST interface.
    base: String,
    gate: Gate,
    book: Mutex<Book>,
}

/// All calls, newest last.
#[derive(Default)]
struct Book {
    calls: HashMap<String, Arc<Call>>,
    by_number: HashMap<String, Vec<Arc<Call>>>,
    /// Of ended calls, oldest first.
    ended: VecDeque<String>,
    live: usize,
    /// (POSTs, calls) so far, by hash of the number.
    counts: HashMap<u64, (u64, u64)>,
    recordings: HashMap<String, Recording>,
    recordings_order: VecDeque<String>,
    /// Counts calls, for the order of the list.
    next: u64,
}

/// One call, live or ended.
pub(crate) struct Call {
    sid: String,
    /// Place in the order of creation.
    n: u64,
    to: String,
    from: String,
    /// Path of the status callback's URL.
    attempt: Option<String>,
    plan: CallPlan,
    /// How many calls to this number came before.
    nth: u64,
    resource: Mutex<Resource>,
    orders: mpsc::Sender<Order>,
    sequence: AtomicU32,
}

/// What a live call can be told over REST.
enum Order {
    Cancel,
    HangUp,
    Replace(Source),
    /// Longest conversation, simulated.
    Limit(u64),
    Record(Box<RecordingOrder>, String),
}

impl Carrier {
    /// `base`: `http://host:port` of the REST interface.
    pub(crate) fn new(
        account: Account,
        shared: Shared,
        webhooks: Webhooks,
        limits: &Limits,
        base: String,
    ) -> Self {
        let Shared { pace, log, chooser, stop, tasks } = shared;
        Self {
            account,
            run: pace.now_ms() as u64,
            pace,
            log,
            chooser,
            webhooks,
            stop,
            tasks,
            live_max: limits.live_calls_max,
            ended_kept_max: limits.ended_calls_kept,
            base,
            gate: Gate::default(),
            book: Mutex::default(),
        }
    }

    fn chooser(&self) -> Arc<Chooser> {
        Arc::clone(&self.chooser.read())
    }

    /// Suspends the account with an error code, or lifts the suspension with 0.
    pub(crate) fn suspend(&self, code: u32) {
        self.account.suspended.store(code, Ordering::SeqCst);
        self.log.write(crate::log::Event::AccountChanged { suspended: code != 0 });
    }

    fn find(&self, sid: &str) -> Option<Arc<Call>> {
        self.book.lock().calls.get(sid).cloned()
    }

    /// A call has ended: from now on it is history, of which a bounded part is kept.
    fn retire(&self, call: &Call) {
        let mut book = self.book.lock();
        book.live = book.live.saturating_sub(1);
        if !book.calls.contains_key(&call.sid) {
            return;
        }
        book.ended.push_back(call.sid.clone());
        while book.ended.len() > self.ended_kept_max {
            let Some(oldest) = book.ended.pop_front() else { break };
            book.forget(&oldest);
        }
    }
}

impl Book {
    fn forget(&mut self, sid: &str) -> Option<Arc<Call>> {
        let call = self.calls.remove(sid)?;
        if let Entry::Occupied(mut same) = self.by_number.entry(call.to.clone()) {
            same.get_mut().retain(|other| other.sid != sid);
            if same.get().is_empty() {
                same.remove();
            }
        }
        Some(call)
    }

    fn keep(&mut self, recording: Recording) {
        while self.recordings_order.len() >= RECORDINGS_MAX {
            let Some(oldest) = self.recordings_order.pop_front() else { break };
            self.recordings.remove(&oldest);
        }
        self.recordings_order.push_back(recording.sid.clone());
        self.recordings.insert(recording.sid.clone(), recording);
    }
}

impl Call {
    fn ended(&self) -> bool {
        self.resource.lock().status.ended()
    }
}
