//! What holds a contact, or a campaign, back.

use super::preflight::Rules;
use super::{campaign_id, holds};
use crate::grpc::convert::hold::{Tally, Wait, bar, unconfigured, wait};
use crate::grpc::convert::{call, campaign as convert, choices, time};
use crate::grpc::error::{self, Violation};
use crate::grpc::room::{Named, Room, open_person, query_failed};
use tandem_actors::{View, query};
use tandem_domain::call::Call;
use tandem_domain::campaign::{Campaign, call_of};
use tandem_domain::dial::{self, Bar, Place};
use tandem_domain::id::{CallId, CampaignId, CompanyId, Entity};
use tandem_domain::row::{Contact, ContactEnd, ContactNo, DialPolicy, RowKey};
use tandem_domain::time::Millis;
use tandem_domain::window::Verdict;
use tandem_proto::v1;
use tandem_proto::v1::explain_contact_request::Who;
use tonic::Status;

/// Contacts of a sample where the request does not say, and at most.
const SAMPLE: u32 = 1_000;
const SAMPLE_MAX: u32 = 10_000;
/// Contacts between two pauses for other work.
const STRIDE: usize = 64;

/// The time that a request asks about.
pub fn asked_at(room: &Room, at: Option<&prost_types::Timestamp>) -> Result<Millis, Violation> {
    at.map_or_else(|| Ok(room.now()), |at| time::millis_at("at", at))
}

/// Until when the person may be called, where the hours are open.
pub fn hours_close_at(now: Millis, place: &Place, policy: Option<&DialPolicy>) -> Option<Millis> {
    let policy = policy?;
    match dial::hours_at(now, place, &policy.hours, policy.bounds) {
        Verdict::Open { closes_at } => Some(closes_at),
        Verdict::Closed { .. } | Verdict::NotInSight { .. } | Verdict::Never { .. } => None,
    }
}

/// What holds one attempt back: the bars of the person, then the plan of the call, then the limits of
/// the campaign.
pub async fn attempt_holds(
    room: &Room,
    company: CompanyId,
    campaign: Option<CampaignId>,
    who: (tandem_domain::id::CustomerId, &Place),
    call: (CallId, Option<Millis>),
    now: Millis,
) -> Result<Explained, Status> {
    let (customer, place) = who;
    let facts = query::dial_facts(room.store(), company, campaign, customer).await.map_err(query_failed)?;
    let known = facts.at(place);
    let mut blocked_by: Vec<v1::Hold> = dial::all_bars(now, &known)
        // The person's own call is no bar to itself.
        .filter(|b| {
            *b != Bar::AlreadyLive || known.contacted.is_none_or(|c| c.live.is_none_or(|l| l.0 != call.0))
        })
        .map(bar)
        .collect();
    if let Some(next) = call.1.filter(|next| *next > now) {
        blocked_by.push(wait(Wait::RetryLater, Some(next), &[]));
    }
    if let Some(campaign) = campaign {
        let view = room.handle.read::<Campaign>(Entity::campaign(company, campaign)).await;
        if let Some(View { state, .. }) = view.map_err(|e| error::send(e, now))?
            && state.phase == tandem_domain::campaign::Phase::Running
        {
            blocked_by.extend(holds::limits(&state, now));
        }
    }
    let attempts = known.contacted.map(|c| c.attempts.as_slice()).unwrap_or_default();
    Ok(Explained {
        blocked_by,
        recent_attempts: attempts.iter().map(|at| time::timestamp(*at)).collect(),
        hours_close_at: hours_close_at(now, place, known.policy).map(time::timestamp),
    })
}

/// What is told of one attempt.
#[derive(Default)]
pub struct Explained {
    pub blocked_by: Vec<v1::Hold>,
    pub recent_attempts: Vec<prost_types::Timestamp>,
    pub hours_close_at: Option<prost_types::Timestamp>,
}

async fn contact_no(
    room: &Room,
    company: CompanyId,
    campaign: CampaignId,
    who: Option<&Who>,
) -> Result<ContactNo, Status> {
    let named = match who {
        None => return Err(Violation::new("contact", "required: contact, phone or customer_id").into()),
        Some(Who::Contact(no)) => return Ok(*no),
        Some(Who::Phone(phone)) => Named::Phone(phone),
        Some(Who::CustomerId(id)) => Named::Id(id),
    };
    let customer = room.someone(company, Some(named)).await?.id;
    let key = RowKey::ContactOf { company, campaign, customer };
    let no: Option<ContactNo> = query::row(room.store(), &key).await.map_err(query_failed)?;
    no.ok_or_else(|| error::not_found("contact"))
}

pub async fn contact(
    room: &Room,
    company: CompanyId,
    message: &v1::ExplainContactRequest,
) -> Result<v1::ExplainContactResponse, Status> {
    let (campaign, entity) = campaign_id(company, &message.campaign_id)?;
    let now = asked_at(room, message.at.as_ref())?;
    let view = room.read::<Campaign>(entity).await?;
    let no = contact_no(room, company, campaign, message.who.as_ref()).await?;
    let row = RowKey::Contact { company, campaign, no };
    let contact: Option<Contact> = query::row(room.store(), &row).await.map_err(query_failed)?;
    let contact = contact.ok_or_else(|| error::not_found("contact"))?;
    let end = RowKey::ContactEnd { company, campaign, no };
    let end: Option<ContactEnd> = query::row(room.store(), &end).await.map_err(query_failed)?;
    let mut shown = convert::contact(campaign, no, &contact, end.as_ref());
    let key = room.key_of(company, contact.customer).await?;
    shown.name = open_person(&key, contact.person.as_ref())?.and_then(|p| p.name).unwrap_or_default();

    let call_id = call_of(campaign, no);
    let made = room.handle.read::<Call>(Entity::call(company, call_id)).await;
    let made = made.map_err(|e| error::send(e, now))?.map(|view| view.state);
    let alive = made.as_ref().is_some_and(|s| s.phase.is_alive());
    let explained = if end.is_some() {
        Explained::default()
    } else {
        let next_at = made.as_ref().and_then(|s| s.next_at);
        let who = (contact.customer, &contact.place);
        let mut explained =
            attempt_holds(room, company, Some(campaign), who, (call_id, next_at), now).await?;
        if alive {
            explained.blocked_by = vec![wait(Wait::Alive, None, &[])];
        }
        explained
    };
    Ok(v1::ExplainContactResponse {
        contact: Some(shown),
        phase: choices::campaign_phase(view.state.phase).into(),
        call: made.map(|s| call::call(call_id, &s)),
        blocked_by: explained.blocked_by,
        recent_attempts: explained.recent_attempts,
        hours_close_at: explained.hours_close_at,
    })
}

#[derive(Default)]
struct Sample {
    sampled: u64,
    finished: u64,
    callable: u64,
    alive: u64,
    held: Tally,
}

impl Sample {
    async fn look(
        &mut self,
        room: &Room,
        (company, campaign, no): (CompanyId, CampaignId, ContactNo),
        rules: &Rules,
    ) -> Result<(), Status> {
        let store = room.store();
        let row = RowKey::Contact { company, campaign, no };
        let Some(contact): Option<Contact> = query::row(store, &row).await.map_err(query_failed)? else {
            return Ok(());
        };
        self.sampled += 1;
        let end = RowKey::ContactEnd { company, campaign, no };
        let end: Option<ContactEnd> = query::row(store, &end).await.map_err(query_failed)?;
        if end.is_some() {
            self.finished += 1;
            return Ok(());
        }
        let call = call_of(campaign, no);
        let (verdict, contacted) = rules.verdict(room, company, contact.customer, &contact.place).await?;
        if contacted.is_some_and(|c| c.live.is_some_and(|(live, _)| live == call)) {
            self.alive += 1;
            return Ok(());
        }
        if let Err(bar) = verdict {
            self.held.bar(bar);
            return Ok(());
        }
        // Where its call does not exist yet, there was no attempt that it would have to wait after.
        let made = query::stored::<Call>(store, Entity::call(company, call)).await.map_err(query_failed)?;
        match made.and_then(|(_, s)| s.next_at).filter(|next| *next > rules.at) {
            Some(next) => self.held.wait(Wait::RetryLater, Some(next)),
            None => self.callable += 1,
        }
        Ok(())
    }
}

pub async fn campaign(
    room: &Room,
    company: CompanyId,
    message: &v1::ExplainCampaignRequest,
) -> Result<v1::ExplainCampaignResponse, Status> {
    let (campaign, entity) = campaign_id(company, &message.campaign_id)?;
    let now = asked_at(room, message.at.as_ref())?;
    if message.sample_max > SAMPLE_MAX {
        return Err(Violation::new("sample_max", "at most 10000").into());
    }
    let state = room.read::<Campaign>(entity).await?.state;
    let gate = query::row(room.store(), &RowKey::Gate { company }).await.map_err(query_failed)?;
    let rules = Rules { at: now, gate, policy: state.config.policy(true) };
    let sample_max = if message.sample_max == 0 { SAMPLE } else { message.sample_max };
    // Spread evenly over the numbers, so that no part of the list stands for the whole.
    let step = state.next_no.div_ceil(sample_max).max(1);
    let numbers: Vec<ContactNo> = (0..state.next_no).step_by(step as usize).collect();
    let mut sample = Sample::default();
    for stride in numbers.chunks(STRIDE) {
        for no in stride {
            sample.look(room, (company, campaign, *no), &rules).await?;
        }
        tokio::task::yield_now().await;
    }
    let mut blocked_by = holds::holds(&state, now);
    if let Err(why) = room.configured.check(&state.config.plan) {
        blocked_by.insert(0, unconfigured(&why));
    }
    if !rules.gate.as_ref().is_some_and(|gate| gate.open) {
        blocked_by.insert(0, bar(Bar::CompanyClosed));
    }
    Ok(v1::ExplainCampaignResponse {
        phase: choices::campaign_phase(state.phase).into(),
        blocked_by,
        progress: Some(convert::progress(&state)),
        share: state.share.as_ref().map(convert::share),
        sampled: sample.sampled,
        finished: sample.finished,
        callable: sample.callable,
        alive: sample.alive,
        held: sample.held.holds(),
    })
}
