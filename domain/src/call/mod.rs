//! One call to or from one person, with its numbered attempts.
//!
//! Any behaviour of a call is decided here and nowhere else: `decide` holds the decisions by the
//! side that speaks (who places it, the carrier, the media, time), `event` folds what happened.

mod command;
mod decide;
mod event;
mod plan;
mod state;

pub use command::{
    Begin, CarrierStep, Command, Conversation, Document, First, MediaEnd, MediaGrant, Order, Reply, SaidTurn,
    Status,
};
pub use event::{AttemptEnd, Created, Event, What};
pub use plan::{AgentSpec, AmdPolicy, MachineAction, Plan, PlanError};
pub use state::{Direction, Ended, Live, Past, Phase, State, Verdict};

use crate::id::{Entity, Kind};
use crate::machine::{Context, Decision, Machine, Rejection};
use crate::row::Fact;
use crate::time::Millis;

/// The machine of a call.
pub struct Call;

impl Machine for Call {
    const KIND: Kind = Kind::Call;
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

    fn wakeup(state: &State) -> Option<Millis> {
        state.check_at
    }

    fn tick() -> Command {
        Command::Tick
    }

    fn exists(state: &State) -> bool {
        state.phase != Phase::Absent
    }

    fn is_final(state: &State) -> bool {
        state.phase == Phase::Ended
    }
}
