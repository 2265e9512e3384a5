//! Keys of one shard: its ownership, timers, outbox.

use super::{Malformed, Reader, Space, Writer};
use tandem_domain::id::{CompanyId, Entity, Kind};
use tandem_domain::time::Millis;

/// (Format) -> version of this layout and the fixed number of shards. Written once.
pub fn format() -> Vec<u8> {
    Writer::new(Space::Format).done()
}

/// (Epoch, shard) -> 8 bytes big-endian. Changes only when ownership changes; every commit of the
/// shard reads it.
pub fn epoch(shard: u16) -> Vec<u8> {
    Writer::new(Space::Epoch).int(u64::from(shard)).done()
}

/// (Owner, shard) -> name of the node that has it, and more in a cluster.
pub fn owner(shard: u16) -> Vec<u8> {
    Writer::new(Space::Owner).int(u64::from(shard)).done()
}

/// (Mark, node, lane) -> id of the newest batch of a node's committing lane, on engines that can lose an outcome. `node` is
/// the hash of its name.
pub fn mark(node: u64, lane: u64) -> Vec<u8> {
    Writer::new(Space::Mark).int(node).int(lane).done()
}

/// FNV-1a over a node's name.
pub fn name_hash(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// (Timer, shard, due, company, kind, id) -> empty. At most one for an entity; cleared when the
/// entity wants no wake-up any more.
pub fn timer(shard: u16, due: Millis, e: Entity) -> Vec<u8> {
    Writer::new(Space::Timer)
        .int(u64::from(shard))
        .time(due)
        .uuid(e.company.0)
        .int(e.kind as u64)
        .uuid(e.id)
        .done()
}

/// Timers of a shard from `from` (inclusive) to before `until`.
pub fn timers_until(shard: u16, from: Millis, until: Millis) -> (Vec<u8>, Vec<u8>) {
    let at = |t| Writer::new(Space::Timer).int(u64::from(shard)).time(t).done();
    (at(from), at(until))
}

pub fn timer_parts(key: &[u8]) -> Result<(Millis, Entity), Malformed> {
    let mut r = Reader::new(key);
    let _space = r.int()?;
    let _shard = r.int()?;
    let due = r.time()?;
    let company = CompanyId(r.uuid()?);
    let kind = Kind::from_u8(r.u8()?).ok_or(Malformed)?;
    let id = r.uuid()?;
    r.end()?;
    Ok((due, Entity { company, kind, id }))
}

/// (Outbox, shard, sequence) -> [`crate::dispatch::Record`]. Removed once performed.
pub fn outbox(shard: u16, sequence: u64) -> Vec<u8> {
    Writer::new(Space::Outbox).int(u64::from(shard)).int(sequence).done()
}

/// The outbox of a shard after `after`.
pub fn outbox_of(shard: u16, after: u64) -> (Vec<u8>, Vec<u8>) {
    (outbox(shard, after), outbox(shard, u64::MAX))
}

pub fn outbox_parts(key: &[u8]) -> Result<u64, Malformed> {
    let mut r = Reader::new(key);
    let _space = r.int()?;
    let _shard = r.int()?;
    let sequence = r.int()?;
    r.end()?;
    Ok(sequence)
}

/// (DeadLetter, company, kind, id, time) -> [`crate::dead::Letter`]. Kept until an operator
/// removes it.
pub fn dead_letter(e: Entity, at: Millis) -> Vec<u8> {
    Writer::new(Space::DeadLetter).uuid(e.company.0).int(e.kind as u64).uuid(e.id).time(at).done()
}

/// What the keys of all dead letters of a company begin with.
pub fn dead_letters(company: CompanyId) -> Vec<u8> {
    Writer::new(Space::DeadLetter).uuid(company.0).done()
}
