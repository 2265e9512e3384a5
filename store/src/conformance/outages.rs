//! Engines whose data is elsewhere: what they tell while that cannot be reached, and afterwards.

use super::Subject;
use super::counters::counter;
use super::random::Random;
use crate::{CommitError, Read, Row, StoreError};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const WRITERS: u64 = 8;
/// For commits to go on after an outage.
const RECOVERY: Duration = Duration::from_secs(40);
/// No answer may take longer, whatever has happened.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Takes the data away from the engine, and gives it back.
#[async_trait]
pub trait Outage: Send + Sync {
    async fn begin(&self);
    async fn end(&self);
}

/// What writers were told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Told {
    Committed,
    NotCommitted,
    Unknown,
}

/// How many commits were told what.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counts {
    pub committed: usize,
    pub not_committed: usize,
    pub unknown: usize,
}

#[derive(Default)]
struct Log {
    told: Mutex<BTreeMap<u64, Told>>,
    next: AtomicU64,
    committed: AtomicU64,
    stop: AtomicBool,
}

/// Rows of transaction `n`.
fn rows(s: &Subject, n: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut random = Random::new(n);
    let count = 1 + random.below(20);
    (0..count)
        .map(|i| (s.key(format!("row/{n:08}/{i:02}")), vec![n as u8; random.below(300) as usize]))
        .collect()
}

async fn write(s: &Subject, n: u64) -> Result<(), CommitError> {
    let mut transaction = s.begin();
    // Half of them on the connection that they have read with.
    if n.is_multiple_of(2) {
        transaction.get(&s.key(format!("guard/{}", n % 8)), Read::Conflict).await?;
    }
    for (key, value) in rows(s, n) {
        transaction.set(key, value);
    }
    transaction.add(s.key("count"), 1);
    transaction.add(s.key(format!("sum/{}", n % 3)), n as i64);
    if n.is_multiple_of(50) {
        transaction.set(s.key(format!("guard/{}", n % 8)), n.to_string().into_bytes());
    }
    transaction.commit().await
}

async fn write_on(s: Subject, log: Arc<Log>) {
    while !log.stop.load(Ordering::Relaxed) {
        let n = log.next.fetch_add(1, Ordering::Relaxed);
        let start = Instant::now();
        let told = match write(&s, n).await {
            Ok(()) => {
                log.committed.fetch_add(1, Ordering::Relaxed);
                Told::Committed
            }
            Err(CommitError::Unknown(_)) => Told::Unknown,
            Err(CommitError::Conflict) => Told::NotCommitted,
            Err(CommitError::Store(error)) => {
                assert!(error.is_retryable(), "an outage passes, and this does not sound so: {error}");
                Told::NotCommitted
            }
        };
        let took = start.elapsed();
        assert!(took < ANSWER_MAX, "{told:?} after {took:?}");
        log.told.lock().insert(n, told);
        if told != Told::Committed {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Waits until so many more are committed.
async fn progress(log: &Log, more: u64) {
    let (before, start) = (log.committed.load(Ordering::Relaxed), Instant::now());
    while log.committed.load(Ordering::Relaxed) < before + more {
        assert!(start.elapsed() < RECOVERY, "nothing is committed any more");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn all(s: &Subject) -> Vec<Row> {
    let start = Instant::now();
    loop {
        let (begin, end) = crate::tuple::prefix_range(&s.prefix);
        let range = crate::Range { begin, end, limit: usize::MAX, reverse: false };
        match s.begin().range(range, Read::Snapshot).await {
            Ok(rows) => return rows,
            Err(error) => assert!(error.is_retryable() && start.elapsed() < RECOVERY, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What was told to be committed is there, whole; what was told not to be is not; and counters count what is
/// there, once.
fn check(s: &Subject, stored: &[Row], told: &BTreeMap<u64, Told>) -> Counts {
    let stored: BTreeMap<&[u8], &[u8]> = stored.iter().map(|(key, value)| (&key[..], &value[..])).collect();
    let (mut counts, mut there, mut sums, mut found) = (Counts::default(), 0, [0i64; 3], 0);
    for (n, told) in told {
        let rows = rows(s, *n);
        let present = rows.iter().filter(|(key, value)| stored.get(&key[..]) == Some(&&value[..])).count();
        assert!(present == 0 || present == rows.len(), "transaction {n} is torn");
        match told {
            Told::Committed => counts.committed += 1,
            Told::NotCommitted => counts.not_committed += 1,
            Told::Unknown => counts.unknown += 1,
        }
        assert!(*told != Told::Committed || present > 0, "transaction {n} was acknowledged and is lost");
        assert!(*told != Told::NotCommitted || present == 0, "transaction {n} was refused and is there");
        if present > 0 {
            there += 1;
            found += present;
            sums[(n % 3) as usize] += *n as i64;
        }
    }
    let of = |name: &str| counter(stored.get(&s.key(name)[..]).map(|value| value.to_vec().into()));
    assert_eq!(of("count"), there, "additions of what was committed");
    assert_eq!([of("sum/0"), of("sum/1"), of("sum/2")], sums, "additions of what was committed");
    let row = s.key("row/");
    assert_eq!(stored.keys().filter(|key| key.starts_with(&row)).count(), found, "rows that nobody wrote");
    counts
}

/// Writers write on through `outages` outages of up to `outage_ms` each.
pub async fn commits_are_as_they_were_told(
    s: &Subject,
    outage: &dyn Outage,
    outages: usize,
    outage_ms: u64,
) -> Counts {
    let log = Arc::new(Log::default());
    let writers: Vec<_> = (0..WRITERS).map(|_| tokio::spawn(write_on(s.clone(), log.clone()))).collect();
    let mut random = Random::new(outage_ms + outages as u64);
    for _ in 0..outages {
        progress(&log, 20).await;
        tokio::time::sleep(Duration::from_micros(random.below(20_000))).await;
        outage.begin().await;
        tokio::time::sleep(Duration::from_millis(random.below(outage_ms))).await;
        outage.end().await;
    }
    progress(&log, 20).await;
    log.stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.expect("the writer ends");
    }
    let stored = all(s).await;
    let counts = check(s, &stored, &log.told.lock());
    // Nothing is in flight any more.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(all(s).await == stored, "something was written after the last answer");
    counts
}

/// While the data cannot be reached, whoever asks is told soon that it may be tried again; afterwards all is as
/// before. Returns the longest time that an answer took meanwhile.
pub async fn absence_is_told_and_passes(s: &Subject, outage: &dyn Outage, for_ms: u64) -> Duration {
    s.put(&[("a", "1")]).await;
    let mut before = s.begin();
    before.get(&s.key("a"), Read::Conflict).await.expect("the read succeeds");
    before.set(s.key("a"), b"2".to_vec());
    outage.begin().await;
    let (start, mut longest) = (Instant::now(), Duration::ZERO);
    let mut refused = |error: StoreError, since: Instant| {
        assert!(error.is_retryable(), "{error}");
        longest = longest.max(since.elapsed());
    };
    let since = Instant::now();
    let told = match before.commit().await {
        Err(CommitError::Store(error)) => {
            refused(error, since);
            Told::NotCommitted
        }
        Err(CommitError::Unknown(_)) => Told::Unknown,
        other => panic!("it cannot have been committed, and was {other:?}"),
    };
    while start.elapsed() < Duration::from_millis(for_ms) {
        let since = Instant::now();
        match s.begin().get(&s.key("a"), Read::Snapshot).await {
            Err(error) => refused(error, since),
            Ok(value) => panic!("it cannot be reached, and there is {value:?}"),
        }
        let since = Instant::now();
        let mut blind = s.begin();
        blind.set(s.key("b"), b"1".to_vec());
        match blind.commit().await {
            Err(CommitError::Store(error)) => refused(error, since),
            Err(CommitError::Unknown(_)) => {}
            other => panic!("it cannot have been committed, and was {other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    outage.end().await;
    let rows = all(s).await;
    let rows = s.names(&rows);
    let is = |name: &str, value: &str| rows.contains(&(name.to_owned(), value.to_owned()));
    assert!(is("a", "1") || (told == Told::Unknown && is("a", "2")), "{told:?}, and there is {rows:?}");
    let start = Instant::now();
    loop {
        let mut transaction = s.begin();
        transaction.set(s.key("c"), b"1".to_vec());
        match transaction.commit().await {
            Ok(()) => break,
            Err(error) => assert!(start.elapsed() < RECOVERY, "{error}"),
        }
    }
    longest
}
