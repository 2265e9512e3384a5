//! How an entity is kept, and the rows.

use super::World;
use serde::{Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use std::fmt::Debug;
use tandem_domain::call::{self, Call};
use tandem_domain::campaign::Campaign;
use tandem_domain::codec;
use tandem_domain::company::Company;
use tandem_domain::customer::Customer;
use tandem_domain::dial::hours_at;
use tandem_domain::id::{Attempt, CallId, CampaignId, CustomerId, Entity};
use tandem_domain::invariant::Rules;
use tandem_domain::machine::{Decision, FactValue, Facts, Machine};
use tandem_domain::row::{DialPolicy, Fact, Priority, ReadyEntry, ReadyValue, RowKey, RowWrite};
use tandem_domain::time::Millis;
use uuid::Uuid;

/// An entity: its state, and every event that led to it.
pub struct Kept<M: Machine> {
    pub state: M::State,
    pub log: Vec<M::Event>,
    /// Timers taken within one moment.
    pub ticks: (Millis, u32),
}

impl<M: Machine> Default for Kept<M> {
    fn default() -> Self {
        Kept { state: M::State::default(), log: Vec::new(), ticks: (0, 0) }
    }
}

impl<M: Machine> Kept<M> {
    /// Folding the events from the start gives the state.
    pub fn replays(&self) {
        let mut state = M::State::default();
        for event in &self.log {
            M::evolve(&mut state, event);
        }
        assert_eq!(state, self.state, "the events do not give the state");
    }
}

/// A value reads back as it was written.
pub fn survives_encoding<T: Serialize + DeserializeOwned + Debug>(value: &T) {
    let bytes = codec::encode(value);
    let back: T = codec::decode(&bytes).expect("what was encoded decodes");
    assert_eq!(codec::encode(&back), bytes, "{value:?} reads back as {back:?}");
}

/// Where entities of a kind are kept, and what is looked at when they move.
pub trait Home:
    Machine<
        State: super::harvest::Kept,
        Event: super::harvest::Kept,
        Reply: super::harvest::Kept,
        Command: Into<tandem_domain::effect::Command>,
    >
{
    fn kept(world: &mut World, id: Uuid) -> &mut Kept<Self>;

    /// Sees a decision before it is written.
    fn watch(_w: &mut World, _me: Entity, _before: &Self::State, _after: &Self::State, _d: &Decision<Self>) {}

    /// A refused command or a bare answer brings nothing into being.
    fn forget_if_absent(world: &mut World, id: Uuid);

    fn phase(state: &Self::State) -> &'static str;

    fn name(command: &Self::Command) -> &'static str;
}

impl Home for Call {
    fn kept(world: &mut World, id: Uuid) -> &mut Kept<Self> {
        world.calls.entry(CallId(id)).or_default()
    }

    fn watch(w: &mut World, me: Entity, before: &call::State, after: &call::State, d: &Decision<Self>) {
        let Some(customer) = after.customer else { return };
        let attempt = |number| Attempt { company: me.company, call: CallId(me.id), number };
        for event in &d.events {
            match &event.what {
                call::What::AttemptStarted { attempt: number, from } => {
                    assert!(after.from.as_ref().is_none_or(|named| named == from), "dialed from {from}");
                    let rules = w.rows.rules(w.now, me, after, customer);
                    w.dials.permitted(w.now, attempt(*number), customer, &rules).expect("a permitted dial");
                }
                call::What::AttemptEnded(end) => {
                    w.dials.ended(attempt(after.attempt), customer, end.counted);
                }
                _ => {}
            }
        }
        if before.phase == call::Phase::Ended {
            assert_eq!(after.phase, call::Phase::Ended, "an ended call came back to life");
            assert_eq!(before.ended, after.ended, "the final word was changed");
            assert_eq!(before.past.len(), after.past.len(), "an ended call had another attempt");
        }
        assert_eq!(after.live.is_some(), after.phase.is_alive(), "{:?}", after.phase);
        if after.phase == call::Phase::Ended || !after.phase.is_alive() {
            assert_eq!(Call::wakeup(after), None, "nothing is alive and yet it wants to be woken");
        }
    }

    fn forget_if_absent(world: &mut World, id: Uuid) {
        if world.calls.get(&CallId(id)).is_some_and(|k| k.log.is_empty()) {
            world.calls.remove(&CallId(id));
        }
    }

    fn phase(state: &call::State) -> &'static str {
        state.phase.name()
    }

    fn name(command: &call::Command) -> &'static str {
        super::coverage::call_command(command)
    }
}

impl Home for Campaign {
    fn kept(world: &mut World, id: Uuid) -> &mut Kept<Self> {
        world.campaigns.entry(CampaignId(id)).or_default()
    }

    fn watch(w: &mut World, me: Entity, before: &Self::State, after: &Self::State, d: &Decision<Self>) {
        if before.phase.is_final() {
            assert_eq!(before, after, "a campaign that is over has changed");
        }
        if after.phase.is_final() {
            assert_eq!(Campaign::wakeup(after), None, "it is over and wants to be woken");
        }
        super::look::paces(w, CampaignId(me.id), before, d);
    }

    fn forget_if_absent(world: &mut World, id: Uuid) {
        if world.campaigns.get(&CampaignId(id)).is_some_and(|k| k.log.is_empty()) {
            world.campaigns.remove(&CampaignId(id));
        }
    }

    fn phase(state: &Self::State) -> &'static str {
        state.phase.name()
    }

    fn name(command: &Self::Command) -> &'static str {
        super::coverage::campaign_command(command)
    }
}

impl Home for Customer {
    fn kept(world: &mut World, id: Uuid) -> &mut Kept<Self> {
        world.customers.entry(CustomerId(id)).or_default()
    }

    fn forget_if_absent(world: &mut World, id: Uuid) {
        if world.customers.get(&CustomerId(id)).is_some_and(|k| k.log.is_empty()) {
            world.customers.remove(&CustomerId(id));
        }
    }

    fn phase(state: &Self::State) -> &'static str {
        state.status.name()
    }

    fn name(_: &Self::Command) -> &'static str {
        "customer"
    }
}

impl Home for Company {
    fn kept(world: &mut World, _: Uuid) -> &mut Kept<Self> {
        &mut world.book
    }

    fn watch(w: &mut World, _: Entity, before: &Self::State, after: &Self::State, _: &Decision<Self>) {
        super::look::company(w, before, after);
    }

    fn forget_if_absent(_: &mut World, _: Uuid) {}

    fn phase(state: &Self::State) -> &'static str {
        if state.created_at.is_some() { "exists" } else { "absent" }
    }

    fn name(_: &Self::Command) -> &'static str {
        "company"
    }
}

/// Rows by their encoded name, so that every walk over them has one order.
#[derive(Default)]
pub struct Rows(BTreeMap<Vec<u8>, (RowKey, Vec<u8>)>);

impl Rows {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&RowKey, &[u8])> {
        self.0.values().map(|(key, value)| (key, value.as_slice()))
    }

    pub fn bytes(&self, key: &RowKey) -> Option<&[u8]> {
        self.0.get(&codec::encode(key)).map(|(_, value)| value.as_slice())
    }

    pub fn get<T: DeserializeOwned>(&self, key: &RowKey) -> Option<T> {
        self.bytes(key).map(|bytes| codec::decode(bytes).expect("a row reads"))
    }

    pub fn write(&mut self, write: RowWrite) {
        let at = codec::encode(&write.key);
        match write.value {
            Some(value) => drop(self.0.insert(at, (write.key, value))),
            None => drop(self.0.remove(&at)),
        }
    }

    pub fn read(&self, wanted: Vec<Fact>) -> Facts {
        let read = |fact| match fact {
            Fact::Row(key) => {
                let value = self.bytes(&key).map(<[u8]>::to_vec);
                FactValue::Row(key, value)
            }
            Fact::Ready { company, campaign, limit } => FactValue::Ready(
                Priority::ALL.iter().flat_map(|lane| self.ready(company, campaign, *lane, limit)).collect(),
            ),
        };
        Facts(wanted.into_iter().map(read).collect())
    }

    fn ready(
        &self,
        of: tandem_domain::id::CompanyId,
        id: CampaignId,
        wanted: Priority,
        limit: usize,
    ) -> Vec<ReadyEntry> {
        let mut entries: Vec<ReadyEntry> = self
            .iter()
            .filter_map(|(key, value)| match *key {
                RowKey::Ready { company, campaign, lane, due, no }
                    if (company, campaign, lane) == (of, id, wanted) =>
                {
                    let value: ReadyValue = codec::decode(value).expect("a row reads");
                    let contact = value.fresh.then(|| self.get(&RowKey::Contact { company, campaign, no }));
                    Some(ReadyEntry { lane, due, no, value, contact: contact.flatten() })
                }
                _ => None,
            })
            .collect();
        entries.sort_by_key(|e| (e.due, e.no));
        entries.truncate(limit);
        entries
    }

    /// What binds a dial of this call now.
    fn rules(&self, now: Millis, me: Entity, call: &call::State, customer: CustomerId) -> Rules {
        let company = me.company;
        let policy: Option<DialPolicy> = self.get(&RowKey::Policy { company, campaign: call.campaign });
        let open = policy.as_ref().is_some_and(|p| hours_at(now, &call.place, &p.hours, p.bounds).is_open());
        Rules {
            gate: self.get(&RowKey::Gate { company }),
            dnc: self.get(&RowKey::Dnc { company, customer }),
            consent: self.get(&RowKey::Consent { company, customer }),
            policy,
            open,
        }
    }
}
