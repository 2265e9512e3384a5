//! Campaigns from start to end.

use crate::world::{Act, Carrier, World, config};
use std::collections::HashMap;
use tandem_actors::query;
use tandem_domain::campaign::{self, Campaign, Limits, Phase};
use tandem_domain::id::Entity;
use tandem_domain::retry::Disposition;

#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_called_once_and_gets_one_disposition() {
    let world = World::start(Carrier::new(|_| Act::Answer)).await;
    let company = world.company(Limits::default()).await;
    let id = world.campaign(company, 300, config()).await;
    let to = Entity::campaign(company, id);
    world.handle().send::<Campaign>(to, campaign::Command::Start, None).await.unwrap();
    let state = world.finished(company, id).await;
    assert_eq!(state.phase, Phase::Completed);
    assert_eq!(state.counts.of(Disposition::Completed), 300);
    assert_eq!((state.in_flight, state.ready), (0, 0));
    let dials = world.carrier.dials.lock().clone();
    assert_eq!(dials.len(), 300);
    assert_eq!(query::permits(&*world.store, company, id).await.unwrap(), 0);
    let page = query::contacts(&*world.store, company, id, None, 500).await.unwrap();
    assert_eq!(page.items.len(), 300);
    assert!(page.items.iter().all(|c| c.end.as_ref().is_some_and(|e| e.attempts == 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn busy_lines_are_tried_again_until_the_budget_is_spent() {
    let world = World::start(Carrier::new(|_| Act::Busy)).await;
    let company = world.company(Limits::default()).await;
    let id = world.campaign(company, 20, config()).await;
    let to = Entity::campaign(company, id);
    world.handle().send::<Campaign>(to, campaign::Command::Start, None).await.unwrap();
    let state = world.finished(company, id).await;
    assert_eq!(state.counts.of(Disposition::Busy), 20);
    let budget = usize::from(config().plan.retry.attempts_max());
    let mut times: HashMap<_, Vec<_>> = HashMap::new();
    for (attempt, at) in world.carrier.dials.lock().iter() {
        times.entry(attempt.call).or_default().push(*at);
    }
    assert_eq!(times.len(), 20);
    for attempts in times.values() {
        assert_eq!(attempts.len(), budget);
        for (n, pair) in attempts.windows(2).enumerate() {
            let policy = config().plan.retry;
            let least =
                policy.delay_ms(u16::try_from(n + 1).unwrap(), tandem_domain::retry::Outcome::Busy).unwrap();
            assert!(pair[1] - pair[0] >= least, "{pair:?} are closer than {least}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_settled_and_never_dialed_again() {
    let script = |order: &tandem_domain::effect::DialOrder| {
        if order.attempt.number == 1 { Act::LoseAnswer } else { Act::Answer }
    };
    let world = World::start(Carrier::new(script)).await;
    let company = world.company(Limits::default()).await;
    let id = world.campaign(company, 10, config()).await;
    let to = Entity::campaign(company, id);
    world.handle().send::<Campaign>(to, campaign::Command::Start, None).await.unwrap();
    let state = world.finished(company, id).await;
    assert_eq!(state.counts.of(Disposition::Completed), 10);
    let mut dials = world.carrier.dials.lock().iter().map(|(a, _)| *a).collect::<Vec<_>>();
    let all = dials.len();
    dials.sort();
    dials.dedup();
    assert_eq!(dials.len(), all, "an attempt was dialed twice");
    // Whose answer was lost was dialed again, as another attempt, once. (On a slow machine an attempt may
    // be given up before it is dialed at all.)
    let again: Vec<_> = dials.iter().filter(|a| a.number > 1).map(|a| a.call).collect();
    assert_eq!(again.len(), 10);
    assert!(again.windows(2).all(|calls| calls[0] != calls[1]), "{dials:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_dial_ends_as_lost() {
    let world = World::start(Carrier::new(|_| Act::LoseDial)).await;
    let company = world.company(Limits::default()).await;
    let id = world.campaign(company, 5, config()).await;
    let to = Entity::campaign(company, id);
    world.handle().send::<Campaign>(to, campaign::Command::Start, None).await.unwrap();
    let state = world.finished(company, id).await;
    assert_eq!(state.counts.of(Disposition::Lost), 5);
    assert_eq!(world.carrier.dials.lock().len(), 5);
    assert_eq!(query::permits(&*world.store, company, id).await.unwrap(), 0);
}
