//! A node: claims its shards, starts them, and starts them again when they die.

use crate::clock::Clock;
use crate::commit::Lanes;
use crate::dispatch::Breakers;
use crate::elsewhere::Elsewhere;
use crate::error::{SendError, StartError};
use crate::faults::{Faults, NoFaults};
use crate::handle::{Handle, Services};
use crate::keys;
use crate::pacer::Pacer;
use crate::perform::Performer;
use crate::policy::{RestartPolicy, Verdict};
use crate::shard::{Shard, ShardActor};
use crate::vault::Vault;
use crate::watch::Watchers;
use parking_lot::RwLock;
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tandem_domain::codec;
use tandem_domain::time::MINUTE;
use tandem_store::{CommitError, Read, Store};
use tokio::sync::{Semaphore, oneshot};

/// In so many parts idle entities are looked for.
const SWEEPS: usize = 16;
/// Version of the key layout.
pub(crate) const FORMAT: u32 = 1;

/// How a node runs its entities.
pub struct Options {
    /// Written down as the owner of its shards.
    pub name: String,
    /// Fixed with the first start on a store.
    pub shards: u16,
    /// Store transactions under way at once. One fills up while others are being made durable; more of them are for
    /// stores whose commits take long.
    pub lanes: usize,
    pub store: Arc<dyn Store>,
    /// Who has the shards that are not here. Without it all of them are claimed at the start; with it none is here until
    /// [`Handle::open`].
    pub elsewhere: Option<Arc<dyn Elsewhere>>,
    pub clock: Arc<dyn Clock>,
    pub performer: Arc<dyn Performer>,
    pub vault: Vault,
    /// Faults to be put in, in tests.
    pub faults: Arc<dyn Faults>,
    /// Random bits are drawn from this.
    pub seed: u64,
    /// Commands that may wait for one entity.
    pub mailbox_max: u32,
    /// Requests to carriers under way at once.
    pub carrier_requests_max: usize,
    /// An entity not needed for so long leaves memory.
    pub idle_ms: u64,
    /// The same for one to which nothing more can happen.
    pub settled_ms: u64,
    /// Entities in memory at once. Close to it those leave that are idle for a moment; at it commands
    /// to others are refused as overloaded.
    pub entities_max: usize,
}

impl Options {
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        performer: Arc<dyn Performer>,
        vault: Vault,
    ) -> Self {
        Options {
            name: "node".into(),
            shards: 256,
            lanes: 2,
            store,
            elsewhere: None,
            clock,
            performer,
            vault,
            faults: Arc::new(NoFaults),
            seed: 0,
            mailbox_max: 4_096,
            carrier_requests_max: 256,
            idle_ms: 120_000,
            settled_ms: 2_000,
            entities_max: 1_000_000,
        }
    }
}

/// A running node.
pub struct Node {
    handle: Handle,
    actor: ActorRef<NodeMsg>,
    joined: tokio::task::JoinHandle<()>,
}

impl Node {
    /// Starts it, and all shards where there is nobody else.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(options: Options) -> Result<Node, StartError> {
        let shards = options.shards;
        check_format(&*options.store, shards).await?;
        let services = Arc::new(Services {
            store: options.store,
            clock: options.clock,
            performer: options.performer,
            watchers: Arc::new(Watchers::default()),
            vault: options.vault,
            pacer: Pacer::default(),
            lanes: Lanes::new(options.lanes),
            breakers: Breakers::default(),
            slots: Semaphore::new(options.carrier_requests_max.max(1)),
            faults: options.faults,
            seed: options.seed,
            name: options.name.clone(),
            run: keys::name_hash(&options.name),
            elsewhere: options.elsewhere,
            mailbox_max: options.mailbox_max.max(1),
            idle_ms: options.idle_ms,
            settled_ms: options.settled_ms,
            entities: Arc::default(),
            entities_max: options.entities_max.max(1),
            shards: (0..shards).map(|_| RwLock::new(None)).collect(),
            supervisor: OnceLock::new(),
        });
        let (actor, joined) = Actor::spawn(None, NodeActor, (services.clone(), options.name))
            .await
            .map_err(|e| StartError::Spawn(e.to_string()))?;
        let _ = services.supervisor.set(actor.clone());
        Ok(Node { handle: Handle { services }, actor, joined })
    }

    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Stops all shards. What was acknowledged is durable already; what waits in outboxes is
    /// performed after the next start.
    pub async fn stop(self) {
        for id in 0..self.handle.services.shards.len() {
            let shard = self.handle.services.shards[id].write().take();
            if let Some(shard) = shard {
                // What was submitted comes to its end first.
                shard.services.lanes.barrier(&shard).await;
                shard.stop();
            }
        }
        self.actor.stop(Some("the node stops".into()));
        let _ = self.joined.await;
    }
}

impl Handle {
    /// Starts a shard that is this node's under `epoch`, as the store has it. Returns once it takes commands; does
    /// nothing where it is open already.
    ///
    /// # Errors
    /// Where what its last owner has left cannot be read: to be tried again.
    pub async fn open(&self, shard: u16, epoch: u64) -> Result<(), SendError> {
        const GONE: SendError = SendError::Unavailable("the node stops");
        let node = self.services.supervisor.get().ok_or(GONE)?;
        let (done, opened) = oneshot::channel();
        node.send_message(NodeMsg::Open(shard, epoch, done)).map_err(|_| GONE)?;
        opened.await.map_err(|_| GONE)?.map_err(SendError::Store)
    }

    /// Takes nothing new for a shard, finishes what has come in, and writes nothing of it once this returns. What is not
    /// finished after `at_most` is refused.
    pub async fn close(&self, shard: u16, at_most: Duration) {
        let Some(here) = self.services.here(shard) else { return };
        here.close(at_most).await;
        let mut slot = self.services.shards[usize::from(shard)].write();
        if slot.as_ref().is_some_and(|now| Arc::ptr_eq(now, &here)) {
            *slot = None;
        }
    }

    /// Gives a shard up at once: it is somebody else's by now.
    pub fn drop_shard(&self, shard: u16, epoch: u64) {
        if let Some(here) = self.services.here(shard).filter(|here| here.epoch <= epoch) {
            here.stop();
            here.deposed();
        }
    }

    /// The epochs under which shards are open here.
    pub fn open_shards(&self) -> Vec<(u16, u64)> {
        let open = |slot: &RwLock<Option<Arc<Shard>>>| slot.read().as_ref().map(|s| (s.id, s.epoch));
        self.services.shards.iter().filter_map(open).collect()
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) struct Format {
    pub layout: u32,
    pub shards: u16,
}

async fn check_format(store: &dyn Store, shards: u16) -> Result<(), StartError> {
    loop {
        let mut tx = store.begin();
        if let Some(found) = tx.get(&keys::format(), Read::Conflict).await? {
            let format: Format = codec::decode(&found).map_err(|_| StartError::Format(0))?;
            if format.layout != FORMAT {
                return Err(StartError::Format(format.layout));
            }
            if format.shards != shards {
                return Err(StartError::Shards { stored: format.shards, asked: shards });
            }
            return Ok(());
        }
        tx.set(keys::format(), codec::encode(&Format { layout: FORMAT, shards }));
        match tx.commit().await {
            Ok(()) => return Ok(()),
            Err(CommitError::Store(e)) => return Err(e.into()),
            Err(CommitError::Conflict | CommitError::Unknown(_)) => {}
        }
    }
}

/// Raises the epochs of these shards and writes this node down as their owner.
async fn claim(store: &dyn Store, shards: &[u16], name: &str) -> Result<Vec<u64>, StartError> {
    for _ in 0..32 {
        let mut tx = store.begin();
        let mut epochs = Vec::with_capacity(shards.len());
        for shard in shards {
            let key = keys::epoch(*shard);
            let old = tx.get(&key, Read::Conflict).await?;
            let old = old.and_then(|b| b.as_ref().try_into().ok()).map_or(0, u64::from_be_bytes);
            tx.set(key, (old + 1).to_be_bytes().to_vec());
            tx.set(keys::owner(*shard), name.as_bytes().to_vec());
            epochs.push(old + 1);
        }
        match tx.commit().await {
            Ok(()) => return Ok(epochs),
            Err(CommitError::Store(e)) => return Err(e.into()),
            // An unknown outcome may have raised them; raising them once more does no harm.
            Err(CommitError::Conflict | CommitError::Unknown(_)) => {}
        }
    }
    Err(StartError::Claim("others keep claiming them".into()))
}

struct NodeActor;

pub(crate) enum NodeMsg {
    Sweep,
    /// A shard that has died is to be claimed again, and started.
    Restart(u16, u64),
    /// A shard is ours under this epoch.
    Open(u16, u64, oneshot::Sender<Result<(), String>>),
}

struct NodeState {
    services: Arc<Services>,
    name: String,
    shards: HashMap<ActorId, u16>,
    policies: HashMap<u16, RestartPolicy>,
    /// The shard that idle entities have left last.
    swept: usize,
}

impl NodeState {
    /// Under which epoch a shard that has died here may be started again; `None` where it is another node's.
    async fn reclaim(&self, id: u16, epoch: u64) -> Result<Option<u64>, String> {
        match &self.services.elsewhere {
            Some(elsewhere) => elsewhere.reclaim(id, epoch).await.map_err(|e| e.to_string()),
            None => {
                let epochs = claim(&*self.services.store, &[id], &self.name).await;
                epochs.map(|epochs| epochs.first().copied()).map_err(|e| e.to_string())
            }
        }
    }

    async fn open(&mut self, myself: &ActorRef<NodeMsg>, id: u16, epoch: u64) -> Result<(), String> {
        match self.services.here(id) {
            Some(here) if here.epoch >= epoch => return Ok(()),
            // Under an epoch that is over: it can write nothing any more.
            Some(old) => {
                old.stop();
                if let Some((actor, _)) = self.shards.iter().find(|(_, shard)| **shard == id) {
                    let actor = *actor;
                    self.shards.remove(&actor);
                }
                old.leave("it is opened anew");
            }
            None => {}
        }
        self.start_shard(myself, id, epoch).await.map_err(|e| e.to_string())
    }

    async fn start_shard(
        &mut self,
        myself: &ActorRef<NodeMsg>,
        id: u16,
        epoch: u64,
    ) -> Result<(), ActorProcessingErr> {
        let shard = Shard::new(id, epoch, self.services.clone());
        let (actor, _) = Actor::spawn_linked(None, ShardActor, shard.clone(), myself.get_cell()).await?;
        self.shards.insert(actor.get_id(), id);
        *self.services.shards[usize::from(id)].write() = Some(shard);
        Ok(())
    }
}

impl Actor for NodeActor {
    type Msg = NodeMsg;
    type State = NodeState;
    type Arguments = (Arc<Services>, String);

    async fn pre_start(
        &self,
        myself: ActorRef<NodeMsg>,
        (services, name): Self::Arguments,
    ) -> Result<NodeState, ActorProcessingErr> {
        let count = u16::try_from(services.shards.len())?;
        let ids: Vec<u16> = if services.elsewhere.is_some() { Vec::new() } else { (0..count).collect() };
        let epochs = claim(&*services.store, &ids, &name).await?;
        let mut state =
            NodeState { services, name, shards: HashMap::new(), policies: HashMap::new(), swept: 0 };
        for (id, epoch) in ids.into_iter().zip(epochs) {
            state.start_shard(&myself, id, epoch).await?;
        }
        let round = Duration::from_millis(state.services.settled_ms.clamp(50, 1_000));
        let every = round / u32::try_from(SWEEPS.min(usize::from(count)).max(1))?;
        // The handle goes with the actor: it ends when the actor is gone.
        drop(myself.send_interval(every, || NodeMsg::Sweep));
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<NodeMsg>,
        message: NodeMsg,
        state: &mut NodeState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            NodeMsg::Sweep => {
                let shards = &state.services.shards;
                // A few at a time, so that nobody waits for all those who leave at once.
                for _ in 0..shards.len().div_ceil(SWEEPS) {
                    state.swept = (state.swept + 1) % shards.len();
                    if let Some(shard) = shards[state.swept].read().as_ref() {
                        shard.sweep();
                    }
                }
            }
            NodeMsg::Restart(id, epoch) => {
                if state.services.here(id).is_some() {
                    return Ok(());
                }
                let started = match state.reclaim(id, epoch).await {
                    Ok(Some(epoch)) => state.start_shard(&myself, id, epoch).await.map_err(|e| e.to_string()),
                    Ok(None) => Ok(()),
                    Err(e) => Err(e),
                };
                if let Err(e) = started {
                    tracing::error!(shard = id, error = e, "the shard could not be claimed again; trying on");
                    drop(myself.send_after(Duration::from_secs(1), move || NodeMsg::Restart(id, epoch)));
                }
            }
            NodeMsg::Open(id, epoch, done) => {
                let opened = state.open(&myself, id, epoch).await;
                let _ = done.send(opened);
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<NodeMsg>,
        event: SupervisionEvent,
        state: &mut NodeState,
    ) -> Result<(), ActorProcessingErr> {
        let (cell, why) = match event {
            SupervisionEvent::ActorFailed(cell, why) => (cell, why.to_string()),
            SupervisionEvent::ActorTerminated(cell, _, why) => (cell, why.unwrap_or_default()),
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => return Ok(()),
        };
        let Some(id) = state.shards.remove(&cell.get_id()) else { return Ok(()) };
        let old = state.services.shards[usize::from(id)].write().take();
        let Some(old) = old else {
            // It was closed, or the node itself is stopping.
            return Ok(());
        };
        if old.is_closed() {
            // Whoever closes it is just about to take it away.
            return Ok(());
        }
        old.stop();
        let epoch = old.epoch;
        if why == "deposed" {
            tracing::warn!(shard = id, epoch, "the shard has another owner now");
            if let Some(elsewhere) = &state.services.elsewhere {
                elsewhere.deposed(id, epoch);
            }
            return Ok(());
        }
        metrics::counter!("tandem_shard_restarts_total").increment(1);
        let policy = state.policies.entry(id).or_insert_with(|| RestartPolicy::new(5, MINUTE));
        match policy.died(state.services.clock.now()) {
            Verdict::Restart => {
                tracing::error!(shard = id, why, "the shard has died and is claimed again");
                myself.send_message(NodeMsg::Restart(id, epoch))?;
            }
            Verdict::GiveUp => {
                // It would die again at once; a while later the cause may have gone.
                tracing::error!(shard = id, why, "the shard keeps dying; it is left alone for a while");
                drop(myself.send_after(Duration::from_secs(30), move || NodeMsg::Restart(id, epoch)));
            }
        }
        Ok(())
    }
}
