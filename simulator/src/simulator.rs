//! Puts the parts together.

use crate::agent::{self, AgentServer};
use crate::carrier::{self, Account, Carrier};
use crate::control::{self, Control};
use crate::log::{Event, Log, LogError};
use crate::pace::{Clock, Pace, SystemClock};
use crate::scenario::{Chooser, Scenario, ScenarioError};
use crate::server;
use crate::webhooks::Webhooks;
use crate::wire::Secret;
use parking_lot::RwLock;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// Bounds of the simulator's memory and connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Calls that may live at a time; more are refused with 10004.
    pub live_calls_max: usize,
    /// Ended calls that can still be fetched and listed.
    pub ended_calls_kept: usize,
    /// Log entries held in memory; the file holds all.
    pub log_entries_kept: usize,
    /// Webhooks under way at a time.
    pub webhooks_in_flight_max: usize,
    /// Connections per server.
    pub connections_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            live_calls_max: 50_000,
            ended_calls_kept: 50_000,
            log_entries_kept: 500_000,
            webhooks_in_flight_max: 256,
            connections_max: 20_000,
        }
    }
}

/// What a simulator is to be.
#[derive(Clone)]
pub struct Options {
    /// Port 0 for any.
    pub carrier_addr: SocketAddr,
    /// Port 0 for any.
    pub agent_addr: SocketAddr,
    /// `AC` and 32 hex digits.
    pub account_sid: String,
    /// Signs webhooks; with `account_sid` it may also be used for REST.
    pub auth_token: String,
    /// (`SK…`, secret) that may be used for REST.
    pub api_keys: Vec<(String, String)>,
    /// Key of the voice agent's REST.
    pub xi_api_key: String,
    /// Everything that is drawn is drawn from this.
    pub seed: u64,
    /// Simulated seconds per real second.
    pub speed: f64,
    /// Simulated seconds per real second while waiting for the system under test, at most; `None` for 5.
    pub wait_speed: Option<f64>,
    /// Samples that one byte of audio stands for; `None` to derive it from the speed.
    pub stride: Option<u32>,
    pub mix: Scenario,
    /// The log is appended here.
    pub log_path: Option<PathBuf>,
    pub limits: Limits,
    /// Where dates on the wire and in the log come from.
    pub clock: Arc<dyn Clock>,
}

impl Default for Options {
    fn default() -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            carrier_addr: any,
            agent_addr: any,
            account_sid: "AC00000000000000000000000000000001".to_owned(),
            auth_token: "simulated-auth-token".to_owned(),
            api_keys: Vec::new(),
            xi_api_key: "simulated-xi-api-key".to_owned(),
            seed: 1,
            speed: 1.0,
            wait_speed: None,
            stride: None,
            mix: Scenario::default(),
            log_path: None,
            limits: Limits::default(),
            clock: Arc::new(SystemClock),
        }
    }
}

impl std::fmt::Debug for Options {
    /// Without the secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("carrier_addr", &self.carrier_addr)
            .field("agent_addr", &self.agent_addr)
            .field("account_sid", &self.account_sid)
            .field("seed", &self.seed)
            .field("speed", &self.speed)
            .field("stride", &self.stride)
            .field("log_path", &self.log_path)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// What the carrier and the agent have in common.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) pace: Pace,
    pub(crate) log: Log,
    pub(crate) chooser: Arc<RwLock<Arc<Chooser>>>,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

/// Why a simulator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {addr}: {error}")]
    Listen { addr: SocketAddr, error: std::io::Error },
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("cannot make requests: {0}")]
    Client(std::io::Error),
}

/// A carrier and a voice agent on real sockets.
pub struct Simulator;

impl Simulator {
    /// Starts both servers. They run until [`Running::shutdown`] or until the returned value is dropped.
    pub async fn start(options: Options) -> Result<Running, StartError> {
        options.mix.validate()?;
        let listen = |addr| async move {
            server::bind(addr).await.map_err(|error| StartError::Listen { addr, error })
        };
        let (carrier_listener, carrier_addr) = listen(options.carrier_addr).await?;
        let (agent_listener, agent_addr) = listen(options.agent_addr).await?;
        let limits = options.limits;
        let log =
            Log::open(options.log_path.as_deref(), limits.log_entries_kept, Arc::clone(&options.clock))?;
        let auth_token = Secret::from(options.auth_token);
        let webhooks =
            Webhooks::new(&auth_token, limits.webhooks_in_flight_max).map_err(StartError::Client)?;
        let pace = Pace::new(options.speed, options.wait_speed, options.stride, options.clock);
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let chooser = Arc::new(RwLock::new(Chooser::new(options.seed, options.mix)));
        log.write(Event::Started { seed: options.seed, speed: pace.speed() });

        let carrier_url = format!("http://{carrier_addr}");
        let agent_url = format!("http://{agent_addr}");
        let account = Account {
            sid: options.account_sid,
            auth_token,
            api_keys: options.api_keys.into_iter().map(|(sid, secret)| (sid, secret.into())).collect(),
            suspended: AtomicU32::new(0),
        };
        let shared = Shared {
            pace,
            log: log.clone(),
            chooser: Arc::clone(&chooser),
            stop: stop.clone(),
            tasks: tasks.clone(),
        };
        let carrier = Arc::new(Carrier::new(account, shared.clone(), webhooks, &limits, carrier_url.clone()));
        let xi_api_key = options.xi_api_key.into();
        let agent = Arc::new(AgentServer::new(xi_api_key, shared, format!("ws://{agent_addr}")));
        let control =
            Control { carrier: Arc::clone(&carrier), chooser, seed: options.seed, log: log.clone() };
        let own = control::router(control.clone());
        let carrier_router = carrier::router(carrier).merge(own.clone());
        let agent_router = agent::router(agent).merge(own);
        server::serve(carrier_listener, carrier_router, limits.connections_max, stop.clone(), &tasks);
        server::serve(agent_listener, agent_router, limits.connections_max, stop.clone(), &tasks);
        Ok(Running { carrier_url, agent_url, log, control, stop, tasks })
    }
}

/// A simulator that runs.
pub struct Running {
    /// Base of the carrier's REST: `http://host:port`.
    pub carrier_url: String,
    /// Base of the voice agent's REST: `http://host:port`; its sockets are under `ws://` at the same place.
    pub agent_url: String,
    pub log: Log,
    pub control: Control,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Running {
    /// Ends everything at once; live calls are cut off.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.tasks.close();
        // Every task watches `stop`; the timeout is for a runtime that is already going away.
        let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, self.tasks.wait()).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running")
            .field("carrier_url", &self.carrier_url)
            .field("agent_url", &self.agent_url)
            .finish_non_exhaustive()
    }
}
