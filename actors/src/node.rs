//! A node: claims its shards, starts them, and starts them again when they die.

use crate::clock::Clock;
use crate::commit::Lanes;
use crate::dispatch::Breakers;
use crate::error::StartError;
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
use std::sync::Arc;
use std::time::Duration;
use tandem_domain::codec;
use tandem_domain::time::MINUTE;
use tandem_store::{CommitError, Read, Store};
use tokio::sync::Semaphore;

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
    /// Claims all shards and starts them.
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
            mailbox_max: options.mailbox_max.max(1),
            idle_ms: options.idle_ms,
            settled_ms: options.settled_ms,
            entities: Arc::default(),
            entities_max: options.entities_max.max(1),
            shards: (0..shards).map(|_| RwLock::new(None)).collect(),
        });
        let (actor, joined) = Actor::spawn(None, NodeActor, (services.clone(), options.name))
            .await
            .map_err(|e| StartError::Spawn(e.to_string()))?;
        Ok(Node { handle: Handle { services }, actor, joined })
    }

    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Stops all shards. What was acknowledged is durable already; what waits in outboxes is
    /// performed after the next start.
    pub async fn stop(self) {
        for slot in &self.handle.services.shards {
            let shard = slot.write().take();
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

enum NodeMsg {
    Sweep,
    Restart(u16),
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
        let ids: Vec<u16> = (0..count).collect();
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
            NodeMsg::Restart(id) => {
                let claimed = claim(&*state.services.store, &[id], &state.name).await;
                let started = match claimed {
                    Ok(epochs) => state.start_shard(&myself, id, epochs[0]).await.map_err(|e| e.to_string()),
                    Err(e) => Err(e.to_string()),
                };
                if let Err(e) = started {
                    tracing::error!(shard = id, error = e, "the shard could not be claimed again; trying on");
                    drop(myself.send_after(Duration::from_secs(1), move || NodeMsg::Restart(id)));
                }
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
        if let Some(old) = old {
            old.stop();
        } else {
            // The node itself is stopping.
            return Ok(());
        }
        if why == "deposed" {
            tracing::warn!(shard = id, "the shard has another owner now");
            return Ok(());
        }
        metrics::counter!("tandem_shard_restarts_total").increment(1);
        let policy = state.policies.entry(id).or_insert_with(|| RestartPolicy::new(5, MINUTE));
        match policy.died(state.services.clock.now()) {
            Verdict::Restart => {
                tracing::error!(shard = id, why, "the shard has died and is claimed again");
                myself.send_message(NodeMsg::Restart(id))?;
            }
            Verdict::GiveUp => {
                // It would die again at once; a while later the cause may have gone.
                tracing::error!(shard = id, why, "the shard keeps dying; it is left alone for a while");
                drop(myself.send_after(Duration::from_secs(30), move || NodeMsg::Restart(id)));
            }
        }
        Ok(())
    }
}
