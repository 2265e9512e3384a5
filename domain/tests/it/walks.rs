//! Random walks: whatever happens, nothing that must hold is broken; and when the faults end,
//! everything comes to rest with one final word for everybody.
//!
//! Every walk has a number, and the number is all there is to it. A run of the tests takes the same
//! walks every time. `TANDEM_WALKS=0..20000` takes those instead, and `TANDEM_WALKS=4711` the one
//! that is named by a failure; a build with `CARGO_PROFILE_TEST_OPT_LEVEL=2` walks many times faster.

use crate::world::World;
use crate::world::draw::any_step;
use crate::world::setup::{SetUp, any_setup};
use crate::world::step::Step;
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
use std::fmt::Debug;
use std::ops::Range;

/// Walks of an ordinary run.
const WALKS: Range<u64> = 0..96;

/// The walks that are asked for.
fn asked(usual: Range<u64>) -> Range<u64> {
    let Ok(asked) = std::env::var("TANDEM_WALKS") else { return usual };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let range = match asked.split_once("..") {
        Some((from, to)) => number(from).zip(number(to)),
        None => number(&asked).and_then(|n| Some((n, n.checked_add(1)?))),
    };
    let (from, to) = range.unwrap_or_else(|| panic!("TANDEM_WALKS is '{asked}': 4711 or 0..20000 is meant"));
    assert!(from < to, "TANDEM_WALKS is '{asked}': no walk at all");
    from..to
}

/// Draws from `what` once for each number, and shows the shortest draw that still fails.
pub fn each<S: Strategy>(usual: Range<u64>, what: &S, test: impl Fn(S::Value))
where
    S::Value: Debug,
{
    for walk in asked(usual) {
        let config = ProptestConfig {
            cases: 1,
            rng_seed: RngSeed::Fixed(walk),
            failure_persistence: None,
            max_shrink_iters: 1_500,
            max_shrink_time: 60_000,
            ..ProptestConfig::default()
        };
        let run = TestRunner::new(config).run(what, |value| {
            test(value);
            Ok(())
        });
        if let Err(failure) = run {
            panic!("{failure}\n\nTANDEM_WALKS={walk} takes this walk again");
        }
    }
}

/// Takes the steps and brings the company to rest, looking at everything after each step.
pub fn walk(setup: &SetUp, steps: &[Step]) -> World {
    let mut w = setup.build();
    w.check();
    for step in steps {
        w.step(step);
        w.check();
    }
    w.check_replay();
    w.rest();
    w.check_rest();
    w
}

#[test]
fn nothing_breaks_and_everything_comes_to_rest() {
    let walks = (any_setup(), prop::collection::vec(any_step(), 0..250));
    each(WALKS, &walks, |(setup, steps)| drop(walk(&setup, &steps)));
}
