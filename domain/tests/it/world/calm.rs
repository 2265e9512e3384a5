//! Faults end, and time runs on: everything must come to rest.

use super::World;
use super::step::Answer;
use tandem_domain::call::Phase as CallPhase;
use tandem_domain::campaign::{self, Phase};
use tandem_domain::carrier::{End, Progress};
use tandem_domain::company;
use tandem_domain::time::DAY;

/// Rounds without an end are a livelock.
const ROUNDS_MAX: u32 = 40_000;
/// Everything is over by then.
const DAYS_MAX: i64 = 120;

impl World {
    /// Runs until nothing is left to do. Whoever is paused is resumed, whoever is closed opened.
    pub fn rest(&mut self) {
        let until = self.now + DAYS_MAX * DAY;
        for round in 0..ROUNDS_MAX {
            if round < 200 || round % 16 == 0 {
                self.check();
            }
            if self.settle_once() || self.operate() {
                continue;
            }
            match self.wakeups().into_iter().map(|(at, _)| at).min() {
                None => {
                    self.rounds = round;
                    self.check();
                    self.check_replay();
                    return;
                }
                Some(at) => {
                    self.now = self.now.max(at);
                    self.tick_due();
                }
            }
            assert!(self.now < until, "no rest within {DAYS_MAX} days: {}", self.describe());
        }
        panic!("no rest: {}", self.describe());
    }

    /// What is under way arrives, and the carrier's calls get on. Whether anything was done.
    fn settle_once(&mut self) -> bool {
        if let Some(lane) = self.lanes.keys().next().copied() {
            self.deliver(lane);
            return true;
        }
        if !self.orders.is_empty() {
            let order = self.orders.remove(0);
            self.perform(order, &Answer::Taken);
            return true;
        }
        if !self.carrier.mail.is_empty() {
            self.mail(0, super::step::Post::Arrives);
            return true;
        }
        let Some(at) = self.carrier.lines.iter().position(|l| !l.is_over()) else { return false };
        let next = match (self.carrier.lines[at].progress, self.random() % 4) {
            (Progress::Queued | Progress::Initiated, _) => Progress::Ringing,
            (Progress::Ringing, 0) => Progress::Ended(End::Busy),
            (Progress::Ringing, 1) => Progress::Ended(End::NoAnswer),
            (Progress::Ringing, _) => Progress::Answered,
            _ => Progress::Ended(End::Completed),
        };
        self.carrier.advance(at, next, self.now);
        true
    }

    /// The operators and applications of a company at rest.
    fn operate(&mut self) -> bool {
        if self.book.state.closed.is_some() {
            self.tell_company(company::Command::Open).expect("opened");
            return true;
        }
        // Without a caller id of the company's own nobody can be called.
        if self.book.state.callers.is_empty() || self.starved() {
            let callers = super::setup::owned(&[campaign::Limits::default(); 4]);
            let update = company::Update { callers: Some(callers), ..company::Update::default() };
            self.tell_company(company::Command::Update { settings: Box::new(update), from: None })
                .expect("updated");
            return true;
        }
        let paused = self.campaigns.iter().find(|(_, k)| k.state.phase == Phase::Paused).map(|(id, _)| *id);
        if let Some(id) = paused {
            self.tell_campaign(id, campaign::Command::Resume).expect("resumed");
            return true;
        }
        let waiting = self
            .calls
            .iter()
            .find(|(_, k)| k.state.plan.is_external() && k.state.phase == CallPhase::Queued)
            .map(|(id, _)| *id);
        if let Some(id) = waiting {
            self.tell_call(id, tandem_domain::call::Command::Hangup).expect("hung up");
            return true;
        }
        false
    }

    /// A running campaign whose caller ids were all taken from the company.
    fn starved(&self) -> bool {
        let owned = |n: &String| self.book.state.callers.iter().any(|c| c.number == *n);
        self.campaigns.values().any(|k| {
            k.state.phase == Phase::Running && k.state.ready > 0 && !k.state.config.callers.iter().any(owned)
        })
    }

    pub fn describe(&self) -> String {
        let campaigns: Vec<_> = self
            .campaigns
            .iter()
            .map(|(id, k)| {
                let s = &k.state;
                format!(
                    "{id}: {:?} ready {} in flight {} next due {:?} share {:?} callers {:?} today {} limits {:?} wakeup {:?}",
                    s.phase,
                    s.ready,
                    s.in_flight,
                    s.next_due,
                    s.share,
                    s.callers,
                    s.today,
                    s.config.limits,
                    <campaign::Campaign as tandem_domain::machine::Machine>::wakeup(s),
                )
            })
            .collect();
        let calls: Vec<_> = self
            .calls
            .iter()
            .filter(|(_, k)| k.state.phase != CallPhase::Ended)
            .map(|(id, k)| format!("{id}: {:?} attempt {}", k.state.phase, k.state.attempt))
            .collect();
        format!("at {}\n{}\n{}\n{:#?}", self.now, campaigns.join("\n"), calls.join("\n"), self.book.state)
    }
}
