//! Placing a call and permitting its attempts.

use super::super::command::{Begin, CarrierStep, Order};
use super::super::event::{Created, What};
use super::super::plan::Plan;
use super::super::state::{Direction, Phase, State};
use super::{Draft, carrier, end};
use crate::campaign;
use crate::dial::Place;
use crate::dial::{self, Bar};
use crate::effect::{DialOrder, Effect, Pace, PaceKey};
use crate::id::{CampaignId, CompanyId, CustomerId, Entity};
use crate::machine::Rejection;
use crate::retry::Disposition;
use crate::row::{
    CompanyGate, ConsentEntry, Contact, ContactNo, Contacted, DialPolicy, DncEntry, Fact, Permit, RowKey,
    RowWrite,
};
use crate::time::{MINUTE, Millis, SECOND};

/// Most attempts of a call, counted or not. A carrier that refuses for months ends it.
pub(super) const ATTEMPTS_MAX: u16 = 60_000;

/// How soon a campaign offers a contact again that was barred by something without an end.
const ASK_AGAIN_MS: Millis = MINUTE;

pub(super) fn facts_to_place(me: Entity, s: &State, order: &Order) -> Vec<Fact> {
    if s.phase != Phase::Absent {
        return Vec::new();
    }
    let company = me.company;
    let key =
        order.new_key.as_ref().map(|_| Fact::Row(RowKey::CustomerKey { company, customer: order.customer }));
    key.into_iter().chain(order.from.as_ref().map(|_| Fact::Row(own_policy(company)))).collect()
}

/// What binds the company's single calls, and names its caller ids.
fn own_policy(company: CompanyId) -> RowKey {
    RowKey::Policy { company, campaign: None }
}

/// Whether the company may be shown as this caller.
fn owns(d: &Draft<'_>, number: &str) -> Result<bool, Rejection> {
    let policy: Option<DialPolicy> = d.cx.facts.row(&own_policy(d.company()))?;
    Ok(policy.is_some_and(|p| p.callers.iter().any(|c| c == number)))
}

pub(super) fn place(d: &mut Draft<'_>, order: &Order) -> Result<(), Rejection> {
    if d.s.phase != Phase::Absent {
        return Err(Rejection::AlreadyExists);
    }
    order.plan.validate().map_err(|e| Rejection::invalid(e.field, e.why))?;
    if order.plan.is_external() != order.campaign.is_none() {
        return Err(Rejection::invalid("carrier", "an external call uses no campaign's permits"));
    }
    if order.campaign.is_some_and(|c| c != campaign::direct(d.company())) {
        return Err(Rejection::invalid("campaign", "single calls use the company's own permits"));
    }
    if let Some(from) = &order.from {
        if order.plan.is_external() {
            return Err(Rejection::invalid(
                "from",
                "an application that dials itself names it when it begins",
            ));
        }
        if !owns(d, from)? {
            return Err(Rejection::NotACallerId);
        }
    }
    let (company, call, now) = (d.company(), d.call(), d.cx.now);
    if let Some(key) = &order.new_key {
        let row = RowKey::CustomerKey { company, customer: order.customer };
        // Two calls may meet a new person at once; only one key can be theirs.
        if d.cx.facts.row::<Vec<u8>>(&row)?.is_some() {
            return Err(Rejection::PersonKeyExists);
        }
        d.rows.push(RowWrite::set(row, key));
    }
    d.event(What::Created(Box::new(Created {
        direction: Direction::Outbound,
        customer: order.customer,
        campaign: order.campaign,
        contact: None,
        priority: order.priority,
        to: order.to.clone(),
        last4: order.last4,
        place: order.place,
        person: order.person.clone(),
        plan: order.plan.clone(),
        from: order.from.clone(),
        next_at: order.not_before,
    })));
    d.index(RowKey::CallByTime { company, at: now, call });
    d.index(RowKey::CallByCustomer { company, customer: order.customer, at: now, call });
    if let Some(campaign) = order.campaign {
        d.index(RowKey::CallByCampaign { company, campaign, at: now, call });
        d.effects.push(Effect::send(
            Entity::campaign(company, campaign),
            campaign::Command::Enqueue {
                call,
                customer: order.customer,
                phone: order.to.clone(),
                last4: order.last4,
                place: order.place,
                priority: order.priority,
                from: order.from.clone(),
                due: order.not_before.unwrap_or(now),
            },
        ));
    }
    Ok(())
}

fn person_facts(company: CompanyId, campaign: Option<CampaignId>, customer: CustomerId) -> [Fact; 5] {
    [
        Fact::Row(RowKey::Gate { company }),
        Fact::Row(RowKey::Policy { company, campaign }),
        Fact::Row(RowKey::Dnc { company, customer }),
        Fact::Row(RowKey::Consent { company, customer }),
        Fact::Row(RowKey::Contacted { company, customer }),
    ]
}

pub(super) fn facts_to_begin(me: Entity, s: &State, begin: Option<&Begin>) -> Vec<Fact> {
    let company = me.company;
    match (s.customer, begin) {
        (Some(customer), _) => {
            let mut facts = person_facts(company, s.campaign, customer).to_vec();
            if s.from.is_some() && s.campaign.is_some() {
                facts.push(Fact::Row(own_policy(company)));
            }
            facts
        }
        // The call does not exist yet: the campaign's message carries who it is for.
        (None, Some(begin)) => {
            let Some(first) = &begin.first else { return Vec::new() };
            person_facts(company, Some(begin.campaign), first.contact.customer).to_vec()
        }
        (None, None) => Vec::new(),
    }
}

/// The verdict of all rules on calling this person now.
fn permitted(
    d: &Draft<'_>,
    campaign: Option<CampaignId>,
    customer: CustomerId,
    place: &Place,
) -> Result<Result<Contacted, Bar>, Rejection> {
    let (company, facts) = (d.company(), d.cx.facts);
    let gate: Option<CompanyGate> = facts.row(&RowKey::Gate { company })?;
    let policy: Option<DialPolicy> = facts.row(&RowKey::Policy { company, campaign })?;
    let dnc: Option<DncEntry> = facts.row(&RowKey::Dnc { company, customer })?;
    let consent: Option<ConsentEntry> = facts.row(&RowKey::Consent { company, customer })?;
    let contacted: Option<Contacted> = facts.row(&RowKey::Contacted { company, customer })?;
    let known = dial::Facts {
        gate: gate.as_ref(),
        policy: policy.as_ref(),
        dnc: dnc.as_ref(),
        consent: consent.as_ref(),
        contacted: contacted.as_ref(),
        place,
    };
    Ok(dial::permitted(d.cx.now, &known).map(|()| contacted.unwrap_or_default()))
}

/// A campaign's permit for the next attempt: the one place where a carrier's call may begin.
pub(super) fn begin(d: &mut Draft<'_>, begin: &Begin) -> Result<(), Rejection> {
    let company = d.company();
    let (customer, place) = match (d.s.customer, &begin.first) {
        (Some(customer), _) => (customer, d.s.place),
        (None, Some(first)) => (first.contact.customer, first.contact.place),
        (None, None) => return Err(Rejection::NotFound("call")),
    };
    if d.s.phase != Phase::Absent && d.s.campaign != Some(begin.campaign) {
        return Err(Rejection::invalid("campaign", "it is not the call's own"));
    }
    if begin.first.as_ref().is_some_and(|first| first.plan.is_external()) {
        return Err(Rejection::invalid("plan", "a campaign cannot give permits to calls it does not dial"));
    }
    if d.s.phase.is_alive() {
        return Err(Rejection::IllegalTransition { state: d.s.phase.name(), command: "begin" });
    }
    let home = Entity::campaign(company, begin.campaign);
    if d.s.phase == Phase::Ended {
        // It ended while the permit was on its way (hung up, opted out): tell the final word again.
        let finished = end::finished(d, Some(begin.contact), None, None);
        d.effects.push(Effect::send(home, finished));
        return Ok(());
    }
    if d.s.from.as_ref().is_some_and(|from| *from != begin.from) {
        return wrong_caller(d, begin);
    }
    match permitted(d, Some(begin.campaign), customer, &place)? {
        Ok(contacted) => {
            create_from_contact(d, begin);
            start(d, customer, contacted, begin.into());
        }
        Err(bar) if bar.is_final() => {
            create_from_contact(d, begin);
            d.event(What::Offered { contact: begin.contact });
            let disposition = match bar {
                Bar::NoConsent => Disposition::NoConsent,
                Bar::DoNotCall => Disposition::DoNotCall,
                _ => Disposition::Expired,
            };
            end::conclude(d, disposition, None);
        }
        Err(bar) => {
            // Not at once, whatever the clocks say: the campaign would offer it again and again.
            let until = bar.clears_at().unwrap_or(d.cx.now + ASK_AGAIN_MS).max(d.cx.now + SECOND);
            decline(d, begin, place, bar, until);
        }
    }
    Ok(())
}

/// Gives the permit back: not now.
fn decline(d: &mut Draft<'_>, begin: &Begin, place: Place, bar: Bar, until: Millis) {
    let declined = campaign::Command::Declined(Box::new(campaign::Declined {
        contact: begin.contact,
        call: d.call(),
        place,
        priority: begin.first.as_ref().map_or(d.s.priority, |f| f.contact.priority),
        attempts: d.s.counted,
        from: d.s.from.clone(),
        until,
        bar,
        fresh: d.s.phase == Phase::Absent,
    }));
    d.effects.push(Effect::send(Entity::campaign(d.company(), begin.campaign), declined));
}

/// The campaign has not got the caller id that was asked for: it has not heard of it yet, or the
/// company has given it up.
fn wrong_caller(d: &mut Draft<'_>, begin: &Begin) -> Result<(), Rejection> {
    let from = d.s.from.clone().unwrap_or_default();
    if owns(d, &from)? {
        let place = d.s.place;
        decline(d, begin, place, Bar::NotRunning, d.cx.now + SECOND);
    } else {
        d.event(What::Offered { contact: begin.contact });
        end::conclude(d, Disposition::Failed, None);
    }
    Ok(())
}

/// The call of a contact comes into being with its first attempt.
fn create_from_contact(d: &mut Draft<'_>, begin: &Begin) {
    let (Phase::Absent, Some(first)) = (d.s.phase, &begin.first) else { return };
    let (company, call, now) = (d.company(), d.call(), d.cx.now);
    let contact: &Contact = &first.contact;
    d.event(What::Created(Box::new(Created {
        direction: Direction::Outbound,
        customer: contact.customer,
        campaign: Some(begin.campaign),
        contact: Some(begin.contact),
        priority: contact.priority,
        to: contact.phone.clone(),
        last4: contact.last4,
        place: contact.place,
        person: contact.person.clone(),
        plan: first.plan.clone(),
        from: None,
        next_at: None,
    })));
    d.index(RowKey::CallByTime { company, at: now, call });
    d.index(RowKey::CallByCampaign { company, campaign: begin.campaign, at: now, call });
    d.index(RowKey::CallByCustomer { company, customer: contact.customer, at: now, call });
}

/// What a permit says.
struct Grant<'a> {
    from: &'a str,
    milli_cps: [u32; 3],
    contact: Option<ContactNo>,
}

impl<'a> From<&'a Begin> for Grant<'a> {
    fn from(b: &'a Begin) -> Self {
        Grant { from: &b.from, milli_cps: b.milli_cps, contact: Some(b.contact) }
    }
}

/// All rules have allowed it: one permission, one permit, one order to the carrier.
fn start(d: &mut Draft<'_>, customer: CustomerId, contacted: Contacted, grant: Grant<'_>) {
    let (company, call, now) = (d.company(), d.call(), d.cx.now);
    let number = d.s.attempt + 1;
    let Grant { from, milli_cps, contact } = grant;
    if let Some(contact) = contact {
        d.event(What::Offered { contact });
    }
    d.event(What::AttemptStarted { attempt: number, from: from.to_owned() });
    d.rows.push(RowWrite::set(
        RowKey::Contacted { company, customer },
        &end::with_attempt(contacted, now, call, number),
    ));
    if d.s.plan.is_external() {
        return;
    }
    let Some(campaign) = d.s.campaign else { return };
    d.rows.push(RowWrite::set(
        RowKey::Permit { company, campaign, call },
        &Permit { attempt: number, since: now },
    ));
    let keys =
        [PaceKey::Company(company), PaceKey::Campaign(campaign), PaceKey::CallerId(company, from.to_owned())];
    let plan: &Plan = &d.s.plan;
    let order = DialOrder {
        attempt: d.attempt(),
        carrier: plan.carrier.clone(),
        customer,
        to: d.s.to.clone(),
        from: from.to_owned(),
        ring_timeout_s: plan.ring_timeout_s,
        max_duration_s: plan.max_duration_s,
        amd: plan.amd.clone(),
        record: plan.record,
        permitted_at: now,
        paces: keys
            .into_iter()
            .zip(milli_cps)
            .filter(|(_, rate)| *rate < u32::MAX)
            .map(|(key, milli_cps)| Pace { key, milli_cps })
            .collect(),
    };
    d.effects.push(Effect::Dial(Box::new(order)));
}

/// A step of a call that the application dials itself.
pub(super) fn step(d: &mut Draft<'_>, step: &CarrierStep) -> Result<(), Rejection> {
    let phase = d.s.phase;
    if phase == Phase::Absent {
        return Err(Rejection::NotFound("call"));
    }
    if !d.s.plan.is_external() {
        return Err(Rejection::invalid(
            "call",
            "its carrier is not 'external': only the carrier reports on it",
        ));
    }
    let illegal = |command| Err(Rejection::IllegalTransition { state: phase.name(), command });
    let current = |attempt: u16| attempt == d.s.attempt;
    match step {
        CarrierStep::Begin { from } => {
            if phase != Phase::Queued {
                return illegal("begin");
            }
            if let Some(next) = d.s.next_at
                && d.cx.now < next
            {
                return Err(Rejection::Barred(Bar::TooSoon { until: next }));
            }
            let Some(customer) = d.s.customer else {
                return Err(Rejection::internal("a call without a person"));
            };
            if !from.is_empty() && !owns(d, from)? {
                return Err(Rejection::NotACallerId);
            }
            let contacted = permitted(d, None, customer, &d.s.place)?.map_err(Rejection::Barred)?;
            let grant = Grant { from, milli_cps: [0; 3], contact: None };
            start(d, customer, contacted, grant);
        }
        CarrierStep::Ringing { attempt } => match phase {
            Phase::Dispatching | Phase::Initiated if current(*attempt) => d.event(What::Ringing),
            Phase::Ringing if current(*attempt) => {}
            _ => return illegal("ringing"),
        },
        CarrierStep::Answered { attempt, answered_by } => match phase {
            Phase::Dispatching | Phase::Initiated | Phase::Ringing if current(*attempt) => {
                d.event(What::Answered);
                if let Some(said) = answered_by {
                    carrier::judge(d, *said);
                }
            }
            Phase::InProgress if current(*attempt) => {}
            _ => return illegal("answered"),
        },
        CarrierStep::Talking { attempt } => match phase {
            Phase::InProgress if current(*attempt) => {
                let generation = d.s.live.as_ref().map_or(0, |l| l.generation);
                if generation == 0 {
                    d.event(What::MediaOpened { generation: 1 });
                }
            }
            _ => return illegal("talking"),
        },
        CarrierStep::Ended { attempt, outcome } => {
            if !phase.is_alive() || !current(*attempt) {
                return illegal("ended");
            }
            end::attempt(d, end::Ending::of(*outcome))?;
        }
    }
    Ok(())
}
