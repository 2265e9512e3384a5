//! How a node comes in, and how it goes.

use crate::cluster::{Cluster, Inner};
use crate::error::{ChangeError, JoinError};
use crate::host::Host;
use crate::member;
use crate::observe::Observer;
use crate::options::{Addresses, Protocol};
use crate::peer;
use crate::rows::{self, Incarnation, Node, State};
use crate::view::View;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};

/// How long a node that leaves tries to hand its shards over.
const HAND_OVER_MAX: Duration = Duration::from_secs(20);
const JOINS_MAX: u32 = 16;

fn changing(e: ChangeError) -> JoinError {
    match e {
        ChangeError::Store(e) => JoinError::Store(e),
        ChangeError::Damaged(e) => JoinError::Damaged(e.to_string()),
        ChangeError::Overtaken
        | ChangeError::Contended
        | ChangeError::NoNode(_)
        | ChangeError::Not { .. } => JoinError::Contended,
    }
}

impl Cluster {
    /// Comes in: listens for other nodes, takes its place among them, and has shards from then on, which `host` runs.
    /// Returns where it listens.
    ///
    /// # Errors
    /// See [`JoinError`]; nothing is left running.
    pub async fn join(&self, host: Arc<dyn Host>, addresses: Addresses) -> Result<SocketAddr, JoinError> {
        let inner = &self.inner;
        let listen = inner.options.listen;
        let listener = TcpListener::bind(listen).await.map_err(|e| JoinError::Listen(listen, e))?;
        let address = listener.local_addr().map_err(|e| JoinError::Listen(listen, e))?;
        let advertise = inner.options.advertise.clone().unwrap_or_else(|| address.to_string());
        check_cluster(inner).await?;
        let over = await_name(inner, &advertise).await?;
        check_others(inner).await?;
        // First of all it can be asked; it has nothing yet.
        let _ = inner.host.set(host);
        let _ = inner.addresses.set(addresses);
        peer::serve(inner.clone(), listener)?;
        match inner.table.join(&inner.options.node, &row(inner, &advertise), over.as_ref()).await {
            Ok(()) => {}
            Err(ChangeError::Overtaken) => {
                inner.ended.cancel();
                return Err(taken(inner, &BTreeMap::new()));
            }
            Err(e) => {
                inner.ended.cancel();
                return Err(changing(e));
            }
        }
        inner.look().await.map_err(changing)?;
        member::start(inner.clone(), advertise);
        Ok(address)
    }

    /// Goes: hands over what it has to those who stay, as far as there is anybody. What is left when this returns is
    /// closed. Requests from other nodes are still answered with where to go, until [`Cluster::end`].
    pub async fn leave(&self) {
        let inner = &self.inner;
        let name = &inner.options.node;
        if let Err(error) = inner.table.set_state(name, State::Draining).await {
            tracing::warn!(%error, "the others could not be told that this node leaves");
        }
        inner.hurry.notify_one();
        let mut news = inner.news.subscribe();
        let handed = async {
            while !self.is_alone() && !inner.view.borrow().held_by(name, &inner.me().incarnation).is_empty() {
                let _ = timeout(Duration::from_millis(100), news.changed()).await;
                inner.work.notify_one();
            }
        };
        if timeout(HAND_OVER_MAX, handed).await.is_err() {
            tracing::warn!("not all shards could be handed over; others claim the rest");
        }
        inner.leaving.cancel();
        if let Some(host) = inner.host.get() {
            for (shard, _) in host.open_shards() {
                host.close(shard).await;
            }
        }
    }

    /// Ends at once and tells nobody, as a crash would.
    pub fn abort(&self) {
        self.inner.lease.revoke();
        self.inner.leaving.cancel();
        self.inner.ended.cancel();
    }

    /// Ends: nobody is answered any more, and the others forget this node.
    pub async fn end(&self) {
        let inner = &self.inner;
        inner.leaving.cancel();
        inner.lease.revoke();
        let me = inner.me();
        let left = timeout(Duration::from_secs(5), inner.table.leave(&me.node, &me.incarnation)).await;
        if !matches!(left, Ok(Ok(()) | Err(ChangeError::Overtaken | ChangeError::NoNode(_)))) {
            tracing::warn!(
                "the others could not be told that this node has left; they find out by themselves"
            );
        }
        inner.ended.cancel();
    }
}

pub(crate) fn row(inner: &Inner, advertise: &str) -> Node {
    let options = &inner.options;
    let addresses = inner.addresses.get().cloned().unwrap_or_default();
    let clock = (options.clock)();
    Node {
        incarnation: inner.life.read().clone(),
        state: State::Active,
        counter: 1,
        peer: advertise.to_owned(),
        grpc: addresses.grpc,
        http: addresses.http,
        build: options.build.clone(),
        protocol_min: options.protocol.min,
        protocol_max: options.protocol.max,
        clock_ms: clock,
        joined_ms: clock,
    }
}

async fn check_cluster(inner: &Inner) -> Result<(), JoinError> {
    let options = &inner.options;
    let asked = rows::Cluster { name: options.cluster.clone(), shards: options.shards };
    let stored = inner.table.found(&asked).await.map_err(changing)?;
    if stored.name != asked.name {
        return Err(JoinError::OtherCluster { stored: stored.name, asked: asked.name });
    }
    if stored.shards != asked.shards {
        return Err(JoinError::Shards { stored: stored.shards, asked: asked.shards });
    }
    Ok(())
}

fn taken(inner: &Inner, nodes: &BTreeMap<String, Node>) -> JoinError {
    let name = inner.options.node.clone();
    let peer = nodes.get(&name).map(|node| node.peer.clone()).unwrap_or_default();
    JoinError::NameTaken { name, peer }
}

/// Waits until nobody of this name lives: an earlier life that was not ended properly is looked at for as long as it takes
/// to know that it is over. Returns the life that may be written over.
async fn await_name(inner: &Inner, advertise: &str) -> Result<Option<Incarnation>, JoinError> {
    let name = &inner.options.node;
    let timing = inner.options.timing;
    let mut observer = Observer::new(timing);
    let mut first: Option<(Incarnation, u64)> = None;
    let mut joins = 0;
    loop {
        let began = Instant::now();
        let view = inner.table.view().await.map_err(changing)?;
        let now = Instant::now();
        observer.saw(&view.nodes, began, now);
        let Some(node) = view.nodes.get(name).filter(|node| node.state != State::Down) else {
            return Ok(None);
        };
        let seen = (node.incarnation.clone(), node.counter);
        if *first.get_or_insert_with(|| seen.clone()) != seen {
            return Err(taken(inner, &view.nodes));
        }
        // This process listens where the earlier life did: that is over.
        let gone = node.peer == advertise || member::refuses(&node.peer).await;
        observer.probed(name, gone);
        if let Some((incarnation, counter)) = observer.is_dead(name, Duration::ZERO, now) {
            match inner.table.take_over(name, &incarnation, counter).await {
                Ok(_) => return Ok(Some(incarnation)),
                // Others were faster, or it lives.
                Err(ChangeError::Overtaken) if joins < JOINS_MAX => joins += 1,
                Err(e) => return Err(changing(e)),
            }
        }
        sleep(timing.renew / 2).await;
    }
}

/// Whether this node can live with those that are there.
async fn check_others(inner: &Inner) -> Result<(), JoinError> {
    let options = &inner.options;
    let before = inner.table.view().await.map_err(changing)?;
    for (name, node) in before.nodes.iter().filter(|(_, node)| node.state != State::Down) {
        let theirs = Protocol { min: node.protocol_min, max: node.protocol_max };
        if options.protocol.common(theirs).is_none() {
            return Err(JoinError::Protocol {
                other: name.clone(),
                build: node.build.clone(),
                theirs: (theirs.min, theirs.max),
                ours: (options.protocol.min, options.protocol.max),
            });
        }
    }
    check_clock(inner, &before).await
}

/// Compares clocks with a node that has just renewed its place: not to decide who lives, but because hours and timers are
/// reckoned by them.
async fn check_clock(inner: &Inner, before: &View) -> Result<(), JoinError> {
    let options = &inner.options;
    if before.nodes.values().all(|node| node.state == State::Down) {
        return Ok(());
    }
    let until = Instant::now() + options.timing.takeover;
    while Instant::now() < until {
        sleep(options.timing.renew / 5).await;
        let view = inner.table.view().await.map_err(changing)?;
        let clock = (options.clock)();
        let fresh = view.nodes.iter().find(|(name, node)| {
            let old = before.nodes.get(*name);
            node.state != State::Down && old.is_some_and(|old| old.counter != node.counter)
        });
        if let Some((name, node)) = fresh {
            let ahead_ms = clock - node.clock_ms;
            if ahead_ms.abs() > options.clock_ms_max {
                let max_ms = options.clock_ms_max;
                return Err(JoinError::Clock { other: name.clone(), ahead_ms, max_ms });
            }
            return Ok(());
        }
    }
    Ok(())
}
