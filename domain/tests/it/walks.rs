//! Random walks: whatever happens, nothing that must hold is broken; and when the faults end,
//! everything comes to rest with one final word for everybody.

use crate::world::setup::{SetUp, any_setup};
use crate::world::step::{Step, any_step};
use proptest::prelude::*;

fn walk(setup: &SetUp, steps: &[Step]) {
    let t0 = std::time::Instant::now();
    let mut w = setup.build();
    w.check();
    for step in steps {
        w.step(step);
        w.check();
    }
    w.check_replay();
    let t1 = std::time::Instant::now();
    w.rest();
    w.check_rest();
    eprintln!(
        "steps {} {:?} rest {:?} rows {} calls {}",
        steps.len(),
        t1 - t0,
        t1.elapsed(),
        w.rows.len(),
        w.calls.len()
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 1_500, max_shrink_time: 60_000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_breaks_and_everything_comes_to_rest(
        setup in any_setup(),
        steps in prop::collection::vec(any_step(), 0..250),
    ) {
        walk(&setup, &steps);
    }
}
