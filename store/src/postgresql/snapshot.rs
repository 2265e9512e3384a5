//! One state of the database that is read from, and the connection that it is kept on.

use super::error::Trouble;
use super::pool::Lease;
use crate::StoreError;
use futures_util::FutureExt;
use futures_util::future::join;
use std::time::Duration;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
const END: &str = "ROLLBACK";
/// A transaction that waits for longer is too old by then.
const WAIT: Duration = Duration::from_millis(crate::TRANSACTION_MS_MAX + 500);

/// Begins with its first read, in the same round trip.
pub(super) struct Snapshot {
    lease: Option<Lease>,
    begun: bool,
}

impl Snapshot {
    pub fn new(lease: Lease) -> Snapshot {
        Snapshot { lease: Some(lease), begun: false }
    }

    /// Runs the statement that `pick` chooses. After an error there is nothing to be read here any more.
    pub async fn read(
        &mut self,
        pick: impl Fn(&super::session::Statements) -> &Statement,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, StoreError> {
        let Some(lease) = &self.lease else {
            return Err(StoreError::Unavailable("the connection of this transaction was lost".into()));
        };
        let query = lease.client.query(pick(&lease.statements), parameters);
        let first = !std::mem::replace(&mut self.begun, true);
        let read = tokio::time::timeout(WAIT, async {
            if first {
                // Both leave at once, in this order.
                let (begun, rows) = join(lease.client.batch_execute(BEGIN), query).await;
                begun.and(rows)
            } else {
                query.await
            }
        });
        let trouble = match read.await {
            Ok(Ok(rows)) => return Ok(rows),
            Ok(Err(error)) => Trouble::of(&error),
            Err(_) => Trouble::slow(),
        };
        if let Some(lease) = self.lease.take() {
            lease.discard();
        }
        Err(trouble.into_store())
    }

    /// The connection, and whether the snapshot is still open on it.
    pub fn into_lease(mut self) -> Option<(Lease, bool)> {
        self.lease.take().map(|lease| (lease, self.begun))
    }
}

/// Sends the end of a snapshot without waiting for it; whatever is sent next comes after.
pub(super) fn end(lease: &Lease) {
    // What is polled once is sent; the answer is of no interest.
    let _ = lease.client.batch_execute(END).now_or_never();
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        if let Some(lease) = &self.lease
            && self.begun
        {
            end(lease);
        }
    }
}
