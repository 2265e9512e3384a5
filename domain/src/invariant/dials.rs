//! The history of dials, and the rules that bind each of them. Kept apart from what the calls
//! themselves remember, so that it can contradict them.

use super::Broken;
use crate::id::{Attempt, CustomerId};
use crate::row::{CompanyGate, ConsentEntry, DialPolicy, DncEntry};
use crate::time::{DAY, Millis};
use std::collections::BTreeMap;

/// What binds one dial, as it stood in the moment before it.
#[derive(Debug, Default)]
pub struct Rules {
    pub gate: Option<CompanyGate>,
    pub policy: Option<DialPolicy>,
    pub dnc: Option<DncEntry>,
    pub consent: Option<ConsentEntry>,
    /// Whether the hours at the person's place allow it.
    pub open: bool,
}

#[derive(Debug, Clone, Copy)]
struct Dial {
    attempt: Attempt,
    at: Millis,
    ended: bool,
    /// Taken by the carrier, as far as is known.
    counted: bool,
}

/// Every attempt that was permitted, by person.
#[derive(Debug, Default)]
pub struct Dials {
    of: BTreeMap<CustomerId, Vec<Dial>>,
    orders: BTreeMap<Attempt, u32>,
    made: u64,
}

fn broken(id: &'static str, what: String) -> Result<(), Broken> {
    Err(Broken { id, what })
}

impl Dials {
    /// A request to the carrier was ordered.
    ///
    /// # Errors
    /// It is not the first for this attempt.
    pub fn ordered(&mut self, attempt: Attempt) -> Result<(), Broken> {
        let orders = self.orders.entry(attempt).or_default();
        *orders += 1;
        if *orders > 1 {
            return broken("one-dial-an-attempt", format!("{attempt} was ordered {orders} times"));
        }
        Ok(())
    }

    /// An attempt was permitted.
    ///
    /// # Errors
    /// A rule that forbade it.
    pub fn permitted(
        &mut self,
        at: Millis,
        attempt: Attempt,
        customer: CustomerId,
        rules: &Rules,
    ) -> Result<(), Broken> {
        let before = self.of.entry(customer).or_default();
        let stopped = |what: &str| broken("no-dial-against-a-rule", format!("{attempt} at {at}: {what}"));
        if !rules.gate.as_ref().is_some_and(|g| g.open) {
            return stopped("the company is closed");
        }
        if rules.dnc.is_some() {
            return stopped("the person asked not to be called");
        }
        let Some(policy) = rules.policy.as_ref().filter(|p| p.running) else {
            return stopped("the campaign is not running");
        };
        let revoked = rules.consent.as_ref().is_some_and(|c| c.revoked_at.is_some());
        if revoked || (policy.consent_required && rules.consent.is_none()) {
            return stopped("there is no consent");
        }
        if !rules.open {
            return stopped("outside of the hours at the person's place");
        }
        if let Some(other) = before.iter().find(|d| !d.ended) {
            return stopped(&format!("{} to the same person is alive", other.attempt));
        }
        let counted = || before.iter().filter(|d| d.counted);
        if let Some(last) = counted().map(|d| d.at).max()
            && at < last + policy.gap_ms
        {
            return stopped(&format!("the last attempt was {} ms ago", at - last));
        }
        let today = counted().filter(|d| d.at > at - DAY).count();
        let most = usize::from(policy.attempts_a_day);
        if most > 0 && today >= most {
            return stopped(&format!("{today} attempts within 24 h"));
        }
        before.push(Dial { attempt, at, ended: false, counted: true });
        self.made += 1;
        Ok(())
    }

    /// An attempt has ended; `counted` unless the carrier never took it.
    pub fn ended(&mut self, attempt: Attempt, customer: CustomerId, counted: bool) {
        let dials = self.of.entry(customer).or_default();
        if let Some(dial) = dials.iter_mut().find(|d| d.attempt == attempt) {
            dial.ended = true;
            dial.counted = counted;
        }
    }

    pub fn made(&self) -> u64 {
        self.made
    }
}
