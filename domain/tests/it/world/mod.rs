//! One company in memory: states, rows, messages under way, and a carrier. Machines are run as the
//! runtime runs them: facts are read from rows, a decision is written whole or not at all, a
//! message is taken once and in order, a timer comes when it is due or later.

pub mod arbitrary;
pub mod calm;
pub mod carrier;
pub mod coverage;
pub mod draw;
pub mod drive;
pub mod entity;
pub mod harvest;
pub mod look;
pub mod setup;
pub mod step;

use carrier::Carrier;
use coverage::Coverage;
use entity::{Home, Kept, Rows};
use std::collections::{BTreeMap, VecDeque};
use tandem_domain::call::Call;
use tandem_domain::campaign::{Campaign, What, call_of};
use tandem_domain::company::Company;
use tandem_domain::customer::Customer;
use tandem_domain::effect::{Command, Effect, Reply};
use tandem_domain::id::{CallId, CampaignId, CompanyId, CustomerId, Entity, Kind};
use tandem_domain::invariant::Dials;
use tandem_domain::machine::{Context, Facts, Machine, Rejection};
use tandem_domain::time::Millis;

/// A Wednesday, 2026-01-07T12:00:00Z.
pub const START: Millis = 1_767_787_200_000;

pub struct World {
    pub now: Millis,
    pub company: CompanyId,
    pub book: Kept<Company>,
    pub campaigns: BTreeMap<CampaignId, Kept<Campaign>>,
    pub calls: BTreeMap<CallId, Kept<Call>>,
    pub customers: BTreeMap<CustomerId, Kept<Customer>>,
    pub rows: Rows,
    /// Messages between entities, in order for each pair.
    pub lanes: BTreeMap<(Entity, Entity), VecDeque<Command>>,
    /// Orders to the outside that were not performed yet.
    pub orders: Vec<Effect>,
    pub carrier: Carrier,
    pub dials: Dials,
    pub coverage: Coverage,
    /// When the next grant may come, by a clock of the test's own.
    pub paces: BTreeMap<(CampaignId, Option<String>), i64>,
    /// Messages that were refused: they are gone.
    pub refused: Vec<(Entity, Command, Rejection)>,
    pub placed: u64,
    pub rounds: u32,
    /// The day on which a limit of attempts was changed.
    pub lowered: Option<i32>,
    random: u64,
    /// Values as they are stored, where somebody wants them.
    pub harvest: Option<harvest::Harvest>,
    /// The newest decisions, for messages of failures.
    trace: VecDeque<String>,
}

impl World {
    pub fn new(seed: u64) -> World {
        World {
            now: START,
            company: CompanyId::from_bytes([1; 16]),
            book: Kept::default(),
            campaigns: BTreeMap::new(),
            calls: BTreeMap::new(),
            customers: BTreeMap::new(),
            rows: Rows::default(),
            lanes: BTreeMap::new(),
            orders: Vec::new(),
            carrier: Carrier::default(),
            dials: Dials::default(),
            coverage: Coverage::default(),
            paces: BTreeMap::new(),
            refused: Vec::new(),
            placed: 0,
            rounds: 0,
            lowered: None,
            random: seed,
            harvest: None,
            trace: VecDeque::new(),
        }
    }

    /// What happened last, oldest first.
    pub fn trace(&self) -> String {
        self.trace.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    /// Splitmix: a run is its seed and its steps.
    pub fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Carries a command out.
    pub fn tell(&mut self, to: Entity, command: impl Into<Command>) -> Result<Reply, Rejection> {
        let ours = "the command is of the entity's kind";
        match to.kind {
            Kind::Call => self.run::<Call>(to, &command.into().try_into().expect(ours)).map(Reply::Call),
            Kind::Campaign => {
                self.run::<Campaign>(to, &command.into().try_into().expect(ours)).map(Reply::Campaign)
            }
            Kind::Customer => {
                self.run::<Customer>(to, &command.into().try_into().expect(ours)).map(Reply::Customer)
            }
            Kind::Company => {
                self.run::<Company>(to, &command.into().try_into().expect(ours)).map(Reply::Company)
            }
        }
    }

    fn run<M: Home>(&mut self, me: Entity, command: &M::Command) -> Result<M::Reply, Rejection> {
        let random = self.random();
        let now = self.now;
        let (before, events) = {
            let kept = M::kept(self, me.id);
            (kept.state.clone(), kept.log.len())
        };
        let wanted = M::facts(me, &before, command, now);
        let facts: Facts = self.rows.read(wanted);
        let context = Context { me, now, next_event: events as u64 + 1, random, facts: &facts };
        let decided = M::decide(&before, command, &context);
        self.coverage.saw::<M>(&before, command, decided.as_ref());
        let decision = match decided {
            Ok(decision) => decision,
            Err(rejection) => {
                M::forget_if_absent(self, me.id);
                return Err(rejection);
            }
        };
        if self.trace.len() >= 40 {
            self.trace.pop_front();
        }
        self.trace.push_back(format!("{me} at {now}: {command:?}\n    {:?}", decision.events));
        entity::survives_encoding(command);
        let mut after = before.clone();
        for event in &decision.events {
            entity::survives_encoding(event);
            M::evolve(&mut after, event);
        }
        entity::survives_encoding(&after);
        self.coverage.moved::<M>(&before, command, &after);
        M::watch(self, me, &before, &after, &decision);
        if let Some(harvest) = &mut self.harvest {
            harvest.decided(&after, &decision);
        }
        let kept = M::kept(self, me.id);
        kept.state = after;
        kept.log.extend(decision.events);
        for row in decision.rows {
            self.rows.write(row);
        }
        for effect in decision.effects {
            match effect {
                Effect::Send { to, command } => {
                    assert_eq!(to.company, self.company, "a message leaves the company");
                    self.lanes.entry((me, to)).or_default().push_back(*command);
                }
                order => {
                    if let Effect::Dial(dial) = &order {
                        self.dials.ordered(dial.attempt).expect("at most one dial for an attempt");
                    }
                    self.orders.push(order);
                }
            }
        }
        M::forget_if_absent(self, me.id);
        Ok(decision.reply)
    }

    /// The oldest message of a pair is taken.
    pub fn deliver(&mut self, lane: (Entity, Entity)) {
        let Some(queue) = self.lanes.get_mut(&lane) else { return };
        let command = queue.pop_front();
        if queue.is_empty() {
            self.lanes.remove(&lane);
        }
        let Some(command) = command else { return };
        if let Err(rejection) = self.tell(lane.1, command.clone()) {
            assert!(
                !matches!(rejection, Rejection::Internal(_)),
                "{} was sent {command:?}: {rejection}",
                lane.1
            );
            self.refused.push((lane.1, command, rejection));
        }
    }

    pub fn deliver_all(&mut self) {
        for _ in 0..100_000 {
            let Some(lane) = self.lanes.keys().next().copied() else { return };
            self.deliver(lane);
        }
        panic!("messages without end: {:?}", self.lanes);
    }

    /// Who wants to be woken, and when.
    pub fn wakeups(&self) -> Vec<(Millis, Entity)> {
        let company = self.company;
        let calls = self
            .calls
            .iter()
            .filter_map(|(id, k)| Some((Call::wakeup(&k.state)?, Entity::call(company, *id))));
        let campaigns = self
            .campaigns
            .iter()
            .filter_map(|(id, k)| Some((Campaign::wakeup(&k.state)?, Entity::campaign(company, *id))));
        calls.chain(campaigns).collect()
    }

    /// A timer fires. It must get on: within one moment no entity is woken again and again. A permit
    /// that is given gets on; nobody is given two within one moment.
    pub fn tick(&mut self, e: Entity) {
        const AGAIN_MAX: u32 = 12;
        let now = self.now;
        let rows = self.rows.len();
        let (wakeup, ticks, granted) = match e.kind {
            Kind::Call => {
                self.run::<Call>(e, &Call::tick()).expect("a tick is always taken");
                let kept = Call::kept(self, e.id);
                (Call::wakeup(&kept.state), &mut kept.ticks, false)
            }
            _ => {
                let before = Campaign::kept(self, e.id).log.len();
                self.run::<Campaign>(e, &Campaign::tick()).expect("a tick is always taken");
                let kept = Campaign::kept(self, e.id);
                let granted = kept.log[before..]
                    .iter()
                    .any(|event| matches!(&event.what, What::Claimed { granted, .. } if !granted.is_empty()));
                (Campaign::wakeup(&kept.state), &mut kept.ticks, granted)
            }
        };
        *ticks = match *ticks {
            (at, n) if at == now && !granted => (now, n + 1),
            _ => (now, 1),
        };
        let again = wakeup.is_some_and(|at| at <= now);
        let fair = AGAIN_MAX + u32::try_from(rows).unwrap_or(u32::MAX) / 64;
        if again && ticks.1 > fair {
            let state = self.campaigns.get(&CampaignId(e.id)).map(|k| k.state.clone());
            panic!("{e} is woken again and again within one moment: {state:#?}");
        }
    }

    /// Ticks everybody who is due, once each.
    pub fn tick_due(&mut self) -> bool {
        let now = self.now;
        let due: Vec<_> = self.wakeups().into_iter().filter(|(at, _)| *at <= now).collect();
        for (_, e) in &due {
            self.tick(*e);
        }
        !due.is_empty()
    }

    pub fn campaign(&self, id: CampaignId) -> &tandem_domain::campaign::State {
        &self.campaigns[&id].state
    }

    pub fn call(&self, id: CallId) -> &tandem_domain::call::State {
        &self.calls[&id].state
    }

    /// The call of a contact.
    pub fn call_no(&self, campaign: CampaignId, no: u32) -> &tandem_domain::call::State {
        self.call(call_of(campaign, no))
    }

    pub fn tell_campaign(
        &mut self,
        id: CampaignId,
        command: tandem_domain::campaign::Command,
    ) -> Result<Reply, Rejection> {
        self.tell(Entity::campaign(self.company, id), command)
    }

    pub fn tell_call(
        &mut self,
        id: CallId,
        command: tandem_domain::call::Command,
    ) -> Result<Reply, Rejection> {
        self.tell(Entity::call(self.company, id), command)
    }

    pub fn tell_company(&mut self, command: tandem_domain::company::Command) -> Result<Reply, Rejection> {
        self.tell(Entity::company(self.company), command)
    }

    pub fn tell_customer(
        &mut self,
        id: CustomerId,
        command: tandem_domain::customer::Command,
    ) -> Result<Reply, Rejection> {
        self.tell(Entity::customer(self.company, id), command)
    }
}
