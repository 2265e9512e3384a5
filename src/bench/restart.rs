//! From the start of a node with stored calls to its first answer to a command.

use super::client::Load;
use super::report::{Meter, Recorder, Report};
use super::server::Server;
use super::{BenchArgs, BenchError, lifecycle, upsert};
use serde_json::json;

pub async fn run(args: &BenchArgs, calls: u64, times: u32) -> Result<Report, BenchError> {
    let mut server = Server::start(args).await?;
    let load = Load::connect(args, &server).await?;
    // Placed and begun: half a life, so that each call has rows of every kind.
    let filled = lifecycle::drive(&load, calls, 128, 2).await?;
    let key = load.key();
    let meter = Meter::start(server.pid());
    let mut recorder = Recorder::default();
    let mut first_ms = Vec::new();
    for n in 0..u64::from(times) {
        let started = server.kill_and_start().await?;
        let load = Load::with_key(args, &server, &key).await?;
        let mut client = load.customers(0);
        loop {
            match client.lookup(upsert::request(n, u64::MAX / 4 + n)).await {
                Ok(_) => break,
                Err(_) if started.elapsed().as_secs() < 60 => {
                    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
                }
                Err(e) => return Err(BenchError::of("the node does not come back", e)),
            }
        }
        recorder.success(started.elapsed());
        first_ms.push(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX));
    }
    let mut report = meter.report("restart", &recorder);
    // Of processes that were killed meanwhile nobody knows what they used.
    for unknown in ["server_cpu_s", "server_cpu_ms_per_op", "server_rss_mb", "server_peak_rss_mb", "machine"]
    {
        report.set(unknown, json!(null));
    }
    report.set("stored_calls", json!(calls));
    report.set("stored_transitions", json!(filled.ok));
    report.set("first_command_ms", json!(first_ms));
    report.set("disk_mb", json!(server.data_bytes() / 1_048_576));
    Ok(report)
}
