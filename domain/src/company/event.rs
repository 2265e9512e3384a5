//! The state of a company, and what has happened to it.

use super::command::Join;
use crate::campaign::{Config, Limits};
use crate::id::CampaignId;
use crate::time::Millis;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What an API key may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Scope {
    CallsRead = 1,
    CallsWrite = 2,
    CampaignsRead = 4,
    CampaignsWrite = 8,
    CustomersRead = 16,
    CustomersWrite = 32,
    CompanyRead = 64,
    CompanyWrite = 128,
}

impl Scope {
    pub const ALL: [Scope; 8] = [
        Scope::CallsRead,
        Scope::CallsWrite,
        Scope::CampaignsRead,
        Scope::CampaignsWrite,
        Scope::CustomersRead,
        Scope::CustomersWrite,
        Scope::CompanyRead,
        Scope::CompanyWrite,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Scope::CallsRead => "calls:read",
            Scope::CallsWrite => "calls:write",
            Scope::CampaignsRead => "campaigns:read",
            Scope::CampaignsWrite => "campaigns:write",
            Scope::CustomersRead => "customers:read",
            Scope::CustomersWrite => "customers:write",
            Scope::CompanyRead => "company:read",
            Scope::CompanyWrite => "company:write",
        }
    }

    pub fn parse(name: &str) -> Option<Scope> {
        Scope::ALL.into_iter().find(|s| s.name() == name)
    }

    /// Every scope there is.
    pub fn all_bits() -> u32 {
        Scope::ALL.iter().fold(0, |bits, s| bits | *s as u32)
    }
}

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct State {
    pub created_at: Option<Millis>,
    pub name: String,
    pub secrets: Vec<u8>,
    /// Why no dial is permitted, if none is.
    pub closed: Option<String>,
    pub limits: Limits,
    pub callers: Vec<Caller>,
    pub single_calls: Config,
    pub keys: Vec<ApiKey>,
    /// Campaigns that run, and what is lent to them.
    pub loans: BTreeMap<CampaignId, Loan>,
    pub share_version: u64,
    /// UTC day number of the quotas and of what was spent.
    pub day: i32,
    /// Attempts of the day made by campaigns that do not run any more.
    pub spent: Spent,
}

/// A limit that is shared: the company's own, or that of a caller id, E.164.
pub type PoolName = Option<String>;

/// Attempts by pool.
pub type Spent = BTreeMap<PoolName, u32>;

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Caller {
    /// E.164.
    pub number: String,
    pub limits: Limits,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ApiKey {
    pub key_id: [u8; 8],
    pub name: String,
    pub scopes: u32,
    pub created_at: Millis,
    pub revoked_at: Option<Millis>,
}

/// What one campaign has of the company's limits.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Loan {
    pub wants: Join,
    /// The company's own limits first, then one for each caller id.
    pub pools: Vec<Pool>,
    /// The newest share that was sent.
    pub version: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Pool {
    /// Concurrency that was promised.
    pub share: u32,
    /// Concurrency that has to be reckoned with: what was promised before counts until it is
    /// known to be given back.
    pub held: u32,
    /// Attempts of the day up to which the campaign may go.
    pub quota: u32,
    /// Attempts of the day that it had made before it joined: they count as spent already.
    pub base: u32,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Event {
    pub at: Millis,
    pub what: What,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum What {
    Created {
        name: String,
        secrets: Vec<u8>,
    },
    Updated(Box<super::command::Update>),
    KeyAdded {
        key_id: [u8; 8],
        name: String,
        scopes: u32,
    },
    KeyRevoked {
        key_id: [u8; 8],
    },
    Closed {
        reason: String,
    },
    Opened,
    /// The book of loans after a change: a new day, and what each of these campaigns has now.
    Lent {
        day: i32,
        version: u64,
        loans: Vec<(CampaignId, Loan)>,
        spent: Spent,
    },
    Left {
        campaign: CampaignId,
    },
}

pub(super) fn evolve(s: &mut State, event: &Event) {
    let at = event.at;
    match &event.what {
        What::Created { name, secrets } => {
            *s = State {
                created_at: Some(at),
                name: name.clone(),
                secrets: secrets.clone(),
                ..State::default()
            };
        }
        What::Updated(u) => {
            if let Some(limits) = u.limits {
                s.limits = limits;
            }
            if let Some(callers) = &u.callers {
                s.callers.clone_from(callers);
            }
            if let Some(config) = &u.single_calls {
                s.single_calls = config.clone();
            }
        }
        What::KeyAdded { key_id, name, scopes } => s.keys.push(ApiKey {
            key_id: *key_id,
            name: name.clone(),
            scopes: *scopes,
            created_at: at,
            revoked_at: None,
        }),
        What::KeyRevoked { key_id } => {
            if let Some(key) = s.keys.iter_mut().find(|k| k.key_id == *key_id) {
                key.revoked_at = Some(at);
            }
        }
        What::Closed { reason } => s.closed = Some(reason.clone()),
        What::Opened => s.closed = None,
        What::Lent { day, version, loans, spent } => {
            s.spent.clone_from(spent);
            s.day = *day;
            s.share_version = *version;
            for (campaign, loan) in loans {
                s.loans.insert(*campaign, loan.clone());
            }
        }
        What::Left { campaign } => {
            s.loans.remove(campaign);
        }
    }
}
