//! What is promised elsewhere: health, reflection, and the table of errors.

use super::world::World;
use std::collections::BTreeSet;
use tandem::grpc::error::reason;
use tandem_domain::dial::Bar;
use tandem_domain::machine::Rejection;
use tonic::Request;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

#[tokio::test(flavor = "multi_thread")]
async fn health_is_told_without_a_key() {
    let world = World::start().await;
    let mut health = HealthClient::new(world.client("").channel);
    for service in ["", "tandem.v1.CallService", "tandem.v1.CampaignService"] {
        let request = HealthCheckRequest { service: service.into() };
        let told = health.check(Request::new(request)).await.expect("told").into_inner();
        assert_eq!(told.status(), ServingStatus::Serving, "{service}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reflection_lists_every_service() {
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    use tonic_reflection::pb::v1::{ListServiceResponse, ServerReflectionRequest};
    let world = World::start().await;
    let ask = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(world.client("").channel);
    let mut told = client.server_reflection_info(tokio_stream::iter([ask])).await.expect("told").into_inner();
    let answer = told.message().await.expect("told").expect("an answer").message_response;
    let Some(MessageResponse::ListServicesResponse(ListServiceResponse { service })) = answer else {
        panic!("no list: {answer:?}");
    };
    let names: BTreeSet<_> = service.into_iter().map(|s| s.name).collect();
    for name in ["CallService", "CampaignService", "CustomerService", "CompanyService"] {
        assert!(names.contains(&format!("tandem.v1.{name}")), "{names:?}");
    }
    assert!(names.contains("grpc.health.v1.Health"));
}

/// Reasons of refusals, one of each kind.
fn refusals() -> Vec<&'static str> {
    let refusals = [
        Rejection::NotFound("call"),
        Rejection::AlreadyExists,
        Rejection::IllegalTransition { state: "a", command: "b" },
        Rejection::Invalid { field: "a", why: String::new() },
        Rejection::Exhausted { what: "a", max: 1 },
        Rejection::KeyReused,
        Rejection::PersonKeyExists,
        Rejection::Stale("a"),
        Rejection::NotACallerId,
        Rejection::Internal("a"),
    ];
    let mut reasons: Vec<_> = refusals.iter().map(Rejection::reason).collect();
    reasons.extend(Bar::REASONS);
    reasons
}

/// Rows of the tables of a document: what stands between the first pair of backticks of each.
fn documented(document: &str) -> BTreeSet<&str> {
    let rows = document.lines().filter(|line| line.starts_with("| `"));
    rows.filter_map(|line| line.split('`').nth(1)).collect()
}

/// Names of metrics in the sources below a directory, as they are recorded.
fn metrics_below(directory: &std::path::Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).expect("a directory of the sources") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            metrics_below(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source");
            for kind in ["counter", "gauge", "histogram"] {
                for (_, rest) in
                    text.match_indices(&format!("metrics::{kind}!(")).map(|(at, _)| text.split_at(at))
                {
                    let name = rest.split('"').nth(1).expect("a name");
                    found.extend(name.starts_with("tandem_").then(|| name.to_owned()));
                }
            }
        }
    }
}

#[test]
fn every_metric_is_documented_and_no_other() {
    let mut recorded = BTreeSet::new();
    for part in ["src", "actors/src", "cluster/src", "store/src", "providers/src"] {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        metrics_below(&root.join(part), &mut recorded);
    }
    let document = include_str!("../../../docs/operations.md");
    let written: BTreeSet<String> =
        documented(document).into_iter().filter(|n| n.starts_with("tandem_")).map(str::to_owned).collect();
    assert_eq!(written, recorded);
}

#[test]
fn every_reason_is_documented_and_no_other() {
    let document = include_str!("../../../docs/errors.md");
    let (errors, holds) = document.split_once("## Holds").expect("a part on holds");
    let send = ["DEAD_LETTER", "STORE_FAILED", "UNAVAILABLE", "OVERLOADED"];
    let known: BTreeSet<&str> = reason::ALL.into_iter().chain(refusals()).chain(send).collect();
    assert_eq!(documented(errors), known);
    let waits = tandem::grpc::convert::hold::Wait::ALL.map(|wait| wait.reason());
    let held: BTreeSet<&str> = waits.into_iter().chain(Bar::REASONS).collect();
    assert_eq!(documented(holds), held);
}
