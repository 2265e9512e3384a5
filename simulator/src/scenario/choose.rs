//! Draws what happens, from the seed and the number alone.

use super::{Fault, Number, Person, Scenario};
use crate::rng::Rng;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A scenario with its seed, ready to answer what a call meets.
pub(crate) struct Chooser {
    seed: u64,
    pub(crate) scenario: Scenario,
    numbers: HashMap<String, usize>,
}

/// What one create POST meets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct CreatePlan {
    pub(crate) faults: Vec<Fault>,
}

impl CreatePlan {
    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }
}

/// What one call meets.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct CallPlan {
    pub(crate) person: Person,
    pub(crate) rings: u64,
    pub(crate) setup_ms: u64,
    /// What the person or machine says, turn by turn.
    pub(crate) lines: Vec<String>,
    pub(crate) reaction_ms: u64,
    pub(crate) hangs_up: bool,
    pub(crate) detection_ms: u64,
    pub(crate) faults: Vec<Fault>,
    /// Faults of callbacks where the number's own plan names them: they then happen once, to the first callback
    /// that can have them.
    pub(crate) own: bool,
}

impl CallPlan {
    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }
}

const OF_CREATE: [Fault; 6] = [
    Fault::Throttled,
    Fault::ErrorBefore,
    Fault::CutBefore,
    Fault::ErrorAfter,
    Fault::CutAfter,
    Fault::SlowAnswer,
];
const OF_CALLBACK: [Fault; 4] =
    [Fault::CallbackLost, Fault::CallbackDoubled, Fault::CallbackReordered, Fault::CallbackDelayed];
const OF_CALL: [Fault; 5] =
    [Fault::SecondSocket, Fault::MediaGarbage, Fault::MediaCut, Fault::AmdWrong, Fault::AmdUnknown];

impl Chooser {
    pub(crate) fn new(seed: u64, scenario: Scenario) -> Arc<Self> {
        let numbers = scenario.numbers.iter().enumerate().map(|(at, own)| (own.number.clone(), at)).collect();
        Arc::new(Self { seed, scenario, numbers })
    }

    fn own(&self, to: &str) -> Option<&Number> {
        self.numbers.get(to).map(|at| &self.scenario.numbers[*at])
    }

    fn draw(&self, faults: &[Fault], key: &str, n: u64) -> Vec<Fault> {
        let probabilities: &BTreeMap<Fault, f64> = &self.scenario.faults;
        faults
            .iter()
            .copied()
            .filter(|fault| {
                let probability = probabilities.get(fault).copied().unwrap_or(0.0);
                // A label per fault: raising one probability leaves the draws of the others as they were.
                probability > 0.0
                    && Rng::keyed(self.seed, &format!("fault/{fault:?}"), key, n).chance(probability)
            })
            .collect()
    }

    /// What the `post`-th create POST to `to` meets (from 0).
    pub(crate) fn create(&self, to: &str, post: u64) -> CreatePlan {
        let own = self.own(to).filter(|own| !own.posts.is_empty() || !own.attempts.is_empty());
        let faults = match own {
            Some(own) => {
                let at = usize::try_from(post).unwrap_or(usize::MAX);
                own.posts.get(at).cloned().unwrap_or_default()
            }
            None => self.draw(&OF_CREATE, to, post),
        };
        CreatePlan { faults }
    }

    /// What the `call`-th call to `to` meets (from 0).
    pub(crate) fn call(&self, to: &str, call: u64) -> CallPlan {
        let own = self.own(to).and_then(|own| {
            let last = own.attempts.len().checked_sub(1)?;
            own.attempts.get(usize::try_from(call).unwrap_or(usize::MAX).min(last))
        });
        let mut rng = Rng::keyed(self.seed, "call", to, call);
        let talk = &self.scenario.talk;
        // Everything is drawn in any case, so that overriding one thing leaves the others as they were.
        let drawn_person = self.person(&mut rng);
        let drawn_rings = rng.between(talk.rings[0], talk.rings[1]);
        let drawn_turns = rng.between(talk.turns[0], talk.turns[1]);
        let drawn_hangs_up = rng.chance(talk.hangs_up);
        let setup_ms = rng.between(self.scenario.network.setup_ms[0], self.scenario.network.setup_ms[1]);
        let reaction_ms = rng.between(talk.reaction_ms[0], talk.reaction_ms[1]);
        let detection_ms = rng.between(talk.detection_ms[0], talk.detection_ms[1]);

        let person = own.and_then(|own| own.person).unwrap_or(drawn_person);
        let turns = own.and_then(|own| own.turns).unwrap_or(drawn_turns).min(1_000);
        let pick = |rng: &mut Rng, from: &[String]| {
            let at = rng.between(0, from.len().saturating_sub(1) as u64) as usize;
            from.get(at).cloned().unwrap_or_default()
        };
        let lines = match person {
            Person::Voicemail => vec![pick(&mut rng, &talk.greetings)],
            _ => (0..turns).map(|_| pick(&mut rng, &talk.lines)).collect(),
        };
        CallPlan {
            person,
            rings: own.and_then(|own| own.rings).unwrap_or(drawn_rings),
            setup_ms,
            lines,
            reaction_ms,
            hangs_up: own.and_then(|own| own.hangs_up).unwrap_or(drawn_hangs_up),
            detection_ms,
            faults: own.map_or_else(|| self.draw(&OF_CALL, to, call), |own| own.faults.clone()),
            own: own.is_some(),
        }
    }

    fn person(&self, rng: &mut Rng) -> Person {
        let people = &self.scenario.people;
        let mut at = rng.unit() * people.values().sum::<f64>();
        let mut last = Person::Human;
        for (person, weight) in people.iter().filter(|(_, weight)| **weight > 0.0) {
            last = *person;
            if at < *weight {
                return *person;
            }
            at -= weight;
        }
        last
    }

    /// What happens to the `sequence`-th callback of the `call`-th call to `to`.
    pub(crate) fn callback(&self, plan: &CallPlan, to: &str, call: u64, sequence: u64) -> Vec<Fault> {
        if plan.own {
            // The first callback after `initiated` has them: late enough to have something to be confused with.
            let named = OF_CALLBACK.iter().copied().filter(|fault| sequence == 1 && plan.has(*fault));
            return named.collect();
        }
        let n = call.wrapping_mul(1_000).wrapping_add(sequence);
        self.draw(&OF_CALLBACK, to, n)
    }

    /// What happens to a callback that has no sequence number, such as a verdict: it may be lost, doubled or late.
    pub(crate) fn other_callback(&self, plan: &CallPlan, to: &str, call: u64, kind: &str) -> Vec<Fault> {
        if plan.own {
            return Vec::new();
        }
        let among = [Fault::CallbackLost, Fault::CallbackDoubled, Fault::CallbackDelayed];
        self.draw(&among, &format!("{to}/{kind}"), call)
    }

    /// A generator for the texts and identifiers of a call.
    pub(crate) fn rng(&self, label: &str, key: &str, n: u64) -> Rng {
        Rng::keyed(self.seed, label, key, n)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Attempt;
    use super::*;

    fn number(n: u32) -> String {
        format!("+1555{n:07}")
    }

    #[test]
    fn the_same_seed_chooses_the_same_and_another_seed_another() {
        let plans = |seed| -> Vec<CallPlan> {
            let chooser = Chooser::new(seed, Scenario::rough());
            (0..200).map(|n| chooser.call(&number(n), 0)).collect()
        };
        assert_eq!(plans(1), plans(1));
        assert_ne!(plans(1), plans(2));
    }

    #[test]
    fn weights_are_kept() {
        let chooser = Chooser::new(3, Scenario::default());
        let total: f64 = chooser.scenario.people.values().sum();
        let mut counts: BTreeMap<Person, f64> = BTreeMap::new();
        for n in 0..20_000 {
            *counts.entry(chooser.call(&number(n), 0).person).or_default() += 1.0;
        }
        for (person, weight) in &chooser.scenario.people {
            let (expected, got) = (weight / total, counts.get(person).copied().unwrap_or(0.0) / 20_000.0);
            assert!((expected - got).abs() < 0.015, "{person:?}: {expected} expected, {got} drawn");
        }
    }

    #[test]
    fn one_fault_more_leaves_the_others_alone() {
        let mut scenario = Scenario::rough();
        let before = Chooser::new(5, scenario.clone());
        scenario.faults.insert(Fault::Throttled, 1.0);
        let after = Chooser::new(5, scenario);
        for n in 0..500 {
            let mut without = after.create(&number(n), 0);
            without.faults.retain(|fault| *fault != Fault::Throttled);
            let mut plain = before.create(&number(n), 0);
            plain.faults.retain(|fault| *fault != Fault::Throttled);
            assert_eq!(plain, without);
            assert_eq!(before.call(&number(n), 0), after.call(&number(n), 0));
        }
    }

    #[test]
    fn a_number_of_its_own_follows_its_list_and_keeps_the_last() {
        let own = |person| Attempt { person: Some(person), ..Attempt::default() };
        let mut scenario = Scenario::rough();
        scenario.numbers.push(Number {
            number: "+15550100".to_owned(),
            attempts: vec![own(Person::Busy), own(Person::Human)],
            posts: vec![vec![Fault::ErrorAfter]],
        });
        let chooser = Chooser::new(1, scenario);
        let met: Vec<Person> = (0..4).map(|call| chooser.call("+15550100", call).person).collect();
        assert_eq!(met, [Person::Busy, Person::Human, Person::Human, Person::Human]);
        assert_eq!(chooser.create("+15550100", 0).faults, [Fault::ErrorAfter]);
        assert!(chooser.create("+15550100", 1).faults.is_empty());
    }
}
