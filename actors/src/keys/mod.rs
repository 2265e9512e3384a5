//! The key layout: every key that stands in the store, its fields, value and lifetime.
//!
//! Keys are tuples in FoundationDB's tuple encoding. The first field is the subspace; in rows of
//! a company the company is the second, so that no range reaches from one company into another.
//! The numbers of subspaces are for ever.

mod entity;
mod rows;
mod shard;
mod tuple;

pub use entity::{entity_events, entity_state, event, event_number, idempotency, inbox};
pub use rows::{Listed, list_prefix, parse_listed, ready_lane, ready_parts, row};
pub use shard::{
    dead_letter, dead_letters, epoch, format, mark, name_hash, outbox, outbox_of, outbox_parts, owner, timer,
    timer_parts, timers_until,
};
pub use tuple::{Malformed, Reader, Writer};

/// A time as it stands within a key.
pub fn time_part(at: i64) -> Vec<u8> {
    tuple::part(at)
}

/// Subspaces.
#[derive(Clone, Copy)]
#[repr(u8)]
pub enum Space {
    Format = 1,
    State = 2,
    Event = 3,
    Idempotency = 4,
    Inbox = 5,
    Epoch = 6,
    Owner = 7,
    Timer = 8,
    Outbox = 9,
    DeadLetter = 10,
    Mark = 11,
    // 12 and 13 are the cluster's: its nodes, and itself.
    Dnc = 20,
    Consent = 21,
    Contacted = 22,
    Policy = 23,
    Gate = 24,
    Permit = 25,
    Contact = 26,
    ContactEnd = 27,
    ContactOf = 28,
    Ready = 29,
    InFlight = 30,
    Counted = 31,
    CustomerKey = 32,
    CallByTime = 33,
    CallByCampaign = 34,
    CallByCustomer = 35,
    CallByDisposition = 36,
    CampaignByTime = 37,
    Turn = 38,
    ApiKey = 40,
    Company = 41,
}
