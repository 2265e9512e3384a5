//! A shard's committer: packs the decisions of many entities into one store transaction.
//!
//! While one transaction is being made durable the next batch gathers; nobody waits for a timer.
//! Every transaction reads the shard's epoch, so that a deposed owner can write nothing, and the
//! facts that its decisions rely on, so that none of them can have changed.

use crate::dispatch::Record;
use crate::entity::{Check, Link};
use crate::error::SendError;
use crate::keys;
use crate::shard::Shard;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tandem_domain::codec;
use tandem_domain::id::Entity;
use tandem_store::{CommitError, Read, Transaction};
use tokio::sync::oneshot;

/// Decisions in one transaction.
const BATCH_MAX: usize = 512;
/// Bytes of one transaction, well below the store's limit.
const BATCH_BYTES_MAX: usize = 900_000;
/// A transaction whose facts keep changing is rebuilt at most so often.
const REBUILDS_MAX: u32 = 64;

/// What became of a decision.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Committed,
    /// A fact has changed, or an earlier decision it was built on was not written.
    Redo,
    Failed(SendError),
}

pub(crate) type Done = Box<dyn FnOnce(Outcome) + Send + Sync>;
pub(crate) type Write = (Vec<u8>, Option<Vec<u8>>);

/// A decision on its way to the store.
pub(crate) struct Pending {
    pub entity: Entity,
    /// Its number among the decisions of this entity since it was loaded.
    pub seq: u64,
    pub link: Arc<Link>,
    pub checks: Vec<Check>,
    pub writes: Vec<Write>,
    pub effects: Vec<Record>,
    /// Newest event number, where there are new events.
    pub events: Option<u64>,
    pub done: Option<Done>,
}

impl Pending {
    /// Rows that nobody waits for.
    pub fn quiet(entity: Entity, seq: u64, link: Arc<Link>, writes: Vec<Write>) -> Self {
        Pending {
            entity,
            seq,
            link,
            checks: Vec::new(),
            writes,
            effects: Vec::new(),
            events: None,
            done: None,
        }
    }

    /// An answer that is to follow the decisions before it.
    pub fn answer(entity: Entity, seq: u64, link: Arc<Link>, done: Done) -> Self {
        Pending { done: Some(done), ..Pending::quiet(entity, seq, link, Vec::new()) }
    }

    fn bytes(&self) -> usize {
        let rows: usize =
            self.writes.iter().map(|(k, v)| k.len() + v.as_ref().map_or(0, Vec::len) + 16).sum();
        rows + self.effects.len() * 512
    }

    fn finish(mut self, outcome: Outcome) {
        if matches!(outcome, Outcome::Committed) {
            self.link.committed.fetch_max(self.seq, Ordering::AcqRel);
        } else {
            self.link.broken.store(true, Ordering::Release);
        }
        if let Some(done) = self.done.take() {
            done(outcome);
        }
    }
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Pending>,
    /// Outbox rows that have been performed.
    performed: Vec<u64>,
    barriers: Vec<oneshot::Sender<()>>,
    busy: bool,
    outbox: u64,
    /// The shard is not ours any more.
    fenced: bool,
}

#[derive(Default)]
pub(crate) struct Committer {
    queue: Mutex<Queue>,
}

impl Committer {
    /// Continues the numbering of the outbox after `newest`.
    pub fn resume(&self, newest: u64) {
        self.queue.lock().outbox = newest;
    }

    pub fn submit(&self, shard: &Arc<Shard>, pending: Pending) {
        let mut queue = self.queue.lock();
        if queue.fenced {
            drop(queue);
            return pending.finish(Outcome::Failed(SendError::Unavailable("the shard has moved")));
        }
        queue.waiting.push_back(pending);
        self.drive(shard, &mut queue);
    }

    /// An outbox row is done with; it goes with the next transaction, or soon.
    pub fn performed(&self, shard: &Arc<Shard>, sequence: u64) {
        let mut queue = self.queue.lock();
        queue.performed.push(sequence);
        self.drive(shard, &mut queue);
    }

    /// Returns when everything submitted before is durable or given up.
    pub async fn barrier(&self, shard: &Arc<Shard>) {
        let (done, wait) = oneshot::channel();
        {
            let mut queue = self.queue.lock();
            queue.barriers.push(done);
            self.drive(shard, &mut queue);
        }
        // A committer that died takes the shard with it; then there is nothing to wait for.
        let _ = wait.await;
    }

    fn drive(&self, shard: &Arc<Shard>, queue: &mut Queue) {
        if !queue.busy {
            queue.busy = true;
            let shard = shard.clone();
            shard.clone().spawn("committer", async move { run(&shard).await });
        }
    }

    /// No write is accepted any more; whoever waits is told.
    pub fn fence(&self) {
        let (waiting, barriers) = {
            let mut queue = self.queue.lock();
            queue.fenced = true;
            (std::mem::take(&mut queue.waiting), std::mem::take(&mut queue.barriers))
        };
        for pending in waiting {
            pending.finish(Outcome::Failed(SendError::Unavailable("the shard has moved")));
        }
        drop(barriers);
    }
}

struct Batch {
    pending: Vec<Pending>,
    performed: Vec<u64>,
    barriers: Vec<oneshot::Sender<()>>,
    /// Number before the batch's first outbox row.
    outbox: u64,
    /// There is something to write.
    writes: bool,
}

fn next_batch(shard: &Shard) -> Option<Batch> {
    let mut queue = shard.committer.queue.lock();
    if queue.waiting.is_empty() && queue.performed.is_empty() && queue.barriers.is_empty() {
        queue.busy = false;
        return None;
    }
    let mut pending = Vec::with_capacity(queue.waiting.len().min(BATCH_MAX));
    let mut bytes = 0;
    while let Some(next) = queue.waiting.front() {
        bytes += next.bytes();
        if !pending.is_empty() && (pending.len() >= BATCH_MAX || bytes > BATCH_BYTES_MAX) {
            break;
        }
        pending.extend(queue.waiting.pop_front());
    }
    let performed = std::mem::take(&mut queue.performed);
    // A barrier stands behind everything that was submitted before it.
    let barriers = if queue.waiting.is_empty() { std::mem::take(&mut queue.barriers) } else { Vec::new() };
    Some(Batch { pending, performed, barriers, outbox: queue.outbox, writes: false })
}

async fn run(shard: &Arc<Shard>) {
    while let Some(batch) = next_batch(shard) {
        commit(shard, batch).await;
    }
}

enum Written {
    Yes,
    /// Deposed: another owner has raised the epoch.
    Fenced,
    Failed(SendError),
}

async fn commit(shard: &Arc<Shard>, mut batch: Batch) {
    let mut redo = Vec::new();
    let written = write(shard, &mut batch, &mut redo).await;
    for pending in redo {
        metrics::counter!("tandem_decisions_redone_total").increment(1);
        pending.finish(Outcome::Redo);
    }
    match written {
        Written::Yes => {
            let mut sequence = batch.outbox;
            let mut effects = Vec::new();
            for mut pending in batch.pending {
                for record in std::mem::take(&mut pending.effects) {
                    sequence += 1;
                    effects.push((sequence, record));
                }
                if let Some(events) = pending.events {
                    shard.watchers.notify(pending.entity, events);
                }
                pending.finish(Outcome::Committed);
            }
            shard.committer.queue.lock().outbox = sequence;
            shard.dispatcher.push(shard, effects);
        }
        Written::Fenced => {
            for pending in batch.pending {
                pending.finish(Outcome::Failed(SendError::Unavailable("the shard has moved")));
            }
            shard.deposed();
        }
        Written::Failed(e) => {
            tracing::error!(shard = shard.id, error = %e, "a commit failed");
            for pending in batch.pending {
                pending.finish(Outcome::Failed(e.clone()));
            }
            // What was performed stays in the outbox and is offered again at the next start.
        }
    }
    for barrier in batch.barriers {
        let _ = barrier.send(());
    }
}

/// Writes the batch, rebuilding it as long as facts change under it. Decisions whose facts have
/// changed, and those built upon them, are moved to `redo`.
async fn write(shard: &Shard, batch: &mut Batch, redo: &mut Vec<Pending>) -> Written {
    let id = if shard.store.may_lose_outcomes() { Some(shard.random().to_be_bytes()) } else { None };
    // Without facts only the epoch can change under a batch: it is written once or not at all, and
    // its rows need not be kept for another try. Where an outcome may be lost they are kept.
    let once = id.is_none() && batch.pending.iter().all(|p| p.checks.is_empty());
    for _ in 0..REBUILDS_MAX {
        let mut tx = shard.store.begin();
        match build(shard, &mut *tx, batch, redo, id, once).await {
            Ok(true) => {}
            Ok(false) => return Written::Fenced,
            Err(e) if e.is_retryable() => continue,
            Err(e) => return Written::Failed(SendError::Store(e.to_string())),
        }
        if !batch.writes {
            // Only answers and barriers: everything before them is durable.
            return Written::Yes;
        }
        match tx.commit().await {
            Ok(()) => return Written::Yes,
            Err(CommitError::Conflict) if once => return fenced_or_not(shard).await,
            Err(CommitError::Conflict) => {
                metrics::counter!("tandem_commit_conflicts_total").increment(1);
            }
            Err(CommitError::Unknown(why)) => {
                tracing::warn!(shard = shard.id, %why, "the outcome of a commit is not known; reading it back");
                match happened(shard, id).await {
                    Some(true) => return Written::Yes,
                    Some(false) => {}
                    None => return Written::Failed(SendError::Unavailable("the store")),
                }
            }
            Err(CommitError::Store(e)) if e.is_retryable() && !once => {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            Err(CommitError::Store(e)) => return Written::Failed(SendError::Store(e.to_string())),
        }
    }
    Written::Failed(SendError::Unavailable("the facts keep changing"))
}

/// A batch that relied on nothing but the epoch has met a conflict.
async fn fenced_or_not(shard: &Shard) -> Written {
    let mut tx = shard.store.begin();
    match tx.get(&shard.epoch_key, Read::Snapshot).await {
        Ok(epoch) if epoch.as_deref() == Some(shard.epoch.to_be_bytes().as_slice()) => {
            Written::Failed(SendError::Unavailable("the store"))
        }
        Ok(_) => Written::Fenced,
        Err(e) => Written::Failed(SendError::Store(e.to_string())),
    }
}

/// Fills the transaction. `Ok(false)`: the shard is not ours.
async fn build(
    shard: &Shard,
    tx: &mut dyn Transaction,
    batch: &mut Batch,
    redo: &mut Vec<Pending>,
    id: Option<[u8; 8]>,
    once: bool,
) -> Result<bool, tandem_store::StoreError> {
    batch.writes = !batch.performed.is_empty();
    let epoch = tx.get(&shard.epoch_key, Read::Conflict).await?;
    if epoch.as_deref() != Some(shard.epoch.to_be_bytes().as_slice()) {
        return Ok(false);
    }
    let mut sequence = batch.outbox;
    let mut at = 0;
    while at < batch.pending.len() {
        let pending = &mut batch.pending[at];
        let mut stands = !pending.link.broken.load(Ordering::Acquire);
        for (key, seen) in &pending.checks {
            stands = stands && tx.get(key, Read::Conflict).await? == *seen;
            if !stands {
                break;
            }
        }
        if !stands {
            let dropped = batch.pending.remove(at);
            // From here on nothing of this entity is believed until it has read the store again.
            dropped.link.broken.store(true, Ordering::Release);
            redo.push(dropped);
            continue;
        }
        batch.writes |= !pending.writes.is_empty() || !pending.effects.is_empty();
        let writes = if once { std::mem::take(&mut pending.writes) } else { pending.writes.clone() };
        for (key, value) in writes {
            match value {
                Some(value) => tx.set(key, value),
                None => tx.clear(key),
            }
        }
        for record in &pending.effects {
            sequence += 1;
            tx.set(keys::outbox(shard.id, sequence), codec::encode(record));
        }
        at += 1;
    }
    for performed in &batch.performed {
        tx.clear(keys::outbox(shard.id, *performed));
    }
    if let Some(id) = id {
        tx.set(keys::mark(shard.id), id.to_vec());
    }
    Ok(true)
}

/// Whether the batch with this id is the newest that was written.
async fn happened(shard: &Shard, id: Option<[u8; 8]>) -> Option<bool> {
    let id = id?;
    for _ in 0..50 {
        let mut tx = shard.store.begin();
        match tx.get(&keys::mark(shard.id), Read::Snapshot).await {
            Ok(mark) => return Some(mark.as_deref() == Some(id.as_slice())),
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
        }
    }
    None
}
