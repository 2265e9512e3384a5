//! Who stays in memory, and how many there may be.

use crate::world::{Act, Carrier, World};
use futures_util::future::join_all;
use std::time::Duration;
use tandem_actors::{Handle, SendError};
use tandem_domain::campaign::Limits;
use tandem_domain::customer::{Command, Customer};
use tandem_domain::id::{CompanyId, CustomerId, Entity};
use tandem_domain::row::DncSource;
use uuid::Uuid;

const HOUR_MS: u64 = 3_600_000;

/// Somebody whom nobody knows.
fn stranger(company: CompanyId, n: u128) -> Entity {
    Entity::customer(company, CustomerId(Uuid::from_u128(n)))
}

async fn do_not_call(handle: &Handle, to: Entity) -> Result<(), SendError> {
    let command = Command::DoNotCall { source: DncSource::List, call: None };
    handle.send::<Customer>(to, command, None).await.map(drop)
}

async fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    for _ in 0..3_000 {
        if happened() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("did not happen: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_exist_leaves_as_soon_as_who_has_ended() {
    let carrier = Carrier::new(|_| Act::Answer);
    let world = World::start_with(carrier, |o| (o.idle_ms, o.settled_ms) = (HOUR_MS, 50)).await;
    let company = world.company(Limits::default()).await;
    let handle = world.handle();
    // The company, and the campaign of its single calls, which is made by a message.
    eventually("they are there", || handle.entities() == 2).await;
    for n in 0..20 {
        do_not_call(&handle, stranger(company, n)).await.expect("entered");
        let looked = handle.read::<Customer>(stranger(company, 1_000 + n)).await.expect("readable");
        assert!(looked.is_none());
    }
    eventually("they leave", || handle.entities() <= 2).await;
    assert!(handle.load().entities <= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_goes_through_many_can_let_them_go_at_once() {
    let carrier = Carrier::new(|_| Act::Answer);
    let world = World::start_with(carrier, |o| (o.idle_ms, o.settled_ms) = (HOUR_MS, HOUR_MS)).await;
    let company = world.company(Limits::default()).await;
    let handle = world.handle();
    // The company, and the campaign of its single calls, which is made by a message.
    eventually("they are there", || handle.entities() == 2).await;
    for n in 0..20 {
        do_not_call(&handle, stranger(company, n)).await.expect("entered");
    }
    assert_eq!(handle.entities(), 22);
    handle.relieve();
    eventually("they leave, and nobody else", || handle.entities() == 2).await;
}

/// On one thread, so that none of those who were first can leave before the last was sent.
#[tokio::test]
async fn a_full_node_refuses_whoever_is_not_in_memory_and_has_room_again_soon() {
    const MAX: usize = 16;
    let carrier = Carrier::new(|_| Act::Answer);
    let with = |o: &mut tandem_actors::Options| {
        (o.idle_ms, o.settled_ms, o.entities_max) = (HOUR_MS, HOUR_MS, MAX);
    };
    let world = World::start_with(carrier, with).await;
    let company = world.company(Limits::default()).await;
    let handle = world.handle();
    let all = join_all((0..100).map(|n| do_not_call(&handle, stranger(company, n)))).await;
    let entered = all.iter().filter(|told| told.is_ok()).count();
    assert!(entered < MAX, "{entered}");
    assert!(
        all.iter().flat_map(|told| told.as_ref().err()).all(|e| matches!(e, SendError::Overloaded("node")))
    );
    // Those who are there are still served.
    let present = all.iter().position(Result::is_ok).expect("some") as u128;
    do_not_call(&handle, stranger(company, present)).await.expect("entered");
    for n in 0..100 {
        let mut tries = 0;
        while let Err(e) = do_not_call(&handle, stranger(company, n)).await {
            assert!(matches!(e, SendError::Overloaded("node")), "{e}");
            tries += 1;
            assert!(tries < 3_000, "it never has room again");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(handle.entities() <= MAX);
    }
}

/// The first thing that is ever asked of somebody, under a key, changes nothing of theirs; the key is known all the same
/// when they come back from the store.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_used_with_a_stranger_is_remembered() {
    let carrier = Carrier::new(|_| Act::Answer);
    let world = World::start_with(carrier, |o| (o.idle_ms, o.settled_ms) = (HOUR_MS, 50)).await;
    let company = world.company(Limits::default()).await;
    let (handle, to) = (world.handle(), stranger(company, 7));
    let command = Command::DoNotCall { source: DncSource::List, call: None };
    let key = Some(tandem_actors::Key { key: [3; 16], request: [4; 16] });
    let first = handle.send::<Customer>(to, command.clone(), key).await.expect("entered");
    assert!(!first.replayed);
    eventually("they leave", || handle.entities() <= 2).await;
    let again = handle.send::<Customer>(to, command, key).await.expect("entered");
    assert!(again.replayed);
}
