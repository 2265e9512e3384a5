//! The table of transitions in the documentation is what the machines do. `UPDATE_DOCS=1` writes it
//! anew, of many walks (minutes; build with `CARGO_PROFILE_TEST_OPT_LEVEL=2`). An ordinary run takes
//! the first of them and finds in the table whatever they do.

use crate::totality::ask_everything;
use crate::world::coverage::{Coverage, Step};
use crate::world::draw::any_step;
use crate::world::setup::any_setup;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use tandem_domain::id::Kind;

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/transitions.md");
/// Walks of a check, and for a new table.
const WALKS: usize = 120;
const WALKS_OF_A_TABLE: usize = 6_000;
/// So much of the table, in percent, is reached by a check: what is rare is not.
const REACHED_PERCENT_MIN: usize = 70;
const SEED: [u8; 16] = *b"walks of a table";

const INTRODUCTION: &str = "\
# Transitions

Which command leads a call or a campaign from which phase to which: every line was taken by random
walks over a whole company with a carrier that loses, doubles and reorders, and a test fails when they
take one that is not here. `UPDATE_DOCS=1 CARGO_PROFILE_TEST_OPT_LEVEL=2 cargo test -p tandem-domain
--test it transitions` writes this file anew.

A command that leaves the phase as it is stands here too: it may still change something (a verdict, a
recording), or be late or doubled and change nothing. What is refused stands in the second table of
each kind, with the reason code; a command that is in neither table for a phase cannot meet it.
";

fn walks(count: usize) -> Coverage {
    let mut runner =
        TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::XorShift, &SEED));
    let strategy = (any_setup(), prop::collection::vec(any_step(), 0..250));
    let mut seen = Coverage::default();
    for n in 0..count {
        let (setup, steps) = strategy.new_tree(&mut runner).expect("a walk").current();
        let mut w = setup.build();
        for (at, step) in steps.iter().enumerate() {
            w.step(step);
            if n % 4 == 0 && at % 60 == 0 {
                ask_everything(&mut w);
            }
        }
        if n % 5 == 0 {
            w.rest();
        }
        seen.add(&w.coverage);
    }
    seen
}

fn lines(of: &BTreeSet<Step>, kind: Kind) -> Vec<(&'static str, &'static str, Vec<&'static str>)> {
    let mut lines: BTreeMap<(&str, &str), Vec<&'static str>> = BTreeMap::new();
    for (k, before, command, after) in of {
        if *k == kind {
            lines.entry((before, command)).or_default().push(after);
        }
    }
    lines.into_iter().map(|((before, command), after)| (before, command, after)).collect()
}

fn table(seen: &Coverage) -> String {
    let mut out = INTRODUCTION.to_owned();
    for (kind, title) in [(Kind::Call, "Calls"), (Kind::Campaign, "Campaigns")] {
        let _ = write!(out, "\n## {title}\n\n| phase | command | leads to |\n| --- | --- | --- |\n");
        for (before, command, after) in lines(&seen.taken, kind) {
            let _ = writeln!(out, "| {before} | {command} | {} |", after.join(", "));
        }
        let _ = write!(out, "\n### Refused\n\n| phase | command | reason |\n| --- | --- | --- |\n");
        for (before, command, reasons) in lines(&seen.refused, kind) {
            let _ = writeln!(out, "| {before} | {command} | {} |", reasons.join(", "));
        }
    }
    out
}

/// What the table says, as (kind, refused or not, phase, command, result).
fn read(text: &str) -> BTreeSet<(String, bool, String, String, String)> {
    let mut found = BTreeSet::new();
    let (mut title, mut refused) = (String::new(), false);
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            (title, refused) = (name.to_owned(), false);
        } else if line == "### Refused" {
            refused = true;
        } else if let Some(row) = line.strip_prefix("| ").and_then(|l| l.strip_suffix(" |")) {
            let cells: Vec<&str> = row.split(" | ").collect();
            if let [phase, command, results] = cells[..]
                && phase != "phase"
                && !phase.starts_with("---")
            {
                for result in results.split(", ") {
                    found.insert((title.clone(), refused, phase.into(), command.into(), result.into()));
                }
            }
        }
    }
    found
}

#[test]
fn every_transition_stands_in_the_table() {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(TABLE, table(&walks(WALKS_OF_A_TABLE))).expect("the table is written");
    }
    let listed = read(&std::fs::read_to_string(TABLE).expect("docs/transitions.md"));
    let reached = read(&table(&walks(WALKS)));
    let strange: Vec<_> = reached.difference(&listed).collect();
    assert!(strange.is_empty(), "not in docs/transitions.md: {strange:#?}");
    let percent = reached.len() * 100 / listed.len().max(1);
    assert!(percent >= REACHED_PERCENT_MIN, "of {} lines {percent} % are reached", listed.len());
}
