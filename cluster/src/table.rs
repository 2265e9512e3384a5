//! The transactions on the rows of a cluster. Every change of ownership raises the shard's epoch, which every commit of
//! the shard reads: that, and nothing else, keeps a node from writing what is not its own any more.

use crate::error::ChangeError;
use crate::keys;
use crate::rows::{self, Incarnation, Node, Owner, State};
use crate::view::{Holding, View};
use std::collections::BTreeMap;
use std::sync::Arc;
use tandem_store::{CommitError, Range, Read, Row, Store, Transaction};

/// A change that others keep overtaking is given up after so many tries.
const TRIES_MAX: u32 = 32;
/// Nodes of a cluster that are looked at.
const NODES_MAX: usize = 1_000;
const ROWS_MAX: usize = 8_192;

#[derive(Clone)]
pub struct Table {
    pub store: Arc<dyn Store>,
    pub shards: u16,
}

/// What a renewal has found.
pub enum Renewed {
    /// All nodes, and who has what if that is not as it was under `known`.
    Still { nodes: BTreeMap<String, Node>, view: Option<View> },
    /// This life of the node is over: it was taken for dead, or another process has its name.
    Expelled { by_name: bool },
}

async fn rows_of(
    tx: &mut dyn Transaction,
    (begin, end): (Vec<u8>, Vec<u8>),
    limit: usize,
    read: Read,
) -> Result<Vec<Row>, ChangeError> {
    Ok(tx.range(Range { begin, end, limit, reverse: false }, read).await?)
}

fn name_of(key: &[u8]) -> Option<String> {
    let (_, name): (u64, String) = tandem_store::tuple::unpack(key).ok()?;
    Some(name)
}

async fn read_nodes(tx: &mut dyn Transaction) -> Result<BTreeMap<String, Node>, ChangeError> {
    let rows = rows_of(tx, keys::nodes(), NODES_MAX, Read::Snapshot).await?;
    let node = |(key, value): &Row| {
        let name = name_of(key);
        let node = rows::decode(value);
        match (name, node) {
            (Some(name), Ok(node)) => Some((name, node)),
            _ => {
                tracing::error!("a node's row cannot be read and is passed over");
                None
            }
        }
    };
    Ok(rows.iter().filter_map(node).collect())
}

async fn read_version(tx: &mut dyn Transaction) -> Result<i64, ChangeError> {
    let bytes = tx.get(&keys::version(), Read::Snapshot).await?;
    Ok(bytes.and_then(|b| b.as_ref().try_into().ok()).map_or(0, i64::from_le_bytes))
}

async fn read_epoch(tx: &mut dyn Transaction, shard: u16, read: Read) -> Result<u64, ChangeError> {
    let bytes = tx.get(&keys::epoch(shard), read).await?;
    Ok(bytes.and_then(|b| b.as_ref().try_into().ok()).map_or(0, u64::from_be_bytes))
}

async fn read_holdings(
    tx: &mut dyn Transaction,
    shards: u16,
    read: Read,
) -> Result<Vec<Holding>, ChangeError> {
    let mut holdings = vec![Holding::default(); usize::from(shards)];
    for (key, value) in rows_of(tx, keys::epochs(), ROWS_MAX, read).await? {
        let place = keys::shard_of(&key).and_then(|shard| holdings.get_mut(usize::from(shard)));
        if let (Some(place), Ok(epoch)) = (place, value.as_ref().try_into()) {
            place.epoch = u64::from_be_bytes(epoch);
        }
    }
    for (key, value) in rows_of(tx, keys::owners(), ROWS_MAX, Read::Snapshot).await? {
        if let Some(place) = keys::shard_of(&key).and_then(|shard| holdings.get_mut(usize::from(shard))) {
            place.owner = rows::decode_owner(&value);
        }
    }
    Ok(holdings)
}

fn give(tx: &mut dyn Transaction, shard: u16, epoch: u64, to: &Owner) {
    tx.set(keys::epoch(shard), epoch.to_be_bytes().to_vec());
    tx.set(keys::owner(shard), rows::encode(to));
}

fn changed(tx: &mut dyn Transaction) {
    tx.add(keys::version(), 1);
}

/// Commits; `Ok(false)`: to be tried again.
async fn commit(tx: Box<dyn Transaction>) -> Result<bool, ChangeError> {
    match tx.commit().await {
        Ok(()) => Ok(true),
        // What every change checks first tells whether it has been made already.
        Err(CommitError::Conflict | CommitError::Unknown(_)) => Ok(false),
        Err(CommitError::Store(e)) => Err(e.into()),
    }
}

impl Table {
    /// Everything, as it is.
    pub async fn view(&self) -> Result<View, ChangeError> {
        let mut tx = self.store.begin();
        let nodes = read_nodes(&mut *tx).await?;
        self.view_in(&mut *tx, nodes, Read::Snapshot).await
    }

    async fn view_in(
        &self,
        tx: &mut dyn Transaction,
        nodes: BTreeMap<String, Node>,
        read: Read,
    ) -> Result<View, ChangeError> {
        let version = read_version(tx).await?;
        let holdings = read_holdings(tx, self.shards, read).await?;
        Ok(View { nodes, version, holdings })
    }

    /// Writes down that the cluster exists; what is written down about it.
    pub async fn found(&self, cluster: &rows::Cluster) -> Result<rows::Cluster, ChangeError> {
        for _ in 0..TRIES_MAX {
            let mut tx = self.store.begin();
            if let Some(bytes) = tx.get(&keys::cluster(), Read::Conflict).await? {
                return Ok(rows::decode(&bytes)?);
            }
            tx.set(keys::cluster(), rows::encode(cluster));
            if commit(tx).await? {
                return Ok(cluster.clone());
            }
        }
        Err(ChangeError::Contended)
    }

    /// Writes a node's row for the first time in this life. `over` is the dead life of it that may be written over; any
    /// other that is not down is in the way.
    pub async fn join(&self, name: &str, node: &Node, over: Option<&Incarnation>) -> Result<(), ChangeError> {
        for _ in 0..TRIES_MAX {
            let mut tx = self.store.begin();
            if let Some(bytes) = tx.get(&keys::node(name), Read::Conflict).await? {
                let there: Node = rows::decode(&bytes)?;
                if there.incarnation == node.incarnation {
                    return Ok(());
                }
                if there.state != State::Down && Some(&there.incarnation) != over {
                    return Err(ChangeError::Overtaken);
                }
            }
            tx.set(keys::node(name), rows::encode(node));
            changed(&mut *tx);
            if commit(tx).await? {
                return Ok(());
            }
        }
        Err(ChangeError::Contended)
    }

    /// Renews a node's place, and looks around. `known` is the version under which the caller knows who has what.
    pub async fn renew(
        &self,
        name: &str,
        incarnation: &Incarnation,
        known: i64,
        clock_ms: i64,
    ) -> Result<Renewed, ChangeError> {
        let mut tx = self.store.begin();
        let Some(bytes) = tx.get(&keys::node(name), Read::Conflict).await? else {
            return Ok(Renewed::Expelled { by_name: false });
        };
        let mut mine: Node = rows::decode(&bytes)?;
        if mine.incarnation != *incarnation {
            return Ok(Renewed::Expelled { by_name: mine.state != State::Down });
        }
        if mine.state == State::Down {
            return Ok(Renewed::Expelled { by_name: false });
        }
        mine.counter += 1;
        mine.clock_ms = clock_ms;
        tx.set(keys::node(name), rows::encode(&mine));
        let nodes = read_nodes(&mut *tx).await?;
        let view = if read_version(&mut *tx).await? == known {
            None
        } else {
            Some(self.view_in(&mut *tx, nodes.clone(), Read::Snapshot).await?)
        };
        if commit(tx).await? { Ok(Renewed::Still { nodes, view }) } else { Err(ChangeError::Overtaken) }
    }

    /// Claims those of `wanted` that nobody who lives has; which they were, with their epochs.
    pub async fn claim(
        &self,
        wanted: &[u16],
        name: &str,
        incarnation: &Incarnation,
    ) -> Result<Vec<(u16, u64)>, ChangeError> {
        let me = Owner { node: name.to_owned(), incarnation: incarnation.clone() };
        for _ in 0..TRIES_MAX {
            let mut tx = self.store.begin();
            let nodes = read_nodes(&mut *tx).await?;
            if nodes
                .get(name)
                .is_none_or(|node| node.incarnation != *incarnation || node.state != State::Active)
            {
                return Err(ChangeError::Overtaken);
            }
            let view = self.view_in(&mut *tx, nodes, Read::Snapshot).await?;
            let mut claimed = Vec::new();
            for shard in wanted {
                let Some(holding) = view.holdings.get(usize::from(*shard)) else { continue };
                if holding.owner.as_ref() == Some(&me) {
                    // An earlier try has succeeded and its outcome was lost.
                    claimed.push((*shard, holding.epoch));
                    continue;
                }
                if view.owner(*shard).is_none() {
                    let epoch = read_epoch(&mut *tx, *shard, Read::Conflict).await? + 1;
                    give(&mut *tx, *shard, epoch, &me);
                    claimed.push((*shard, epoch));
                }
            }
            changed(&mut *tx);
            if commit(tx).await? {
                return Ok(claimed);
            }
        }
        Err(ChangeError::Contended)
    }

    /// Raises the epoch of a shard that `me` has under `epoch`: it begins anew.
    pub async fn reclaim(
        &self,
        shard: u16,
        epoch: u64,
        name: &str,
        incarnation: &Incarnation,
    ) -> Result<u64, ChangeError> {
        let me = Owner { node: name.to_owned(), incarnation: incarnation.clone() };
        self.pass(shard, epoch, &me, &me).await
    }

    /// Gives a shard that `from` has under `epoch` to another node; the epoch under which that has it.
    pub async fn hand_over(
        &self,
        shard: u16,
        epoch: u64,
        from: &Owner,
        to: &Owner,
    ) -> Result<u64, ChangeError> {
        self.pass(shard, epoch, from, to).await
    }

    async fn pass(&self, shard: u16, epoch: u64, from: &Owner, to: &Owner) -> Result<u64, ChangeError> {
        let mut lost = false;
        for _ in 0..TRIES_MAX {
            let mut tx = self.store.begin();
            let now = read_epoch(&mut *tx, shard, Read::Conflict).await?;
            let owner = tx.get(&keys::owner(shard), Read::Snapshot).await?;
            let owner = owner.and_then(|bytes| rows::decode_owner(&bytes));
            if lost && now == epoch + 1 && owner.as_ref() == Some(to) {
                return Ok(now);
            }
            if now != epoch || owner.as_ref() != Some(from) {
                return Err(ChangeError::Overtaken);
            }
            give(&mut *tx, shard, epoch + 1, to);
            changed(&mut *tx);
            match tx.commit().await {
                Ok(()) => return Ok(epoch + 1),
                Err(CommitError::Conflict) => {}
                Err(CommitError::Unknown(_)) => lost = true,
                Err(CommitError::Store(e)) => return Err(e.into()),
            }
        }
        Err(ChangeError::Contended)
    }

    /// Takes a node over that has not renewed its place since `counter`: it is down from now on, and those that live have
    /// its shards. Who they are.
    pub async fn take_over(
        &self,
        dead: &str,
        incarnation: &Incarnation,
        counter: u64,
    ) -> Result<Vec<String>, ChangeError> {
        for _ in 0..TRIES_MAX {
            let mut tx = self.store.begin();
            let Some(bytes) = tx.get(&keys::node(dead), Read::Conflict).await? else {
                return Err(ChangeError::Overtaken);
            };
            let mut row: Node = rows::decode(&bytes)?;
            if row.incarnation != *incarnation || row.counter != counter || row.state == State::Down {
                return Err(ChangeError::Overtaken);
            }
            let nodes = read_nodes(&mut *tx).await?;
            let view = self.view_in(&mut *tx, nodes, Read::Conflict).await?;
            let mut heirs = Vec::new();
            let planned = view.planned(Some(dead));
            for (shard, epoch) in view.held_by(dead, incarnation) {
                // Nobody is left: whoever comes next claims it.
                let Some(heir) = planned.get(usize::from(shard)).copied().flatten() else { continue };
                let Some(node) = view.nodes.get(heir) else { continue };
                let owner = Owner { node: heir.to_owned(), incarnation: node.incarnation.clone() };
                give(&mut *tx, shard, epoch + 1, &owner);
                if heirs.iter().all(|known| known != heir) {
                    heirs.push(heir.to_owned());
                }
            }
            row.state = State::Down;
            tx.set(keys::node(dead), rows::encode(&row));
            changed(&mut *tx);
            if commit(tx).await? {
                return Ok(heirs);
            }
        }
        Err(ChangeError::Contended)
    }

    /// Sets the state of a node that lives.
    pub async fn set_state(&self, name: &str, state: State) -> Result<(), ChangeError> {
        for _ in 0..TRIES_MAX {
            let mut tx = self.store.begin();
            let Some(bytes) = tx.get(&keys::node(name), Read::Conflict).await? else {
                return Err(ChangeError::NoNode(name.to_owned()));
            };
            let mut node: Node = rows::decode(&bytes)?;
            if node.state == State::Down {
                let why = "it has no shards any more; it joins by itself when it is started";
                return Err(ChangeError::Not { name: name.to_owned(), state: "down", why });
            }
            if node.state == state {
                return Ok(());
            }
            node.state = state;
            tx.set(keys::node(name), rows::encode(&node));
            changed(&mut *tx);
            if commit(tx).await? {
                return Ok(());
            }
        }
        Err(ChangeError::Contended)
    }

    /// Removes the row of a node that leaves.
    pub async fn leave(&self, name: &str, incarnation: &Incarnation) -> Result<(), ChangeError> {
        self.remove(
            name,
            |node| {
                if node.incarnation == *incarnation { Ok(()) } else { Err(ChangeError::Overtaken) }
            },
        )
        .await
    }

    /// Removes the row of a node that is down.
    pub async fn forget(&self, name: &str) -> Result<(), ChangeError> {
        self.remove(name, |node| match node.state {
            State::Down => Ok(()),
            State::Active | State::Draining => {
                let why = "only a node that is down can be forgotten; stop it first";
                Err(ChangeError::Not { name: name.to_owned(), state: "running", why })
            }
        })
        .await
    }

    async fn remove(
        &self,
        name: &str,
        may: impl Fn(&Node) -> Result<(), ChangeError>,
    ) -> Result<(), ChangeError> {
        for tries in 0..TRIES_MAX {
            let mut tx = self.store.begin();
            let Some(bytes) = tx.get(&keys::node(name), Read::Conflict).await? else {
                return if tries > 0 { Ok(()) } else { Err(ChangeError::NoNode(name.to_owned())) };
            };
            may(&rows::decode(&bytes)?)?;
            tx.clear(keys::node(name));
            changed(&mut *tx);
            if commit(tx).await? {
                return Ok(());
            }
        }
        Err(ChangeError::Contended)
    }
}
