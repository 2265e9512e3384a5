//! One connection, set up for its work.

use super::address::Address;
use super::error::{Trouble, of_connecting};
use crate::StoreError;
use futures_util::future::try_join_all;
use std::time::Duration;
use tokio::time::Instant;
use tokio_postgres::{Client, Statement};

/// Until a connection is ready for work, all hosts of the url tried.
const READY: Duration = Duration::from_secs(5);

/// What every session of ours is set to.
///
/// - A commit is durable when it is answered, whatever the server's default is; stronger defaults stay.
/// - A client that stopped in the middle of reading is let go of, so that it does not keep old rows about; one
///   that is gone is noticed.
/// - There is one way to every row, through the key: plans are made once, and never for a walk over the table.
const SETTINGS: &str = "
SELECT set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') = 'remote_apply'
    THEN 'remote_apply' ELSE 'on' END, false);
SET search_path = pg_catalog;
SET default_transaction_isolation = 'read committed';
SET default_transaction_read_only = off;
SET idle_in_transaction_session_timeout = '6s';
SET lock_timeout = '5s';
SET statement_timeout = '20s';
SET tcp_keepalives_idle = 5;
SET tcp_keepalives_interval = 2;
SET tcp_keepalives_count = 3;
SET plan_cache_mode = force_generic_plan;
SET jit = off;
SET max_parallel_workers_per_gather = 0;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_material = off";

/// The statements that are used over and over.
pub(super) struct Statements {
    pub get: Statement,
    pub get_many: Statement,
    pub forward: Statement,
    pub backward: Statement,
    pub commit: Statement,
    pub guarded: Statement,
    pub close: Statement,
}

/// A connection that is set up.
pub(super) struct Session {
    pub client: Client,
    pub statements: Statements,
    /// Under which the server keeps what became of its commits.
    pub id: i64,
    commits: i64,
    opened: Instant,
}

/// A connection with the settings of ours, and nothing more.
pub(super) async fn connect(address: &Address) -> Result<Client, StoreError> {
    let connected = tokio::time::timeout(READY, async {
        let (client, connection) = address.config.connect(address.tls.clone()).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the database has ended");
            }
        });
        client.batch_execute(SETTINGS).await?;
        Ok(client)
    });
    match connected.await {
        Ok(connected) => connected.map_err(|error| of_connecting(&error, &address.server)),
        Err(_) => Err(StoreError::Unavailable(format!(
            "PostgreSQL at {} does not answer within {} s",
            address.server,
            READY.as_secs()
        ))),
    }
}

impl Session {
    /// Makes a connection ready for work on the tables of schema `prefix`.
    pub async fn begin(client: Client, prefix: &str) -> Result<Session, Trouble> {
        let begun = tokio::time::timeout(READY, Session::try_begin(client, prefix)).await;
        begun.unwrap_or_else(|_| Err(Trouble::slow()))
    }

    async fn try_begin(client: Client, prefix: &str) -> Result<Session, Trouble> {
        let rows = format!("{prefix}.rows");
        let texts = [
            format!("SELECT value, xmin FROM {rows} WHERE place = $1"),
            format!(
                "SELECT r.place, r.value, r.xmin FROM unnest($1::bytea[]) AS k(place) \
                 JOIN {rows} r ON r.place = k.place"
            ),
            format!(
                "SELECT place, rest, value, xmin FROM {rows} WHERE place >= $1 AND place < $2 ORDER BY place LIMIT $3"
            ),
            format!(
                "SELECT place, rest, value, xmin FROM {rows} WHERE place >= $1 AND place < $2 ORDER BY place DESC LIMIT $3"
            ),
            format!(
                "SELECT {prefix}.commit_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, \
                 $17, $18, $19, $20, $21, $22, $23, $24, $25, $26)"
            ),
            format!("SELECT guarded FROM {prefix}.settings"),
            // Waits for a commit that is being made durable; one that comes later finds the session closed.
            format!("UPDATE {prefix}.sessions SET closed = true WHERE id = $1 RETURNING newest"),
        ];
        // A session lives for an hour; what is older was left behind.
        let enter = format!(
            "WITH gone AS (DELETE FROM {prefix}.sessions WHERE opened < now() - interval '1 day')
             INSERT INTO {prefix}.sessions DEFAULT VALUES RETURNING id"
        );
        let prepare = try_join_all(texts.iter().map(|text| client.prepare(text)));
        let enter = client.query_one(&enter, &[]);
        let (statements, row) =
            futures_util::future::try_join(prepare, enter).await.map_err(|error| Trouble::of(&error))?;
        let id = row.try_get(0).map_err(|error| Trouble::of(&error))?;
        let mut statements = statements.into_iter();
        let mut next = || statements.next().ok_or_else(|| Trouble::Lost("a statement is missing".into()));
        let statements = Statements {
            get: next()?,
            get_many: next()?,
            forward: next()?,
            backward: next()?,
            commit: next()?,
            guarded: next()?,
            close: next()?,
        };
        Ok(Session { client, statements, id, commits: 0, opened: Instant::now() })
    }

    /// The number of the next commit.
    pub fn next_commit(&mut self) -> i64 {
        self.commits += 1;
        self.commits
    }

    pub fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// Leaves nothing behind on the server, if that is possible at once.
    pub async fn end(self, prefix: &str) {
        let leave = format!("DELETE FROM {prefix}.sessions WHERE id = {}", self.id);
        let _ = tokio::time::timeout(Duration::from_secs(1), self.client.batch_execute(&leave)).await;
    }
}
