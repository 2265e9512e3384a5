//! Keys of one entity's own data.

use super::{Malformed, Reader, Space, Writer};
use tandem_domain::id::Entity;

fn of(space: Space, e: Entity) -> Writer {
    Writer::new(space).uuid(e.company.0).int(e.kind as u64).uuid(e.id)
}

/// (State, company, kind, id) -> [`crate::entity::Stored`]. Lives as long as the entity.
pub fn entity_state(e: Entity) -> Vec<u8> {
    of(Space::State, e).done()
}

/// (Event, company, kind, id, number of the last) -> [`crate::entity::EventRecord`]: the events of one decision.
/// Append-only; numbers from 1 without gaps.
pub fn event(e: Entity, number: u64) -> Vec<u8> {
    of(Space::Event, e).int(number).done()
}

/// The range of an entity's events from `first` on.
pub fn entity_events(e: Entity, first: u64) -> (Vec<u8>, Vec<u8>) {
    (event(e, first), event(e, u64::MAX))
}

/// The number of the last event under this key.
pub fn event_number(key: &[u8]) -> Result<u64, Malformed> {
    let mut r = Reader::new(key);
    let (_space, _company, _kind, _id) = (r.int()?, r.uuid()?, r.int()?, r.uuid()?);
    let number = r.int()?;
    r.end()?;
    Ok(number)
}

/// (Idempotency, company, kind, id, hash of the key) -> [`crate::entity::Remembered`]. Lives as
/// long as the entity: a key never acts twice. Of calls, only where a decision had no events: else
/// the key stands with them.
pub fn idempotency(e: Entity, key: [u8; 16]) -> Vec<u8> {
    of(Space::Idempotency, e).uuid(uuid::Uuid::from_bytes(key)).done()
}

/// (Inbox, company, kind, id, sender's kind, sender's id) -> number of the newest message that
/// this entity has taken from that sender, 8 bytes big-endian.
pub fn inbox(e: Entity, sender: Entity) -> Vec<u8> {
    of(Space::Inbox, e).int(sender.kind as u64).uuid(sender.id).done()
}
