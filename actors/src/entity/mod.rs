//! The actor around a machine: one entity, its mailbox and its life.
//!
//! It applies its own decisions to its state at once, so that a busy entity takes many commands
//! into one commit, and lets nobody know before the commit. Should a commit fail, or a fact have
//! changed under a decision, it goes back to the store and decides again.

mod adopt;
mod facts;
mod life;
mod memory;

use crate::error::SendError;
use crate::handle::Routed;
use crate::shard::Shard;
use memory::{Inbox, Keys};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use tandem_domain::id::Entity;
use tandem_domain::machine::Machine;
use tandem_domain::row::RowKey;
use tandem_domain::time::{Millis, SECOND};
use tandem_store::StoreError;
use tokio::sync::oneshot;

#[cfg(test)]
pub(crate) use adopt::{RecordRef, StoredRef};
pub(crate) use facts::Check;
pub use memory::{EventRecord, Remembered};

/// A decision is taken anew at most so often when its facts change under it.
const TRIES_MAX: u8 = 16;
/// A command that kills its entity so often is set aside.
pub(crate) const CRASHES_MAX: u8 = 3;
/// A durable timer may lie this much after the wish: the one in memory is exact.
const TIMER_SLACK: Millis = SECOND;

/// An idempotency key as the caller gave it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
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

    /// The command was not carried out. Whoever asked may ask again; what an entity does by itself it does again.
    fn fail(self, shard: &Arc<Shard>, me: Entity, error: SendError) {
        match self {
            ReplyTo::Nobody => shard.tick_again(me),
            asked => asked.send(Err(error)),
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

/// What an entity shares with the lane that commits its decisions.
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
    /// Its state is in the store, or on its way there.
    stored: bool,
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
    inbox: Inbox,
    keys: Keys,
}

impl<M: Machine> Loaded<M> {
    fn outstanding(&self) -> bool {
        self.link.committed.load(Ordering::Acquire) < self.submitted
    }
}

impl<M: Routed> Loaded<M> {
    /// Forgets what the store has by now.
    fn trim(&mut self) {
        let committed = self.link.committed.load(Ordering::Acquire);
        if self.overlay.len() > 32 || committed == self.submitted {
            self.overlay.retain(|_, (seq, _)| *seq > committed);
        }
        self.inbox.trim(committed);
        self.keys.trim(committed, M::KEYS_WITH_EVENTS);
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
            // Boxed: an actor that waits for its next message does not keep room for deciding.
            Msg::Do(envelope) => Box::pin(life.execute(&myself, envelope)).await,
            Msg::Tick => Box::pin(life.tick(&myself)).await,
            Msg::Read(reply) => {
                let result = Box::pin(life.read()).await;
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
