//! Identities. Every id is 16 bytes, written as a hyphenated UUID.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub Uuid);

        impl $name {
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                $name(Uuid::from_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0.hyphenated())
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(s: &str) -> Result<Self, BadId> {
                Uuid::try_parse(s).map($name).map_err(|_| BadId(stringify!($name)))
            }
        }
    };
}

/// A text that is not a UUID where one was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a {0}: expected a UUID such as 01990c1e-8b1c-7cc0-9a51-0242ac120002")]
pub struct BadId(pub &'static str);

id!(
    /// A customer of Tandem: the company on whose behalf calls are made. The tenant.
    CompanyId
);
id!(
    /// One call to or from one person; its attempts are numbered within it.
    CallId
);
id!(
    /// One campaign of one company.
    CampaignId
);
id!(
    /// A person as one company knows them: the keyed hash of their E.164 number (see `privacy`).
    CustomerId
);

/// The kinds of entity that are run as actors.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[repr(u8)]
pub enum Kind {
    Call = 1,
    Campaign = 2,
    Customer = 3,
    Company = 4,
}

impl Kind {
    pub const ALL: [Kind; 4] = [Kind::Call, Kind::Campaign, Kind::Customer, Kind::Company];

    pub fn from_u8(n: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|k| *k as u8 == n)
    }

    pub fn name(self) -> &'static str {
        match self {
            Kind::Call => "call",
            Kind::Campaign => "campaign",
            Kind::Customer => "customer",
            Kind::Company => "company",
        }
    }
}

/// The address of one entity: what is routed on, locked on and stored under.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Entity {
    pub company: CompanyId,
    pub kind: Kind,
    pub id: Uuid,
}

impl Entity {
    pub fn call(company: CompanyId, id: CallId) -> Self {
        Entity { company, kind: Kind::Call, id: id.0 }
    }
    pub fn campaign(company: CompanyId, id: CampaignId) -> Self {
        Entity { company, kind: Kind::Campaign, id: id.0 }
    }
    pub fn customer(company: CompanyId, id: CustomerId) -> Self {
        Entity { company, kind: Kind::Customer, id: id.0 }
    }
    pub fn company(company: CompanyId) -> Self {
        Entity { company, kind: Kind::Company, id: company.0 }
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.name(), self.id.hyphenated())
    }
}

/// One attempt of one call: what a carrier is asked to place, at most once. Travels in callback
/// URLs and in media sockets, as `company/call/attempt`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Attempt {
    pub company: CompanyId,
    pub call: CallId,
    /// From 1.
    pub number: u16,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.company, self.call, self.number)
    }
}

impl FromStr for Attempt {
    type Err = BadId;
    fn from_str(s: &str) -> Result<Self, BadId> {
        let mut parts = s.split('/');
        let bad = BadId("attempt");
        let (Some(company), Some(call), Some(number), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(bad);
        };
        Ok(Attempt {
            company: company.parse()?,
            call: call.parse()?,
            number: number.parse().map_err(|_| bad)?,
        })
    }
}
