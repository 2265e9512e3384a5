//! A store that is away for a while, again and again: nothing is forgotten over it.

use crate::world::{Act, Carrier, World, config};
use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tandem_domain::campaign::{self, Campaign, Limits, Phase};
use tandem_domain::id::Entity;
use tandem_store::{CommitError, Range, Read, Row, Store, StoreError, Transaction};

/// A store that can be taken away. What is committed at that moment has an outcome that nobody knows.
struct Away {
    store: Arc<dyn Store>,
    away: AtomicBool,
    commits: AtomicU64,
}

fn away() -> StoreError {
    StoreError::Unavailable("it is away".into())
}

#[async_trait]
impl Store for Door {
    fn begin(&self) -> Box<dyn Transaction> {
        Box::new(Through { inner: self.0.store.begin(), of: self.0.clone() })
    }

    fn may_lose_outcomes(&self) -> bool {
        true
    }

    fn engine(&self) -> &'static str {
        self.0.store.engine()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.0.store.close().await
    }
}

/// To be had as a store, and taken away.
#[derive(Clone)]
struct Door(Arc<Away>);

struct Through {
    inner: Box<dyn Transaction>,
    of: Arc<Away>,
}

impl Through {
    fn check(&self) -> Result<(), StoreError> {
        if self.of.away.load(Ordering::SeqCst) { Err(away()) } else { Ok(()) }
    }
}

#[async_trait]
impl Transaction for Through {
    async fn get(&mut self, key: &[u8], read: Read) -> Result<Option<Bytes>, StoreError> {
        self.check()?;
        self.inner.get(key, read).await
    }

    async fn range(&mut self, range: Range, read: Read) -> Result<Vec<Row>, StoreError> {
        self.check()?;
        self.inner.range(range, read).await
    }

    fn write(&mut self, key: Bytes, value: Option<Bytes>) {
        self.inner.write(key, value);
    }

    fn clear_range(&mut self, begin: Vec<u8>, end: Vec<u8>) {
        self.inner.clear_range(begin, end);
    }

    fn add(&mut self, key: Vec<u8>, delta: i64) {
        self.inner.add(key, delta);
    }

    async fn commit(self: Box<Self>) -> Result<(), CommitError> {
        let Through { inner, of } = *self;
        let commits = of.commits.fetch_add(1, Ordering::SeqCst);
        if !of.away.load(Ordering::SeqCst) {
            return inner.commit().await;
        }
        match commits % 3 {
            0 => Err(away().into()),
            1 => Err(CommitError::Unknown("it is away".into())),
            _ => {
                inner.commit().await?;
                Err(CommitError::Unknown("it is away".into()))
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_goes_on_when_its_store_is_back() {
    let away = Arc::new(parking_lot::Mutex::new(None));
    let given = away.clone();
    let world = World::start_with(Carrier::new(|_| Act::Busy), move |options| {
        let store = options.store.clone();
        let through = Door(Arc::new(Away { store, away: false.into(), commits: AtomicU64::new(0) }));
        *given.lock() = Some(through.0.clone());
        options.store = Arc::new(through);
    })
    .await;
    let away = away.lock().clone().unwrap();
    let company = world.company(Limits::default()).await;
    let id = world.campaign(company, 24, config()).await;
    let to = Entity::campaign(company, id);
    world.handle().send::<Campaign>(to, campaign::Command::Start, None).await.unwrap();
    for outage in 0..4u64 {
        tokio::time::sleep(Duration::from_millis(60 + 90 * outage)).await;
        away.away.store(true, Ordering::SeqCst);
        // Timers fall due meanwhile. Lanes try again for a second and a half; some outages are longer.
        world.clock.skip(90_000);
        tokio::time::sleep(Duration::from_millis(if outage % 2 == 0 { 300 } else { 2_500 })).await;
        away.away.store(false, Ordering::SeqCst);
    }
    let state = world.finished(company, id).await;
    assert_eq!(state.phase, Phase::Completed);
    assert_eq!(state.counts.finished, 24);
    assert_eq!((state.in_flight, state.ready), (0, 0));
    let mut dials = world.carrier.dials.lock().iter().map(|(a, _)| *a).collect::<Vec<_>>();
    let all = dials.len();
    dials.sort();
    dials.dedup();
    assert_eq!(dials.len(), all, "an attempt was dialed twice");
}
