//! The commit: one call of the server's function, and what to do about each of its answers, and about none.

use super::engine::Engine;
use super::error::Trouble;
use super::locks::{Locks, locks};
use super::long;
use super::pool::Lease;
use super::reads::{Reads, Version};
use super::snapshot;
use crate::overlay::{Mutation, Writes};
use crate::{CommitError, StoreError};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

/// Between two tries to learn it.
const AGAIN: Duration = Duration::from_millis(50);
/// A commit is asked for again where the server has asked for other locks.
const TRIES: u32 = 5;

const DONE: i32 = 0;
const CHANGED: i32 = 1;
const MORE_GUARDED: i32 = 2;

/// What a transaction has read and written, as the server's function takes it.
pub(super) struct Request {
    reads: Reads,
    cleared_ranges: Vec<(Vec<u8>, Vec<u8>)>,
    cleared: Vec<Bytes>,
    /// Places with the keys that they stand for.
    set: Vec<(Bytes, Bytes, Bytes)>,
    added: Vec<(Bytes, Bytes, i64)>,
}

fn place(key: &Bytes) -> Bytes {
    if long::rest(key).is_none() { key.clone() } else { long::place(key).into_owned().into() }
}

impl Request {
    pub fn new(reads: Reads, writes: Writes) -> Request {
        let mut request = Request {
            reads,
            cleared_ranges: writes.cleared,
            cleared: Vec::new(),
            set: Vec::with_capacity(writes.rows.len()),
            added: Vec::new(),
        };
        for (key, mutation) in writes.rows {
            match mutation {
                Mutation::Set(value) => request.set.push((place(&key), key, value)),
                Mutation::Clear => request.cleared.push(place(&key)),
                Mutation::Add(delta) => request.added.push((place(&key), key, delta)),
            }
        }
        request
    }

    fn locks(&self, engine: &Engine) -> (Locks, usize) {
        let guarded = engine.guarded();
        let written = (self.cleared.iter())
            .chain(self.set.iter().map(|(place, ..)| place))
            .chain(self.added.iter().map(|(place, ..)| place));
        let ranges = !self.reads.ranges.is_empty() || !self.cleared_ranges.is_empty();
        let read = self.reads.places.keys().chain(self.reads.expected.keys()).map(|place| &place[..]);
        let taken = locks(read, written.map(|place| &place[..]), ranges, &guarded, engine.locks_max);
        (taken, guarded.len())
    }

    /// Asks the server.
    async fn call(
        &self,
        engine: &Engine,
        lease: &Lease,
        number: i64,
        locks: &Locks,
        guards: usize,
    ) -> Result<i32, Trouble> {
        let (alone, new, taken): (bool, &[i32], &[(i32, bool)]) = match locks {
            Locks::All { new } => (true, new, &[]),
            Locks::Some(taken) => (false, &[], taken),
        };
        let guards = i32::try_from(guards).unwrap_or(i32::MAX);
        let (numbers, shared): (Vec<i32>, Vec<bool>) = taken.iter().copied().unzip();
        let (read, writers): (Vec<&[u8]>, Vec<Version>) =
            self.reads.places.iter().map(|(place, version)| (&place[..], *version)).unzip();
        let (expected, values): (Vec<&[u8]>, Vec<Option<&[u8]>>) =
            self.reads.expected.iter().map(|(place, value)| (&place[..], value.as_deref())).unzip();
        let ranges = &self.reads.ranges;
        let range_begins: Vec<&[u8]> = ranges.iter().map(|range| &range.begin[..]).collect();
        let range_ends: Vec<&[u8]> = ranges.iter().map(|range| &range.end[..]).collect();
        let range_rows: Vec<i64> = ranges.iter().map(|range| range.rows).collect();
        let firsts: Vec<&[u8]> = self.cleared_ranges.iter().map(|(begin, _)| long::first(begin)).collect();
        let afters: Vec<_> = self.cleared_ranges.iter().map(|(_, end)| long::after(end)).collect();
        let afters: Vec<&[u8]> = afters.iter().map(|after| &after[..]).collect();
        let begins: Vec<&[u8]> = self.cleared_ranges.iter().map(|(begin, _)| &begin[..]).collect();
        let ends: Vec<&[u8]> = self.cleared_ranges.iter().map(|(_, end)| &end[..]).collect();
        let cleared: Vec<&[u8]> = self.cleared.iter().map(|place| &place[..]).collect();
        let set_places: Vec<&[u8]> = self.set.iter().map(|(place, ..)| &place[..]).collect();
        let set_rests: Vec<Option<&[u8]>> = self.set.iter().map(|(_, key, _)| long::rest(key)).collect();
        let set_values: Vec<&[u8]> = self.set.iter().map(|(.., value)| &value[..]).collect();
        let add_places: Vec<&[u8]> = self.added.iter().map(|(place, ..)| &place[..]).collect();
        let add_rests: Vec<Option<&[u8]>> = self.added.iter().map(|(_, key, _)| long::rest(key)).collect();
        let add_deltas: Vec<i64> = self.added.iter().map(|(.., delta)| *delta).collect();
        let parameters: [&(dyn ToSql + Sync); 26] = [
            &lease.id,
            &number,
            &engine.lock_space,
            &alone,
            &guards,
            &new,
            &numbers,
            &shared,
            &read,
            &writers,
            &expected,
            &values,
            &range_begins,
            &range_ends,
            &range_rows,
            &firsts,
            &afters,
            &begins,
            &ends,
            &cleared,
            &set_places,
            &set_rests,
            &set_values,
            &add_places,
            &add_rests,
            &add_deltas,
        ];
        let answer = lease.client.query_one(&lease.statements.commit, &parameters);
        match tokio::time::timeout(engine.answer_max, answer).await {
            Ok(answer) => answer.and_then(|row| row.try_get(0)).map_err(|error| Trouble::of(&error)),
            Err(_) => Err(Trouble::slow()),
        }
    }
}

/// Commits on this connection, on which the transaction's snapshot may still be open.
pub(super) async fn commit(
    engine: Arc<Engine>,
    lease: Lease,
    in_snapshot: bool,
    request: Request,
) -> Result<(), CommitError> {
    let start = Instant::now();
    if in_snapshot {
        // What is sent next comes after, in the same round trip.
        snapshot::end(&lease);
    }
    let outcome = try_commit(&engine, lease, &request).await;
    match &outcome {
        Ok(()) => engine.metrics.commits.increment(1),
        Err(CommitError::Conflict) => engine.metrics.conflicts.increment(1),
        Err(_) => {}
    }
    engine.metrics.commit_seconds.record(start.elapsed().as_secs_f64());
    outcome
}

async fn try_commit(engine: &Engine, mut lease: Lease, request: &Request) -> Result<(), CommitError> {
    let mut alone = false;
    for _ in 0..TRIES {
        let (mut locks, guards) = request.locks(engine);
        if alone && matches!(locks, Locks::Some(_)) {
            locks = Locks::All { new: Vec::new() };
        }
        if lease.client.is_closed() {
            // Nothing was sent.
            lease.discard();
            return Err(Trouble::Lost("it was lost before the commit".into()).into_store().into());
        }
        let number = lease.next_commit();
        match request.call(engine, &lease, number, &locks, guards).await {
            Ok(DONE) => {
                if matches!(&locks, Locks::All { new } if !new.is_empty()) {
                    // Otherwise the next commit would be sent back for it.
                    let _ = engine.learn_guarded(&lease).await;
                }
                return Ok(());
            }
            Ok(CHANGED) => return Err(CommitError::Conflict),
            Ok(MORE_GUARDED) => engine.learn_guarded(&lease).await.map_err(Trouble::into_store)?,
            Ok(_) => {
                lease.discard();
                return Err(StoreError::Unavailable("the session was closed meanwhile".into()).into());
            }
            // Two that write the same rows in different orders, or no room for locks: once more, alone.
            Err(trouble)
                if !alone && trouble.is(&[SqlState::T_R_DEADLOCK_DETECTED, SqlState::OUT_OF_MEMORY]) =>
            {
                alone = true;
            }
            Err(trouble @ Trouble::Refused { .. }) => return Err(trouble.into_store().into()),
            Err(Trouble::Lost(why)) => {
                let session = lease.id;
                lease.discard();
                return outcome(engine, session, number, &why).await;
            }
        }
    }
    Err(StoreError::Unavailable("the server keeps asking for other locks".into()).into())
}

/// What became of commit `number` of a session whose connection was lost. Once this has told, it stays so.
async fn outcome(engine: &Engine, session: i64, number: i64, why: &str) -> Result<(), CommitError> {
    let count = |outcome| metrics::counter!("tandem_store_lost_total", "outcome" => outcome).increment(1);
    let deadline = Instant::now() + engine.outcome_max;
    let unknown = loop {
        let newest = tokio::time::timeout_at(deadline, async {
            engine.pool.for_commit().await?.close_session(session).await
        });
        let newest = newest.await.unwrap_or_else(|_| Err(Trouble::slow().into_store()));
        match newest {
            Ok(Some(newest)) if newest == number => {
                count("committed");
                return Ok(());
            }
            Ok(Some(_)) => {
                count("undone");
                return Err(StoreError::Unavailable(format!("lost before the commit: {why}")).into());
            }
            // Another database, or one that was set back.
            Ok(None) => break "the server does not know the session".to_owned(),
            Err(error) if Instant::now() >= deadline || engine.pool.is_closed() => {
                engine.pool.not_closed(session);
                break error.to_string();
            }
            Err(_) => tokio::time::sleep(AGAIN).await,
        }
    };
    count("unknown");
    Err(CommitError::Unknown(format!("{why}; {unknown}")))
}
