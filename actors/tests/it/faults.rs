//! Entities and rooms that die.

use crate::world::{Act, Carrier, World, config};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use tandem_actors::{Faults, SendError, query};
use tandem_domain::campaign::{self, Campaign, Limits};
use tandem_domain::customer::{self, Customer};
use tandem_domain::id::{Entity, Kind};
use tandem_domain::retry::Disposition;
use tandem_domain::row::DncSource;

/// Kills customers the first so many times they decide.
#[derive(Default)]
struct KillCustomers {
    left: AtomicU32,
}

impl Faults for KillCustomers {
    fn before_decision(&self, entity: Entity) {
        if entity.kind != Kind::Customer {
            return;
        }
        let took = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        assert!(took.is_err(), "a bug in a machine");
    }
}

fn opt_out() -> customer::Command {
    customer::Command::DoNotCall { source: DncSource::Operator, call: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_kills_its_entity_is_tried_again_and_then_set_aside() {
    let faults = Arc::new(KillCustomers::default());
    let given = faults.clone();
    let world = World::start_with(Carrier::new(|_| Act::Answer), move |o| o.faults = given).await;
    let company = world.company(Limits::default()).await;
    let to = Entity::customer(company, world.contact(company, 1).await.customer);
    let handle = world.handle();
    // Twice is not often enough to give up on it.
    faults.left.store(2, Ordering::SeqCst);
    handle.send::<Customer>(to, opt_out(), None).await.unwrap();
    faults.left.store(3, Ordering::SeqCst);
    let answer = handle.send::<Customer>(to, opt_out(), None).await;
    assert!(matches!(answer, Err(SendError::DeadLetter)), "{answer:?}");
    // The entity lives on.
    handle.send::<Customer>(to, customer::Command::AllowCalls, None).await.unwrap();
    let letters = query::dead_letters(&*world.store, company, None, 10).await.unwrap();
    assert_eq!(letters.items.len(), 1);
    assert_eq!(letters.items[0].entity, to);
}

/// Kills calls at random decisions, a few times each.
struct KillCalls {
    deaths: Mutex<HashMap<Entity, u32>>,
    draw: AtomicU32,
}

impl Faults for KillCalls {
    fn before_decision(&self, entity: Entity) {
        if entity.kind != Kind::Call && entity.kind != Kind::Campaign {
            return;
        }
        let draw = self.draw.fetch_add(1, Ordering::SeqCst).wrapping_mul(2_654_435_761) >> 28;
        if draw == 3 {
            let mut deaths = self.deaths.lock();
            let deaths = deaths.entry(entity).or_default();
            // Never three times in a row, so that no command is set aside.
            if *deaths < 2 {
                *deaths += 1;
                panic!("a bug in a machine");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_whose_actors_keep_dying_ends_as_if_they_had_not() {
    let faults = Arc::new(KillCalls { deaths: Mutex::default(), draw: AtomicU32::new(0) });
    let world = World::start_with(Carrier::new(|_| Act::Answer), move |o| o.faults = faults).await;
    let company = world.company(Limits::default()).await;
    let id = world.campaign(company, 100, config()).await;
    let to = Entity::campaign(company, id);
    world.handle().send::<Campaign>(to, campaign::Command::Start, None).await.unwrap();
    let state = world.finished(company, id).await;
    assert_eq!(state.counts.of(Disposition::Completed), 100);
    assert_eq!(world.carrier.dials.lock().len(), 100);
    assert_eq!(query::permits(&*world.store, company, id).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_whose_dispatcher_dies_is_claimed_again_and_dials_nobody_twice() {
    let died = Arc::new(AtomicBool::new(false));
    let once = died.clone();
    let script = move |_: &tandem_domain::effect::DialOrder| {
        assert!(once.swap(true, Ordering::SeqCst), "the dispatcher dies in the middle of its first dial");
        Act::Answer
    };
    let world = World::start(Carrier::new(script)).await;
    let company = world.company(Limits::default()).await;
    let id = world.campaign(company, 30, config()).await;
    let to = Entity::campaign(company, id);
    world.handle().send::<Campaign>(to, campaign::Command::Start, None).await.unwrap();
    let state = world.finished(company, id).await;
    assert!(died.load(Ordering::SeqCst));
    let ended: u32 = Disposition::ALL.iter().map(|d| state.counts.of(*d)).sum();
    assert_eq!(ended, 30);
    // The dial during which it died is never sent again; nor are those of the same shard that had
    // not left yet.
    let lost = state.counts.of(Disposition::Lost);
    assert!((1..=16).contains(&lost), "{lost} lost");
    let mut dials: Vec<_> = world.carrier.dials.lock().iter().map(|(a, _)| *a).collect();
    let all = dials.len();
    dials.sort();
    dials.dedup();
    assert_eq!(all, dials.len());
}
