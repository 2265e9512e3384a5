//! The engine for teams that have a PostgreSQL, and for several nodes on one database.
//!
//! A transaction reads in one snapshot of the server (`REPEATABLE READ`, on a connection that it keeps
//! for so long) and keeps its writes on the client's side. The commit is one call of one function on the
//! server, in a transaction of its own: it takes locks on what was read and written, compares what was read
//! with what is there, and writes. Nobody holds a lock while it thinks, so a client that is stopped in the
//! middle blocks nobody.
//!
//! Whose connection breaks during a commit asks, on another connection, what became of it, and so closes
//! the first one's session: what was not written by then is not written any more.

mod address;
mod commit;
mod engine;
mod error;
mod locks;
mod long;
mod pool;
mod reads;
mod schema;
mod session;
mod snapshot;
mod tls;
mod transaction;

use crate::clock::{Clock, SystemClock};
use crate::{Store, StoreError, Transaction};
use address::Address;
use async_trait::async_trait;
use engine::Engine;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use transaction::Optimistic;

/// Which database, and how much of it.
#[derive(Clone)]
pub struct Options {
    /// `postgresql://user:password@host:port/database?sslmode=...`; several hosts are tried in turn until one
    /// takes writes. `sslmode` is `disable`, `prefer` (the default), `require`, `verify-ca` or `verify-full`;
    /// `sslrootcert` names a file of authorities to trust instead of the public ones.
    pub url: String,
    /// The schema that holds the tables; made where it is not there. Lower-case letters, digits and `_`.
    pub prefix: String,
    /// Connections of this process, at most; a few of them are for commits alone.
    pub connections_max: usize,
    /// What ages transactions.
    pub clock: Arc<dyn Clock>,
    /// Locks on rows that one commit may take before it takes the one lock on all of them; `None` for a
    /// share of what the server has.
    pub locks_max: Option<usize>,
    /// For the server to answer a commit; after that its connection counts as lost.
    pub answer_max: Duration,
    /// For learning what became of a commit whose connection was lost; after that it counts as unknown.
    pub outcome_max: Duration,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The url may have a password in it.
        f.debug_struct("Options").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Options {
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            prefix: "tandem".into(),
            connections_max: 16,
            clock: Arc::new(SystemClock::new()),
            locks_max: None,
            answer_max: Duration::from_secs(10),
            outcome_max: Duration::from_secs(10),
        }
    }

    /// Whether the url could be one of a database, as far as can be told without asking it.
    ///
    /// # Errors
    /// [`StoreError::Refused`], which says what is wrong and repeats nothing of the url.
    pub fn check_url(&self) -> Result<(), StoreError> {
        Address::new(&self.url).map(|_| ())
    }

    /// Whether the prefix can be the name of a schema.
    ///
    /// # Errors
    /// [`StoreError::Refused`].
    pub fn check_prefix(&self) -> Result<(), StoreError> {
        schema::check_name(&self.prefix)
    }

    /// What is permitted by the url and may not be meant.
    pub fn warning(&self) -> Option<&'static str> {
        Address::new(&self.url).ok()?.warning()
    }

    /// Connects, and makes the tables where there are none. Must be called within a tokio runtime, which
    /// drives the connections from then on.
    ///
    /// Counts `tandem_store_commits_total`, `tandem_store_conflicts_total`, `tandem_store_lost_total`
    /// (connections lost in a commit, by `outcome`) and the histogram `tandem_store_commit_seconds`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where the server cannot be reached now; [`StoreError::Refused`] where
    /// something has to be changed first: the url, a permission, the version of server or data.
    pub async fn open(self) -> Result<Arc<PostgreSql>, StoreError> {
        self.check_prefix()?;
        if self.connections_max < CONNECTIONS_MIN {
            return Err(StoreError::Refused(format!("at least {CONNECTIONS_MIN} connections are needed")));
        }
        Ok(Arc::new(PostgreSql { engine: Arc::new(Engine::open(self).await?) }))
    }
}

/// One transaction may read while another one commits, and one more asks what became of a commit.
const CONNECTIONS_MIN: usize = 4;

/// A database that was opened.
pub struct PostgreSql {
    engine: Arc<Engine>,
}

#[async_trait]
impl Store for PostgreSql {
    fn begin(&self) -> Box<dyn Transaction> {
        Box::new(Optimistic::new(self.engine.clone()))
    }

    fn may_lose_outcomes(&self) -> bool {
        true
    }

    fn engine(&self) -> &'static str {
        "postgresql"
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.engine.pool.close().await;
        Ok(())
    }
}
