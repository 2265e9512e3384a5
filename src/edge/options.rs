//! What the edge is to be.

use super::accounts::Account;
use super::urls::Urls;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tandem_actors::Handle;
use tandem_providers::agent::VoiceAgent;
use tandem_providers::agent::tool::{Now, Registry};
use tokio::net::TcpListener;

/// The voice agents of the configuration, by the name that plans use.
pub type Agents = BTreeMap<String, Agent>;

/// An account at a provider of voice agents.
#[derive(Clone)]
pub struct Agent {
    pub provider: Arc<dyn VoiceAgent>,
    /// What its agents say first when they take a conversation up again whose line was interrupted. Without, a short
    /// sentence in the language of the plan or the person.
    pub resume_message: Option<String>,
}

impl<P: VoiceAgent + 'static> From<Arc<P>> for Agent {
    fn from(provider: Arc<P>) -> Self {
        Agent { provider, resume_message: None }
    }
}

/// Whether no other node could go on with what this one lets go.
pub type Alone = Arc<dyn Fn() -> bool + Send + Sync>;

/// What [`super::serve`] needs.
pub struct EdgeOptions {
    pub listen: SocketAddr,
    /// Serves this one instead of binding `listen`: for a port that was asked for from the system, and that the
    /// performer's addresses must name before there is a handle.
    pub listener: Option<TcpListener>,
    /// The addresses that carriers were given; the same as the performer's.
    pub urls: Urls,
    pub handle: Handle,
    /// Whose callbacks are taken.
    pub accounts: Vec<Account>,
    pub agents: Agents,
    /// What agents may have done here, besides opting a person out, which every conversation can.
    pub tools: Registry,
    /// Without, the listener speaks plain text: a proxy does TLS.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Whether the upgrade to a media socket must be signed. Where it is signed, it is checked in any case.
    pub signed_upgrades: bool,
    pub limits: Limits,
    /// Asked when this node lets its conversations go: by default it is.
    pub alone: Alone,
}

impl EdgeOptions {
    /// Nobody may call back and there is no agent, until it is said who.
    pub fn new(listen: SocketAddr, urls: Urls, handle: Handle) -> Self {
        let clock = Arc::clone(handle.clock());
        let now: Now = Arc::new(move || clock.now());
        EdgeOptions {
            listen,
            listener: None,
            urls,
            handle,
            accounts: Vec::new(),
            agents: Agents::new(),
            tools: Registry::built_in(now),
            tls: None,
            signed_upgrades: true,
            limits: Limits::default(),
            alone: Arc::new(|| true),
        }
    }
}

/// Bounds of the edge. Durations are of real time, also where the clock is simulated.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections for requests at a time; more are kept waiting.
    pub connections_max: usize,
    /// Media sockets at a time; more are refused.
    pub conversations_max: usize,
    /// Largest body of a callback, in bytes.
    pub body_bytes_max: usize,
    /// How long a request's head may take, and so how long a connection may rest.
    pub head_timeout: Duration,
    pub body_timeout: Duration,
    /// How long a callback waits for its call to take it down. A carrier waits 15 s.
    pub callback_patience: Duration,
    /// How long a media socket may take to say which call it carries.
    pub start_timeout: Duration,
    /// A media socket that has been silent this long is probed; after as long again it is given up.
    pub silence_max: Duration,
    /// A media socket that takes nothing for this long is given up.
    pub stall_max: Duration,
    /// How long the agent may take to be ready, all tries together.
    pub agent_patience: Duration,
    /// How often an agent is opened for one media socket.
    pub agent_tries: u32,
    /// How long what an agent said last may take to be played, once it has ended the conversation.
    pub last_word_max: Duration,
    /// How long the end of a conversation may wait for what was said to be stored.
    pub farewell_patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections_max: 4_096,
            conversations_max: 1_000,
            body_bytes_max: 64 * 1024,
            head_timeout: Duration::from_secs(15),
            body_timeout: Duration::from_secs(5),
            callback_patience: Duration::from_secs(5),
            start_timeout: Duration::from_secs(5),
            silence_max: Duration::from_secs(10),
            stall_max: Duration::from_secs(10),
            agent_patience: Duration::from_secs(12),
            agent_tries: 4,
            last_word_max: Duration::from_secs(30),
            farewell_patience: Duration::from_secs(10),
        }
    }
}
