//! How many requests a node takes on at once, and what is counted of them.

use super::world::{Client, World, eventually, external, reason};
use tandem::telemetry::Recorder;
use tandem_proto::v1;
use tokio_stream::StreamExt as _;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;

async fn placed(client: &Client) -> String {
    let place = v1::PlaceCallRequest { to: "+12025550143".into(), plan: Some(external()), ..<_>::default() };
    client.calls().place_call(place).await.expect("placed").into_inner().call_id
}

/// A watch that has told its first event, so that it is under way for sure.
async fn watching(client: &Client, call_id: &str) -> tonic::Streaming<v1::WatchCallResponse> {
    let request = v1::WatchCallRequest { call_id: call_id.into(), keep_open: true, ..<_>::default() };
    let mut stream = client.calls().watch_call(request).await.expect("watching").into_inner();
    stream.next().await.expect("open").expect("told");
    stream
}

async fn get(client: &Client, call_id: &str) -> Result<(), Status> {
    let request = v1::GetCallRequest { call_id: call_id.into() };
    client.calls().get_call(request).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_its_bound_a_node_refuses_at_once_whoever_asks_and_however_they_are_connected() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let call_id = placed(&client).await;
    let door = world.other_door(&client, |options| options.requests_max = 2).await;
    let (first, _second) = (watching(&door, &call_id).await, watching(&door, &call_id).await);
    let refused = get(&door, &call_id).await.expect_err("too many");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "TOO_MANY_REQUESTS"));
    let retry = refused.get_error_details().retry_info().and_then(|retry| retry.retry_delay);
    assert!(retry.is_some_and(|delay| !delay.is_zero()), "{refused:?}");
    // Nothing is looked at, not even who asks.
    let nobody = world.client("nonsense").through(&door);
    assert_eq!(get(&nobody, &call_id).await.expect_err("too many").code(), Code::ResourceExhausted);
    // Who asks whether the node lives is told.
    let health = HealthCheckRequest { service: String::new() };
    HealthClient::new(door.channel.clone()).check(health).await.expect("lives");
    // Another node has a bound of its own.
    get(&client, &call_id).await.expect("told");

    drop(first);
    eventually("there is room again", async || match get(&door, &call_id).await {
        Ok(()) => true,
        Err(refused) => {
            assert_eq!(refused.code(), Code::ResourceExhausted);
            false
        }
    })
    .await;
}

/// The value of the line that begins with this.
fn value(rendered: &str, series: &str) -> Option<f64> {
    rendered.lines().find_map(|line| line.strip_prefix(series)).and_then(|value| value.trim().parse().ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_counted_by_method_and_code_and_timed() {
    let recorder = Recorder::install().expect("the only one");
    let world = World::start().await;
    let (_, client) = world.company().await;
    let call_id = placed(&client).await;
    get(&client, &call_id).await.expect("told");
    get(&client, "01990c1e-8b1c-7cc0-9a51-0242ac120002").await.expect_err("unknown");
    get(&client, "rubbish").await.expect_err("no id");
    get(&world.client("nonsense"), &call_id).await.expect_err("no key");
    drop(watching(&client, &call_id).await);
    let series = |method: &str, code: &str| {
        format!("tandem_grpc_requests_total{{method=\"{method}\",code=\"{code}\"}}")
    };
    for (method, code) in [
        ("CallService/PlaceCall", "OK"),
        ("CallService/GetCall", "OK"),
        ("CallService/GetCall", "NOT_FOUND"),
        ("CallService/GetCall", "INVALID_ARGUMENT"),
        ("CallService/GetCall", "UNAUTHENTICATED"),
        ("CallService/WatchCall", "CANCELLED"),
    ] {
        eventually(&format!("{method} {code} is counted"), async || {
            value(&recorder.render(), &series(method, code)).is_some_and(|n| n >= 1.0)
        })
        .await;
    }
    let rendered = recorder.render();
    let timed = "tandem_grpc_request_seconds_count{method=\"CallService/GetCall\"}";
    assert!(value(&rendered, timed).is_some_and(|n| n >= 4.0), "{rendered}");
    assert!(value(&rendered, "tandem_grpc_in_flight").is_some_and(|n| n >= 0.0), "{rendered}");
}
