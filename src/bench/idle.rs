//! Memory for each live call.

use super::client::Load;
use super::report::{Meter, Report};
use super::server::Server;
use super::{BenchArgs, BenchError, lifecycle};
use serde_json::json;
use std::time::Duration;

/// Steps after which a call talks.
const TALKING: u64 = 5;

pub async fn run(args: &BenchArgs, calls: u64) -> Result<Report, BenchError> {
    let server = Server::start(args).await?;
    let load = Load::connect(args, &server).await?;
    // What the node needs with its first calls is not the calls' own.
    lifecycle::drive(&load, 1_000, 64, TALKING).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = server.memory();
    let meter = Meter::start(server.pid());
    // The first thousand are there already, and only told again.
    let recorder = lifecycle::drive(&load, calls + 1_000, 64, TALKING).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let after = server.memory();
    let mut report = meter.report("idle", &recorder);
    report.set("live_calls", json!(calls));
    let grown = after.rss_bytes.saturating_sub(before.rss_bytes);
    report.set("memory_per_live_call_bytes", json!(grown / calls.max(1)));
    report.set("note", json!("growth of the store's own bounded buffers is in it"));
    Ok(report)
}
