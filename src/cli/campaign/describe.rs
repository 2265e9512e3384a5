//! The events of a campaign, as one line each.

use super::show::limits_line;
use crate::cli::time::{shown, shown_precisely, shown_span};
use crate::cli::words::Words as _;
use tandem_proto::v1;
use v1::campaign_event::What;

pub fn line(event: Option<&v1::CampaignEvent>) -> String {
    let Some(event) = event else { return "something this build does not know".to_owned() };
    let what = event.what.as_ref().map_or_else(|| "something this build does not know".to_owned(), describe);
    format!("{}  {:>6}  {what}", shown_precisely(event.at.as_ref()), event.event)
}

fn describe(what: &What) -> String {
    match what {
        What::Created(created) => format!("created: {}", created.name),
        What::Configured(_) => "settings changed".to_owned(),
        What::ContactsAdded(added) => {
            format!("{} contacts added, {} duplicates left out", added.added, added.duplicates)
        }
        What::PhaseChanged(change) => {
            let phase = v1::CampaignPhase::word_of(change.phase);
            match (v1::CampaignReason::word_of(change.reason), change.reason_code) {
                (reason, _) if reason.is_empty() => phase,
                (reason, 0) => format!("{phase} ({reason})"),
                (reason, code) => format!("{phase} ({reason}, code {code})"),
            }
        }
        What::ShareChanged(share) => {
            let limits = v1::Limits {
                concurrency: share.concurrency,
                calls_per_second: share.calls_per_second,
                attempts_per_day: share.attempts_today,
            };
            format!("share of the company's limits: {}", limits_line(&limits))
        }
        What::MoreAttemptsAsked(_) => "asked for more of the day's attempts".to_owned(),
        What::PermitsGranted(granted) => match granted.contacts.len() {
            0 => format!("nobody is due before {}", shown(granted.next_due.as_ref())),
            1 => format!("contact {} may be dialed", granted.contacts[0]),
            count => format!("{count} contacts may be dialed"),
        },
        What::PermitDeclined(declined) => {
            format!("contact {} is held back until {}", declined.contact, shown(declined.until.as_ref()))
        }
        What::PermitReleased(released) => format!(
            "contact {}: {}, again at {}",
            released.contact,
            v1::Outcome::word_of(released.outcome),
            shown(released.retry_at.as_ref())
        ),
        What::ContactFinished(finished) => {
            let talk = finished.talk_time.as_ref().filter(|span| span.seconds > 0);
            let talk = talk.map(|span| format!(" after {}", shown_span(Some(span)))).unwrap_or_default();
            format!(
                "contact {} finished: {}{talk}",
                finished.contact,
                v1::Disposition::word_of(finished.disposition)
            )
        }
        What::PermitReturned(returned) => format!("the permit of contact {} came back", returned.contact),
        What::CarrierBackOff(back_off) => {
            format!("the carrier asks for a pause until {}", shown(back_off.until.as_ref()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_told_in_a_line() {
        let event = |what| line(Some(&v1::CampaignEvent { event: 9, at: None, what: Some(what) }));
        let changed = v1::CampaignPhaseChanged {
            phase: v1::CampaignPhase::Pausing.into(),
            reason: v1::CampaignReason::Operator.into(),
            reason_code: 0,
        };
        assert_eq!(event(What::PhaseChanged(changed)), "       9  pausing (operator)");
        let granted = v1::PermitsGranted { contacts: vec![4, 5], next_due: None };
        assert_eq!(event(What::PermitsGranted(granted)), "       9  2 contacts may be dialed");
        assert!(line(None).contains("does not know"));
    }
}
