//! What is to happen outside of an entity once a decision is durable, and the closed sets of
//! commands and replies that travel between entities.

use crate::carrier::Instruction;
use crate::id::{Attempt, Entity};
use crate::sealed::Sealed;
use crate::time::Millis;
use crate::{call, campaign, company, customer};
use serde::{Deserialize, Serialize};

/// An order to the outside, recorded in the same transaction as the events that ask for it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Effect {
    /// Ask the carrier to place this attempt: once, now, or never.
    Dial(Box<DialOrder>),
    /// Tell a live call something. May be repeated.
    Instruct { attempt: Attempt, carrier: CarrierName, sid: String, instruction: Instruction },
    /// Ask the carrier how this call stands. May be repeated.
    Fetch { attempt: Attempt, carrier: CarrierName, sid: String },
    /// Look for a call that this attempt may have created. May be repeated.
    Find { attempt: Attempt, carrier: CarrierName, to: Sealed, from: String, since: Millis },
    /// A message to another entity: exactly once, in order.
    Send { to: Entity, command: Box<Command> },
}

impl Effect {
    /// Whether it must not be started again once it may have been started.
    pub fn at_most_once(&self) -> bool {
        matches!(self, Effect::Dial(_))
    }

    pub fn send(to: Entity, command: impl Into<Command>) -> Effect {
        Effect::Send { to, command: Box::new(command.into()) }
    }
}

/// The configured name of a carrier account, such as `twilio`.
pub type CarrierName = String;

/// Everything the dispatcher needs to place one attempt.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DialOrder {
    pub attempt: Attempt,
    pub carrier: CarrierName,
    pub customer: crate::id::CustomerId,
    pub to: Sealed,
    /// E.164, a number of the company.
    pub from: String,
    pub ring_timeout_s: u32,
    pub max_duration_s: u32,
    pub amd: call::AmdPolicy,
    pub record: bool,
    /// When the permission was given.
    pub permitted_at: Millis,
    /// Rates that bind this dial: the one place where requests leave keeps them.
    pub paces: Vec<Pace>,
}

/// A limit on dials a second, shared by all dials that name the same key.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Pace {
    pub key: PaceKey,
    /// Thousandths of a call per second.
    pub milli_cps: u32,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum PaceKey {
    Company(crate::id::CompanyId),
    Campaign(crate::id::CampaignId),
    CallerId(crate::id::CompanyId, String),
}

/// A command to any kind of entity.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Command {
    Call(call::Command),
    Campaign(campaign::Command),
    Customer(customer::Command),
    Company(company::Command),
}

/// An answer of any kind of entity.
#[derive(Clone, Debug)]
pub enum Reply {
    Call(call::Reply),
    Campaign(campaign::Reply),
    Customer(customer::Reply),
    Company(company::Reply),
}

macro_rules! command {
    ($kind:ident, $module:ident) => {
        impl From<$module::Command> for Command {
            fn from(c: $module::Command) -> Self {
                Command::$kind(c)
            }
        }
        impl TryFrom<Command> for $module::Command {
            type Error = ();
            fn try_from(c: Command) -> Result<Self, ()> {
                match c {
                    Command::$kind(c) => Ok(c),
                    _ => Err(()),
                }
            }
        }
        impl From<$module::Reply> for Reply {
            fn from(r: $module::Reply) -> Self {
                Reply::$kind(r)
            }
        }
        impl TryFrom<Reply> for $module::Reply {
            type Error = ();
            fn try_from(r: Reply) -> Result<Self, ()> {
                match r {
                    Reply::$kind(r) => Ok(r),
                    _ => Err(()),
                }
            }
        }
    };
}
command!(Call, call);
command!(Campaign, campaign);
command!(Customer, customer);
command!(Company, company);
