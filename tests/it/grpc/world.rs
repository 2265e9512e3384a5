//! A node with its gRPC interface on a socket, and clients of it.

use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;
use tandem::config::Secret;
use tandem::configured::Configured;
use tandem::grpc;
use tandem_actors::vault::{FileKeys, SystemEntropy};
use tandem_actors::{Clock, Handle, Node, Options, PerformError, Performer, SystemClock, Vault};
use tandem_domain::call::{Call, Command};
use tandem_domain::carrier::{
    AnsweredBy, DialOutcome, End, Instruction, InstructionOutcome, Progress, Report,
};
use tandem_domain::effect::DialOrder;
use tandem_domain::id::{Attempt, CompanyId, Entity};
use tandem_domain::sealed::Sealed;
use tandem_domain::time::Millis;
use tandem_proto::v1;
use tandem_store::Store;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::metadata::AsciiMetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Server};
use tonic::{Request, Status};
use tonic_types::StatusExt as _;

pub const ADMIN: &str = "an admin token for tests";
/// Noon in New York on a Tuesday.
pub const NOON: Millis = 1_780_416_000_000;
/// A caller id.
pub const CALLER: &str = "+12025550100";

/// Takes every dial, lets it ring, be answered by a person and end; a number that ends in 7 is busy.
struct Carrier(parking_lot::Mutex<Option<Handle>>);

struct CarrierDoor(Arc<Carrier>);

#[async_trait]
impl Performer for CarrierDoor {
    async fn dial(&self, order: &DialOrder) -> DialOutcome {
        let Some(handle) = self.0.0.lock().clone() else { return DialOutcome::Unknown };
        let key = handle.vault().person(order.attempt.company, order.customer).await;
        let to = key.and_then(|key| key.open_text(&order.to)).expect("a number");
        let sid = format!("CA{}", order.attempt);
        let end = if to.ends_with('7') { vec![End::Busy] } else { vec![] };
        let (attempt, told) = (order.attempt, sid.clone());
        tokio::spawn(async move {
            let life = match end.first() {
                Some(end) => vec![Progress::Ringing, Progress::Ended(*end)],
                None => vec![Progress::Ringing, Progress::Answered, Progress::Ended(End::Completed)],
            };
            for (sequence, progress) in (0u32..).zip(life) {
                let report = Report {
                    sid: told.clone(),
                    progress,
                    sequence: Some(sequence),
                    at: None,
                    answered_by: (progress == Progress::Answered).then_some(AnsweredBy::Human),
                    sip_code: None,
                    duration_s: None,
                };
                let to = Entity::call(attempt.company, attempt.call);
                let command = Command::Reported { attempt: attempt.number, report };
                let _ = handle.send::<Call>(to, command, None).await;
            }
        });
        DialOutcome::Accepted { sid }
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
        _: Millis,
    ) -> Result<Option<Report>, PerformError> {
        Ok(None)
    }
}

/// Puts a credential on every request.
#[derive(Clone)]
pub struct Bearer(Option<AsciiMetadataValue>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

pub type Service = InterceptedService<Channel, Bearer>;
pub type Calls = v1::call_service_client::CallServiceClient<Service>;
pub type Campaigns = v1::campaign_service_client::CampaignServiceClient<Service>;
pub type Customers = v1::customer_service_client::CustomerServiceClient<Service>;
pub type Companies = v1::company_service_client::CompanyServiceClient<Service>;

/// Somebody with a credential.
#[derive(Clone)]
pub struct Client {
    pub channel: Channel,
    bearer: Bearer,
}

impl Client {
    fn service(&self) -> Service {
        InterceptedService::new(self.channel.clone(), self.bearer.clone())
    }

    /// The same through the connection of another.
    pub fn through(&self, other: &Client) -> Client {
        Client { channel: other.channel.clone(), ..self.clone() }
    }

    pub fn calls(&self) -> Calls {
        Calls::new(self.service())
    }

    pub fn campaigns(&self) -> Campaigns {
        Campaigns::new(self.service())
    }

    pub fn customers(&self) -> Customers {
        Customers::new(self.service())
    }

    pub fn companies(&self) -> Companies {
        Companies::new(self.service())
    }
}

pub struct World {
    node: Option<Node>,
    pub clock: Arc<SystemClock>,
    channel: Channel,
    dir: Option<tempfile::TempDir>,
}

impl World {
    pub async fn start() -> World {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(with: impl FnOnce(&mut grpc::Options)) -> World {
        let dir = tempfile::tempdir().expect("a directory");
        let store: Arc<dyn Store> =
            tandem_store::embedded::Options::new(dir.path().join("data")).open().expect("a store");
        let real = SystemClock::new().now();
        let clock = Arc::new(SystemClock::simulated(NOON, real, 1.0));
        let keys = Arc::new(FileKeys::from_bytes(&[7; 32]));
        let vault = Vault::new(store.clone(), keys, Arc::new(SystemEntropy::default()));
        let carrier = Arc::new(Carrier(parking_lot::Mutex::default()));
        let mut options = Options::new(store, clock.clone(), Arc::new(CarrierDoor(carrier.clone())), vault);
        options.shards = 4;
        let node = Node::start(options).await.expect("a node");
        *carrier.0.lock() = Some(node.handle().clone());

        let channel = serve(node.handle(), with).await;
        World { node: Some(node), clock, channel, dir: Some(dir) }
    }

    /// The same node through another door.
    pub async fn other_door(&self, client: &Client, with: impl FnOnce(&mut grpc::Options)) -> Client {
        Client { channel: serve(self.handle(), with).await, ..client.clone() }
    }

    pub fn handle(&self) -> &Handle {
        self.node.as_ref().expect("runs until it is dropped").handle()
    }

    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    /// Somebody who presents this.
    pub fn client(&self, token: &str) -> Client {
        let value = (!token.is_empty()).then(|| format!("Bearer {token}").parse().expect("ASCII"));
        Client { channel: self.channel.clone(), bearer: Bearer(value) }
    }

    pub fn admin(&self) -> Client {
        self.client(ADMIN)
    }

    /// A company whose calls are made at any hour, and who holds its key.
    pub async fn company(&self) -> (CompanyId, Client) {
        let made = self.make_company(v1::CreateCompanyRequest { name: "Acme".into(), ..company() }).await;
        let id = made.company.expect("a company").company_id.parse().expect("an id");
        (id, self.client(&made.secret))
    }

    pub async fn make_company(&self, request: v1::CreateCompanyRequest) -> v1::CreateCompanyResponse {
        let made = self.admin().companies().create_company(request).await;
        let made = made.expect("made").into_inner();
        // The campaign of the single calls is made by a message, a moment later.
        let shown = made.company.as_ref().expect("a company");
        let company: CompanyId = shown.company_id.parse().expect("an id");
        let direct = tandem_domain::campaign::direct(company);
        let direct = Entity::campaign(company, direct);
        eventually("the single calls run", async || {
            let view = self.handle().read::<tandem_domain::campaign::Campaign>(direct).await;
            let view = view.expect("readable");
            view.is_some_and(|v| v.state.phase == tandem_domain::campaign::Phase::Running)
        })
        .await;
        made
    }
}

async fn serve(handle: &Handle, with: impl FnOnce(&mut grpc::Options)) -> Channel {
    let mut options = grpc::Options::new(handle.clone());
    options.configured = Arc::new(configured());
    options.admin_token = Some(Secret::new(ADMIN));
    with(&mut options);
    let router = grpc::router(options).await.expect("a router");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    let server = Server::builder().layer(router.gate).add_routes(router.routes);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let endpoint = Channel::from_shared(format!("http://{addr}")).expect("an address");
    endpoint.connect().await.expect("connected")
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.node.take());
        drop(self.dir.take());
    }
}

/// Waits for what is done by messages, within reason.
pub async fn eventually(what: &str, mut happened: impl AsyncFnMut() -> bool) {
    for _ in 0..1_000 {
        if happened().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("did not happen: {what}");
}

/// Settings under which anybody may be called at any time.
pub fn settings() -> v1::CampaignSettings {
    use v1::calling_hours::{Day, Interval};
    let day = |day: i32| Day { day, intervals: vec![Interval { open_minute: 0, close_minute: 1_440 }] };
    v1::CampaignSettings {
        plan: Some(v1::Plan {
            agent: Some(v1::Agent { agent_id: Some("agent_1".into()), ..v1::Agent::default() }),
            retry: Some(v1::RetryPolicy { attempts_max: Some(1), ..v1::RetryPolicy::default() }),
            ..v1::Plan::default()
        }),
        hours: Some(v1::CallingHours { week: (1..=7).map(day).collect(), excluded_dates: Vec::new() }),
        bounds: Some(v1::CallingBounds { federal: Some(false), state: Some(false), margin: None }),
        gap: Some(prost_types::Duration::default()),
        person_attempts_per_day: Some(0),
        limits: Some(v1::Limits {
            concurrency: Some(16),
            calls_per_second: Some(0.0),
            attempts_per_day: Some(0),
        }),
        ..v1::CampaignSettings::default()
    }
}

/// The carrier and the agent of plans that name none.
pub fn configured() -> Configured {
    Configured::default().with_carrier("twilio", true).with_agent("elevenlabs")
}

fn company() -> v1::CreateCompanyRequest {
    v1::CreateCompanyRequest {
        caller_ids: vec![v1::CallerId { number: CALLER.into(), limits: None }],
        single_calls: Some(settings()),
        ..v1::CreateCompanyRequest::default()
    }
}

/// A plan of a call that the application dials itself.
pub fn external() -> v1::Plan {
    v1::Plan { carrier: Some("external".into()), ..v1::Plan::default() }
}

/// The stable reason of an error.
pub fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("an error without a reason: {status:?}"));
    assert_eq!(info.domain, "tandem");
    info.reason.clone()
}

/// The value that an error carries under this name.
pub fn metadata(status: &Status, name: &str) -> Option<String> {
    status.get_error_details().error_info().and_then(|info| info.metadata.get(name).cloned())
}
