//! The table of transitions in the documentation is what the machines do: every line of it is
//! still reached. `UPDATE_DOCS=1` writes it anew.

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
/// Walks for a new table; a check gives up later, so that the order of draws does not matter.
const WALKS: usize = 250;
const WALKS_MAX: usize = 6_000;
const SEED: [u8; 16] = *b"walks of a table";

const INTRODUCTION: &str = "\
# Transitions

Which command leads a call or a campaign from which phase to which: every line was taken by random
walks over a whole company with a carrier that loses, doubles and reorders, and a test fails when one
of them cannot be reached any more. `UPDATE_DOCS=1 cargo test -p tandem-domain --test it transitions`
writes this file anew.

A command that leaves the phase as it is stands here too: it may still change something (a verdict, a
recording), or be late or doubled and change nothing. What is refused stands in the second table of
each kind, with the reason code; a command that is in neither table for a phase cannot meet it.
";

/// Walks until `enough` says so.
fn walks(most: usize, enough: impl Fn(&Coverage) -> bool) -> Coverage {
    let mut runner =
        TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::XorShift, &SEED));
    let strategy = (any_setup(), prop::collection::vec(any_step(), 0..250));
    let mut seen = Coverage::default();
    for n in 0..most {
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
        if n % 20 == 0 && enough(&seen) {
            break;
        }
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
fn every_transition_of_the_table_is_reached() {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let seen = walks(WALKS, |_| false);
        std::fs::write(TABLE, table(&seen)).expect("the table is written");
    }
    let listed = read(&std::fs::read_to_string(TABLE).expect("docs/transitions.md"));
    assert!(listed.len() > 200, "the table has {} lines", listed.len());
    let seen = walks(WALKS_MAX, |seen| listed.is_subset(&read(&table(seen))));
    let reached = read(&table(&seen));
    let lost: Vec<_> = listed.difference(&reached).collect();
    assert!(lost.is_empty(), "not reached any more: {lost:#?}");
}
