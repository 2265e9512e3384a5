//! A node with its edge, and a call to talk about.

use super::agent::{Provider, Talk};
use super::carrier::{Dialed, Rest};
use super::line::STUCK;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tandem::configured::Configured;
use tandem::edge::{self, Account, CarrierPerformer, Carriers, EdgeOptions, Running, Urls};
use tandem_actors::vault::{FileKeys, SystemEntropy};
use tandem_actors::{Clock, Handle, Node, Options, SystemClock, Vault, query};
use tandem_domain::agent::{Speaker, Variable};
use tandem_domain::call::{self, Call, What};
use tandem_domain::campaign::{self, Campaign, Limits, NewContact};
use tandem_domain::company::{self, Company};
use tandem_domain::dial::Place;
use tandem_domain::id::{Attempt, CampaignId, CompanyId, CustomerId, Entity};
use tandem_domain::phone::{Number, Zone};
use tandem_domain::row::{Person, Priority};
use tandem_domain::window::Hours;
use tandem_providers::Secret;
use tandem_providers::net::http::{Client, Limits as HttpLimits};
use tandem_providers::net::{Connector, Target, tls};
use tandem_providers::twilio::signature::{HEADER, Key};
use tandem_store::Store;
use tokio::sync::mpsc;
use tokio::time::timeout;
use uuid::Uuid;

/// What carriers are told; a proxy stands between it and the node's own address.
pub const PUBLIC: &str = "https://calls.example.test/voice";
pub const MEDIA: &str = "wss://calls.example.test/voice/media/v1";
pub const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
pub const TOKEN: &str = "12345";
pub const FROM: &str = "+12025550100";
pub const TO: &str = "+12125550001";

pub struct World {
    pub node: Option<Node>,
    pub edge: Option<Running>,
    pub addr: SocketAddr,
    pub rest: Arc<Rest>,
    pub dials: mpsc::UnboundedReceiver<Dialed>,
    pub provider: Arc<Provider>,
    pub talks: mpsc::UnboundedReceiver<Talk>,
    pub key: Key,
    pub store: Arc<dyn Store>,
    http: Mutex<Arc<Client>>,
    dir: Option<tempfile::TempDir>,
}

/// A call that the carrier has taken.
pub struct Taken {
    pub attempt: Attempt,
    pub customer: CustomerId,
    pub sid: String,
    pub dialed: Dialed,
}

impl Taken {
    pub fn entity(&self) -> Entity {
        Entity::call(self.attempt.company, self.attempt.call)
    }
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: String,
}

fn client(addr: SocketAddr) -> Client {
    let tls = tls::client_config(&tls::Roots::Public).expect("roots");
    let target = Target::base(&format!("http://{addr}")).expect("a URL");
    Client::new(target, Connector::new(tls, STUCK), HttpLimits::default()).expect("a client")
}

impl World {
    pub async fn start() -> World {
        World::with(|_| {}).await
    }

    pub async fn with(with: impl FnOnce(&mut EdgeOptions)) -> World {
        World::with_node(|_| {}, with).await
    }

    pub async fn with_node(
        with_node: impl FnOnce(&mut Options),
        with: impl FnOnce(&mut EdgeOptions),
    ) -> World {
        let dir = tempfile::tempdir().expect("a directory");
        let store: Arc<dyn Store> =
            tandem_store::embedded::Options::new(dir.path().join("data")).open().expect("a store");
        let vault = Vault::new(
            store.clone(),
            Arc::new(FileKeys::from_bytes(&[7; 32])),
            Arc::new(SystemEntropy::default()),
        );
        let (rest, dials) = Rest::new();
        let urls: Urls = PUBLIC.parse().expect("a URL");
        let carriers = Carriers::from([("twilio".to_owned(), rest.clone() as _)]);
        let performer =
            CarrierPerformer::new(carriers, configured(), urls.clone(), vault.clone(), store.clone());
        // Noon in New York on a Tuesday.
        let real = SystemClock::new().now();
        let clock = Arc::new(SystemClock::simulated(1_780_416_000_000, real, 1.0));
        let mut options = Options::new(store.clone(), clock, Arc::new(performer), vault);
        options.shards = 4;
        with_node(&mut options);
        let node = Node::start(options).await.expect("a node");

        let (provider, talks) = Provider::new();
        let mut options = EdgeOptions::new(([127, 0, 0, 1], 0).into(), urls, node.handle().clone());
        options.accounts = vec![account("twilio", ACCOUNT, TOKEN)];
        options.agents.insert("elevenlabs".into(), provider.clone().into());
        with(&mut options);
        let edge = edge::serve(options).await.expect("an edge");
        World {
            addr: edge.addr(),
            http: Mutex::new(Arc::new(client(edge.addr()))),
            node: Some(node),
            edge: Some(edge),
            rest,
            dials,
            provider,
            talks,
            key: Key::new(&Secret::from(TOKEN)),
            store,
            dir: Some(dir),
        }
    }

    pub fn handle(&self) -> &Handle {
        self.node.as_ref().expect("runs until it is dropped").handle()
    }

    /// A second edge over the same calls, as another node has it. From now on the carrier reaches that one.
    pub async fn second_edge(&mut self, with: impl FnOnce(&mut EdgeOptions)) -> Running {
        let urls: Urls = PUBLIC.parse().expect("a URL");
        let mut options = EdgeOptions::new(([127, 0, 0, 1], 0).into(), urls, self.handle().clone());
        options.accounts = vec![account("twilio", ACCOUNT, TOKEN)];
        options.agents.insert("elevenlabs".into(), self.provider.clone().into());
        with(&mut options);
        let edge = edge::serve(options).await.expect("an edge");
        self.reach(edge.addr());
        edge
    }

    /// From now on the carrier reaches the edge at this address.
    pub fn reach(&mut self, addr: SocketAddr) {
        self.addr = addr;
        *self.http.lock() = Arc::new(client(addr));
    }

    pub fn edge(&self) -> &Running {
        self.edge.as_ref().expect("runs until it is shut down")
    }

    /// A call to Ana, which the carrier has taken.
    pub async fn call(&mut self) -> Taken {
        self.call_with(|_| {}).await
    }

    pub async fn call_with(&mut self, with: impl FnOnce(&mut campaign::Config)) -> Taken {
        let (company, customer) = place(self.handle(), TO, with).await;
        let dialed = timeout(STUCK, self.dials.recv()).await.expect("a dial").expect("the carrier lives");
        let path = dialed.request.status_url.strip_prefix(&format!("{PUBLIC}/tw/v1/")).expect("our URL");
        let attempt: Attempt =
            path.rsplit_once("/status").expect("a status URL").0.parse().expect("an attempt");
        assert_eq!(attempt.company, company);
        let taken = Taken { attempt, customer, sid: dialed.sid.clone(), dialed };
        self.until(&taken, "the dial to be taken down", |state| state.phase != call::Phase::Dispatching)
            .await;
        taken
    }

    /// As [`World::call`], up to the connected stream and an agent that listens.
    pub async fn talking(&mut self) -> (Taken, super::line::Line, Talk) {
        let taken = self.call().await;
        let answer = self.document(&taken, &taken.sid).await;
        let (stream, _) = super::line::connects(&answer.body);
        let line = super::line::Line::begin(self, &taken.sid, &stream).await;
        let talk = self.talk().await;
        talk.ready();
        (taken, line, talk)
    }

    /// The next conversation that is opened with the agent.
    pub async fn talk(&mut self) -> Talk {
        timeout(STUCK, self.talks.recv()).await.expect("a conversation").expect("the provider lives")
    }

    pub async fn state(&self, taken: &Taken) -> call::State {
        self.handle().read::<Call>(taken.entity()).await.expect("readable").expect("a call").state
    }

    /// Waits until the call is so.
    pub async fn until(&self, taken: &Taken, what: &str, so: impl Fn(&call::State) -> bool) -> call::State {
        let mut watch = self.handle().watch(taken.entity());
        let waiting = async {
            loop {
                let state = self.state(taken).await;
                if so(&state) {
                    return state;
                }
                let _ = timeout(Duration::from_millis(50), watch.changed()).await;
            }
        };
        match timeout(STUCK, waiting).await {
            Ok(state) => state,
            Err(_) => panic!("waited in vain for {what}: {:?}", self.state(taken).await),
        }
    }

    pub async fn events(&self, taken: &Taken) -> Vec<What> {
        let events = query::events::<Call>(&*self.store, taken.entity(), 1, 500).await.expect("events");
        events.into_iter().map(|(_, event)| event.what).collect()
    }

    /// What is stored of what was said.
    pub async fn said(&self, taken: &Taken) -> Vec<(Speaker, String)> {
        let Attempt { company, call, .. } = taken.attempt;
        let key = self.handle().vault().person(company, taken.customer).await.expect("a key");
        let page = query::turns(&*self.store, company, call, None, 500).await.expect("turns");
        let open = |sealed| key.open_text(sealed).expect("sealed for this person");
        page.items.iter().map(|turn| (turn.speaker, open(&turn.text))).collect()
    }

    /// Sends a signed form to a URL that the carrier was given.
    pub async fn post(&self, url: &str, form: &[(&str, &str)]) -> Answer {
        let pairs = pairs(form);
        let signature = self.key.sign(url, &pairs);
        self.post_signed(url, form, Some(&signature)).await
    }

    pub async fn post_signed(&self, url: &str, form: &[(&str, &str)], signature: Option<&str>) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        self.send(Method::POST, url, body.into(), signature).await
    }

    pub async fn send(&self, method: Method, url: &str, body: Bytes, signature: Option<&str>) -> Answer {
        let path = url.strip_prefix("https://calls.example.test").unwrap_or(url);
        let path = path.split('#').next().unwrap_or_default();
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        let mut headers = vec![(CONTENT_TYPE, kind)];
        if let Some(signature) = signature {
            headers.push((HeaderName::from_static(HEADER), signature.parse().expect("ASCII")));
        }
        let http = Arc::clone(&self.http.lock());
        let answer = http.send(method, path, &headers, body).await.expect("an answer");
        let body = String::from_utf8(answer.body.expect("a body").to_vec()).expect("text");
        Answer { status: answer.status, body }
    }

    /// What the answered call is to do.
    pub async fn document(&self, taken: &Taken, sid: &str) -> Answer {
        self.post(&taken.dialed.request.document_url, &answered(sid)).await
    }

    /// What it is to do after the media connection of this generation.
    pub async fn again(&self, taken: &Taken, generation: u32) -> Answer {
        let again = format!("?again={generation}#");
        let url = taken.dialed.request.document_url.replace('#', &again);
        self.post(&url, &answered(&taken.sid)).await
    }

    pub async fn status(&self, taken: &Taken, sid: &str, status: &str, sequence: &str) -> Answer {
        let form = status_form(sid, status, sequence);
        self.post(&taken.dialed.request.status_url, &form).await
    }

    /// Returns once no task of the edge but the listener and the test's own connection is left.
    pub async fn quiet(&self) {
        let quiet = async {
            while self.edge().tasks() > 2 || self.edge().live().count() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let left = || (self.edge().tasks(), self.edge().live().count());
        assert!(timeout(STUCK, quiet).await.is_ok(), "tasks are left: {:?}", left());
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.edge.take());
        drop(self.node.take());
        drop(self.dir.take());
    }
}

/// What plans may name.
pub fn configured() -> Arc<Configured> {
    Arc::new(Configured::default().with_carrier("twilio", true).with_agent("elevenlabs"))
}

pub fn account(carrier: &str, sid: &str, token: &str) -> Account {
    Account { carrier: carrier.into(), account_sid: sid.into(), auth_token: Secret::from(token) }
}

pub fn pairs(form: &[(&str, &str)]) -> Vec<(String, String)> {
    form.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect()
}

pub fn status_form<'a>(sid: &'a str, status: &'a str, sequence: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("AccountSid", ACCOUNT),
        ("CallSid", sid),
        ("CallStatus", status),
        ("SequenceNumber", sequence),
        ("CallbackSource", "call-progress-events"),
    ]
}

pub fn answered(sid: &str) -> Vec<(&str, &str)> {
    vec![
        ("AccountSid", ACCOUNT),
        ("CallSid", sid),
        ("CallStatus", "in-progress"),
        ("From", FROM),
        ("To", TO),
        ("Direction", "outbound-api"),
    ]
}

/// A campaign of a company of its own that calls one person, Ana.
pub async fn place(
    handle: &Handle,
    to: &str,
    with: impl FnOnce(&mut campaign::Config),
) -> (CompanyId, CustomerId) {
    let company = CompanyId(Uuid::new_v4());
    let settings = company::Update {
        limits: Some(Limits::default()),
        callers: Some(vec![company::Caller { number: FROM.into(), limits: Limits::default() }]),
        single_calls: None,
    };
    let secrets = handle.vault().new_company_secrets().expect("secrets");
    let create =
        company::Command::Create { name: "Acme".into(), secrets, settings: Box::new(settings), key: None };
    handle.send::<Company>(Entity::company(company), create, None).await.expect("a company");
    let id = CampaignId(Uuid::new_v4());
    let campaign = Entity::campaign(company, id);
    let mut config = config();
    with(&mut config);
    let create = campaign::Command::Create { name: "Spring".into(), config: Box::new(config), direct: false };
    handle.send::<Campaign>(campaign, create, None).await.expect("a campaign");
    let contact = contact(handle, company, to).await;
    let customer = contact.customer;
    let add = campaign::Command::AddContacts { contacts: vec![contact] };
    handle.send::<Campaign>(campaign, add, None).await.expect("a contact");
    handle.send::<Campaign>(campaign, campaign::Command::Start, None).await.expect("started");
    (company, customer)
}

async fn contact(handle: &Handle, company: CompanyId, to: &str) -> NewContact {
    let number = Number::from_e164(to).expect("a number");
    let customer = handle.vault().customer_id(company, &number).await.expect("an id");
    let key = handle.vault().person(company, customer).await.expect("a key");
    let mut person = Person { name: Some("Ana".into()), ..Person::default() };
    person.variables.insert("amount".into(), Variable::Number(3.0));
    NewContact {
        customer,
        phone: key.seal(number.as_e164().as_bytes()).expect("sealed"),
        last4: number.last4().as_bytes().try_into().expect("four"),
        place: Place::of(&number, Some(Zone::by_name("America/New_York").expect("a zone"))),
        priority: Priority::Normal,
        person: Some(key.seal_value(&person).expect("sealed")),
        line: 1,
        new_key: key.new_key,
    }
}

fn config() -> campaign::Config {
    let mut config = campaign::Config {
        hours: Hours::always(),
        gap_ms: 0,
        person_attempts_a_day: 0,
        limits: Limits { concurrency: 16, milli_cps: 0, attempts_a_day: 0 },
        callers: vec![FROM.into()],
        ..campaign::Config::default()
    };
    config.plan.agent.provider = "elevenlabs".into();
    config.plan.agent.agent_id = "agent_1".into();
    config.plan.agent.first_message = Some("Hello".into());
    config.bounds.federal = false;
    config.bounds.state = false;
    config
}
