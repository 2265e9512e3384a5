//! What calls order from their carrier.

use super::carrier::fresh_sid;
use super::line::STUCK;
use super::world::{FROM, PUBLIC, TO, World, configured, place};
use std::sync::Arc;
use tandem::configured::Configured;
use tandem::edge::{CarrierPerformer, Carriers, Urls};
use tandem_actors::{Performer, query};
use tandem_domain::call::{AmdPolicy, MachineAction, Phase};
use tandem_domain::campaign::{Config, Reason};
use tandem_domain::carrier::{
    DialOutcome, Instruction, InstructionOutcome, Progress, Refusal, RefusalReason, Report,
};
use tandem_domain::effect::DialOrder;
use tandem_domain::id::{Attempt, CallId, CustomerId};
use tandem_providers::carrier::Found;

fn performer(world: &World) -> CarrierPerformer {
    performer_with(world, configured())
}

fn performer_with(world: &World, configured: Arc<Configured>) -> CarrierPerformer {
    let carriers = Carriers::from([("twilio".to_owned(), world.rest.clone() as Arc<_>)]);
    let urls: Urls = PUBLIC.parse().expect("a URL");
    CarrierPerformer::new(carriers, configured, urls, world.handle().vault().clone(), world.store.clone())
}

fn refused(reason: RefusalReason) -> DialOutcome {
    DialOutcome::Refused(Refusal { reason, code: 0 })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dial_names_its_attempt_everywhere() {
    let mut world = World::start().await;
    let taken = world.call().await;
    let request = &taken.dialed.request;
    assert_eq!((request.to.as_str(), request.from.as_str()), (TO, FROM));
    let url = |what: &str| format!("{PUBLIC}/tw/v1/{}/{what}#rc=3&rp=5xx,ct,rt", taken.attempt);
    assert_eq!(request.document_url, url("document"));
    assert_eq!(request.status_url, url("status"));
    assert_eq!(request.fallback_url, Some(url("fallback")));
    let amd = request.amd.as_ref().expect("by default");
    assert_eq!((amd.verdict_url.clone(), amd.until_message_end), (url("amd"), false));
    assert_eq!(request.recording, None);

    let state = world.state(&taken).await;
    let performer = performer(&world);
    let order = DialOrder {
        attempt: taken.attempt,
        carrier: "twilio".into(),
        customer: taken.customer,
        to: state.to.clone(),
        from: FROM.into(),
        ring_timeout_s: 25,
        max_duration_s: 900,
        amd: AmdPolicy { enabled: false, on_machine: MachineAction::Hangup, ..AmdPolicy::default() },
        record: true,
        permitted_at: 0,
        paces: Vec::new(),
    };
    assert!(matches!(performer.dial(&order).await, DialOutcome::Accepted { .. }));
    let dialed = world.dials.recv().await.expect("a dial");
    assert_eq!(dialed.request.amd, None);
    assert_eq!(dialed.request.recording.expect("one").status_url, url("recording"));

    // What cannot be asked is a clear no, and nothing leaves.
    let elsewhere = DialOrder { carrier: "other".into(), ..order.clone() };
    assert_eq!(performer.dial(&elsewhere).await, refused(RefusalReason::Configuration));
    let stranger = DialOrder { customer: CustomerId::from_bytes([9; 16]), ..order.clone() };
    assert_eq!(performer.dial(&stranger).await, refused(RefusalReason::Blocked), "nobody has this key");
    let garbage = DialOrder { to: tandem_domain::sealed::Sealed(vec![1; 60].into()), ..order.clone() };
    assert_eq!(performer.dial(&garbage).await, refused(RefusalReason::Configuration));
    assert!(world.dials.try_recv().is_err());
    // A call may wait for longer than its voice agent is configured.
    let twilio = || Configured::default().with_carrier("twilio", true);
    for without in [twilio(), twilio().with_agent("other")] {
        let performer = performer_with(&world, Arc::new(without));
        assert_eq!(performer.dial(&order).await, refused(RefusalReason::Configuration));
    }
    let nobody = CallId::from_bytes([9; 16]);
    let lost = DialOrder { attempt: Attempt { call: nobody, ..order.attempt }, ..order.clone() };
    assert_eq!(performer.dial(&lost).await, refused(RefusalReason::Configuration));
    assert!(world.dials.try_recv().is_err(), "nobody is dialed whom nobody would talk to");

    let gone = performer.instruct(taken.attempt, "other", &taken.sid, &Instruction::Hangup).await;
    assert_eq!(gone, InstructionOutcome::Refused { code: 0 });
    assert!(performer.fetch("other", &taken.sid).await.is_err());
    assert!(performer.fetch("twilio", &taken.sid).await.is_err(), "the carrier does not answer");
}

fn found(sid: &str, created_at: i64) -> Found {
    let report = Report {
        sid: sid.into(),
        progress: Progress::Ringing,
        sequence: None,
        at: None,
        answered_by: None,
        sip_code: None,
        duration_s: None,
    };
    Found { sid: sid.into(), to: TO.into(), from: FROM.into(), report, created_at: Some(created_at) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_dial_is_found_by_what_is_left() {
    let mut world = World::start().await;
    let known = world.call().await;
    let state = world.state(&known).await;
    let since = state.live.as_ref().expect("alive").permitted_at;
    let performer = performer(&world);
    let find = || performer.find(known.attempt, "twilio", &state.to, FROM, since);
    assert_eq!(find().await.expect("asked"), None);
    assert!(world.rest.asked_since.lock().expect("asked") < since, "clocks differ");
    let sid = fresh_sid("CA");
    *world.rest.listed.lock() = vec![found(&sid, since)];
    assert_eq!(find().await.expect("asked").expect("found").sid, sid);
    world.rest.listed.lock().push(found(&fresh_sid("CA"), since));
    assert_eq!(find().await.expect("asked"), None, "either may be it");
    assert!(performer.find(known.attempt, "other", &state.to, FROM, since).await.is_err());
}

/// The whole way: the answer to the dial is lost, the list shows the call, and its callbacks go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_settled_by_the_list() {
    let mut world = World::start().await;
    *world.rest.loses_answers.lock() = true;
    let sid = fresh_sid("CA");
    let now = world.handle().clock().now();
    *world.rest.listed.lock() = vec![found(&sid, now)];
    let taken = world.call().await;
    let state = world
        .until(&taken, "the search", |state| state.live.as_ref().is_some_and(|live| live.sid.is_some()))
        .await;
    assert_eq!(state.live.expect("alive").sid.as_deref(), Some(sid.as_str()));
    assert_eq!(state.phase, Phase::Ringing);
    assert!(world.dials.try_recv().is_err(), "never dialed again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_whose_agent_is_gone_pauses_instead_of_calling_people() {
    let mut world = World::start().await;
    let plan = |config: &mut Config| config.plan.agent.provider = "gone".into();
    let (company, _) = place(world.handle(), TO, plan).await;
    let paused = async {
        loop {
            let page = query::campaigns(&*world.store, company, None, 4).await.expect("readable");
            let own = page.items.into_iter().find(|row| !row.state.direct).expect("the campaign");
            if own.state.phase == tandem_domain::campaign::Phase::Paused {
                return own.state;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let state = tokio::time::timeout(STUCK, paused).await.expect("paused");
    assert_eq!(state.reason, Some(Reason::CarrierConfiguration { code: 0 }));
    assert_eq!((state.in_flight, state.ready), (0, 1), "its permit is free, and the contact still waits");
    assert!(world.dials.try_recv().is_err(), "nothing has left");
}
