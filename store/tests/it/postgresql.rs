//! The engine on PostgreSQL: the conformance suite, for one process and for several.

use async_trait::async_trait;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tandem_store::clock::ManualClock;
use tandem_store::conformance::{Differences, Subject};
use tandem_store::postgresql::Options;
use tandem_store::{Store, StoreError, Transaction};
use tandem_testing::Postgres;

async fn subject_of(
    server: &Postgres,
    nodes: usize,
    connections_max: usize,
    locks_max: Option<usize>,
) -> Subject {
    let (clock, prefix) = (Arc::new(ManualClock::default()), server.unique_prefix());
    let mut stores = Vec::new();
    for _ in 0..nodes {
        let (prefix, clock) = (prefix.clone(), clock.clone());
        let options = Options { prefix, connections_max, clock, locks_max, ..Options::new(server.url()) };
        stores.push(options.open().await.expect("opens") as Arc<dyn Store>);
    }
    let age_ms: Option<Arc<dyn Fn(u64) + Send + Sync>> = Some(Arc::new(move |ms| clock.advance_ms(ms)));
    let differences = Differences {
        age_ms,
        absent_again_passes: true,
        long_ranges_protect_more: true,
        ..Differences::default()
    };
    let store = Arc::new(Nodes { stores, next: AtomicUsize::new(0) });
    Subject { differences, ..Subject::new(store, ()) }
}

/// Several processes on one database: every transaction is the next one's.
struct Nodes {
    stores: Vec<Arc<dyn Store>>,
    next: AtomicUsize,
}

#[async_trait]
impl Store for Nodes {
    fn begin(&self) -> Box<dyn Transaction> {
        self.stores[self.next.fetch_add(1, Ordering::Relaxed) % self.stores.len()].begin()
    }

    fn may_lose_outcomes(&self) -> bool {
        true
    }

    fn engine(&self) -> &'static str {
        "postgresql"
    }

    async fn close(&self) -> Result<(), StoreError> {
        for store in &self.stores {
            store.close().await?;
        }
        Ok(())
    }
}

async fn one_node() -> Option<Subject> {
    Some(subject_of(Postgres::shared().await?, 1, 16, None).await)
}

/// Few locks, so that all kinds of them meet.
async fn three_nodes() -> Option<Subject> {
    Some(subject_of(Postgres::shared().await?, 3, 8, Some(3)).await)
}

tandem_store::conformance!(conformance, super::one_node);
tandem_store::conformance!(conformance_of_three_nodes, super::three_nodes);
