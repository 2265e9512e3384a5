//! Transactions that are committed together: one as it comes from its caller, and what all of a
//! group write.

use super::fingerprints::fingerprint;
use super::journal::{row_bytes, write_row};
use super::memtable::NewRow;
use super::reads::Reads;
use super::view::View;
use crate::overlay::{Mutation, Writes};
use crate::{CommitError, StoreError, TRANSACTION_BYTES_MAX};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;

pub(super) type Outcome = Result<(), CommitError>;

/// A transaction on its way to the disk. As much as possible is worked out by the caller.
pub(super) struct Commit {
    /// What it read and relies on, and at which view. Those are held until it is checked: what was
    /// written since the oldest view in use is remembered.
    pub reads: Vec<(Arc<View>, Reads)>,
    /// Rows in the journal's form, which `rows` are slices of: one allocation for all.
    pub payload: Bytes,
    pub rows: Vec<NewRow>,
    pub adds: Vec<CommitAdd>,
    pub cleared: Vec<CommitClear>,
    pub bytes: usize,
    pub queued_at: Instant,
    pub reply: oneshot::Sender<Outcome>,
}

/// A sum that is worked out when it is known what it adds to.
pub(super) struct CommitAdd {
    pub fingerprint: u64,
    pub key: Bytes,
    pub delta: i64,
}

/// A cleared range, with the keys that a recent view has in it.
pub(super) struct CommitClear {
    pub begin: Bytes,
    pub end: Bytes,
    pub view: Arc<View>,
    pub keys: Vec<(u64, Bytes)>,
}

impl CommitClear {
    /// Lists the keys of the range. There are no range tombstones, so clearing costs a row for each
    /// of them, and as a transaction it is as large as they are.
    fn new(begin: Vec<u8>, end: Vec<u8>, view: Arc<View>, bytes: &mut usize) -> Result<Self, StoreError> {
        let mut keys = Vec::new();
        view.range(&begin, &end, false, |rows| {
            for row in rows {
                let (key, _) = row?;
                *bytes += key.len();
                if *bytes > TRANSACTION_BYTES_MAX {
                    return Err(StoreError::TransactionTooLarge(*bytes));
                }
                keys.push((fingerprint(&key), key));
            }
            Ok(())
        })??;
        Ok(Self { begin: begin.into(), end: end.into(), view, keys })
    }
}

impl Commit {
    /// `newest` is asked for the newest view where a range is cleared.
    pub fn new(
        reads: Vec<(Arc<View>, Reads)>,
        writes: Writes,
        newest: impl Fn() -> Arc<View>,
        reply: oneshot::Sender<Outcome>,
    ) -> Result<Self, StoreError> {
        let mut bytes = writes.bytes + reads.iter().map(|(_, reads)| reads.bytes()).sum::<usize>();
        let mut payload = Vec::with_capacity(writes.rows.iter().map(|(key, m)| payload_bytes(key, m)).sum());
        let mut places = Vec::with_capacity(writes.rows.len());
        let mut adds = Vec::new();
        for (key, mutation) in writes.rows {
            let fingerprint = fingerprint(&key);
            match mutation {
                Mutation::Set(value) => {
                    places.push((fingerprint, write_row(&mut payload, &key, Some(&value))))
                }
                Mutation::Clear => places.push((fingerprint, write_row(&mut payload, &key, None))),
                Mutation::Add(delta) => adds.push(CommitAdd { fingerprint, key, delta }),
            }
        }
        let payload = Bytes::from(payload);
        let rows = places.into_iter().map(|(fingerprint, (key, value))| NewRow {
            fingerprint,
            key: payload.slice(key),
            value: value.map(|value| payload.slice(value)),
        });
        let rows = rows.collect();
        let mut cleared = Vec::with_capacity(writes.cleared.len());
        for (begin, end) in writes.cleared {
            cleared.push(CommitClear::new(begin, end, newest(), &mut bytes)?);
        }
        Ok(Self { reads, payload, rows, adds, cleared, bytes, queued_at: Instant::now(), reply })
    }
}

fn payload_bytes(key: &[u8], mutation: &Mutation) -> usize {
    match mutation {
        Mutation::Set(value) => row_bytes(key, Some(value)),
        Mutation::Clear => row_bytes(key, None),
        Mutation::Add(_) => 0,
    }
}

/// What a group writes: the last word on each key.
#[derive(Default)]
pub(super) struct Batch {
    puts: Vec<Put>,
    /// Payloads of the transactions, in order.
    payloads: Vec<Bytes>,
}

struct Put {
    fingerprint: u64,
    key: Bytes,
    value: Option<Bytes>,
    /// Whether the last payload that has the key says the same.
    in_payload: bool,
}

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.puts.is_empty()
    }

    /// What `key`, noted under `index`, is so far. Keys that share a fingerprint share an index;
    /// that is next to impossible, and then all are looked through.
    fn position(&self, index: usize, key: &[u8]) -> Option<usize> {
        match self.puts.get(index) {
            Some(put) if put.key == key => Some(index),
            _ => self.puts.iter().rposition(|put| put.key == key),
        }
    }

    /// The value written to a key that was noted under `index`; `None` if it was another key.
    pub fn value(&self, index: usize, key: &[u8]) -> Option<Option<Bytes>> {
        self.position(index, key).map(|at| self.puts[at].value.clone())
    }

    /// Index of the next key that is written for the first time.
    pub fn next_index(&self) -> usize {
        self.puts.len()
    }

    pub fn payload(&mut self, payload: Bytes) {
        if !payload.is_empty() {
            self.payloads.push(payload);
        }
    }

    /// Writes a key again, which `index` was noted for earlier in the group. Gives the row back if
    /// it is the first time.
    pub fn replace(&mut self, index: Option<usize>, row: NewRow, in_payload: bool) -> Option<NewRow> {
        let Some(at) = index.and_then(|index| self.position(index, &row.key)) else { return Some(row) };
        self.puts[at].value = row.value;
        self.puts[at].in_payload = in_payload;
        None
    }

    /// Writes a key for the first time, under [`Batch::next_index`].
    pub fn push(&mut self, row: NewRow, in_payload: bool) {
        self.puts.push(Put { fingerprint: row.fingerprint, key: row.key, value: row.value, in_payload });
    }

    /// Bytes of the group in the journal, about.
    pub fn bytes(&self) -> usize {
        let own = self.puts.iter().filter(|put| !put.in_payload);
        self.payloads.iter().map(Bytes::len).sum::<usize>()
            + own.map(|put| row_bytes(&put.key, put.value.as_deref())).sum::<usize>()
    }

    /// The group in the journal's form: the transactions' payloads, then what was worked out here.
    pub fn write_to(&self, journal: &mut Vec<u8>) {
        journal.reserve(self.bytes());
        for payload in &self.payloads {
            journal.extend_from_slice(payload);
        }
        for put in self.puts.iter().filter(|put| !put.in_payload) {
            write_row(journal, &put.key, put.value.as_deref());
        }
    }

    /// The rows for the tables, one for each key.
    pub fn into_rows(self) -> impl Iterator<Item = NewRow> {
        let row = |put: Put| NewRow { fingerprint: put.fingerprint, key: put.key, value: put.value };
        self.puts.into_iter().map(row)
    }
}
