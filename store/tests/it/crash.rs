//! A process that is killed while it writes loses nothing that it acknowledged, and leaves nothing
//! half written.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tandem_store::conformance::counters::counter;
use tandem_store::conformance::random::Random;
use tandem_store::embedded::{Embedded, Options};
use tandem_store::{Range, Read, Store, Transaction};

/// Set for the process that writes: the data directory.
const DIR: &str = "TANDEM_STORE_CRASH_DIR";
const KILLS: u64 = 40;
const WRITERS: u64 = 8;
const HOT_ROWS: u64 = 50;

/// Small memtables, so that flushes, merges and new files of the journal are killed as well.
fn open(dir: &Path) -> Arc<Embedded> {
    Options { memtable_bytes: 150_000, ..Options::new(dir) }.open().expect("the store opens")
}

/// Rows of transaction `n`: a few, of all sizes.
fn rows(n: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut random = Random::new(n);
    let count = 1 + random.below(6);
    let row = |i: u64| {
        let bytes = match random.below(20) {
            0 => 20_000,
            1..4 => random.below(3_000),
            _ => random.below(200),
        };
        (format!("transaction/{n:08}/{i}").into_bytes(), vec![(n + i) as u8; bytes as usize])
    };
    (0..count).map(row).collect()
}

async fn write(store: &dyn Store, n: u64) {
    let mut transaction = store.begin();
    for (key, value) in rows(n) {
        transaction.set(key, value);
    }
    transaction.set(format!("done/{n:08}").into_bytes(), rows(n).len().to_string().into_bytes());
    transaction.add(b"count".to_vec(), 1);
    let hot = format!("hot/{:03}", n % HOT_ROWS);
    transaction.clear_range(format!("{hot}/").into_bytes(), format!("{hot}0").into_bytes());
    transaction.set(format!("{hot}/{n:08}").into_bytes(), n.to_string().into_bytes());
    transaction.commit().await.expect("nothing was read");
}

/// Writes transactions from several tasks and tells which are acknowledged.
async fn write_on(store: Arc<Embedded>, first: u64, until: u64, tell: fn(u64)) {
    let next = Arc::new(AtomicU64::new(first));
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let (store, next) = (store.clone(), next.clone());
            tokio::spawn(async move {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= until {
                        return;
                    }
                    write(&*store, n).await;
                    tell(n);
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("the task ends");
    }
}

fn tell_parent(n: u64) {
    // One write call for each line: a kill cannot tear it.
    let line = format!("acknowledged {n}\n");
    let told = std::io::stdout().write_all(line.as_bytes());
    told.and_then(|()| std::io::stdout().flush()).expect("the pipe is open");
}

async fn range(transaction: &mut dyn Transaction, prefix: &str) -> Vec<(String, Vec<u8>)> {
    let (begin, end) = tandem_store::tuple::prefix_range(prefix.as_bytes());
    let range = Range { begin, end, limit: usize::MAX, reverse: false };
    let rows = transaction.range(range, Read::Snapshot).await.expect("the read succeeds");
    rows.into_iter()
        .map(|(key, value)| (String::from_utf8_lossy(&key).into_owned(), value.to_vec()))
        .collect()
}

/// Every acknowledged transaction is there, every one that is there is whole, and what they have
/// in common adds up. Returns the number after the highest one.
async fn check(store: &dyn Store, acknowledged: &BTreeSet<u64>) -> u64 {
    let mut reader = store.begin();
    let done = range(&mut *reader, "done/").await;
    let done: BTreeSet<u64> = done.iter().map(|(key, _)| key[5..].parse().expect("a number")).collect();
    let lost: Vec<_> = acknowledged.difference(&done).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    let expected: Vec<_> = done.iter().flat_map(|n| rows(*n)).collect();
    let found = range(&mut *reader, "transaction/").await;
    assert_eq!(found.len(), expected.len(), "rows of torn transactions");
    for ((key, value), (expected_key, expected_value)) in found.iter().zip(&expected) {
        assert_eq!(key.as_bytes(), expected_key);
        assert!(value == expected_value, "{key} has another value");
    }
    let count = reader.get(b"count", Read::Snapshot).await.expect("the read succeeds");
    assert_eq!(counter(count), done.len() as i64, "additions");
    let hot = range(&mut *reader, "hot/").await;
    let hot_rows: BTreeSet<&str> = hot.iter().map(|(key, _)| &key[..7]).collect();
    assert_eq!(hot.len(), hot_rows.len(), "a cleared row is back: {hot:?}");
    done.last().map_or(0, |last| last + 1)
}

fn start_writer(dir: &Path) -> std::process::Child {
    let mut command = Command::new(std::env::current_exe().expect("this test has a file"));
    command.args(["--exact", "crash::a_writer_tells_what_is_acknowledged", "--nocapture"]);
    command.env(DIR, dir).stdout(Stdio::piped()).stderr(Stdio::inherit()).stdin(Stdio::null());
    command.spawn().expect("the writer starts")
}

/// Kills a writer some time after its first acknowledgement. Returns what it acknowledged.
fn kill_one(dir: &Path, random: &mut Random) -> BTreeSet<u64> {
    let mut writer = start_writer(dir);
    let mut lines = BufReader::new(writer.stdout.take().expect("a pipe")).lines();
    let mut acknowledged = BTreeSet::new();
    let mut note = |line: &str| {
        // The line of the test harness has no end when the first acknowledgement comes.
        let number = line.rsplit_once("acknowledged ").and_then(|(_, number)| number.parse::<u64>().ok());
        acknowledged.extend(number);
        number.is_some()
    };
    for line in lines.by_ref() {
        if note(&line.expect("the pipe works")) {
            break;
        }
    }
    let killer = std::thread::spawn({
        let delay = Duration::from_micros(random.below(60_000));
        move || {
            std::thread::sleep(delay);
            writer.kill().expect("killed");
            writer.wait().expect("it is gone")
        }
    });
    for line in lines {
        note(&line.expect("the pipe works"));
    }
    let status = killer.join().expect("the killer ends");
    assert!(!status.success(), "the writer ended before it was killed: {status}");
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_to_kills() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut random, mut acknowledged, mut next) = (Random::new(2024), BTreeSet::new(), 0);
    for _ in 0..KILLS {
        let told = kill_one(dir.path(), &mut random);
        assert!(told.iter().all(|n| *n >= next), "numbers go on: {told:?} after {next}");
        acknowledged.extend(told);
        // Every other time the next writer finds the directory as the kill left it.
        if random.one_in(2) {
            let store = open(dir.path());
            next = check(&*store, &acknowledged).await;
            store.close().await.expect("closes");
        }
    }
    check(&*open(dir.path()), &acknowledged).await;
    assert!(acknowledged.len() as u64 > KILLS * WRITERS, "only {} were acknowledged", acknowledged.len());
}

/// The process to be killed. Run as a test like any other, it writes a little and checks that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_tells_what_is_acknowledged() {
    if let Some(dir) = std::env::var_os(DIR) {
        let store = open(Path::new(&dir));
        let last = range(&mut *store.begin(), "done/").await.pop();
        let next = last.map_or(0, |(key, _)| key[5..].parse::<u64>().expect("a number") + 1);
        return write_on(store, next, u64::MAX, tell_parent).await;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    write_on(store.clone(), 0, 300, |_| {}).await;
    assert_eq!(check(&*store, &(0..300).collect()).await, 300);
}
