//! Distinct calls through six durable transitions; and empty calls to the same server.

use super::client::{CALLER_ID, Load, Tickets, phone, workers};
use super::report::{Meter, Recorder, Report};
use super::server::Server;
use super::{BenchArgs, BenchError};
use serde_json::json;
use tandem_proto::v1;
use tokio::time::Instant;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

pub const STEPS: u64 = 6;

/// The order of a call that this program dials itself.
pub fn order(prefix: &str, n: u64) -> v1::PlaceCallRequest {
    v1::PlaceCallRequest {
        to: phone(n),
        plan: Some(v1::Plan { carrier: Some("external".into()), ..Default::default() }),
        time_zone: "America/New_York".into(),
        idempotency_key: format!("{prefix}-{n}"),
        ..Default::default()
    }
}

/// What is reported of it, step by step.
pub fn step(call_id: &str, number: u64) -> v1::ReportCallRequest {
    let mut request = v1::ReportCallRequest {
        call_id: call_id.to_owned(),
        idempotency_key: format!("{call_id}/{number}"),
        attempt: 1,
        ..Default::default()
    };
    request.set_step(match number {
        1 => v1::CarrierStep::Begin,
        2 => v1::CarrierStep::Ringing,
        3 => v1::CarrierStep::Answered,
        4 => v1::CarrierStep::Talking,
        _ => v1::CarrierStep::Ended,
    });
    match number {
        1 => {
            request.from = CALLER_ID.into();
            request.attempt = 0;
        }
        5 => request.set_outcome(v1::Outcome::Answered),
        _ => {}
    }
    request
}

pub async fn run(args: &BenchArgs, calls: u64, concurrency: usize) -> Result<Report, BenchError> {
    let server = Server::start(args).await?;
    let load = Load::connect(args, &server).await?;
    let meter = Meter::start(server.pid());
    let recorder = drive(&load, calls, concurrency, STEPS).await?;
    let mut report = meter.report("lifecycle", &recorder);
    let wrong = verify(&load, calls).await?;
    report.set("verified_keys", json!(calls.min(1_000)));
    report.set("wrong_keys", json!(wrong));
    report.set("disk_mb", json!(server.data_bytes() / 1_048_576));
    Ok(report)
}

/// Takes each call through its first `steps` steps.
pub async fn drive(load: &Load, calls: u64, concurrency: usize, steps: u64) -> Result<Recorder, BenchError> {
    let tickets = Tickets::new(calls, 0);
    workers(concurrency, |worker| {
        let (mut client, tickets) = (load.calls(worker), tickets.clone());
        async move {
            let mut recorder = Recorder::default();
            while let Some((n, due)) = tickets.take().await {
                let placed = match client.place_call(order("life", n)).await {
                    Ok(placed) => placed.into_inner(),
                    Err(e) => {
                        recorder.failure(&e);
                        continue;
                    }
                };
                recorder.success(due.elapsed());
                for number in 1..steps {
                    let started = Instant::now();
                    match client.report_call(step(&placed.call_id, number)).await {
                        Ok(_) => recorder.success(started.elapsed()),
                        Err(e) => {
                            // The next step would only be refused.
                            recorder.failure(&e);
                            break;
                        }
                    }
                }
            }
            recorder
        }
    })
    .await
}

/// Calls among a thousand that are not as they should be.
async fn verify(load: &Load, calls: u64) -> Result<u64, BenchError> {
    let mut client = load.calls(0);
    let mut wrong = 0;
    let stride = usize::try_from((calls / 1_000).max(1)).unwrap_or(1);
    for n in (0..calls).step_by(stride).take(1_000) {
        // The same order answers with the call that it made.
        let placed =
            client.place_call(order("life", n)).await.map_err(|e| BenchError::of("reading back", e))?;
        let placed = placed.into_inner();
        let call = client
            .get_call(v1::GetCallRequest { call_id: placed.call_id })
            .await
            .map_err(|e| BenchError::of("reading back", e))?
            .into_inner()
            .call
            .unwrap_or_default();
        let right = placed.replayed
            && call.phase() == v1::CallPhase::Ended
            && call.disposition() == v1::Disposition::Completed
            && call.attempts.len() == 1;
        wrong += u64::from(!right);
    }
    Ok(wrong)
}

pub async fn empty(args: &BenchArgs, requests: u64, concurrency: usize) -> Result<Report, BenchError> {
    let server = Server::start(args).await?;
    let load = Load::connect(args, &server).await?;
    let tickets = Tickets::new(requests, 0);
    let meter = Meter::start(server.pid());
    let recorder = workers(concurrency, |worker| {
        let mut client = HealthClient::new(load.channels[worker % load.channels.len()].clone());
        let tickets = tickets.clone();
        async move {
            let mut recorder = Recorder::default();
            while let Some((_, due)) = tickets.take().await {
                match client.check(HealthCheckRequest::default()).await {
                    Ok(_) => recorder.success(due.elapsed()),
                    Err(e) => recorder.failure(&e),
                }
            }
            recorder
        }
    })
    .await?;
    Ok(meter.report("empty", &recorder))
}
