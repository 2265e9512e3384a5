//! The decisions of a customer.

use super::Customer;
use super::command::{Command, Enrich, Known, Reply};
use super::event::{Event, State, Status, TAGS_MAX, What, evolve};
use crate::id::{CallId, CustomerId, Entity};
use crate::machine::{Context, Decision, Machine, Rejection};
use crate::row::{ConsentEntry, DncEntry, Fact, RowKey, RowWrite};
use crate::sealed::Sealed;

/// Sealed bytes of one note.
const NOTE_BYTES_MAX: usize = 16_000;

fn counted_key(me: Entity, call: CallId) -> RowKey {
    RowKey::Counted { company: me.company, customer: CustomerId(me.id), call }
}

pub(super) fn facts(me: Entity, s: &State, command: &Command) -> Vec<Fact> {
    let (company, customer) = (me.company, CustomerId(me.id));
    match command {
        Command::Recognise(r) => {
            let key = (r.new_key.is_some() && !Customer::exists(s))
                .then_some(Fact::Row(RowKey::CustomerKey { company, customer }));
            let mut facts = to_create(me, s);
            facts.extend([Some(Fact::Row(counted_key(me, r.call))), key].into_iter().flatten());
            facts
        }
        Command::CallEnded(c) => {
            let mut facts = to_create(me, s);
            facts.push(Fact::Row(counted_key(me, c.call)));
            facts
        }
        Command::Enrich(_)
        | Command::DoNotCall { .. }
        | Command::AllowCalls
        | Command::Consent { .. }
        | Command::RevokeConsent
        | Command::Note { .. }
        | Command::Get => Vec::new(),
    }
}

/// What may have been said of a person before they were known.
fn to_create(me: Entity, s: &State) -> Vec<Fact> {
    let (company, customer) = (me.company, CustomerId(me.id));
    if Customer::exists(s) {
        return Vec::new();
    }
    vec![Fact::Row(RowKey::Dnc { company, customer }), Fact::Row(RowKey::Consent { company, customer })]
}

struct Draft<'a> {
    s: State,
    cx: &'a Context<'a>,
    events: Vec<Event>,
    rows: Vec<RowWrite>,
}

impl Draft<'_> {
    fn record(&mut self, what: What) {
        let event = Event { at: self.cx.now, what };
        evolve(&mut self.s, &event);
        self.events.push(event);
    }

    fn create(&mut self, phone: &Sealed, last4: [u8; 4]) -> Result<(), Rejection> {
        if Customer::exists(&self.s) {
            return Ok(());
        }
        let (company, customer) = (self.cx.me.company, CustomerId(self.cx.me.id));
        let dnc: Option<DncEntry> = self.cx.facts.row(&RowKey::Dnc { company, customer })?;
        let consent: Option<ConsentEntry> = self.cx.facts.row(&RowKey::Consent { company, customer })?;
        self.record(What::Created { phone: phone.clone(), last4 });
        if let Some(DncEntry { source, .. }) = dnc {
            self.record(What::DoNotCall { source });
        }
        if let Some(ConsentEntry { basis, revoked_at: None, .. }) = consent {
            self.record(What::Consented { basis });
        }
        Ok(())
    }
}

pub(super) fn decide(
    s: &State,
    command: &Command,
    cx: &Context<'_>,
) -> Result<Decision<Customer>, Rejection> {
    let (company, customer) = (cx.me.company, CustomerId(cx.me.id));
    let returning = Customer::exists(s);
    let mut counted = false;
    let mut d = Draft { s: s.clone(), cx, events: Vec::new(), rows: Vec::new() };
    match command {
        Command::Recognise(r) => {
            let key = counted_key(cx.me, r.call);
            let seen = cx.facts.present(&key)?;
            if let (Some(new_key), false) = (&r.new_key, returning) {
                let row = RowKey::CustomerKey { company, customer };
                if cx.facts.present(&row)? {
                    return Err(Rejection::PersonKeyExists);
                }
                d.rows.push(RowWrite::set(row, new_key));
            }
            d.create(&r.phone, r.last4)?;
            if !seen {
                counted = true;
                d.rows.push(RowWrite::mark(key));
                d.record(What::Recognised { call: r.call });
            }
        }
        Command::CallEnded(c) => {
            let key = counted_key(cx.me, c.call);
            counted = !cx.facts.present(&key)?;
            d.create(&c.phone, c.last4)?;
            if counted {
                d.rows.push(RowWrite::mark(key));
            }
            d.record(What::CallEnded {
                call: c.call,
                direction: c.direction,
                disposition: c.disposition,
                attempts: c.attempts,
                talk_ms: c.talk_ms,
                counted,
            });
        }
        Command::DoNotCall { source, call } => {
            // A person who never called can ask not to be called: the entry needs no customer.
            let entry = DncEntry { at: cx.now, source: *source, call: *call };
            d.rows.push(RowWrite::set(RowKey::Dnc { company, customer }, &entry));
            if returning && !s.do_not_call {
                d.record(What::DoNotCall { source: *source });
            }
        }
        Command::AllowCalls => {
            d.rows.push(RowWrite::clear(RowKey::Dnc { company, customer }));
            if returning && s.do_not_call {
                d.record(What::CallsAllowed);
            }
        }
        Command::Consent { basis } => {
            let entry = ConsentEntry { at: cx.now, basis: *basis, revoked_at: None };
            d.rows.push(RowWrite::set(RowKey::Consent { company, customer }, &entry));
            if returning {
                d.record(What::Consented { basis: *basis });
            }
        }
        Command::RevokeConsent => {
            let basis = s.consent.unwrap_or(crate::row::ConsentBasis::Oral);
            let entry = ConsentEntry { at: cx.now, basis, revoked_at: Some(cx.now) };
            d.rows.push(RowWrite::set(RowKey::Consent { company, customer }, &entry));
            if returning {
                d.record(What::ConsentRevoked);
            }
        }
        _ if !returning => return Err(Rejection::NotFound("customer")),
        Command::Enrich(e) => enrich(&mut d, e)?,
        Command::Note { text } if text.0.len() > NOTE_BYTES_MAX => {
            return Err(Rejection::invalid("text", "a note takes at most 16 kB"));
        }
        Command::Note { text } => d.record(What::Noted { text: text.clone() }),
        Command::Get => {}
    }
    let reply = Reply::Known(Box::new(Known { state: d.s, returning, counted }));
    Ok(Decision { events: d.events, effects: Vec::new(), rows: d.rows, reply })
}

fn enrich(d: &mut Draft<'_>, e: &Enrich) -> Result<(), Rejection> {
    if e.person_from.as_ref().is_some_and(|from| *from != d.s.person) {
        return Err(Rejection::Stale("customer's details"));
    }
    if e.status == Some(Status::Absent) {
        return Err(Rejection::invalid("status", "a customer cannot be made absent"));
    }
    if let Some(tags) = &e.tags {
        if tags.len() > TAGS_MAX {
            return Err(Rejection::invalid("tags", "at most 20"));
        }
        if tags.iter().any(|t| t.is_empty() || t.len() > 50) {
            return Err(Rejection::invalid("tags", "1 to 50 bytes each"));
        }
    }
    if e.person.as_ref().is_some_and(|p| p.0.len() > 2_000) {
        return Err(Rejection::invalid("person", "name, e-mail and address take at most 2000 bytes"));
    }
    let status = e.status.filter(|to| *to != d.s.status);
    d.record(What::Enriched { status, person: e.person.clone(), tags: e.tags.clone() });
    Ok(())
}
