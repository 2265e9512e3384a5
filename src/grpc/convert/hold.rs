//! What holds a call back.

use super::time;
use crate::configured::Unconfigured;
use std::collections::BTreeMap;
use tandem_domain::dial::Bar;
use tandem_domain::time::Millis;
use tandem_proto::v1;

/// Reasons that are not bars of one dial: they hold back whole campaigns, or wait for a turn.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Wait {
    /// Not started, paused, pausing, stopping or ended.
    Phase,
    /// The plan names a carrier or a voice agent provider that this node does not have.
    Unconfigured,
    /// Waiting for the company to lend it a part of its limits.
    Share,
    /// All permits are in use.
    Concurrency,
    /// As many attempts as one UTC day allows.
    Day,
    /// Dials a second.
    Pace,
    /// Every caller id has reached a limit of its own.
    CallerIds,
    /// The carrier asked for a pause.
    Carrier,
    /// Nobody waits to be called.
    NobodyReady,
    /// Whoever waits is due later.
    NotDue,
    /// The next attempt is planned for a later time.
    RetryLater,
    /// An attempt is alive.
    Alive,
}

impl Wait {
    pub const ALL: [Wait; 12] = [
        Wait::Phase,
        Wait::Unconfigured,
        Wait::Share,
        Wait::Concurrency,
        Wait::Day,
        Wait::Pace,
        Wait::CallerIds,
        Wait::Carrier,
        Wait::NobodyReady,
        Wait::NotDue,
        Wait::RetryLater,
        Wait::Alive,
    ];

    pub fn reason(self) -> &'static str {
        match self {
            Wait::Phase => "CAMPAIGN_NOT_RUNNING",
            Wait::Unconfigured => "NOT_CONFIGURED",
            Wait::Share => "WAITING_FOR_SHARE",
            Wait::Concurrency => "CONCURRENCY_REACHED",
            Wait::Day => "DAILY_LIMIT_REACHED",
            Wait::Pace => "PACED",
            Wait::CallerIds => "CALLER_IDS_EXHAUSTED",
            Wait::Carrier => "CARRIER_BACK_OFF",
            Wait::NobodyReady => "NO_CONTACT_READY",
            Wait::NotDue => "NOT_DUE",
            Wait::RetryLater => "RETRY_LATER",
            Wait::Alive => "ATTEMPT_ALIVE",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Wait::Phase => "the campaign is not running",
            Wait::Unconfigured => "the plan names what this node does not have",
            Wait::Share => "the campaign waits for its share of the company's limits",
            Wait::Concurrency => "as many attempts are alive as may be at once",
            Wait::Day => "as many attempts were made today (UTC) as may be",
            Wait::Pace => "the next dial keeps its distance from the one before",
            Wait::CallerIds => "every caller id has reached its own limit",
            Wait::Carrier => "the carrier asked for a pause",
            Wait::NobodyReady => "no contact waits to be called",
            Wait::NotDue => "no contact that waits is due yet",
            Wait::RetryLater => "the next attempt is planned for later",
            Wait::Alive => "an attempt is alive",
        }
    }
}

pub fn wait(wait: Wait, clears_at: Option<Millis>, details: &[(&str, String)]) -> v1::Hold {
    v1::Hold {
        reason: wait.reason().to_owned(),
        description: wait.description().to_owned(),
        clears_at: clears_at.map(time::timestamp),
        r#final: false,
        details: details.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
    }
}

/// A plan by which no conversation could be held here. `field` is the plan's, as the interface names it.
pub fn unconfigured(why: &Unconfigured) -> v1::Hold {
    let details =
        [("field", why.what.field().to_owned()), ("given", why.given.clone()), ("configured", why.names())];
    v1::Hold { description: why.to_string(), ..wait(Wait::Unconfigured, None, &details) }
}

pub fn bar(bar: Bar) -> v1::Hold {
    v1::Hold {
        reason: bar.reason().to_owned(),
        description: bar.to_string(),
        clears_at: bar.clears_at().map(time::timestamp),
        r#final: bar.is_final(),
        details: BTreeMap::new(),
    }
}

/// How many are held back, by what.
#[derive(Default, Debug)]
pub struct Tally {
    /// By reason: how many, the earliest clearing, and how it is described.
    counts: BTreeMap<&'static str, (u64, Option<Millis>, String, bool)>,
}

impl Tally {
    pub fn bar(&mut self, bar: Bar) {
        self.count(bar.reason(), bar.clears_at(), bar.is_final(), || bar.to_string());
    }

    pub fn wait(&mut self, wait: Wait, clears_at: Option<Millis>) {
        self.count(wait.reason(), clears_at, false, || wait.description().to_owned());
    }

    fn count(
        &mut self,
        reason: &'static str,
        clears_at: Option<Millis>,
        last: bool,
        describe: impl FnOnce() -> String,
    ) {
        let entry = self.counts.entry(reason).or_insert_with(|| (0, None, describe(), last));
        entry.0 += 1;
        entry.1 = match (entry.1, clears_at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }

    /// The largest first.
    pub fn holds(&self) -> Vec<v1::HoldCount> {
        let mut holds: Vec<_> = self
            .counts
            .iter()
            .map(|(reason, (count, earliest, description, last))| v1::HoldCount {
                reason: (*reason).to_owned(),
                description: description.clone(),
                r#final: *last,
                count: *count,
                earliest_clears_at: earliest.map(time::timestamp),
            })
            .collect();
        holds.sort_by_key(|hold| std::cmp::Reverse(hold.count));
        holds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_counts_by_reason_and_keeps_the_earliest_clearing() {
        let mut tally = Tally::default();
        for until in [5_000, 2_000, 9_000] {
            tally.bar(Bar::OutsideHours { until });
        }
        tally.bar(Bar::DoNotCall);
        tally.wait(Wait::NotDue, None);
        tally.wait(Wait::NotDue, Some(7));
        let holds = tally.holds();
        assert_eq!(holds.iter().map(|h| h.count).collect::<Vec<_>>(), [3, 2, 1]);
        assert_eq!(holds[0].earliest_clears_at, Some(time::timestamp(2_000)));
        assert_eq!(holds[1].earliest_clears_at, Some(time::timestamp(7)));
        assert!(holds[2].r#final && holds[2].earliest_clears_at.is_none());
    }

    #[test]
    fn reasons_are_told_apart() {
        let mut reasons: Vec<_> = Wait::ALL.map(Wait::reason).into();
        reasons.extend(Bar::REASONS);
        reasons.sort_unstable();
        reasons.dedup();
        // One is the same thing seen from both sides: the campaign's phase.
        assert_eq!(reasons.len(), Wait::ALL.len() + Bar::REASONS.len() - 1);
    }
}
