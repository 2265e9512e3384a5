//! A node on a store in a temporary directory, and a carrier in memory.

use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tandem_actors::vault::{FileKeys, SystemEntropy};
use tandem_actors::{Clock, Handle, Node, Options, PerformError, Performer, SystemClock, Vault};
use tandem_domain::call::{self, Call};
use tandem_domain::campaign::{self, Campaign, Limits, NewContact};
use tandem_domain::carrier::{DialOutcome, End, Instruction, InstructionOutcome, Progress, Report};
use tandem_domain::company::{self, Company};
use tandem_domain::dial::Place;
use tandem_domain::effect::DialOrder;
use tandem_domain::id::{Attempt, CampaignId, CompanyId, Entity};
use tandem_domain::phone::{Number, Zone};
use tandem_domain::row::Priority;
use tandem_domain::sealed::Sealed;
use tandem_domain::time::Millis;
use tandem_domain::window::Hours;
use tandem_store::Store;
use uuid::Uuid;

/// What the carrier does with an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// Rings, is answered, ends.
    Answer,
    Busy,
    /// Takes the dial and loses the answer; says later how it went.
    LoseAnswer,
    /// Loses the dial itself.
    LoseDial,
}

type Script = Box<dyn Fn(&DialOrder) -> Act + Send + Sync>;

/// A carrier that remembers every request.
pub struct Carrier {
    /// The node that callbacks reach.
    handle: Mutex<Option<Handle>>,
    script: Script,
    pub dials: Mutex<Vec<(Attempt, Millis)>>,
    calls: Mutex<HashMap<String, (Attempt, Progress)>>,
}

impl Carrier {
    pub fn new(script: impl Fn(&DialOrder) -> Act + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Carrier {
            handle: Mutex::default(),
            script: Box::new(script),
            dials: Mutex::default(),
            calls: Mutex::default(),
        })
    }

    fn tell(self: &Arc<Self>, attempt: Attempt, sid: String, steps: Vec<Progress>) {
        let carrier = self.clone();
        tokio::spawn(async move {
            for (sequence, progress) in (0u32..).zip(steps) {
                carrier.calls.lock().insert(sid.clone(), (attempt, progress));
                let report = Report {
                    sid: sid.clone(),
                    progress,
                    sequence: Some(sequence),
                    at: None,
                    answered_by: None,
                    sip_code: None,
                    duration_s: matches!(progress, Progress::Ended(End::Completed)).then_some(7),
                };
                let Some(handle) = carrier.handle.lock().clone() else { return };
                let command = call::Command::Reported { attempt: attempt.number, report };
                let to = Entity::call(attempt.company, attempt.call);
                let _ = handle.send::<Call>(to, command, None).await;
            }
        });
    }
}

pub struct CarrierDoor(pub Arc<Carrier>);

#[async_trait]
impl Performer for CarrierDoor {
    async fn dial(&self, order: &DialOrder) -> DialOutcome {
        let Some(handle) = self.0.handle.lock().clone() else { return DialOutcome::Unknown };
        self.0.dials.lock().push((order.attempt, handle.clock().now()));
        let sid = format!("CA{}", order.attempt);
        let told = vec![Progress::Initiated, Progress::Ringing];
        match (self.0.script)(order) {
            Act::Answer => {
                let mut told = told;
                told.extend([Progress::Answered, Progress::Ended(End::Completed)]);
                self.0.tell(order.attempt, sid.clone(), told);
                DialOutcome::Accepted { sid }
            }
            Act::Busy => {
                self.0.tell(
                    order.attempt,
                    sid.clone(),
                    vec![Progress::Initiated, Progress::Ended(End::Busy)],
                );
                DialOutcome::Accepted { sid }
            }
            Act::LoseAnswer => {
                self.0.calls.lock().insert(sid, (order.attempt, Progress::Ended(End::NoAnswer)));
                DialOutcome::Unknown
            }
            Act::LoseDial => DialOutcome::Unknown,
        }
    }

    async fn instruct(&self, _: Attempt, _: &str, _: &str, _: &Instruction) -> InstructionOutcome {
        InstructionOutcome::Done
    }

    async fn fetch(&self, _: &str, sid: &str) -> Result<Option<Report>, PerformError> {
        Ok(self.0.calls.lock().get(sid).map(|(_, progress)| fetched(sid, *progress)))
    }

    async fn find(
        &self,
        attempt: Attempt,
        _: &str,
        _: &Sealed,
        _: &str,
        _: Millis,
    ) -> Result<Option<Report>, PerformError> {
        let calls = self.0.calls.lock();
        Ok(calls.iter().find(|(_, (a, _))| *a == attempt).map(|(sid, (_, p))| fetched(sid, *p)))
    }
}

fn fetched(sid: &str, progress: Progress) -> Report {
    Report {
        sid: sid.into(),
        progress,
        sequence: None,
        at: None,
        answered_by: None,
        sip_code: None,
        duration_s: None,
    }
}

pub struct World {
    pub node: Option<Node>,
    pub store: Arc<dyn Store>,
    pub carrier: Arc<Carrier>,
    pub clock: Arc<SystemClock>,
    dir: Option<tempfile::TempDir>,
}

pub const SHARDS: u16 = 8;

impl World {
    pub async fn start(carrier: Arc<Carrier>) -> World {
        Self::start_with(carrier, |_| {}).await
    }

    pub async fn start_with(carrier: Arc<Carrier>, with: impl FnOnce(&mut Options)) -> World {
        let dir = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> =
            tandem_store::embedded::Options::new(dir.path().join("data")).open().unwrap();
        // Noon in New York on a Tuesday.
        let real = SystemClock::new().now();
        let clock = Arc::new(SystemClock::simulated(1_780_416_000_000, real, 1.0));
        let mut world = World { node: None, store, carrier, clock, dir: Some(dir) };
        world.boot(with).await;
        world
    }

    async fn boot(&mut self, with: impl FnOnce(&mut Options)) {
        let vault = Vault::new(
            self.store.clone(),
            Arc::new(FileKeys::from_bytes(&[9; 32])),
            Arc::new(SystemEntropy::default()),
        );
        let door = Arc::new(CarrierDoor(self.carrier.clone()));
        let mut options = Options::new(self.store.clone(), self.clock.clone(), door, vault);
        options.shards = SHARDS;
        with(&mut options);
        let node = Node::start(options).await.unwrap();
        *self.carrier.handle.lock() = Some(node.handle().clone());
        self.node = Some(node);
    }

    /// Another node on the same store.
    pub async fn restart(&mut self) {
        self.boot(|_| {}).await;
    }

    pub fn handle(&self) -> Handle {
        self.node.as_ref().unwrap().handle().clone()
    }

    pub async fn company(&self, limits: Limits) -> CompanyId {
        let id = CompanyId(Uuid::new_v4_like());
        let secrets = self.handle().vault().new_company_secrets().unwrap();
        let settings = company::Update {
            limits: Some(limits),
            callers: Some(vec![company::Caller { number: "+15550100".into(), limits: Limits::default() }]),
            single_calls: Some(config()),
        };
        let create = company::Command::Create {
            name: "Acme".into(),
            secrets,
            settings: Box::new(settings),
            key: None,
        };
        self.handle().send::<Company>(Entity::company(id), create, None).await.unwrap();
        id
    }

    pub async fn contact(&self, company: CompanyId, n: u32) -> NewContact {
        let number = Number::from_e164(&format!("+1212555{n:04}")).unwrap();
        let vault = self.handle().vault().clone();
        let customer = vault.customer_id(company, &number).await.unwrap();
        let key = vault.person(company, customer).await.unwrap();
        NewContact {
            customer,
            phone: key.seal(number.as_e164().as_bytes()).unwrap(),
            last4: number.last4().as_bytes().try_into().unwrap(),
            place: Place::of(&number, Some(Zone::by_name("America/New_York").unwrap())),
            priority: Priority::Normal,
            person: None,
            line: n,
            new_key: key.new_key,
        }
    }

    pub async fn campaign(&self, company: CompanyId, contacts: u32, config: campaign::Config) -> CampaignId {
        let id = CampaignId(Uuid::new_v4_like());
        let to = Entity::campaign(company, id);
        let handle = self.handle();
        let create =
            campaign::Command::Create { name: "Spring".into(), config: Box::new(config), direct: false };
        handle.send::<Campaign>(to, create, None).await.unwrap();
        let mut batch = Vec::new();
        for n in 0..contacts {
            batch.push(self.contact(company, n).await);
            if batch.len() == campaign::Command::CONTACTS_MAX || n + 1 == contacts {
                let contacts = std::mem::take(&mut batch);
                handle.send::<Campaign>(to, campaign::Command::AddContacts { contacts }, None).await.unwrap();
            }
        }
        id
    }

    pub async fn campaign_state(&self, company: CompanyId, id: CampaignId) -> campaign::State {
        let read = self.handle().read::<Campaign>(Entity::campaign(company, id)).await;
        read.unwrap().unwrap().state
    }

    /// Waits until the campaign is over, or tells how it stands. Waiting times are skipped: when
    /// nothing has happened for a while, the clock moves on.
    pub async fn finished(&self, company: CompanyId, id: CampaignId) -> campaign::State {
        let entity = Entity::campaign(company, id);
        let mut watch = self.handle().watch(entity);
        let mut quiet = 0;
        for _ in 0..3_000 {
            let state = self.campaign_state(company, id).await;
            if state.phase.is_final() {
                return state;
            }
            let news = tokio::time::timeout(Duration::from_millis(50), watch.changed()).await;
            if news.is_ok() {
                quiet = 0;
                continue;
            }
            quiet += 1;
            let now = self.clock.now();
            match state.next_due {
                Some(due) if state.in_flight == 0 && due > now => self.clock.skip(due - now),
                // Calls that wait for their carrier look after themselves in seconds.
                _ if quiet > 4 => self.clock.skip(5_000),
                _ => {}
            }
        }
        panic!("not finished: {:?}", self.campaign_state(company, id).await);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.node.take());
        drop(self.dir.take());
    }
}

pub fn config() -> campaign::Config {
    let mut config = campaign::Config {
        hours: Hours::always(),
        gap_ms: 0,
        person_attempts_a_day: 0,
        limits: Limits { concurrency: 16, milli_cps: 0, attempts_a_day: 0 },
        callers: vec!["+15550100".into()],
        ..campaign::Config::default()
    };
    config.plan.agent.agent_id = "agent_1".into();
    config.bounds.federal = false;
    config.bounds.state = false;
    config
}

trait Fresh {
    fn new_v4_like() -> Self;
}

impl Fresh for Uuid {
    fn new_v4_like() -> Self {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Uuid::new_v5(&Uuid::NAMESPACE_OID, &NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes())
    }
}
