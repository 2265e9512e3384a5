//! The door to all entities of a node.

use crate::clock::Clock;
use crate::commit::Lanes;
use crate::dispatch::Breakers;
use crate::elsewhere::MaybeElsewhere;
use crate::entity::{Answer, Key, Msg, View};
use crate::error::SendError;
use crate::faults::Faults;
use crate::node::NodeMsg;
use crate::pacer::Pacer;
use crate::perform::Performer;
use crate::shard::{Shard, shard_of};
use crate::vault::Vault;
use crate::watch::Watchers;
use parking_lot::RwLock;
use ractor::{ActorCell, ActorRef};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use tandem_domain::call::Call;
use tandem_domain::campaign::Campaign;
use tandem_domain::company::Company;
use tandem_domain::customer::Customer;
use tandem_domain::effect::Command;
use tandem_domain::id::Entity;
use tandem_domain::machine::Machine;
use tandem_store::Store;
use tokio::sync::{Semaphore, watch};

/// What all shards of a node share.
pub(crate) struct Services {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub performer: Arc<dyn Performer>,
    pub watchers: Arc<Watchers>,
    pub vault: Vault,
    pub pacer: Pacer,
    pub lanes: Lanes,
    pub breakers: Breakers,
    /// Requests to carriers under way at once.
    pub slots: Semaphore,
    pub faults: Arc<dyn Faults>,
    pub seed: u64,
    pub name: String,
    /// Hash of the node's name.
    pub run: u64,
    /// Where shards are that are not here; without it nobody else has any.
    pub elsewhere: MaybeElsewhere,
    pub mailbox_max: u32,
    pub idle_ms: u64,
    pub settled_ms: u64,
    /// Entities in memory, and how many there may be.
    pub entities: Arc<AtomicUsize>,
    pub entities_max: usize,
    pub shards: Vec<RwLock<Option<Arc<Shard>>>>,
    /// The actor that starts and restarts them.
    pub supervisor: OnceLock<ActorRef<NodeMsg>>,
}

impl Services {
    pub fn is_full(&self) -> bool {
        self.entities.load(Ordering::Relaxed) >= self.entities_max
    }

    /// Nearly as many are in memory as may be: those that are not needed at the moment have to go.
    pub fn is_pressed(&self) -> bool {
        self.entities.load(Ordering::Relaxed) >= self.entities_max - self.entities_max / 8
    }

    /// The number of the shard that this entity belongs to.
    pub fn shard_of(&self, e: Entity) -> u16 {
        shard_of(e, u16::try_from(self.shards.len()).unwrap_or(u16::MAX))
    }

    /// This shard, where it is on this node.
    pub fn here(&self, shard: u16) -> Option<Arc<Shard>> {
        self.shards.get(usize::from(shard))?.read().clone()
    }
}

/// The actor of an entity of some kind.
#[doc(hidden)]
pub enum EntityRef {
    Call(ActorRef<Msg<Call>>),
    Campaign(ActorRef<Msg<Campaign>>),
    Customer(ActorRef<Msg<Customer>>),
    Company(ActorRef<Msg<Company>>),
}

impl EntityRef {
    pub(crate) fn cell(&self) -> ActorCell {
        match self {
            EntityRef::Call(a) => a.get_cell(),
            EntityRef::Campaign(a) => a.get_cell(),
            EntityRef::Customer(a) => a.get_cell(),
            EntityRef::Company(a) => a.get_cell(),
        }
    }
}

/// A machine that this runtime can run.
pub trait Routed: Machine {
    /// Its events are few enough to be read in one go: an idempotency key stands with its events, not in a row of its
    /// own.
    const KEYS_WITH_EVENTS: bool;
    #[doc(hidden)]
    fn wrap(actor: ActorRef<Msg<Self>>) -> EntityRef;
    #[doc(hidden)]
    fn unwrap(actor: &EntityRef) -> Option<&ActorRef<Msg<Self>>>;
    fn wrap_command(command: Self::Command) -> Command;
}

macro_rules! routed {
    ($($kind:ident $keys_with_events:literal),*) => {$(
        impl Routed for $kind {
            const KEYS_WITH_EVENTS: bool = $keys_with_events;
            fn wrap(actor: ActorRef<Msg<Self>>) -> EntityRef {
                EntityRef::$kind(actor)
            }
            fn unwrap(actor: &EntityRef) -> Option<&ActorRef<Msg<Self>>> {
                match actor {
                    EntityRef::$kind(a) => Some(a),
                    _ => None,
                }
            }
            fn wrap_command(command: Self::Command) -> Command {
                Command::$kind(command)
            }
        }
    )*};
}
routed!(Call true, Campaign false, Customer false, Company false);

/// The door to all entities of a node. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    pub(crate) services: Arc<Services>,
}

impl Handle {
    /// Sends a command to an entity, wherever it is, and answers once it is durable.
    ///
    /// # Errors
    /// See [`SendError`]; nothing has changed except, with `Unavailable` or `Lost`, possibly when the answer
    /// was lost: then the same idempotency key tells.
    pub async fn send<M: Routed>(
        &self,
        to: Entity,
        command: M::Command,
        key: Option<Key>,
    ) -> Result<Answer<M::Reply>, SendError> {
        crate::route::send::<M>(&self.services, to, command, key).await
    }

    /// Looks at an entity, wherever it is; `None` where it does not exist.
    ///
    /// # Errors
    /// Where its shard cannot be reached, or the store fails.
    pub async fn read<M: Routed>(&self, of: Entity) -> Result<Option<View<M::State>>, SendError> {
        crate::route::read::<M>(&self.services, of).await
    }

    /// Answers a request from another node, as it came; see [`crate::Elsewhere::ask`]. It goes no further: what is not
    /// here is answered with [`SendError::Moved`].
    pub async fn answer(&self, request: &[u8]) -> Vec<u8> {
        crate::route::answer(&self.services, request).await
    }

    /// Number of the newest event of an entity of this node that becomes durable from now on, for another node's
    /// watchers.
    ///
    /// # Errors
    /// Where its shard is not here.
    pub fn watch_here(&self, of: Entity) -> Result<watch::Receiver<u64>, SendError> {
        let shard = self.services.here(self.services.shard_of(of)).ok_or(SendError::Moved)?;
        if shard.is_closing() { Err(SendError::Moved) } else { Ok(self.services.watchers.watch(of)) }
    }

    /// Changes whenever events of this entity have become durable. The value is the number of the
    /// newest, 0 before the first since watching began.
    pub fn watch(&self, of: Entity) -> watch::Receiver<u64> {
        if let Some(elsewhere) = &self.services.elsewhere {
            let shard = self.services.shard_of(of);
            if self.services.here(shard).is_none() {
                let (news, receiver) = watch::channel(0);
                elsewhere.watch(shard, of, news);
                return receiver;
            }
        }
        self.services.watchers.watch(of)
    }

    /// The shard that an entity belongs to.
    pub fn shard_of(&self, e: Entity) -> u16 {
        self.services.shard_of(e)
    }

    pub fn store(&self) -> &Arc<dyn Store> {
        &self.services.store
    }

    pub fn vault(&self) -> &Vault {
        &self.services.vault
    }

    /// The node's name.
    pub fn name(&self) -> &str {
        &self.services.name
    }

    /// How many shards there are, here or elsewhere.
    pub fn shards(&self) -> u16 {
        u16::try_from(self.services.shards.len()).unwrap_or(u16::MAX)
    }

    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.services.clock
    }

    /// Entities in memory.
    pub fn entities(&self) -> usize {
        self.services.entities.load(Ordering::Relaxed)
    }

    /// Lets those entities go at once that nobody needs any more, instead of after a while: for whoever
    /// goes through very many of them.
    pub fn relieve(&self) {
        for shard in &self.services.shards {
            if let Some(shard) = shard.read().as_ref() {
                shard.relieve();
            }
        }
    }

    /// Entities in memory, timers armed and orders waiting, over all shards here.
    pub fn load(&self) -> Load {
        let mut load = Load::default();
        for shard in &self.services.shards {
            if let Some(shard) = shard.read().as_ref() {
                load.shards += 1;
                load.entities += shard.entities_live();
                load.timers += shard.timers.len();
                load.orders += shard.dispatcher.waiting();
            }
        }
        load
    }
}

/// How much a node has in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    pub shards: usize,
    pub entities: usize,
    pub timers: usize,
    pub orders: usize,
}
