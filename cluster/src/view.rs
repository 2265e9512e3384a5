//! Who is there and who has what, as the store had it at one moment.

use crate::plan::plan;
use crate::rows::{Incarnation, Node, Owner, State};
use std::collections::BTreeMap;

/// A shard's row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// 0 where nobody has had it yet.
    pub epoch: u64,
    pub owner: Option<Owner>,
}

#[derive(Clone, Debug, Default)]
pub struct View {
    pub nodes: BTreeMap<String, Node>,
    /// How often ownership has changed.
    pub version: i64,
    pub holdings: Vec<Holding>,
}

impl View {
    /// Who has a shard, if that is a node that lives.
    pub fn owner(&self, shard: u16) -> Option<(&Owner, &Node)> {
        let owner = self.holdings.get(usize::from(shard))?.owner.as_ref()?;
        let node = self.nodes.get(&owner.node)?;
        (node.incarnation == owner.incarnation && node.state != State::Down).then_some((owner, node))
    }

    pub fn is_held_by(&self, shard: u16, name: &str, incarnation: &Incarnation) -> bool {
        let owner = self.holdings.get(usize::from(shard)).and_then(|h| h.owner.as_ref());
        owner.is_some_and(|owner| owner.node == name && owner.incarnation == *incarnation)
    }

    /// Shards of one life of a node, with their epochs.
    pub fn held_by(&self, name: &str, incarnation: &Incarnation) -> Vec<(u16, u64)> {
        let shards = (0u16..).zip(&self.holdings);
        shards
            .filter(|(shard, _)| self.is_held_by(*shard, name, incarnation))
            .map(|(shard, holding)| (shard, holding.epoch))
            .collect()
    }

    /// Nodes that may have shards; but for `without`.
    fn members(&self, without: Option<&str>) -> Vec<&str> {
        let active = self.nodes.iter().filter(|(_, node)| node.state == State::Active);
        active.map(|(name, _)| name.as_str()).filter(|name| Some(*name) != without).collect()
    }

    /// Which node is to have each shard; `None` where there is nobody. A node `without` which is reckoned is one that is
    /// being taken over.
    pub fn planned(&self, without: Option<&str>) -> Vec<Option<&str>> {
        let members = self.members(without);
        let index = |shard| {
            let (owner, _) = self.owner(shard)?;
            members.iter().position(|member| *member == owner.node)
        };
        let shards = u16::try_from(self.holdings.len()).unwrap_or(u16::MAX);
        let now: Vec<Option<usize>> = (0..shards).map(index).collect();
        plan(&now, &members).into_iter().map(|member| Some(members[member?])).collect()
    }
}
