//! Who has not been heard of: a node's counter that does not change, timed on the observer's own monotonic clock.
//!
//! Nobody stores deadlines and nobody compares clocks. An observer that was itself held up, by its store or by being
//! stopped, begins its observations anew: otherwise a store that was away for a moment would end in everybody taking
//! everybody over.

use crate::rows::{Incarnation, Node, State};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use tokio::time::Instant;

/// Durations of membership.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Between two renewals.
    pub renew: Duration,
    /// Without a renewal for so long a node is looked at more closely.
    pub suspect: Duration,
    /// And after this time its shards are taken over.
    pub takeover: Duration,
    /// The same where the node's port refuses connections: the process is gone.
    pub takeover_gone: Duration,
    /// A look into the store that took longer than this says nothing about others.
    pub stall: Duration,
    /// From the beginning of a renewal on, what a node knows is the truth for so long. Shorter than any takeover.
    pub lease: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            renew: Duration::from_millis(250),
            suspect: Duration::from_millis(400),
            takeover: Duration::from_millis(1_500),
            takeover_gone: Duration::from_millis(700),
            stall: Duration::from_millis(500),
            lease: Duration::from_millis(600),
        }
    }
}

#[derive(Debug)]
struct Seen {
    incarnation: Incarnation,
    counter: u64,
    since: Instant,
    /// Its port has refused a connection since.
    gone: bool,
}

/// What one node has seen of the others.
#[derive(Debug)]
pub struct Observer {
    timing: Timing,
    seen: HashMap<String, Seen>,
    last: Option<Instant>,
}

impl Observer {
    pub fn new(timing: Timing) -> Self {
        Observer { timing, seen: HashMap::new(), last: None }
    }

    /// The rows of all nodes were read between `began` and `ended`.
    pub fn saw(&mut self, nodes: &BTreeMap<String, Node>, began: Instant, ended: Instant) {
        let pause = self.last.map_or(Duration::ZERO, |last| ended.saturating_duration_since(last));
        let stalled = ended - began > self.timing.stall || pause > self.timing.renew + self.timing.stall;
        self.last = Some(ended);
        if stalled {
            self.seen.clear();
        }
        self.seen.retain(|name, _| nodes.contains_key(name));
        for (name, node) in nodes {
            if node.state == State::Down {
                self.seen.remove(name);
                continue;
            }
            match self.seen.get(name) {
                Some(seen) if seen.incarnation == node.incarnation && seen.counter == node.counter => {}
                // That it has renewed was seen at the end of the look at the latest: later is on the safe side.
                _ => {
                    let (incarnation, counter) = (node.incarnation.clone(), node.counter);
                    self.seen.insert(name.clone(), Seen { incarnation, counter, since: ended, gone: false });
                }
            }
        }
    }

    /// A look has failed.
    pub fn failed(&mut self) {
        self.seen.clear();
    }

    /// How long a node has not renewed its place, as far as was seen.
    pub fn silence(&self, name: &str, now: Instant) -> Option<Duration> {
        self.seen.get(name).map(|seen| now.saturating_duration_since(seen.since))
    }

    /// Who is to be looked at more closely.
    pub fn suspects(&self, now: Instant) -> Vec<String> {
        let silent = |seen: &Seen| now.saturating_duration_since(seen.since) >= self.timing.suspect;
        self.seen.iter().filter(|(_, seen)| silent(seen)).map(|(name, _)| name.clone()).collect()
    }

    /// A suspect's port refuses connections, or does not any more.
    pub fn probed(&mut self, name: &str, refuses: bool) {
        if let Some(seen) = self.seen.get_mut(name) {
            seen.gone = refuses;
        }
    }

    /// The life and the counter of a node that is to be taken over by whoever may wait `later` less than others.
    pub fn is_dead(&self, name: &str, later: Duration, now: Instant) -> Option<(Incarnation, u64)> {
        let seen = self.seen.get(name)?;
        let limit = if seen.gone { self.timing.takeover_gone } else { self.timing.takeover };
        let dead = now.saturating_duration_since(seen.since) >= limit + later;
        dead.then(|| (seen.incarnation.clone(), seen.counter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(counters: &[(&str, u64)]) -> BTreeMap<String, Node> {
        let node = |counter| Node {
            incarnation: Incarnation("x".into()),
            state: State::Active,
            counter,
            peer: "h:1".into(),
            grpc: String::new(),
            http: String::new(),
            build: String::new(),
            protocol_min: 1,
            protocol_max: 1,
            clock_ms: 0,
            joined_ms: 0,
        };
        counters.iter().map(|(name, counter)| ((*name).to_owned(), node(*counter))).collect()
    }

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// Looks every 250 ms, each taking 5 ms; who is dead after the last.
    fn run(looks: &[&[(&str, u64)]]) -> (Observer, Instant) {
        let mut observer = Observer::new(Timing::default());
        let mut now = Instant::now();
        for look in looks {
            observer.saw(&nodes(look), now, now + ms(5));
            now += ms(250);
        }
        (observer, now - ms(245))
    }

    #[test]
    fn whoever_renews_lives_and_whoever_does_not_is_dead_in_time() {
        let looks: Vec<Vec<(&str, u64)>> = (0..8).map(|n| vec![("a", n), ("b", 7)]).collect();
        let looks: Vec<&[(&str, u64)]> = looks.iter().map(Vec::as_slice).collect();
        let (observer, now) = run(&looks);
        assert_eq!(observer.is_dead("a", Duration::ZERO, now), None);
        assert_eq!(observer.is_dead("b", Duration::ZERO, now), Some((Incarnation("x".into()), 7)));
        assert_eq!(observer.is_dead("b", ms(500), now), None, "somebody else is first");
        let (observer, now) = run(&looks[..6]);
        assert_eq!(observer.is_dead("b", Duration::ZERO, now), None, "not yet");
        assert_eq!(observer.suspects(now), ["b"]);
    }

    #[test]
    fn a_port_that_refuses_hurries() {
        let (mut observer, now) = run(&[[("b", 7)].as_slice(); 4]);
        assert_eq!(observer.is_dead("b", Duration::ZERO, now), None);
        observer.probed("b", true);
        assert!(observer.is_dead("b", Duration::ZERO, now).is_some());
        observer.probed("b", false);
        assert_eq!(observer.is_dead("b", Duration::ZERO, now), None);
    }

    #[test]
    fn an_observer_that_was_held_up_begins_anew() {
        let (mut observer, now) = run(&[[("b", 7)].as_slice(); 8]);
        assert!(observer.is_dead("b", Duration::ZERO, now).is_some());
        // Stopped for ten seconds.
        let later = now + ms(10_000);
        observer.saw(&nodes(&[("b", 7)]), later, later + ms(5));
        assert_eq!(observer.is_dead("b", Duration::ZERO, later + ms(5)), None);
        // A look that took a second.
        let (mut observer, now) = run(&[[("b", 7)].as_slice(); 8]);
        observer.saw(&nodes(&[("b", 7)]), now, now + ms(1_000));
        assert_eq!(observer.is_dead("b", Duration::ZERO, now + ms(1_000)), None);
        // One that failed.
        let (mut observer, now) = run(&[[("b", 7)].as_slice(); 8]);
        observer.failed();
        assert_eq!(observer.is_dead("b", Duration::ZERO, now), None);
    }

    #[test]
    fn the_lease_ends_before_anybody_takes_over() {
        let timing = Timing::default();
        assert!(timing.lease < timing.takeover_gone && timing.takeover_gone < timing.takeover);
        assert!(timing.renew < timing.lease);
    }
}
