//! Candidates for the embedded engine on one workload: transitions of a few rows with random keys,
//! one sync for each batch of them. Prints a table and one JSON object for each cell.
//!
//! `cargo run --release -p tandem-store --example engines -- [--seconds N] [--dir PATH]`
//!
//! `redb` and `fjall` are driven directly, with the batch ready-made. `tandem` is this crate's
//! engine through its trait: as many concurrent transactions as the batch is large, each with a
//! conflict read, grouped by the committing thread.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tandem_store::embedded::Options;
use tandem_store::{Read, Store};

const ROWS: u64 = 4;
const VALUE_BYTES: usize = 200;
const BATCHES: [usize; 4] = [1, 16, 64, 256];
const CACHE_BYTES: usize = 128 * 1024 * 1024;

type Failure = Box<dyn std::error::Error + Send + Sync>;

struct Xorshift(u64);

impl Xorshift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Keys of about 40 bytes, those of one transition next to each other.
fn transition(random: &mut Xorshift) -> Vec<(Vec<u8>, Vec<u8>)> {
    let entity = format!("call/{:016x}{:016x}", random.next(), random.next());
    let row = |i: u64| (format!("{entity}/{i}").into_bytes(), vec![i as u8; VALUE_BYTES]);
    (0..ROWS).map(row).collect()
}

/// Transitions committed within the time.
fn redb(dir: &Path, batch: usize, time: Duration) -> Result<u64, Failure> {
    const TABLE: redb::TableDefinition<&[u8], &[u8]> = redb::TableDefinition::new("rows");
    let database = redb::Builder::new().set_cache_size(CACHE_BYTES).create(dir.join("redb"))?;
    let (mut random, start, mut done) = (Xorshift(7), Instant::now(), 0);
    while start.elapsed() < time {
        let transaction = database.begin_write()?;
        {
            let mut table = transaction.open_table(TABLE)?;
            for _ in 0..batch {
                for (key, value) in transition(&mut random) {
                    table.insert(&key[..], &value[..])?;
                }
            }
        }
        transaction.commit()?;
        done += batch as u64;
    }
    Ok(done)
}

fn fjall(dir: &Path, batch: usize, time: Duration) -> Result<u64, Failure> {
    let database = fjall::Database::builder(dir.join("fjall"))
        .cache_size(CACHE_BYTES as u64)
        .worker_threads(2)
        .manual_journal_persist(true)
        .open()?;
    let options = || fjall::KeyspaceCreateOptions::default().max_memtable_size(32 * 1024 * 1024);
    let rows = database.keyspace("rows", options)?;
    let (mut random, start, mut done) = (Xorshift(7), Instant::now(), 0);
    while start.elapsed() < time {
        let mut group = database.batch().durability(Some(fjall::PersistMode::SyncData));
        for _ in 0..batch {
            for (key, value) in transition(&mut random) {
                group.insert(&rows, key, value);
            }
        }
        group.commit()?;
        done += batch as u64;
    }
    Ok(done)
}

fn tandem(dir: &Path, batch: usize, time: Duration) -> Result<u64, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let options = Options { cache_bytes: CACHE_BYTES as u64, ..Options::new(dir.join("tandem")) };
    let store: Arc<dyn Store> = options.open()?;
    runtime.block_on(async {
        let start = Instant::now();
        let tasks: Vec<_> = (0..batch as u64)
            .map(|task| {
                let store = store.clone();
                tokio::spawn(async move {
                    let (mut random, mut done) =
                        (Xorshift((task + 7).wrapping_mul(0x9e37_79b9_7f4a_7c15)), 0);
                    while start.elapsed() < time {
                        let mut transaction = store.begin();
                        transaction.get(b"shard/epoch", Read::Conflict).await?;
                        for (key, value) in transition(&mut random) {
                            transaction.set(key, value);
                        }
                        transaction.commit().await?;
                        done += 1;
                    }
                    Ok::<u64, Failure>(done)
                })
            })
            .collect();
        let mut done = 0;
        for task in tasks {
            done += task.await??;
        }
        store.close().await?;
        Ok(done)
    })
}

/// CPU seconds of this process so far.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn main() -> Result<(), Failure> {
    let (mut seconds, mut parent) = (5u64, std::env::temp_dir());
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let value = given.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--seconds" => seconds = value.parse()?,
            "--dir" => parent = PathBuf::from(value),
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    type Run = fn(&Path, usize, Duration) -> Result<u64, Failure>;
    let candidates: [(&str, Run); 3] = [("redb", redb), ("fjall", fjall), ("tandem", tandem)];
    let mut table = format!("| transitions/s, {ROWS} rows each, by batch |");
    table.extend(BATCHES.map(|batch| format!(" {batch} |")));
    table.push_str("\n| --- | --- | --- | --- | --- |\n");
    for (name, run) in candidates {
        table.push_str(&format!("| {name} |"));
        for batch in BATCHES {
            let dir = tempfile::tempdir_in(&parent)?;
            let (start, cpu) = (Instant::now(), cpu_seconds());
            let done = run(dir.path(), batch, Duration::from_secs(seconds))?;
            let per_s = done as f64 / start.elapsed().as_secs_f64();
            let cpu_us = (cpu_seconds() - cpu) * 1e6 / done.max(1) as f64;
            table.push_str(&format!(" {per_s:.0} |"));
            let cell = serde_json::json!({
                "engine": name,
                "batch": batch,
                "transitions_per_s": per_s.round(),
                "cpu_us_per_transition": (cpu_us * 10.0).round() / 10.0,
            });
            println!("{cell}");
        }
        table.push('\n');
    }
    println!("\n{table}");
    Ok(())
}
