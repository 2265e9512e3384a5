//! Rows that decisions read and write beside the entities' own state: facts, indexes, queues.
//! Here stand their names and values; how they are laid out as keys is `tandem_actors::keys`.

use crate::dial::Place;
use crate::id::{CallId, CampaignId, CompanyId, CustomerId};
use crate::retry::Disposition;
use crate::sealed::Sealed;
use crate::time::Millis;
use crate::window::Hours;
use serde::{Deserialize, Serialize};

/// Number of a contact within its campaign, from 0 in the order of arrival.
pub type ContactNo = u32;

/// The logical name of a row. The company always comes first in the key, so that no range can
/// reach over from one company to another.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum RowKey {
    /// [`DncEntry`]: this person must not be called. Written by opt-outs and list imports.
    Dnc {
        company: CompanyId,
        customer: CustomerId,
    },
    /// [`ConsentEntry`]: this person has agreed to be called.
    Consent {
        company: CompanyId,
        customer: CustomerId,
    },
    /// [`Contacted`]: when this person was last attempted, by whichever campaign.
    Contacted {
        company: CompanyId,
        customer: CustomerId,
    },
    /// [`DialPolicy`]: what a dial has to respect; `None` is the company's own for single calls.
    Policy {
        company: CompanyId,
        campaign: Option<CampaignId>,
    },
    /// [`CompanyGate`]: whether the company may dial at all.
    Gate {
        company: CompanyId,
    },
    /// [`Permit`]: a live attempt. There are exactly as many as attempts alive.
    Permit {
        company: CompanyId,
        campaign: CampaignId,
        call: CallId,
    },
    /// [`Contact`].
    Contact {
        company: CompanyId,
        campaign: CampaignId,
        no: ContactNo,
    },
    /// [`ContactEnd`]: the one final disposition of a contact.
    ContactEnd {
        company: CompanyId,
        campaign: CampaignId,
        no: ContactNo,
    },
    /// The number of the contact that already has this person in the campaign.
    ContactOf {
        company: CompanyId,
        campaign: CampaignId,
        customer: CustomerId,
    },
    /// [`ReadyValue`]: a contact that may be dialed from `due` on.
    Ready {
        company: CompanyId,
        campaign: CampaignId,
        lane: Priority,
        due: Millis,
        no: ContactNo,
    },
    /// [`Held`]: a contact that was handed to its call and has not come back.
    InFlight {
        company: CompanyId,
        campaign: CampaignId,
        no: ContactNo,
    },
    /// This call was counted in the person's totals. Empty value.
    Counted {
        company: CompanyId,
        customer: CustomerId,
        call: CallId,
    },
    /// The person's data key, sealed by the company's key. Destroying it erases the person.
    CustomerKey {
        company: CompanyId,
        customer: CustomerId,
    },
    /// Newest first lists of calls. Empty values.
    CallByTime {
        company: CompanyId,
        at: Millis,
        call: CallId,
    },
    CallByCampaign {
        company: CompanyId,
        campaign: CampaignId,
        at: Millis,
        call: CallId,
    },
    CallByCustomer {
        company: CompanyId,
        customer: CustomerId,
        at: Millis,
        call: CallId,
    },
    CallByDisposition {
        company: CompanyId,
        disposition: Disposition,
        at: Millis,
        call: CallId,
    },
    CampaignByTime {
        company: CompanyId,
        at: Millis,
        campaign: CampaignId,
    },
    /// [`Turn`]: one thing that was said.
    Turn {
        company: CompanyId,
        call: CallId,
        no: u32,
    },
    /// [`ApiKeyValue`]: found by the public part of a key.
    ApiKey {
        key_id: [u8; 8],
    },
    /// Empty value: companies of this installation.
    Company {
        company: CompanyId,
    },
}

/// One write of a decision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RowWrite {
    pub key: RowKey,
    /// `None` clears the row.
    pub value: Option<Vec<u8>>,
}

impl RowWrite {
    pub fn set<T: Serialize>(key: RowKey, value: &T) -> Self {
        RowWrite { key, value: Some(crate::codec::encode(value)) }
    }
    /// A row whose key says everything.
    pub fn mark(key: RowKey) -> Self {
        RowWrite { key, value: Some(Vec::new()) }
    }
    pub fn clear(key: RowKey) -> Self {
        RowWrite { key, value: None }
    }
}

/// Something a decision depends on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fact {
    Row(RowKey),
    /// The head of a campaign's ready queue: at most `limit` rows a lane, by due time, those not
    /// yet due included.
    Ready {
        company: CompanyId,
        campaign: CampaignId,
        limit: usize,
    },
}

/// Order of service. Lower is sooner.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[repr(u8)]
pub enum Priority {
    High = 0,
    #[default]
    Normal = 1,
    Low = 2,
}

impl Priority {
    pub const ALL: [Priority; 3] = [Priority::High, Priority::Normal, Priority::Low];
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadyEntry {
    pub lane: Priority,
    pub due: Millis,
    pub no: ContactNo,
    pub value: ReadyValue,
    /// The contact itself, read along where its call does not exist yet.
    pub contact: Option<Contact>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReadyValue {
    /// Where the person may be; empty means unknown, and closed.
    pub place: Place,
    pub call: CallId,
    /// Attempts made so far.
    pub attempts: u16,
    /// The call does not exist yet: it is made from the contact with its first permit.
    pub fresh: bool,
    /// The one caller id, E.164, that it is to be dialed from; otherwise any of the campaign's.
    pub from: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Contact {
    pub customer: CustomerId,
    /// The E.164 number.
    pub phone: Sealed,
    pub last4: [u8; 4],
    pub place: Place,
    pub priority: Priority,
    /// Name, e-mail and variables, as [`Person`].
    pub person: Option<Sealed>,
    /// The line of the file it came from, 0 when it came by call.
    pub line: u32,
    pub added_at: Millis,
}

/// What a contact file may say of a person; always sealed.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Person {
    pub name: Option<String>,
    pub email: Option<String>,
    pub language: Option<String>,
    pub variables: crate::agent::Variables,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ContactEnd {
    pub disposition: Disposition,
    pub attempts: u16,
    pub at: Millis,
    /// Absent where the contact was never handed to a call.
    pub call: Option<CallId>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DncEntry {
    pub at: Millis,
    pub source: DncSource,
    /// The call in which it was said.
    pub call: Option<CallId>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum DncSource {
    /// Said or keyed by the person during a call.
    OptOut,
    /// Entered by an operator or over the API.
    Operator,
    /// Imported list.
    List,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ConsentEntry {
    pub at: Millis,
    pub basis: ConsentBasis,
    pub revoked_at: Option<Millis>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ConsentBasis {
    Written,
    Oral,
    BusinessRelationship,
}

/// What the permit of a contact in flight was taken from, to be given back there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Held {
    /// Caller id, E.164.
    pub from: String,
    /// UTC day number of whose attempts it is one.
    pub day: i32,
}

/// Attempts to one person, over all campaigns and single calls of a company.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Contacted {
    /// Times of the newest attempts, oldest first; at most [`Contacted::MAX`], and one more while
    /// an attempt is alive.
    pub attempts: Vec<Millis>,
    /// The attempt that is alive, if one is: no second call to one person.
    pub live: Option<(CallId, u16)>,
}

impl Contacted {
    pub const MAX: usize = 16;
}

/// What every dial of a campaign (or of single calls) has to respect. Read in the transaction that
/// permits the dial, so that a pause or a changed rule counts from the moment it is committed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DialPolicy {
    /// False while the campaign is not running.
    pub running: bool,
    pub hours: Hours,
    pub bounds: crate::dial::Bounds,
    /// Least time between two attempts to one person, over all campaigns.
    pub gap_ms: Millis,
    /// Most attempts to one person within 24 h, over all campaigns; at most [`Contacted::MAX`].
    pub attempts_a_day: u16,
    pub consent_required: bool,
    /// Caller ids that may be dialed from, E.164.
    pub callers: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CompanyGate {
    pub open: bool,
    /// Why it is closed, as shown to operators.
    pub reason: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Permit {
    pub attempt: u16,
    pub since: Millis,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Turn {
    pub at: Millis,
    pub speaker: crate::agent::Speaker,
    pub text: Sealed,
}

/// A stored API key: only its hash is kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ApiKeyValue {
    pub company: CompanyId,
    /// SHA-256 of the secret part.
    pub hash: [u8; 32],
    /// Bit set of scopes, see [`crate::company::Scope`].
    pub scopes: u32,
    pub created_at: Millis,
    pub revoked_at: Option<Millis>,
}
