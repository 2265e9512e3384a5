//! What the node says of the campaign, held against what the carrier wrote down.
//!
//! The carrier's log is written by the other side of a socket: it counts what reached it, whatever the node
//! believes it sent.

use super::drive;
use super::setup::{DO_NOT_CALL, Prepared, REGION};
use super::stage::Stage;
use super::{DemoError, text};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tandem_domain::phone::{Country, Number};
use tandem_proto::v1;
use tandem_simulator::Snapshot;
use tokio::time::{Instant, sleep};

/// Real time that the last calls at the carrier get to end after the campaign.
const CARRIER_PATIENCE: Duration = Duration::from_secs(10);
const PAGE_SIZE: i32 = 500;

/// Counts by a word of a closed set.
pub(super) type Counts = BTreeMap<String, u64>;

/// What was found, on both sides.
#[derive(Default, Debug)]
pub(super) struct Found {
    /// Of the import: lines read, added, in it already, bad.
    pub read: u64,
    pub added: u64,
    pub duplicates: u64,
    pub invalid: u64,
    /// Of the campaign's sums.
    pub progress: v1::CampaignProgress,
    /// Of the contacts' rows, one by one: final dispositions of those that were called, and why the others
    /// were not.
    pub dispositions: Counts,
    pub barred: Counts,
    pub without_disposition: u64,
    /// Of the calls, one by one.
    pub calls: u64,
    pub attempts: u64,
    /// Of these, the ones that count against a contact's budget: all but those that the carrier never took.
    pub counted: u64,
    /// Attempts without an outcome, and calls without an end.
    pub unsettled: u64,
    pub carrier: tandem_simulator::Summary,
    /// Dials to numbers of the do-not-call list, by the carrier's log.
    pub listed_dialed: u64,
}

/// Goes through every contact and every call, and through the carrier's log.
pub(super) async fn audit(stage: &Stage, prepared: &Prepared) -> Result<Found, DemoError> {
    let until = Instant::now() + CARRIER_PATIENCE;
    while stage.simulator.log.summary().live_calls > 0 && Instant::now() < until {
        sleep(Duration::from_millis(20)).await;
    }
    let campaign = drive::look(prepared).await?;
    let imported = &prepared.imported;
    let mut found = Found {
        read: imported.read,
        added: imported.added,
        duplicates: imported.duplicates,
        invalid: imported.invalid,
        progress: campaign.progress.unwrap_or_default(),
        ..Found::default()
    };
    contacts(prepared, &mut found).await?;
    calls(prepared, &mut found).await?;
    let Snapshot { entries, summary } = stage.simulator.log.snapshot();
    let listed = listed();
    let dialed = entries.iter().filter_map(|entry| match &entry.event {
        tandem_simulator::log::Event::Post(post) => Some(&post.to),
        _ => None,
    });
    found.listed_dialed = dialed.filter(|number| listed.contains(*number)).count() as u64;
    found.carrier = summary;
    Ok(found)
}

async fn contacts(prepared: &Prepared, found: &mut Found) -> Result<(), DemoError> {
    let mut service = prepared.api.campaigns.clone();
    let mut page_token = String::new();
    loop {
        let request = v1::ListContactsRequest {
            campaign_id: prepared.campaign_id.clone(),
            page_size: PAGE_SIZE,
            page_token,
        };
        let page = service.list_contacts(request).await.map_err(DemoError::refused("listing contacts"))?;
        let page = page.into_inner();
        page.contacts.iter().for_each(|contact| found.contact(contact));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(());
        }
    }
}

async fn calls(prepared: &Prepared, found: &mut Found) -> Result<(), DemoError> {
    let mut service = prepared.api.calls.clone();
    let mut page_token = String::new();
    loop {
        let request = v1::ListCallsRequest {
            campaign_id: prepared.campaign_id.clone(),
            page_size: PAGE_SIZE,
            page_token,
            ..v1::ListCallsRequest::default()
        };
        let page = service.list_calls(request).await.map_err(DemoError::refused("listing calls"))?;
        let page = page.into_inner();
        page.calls.iter().for_each(|call| found.call(call));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(());
        }
    }
}

/// The numbers of the do-not-call list, as a carrier is given them.
fn listed() -> BTreeSet<String> {
    let region = Country::new(REGION);
    let text = String::from_utf8_lossy(DO_NOT_CALL);
    let numbers = text.lines().skip(1).filter_map(|line| line.split(',').next());
    numbers
        .filter_map(|number| Number::parse(number, region).ok())
        .map(|number| number.as_e164().to_owned())
        .collect()
}

fn count(counts: &mut Counts, word: String) {
    *counts.entry(word).or_default() += 1;
}

impl Found {
    fn contact(&mut self, contact: &v1::Contact) {
        let disposition = contact.disposition();
        if disposition == v1::Disposition::Unspecified {
            self.without_disposition += 1;
            return;
        }
        // Nobody was called and nobody will be: a rule stood against it.
        let barred = match disposition {
            _ if contact.attempts > 0 => None,
            v1::Disposition::DoNotCall => Some("do_not_call"),
            v1::Disposition::NoConsent => Some("no_consent"),
            v1::Disposition::Expired => {
                let zones = contact.whereabouts.as_ref().map_or(0, |place| place.time_zones.len());
                Some(if zones == 0 { "zone_unknown" } else { "hours_never_open" })
            }
            _ => None,
        };
        match barred {
            Some(reason) => count(&mut self.barred, reason.to_owned()),
            None => {
                count(&mut self.dispositions, text::word(disposition.as_str_name(), "DISPOSITION_"));
            }
        }
    }

    fn call(&mut self, call: &v1::Call) {
        self.calls += 1;
        self.attempts += call.attempts.len() as u64;
        self.counted += call.attempts.iter().filter(|attempt| attempt.counted).count() as u64;
        let open = call.attempts.iter().filter(|attempt| attempt.outcome() == v1::Outcome::Unspecified);
        self.unsettled += open.count() as u64;
        self.unsettled += u64::from(call.phase() != v1::CallPhase::Ended);
    }

    /// Contacts that were not called, by reason.
    pub fn skipped(&self) -> Counts {
        let mut skipped = self.barred.clone();
        for (reason, count) in [("duplicate", self.duplicates), ("invalid", self.invalid)] {
            if count > 0 {
                skipped.insert(reason.to_owned(), count);
            }
        }
        skipped
    }

    /// What must never be false, and is.
    pub fn violations(&self) -> Vec<String> {
        let rows = sum(&self.dispositions) + sum(&self.barred) + self.without_disposition;
        let sums: u64 = self.progress.dispositions.iter().map(|d| u64::from(d.count)).sum();
        let carrier = &self.carrier;
        let equal = [
            ("lines are added, duplicate or invalid", self.read, self.added + self.duplicates + self.invalid),
            ("every added line is a contact", self.added, u64::from(self.progress.contacts)),
            ("every contact is listed", u64::from(self.progress.contacts), rows),
            ("every contact has its final disposition", u64::from(self.progress.finished), rows),
            ("dispositions of contacts add up to the campaign's", sums, rows - self.without_disposition),
            ("attempts of calls add up to the campaign's", self.progress.attempts, self.counted),
        ];
        let none = [
            ("contacts without a final disposition", self.without_disposition),
            ("attempts that are not settled", self.unsettled),
            ("attempts dialed more than once", carrier.double_dials),
            ("attempts that became more than one call", carrier.double_calls),
            ("dials that name no attempt", carrier.posts_without_attempt),
            ("calls to somebody whose line we already held", carrier.overlaps_by_number),
            ("attempts with more than one conversation", carrier.attempts_with_several_conversations),
            ("calls left alive at the carrier", carrier.live_calls),
            ("conversations left alive at the agent", carrier.live_agent_conversations),
            ("dials to numbers of the do-not-call list", self.listed_dialed),
            // An attempt whose dial never left is possible; a dial without an attempt is not.
            ("dialed attempts the node does not know", carrier.attempts.saturating_sub(self.attempts)),
        ];
        let unequal = equal.into_iter().filter(|(_, left, right)| left != right);
        let unequal = unequal.map(|(name, left, right)| format!("{name}: {left} against {right}"));
        let some = none.into_iter().filter(|(_, count)| *count > 0);
        unequal.chain(some.map(|(name, count)| format!("{name}: {count}"))).collect()
    }
}

pub(super) fn sum(counts: &Counts) -> u64 {
    counts.values().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact(disposition: v1::Disposition, attempts: u32, zones: &[&str]) -> v1::Contact {
        v1::Contact {
            disposition: disposition.into(),
            attempts,
            whereabouts: Some(v1::Whereabouts {
                time_zones: zones.iter().map(|zone| (*zone).to_owned()).collect(),
                state: String::new(),
            }),
            ..v1::Contact::default()
        }
    }

    /// A run in which all is well.
    fn sound() -> Found {
        let mut found = Found { read: 6, added: 4, duplicates: 1, invalid: 1, ..Found::default() };
        let zone: &[&str] = &["America/New_York"];
        for contact in [
            contact(v1::Disposition::Completed, 1, zone),
            contact(v1::Disposition::NoAnswer, 5, zone),
            contact(v1::Disposition::DoNotCall, 0, zone),
            contact(v1::Disposition::Expired, 0, &[]),
        ] {
            found.contact(&contact);
        }
        let attempt = |outcome: v1::Outcome| v1::Attempt {
            outcome: outcome.into(),
            counted: true,
            ..Default::default()
        };
        for attempts in [vec![v1::Outcome::Answered], vec![v1::Outcome::NoAnswer; 5]] {
            found.call(&v1::Call {
                phase: v1::CallPhase::Ended.into(),
                attempts: attempts.into_iter().map(attempt).collect(),
                ..v1::Call::default()
            });
        }
        found.progress = v1::CampaignProgress {
            contacts: 4,
            finished: 4,
            attempts: 6,
            dispositions: vec![v1::DispositionCount { disposition: 1, count: 4 }],
            ..v1::CampaignProgress::default()
        };
        found.carrier.attempts = 6;
        found
    }

    #[test]
    fn a_sound_run_has_no_violation_and_everybody_is_counted_once() {
        let found = sound();
        assert_eq!(found.violations(), [""; 0]);
        assert_eq!(found.dispositions, Counts::from([("completed".into(), 1), ("no_answer".into(), 1)]));
        let skipped = ["do_not_call", "duplicate", "invalid", "zone_unknown"];
        assert_eq!(found.skipped(), skipped.map(|reason| (reason.to_owned(), 1)).into());
        assert_eq!(found.read, sum(&found.dispositions) + sum(&found.skipped()));
    }

    #[test]
    fn every_violation_is_noticed() {
        type Break = fn(&mut Found);
        let broken: [(Break, &str); 9] = [
            (|f| f.read = 7, "lines are added"),
            (|f| f.progress.contacts = 5, "every added line"),
            (|f| f.contact(&contact(v1::Disposition::Unspecified, 0, &[])), "without a final disposition"),
            (|f| f.progress.attempts = 7, "attempts of calls"),
            (|f| f.call(&v1::Call::default()), "not settled"),
            (|f| f.carrier.double_dials = 1, "more than once"),
            (|f| f.carrier.overlaps_by_number = 1, "already held"),
            (|f| f.carrier.attempts = 7, "does not know"),
            (|f| f.listed_dialed = 1, "do-not-call"),
        ];
        for (breaks, told) in broken {
            let mut found = sound();
            breaks(&mut found);
            let violations = found.violations();
            assert!(violations.iter().any(|violation| violation.contains(told)), "{told}: {violations:?}");
        }
    }

    #[test]
    fn the_list_is_read_as_the_node_reads_it() {
        let listed = listed();
        assert!(listed.len() >= 12);
        assert!(listed.contains("+14125550103") && listed.contains("+442079460057"));
    }

    #[test]
    fn somebody_who_opted_out_in_a_call_was_called() {
        let mut found = Found::default();
        found.contact(&contact(v1::Disposition::DoNotCall, 1, &["America/New_York"]));
        assert_eq!((sum(&found.dispositions), sum(&found.barred)), (1, 0));
    }
}
