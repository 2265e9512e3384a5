//! Contacts, and the sums that are kept of them.

use super::{CampaignRows, Picture, ensure};
use crate::call;
use crate::campaign::{self, State, call_of};
use crate::effect::Command;
use crate::id::{CallId, CampaignId, Entity};
use crate::retry::Disposition;
use crate::row::ContactNo;
use std::collections::BTreeMap;

fn each(
    p: &Picture<'_>,
    check: impl Fn(CampaignId, &State, &CampaignRows) -> Result<(), String>,
) -> Result<(), String> {
    p.campaigns.iter().try_for_each(|(id, s)| check(*id, s, p.rows_of(*id)))
}

pub(super) fn in_flight_is_counted(p: &Picture<'_>) -> Result<(), String> {
    each(p, |id, s, rows| {
        ensure(rows.in_flight.len() == s.in_flight as usize, || {
            format!("{id} counts {} in flight and has {} rows", s.in_flight, rows.in_flight.len())
        })?;
        let numbers = s.config.callers.iter().zip(&s.callers);
        for (number, used) in numbers {
            let rows = rows.in_flight.values().filter(|held| held.from == *number).count();
            ensure(rows == used.in_flight as usize, || {
                format!("{id} counts {} in flight from {number} and has {rows} rows", used.in_flight)
            })?;
        }
        let strange = rows.in_flight.values().find(|held| !s.config.callers.contains(&held.from));
        ensure(strange.is_none(), || format!("{id} forgot a caller id that is in use: {strange:?}"))
    })
}

pub(super) fn ready_is_counted(p: &Picture<'_>) -> Result<(), String> {
    each(p, |id, s, rows| {
        ensure(rows.ready.len() == s.ready as usize, || {
            format!("{id} counts {} ready and has {} rows", s.ready, rows.ready.len())
        })
    })
}

/// The call of each contact of the campaign.
fn calls_of(p: &Picture<'_>, campaign: CampaignId, s: &State) -> BTreeMap<ContactNo, CallId> {
    if !s.direct {
        return (0..s.next_no).map(|no| (no, call_of(campaign, no))).collect();
    }
    // A single call learns its number with its first permit.
    p.calls
        .iter()
        .filter(|(_, c)| c.campaign == Some(campaign))
        .filter_map(|(id, c)| Some((c.contact?, *id)))
        .collect()
}

/// On its way: the campaign has let go of it, and a message will bring it home.
fn travels(p: &Picture<'_>, campaign: CampaignId, no: ContactNo, call: Option<CallId>) -> bool {
    let Some(call) = call else { return false };
    let (call, campaign) = (Entity::call(p.company, call), Entity::campaign(p.company, campaign));
    p.between(call, campaign).any(|command| match command {
        Command::Call(call::Command::Hangup) => true,
        Command::Campaign(campaign::Command::Finished(f)) => f.contact == Some(no),
        Command::Campaign(campaign::Command::Released(r)) => r.contact == no,
        Command::Campaign(campaign::Command::Declined(d)) => d.contact == no,
        _ => false,
    })
}

pub(super) fn in_one_place(p: &Picture<'_>) -> Result<(), String> {
    each(p, |id, s, rows| {
        let calls = calls_of(p, id, s);
        let mut ready: BTreeMap<ContactNo, u32> = BTreeMap::new();
        for (no, _) in &rows.ready {
            *ready.entry(*no).or_default() += 1;
        }
        for no in 0..s.next_no {
            let waiting = ready.get(&no).copied().unwrap_or(0);
            let held = rows.in_flight.contains_key(&no);
            let ended = rows.ended.contains_key(&no);
            let call = calls.get(&no).copied();
            // A call that ended while it waited leaves its place in the queue behind when that was
            // moved meanwhile; the campaign clears it when it comes to it.
            let left_behind = ended && call.is_some_and(|c| p.calls.contains_key(&c));
            let good = match (waiting, held, ended) {
                (0, true, false) | (1, false, false) | (0, false, true) => true,
                (0, false, false) => travels(p, id, no, call),
                (1, false, true) | (0, true, true) => left_behind,
                _ => false,
            };
            ensure(good, || {
                format!(
                    "contact {no} of {id} ({:?}): ready {waiting}, in flight {held}, ended {ended}",
                    s.phase
                )
            })?;
        }
        let beyond =
            ready.keys().chain(rows.in_flight.keys()).chain(rows.ended.keys()).find(|no| **no >= s.next_no);
        ensure(beyond.is_none(), || format!("{id} has rows of {beyond:?} and only {} contacts", s.next_no))
    })
}

pub(super) fn counters_add_up(p: &Picture<'_>) -> Result<(), String> {
    each(p, |id, s, rows| {
        let c = &s.counts;
        ensure(c.contacts == s.next_no, || format!("{id}: {} contacts, next is {}", c.contacts, s.next_no))?;
        ensure(c.finished as usize == rows.ended.len(), || {
            format!("{id}: {} finished, {} final words", c.finished, rows.ended.len())
        })?;
        for d in Disposition::ALL {
            let rows = rows.ended.values().filter(|e| e.disposition == d).count();
            ensure(rows == c.of(d) as usize, || {
                format!("{id}: {rows} rows say {}, {} counted", d.name(), c.of(d))
            })?;
        }
        let by_outcome: u64 = c.outcomes.iter().sum();
        ensure(by_outcome == c.attempts, || format!("{id}: {} attempts, {by_outcome} outcomes", c.attempts))?;
        attempts_are_counted_once(p, id, s)
    })
}

/// Attempts that count, of all calls, are those the campaign has heard of and those it will.
fn attempts_are_counted_once(p: &Picture<'_>, id: CampaignId, s: &State) -> Result<(), String> {
    let made: u64 = p.calls.values().filter(|c| c.campaign == Some(id)).map(|c| u64::from(c.counted)).sum();
    let coming =
        p.messages.iter().filter(|m| m.to == Entity::campaign(p.company, id)).map(|m| match m.command {
            Command::Campaign(campaign::Command::Released(r)) => u64::from(r.counted),
            Command::Campaign(campaign::Command::Finished(f)) => u64::from(f.outcome.is_some()),
            _ => 0,
        });
    let coming: u64 = coming.sum();
    ensure(made == s.counts.attempts + coming, || {
        format!("{id}: {made} attempts made, {} counted and {coming} on their way", s.counts.attempts)
    })
}
