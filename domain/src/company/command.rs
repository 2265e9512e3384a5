//! What a company can be told, and what it answers.

use super::event::{Caller, State};
use crate::campaign::{Config, Limits};
use crate::id::CampaignId;
use crate::time::Millis;
use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Command {
    Create {
        name: String,
        /// The company's own keys, sealed by the key provider.
        secrets: Vec<u8>,
        settings: Box<Update>,
        key: Option<NewKey>,
    },
    Update {
        settings: Box<Update>,
        /// What the change was made of: refused as stale where any of it has changed since.
        from: Option<Box<Update>>,
    },
    AddKey(NewKey),
    RevokeKey {
        key_id: [u8; 8],
    },
    /// No dial for this company from this commit on; calls that are alive go on.
    Close {
        reason: String,
    },
    Open,
    /// A campaign that is going to run asks for its share of the limits.
    Join(Box<Join>),
    /// A campaign does not run any more.
    Leave(Box<Leave>),
    /// A campaign has taken down its share and says what it still uses: over all, and per caller id.
    Shared {
        campaign: CampaignId,
        version: u64,
        in_use: Vec<u32>,
    },
    Get,
}

/// Settings; absent ones stay as they are.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Update {
    pub limits: Option<Limits>,
    /// The caller ids that this company owns, at most [`Config::CALLERS_MAX`].
    pub callers: Option<Vec<Caller>>,
    /// How single calls are made.
    pub single_calls: Option<Config>,
}

impl Update {
    /// Whether the company's settings are these, as far as they are given.
    pub(super) fn holds_in(&self, s: &State) -> bool {
        self.limits.is_none_or(|limits| limits == s.limits)
            && self.callers.as_ref().is_none_or(|callers| *callers == s.callers)
            && self.single_calls.as_ref().is_none_or(|config| *config == s.single_calls)
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct NewKey {
    pub key_id: [u8; 8],
    /// SHA-256 of the secret part.
    pub hash: [u8; 32],
    pub name: String,
    pub scopes: u32,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Join {
    pub campaign: CampaignId,
    /// What it could use at most, at once and per second; 0 means as much as there is.
    pub concurrency: u32,
    pub milli_cps: u32,
    pub callers: Vec<String>,
    /// Attempts made on `day`, over all and per caller id.
    pub used_today: u32,
    pub callers_today: Vec<u32>,
    /// UTC day number.
    pub day: i32,
    /// What it uses now, over all and per caller id.
    pub in_use: Vec<u32>,
    /// Counts how often the campaign has begun to run, changed its caller ids or given something
    /// back. A share answers one session; one that was sent for an earlier session lends nothing
    /// any more.
    pub session: u32,
    /// It has nothing to do for a while: others come first.
    pub idle: bool,
}

/// What a campaign has used by the time it ceases to run. Nothing of it is alive any more.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Leave {
    pub campaign: CampaignId,
    /// UTC day number.
    pub day: i32,
    /// Attempts made on `day`, over all and per caller id in the order of its [`Join`].
    pub used_today: u32,
    pub callers_today: Vec<u32>,
}

/// What a company lends to one campaign. `u32::MAX` means no limit.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Share {
    /// Grows with every change, so that an old share cannot undo a newer one. The upper bits are
    /// the session that it answers, see [`Share::session`].
    pub version: u64,
    pub concurrency: u32,
    pub milli_cps: u32,
    /// UTC day number for which the quotas hold.
    pub day: i32,
    /// Attempts on that day.
    pub quota: u32,
    /// In the order of the campaign's caller ids.
    pub callers: Vec<CallerShare>,
    /// The clock of the company when it lent this.
    pub at: Millis,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CallerShare {
    pub concurrency: u32,
    pub milli_cps: u32,
    pub quota: u32,
    /// Undivided rates of the company and of this caller id: they bind where the dials of all
    /// campaigns meet.
    pub whole_milli_cps: [u32; 2],
}

const SESSION_BITS: u32 = 24;

impl Share {
    /// The version of the `counter`-th change, for this session.
    pub(super) fn version_of(session: u32, counter: u64) -> u64 {
        (u64::from(session) << (64 - SESSION_BITS)) | (counter & (u64::MAX >> SESSION_BITS))
    }

    /// The newest 24 bits of the number of the session that this answers.
    pub fn session(&self) -> u32 {
        u32::try_from(self.version >> (64 - SESSION_BITS)).unwrap_or(u32::MAX)
    }

    /// Whether this was lent to that session.
    pub fn answers(&self, session: u32) -> bool {
        self.session() == session & (u32::MAX >> (32 - SESSION_BITS))
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Reply {
    State(Box<State>),
}
