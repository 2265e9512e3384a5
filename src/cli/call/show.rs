//! Calls as people see them.

use crate::cli::table::{Card, Table};
use crate::cli::time::{shown, shown_span};
use crate::cli::words::Words as _;
use tandem_proto::v1;

/// The headings of a list of calls.
pub fn table() -> Table {
    Table::new(&["CALL", "CREATED", "PHONE", "PHASE", "ATTEMPTS", "DISPOSITION", "TALK", "NEXT ATTEMPT"])
        .right(&[4, 6])
}

pub fn row(call: &v1::Call) -> [String; 8] {
    [
        call.call_id.clone(),
        shown(call.created_at.as_ref()),
        last4(&call.phone_last4),
        v1::CallPhase::word_of(call.phase),
        call.attempt.to_string(),
        v1::Disposition::word_of(call.disposition),
        shown_span(call.talk_time.as_ref().filter(|span| span.seconds > 0)),
        shown(call.next_attempt_at.as_ref()),
    ]
}

/// As much of a number as lists show.
pub fn last4(digits: &str) -> String {
    if digits.is_empty() { String::new() } else { format!("***{digits}") }
}

pub fn call(call: &v1::Call) -> Vec<String> {
    let mut card = Card::new();
    let phone = if call.phone.is_empty() { last4(&call.phone_last4) } else { call.phone.clone() };
    card.add("call", &call.call_id)
        .add("phase", v1::CallPhase::word_of(call.phase))
        .add("disposition", v1::Disposition::word_of(call.disposition))
        .add("direction", v1::Direction::word_of(call.direction))
        .add("phone", phone)
        .add("name", &call.name)
        .add("where", whereabouts(call.whereabouts.as_ref()))
        .add("customer", &call.customer_id)
        .add("campaign", &call.campaign_id)
        .add("priority", v1::Priority::word_of(call.priority))
        .add("created", shown(call.created_at.as_ref()))
        .add("next attempt", shown(call.next_attempt_at.as_ref()))
        .add("ended", shown(call.ended_at.as_ref()))
        .add("talk time", shown_span(call.talk_time.as_ref().filter(|span| span.seconds > 0)))
        .add("turns", counted(call.turns))
        .add("hang-up", if call.hangup_requested { "requested" } else { "" })
        .add("flagged", if call.flagged { "yes" } else { "" })
        .add("note", &call.note);
    if let Some(plan) = &call.plan {
        card.add("carrier", plan.carrier());
        card.add("agent", plan.agent.as_ref().map(|agent| agent.agent_id().to_owned()).unwrap_or_default());
    }
    let mut lines = card.lines();
    if !call.attempts.is_empty() {
        lines.push(String::new());
        lines.extend(attempts(&call.attempts).lines());
    }
    lines
}

fn counted(n: u32) -> String {
    if n == 0 { String::new() } else { n.to_string() }
}

fn attempts(attempts: &[v1::Attempt]) -> Table {
    let mut table = Table::new(&[
        "ATTEMPT",
        "STARTED",
        "ANSWERED",
        "ENDED",
        "OUTCOME",
        "ANSWERED BY",
        "CODE",
        "CARRIER'S ID",
    ])
    .right(&[0, 6]);
    for attempt in attempts {
        let outcome = match v1::Outcome::word_of(attempt.outcome) {
            alive if alive.is_empty() => "alive".to_owned(),
            outcome if attempt.message_left => format!("{outcome}, message left"),
            outcome if !attempt.counted => format!("{outcome}, not counted"),
            outcome => outcome,
        };
        table.row([
            attempt.number.to_string(),
            shown(attempt.started_at.as_ref()),
            shown(attempt.answered_at.as_ref()),
            shown(attempt.ended_at.as_ref()),
            outcome,
            v1::Verdict::word_of(attempt.verdict),
            counted(attempt.carrier_code),
            attempt.carrier_call_id.clone(),
        ]);
    }
    table
}

pub fn whereabouts(place: Option<&v1::Whereabouts>) -> String {
    let Some(place) = place else { return String::new() };
    let zones = if place.time_zones.is_empty() { "unknown".to_owned() } else { place.time_zones.join(", ") };
    if place.state.is_empty() { zones } else { format!("{zones} ({})", place.state) }
}

pub fn placed(answer: &v1::PlaceCallResponse) -> Vec<String> {
    let mut card = Card::new();
    card.add("call", &answer.call_id).add("customer", &answer.customer_id);
    let mut lines = card.lines();
    lines.extend(status(answer.status.as_ref(), answer.replayed));
    lines
}

/// Where a call stands after a command.
pub fn status(status: Option<&v1::CallStatus>, replayed: bool) -> Vec<String> {
    let mut card = Card::new();
    if let Some(status) = status {
        card.add("phase", v1::CallPhase::word_of(status.phase))
            .add("attempt", counted(status.attempt))
            .add("next attempt", shown(status.next_attempt_at.as_ref()))
            .add("disposition", v1::Disposition::word_of(status.disposition));
        if status.ignored {
            card.add("unchanged", "it was so already");
        }
    }
    if replayed {
        card.add("replayed", "done before with this idempotency key");
    }
    card.lines()
}

/// What holds something back, the deciding rule first.
pub fn hold_lines(holds: &[v1::Hold]) -> Vec<String> {
    let mut table = Table::new(&["HELD BACK BY", "UNTIL", "WHY"]);
    for hold in holds {
        let until = match shown(hold.clears_at.as_ref()) {
            at if !at.is_empty() => at,
            _ if hold.r#final => "never".to_owned(),
            _ => "unknown".to_owned(),
        };
        let details: Vec<String> =
            hold.details.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let why = if details.is_empty() {
            hold.description.clone()
        } else {
            format!("{} ({})", hold.description, details.join(", "))
        };
        table.row([hold.reason.clone(), until, why]);
    }
    if table.is_empty() { vec!["nothing holds it back".to_owned()] } else { table.lines() }
}

pub fn explained(answer: &v1::ExplainCallResponse) -> Vec<String> {
    let mut lines = status(answer.status.as_ref(), false);
    let mut card = Card::new();
    let alive = answer.alive_for.as_ref();
    card.add("attempts left", answer.attempts_left.to_string())
        .add("where", whereabouts(answer.whereabouts.as_ref()))
        .add("hours close", shown(answer.hours_close_at.as_ref()))
        .add("alive for", shown_span(alive))
        .add("attempts before", times(&answer.recent_attempts));
    lines.extend(card.lines());
    lines.push(String::new());
    let ended = answer.status.as_ref().is_some_and(|status| status.disposition != 0);
    match (ended, alive) {
        (true, _) => lines.push("it has ended".to_owned()),
        (false, Some(_)) => lines.push("an attempt is alive".to_owned()),
        (false, None) => lines.extend(hold_lines(&answer.blocked_by)),
    }
    lines
}

/// The newest few of them.
pub fn times(points: &[prost_types::Timestamp]) -> String {
    const SHOWN: usize = 4;
    points.iter().rev().take(SHOWN).map(|at| shown(Some(at))).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(seconds: i64) -> Option<prost_types::Timestamp> {
        Some(prost_types::Timestamp { seconds, nanos: 0 })
    }

    #[test]
    fn a_call_is_shown_with_its_attempts() {
        let shown = call(&v1::Call {
            call_id: "c-1".into(),
            phase: v1::CallPhase::Ended.into(),
            disposition: v1::Disposition::VoicemailLeft.into(),
            phone: "+15551234567".into(),
            name: "Ada\u{1b}[31m".into(),
            created_at: point(0),
            attempts: vec![v1::Attempt {
                number: 1,
                outcome: v1::Outcome::Voicemail.into(),
                verdict: v1::Verdict::MachineBeep.into(),
                message_left: true,
                counted: true,
                started_at: point(60),
                ..Default::default()
            }],
            ..Default::default()
        })
        .join("\n");
        assert!(shown.contains("disposition  voicemail_left"), "{shown}");
        assert!(shown.contains("voicemail, message left  machine_beep"), "{shown}");
        assert!(!shown.contains('\u{1b}'), "{shown}");
    }

    #[test]
    fn lists_show_the_last_digits_only() {
        let cells = row(&v1::Call { phone_last4: "4567".into(), attempt: 2, ..Default::default() });
        assert_eq!((&*cells[2], &*cells[4], &*cells[6]), ("***4567", "2", ""));
    }

    #[test]
    fn holds_are_told_with_their_ends() {
        let hold = |reason: &str, clears_at, is_final| v1::Hold {
            reason: reason.into(),
            description: "why".into(),
            clears_at,
            r#final: is_final,
            ..Default::default()
        };
        let lines = hold_lines(&[hold("OUTSIDE_HOURS", point(0), false), hold("DO_NOT_CALL", None, true)]);
        assert_eq!(lines[1], "OUTSIDE_HOURS  1970-01-01T00:00:00Z  why");
        assert_eq!(lines[2], "DO_NOT_CALL    never                 why");
        assert_eq!(hold_lines(&[]), ["nothing holds it back"]);
    }
}
