//! Lists and histories, read from the store by any node.

use crate::entity::{EventRecord, Stored};
use crate::handle::Routed;
use crate::keys::{self, Listed};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use tandem_domain::call;
use tandem_domain::campaign;
use tandem_domain::codec;
use tandem_domain::customer::{self, Customer};
use tandem_domain::id::{CallId, CampaignId, CompanyId, CustomerId, Entity};
use tandem_domain::retry::Disposition;
use tandem_domain::row::{
    ApiKeyValue, CompanyGate, ConsentEntry, Contact, ContactEnd, ContactNo, Contacted, DialPolicy, DncEntry,
    ReadyValue, RowKey, Turn,
};
use tandem_domain::time::Millis;
use tandem_store::tuple::prefix_range;
use tandem_store::{Range, Read, Store, StoreError, Transaction};

/// Most rows that one read answers.
pub const PAGE_MAX: usize = 1_000;

#[derive(Debug, Clone, thiserror::Error)]
pub enum QueryError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a stored row cannot be read: {0}")]
    Damaged(String),
    #[error("the cursor is not one of this list")]
    BadCursor,
}

fn damaged(e: impl std::fmt::Display) -> QueryError {
    QueryError::Damaged(e.to_string())
}

/// Part of a list, and where the next part begins.
#[derive(Debug, Clone)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<Vec<u8>>,
}

/// Which calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallList {
    All,
    Campaign(CampaignId),
    Customer(CustomerId),
    Disposition(Disposition),
}

#[derive(Debug, Clone)]
pub struct CallRow {
    pub id: CallId,
    pub state: call::State,
}

#[derive(Debug, Clone)]
pub struct CampaignRow {
    pub id: CampaignId,
    pub state: campaign::State,
}

#[derive(Debug, Clone)]
pub struct ContactRow {
    pub no: ContactNo,
    pub contact: Contact,
    pub end: Option<ContactEnd>,
}

async fn state<S: DeserializeOwned>(
    tx: &mut dyn Transaction,
    e: Entity,
) -> Result<Option<(u64, S)>, QueryError> {
    let Some(bytes) = tx.get(&keys::entity_state(e), Read::Snapshot).await? else { return Ok(None) };
    let stored: Stored<S> = codec::decode(&bytes).map_err(damaged)?;
    Ok(Some((stored.events, stored.state)))
}

/// The stored state of an entity and the number of its newest event.
///
/// # Errors
/// A failing store or a damaged row.
pub async fn stored<M: Routed>(store: &dyn Store, e: Entity) -> Result<Option<(u64, M::State)>, QueryError> {
    state(&mut *store.begin(), e).await
}

/// One typed row.
///
/// # Errors
/// A failing store or a damaged row.
pub async fn row<T: DeserializeOwned>(store: &dyn Store, key: &RowKey) -> Result<Option<T>, QueryError> {
    row_in(&mut *store.begin(), key).await
}

async fn row_in<T: DeserializeOwned>(
    tx: &mut dyn Transaction,
    key: &RowKey,
) -> Result<Option<T>, QueryError> {
    let value = tx.get(&keys::row(key), Read::Snapshot).await?;
    value.map(|b| codec::decode(&b)).transpose().map_err(damaged)
}

/// A part of a range behind a prefix. The cursor is what follows the prefix in the last key.
async fn scan(
    tx: &mut dyn Transaction,
    prefix: &[u8],
    bounds: (Option<Vec<u8>>, Option<Vec<u8>>),
    after: Option<&[u8]>,
    limit: usize,
    reverse: bool,
) -> Result<(Vec<(Bytes, Bytes)>, Option<Vec<u8>>), QueryError> {
    if after.is_some_and(|a| a.len() > 64) {
        return Err(QueryError::BadCursor);
    }
    let (low, high) = prefix_range(prefix);
    let (mut begin, mut end) = (bounds.0.unwrap_or(low), bounds.1.unwrap_or(high));
    if let Some(after) = after {
        let mut at = prefix.to_vec();
        at.extend_from_slice(after);
        if reverse {
            end = end.min(at);
        } else {
            at.push(0);
            begin = begin.max(at);
        }
    }
    if begin >= end {
        return Ok((Vec::new(), None));
    }
    let limit = limit.clamp(1, PAGE_MAX);
    let rows = tx.range(Range { begin, end, limit, reverse }, Read::Snapshot).await?;
    let next = match rows.last() {
        Some((key, _)) if rows.len() == limit => {
            Some(key.strip_prefix(prefix).ok_or_else(|| damaged("a key outside of its range"))?.to_vec())
        }
        _ => None,
    };
    Ok((rows, next))
}

/// The bounds of a time index: from `since` (inclusive) to `until` (exclusive).
fn between(
    prefix: &[u8],
    since: Option<Millis>,
    until: Option<Millis>,
) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let at = |t: Millis| {
        let mut key = prefix.to_vec();
        key.extend_from_slice(&keys::time_part(t));
        key
    };
    (since.map(at), until.map(at))
}

/// Calls, newest first.
///
/// # Errors
/// A failing store, a damaged row, a foreign cursor.
pub async fn calls(
    store: &dyn Store,
    company: CompanyId,
    list: CallList,
    (since, until): (Option<Millis>, Option<Millis>),
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Page<CallRow>, QueryError> {
    let listed = match list {
        CallList::All => Listed::Calls,
        CallList::Campaign(c) => Listed::CallsOfCampaign(c),
        CallList::Customer(c) => Listed::CallsOfCustomer(c),
        CallList::Disposition(d) => Listed::CallsEnded(d),
    };
    let prefix = keys::list_prefix(company, listed);
    let mut tx = store.begin();
    let (rows, next) = scan(&mut *tx, &prefix, between(&prefix, since, until), after, limit, true).await?;
    let mut items = Vec::with_capacity(rows.len());
    for (key, _) in rows {
        let (_, id) = keys::parse_listed(&prefix, &key).map_err(damaged)?;
        let id = CallId(id);
        if let Some((_, state)) = state(&mut *tx, Entity::call(company, id)).await? {
            items.push(CallRow { id, state });
        }
    }
    Ok(Page { items, next })
}

/// Campaigns, newest first.
///
/// # Errors
/// As [`calls`].
pub async fn campaigns(
    store: &dyn Store,
    company: CompanyId,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Page<CampaignRow>, QueryError> {
    let prefix = keys::list_prefix(company, Listed::Campaigns);
    let mut tx = store.begin();
    let (rows, next) = scan(&mut *tx, &prefix, (None, None), after, limit, true).await?;
    let mut items = Vec::with_capacity(rows.len());
    for (key, _) in rows {
        let (_, id) = keys::parse_listed(&prefix, &key).map_err(damaged)?;
        let id = CampaignId(id);
        if let Some((_, state)) = state(&mut *tx, Entity::campaign(company, id)).await? {
            items.push(CampaignRow { id, state });
        }
    }
    Ok(Page { items, next })
}

/// Contacts of a campaign in the order of their numbers.
///
/// # Errors
/// As [`calls`].
pub async fn contacts(
    store: &dyn Store,
    company: CompanyId,
    campaign: CampaignId,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Page<ContactRow>, QueryError> {
    let prefix = keys::list_prefix(company, Listed::Contacts(campaign));
    let mut tx = store.begin();
    let (rows, next) = scan(&mut *tx, &prefix, (None, None), after, limit, false).await?;
    let mut items = Vec::with_capacity(rows.len());
    for (key, value) in rows {
        let rest = key.strip_prefix(prefix.as_slice()).ok_or_else(|| damaged("a contact's key"))?;
        let no = keys::Reader::new(rest).u32().map_err(damaged)?;
        let end = row_in(&mut *tx, &RowKey::ContactEnd { company, campaign, no }).await?;
        items.push(ContactRow { no, contact: codec::decode(&value).map_err(damaged)?, end });
    }
    Ok(Page { items, next })
}

/// The ready queue of a campaign in one lane, by due time: (due, contact, value).
///
/// # Errors
/// As [`calls`].
pub async fn ready(
    store: &dyn Store,
    company: CompanyId,
    campaign: CampaignId,
    lane: tandem_domain::row::Priority,
    limit: usize,
) -> Result<Vec<(Millis, ContactNo, ReadyValue)>, QueryError> {
    let (begin, end) = keys::ready_lane(company, campaign, lane);
    let range = Range { begin, end, limit: limit.clamp(1, PAGE_MAX), reverse: false };
    let rows = store.begin().range(range, Read::Snapshot).await?;
    rows.into_iter()
        .map(|(key, value)| {
            let (due, no) = keys::ready_parts(&key).map_err(damaged)?;
            Ok((due, no, codec::decode(&value).map_err(damaged)?))
        })
        .collect()
}

/// Events of an entity from number `from` on, with their numbers.
///
/// # Errors
/// As [`calls`].
pub async fn events<M: Routed>(
    store: &dyn Store,
    e: Entity,
    from: u64,
    limit: usize,
) -> Result<Vec<(u64, M::Event)>, QueryError> {
    let first = from.max(1);
    let limit = limit.clamp(1, PAGE_MAX);
    // A record is found under the number of its last event, so the first of the range has the first event.
    let (begin, end) = keys::entity_events(e, first);
    let rows = store.begin().range(Range { begin, end, limit, reverse: false }, Read::Snapshot).await?;
    let mut events = Vec::with_capacity(rows.len());
    let mut last = None;
    for (key, value) in rows {
        let record: EventRecord<M::Event> = codec::decode(&value).map_err(damaged)?;
        let number = keys::event_number(&key).map_err(damaged)?;
        let before = number.saturating_sub(record.events.len() as u64);
        // Events are numbered without gaps: anything else is damage.
        if last.map_or(before >= first, |last| before != last) {
            return Err(damaged(format!("event {} is missing", last.map_or(first, |last| last + 1))));
        }
        last = Some(number);
        events.extend((before + 1..).zip(record.events).filter(|(number, _)| *number >= first));
    }
    events.truncate(limit);
    Ok(events)
}

/// What was said in a call, in order: (number, turn).
///
/// # Errors
/// As [`calls`].
pub async fn turns(
    store: &dyn Store,
    company: CompanyId,
    call: CallId,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Page<Turn>, QueryError> {
    let prefix = keys::list_prefix(company, Listed::Turns(call));
    let (rows, next) = scan(&mut *store.begin(), &prefix, (None, None), after, limit, false).await?;
    let items = rows.iter().map(|(_, v)| codec::decode(v)).collect::<Result<_, _>>().map_err(damaged)?;
    Ok(Page { items, next })
}

/// A person's history, newest first: their events with their numbers. The cursor is the number of the
/// oldest that was shown, 8 bytes big-endian.
///
/// # Errors
/// As [`calls`].
pub async fn history(
    store: &dyn Store,
    company: CompanyId,
    customer: CustomerId,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Page<(u64, customer::Event)>, QueryError> {
    let person = Entity::customer(company, customer);
    let before = match after {
        Some(cursor) => u64::from_be_bytes(cursor.try_into().map_err(|_| QueryError::BadCursor)?),
        None => stored::<Customer>(store, person).await?.map_or(0, |(events, _)| events) + 1,
    };
    let limit = limit.clamp(1, PAGE_MAX);
    let first = before.saturating_sub(limit as u64).max(1);
    if first >= before {
        return Ok(Page { items: Vec::new(), next: None });
    }
    let mut items = events::<Customer>(store, person, first, limit).await?;
    items.retain(|(number, _)| *number < before);
    items.reverse();
    Ok(Page { items, next: (first > 1).then(|| first.to_be_bytes().to_vec()) })
}

/// Permits that are held: one for each attempt alive.
///
/// # Errors
/// As [`calls`].
pub async fn permits(
    store: &dyn Store,
    company: CompanyId,
    campaign: CampaignId,
) -> Result<usize, QueryError> {
    let prefix = keys::list_prefix(company, Listed::Permits(campaign));
    let mut tx = store.begin();
    let (mut after, mut count) = (None, 0);
    loop {
        let (rows, next) = scan(&mut *tx, &prefix, (None, None), after.as_deref(), PAGE_MAX, false).await?;
        count += rows.len();
        match next {
            Some(next) => after = Some(next),
            None => return Ok(count),
        }
    }
}

/// Companies of this installation.
///
/// # Errors
/// As [`calls`].
pub async fn companies(
    store: &dyn Store,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Page<CompanyId>, QueryError> {
    let prefix = keys::list_prefix(CompanyId::from_bytes([0; 16]), Listed::Companies);
    let (rows, next) = scan(&mut *store.begin(), &prefix, (None, None), after, limit, false).await?;
    let mut items = Vec::with_capacity(rows.len());
    for (key, _) in rows {
        let rest = key.strip_prefix(prefix.as_slice()).ok_or_else(|| damaged("a company's key"))?;
        items.push(CompanyId(keys::Reader::new(rest).uuid().map_err(damaged)?));
    }
    Ok(Page { items, next })
}

/// Commands that were set aside, by entity and time.
///
/// # Errors
/// As [`calls`].
pub async fn dead_letters(
    store: &dyn Store,
    company: CompanyId,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Page<crate::dead::Letter>, QueryError> {
    let prefix = keys::dead_letters(company);
    let (rows, next) = scan(&mut *store.begin(), &prefix, (None, None), after, limit, false).await?;
    let items = rows.iter().map(|(_, v)| codec::decode(v)).collect::<Result<_, _>>().map_err(damaged)?;
    Ok(Page { items, next })
}

/// # Errors
/// As [`calls`].
pub async fn api_key(store: &dyn Store, key_id: [u8; 8]) -> Result<Option<ApiKeyValue>, QueryError> {
    row(store, &RowKey::ApiKey { key_id }).await
}

/// Everything that decides whether a person may be dialed, as it stands now.
#[derive(Debug, Clone, Default)]
pub struct DialFacts {
    pub gate: Option<CompanyGate>,
    pub policy: Option<DialPolicy>,
    pub dnc: Option<DncEntry>,
    pub consent: Option<ConsentEntry>,
    pub contacted: Option<Contacted>,
}

impl DialFacts {
    pub fn at<'a>(&'a self, place: &'a tandem_domain::dial::Place) -> tandem_domain::dial::Facts<'a> {
        tandem_domain::dial::Facts {
            gate: self.gate.as_ref(),
            policy: self.policy.as_ref(),
            dnc: self.dnc.as_ref(),
            consent: self.consent.as_ref(),
            contacted: self.contacted.as_ref(),
            place,
        }
    }
}

/// Reads them in one snapshot.
///
/// # Errors
/// As [`calls`].
pub async fn dial_facts(
    store: &dyn Store,
    company: CompanyId,
    campaign: Option<CampaignId>,
    customer: CustomerId,
) -> Result<DialFacts, QueryError> {
    let mut tx = store.begin();
    Ok(DialFacts {
        gate: row_in(&mut *tx, &RowKey::Gate { company }).await?,
        policy: row_in(&mut *tx, &RowKey::Policy { company, campaign }).await?,
        dnc: row_in(&mut *tx, &RowKey::Dnc { company, customer }).await?,
        consent: row_in(&mut *tx, &RowKey::Consent { company, customer }).await?,
        contacted: row_in(&mut *tx, &RowKey::Contacted { company, customer }).await?,
    })
}
