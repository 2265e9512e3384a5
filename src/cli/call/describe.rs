//! The events of a call, as one line each.

use crate::cli::time::{shown, shown_precisely, shown_span};
use crate::cli::words::Words as _;
use tandem_proto::v1;
use v1::call_event::What;

pub fn line(event: &v1::CallEvent) -> String {
    let what = event.what.as_ref().map_or_else(|| "something this build does not know".to_owned(), describe);
    format!("{}  {:>4}  {what}", shown_precisely(event.at.as_ref()), event.event)
}

fn describe(what: &What) -> String {
    match what {
        What::Created(created) => {
            let not_before = shown(created.not_before.as_ref());
            let not_before =
                if not_before.is_empty() { not_before } else { format!(", not before {not_before}") };
            let direction = v1::Direction::word_of(created.direction);
            format!("created, {direction}, ***{}{not_before}", created.phone_last4)
        }
        What::Offered(_) => "offered a permit by its campaign".to_owned(),
        What::AttemptStarted(started) => {
            format!("attempt {} permitted, from {}", started.attempt, started.from)
        }
        What::Accepted(accepted) => format!("accepted by the carrier as {}", accepted.carrier_call_id),
        What::OutcomeUnknown(_) => "the carrier's answer was lost; being settled".to_owned(),
        What::Initiated(_) => "initiated".to_owned(),
        What::Ringing(_) => "ringing".to_owned(),
        What::Answered(_) => "answered".to_owned(),
        What::Judged(judged) => format!("answered by {}, it seems", v1::Verdict::word_of(judged.verdict)),
        What::MediaOpened(opened) => format!("media connected (connection {})", opened.generation),
        What::MediaClosed(closed) => {
            format!("media closed by the {} (connection {})", closed.by, closed.generation)
        }
        What::Said(said) => match said.count {
            1 => format!("turn {} said", said.first),
            count => {
                format!("turns {} to {} said", said.first, said.first.saturating_add(count.saturating_sub(1)))
            }
        },
        What::MessageLeft(_) => "leaving a message".to_owned(),
        What::HangupRequested(_) => "hang-up requested".to_owned(),
        What::CheckPlanned(check) => format!("will look after itself at {}", shown(check.at.as_ref())),
        What::Recorded(recorded) => {
            format!("attempt {} recorded as {}", recorded.attempt, recorded.recording_id)
        }
        What::AttemptEnded(ended) => {
            let outcome = v1::Outcome::word_of(ended.outcome);
            let talk = ended.talk_time.as_ref().filter(|span| span.seconds > 0);
            let talk = talk.map(|span| format!(" after {}", shown_span(Some(span)))).unwrap_or_default();
            let code = if ended.carrier_code == 0 {
                String::new()
            } else {
                format!(" (code {})", ended.carrier_code)
            };
            let counted = if ended.counted { "" } else { ", not counted" };
            format!("attempt ended: {outcome}{talk}{code}{counted}")
        }
        What::RetryPlanned(retry) => format!("next attempt at {}", shown(retry.at.as_ref())),
        What::Ended(ended) => format!("ended: {}", v1::Disposition::word_of(ended.disposition)),
        What::Annotated(annotated) => match annotated.flagged {
            Some(true) => "flagged".to_owned(),
            Some(false) => "no longer flagged".to_owned(),
            None => "note changed".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_told_in_a_line() {
        let event = |event, what| line(&v1::CallEvent { event, at: None, what });
        let ended = v1::AttemptEnded {
            outcome: v1::Outcome::CarrierFailure.into(),
            carrier_code: 21_211,
            talk_time: Some(prost_types::Duration { seconds: 61, nanos: 0 }),
            counted: false,
        };
        assert_eq!(
            event(7, Some(What::AttemptEnded(ended))),
            "     7  attempt ended: carrier_failure after 1m1s (code 21211), not counted"
        );
        assert_eq!(
            event(1, Some(What::Said(v1::TurnsSaid { first: 3, count: 2 }))),
            "     1  turns 3 to 4 said"
        );
        let most = v1::TurnsSaid { first: u32::MAX, count: 0 };
        assert!(event(1, Some(What::Said(most))).ends_with("said"));
        assert!(event(1, None).contains("does not know"));
    }
}
