//! How long a start takes, by how much there is. `fill` writes rows and ends without closing, as if
//! killed; `open` starts, reads a row, commits one and prints one JSON object.
//!
//! `cargo run --release -p tandem-store --example restart -- fill DIR ROWS`
//! `cargo run --release -p tandem-store --example restart -- open DIR`

use std::path::Path;
use std::time::Instant;
use tandem_store::embedded::Options;
use tandem_store::{Read, Store};

const ROWS_PER_TRANSACTION: u64 = 1_000;
const VALUE_BYTES: usize = 200;

/// Spread over the key space, and the same every time.
fn key(n: u64) -> Vec<u8> {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    format!("call/{z:016x}{n:016x}/state").into_bytes()
}

async fn fill(dir: &Path, rows: u64) -> Result<(), Box<dyn std::error::Error>> {
    let store = Options::new(dir).open()?;
    let start = Instant::now();
    for first in (0..rows).step_by(ROWS_PER_TRANSACTION as usize) {
        let mut transaction = store.begin();
        for n in first..rows.min(first + ROWS_PER_TRANSACTION) {
            transaction.set(key(n), vec![n as u8; VALUE_BYTES]);
        }
        transaction.commit().await?;
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{}",
        serde_json::json!({"rows": rows, "seconds": seconds, "rows_per_s": rows as f64 / seconds})
    );
    std::process::exit(0);
}

async fn open(dir: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let start = Instant::now();
    let store = Options::new(dir).open()?;
    let opened_ms = start.elapsed().as_secs_f64() * 1e3;
    let found = store.begin().get(&key(0), Read::Conflict).await?.is_some();
    let read_ms = start.elapsed().as_secs_f64() * 1e3;
    let mut transaction = store.begin();
    transaction.set(b"started".to_vec(), b"yes".to_vec());
    transaction.commit().await?;
    let committed_ms = start.elapsed().as_secs_f64() * 1e3;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let memory_kib: Option<u64> = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|text| text.split_whitespace().next()?.parse().ok());
    let report = serde_json::json!({
        "opened_ms": opened_ms,
        "first_read_ms": read_ms,
        "first_commit_ms": committed_ms,
        "found": found,
        "memory_peak_mib": memory_kib.map(|kib| kib / 1024),
    });
    println!("{report}");
    std::process::exit(0);
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["fill", dir, rows] => {
            let rows = rows.parse()?;
            runtime.block_on(fill(Path::new(dir), rows))
        }
        ["open", dir] => runtime.block_on(open(Path::new(dir))),
        _ => Err("usage: restart fill DIR ROWS | restart open DIR".into()),
    }
}
