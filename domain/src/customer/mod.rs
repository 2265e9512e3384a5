//! A person as one company knows them. Keyed by (company, E.164 number).
//!
//! The state stays lean; what happened over time is in the events.

mod command;
mod decide;
mod event;

pub use command::{CallEnded, Command, Enrich, Known, Recognise, Reply};
pub use event::{Entry, Event, State, Status, What};

use crate::id::{Entity, Kind};
use crate::machine::{Context, Decision, Machine, Rejection};
use crate::row::Fact;
use crate::time::Millis;

/// The machine of a customer.
pub struct Customer;

impl Machine for Customer {
    const KIND: Kind = Kind::Customer;
    type State = State;
    type Command = Command;
    type Event = Event;
    type Reply = Reply;

    fn facts(me: Entity, state: &State, command: &Command, _now: Millis) -> Vec<Fact> {
        decide::facts(me, state, command)
    }

    fn decide(state: &State, command: &Command, cx: &Context<'_>) -> Result<Decision<Self>, Rejection> {
        decide::decide(state, command, cx)
    }

    fn evolve(state: &mut State, event: &Event) {
        event::evolve(state, event);
    }

    fn wakeup(_state: &State) -> Option<Millis> {
        None
    }

    fn tick() -> Command {
        Command::Get
    }

    fn exists(state: &State) -> bool {
        state.status != Status::Absent
    }

    /// Nothing happens to a person by itself; whoever asks for them again finds them in the store.
    fn is_final(_state: &State) -> bool {
        true
    }
}
