//! Keys of a cluster: itself, its nodes, and who has which shard. Tuples, as everywhere in the store; the numbers of the
//! subspaces are among those of the whole key layout and for ever.

use tandem_store::tuple::{self, pack, unpack};

const EPOCH: u64 = 6;
const OWNER: u64 = 7;
const NODE: u64 = 12;
const CLUSTER: u64 = 13;

/// (Cluster) -> [`crate::rows::Cluster`]. Written by the first node, for ever.
pub fn cluster() -> Vec<u8> {
    pack(&(CLUSTER,))
}

/// (Cluster, 1) -> how often ownership has changed; a counter, so that whoever changes it conflicts with nobody.
pub fn version() -> Vec<u8> {
    pack(&(CLUSTER, 1u64))
}

/// (Node, name) -> [`crate::rows::Node`]. From the node's first start until it leaves or is forgotten.
pub fn node(name: &str) -> Vec<u8> {
    pack(&(NODE, name))
}

/// All nodes.
pub fn nodes() -> (Vec<u8>, Vec<u8>) {
    within(&pack(&(NODE,)))
}

/// (Epoch, shard) -> 8 bytes big-endian. Every commit of the shard reads it; it changes with the owner and never else.
pub fn epoch(shard: u16) -> Vec<u8> {
    pack(&(EPOCH, u64::from(shard)))
}

/// (Owner, shard) -> [`crate::rows::Owner`], written together with the epoch.
pub fn owner(shard: u16) -> Vec<u8> {
    pack(&(OWNER, u64::from(shard)))
}

pub fn epochs() -> (Vec<u8>, Vec<u8>) {
    within(&pack(&(EPOCH,)))
}

pub fn owners() -> (Vec<u8>, Vec<u8>) {
    within(&pack(&(OWNER,)))
}

/// The shard of an epoch's or owner's key.
pub fn shard_of(key: &[u8]) -> Option<u16> {
    let (_, shard): (u64, u64) = unpack(key).ok()?;
    u16::try_from(shard).ok()
}

fn within(prefix: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let end = tuple::strinc(prefix).unwrap_or_else(|| vec![0xff]);
    (prefix.to_vec(), end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(key: &[u8]) -> String {
        key.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// These bytes are in stores.
    #[test]
    fn keys_do_not_change() {
        assert_eq!(hex(&cluster()), "150d");
        assert_eq!(hex(&version()), "150d1501");
        assert_eq!(hex(&node("a")), "150c026100");
        assert_eq!(hex(&epoch(0)), "150614");
        assert_eq!(hex(&epoch(255)), "150615ff");
        assert_eq!(hex(&owner(256)), "1507160100");
    }

    #[test]
    fn shards_are_read_from_keys_in_order() {
        for shard in [0, 1, 255, 256, 4095, u16::MAX] {
            assert_eq!(shard_of(&epoch(shard)), Some(shard));
            assert_eq!(shard_of(&owner(shard)), Some(shard));
            let (begin, end) = epochs();
            assert!(begin <= epoch(shard) && epoch(shard) < end);
        }
        assert_eq!(shard_of(&node("a")), None);
    }
}
