//! Nodes of one cluster in one process, over one store, and shards that do nothing but be there.

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;
use tandem_cluster::{Cluster, Host, JoinError, Options, Protocol, Timing};
use tandem_store::{CommitError, Range, Read, Row, Seen, Store, StoreError, Transaction};
use tokio::sync::watch;

pub const SHARDS: u16 = 24;

/// Which shards run, and how often each was opened and closed.
pub struct Shards {
    pub name: String,
    open: Mutex<BTreeMap<u16, u64>>,
    pub closed: Mutex<Vec<u16>>,
    pub lost: Mutex<Vec<u16>>,
    news: watch::Sender<u64>,
}

impl Shards {
    pub fn open_now(&self) -> BTreeMap<u16, u64> {
        self.open.lock().clone()
    }

    pub fn tell(&self, events: u64) {
        self.news.send_replace(events);
    }
}

#[async_trait]
impl Host for Shards {
    async fn open(&self, shard: u16, epoch: u64) -> Result<(), String> {
        let mut open = self.open.lock();
        let there = open.entry(shard).or_insert(epoch);
        assert!(*there <= epoch, "a shard went back to an older epoch");
        *there = epoch;
        Ok(())
    }

    async fn close(&self, shard: u16) {
        if self.open.lock().remove(&shard).is_some() {
            self.closed.lock().push(shard);
        }
    }

    fn lose(&self, shard: u16, epoch: u64) {
        let mut open = self.open.lock();
        if open.get(&shard).is_some_and(|there| *there <= epoch) {
            open.remove(&shard);
            self.lost.lock().push(shard);
        }
    }

    fn open_shards(&self) -> Vec<(u16, u64)> {
        self.open.lock().iter().map(|(shard, epoch)| (*shard, *epoch)).collect()
    }

    async fn answer(&self, request: Bytes) -> Bytes {
        if request.as_ref() == b"wait" {
            std::future::pending::<()>().await;
        }
        format!("{} heard {}", self.name, String::from_utf8_lossy(&request)).into()
    }

    fn watch(&self, _: &[u8]) -> Option<watch::Receiver<u64>> {
        Some(self.news.subscribe())
    }
}

/// A store that can be out of a node's reach.
pub struct Reach {
    store: Arc<dyn Store>,
    pub cut: Arc<AtomicBool>,
}

struct Far {
    tx: Box<dyn Transaction>,
    cut: Arc<AtomicBool>,
}

impl Far {
    fn check(&self) -> Result<(), StoreError> {
        if self.cut.load(Ordering::SeqCst) { Err(StoreError::Unavailable("cut off".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl Store for Reach {
    fn begin(&self) -> Box<dyn Transaction> {
        Box::new(Far { tx: self.store.begin(), cut: self.cut.clone() })
    }
    fn may_lose_outcomes(&self) -> bool {
        true
    }
    fn engine(&self) -> &'static str {
        self.store.engine()
    }
    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[async_trait]
impl Transaction for Far {
    async fn get(&mut self, key: &[u8], read: Read) -> Result<Option<Bytes>, StoreError> {
        self.check()?;
        self.tx.get(key, read).await
    }
    async fn range(&mut self, range: Range, read: Read) -> Result<Vec<Row>, StoreError> {
        self.check()?;
        self.tx.range(range, read).await
    }
    fn seen(&mut self) -> Option<Seen> {
        None
    }
    fn write(&mut self, key: Bytes, value: Option<Bytes>) {
        self.tx.write(key, value);
    }
    fn clear_range(&mut self, begin: Vec<u8>, end: Vec<u8>) {
        self.tx.clear_range(begin, end);
    }
    fn add(&mut self, key: Vec<u8>, delta: i64) {
        self.tx.add(key, delta);
    }
    async fn commit(self: Box<Self>) -> Result<(), CommitError> {
        self.check()?;
        self.tx.commit().await
    }
}

pub struct Node {
    pub cluster: Cluster,
    pub shards: Arc<Shards>,
    pub cut: Arc<AtomicBool>,
}

pub struct World {
    pub store: Arc<dyn Store>,
    _dir: tempfile::TempDir,
    pub clock: Arc<AtomicI64>,
}

impl World {
    pub fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> =
            tandem_store::embedded::Options::new(dir.path().join("data")).open().unwrap();
        World { store, _dir: dir, clock: Arc::new(AtomicI64::new(1_780_000_000_000)) }
    }

    pub fn options(&self, name: &str) -> Options {
        let clock = self.clock.clone();
        Options {
            store: self.store.clone(),
            cluster: "test".into(),
            node: name.into(),
            shards: SHARDS,
            listen: "127.0.0.1:0".parse().unwrap(),
            advertise: None,
            tls: None,
            build: "1".into(),
            protocol: Protocol { min: 1, max: 1 },
            timing: Timing::default(),
            clock: Arc::new(move || clock.load(Ordering::SeqCst)),
            clock_ms_max: 5_000,
            hand_overs_max: 4,
            requests_max: 100,
        }
    }

    pub async fn join(&self, name: &str) -> Node {
        self.try_join(name, |_| {}).await.unwrap()
    }

    pub async fn try_join(&self, name: &str, with: impl FnOnce(&mut Options)) -> Result<Node, JoinError> {
        let cut = Arc::new(AtomicBool::new(false));
        let mut options = self.options(name);
        options.store = Arc::new(Reach { store: self.store.clone(), cut: cut.clone() });
        with(&mut options);
        let shards = Arc::new(Shards {
            name: name.into(),
            open: Mutex::default(),
            closed: Mutex::default(),
            lost: Mutex::default(),
            news: watch::Sender::new(0),
        });
        let cluster = Cluster::new(options)?;
        cluster.join(shards.clone(), Default::default()).await?;
        Ok(Node { cluster, shards, cut })
    }
}

/// Returns once `done`; the test fails where it never is.
pub async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..3_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

/// Every shard runs at exactly one of these nodes, and they are evenly divided.
pub fn is_settled(nodes: &[&Node]) -> bool {
    let counts: Vec<usize> = nodes.iter().map(|node| node.shards.open_now().len()).collect();
    let mut all: Vec<u16> = nodes.iter().flat_map(|node| node.shards.open_now().into_keys()).collect();
    all.sort_unstable();
    let even = counts.iter().max().unwrap_or(&0) - counts.iter().min().unwrap_or(&0) <= 1;
    even && all == (0..SHARDS).collect::<Vec<_>>()
}
