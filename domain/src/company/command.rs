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
    Update(Box<Update>),
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
    Leave {
        campaign: CampaignId,
    },
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
    /// What it could use at most; 0 means as much as there is.
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
}

/// What a company lends to one campaign. `u32::MAX` means no limit.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Share {
    /// Grows with every change, so that an old share cannot undo a newer one.
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
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Reply {
    State(Box<State>),
}
