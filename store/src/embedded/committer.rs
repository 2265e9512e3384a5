//! The one thread that commits: it takes whatever waits, checks each transaction against what was
//! committed since it read, writes all that pass as one batch with one sync, and only then makes
//! the new state visible and answers.

use super::disk::Put;
use super::engine::Engine;
use super::failure::Trouble;
use super::reads::{Reads, fingerprint};
use super::resolver::{FingerprintMap, Resolver, Verdict};
use super::view::View;
use crate::overlay::{Mutation, Writes, added};
use crate::{CommitError, StoreError, TRANSACTION_MS_MAX};
use bytes::Bytes;
use metrics::{Counter, Histogram};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;

pub(super) type Outcome = Result<(), CommitError>;

/// A transaction on its way to the disk.
pub(super) struct Commit {
    /// The version it read at, if it read anything.
    pub read_version: Option<u64>,
    pub reads: Reads,
    pub rows: Vec<Row>,
    pub cleared: Vec<(Bytes, Bytes)>,
    pub bytes: usize,
    pub queued_at: Instant,
    pub reply: oneshot::Sender<Outcome>,
}

/// One key's mutation with its hash, computed by the caller.
pub(super) struct Row {
    pub fingerprint: u64,
    pub key: Bytes,
    pub mutation: Mutation,
}

impl Commit {
    pub fn new(view: Option<&View>, reads: Reads, writes: Writes, reply: oneshot::Sender<Outcome>) -> Self {
        let bytes = writes.bytes + reads.bytes();
        let rows = writes.rows.into_iter().map(|(key, mutation)| Row {
            fingerprint: fingerprint(&key),
            key,
            mutation,
        });
        Self {
            read_version: view.map(View::version),
            reads,
            rows: rows.collect(),
            cleared: writes.cleared.into_iter().map(|(begin, end)| (begin.into(), end.into())).collect(),
            bytes,
            queued_at: Instant::now(),
            reply,
        }
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// What a group will write: the last word on each key.
#[derive(Default)]
struct Batch {
    puts: Vec<(Bytes, Put)>,
    by_fingerprint: FingerprintMap<usize>,
}

impl Batch {
    /// Where `key` stands or would have to be noted. Keys that share a hash follow one another.
    fn find(&self, mut fingerprint: u64, key: &[u8]) -> Result<usize, u64> {
        while let Some(&index) = self.by_fingerprint.get(&fingerprint) {
            if self.puts[index].0 == key {
                return Ok(index);
            }
            fingerprint = fingerprint.wrapping_add(1);
        }
        Err(fingerprint)
    }

    /// Writes a key; true if it is the first time in this group.
    fn put(&mut self, fingerprint: u64, key: Bytes, put: Put) -> bool {
        match self.find(fingerprint, &key) {
            Ok(index) => {
                self.puts[index].1 = put;
                false
            }
            Err(slot) => {
                self.by_fingerprint.insert(slot, self.puts.len());
                self.puts.push((key, put));
                true
            }
        }
    }
}

struct Metrics {
    commits: Counter,
    conflicts: Counter,
    syncs: Counter,
    commit_seconds: Histogram,
}

pub(super) struct Committer {
    engine: Arc<Engine>,
    resolver: Resolver,
    metrics: Metrics,
    /// Why nothing can be written any more.
    failed: Option<Trouble>,
}

impl Committer {
    pub fn new(engine: Arc<Engine>) -> Self {
        let view = engine.view();
        let resolver = Resolver::new(view.version(), engine.options.conflict_keys_max, TRANSACTION_MS_MAX);
        let metrics = Metrics {
            commits: metrics::counter!("tandem_store_commits_total"),
            conflicts: metrics::counter!("tandem_store_conflicts_total"),
            syncs: metrics::counter!("tandem_store_fsyncs_total"),
            commit_seconds: metrics::histogram!("tandem_store_commit_seconds"),
        };
        Self { engine, resolver, metrics, failed: None }
    }

    /// Until the queue is closed and drained.
    pub fn run(mut self) {
        let mut group = Vec::new();
        while self.engine.queue.take(&mut group, self.engine.options.group_bytes_max) {
            let outcomes = self.commit(&mut group);
            self.engine.queue.release(&group);
            for (commit, outcome) in group.drain(..).zip(outcomes) {
                self.count(&commit, &outcome);
                // A caller that went away has its transaction committed all the same.
                let _ = commit.reply.send(outcome);
            }
        }
    }

    fn count(&self, commit: &Commit, outcome: &Outcome) {
        match outcome {
            Ok(()) => self.metrics.commits.increment(1),
            Err(CommitError::Conflict) => self.metrics.conflicts.increment(1),
            Err(_) => {}
        }
        self.metrics.commit_seconds.record(commit.queued_at.elapsed().as_secs_f64());
    }

    fn commit(&mut self, group: &mut [Commit]) -> Vec<Outcome> {
        if let Some(trouble) = &self.failed {
            let refusal = CommitError::Store(trouble.error.clone());
            return group.iter().map(|_| Err(refusal.clone())).collect();
        }
        let now_ms = self.engine.options.clock.now_ms();
        let view = self.engine.view();
        let version = view.version() + 1;
        self.resolver.begin_group(version, now_ms);
        let mut batch = Batch::default();
        let mut outcomes: Vec<Outcome> =
            group.iter_mut().map(|commit| self.admit(commit, &view, &mut batch)).collect();
        if batch.puts.is_empty() {
            return outcomes;
        }
        match self.engine.apply(batch.puts.into_iter()) {
            Ok(()) => {
                self.metrics.syncs.increment(1);
                self.engine.publish(version, now_ms);
            }
            Err(trouble) => {
                let failed = trouble.commit_error();
                outcomes.iter_mut().filter(|outcome| outcome.is_ok()).for_each(|o| *o = Err(failed.clone()));
                tracing::error!(error = %trouble.error, "the store refuses writes from now on");
                self.failed = Some(trouble);
            }
        }
        outcomes
    }

    /// Checks one transaction and, if it passes, adds its writes to the batch.
    fn admit(&mut self, commit: &mut Commit, view: &View, batch: &mut Batch) -> Outcome {
        if let Some(read_version) = commit.read_version {
            match self.resolver.check(read_version, &commit.reads) {
                Verdict::Accepted => {}
                Verdict::Conflict => return Err(CommitError::Conflict),
                Verdict::TooOld => return Err(StoreError::TooOld.into()),
            }
        }
        for (begin, end) in std::mem::take(&mut commit.cleared) {
            self.clear_range(begin, end, view, batch)?;
        }
        for Row { fingerprint, key, mutation } in std::mem::take(&mut commit.rows) {
            let put = match mutation {
                Mutation::Set(value) => Put::Value(value),
                Mutation::Clear => Put::Nothing,
                Mutation::Add(delta) => {
                    let stored = match batch.find(fingerprint, &key) {
                        Ok(index) => match &batch.puts[index].1 {
                            Put::Value(value) => Some(value.clone()),
                            Put::Nothing => None,
                        },
                        Err(_) => view.get(&key)?,
                    };
                    Put::Value(added(stored.as_deref(), delta))
                }
            };
            if batch.put(fingerprint, key.clone(), put) {
                self.resolver.wrote(fingerprint, key);
            }
        }
        Ok(())
    }

    fn clear_range(
        &mut self,
        begin: Bytes,
        end: Bytes,
        view: &View,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        for row in view.range(&begin, &end, false, usize::MAX, |rows| rows.collect::<Vec<_>>())? {
            let (key, _) = row?;
            batch.put(fingerprint(&key), key, Put::Nothing);
        }
        for (key, put) in &mut batch.puts {
            if begin <= *key && *key < end {
                *put = Put::Nothing;
            }
        }
        self.resolver.cleared(begin, end);
        Ok(())
    }
}
