//! Random walks: whatever happens, nothing that must hold is broken; and when the faults end,
//! everything comes to rest with one final word for everybody.

use crate::world::setup::{SetUp, any_setup};
use crate::world::step::{Step, any_step};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

fn walk(setup: &SetUp, steps: &[Step]) {
    let mut w = setup.build();
    w.check();
    for step in steps {
        w.step(step);
        w.check();
    }
    w.check_replay();
    w.rest();
    w.check_rest();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, rng_seed: RngSeed::Fixed(20_261_120), failure_persistence: None, max_shrink_iters: 1_500, max_shrink_time: 60_000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_breaks_and_everything_comes_to_rest(
        setup in any_setup(),
        steps in prop::collection::vec(any_step(), 0..250),
    ) {
        walk(&setup, &steps);
    }
}
