//! What the transactions of one database share.

use super::Options;
use super::address::Address;
use super::error::Trouble;
use super::locks::Family;
use super::pool::{Lease, Pool};
use super::{schema, session};
use crate::StoreError;
use crate::clock::Clock;
use metrics::{Counter, Histogram};
use parking_lot::RwLock;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// One commit may take this part of the locks that the server has for all sessions. So many commits do not run
/// at a time; and the server may have other users.
const LOCKS_SHARE: usize = 32;
const LOCKS_MIN: usize = 64;

pub(super) struct Engine {
    pub pool: Arc<Pool>,
    pub clock: Arc<dyn Clock>,
    pub lock_space: i32,
    pub locks_max: usize,
    pub answer_max: Duration,
    pub outcome_max: Duration,
    /// Families of keys that somebody relies on, as far as this process has heard.
    guarded: RwLock<Arc<BTreeSet<Family>>>,
    pub metrics: Metrics,
}

pub(super) struct Metrics {
    pub commits: Counter,
    pub conflicts: Counter,
    pub commit_seconds: Histogram,
}

impl Engine {
    pub async fn open(options: Options) -> Result<Engine, StoreError> {
        let address = Address::new(&options.url)?;
        let server = schema::prepare(&session::connect(&address).await?, &options.prefix).await?;
        let engine = Engine {
            clock: options.clock,
            lock_space: schema::lock_space(&options.prefix),
            locks_max: options.locks_max.unwrap_or((server.locks / LOCKS_SHARE).max(LOCKS_MIN)),
            answer_max: options.answer_max,
            outcome_max: options.outcome_max,
            pool: Arc::new(Pool::new(address, options.prefix, options.connections_max)),
            guarded: RwLock::default(),
            metrics: Metrics {
                commits: metrics::counter!("tandem_store_commits_total"),
                conflicts: metrics::counter!("tandem_store_conflicts_total"),
                commit_seconds: metrics::histogram!("tandem_store_commit_seconds"),
            },
        };
        let lease = engine.pool.for_commit().await?;
        engine.learn_guarded(&lease).await.map_err(Trouble::into_store)?;
        Ok(engine)
    }

    pub fn guarded(&self) -> Arc<BTreeSet<Family>> {
        self.guarded.read().clone()
    }

    pub async fn learn_guarded(&self, lease: &Lease) -> Result<(), Trouble> {
        let row = lease.client.query_one(&lease.statements.guarded, &[]).await;
        let families: Vec<Family> =
            row.and_then(|row| row.try_get(0)).map_err(|error| Trouble::of(&error))?;
        let families: BTreeSet<Family> = families.into_iter().collect();
        let mut guarded = self.guarded.write();
        // There are only ever more of them.
        if families.len() > guarded.len() {
            *guarded = Arc::new(families);
        }
        Ok(())
    }
}
