//! Load on the runtime alone, without any wire: distinct calls through six durable transitions.
//!
//! `cargo run --release -p tandem-actors --example lifecycle -- [CALLS] [CONCURRENCY] [SHARDS]`

#![allow(clippy::disallowed_methods, reason = "a load generator measures real time with tasks of its own")]

use async_trait::async_trait;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tandem_actors::vault::{FileKeys, SystemEntropy};
use tandem_actors::{Handle, Key, Node, Options, PerformError, Performer, SystemClock, Vault};
use tandem_domain::call::{self, Call, CarrierStep, Plan};
use tandem_domain::campaign::{Config, Limits};
use tandem_domain::carrier::{DialOutcome, Instruction, InstructionOutcome, Report};
use tandem_domain::company::{self, Company};
use tandem_domain::dial::Place;
use tandem_domain::effect::DialOrder;
use tandem_domain::id::{Attempt, CallId, CompanyId, Entity};
use tandem_domain::phone::{Number, Zone};
use tandem_domain::retry::Outcome;
use tandem_domain::row::Priority;
use tandem_domain::sealed::Sealed;
use tandem_domain::window::Hours;
use tandem_store::Store;
use uuid::Uuid;

struct Nobody;

#[async_trait]
impl Performer for Nobody {
    async fn dial(&self, _: &DialOrder) -> DialOutcome {
        DialOutcome::Unknown
    }
    async fn instruct(&self, _: Attempt, _: &str, _: &str, _: &Instruction) -> InstructionOutcome {
        InstructionOutcome::Done
    }
    async fn fetch(&self, _: &str, _: &str) -> Result<Option<Report>, PerformError> {
        Ok(None)
    }
    async fn find(
        &self,
        _: Attempt,
        _: &str,
        _: &Sealed,
        _: &str,
        _: i64,
    ) -> Result<Option<Report>, PerformError> {
        Ok(None)
    }
}

fn key(n: u64, step: u8) -> Option<Key> {
    let mut key = [step; 16];
    key[..8].copy_from_slice(&n.to_be_bytes());
    Some(Key { key, request: key })
}

async fn one(handle: &Handle, company: CompanyId, n: u64) {
    let number = Number::from_e164(&format!("+1212{:07}", 2_000_000 + n % 7_000_000)).unwrap();
    let customer = handle.vault().customer_id(company, &number).await.unwrap();
    let person = handle.vault().person(company, customer).await.unwrap();
    let call = Entity::call(company, CallId(Uuid::from_u128(u128::from(n) << 64 | 1)));
    let mut plan = Plan { carrier: Plan::EXTERNAL.into(), ..Plan::default() };
    plan.retry = tandem_domain::retry::Policy::once();
    let order = call::Order {
        customer,
        to: person.seal(number.as_e164().as_bytes()).unwrap(),
        last4: number.last4().as_bytes().try_into().unwrap(),
        place: Place::of(&number, Some(Zone::by_name("America/New_York").unwrap())),
        person: None,
        campaign: None,
        priority: Priority::Normal,
        plan,
        from: None,
        not_before: None,
        new_key: person.new_key,
    };
    let attempt = 1;
    let steps = [
        call::Command::Place(Box::new(order)),
        call::Command::Step(CarrierStep::Begin { from: String::new() }),
        call::Command::Step(CarrierStep::Ringing { attempt }),
        call::Command::Step(CarrierStep::Answered { attempt, answered_by: None }),
        call::Command::Step(CarrierStep::Talking { attempt }),
        call::Command::Step(CarrierStep::Ended { attempt, outcome: Outcome::Answered }),
    ];
    for (step, command) in (1u8..).zip(steps) {
        handle.send::<Call>(call, command, key(n, step)).await.unwrap();
    }
}

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1).filter_map(|a| a.parse::<u64>().ok());
    let calls = args.next().unwrap_or(20_000);
    let concurrency = args.next().unwrap_or(64);
    let shards = u16::try_from(args.next().unwrap_or(256)).unwrap();
    let dir = tempfile::Builder::new().tempdir_in(".").unwrap();
    let embedded = tandem_store::embedded::Options::new(dir.path()).open().unwrap();
    let store: Arc<dyn Store> = embedded.clone();
    let vault = Vault::new(
        store.clone(),
        Arc::new(FileKeys::from_bytes(&[1; 32])),
        Arc::new(SystemEntropy::default()),
    );
    let mut options = Options::new(store, Arc::new(SystemClock::new()), Arc::new(Nobody), vault);
    options.shards = shards;
    let node = Node::start(options).await.unwrap();
    let handle = node.handle().clone();
    let company = CompanyId(Uuid::from_u128(42));
    let mut config = Config { hours: Hours::always(), ..Config::default() };
    config.bounds.federal = false;
    config.bounds.state = false;
    let create = company::Command::Create {
        name: "bench".into(),
        secrets: handle.vault().new_company_secrets().unwrap(),
        settings: Box::new(company::Update {
            limits: Some(Limits::default()),
            callers: None,
            single_calls: Some(config),
        }),
        key: None,
    };
    handle.send::<Company>(Entity::company(company), create, None).await.unwrap();
    let next = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let groups = embedded.groups_committed();
    let workers: Vec<_> = (0..concurrency)
        .map(|_| {
            let (next, handle) = (next.clone(), handle.clone());
            tokio::spawn(async move {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= calls {
                        return;
                    }
                    one(&handle, company, n).await;
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let took = started.elapsed().as_secs_f64();
    println!(
        "{:.0} transitions/s, {} groups, {:?}",
        calls as f64 * 6.0 / took,
        embedded.groups_committed() - groups,
        handle.load()
    );
    node.stop().await;
}
