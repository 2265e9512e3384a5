//! The committing lanes of a node: each packs the decisions of many entities, of all shards that
//! belong to it, into one store transaction.
//!
//! While one transaction is being made durable the next batch gathers; nobody waits for a timer.
//! Every transaction reads the epochs of its shards, so that a deposed owner can write nothing, and
//! the facts that its decisions rely on, so that none of them can have changed. What one shard's
//! loss of ownership or one decision's stale facts undo, the rest of the batch does not notice.

use crate::dispatch::Record;
use crate::entity::{Check, Link};
use crate::error::SendError;
use crate::handle::Services;
use crate::keys;
use crate::shard::Shard;
use crate::writes::Written;
use futures_util::FutureExt;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tandem_domain::codec;
use tandem_domain::id::Entity;
use tandem_store::{CommitError, Read, StoreError, Transaction};
use tokio::sync::oneshot;

/// Decisions in one transaction.
const BATCH_MAX: usize = 512;
/// Bytes of one transaction, well below the store's limit.
const BATCH_BYTES_MAX: usize = 900_000;
/// A transaction whose facts keep changing is rebuilt at most so often.
const REBUILDS_MAX: u32 = 64;
/// Before a store that was not there for a moment is asked again.
const AGAIN: Duration = Duration::from_millis(20);
/// Outbox rows cleared in one transaction.
const PERFORMED_MAX: usize = 4_096;

/// What became of a decision.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Committed,
    /// A fact has changed, or an earlier decision it was built on was not written.
    Redo,
    Failed(SendError),
}

pub(crate) type Done = Box<dyn FnOnce(Outcome) + Send + Sync>;

/// A decision on its way to the store.
pub(crate) struct Pending {
    pub shard: Arc<Shard>,
    pub entity: Entity,
    /// Its number among the decisions of this entity since it was loaded.
    pub seq: u64,
    pub link: Arc<Link>,
    pub checks: Vec<Check>,
    pub writes: Written,
    pub effects: Vec<Record>,
    /// Newest event number, where there are new events.
    pub events: Option<u64>,
    pub done: Option<Done>,
}

impl Pending {
    /// Rows that nobody waits for.
    pub fn quiet(shard: Arc<Shard>, entity: Entity, seq: u64, link: Arc<Link>, writes: Written) -> Self {
        let (checks, effects) = (Vec::new(), Vec::new());
        Pending { shard, entity, seq, link, checks, writes, effects, events: None, done: None }
    }

    /// An answer that is to follow the decisions before it.
    pub fn answer(shard: Arc<Shard>, entity: Entity, seq: u64, link: Arc<Link>, done: Done) -> Self {
        Pending { done: Some(done), ..Pending::quiet(shard, entity, seq, link, Written::default()) }
    }

    fn bytes(&self) -> usize {
        let checked: usize = self.checks.iter().map(|check| check.key.len()).sum();
        self.writes.bytes() + checked + self.effects.len() * 512
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

    /// It was not written, as its shard is somebody else's by now.
    fn moved(self) {
        self.finish(Outcome::Failed(SendError::Moved));
    }
}

/// A pending decision with the numbers of its rows in the outbox, which begin after `outbox`.
struct Numbered {
    pending: Pending,
    outbox: u64,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Pending>,
    /// Outbox rows that have been performed.
    performed: Vec<(Arc<Shard>, u64)>,
    /// Each with how many decisions had been submitted before it.
    barriers: VecDeque<(u64, oneshot::Sender<()>)>,
    submitted: u64,
    taken: u64,
    busy: bool,
}

/// One transaction at a time, for the shards that belong to it.
#[derive(Default)]
pub(crate) struct Lane {
    queue: Mutex<Queue>,
    /// Number of the transaction that is being built; see [`Shard::epoch_read`].
    attempt: AtomicU64,
}

/// The lanes of a node. A shard belongs to one of them, so that its decisions keep their order.
pub(crate) struct Lanes(Box<[Lane]>);

impl Lanes {
    pub fn new(count: usize) -> Self {
        Lanes((0..count.max(1)).map(|_| Lane::default()).collect())
    }

    fn number_of(&self, shard: &Shard) -> usize {
        usize::from(shard.id) % self.0.len()
    }

    pub fn submit(&self, pending: Pending) {
        if pending.shard.is_stopped() {
            return pending.moved();
        }
        let number = self.number_of(&pending.shard);
        let services = pending.shard.services.clone();
        let mut queue = self.0[number].queue.lock();
        queue.waiting.push_back(pending);
        queue.submitted += 1;
        drive(services, number, &mut queue);
    }

    /// An outbox row is done with; it goes with the next transaction, or soon.
    pub fn performed(&self, shard: &Arc<Shard>, sequence: u64) {
        let number = self.number_of(shard);
        let mut queue = self.0[number].queue.lock();
        queue.performed.push((shard.clone(), sequence));
        drive(shard.services.clone(), number, &mut queue);
    }

    /// Returns when everything submitted before is durable or given up.
    pub async fn barrier(&self, shard: &Arc<Shard>) {
        let (done, wait) = oneshot::channel();
        {
            let number = self.number_of(shard);
            let mut queue = self.0[number].queue.lock();
            let before = queue.submitted;
            queue.barriers.push_back((before, done));
            drive(shard.services.clone(), number, &mut queue);
        }
        // A lane that died takes its shards with it; then there is nothing to wait for.
        let _ = wait.await;
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "a lane belongs to no one shard; its death is told to all of its shards"
)]
fn drive(services: Arc<Services>, number: usize, queue: &mut Queue) {
    if queue.busy {
        return;
    }
    queue.busy = true;
    tokio::spawn(async move {
        if let Err(panic) = AssertUnwindSafe(run(&services, number)).catch_unwind().await {
            let why = crate::entity::panic_text(panic.as_ref());
            tracing::error!(lane = number, why, "a committing lane has died; its shards begin anew");
            let lane = &services.lanes.0[number];
            let left = std::mem::take(&mut *lane.queue.lock());
            for shard in services.shards.iter().filter_map(|slot| slot.read().clone()) {
                if services.lanes.number_of(&shard) == number {
                    shard.failed("committer");
                }
            }
            for pending in left.waiting {
                pending.finish(Outcome::Failed(SendError::Unavailable("the shard begins anew")));
            }
        }
    });
}

struct Batch {
    pending: Vec<Numbered>,
    performed: Vec<(Arc<Shard>, u64)>,
    barriers: Vec<oneshot::Sender<()>>,
    /// There is something to write.
    writes: bool,
}

fn next_batch(lane: &Lane) -> Option<Batch> {
    let mut queue = lane.queue.lock();
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
        pending.extend(queue.waiting.pop_front().map(|pending| {
            // A decision that is not written leaves a gap in the numbers, which does no harm.
            let outbox = pending.shard.outbox.fetch_add(pending.effects.len() as u64, Ordering::Relaxed);
            Numbered { pending, outbox }
        }));
    }
    let more = queue.performed.len().min(PERFORMED_MAX);
    let later = queue.performed.split_off(more);
    let performed = std::mem::replace(&mut queue.performed, later);
    queue.taken += pending.len() as u64;
    // A barrier stands behind everything that was submitted before it, and behind nothing that came later.
    let mut barriers = Vec::new();
    while queue.barriers.front().is_some_and(|(before, _)| *before <= queue.taken) {
        barriers.extend(queue.barriers.pop_front().map(|(_, barrier)| barrier));
    }
    Some(Batch { pending, performed, barriers, writes: false })
}

async fn run(services: &Arc<Services>, number: usize) {
    let lane = &services.lanes.0[number];
    loop {
        // Whoever is about to decide does so first, and goes along: the busier the node, the larger its batches.
        tokio::task::yield_now().await;
        let Some(batch) = next_batch(lane) else { return };
        commit(services, number, batch).await;
    }
}

/// Decisions that left their batch.
#[derive(Default)]
struct Left {
    redo: Vec<Pending>,
    /// Of shards that are not ours any more.
    fenced: Vec<Pending>,
    /// The outcome of a commit was lost on the way, so what left afterwards may have been written before.
    uncertain: bool,
}

async fn commit(services: &Arc<Services>, number: usize, mut batch: Batch) {
    let lane = &services.lanes.0[number];
    let mut left = Left::default();
    let written = write(services, number, &mut batch, &mut left).await;
    for pending in left.redo {
        metrics::counter!("tandem_decisions_redone_total").increment(1);
        pending.finish(Outcome::Redo);
    }
    for pending in left.fenced {
        if !pending.shard.is_stopped() {
            pending.shard.deposed();
        }
        if left.uncertain {
            pending.finish(Outcome::Failed(SendError::Lost));
        } else {
            pending.moved();
        }
    }
    match written {
        Ok(()) => {
            for Numbered { mut pending, outbox } in batch.pending {
                let effects = std::mem::take(&mut pending.effects);
                if let Some(events) = pending.events {
                    pending.shard.watchers.notify(pending.entity, events);
                }
                if effects.is_empty() {
                    pending.finish(Outcome::Committed);
                } else {
                    let shard = pending.shard.clone();
                    pending.finish(Outcome::Committed);
                    shard.dispatcher.push(&shard, (outbox + 1..).zip(effects).collect());
                }
            }
        }
        Err(e) => {
            tracing::error!(decisions = batch.pending.len(), error = %e, "a commit failed");
            if e.is_retryable() {
                // What was performed is still in the outbox, and goes with a later commit.
                lane.queue.lock().performed.append(&mut batch.performed);
            }
            for numbered in batch.pending {
                numbered.pending.finish(Outcome::Failed(e.clone()));
            }
        }
    }
    for barrier in batch.barriers {
        let _ = barrier.send(());
    }
}

fn failed(e: &StoreError) -> SendError {
    SendError::Store(e.to_string())
}

/// Writes the batch, rebuilding it as long as facts change under it. Decisions whose facts have
/// changed, those built upon them, and those of shards that have moved, leave it.
async fn write(
    services: &Services,
    number: usize,
    batch: &mut Batch,
    left: &mut Left,
) -> Result<(), SendError> {
    let lane = &services.lanes.0[number];
    let id =
        services.store.may_lose_outcomes().then(|| batch.pending.first().map(|n| n.pending.shard.random()));
    // By this it is known again, should the outcome of its commit be lost.
    let mark = id.flatten().map(|id| (keys::mark(services.run, number as u64), id.to_be_bytes()));
    let mut why = SendError::Unavailable("the facts keep changing");
    for rebuilds in 0..REBUILDS_MAX {
        let first = rebuilds == 0;
        let mut tx = services.store.begin();
        let attempt = lane.attempt.fetch_add(1, Ordering::Relaxed) + 1;
        match build(&mut *tx, attempt, first, batch, left, mark.as_ref()).await {
            Ok(()) => {}
            Err(e) if e.is_retryable() => {
                why = SendError::Unavailable("the store");
                tokio::time::sleep(AGAIN).await;
                continue;
            }
            Err(e) => return Err(failed(&e)),
        }
        if !batch.writes {
            // Only answers and barriers: everything before them is durable.
            return Ok(());
        }
        match tx.commit().await {
            Ok(()) => return Ok(()),
            Err(CommitError::Conflict) => {
                metrics::counter!("tandem_commit_conflicts_total").increment(1);
            }
            Err(CommitError::Unknown(why)) => {
                tracing::warn!(%why, "the outcome of a commit is not known; reading it back");
                metrics::counter!("tandem_commits_unknown_total").increment(1);
                left.uncertain = true;
                let Some((key, id)) = &mark else {
                    // Clearing what was performed may be done twice.
                    continue;
                };
                match happened(services, key, id).await {
                    Some(true) => return Ok(()),
                    Some(false) => {}
                    None => return Err(SendError::Unavailable("the store")),
                }
            }
            Err(CommitError::Store(e)) if e.is_retryable() => {
                why = SendError::Unavailable("the store");
                tokio::time::sleep(AGAIN).await;
            }
            Err(CommitError::Store(e)) => return Err(failed(&e)),
        }
    }
    Err(why)
}

/// Whether this shard is still ours, as this transaction sees it. Reads its epoch once.
async fn is_ours(tx: &mut dyn Transaction, attempt: u64, shard: &Shard) -> Result<bool, StoreError> {
    if shard.epoch_read.load(Ordering::Relaxed) == attempt {
        return Ok(true);
    }
    let epoch = tx.get(&shard.epoch_key, Read::Conflict).await?;
    let ours = !shard.is_stopped() && epoch.as_deref() == Some(shard.epoch.to_be_bytes().as_slice());
    if ours {
        shard.epoch_read.store(attempt, Ordering::Relaxed);
    }
    Ok(ours)
}

/// Fills the transaction.
async fn build(
    tx: &mut dyn Transaction,
    attempt: u64,
    first: bool,
    batch: &mut Batch,
    left: &mut Left,
    mark: Option<&(Vec<u8>, [u8; 8])>,
) -> Result<(), StoreError> {
    batch.writes = false;
    let mut stays = Vec::with_capacity(batch.pending.len());
    let mut broken = Ok(());
    let mut waiting = std::mem::take(&mut batch.pending).into_iter();
    for numbered in waiting.by_ref() {
        match place(tx, attempt, first, &numbered).await {
            Ok(Place::In) => {
                let Pending { writes, effects, .. } = &numbered.pending;
                batch.writes |= !writes.is_empty() || !effects.is_empty();
                stays.push(numbered);
            }
            Ok(Place::Redo) => {
                // From here on nothing of this entity is believed until it has read the store again.
                numbered.pending.link.broken.store(true, Ordering::Release);
                left.redo.push(numbered.pending);
            }
            Ok(Place::Fenced) => left.fenced.push(numbered.pending),
            Err(e) => {
                stays.push(numbered);
                broken = Err(e);
                break;
            }
        }
    }
    stays.extend(waiting);
    batch.pending = stays;
    broken?;
    for (shard, sequence) in &batch.performed {
        // Of a shard that has moved, the new owner takes care.
        if is_ours(tx, attempt, shard).await? {
            batch.writes = true;
            tx.clear(keys::outbox(shard.id, *sequence));
        }
    }
    if let Some((key, id)) = mark {
        tx.set(key.clone(), id.to_vec());
    }
    Ok(())
}

enum Place {
    In,
    Redo,
    Fenced,
}

/// Puts one decision into the transaction, if it still stands.
async fn place(
    tx: &mut dyn Transaction,
    attempt: u64,
    first: bool,
    numbered: &Numbered,
) -> Result<Place, StoreError> {
    let Numbered { pending, outbox } = numbered;
    if !is_ours(tx, attempt, &pending.shard).await? {
        return Ok(Place::Fenced);
    }
    if pending.link.broken.load(Ordering::Acquire) {
        return Ok(Place::Redo);
    }
    for Check { key, value, seen } in &pending.checks {
        // At first it is taken for granted that nothing was written where a decision has looked. Should that be
        // wrong, what counts is whether the value is another: the transaction is built anew, and facts are compared.
        let relied = first && seen.as_ref().is_some_and(|seen| tx.rely(key, seen));
        if !relied && tx.get(key, Read::Conflict).await? != *value {
            return Ok(Place::Redo);
        }
    }
    for (key, value) in pending.writes.rows() {
        tx.write(key, value);
    }
    for (sequence, record) in (outbox + 1..).zip(&pending.effects) {
        tx.set(keys::outbox(pending.shard.id, sequence), codec::encode(record));
    }
    Ok(Place::In)
}

/// Whether the batch with this id is the newest of its lane that was written.
async fn happened(services: &Services, key: &[u8], id: &[u8; 8]) -> Option<bool> {
    for _ in 0..50 {
        let mut tx = services.store.begin();
        match tx.get(key, Read::Snapshot).await {
            Ok(mark) => return Some(mark.as_deref() == Some(id.as_slice())),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
    None
}
