//! The decisions of a campaign.

use super::command::{Command, Reply, Status};
use super::event::{Event, What, evolve};
use super::state::{Config, Phase, Reason, State};
use super::{Campaign, claim, contacts, limits, returned};
use crate::company::Share;
use crate::effect::Effect;
use crate::id::{CampaignId, Entity};
use crate::machine::{Context, Decision, Rejection};
use crate::row::{Fact, RowKey, RowWrite};
use crate::time::Millis;

pub(super) fn facts(me: Entity, s: &State, command: &Command, now: Millis) -> Vec<Fact> {
    match command {
        Command::AddContacts { contacts } => contacts::facts(me, contacts),
        Command::Declined(x) => returned::facts(me, x.contact, None),
        Command::Released(x) => returned::facts(me, x.contact, None),
        Command::Finished(x) => match x.contact {
            Some(no) => returned::facts(me, no, returned::queued_key(me, x)),
            None => Vec::new(),
        },
        Command::Tick if claim::wants_queue(s, now) => {
            vec![Fact::Ready { company: me.company, campaign: CampaignId(me.id), limit: claim::PAGE }]
        }
        Command::Tick
        | Command::Create { .. }
        | Command::Configure { .. }
        | Command::Enqueue { .. }
        | Command::Start
        | Command::Pause { .. }
        | Command::Resume
        | Command::Stop
        | Command::Share(_) => Vec::new(),
    }
}

pub(super) fn decide(
    s: &State,
    command: &Command,
    cx: &Context<'_>,
) -> Result<Decision<Campaign>, Rejection> {
    match command {
        Command::AddContacts { contacts } => return contacts::add(s, contacts, cx),
        Command::Create { .. }
        | Command::Configure { .. }
        | Command::Enqueue { .. }
        | Command::Start
        | Command::Pause { .. }
        | Command::Resume
        | Command::Stop
        | Command::Share(_)
        | Command::Declined(_)
        | Command::Released(_)
        | Command::Finished(_)
        | Command::Tick => {}
    }
    let mut d = Draft::new(s, cx);
    match command {
        Command::Create { name, config, direct } => create(&mut d, name, config, *direct)?,
        Command::Enqueue { .. } => contacts::enqueue(&mut d, command)?,
        // A timer that was set for an earlier life.
        Command::Tick => claim::tick(&mut d)?,
        _ if s.phase == Phase::Absent => return Err(Rejection::NotFound("campaign")),
        Command::Configure { config, from } => configure(&mut d, config, from.as_deref())?,
        Command::Start => start(&mut d)?,
        Command::Pause { reason } => pause(&mut d, *reason)?,
        Command::Resume => resume(&mut d)?,
        Command::Stop => stop(&mut d)?,
        Command::Share(share) => shared(&mut d, share),
        Command::Declined(x) => returned::declined(&mut d, x)?,
        Command::Released(x) => returned::released(&mut d, x)?,
        Command::Finished(x) => returned::finished(&mut d, x)?,
        Command::AddContacts { .. } => {}
    }
    Ok(d.done())
}

pub(super) fn status(s: &State) -> Reply {
    Reply::Status(Status { phase: s.phase })
}

pub(super) struct Draft<'a> {
    over_before: bool,
    pub s: State,
    pub cx: &'a Context<'a>,
    pub events: Vec<Event>,
    pub effects: Vec<Effect>,
    pub rows: Vec<RowWrite>,
}

impl<'a> Draft<'a> {
    fn new(s: &State, cx: &'a Context<'a>) -> Self {
        Draft {
            over_before: limits::over(s),
            s: s.clone(),
            cx,
            events: Vec::new(),
            effects: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Whether this decision brought it down to its share.
    pub fn came_down(&self) -> bool {
        self.over_before && !limits::over(&self.s)
    }

    pub fn event(&mut self, what: What) {
        let event = Event { at: self.cx.now, what };
        evolve(&mut self.s, &event);
        self.events.push(event);
    }

    fn phase(&mut self, phase: Phase, reason: Option<Reason>) {
        self.event(What::Phase { phase, reason });
    }

    /// The gate that every dial reads in its own transaction.
    fn gate(&mut self, running: bool) {
        let key = RowKey::Policy { company: self.cx.me.company, campaign: Some(CampaignId(self.cx.me.id)) };
        let policy = self.s.config.policy(running);
        self.rows.push(RowWrite::set(key, &policy));
    }

    /// Tells the company what is in use under this share, so that it lends nothing twice.
    pub fn taken_down(&mut self, version: u64) {
        self.effects.push(Effect::send(
            Entity::company(self.cx.me.company),
            crate::company::Command::Shared {
                campaign: CampaignId(self.cx.me.id),
                version,
                in_use: limits::in_use(&self.s),
            },
        ));
    }

    pub fn join(&mut self) {
        let join = claim::join(&self.s, CampaignId(self.cx.me.id));
        self.effects.push(Effect::send(Entity::company(self.cx.me.company), join));
    }

    pub fn end(&mut self, phase: Phase) {
        let reason = self.s.reason;
        self.phase(phase, reason);
        self.gate(false);
        returned::leave(self);
    }

    fn done(self) -> Decision<Campaign> {
        let reply = status(&self.s);
        Decision { events: self.events, effects: self.effects, rows: self.rows, reply }
    }
}

fn illegal(s: &State, command: &'static str) -> Rejection {
    Rejection::IllegalTransition { state: s.phase.name(), command }
}

fn create(d: &mut Draft<'_>, name: &str, config: &Config, direct: bool) -> Result<(), Rejection> {
    let (company, campaign) = (d.cx.me.company, CampaignId(d.cx.me.id));
    let early = d.s.phase == Phase::Draft && d.s.direct && direct;
    if d.s.phase != Phase::Absent && !early {
        return Err(Rejection::AlreadyExists);
    }
    if name.trim().is_empty() || name.len() > 200 {
        return Err(Rejection::invalid("name", "1 to 200 bytes"));
    }
    if !direct {
        config.validate().map_err(|e| Rejection::invalid(e.field, e.why))?;
    }
    if early {
        d.event(What::Configured { config: Box::new(config.clone()), leaving: 0 });
    } else {
        d.event(What::Created { name: name.to_owned(), config: Box::new(config.clone()), direct });
    }
    d.gate(false);
    if direct {
        // There is nobody to start it: it serves from the moment the company exists.
        d.phase(Phase::Starting, None);
        d.join();
    } else {
        d.rows.push(RowWrite::mark(RowKey::CampaignByTime { company, at: d.cx.now, campaign }));
    }
    Ok(())
}

/// A single call has overtaken the company's own message: its place is kept until that comes.
pub(super) fn create_early(d: &mut Draft<'_>) {
    let config = Box::new(Config::default());
    d.event(What::Created { name: "single calls".into(), config, direct: true });
    d.gate(false);
}

fn configure(d: &mut Draft<'_>, config: &Config, from: Option<&Config>) -> Result<(), Rejection> {
    if from.is_some_and(|from| *from != d.s.config) {
        return Err(Rejection::Stale("settings"));
    }
    let changeable = matches!(d.s.phase, Phase::Draft | Phase::Paused) || d.s.direct;
    if !changeable {
        return Err(illegal(&d.s, "configure"));
    }
    if !d.s.direct {
        config.validate().map_err(|e| Rejection::invalid(e.field, e.why))?;
    }
    let mut config = config.clone();
    let mut leaving = 0u8;
    // Caller ids of calls that are alive are reckoned with until they are free.
    for (number, used) in d.s.config.callers.iter().zip(&d.s.callers) {
        if used.in_flight > 0 && !config.callers.contains(number) {
            config.callers.push(number.clone());
            leaving = leaving.saturating_add(1);
        }
    }
    d.event(What::Configured { config: Box::new(config), leaving });
    d.gate(d.s.phase == Phase::Running);
    if matches!(d.s.phase, Phase::Starting | Phase::Running | Phase::Resuming) {
        d.join();
    }
    Ok(())
}

fn start(d: &mut Draft<'_>) -> Result<(), Rejection> {
    match d.s.phase {
        Phase::Draft if d.s.counts.contacts == 0 => {
            Err(Rejection::invalid("contacts", "the campaign has none: import contacts first"))
        }
        Phase::Draft => {
            d.phase(Phase::Starting, None);
            d.join();
            Ok(())
        }
        Phase::Starting | Phase::Running => Ok(()),
        _ => Err(illegal(&d.s, "start")),
    }
}

fn pause(d: &mut Draft<'_>, reason: Reason) -> Result<(), Rejection> {
    match d.s.phase {
        Phase::Starting | Phase::Running | Phase::Resuming => {
            halt(d, reason);
            returned::settle(d);
            Ok(())
        }
        Phase::Pausing | Phase::Paused => Ok(()),
        _ => Err(illegal(&d.s, "pause")),
    }
}

/// No dial is permitted from this commit on.
pub(super) fn halt(d: &mut Draft<'_>, reason: Reason) {
    d.phase(Phase::Pausing, Some(reason));
    d.gate(false);
}

fn resume(d: &mut Draft<'_>) -> Result<(), Rejection> {
    match d.s.phase {
        Phase::Pausing | Phase::Paused => {
            d.phase(Phase::Resuming, None);
            d.join();
            Ok(())
        }
        Phase::Resuming | Phase::Running => Ok(()),
        _ => Err(illegal(&d.s, "resume")),
    }
}

fn stop(d: &mut Draft<'_>) -> Result<(), Rejection> {
    if d.s.phase == Phase::Stopped || d.s.phase == Phase::Stopping {
        return Ok(());
    }
    // Nothing could ever start the company's single calls again.
    if d.s.phase.is_final() || d.s.direct {
        return Err(illegal(&d.s, "stop"));
    }
    d.phase(Phase::Stopping, Some(Reason::Operator));
    d.gate(false);
    returned::settle(d);
    Ok(())
}

fn shared(d: &mut Draft<'_>, share: &Share) {
    match d.s.phase {
        Phase::Starting | Phase::Running | Phase::Pausing | Phase::Resuming | Phase::Stopping => {}
        Phase::Absent | Phase::Draft | Phase::Paused | Phase::Stopped | Phase::Completed | Phase::Failed => {
            return;
        }
    }
    // It was lent before the campaign left and joined again: the company has it back.
    if !share.answers(d.s.session) {
        return;
    }
    let newer = |old: &Share| !old.answers(d.s.session) || share.version > old.version;
    if d.s.share.as_ref().is_none_or(newer) {
        d.event(What::Shared(Box::new(share.clone())));
    }
    if matches!(d.s.phase, Phase::Starting | Phase::Resuming) {
        d.phase(Phase::Running, None);
        d.gate(true);
    }
    d.taken_down(share.version);
    returned::settle(d);
}
