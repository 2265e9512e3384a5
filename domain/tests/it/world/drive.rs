//! Short hands for stories: one carrier call after another, by what happens to it.

use super::World;
use super::step::{Answer, Post};
use tandem_domain::call::{Command, Phase};
use tandem_domain::carrier::{AnsweredBy, DialOutcome, End, Instruction, Progress, Refusal, RefusalReason};
use tandem_domain::effect::{DialOrder, Effect};
use tandem_domain::id::{Attempt, CallId, Entity};
use tandem_domain::time::Millis;

impl World {
    /// Messages, and timers that are due, until nothing more happens now.
    pub fn flow(&mut self) {
        for _ in 0..1_000 {
            self.deliver_all();
            self.check();
            if !self.tick_due() && self.lanes.is_empty() {
                return;
            }
        }
        panic!("no end within one moment: {:#?}\n{}", self.lanes, self.describe());
    }

    /// Time passes, and what is due in it happens in its order.
    pub fn pass(&mut self, ms: Millis) {
        let until = self.now + ms;
        for _ in 0..10_000 {
            self.flow();
            match self.wakeups().into_iter().map(|(at, _)| at).filter(|at| *at <= until).min() {
                Some(at) => self.now = self.now.max(at),
                None => {
                    self.now = until;
                    self.flow();
                    return;
                }
            }
        }
        panic!("timers without end: {}", self.describe());
    }

    /// Takes the dials that were ordered out of the queue.
    pub fn dialed(&mut self) -> Vec<DialOrder> {
        let mut dials = Vec::new();
        self.orders.retain(|order| match order {
            Effect::Dial(dial) => {
                dials.push((**dial).clone());
                false
            }
            _ => true,
        });
        dials
    }

    /// The one dial that was ordered.
    pub fn dial(&mut self) -> DialOrder {
        let mut dials = self.dialed();
        assert_eq!(dials.len(), 1, "one dial, at {}: {}", self.now, self.describe());
        dials.remove(0)
    }

    pub fn answer(&mut self, attempt: Attempt, outcome: DialOutcome) {
        let command = Command::Dialed { attempt: attempt.number, outcome };
        self.tell(Entity::call(attempt.company, attempt.call), command).expect("taken");
        self.check();
    }

    /// The carrier takes the attempt.
    pub fn accept(&mut self, attempt: Attempt) -> String {
        let sid = self.carrier.take(attempt);
        self.answer(attempt, DialOutcome::Accepted { sid: sid.clone() });
        sid
    }

    pub fn refuse(&mut self, attempt: Attempt, reason: RefusalReason, code: u32) {
        self.answer(attempt, DialOutcome::Refused(Refusal { reason, code }));
    }

    /// The carrier's call gets on and the callback arrives.
    pub fn progress(&mut self, sid: &str, to: Progress) {
        let at = self.carrier.lines.iter().position(|l| l.sid == sid).expect("a line");
        self.carrier.advance(at, to, self.now);
        while !self.carrier.mail.is_empty() {
            self.mail(0, Post::Arrives);
        }
        self.check();
    }

    pub fn verdict(&mut self, sid: &str, said: AnsweredBy) {
        let attempt = self.carrier.line(sid).expect("a line").attempt;
        let command = Command::Amd { attempt: attempt.number, sid: sid.into(), answered_by: said };
        self.tell(Entity::call(attempt.company, attempt.call), command).expect("taken");
        self.check();
    }

    /// Everybody who is dialed now does not answer.
    pub fn nobody_answers(&mut self) -> usize {
        let dials = self.dialed();
        for dial in &dials {
            let sid = self.accept(dial.attempt);
            self.progress(&sid, Progress::Ended(End::NoAnswer));
        }
        self.flow();
        dials.len()
    }

    /// Everybody who is dialed now answers and talks.
    pub fn everybody_answers(&mut self) -> usize {
        let dials = self.dialed();
        for dial in &dials {
            let sid = self.accept(dial.attempt);
            self.progress(&sid, Progress::Answered);
            self.progress(&sid, Progress::Ended(End::Completed));
        }
        self.flow();
        dials.len()
    }

    /// Instructions that were ordered, taken out of the queue.
    pub fn instructed(&mut self) -> Vec<(String, Instruction)> {
        let mut told = Vec::new();
        self.orders.retain(|order| match order {
            Effect::Instruct { sid, instruction, .. } => {
                told.push((sid.clone(), instruction.clone()));
                false
            }
            _ => true,
        });
        told
    }

    pub fn perform_all(&mut self) {
        for order in std::mem::take(&mut self.orders) {
            self.perform(order, &Answer::Taken);
        }
        self.check();
    }

    pub fn phase(&self, call: CallId) -> Phase {
        self.call(call).phase
    }
}
