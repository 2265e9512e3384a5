//! The voice agent: ElevenLabs' signed URLs and conversation socket.

mod conversation;
mod dialog;
mod history;
mod message;
mod rest;

use crate::log::Log;
use crate::pace::Pace;
use crate::scenario::{AgentFault, Chooser};
use crate::simulator::Shared;
use crate::wire::Secret;
use history::History;
use parking_lot::{Mutex, RwLock};
use ring::hmac;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use rest::router;

/// How long a signed URL may be used to begin a conversation, in milliseconds.
const SIGNATURE_MS: i64 = 15 * 60_000;

pub(crate) struct AgentServer {
    pub(crate) xi_api_key: Secret,
    pub(crate) pace: Pace,
    pub(crate) log: Log,
    pub(crate) chooser: Arc<RwLock<Arc<Chooser>>>,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    /// `ws://host:port`.
    pub(crate) base: String,
    key: hmac::Key,
    run: u64,
    signed: AtomicU64,
    conversations: AtomicU64,
    live: AtomicUsize,
    history: Mutex<History>,
}

impl AgentServer {
    /// `base`: `ws://host:port` of the conversation sockets.
    pub(crate) fn new(xi_api_key: Secret, shared: Shared, base: String) -> Self {
        let Shared { pace, log, chooser, stop, tasks } = shared;
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, xi_api_key.expose().as_bytes()),
            xi_api_key,
            run: pace.now_ms() as u64,
            pace,
            log,
            chooser,
            stop,
            tasks,
            base,
            signed: AtomicU64::new(0),
            conversations: AtomicU64::new(0),
            live: AtomicUsize::new(0),
            history: Mutex::default(),
        }
    }

    fn chooser(&self) -> Arc<Chooser> {
        Arc::clone(&self.chooser.read())
    }

    /// A URL that admits to one agent for a while.
    fn signed_url(&self, agent: &str) -> String {
        let n = self.signed.fetch_add(1, Ordering::Relaxed);
        let until = self.pace.now_ms() + SIGNATURE_MS;
        let tag = self.tag(agent, until, n);
        let agent: String = form_urlencoded::byte_serialize(agent.as_bytes()).collect();
        format!(
            "{}/v1/convai/conversation?agent_id={agent}&conversation_signature=cvtkn_{until}_{n}_{tag}",
            self.base
        )
    }

    fn tag(&self, agent: &str, until: i64, n: u64) -> String {
        let tag = hmac::sign(&self.key, format!("{agent}\n{until}\n{n}\n{}", self.run).as_bytes());
        tag.as_ref().iter().take(16).fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    fn admits(&self, agent: &str, signature: &str) -> bool {
        let mut parts = signature.strip_prefix("cvtkn_").unwrap_or_default().splitn(3, '_');
        let (Some(until), Some(n), Some(tag)) = (parts.next(), parts.next(), parts.next()) else {
            return false;
        };
        match (until.parse::<i64>(), n.parse::<u64>()) {
            (Ok(until), Ok(n)) => self.pace.now_ms() <= until && self.tag(agent, until, n) == tag,
            _ => false,
        }
    }

    /// The fault of one conversation or signed URL: the first that is drawn.
    fn fault(&self, among: &[AgentFault], label: &str, n: u64) -> Option<AgentFault> {
        let chooser = self.chooser();
        among.iter().copied().find(|fault| {
            let probability = chooser.scenario.agent.faults.get(fault).copied().unwrap_or(0.0);
            chooser.rng(&format!("{label}/{fault:?}"), "", n).chance(probability)
        })
    }
}
