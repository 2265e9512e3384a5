//! The node's process is killed in the middle of a campaign, again and again, and started anew on
//! its data. Everybody ends as in an undisturbed run, and the carrier's own log shows that nobody
//! was dialed twice for an attempt.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tandem_proto::v1;
use tandem_simulator::scenario::{Attempt, Number};
use tandem_simulator::{Options, Person, Running, Scenario, Simulator};
use tandem_testing::Postgres;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

const ADMIN: &str = "an admin token for tests";
const CALLER: &str = "+12025550100";
/// Simulated seconds in a second.
const SPEED: f64 = 20.0;
const CONTACTS: usize = 36;

fn person(n: usize) -> Person {
    match n % 6 {
        0 | 1 => Person::Human,
        2 => Person::Busy,
        3 => Person::NoAnswer,
        4 => Person::Voicemail,
        _ => Person::NotInService,
    }
}

fn phone(n: usize) -> String {
    format!("+1212555{:04}", 100 + n)
}

fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// A node's process, its data, and the simulated world around it.
struct World {
    dir: tempfile::TempDir,
    config: PathBuf,
    grpc: SocketAddr,
    child: Child,
    simulator: Running,
}

fn spawn(config: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_tandem"))
        .args(["node", "--config"])
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

impl World {
    /// `store` is what stands in that table of the configuration.
    async fn start(store: &str) -> World {
        let numbers = (0..CONTACTS).map(|n| Number {
            number: phone(n),
            attempts: vec![Attempt {
                person: Some(person(n)),
                rings: Some(2),
                turns: Some(2),
                hangs_up: Some(true),
                ..Attempt::default()
            }],
            posts: Vec::new(),
        });
        let mix = Scenario { faults: BTreeMap::new(), numbers: numbers.collect(), ..Scenario::default() };
        let simulator =
            Simulator::start(Options { mix, speed: SPEED, seed: 7, ..Options::default() }).await.unwrap();
        let sid = Options::default().account_sid;
        let dir = tempfile::tempdir().unwrap();
        let (grpc, http) = (free_address(), free_address());
        let config = dir.path().join("tandem.toml");
        let text = format!(
            "[node]\ndata_dir = {data:?}\nshards = 16\ndrain = \"1s\"\n\
             [store]\n{store}\n\
             [keys]\npath = {key:?}\ncreate = true\n\
             [grpc]\nlisten = \"{grpc}\"\nadmin_token = \"{ADMIN}\"\n\
             [http]\nlisten = \"{http}\"\npublic_url = \"http://{http}\"\ndev = true\n\
             [metrics]\nenabled = false\n\
             [carriers.twilio]\ntype = \"twilio\"\naccount_sid = \"{sid}\"\nauth_token = \"{token}\"\nbase_url = \"{carrier}\"\n\
             [agents.elevenlabs]\ntype = \"elevenlabs\"\napi_key = \"{xi}\"\nbase_url = \"{agent}\"\n\
             [clock]\nspeed = {SPEED}\nepoch = \"2026-06-02T16:00:00Z\"\n",
            data = dir.path().join("data"),
            key = dir.path().join("tandem.key"),
            token = Options::default().auth_token,
            xi = Options::default().xi_api_key,
            carrier = simulator.carrier_url,
            agent = simulator.agent_url,
        );
        std::fs::write(&config, text).unwrap();
        let child = spawn(&config);
        World { dir, config, grpc, child, simulator }
    }

    /// SIGKILL to the node's process, by its handle; then another on the same data.
    fn kill_and_start(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = spawn(&self.config);
    }

    async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.grpc)).unwrap();
        for _ in 0..600 {
            if let Ok(channel) = endpoint.connect().await {
                return channel;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the node does not answer; its data is in {}", self.dir.path().display());
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn with<T>(message: T, key: &str) -> Request<T> {
    let mut request = Request::new(message);
    let value: AsciiMetadataValue = format!("Bearer {key}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

fn settings() -> v1::CampaignSettings {
    use v1::calling_hours::{Day, Interval};
    let day = |day| Day { day, intervals: vec![Interval { open_minute: 0, close_minute: 1_440 }] };
    v1::CampaignSettings {
        plan: Some(v1::Plan {
            agent: Some(v1::Agent { agent_id: Some("agent_1".into()), ..Default::default() }),
            max_duration: seconds(90),
            settle_after: seconds(60),
            retry: Some(v1::RetryPolicy {
                attempts_max: Some(3),
                schedule: vec![prost_types::Duration { seconds: 60, nanos: 0 }],
                // A dial that the kill kept from leaving ends as lost; it is tried again.
                retried_outcomes: vec![
                    v1::Outcome::Busy as i32,
                    v1::Outcome::NoAnswer as i32,
                    v1::Outcome::Lost as i32,
                    v1::Outcome::CarrierFailure as i32,
                ],
                ..Default::default()
            }),
            ..Default::default()
        }),
        hours: Some(v1::CallingHours { week: (1..=7).map(day).collect(), ..Default::default() }),
        bounds: Some(v1::CallingBounds { federal: Some(false), state: Some(false), margin: seconds(0) }),
        gap: seconds(0),
        person_attempts_per_day: Some(0),
        limits: Some(v1::Limits { concurrency: Some(8), calls_per_second: Some(0.5), ..Default::default() }),
        caller_ids: vec![CALLER.into()],
        ..Default::default()
    }
}

/// Imports, starts, and gives back the key and the campaign.
async fn begin(world: &World) -> (String, String) {
    let channel = world.channel().await;
    let mut companies = v1::company_service_client::CompanyServiceClient::new(channel.clone());
    let create = v1::CreateCompanyRequest {
        name: "Acme".into(),
        caller_ids: vec![v1::CallerId { number: CALLER.into(), limits: None }],
        single_calls: Some(v1::CampaignSettings { caller_ids: Vec::new(), ..settings() }),
        key_name: "test".into(),
        ..Default::default()
    };
    let key = companies.create_company(with(create, ADMIN)).await.unwrap().into_inner().secret;
    let mut campaigns = v1::campaign_service_client::CampaignServiceClient::new(channel);
    let create =
        v1::CreateCampaignRequest { name: "Kill".into(), settings: Some(settings()), ..Default::default() };
    let campaign_id = campaigns.create_campaign(with(create, &key)).await.unwrap().into_inner().campaign_id;
    let mut csv = String::from("phone\n");
    for n in 0..CONTACTS {
        csv.push_str(&phone(n));
        csv.push('\n');
    }
    let part = |content| v1::ImportContactsRequest { content: Some(content) };
    use v1::import_contacts_request::Content;
    let header = v1::ImportContactsHeader { campaign_id: campaign_id.clone(), ..Default::default() };
    let parts = vec![part(Content::Header(header)), part(Content::Csv(csv.into()))];
    let imported =
        campaigns.import_contacts(with(tokio_stream::iter(parts), &key)).await.unwrap().into_inner();
    assert_eq!(imported.added, CONTACTS as u64);
    let start = v1::StartCampaignRequest { campaign_id: campaign_id.clone(), ..Default::default() };
    campaigns.start_campaign(with(start, &key)).await.unwrap();
    (key, campaign_id)
}

async fn look(world: &World, key: &str, campaign_id: &str) -> Result<v1::Campaign, Status> {
    let mut campaigns = v1::campaign_service_client::CampaignServiceClient::new(world.channel().await);
    let get = v1::GetCampaignRequest { campaign_id: campaign_id.to_owned() };
    Ok(campaigns.get_campaign(with(get, key)).await?.into_inner().campaign.unwrap_or_default())
}

/// A disposition as far as it is the same in every run. A machine that hangs up by itself may have done so
/// before or after it was recognised as one, whether a node was killed or not: that is a matter of
/// milliseconds.
fn end(disposition: v1::Disposition) -> String {
    use v1::Disposition as D;
    match disposition {
        D::Completed | D::Voicemail | D::VoicemailLeft => "answered".to_owned(),
        other => other.as_str_name().to_owned(),
    }
}

/// Contacts by disposition, once the campaign is over.
async fn finish(world: &World, key: &str, campaign_id: &str) -> BTreeMap<String, u32> {
    let mut last = None;
    for _ in 0..2_400 {
        if let Ok(campaign) = look(world, key, campaign_id).await {
            if campaign.phase() == v1::CampaignPhase::Completed {
                let progress = campaign.progress.unwrap_or_default();
                assert_eq!(progress.finished as usize, CONTACTS, "nobody is forgotten");
                assert_eq!((progress.in_flight, progress.ready), (0, 0));
                let mut ends = BTreeMap::new();
                for d in progress.dispositions.iter().filter(|d| d.count > 0) {
                    *ends.entry(end(d.disposition())).or_default() += d.count;
                }
                return ends;
            }
            last = Some(campaign);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the campaign does not end: {:?}", last.and_then(|c| c.progress));
}

/// Kills the node so many times, and after every other time the server that its data is on, if there is one.
async fn run(
    kills: usize,
    server: Option<&mut Postgres>,
) -> (BTreeMap<String, u32>, tandem_simulator::Summary) {
    let store = server.as_ref().map(|server| {
        let (url, prefix) = (server.url(), server.unique_prefix());
        format!(
            "engine = \"postgresql\"\nurl = {url:?}\nprefix = {prefix:?}\n[cluster]\nlisten = \"127.0.0.1:0\""
        )
    });
    let mut world = World::start(&store.unwrap_or_default()).await;
    let (key, campaign_id) = begin(&world).await;
    let mut server = server;
    for n in 0..kills {
        tokio::time::sleep(Duration::from_millis(400 + 350 * n as u64)).await;
        match &mut server {
            Some(server) if n % 2 == 1 => {
                server.kill().await;
                server.up().await.unwrap();
            }
            _ => world.kill_and_start(),
        }
    }
    let ended = finish(&world, &key, &campaign_id).await;
    let summary = world.simulator.log.summary();
    (ended, summary)
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_a_campaign_ends_as_if_undisturbed() {
    let (expected, undisturbed) = run(0, None).await;
    assert_eq!(undisturbed.double_dials, 0);
    assert_eq!(expected.values().sum::<u32>() as usize, CONTACTS);
    let (ended, summary) = run(6, None).await;
    assert_eq!(ended, expected);
    assert_eq!(summary.double_dials, 0, "one request for each attempt");
    assert_eq!(summary.posts_without_attempt, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_postgresql_it_ends_so_too_though_node_and_server_are_killed() {
    let Some(mut server) = Postgres::start_or_skip().await else { return };
    let (ended, summary) = run(6, Some(&mut server)).await;
    assert_eq!(summary.double_dials, 0, "one request for each attempt");
    assert_eq!(summary.posts_without_attempt, 0);
    let each = u32::try_from(CONTACTS / 6).unwrap();
    let expected = [
        ("answered", 3 * each),
        ("DISPOSITION_BUSY", each),
        ("DISPOSITION_NO_ANSWER", each),
        ("DISPOSITION_INVALID_NUMBER", each),
    ];
    // Who was unlucky three times over ends as lost.
    let missing: u32 = expected.iter().map(|(end, n)| n - ended.get(*end).unwrap_or(&0).min(n)).sum();
    assert_eq!(ended.get("DISPOSITION_LOST").copied().unwrap_or_default(), missing, "{ended:?}");
    assert!(missing <= 3 && ended.values().sum::<u32>() == 6 * each, "{ended:?}");
}
