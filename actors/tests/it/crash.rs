//! Nodes that stop in the middle and start again on the same store.

use crate::world::{Act, Carrier, World, config};
use std::collections::HashSet;
use tandem_actors::query;
use tandem_domain::campaign::{self, Campaign, Limits};
use tandem_domain::id::Entity;
use tandem_domain::retry::Disposition;

#[tokio::test(flavor = "multi_thread")]
async fn a_deposed_node_writes_nothing_and_its_successor_goes_on() {
    let carrier = Carrier::new(|_| Act::Answer);
    let mut world = World::start(carrier).await;
    let company = world.company(Limits::default()).await;
    let mut slow = config();
    slow.limits.milli_cps = 200_000;
    let id = world.campaign(company, 100, slow).await;
    let to = Entity::campaign(company, id);
    world.handle().send::<Campaign>(to, campaign::Command::Start, None).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    // Another node takes over while the first still runs.
    let old = world.node.take().unwrap();
    world.restart().await;
    let state = world.finished(company, id).await;
    let ended: u32 = Disposition::ALL.iter().map(|d| state.counts.of(*d)).sum();
    assert_eq!(ended, 100);
    let refused = old.handle().send::<Campaign>(to, campaign::Command::Stop, None).await;
    assert!(refused.is_err_and(|e| e.is_retryable()), "a deposed node answers nothing");
    assert_eq!(query::permits(&*world.store, company, id).await.unwrap(), 0);
    let dialed: Vec<_> = world.carrier.dials.lock().iter().map(|(a, _)| *a).collect();
    let once: HashSet<_> = dialed.iter().copied().collect();
    assert_eq!(dialed.len(), once.len());
    old.stop().await;
}
