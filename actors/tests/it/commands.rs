//! Commands, idempotency, many at once.

use crate::world::{Act, Carrier, World};
use futures_util::future::join_all;
use tandem_actors::{Key, SendError, query};
use tandem_domain::campaign::Limits;
use tandem_domain::customer::{self, Customer, Recognise};
use tandem_domain::id::{CallId, CompanyId, Entity};
use tandem_domain::machine::Rejection;
use uuid::Uuid;

async fn recognise(world: &World, company: CompanyId, call: u32) -> (Entity, customer::Command) {
    let contact = world.contact(company, 7).await;
    let command = customer::Command::Recognise(Box::new(Recognise {
        call: CallId(Uuid::from_u128(u128::from(call))),
        phone: contact.phone,
        last4: contact.last4,
        new_key: contact.new_key,
    }));
    (Entity::customer(company, contact.customer), command)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_at_once_make_one_customer_with_a_hundred_calls() {
    let world = World::start(Carrier::new(|_| Act::Answer)).await;
    let company = world.company(Limits::default()).await;
    let handle = world.handle();
    // The first contact stores the person's key; whoever raced it asks again.
    let (to, first) = recognise(&world, company, 0).await;
    handle.send::<Customer>(to, first, None).await.unwrap();
    let mut sends = Vec::new();
    for call in 1..100 {
        // Every message comes twice.
        for _ in 0..2 {
            let (to, command) = recognise(&world, company, call).await;
            let handle = handle.clone();
            sends.push(async move { handle.send::<Customer>(to, command, None).await });
        }
    }
    for answer in join_all(sends).await {
        answer.unwrap();
    }
    let view = handle.read::<Customer>(to).await.unwrap().unwrap();
    assert_eq!(view.state.total_calls, 100);
    let events = query::events::<Customer>(&*world.store, to, 1, 1_000).await.unwrap();
    assert_eq!(events.len() as u64, view.events);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_acts_once_also_after_the_entity_left_memory() {
    let world = World::start_with(Carrier::new(|_| Act::Answer), |o| {
        o.idle_ms = 0;
        o.settled_ms = 0;
    })
    .await;
    let company = world.company(Limits::default()).await;
    let (to, command) = recognise(&world, company, 1).await;
    let key = Key { key: [1; 16], request: [2; 16] };
    let handle = world.handle();
    let first = handle.send::<Customer>(to, command.clone(), Some(key)).await.unwrap();
    assert!(!first.replayed);
    for _ in 0..3_000 {
        if handle.load().entities == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(handle.load().entities, 0, "idle entities leave memory");
    let again = handle.send::<Customer>(to, command.clone(), Some(key)).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.events, first.events);
    let other = Key { key: [1; 16], request: [3; 16] };
    let refused = handle.send::<Customer>(to, command, Some(other)).await;
    assert!(matches!(refused, Err(SendError::Rejected(Rejection::KeyReused))));
}
