//! Values as they lie in stores of released versions: a file for each stored type, a line for each
//! value, its variant and its bytes in hexadecimal. They are read and written back to the same bytes
//! for ever. `UPDATE_GOLDEN=1` adds lines for variants that have none, of values that random walks
//! have met; it never touches a line that is there.
//!
//! How a format changes stands in `docs/formats.md`.

pub mod names;
mod parts;

use crate::totality::ask_everything;
use crate::world::draw::any_step;
use crate::world::harvest::Harvest;
use crate::world::setup::any_setup;
use crate::world::{START, World};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use tandem_domain::codec::{self, DecodeError};
use tandem_domain::effect::{Command, Effect};
use tandem_domain::row;
use tandem_domain::{call, campaign, company, customer};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
const SEED: [u8; 16] = *b"golden of a walk";
const WALKS: usize = 600;
/// Larger ones say no more.
const BYTES_MAX: usize = 1_500;

/// A type that is stored.
struct Stored {
    /// Its file.
    name: &'static str,
    /// One line at least for each.
    variants: &'static [&'static str],
    /// Decoded, which of them it is, and encoded again.
    read: fn(&[u8]) -> Read,
    /// A value of each, where they are not what walks meet.
    values: fn() -> Vec<(&'static str, Vec<u8>)>,
}

type Read = Result<(&'static str, Vec<u8>), DecodeError>;

fn again<T: DeserializeOwned + Serialize>(bytes: &[u8], of: impl Fn(&T) -> &'static str) -> Read {
    let value: T = codec::decode(bytes)?;
    Ok((of(&value), codec::encode(&value)))
}

/// What walks meet.
const fn met(name: &'static str, variants: &'static [&'static str], read: fn(&[u8]) -> Read) -> Stored {
    Stored { name, variants, read, values: Vec::new }
}

macro_rules! row_value {
    ($name:literal, $type:ty) => {
        met($name, &["value"], |b| again::<$type>(b, |_| "value"))
    };
}

/// What a command in the outbox is: of which kind of entity, and which command.
fn command_of(of: &'static [&'static str], bytes: &[u8]) -> Read {
    again::<Command>(bytes, |command| {
        let (kind, name) = match command {
            Command::Call(c) => (names::CALL_COMMAND, names::call_command(c)),
            Command::Campaign(c) => (names::CAMPAIGN_COMMAND, names::campaign_command(c)),
            Command::Customer(c) => (names::CUSTOMER_COMMAND, names::customer_command(c)),
            Command::Company(c) => (names::COMPANY_COMMAND, names::company_command(c)),
        };
        if std::ptr::eq(kind, of) { name } else { "of another kind" }
    })
}

const MACHINES: &[Stored] = &[
    met("call-event", names::CALL, |b| again::<call::Event>(b, |e| names::call(&e.what))),
    met("campaign-event", names::CAMPAIGN, |b| again::<campaign::Event>(b, |e| names::campaign(&e.what))),
    met("customer-event", names::CUSTOMER, |b| again::<customer::Event>(b, |e| names::customer(&e.what))),
    met("company-event", names::COMPANY, |b| again::<company::Event>(b, |e| names::company(&e.what))),
    met("effect", names::EFFECT, |b| again::<Effect>(b, names::effect)),
    met("call-command", names::CALL_COMMAND, |b| command_of(names::CALL_COMMAND, b)),
    met("campaign-command", names::CAMPAIGN_COMMAND, |b| command_of(names::CAMPAIGN_COMMAND, b)),
    met("customer-command", names::CUSTOMER_COMMAND, |b| command_of(names::CUSTOMER_COMMAND, b)),
    met("company-command", names::COMPANY_COMMAND, |b| command_of(names::COMPANY_COMMAND, b)),
    met("call-state", names::CALL_PHASE, |b| again::<call::State>(b, |s| names::call_phase(&s.phase))),
    met("campaign-state", names::CAMPAIGN_PHASE, |b| {
        again::<campaign::State>(b, |s| names::campaign_phase(&s.phase))
    }),
    met("customer-state", names::CUSTOMER_STATUS, |b| {
        again::<customer::State>(b, |s| names::customer_status(&s.status))
    }),
    met("company-state", &["value"], |b| again::<company::State>(b, |_| "value")),
    met("call-reply", names::CALL_REPLY, |b| again::<call::Reply>(b, names::call_reply)),
    met("campaign-reply", names::CAMPAIGN_REPLY, |b| again::<campaign::Reply>(b, names::campaign_reply)),
    met("customer-reply", names::CUSTOMER_REPLY, |b| again::<customer::Reply>(b, names::customer_reply)),
    met("company-reply", names::COMPANY_REPLY, |b| again::<company::Reply>(b, names::company_reply)),
    row_value!("row-dnc", row::DncEntry),
    row_value!("row-consent", row::ConsentEntry),
    row_value!("row-contacted", row::Contacted),
    row_value!("row-policy", row::DialPolicy),
    row_value!("row-gate", row::CompanyGate),
    row_value!("row-permit", row::Permit),
    row_value!("row-contact", row::Contact),
    row_value!("row-contact-end", row::ContactEnd),
    row_value!("row-contact-of", row::ContactNo),
    row_value!("row-ready", row::ReadyValue),
    row_value!("row-in-flight", row::Held),
    row_value!("row-customer-key", Vec<u8>),
    row_value!("row-turn", row::Turn),
    row_value!("row-api-key", row::ApiKeyValue),
];

fn stored() -> impl Iterator<Item = &'static Stored> {
    MACHINES.iter().chain(parts::PARTS)
}

/// A phase that no code leads to, or that is never stored.
fn never_met(name: &str, variant: &str) -> bool {
    matches!((name, variant), ("campaign-state", "Failed") | (_, "Absent"))
}

fn file(stored: &Stored) -> PathBuf {
    Path::new(GOLDEN).join(format!("v{}", codec::VERSION)).join(format!("{}.hex", stored.name))
}

fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

fn add_line(text: &mut String, variant: &str, bytes: &[u8]) {
    let _ = write!(text, "{variant} ");
    bytes.iter().for_each(|b| {
        let _ = write!(text, "{b:02x}");
    });
    text.push('\n');
}

/// The lines of one type: which variant, and the value.
fn lines(stored: &Stored) -> Vec<(String, Vec<u8>)> {
    let path = file(stored);
    let Ok(text) = std::fs::read_to_string(&path) else { return Vec::new() };
    let line = |line: &str| {
        let (variant, digits) = line.split_once(' ')?;
        Some((variant.to_owned(), from_hex(digits)?))
    };
    text.lines().map(|l| line(l).unwrap_or_else(|| panic!("{}: {l:?}", path.display()))).collect()
}

/// Values of every kind that walks meet: the shortest and the longest of each variant.
fn harvest() -> Harvest {
    let mut runner =
        TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::XorShift, &SEED));
    let strategy = (any_setup(), prop::collection::vec(any_step(), 0..250));
    let mut all = Harvest::new(BYTES_MAX);
    for n in 0..WALKS {
        let (setup, steps) = strategy.new_tree(&mut runner).expect("a walk").current();
        let mut w: World = setup.build();
        w.harvest = Some(Harvest::new(BYTES_MAX));
        for (at, step) in steps.iter().enumerate() {
            w.step(step);
            if n % 4 == 0 && at % 60 == 0 {
                ask_everything(&mut w);
            }
        }
        if n % 5 == 0 {
            w.rest();
        }
        all.add(w.harvest.take().expect("a harvest"));
    }
    rare(&mut all);
    all
}

/// What walks seldom meet.
fn rare(harvest: &mut Harvest) {
    let at = START;
    harvest.keep(&call::Event { at, what: call::What::Initiated });
    let permit = campaign::Permit { caller: Some(1), again_today: true };
    harvest.keep(&campaign::Event { at, what: campaign::What::Returned { contact: 300, permit } });
    let key_id = [1, 2, 3, 4, 5, 6, 7, 8];
    harvest.keep(&company::Event { at, what: company::What::KeyRevoked { key_id } });
    harvest.keep(&Command::Company(company::Command::RevokeKey { key_id }));
    for status in customer::Status::ALL {
        harvest.keep(&customer::State { status, became_customer_at: Some(at), ..customer::State::default() });
    }
}

fn write_missing() {
    let harvest = harvest();
    for stored in stored() {
        let path = file(stored);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder is made");
        let there: BTreeSet<String> = lines(stored).into_iter().map(|(variant, _)| variant).collect();
        let mut text = std::fs::read_to_string(&path).unwrap_or_default();
        let mut values = (stored.values)();
        for variant in stored.variants {
            let Some((short, long)) = harvest.of(stored.name, variant) else { continue };
            values.push((*variant, short.to_vec()));
            if long != short {
                values.push((*variant, long.to_vec()));
            }
        }
        for (variant, bytes) in values {
            if !there.contains(variant) && !never_met(stored.name, variant) {
                add_line(&mut text, variant, &bytes);
            }
        }
        std::fs::write(path, text).expect("written");
    }
}

#[test]
fn what_was_stored_by_released_versions_is_read_and_written_as_it_was() {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        write_missing();
    }
    for stored in stored() {
        for (n, (variant, bytes)) in lines(stored).into_iter().enumerate() {
            let place = format!("{}, line {}", stored.name, n + 1);
            let (is, written) = (stored.read)(&bytes).unwrap_or_else(|e| panic!("{place}: {e}"));
            assert_eq!(is, variant, "{place} is read as another variant");
            assert_eq!(written, bytes, "{place} is written otherwise");
        }
    }
}

#[test]
fn everything_that_is_stored_has_a_golden_value() {
    let mut missing = Vec::new();
    for stored in stored() {
        let there: BTreeSet<String> = lines(stored).into_iter().map(|(variant, _)| variant).collect();
        for variant in stored.variants {
            if !there.contains(*variant) && !never_met(stored.name, variant) {
                missing.push(format!("{}/{variant}", stored.name));
            }
        }
    }
    assert!(missing.is_empty(), "UPDATE_GOLDEN=1 adds lines for {missing:#?}");
}
