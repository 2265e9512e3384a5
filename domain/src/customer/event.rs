//! The state of a customer, and what has happened to it.

use crate::call::Direction;
use crate::id::CallId;
use crate::retry::Disposition;
use crate::row::{ConsentBasis, DncSource};
use crate::sealed::Sealed;
use crate::time::Millis;
use serde::{Deserialize, Serialize};

/// Tags a customer can have.
pub(super) const TAGS_MAX: usize = 20;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum Status {
    #[default]
    Absent,
    /// Called or was called; nothing else is known.
    Placeholder,
    Lead,
    Customer,
    Inactive,
    Churned,
}

impl Status {
    pub const ALL: [Status; 6] = [
        Status::Absent,
        Status::Placeholder,
        Status::Lead,
        Status::Customer,
        Status::Inactive,
        Status::Churned,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Status::Absent => "absent",
            Status::Placeholder => "placeholder",
            Status::Lead => "lead",
            Status::Customer => "customer",
            Status::Inactive => "inactive",
            Status::Churned => "churned",
        }
    }
}

/// Under 4 KB, whatever happens: nothing in it grows with history.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct State {
    pub status: Status,
    pub phone: Sealed,
    pub last4: [u8; 4],
    pub person: Option<Sealed>,
    pub tags: Vec<String>,
    pub first_contact_at: Millis,
    pub last_contact_at: Millis,
    pub became_customer_at: Option<Millis>,
    pub total_calls: u32,
    pub answered_calls: u32,
    pub talk_ms: i64,
    pub last_disposition: Option<Disposition>,
    pub do_not_call: bool,
    pub consent: Option<ConsentBasis>,
    /// Events so far: the length of the person's history.
    pub history: u32,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Event {
    pub at: Millis,
    pub what: What,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum What {
    Created {
        phone: Sealed,
        last4: [u8; 4],
    },
    Recognised {
        call: CallId,
    },
    /// `counted` unless the call was counted when it came in.
    CallEnded {
        call: CallId,
        direction: Direction,
        disposition: Disposition,
        attempts: u16,
        talk_ms: Millis,
        counted: bool,
    },
    /// What stays as it was is `None`.
    Enriched {
        status: Option<Status>,
        person: Option<Sealed>,
        tags: Option<Vec<String>>,
    },
    DoNotCall {
        source: DncSource,
    },
    CallsAllowed,
    Consented {
        basis: ConsentBasis,
    },
    ConsentRevoked,
    Noted {
        text: Sealed,
    },
}

/// An event as a person's history shows it.
#[derive(Clone, PartialEq, Debug)]
pub enum Entry {
    CustomerCreated,
    CallStarted {
        call: CallId,
    },
    CallCompleted {
        call: CallId,
        direction: Direction,
        disposition: Disposition,
        attempts: u16,
        talk_ms: Millis,
    },
    CustomerUpdated,
    StatusChanged {
        to: Status,
    },
    DoNotCall {
        source: DncSource,
    },
    CallsAllowed,
    ConsentGiven {
        basis: ConsentBasis,
    },
    ConsentRevoked,
    NoteAdded {
        text: Sealed,
    },
}

impl From<What> for Entry {
    fn from(what: What) -> Self {
        match what {
            What::Created { .. } => Entry::CustomerCreated,
            What::Recognised { call } => Entry::CallStarted { call },
            What::CallEnded { call, direction, disposition, attempts, talk_ms, counted: _ } => {
                Entry::CallCompleted { call, direction, disposition, attempts, talk_ms }
            }
            What::Enriched { status: Some(to), .. } => Entry::StatusChanged { to },
            What::Enriched { status: None, .. } => Entry::CustomerUpdated,
            What::DoNotCall { source } => Entry::DoNotCall { source },
            What::CallsAllowed => Entry::CallsAllowed,
            What::Consented { basis } => Entry::ConsentGiven { basis },
            What::ConsentRevoked => Entry::ConsentRevoked,
            What::Noted { text } => Entry::NoteAdded { text },
        }
    }
}

impl Entry {
    pub fn name(&self) -> &'static str {
        match self {
            Entry::CustomerCreated => "customer_created",
            Entry::CallStarted { .. } => "call_started",
            Entry::CallCompleted { .. } => "call_completed",
            Entry::CustomerUpdated => "customer_updated",
            Entry::StatusChanged { .. } => "status_changed",
            Entry::DoNotCall { .. } => "do_not_call",
            Entry::CallsAllowed => "calls_allowed",
            Entry::ConsentGiven { .. } => "consent_given",
            Entry::ConsentRevoked => "consent_revoked",
            Entry::NoteAdded { .. } => "note_added",
        }
    }
}

pub(super) fn evolve(s: &mut State, event: &Event) {
    let at = event.at;
    match &event.what {
        What::Created { phone, last4 } => {
            *s = State {
                status: Status::Placeholder,
                phone: phone.clone(),
                last4: *last4,
                first_contact_at: at,
                last_contact_at: at,
                history: 1,
                ..State::default()
            };
            return;
        }
        What::Recognised { .. } => {
            s.total_calls += 1;
            s.last_contact_at = at;
        }
        What::CallEnded { disposition, talk_ms, counted, .. } => {
            if *counted {
                s.total_calls += 1;
            }
            if *disposition == Disposition::Completed {
                s.answered_calls += 1;
            }
            s.talk_ms = s.talk_ms.saturating_add(*talk_ms);
            s.last_disposition = Some(*disposition);
            s.last_contact_at = at;
        }
        What::Enriched { status, person, tags } => {
            if let Some(status) = status {
                if *status == Status::Customer && s.became_customer_at.is_none() {
                    s.became_customer_at = Some(at);
                }
                s.status = *status;
            }
            if let Some(person) = person {
                s.person = Some(person.clone());
            }
            if let Some(tags) = tags {
                s.tags.clone_from(tags);
            }
        }
        What::DoNotCall { .. } => s.do_not_call = true,
        What::CallsAllowed => s.do_not_call = false,
        What::Consented { basis } => s.consent = Some(*basis),
        What::ConsentRevoked => s.consent = None,
        What::Noted { .. } => {}
    }
    s.history += 1;
}
