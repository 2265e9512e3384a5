//! Customers.

use super::{choices, person, time};
use crate::grpc::error::Violation;
use tandem_domain::customer::{Entry, State};
use tandem_domain::id::CustomerId;
use tandem_domain::row::Person;
use tandem_domain::time::Millis;
use tandem_proto::v1;
use v1::history_entry::What;

/// A customer and what was sealed of them.
pub fn customer(id: CustomerId, s: &State, phone: String, told: Option<Person>) -> v1::Customer {
    let told = told.unwrap_or_default();
    v1::Customer {
        customer_id: id.to_string(),
        phone,
        status: choices::customer_status(s.status).into(),
        name: told.name.unwrap_or_default(),
        email: told.email.unwrap_or_default(),
        language: told.language.unwrap_or_default(),
        variables: person::variables(&told.variables),
        tags: s.tags.clone(),
        first_contact_at: Some(time::timestamp(s.first_contact_at)),
        last_contact_at: Some(time::timestamp(s.last_contact_at)),
        became_customer_at: s.became_customer_at.map(time::timestamp),
        total_calls: s.total_calls,
        answered_calls: s.answered_calls,
        talk_time: Some(time::duration(s.talk_ms)),
        last_disposition: s.last_disposition.map_or(0, |d| choices::disposition(d).into()),
        do_not_call: s.do_not_call,
        consent: s.consent.map_or(0, |basis| choices::consent_basis(basis).into()),
        history: s.history,
    }
}

/// What is told of a person after a change; empty texts take something away. `None` where nothing of
/// it changes.
pub fn changed(base: Person, message: &v1::UpdateCustomerRequest) -> Result<Option<Person>, Violation> {
    let mut told = base.clone();
    let set = |slot: &mut Option<String>, text: &Option<String>| {
        if let Some(text) = text {
            *slot = Some(text.trim().to_owned()).filter(|t| !t.is_empty());
        }
    };
    set(&mut told.name, &message.name);
    set(&mut told.email, &message.email);
    set(&mut told.language, &message.language);
    // Checked as a line of a contact file would be, under a number that stands for theirs.
    let line = person::Told {
        phone: "+12025550143",
        region: None,
        name: told.name.as_deref().unwrap_or(""),
        email: told.email.as_deref().unwrap_or(""),
        language: told.language.as_deref().unwrap_or(""),
        time_zone: "",
        variables: &message.variables,
    };
    let line = line.read(0).map_err(|e| person::violation(e, "phone"))?;
    told.language = line.language;
    told.variables.extend(line.variables);
    Ok((told != base).then_some(told))
}

/// `note` is the opened text of a note.
pub fn history_entry(number: u32, at: Millis, entry: &Entry, note: Option<String>) -> v1::HistoryEntry {
    let what = match entry {
        Entry::CustomerCreated => What::CustomerCreated(v1::CustomerCreated {}),
        Entry::CallStarted { call } => What::CallStarted(v1::CallStarted { call_id: call.to_string() }),
        Entry::CallCompleted { call, direction, disposition, attempts, talk_ms } => {
            What::CallCompleted(v1::CallCompleted {
                call_id: call.to_string(),
                direction: choices::direction(*direction).into(),
                disposition: choices::disposition(*disposition).into(),
                attempts: (*attempts).into(),
                talk_time: Some(time::duration(*talk_ms)),
            })
        }
        Entry::CustomerUpdated => What::CustomerUpdated(v1::CustomerUpdated {}),
        Entry::StatusChanged { to } => {
            What::StatusChanged(v1::StatusChanged { to: choices::customer_status(*to).into() })
        }
        Entry::DoNotCall { source } => {
            What::DoNotCallAdded(v1::DoNotCallAdded { source: choices::dnc_source(*source).into() })
        }
        Entry::CallsAllowed => What::DoNotCallRemoved(v1::DoNotCallRemoved {}),
        Entry::ConsentGiven { basis } => {
            What::ConsentGiven(v1::ConsentGiven { basis: choices::consent_basis(*basis).into() })
        }
        Entry::ConsentRevoked => What::ConsentRevoked(v1::ConsentRevoked {}),
        Entry::NoteAdded { .. } => What::NoteAdded(v1::NoteAdded { text: note.unwrap_or_default() }),
    };
    v1::HistoryEntry { number, at: Some(time::timestamp(at)), what: Some(what) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_domain::agent::Variable;

    #[test]
    fn fields_that_are_given_change_and_empty_ones_are_taken_away() {
        let base = Person {
            name: Some("Ada".into()),
            email: Some("ada@example.com".into()),
            variables: [("plan".to_owned(), Variable::Text("gold".into()))].into(),
            ..Person::default()
        };
        let value = v1::Variable { value: Some(v1::variable::Value::Number(3.0)) };
        let message = v1::UpdateCustomerRequest {
            email: Some(String::new()),
            language: Some("pt_BR".into()),
            variables: [("seats".to_owned(), value)].into(),
            ..v1::UpdateCustomerRequest::default()
        };
        let told = changed(base.clone(), &message).expect("good").expect("a change");
        assert_eq!(told.name.as_deref(), Some("Ada"));
        assert_eq!((told.email, told.language.as_deref()), (None, Some("pt-BR")));
        assert_eq!(told.variables.len(), 2);
        assert_eq!(changed(base, &v1::UpdateCustomerRequest::default()), Ok(None));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let message = v1::UpdateCustomerRequest { email: Some("nobody".into()), ..<_>::default() };
        assert_eq!(changed(Person::default(), &message).expect_err("refused").field, "email");
    }
}
