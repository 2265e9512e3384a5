//! Latencies, errors and the report of one workload.

use super::process::{self, Sample};
use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What one worker has seen.
pub struct Recorder {
    /// Microseconds.
    latency: Histogram<u64>,
    pub ok: u64,
    errors: BTreeMap<String, u64>,
}

impl Default for Recorder {
    fn default() -> Self {
        let latency = Histogram::new_with_bounds(1, 600_000_000, 3).expect("valid bounds");
        Recorder { latency, ok: 0, errors: BTreeMap::new() }
    }
}

impl Recorder {
    pub fn success(&mut self, took: Duration) {
        self.ok += 1;
        self.latency.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1));
    }

    pub fn failure(&mut self, error: &tonic::Status) {
        *self.errors.entry(format!("{:?}: {}", error.code(), error.message())).or_default() += 1;
    }

    pub fn merge(&mut self, other: Recorder) {
        // Same bounds, so this cannot fail.
        let _ = self.latency.add(&other.latency);
        self.ok += other.ok;
        for (error, n) in other.errors {
            *self.errors.entry(error).or_default() += n;
        }
    }

    fn quantiles(&self) -> Value {
        let ms = |us: u64| (us as f64 / 10.0).round() / 100.0;
        json!({
            "p50": ms(self.latency.value_at_quantile(0.50)),
            "p95": ms(self.latency.value_at_quantile(0.95)),
            "p99": ms(self.latency.value_at_quantile(0.99)),
            "max": ms(self.latency.max()),
            "mean": (self.latency.mean() / 10.0).round() / 100.0,
        })
    }
}

/// What is read before and after a measured phase.
pub struct Meter {
    pid: u32,
    server: Sample,
    client: Sample,
    busy_s: f64,
    started: Instant,
}

impl Meter {
    pub fn start(pid: u32) -> Self {
        Meter {
            pid,
            server: process::sample(pid),
            client: process::sample(std::process::id()),
            busy_s: process::machine_busy_s(),
            started: Instant::now(),
        }
    }

    /// The report of what has happened since. Fields are those of the peer benchmark's driver.
    pub fn report(self, workload: &'static str, recorder: &Recorder) -> Report {
        let seconds = self.started.elapsed().as_secs_f64();
        let (server, client) = (process::sample(self.pid), process::sample(std::process::id()));
        let server_cpu = server.cpu_s - self.server.cpu_s;
        let client_cpu = client.cpu_s - self.client.cpu_s;
        let other = (process::machine_busy_s() - self.busy_s - server_cpu - client_cpu).max(0.0);
        let mut fields = Map::new();
        let mut set = |name: &str, value: Value| {
            fields.insert(name.to_owned(), value);
        };
        set("target", json!("tandem"));
        set("workload", json!(workload));
        set("seconds", round(seconds));
        set("ok", json!(recorder.ok));
        set("throughput_per_s", round(recorder.ok as f64 / seconds.max(1e-9)));
        set("latency_ms", recorder.quantiles());
        set("errors", json!(recorder.errors.values().sum::<u64>()));
        set("errors_by_kind", json!(recorder.errors));
        set("server_cpu_s", round(server_cpu));
        set("server_cpu_ms_per_op", round4(server_cpu * 1e3 / recorder.ok.max(1) as f64));
        set("server_rss_mb", round(server.rss_bytes as f64 / 1048576.0));
        set("server_peak_rss_mb", round(server.peak_bytes as f64 / 1048576.0));
        set("client_cpu_s", round(client_cpu));
        set(
            "machine",
            json!({
                "cpus": process::cpus(),
                "cpu_available_s": round(seconds * process::cpus() as f64),
                // Neither the node's nor this process's: near 0 on a quiet machine.
                "other_cpu_s": round(other),
            }),
        );
        Report { fields }
    }
}

fn round(x: f64) -> Value {
    json!((x * 100.0).round() / 100.0)
}

fn round4(x: f64) -> Value {
    json!((x * 10_000.0).round() / 10_000.0)
}

/// The report of one workload.
pub struct Report {
    fields: Map<String, Value>,
}

impl Report {
    pub fn set(&mut self, name: &str, value: Value) {
        self.fields.insert(name.to_owned(), value);
    }

    pub fn print(&self, json: bool) {
        if json {
            println!("{}", Value::Object(self.fields.clone()));
            return;
        }
        for (name, value) in &self.fields {
            println!("{name:<28} {value}");
        }
        println!();
    }
}
