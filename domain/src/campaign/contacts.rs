//! Contacts coming in.

use super::command::{Added, Command, NewContact, Reply, Skip};
use super::decide::{self, Draft};
use super::event::{Event, What};
use super::state::{Phase, State};
use super::{Campaign, call_of, direct};
use crate::call;
use crate::effect::Effect;
use crate::id::{CampaignId, Entity};
use crate::machine::{Context, Decision, Rejection};
use crate::row::{Contact, ContactNo, Fact, ReadyValue, RowKey, RowWrite};
use std::collections::HashMap;

pub(super) fn facts(me: Entity, contacts: &[NewContact]) -> Vec<Fact> {
    let (company, campaign) = (me.company, CampaignId(me.id));
    contacts
        .iter()
        .flat_map(|c| {
            let of = Fact::Row(RowKey::ContactOf { company, campaign, customer: c.customer });
            let key =
                c.new_key.as_ref().map(|_| Fact::Row(RowKey::CustomerKey { company, customer: c.customer }));
            [Some(of), key].into_iter().flatten()
        })
        .collect()
}

pub(super) fn add(
    s: &State,
    contacts: &[NewContact],
    cx: &Context<'_>,
) -> Result<Decision<Campaign>, Rejection> {
    match s.phase {
        Phase::Absent => return Err(Rejection::NotFound("campaign")),
        Phase::Draft
        | Phase::Starting
        | Phase::Running
        | Phase::Pausing
        | Phase::Paused
        | Phase::Resuming => {}
        Phase::Stopping | Phase::Stopped | Phase::Completed | Phase::Failed => {
            return Err(Rejection::IllegalTransition { state: s.phase.name(), command: "add contacts" });
        }
    }
    if contacts.len() > Command::CONTACTS_MAX {
        return Err(Rejection::Exhausted { what: "a batch of contacts", max: Command::CONTACTS_MAX as u64 });
    }
    if s.direct {
        return Err(Rejection::invalid("campaign", "single calls are placed, not imported"));
    }
    let (company, campaign) = (cx.me.company, CampaignId(cx.me.id));
    let mut added = Added::default();
    let mut rows = Vec::with_capacity(contacts.len() * 4);
    // The same person twice in one batch.
    let mut here = HashMap::with_capacity(contacts.len());
    for (at, c) in (0u32..).zip(contacts) {
        let of = RowKey::ContactOf { company, campaign, customer: c.customer };
        if here.contains_key(&c.customer) || cx.facts.row::<ContactNo>(&of)?.is_some() {
            added.skipped.push((at, Skip::Duplicate));
            continue;
        }
        if let Some(key) = &c.new_key {
            let row = RowKey::CustomerKey { company, customer: c.customer };
            if cx.facts.row::<Vec<u8>>(&row)?.is_some() {
                added.skipped.push((at, Skip::KeyRace));
                continue;
            }
            rows.push(RowWrite::set(row, key));
        }
        let no = s
            .next_no
            .checked_add(added.added)
            .ok_or(Rejection::Exhausted { what: "a campaign", max: u64::from(u32::MAX) })?;
        here.insert(c.customer, no);
        rows.push(RowWrite::set(of, &no));
        let contact = Contact {
            customer: c.customer,
            phone: c.phone.clone(),
            last4: c.last4,
            place: c.place,
            priority: c.priority,
            person: c.person.clone(),
            line: c.line,
            added_at: cx.now,
        };
        rows.push(RowWrite::set(RowKey::Contact { company, campaign, no }, &contact));
        let ready =
            ReadyValue { place: c.place, call: call_of(campaign, no), attempts: 0, fresh: true, from: None };
        rows.push(RowWrite::set(
            RowKey::Ready { company, campaign, lane: c.priority, due: cx.now, no },
            &ready,
        ));
        added.added += 1;
    }
    let duplicates = added.skipped.iter().filter(|(_, why)| *why == Skip::Duplicate).count();
    let what = What::Added {
        added: added.added,
        duplicates: u32::try_from(duplicates).unwrap_or(u32::MAX),
        due: cx.now,
    };
    let events =
        if added.added == 0 && duplicates == 0 { Vec::new() } else { vec![Event { at: cx.now, what }] };
    Ok(Decision { events, effects: Vec::new(), rows, reply: Reply::Added(added) })
}

/// A single call takes its place in the queue of the company's single calls.
pub(super) fn enqueue(d: &mut Draft<'_>, command: &Command) -> Result<(), Rejection> {
    let Command::Enqueue { call, customer, phone, last4, place, priority, from, due } = command else {
        return Err(Rejection::internal("not an enqueue"));
    };
    let (company, campaign) = (d.cx.me.company, CampaignId(d.cx.me.id));
    if d.s.phase == Phase::Absent && campaign == direct(company) {
        decide::create_early(d);
    }
    match d.s.phase {
        Phase::Absent => return Err(Rejection::NotFound("campaign")),
        Phase::Draft
        | Phase::Starting
        | Phase::Running
        | Phase::Pausing
        | Phase::Paused
        | Phase::Resuming => {}
        Phase::Stopping | Phase::Stopped | Phase::Completed | Phase::Failed => {
            // Nobody will ever give it a permit.
            d.effects.push(Effect::send(Entity::call(company, *call), call::Command::Hangup));
            return Ok(());
        }
    }
    let no = d.s.next_no;
    let contact = Contact {
        customer: *customer,
        phone: phone.clone(),
        last4: *last4,
        place: *place,
        priority: *priority,
        person: None,
        line: 0,
        added_at: d.cx.now,
    };
    let ready = ReadyValue { place: *place, call: *call, attempts: 0, fresh: false, from: from.clone() };
    d.rows.push(RowWrite::set(RowKey::Contact { company, campaign, no }, &contact));
    d.rows.push(RowWrite::set(RowKey::Ready { company, campaign, lane: *priority, due: *due, no }, &ready));
    d.event(What::Added { added: 1, duplicates: 0, due: *due });
    Ok(())
}
