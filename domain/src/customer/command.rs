//! What a customer can be told, and what it answers.

use super::event::{State, Status};
use crate::call::Direction;
use crate::id::CallId;
use crate::retry::Disposition;
use crate::row::{ConsentBasis, DncSource};
use crate::sealed::Sealed;
use crate::time::Millis;
use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Command {
    /// A call has come: who is it? Makes a placeholder for a stranger, and counts the call once.
    Recognise(Box<Recognise>),
    /// A call of ours has its final disposition. Counts it once.
    CallEnded(Box<CallEnded>),
    Enrich(Box<Enrich>),
    /// Must not be called from this commit on.
    DoNotCall {
        source: DncSource,
        call: Option<CallId>,
    },
    /// May be called again: the entry was a mistake, or the person asked for it.
    AllowCalls,
    Consent {
        basis: ConsentBasis,
    },
    RevokeConsent,
    Note {
        text: Sealed,
    },
    Get,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Recognise {
    pub call: CallId,
    pub phone: Sealed,
    pub last4: [u8; 4],
    /// The person's data key, sealed, where the sender found none stored.
    pub new_key: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CallEnded {
    pub call: CallId,
    pub phone: Sealed,
    pub last4: [u8; 4],
    pub direction: Direction,
    pub disposition: Disposition,
    pub attempts: u16,
    pub started_at: Millis,
    pub talk_ms: Millis,
}

/// Fields to change; absent ones stay as they are.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Enrich {
    pub status: Option<Status>,
    /// Name, e-mail and address, sealed, as [`crate::row::Person`].
    pub person: Option<Sealed>,
    /// What `person` was made of, which may have been nothing: refused as stale where it has changed
    /// since.
    pub person_from: Option<Option<Sealed>>,
    pub tags: Option<Vec<String>>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Reply {
    /// Boxed: the state is larger than the rest.
    Known(Box<Known>),
}

/// The customer after a command.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Known {
    pub state: State,
    /// It was there before this command.
    pub returning: bool,
    /// This command counted a call.
    pub counted: bool,
}
