//! What an entity remembers of what it was asked: idempotency keys and messages taken.

use super::{Answer, Envelope, Key, store_failed};
use crate::error::SendError;
use crate::handle::Routed;
use crate::keys;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};
use tandem_domain::codec;
use tandem_domain::id::Entity;
use tandem_domain::machine::{Machine, Rejection};
use tandem_store::{Range, Read, Store};

/// Answers kept in memory.
const RECENT_MAX: usize = 64;
/// Records of events read in one go.
const PAGE: usize = 500;

/// What is remembered under an idempotency key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Remembered {
    pub request: [u8; 16],
    pub events: u64,
    /// The encoded reply.
    pub reply: Vec<u8>,
}

/// The events of one decision, which are durable together, and the key under which it was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventRecord<E> {
    pub events: Vec<E>,
    /// Only of kinds with few events; see [`Routed::KEYS_WITH_EVENTS`].
    pub answered: Option<([u8; 16], Remembered)>,
}

struct Known {
    /// The decision that it came with.
    seq: u64,
    key: [u8; 16],
    remembered: Remembered,
}

/// Idempotency keys that were used with an entity.
pub(super) struct Keys {
    recent: VecDeque<Known>,
    /// Beginnings of the keys that were pushed out of `recent`.
    older: Vec<u64>,
    /// Every key ever used is among these.
    complete: bool,
}

fn beginning(key: &[u8; 16]) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&key[..8]);
    u64::from_be_bytes(first)
}

impl Keys {
    /// Of an entity that is just made (`fresh`), or of one that was used before.
    pub fn new(fresh: bool) -> Self {
        Keys { recent: VecDeque::new(), older: Vec::new(), complete: fresh }
    }

    pub fn used(&mut self, seq: u64, key: [u8; 16], remembered: Remembered) {
        self.recent.push_back(Known { seq, key, remembered });
    }

    /// Forgets the oldest that are durable.
    pub fn trim(&mut self, committed: u64, with_events: bool) {
        while self.recent.len() > RECENT_MAX
            && self.recent.front().is_some_and(|known| known.seq <= committed)
        {
            let Some(oldest) = self.recent.pop_front() else { break };
            if with_events {
                self.older.push(beginning(&oldest.key));
            } else {
                self.complete = false;
            }
        }
    }

    async fn find<M: Routed>(
        &mut self,
        me: Entity,
        store: &dyn Store,
        key: &[u8; 16],
    ) -> Result<Option<Remembered>, SendError> {
        if let Some(known) = self.recent.iter().rev().find(|known| known.key == *key) {
            return Ok(Some(known.remembered.clone()));
        }
        if self.complete && !self.older.contains(&beginning(key)) {
            return Ok(None);
        }
        let row =
            store.begin().get(&keys::idempotency(me, *key), Read::Snapshot).await.map_err(store_failed)?;
        if let Some(row) = row {
            return codec::decode(&row).map(Some).map_err(|e| SendError::Store(e.to_string()));
        }
        if M::KEYS_WITH_EVENTS { self.find_in_events::<M>(me, store, key).await } else { Ok(None) }
    }

    /// Looks through all events of an entity that has few, and knows all their keys from then on.
    async fn find_in_events<M: Machine>(
        &mut self,
        me: Entity,
        store: &dyn Store,
        key: &[u8; 16],
    ) -> Result<Option<Remembered>, SendError> {
        let (mut begin, end) = keys::entity_events(me, 1);
        let mut found = None;
        let mut older = Vec::new();
        loop {
            let range = Range { begin: begin.clone(), end: end.clone(), limit: PAGE, reverse: false };
            let rows = store.begin().range(range, Read::Snapshot).await.map_err(store_failed)?;
            for (_, row) in &rows {
                let record = codec::decode::<EventRecord<M::Event>>(row);
                let record = record.map_err(|e| SendError::Store(e.to_string()))?;
                let Some((used, remembered)) = record.answered else { continue };
                older.push(beginning(&used));
                if used == *key {
                    found = Some(remembered);
                }
            }
            match rows.last() {
                Some((last, _)) if rows.len() == PAGE => {
                    begin = last.to_vec();
                    begin.push(0);
                }
                _ => break,
            }
        }
        if !self.complete {
            // What is not durable yet is among the recent ones.
            self.older = older;
            self.complete = true;
        }
        Ok(found)
    }
}

/// Messages that an entity has taken: the newest of each sender.
pub(super) struct Inbox {
    newest: HashMap<Entity, (u64, u64)>,
    /// Every sender ever heard of is among them.
    complete: bool,
}

impl Inbox {
    /// Of an entity that is just made (`fresh`), or of one that was used before.
    pub fn new(fresh: bool) -> Self {
        Inbox { newest: HashMap::new(), complete: fresh }
    }

    pub fn took(&mut self, seq: u64, sender: Entity, number: u64) {
        self.newest.insert(sender, (seq, number));
    }

    pub fn trim(&mut self, committed: u64) {
        if self.newest.len() > 32 {
            self.newest.retain(|_, (seq, _)| *seq > committed);
            self.complete = false;
        }
    }

    async fn newest(&mut self, me: Entity, store: &dyn Store, sender: Entity) -> Result<u64, SendError> {
        if let Some((_, number)) = self.newest.get(&sender) {
            return Ok(*number);
        }
        if self.complete {
            return Ok(0);
        }
        let row = store.begin().get(&keys::inbox(me, sender), Read::Snapshot).await.map_err(store_failed)?;
        let number = row.and_then(|b| b.as_ref().try_into().ok()).map_or(0, u64::from_be_bytes);
        self.newest.insert(sender, (0, number));
        Ok(number)
    }
}

pub(super) type Seen<M> = Option<Result<Answer<<M as Machine>::Reply>, SendError>>;

/// Whether this command was carried out before: under its idempotency key, or as a message.
pub(super) async fn seen_before<M: Routed>(
    me: Entity,
    store: &dyn Store,
    keys: &mut Keys,
    inbox: &mut Inbox,
    envelope: &Envelope<M>,
) -> Result<Seen<M>, SendError> {
    if let Some(origin) = envelope.origin
        && origin.number <= inbox.newest(me, store, origin.sender).await?
    {
        return Ok(Some(Err(SendError::Rejected(Rejection::AlreadyExists))));
    }
    let Some(Key { key, request }) = envelope.key else { return Ok(None) };
    let Some(known) = keys.find::<M>(me, store, &key).await? else { return Ok(None) };
    if known.request != request {
        return Ok(Some(Err(Rejection::KeyReused.into())));
    }
    let reply = codec::decode(&known.reply).map_err(|e| SendError::Store(e.to_string()))?;
    Ok(Some(Ok(Answer { reply, replayed: true, events: known.events })))
}
