//! Companies, campaigns and people to begin with.

use super::World;
use proptest::prelude::*;
use tandem_domain::call::{AmdPolicy, MachineAction, Order, Plan};
use tandem_domain::campaign::{self, Config, Limits, NewContact, direct};
use tandem_domain::company::{self, Caller, Update};
use tandem_domain::dial::{Bounds, Place};
use tandem_domain::id::{CallId, CampaignId, CustomerId, Entity};
use tandem_domain::machine::Rejection;
use tandem_domain::phone::{Zone, ZoneSet};
use tandem_domain::retry::{self, Outcome, OutcomeSet};
use tandem_domain::row::Priority;
use tandem_domain::sealed::Sealed;
use tandem_domain::time::{HOUR, MINUTE, Millis, SECOND};
use tandem_domain::window::{Date, Hours};
use uuid::Uuid;

/// Caller ids that a company may own.
pub const NUMBERS: [&str; 4] = ["+12025550100", "+12025550101", "+12025550102", "+12025550103"];
/// People there are.
pub const PEOPLE: u8 = 12;

pub fn person(n: u8) -> CustomerId {
    CustomerId::from_bytes([100 + n % PEOPLE; 16])
}

/// Most live where it is day for long; one cannot be placed, one lives elsewhere.
pub fn place(n: u8) -> Place {
    let zone = |name| ZoneSet::one(Zone::by_name(name).expect("a zone"));
    let zones = match n % PEOPLE {
        0 => ZoneSet::EMPTY,
        1 => zone("Asia/Tokyo"),
        _ => zone("Europe/London"),
    };
    Place { zones, state: None }
}

pub fn phone(n: u8) -> Sealed {
    Sealed(vec![7, n % PEOPLE].into())
}

pub fn contact(n: u8, priority: Priority) -> NewContact {
    NewContact {
        customer: person(n),
        phone: phone(n),
        last4: [b'0', b'1', b'0', b'0' + n % 10],
        place: place(n),
        priority,
        person: None,
        line: u32::from(n),
        new_key: None,
    }
}

/// Any hour, no distance between attempts: for scenarios that speak of something else.
pub fn plain() -> Config {
    let mut config = Config {
        hours: Hours::always(),
        bounds: Bounds { federal: false, state: false, margin_minutes: 0 },
        gap_ms: 0,
        person_attempts_a_day: 0,
        limits: Limits { concurrency: 10, milli_cps: 0, attempts_a_day: 0 },
        callers: vec![NUMBERS[0].into()],
        ..Config::default()
    };
    config.plan.agent.agent_id = "agent".into();
    config
}

/// Always open but on so many days, beginning so many days after the start.
pub fn closed_for(from: i32, days: i32) -> Hours {
    let first: Date = "2026-01-07".parse().expect("the day of the start");
    let dates = (from..from + days).map(|n| first.plus_days(n)).collect();
    Hours::always().with_excluded(dates).expect("hours")
}

pub fn limits(concurrency: u32, milli_cps: u32, attempts_a_day: u32) -> Limits {
    Limits { concurrency, milli_cps, attempts_a_day }
}

pub fn owned(limits: &[Limits]) -> Vec<Caller> {
    NUMBERS.iter().zip(limits).map(|(n, l)| Caller { number: (*n).into(), limits: *l }).collect()
}

impl World {
    /// The company comes into being, and everything that follows from it.
    pub fn found(&mut self, limits: Limits, callers: Vec<Caller>, single_calls: Config) {
        let settings =
            Update { limits: Some(limits), callers: Some(callers), single_calls: Some(single_calls) };
        self.tell_company(company::Command::Create {
            name: "company".into(),
            secrets: vec![1],
            settings: Box::new(settings),
            key: None,
        })
        .expect("a company");
    }

    /// A company with one unlimited caller id.
    pub fn ordinary(limits: Limits) -> World {
        let mut w = World::new(1);
        w.found(limits, owned(&[Limits::default()]), plain());
        w.flow();
        w
    }

    pub fn create(&mut self, n: u8, config: Config) -> CampaignId {
        let id = CampaignId::from_bytes([10 + n; 16]);
        let create =
            campaign::Command::Create { name: format!("{n}"), config: Box::new(config), direct: false };
        self.tell_campaign(id, create).expect("a campaign");
        id
    }

    pub fn add(&mut self, id: CampaignId, people: impl IntoIterator<Item = u8>) {
        let contacts = people.into_iter().map(|n| contact(n, Priority::Normal)).collect();
        self.tell_campaign(id, campaign::Command::AddContacts { contacts }).expect("contacts");
    }

    /// A running campaign with these people.
    pub fn running(&mut self, n: u8, config: Config, people: impl IntoIterator<Item = u8>) -> CampaignId {
        let id = self.create(n, config);
        self.add(id, people);
        self.tell_campaign(id, campaign::Command::Start).expect("a start");
        self.deliver_all();
        id
    }

    pub fn order(&self, n: u8, plan: Plan, not_before: Option<Millis>, priority: Priority) -> Order {
        Order {
            customer: person(n),
            to: phone(n),
            last4: *b"0100",
            place: place(n),
            person: None,
            campaign: (!plan.is_external()).then(|| direct(self.company)),
            priority,
            plan,
            from: None,
            not_before,
            new_key: None,
        }
    }

    /// A single call.
    pub fn place(&mut self, order: Order) -> CallId {
        self.try_place(order).expect("a call")
    }

    pub fn try_place(&mut self, order: Order) -> Result<CallId, Rejection> {
        self.placed += 1;
        let id = CallId(Uuid::from_u128(0xca11_0000_0000_0000_0000_0000_0000_0000 + u128::from(self.placed)));
        self.tell_call(id, tandem_domain::call::Command::Place(Box::new(order))).map(|_| id)
    }

    pub fn direct(&self) -> Entity {
        Entity::campaign(self.company, direct(self.company))
    }
}

/// A company as it may be configured.
#[derive(Clone, Debug)]
pub struct SetUp {
    pub seed: u64,
    pub limits: Limits,
    pub callers: Vec<Limits>,
    pub single_calls: Config,
    pub campaigns: Vec<(Config, Vec<(u8, Priority)>)>,
    /// The walk begins when everybody has heard of everything.
    pub begun: bool,
}

pub fn any_limits() -> impl Strategy<Value = Limits> {
    let concurrency = prop_oneof![Just(0u32), 1..4u32, 4..12u32];
    let milli_cps = prop_oneof![3 => Just(0u32), 1 => 200..5_000u32];
    let a_day = prop_oneof![2 => Just(0u32), 1 => 1..8u32, 1 => 20..60u32];
    (concurrency, milli_cps, a_day).prop_map(|(c, r, d)| limits(c, r, d))
}

pub fn any_retry() -> impl Strategy<Value = retry::Policy> {
    let schedule = prop::collection::vec(prop_oneof![Just(MINUTE), Just(15 * MINUTE), Just(HOUR)], 1..4);
    let retried = prop_oneof![
        2 => Just(retry::Policy::default().get().retried),
        1 => Just(Outcome::ALL.into_iter().filter(|o| o.is_retryable()).collect::<OutcomeSet>()),
        1 => Just(OutcomeSet::default()),
    ];
    (1..5u16, schedule, retried, 0..500u16).prop_map(
        |(attempts_max, schedule_ms, retried, jitter_permille)| {
            retry::Unchecked {
                attempts_max,
                schedule_ms,
                retried,
                busy_delay_ms: Some(30 * SECOND),
                jitter_permille,
            }
            .check()
            .expect("a policy")
        },
    )
}

pub fn any_plan() -> impl Strategy<Value = Plan> {
    let action = prop_oneof![
        Just(MachineAction::Continue),
        Just(MachineAction::Hangup),
        Just(MachineAction::LeaveMessage { text: "call us".into(), language: "en-GB".into() }),
    ];
    (any_retry(), action, any::<bool>()).prop_map(|(retry, on_machine, unknown_is_human)| {
        let mut plan = plain().plan;
        plan.retry = retry;
        plan.amd = AmdPolicy { on_machine, unknown_is_human, ..AmdPolicy::default() };
        plan.settle_ms = 5 * MINUTE;
        plan.max_duration_s = 300;
        plan
    })
}

pub fn any_config() -> impl Strategy<Value = Config> {
    let hours = prop_oneof![
        6 => Just(Hours::always()),
        2 => Just(Hours::default()),
        1 => (0..3i32, 1..30i32).prop_map(|(from, days)| closed_for(from, days)),
    ];
    let gap = prop_oneof![2 => Just(0), 1 => Just(10 * MINUTE), 1 => Just(4 * HOUR)];
    let a_day = prop_oneof![2 => Just(0u16), 1 => 1..4u16];
    let callers = prop::sample::subsequence(NUMBERS.to_vec(), 1..=3);
    let consent = prop::bool::weighted(0.1);
    (any_plan(), hours, gap, a_day, callers, any_limits(), consent).prop_map(
        |(plan, hours, gap_ms, person_attempts_a_day, callers, limits, consent_required)| Config {
            plan,
            hours,
            bounds: Bounds::default(),
            gap_ms,
            person_attempts_a_day,
            consent_required,
            limits,
            callers: callers.into_iter().map(String::from).collect(),
        },
    )
}

pub fn any_priority() -> impl Strategy<Value = Priority> {
    prop::sample::select(Priority::ALL.to_vec())
}

pub fn any_setup() -> impl Strategy<Value = SetUp> {
    let people = prop::collection::vec((0..PEOPLE, any_priority()), 1..8);
    let campaigns = prop::collection::vec((any_config(), people), 1..4);
    let callers = prop::collection::vec(any_limits(), 2..=4);
    let begun = prop::bool::weighted(0.7);
    (any::<u64>(), any_limits(), callers, any_config(), campaigns, begun).prop_map(
        |(seed, limits, callers, single_calls, campaigns, begun)| SetUp {
            seed,
            limits,
            callers,
            single_calls,
            campaigns,
            begun,
        },
    )
}

impl SetUp {
    pub fn build(&self) -> World {
        let mut w = World::new(self.seed);
        w.found(self.limits, owned(&self.callers), self.single_calls.clone());
        for (n, (config, people)) in (0u8..).zip(&self.campaigns) {
            let id = w.create(n, config.clone());
            let contacts = people.iter().map(|(n, priority)| contact(*n, *priority)).collect();
            w.tell_campaign(id, campaign::Command::AddContacts { contacts }).expect("contacts");
            w.tell_campaign(id, campaign::Command::Start).expect("a start");
        }
        if self.begun {
            w.flow();
        }
        w
    }
}
