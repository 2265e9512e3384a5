//! Who may come in.

use crate::world::{World, is_settled, until};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tandem_cluster::{JoinError, Protocol};

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_in_use_is_refused_and_a_dead_one_is_free() {
    let world = World::new();
    let a = world.join("a").await;
    let again = world.try_join("a", |_| {}).await;
    assert!(matches!(again, Err(JoinError::NameTaken { name, peer }) if name == "a" && !peer.is_empty()));
    until("a has all", || is_settled(&[&a])).await;
    a.cluster.abort();
    // Nobody else is there to take over: whoever comes finds out by itself.
    let a = world.join("a").await;
    until("a has all again", || is_settled(&[&a])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_cluster_and_another_number_of_shards_are_refused() {
    let world = World::new();
    let _a = world.join("a").await;
    let other = world.try_join("b", |o| o.cluster = "prod".into()).await;
    assert!(matches!(other, Err(JoinError::OtherCluster { stored, .. }) if stored == "test"));
    let other = world.try_join("b", |o| o.shards = 7).await;
    assert!(matches!(other, Err(JoinError::Shards { stored: 24, asked: 7 })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_hours_off_is_refused() {
    let world = World::new();
    let a = world.join("a").await;
    let off = |ms: i64| {
        let clock = Arc::new(AtomicI64::new(world.clock.load(Ordering::SeqCst) + ms));
        move |o: &mut tandem_cluster::Options| o.clock = Arc::new(move || clock.load(Ordering::SeqCst))
    };
    let other = world.try_join("b", off(-2 * 3_600_000)).await;
    assert!(matches!(other, Err(JoinError::Clock { ahead_ms, .. }) if ahead_ms == -2 * 3_600_000));
    let b = world.try_join("b", off(3_000)).await.unwrap();
    until("both share", || is_settled(&[&a, &b])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_without_a_common_protocol_do_not_mix_and_those_with_one_do() {
    let world = World::new();
    let a = world.try_join("a", |o| o.protocol = Protocol { min: 1, max: 2 }).await.unwrap();
    let other = world.try_join("b", |o| o.protocol = Protocol { min: 3, max: 4 }).await;
    assert!(matches!(other, Err(JoinError::Protocol { theirs: (1, 2), ours: (3, 4), .. })));
    let b = world.try_join("b", |o| o.protocol = Protocol { min: 2, max: 3 }).await.unwrap();
    until("both share", || is_settled(&[&a, &b])).await;
    let shard = b.shards.open_now().into_keys().next().unwrap();
    assert_eq!(a.cluster.ask(shard, "hello".into()).await.unwrap().as_ref(), b"b heard hello");
}
