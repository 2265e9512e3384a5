//! One shard: a part of all entities, with its owner's epoch, clock and dispatcher.
//!
//! The shard's actor supervises the entities' actors. An entity that dies comes back from the
//! store with its next command. A room of the shard that dies takes the shard with it; the node
//! claims it again, under a new epoch.

use crate::clock::Clock;
use crate::dispatch::Dispatcher;
use crate::entity::{EntityActor, Envelope, Gauge, Msg, ReplyTo};
use crate::error::SendError;
use crate::handle::{EntityRef, Routed, Services};
use crate::keys;
use crate::timers::Timers;
use crate::watch::Watchers;
use futures_util::FutureExt;
use parking_lot::Mutex;
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, ActorRuntime, MessagingErr, SupervisionEvent};
use std::collections::HashMap;
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tandem_domain::call::Call;
use tandem_domain::campaign::Campaign;
use tandem_domain::company::Company;
use tandem_domain::customer::Customer;
use tandem_domain::id::{Entity, Kind};
use tandem_store::{Read, Store};
use tokio::sync::Notify;

/// Before an entity looks at its time once more that could not.
const TICK_AGAIN: Duration = Duration::from_millis(500);
/// How long a sender waits for an entity that is just going away.
const STOPPING_WAIT: Duration = Duration::from_secs(5);

/// Where memory is nearly full, an entity not needed for so long leaves it.
const PRESSED_IDLE_MS: u64 = 1_000;

/// The shard of an entity: fixed for ever by the number of shards. FNV-1a over company, kind and
/// id, so that it is the same in every build and on every machine.
pub fn shard_of(e: Entity, shards: u16) -> u16 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let kind = [e.kind as u8];
    for b in e.company.0.as_bytes().iter().chain(&kind).chain(e.id.as_bytes()) {
        hash = (hash ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    // The high bits are mixed best.
    (((hash >> 32) * u64::from(shards)) >> 32) as u16
}

enum Slot {
    Live(EntityRef, Arc<Gauge>),
    /// It is finishing what it has; whoever wants it waits.
    Stopping(Arc<Notify>),
}

#[derive(Default)]
struct Entities {
    slots: HashMap<Entity, Slot>,
    by_actor: HashMap<ActorId, Entity>,
}

pub(crate) struct Shard {
    pub id: u16,
    pub epoch: u64,
    pub epoch_key: Vec<u8>,
    pub opened: tokio::time::Instant,
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub services: Arc<Services>,
    /// Number of the newest row in the outbox.
    pub outbox: AtomicU64,
    /// The attempt of its committing lane that has read the epoch and found it ours.
    pub epoch_read: AtomicU64,
    pub timers: Timers,
    pub dispatcher: Dispatcher,
    pub watchers: Arc<Watchers>,
    entities: Mutex<Entities>,
    actor: OnceLock<ActorRef<ShardMsg>>,
    random: AtomicU64,
    /// Nothing new is taken.
    closing: AtomicBool,
    /// Nothing is written any more.
    stopped: AtomicBool,
    relieving: AtomicBool,
    /// Woken when the last entity has left memory.
    emptied: Notify,
}

pub(crate) enum ShardMsg {
    /// A room has died.
    Failed(&'static str),
    /// Another owner has raised the epoch.
    Deposed,
    /// Let idle entities go.
    Sweep,
    /// Let those go at once to which nothing more can happen.
    Relieve,
}

enum Post<M: tandem_domain::machine::Machine> {
    Sent,
    Wait(Arc<Notify>, Msg<M>),
    Refused(SendError, Msg<M>),
}

impl Shard {
    pub fn new(id: u16, epoch: u64, services: Arc<Services>) -> Arc<Shard> {
        Arc::new(Shard {
            id,
            epoch,
            epoch_key: keys::epoch(id),
            opened: tokio::time::Instant::now(),
            store: services.store.clone(),
            clock: services.clock.clone(),
            watchers: services.watchers.clone(),
            random: AtomicU64::new(services.seed ^ (u64::from(id) << 48) ^ epoch),
            services,
            outbox: AtomicU64::new(0),
            epoch_read: AtomicU64::new(0),
            timers: Timers::default(),
            dispatcher: Dispatcher::default(),
            entities: Mutex::default(),
            actor: OnceLock::new(),
            closing: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            relieving: AtomicBool::new(false),
            emptied: Notify::new(),
        })
    }

    /// Random bits, reproducible from the node's seed (SplitMix64).
    pub fn random(&self) -> u64 {
        let mut z = self.random.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A task of this shard. If it dies, the shard dies.
    #[allow(clippy::disallowed_methods, reason = "the one place where tasks of a shard begin")]
    pub fn spawn(self: &Arc<Self>, room: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let shard = self.clone();
        tokio::spawn(async move {
            if let Err(panic) = AssertUnwindSafe(work).catch_unwind().await {
                let why = crate::entity::panic_text(panic.as_ref());
                tracing::error!(shard = shard.id, room, why, "a room of the shard has died");
                shard.failed(room);
            }
        });
    }

    /// A room of it has died, and it with it.
    pub fn failed(&self, room: &'static str) {
        self.tell(ShardMsg::Failed(room));
    }

    fn tell(&self, message: ShardMsg) {
        if let Some(actor) = self.actor.get() {
            // A shard that is gone needs to be told nothing.
            let _ = actor.send_message(message);
        }
    }

    pub fn deposed(&self) {
        self.tell(ShardMsg::Deposed);
    }

    pub fn sweep(&self) {
        self.tell(ShardMsg::Sweep);
    }

    pub fn relieve(&self) {
        // One that is under way serves whoever asks meanwhile.
        if !self.relieving.swap(true, Ordering::AcqRel) {
            self.tell(ShardMsg::Relieve);
        }
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Nothing is accepted or written any more.
    pub fn stop(&self) {
        if !self.stopped.swap(true, Ordering::AcqRel) && self.services.elsewhere.is_some() {
            self.watchers.let_go(|e| self.services.shard_of(e) == self.id);
        }
    }

    /// Nobody else can have taken it over by now.
    pub fn is_leased(&self) -> bool {
        self.services.elsewhere.as_ref().is_none_or(|elsewhere| elsewhere.is_leased())
    }

    /// Whether nobody else has taken it over by now, as the store has it.
    pub async fn reads_own_epoch(&self) -> Result<bool, SendError> {
        let mut tx = self.store.begin();
        let epoch = tx.get(&self.epoch_key, Read::Snapshot).await;
        let epoch = epoch.map_err(|_| SendError::Unavailable("the store"))?;
        let ours = epoch.as_deref() == Some(self.epoch.to_be_bytes().as_slice());
        if !ours {
            self.deposed();
        }
        Ok(ours && !self.is_stopped())
    }

    /// Takes nothing new, finishes what has come in, and writes nothing afterwards. Whoever is left after `at_most` is
    /// told to ask again.
    pub async fn close(self: &Arc<Self>, at_most: Duration) {
        self.closing.store(true, Ordering::Release);
        let drained = async {
            loop {
                let mut emptied = std::pin::pin!(self.emptied.notified());
                emptied.as_mut().enable();
                if self.drain_entities() == 0 {
                    return;
                }
                // Those that are just coming to life are drained in the next round.
                let _ = tokio::time::timeout(Duration::from_millis(20), emptied).await;
            }
        };
        if tokio::time::timeout(at_most, drained).await.is_err() {
            tracing::warn!(shard = self.id, left = self.entities_live(), "the shard leaves unfinished work");
        }
        self.services.lanes.barrier(self).await;
        self.stop();
        self.leave("closed");
    }

    /// Its actor and all of its entities end.
    pub fn leave(&self, why: &'static str) {
        if let Some(actor) = self.actor.get() {
            actor.stop(Some(why.into()));
        }
    }

    /// Tells all entities to finish; how many there are.
    fn drain_entities(&self) -> usize {
        let mut entities = self.entities.lock();
        for slot in entities.slots.values_mut() {
            if let Slot::Live(actor, _) = slot {
                let cell = actor.cell();
                *slot = Slot::Stopping(Arc::new(Notify::new()));
                let _ = cell.drain();
            }
        }
        entities.slots.len()
    }

    /// It was closed in peace, and has nothing left to do.
    pub fn is_closed(&self) -> bool {
        self.closing.load(Ordering::Acquire) && self.is_stopped()
    }

    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire) || self.is_stopped()
    }

    pub fn entities_live(&self) -> usize {
        self.entities.lock().slots.len()
    }

    fn post<M: Routed>(self: &Arc<Self>, to: Entity, message: Msg<M>) -> Post<M> {
        let mut entities = self.entities.lock();
        // Looked at under the lock, so that nobody comes in after the last has been told to leave.
        if self.is_closing() {
            return Post::Refused(SendError::Moved, message);
        }
        match entities.slots.get(&to) {
            Some(Slot::Stopping(gone)) => Post::Wait(gone.clone(), message),
            Some(Slot::Live(actor, gauge)) => {
                let Some(actor) = M::unwrap(actor) else {
                    return Post::Refused(SendError::Unavailable("the entity has another kind"), message);
                };
                if gauge.depth.fetch_add(1, Ordering::Relaxed) >= self.services.mailbox_max {
                    gauge.depth.fetch_sub(1, Ordering::Relaxed);
                    return Post::Refused(SendError::Overloaded(to.kind.name()), message);
                }
                match actor.send_message(message) {
                    Ok(()) => Post::Sent,
                    Err(MessagingErr::SendErr(message)) => {
                        // It has died, and the news is on its way to the supervisor.
                        let gone = Arc::new(Notify::new());
                        entities.slots.insert(to, Slot::Stopping(gone.clone()));
                        Post::Wait(gone, message)
                    }
                    // The message is gone; the caller's reply goes with it.
                    Err(_) => Post::Sent,
                }
            }
            None => {
                let Some(supervisor) = self.actor.get() else {
                    return Post::Refused(SendError::Moved, message);
                };
                if self.services.is_pressed() {
                    self.relieve();
                }
                if self.services.is_full() {
                    return Post::Refused(SendError::Overloaded("node"), message);
                }
                let gauge = Arc::new(Gauge::counted(&self.services.entities));
                gauge.used_at.store(self.clock.now().unsigned_abs(), Ordering::Relaxed);
                let args = (to, self.clone(), gauge.clone());
                let spawned = ActorRuntime::spawn_linked_instant(
                    None,
                    EntityActor::<M>(PhantomData),
                    args,
                    supervisor.get_cell(),
                );
                let Ok((actor, _joined)) = spawned else {
                    return Post::Refused(SendError::Unavailable("the entity could not be started"), message);
                };
                gauge.depth.store(1, Ordering::Relaxed);
                let sent = actor.send_message(message);
                entities.by_actor.insert(actor.get_id(), to);
                entities.slots.insert(to, Slot::Live(M::wrap(actor), gauge));
                match sent {
                    Ok(()) | Err(_) => Post::Sent,
                }
            }
        }
    }

    /// Puts a message into the mailbox of an entity, which is brought to life if it is not.
    pub async fn deliver<M: Routed>(self: &Arc<Self>, to: Entity, message: Msg<M>) -> Result<(), SendError> {
        self.try_deliver(to, message).await.map_err(|(e, _)| e)
    }

    async fn try_deliver<M: Routed>(
        self: &Arc<Self>,
        to: Entity,
        mut message: Msg<M>,
    ) -> Result<(), (SendError, Msg<M>)> {
        loop {
            match self.post(to, message) {
                Post::Sent => return Ok(()),
                Post::Refused(e, message) => return Err((e, message)),
                Post::Wait(gone, back) => {
                    // Registered before the slot is looked at again, so that no wake-up is missed.
                    let mut notified = std::pin::pin!(gone.notified());
                    notified.as_mut().enable();
                    if self.is_waiting(to, &gone)
                        && tokio::time::timeout(STOPPING_WAIT, notified).await.is_err()
                        && !self.is_closing()
                    {
                        return Err((SendError::Unavailable("the entity is going away"), back));
                    }
                    message = back;
                }
            }
        }
    }

    fn is_waiting(&self, e: Entity, gone: &Arc<Notify>) -> bool {
        matches!(self.entities.lock().slots.get(&e), Some(Slot::Stopping(g)) if Arc::ptr_eq(g, gone))
    }

    /// A command that killed its entity goes to the entity's next life.
    pub async fn redeliver<M: Routed>(self: &Arc<Self>, to: Entity, envelope: Envelope<M>) {
        let Err((e, Msg::Do(envelope))) = self.try_deliver(to, Msg::Do(envelope)).await else { return };
        match envelope.reply {
            ReplyTo::Caller(reply) => drop(reply.send(Err(e))),
            ReplyTo::Ack(reply) => drop(reply.send(Err(e))),
            ReplyTo::Nobody => {}
        }
    }

    /// A timer is due.
    pub fn tick(self: &Arc<Self>, e: Entity) {
        let shard = self.clone();
        // An entity that is just going away is waited for, which must not hold up other timers.
        self.spawn("clock", async move {
            let sent = match e.kind {
                Kind::Call => shard.deliver::<Call>(e, Msg::Tick).await,
                Kind::Campaign => shard.deliver::<Campaign>(e, Msg::Tick).await,
                Kind::Customer => shard.deliver::<Customer>(e, Msg::Tick).await,
                Kind::Company => shard.deliver::<Company>(e, Msg::Tick).await,
            };
            if sent.is_err() && !shard.is_closing() {
                // Overloaded: its turn comes a little later.
                shard.timers.arm(e, shard.clock.now() + 100);
            }
        });
    }

    /// The store was away when this entity looked at its time, or when what it had decided was to be written. The row of
    /// its timer is not read again: it looks once more in a moment, for as long as it takes.
    pub fn tick_again(self: &Arc<Self>, e: Entity) {
        let shard = self.clone();
        self.spawn("clock", async move {
            tokio::time::sleep(TICK_AGAIN).await;
            if !shard.is_closing() {
                shard.timers.arm_by(e, shard.clock.now());
            }
        });
    }

    /// The entity behind this actor is gone. Its last decisions are settled before a successor may
    /// read the store: one that went in peace has seen to that itself.
    fn entity_gone(self: &Arc<Self>, actor: ActorId, in_peace: bool) {
        let entity = {
            let mut entities = self.entities.lock();
            let Some(e) = entities.by_actor.remove(&actor) else { return };
            match entities.slots.get(&e) {
                Some(Slot::Stopping(gone)) if in_peace => {
                    gone.notify_waiters();
                    entities.slots.remove(&e);
                    if entities.slots.is_empty() {
                        self.emptied.notify_waiters();
                    }
                    return;
                }
                Some(Slot::Stopping(_)) => {}
                Some(Slot::Live(..)) | None => {
                    entities.slots.insert(e, Slot::Stopping(Arc::new(Notify::new())));
                }
            }
            e
        };
        let shard = self.clone();
        self.spawn("entities", async move {
            shard.services.lanes.barrier(&shard).await;
            let slot = shard.entities.lock().slots.remove(&entity);
            if let Some(Slot::Stopping(gone)) = slot {
                gone.notify_waiters();
            }
        });
    }

    /// Lets entities go that were not needed for a while; settled ones `at_once`, if so.
    fn passivate(&self, at_once: bool) {
        let now = self.clock.now().unsigned_abs();
        let speed = self.clock.speed();
        let pressed = self.services.is_pressed();
        let (mut idle, mut settled) = (self.services.idle_ms, self.services.settled_ms);
        if at_once || pressed {
            settled = 0;
        }
        if pressed {
            idle = idle.min(PRESSED_IDLE_MS);
        }
        let (idle, settled) = ((idle as f64 * speed) as u64, (settled as f64 * speed) as u64);
        let mut entities = self.entities.lock();
        let idle: Vec<Entity> = entities
            .slots
            .iter()
            .filter(|(_, slot)| match slot {
                Slot::Live(_, gauge) => {
                    let limit = if gauge.settled.load(Ordering::Relaxed) { settled } else { idle };
                    gauge.depth.load(Ordering::Relaxed) == 0
                        && now.saturating_sub(gauge.used_at.load(Ordering::Relaxed)) >= limit
                }
                Slot::Stopping(_) => false,
            })
            .map(|(e, _)| *e)
            .collect();
        for e in idle {
            let stopping = Slot::Stopping(Arc::new(Notify::new()));
            if let Some(Slot::Live(actor, _)) = entities.slots.insert(e, stopping) {
                // Draining finishes what came in before; what comes after waits at the slot.
                let _ = actor.cell().drain();
            }
        }
    }
}

pub(crate) struct ShardActor;

impl Actor for ShardActor {
    type Msg = ShardMsg;
    type State = Arc<Shard>;
    type Arguments = Arc<Shard>;

    async fn pre_start(
        &self,
        myself: ActorRef<ShardMsg>,
        shard: Arc<Shard>,
    ) -> Result<Arc<Shard>, ActorProcessingErr> {
        let _ = shard.actor.set(myself);
        crate::dispatch::recover(&shard).await?;
        shard.spawn("clock", crate::timers::run(shard.clone()));
        Ok(shard)
    }

    async fn handle(
        &self,
        myself: ActorRef<ShardMsg>,
        message: ShardMsg,
        shard: &mut Arc<Shard>,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            ShardMsg::Failed(room) => {
                shard.stop();
                Err(format!("its {room} has died").into())
            }
            ShardMsg::Deposed => {
                shard.stop();
                myself.stop(Some("deposed".into()));
                Ok(())
            }
            ShardMsg::Sweep => {
                shard.passivate(false);
                Ok(())
            }
            ShardMsg::Relieve => {
                shard.relieving.store(false, Ordering::Release);
                shard.passivate(true);
                Ok(())
            }
        }
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<ShardMsg>,
        event: SupervisionEvent,
        shard: &mut Arc<Shard>,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorTerminated(cell, ..) => shard.entity_gone(cell.get_id(), true),
            SupervisionEvent::ActorFailed(cell, why) => {
                tracing::debug!(shard = shard.id, why = %why, "an entity has died");
                shard.entity_gone(cell.get_id(), false);
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        _myself: ActorRef<ShardMsg>,
        shard: &mut Arc<Shard>,
    ) -> Result<(), ActorProcessingErr> {
        shard.stop();
        Ok(())
    }
}
