//! Which transitions a run has reached.

use super::entity::Home;
use std::collections::BTreeSet;
use tandem_domain::id::Kind;
use tandem_domain::machine::{Decision, Rejection};
use tandem_domain::{call, campaign};

/// (kind, phase before, command, phase after or the reason of a refusal)
pub type Step = (Kind, &'static str, &'static str, &'static str);

#[derive(Default, Clone)]
pub struct Coverage {
    pub taken: BTreeSet<Step>,
    pub refused: BTreeSet<Step>,
}

impl Coverage {
    /// The answer to a command; a refusal is kept.
    pub fn saw<M: Home>(
        &mut self,
        before: &M::State,
        command: &M::Command,
        decided: Result<&Decision<M>, &Rejection>,
    ) {
        if let Err(r) = decided {
            self.refused.insert((M::KIND, M::phase(before), M::name(command), r.reason()));
        }
    }

    pub fn moved<M: Home>(&mut self, before: &M::State, command: &M::Command, after: &M::State) {
        self.taken.insert((M::KIND, M::phase(before), M::name(command), M::phase(after)));
    }

    pub fn add(&mut self, other: &Coverage) {
        self.taken.extend(other.taken.iter().copied());
        self.refused.extend(other.refused.iter().copied());
    }
}

pub fn call_command(command: &call::Command) -> &'static str {
    use call::{CarrierStep, Command as C};
    use tandem_domain::carrier::{DialOutcome, Progress};
    match command {
        C::Place(_) => "place",
        C::Begin(_) => "begin",
        C::Step(CarrierStep::Begin { .. }) => "step: begin",
        C::Step(CarrierStep::Ringing { .. }) => "step: ringing",
        C::Step(CarrierStep::Answered { .. }) => "step: answered",
        C::Step(CarrierStep::Talking { .. }) => "step: talking",
        C::Step(CarrierStep::Ended { .. }) => "step: ended",
        C::Dialed { outcome: DialOutcome::Accepted { .. }, .. } => "dialed: accepted",
        C::Dialed { outcome: DialOutcome::Refused(_), .. } => "dialed: refused",
        C::Dialed { outcome: DialOutcome::Unknown, .. } => "dialed: unknown",
        C::Reported { report, .. } => match report.progress {
            Progress::Queued => "reported: queued",
            Progress::Initiated => "reported: initiated",
            Progress::Ringing => "reported: ringing",
            Progress::Answered => "reported: answered",
            Progress::Ended(_) => "reported: ended",
        },
        C::Found { report: Some(_), .. } => "found: a call",
        C::Found { report: None, .. } => "found: nothing",
        C::Missing { .. } => "missing",
        C::Amd { .. } => "verdict",
        C::Recorded { .. } => "recorded",
        C::Instructed { .. } => "instructed",
        C::Document { .. } => "document",
        C::Reattach { .. } => "reattach",
        C::MediaOpened { .. } => "media opened",
        C::Attach { .. } => "attach",
        C::MediaClosed { .. } => "media closed",
        C::Said { .. } => "said",
        C::Hangup => "hang up",
        C::Annotate { .. } => "annotate",
        C::Tick => "tick",
    }
}

pub fn campaign_command(command: &campaign::Command) -> &'static str {
    use campaign::Command as C;
    match command {
        C::Create { .. } => "create",
        C::Configure { .. } => "configure",
        C::AddContacts { .. } => "add contacts",
        C::Enqueue { .. } => "enqueue",
        C::Start => "start",
        C::Pause { .. } => "pause",
        C::Resume => "resume",
        C::Stop => "stop",
        C::Share(_) => "share",
        C::Declined(_) => "declined",
        C::Released(_) => "released",
        C::Finished(_) => "finished",
        C::Tick => "tick",
    }
}
