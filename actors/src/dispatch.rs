//! A shard's dispatcher: performs what decisions have ordered, after they are durable.
//!
//! Orders lie in the outbox until they are performed, so they are performed at least once.
//! Messages to entities carry the sender's running number, by which the receiver takes each once
//! and in order. A dial is the exception: it is started once, promptly, or never; after a restart
//! its outcome is unknown, and the call settles it.

use crate::entity::Origin;
use crate::error::SendError;
use crate::keys;
use crate::shard::Shard;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tandem_domain::call;
use tandem_domain::carrier::{DialOutcome, InstructionOutcome, Refusal, RefusalReason};
use tandem_domain::codec;
use tandem_domain::effect::{Command, DialOrder, Effect};
use tandem_domain::id::{Attempt, Entity};
use tandem_store::{Range, Read};
use tokio::time::Instant;

/// Orders held in memory; the rest waits in the store.
const LOADED_MAX: usize = 8_192;
/// Rows read in one go.
const PAGE: usize = 1_000;
/// A dial leaves this long after its permission at the latest, the pacing aside.
const PROMPT: Duration = Duration::from_millis(500);
/// How long the pacing may hold a dial back.
pub(crate) const PACE_WAIT_MAX: Duration = Duration::from_millis(1_500);
/// How long a report follows a call whose shard has moved.
const REPORT_MAX: Duration = Duration::from_secs(10);
/// How often an instruction is repeated.
const INSTRUCTIONS_MAX: u32 = 6;
/// Failures in a row after which a carrier is left alone for a while.
const FAILURES_MAX: u32 = 8;
const BREAK: Duration = Duration::from_secs(5);

/// One row of the outbox.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub from: Entity,
    /// The sender's running number.
    pub number: u64,
    pub effect: Effect,
}

struct Job {
    sequence: u64,
    record: Record,
    committed: Instant,
    /// Found after a restart: it may have been started before.
    found: bool,
}

#[derive(Default)]
struct Inner {
    /// Messages from one entity to another, in order. The first of each is under way.
    lanes: HashMap<(Entity, Entity), VecDeque<Job>>,
    loaded: usize,
    newest: u64,
    /// Newer rows than `newest` are in the store only.
    more: bool,
    reading: bool,
}

#[derive(Default)]
pub(crate) struct Dispatcher {
    inner: Mutex<Inner>,
}

/// Reads what an earlier owner has left in the outbox.
pub(crate) async fn recover(shard: &Arc<Shard>) -> Result<(), tandem_store::StoreError> {
    let (begin, end) = keys::outbox_of(shard.id, 0);
    let mut tx = shard.store.begin();
    let range = Range { begin, end, limit: 1, reverse: true };
    let newest = tx.range(range, Read::Snapshot).await?;
    let Some((key, _)) = newest.first() else { return Ok(()) };
    let Ok(newest) = keys::outbox_parts(key) else { return Ok(()) };
    shard.outbox.store(newest, Ordering::Relaxed);
    shard.dispatcher.inner.lock().more = true;
    read_more(shard).await
}

/// Brings the next rows of the outbox into memory.
async fn read_more(shard: &Arc<Shard>) -> Result<(), tandem_store::StoreError> {
    let after = shard.dispatcher.inner.lock().newest;
    let (begin, end) = keys::outbox_of(shard.id, after + 1);
    let mut tx = shard.store.begin();
    let rows = tx.range(Range { begin, end, limit: PAGE, reverse: false }, Read::Snapshot).await?;
    let full = rows.len() == PAGE;
    let mut jobs = Vec::with_capacity(rows.len());
    for (key, value) in rows {
        let parts = (keys::outbox_parts(&key), codec::decode::<Record>(&value));
        match parts {
            (Ok(sequence), Ok(record)) => jobs.push((sequence, record)),
            _ => tracing::error!(shard = shard.id, "an outbox row cannot be read and is left where it is"),
        }
    }
    let mut inner = shard.dispatcher.inner.lock();
    inner.more = full;
    inner.reading = false;
    drop(inner);
    shard.dispatcher.take(shard, jobs, true);
    Ok(())
}

impl Dispatcher {
    /// Orders that have just become durable.
    pub fn push(&self, shard: &Arc<Shard>, orders: Vec<(u64, Record)>) {
        if orders.is_empty() {
            return;
        }
        {
            let mut inner = self.inner.lock();
            if inner.more || inner.loaded > LOADED_MAX {
                // Behind those that wait in the store; they are read in their turn. A dial cannot
                // wait: it is prompt or unknown.
                inner.more = true;
                return;
            }
        }
        self.take(shard, orders, false);
    }

    fn take(&self, shard: &Arc<Shard>, orders: Vec<(u64, Record)>, found: bool) {
        let committed = Instant::now();
        for (sequence, record) in orders {
            let job = Job { sequence, record, committed, found };
            let mut inner = self.inner.lock();
            inner.loaded += 1;
            inner.newest = inner.newest.max(sequence);
            let lane = match &job.record.effect {
                Effect::Send { to, .. } => Some((job.record.from, *to)),
                _ => None,
            };
            let job = match lane {
                Some(lane) => match inner.lanes.get_mut(&lane) {
                    // One is under way; this one follows it.
                    Some(waiting) => {
                        waiting.push_back(job);
                        continue;
                    }
                    None => {
                        inner.lanes.insert(lane, VecDeque::new());
                        job
                    }
                },
                None => job,
            };
            drop(inner);
            let shard2 = shard.clone();
            shard.spawn("dispatcher", async move {
                match lane {
                    Some(lane) => run_lane(&shard2, lane, job).await,
                    None => run_order(&shard2, job).await,
                }
            });
        }
    }

    /// An order is done with: its row may go.
    fn done(&self, shard: &Arc<Shard>, sequence: u64) {
        shard.services.lanes.performed(shard, sequence);
        let read = {
            let mut inner = self.inner.lock();
            inner.loaded = inner.loaded.saturating_sub(1);
            let read = inner.more && !inner.reading && inner.loaded < LOADED_MAX / 2;
            inner.reading |= read;
            read
        };
        if read {
            let shard = shard.clone();
            shard.clone().spawn("dispatcher", async move {
                while let Err(e) = read_more(&shard).await {
                    tracing::warn!(shard = shard.id, error = %e, "the outbox cannot be read; trying again");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    if shard.is_stopped() {
                        return;
                    }
                }
            });
        }
    }

    pub fn waiting(&self) -> usize {
        self.inner.lock().loaded
    }
}

async fn run_lane(shard: &Arc<Shard>, lane: (Entity, Entity), mut job: Job) {
    loop {
        let sequence = job.sequence;
        if !deliver(shard, job).await {
            // The shard is gone: its successor finds the rows.
            shard.dispatcher.inner.lock().lanes.remove(&lane);
            return;
        }
        shard.dispatcher.done(shard, sequence);
        let mut inner = shard.dispatcher.inner.lock();
        let next = inner.lanes.get_mut(&lane).and_then(VecDeque::pop_front);
        match next {
            Some(next) => job = next,
            None => {
                inner.lanes.remove(&lane);
                return;
            }
        }
    }
}

/// Delivers one message until it is taken. `false`: the shard has stopped.
async fn deliver(shard: &Arc<Shard>, job: Job) -> bool {
    let Effect::Send { to, command } = job.record.effect else { return true };
    let origin = Origin { sender: job.record.from, number: job.record.number };
    let mut wait = Duration::from_millis(5);
    loop {
        if shard.is_stopped() {
            return false;
        }
        match crate::route::post(&shard.services, to, &command, Some(origin)).await {
            Ok(()) => return true,
            Err(SendError::Rejected(r)) => {
                // Taken before, or out of place by now: either way it has been answered.
                tracing::debug!(%to, from = %origin.sender, reason = r.reason(), "a message was refused");
                return true;
            }
            Err(SendError::DeadLetter) => return true,
            Err(
                SendError::Moved
                | SendError::Lost
                | SendError::Unavailable(_)
                | SendError::Overloaded(_)
                | SendError::Store(_),
            ) => {
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(Duration::from_secs(1));
            }
        }
    }
}

/// Tells a call what came of an order, until it is durable. Should the shard move meanwhile, the call hears it where it
/// is then.
async fn report(shard: &Arc<Shard>, attempt: Attempt, command: call::Command) {
    let to = Entity::call(attempt.company, attempt.call);
    let command = Command::Call(command);
    let mut wait = Duration::from_millis(5);
    let until = Instant::now() + REPORT_MAX;
    while !shard.is_stopped() || (shard.services.elsewhere.is_some() && Instant::now() < until) {
        match crate::route::post(&shard.services, to, &command, None).await {
            Ok(()) | Err(SendError::Rejected(_) | SendError::DeadLetter) => return,
            Err(_) => tokio::time::sleep(wait).await,
        }
        wait = (wait * 2).min(Duration::from_secs(1));
    }
}

async fn run_order(shard: &Arc<Shard>, job: Job) {
    let performer = shard.services.performer.clone();
    match &job.record.effect {
        Effect::Dial(order) => dial(shard, &job, order).await,
        Effect::Instruct { attempt, carrier, sid, instruction } => {
            let mut wait = Duration::from_millis(250);
            for _ in 0..INSTRUCTIONS_MAX {
                let _slot = shard.services.slots.acquire().await;
                let outcome = performer.instruct(*attempt, carrier, sid, instruction).await;
                shard.services.breakers.saw(carrier, outcome != InstructionOutcome::Retry);
                if outcome != InstructionOutcome::Retry || shard.is_stopped() {
                    break;
                }
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
        }
        Effect::Fetch { attempt, carrier, sid } => {
            let _slot = shard.services.slots.acquire().await;
            let fetched = performer.fetch(carrier, sid).await;
            shard.services.breakers.saw(carrier, fetched.is_ok());
            match fetched {
                Ok(Some(r)) => {
                    report(shard, *attempt, call::Command::Reported { attempt: attempt.number, report: r })
                        .await;
                }
                Ok(None) => {
                    let command = call::Command::Missing { attempt: attempt.number, sid: sid.clone() };
                    report(shard, *attempt, command).await;
                }
                // The call asks again by itself.
                Err(e) => tracing::warn!(%carrier, error = %e, "a call could not be fetched"),
            }
        }
        Effect::Find { attempt, carrier, to, from, since } => {
            let _slot = shard.services.slots.acquire().await;
            let found = performer.find(*attempt, carrier, to, from, *since).await;
            shard.services.breakers.saw(carrier, found.is_ok());
            match found {
                Ok(found) => {
                    let command = call::Command::Found { attempt: attempt.number, report: found };
                    report(shard, *attempt, command).await;
                }
                Err(e) => tracing::warn!(%carrier, error = %e, "a call could not be searched for"),
            }
        }
        Effect::Send { .. } => {}
    }
    if !shard.is_stopped() {
        shard.dispatcher.done(shard, job.sequence);
    }
}

async fn dial(shard: &Arc<Shard>, job: &Job, order: &DialOrder) {
    let outcome = if job.found {
        // It may have left before the restart. It is not sent again.
        DialOutcome::Unknown
    } else {
        place(shard, job, order).await
    };
    metrics::counter!("tandem_dials_total", "outcome" => match &outcome {
        DialOutcome::Accepted { .. } => "accepted",
        DialOutcome::Refused(_) => "refused",
        DialOutcome::Unknown => "unknown",
    })
    .increment(1);
    let command = call::Command::Dialed { attempt: order.attempt.number, outcome };
    report(shard, order.attempt, command).await;
}

/// A dial that was not sent: as good as a carrier that said it was busy.
fn not_sent() -> DialOutcome {
    DialOutcome::Refused(Refusal { reason: RefusalReason::Overloaded, code: 0 })
}

async fn place(shard: &Arc<Shard>, job: &Job, order: &DialOrder) -> DialOutcome {
    let services = &shard.services;
    if services.breakers.is_open(&order.carrier) {
        return not_sent();
    }
    let left = (job.committed + PACE_WAIT_MAX).saturating_duration_since(Instant::now());
    let Some(wait) = crate::route::pace(services, order.attempt.company, &order.paces, left).await else {
        return not_sent();
    };
    let at = Instant::now() + wait;
    tokio::time::sleep_until(at).await;
    let Ok(_slot) = services.slots.acquire().await else { return not_sent() };
    // Promptly or not at all: a permission that lay about was given for another moment, and the
    // shard may have moved meanwhile.
    if Instant::now() > at.max(job.committed) + PROMPT || shard.is_stopped() {
        return not_sent();
    }
    let outcome = services.performer.dial(order).await;
    services.breakers.saw(&order.carrier, outcome != DialOutcome::Unknown);
    outcome
}

/// Leaves a carrier alone for a while that has failed again and again.
#[derive(Default)]
pub(crate) struct Breakers {
    of: Mutex<HashMap<String, (u32, Option<Instant>)>>,
}

impl Breakers {
    pub fn saw(&self, carrier: &str, good: bool) {
        let mut of = self.of.lock();
        if good {
            of.remove(carrier);
            return;
        }
        let (failures, until) = of.entry(carrier.to_owned()).or_default();
        *failures += 1;
        if *failures >= FAILURES_MAX {
            *until = Some(Instant::now() + BREAK);
            tracing::warn!(carrier, failures = *failures, "the carrier fails; it is left alone for a while");
        }
    }

    /// After the pause one dial at a time finds out whether it is better.
    pub fn is_open(&self, carrier: &str) -> bool {
        let mut of = self.of.lock();
        match of.get_mut(carrier) {
            Some((_, Some(until))) if Instant::now() < *until => true,
            Some((_, Some(until))) => {
                *until = Instant::now() + BREAK;
                false
            }
            _ => false,
        }
    }
}
