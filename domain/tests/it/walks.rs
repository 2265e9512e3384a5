//! Random walks: whatever happens, nothing that must hold is broken; and when the faults end,
//! everything comes to rest with one final word for everybody.

use crate::world::World;
use crate::world::draw::any_step;
use crate::world::setup::{SetUp, any_setup};
use crate::world::step::Step;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// Walks in a run of the tests, always the same ones; `PROPTEST_CASES` asks for as many others.
const CASES: u32 = 96;

pub fn config(cases: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok());
    ProptestConfig {
        cases: asked.unwrap_or(cases),
        rng_seed: if asked.is_some() { RngSeed::Random } else { RngSeed::Fixed(20_261_120) },
        failure_persistence: None,
        max_shrink_iters: 1_500,
        max_shrink_time: 60_000,
        ..ProptestConfig::default()
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

proptest! {
    #![proptest_config(config(CASES))]

    #[test]
    fn nothing_breaks_and_everything_comes_to_rest(
        setup in any_setup(),
        steps in prop::collection::vec(any_step(), 0..250),
    ) {
        walk(&setup, &steps);
    }
}
