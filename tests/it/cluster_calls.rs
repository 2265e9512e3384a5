//! Live conversations of a cluster, with the simulated carrier and agent: a node that holds some of them dies, or
//! leaves, and they go on at another.

use super::cluster::{ADMIN, Node, World, free, settled};
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tandem_proto::v1;
use tandem_simulator::scenario::{Attempt, Number};
use tandem_simulator::{Options, Person, Running, Scenario, Simulator};
use tokio::net::{TcpListener, TcpStream};

const CALLER: &str = "+12025550100";
/// Simulated seconds in a second: what a cluster needs to notice a death takes real time, and so do people.
const SPEED: f64 = 1.0;
const CALLS: usize = 4;

fn phone(n: usize) -> String {
    format!("+1212555{:04}", 100 + n)
}

/// Leads to the first of these nodes that takes connections, as a load balancer does.
async fn balancer(nodes: Vec<SocketAddr>) -> (SocketAddr, Arc<Mutex<Vec<SocketAddr>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let order = Arc::new(Mutex::new(nodes));
    let targets = Arc::clone(&order);
    tokio::spawn(async move {
        while let Ok((mut carrier, _)) = listener.accept().await {
            let targets = targets.lock().clone();
            tokio::spawn(async move {
                for target in targets {
                    let Ok(mut node) = TcpStream::connect(target).await else { continue };
                    let _ = (carrier.set_nodelay(true), node.set_nodelay(true));
                    let _ = tokio::io::copy_bidirectional(&mut carrier, &mut node).await;
                    return;
                }
            });
        }
    });
    (addr, order)
}

struct Stage {
    nodes: [Node; 2],
    simulator: Running,
    key: String,
    _world: World,
}

fn settings() -> v1::CampaignSettings {
    use v1::calling_hours::{Day, Interval};
    let day = |day| Day { day, intervals: vec![Interval { open_minute: 0, close_minute: 1_440 }] };
    let none = || Some(prost_types::Duration::default());
    v1::CampaignSettings {
        plan: Some(v1::Plan {
            agent: Some(v1::Agent { agent_id: Some("agent_1".into()), ..Default::default() }),
            retry: Some(v1::RetryPolicy { attempts_max: Some(1), ..Default::default() }),
            ..Default::default()
        }),
        hours: Some(v1::CallingHours { week: (1..=7).map(day).collect(), ..Default::default() }),
        bounds: Some(v1::CallingBounds { federal: Some(false), state: Some(false), margin: none() }),
        gap: none(),
        person_attempts_per_day: Some(0),
        limits: Some(v1::Limits {
            concurrency: Some(16),
            calls_per_second: Some(0.0),
            attempts_per_day: Some(0),
        }),
        ..Default::default()
    }
}

impl Stage {
    /// Two nodes, of which the carrier reaches the first as long as it is there, and people who talk for a while.
    async fn start() -> Stage {
        let numbers = (0..CALLS).map(|n| Number {
            number: phone(n),
            attempts: vec![Attempt {
                person: Some(Person::Human),
                rings: Some(1),
                turns: Some(2),
                hangs_up: Some(false),
                ..Attempt::default()
            }],
            posts: Vec::new(),
        });
        let mix = Scenario { numbers: numbers.collect(), ..Scenario::default() };
        let simulator = Simulator::start(Options { mix, speed: SPEED, ..Options::default() }).await.unwrap();
        let world = World::new();
        let http = [free(), free()];
        let (public, _) = balancer(http.to_vec()).await;
        let defaults = Options::default();
        let config = |name: &str, http: SocketAddr| {
            let outside = format!(
                "[http]\nlisten = \"{http}\"\npublic_url = \"http://{public}\"\ndev = true\n\
                 [carriers.twilio]\ntype = \"twilio\"\naccount_sid = \"{}\"\nauth_token = \"{}\"\nbase_url = \"{}\"\n\
                 [agents.elevenlabs]\ntype = \"elevenlabs\"\napi_key = \"{}\"\nbase_url = \"{}\"\n\
                 [clock]\nspeed = {SPEED:?}\nepoch = \"2026-06-02T16:00:00Z\"\n",
                defaults.account_sid,
                defaults.auth_token,
                simulator.carrier_url,
                defaults.xi_api_key,
                simulator.agent_url,
            );
            world.config(name).replace("[http]\nlisten = \"127.0.0.1:0\"\n", &outside)
        };
        let nodes = [
            Node::start_as(&world, config("a", http[0])).await,
            Node::start_as(&world, config("b", http[1])).await,
        ];
        settled(&nodes[0], &["a", "b"]).await;
        let mut companies = v1::company_service_client::CompanyServiceClient::new(nodes[1].service(ADMIN));
        let create = v1::CreateCompanyRequest {
            name: "Acme".into(),
            caller_ids: vec![v1::CallerId { number: CALLER.into(), limits: None }],
            single_calls: Some(settings()),
            ..Default::default()
        };
        let key = companies.create_company(create).await.unwrap().into_inner().secret;
        Stage { nodes, simulator, key, _world: world }
    }

    /// Places the calls and returns once something was said in each, on both sides.
    async fn talk(&self) -> Vec<String> {
        let mut ids = Vec::new();
        for n in 0..CALLS {
            let request = v1::PlaceCallRequest {
                to: phone(n),
                idempotency_key: format!("call-{n}"),
                ..Default::default()
            };
            let placed = self.nodes[1].calls(&self.key).place_call(request).await.unwrap().into_inner();
            ids.push(placed.call_id);
        }
        for id in &ids {
            self.until(id, "something was said", |call| call.turns >= 2).await;
        }
        ids
    }

    async fn until(&self, id: &str, what: &str, so: impl Fn(&v1::Call) -> bool) -> v1::Call {
        let mut last = None;
        for _ in 0..3_000 {
            let get = v1::GetCallRequest { call_id: id.to_owned() };
            match self.nodes[1].calls(&self.key).get_call(get).await {
                Ok(answer) => {
                    let call = answer.into_inner().call.unwrap();
                    if so(&call) {
                        return call;
                    }
                    last = Some(call);
                }
                // Its owner is gone and nobody has taken over yet.
                Err(status) => assert!(
                    matches!(status.code(), tonic::Code::Unavailable | tonic::Code::DeadlineExceeded),
                    "{status:?}"
                ),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("waited in vain until {what}: {last:?}; {:?}", self.simulator.log.summary());
    }

    /// Every conversation came to its end, once.
    async fn all_end_well(&self, ids: &[String]) -> tandem_simulator::Summary {
        for id in ids {
            let call = self.until(id, "it ends", |call| call.phase() == v1::CallPhase::Ended).await;
            assert_eq!(
                (call.disposition(), call.attempts.len()),
                (v1::Disposition::Completed, 1),
                "{call:?}"
            );
        }
        let summary = self.simulator.log.summary();
        assert_eq!((summary.posts, summary.double_calls), (CALLS as u64, 0), "{summary:?}");
        assert_eq!(summary.second_sockets_served, 0, "{summary:?}");
        assert!(!summary.calls_by_hang_up.contains_key("document_failed"), "{summary:?}");
        summary
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conversations_outlive_a_node_that_dies() {
    let mut stage = Stage::start().await;
    let ids = stage.talk().await;
    let live = stage.simulator.log.summary().live_conversations;
    assert!(live > 0, "some still talk");
    stage.nodes[0].kill();
    let summary = stage.all_end_well(&ids).await;
    assert!(summary.reattached > 0, "{summary:?}");
    println!(
        "dead air in ms after the death of a node that held {} conversations and half of the shards: p50 {}, max {}",
        summary.reattached, summary.dead_air_ms_p50, summary.dead_air_ms_max
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn conversations_outlive_a_node_that_leaves() {
    let mut stage = Stage::start().await;
    let ids = stage.talk().await;
    // It lets conversations go on for two seconds; these last longer.
    stage.nodes[0].stop().await;
    let summary = stage.all_end_well(&ids).await;
    assert!(summary.reattached > 0, "{summary:?}");
    println!(
        "dead air in ms after {} conversations were handed over: p50 {}, max {}",
        summary.reattached, summary.dead_air_ms_p50, summary.dead_air_ms_max
    );
}
