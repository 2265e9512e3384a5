//! What is looked at after every step.

use super::World;
use tandem_domain::campaign::{self, Campaign, Phase, What};
use tandem_domain::company::{Loan, Pool, State};
use tandem_domain::id::CampaignId;
use tandem_domain::invariant::{self, Message, Picture};
use tandem_domain::machine::Decision;
use tandem_domain::row::{ConsentEntry, RowKey};

/// Dials may be permitted so much ahead of their time.
const AHEAD_US: i64 = 100_000;

impl World {
    /// Every invariant holds now.
    pub fn check(&self) {
        let messages = self
            .lanes
            .iter()
            .flat_map(|((from, to), queue)| {
                queue.iter().map(|command| Message { from: *from, to: *to, command })
            })
            .collect();
        let picture = Picture::new(
            self.company,
            &self.book.state,
            self.campaigns.iter().map(|(id, k)| (*id, &k.state)).collect(),
            self.calls.iter().map(|(id, k)| (*id, &k.state)).collect(),
            messages,
            self.rows.iter(),
        )
        .expect("rows read");
        let mut broken = invariant::check(&picture);
        // What was lent before a limit was lowered cannot be called back on that day.
        broken.retain(|b| b.id != "day-within-limit" || self.lowered != Some(self.book.state.day));
        if !broken.is_empty() {
            let broken: Vec<_> = broken.iter().map(ToString::to_string).collect();
            panic!("{}\n\nafter\n{}", broken.join("\n"), self.trace());
        }
        self.check_people();
    }

    /// What a person's own state says of their wishes is what the rows say that bind every dial,
    /// whichever was there first.
    fn check_people(&self) {
        let company = self.company;
        for (id, kept) in &self.customers {
            let (s, customer) = (&kept.state, *id);
            let dnc = self.rows.bytes(&RowKey::Dnc { company, customer }).is_some();
            assert_eq!(s.do_not_call, dnc, "{id}: what they wish, after\n{}", self.trace());
            let consent: Option<ConsentEntry> = self.rows.get(&RowKey::Consent { company, customer });
            let given = consent.filter(|c| c.revoked_at.is_none()).map(|c| c.basis);
            assert_eq!(s.consent, given, "{id}: what they agreed to, after\n{}", self.trace());
        }
    }

    /// The events of every entity give its state.
    pub fn check_replay(&self) {
        self.book.replays();
        self.campaigns.values().for_each(super::entity::Kept::replays);
        self.calls.values().for_each(super::entity::Kept::replays);
        self.customers.values().for_each(super::entity::Kept::replays);
    }

    /// Nothing waits for anything: what has to be true of a company at rest.
    pub fn check_rest(&self) {
        assert!(self.lanes.is_empty() && self.orders.is_empty() && self.carrier.mail.is_empty());
        for (id, kept) in &self.campaigns {
            let s = &kept.state;
            if s.direct {
                assert_eq!((s.in_flight, s.ready), (0, 0), "single calls wait for ever: {s:#?}");
            } else {
                assert!(s.phase.is_final() || s.phase == Phase::Draft, "{id} is {:?}: {s:#?}", s.phase);
            }
            if s.phase.is_final() {
                assert_eq!((s.in_flight, s.ready), (0, 0), "{id} is over and holds contacts");
                assert_eq!(s.counts.finished, s.counts.contacts, "{id} has forgotten somebody");
                assert!(!self.book.state.loans.contains_key(id), "{id} is over and has a loan");
            }
        }
        for (id, kept) in &self.calls {
            let s = &kept.state;
            assert_eq!(s.phase, tandem_domain::call::Phase::Ended, "{id}: {s:#?}");
        }
        for (id, kept) in &self.customers {
            let s = &kept.state;
            let calls: Vec<_> = self.calls.values().filter(|c| c.state.customer == Some(*id)).collect();
            let talk: i64 = calls.iter().map(|c| c.state.talk_ms).sum();
            assert_eq!(s.total_calls as usize, calls.len(), "a person's calls");
            assert_eq!(s.talk_ms, talk, "a person's talk time");
            assert_eq!(s.history as usize, kept.log.len(), "one row of history for each event");
        }
        for line in &self.carrier.lines {
            assert!(line.is_over(), "the carrier still has a call: {line:?}");
        }
    }
}

/// Grants keep the distance, within the burst that is allowed, by a clock of the test's own.
pub fn paces(w: &mut World, id: CampaignId, before: &campaign::State, d: &Decision<Campaign>) {
    let now_us = w.now * 1000;
    let mut today = before.today;
    let mut in_flight = before.in_flight;
    for event in &d.events {
        let What::Claimed { granted, .. } = &event.what else { continue };
        for (no, caller) in granted {
            let own = before.config.limits;
            in_flight += 1;
            today += 1;
            assert!(own.concurrency == 0 || in_flight <= own.concurrency, "{id}: {in_flight} at once");
            assert!(own.attempts_a_day == 0 || today <= own.attempts_a_day, "{id}: {today} a day");
            assert_eq!(before.phase, Phase::Running, "{id} grants {no} while {:?}", before.phase);
            let share = before.share.as_ref().expect("a share");
            let rate = share.milli_cps.min(if own.milli_cps == 0 { u32::MAX } else { own.milli_cps });
            pace(w, (id, None), rate, now_us);
            let number = before.config.callers[usize::from(*caller)].clone();
            let rate = share.callers[usize::from(*caller)].milli_cps;
            pace(w, (id, Some(number)), rate, now_us);
        }
    }
}

fn pace(w: &mut World, key: (CampaignId, Option<String>), rate: u32, now_us: i64) {
    let next = w.paces.entry(key.clone()).or_insert(now_us);
    assert!(*next - now_us <= AHEAD_US, "{key:?}: {} µs too soon", *next - now_us);
    let interval = if rate == u32::MAX { 0 } else { 1_000_000_000 / i64::from(rate.max(1)) };
    *next = (*next).max(now_us) + interval;
}

fn reckoned(s: &State, number: Option<&str>) -> u64 {
    let pools = |l: &Loan| -> Vec<(Option<String>, Pool)> {
        let names = std::iter::once(None).chain(l.wants.callers.iter().map(|c| Some(c.clone())));
        names.zip(l.pools.iter().copied()).collect()
    };
    s.loans
        .values()
        .flat_map(pools)
        .filter(|(of, _)| of.as_deref() == number)
        .map(|(_, p)| u64::from(p.held.max(p.share)))
        .sum()
}

/// What the company reckons with grows only within the limit.
pub fn lends(before: &State, after: &State) {
    let numbers = after.callers.iter().map(|c| (Some(c.number.as_str()), c.limits.concurrency));
    for (number, limit) in std::iter::once((None, after.limits.concurrency)).chain(numbers) {
        if limit == 0 {
            continue;
        }
        let (was, is) = (reckoned(before, number), reckoned(after, number));
        assert!(is <= was.max(u64::from(limit)), "{number:?}: {is} of {limit} are out, {was} were");
    }
}

/// The company's own moves.
pub fn company(w: &mut World, before: &State, after: &State) {
    let a_day = |s: &State, number: Option<&str>| {
        let limits = match number {
            None => Some(s.limits),
            Some(n) => s.callers.iter().find(|c| c.number == n).map(|c| c.limits),
        };
        limits.map(|l| if l.attempts_a_day == 0 { u32::MAX } else { l.attempts_a_day })
    };
    let numbers = super::setup::NUMBERS.iter().map(|n| Some(*n)).chain([None]);
    for number in numbers {
        if a_day(after, number) != a_day(before, number) {
            w.lowered = Some(after.day);
        }
    }
    lends(before, after);
    assert!(after.share_version >= before.share_version, "an older share than before");
    assert!(after.day >= before.day, "the company's day went back");
}
