//! The one thread that commits: it takes whatever waits, checks each transaction against what was
//! committed since it read, writes all that pass as one group with one sync, and only then makes
//! the new state visible and answers.

use super::background::Background;
use super::engine::Engine;
use super::failure::Trouble;
use super::group::{Batch, Commit, CommitAdd, Outcome};
use super::journal::Journal;
use super::layers::Stack;
use super::memtable::NewRow;
use super::resolver::{Resolver, Verdict};
use super::space::Space;
use super::view::View;
use super::views::Views;
use crate::overlay::added;
use crate::{CommitError, StoreError};
use bytes::Bytes;
use metrics::{Counter, Histogram};
use std::sync::Arc;

pub(super) struct Committer {
    engine: Arc<Engine>,
    journal: Journal,
    stack: Arc<Stack>,
    background: Arc<Background>,
    /// Sequence of the last group that was tried.
    sequence: u64,
    space: Space,
    resolver: Resolver,
    views: Views,
    metrics: Metrics,
    /// Why nothing can be committed any more.
    failed: Option<StoreError>,
}

/// Nobody may wait for a thread that is gone, whatever it died of.
struct CloseQueue(Arc<Engine>);

impl Drop for CloseQueue {
    fn drop(&mut self) {
        self.0.queue.abandon();
    }
}

struct Metrics {
    commits: Counter,
    conflicts: Counter,
    syncs: Counter,
    commit_seconds: Histogram,
}

impl Committer {
    pub fn new(
        engine: Arc<Engine>,
        journal: Journal,
        stack: Arc<Stack>,
        background: Arc<Background>,
    ) -> Self {
        let options = &engine.options;
        let metrics = Metrics {
            commits: metrics::counter!("tandem_store_commits_total"),
            conflicts: metrics::counter!("tandem_store_conflicts_total"),
            syncs: metrics::counter!("tandem_store_fsyncs_total"),
            commit_seconds: metrics::histogram!("tandem_store_commit_seconds"),
        };
        Self {
            journal,
            stack,
            background,
            sequence: engine.view().version(),
            space: Space::new(&options.path, options.free_bytes_min),
            resolver: Resolver::new(engine.view().version(), options.conflict_bytes_max),
            views: Views::default(),
            metrics,
            failed: None,
            engine,
        }
    }

    /// Works until the queue is closed and drained.
    pub fn run(mut self) {
        let _closed_in_any_case = CloseQueue(self.engine.clone());
        let mut group = Vec::new();
        let mut outcomes = Vec::new();
        while self.engine.queue.take(&mut group, self.engine.options.group_bytes_max) {
            if group.is_empty() {
                self.refresh();
                continue;
            }
            self.commit(&mut group, &mut outcomes);
            self.engine.queue.release(&group);
            for (commit, outcome) in group.drain(..).zip(outcomes.drain(..)) {
                self.count(&commit, &outcome);
                // A caller that went away has its transaction committed all the same.
                let _ = commit.reply.send(outcome);
            }
            self.rotate_if_full();
        }
        self.views.revoke();
    }

    fn count(&self, commit: &Commit, outcome: &Outcome) {
        match outcome {
            Ok(()) => self.metrics.commits.increment(1),
            Err(CommitError::Conflict) => self.metrics.conflicts.increment(1),
            Err(_) => {}
        }
        self.metrics.commit_seconds.record(commit.queued_at.elapsed().as_secs_f64());
    }

    /// Commits a group; `outcomes` gets one for each transaction.
    fn commit(&mut self, group: &mut [Commit], outcomes: &mut Vec<Outcome>) {
        let bytes = group.iter().map(|commit| commit.bytes as u64).sum();
        if let Err(refusal) = self.ready(bytes) {
            outcomes.extend(group.iter().map(|_| Err(refusal.clone().into())));
            return;
        }
        let now_ms = self.engine.options.clock.now_ms();
        let newest = self.engine.view();
        self.sequence += 1;
        let sequence = self.sequence;
        let oldest = self.views.oldest(newest.version(), now_ms);
        self.resolver.begin_group(sequence, oldest);
        let mut batch = Batch::default();
        outcomes.extend(group.iter_mut().map(|commit| self.admit(commit, &newest, &mut batch)));
        if outcomes.iter().all(Outcome::is_err) {
            return;
        }
        if let Err(trouble) = self.make_durable(sequence, &batch) {
            self.resolver.abandon_group(newest.version());
            let refusal = trouble.commit_error();
            outcomes.iter_mut().filter(|outcome| outcome.is_ok()).for_each(|o| *o = Err(refusal.clone()));
            self.note_trouble(trouble);
            return;
        }
        let layers = self.stack.current();
        layers.newest().insert(sequence, oldest + 1, batch.into_rows());
        let replaced = self.engine.publish(View::new(sequence, layers));
        self.views.replaced(&replaced, now_ms);
    }

    /// Lets readers from now on look at the layers as they are, and lets go of those before.
    fn refresh(&mut self) {
        if self.failed.is_none() {
            let now_ms = self.engine.options.clock.now_ms();
            let version = self.engine.view().version();
            let replaced = self.engine.publish(View::new(version, self.stack.current()));
            self.views.replaced(&replaced, now_ms);
            self.views.oldest(version, now_ms);
        }
    }

    /// Whether a group of so many bytes can be taken on.
    fn ready(&mut self, bytes: u64) -> Result<(), StoreError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.background.wait_for_room()?;
        self.space.check(bytes)
    }

    fn make_durable(&mut self, sequence: u64, batch: &Batch) -> Result<(), Trouble> {
        if batch.is_empty() {
            return Ok(());
        }
        self.journal.append(sequence, |journal| batch.write_to(journal))?;
        self.metrics.syncs.increment(1);
        self.engine.count_group();
        Ok(())
    }

    fn note_trouble(&mut self, trouble: Trouble) {
        tracing::error!(error = %trouble.error, "a group of commits could not be written");
        if trouble.outcome_unknown {
            // Whoever reads from now on might see less than a restart will show.
            self.views.revoke();
            self.engine.view().revoke();
            self.failed = Some(StoreError::Unavailable(format!("restart needed: {}", trouble.error)));
        }
    }

    /// Checks one transaction and, if it passes, adds its writes to the batch.
    fn admit(&mut self, commit: &mut Commit, newest: &View, batch: &mut Batch) -> Outcome {
        for (view, reads) in commit.reads.drain(..) {
            match self.resolver.check(view.version(), &reads) {
                Verdict::Accepted => {}
                Verdict::Conflict => return Err(CommitError::Conflict),
                Verdict::TooOld => return Err(StoreError::TooOld.into()),
            }
        }
        // Whatever can fail comes first: a transaction goes into the batch whole or not at all.
        let sums = self.sums(commit, newest, batch)?;
        let mut written_since = Vec::with_capacity(commit.cleared.len());
        for clear in &commit.cleared {
            let written = self.resolver.written_since(clear.view.version(), &clear.begin, &clear.end);
            written_since.push(written.ok_or(StoreError::TooOld)?);
        }
        for (clear, written_since) in commit.cleared.drain(..).zip(written_since) {
            for (fingerprint, key) in clear.keys.into_iter().chain(written_since) {
                self.put(batch, NewRow { fingerprint, key, value: None }, false);
            }
            self.resolver.cleared(clear.begin, clear.end);
        }
        batch.payload(std::mem::take(&mut commit.payload));
        for row in commit.rows.drain(..) {
            self.put(batch, row, true);
        }
        for (add, sum) in commit.adds.drain(..).zip(sums) {
            let row = NewRow { fingerprint: add.fingerprint, key: add.key, value: Some(sum) };
            self.put(batch, row, false);
        }
        Ok(())
    }

    fn sums(&self, commit: &Commit, newest: &View, batch: &Batch) -> Result<Vec<Bytes>, StoreError> {
        let sum = |add: &CommitAdd| {
            let index = self.resolver.index_in_group(add.fingerprint);
            let stored = match index.and_then(|index| batch.value(index, &add.key)) {
                Some(written) => written,
                None => newest.get(&add.key)?,
            };
            Ok(added(stored.as_deref(), add.delta))
        };
        commit.adds.iter().map(sum).collect()
    }

    fn put(&mut self, batch: &mut Batch, row: NewRow, in_payload: bool) {
        let index = self.resolver.index_in_group(row.fingerprint);
        if let Some(row) = batch.replace(index, row, in_payload) {
            self.resolver.wrote(row.fingerprint, &row.key, batch.next_index());
            batch.push(row, in_payload);
        }
    }

    /// Starts a new memtable, and a new file of the journal with it, when the present one is full.
    fn rotate_if_full(&mut self) {
        let full = self.engine.options.memtable_bytes;
        if self.stack.current().newest().bytes() >= full || self.journal.active_bytes() >= full {
            self.background.close_memtable(self.engine.view().version());
            self.journal.start_file();
        }
    }
}
