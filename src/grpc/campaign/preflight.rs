//! Preflight: every contact, asked by the rule that decides at dial time.

use super::campaign_id;
use crate::grpc::convert::hold::{Tally, unconfigured};
use crate::grpc::convert::time;
use crate::grpc::deadline::Deadline;
use crate::grpc::error;
use crate::grpc::room::{Room, query_failed};
use crate::grpc::watch::{Answers, answers};
use std::collections::BTreeMap;
use std::sync::Arc;
use tandem_actors::query::{self, ContactRow, PAGE_MAX};
use tandem_domain::campaign::Campaign;
use tandem_domain::dial::{self, Bar};
use tandem_domain::id::{CampaignId, CompanyId, CustomerId};
use tandem_domain::row::{CompanyGate, ConsentEntry, Contacted, DialPolicy, DncEntry, RowKey};
use tandem_domain::time::{HOUR, Millis};
use tandem_proto::v1;
use tonic::Status;

/// Openings that are told.
const OPENINGS_MAX: usize = 64;

/// Contacts between two pauses for other work.
const STRIDE: usize = 64;

pub async fn preflight(
    room: Arc<Room>,
    company: CompanyId,
    message: &v1::PreflightCampaignRequest,
    deadline: Deadline,
) -> Result<Answers<v1::PreflightCampaignResponse>, Status> {
    let (campaign, entity) = campaign_id(company, &message.campaign_id)?;
    let at = message.at.as_ref().map(|at| time::millis_at("at", at)).transpose()?;
    let at = at.unwrap_or_else(|| room.now());
    let view = room.read::<Campaign>(entity).await?;
    let gate = query::row(room.store(), &RowKey::Gate { company }).await.map_err(query_failed)?;
    let plan = &view.state.config.plan;
    let blocked_by = room.configured.check(plan).err().iter().map(unconfigured).collect();
    let rules = Rules { at, gate, policy: view.state.config.policy(true) };
    let sums = Sums::default();
    let state = Preflight {
        room,
        company,
        campaign,
        rules,
        blocked_by,
        sums,
        after: None,
        complete: false,
        deadline,
    };
    Ok(answers(state, Preflight::step))
}

/// What is the same for every contact.
pub struct Rules {
    pub at: Millis,
    pub gate: Option<CompanyGate>,
    pub policy: DialPolicy,
}

impl Rules {
    /// Whether this contact may be called, by the rule of the dial transaction; and what is known of
    /// earlier attempts.
    pub async fn verdict(
        &self,
        room: &Room,
        company: CompanyId,
        customer: CustomerId,
        place: &dial::Place,
    ) -> Result<(Result<(), Bar>, Option<Contacted>), Status> {
        let store = room.store();
        let dnc: Option<DncEntry> =
            query::row(store, &RowKey::Dnc { company, customer }).await.map_err(query_failed)?;
        let consent: Option<ConsentEntry> =
            query::row(store, &RowKey::Consent { company, customer }).await.map_err(query_failed)?;
        let contacted: Option<Contacted> =
            query::row(store, &RowKey::Contacted { company, customer }).await.map_err(query_failed)?;
        let facts = dial::Facts {
            gate: self.gate.as_ref(),
            policy: Some(&self.policy),
            dnc: dnc.as_ref(),
            consent: consent.as_ref(),
            contacted: contacted.as_ref(),
            place,
        };
        Ok((dial::permitted(self.at, &facts), contacted))
    }
}

#[derive(Default)]
struct Sums {
    scanned: u64,
    finished: u64,
    callable: u64,
    barred: Tally,
    /// By the hour in which it opens.
    openings: BTreeMap<Millis, u64>,
}

impl Sums {
    fn count(&mut self, verdict: Result<(), Bar>) {
        match verdict {
            Ok(()) => self.callable += 1,
            Err(bar) => {
                if let Bar::OutsideHours { until } = bar {
                    *self.openings.entry(until - until.rem_euclid(HOUR)).or_default() += 1;
                }
                self.barred.bar(bar);
            }
        }
    }
}

struct Preflight {
    room: Arc<Room>,
    company: CompanyId,
    campaign: CampaignId,
    rules: Rules,
    /// What keeps the campaign from being started at all.
    blocked_by: Vec<v1::Hold>,
    sums: Sums,
    after: Option<Vec<u8>>,
    complete: bool,
    deadline: Deadline,
}

impl Preflight {
    async fn step(mut self) -> Result<Option<(v1::PreflightCampaignResponse, Self)>, Status> {
        if self.complete {
            return Ok(None);
        }
        let deadline = self.deadline;
        tokio::select! {
            scanned = self.scan() => scanned?,
            () = deadline.passed() => return Err(error::deadline()),
        }
        Ok(Some((self.told(), self)))
    }

    /// Looks at the next page of contacts.
    async fn scan(&mut self) -> Result<(), Status> {
        let after = self.after.take();
        let page =
            query::contacts(self.room.store(), self.company, self.campaign, after.as_deref(), PAGE_MAX);
        let page = page.await.map_err(query_failed)?;
        for stride in page.items.chunks(STRIDE) {
            for row in stride {
                self.look(row).await?;
            }
            tokio::task::yield_now().await;
        }
        self.complete = page.next.is_none();
        self.after = page.next;
        Ok(())
    }

    async fn look(&mut self, row: &ContactRow) -> Result<(), Status> {
        self.sums.scanned += 1;
        if row.end.is_some() {
            self.sums.finished += 1;
            return Ok(());
        }
        let contact = &row.contact;
        let verdict = self.rules.verdict(&self.room, self.company, contact.customer, &contact.place).await?;
        self.sums.count(verdict.0);
        Ok(())
    }

    fn told(&self) -> v1::PreflightCampaignResponse {
        let openings = self.sums.openings.iter().take(OPENINGS_MAX);
        v1::PreflightCampaignResponse {
            scanned: self.sums.scanned,
            finished: self.sums.finished,
            callable: self.sums.callable,
            barred: self.sums.barred.holds(),
            openings: openings
                .map(|(at, count)| v1::Opening { at: Some(time::timestamp(*at)), count: *count })
                .collect(),
            at: Some(time::timestamp(self.rules.at)),
            complete: self.complete,
            blocked_by: self.blocked_by.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openings_are_counted_by_the_hour() {
        let mut sums = Sums::default();
        for until in [HOUR, HOUR + 1, 2 * HOUR - 1, 5 * HOUR] {
            sums.count(Err(Bar::OutsideHours { until }));
        }
        sums.count(Err(Bar::DoNotCall));
        sums.count(Ok(()));
        assert_eq!(sums.openings, BTreeMap::from([(HOUR, 3), (5 * HOUR, 1)]));
        assert_eq!(sums.callable, 1);
        assert_eq!(sums.barred.holds().iter().map(|h| h.count).sum::<u64>(), 5);
    }
}
