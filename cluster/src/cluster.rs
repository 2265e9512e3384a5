//! A node's part in its cluster: what it knows of the others, and the door to them.

use crate::error::{ChangeError, JoinError};
use crate::host::Host;
use crate::lease::Lease;
use crate::observe::Observer;
use crate::options::{Addresses, Options};
use crate::peer::Peers;
use crate::rows::{Incarnation, Owner, State};
use crate::table::Table;
use crate::view::View;
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long a request waits for news of a shard before it asks again.
const NEWS_WAIT: Duration = Duration::from_millis(20);

/// Why a request got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAnswered {
    /// Nobody has the shard at the moment, or could be reached: nothing was done.
    NotThere,
    /// Too much is on its way there already; nothing was done.
    Overloaded,
    /// The connection was lost while it was under way: it may or may not have been done.
    Lost,
}

pub(crate) struct Inner {
    pub options: Options,
    pub table: Table,
    pub peers: Peers,
    pub lease: Lease,
    /// This life of the node.
    pub life: RwLock<Incarnation>,
    pub view: watch::Sender<Arc<View>>,
    /// Changes whenever a shard may be somewhere else than before.
    pub news: watch::Sender<u64>,
    pub host: OnceLock<Arc<dyn Host>>,
    pub addresses: OnceLock<Addresses>,
    pub observer: Mutex<Observer>,
    /// Look into the store now.
    pub hurry: Notify,
    /// There is something to do about shards.
    pub work: Notify,
    /// No shard is opened or claimed any more.
    pub leaving: CancellationToken,
    /// Everything ends.
    pub ended: CancellationToken,
    /// The node cannot go on, and why.
    pub failed: watch::Sender<Option<String>>,
}

impl Inner {
    pub fn me(&self) -> Owner {
        Owner { node: self.options.node.clone(), incarnation: self.life.read().clone() }
    }

    pub fn tell(&self) {
        self.news.send_modify(|news| *news = news.wrapping_add(1));
    }

    /// Takes a newer view over.
    pub fn adopt(&self, view: View) {
        let newer = |old: &mut Arc<View>| {
            let newer = view.version >= old.version;
            if newer {
                *old = Arc::new(view);
            }
            newer
        };
        if self.view.send_if_modified(newer) {
            self.tell();
            self.work.notify_one();
        }
    }

    /// Only counters have changed.
    pub fn adopt_nodes(&self, nodes: BTreeMap<String, crate::rows::Node>) {
        self.view.send_if_modified(|old| {
            let holdings = old.holdings.clone();
            *old = Arc::new(View { nodes, version: old.version, holdings });
            false
        });
    }

    /// Reads who has what, after a change made here.
    pub async fn look(&self) -> Result<(), ChangeError> {
        let view = self.table.view().await?;
        self.adopt(view);
        Ok(())
    }

    /// As [`Inner::nudge`], without waiting for it.
    #[allow(clippy::disallowed_methods, reason = "it ends by itself, and soon")]
    pub fn nudge_soon(self: &Arc<Self>, names: Vec<String>) {
        let inner = self.clone();
        tokio::spawn(async move { inner.nudge(&names).await });
    }

    /// Tells nodes that something has changed for them. They would see it by themselves a little later.
    pub async fn nudge(&self, names: &[String]) {
        let view = self.view.borrow().clone();
        let told =
            names.iter().filter(|name| **name != self.options.node).filter_map(|name| view.nodes.get(name));
        futures_util::future::join_all(told.map(|node| self.peers.nudge(node))).await;
    }
}

/// A node's part in its cluster. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    pub(crate) inner: Arc<Inner>,
}

/// A node as an operator sees it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub name: String,
    pub node: crate::rows::Node,
    pub shards: usize,
    /// How long its counter has stood still, as far as this node has seen.
    pub silence: Option<Duration>,
}

impl Cluster {
    /// A node that has not joined yet: it has no shards, and nobody knows it.
    ///
    /// # Errors
    /// Certificates that cannot be used.
    pub fn new(options: Options) -> Result<Cluster, JoinError> {
        let peers = Peers::new(&options)?;
        let table = Table { store: options.store.clone(), shards: options.shards };
        let holdings = vec![Default::default(); usize::from(options.shards)];
        let nothing = View { nodes: BTreeMap::new(), version: -1, holdings };
        let inner = Inner {
            table,
            peers,
            lease: Lease::new(),
            life: RwLock::new(Incarnation::fresh()),
            view: watch::Sender::new(Arc::new(nothing)),
            news: watch::Sender::new(0),
            host: OnceLock::new(),
            addresses: OnceLock::new(),
            observer: Mutex::new(Observer::new(options.timing)),
            hurry: Notify::new(),
            work: Notify::new(),
            leaving: CancellationToken::new(),
            ended: CancellationToken::new(),
            failed: watch::Sender::new(None),
            options,
        };
        Ok(Cluster { inner: Arc::new(inner) })
    }

    pub fn name(&self) -> &str {
        &self.inner.options.cluster
    }

    pub fn node(&self) -> &str {
        &self.inner.options.node
    }

    pub fn shards(&self) -> u16 {
        self.inner.options.shards
    }

    /// What this node knows at present.
    pub fn view(&self) -> Arc<View> {
        self.inner.view.borrow().clone()
    }

    /// Says why, once this node cannot go on.
    pub fn failed(&self) -> watch::Receiver<Option<String>> {
        self.inner.failed.subscribe()
    }

    /// Whether nobody can have taken over this node's shards by now.
    pub fn is_leased(&self) -> bool {
        self.inner.lease.holds()
    }

    /// Whether there is another node that could go on with what this one leaves.
    pub fn is_alone(&self) -> bool {
        let view = self.view();
        let others = view.nodes.iter().filter(|(name, _)| **name != self.inner.options.node);
        others.filter(|(_, node)| node.state == State::Active).count() == 0
    }

    /// Takes a request to the node that has a shard.
    ///
    /// # Errors
    /// See [`NotAnswered`].
    pub async fn ask(&self, shard: u16, request: Bytes) -> Result<Bytes, NotAnswered> {
        let view = self.view();
        let Some((owner, node)) = view.owner(shard) else { return Err(NotAnswered::NotThere) };
        if *owner == self.inner.me() {
            // It is about to be opened here, or has just been closed.
            return Err(NotAnswered::NotThere);
        }
        let asked = self.inner.peers.ask(node, shard, request);
        let mut views = self.inner.view.subscribe();
        let moved = views.wait_for(|view| view.owner(shard).is_none_or(|(now, _)| now != owner));
        tokio::select! {
            biased;
            answer = asked => answer,
            // Whoever was asked has lost the shard: no answer of it would be worth anything, if one came at all.
            _ = moved => Err(NotAnswered::Lost),
        }
    }

    /// Returns when there is news of shards, or after a moment.
    pub async fn changed(&self) {
        let mut news = self.inner.news.subscribe();
        let _ = timeout(NEWS_WAIT, news.changed()).await;
    }

    /// Tells `news` the number of the newest event of an entity elsewhere whenever there are new ones, until its shard
    /// moves, or nobody listens any more.
    #[allow(clippy::disallowed_methods, reason = "it ends with its listeners or with the cluster")]
    pub fn watch(&self, shard: u16, entity: Bytes, news: watch::Sender<u64>) {
        let inner = self.inner.clone();
        tokio::spawn(async move {
            let view = inner.view.borrow().clone();
            let node = view.owner(shard).map(|(_, node)| node.clone());
            tokio::select! {
                () = inner.ended.cancelled() => {}
                () = news.closed() => {}
                () = async {
                    if let Some(node) = node {
                        inner.peers.watch(&node, entity, &news).await;
                    }
                    // Whoever watches begins anew: not at once, for it may not be anywhere yet.
                    tokio::time::sleep(NEWS_WAIT).await;
                } => {}
            }
        });
    }

    /// The epoch under which a shard that has died here may be opened again; `None` where it is not this node's.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn reclaim(&self, shard: u16, epoch: u64) -> Result<Option<u64>, ChangeError> {
        let me = self.inner.me();
        match self.inner.table.reclaim(shard, epoch, &me.node, &me.incarnation).await {
            Ok(epoch) => {
                drop(self.inner.look().await);
                Ok(Some(epoch))
            }
            Err(ChangeError::Overtaken) => {
                self.inner.hurry.notify_one();
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }

    /// A commit has found that a shard is somebody else's.
    pub fn deposed(&self) {
        self.inner.hurry.notify_one();
    }

    /// All nodes, as the store has them now.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn status(&self) -> Result<(Vec<Seen>, Arc<View>), ChangeError> {
        let view = Arc::new(self.inner.table.view().await?);
        let now = tokio::time::Instant::now();
        let observer = self.inner.observer.lock();
        let seen = view.nodes.iter().map(|(name, node)| Seen {
            name: name.clone(),
            node: node.clone(),
            shards: view.held_by(name, &node.incarnation).len(),
            silence: observer.silence(name, now),
        });
        Ok((seen.collect(), view.clone()))
    }

    /// Tells a node to hand its shards over (`Draining`), or lets it have some again (`Active`).
    ///
    /// # Errors
    /// Where there is no such node, or it is down.
    pub async fn set_state(&self, name: &str, state: State) -> Result<(), ChangeError> {
        self.inner.table.set_state(name, state).await?;
        self.inner.look().await?;
        self.inner.nudge(&[name.to_owned()]).await;
        Ok(())
    }

    /// Removes a node that is down from the list.
    ///
    /// # Errors
    /// Where there is no such node, or it is not down.
    pub async fn forget(&self, name: &str) -> Result<(), ChangeError> {
        self.inner.table.forget(name).await
    }
}
