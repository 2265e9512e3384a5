//! Events of calls and campaigns, as watchers get them.

use super::campaign::share;
use super::{choices, person, time};
use tandem_domain::call;
use tandem_domain::call::MediaEnd;
use tandem_domain::campaign;
use tandem_proto::v1;
use v1::call_event::What as CallWhat;
use v1::campaign_event::What as CampaignWhat;

pub fn call_event(number: u64, event: &call::Event) -> v1::CallEvent {
    v1::CallEvent { event: number, at: Some(time::timestamp(event.at)), what: Some(call_what(&event.what)) }
}

fn call_what(what: &call::What) -> CallWhat {
    match what {
        call::What::Created(c) => CallWhat::Created(v1::CallCreated {
            direction: choices::direction(c.direction).into(),
            customer_id: c.customer.to_string(),
            campaign_id: c.campaign.map(|c| c.to_string()).unwrap_or_default(),
            contact: c.contact,
            priority: choices::priority(c.priority).into(),
            phone_last4: person::last4_text(c.last4),
            not_before: c.next_at.map(time::timestamp),
        }),
        call::What::Offered { contact, .. } => CallWhat::Offered(v1::CallOffered { contact: *contact }),
        call::What::AttemptStarted { attempt, from } => {
            CallWhat::AttemptStarted(v1::AttemptStarted { attempt: (*attempt).into(), from: from.clone() })
        }
        call::What::Accepted { sid } => {
            CallWhat::Accepted(v1::AttemptAccepted { carrier_call_id: sid.clone() })
        }
        call::What::OutcomeUnknown => CallWhat::OutcomeUnknown(v1::Nothing {}),
        call::What::Initiated => CallWhat::Initiated(v1::Nothing {}),
        call::What::Ringing => CallWhat::Ringing(v1::Nothing {}),
        call::What::Answered => CallWhat::Answered(v1::Nothing {}),
        call::What::Judged { answered_by, verdict } => CallWhat::Judged(v1::AnswererJudged {
            answered_by: choices::answered_by(*answered_by).into(),
            verdict: choices::verdict(*verdict).into(),
        }),
        call::What::MediaOpened { generation } => {
            CallWhat::MediaOpened(v1::MediaOpened { generation: *generation })
        }
        call::What::MediaClosed { generation, end } => CallWhat::MediaClosed(v1::MediaClosed {
            generation: *generation,
            by: match end {
                MediaEnd::Carrier => "carrier",
                MediaEnd::Agent(_) => "agent",
                MediaEnd::Node => "node",
            }
            .to_owned(),
        }),
        call::What::Said { first, count } => CallWhat::Said(v1::TurnsSaid { first: *first, count: *count }),
        call::What::MessageLeft => CallWhat::MessageLeft(v1::Nothing {}),
        call::What::HangupRequested => CallWhat::HangupRequested(v1::Nothing {}),
        call::What::CheckPlanned { at } => {
            CallWhat::CheckPlanned(v1::CheckPlanned { at: at.map(time::timestamp) })
        }
        call::What::Recorded { attempt, recording } => CallWhat::Recorded(v1::AttemptRecorded {
            attempt: (*attempt).into(),
            recording_id: recording.clone(),
        }),
        call::What::AttemptEnded(end) => CallWhat::AttemptEnded(v1::AttemptEnded {
            outcome: choices::outcome(end.outcome).into(),
            counted: end.counted,
            carrier_code: end.code,
            talk_time: Some(time::duration(end.talk_ms)),
        }),
        call::What::RetryPlanned { at } => {
            CallWhat::RetryPlanned(v1::RetryPlanned { at: Some(time::timestamp(*at)) })
        }
        call::What::Ended { disposition } => {
            CallWhat::Ended(v1::CallEnded { disposition: choices::disposition(*disposition).into() })
        }
        call::What::Annotated { note, flagged } => {
            CallWhat::Annotated(v1::CallAnnotated { note: note.is_some(), flagged: *flagged })
        }
    }
}

/// Whether this event is the last one of a call that nobody annotates.
pub fn ends_call(event: &call::Event) -> bool {
    matches!(event.what, call::What::Ended { .. })
}

pub fn campaign_event(number: u64, event: &campaign::Event) -> v1::CampaignEvent {
    let what = Some(campaign_what(&event.what));
    v1::CampaignEvent { event: number, at: Some(time::timestamp(event.at)), what }
}

fn campaign_what(what: &campaign::What) -> CampaignWhat {
    match what {
        campaign::What::Created { name, .. } => {
            CampaignWhat::Created(v1::CampaignCreated { name: name.clone() })
        }
        campaign::What::Configured { .. } => CampaignWhat::Configured(v1::CampaignConfigured {}),
        campaign::What::Added { added, duplicates, .. } => {
            CampaignWhat::ContactsAdded(v1::ContactsAdded { added: *added, duplicates: *duplicates })
        }
        campaign::What::Phase { phase, reason } => {
            let (reason, reason_code) = choices::campaign_reason(*reason);
            CampaignWhat::PhaseChanged(v1::CampaignPhaseChanged {
                phase: choices::campaign_phase(*phase).into(),
                reason: reason.into(),
                reason_code,
            })
        }
        campaign::What::Shared(lent) => CampaignWhat::ShareChanged(share(lent)),
        campaign::What::AskedForMore => CampaignWhat::MoreAttemptsAsked(v1::MoreAttemptsAsked {}),
        campaign::What::Claimed { granted, next_due, .. } => {
            CampaignWhat::PermitsGranted(v1::PermitsGranted {
                contacts: granted.iter().map(|(no, _)| *no).collect(),
                next_due: next_due.map(time::timestamp),
            })
        }
        campaign::What::Declined { contact, until, .. } => {
            let until = Some(time::timestamp(*until));
            CampaignWhat::PermitDeclined(v1::PermitDeclined { contact: *contact, until })
        }
        campaign::What::Released { contact, outcome, verdict, counted, retry_at, .. } => {
            CampaignWhat::PermitReleased(v1::PermitReleased {
                contact: *contact,
                outcome: choices::outcome(*outcome).into(),
                verdict: choices::verdict(*verdict).into(),
                counted: *counted,
                retry_at: Some(time::timestamp(*retry_at)),
            })
        }
        campaign::What::Finished { contact, disposition, outcome, verdict, talk_ms, .. } => {
            CampaignWhat::ContactFinished(v1::ContactFinished {
                contact: *contact,
                disposition: choices::disposition(*disposition).into(),
                outcome: outcome.map_or(0, |o| choices::outcome(o).into()),
                verdict: choices::verdict(*verdict).into(),
                talk_time: Some(time::duration(*talk_ms)),
            })
        }
        campaign::What::Returned { contact, .. } => {
            CampaignWhat::PermitReturned(v1::PermitReturned { contact: *contact })
        }
        campaign::What::BackedOff { until } => {
            CampaignWhat::CarrierBackOff(v1::CarrierBackOff { until: Some(time::timestamp(*until)) })
        }
    }
}

/// Whether this event is the last one of a campaign.
pub fn ends_campaign(event: &campaign::Event) -> bool {
    matches!(event.what, campaign::What::Phase { phase, .. } if phase.is_final())
}
