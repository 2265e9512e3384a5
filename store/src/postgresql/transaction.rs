//! A transaction: reads in one snapshot of the server, keeps its writes, and hands both over to commit.

use super::commit::{self, Request};
use super::engine::Engine;
use super::long;
use super::reads::{Found, Reads, Version};
use super::snapshot::Snapshot;
use crate::overlay::{Local, Overlay, added, check_key, check_range};
use crate::tuple::key_after;
use crate::{
    CommitError, Range, Read, Row, Seen, StoreError, TRANSACTION_BYTES_MAX, TRANSACTION_MS_MAX, Transaction,
};
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// A value and who wrote it; neither where there is no row.
type Stored = (Option<Bytes>, Version);

/// Rows that are read beyond the first page, where own writes hide some of it.
const PAGE_MIN: usize = 100;

pub(super) struct Optimistic {
    engine: Arc<Engine>,
    snapshot: Option<(Snapshot, u64)>,
    /// What was found by key, for others to rely on.
    found: Arc<Mutex<Found>>,
    reads: Reads,
    overlay: Overlay,
}

impl Optimistic {
    pub fn new(engine: Arc<Engine>) -> Self {
        Self {
            engine,
            snapshot: None,
            found: Arc::default(),
            reads: Reads::default(),
            overlay: Overlay::default(),
        }
    }

    fn check_age(&self) -> Result<(), StoreError> {
        let Some((_, since_ms)) = &self.snapshot else { return Ok(()) };
        let age_ms = self.engine.clock.now_ms().saturating_sub(*since_ms);
        if age_ms > TRANSACTION_MS_MAX { Err(StoreError::TooOld) } else { Ok(()) }
    }

    /// What this transaction sees, fixed by the first read.
    async fn snapshot(&mut self) -> Result<&mut Snapshot, StoreError> {
        self.check_age()?;
        if self.snapshot.is_none() {
            let lease = self.engine.pool.for_reading().await?;
            self.snapshot = Some((Snapshot::new(lease), self.engine.clock.now_ms()));
        }
        match &mut self.snapshot {
            Some((snapshot, _)) => Ok(snapshot),
            None => Err(StoreError::Unavailable("the transaction has no snapshot".into())),
        }
    }

    fn check_size(&self) -> Result<(), StoreError> {
        let bytes = self.overlay.bytes() + self.reads.bytes();
        if bytes > TRANSACTION_BYTES_MAX { Err(StoreError::TransactionTooLarge(bytes)) } else { Ok(()) }
    }

    /// What is stored at one place.
    async fn stored(&mut self, place: &[u8]) -> Result<Stored, StoreError> {
        let rows = self.snapshot().await?.read(|statements| &statements.get, &[&place]).await?;
        let Some(row) = rows.first() else { return Ok((None, None)) };
        let value: &[u8] = row.try_get(0).map_err(unreadable)?;
        Ok((Some(Bytes::copy_from_slice(value)), Some(row.try_get(1).map_err(unreadable)?)))
    }

    /// What is stored at several places, where there is anything.
    async fn stored_at(&mut self, places: &[&[u8]]) -> Result<HashMap<Bytes, Stored>, StoreError> {
        let rows = self.snapshot().await?.read(|statements| &statements.get_many, &[&places]).await?;
        let mut stored = HashMap::with_capacity(rows.len());
        for row in &rows {
            let (place, value): (&[u8], &[u8]) =
                (row.try_get(0).map_err(unreadable)?, row.try_get(1).map_err(unreadable)?);
            let version = row.try_get(2).map_err(unreadable)?;
            stored
                .insert(Bytes::copy_from_slice(place), (Some(Bytes::copy_from_slice(value)), Some(version)));
        }
        Ok(stored)
    }

    /// What a read gives whose own writes say `local`, and that has found this.
    fn found(
        &mut self,
        place: Bytes,
        local: &Local,
        stored: Stored,
        read: Read,
    ) -> Result<Option<Bytes>, StoreError> {
        let (stored, version) = stored;
        self.found.lock().insert(place.clone(), version);
        if read == Read::Conflict {
            self.reads.place(place, version);
            self.check_size()?;
        }
        Ok(match local {
            Local::Add(delta) => Some(added(stored.as_deref(), *delta)),
            Local::Known(_) | Local::Unknown => stored,
        })
    }

    /// Protects the part of `range` that was walked to find `rows`, of which `walk` is what the server has.
    fn protect(&mut self, range: &Range, rows: &[Row], walk: &Walk) {
        let (mut begin, mut end) = (long::first(&range.begin).to_vec(), long::after(&range.end).into_owned());
        if rows.len() == range.limit
            && let Some((last, _)) = rows.last()
        {
            let is_long = long::rest(last).is_some();
            match (range.reverse, is_long) {
                (false, false) => end = key_after(last),
                (false, true) => end = long::after_group(last),
                (true, false) => begin = last.to_vec(),
                (true, true) => begin = key_after(long::first(last)),
            }
        }
        let mut count = 0;
        for (place, version) in &walk.places {
            if begin[..] <= place[..] && place[..] < end[..] {
                self.reads.place(place.clone(), *version);
                count += 1;
            }
        }
        self.reads.range(begin.into(), end.into(), count);
    }
}

fn known(local: Local) -> Option<Bytes> {
    if let Local::Known(value) = local { value } else { None }
}

fn unreadable(error: tokio_postgres::Error) -> StoreError {
    super::error::Trouble::of(&error).into_store()
}

/// Rows of a range, as far as they were read from the server.
struct Walk {
    reverse: bool,
    /// The places that are not read yet; `None` if there are none.
    left: Option<(Vec<u8>, Vec<u8>)>,
    /// In order. Around bounds that are long keys there may be rows that do not belong to the range.
    rows: Vec<Row>,
    places: Vec<(Bytes, Version)>,
}

impl Walk {
    fn new(range: &Range) -> Walk {
        let left = (long::first(&range.begin).to_vec(), long::after(&range.end).into_owned());
        Walk { reverse: range.reverse, left: Some(left), rows: Vec::new(), places: Vec::new() }
    }

    /// Reads the next rows, `limit` of them if there are so many, and whatever has the same beginning as the last.
    async fn read_more(&mut self, snapshot: &mut Snapshot, limit: usize) -> Result<(), StoreError> {
        let Some((first, after)) = self.left.take() else { return Ok(()) };
        let count = self.read_page(snapshot, &first, &after, limit).await?;
        let Some((last, _)) = self.places.last().filter(|_| count == limit) else { return Ok(()) };
        let mut last = last.to_vec();
        if last.len() > long::BEGINNING_BYTES {
            let group = last[..long::BEGINNING_BYTES].to_vec();
            let (from, to) = if self.reverse {
                (key_after(&group), last)
            } else {
                (key_after(&last), long::after_group(&group).min(after.clone()))
            };
            if from < to {
                self.read_page(snapshot, &from, &to, usize::MAX).await?;
            }
            // Those of one beginning come in any order.
            let reverse = self.reverse;
            self.rows.sort_by(|(a, _), (b, _)| if reverse { b.cmp(a) } else { a.cmp(b) });
            last = if self.reverse { key_after(&group) } else { long::after_group(&group) };
        } else if !self.reverse {
            last.push(0);
        }
        let left = if self.reverse { (first, last) } else { (last, after) };
        self.left = Some(left).filter(|(first, after)| first < after);
        Ok(())
    }

    async fn read_page(
        &mut self,
        snapshot: &mut Snapshot,
        first: &[u8],
        after: &[u8],
        limit: usize,
    ) -> Result<usize, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let reverse = self.reverse;
        let rows = snapshot
            .read(
                |statements| if reverse { &statements.backward } else { &statements.forward },
                &[&first, &after, &limit],
            )
            .await?;
        let mut any_long = false;
        for row in &rows {
            let (place, rest): (&[u8], Option<&[u8]>) =
                (row.try_get(0).map_err(unreadable)?, row.try_get(1).map_err(unreadable)?);
            any_long |= rest.is_some();
            let value = Bytes::copy_from_slice(row.try_get(2).map_err(unreadable)?);
            let key = long::key(place, rest);
            let place = if rest.is_none() { key.clone() } else { Bytes::copy_from_slice(place) };
            self.places.push((place, Some(row.try_get(3).map_err(unreadable)?)));
            self.rows.push((key, value));
        }
        if any_long {
            self.rows.sort_by(|(a, _), (b, _)| if reverse { b.cmp(a) } else { a.cmp(b) });
        }
        Ok(rows.len())
    }

    /// The rows read that belong to `range`; after them an error where there may be more.
    fn known<'a>(&'a self, range: &'a Range) -> impl Iterator<Item = Result<Row, StoreError>> + 'a {
        let belongs = |(key, _): &&Row| range.begin[..] <= key[..] && key[..] < range.end[..];
        let more = self.left.is_some().then(|| Err(StoreError::Unavailable("there is more to read".into())));
        self.rows.iter().filter(belongs).cloned().map(Ok).chain(more)
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
        let place = Bytes::from(long::place(key).into_owned());
        let stored = self.stored(&place).await?;
        self.found(place, &local, stored, read)
    }

    async fn get_many(&mut self, keys: &[&[u8]], read: Read) -> Result<Vec<Option<Bytes>>, StoreError> {
        let mut locals = Vec::with_capacity(keys.len());
        for key in keys {
            check_key(key)?;
            locals.push(self.overlay.local(key));
        }
        let asked = keys.iter().zip(&locals).filter(|(_, local)| !matches!(local, Local::Known(_)));
        let places: Vec<_> = asked.map(|(key, _)| long::place(key)).collect();
        if places.is_empty() {
            return Ok(locals.into_iter().map(known).collect());
        }
        let stored = self.stored_at(&places.iter().map(|place| &place[..]).collect::<Vec<_>>()).await?;
        let mut values = Vec::with_capacity(keys.len());
        for (key, local) in keys.iter().zip(locals) {
            values.push(match local {
                Local::Known(value) => value,
                local => {
                    let place = Bytes::from(long::place(key).into_owned());
                    let stored = stored.get(&place).cloned().unwrap_or_default();
                    self.found(place, &local, stored, read)?
                }
            });
        }
        Ok(values)
    }

    async fn range(&mut self, range: Range, read: Read) -> Result<Vec<Row>, StoreError> {
        check_range(&range)?;
        let mut walk = Walk::new(&range);
        let mut limit = range.limit;
        let rows = loop {
            walk.read_more(self.snapshot().await?, limit).await?;
            match self.overlay.range(&range, walk.known(&range)) {
                Err(_) if walk.left.is_some() => limit = range.limit.max(PAGE_MIN),
                rows => break rows?,
            }
        };
        if read == Read::Conflict {
            self.protect(&range, &rows, &walk);
            self.check_size()?;
        }
        Ok(rows)
    }

    fn seen(&mut self) -> Option<Seen> {
        Some(Seen::new(self.found.clone()))
    }

    fn rely(&mut self, key: &[u8], seen: &Seen) -> bool {
        let Some(found) = seen.state::<Mutex<Found>>() else { return false };
        // What this transaction itself has written counts too.
        if self.overlay.local(key) != Local::Unknown {
            return false;
        }
        let place = long::place(key);
        let Some(version) = found.lock().get(&place[..]).copied() else { return false };
        self.reads.place(Bytes::from(place.into_owned()), version);
        true
    }

    fn expect(&mut self, key: &[u8], value: Option<&[u8]>) -> bool {
        if self.overlay.local(key) != Local::Unknown {
            return false;
        }
        let place = Bytes::from(long::place(key).into_owned());
        self.reads.expect(place, value.map(Bytes::copy_from_slice));
        true
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
        self.check_age()?;
        if self.reads.is_changed() {
            return Err(CommitError::Conflict);
        }
        let Self { engine, snapshot, reads, overlay, .. } = *self;
        let lease = match snapshot {
            Some((snapshot, _)) => snapshot.into_lease(),
            None => Some((engine.pool.for_commit().await?, false)),
        };
        let Some((lease, in_snapshot)) = lease else {
            return Err(StoreError::Unavailable("the connection of this transaction was lost".into()).into());
        };
        let request = Request::new(reads, overlay.into_writes());
        // It goes on if the caller goes away.
        let committing = tokio::spawn(commit::commit(engine, lease, in_snapshot, request));
        committing
            .await
            .unwrap_or_else(|error| Err(CommitError::Unknown(format!("the commit ended: {error}"))))
    }
}
