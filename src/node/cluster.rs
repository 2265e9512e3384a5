//! Joins the cluster's part and the entities' part of a node: shards that the one gives are run by the other, and what
//! is not here goes where the cluster knows it to be.

use super::NodeError;
use crate::config::{ClusterTls, Config};
use async_trait::async_trait;
use bytes::Bytes;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tandem_actors::{Clock, Elsewhere, Handle, NotAsked, SendError, wire};
use tandem_cluster::{Cluster, Host, NotAnswered, Options, Protocol, Timing, Tls};
use tandem_domain::codec;
use tandem_domain::id::Entity;
use tandem_store::Store;
use tokio::sync::watch;

/// How long a shard that is handed over may take to finish what it has.
const CLOSE_MAX: Duration = Duration::from_secs(1);
/// A node whose clock differs by more from those of the others does not join.
const CLOCK_MS_MAX: i64 = 5_000;
/// Requests under way to one other node.
const REQUESTS_MAX: usize = 16_384;
/// Shards handed over at once.
const HAND_OVERS_MAX: usize = 4;

/// The part of a node in the cluster of its configuration; it has not joined yet.
///
/// # Errors
/// Certificates that cannot be used.
pub fn part(config: &Config, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Result<Cluster, NodeError> {
    let tls = config.cluster.tls.as_ref().map(certificates).transpose()?;
    let speed = clock.speed().max(1.0);
    let options = Options {
        store,
        cluster: config.cluster.name.clone(),
        node: config.node.name.clone(),
        shards: config.node.shards,
        listen: config.cluster.listen,
        advertise: config.cluster.advertise.clone(),
        tls,
        build: env!("CARGO_PKG_VERSION").to_owned(),
        protocol: Protocol { min: wire::PROTOCOL, max: wire::PROTOCOL },
        timing: Timing::default(),
        clock: Arc::new(move || clock.now()),
        // A simulated second is shorter.
        #[allow(clippy::cast_possible_truncation, reason = "a bound, and far from the type's")]
        clock_ms_max: (CLOCK_MS_MAX as f64 * speed) as i64,
        hand_overs_max: HAND_OVERS_MAX,
        requests_max: REQUESTS_MAX,
    };
    Ok(Cluster::new(options)?)
}

fn certificates(tls: &ClusterTls) -> Result<Tls, NodeError> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|e| NodeError::Tls(format!("cluster: {}: {e}", path.display())))
    };
    Ok(Tls { ca: read(&tls.ca)?, cert: read(&tls.cert)?, key: read(&tls.key)?, domain: tls.domain.clone() })
}

/// The entities, as the cluster sees them.
pub struct Shards(pub Handle);

#[async_trait]
impl Host for Shards {
    async fn open(&self, shard: u16, epoch: u64) -> Result<(), String> {
        self.0.open(shard, epoch).await.map_err(|e| e.to_string())
    }

    async fn close(&self, shard: u16) {
        self.0.close(shard, CLOSE_MAX).await;
    }

    fn lose(&self, shard: u16, epoch: u64) {
        self.0.drop_shard(shard, epoch);
    }

    fn open_shards(&self) -> Vec<(u16, u64)> {
        self.0.open_shards()
    }

    async fn answer(&self, request: Bytes) -> Bytes {
        self.0.answer(&request).await.into()
    }

    fn watch(&self, entity: &[u8]) -> Option<watch::Receiver<u64>> {
        let entity = codec::decode::<Entity>(entity).ok()?;
        self.0.watch_here(entity).ok()
    }
}

/// The cluster, as the entities see it.
pub struct Ways(pub Cluster);

#[async_trait]
impl Elsewhere for Ways {
    async fn ask(&self, shard: u16, request: Bytes) -> Result<Bytes, NotAsked> {
        self.0.ask(shard, request).await.map_err(|e| match e {
            NotAnswered::NotThere => NotAsked::NotThere,
            NotAnswered::Overloaded => NotAsked::Overloaded,
            NotAnswered::Lost => NotAsked::Lost,
        })
    }

    async fn changed(&self, _: u16) {
        self.0.changed().await;
    }

    fn watch(&self, shard: u16, of: Entity, news: watch::Sender<u64>) {
        self.0.watch(shard, codec::encode(&of).into(), news);
    }

    fn is_leased(&self) -> bool {
        self.0.is_leased()
    }

    async fn reclaim(&self, shard: u16, epoch: u64) -> Result<Option<u64>, SendError> {
        let reclaimed = self.0.reclaim(shard, epoch).await;
        reclaimed.map_err(|e| SendError::Store(e.to_string()))
    }

    fn deposed(&self, _: u16, _: u64) {
        self.0.deposed();
    }
}
