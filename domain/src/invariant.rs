//! What must never be false of one company's calls and campaigns: functions with names and ids.
//!
//! They look at a [`Picture`], one consistent view of a company: the states of its entities, its
//! rows, and the messages that were ordered and not taken yet. They hold between any two
//! transactions, whatever was lost, doubled or late. Tests, simulation and chaos share them.

use crate::call;
use crate::campaign;
use crate::company;
use crate::effect::Command;
use crate::id::{CallId, CampaignId, CompanyId, CustomerId, Entity};
use crate::row::{ContactEnd, ContactNo, Contacted, Held, Permit, ReadyValue, RowKey};
use std::collections::BTreeMap;

mod book;
mod contacts;
mod dials;
mod permits;

pub use dials::{Dials, Rules};

/// One property, and how it is told whether it holds.
pub struct Invariant {
    /// Stable name, as it appears in reports.
    pub id: &'static str,
    pub says: &'static str,
    check: fn(&Picture<'_>) -> Result<(), String>,
}

/// A property that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{id}: {what}")]
pub struct Broken {
    pub id: &'static str,
    pub what: String,
}

/// Every property of a picture.
pub const ALL: [Invariant; 9] = [
    Invariant {
        id: "permits-are-attempts",
        says: "there are exactly as many permits as attempts alive, and they are the same",
        check: permits::are_attempts,
    },
    Invariant {
        id: "one-live-attempt-a-person",
        says: "a person's record names the one attempt to them that is alive, if there is one",
        check: permits::one_a_person,
    },
    Invariant {
        id: "in-flight-is-counted",
        says: "a campaign's count of contacts in flight is the number of its rows in flight",
        check: contacts::in_flight_is_counted,
    },
    Invariant {
        id: "ready-is-counted",
        says: "a campaign's count of ready contacts is the number of its ready rows",
        check: contacts::ready_is_counted,
    },
    Invariant {
        id: "contact-in-one-place",
        says: "every contact is ready, in flight, on its way in a message, or has its final word",
        check: contacts::in_one_place,
    },
    Invariant {
        id: "counters-add-up",
        says: "sums over contacts, dispositions, outcomes and attempts agree with each other",
        check: contacts::counters_add_up,
    },
    Invariant {
        id: "use-is-lent",
        says: "no campaign uses, or may use, more than the company reckons with",
        check: book::use_is_lent,
    },
    Invariant { id: "lent-once", says: "shares of a limit never exceed it", check: book::lent_once },
    Invariant {
        id: "day-within-limit",
        says: "the attempts of a day, lent or made, never exceed its limit",
        check: book::day_within_limit,
    },
];

/// Every property that does not hold.
pub fn check(picture: &Picture<'_>) -> Vec<Broken> {
    ALL.iter().filter_map(|i| (i.check)(picture).err().map(|what| Broken { id: i.id, what })).collect()
}

/// A message that was ordered and not taken yet.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    pub from: Entity,
    pub to: Entity,
    pub command: &'a Command,
}

/// One consistent view of a company.
pub struct Picture<'a> {
    pub company: CompanyId,
    pub book: &'a company::State,
    pub campaigns: BTreeMap<CampaignId, &'a campaign::State>,
    pub calls: BTreeMap<CallId, &'a call::State>,
    pub messages: Vec<Message<'a>>,
    rows: Rows,
}

/// The rows that the properties speak of, by campaign.
#[derive(Default)]
struct Rows {
    permits: BTreeMap<(CampaignId, CallId), u16>,
    contacted: BTreeMap<CustomerId, Contacted>,
    of: BTreeMap<CampaignId, CampaignRows>,
}

#[derive(Default)]
struct CampaignRows {
    ready: Vec<(ContactNo, ReadyValue)>,
    in_flight: BTreeMap<ContactNo, Held>,
    ended: BTreeMap<ContactNo, ContactEnd>,
}

impl<'a> Picture<'a> {
    /// # Errors
    /// A row that cannot be read.
    pub fn new<'r>(
        company: CompanyId,
        book: &'a company::State,
        campaigns: BTreeMap<CampaignId, &'a campaign::State>,
        calls: BTreeMap<CallId, &'a call::State>,
        messages: Vec<Message<'a>>,
        rows: impl IntoIterator<Item = (&'r RowKey, &'r [u8])>,
    ) -> Result<Self, crate::codec::DecodeError> {
        let mut kept = Rows::default();
        for (key, value) in rows {
            kept.take(company, key, value)?;
        }
        Ok(Picture { company, book, campaigns, calls, messages, rows: kept })
    }

    fn rows_of(&self, campaign: CampaignId) -> &CampaignRows {
        static NONE: CampaignRows =
            CampaignRows { ready: Vec::new(), in_flight: BTreeMap::new(), ended: BTreeMap::new() };
        self.rows.of.get(&campaign).unwrap_or(&NONE)
    }

    /// Messages from or to an entity.
    fn between(&self, a: Entity, b: Entity) -> impl Iterator<Item = &Command> {
        self.messages
            .iter()
            .filter(move |m| (m.from, m.to) == (a, b) || (m.from, m.to) == (b, a))
            .map(|m| m.command)
    }
}

impl Rows {
    fn take(&mut self, of: CompanyId, key: &RowKey, value: &[u8]) -> Result<(), crate::codec::DecodeError> {
        match *key {
            RowKey::Permit { company, campaign, call } if company == of => {
                let permit: Permit = crate::codec::decode(value)?;
                self.permits.insert((campaign, call), permit.attempt);
            }
            RowKey::Contacted { company, customer } if company == of => {
                self.contacted.insert(customer, crate::codec::decode(value)?);
            }
            RowKey::Ready { company, campaign, no, .. } if company == of => {
                let ready = crate::codec::decode(value)?;
                self.of.entry(campaign).or_default().ready.push((no, ready));
            }
            RowKey::InFlight { company, campaign, no } if company == of => {
                let held = crate::codec::decode(value)?;
                self.of.entry(campaign).or_default().in_flight.insert(no, held);
            }
            RowKey::ContactEnd { company, campaign, no } if company == of => {
                let end = crate::codec::decode(value)?;
                self.of.entry(campaign).or_default().ended.insert(no, end);
            }
            _ => {}
        }
        Ok(())
    }
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}
