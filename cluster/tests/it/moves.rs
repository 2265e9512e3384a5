//! Shards move when nodes come, go and die.

use crate::world::{Node, SHARDS, World, is_settled, until};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use tandem_cluster::State;
use tandem_store::Read;

async fn epoch(world: &World, shard: u16) -> u64 {
    let mut tx = world.store.begin();
    let bytes = tx.get(&tandem_cluster::keys::epoch(shard), Read::Snapshot).await.unwrap().unwrap();
    u64::from_be_bytes(bytes.as_ref().try_into().unwrap())
}

/// What runs anywhere runs under the epoch that the store has.
async fn assert_current(world: &World, nodes: &[&Node]) {
    for node in nodes {
        for (shard, under) in node.shards.open_now() {
            assert_eq!(under, epoch(world, shard).await, "shard {shard} at {}", node.shards.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_moves_its_share_and_a_leave_gives_it_back() {
    let world = World::new();
    let a = world.join("a").await;
    until("a has all", || is_settled(&[&a])).await;
    let before = a.shards.open_now();
    let b = world.join("b").await;
    until("a and b share", || is_settled(&[&a, &b])).await;
    assert_eq!(a.shards.closed.lock().len(), usize::from(SHARDS) / 2, "no more than its share moves");
    assert!(a.shards.lost.lock().is_empty(), "every one was handed over");
    let c = world.join("c").await;
    until("a, b and c share", || is_settled(&[&a, &b, &c])).await;
    let moved = a.shards.closed.lock().len() + b.shards.closed.lock().len() - usize::from(SHARDS) / 2;
    assert!(moved <= usize::from(SHARDS) / 3 + 1, "{moved} moved for a third node");
    assert_current(&world, &[&a, &b, &c]).await;
    // What never moved is untouched.
    let still: BTreeMap<u16, u64> = a.shards.open_now();
    assert!(still.iter().all(|(shard, under)| before[shard] == *under));

    b.cluster.leave().await;
    assert!(b.shards.open_now().is_empty());
    b.cluster.end().await;
    until("a and c share", || is_settled(&[&a, &c])).await;
    assert_current(&world, &[&a, &c]).await;
    assert!(!a.cluster.view().nodes.contains_key("b") || !c.cluster.view().nodes.contains_key("b"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_is_noticed_and_taken_over() {
    let world = World::new();
    let (a, b, c) = (world.join("a").await, world.join("b").await, world.join("c").await);
    until("all share", || is_settled(&[&a, &b, &c])).await;
    let had: Vec<u16> = b.shards.open_now().into_keys().collect();
    let kept = a.shards.open_now();
    b.cluster.abort();
    until("a and c have everything", || is_settled(&[&a, &c])).await;
    assert_current(&world, &[&a, &c]).await;
    let now = a.shards.open_now();
    assert!(kept.iter().all(|(shard, under)| now.get(shard) == Some(under)), "nothing of the living moves");
    for shard in had {
        let (owner, _) = a.cluster.view().owner(shard).map(|(o, n)| (o.clone(), n.clone())).unwrap();
        assert_ne!(owner.node, "b");
    }
    let (seen, _) = a.cluster.status().await.unwrap();
    let dead = seen.iter().find(|seen| seen.name == "b").unwrap();
    assert_eq!((dead.node.state, dead.shards), (State::Down, 0));
    assert!(a.cluster.set_state("b", State::Draining).await.is_err());
    a.cluster.forget("b").await.unwrap();
    assert!(a.cluster.forget("b").await.is_err());
    assert!(a.cluster.forget("c").await.is_err(), "it lives");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_cut_off_gives_up_what_others_have_taken_and_comes_in_again() {
    let world = World::new();
    let (a, b) = (world.join("a").await, world.join("b").await);
    until("both share", || is_settled(&[&a, &b])).await;
    let before = b.cluster.view().nodes["b"].incarnation.clone();
    b.cut.store(true, Ordering::SeqCst);
    until("a has everything", || is_settled(&[&a])).await;
    // It knows nothing of that, and claims no truth for what it still has.
    until("b has no lease", || !b.cluster.is_leased()).await;
    b.cut.store(false, Ordering::SeqCst);
    until("both share again", || is_settled(&[&a, &b])).await;
    assert_current(&world, &[&a, &b]).await;
    assert_ne!(b.cluster.view().nodes["b"].incarnation, before);
    assert_eq!(b.shards.lost.lock().len(), usize::from(SHARDS) / 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_away_is_no_reason_to_take_anybody_over() {
    let world = World::new();
    let (a, b) = (world.join("a").await, world.join("b").await);
    until("both share", || is_settled(&[&a, &b])).await;
    let before = (a.shards.open_now(), b.shards.open_now());
    a.cut.store(true, Ordering::SeqCst);
    b.cut.store(true, Ordering::SeqCst);
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    a.cut.store(false, Ordering::SeqCst);
    b.cut.store(false, Ordering::SeqCst);
    until("both are sure again", || a.cluster.is_leased() && b.cluster.is_leased()).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!((a.shards.open_now(), b.shards.open_now()), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_node_has_nothing_until_it_is_activated() {
    let world = World::new();
    let (a, b) = (world.join("a").await, world.join("b").await);
    until("both share", || is_settled(&[&a, &b])).await;
    a.cluster.set_state("b", State::Draining).await.unwrap();
    until("a has everything", || is_settled(&[&a])).await;
    assert!(b.shards.lost.lock().is_empty(), "every one was handed over");
    assert!(b.cluster.ask(0, "x".into()).await.is_ok(), "it still forwards");
    a.cluster.set_state("b", State::Active).await.unwrap();
    until("both share again", || is_settled(&[&a, &b])).await;
    assert!(a.cluster.set_state("nobody", State::Active).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_died_begins_anew_under_a_new_epoch() {
    let world = World::new();
    let (a, b) = (world.join("a").await, world.join("b").await);
    until("both share", || is_settled(&[&a, &b])).await;
    let (shard, under) = a.shards.open_now().pop_first().unwrap();
    assert_eq!(a.cluster.reclaim(shard, under).await.unwrap(), Some(under + 1));
    assert_eq!(a.cluster.reclaim(shard, under).await.unwrap(), None, "that epoch is over");
    let (other, under) = b.shards.open_now().pop_first().unwrap();
    assert_eq!(a.cluster.reclaim(other, under).await.unwrap(), None, "it is not a's");
}
