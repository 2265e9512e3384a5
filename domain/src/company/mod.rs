//! A company: the tenant. Its limits are lent to its campaigns, so that no row and no actor is
//! asked for every single dial.

mod command;
mod decide;
mod event;
mod lend;

pub use command::{CallerShare, Command, Join, Leave, NewKey, Reply, Share, Update};
pub use event::{ApiKey, Caller, Event, Loan, Pool, PoolName, Scope, Spent, State, What};

use crate::id::{Entity, Kind};
use crate::machine::{Context, Decision, Machine, Rejection};
use crate::row::Fact;
use crate::time::Millis;

/// The machine of a company.
pub struct Company;

impl Machine for Company {
    const KIND: Kind = Kind::Company;
    type State = State;
    type Command = Command;
    type Event = Event;
    type Reply = Reply;

    fn facts(_me: Entity, _state: &State, _command: &Command, _now: Millis) -> Vec<Fact> {
        Vec::new()
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
        state.created_at.is_some()
    }

    fn is_final(_state: &State) -> bool {
        false
    }
}
