//! Reading the rows that a decision relies on.

use super::{Loaded, store_failed};
use crate::error::SendError;
use crate::keys;
use crate::shard::Shard;
use bytes::Bytes;
use tandem_domain::codec;
use tandem_domain::id::{CampaignId, CompanyId};
use tandem_domain::machine::{FactValue, Facts, Machine};
use tandem_domain::row::{Fact, Priority, ReadyEntry, ReadyValue, RowKey};
use tandem_store::{Range, Read, Transaction};

/// A fact as it was seen: the key and its value.
pub(crate) type Check = (Vec<u8>, Option<Bytes>);

pub(super) struct ReadFacts {
    pub facts: Facts,
    pub checks: Vec<Check>,
}

pub(super) async fn read_facts<M: Machine>(
    shard: &Shard,
    loaded: &Loaded<M>,
    wanted: Vec<Fact>,
) -> Result<ReadFacts, SendError> {
    let mut read = ReadFacts { facts: Facts::default(), checks: Vec::new() };
    if wanted.is_empty() {
        return Ok(read);
    }
    let mut tx = shard.store.begin();
    read.facts.0.reserve(wanted.len());
    for fact in wanted {
        match fact {
            Fact::Row(key) => {
                let at = keys::row(&key);
                let value = match loaded.overlay.get(&key) {
                    Some((_, value)) => value.clone().map(Bytes::from),
                    None => tx.get(&at, Read::Snapshot).await.map_err(store_failed)?,
                };
                read.checks.push((at, value.clone()));
                read.facts.0.push(FactValue::Row(key, value.map(|b| b.to_vec())));
            }
            Fact::Ready { company, campaign, limit } => {
                let mut entries = Vec::new();
                for lane in Priority::ALL {
                    let (begin, end) = keys::ready_lane(company, campaign, lane);
                    let range = Range { begin, end, limit, reverse: false };
                    for (key, value) in tx.range(range, Read::Snapshot).await.map_err(store_failed)? {
                        entries.push(ready_entry(&mut *tx, company, campaign, lane, &key, &value).await?);
                    }
                }
                read.facts.0.push(FactValue::Ready(entries));
            }
        }
    }
    Ok(read)
}

async fn ready_entry(
    tx: &mut dyn Transaction,
    company: CompanyId,
    campaign: CampaignId,
    lane: Priority,
    key: &[u8],
    value: &[u8],
) -> Result<ReadyEntry, SendError> {
    let broken = |e: &dyn std::fmt::Display| SendError::Store(format!("a ready row cannot be read: {e}"));
    let (due, no) = keys::ready_parts(key).map_err(|e| broken(&e))?;
    let value: ReadyValue = codec::decode(value).map_err(|e| broken(&e))?;
    let contact = if value.fresh {
        let row = keys::row(&RowKey::Contact { company, campaign, no });
        let bytes = tx.get(&row, Read::Snapshot).await.map_err(store_failed)?;
        bytes.map(|b| codec::decode(&b)).transpose().map_err(|e| broken(&e))?
    } else {
        None
    };
    Ok(ReadyEntry { lane, due, no, value, contact })
}
