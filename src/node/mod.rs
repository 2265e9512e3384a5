//! Puts a node together: store, keys, entities, edges; and takes it apart in order.

mod clock;
mod cluster;
mod error;
mod null;
mod outside;

pub use error::NodeError;

use crate::config::{self, Config};
use crate::telemetry::{self, Readiness, Recorder, State};
use crate::{edge, grpc};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tandem_actors::vault::{FileKeys, KeyError, SystemEntropy, VaultError};
use tandem_actors::{Elsewhere, Handle, Node, Options, SystemClock, Vault, query};
use tandem_cluster::{Addresses, Cluster};
use tandem_domain::id::CompanyId;
use tandem_store::{Store, embedded};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, Server, ServerTlsConfig};

/// Parts that a caller may bring along.
#[derive(Default)]
pub struct Parts {
    /// Shows the time; made from the configuration otherwise.
    pub clock: Option<Arc<SystemClock>>,
    /// A store that other nodes share, instead of the configuration's.
    pub store: Option<Arc<dyn Store>>,
}

/// A node that runs.
pub struct Running {
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    pub metrics: Option<SocketAddr>,
    handle: Handle,
    node: Node,
    cluster: Option<Cluster>,
    /// To be closed at the end; one that was brought along is not.
    store: Option<Arc<dyn Store>>,
    edge: edge::Running,
    readiness: Readiness,
    health: tonic_health::server::HealthReporter,
    drain: Duration,
    /// Tells the servers to take nothing new.
    closing: watch::Sender<bool>,
    /// Tells the monitoring to end, last of all.
    ended: watch::Sender<bool>,
    servers: Vec<JoinHandle<()>>,
    gauges: AbortHandle,
    monitoring: Option<JoinHandle<()>>,
}

async fn becomes_true(mut flag: watch::Receiver<bool>) {
    // A sender that is gone means the same.
    let _ = flag.wait_for(|set| *set).await;
}

fn file_unless_empty(data_dir: &Path) -> bool {
    std::fs::read_dir(data_dir).is_ok_and(|mut entries| entries.next().is_some())
}

async fn open_store(config: &Config) -> Result<Arc<dyn Store>, NodeError> {
    const MIB: u64 = 1024 * 1024;
    match &config.store {
        config::Store::Embedded(e) => {
            let mut options = embedded::Options::new(config.node.data_dir.join("store"));
            options.cache_bytes = u64::from(e.cache_mb) * MIB;
            options.memtable_bytes = u64::from(e.memtable_mb) * MIB;
            Ok(options.open()?)
        }
        config::Store::PostgreSql(p) => Ok(p.options().open().await?),
    }
}

/// `fresh` if there is no data yet that was sealed with some key.
fn open_keys(config: &Config, fresh: bool) -> Result<FileKeys, NodeError> {
    match &config.keys {
        config::Keys::File { path, create } => {
            // A new key for data that was sealed with another would only hide that one is lost.
            let keys = FileKeys::open(path, *create && fresh)?;
            warn_if_exposed(path);
            Ok(keys)
        }
    }
}

fn warn_if_exposed(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    const OTHERS: u32 = 0o077;
    if std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & OTHERS != 0) {
        tracing::warn!(path = %path.display(), "others on this machine can read the key: chmod 600 it");
    }
}

async fn first_company(store: &dyn Store) -> Result<Option<CompanyId>, NodeError> {
    let first = query::companies(store, None, 1).await.map_err(|e| NodeError::Companies(e.to_string()))?;
    Ok(first.items.first().copied())
}

/// With a key that is not the one of this data the node would run, and every request that needs it fail.
async fn check_keys(config: &Config, store: &dyn Store, vault: &Vault) -> Result<(), NodeError> {
    let Some(company) = first_company(store).await? else { return Ok(()) };
    let config::Keys::File { path, .. } = &config.keys;
    match vault.check(company).await {
        Ok(()) => Ok(()),
        Err(VaultError::Key(KeyError::Other) | VaultError::Unopenable) => {
            Err(NodeError::WrongKey(path.clone()))
        }
        Err(e) => Err(NodeError::Companies(e.to_string())),
    }
}

/// Starts a node.
///
/// # Errors
/// See [`NodeError`]; nothing is left running.
pub async fn start(config: &Config, parts: Parts) -> Result<Running, NodeError> {
    let readiness = Readiness::starting("opening the store");
    let (closing, close) = watch::channel(false);
    let (ended, end) = watch::channel(false);
    let (metrics, monitoring) = monitor(config, &readiness, end).await?;

    // An embedded store makes its files when it is opened; a database has to be opened to be looked into.
    let keys = match &config.store {
        config::Store::Embedded(_) => {
            Some(open_keys(config, !file_unless_empty(&config.node.data_dir.join("store")))?)
        }
        config::Store::PostgreSql(_) => None,
    };
    let own = parts.store.is_none();
    let (store, shared) = match parts.store {
        Some(store) => (store, true),
        None => (open_store(config).await?, config.store.is_shared()),
    };
    let keys = match keys {
        Some(keys) => keys,
        None => open_keys(config, first_company(&*store).await?.is_none())?,
    };
    let clock = match parts.clock {
        Some(clock) => clock,
        None => clock::clock(config)?,
    };
    let vault = Vault::new(store.clone(), Arc::new(keys), Arc::new(SystemEntropy::default()));
    check_keys(config, &*store, &vault).await?;
    readiness.set(State::Starting("claiming the shards"));
    let performer = Arc::new(null::Carriers::new(config, outside::performer(config, &vault, store.clone())?));
    let cluster = if shared { Some(cluster::part(config, store.clone(), clock.clone())?) } else { None };
    let mut options = Options::new(store.clone(), clock, performer.clone(), vault);
    options.elsewhere = cluster.clone().map(|part| Arc::new(cluster::Ways(part)) as Arc<dyn Elsewhere>);
    options.name.clone_from(&config.node.name);
    options.shards = config.node.shards;
    options.mailbox_max = u32::try_from(config.limits.mailbox_max).unwrap_or(u32::MAX);
    options.entities_max = config.limits.entities_max;
    options.seed = seed();
    let node = Node::start(options).await?;
    let handle = node.handle().clone();
    performer.connect(handle.clone());

    let mut options = outside::edge(config, handle.clone())?;
    if let Some(cluster) = cluster.clone() {
        options.alone = Arc::new(move || cluster.is_alone());
    }
    let edge = edge::serve(options).await?;
    let mut routes = grpc::Options::new(handle.clone());
    routes.configured = Arc::new(outside::configured(config));
    routes.admin_token.clone_from(&config.grpc.admin_token);
    routes.message_bytes_max = config.grpc.max_message_kb as usize * 1024;
    routes.timeout = config.grpc.timeout;
    routes.cluster.clone_from(&cluster);
    routes.requests_max = config.limits.requests_max;
    routes.import_bytes_max = u64::from(config.limits.import_mb_max) * 1024 * 1024;
    let router = grpc::router(routes).await.map_err(|e| NodeError::Reflection(e.to_string()))?;
    let (grpc, server) = serve_grpc(config, router.routes, router.gate, close).await?;

    if let Some(cluster) = &cluster {
        readiness.set(State::Starting("joining the cluster"));
        let addresses = Addresses { grpc: grpc.to_string(), http: edge.addr().to_string() };
        let peers = cluster.join(Arc::new(cluster::Shards(handle.clone())), addresses).await?;
        tracing::info!(%peers, cluster = cluster.name(), node = cluster.node(), "the node has joined");
    }
    let gauges = tokio::spawn(show_load(handle.clone()));
    readiness.set(State::Ready);
    tracing::info!(%grpc, http = %edge.addr(), shards = config.node.shards, "the node serves");
    Ok(Running {
        grpc,
        http: edge.addr(),
        metrics,
        handle,
        node,
        cluster,
        store: own.then_some(store),
        edge,
        readiness,
        health: router.health,
        drain: config.node.drain,
        closing,
        ended,
        servers: vec![server],
        gauges: gauges.abort_handle(),
        monitoring,
    })
}

/// Between two looks at how much is in memory.
const LOAD_EVERY: Duration = Duration::from_secs(2);

/// Keeps the gauges of what is in memory, for as long as it is let.
#[allow(clippy::cast_precision_loss, reason = "gauges are floating point")]
async fn show_load(handle: Handle) {
    let mut every = tokio::time::interval(LOAD_EVERY);
    loop {
        every.tick().await;
        let load = handle.load();
        metrics::gauge!("tandem_entities").set(load.entities as f64);
        metrics::gauge!("tandem_timers").set(load.timers as f64);
        metrics::gauge!("tandem_orders").set(load.orders as f64);
    }
}

/// Random bits for identities of no secrecy.
fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

async fn monitor(
    config: &Config,
    readiness: &Readiness,
    end: watch::Receiver<bool>,
) -> Result<(Option<SocketAddr>, Option<JoinHandle<()>>), NodeError> {
    if !config.metrics.enabled {
        return Ok((None, None));
    }
    let recorder = Recorder::install().map_err(|e| NodeError::Metrics(e.to_string()))?;
    let server = telemetry::Server::bind(config.metrics.listen, recorder, readiness.clone()).await?;
    let address = server.local_addr().map_err(|e| NodeError::Listen(config.metrics.listen, e))?;
    Ok((Some(address), Some(tokio::spawn(server.run(becomes_true(end))))))
}

async fn serve_grpc(
    config: &Config,
    routes: tonic::service::Routes,
    gate: grpc::Gate,
    close: watch::Receiver<bool>,
) -> Result<(SocketAddr, JoinHandle<()>), NodeError> {
    let listen = config.grpc.listen;
    let listener = TcpListener::bind(listen).await.map_err(|e| NodeError::Listen(listen, e))?;
    let address = listener.local_addr().map_err(|e| NodeError::Listen(listen, e))?;
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let mut server = Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .max_concurrent_streams(u32::try_from(config.limits.in_flight_max).ok())
        .initial_stream_window_size(1024 * 1024)
        .initial_connection_window_size(4 * 1024 * 1024);
    if let Some(tls) = &config.grpc.tls {
        let read =
            |path: &Path| std::fs::read(path).map_err(|e| NodeError::Tls(format!("{}: {e}", path.display())));
        let identity = Identity::from_pem(read(&tls.cert)?, read(&tls.key)?);
        server = server
            .tls_config(ServerTlsConfig::new().identity(identity))
            .map_err(|e| NodeError::Tls(e.to_string()))?;
    }
    let serving =
        server.layer(gate).add_routes(routes).serve_with_incoming_shutdown(incoming, becomes_true(close));
    let task = tokio::spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "the gRPC server has ended");
        }
    });
    Ok((address, task))
}

/// Streams and requests that are under way get this long to end once nothing new is taken.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

impl Running {
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The node's place in its cluster, where it has one.
    pub fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_ref()
    }

    /// Ends at once and tells nobody, as far as the cluster goes: as a crash would.
    pub fn abandon(self) {
        if let Some(cluster) = &self.cluster {
            cluster.abort();
        }
    }

    /// Returns once the node cannot go on, with the reason.
    async fn failed(&self) -> String {
        let Some(cluster) = &self.cluster else { return std::future::pending().await };
        let mut failed = cluster.failed();
        let why = failed.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
        match why {
            Some(why) => why,
            None => std::future::pending().await,
        }
    }

    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Takes nothing new, lets conversations end for as long as the configuration says, then stops.
    /// What was acknowledged is durable; what waits is taken up at the next start.
    pub async fn stop(self) {
        self.readiness.set(State::Draining);
        self.health.set_service_status("", tonic_health::ServingStatus::NotServing).await;
        // Where others take over, they do so at once, and whoever asks here meanwhile is forwarded; a node that is alone
        // listens to its conversations first.
        let others = self.cluster.as_ref().is_some_and(|cluster| !cluster.is_alone());
        if let Some(cluster) = self.cluster.as_ref().filter(|_| others) {
            cluster.leave().await;
        }
        self.edge.shutdown(self.drain).await;
        if let Some(cluster) = self.cluster.as_ref().filter(|_| !others) {
            cluster.leave().await;
        }
        self.closing.send_replace(true);
        for server in self.servers {
            // A watcher that never leaves does not hold the node.
            let abort = server.abort_handle();
            if tokio::time::timeout(CLOSE_WAIT, server).await.is_err() {
                abort.abort();
            }
        }
        self.gauges.abort();
        if let Some(cluster) = &self.cluster {
            cluster.end().await;
        }
        self.node.stop().await;
        if let Some(store) = self.store
            && let Err(error) = store.close().await
        {
            tracing::error!(%error, "the store did not close cleanly");
        }
        self.ended.send_replace(true);
        if let Some(monitoring) = self.monitoring {
            let _ = tokio::time::timeout(CLOSE_WAIT, monitoring).await;
        }
    }
}

/// SIGTERM and SIGINT, which from now on do not end the process by themselves.
struct Signals(Option<(Signal, Signal)>);

impl Signals {
    fn new() -> Signals {
        // Without handlers the system ends the process by itself.
        let both = signal(SignalKind::terminate()).and_then(|t| Ok((t, signal(SignalKind::interrupt())?)));
        Signals(both.ok())
    }

    /// The next of either.
    async fn told_to_stop(&mut self) {
        match &mut self.0 {
            None => std::future::pending().await,
            Some((terminate, interrupt)) => tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            },
        }
    }
}

/// `tandem node`: runs until it is told to stop. A second signal stops it at once.
pub fn run(config: &Config) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            crate::stderr::say(format_args!("tandem: no threads can be started: {error}"));
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        // Heard from the first moment on: whoever starts a node may stop it before it serves.
        let mut signals = Signals::new();
        let started = tokio::select! {
            started = start(config, Parts::default()) => started,
            () = signals.told_to_stop() => {
                tracing::info!("told to stop before it served");
                return ExitCode::SUCCESS;
            }
        };
        let running = match started {
            Ok(running) => running,
            Err(error) => {
                tracing::error!(%error, "the node could not start");
                crate::stderr::say(format_args!("tandem: {error}"));
                return ExitCode::FAILURE;
            }
        };
        tokio::select! {
            () = signals.told_to_stop() => {}
            why = running.failed() => {
                crate::stderr::say(format_args!("tandem: {why}"));
                return ExitCode::FAILURE;
            }
        }
        tracing::info!("told to stop: draining");
        tokio::select! {
            () = running.stop() => ExitCode::SUCCESS,
            () = signals.told_to_stop() => {
                tracing::warn!("told to stop again: stopping at once");
                ExitCode::FAILURE
            }
        }
    })
}
