//! A transaction: reads inline on the caller's thread, keeps its writes, hands both over to commit.

use super::engine::Engine;
use super::group::Commit;
use super::reads::Reads;
use super::view::View;
use crate::overlay::{Local, Overlay, added, check_key, check_range};
use crate::tuple::key_after;
use crate::{
    CommitError, Range, Read, Row, StoreError, TRANSACTION_BYTES_MAX, TRANSACTION_MS_MAX, Transaction,
};
use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::oneshot;

pub(super) struct Optimistic {
    engine: Arc<Engine>,
    snapshot: Option<Snapshot>,
    reads: Reads,
    overlay: Overlay,
}

struct Snapshot {
    view: Arc<View>,
    since_ms: u64,
}

impl Optimistic {
    pub fn new(engine: Arc<Engine>) -> Self {
        Self { engine, snapshot: None, reads: Reads::default(), overlay: Overlay::default() }
    }

    /// What this transaction sees, fixed by the first read.
    fn view(&mut self) -> Result<&Arc<View>, StoreError> {
        let now_ms = self.engine.options.clock.now_ms();
        let engine = &self.engine;
        let snapshot =
            self.snapshot.get_or_insert_with(|| Snapshot { view: engine.view(), since_ms: now_ms });
        if now_ms.saturating_sub(snapshot.since_ms) > TRANSACTION_MS_MAX {
            return Err(StoreError::TooOld);
        }
        Ok(&snapshot.view)
    }

    fn check_size(&self) -> Result<(), StoreError> {
        let bytes = self.overlay.bytes() + self.reads.bytes();
        if bytes > TRANSACTION_BYTES_MAX { Err(StoreError::TransactionTooLarge(bytes)) } else { Ok(()) }
    }

    /// Protects the part of `range` that was walked to find `rows`.
    fn protect(&mut self, range: Range, rows: &[Row]) {
        let (mut begin, mut end) = (Bytes::from(range.begin), Bytes::from(range.end));
        if rows.len() == range.limit
            && let Some((last, _)) = rows.last()
        {
            if range.reverse {
                begin = last.clone();
            } else {
                end = key_after(last).into();
            }
        }
        self.reads.range(begin, end);
    }
}

#[async_trait]
impl Transaction for Optimistic {
    async fn get(&mut self, key: &[u8], read: Read) -> Result<Option<Bytes>, StoreError> {
        check_key(key)?;
        let local = self.overlay.local(key);
        if let Local::Known(value) = local {
            return Ok(value);
        }
        let stored = self.view()?.get(key)?;
        if read == Read::Conflict {
            self.reads.point(key);
            self.check_size()?;
        }
        Ok(match local {
            Local::Add(delta) => Some(added(stored.as_deref(), delta)),
            Local::Known(_) | Local::Unknown => stored,
        })
    }

    async fn range(&mut self, range: Range, read: Read) -> Result<Vec<Row>, StoreError> {
        check_range(&range)?;
        let view = self.view()?.clone();
        let overlay = &self.overlay;
        let rows =
            view.range(&range.begin, &range.end, range.reverse, |stored| overlay.range(&range, stored))??;
        if read == Read::Conflict {
            self.protect(range, &rows);
            self.check_size()?;
        }
        Ok(rows)
    }

    fn write(&mut self, key: Bytes, value: Option<Bytes>) {
        match value {
            Some(value) => self.overlay.set(key, value),
            None => self.overlay.clear(key),
        }
    }

    fn clear_range(&mut self, begin: Vec<u8>, end: Vec<u8>) {
        self.overlay.clear_range(begin, end);
    }

    fn add(&mut self, key: Vec<u8>, delta: i64) {
        self.overlay.add(key, delta);
    }

    async fn commit(mut self: Box<Self>) -> Result<(), CommitError> {
        if let Some(refused) = self.overlay.refused() {
            return Err(refused.clone().into());
        }
        self.check_size()?;
        // What only reads saw a committed state; there is nothing to make durable.
        if self.overlay.is_empty() {
            return Ok(());
        }
        if self.snapshot.is_some() {
            self.view()?;
        }
        let (reply, outcome) = oneshot::channel();
        let Self { engine, snapshot, reads, overlay } = *self;
        let view = snapshot.map(|snapshot| snapshot.view);
        let commit = Commit::new(view, reads, overlay.into_writes(), || engine.view(), reply)?;
        engine.queue.push(commit).await?;
        outcome.await.unwrap_or_else(|_| Err(CommitError::Unknown("the committing thread died".into())))
    }
}
