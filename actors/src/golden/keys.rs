//! Keys, which are for ever: there is no version byte in them.

use super::{Named, hold, lines};
use crate::keys::{self, Listed, Space};
use crate::node::FORMAT;
use crate::shard::shard_of;
use std::collections::BTreeSet;
use tandem_domain::id::{CallId, CampaignId, CompanyId, CustomerId, Entity, Kind};
use tandem_domain::retry::Disposition;
use tandem_domain::row::{Priority, RowKey};
use uuid::Uuid;

const COMPANY: CompanyId = CompanyId::from_bytes([0xc0; 16]);
const CAMPAIGN: CampaignId = CampaignId::from_bytes([0xca; 16]);
const CALL: CallId = CallId::from_bytes([0xa1; 16]);
const CUSTOMER: CustomerId = CustomerId::from_bytes([0xcc; 16]);
const AT: i64 = 1_800_000_000_123;

/// A new one does not compile until it is named here, and then it needs an example.
macro_rules! spaces {
    ($($name:ident),* $(,)?) => {
        const SPACES: &[Space] = &[$(Space::$name),*];
        fn name(space: Space) -> &'static str {
            match space {
                $(Space::$name => stringify!($name)),*
            }
        }
    };
}

spaces!(
    Format,
    State,
    Event,
    Idempotency,
    Inbox,
    Epoch,
    Owner,
    Timer,
    Outbox,
    DeadLetter,
    Mark,
    Dnc,
    Consent,
    Contacted,
    Policy,
    Gate,
    Permit,
    Contact,
    ContactEnd,
    ContactOf,
    Ready,
    InFlight,
    Counted,
    CustomerKey,
    CallByTime,
    CallByCampaign,
    CallByCustomer,
    CallByDisposition,
    CampaignByTime,
    Turn,
    ApiKey,
    Company,
);

fn entity(kind: Kind) -> Entity {
    Entity { company: COMPANY, kind, id: Uuid::from_bytes([0xe1; 16]) }
}

fn of_entities(add: &mut impl FnMut(&str, &str, Vec<u8>)) {
    for kind in Kind::ALL {
        add("State", kind.name(), keys::entity_state(entity(kind)));
    }
    let call = entity(Kind::Call);
    // Numbers take as many bytes as they need: one example of each length.
    for number in [0, 1, 0xff, 0x100, 0x1_0000, 1 << 24, 1 << 32, 1 << 40, 1 << 48, 1 << 56, u64::MAX] {
        add("Event", &format!("call {number}"), keys::event(call, number));
    }
    add("Idempotency", "call", keys::idempotency(call, [0x1d; 16]));
    add("Inbox", "call from customer", keys::inbox(call, entity(Kind::Customer)));
    add("DeadLetter", "call", keys::dead_letter(call, AT));
}

fn of_shards(add: &mut impl FnMut(&str, &str, Vec<u8>)) {
    add("Format", "-", keys::format());
    for shard in [0, 255, u16::MAX] {
        let name = shard.to_string();
        add("Epoch", &name, keys::epoch(shard));
        add("Owner", &name, keys::owner(shard));
        add("Mark", &name, keys::mark(u64::from(shard) << 40, 1));
        add("Timer", &name, keys::timer(shard, AT, entity(Kind::Campaign)));
        add("Outbox", &name, keys::outbox(shard, 70_000));
    }
}

fn of_rows(add: &mut impl FnMut(&str, &str, Vec<u8>)) {
    let (company, campaign, call, customer, at, no) = (COMPANY, CAMPAIGN, CALL, CUSTOMER, AT, 300);
    let mut row = |space: &str, name: &str, key: RowKey| add(space, name, keys::row(&key));
    row("Dnc", "-", RowKey::Dnc { company, customer });
    row("Consent", "-", RowKey::Consent { company, customer });
    row("Contacted", "-", RowKey::Contacted { company, customer });
    row("Policy", "company", RowKey::Policy { company, campaign: None });
    row("Policy", "campaign", RowKey::Policy { company, campaign: Some(campaign) });
    row("Gate", "-", RowKey::Gate { company });
    row("Permit", "-", RowKey::Permit { company, campaign, call });
    row("Contact", "-", RowKey::Contact { company, campaign, no });
    row("ContactEnd", "-", RowKey::ContactEnd { company, campaign, no });
    row("ContactOf", "-", RowKey::ContactOf { company, campaign, customer });
    for (lane, name) in Priority::ALL.into_iter().zip(["high", "normal", "low"]) {
        row("Ready", name, RowKey::Ready { company, campaign, lane, due: at, no });
    }
    row("Ready", "at once", RowKey::Ready { company, campaign, lane: Priority::Normal, due: 0, no: 0 });
    row("InFlight", "-", RowKey::InFlight { company, campaign, no });
    row("Counted", "-", RowKey::Counted { company, customer, call });
    row("CustomerKey", "-", RowKey::CustomerKey { company, customer });
    row("CallByTime", "-", RowKey::CallByTime { company, at, call });
    row("CallByCampaign", "-", RowKey::CallByCampaign { company, campaign, at, call });
    row("CallByCustomer", "-", RowKey::CallByCustomer { company, customer, at, call });
    for disposition in Disposition::ALL {
        let key = RowKey::CallByDisposition { company, disposition, at, call };
        row("CallByDisposition", disposition.name(), key);
    }
    row("CampaignByTime", "-", RowKey::CampaignByTime { company, at, campaign });
    row("Turn", "-", RowKey::Turn { company, call, no });
    row("ApiKey", "-", RowKey::ApiKey { key_id: [1, 2, 3, 4, 5, 6, 7, 8] });
    row("ApiKey", "that begins with zeros", RowKey::ApiKey { key_id: [0, 0, 0, 0, 0, 0, 7, 8] });
    row("Company", "-", RowKey::Company { company });
}

fn examples() -> Vec<Named> {
    let mut all = Vec::new();
    let mut add = |space: &str, name: &str, key| all.push((format!("{space} {name}"), key));
    of_shards(&mut add);
    of_entities(&mut add);
    of_rows(&mut add);
    all
}

fn file() -> String {
    format!("layout-{FORMAT}/keys.hex")
}

#[test]
fn keys_are_what_they_always_were() {
    hold(&file(), &examples());
}

#[test]
fn every_subspace_has_an_example_that_begins_with_its_number() {
    let examples = examples();
    for space in SPACES {
        let of = |(example, _): &&Named| example.split(' ').next() == Some(name(*space));
        let mut keys = examples.iter().filter(of).peekable();
        assert!(keys.peek().is_some(), "no example of {}", name(*space));
        for (example, key) in keys {
            assert_eq!(keys::Reader::new(key).int(), Ok(*space as u64), "{example}");
        }
    }
    let numbers: BTreeSet<u8> = SPACES.iter().map(|space| *space as u8).collect();
    assert_eq!(numbers.len(), SPACES.len());
}

#[test]
fn keys_that_were_written_are_read() {
    let there = lines(&file());
    let key = |name: &str| there.get(name).unwrap_or_else(|| panic!("no {name}")).as_slice();
    for number in [0, 1, 0xff, 1 << 56, u64::MAX] {
        assert_eq!(keys::event_number(key(&format!("Event call {number}"))), Ok(number));
    }
    assert_eq!(keys::timer_parts(key("Timer 255")), Ok((AT, entity(Kind::Campaign))));
    assert_eq!(keys::outbox_parts(key("Outbox 65535")), Ok(70_000));
    assert_eq!(keys::ready_parts(key("Ready low")), Ok((AT, 300)));
    assert_eq!(keys::ready_parts(key("Ready at once")), Ok((0, 0)));
    for (list, name) in [
        (Listed::Calls, "CallByTime -"),
        (Listed::CallsOfCampaign(CAMPAIGN), "CallByCampaign -"),
        (Listed::CallsOfCustomer(CUSTOMER), "CallByCustomer -"),
        (Listed::CallsEnded(Disposition::Completed), "CallByDisposition completed"),
    ] {
        let prefix = keys::list_prefix(COMPANY, list);
        assert_eq!(keys::parse_listed(&prefix, key(name)), Ok((AT, CALL.0)), "{name}");
    }
    let campaigns = keys::list_prefix(COMPANY, Listed::Campaigns);
    assert_eq!(keys::parse_listed(&campaigns, key("CampaignByTime -")), Ok((AT, CAMPAIGN.0)));
    for (list, name) in [
        (Listed::Contacts(CAMPAIGN), "Contact -"),
        (Listed::Turns(CALL), "Turn -"),
        (Listed::Permits(CAMPAIGN), "Permit -"),
        (Listed::Companies, "Company -"),
    ] {
        assert!(key(name).starts_with(&keys::list_prefix(COMPANY, list)), "{name}");
    }
    assert!(key("DeadLetter call").starts_with(&keys::dead_letters(COMPANY)));
}

/// Timers and outboxes lie under their entity's shard: an entity that moved would not find them.
#[test]
fn entities_stay_in_their_shards() {
    let mut all = Vec::new();
    for shards in [1, 16, 256] {
        for kind in Kind::ALL {
            let shard = shard_of(entity(kind), shards);
            all.push((format!("{} of {shards}", kind.name()), shard.to_be_bytes().to_vec()));
        }
    }
    hold(&format!("layout-{FORMAT}/shards.hex"), &all);
}
