//! Whole campaigns against the simulated carrier and agent, over real sockets on both sides.

use super::line::STUCK;
use super::world::{account, configured, place};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tandem::edge::{self, CarrierPerformer, Carriers, EdgeOptions, Running, Urls};
use tandem_actors::vault::{FileKeys, SystemEntropy};
use tandem_actors::{Clock, Handle, Node, Options, SystemClock, Vault, query};
use tandem_domain::agent::Speaker;
use tandem_domain::call;
use tandem_domain::id::CompanyId;
use tandem_domain::retry::Disposition;
use tandem_providers::Secret;
use tandem_providers::elevenlabs::{self, ElevenLabs};
use tandem_providers::twilio::{self, Credentials, Twilio};
use tandem_simulator::scenario::{Attempt, Number};
use tandem_simulator::{AgentFault, Fault, Options as SimOptions, Person, Scenario, Simulator};
use tandem_store::Store;
use tokio::net::TcpListener;

const SIM_TOKEN: &str = "sim-token";
const XI: &str = "sim-xi";

pub struct Whole {
    pub sim: tandem_simulator::Running,
    pub edge: Option<Running>,
    node: Option<Node>,
    pub store: Arc<dyn Store>,
    urls: Urls,
    agent: Arc<ElevenLabs>,
    account_sid: String,
    _dir: tempfile::TempDir,
}

struct SimulatedClock(Arc<SystemClock>);

impl tandem_simulator::Clock for SimulatedClock {
    fn now_ms(&self) -> i64 {
        self.0.now()
    }
}

impl Whole {
    /// `speed`: simulated seconds in a real one.
    async fn start(numbers: Vec<Number>, speed: f64) -> Whole {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let public = listener.local_addr().expect("bound");
        Whole::start_at(numbers, speed, listener, public).await
    }

    /// The carrier reaches the edge, which has this listener, at another address.
    pub async fn start_at(
        numbers: Vec<Number>,
        speed: f64,
        listener: TcpListener,
        public: SocketAddr,
    ) -> Whole {
        let real = SystemClock::new().now();
        let clock = Arc::new(SystemClock::simulated(1_780_416_000_000, real, speed));
        let account_sid = SimOptions::default().account_sid;
        let sim = Simulator::start(SimOptions {
            auth_token: SIM_TOKEN.into(),
            xi_api_key: XI.into(),
            speed,
            mix: Scenario { numbers, ..Scenario::default() },
            clock: Arc::new(SimulatedClock(clock.clone())),
            ..SimOptions::default()
        })
        .await
        .expect("a simulator");
        let dir = tempfile::tempdir().expect("a directory");
        let store: Arc<dyn Store> =
            tandem_store::embedded::Options::new(dir.path().join("data")).open().expect("a store");
        let vault = Vault::new(
            store.clone(),
            Arc::new(FileKeys::from_bytes(&[7; 32])),
            Arc::new(SystemEntropy::default()),
        );
        let urls: Urls = format!("http://{public}").parse().expect("a URL");
        let mut twilio = twilio::Options::new(&account_sid, Credentials::AuthToken(Secret::from(SIM_TOKEN)));
        twilio.base_url = sim.carrier_url.clone();
        let carrier = Twilio::new(twilio).expect("an adapter");
        let carriers = Carriers::from([("twilio".to_owned(), Arc::new(carrier) as _)]);
        let performer =
            CarrierPerformer::new(carriers, configured(), urls.clone(), vault.clone(), store.clone());
        let mut options = Options::new(store.clone(), clock, Arc::new(performer), vault);
        options.shards = 4;
        let node = Node::start(options).await.expect("a node");
        let mut agent = elevenlabs::Options::new(Secret::from(XI));
        agent.base_url = sim.agent_url.clone();
        agent.ready_timeout = Duration::from_millis(500);
        let agent = Arc::new(ElevenLabs::new(agent).expect("an adapter"));
        let mut whole =
            Whole { sim, edge: None, node: Some(node), store, urls, agent, account_sid, _dir: dir };
        whole.edge = Some(whole.serve(listener).await);
        whole
    }

    /// An edge over the same calls, as each node has one.
    pub async fn serve(&self, listener: TcpListener) -> Running {
        let address = listener.local_addr().expect("bound");
        let mut options = EdgeOptions::new(address, self.urls.clone(), self.handle().clone());
        options.listener = Some(listener);
        options.limits.agent_patience = Duration::from_secs(3);
        options.limits.last_word_max = Duration::from_secs(2);
        options.accounts = vec![account("twilio", &self.account_sid, SIM_TOKEN)];
        options.agents.insert("elevenlabs".into(), self.agent.clone().into());
        edge::serve(options).await.expect("an edge")
    }

    pub fn handle(&self) -> &Handle {
        self.node.as_ref().expect("running").handle()
    }

    /// Calls this number and waits for the call's final disposition.
    pub async fn call(&self, to: &str) -> (CompanyId, call::State, Vec<(Speaker, String)>) {
        let (company, customer) = place(self.handle(), to, |config| {
            config.plan.agent.first_message = None;
            config.plan.retry = tandem_domain::retry::Unchecked {
                attempts_max: 1,
                schedule_ms: Vec::new(),
                retried: Default::default(),
                busy_delay_ms: None,
                jitter_permille: 0,
            }
            .check()
            .expect("a policy");
        })
        .await;
        let ended = async {
            loop {
                let list = query::CallList::Customer(customer);
                let page = query::calls(&*self.store, company, list, (None, None), None, 10).await;
                if let Some(row) =
                    page.expect("a list").items.into_iter().find(|row| row.state.ended.is_some())
                {
                    return row;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let row = match tokio::time::timeout(STUCK, ended).await {
            Ok(row) => row,
            Err(_) => panic!("the call to {to} does not end: {:?}", self.sim.log.summary()),
        };
        let key = self.handle().vault().person(company, customer).await.expect("a key");
        let page = query::turns(&*self.store, company, row.id, None, 500).await.expect("turns");
        let said = page.items.iter().map(|turn| (turn.speaker, key.open_text(&turn.text).expect("sealed")));
        (company, row.state, said.collect())
    }

    pub async fn shutdown(mut self) {
        self.edge.take().expect("running").shutdown(Duration::from_secs(1)).await;
        self.sim.shutdown().await;
    }
}

pub fn number(to: &str, person: Person, faults: &[Fault]) -> Number {
    let attempt = Attempt {
        person: Some(person),
        faults: faults.to_vec(),
        rings: Some(1),
        turns: Some(3),
        hangs_up: Some(false),
    };
    Number { number: to.into(), attempts: vec![attempt], posts: Vec::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_and_an_agent_talk_to_the_end() {
    let to = "+12125550101";
    let world = Whole::start(vec![number(to, Person::Human, &[])], 20.0).await;
    let (_, state, said) = world.call(to).await;
    assert_eq!(state.ended.expect("ended").disposition, Disposition::Completed);
    let agent: Vec<&str> =
        said.iter().filter(|(who, _)| *who == Speaker::Agent).map(|(_, text)| text.as_str()).collect();
    assert_eq!(agent.first().copied(), Some("Hello, do you have a minute?"), "{said:?}");
    assert_eq!(agent.last().copied(), Some("Thank you for your time. Good bye."), "{said:?}");
    // The last is the answer to the agent's last question.
    assert_eq!(said.iter().filter(|(who, _)| *who == Speaker::Caller).count(), 4, "{said:?}");
    let summary = world.sim.log.summary();
    assert_eq!((summary.posts, summary.double_dials, summary.conversations), (1, 0, 1));
    assert_eq!(summary.callbacks_by_outcome.keys().collect::<Vec<_>>(), ["204"], "{summary:?}");
    assert_eq!(summary.documents_failed, 0);
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_the_carrier_do_no_harm() {
    let cases = [
        ("+12125550111", Person::Human, vec![Fault::MediaGarbage]),
        ("+12125550112", Person::Human, vec![Fault::SecondSocket]),
        ("+12125550113", Person::Human, vec![Fault::MediaCut]),
        ("+12125550114", Person::Human, vec![Fault::CallbackDoubled, Fault::CallbackReordered]),
        ("+12125550115", Person::Interrupter, vec![]),
    ];
    let numbers = cases.iter().map(|(to, person, faults)| number(to, *person, faults)).collect();
    let world = Whole::start(numbers, 40.0).await;
    for (to, _, faults) in &cases {
        let (_, state, said) = world.call(to).await;
        let disposition = state.ended.expect("ended").disposition;
        assert_eq!(disposition, Disposition::Completed, "{faults:?}");
        assert!(said.len() >= 2, "{faults:?}: {said:?}");
    }
    let summary = world.sim.log.summary();
    assert_eq!((summary.double_dials, summary.double_calls), (0, 0));
    assert_eq!(summary.second_sockets_served, 0, "{summary:?}");
    assert_eq!(summary.live_agent_conversations, 0, "every conversation with the agent is over");
    world.shutdown().await;
}

/// Whatever the agent does, the call comes to its end and nothing is left of the conversation.
#[tokio::test(flavor = "multi_thread")]
async fn faults_of_the_agent_do_no_harm() {
    let faults = [
        AgentFault::SignedUrlError,
        AgentFault::SignedUrlBusy,
        AgentFault::NeverAnswers,
        AgentFault::Close1002,
        AgentFault::Close1008,
        AgentFault::Close1011,
        AgentFault::Cut,
        AgentFault::Flood,
        AgentFault::Garbage,
        AgentFault::EndsAtOnce,
    ];
    let to = |n: usize| format!("+121255501{n:02}");
    let numbers: Vec<Number> = (0..faults.len()).map(|n| number(&to(30 + n), Person::Human, &[])).collect();
    let world = Whole::start(numbers.clone(), 80.0).await;
    for (n, fault) in faults.into_iter().enumerate() {
        let agent = tandem_simulator::scenario::Agent { faults: [(fault, 1.0)].into(), ..Default::default() };
        let scenario = Scenario { numbers: numbers.clone(), agent, ..Scenario::default() };
        world.sim.control.scenario(scenario).expect("valid");
        let (_, state, said) = world.call(&to(30 + n)).await;
        assert_eq!(state.ended.expect("ended").disposition, Disposition::Completed, "{fault:?}");
        // A person who hears a flood waits for its end.
        if fault == AgentFault::Garbage {
            assert!(said.len() >= 4, "{fault:?}: {said:?}");
        }
    }
    let over = async {
        while world.sim.log.summary().live_agent_conversations > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(STUCK, over).await.expect("every conversation with the agent is over");
    assert_eq!(world.sim.log.summary().posts, faults.len() as u64);
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_hung_up_on() {
    let to = "+12125550121";
    let world = Whole::start(vec![number(to, Person::Voicemail, &[])], 40.0).await;
    let (_, state, _) = world.call(to).await;
    assert_eq!(state.ended.expect("ended").disposition, Disposition::Voicemail);
    world.shutdown().await;
}
