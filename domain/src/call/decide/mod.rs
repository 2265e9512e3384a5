//! The decisions of a call, by the side that speaks.

mod carrier;
mod dial;
mod end;
mod media;
mod tick;

use super::Call;
use super::command::{CarrierStep, Command, Reply, Status};
use super::event::{Event, What, evolve};
use super::state::{Live, Phase, State};
use crate::effect::Effect;
use crate::id::{Attempt, CallId, CompanyId, Entity};
use crate::machine::{Context, Decision, Rejection};
use crate::row::{Fact, RowKey, RowWrite};

/// Sealed bytes of the note on a call, which is part of its state.
const NOTE_BYTES_MAX: usize = 16_000;

pub(super) fn facts(me: Entity, s: &State, command: &Command) -> Vec<Fact> {
    match command {
        Command::Place(place) => dial::facts_to_place(me, s, place),
        Command::Begin(begin) => dial::facts_to_begin(me, s, Some(begin)),
        Command::Step(CarrierStep::Begin { .. }) => dial::facts_to_begin(me, s, None),
        // Whatever may end an attempt frees the person for other calls, in a row that other calls
        // write too.
        Command::Step(CarrierStep::Ended { .. })
        | Command::Dialed { .. }
        | Command::Reported { .. }
        | Command::Found { .. }
        | Command::Missing { .. }
        | Command::Hangup
        | Command::Tick => end::facts(me, s),
        Command::Step(_)
        | Command::Amd { .. }
        | Command::Recorded { .. }
        | Command::Instructed { .. }
        | Command::Document { .. }
        | Command::Reattach { .. }
        | Command::MediaOpened { .. }
        | Command::Attach { .. }
        | Command::MediaClosed { .. }
        | Command::Said { .. }
        | Command::Annotate { .. } => Vec::new(),
    }
}

pub(super) fn decide(s: &State, command: &Command, cx: &Context<'_>) -> Result<Decision<Call>, Rejection> {
    let mut d = Draft::new(s, cx);
    match command {
        Command::Place(place) => dial::place(&mut d, place)?,
        Command::Begin(begin) => dial::begin(&mut d, begin)?,
        Command::Step(step) => dial::step(&mut d, step)?,
        _ if s.phase == Phase::Absent => return Err(Rejection::NotFound("call")),
        Command::Dialed { attempt, outcome } => carrier::dialed(&mut d, *attempt, outcome)?,
        Command::Reported { attempt, report } => carrier::reported(&mut d, *attempt, report)?,
        Command::Found { attempt, report } => carrier::found(&mut d, *attempt, report.as_ref())?,
        Command::Missing { attempt, sid } => carrier::missing(&mut d, *attempt, sid)?,
        Command::Amd { attempt, sid, answered_by } => carrier::amd(&mut d, *attempt, sid, *answered_by),
        Command::Recorded { attempt, sid, recording } => carrier::recorded(&mut d, *attempt, sid, recording),
        // A failed instruction is repeated by the next look at itself.
        Command::Instructed { .. } => {}
        Command::Document { attempt, sid, again: _ } => {
            let document = media::document(&mut d, *attempt, sid, None);
            return Ok(d.reply(Reply::Document(document)));
        }
        Command::Reattach { attempt, sid, generation } => {
            let document = media::document(&mut d, *attempt, sid, Some(*generation));
            return Ok(d.reply(Reply::Document(document)));
        }
        Command::MediaOpened { attempt, sid } => {
            let grant = media::attach(&mut d, *attempt, sid, None);
            return Ok(d.reply(Reply::Media(grant)));
        }
        Command::Attach { attempt, sid, generation } => {
            let grant = media::attach(&mut d, *attempt, sid, Some(*generation));
            return Ok(d.reply(Reply::Media(grant)));
        }
        Command::MediaClosed { attempt, generation, end } => {
            media::closed(&mut d, *attempt, *generation, end);
        }
        Command::Said { attempt, generation, turns } => media::said(&mut d, *attempt, *generation, turns)?,
        Command::Hangup => end::hangup(&mut d)?,
        Command::Annotate { note: Some(note), .. } if note.0.len() > NOTE_BYTES_MAX => {
            return Err(Rejection::invalid("note", "a note takes at most 16 kB"));
        }
        Command::Annotate { note, flagged } => {
            d.event(What::Annotated { note: note.clone(), flagged: *flagged });
        }
        Command::Tick => tick::tick(&mut d)?,
    }
    Ok(d.done())
}

/// A decision being made: the state as it will be, and what is to be written.
struct Draft<'a> {
    s: State,
    cx: &'a Context<'a>,
    events: Vec<Event>,
    effects: Vec<Effect>,
    rows: Vec<RowWrite>,
}

impl<'a> Draft<'a> {
    fn new(s: &State, cx: &'a Context<'a>) -> Self {
        Draft { s: s.clone(), cx, events: Vec::new(), effects: Vec::new(), rows: Vec::new() }
    }

    fn company(&self) -> CompanyId {
        self.cx.me.company
    }

    fn call(&self) -> CallId {
        CallId(self.cx.me.id)
    }

    fn attempt(&self) -> Attempt {
        Attempt { company: self.company(), call: self.call(), number: self.s.attempt }
    }

    fn event(&mut self, what: What) {
        let event = Event { at: self.cx.now, what };
        evolve(&mut self.s, &event);
        self.events.push(event);
    }

    /// The attempt that is alive, if `number` names it; anything else is late or stale.
    fn live(&self, number: u16) -> Option<&Live> {
        (number == self.s.attempt).then_some(self.s.live.as_deref()).flatten()
    }

    fn instruct(&mut self, sid: String, instruction: crate::carrier::Instruction) {
        let carrier = self.s.plan.carrier.clone();
        self.effects.push(Effect::Instruct { attempt: self.attempt(), carrier, sid, instruction });
    }

    fn index(&mut self, key: RowKey) {
        self.rows.push(RowWrite::mark(key));
    }

    fn status(&self) -> Reply {
        Reply::Status(Status {
            phase: self.s.phase,
            attempt: self.s.attempt,
            next_at: self.s.next_at,
            disposition: self.s.ended.as_ref().map(|e| e.disposition),
            ignored: self.events.is_empty() && self.effects.is_empty(),
        })
    }

    fn done(self) -> Decision<Call> {
        let reply = self.status();
        self.reply(reply)
    }

    fn reply(self, reply: Reply) -> Decision<Call> {
        Decision { events: self.events, effects: self.effects, rows: self.rows, reply }
    }
}
