//! The log as evidence, and the choices that a seed makes.

use super::orchestrator::reqwest_get;
use super::world::{World, client};
use std::collections::BTreeMap;
use tandem_simulator::log::{Event, HangUp};
use tandem_simulator::{Fault, Log, Options, Person, Scenario};

/// Runs 24 numbers and tells what became of each: who picked up, how it ended and by whom, what was said.
async fn run(seed: u64, speed: f64, together: bool) -> BTreeMap<String, (Person, String, HangUp, u32)> {
    let mut mix = Scenario::rough();
    mix.agent.faults.clear();
    for fault in [Fault::MediaCut, Fault::Throttled, Fault::ErrorBefore, Fault::CutBefore, Fault::SlowAnswer]
    {
        mix.faults.remove(&fault);
    }
    mix.talk.record_ms = 3_000;
    // How long people wait for an answer is real time after all, and a busy machine is slow to give one.
    mix.people.remove(&Person::Silent);
    (mix.talk.patience_ms, mix.agent.patience_ms) = (150_000, 150_000);
    let world = World::with(Options { mix, seed, speed, ..Options::default() }).await;
    let numbers: Vec<String> = (0..24).map(|n| format!("+155502000{n:02}")).collect();
    let dials = numbers.iter().enumerate().map(|(n, to)| {
        let world = &world;
        async move { world.dial(to, &format!("a{n}"), &[("Timeout", "20")]).await }
    });
    if together {
        futures_util::future::join_all(dials).await;
    } else {
        for dial in dials.collect::<Vec<_>>().into_iter().rev() {
            let _ = dial.await;
        }
    }
    let calls = world.sim.log.summary().calls as usize;
    world.until("all calls to end", |world| world.sim.log.snapshot().call_ends().count() == calls).await;
    let (mut people, mut out) = (BTreeMap::new(), BTreeMap::new());
    for entry in &world.sim.log.snapshot().entries {
        match &entry.event {
            Event::CallCreated { sid, to, person, .. } => {
                people.insert(sid.clone(), (to.clone(), *person));
            }
            Event::CallEnded(end) => {
                let (to, person) = people[&end.sid].clone();
                out.insert(to, (person, end.status.clone(), end.by, end.said));
            }
            _ => {}
        }
    }
    out
}

#[tokio::test]
async fn a_seed_decides_what_happens_whatever_the_timing() {
    let first = run(7, 300.0, true).await;
    assert!(first.len() > 15);
    assert_eq!(first, run(7, 60.0, false).await);
    let other = run(8, 300.0, true).await;
    assert_ne!(first, other);
}

#[tokio::test]
async fn many_calls_at_once_all_end() {
    let mut mix = Scenario::rough();
    mix.talk.record_ms = 3_000;
    let world = World::at(mix, 500.0).await;
    let dials = (0..300).map(|n| {
        let world = &world;
        async move { world.dial(&format!("+15550300{n:03}"), &format!("a{n}"), &[("Timeout", "20")]).await }
    });
    futures_util::future::join_all(dials).await;
    let calls = world.sim.log.summary().calls;
    world.until("all calls to end", |world| world.sim.log.summary().live_calls == 0).await;
    let summary = world.sim.log.summary();
    assert_eq!(summary.posts, 300);
    assert_eq!(summary.calls_by_end.values().sum::<u64>(), calls);
    assert_eq!((summary.double_dials, summary.double_calls, summary.overlaps_by_number), (0, 0, 0));
    assert!(summary.posts_per_s_max > 0 && summary.live_calls_max > 10);
}

#[tokio::test]
async fn the_log_is_served_and_written_and_reads_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("sim.jsonl");
    let options = || Options {
        mix: Scenario::only(Person::NoAnswer),
        speed: 500.0,
        log_path: Some(path.clone()),
        ..Options::default()
    };
    let world = World::with(options()).await;
    // Two POSTs for one attempt, both accepted: the same number rings twice at once, in one campaign.
    world.call("+15550100001", "a1", &[]).await;
    world.call("+15550100001", "a1", &[]).await;
    world.call("+15550100002", "a2", &[]).await;
    let summary = world.ended(3).await;
    assert_eq!((summary.posts, summary.attempts, summary.double_dials, summary.double_calls), (3, 2, 1, 1));
    assert_eq!(summary.double_dialed, ["/status/a1"]);
    assert_eq!((summary.overlaps_by_number, summary.overlaps_by_campaign), (1, 1));
    assert_eq!(summary.calls_by_end["no-answer"], 3);

    for base in [&world.sim.carrier_url, &world.sim.agent_url] {
        let (_, served) = reqwest_get(&format!("{base}/_sim/summary"), None).await;
        assert_eq!(served["double_dials"], 1);
    }
    let text = client().get(format!("{}/_sim/log?from=1&max=5", world.sim.carrier_url)).send().await;
    let text = text.expect("an answer").text().await.expect("text");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 5);
    assert_eq!((lines[0]["n"].as_u64(), lines[0]["event"].as_str()), (Some(1), Some("post")));
    assert_eq!(lines[0]["attempt"], "/status/a1");

    let before = world.sim.log.summary();
    world.sim.shutdown().await;
    let back = Log::read(&path).expect("reads back");
    assert_eq!(back.summary, before);
    assert_eq!(back.posts().count(), 3);

    // Another simulator goes on with the same file.
    let world = World::with(options()).await;
    world.call("+15550100001", "a1", &[]).await;
    let summary = world.sim.log.summary();
    assert_eq!((summary.posts, summary.double_dials), (4, 1));
    world.sim.shutdown().await;
}

#[tokio::test]
async fn a_port_that_is_taken_and_a_bad_mix_are_told() {
    let world = World::new(Scenario::default()).await;
    let addr = world.sim.carrier_url.trim_start_matches("http://").parse().expect("an address");
    let error =
        tandem_simulator::Simulator::start(Options { carrier_addr: addr, ..Options::default() }).await;
    assert!(error.expect_err("taken").to_string().contains("cannot listen"));
    let mut mix = Scenario::default();
    mix.people.clear();
    let error = tandem_simulator::Simulator::start(Options { mix, ..Options::default() }).await;
    assert!(error.expect_err("nobody").to_string().contains("people"));
}
