//! A campaign: contacts, pacing, permits, and the one final disposition of everybody in it.
//!
//! Contacts are rows, never part of the state: a million of them do not change its size. The
//! campaign claims ready contacts in batches, gives each a permit, and hears from the calls what
//! became of it.

mod claim;
mod command;
mod contacts;
mod decide;
mod event;
mod limits;
mod returned;
mod state;

pub use command::{Added, Command, Declined, Finished, NewContact, Released, Reply, Skip, Status, Trouble};
pub use event::{Event, Permit, What};
pub use state::{CallerUse, Config, ConfigError, Counts, Limits, Parted, Phase, Reason, State};

use crate::id::{CallId, CampaignId, Entity, Kind};
use crate::machine::{Context, Decision, Machine, Rejection};
use crate::row::{ContactNo, Fact};
use crate::time::Millis;
use uuid::Uuid;

/// The machine of a campaign.
pub struct Campaign;

impl Machine for Campaign {
    const KIND: Kind = Kind::Campaign;
    type State = State;
    type Command = Command;
    type Event = Event;
    type Reply = Reply;

    fn facts(me: Entity, state: &State, command: &Command, now: Millis) -> Vec<Fact> {
        decide::facts(me, state, command, now)
    }

    fn decide(state: &State, command: &Command, cx: &Context<'_>) -> Result<Decision<Self>, Rejection> {
        decide::decide(state, command, cx)
    }

    fn evolve(state: &mut State, event: &Event) {
        event::evolve(state, event);
    }

    fn wakeup(state: &State) -> Option<Millis> {
        limits::wakeup(state)
    }

    fn tick() -> Command {
        Command::Tick
    }

    fn exists(state: &State) -> bool {
        state.phase != Phase::Absent
    }

    fn is_final(state: &State) -> bool {
        state.phase.is_final()
    }
}

/// The call of a contact: always the same one, however often it is asked for.
pub fn call_of(campaign: CampaignId, no: ContactNo) -> CallId {
    CallId(Uuid::new_v5(&campaign.0, &no.to_be_bytes()))
}

/// The campaign that holds the permits of a company's single calls.
pub fn direct(company: crate::id::CompanyId) -> CampaignId {
    CampaignId(Uuid::new_v5(&company.0, b"single calls"))
}
