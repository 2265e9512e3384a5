//! Load on the embedded engine: concurrent small transactions, each reading one row for conflicts
//! and writing a few, synced before they are acknowledged. Prints one JSON object.
//!
//! `cargo run --release -p tandem-store --example commit_load -- [--tasks N] [--seconds N]
//! [--rows N] [--value-bytes N] [--threads N] [--dir PATH]`

use hdrhistogram::Histogram;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tandem_store::embedded::Options;
use tandem_store::{Read, Store};

const SHARDS: u64 = 256;

struct Arguments {
    tasks: u64,
    seconds: u64,
    rows: u64,
    value_bytes: usize,
    threads: usize,
    dir: PathBuf,
}

fn arguments() -> Result<Arguments, String> {
    let mut parsed = Arguments {
        tasks: 64,
        seconds: 10,
        rows: 4,
        value_bytes: 200,
        threads: 2,
        dir: std::env::temp_dir(),
    };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let value = given.next().ok_or_else(|| format!("{name} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|error| format!("{name} {value}: {error}"));
        match name.as_str() {
            "--tasks" => parsed.tasks = number()?,
            "--seconds" => parsed.seconds = number()?,
            "--rows" => parsed.rows = number()?,
            "--value-bytes" => parsed.value_bytes = number()? as usize,
            "--threads" => parsed.threads = number()? as usize,
            "--dir" => parsed.dir = PathBuf::from(&value),
            other => return Err(format!("unknown argument {other}")),
        }
    }
    Ok(parsed)
}

/// Small and fast; the keys only need to be spread.
struct Xorshift(u64);

impl Xorshift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

async fn work(store: Arc<dyn Store>, task: u64, load: Arc<Load>) -> Histogram<u64> {
    let mut random = Xorshift(0x9e37_79b9_7f4a_7c15 ^ (task + 1).wrapping_mul(0xd129_42f2_7f4a_7c15));
    let mut latencies_us = Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are valid");
    while !load.stop.load(Ordering::Relaxed) {
        let entity = format!("call/{:016x}{:016x}", random.next(), random.next());
        let start = Instant::now();
        let mut transaction = store.begin();
        let epoch = format!("shard/{}/epoch", random.next() % SHARDS);
        transaction.get(epoch.as_bytes(), Read::Conflict).await.expect("the read succeeds");
        for row in 0..load.rows {
            transaction.set(format!("{entity}/{row}").into_bytes(), vec![row as u8; load.value_bytes]);
        }
        transaction.commit().await.expect("nothing conflicts");
        latencies_us.saturating_record(start.elapsed().as_micros() as u64);
        load.done.fetch_add(1, Ordering::Relaxed);
    }
    latencies_us
}

struct Load {
    stop: std::sync::atomic::AtomicBool,
    done: AtomicU64,
    rows: u64,
    value_bytes: usize,
}

/// CPU seconds of this process so far, user and system.
fn cpu_seconds() -> Option<(f64, f64)> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok().map(|ticks| ticks / 100.0);
    Some((ticks(11)?, ticks(12)?))
}

fn resident_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib / 1024)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = arguments()?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(arguments.threads).enable_all().build()?;
    let dir = tempfile::tempdir_in(&arguments.dir)?;
    let embedded = Options::new(dir.path().join("data")).open()?;
    let store: Arc<dyn Store> = embedded.clone();
    let load = Arc::new(Load {
        stop: false.into(),
        done: AtomicU64::new(0),
        rows: arguments.rows,
        value_bytes: arguments.value_bytes,
    });
    let (start, cpu, syncs) = (Instant::now(), cpu_seconds(), embedded.groups_committed());
    let (latencies_us, per_second) = runtime.block_on(async {
        let workers: Vec<_> =
            (0..arguments.tasks).map(|task| tokio::spawn(work(store.clone(), task, load.clone()))).collect();
        let mut per_second = Vec::new();
        for _ in 0..arguments.seconds {
            let before = load.done.load(Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(1)).await;
            per_second.push(load.done.load(Ordering::Relaxed) - before);
        }
        load.stop.store(true, Ordering::Relaxed);
        let mut all = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?;
        for worker in workers {
            all.add(worker.await?)?;
        }
        Ok::<_, Box<dyn std::error::Error>>((all, per_second))
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let syncs = embedded.groups_committed() - syncs;
    let cpu = cpu.zip(cpu_seconds()).map(|(before, after)| (after.0 - before.0, after.1 - before.1));
    let transactions = latencies_us.len();
    let report = serde_json::json!({
        "engine": store.engine(),
        "tasks": arguments.tasks,
        "threads": arguments.threads,
        "rows": arguments.rows,
        "value_bytes": arguments.value_bytes,
        "seconds": (seconds * 100.0).round() / 100.0,
        "transactions": transactions,
        "transactions_per_s": (transactions as f64 / seconds).round(),
        "per_second": per_second,
        "latency_us": {
            "p50": latencies_us.value_at_quantile(0.5),
            "p99": latencies_us.value_at_quantile(0.99),
            "p999": latencies_us.value_at_quantile(0.999),
            "max": latencies_us.max(),
        },
        "fsyncs": syncs,
        "transactions_per_fsync": (transactions as f64 / syncs.max(1) as f64 * 10.0).round() / 10.0,
        "cpu_us_per_transaction": cpu.map(|(user, system)| ((user + system) * 1e7 / transactions as f64).round() / 10.0),
        "cpu_seconds": cpu.map(|(user, system)| serde_json::json!({"user": user, "system": system})),
        "memory_peak_mib": resident_mib(),
    });
    println!("{}", serde_json::to_string_pretty(&report)?);
    runtime.block_on(store.close())?;
    Ok(())
}
