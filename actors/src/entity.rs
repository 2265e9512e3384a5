//! The actor around a machine: one entity, its mailbox and its life.
//!
//! It applies its own decisions to its state at once, so that a busy entity takes many commands
//! into one commit, and lets nobody know before the commit. Should a commit fail, or a fact have
//! changed under a decision, it goes back to the store and decides again.

use crate::commit::{Outcome, Pending};
use crate::dispatch::Record;
use crate::error::SendError;
use crate::handle::Routed;
use crate::keys;
use crate::shard::Shard;
use bytes::Bytes;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use tandem_domain::codec;
use tandem_domain::id::Entity;
use tandem_domain::machine::{Context, Decision, FactValue, Facts, Machine, Rejection};
use tandem_domain::row::{Fact, Priority, ReadyEntry, RowKey};
use tandem_domain::time::{Millis, SECOND};
use tandem_store::{Range, Read, StoreError, Transaction};
use tokio::sync::oneshot;

/// A decision is taken anew at most so often when its facts change under it.
const TRIES_MAX: u8 = 16;
/// A command that kills its entity so often is set aside.
pub(crate) const CRASHES_MAX: u8 = 3;
/// Idempotency keys kept in memory.
const RECENT_MAX: usize = 64;
/// A durable timer may lie this much after the wish: the one in memory is exact.
const TIMER_SLACK: Millis = SECOND;

/// An idempotency key as the caller gave it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key {
    /// Hash of the caller's text.
    pub key: [u8; 16],
    /// Hash of the request, so that one key is not used for two requests.
    pub request: [u8; 16],
}

/// The answer to a command.
#[derive(Clone, Debug)]
pub struct Answer<R> {
    pub reply: R,
    /// The command was carried out earlier, under the same key; this is its answer of then.
    pub replayed: bool,
    /// Number of the entity's newest event.
    pub events: u64,
}

/// A look at an entity.
#[derive(Clone, Debug)]
pub struct View<S> {
    pub state: S,
    pub events: u64,
}

/// Where a message between entities comes from.
#[derive(Clone, Copy, Debug)]
#[doc(hidden)]
pub struct Origin {
    pub sender: Entity,
    /// The sender's running number of messages.
    pub number: u64,
}

#[doc(hidden)]
pub type Reply<M> = oneshot::Sender<Result<Answer<<M as Machine>::Reply>, SendError>>;

#[doc(hidden)]
pub enum ReplyTo<M: Machine> {
    Caller(Reply<M>),
    /// A message: the dispatcher wants to know that it was taken.
    Ack(oneshot::Sender<Result<(), SendError>>),
    Nobody,
}

impl<M: Machine> ReplyTo<M> {
    fn send(self, result: Result<Answer<M::Reply>, SendError>) {
        // Whoever asked may have gone; the command is carried out all the same.
        match self {
            ReplyTo::Caller(to) => drop(to.send(result)),
            ReplyTo::Ack(to) => drop(to.send(result.map(|_| ()))),
            ReplyTo::Nobody => {}
        }
    }
}

#[doc(hidden)]
pub struct Envelope<M: Machine> {
    pub command: M::Command,
    pub key: Option<Key>,
    pub origin: Option<Origin>,
    pub reply: ReplyTo<M>,
    pub tries: u8,
    pub crashes: u8,
}

#[doc(hidden)]
pub enum Msg<M: Machine> {
    Do(Envelope<M>),
    Read(oneshot::Sender<Result<Option<View<M::State>>, SendError>>),
    Tick,
}

/// What the store keeps of an entity.
#[derive(Serialize, Deserialize)]
pub struct Stored<S> {
    /// Number of the newest event.
    pub events: u64,
    /// Number of the newest message to another entity.
    pub sent: u64,
    /// Due time of the durable timer.
    pub armed: Option<Millis>,
    pub state: S,
}

/// What is remembered under an idempotency key.
#[derive(Clone, Serialize, Deserialize)]
pub struct Remembered {
    pub request: [u8; 16],
    pub events: u64,
    /// The encoded reply.
    pub reply: Vec<u8>,
}

/// What an entity shares with its shard's committer.
#[derive(Default)]
pub(crate) struct Link {
    /// Newest decision that is durable.
    pub committed: AtomicU64,
    /// A decision was not written: the state in memory is not the truth.
    pub broken: AtomicBool,
}

/// What the shard knows of a running entity.
#[derive(Default)]
pub(crate) struct Gauge {
    /// Messages in the mailbox.
    pub depth: AtomicU32,
    /// Clock time of the newest message.
    pub used_at: AtomicU64,
    /// Nothing more can happen to it, or nothing ever did: whoever needs it again finds it in the store.
    pub settled: AtomicBool,
    /// Counts it among the entities in memory, for as long as anything holds on to it.
    _counted: Option<Counted>,
}

impl Gauge {
    pub fn counted(among: &Arc<AtomicUsize>) -> Gauge {
        among.fetch_add(1, Ordering::Relaxed);
        Gauge { _counted: Some(Counted(among.clone())), ..Gauge::default() }
    }

    fn settle<M: Machine>(&self, state: &M::State) {
        self.settled.store(M::is_final(state) || !M::exists(state), Ordering::Relaxed);
    }
}

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(crate) struct EntityActor<M: Machine>(pub PhantomData<fn() -> M>);

pub(crate) struct Life<M: Machine> {
    me: Entity,
    shard: Arc<Shard>,
    gauge: Arc<Gauge>,
    loaded: Option<Box<Loaded<M>>>,
}

struct Loaded<M: Machine> {
    state: M::State,
    events: u64,
    sent: u64,
    armed: Option<Millis>,
    /// Due time in the shard's memory.
    waking: Option<Millis>,
    /// Decisions submitted since loading.
    submitted: u64,
    link: Arc<Link>,
    /// Rows written by decisions that are not durable yet, by the decision.
    overlay: HashMap<RowKey, (u64, Option<Vec<u8>>)>,
    inbox: HashMap<Entity, (u64, u64)>,
    recent: VecDeque<(u64, [u8; 16], Remembered)>,
    /// Every key ever used is among the recent ones.
    recent_complete: bool,
}

impl<M: Machine> Loaded<M> {
    fn outstanding(&self) -> bool {
        self.link.committed.load(Ordering::Acquire) < self.submitted
    }

    /// Forgets what the store has by now.
    fn trim(&mut self) {
        let committed = self.link.committed.load(Ordering::Acquire);
        if self.overlay.len() > 32 || committed == self.submitted {
            self.overlay.retain(|_, (seq, _)| *seq > committed);
        }
        if self.inbox.len() > 32 {
            self.inbox.retain(|_, (seq, _)| *seq > committed);
        }
        while self.recent.len() > RECENT_MAX && self.recent.front().is_some_and(|(s, ..)| *s <= committed) {
            self.recent.pop_front();
            self.recent_complete = false;
        }
    }
}

impl<M: Routed> Actor for EntityActor<M> {
    type Msg = Msg<M>;
    type State = Life<M>;
    type Arguments = (Entity, Arc<Shard>, Arc<Gauge>);

    async fn pre_start(
        &self,
        _myself: ActorRef<Self::Msg>,
        (me, shard, gauge): Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(Life { me, shard, gauge, loaded: None })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        life: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        life.gauge.depth.fetch_sub(1, Ordering::Relaxed);
        match message {
            Msg::Do(envelope) => life.execute(&myself, envelope).await,
            Msg::Tick => life.tick(&myself).await,
            Msg::Read(reply) => {
                let result = life.read().await;
                drop(reply.send(result));
                Ok(())
            }
        }
    }

    /// Its decisions are durable before it is gone, so that its successor finds them.
    async fn post_stop(
        &self,
        _myself: ActorRef<Self::Msg>,
        life: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        life.barrier().await;
        Ok(())
    }
}

impl<M: Routed> Life<M> {
    async fn load(&mut self) -> Result<&mut Loaded<M>, SendError> {
        if self.loaded.as_ref().is_some_and(|l| l.link.broken.load(Ordering::Acquire)) {
            self.loaded = None;
            // What was submitted before the break is settled, one way or the other, by now or soon;
            // the state is read after that.
            self.shard.committer.barrier(&self.shard).await;
        }
        if self.loaded.is_none() {
            let mut tx = self.shard.store.begin();
            let found = tx.get(&keys::entity_state(self.me), Read::Snapshot).await.map_err(store_failed)?;
            let fresh = found.is_none();
            let stored = match found {
                None => Stored { events: 0, sent: 0, armed: None, state: M::State::default() },
                Some(bytes) => codec::decode::<Stored<M::State>>(&bytes)
                    .map_err(|e| SendError::Store(format!("{} cannot be read: {e}", self.me)))?,
            };
            self.gauge.settle::<M>(&stored.state);
            self.loaded = Some(Box::new(Loaded {
                state: stored.state,
                events: stored.events,
                sent: stored.sent,
                armed: stored.armed,
                waking: None,
                submitted: 0,
                link: Arc::new(Link::default()),
                overlay: HashMap::new(),
                inbox: HashMap::new(),
                recent: VecDeque::new(),
                recent_complete: fresh,
            }));
        }
        match self.loaded.as_deref_mut() {
            Some(loaded) => Ok(loaded),
            None => Err(SendError::Unavailable("the entity could not be loaded")),
        }
    }

    /// Returns when every decision submitted so far is durable or given up.
    async fn barrier(&mut self) {
        let Some(loaded) = self.loaded.as_deref() else { return };
        if loaded.outstanding() {
            self.shard.committer.barrier(&self.shard).await;
        }
    }

    async fn read(&mut self) -> Result<Option<View<M::State>>, SendError> {
        self.load().await?;
        // What is not durable yet is not told.
        self.barrier().await;
        let loaded = self.load().await?;
        Ok(M::exists(&loaded.state).then(|| View { state: loaded.state.clone(), events: loaded.events }))
    }

    async fn tick(&mut self, myself: &ActorRef<Msg<M>>) -> Result<(), ActorProcessingErr> {
        let now = self.shard.clock.now();
        let Ok(loaded) = self.load().await else { return Ok(()) };
        loaded.waking = None;
        match M::wakeup(&loaded.state) {
            Some(at) if at <= now => {
                let envelope = Envelope {
                    command: M::tick(),
                    key: None,
                    origin: None,
                    reply: ReplyTo::Nobody,
                    tries: 0,
                    crashes: 0,
                };
                self.execute(myself, envelope).await
            }
            _ => {
                // The wish has moved since the timer was set: move the timer after it.
                self.rearm(now);
                Ok(())
            }
        }
    }

    fn rearm(&mut self, now: Millis) {
        let (me, shard) = (self.me, self.shard.clone());
        let Some(loaded) = self.loaded.as_deref_mut() else { return };
        let mut writes = Vec::new();
        if plan_timer::<M>(&shard, me, loaded, now, true, &mut writes) {
            writes.push(state_row::<M>(me, loaded));
            loaded.submitted += 1;
            let pending = Pending::quiet(me, loaded.submitted, loaded.link.clone(), writes);
            shard.committer.submit(&shard, pending);
        }
    }

    async fn execute(
        &mut self,
        myself: &ActorRef<Msg<M>>,
        mut envelope: Envelope<M>,
    ) -> Result<(), ActorProcessingErr> {
        let (me, shard, gauge) = (self.me, self.shard.clone(), self.gauge.clone());
        let now = shard.clock.now();
        gauge.used_at.store(now.unsigned_abs(), Ordering::Relaxed);
        let loaded = match self.load().await {
            Ok(loaded) => loaded,
            Err(e) => {
                envelope.reply.send(Err(e));
                return Ok(());
            }
        };
        loaded.trim();
        match seen_before::<M>(me, &shard, loaded, &envelope).await {
            Ok(None) => {}
            Ok(Some(result)) => {
                answer_in_order::<M>(me, &shard, loaded, envelope.reply, result);
                return Ok(());
            }
            Err(e) => {
                envelope.reply.send(Err(e));
                return Ok(());
            }
        }
        let wanted = M::facts(me, &loaded.state, &envelope.command, now);
        if wanted.iter().any(|f| matches!(f, Fact::Ready { .. })) && loaded.outstanding() {
            // A range is read from the store alone, so what was decided has to be there.
            shard.committer.barrier(&shard).await;
        }
        let read = match read_facts(&shard, loaded, wanted).await {
            Ok(read) => read,
            Err(e) => {
                envelope.reply.send(Err(e));
                return Ok(());
            }
        };
        let context =
            Context { me, now, next_event: loaded.events + 1, random: shard.random(), facts: &read.facts };
        let (state, command) = (&loaded.state, &envelope.command);
        let decided = std::panic::catch_unwind(AssertUnwindSafe(|| {
            shard.services.faults.before_decision(me);
            M::decide(state, command, &context)
        }));
        match decided {
            Err(panic) => {
                // The actor dies, as it should; the command is carried to the shard, which counts.
                envelope.crashes += 1;
                let why = panic_text(panic.as_ref());
                crate::dead::crashed::<M>(&shard, me, envelope, why.clone());
                Err(why.into())
            }
            Ok(Err(rejection)) => {
                answer_in_order::<M>(me, &shard, loaded, envelope.reply, Err(rejection.into()));
                Ok(())
            }
            Ok(Ok(decision)) => {
                adopt(me, &shard, myself, &gauge, loaded, envelope, decision, read.checks, now);
                Ok(())
            }
        }
    }
}

fn store_failed(e: StoreError) -> SendError {
    if e.is_retryable() { SendError::Unavailable("the store") } else { SendError::Store(e.to_string()) }
}

pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".to_owned())
}

/// An answer that changes nothing still waits for the decisions it was based on.
fn answer_in_order<M: Machine>(
    me: Entity,
    shard: &Arc<Shard>,
    loaded: &mut Loaded<M>,
    reply: ReplyTo<M>,
    result: Result<Answer<M::Reply>, SendError>,
) {
    if !loaded.outstanding() {
        return reply.send(result);
    }
    loaded.submitted += 1;
    let done = Box::new(move |outcome: Outcome| {
        reply.send(match outcome {
            Outcome::Committed => result,
            // What it was based on never came true.
            Outcome::Redo => Err(SendError::Unavailable("a decision is taken anew")),
            Outcome::Failed(e) => Err(e),
        });
    });
    let pending = Pending::answer(me, loaded.submitted, loaded.link.clone(), done);
    shard.committer.submit(shard, pending);
}

type Seen<M> = Option<Result<Answer<<M as Machine>::Reply>, SendError>>;

/// Whether this command was carried out before: under its idempotency key, or as a message.
async fn seen_before<M: Machine>(
    me: Entity,
    shard: &Shard,
    loaded: &mut Loaded<M>,
    envelope: &Envelope<M>,
) -> Result<Seen<M>, SendError> {
    if let Some(origin) = envelope.origin {
        let last = match loaded.inbox.get(&origin.sender) {
            Some((_, number)) => *number,
            None => {
                let mut tx = shard.store.begin();
                let row = tx.get(&keys::inbox(me, origin.sender), Read::Snapshot).await;
                let number = row.map_err(store_failed)?.and_then(|b| b.as_ref().try_into().ok());
                let number = number.map_or(0, u64::from_be_bytes);
                loaded.inbox.insert(origin.sender, (loaded.submitted, number));
                number
            }
        };
        if origin.number <= last {
            return Ok(Some(Err(SendError::Rejected(Rejection::AlreadyExists))));
        }
    }
    let Some(key) = envelope.key else { return Ok(None) };
    let known = match loaded.recent.iter().rev().find(|(_, k, _)| *k == key.key) {
        Some((.., remembered)) => Some(remembered.clone()),
        None if loaded.recent_complete => None,
        None => {
            let mut tx = shard.store.begin();
            let row = tx.get(&keys::idempotency(me, key.key), Read::Snapshot).await.map_err(store_failed)?;
            row.map(|b| codec::decode::<Remembered>(&b))
                .transpose()
                .map_err(|e| SendError::Store(e.to_string()))?
        }
    };
    let Some(known) = known else { return Ok(None) };
    if known.request != key.request {
        return Ok(Some(Err(Rejection::KeyReused.into())));
    }
    let reply = codec::decode(&known.reply).map_err(|e| SendError::Store(e.to_string()))?;
    Ok(Some(Ok(Answer { reply, replayed: true, events: known.events })))
}

/// A fact as it was seen: the key and its value.
pub(crate) type Check = (Vec<u8>, Option<Bytes>);

struct ReadFacts {
    facts: Facts,
    checks: Vec<Check>,
}

async fn read_facts<M: Machine>(
    shard: &Shard,
    loaded: &Loaded<M>,
    wanted: Vec<Fact>,
) -> Result<ReadFacts, SendError> {
    let mut read = ReadFacts { facts: Facts::default(), checks: Vec::new() };
    if wanted.is_empty() {
        return Ok(read);
    }
    let mut tx = shard.store.begin();
    read.facts.0.reserve(wanted.len());
    for fact in wanted {
        match fact {
            Fact::Row(key) => {
                let at = keys::row(&key);
                let value = match loaded.overlay.get(&key) {
                    Some((_, value)) => value.clone().map(Bytes::from),
                    None => tx.get(&at, Read::Snapshot).await.map_err(store_failed)?,
                };
                read.checks.push((at, value.clone()));
                read.facts.0.push(FactValue::Row(key, value.map(|b| b.to_vec())));
            }
            Fact::Ready { company, campaign, limit } => {
                let mut entries = Vec::new();
                for lane in Priority::ALL {
                    let (begin, end) = keys::ready_lane(company, campaign, lane);
                    let range = Range { begin, end, limit, reverse: false };
                    for (key, value) in tx.range(range, Read::Snapshot).await.map_err(store_failed)? {
                        entries.push(ready_entry(&mut *tx, company, campaign, lane, &key, &value).await?);
                    }
                }
                read.facts.0.push(FactValue::Ready(entries));
            }
        }
    }
    Ok(read)
}

async fn ready_entry(
    tx: &mut dyn Transaction,
    company: tandem_domain::id::CompanyId,
    campaign: tandem_domain::id::CampaignId,
    lane: Priority,
    key: &[u8],
    value: &[u8],
) -> Result<ReadyEntry, SendError> {
    let broken = |e: &dyn std::fmt::Display| SendError::Store(format!("a ready row cannot be read: {e}"));
    let (due, no) = keys::ready_parts(key).map_err(|e| broken(&e))?;
    let value: tandem_domain::row::ReadyValue = codec::decode(value).map_err(|e| broken(&e))?;
    let contact = if value.fresh {
        let row = keys::row(&RowKey::Contact { company, campaign, no });
        let bytes = tx.get(&row, Read::Snapshot).await.map_err(store_failed)?;
        bytes.map(|b| codec::decode(&b)).transpose().map_err(|e| broken(&e))?
    } else {
        None
    };
    Ok(ReadyEntry { lane, due, no, value, contact })
}

fn state_row<M: Machine>(me: Entity, loaded: &Loaded<M>) -> (Vec<u8>, Option<Vec<u8>>) {
    #[derive(Serialize)]
    struct Borrowed<'a, S> {
        events: u64,
        sent: u64,
        armed: Option<Millis>,
        state: &'a S,
    }
    let value = codec::encode(&Borrowed {
        events: loaded.events,
        sent: loaded.sent,
        armed: loaded.armed,
        state: &loaded.state,
    });
    (keys::entity_state(me), Some(value))
}

/// Keeps the durable timer and the one in memory in step with what the state wishes. Returns
/// whether rows were written.
fn plan_timer<M: Machine>(
    shard: &Shard,
    me: Entity,
    loaded: &mut Loaded<M>,
    now: Millis,
    fired: bool,
    writes: &mut Vec<(Vec<u8>, Option<Vec<u8>>)>,
) -> bool {
    let wish = M::wakeup(&loaded.state);
    let row = wish.map(|at| at.max(now + TIMER_SLACK));
    let keep = match (loaded.armed, row) {
        (None, None) => true,
        // An earlier row will do: it comes, finds the wish moved, and moves on. Once it has fired
        // it is moved, so that it is not found again and again.
        (Some(armed), Some(row)) => armed <= row && !(fired && armed <= now),
        (None, Some(_)) | (Some(_), None) => false,
    };
    if !keep {
        if let Some(armed) = loaded.armed {
            writes.push((keys::timer(shard.id, armed, me), None));
        }
        if let Some(row) = row {
            writes.push((keys::timer(shard.id, row, me), Some(Vec::new())));
        }
        loaded.armed = row;
    }
    match (wish, loaded.waking) {
        (None, Some(_)) => {
            shard.timers.cancel(me);
            loaded.waking = None;
        }
        (Some(at), waking) if waking.is_none_or(|w| at < w) => {
            shard.timers.arm(me, at);
            loaded.waking = Some(at);
        }
        _ => {}
    }
    !keep
}

/// Takes a decision over: the state moves on at once, the rest waits for the commit.
#[allow(clippy::too_many_arguments, reason = "one step of one function, split for reading")]
fn adopt<M: Routed>(
    me: Entity,
    shard: &Arc<Shard>,
    myself: &ActorRef<Msg<M>>,
    gauge: &Arc<Gauge>,
    loaded: &mut Loaded<M>,
    mut envelope: Envelope<M>,
    decision: Decision<M>,
    checks: Vec<Check>,
    now: Millis,
) {
    let Decision { events, effects, rows, reply } = decision;
    let seq = loaded.submitted + 1;
    let mut writes = Vec::with_capacity(events.len() + rows.len() + 5);
    let changed = !events.is_empty() || !effects.is_empty();
    for event in &events {
        loaded.events += 1;
        writes.push((keys::event(me, loaded.events), Some(codec::encode(event))));
        M::evolve(&mut loaded.state, event);
    }
    for row in rows {
        writes.push((keys::row(&row.key), row.value.clone()));
        loaded.overlay.insert(row.key, (seq, row.value));
    }
    let records: Vec<Record> = effects
        .into_iter()
        .map(|effect| {
            loaded.sent += 1;
            Record { from: me, number: loaded.sent, effect }
        })
        .collect();
    if let Some(origin) = envelope.origin {
        let number = origin.number.to_be_bytes().to_vec();
        writes.push((keys::inbox(me, origin.sender), Some(number)));
        loaded.inbox.insert(origin.sender, (seq, origin.number));
    }
    if let Some(key) = envelope.key {
        let remembered =
            Remembered { request: key.request, events: loaded.events, reply: codec::encode(&reply) };
        writes.push((keys::idempotency(me, key.key), Some(codec::encode(&remembered))));
        loaded.recent.push_back((seq, key.key, remembered));
    }
    let fired = matches!(envelope.reply, ReplyTo::Nobody);
    let timer = plan_timer::<M>(shard, me, loaded, now, fired, &mut writes);
    if changed || timer {
        writes.push(state_row::<M>(me, loaded));
    }
    gauge.settle::<M>(&loaded.state);
    let answer = Answer { reply, replayed: false, events: loaded.events };
    if writes.is_empty() {
        return answer_in_order::<M>(me, shard, loaded, envelope.reply, Ok(answer));
    }
    loaded.submitted = seq;
    let (myself, gauge) = (myself.clone(), gauge.clone());
    let done = Box::new(move |outcome: Outcome| match outcome {
        Outcome::Committed => envelope.reply.send(Ok(answer)),
        Outcome::Failed(e) => envelope.reply.send(Err(e)),
        Outcome::Redo if envelope.tries >= TRIES_MAX => {
            envelope.reply.send(Err(SendError::Unavailable("its facts keep changing")));
        }
        Outcome::Redo => {
            envelope.tries += 1;
            gauge.depth.fetch_add(1, Ordering::Relaxed);
            // Where the actor is gone the reply is dropped with the message, and the caller asks
            // again.
            let _ = myself.send_message(Msg::Do(envelope));
        }
    });
    let pending = Pending {
        entity: me,
        seq,
        link: loaded.link.clone(),
        checks,
        writes,
        effects: records,
        events: if events.is_empty() { None } else { Some(loaded.events) },
        done: Some(done),
    };
    shard.committer.submit(shard, pending);
}
