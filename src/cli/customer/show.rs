//! People as people see them.

use crate::cli::table::Card;
use crate::cli::time::{shown, shown_span};
use crate::cli::words::Words as _;
use tandem_proto::v1;
use v1::history_entry::What;

pub fn card(customer: &v1::Customer) -> Card {
    let mut card = Card::new();
    card.add("customer", &customer.customer_id)
        .add("phone", &customer.phone)
        .add("status", v1::CustomerStatus::word_of(customer.status))
        .add("name", &customer.name)
        .add("email", &customer.email)
        .add("language", &customer.language)
        .add("tags", customer.tags.join(", "))
        .add("calls", format!("{} ({} answered)", customer.total_calls, customer.answered_calls))
        .add("talk time", shown_span(customer.talk_time.as_ref().filter(|span| span.seconds > 0)))
        .add("first contact", shown(customer.first_contact_at.as_ref()))
        .add("last contact", shown(customer.last_contact_at.as_ref()))
        .add("last outcome", v1::Disposition::word_of(customer.last_disposition))
        .add("do not call", if customer.do_not_call { "yes" } else { "" })
        .add("consent", v1::ConsentBasis::word_of(customer.consent));
    card
}

/// What a card shows and the variables, each on a line.
pub fn customer(customer: &v1::Customer) -> Vec<String> {
    let mut lines = card(customer).lines();
    for (name, variable) in &customer.variables {
        let value = match &variable.value {
            Some(v1::variable::Value::Text(text)) => text.clone(),
            Some(v1::variable::Value::Number(number)) => number.to_string(),
            Some(v1::variable::Value::Boolean(boolean)) => boolean.to_string(),
            None => String::new(),
        };
        lines.push(crate::cli::table::printable(&format!("  {name} = {value}")));
    }
    lines
}

pub fn looked_up(answer: &v1::LookupResponse) -> Vec<String> {
    let mut card = Card::new();
    card.add("known", if answer.returning { "yes" } else { "no: a placeholder was made" })
        .add("counted", if answer.counted { "yes" } else { "no: this call was counted before" });
    let mut lines = card.lines();
    lines.extend(customer(&answer.customer.clone().unwrap_or_default()));
    lines
}

pub fn got(answer: &v1::GetCustomerResponse) -> Vec<String> {
    let mut lines = customer(&answer.customer.clone().unwrap_or_default());
    if answer.do_not_call_since.is_some() {
        let source = v1::DoNotCallSource::word_of(answer.do_not_call_source);
        lines.push(format!(
            "on the do-not-call list since {} ({source})",
            shown(answer.do_not_call_since.as_ref())
        ));
    }
    lines
}

/// One line of a history.
pub fn entry(entry: &v1::HistoryEntry) -> String {
    match &entry.what {
        Some(What::CustomerCreated(_)) => "first heard of".to_owned(),
        Some(What::CallStarted(call)) => format!("call {} began", call.call_id),
        Some(What::CallCompleted(call)) => {
            let talk = call.talk_time.as_ref().filter(|span| span.seconds > 0);
            let talk =
                talk.map(|span| format!(", {} of conversation", shown_span(Some(span)))).unwrap_or_default();
            let direction = v1::Direction::word_of(call.direction);
            let disposition = v1::Disposition::word_of(call.disposition);
            format!("{direction} call {}: {disposition} after {} attempts{talk}", call.call_id, call.attempts)
        }
        Some(What::CustomerUpdated(_)) => "changed".to_owned(),
        Some(What::StatusChanged(change)) => format!("is {} now", v1::CustomerStatus::word_of(change.to)),
        Some(What::DoNotCallAdded(added)) => {
            format!("must not be called ({})", v1::DoNotCallSource::word_of(added.source))
        }
        Some(What::DoNotCallRemoved(_)) => "may be called again".to_owned(),
        Some(What::ConsentGiven(given)) => {
            format!("consent given ({})", v1::ConsentBasis::word_of(given.basis))
        }
        Some(What::ConsentRevoked(_)) => "consent revoked".to_owned(),
        Some(What::NoteAdded(note)) => format!("note: {}", note.text),
        None => "something this build does not know".to_owned(),
    }
}

/// After a change of which there is little to say.
pub fn done(customer_id: &str, replayed: bool) -> Vec<String> {
    let mut card = Card::new();
    card.add("customer", customer_id);
    if replayed {
        card.add("replayed", "done before with this idempotency key");
    }
    card.lines()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_shown() {
        let person = v1::Customer {
            customer_id: "p-1".into(),
            phone: "+15551234567".into(),
            total_calls: 3,
            do_not_call: true,
            variables: [(
                "plan".to_owned(),
                v1::Variable { value: Some(v1::variable::Value::Text("gold\u{1b}c".into())) },
            )]
            .into(),
            ..Default::default()
        };
        let answer = v1::LookupResponse { customer: Some(person), returning: true, ..Default::default() };
        let lines = looked_up(&answer).join("\n");
        assert!(lines.contains("counted  no: this call was counted before"), "{lines}");
        assert!(
            lines.contains("calls        3 (0 answered)") && lines.contains("do not call  yes"),
            "{lines}"
        );
        assert!(lines.ends_with("plan = gold·c"), "{lines}");
    }

    #[test]
    fn history_is_told_in_lines() {
        let line = |what| entry(&v1::HistoryEntry { what, ..Default::default() });
        let completed = v1::CallCompleted {
            call_id: "c".into(),
            direction: v1::Direction::Outbound.into(),
            disposition: v1::Disposition::Completed.into(),
            attempts: 2,
            talk_time: Some(prost_types::Duration { seconds: 75, nanos: 0 }),
        };
        assert_eq!(
            line(Some(What::CallCompleted(completed))),
            "outbound call c: completed after 2 attempts, 1m15s of conversation"
        );
        assert!(line(None).contains("does not know"));
    }
}
