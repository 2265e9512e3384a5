//! The engine on disks that fail, and its bounds.

use super::journal::tests::Disk;
use super::*;
use crate::clock::ManualClock;
use crate::{CommitError, Range, Read, TRANSACTION_MS_MAX};
use std::time::Duration;

fn open_on(disk: &Arc<Mutex<Disk>>, dir: &tempfile::TempDir) -> Arc<Embedded> {
    Options::new(dir.path()).open_on(Disk::opener(disk)).expect("opens")
}

async fn put(store: &Embedded, key: &str, value: &[u8]) -> Result<(), CommitError> {
    let mut transaction = store.begin();
    transaction.set(key.into(), value.to_vec());
    transaction.commit().await
}

async fn get(store: &Embedded, key: &str) -> Result<Option<String>, StoreError> {
    let value = store.begin().get(key.as_bytes(), Read::Conflict).await?;
    Ok(value.map(|value| String::from_utf8_lossy(&value).into_owned()))
}

#[tokio::test]
async fn a_full_disk_refuses_and_takes_up_again() {
    let (dir, disk) = (tempfile::tempdir().expect("a directory"), Arc::default());
    let store = open_on(&disk, &dir);
    put(&store, "a", b"1").await.expect("committed");
    disk.lock().writes_left = Some(0);
    for _ in 0..3 {
        let error = put(&store, "a", b"2").await.expect_err("the disk is full");
        assert!(matches!(error, CommitError::Store(StoreError::Full(_))), "{error}");
        assert_eq!(get(&store, "a").await.expect("reads go on"), Some("1".into()));
    }
    disk.lock().writes_left = None;
    let mut transaction = store.begin();
    transaction.get(b"a", Read::Conflict).await.expect("read");
    transaction.set(b"a".to_vec(), b"3".to_vec());
    transaction.commit().await.expect("what failed conflicts with nobody");
    assert_eq!(get(&store, "a").await.expect("read"), Some("3".into()));
}

/// A transaction that was refused has not changed what others are checked against.
#[tokio::test]
async fn after_a_failed_group_older_reads_are_too_old_and_new_ones_are_not() {
    let (dir, disk) = (tempfile::tempdir().expect("a directory"), Arc::default());
    let store = open_on(&disk, &dir);
    put(&store, "a", b"1").await.expect("committed");
    let mut old = store.begin();
    old.get(b"a", Read::Conflict).await.expect("read");
    put(&store, "a", b"2").await.expect("committed");
    disk.lock().writes_left = Some(0);
    put(&store, "a", b"3").await.expect_err("the disk is full");
    disk.lock().writes_left = None;
    old.set(b"b".to_vec(), b"1".to_vec());
    let error = old.commit().await.expect_err("a was written since");
    assert!(matches!(error, CommitError::Conflict | CommitError::Store(StoreError::TooOld)), "{error}");
    assert_eq!(get(&store, "b").await.expect("read"), None);
}

#[tokio::test]
async fn an_unknown_outcome_is_said_once_and_then_the_store_stands_still() {
    let (dir, disk) = (tempfile::tempdir().expect("a directory"), Arc::default());
    let store = open_on(&disk, &dir);
    put(&store, "a", b"1").await.expect("committed");
    let mut reader = store.begin();
    reader.get(b"a", Read::Conflict).await.expect("read");
    (disk.lock().syncs_left, disk.lock().truncates_left) = (Some(0), Some(0));
    let error = put(&store, "a", b"2").await.expect_err("nothing works any more");
    assert!(matches!(error, CommitError::Unknown(_)), "{error}");
    (disk.lock().syncs_left, disk.lock().truncates_left) = (None, None);
    let error = put(&store, "a", b"3").await.expect_err("the store stands still");
    assert!(matches!(error, CommitError::Store(StoreError::Unavailable(_))), "{error}");
    assert!(matches!(get(&store, "a").await, Err(StoreError::Unavailable(_))));
    assert!(matches!(reader.get(b"a", Read::Snapshot).await, Err(StoreError::Unavailable(_))));
}

/// A bug must not leave anybody waiting.
#[tokio::test]
async fn a_committing_thread_that_panics_is_noticed_by_everyone() {
    let (dir, disk) = (tempfile::tempdir().expect("a directory"), Arc::default());
    let store = open_on(&disk, &dir);
    put(&store, "a", b"1").await.expect("committed");
    disk.lock().panics = true;
    let error = put(&store, "a", b"2").await.expect_err("the thread panics");
    assert!(matches!(error, CommitError::Unknown(_)), "{error}");
    // Handed over while the thread is dying, it is told so as well.
    let error = put(&store, "a", b"3").await.expect_err("there is no thread");
    let told = matches!(error, CommitError::Unknown(_) | CommitError::Store(StoreError::Unavailable(_)));
    assert!(told, "{error}");
    store.close().await.expect("closes");
    disk.lock().process_end();
    let store = Options::new(dir.path()).open().expect("opens");
    assert_eq!(get(&store, "a").await.expect("read"), Some("1".into()));
}

#[tokio::test]
async fn what_is_kept_for_conflicts_is_bounded() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Options { conflict_bytes_max: 10_000, ..Options::new(dir.path()) }.open().expect("opens");
    put(&store, "a", b"1").await.expect("committed");
    let mut old = store.begin();
    old.get(b"a", Read::Conflict).await.expect("read");
    old.set(b"b".to_vec(), b"1".to_vec());
    for i in 0..300 {
        put(&store, &format!("row{i}"), b"x").await.expect("committed");
    }
    let error = old.commit().await.expect_err("it is not known any more what was written since");
    assert!(matches!(error, CommitError::Store(StoreError::TooOld)), "{error}");
}

#[tokio::test]
async fn a_transaction_kept_for_ever_does_not_keep_its_state() {
    let (dir, clock) = (tempfile::tempdir().expect("a directory"), Arc::new(ManualClock::default()));
    let store = Options { clock: clock.clone(), ..Options::new(dir.path()) }.open().expect("opens");
    put(&store, "a", b"1").await.expect("committed");
    let mut kept = store.begin();
    kept.get(b"a", Read::Snapshot).await.expect("read");
    let state = Arc::downgrade(&store.engine.view());
    put(&store, "a", b"2").await.expect("committed");
    clock.advance_ms(TRANSACTION_MS_MAX + 1);
    put(&store, "a", b"3").await.expect("committed");
    let view = state.upgrade().expect("the transaction still has it");
    assert!(matches!(view.get(b"a"), Err(StoreError::Unavailable(_))), "its state was taken away");
    assert!(matches!(kept.get(b"a", Read::Snapshot).await, Err(StoreError::TooOld)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_goes_away_does_not_undo_its_commit() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Options::new(dir.path()).open().expect("opens");
    for i in 0..200 {
        let mut transaction = store.begin();
        transaction.set(format!("row{i}").into_bytes(), b"x".to_vec());
        let mut commit = transaction.commit();
        // Polled once, which hands it over, then dropped.
        let _ = std::future::poll_fn(|context| std::task::Poll::Ready(commit.as_mut().poll(context))).await;
        tokio::task::yield_now().await;
    }
    put(&store, "z", b"1").await.expect("committed");
    let range = Range { begin: b"row".to_vec(), end: b"s".to_vec(), limit: 1_000, reverse: false };
    assert_eq!(store.begin().range(range, Read::Snapshot).await.expect("read").len(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_wait_for_room_in_the_queue() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Options { queue_bytes_max: 3_000, ..Options::new(dir.path()) }.open().expect("opens");
    let commits: Vec<_> = (0..200)
        .map(|i| {
            let store = store.clone();
            tokio::spawn(async move { put(&store, &format!("row{i}"), &[0; 1_000]).await })
        })
        .collect();
    for commit in commits {
        commit.await.expect("the task ends").expect("committed");
    }
    // Larger than the whole queue: it goes alone.
    put(&store, "large", &[0; 90_000]).await.expect("committed");
}

#[tokio::test]
async fn a_closed_store_says_so_and_can_be_opened_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Options::new(dir.path()).open().expect("opens");
    put(&store, "a", b"1").await.expect("committed");
    let mut open = store.begin();
    open.get(b"a", Read::Conflict).await.expect("read");
    open.set(b"b".to_vec(), b"1".to_vec());
    let error = Options::new(dir.path()).open().err().expect("it is in use");
    assert!(
        matches!(&error, StoreError::InUse { path } if path.contains(&*dir.path().to_string_lossy())),
        "{error}"
    );
    store.close().await.expect("closes");
    store.close().await.expect("closing twice does no harm");
    let error = open.commit().await.expect_err("the store is closed");
    assert!(matches!(error, CommitError::Store(StoreError::Unavailable(_))), "{error}");
    assert!(matches!(get(&store, "a").await, Err(StoreError::Unavailable(_))));
    let again = Options::new(dir.path()).open().expect("opens again while the old handle exists");
    assert_eq!(get(&again, "a").await.expect("read"), Some("1".into()));
    assert_eq!(get(&again, "b").await.expect("read"), None);
}

/// Small memtables: rows go through flushes and merges while they are written, read and cleared.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_stay_right_through_flushes_merges_and_restarts() {
    const ROWS: u64 = 400;
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options { memtable_bytes: 100_000, ..Options::new(dir.path()) };
    let mut expected = std::collections::BTreeMap::new();
    let mut random = crate::conformance::random::Random::new(3);
    for round in 0..5 {
        let store = options.clone().open().expect("opens");
        for _ in 0..300 {
            let mut transaction = store.begin();
            for _ in 0..5 {
                let key = format!("row{:03}", random.below(ROWS)).into_bytes();
                if random.one_in(4) {
                    transaction.clear(key.clone());
                    expected.remove(&key);
                } else {
                    let value = vec![random.below(256) as u8; random.below(400) as usize];
                    transaction.set(key.clone(), value.clone());
                    expected.insert(key, value);
                }
            }
            transaction.commit().await.expect("committed");
        }
        let range = Range { begin: b"row".to_vec(), end: b"s".to_vec(), limit: usize::MAX, reverse: false };
        let rows = store.begin().range(range, Read::Snapshot).await.expect("read");
        let rows: Vec<_> = rows.into_iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
        assert_eq!(rows, expected.clone().into_iter().collect::<Vec<_>>(), "round {round}");
        if round % 2 == 0 {
            store.close().await.expect("closes");
        }
    }
    let tables = std::fs::read_dir(dir.path().join("tables/tables")).expect("read").count();
    assert!(tables > 0, "nothing was written to tables");
    let journal: u64 = std::fs::read_dir(dir.path().join("journal"))
        .expect("read")
        .map(|file| file.and_then(|file| file.metadata()).map_or(0, |data| data.len()))
        .sum();
    assert!(journal < 16 * MIB as u64, "the journal has {journal} bytes");
}

#[tokio::test]
async fn closing_saves_the_next_start_from_reading_the_journal() {
    let dir = tempfile::tempdir().expect("a directory");
    let left = |dir: &tempfile::TempDir| {
        let directory = Directory::open(dir.path()).expect("opens");
        let tables = Tables::open(&Options::new(dir.path()), &directory.tables()).expect("opens");
        let journal =
            journal::open(&directory.journal(), directory.salt, tables.persisted(), journal::files());
        journal.expect("opens").1.groups.len()
    };
    for (close, expected) in [(false, 30), (true, 0)] {
        let store = Options::new(dir.path()).open().expect("opens");
        for i in 0..30 {
            put(&store, &format!("row{i}"), &[0; 90_000]).await.expect("committed");
        }
        if close {
            store.close().await.expect("closes");
        }
        drop(store);
        assert_eq!(left(&dir), expected, "closed: {close}");
    }
}

/// One random transaction on a few keys, with everything that makes a group intricate.
async fn tangle(store: &Embedded, random: &mut crate::conformance::random::Random) {
    let key = |n: u64| format!("key{n}").into_bytes();
    let mut transaction = store.begin();
    if random.one_in(2) {
        transaction.get(&key(random.below(6)), Read::Conflict).await.expect("read");
    }
    for _ in 0..1 + random.below(3) {
        let n = random.below(6);
        match random.below(5) {
            0 | 1 => transaction.set(key(n), random.number().to_le_bytes().to_vec()),
            2 => transaction.clear(key(n)),
            3 => transaction.clear_range(key(n), key(n + 1 + random.below(3))),
            _ => transaction.add(key(n), random.below(1_000) as i64),
        }
    }
    match transaction.commit().await {
        Ok(()) | Err(CommitError::Conflict) => {}
        Err(error) => panic!("{error}"),
    }
}

/// Sets, sums and clears of the same keys by many transactions of one group, some of them refused:
/// the journal has to lead to the state that was seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_read_again_is_what_was_seen() {
    let dir = tempfile::tempdir().expect("a directory");
    let all = Range { begin: b"k".to_vec(), end: b"l".to_vec(), limit: 100, reverse: false };
    for round in 0..30 {
        let store = Options::new(dir.path()).open().expect("opens");
        let tasks: Vec<_> = (0..24)
            .map(|task| {
                let store = store.clone();
                tokio::spawn(async move {
                    let mut random = crate::conformance::random::Random::new(round * 100 + task);
                    for _ in 0..4 {
                        tangle(&store, &mut random).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("the task ends");
        }
        let seen = store.begin().range(all.clone(), Read::Snapshot).await.expect("read");
        drop(store);
        let store = Options::new(dir.path()).open().expect("opens");
        let again = store.begin().range(all.clone(), Read::Snapshot).await.expect("read");
        assert_eq!(again, seen, "round {round}");
    }
}

/// Every start takes a file of the journal; many short lives in a row must not use them up.
#[tokio::test]
async fn many_short_lives_leave_the_journal_small() {
    let dir = tempfile::tempdir().expect("a directory");
    for life in 0..30 {
        let store = Options::new(dir.path()).open().expect("opens");
        put(&store, &format!("life{life:02}"), b"x").await.expect("committed");
        // Not closed: like a process that was killed, except that the lock is let go.
        drop(store);
    }
    let store = Options::new(dir.path()).open().expect("opens");
    let range = Range { begin: b"life".to_vec(), end: b"m".to_vec(), limit: 100, reverse: false };
    assert_eq!(store.begin().range(range, Read::Snapshot).await.expect("read").len(), 30);
}

/// An idle store lets go of what was written to tables, although nobody commits or reads.
#[tokio::test]
async fn memory_is_freed_without_further_commits() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Options { memtable_bytes: 50_000, ..Options::new(dir.path()) }.open().expect("opens");
    for i in 0..300 {
        put(&store, &format!("row{i}"), &[0; 1_000]).await.expect("committed");
    }
    let not_freed = || store.running.lock().as_ref().map_or(0, |running| running.background.not_freed());
    for _ in 0..600 {
        if not_freed() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{} are not freed", not_freed());
}

/// The thread that frees memory and the one that merges end with the store.
#[tokio::test]
async fn closing_does_not_wait_for_merges() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Options { memtable_bytes: 50_000, ..Options::new(dir.path()) }.open().expect("opens");
    for i in 0..500 {
        put(&store, &format!("row{i}"), &[0; 1_000]).await.expect("committed");
    }
    tokio::time::timeout(Duration::from_secs(60), store.close())
        .await
        .expect("closes in time")
        .expect("closes");
}

/// Keeps what is counted, by name.
#[derive(Default)]
struct Counts {
    counters: Mutex<std::collections::HashMap<String, Arc<std::sync::atomic::AtomicU64>>>,
    recorded: Arc<Recorded>,
}

#[derive(Default)]
struct Recorded(Mutex<Vec<f64>>);

impl metrics::HistogramFn for Recorded {
    fn record(&self, value: f64) {
        self.0.lock().push(value);
    }
}

impl metrics::Recorder for Counts {
    fn describe_counter(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn describe_gauge(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn describe_histogram(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn register_counter(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
        let counter = self.counters.lock().entry(key.name().into()).or_default().clone();
        metrics::Counter::from_arc(counter)
    }
    fn register_gauge(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
        metrics::Gauge::noop()
    }
    fn register_histogram(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Histogram {
        assert_eq!(key.name(), "tandem_store_commit_seconds");
        metrics::Histogram::from_arc(self.recorded.clone())
    }
}

#[tokio::test]
async fn commits_conflicts_and_syncs_are_counted() {
    let (dir, counts) = (tempfile::tempdir().expect("a directory"), Counts::default());
    let store = metrics::with_local_recorder(&counts, || Options::new(dir.path()).open()).expect("opens");
    put(&store, "a", b"1").await.expect("committed");
    let mut refused = store.begin();
    refused.get(b"a", Read::Conflict).await.expect("read");
    refused.set(b"b".to_vec(), b"1".to_vec());
    put(&store, "a", b"2").await.expect("committed");
    assert!(matches!(refused.commit().await, Err(CommitError::Conflict)));
    // Only reads: nothing to sync.
    store.begin().commit().await.expect("committed");
    store.close().await.expect("closes");
    let count = |name: &str| counts.counters.lock()[name].load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(count("tandem_store_commits_total"), 2);
    assert_eq!(count("tandem_store_conflicts_total"), 1);
    assert_eq!(count("tandem_store_fsyncs_total"), 2);
    assert_eq!(store.groups_committed(), 2);
    assert_eq!(counts.recorded.0.lock().len(), 3);
}

/// What one transaction has seen, another one relies on.
#[tokio::test]
async fn who_relies_on_what_another_has_seen_is_told_when_it_has_changed() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Options::new(dir.path()).open().expect("opens");
    put(&store, "a", b"1").await.expect("committed");
    let mut reader = store.begin();
    reader.get(b"a", Read::Snapshot).await.expect("read");
    let seen = reader.seen().expect("this engine can");
    let relying = |name: &str| {
        let mut transaction = store.begin();
        assert!(transaction.rely(b"a", &seen) && transaction.rely(b"nothing", &seen));
        transaction.set(name.into(), b"1".to_vec());
        transaction.commit()
    };
    put(&store, "b", b"1").await.expect("committed");
    relying("first").await.expect("neither has changed");
    put(&store, "a", b"1").await.expect("committed");
    let error = relying("second").await.expect_err("it was written, if to the same value");
    assert!(matches!(error, CommitError::Conflict), "{error}");
    assert_eq!(get(&store, "second").await.expect("read"), None);
    // What it has written itself it has to look at.
    let mut transaction = store.begin();
    transaction.set(b"c".to_vec(), b"1".to_vec());
    assert!(!transaction.rely(b"c", &seen));
    transaction.clear_range(b"d".to_vec(), b"e".to_vec());
    assert!(!transaction.rely(b"d1", &seen));
}
