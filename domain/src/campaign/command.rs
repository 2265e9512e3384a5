//! What a campaign can be told, and what it answers.

use super::state::{Config, Phase, Reason};
use crate::call::Verdict;
use crate::company::Share;
use crate::dial::Bar;
use crate::dial::Place;
use crate::id::{CallId, CustomerId};
use crate::retry::{Disposition, Outcome};
use crate::row::{ContactNo, Priority};
use crate::sealed::Sealed;
use crate::time::Millis;
use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Command {
    Create {
        name: String,
        config: Box<Config>,
        /// Holds the company's single calls: has no contacts of its own and never completes.
        direct: bool,
    },
    Configure {
        config: Box<Config>,
        /// What the change was made of: refused as stale where it has changed since.
        from: Option<Box<Config>>,
    },
    /// At most [`Command::CONTACTS_MAX`] at once.
    AddContacts {
        contacts: Vec<NewContact>,
    },
    /// A single call asks for its permit in turn.
    Enqueue {
        call: CallId,
        customer: CustomerId,
        phone: Sealed,
        last4: [u8; 4],
        place: Place,
        priority: Priority,
        /// The one caller id that will do.
        from: Option<String>,
        due: Millis,
    },
    Start,
    Pause {
        reason: Reason,
    },
    Resume,
    Stop,
    /// What the company lends to this campaign.
    Share(Box<Share>),
    /// A call gives back a permit that it could not use.
    Declined(Box<Declined>),
    /// An attempt has ended and another will follow.
    Released(Box<Released>),
    /// A call has its final disposition.
    Finished(Box<Finished>),
    Tick,
}

impl Command {
    pub const CONTACTS_MAX: usize = 250;
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct NewContact {
    pub customer: CustomerId,
    pub phone: Sealed,
    pub last4: [u8; 4],
    pub place: Place,
    pub priority: Priority,
    pub person: Option<Sealed>,
    /// Line of the file, for messages; 0 where there is none.
    pub line: u32,
    /// The person's data key, sealed, where the sender found none stored.
    pub new_key: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Declined {
    pub contact: ContactNo,
    pub call: CallId,
    pub place: Place,
    pub priority: Priority,
    pub attempts: u16,
    pub from: Option<String>,
    pub until: Millis,
    pub bar: Bar,
    /// The call was not made: it does not exist yet.
    pub fresh: bool,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Released {
    pub contact: ContactNo,
    pub call: CallId,
    pub place: Place,
    pub priority: Priority,
    pub attempts: u16,
    pub from: Option<String>,
    pub retry_at: Millis,
    pub outcome: Outcome,
    pub verdict: Verdict,
    pub counted: bool,
    pub trouble: Option<Trouble>,
    /// The carrier's code, 0 where it gave none.
    pub code: u32,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Finished {
    /// Absent where a single call was never offered a permit.
    pub contact: Option<ContactNo>,
    pub call: CallId,
    pub priority: Priority,
    /// It was waiting for this time when it ended.
    pub queued_at: Option<Millis>,
    pub disposition: Disposition,
    pub attempts: u16,
    pub talk_ms: Millis,
    pub verdict: Verdict,
    /// Outcome of the attempt that ended with it, if one did and it counts.
    pub outcome: Option<Outcome>,
}

/// Something that would befall every other dial of the campaign as well.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Trouble {
    /// The carrier account is suspended, closed or out of funds.
    Account,
    CallerId,
    Configuration,
    /// The carrier asks for a pause.
    Busy {
        until: Millis,
    },
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Reply {
    Status(Status),
    Added(Added),
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Status {
    pub phase: Phase,
}

/// What became of a batch of contacts.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Added {
    pub added: u32,
    /// Index within the batch, and why it was left out.
    pub skipped: Vec<(u32, Skip)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Skip {
    /// The person is in the campaign already.
    Duplicate,
    /// The person's key changed meanwhile: send the contact again.
    KeyRace,
}
