//! Campaigns and their contacts.

use super::{choices, hours, person, settings, time};
use tandem_domain::campaign::{Counts, State, call_of};
use tandem_domain::company::Share;
use tandem_domain::id::CampaignId;
use tandem_domain::retry::{Disposition, Outcome};
use tandem_domain::row::{Contact, ContactEnd, ContactNo};
use tandem_domain::time::DAY;
use tandem_proto::v1;

pub fn campaign(id: CampaignId, s: &State, event: u64) -> v1::Campaign {
    let (reason, reason_code) = choices::campaign_reason(s.reason);
    v1::Campaign {
        campaign_id: id.to_string(),
        name: s.name.clone(),
        phase: choices::campaign_phase(s.phase).into(),
        reason: reason.into(),
        reason_code,
        single_calls: s.direct,
        settings: Some(settings::settings(&s.config)),
        progress: Some(progress(s)),
        share: s.share.as_ref().map(share),
        created_at: Some(time::timestamp(s.created_at)),
        started_at: s.started_at.map(time::timestamp),
        ended_at: s.ended_at.map(time::timestamp),
        event,
    }
}

pub fn progress(s: &State) -> v1::CampaignProgress {
    let Counts { contacts, duplicates, finished, attempts, human, machine, fax, unknown, talk_ms, .. } =
        s.counts;
    let outcomes = Outcome::ALL.into_iter().zip(&s.counts.outcomes).filter(|(_, count)| **count > 0);
    let dispositions =
        Disposition::ALL.into_iter().map(|d| (d, s.counts.of(d))).filter(|(_, count)| *count > 0);
    v1::CampaignProgress {
        contacts,
        duplicates,
        finished,
        ready: s.ready,
        in_flight: s.in_flight,
        attempts,
        attempts_today: s.today,
        dispositions: dispositions
            .map(|(d, count)| v1::DispositionCount { disposition: choices::disposition(d).into(), count })
            .collect(),
        outcomes: outcomes
            .map(|(o, count)| v1::OutcomeCount { outcome: choices::outcome(o).into(), count: *count })
            .collect(),
        answered_by: Some(v1::AnsweredByCounts { human, machine, fax, unknown }),
        talk_time: Some(time::duration(talk_ms)),
        next_due: s.next_due.filter(|_| s.ready > 0).map(time::timestamp),
    }
}

pub fn share(share: &Share) -> v1::CampaignShare {
    let limited = |n: u32| (n < u32::MAX).then_some(n);
    v1::CampaignShare {
        concurrency: limited(share.concurrency),
        calls_per_second: limited(share.milli_cps).map(|milli| f64::from(milli) / 1_000.0),
        attempts_today: limited(share.quota),
        // A share holds for the day on which it was lent.
        at: Some(time::timestamp(share.at.max(i64::from(share.day) * DAY))),
    }
}

pub fn contact(
    campaign: CampaignId,
    no: ContactNo,
    contact: &Contact,
    end: Option<&ContactEnd>,
) -> v1::Contact {
    v1::Contact {
        contact: no,
        customer_id: contact.customer.to_string(),
        phone_last4: person::last4_text(contact.last4),
        whereabouts: Some(hours::whereabouts(&contact.place)),
        priority: choices::priority(contact.priority).into(),
        line: contact.line,
        added_at: Some(time::timestamp(contact.added_at)),
        call_id: call_of(campaign, no).to_string(),
        disposition: end.map_or(0, |e| choices::disposition(e.disposition).into()),
        attempts: end.map_or(0, |e| e.attempts.into()),
        ended_at: end.map(|e| time::timestamp(e.at)),
        name: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_lists_what_there_is_and_leaves_out_zeros() {
        let mut dispositions = vec![0; Disposition::ALL.len()];
        dispositions[0] = 7;
        let counts = Counts { contacts: 9, finished: 7, dispositions, ..Counts::default() };
        let shown = progress(&State { counts, next_due: Some(5), ..State::default() });
        assert_eq!(shown.dispositions.len(), 1);
        assert_eq!(shown.dispositions[0].disposition(), v1::Disposition::Completed);
        assert_eq!((shown.dispositions[0].count, shown.contacts), (7, 9));
        // Nobody waits, so nobody is due.
        assert_eq!(shown.next_due, None);
    }

    #[test]
    fn no_limit_is_an_absent_field() {
        let lent = Share {
            version: 1,
            concurrency: u32::MAX,
            milli_cps: 2_500,
            day: 0,
            quota: u32::MAX,
            callers: Vec::new(),
            at: 1_000,
        };
        let shown = share(&lent);
        assert_eq!(
            (shown.concurrency, shown.calls_per_second, shown.attempts_today),
            (None, Some(2.5), None)
        );
    }
}
