//! Nodes of one cluster, each on threads of its own, over one store: any of them takes any command, and any of them may
//! go or die.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tandem::config::{self, read::Base};
use tandem::node::{self, Parts};
use tandem_proto::v1;
use tandem_store::Store;
use tokio::runtime::Runtime;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

pub const ADMIN: &str = "an admin token for tests";

#[derive(Clone)]
pub struct Bearer(AsciiMetadataValue);

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

pub type Service = tonic::service::interceptor::InterceptedService<Channel, Bearer>;

/// One node, until it is dropped: then its threads stop where they are, as in a crash.
pub struct Node {
    pub grpc: SocketAddr,
    runtime: Option<Runtime>,
    running: Option<node::Running>,
}

impl Node {
    async fn start(world: &World, name: &str) -> Node {
        Node::start_as(world, world.config(name)).await
    }

    /// A node with this configuration.
    pub async fn start_as(world: &World, text: String) -> Node {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (config, _) =
            config::parse(&text, Base { directory: world.dir.path().into() }, Vec::new()).unwrap();
        let parts = Parts { store: Some(world.store.clone()), ..Parts::default() };
        let running = runtime.spawn(async move { node::start(&config, parts).await }).await.unwrap().unwrap();
        Node { grpc: running.grpc, runtime: Some(runtime), running: Some(running) }
    }

    pub fn service(&self, key: &str) -> Service {
        let bearer = Bearer(format!("Bearer {key}").parse().unwrap());
        let channel = Endpoint::from_shared(format!("http://{}", self.grpc)).unwrap().connect_lazy();
        Service::new(channel, bearer)
    }

    fn customers(&self, key: &str) -> v1::customer_service_client::CustomerServiceClient<Service> {
        v1::customer_service_client::CustomerServiceClient::new(self.service(key))
    }

    pub fn calls(&self, key: &str) -> v1::call_service_client::CallServiceClient<Service> {
        v1::call_service_client::CallServiceClient::new(self.service(key))
    }

    fn nodes(&self) -> v1::cluster_service_client::ClusterServiceClient<Service> {
        v1::cluster_service_client::ClusterServiceClient::new(self.service(ADMIN))
    }

    /// Its threads stop where they are.
    pub fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        std::mem::forget(self.running.take());
    }

    pub async fn stop(&mut self) {
        let (running, runtime) = (self.running.take().unwrap(), self.runtime.take().unwrap());
        runtime.spawn(running.stop()).await.unwrap();
        runtime.shutdown_background();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

pub struct World {
    dir: tempfile::TempDir,
    store: Arc<dyn Store>,
}

pub fn free() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

impl World {
    pub fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> =
            tandem_store::embedded::Options::new(dir.path().join("store")).open().unwrap();
        World { dir, store }
    }

    pub fn config(&self, name: &str) -> String {
        let directory = self.dir.path();
        format!(
            "[node]\nname = {name:?}\ndata_dir = {:?}\nshards = 24\ndrain = \"2s\"\n\
             [cluster]\nname = \"test\"\nlisten = \"127.0.0.1:0\"\n\
             [keys]\npath = {:?}\ncreate = true\n\
             [grpc]\nlisten = \"{}\"\nadmin_token = \"{ADMIN}\"\n\
             [http]\nlisten = \"127.0.0.1:0\"\n\
             [metrics]\nenabled = false\n\
             [carriers.null]\ntype = \"null\"\n",
            directory.join(name),
            directory.join("tandem.key"),
            free(),
        )
    }

    async fn company(&self, node: &Node) -> String {
        let mut companies = v1::company_service_client::CompanyServiceClient::new(node.service(ADMIN));
        let request = v1::CreateCompanyRequest {
            name: "Acme".into(),
            idempotency_key: "acme".into(),
            ..v1::CreateCompanyRequest::default()
        };
        companies.create_company(request).await.unwrap().into_inner().secret
    }
}

/// All shards are somewhere, evenly, at nodes of these names.
pub async fn settled(asked: &Node, names: &[&str]) {
    for _ in 0..3_000 {
        let answer = asked.nodes().get_cluster(v1::GetClusterRequest {}).await;
        if let Ok(answer) = answer {
            let mut count: BTreeMap<String, usize> = names.iter().map(|n| ((*n).to_owned(), 0)).collect();
            for owner in answer.into_inner().owners {
                *count.entry(owner.node).or_default() += 1;
            }
            let (least, most) = (count.values().min().unwrap(), count.values().max().unwrap());
            if count.len() == names.len() && most - least <= 1 {
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let last = asked.nodes().get_cluster(v1::GetClusterRequest {}).await;
    panic!("the shards never came to {names:?}: {last:?}");
}

fn phone(n: usize) -> String {
    format!("+1212555{:04}", 100 + n)
}

fn external(n: usize, key: &str) -> v1::PlaceCallRequest {
    v1::PlaceCallRequest {
        to: phone(n),
        plan: Some(v1::Plan { carrier: Some("external".into()), ..v1::Plan::default() }),
        idempotency_key: key.into(),
        ..v1::PlaceCallRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_node_takes_any_command_and_shows_it() {
    let world = World::new();
    let nodes =
        [Node::start(&world, "a").await, Node::start(&world, "b").await, Node::start(&world, "c").await];
    settled(&nodes[0], &["a", "b", "c"]).await;
    let key = world.company(&nodes[0]).await;
    for n in 0..12 {
        let [place, look, watch] = [0, 1, 2].map(|k| &nodes[(n + k) % 3]);
        let request = external(n, &format!("call-{n}"));
        let placed = place.calls(&key).place_call(request.clone()).await.unwrap().into_inner();
        let call_id = placed.call_id;
        let again = look.calls(&key).place_call(request).await.unwrap().into_inner();
        assert!(again.replayed && again.call_id == call_id);
        let get = v1::GetCallRequest { call_id: call_id.clone() };
        let got = look.calls(&key).get_call(get).await.unwrap().into_inner();
        assert_eq!(got.call.unwrap().call_id, call_id);
        // A watcher elsewhere hears what happens afterwards.
        let request = v1::WatchCallRequest { call_id: call_id.clone(), after_event: 0, keep_open: true };
        let mut events = watch.calls(&key).watch_call(request).await.unwrap().into_inner();
        assert_eq!(events.message().await.unwrap().unwrap().event.unwrap().event, 1);
        let hangup = v1::HangupCallRequest { call_id, idempotency_key: String::new() };
        place.calls(&key).hangup_call(hangup).await.unwrap();
        let next = tokio::time::timeout(Duration::from_secs(30), events.message()).await;
        assert_eq!(next.unwrap().unwrap().unwrap().event.unwrap().event, 2);
    }
    let mut calls = nodes[1].calls(&key);
    let refused = calls.get_call(v1::GetCallRequest { call_id: uuid::Uuid::new_v4().to_string() });
    assert_eq!(refused.await.unwrap_err().code(), Code::NotFound, "refusals arrive as they are");
}

/// Adds numbered notes to people through changing nodes, each until it is acknowledged; how many.
async fn write(grpc: Vec<SocketAddr>, key: String, writer: usize, stop: Arc<AtomicBool>) -> usize {
    let services: Vec<_> = grpc
        .iter()
        .map(|address| {
            let channel = Endpoint::from_shared(format!("http://{address}"))
                .unwrap()
                .connect_timeout(Duration::from_millis(300))
                .connect_lazy();
            let bearer = Bearer(format!("Bearer {key}").parse().unwrap());
            v1::customer_service_client::CustomerServiceClient::new(Service::new(channel, bearer))
        })
        .collect();
    let mut written = 0;
    let mut turn = writer;
    while !stop.load(Ordering::Relaxed) {
        let request = v1::AddNoteRequest {
            customer: Some(v1::add_note_request::Customer::Phone(phone(writer))),
            text: format!("note {written}"),
            idempotency_key: format!("{writer}/{written}"),
        };
        for _ in 0..600 {
            turn += 1;
            let mut request = Request::new(request.clone());
            request.set_timeout(Duration::from_secs(10));
            match services[turn % services.len()].clone().add_note(request).await {
                Ok(_) => break,
                Err(e) => assert!(
                    matches!(
                        e.code(),
                        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown
                    ),
                    "{e:?}"
                ),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        written += 1;
    }
    written
}

async fn notes(node: &Node, key: &str, person: usize) -> Vec<String> {
    let mut found = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::GetHistoryRequest {
            customer: Some(v1::get_history_request::Customer::Phone(phone(person))),
            page_size: 500,
            page_token,
        };
        let answer = node.customers(key).get_history(request).await.unwrap().into_inner();
        for entry in answer.entries {
            if let Some(v1::history_entry::What::NoteAdded(note)) = entry.what {
                found.push(note.text);
            }
        }
        if answer.next_page_token.is_empty() {
            return found;
        }
        page_token = answer.next_page_token;
    }
}

/// Writers at work while `change` happens; afterwards every acknowledged note is there once, in order.
async fn nothing_is_lost(
    world: &World,
    nodes: &mut [Node],
    asked: usize,
    change: impl AsyncFnOnce(&World, &mut [Node]),
) {
    const WRITERS: usize = 12;
    let key = world.company(&nodes[asked]).await;
    for person in 0..WRITERS {
        let request = v1::LookupRequest {
            phone: phone(person),
            call_id: uuid::Uuid::new_v4().to_string(),
            ..v1::LookupRequest::default()
        };
        nodes[asked].customers(&key).lookup(request).await.unwrap();
    }
    let stop = Arc::new(AtomicBool::new(false));
    let grpc: Vec<SocketAddr> = nodes.iter().map(|node| node.grpc).collect();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(grpc.clone(), key.clone(), writer, stop.clone())))
        .collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    change(world, nodes).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    stop.store(true, Ordering::Relaxed);
    for (person, writer) in writers.into_iter().enumerate() {
        let written = writer.await.unwrap();
        assert!(written > 0);
        let expected: Vec<String> = (0..written).map(|n| format!("note {n}")).collect();
        let mut found = notes(&nodes[asked], &key, person).await;
        if found.first() != expected.first() {
            found.reverse();
        }
        assert_eq!(found, expected, "of person {person}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_or_doubled_when_a_node_is_killed() {
    let world = World::new();
    let mut nodes =
        [Node::start(&world, "a").await, Node::start(&world, "b").await, Node::start(&world, "c").await];
    settled(&nodes[0], &["a", "b", "c"]).await;
    nothing_is_lost(&world, &mut nodes, 0, async |world, nodes| {
        nodes[1].kill();
        settled(&nodes[0], &["a", "c"]).await;
        nodes[1] = Node::start(world, "b").await;
        settled(&nodes[0], &["a", "b", "c"]).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_leaves_hands_everything_over() {
    let world = World::new();
    let mut nodes = [Node::start(&world, "a").await, Node::start(&world, "b").await];
    settled(&nodes[0], &["a", "b"]).await;
    nothing_is_lost(&world, &mut nodes, 0, async |_, nodes| {
        nodes[1].stop().await;
        settled(&nodes[0], &["a"]).await;
    })
    .await;
    let answer = nodes[0].nodes().get_cluster(v1::GetClusterRequest {}).await.unwrap().into_inner();
    assert_eq!(answer.nodes.len(), 1, "it is not on the list any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_see_drain_and_locate() {
    let world = World::new();
    let nodes = [Node::start(&world, "a").await, Node::start(&world, "b").await];
    settled(&nodes[0], &["a", "b"]).await;
    let key = world.company(&nodes[0]).await;
    let mut plain = v1::cluster_service_client::ClusterServiceClient::new(nodes[0].service(&key));
    let refused = plain.get_cluster(v1::GetClusterRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "a company's key is not enough");
    let company = v1::company_service_client::CompanyServiceClient::new(nodes[0].service(&key))
        .get_company(v1::GetCompanyRequest::default())
        .await
        .unwrap()
        .into_inner()
        .company
        .unwrap();
    let locate = v1::LocateEntityRequest {
        company_id: company.company_id,
        kind: v1::locate_entity_request::Kind::Company as i32,
        id: String::new(),
    };
    let [from_a, from_b] = [&nodes[0], &nodes[1]].map(|node| {
        let (mut nodes, locate) = (node.nodes(), locate.clone());
        async move { nodes.locate_entity(locate).await.unwrap().into_inner() }
    });
    assert_eq!(from_a.await, from_b.await);
    let drain = |name: &str| v1::DrainNodeRequest { name: name.into() };
    nodes[0].nodes().drain_node(drain("b")).await.unwrap();
    settled(&nodes[0], &["a"]).await;
    let answer = nodes[1].nodes().get_cluster(v1::GetClusterRequest {}).await.unwrap().into_inner();
    let b = answer.nodes.iter().find(|node| node.name == "b").unwrap();
    assert_eq!((b.state(), b.shards), (v1::cluster_node::State::Draining, 0));
    nodes[1].nodes().activate_node(v1::ActivateNodeRequest { name: "b".into() }).await.unwrap();
    settled(&nodes[1], &["a", "b"]).await;
    let nobody = nodes[0].nodes().drain_node(drain("nobody")).await.unwrap_err();
    assert_eq!(nobody.code(), Code::NotFound);
    let lives = v1::ForgetNodeRequest { name: "b".into() };
    assert_eq!(nodes[0].nodes().forget_node(lives).await.unwrap_err().code(), Code::FailedPrecondition);
}
