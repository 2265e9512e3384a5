//! Values that a walk meets, as they would be stored.

use crate::golden::names;
use std::collections::BTreeMap;
use tandem_domain::codec;
use tandem_domain::effect::{Command, Effect};
use tandem_domain::machine::Decision;
use tandem_domain::row::{RowKey, RowWrite};
use tandem_domain::{call, campaign, company, customer};

use super::entity::Home;

/// The golden file that a value belongs to, and which variant it is.
pub type Filed = (&'static str, &'static str);

/// The shortest and the longest value of each variant of each stored type.
pub struct Harvest {
    of: BTreeMap<Filed, (Vec<u8>, Vec<u8>)>,
    bytes_max: usize,
}

/// What a machine stores.
pub trait Kept {
    fn filed(&self) -> Filed;
}

impl Kept for call::Event {
    fn filed(&self) -> Filed {
        ("call-event", names::call(&self.what))
    }
}

impl Kept for campaign::Event {
    fn filed(&self) -> Filed {
        ("campaign-event", names::campaign(&self.what))
    }
}

impl Kept for customer::Event {
    fn filed(&self) -> Filed {
        ("customer-event", names::customer(&self.what))
    }
}

impl Kept for company::Event {
    fn filed(&self) -> Filed {
        ("company-event", names::company(&self.what))
    }
}

impl Kept for call::State {
    fn filed(&self) -> Filed {
        ("call-state", names::call_phase(&self.phase))
    }
}

impl Kept for campaign::State {
    fn filed(&self) -> Filed {
        ("campaign-state", names::campaign_phase(&self.phase))
    }
}

impl Kept for customer::State {
    fn filed(&self) -> Filed {
        ("customer-state", names::customer_status(&self.status))
    }
}

impl Kept for company::State {
    fn filed(&self) -> Filed {
        ("company-state", "value")
    }
}

impl Kept for call::Reply {
    fn filed(&self) -> Filed {
        ("call-reply", names::call_reply(self))
    }
}

impl Kept for campaign::Reply {
    fn filed(&self) -> Filed {
        ("campaign-reply", names::campaign_reply(self))
    }
}

impl Kept for customer::Reply {
    fn filed(&self) -> Filed {
        ("customer-reply", names::customer_reply(self))
    }
}

impl Kept for company::Reply {
    fn filed(&self) -> Filed {
        ("company-reply", names::company_reply(self))
    }
}

impl Kept for Command {
    fn filed(&self) -> Filed {
        match self {
            Command::Call(c) => ("call-command", names::call_command(c)),
            Command::Campaign(c) => ("campaign-command", names::campaign_command(c)),
            Command::Customer(c) => ("customer-command", names::customer_command(c)),
            Command::Company(c) => ("company-command", names::company_command(c)),
        }
    }
}

impl Kept for Effect {
    fn filed(&self) -> Filed {
        ("effect", names::effect(self))
    }
}

impl Harvest {
    pub fn new(bytes_max: usize) -> Harvest {
        Harvest { of: BTreeMap::new(), bytes_max }
    }

    pub fn of(&self, name: &str, variant: &str) -> Option<(&[u8], &[u8])> {
        let found = self.of.iter().find(|((n, v), _)| *n == name && *v == variant);
        found.map(|(_, (short, long))| (short.as_slice(), long.as_slice()))
    }

    pub fn add(&mut self, other: Harvest) {
        for (filed, (short, long)) in other.of {
            self.file(filed, short);
            self.file(filed, long);
        }
    }

    fn file(&mut self, filed: Filed, bytes: Vec<u8>) {
        if bytes.len() > self.bytes_max {
            return;
        }
        let (short, long) = self.of.entry(filed).or_insert_with(|| (bytes.clone(), bytes.clone()));
        if bytes.len() < short.len() {
            *short = bytes;
        } else if bytes.len() > long.len() {
            *long = bytes;
        }
    }

    pub fn keep<T: Kept + serde::Serialize>(&mut self, value: &T) {
        self.file(value.filed(), codec::encode(value));
    }

    /// Everything that a decision would store.
    pub fn decided<M: Home>(&mut self, after: &M::State, decision: &Decision<M>) {
        decision.events.iter().for_each(|event| self.keep(event));
        self.keep(after);
        self.keep(&decision.reply);
        decision.rows.iter().for_each(|row| self.row(row));
        for effect in &decision.effects {
            self.keep(effect);
            if let Effect::Send { command, .. } = effect {
                self.keep(&**command);
            }
        }
    }

    fn row(&mut self, row: &RowWrite) {
        let Some(bytes) = row.value.as_ref().filter(|bytes| !bytes.is_empty()) else { return };
        let name = match &row.key {
            RowKey::Dnc { .. } => "row-dnc",
            RowKey::Consent { .. } => "row-consent",
            RowKey::Contacted { .. } => "row-contacted",
            RowKey::Policy { .. } => "row-policy",
            RowKey::Gate { .. } => "row-gate",
            RowKey::Permit { .. } => "row-permit",
            RowKey::Contact { .. } => "row-contact",
            RowKey::ContactEnd { .. } => "row-contact-end",
            RowKey::ContactOf { .. } => "row-contact-of",
            RowKey::Ready { .. } => "row-ready",
            RowKey::InFlight { .. } => "row-in-flight",
            RowKey::CustomerKey { .. } => "row-customer-key",
            RowKey::Turn { .. } => "row-turn",
            RowKey::ApiKey { .. } => "row-api-key",
            RowKey::Counted { .. }
            | RowKey::CallByTime { .. }
            | RowKey::CallByCampaign { .. }
            | RowKey::CallByCustomer { .. }
            | RowKey::CallByDisposition { .. }
            | RowKey::CampaignByTime { .. }
            | RowKey::Company { .. } => panic!("a row that is all key has a value"),
        };
        self.file((name, "value"), bytes.clone());
    }
}
