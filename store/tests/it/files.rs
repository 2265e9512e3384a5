//! Damaged, foreign, full and shared data directories.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use tandem_store::conformance::random::Random;
use tandem_store::embedded::{Embedded, Options};
use tandem_store::{CommitError, Range, Read, Store, StoreError};

/// Set for processes started here: the data directory.
const FULL_DIR: &str = "TANDEM_STORE_FULL_DIR";
const MERGE_DIR: &str = "TANDEM_STORE_MERGE_DIR";
const SHARED_DIR: &str = "TANDEM_STORE_SHARED_DIR";

fn options(dir: &Path) -> Options {
    Options { memtable_bytes: 100_000, ..Options::new(dir) }
}

async fn put(store: &Embedded, n: u64) -> Result<(), CommitError> {
    let mut transaction = store.begin();
    transaction.set(format!("row{n:06}").into_bytes(), vec![n as u8; 500]);
    transaction.set(format!("twin{n:06}").into_bytes(), vec![n as u8; 500]);
    transaction.commit().await
}

/// Numbers of the rows that are there, each with its twin and its value.
async fn numbers(store: &Embedded) -> Result<Vec<u64>, StoreError> {
    let mut reader = store.begin();
    let mut found = Vec::new();
    for prefix in ["row", "twin"] {
        let (begin, end) = tandem_store::tuple::prefix_range(prefix.as_bytes());
        let range = Range { begin, end, limit: usize::MAX, reverse: false };
        let rows = reader.range(range, Read::Snapshot).await?;
        let numbers: Vec<u64> = rows
            .iter()
            .map(|(key, value)| {
                let n: u64 = String::from_utf8_lossy(&key[prefix.len()..]).parse().expect("a number");
                assert!(value.len() == 500 && value.iter().all(|byte| *byte == n as u8), "{prefix}{n}");
                n
            })
            .collect();
        found.push(numbers);
    }
    assert_eq!(found[0], found[1], "rows without their twin");
    Ok(found.remove(0))
}

/// A directory with rows in several tables and in the journal, not open.
async fn filled(rows: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let store = options(dir.path()).open().expect("opens");
    for n in 0..rows {
        put(&store, n).await.expect("committed");
    }
    store.close().await.expect("closes");
    dir
}

fn files_under(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).expect("read") {
        let path = entry.expect("read").path();
        if path.is_dir() { files.extend(files_under(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

fn copy(from: &Path, to: &Path) {
    for file in files_under(from) {
        let target = to.join(file.strip_prefix(from).expect("it is under it"));
        std::fs::create_dir_all(target.parent().expect("it has one")).expect("created");
        std::fs::copy(&file, target).expect("copied");
    }
}

/// Opens and reads everything. Damage must show as an error of its own kind, or not matter at all.
async fn open_and_read(dir: &Path) -> Result<Vec<u64>, StoreError> {
    let store = options(dir).open()?;
    numbers(&store).await
}

#[tokio::test]
async fn damage_is_an_error_and_never_a_panic_or_a_loss() {
    const ROWS: u64 = 400;
    let sound = filled(ROWS).await;
    let all: Vec<u64> = (0..ROWS).collect();
    let files = files_under(sound.path());
    assert!(files.iter().filter(|file| file.starts_with(sound.path().join("tables/tables"))).count() >= 1);
    let mut random = Random::new(5);
    let (mut noticed, mut harmless) = (0, 0);
    for file in &files {
        if file.ends_with("LOCK") {
            continue;
        }
        let content = std::fs::read(file).expect("read");
        // Truncated, garbage, empty, gone, and single bytes changed.
        let mut damages: Vec<Option<Vec<u8>>> = vec![
            None,
            Some(Vec::new()),
            Some(content[..content.len() / 2].to_vec()),
            Some((0..content.len()).map(|_| random.number() as u8).collect()),
        ];
        for _ in 0..12 {
            let mut changed = content.clone();
            if !changed.is_empty() {
                let at = random.below(changed.len().min(120_000) as u64) as usize;
                changed[at] ^= 1 << random.below(8);
                damages.push(Some(changed));
            }
        }
        for damage in damages {
            let dir = tempfile::tempdir().expect("a directory");
            copy(sound.path(), dir.path());
            let target = dir.path().join(file.strip_prefix(sound.path()).expect("it is under it"));
            match &damage {
                Some(bytes) => std::fs::write(&target, bytes).expect("written"),
                None => std::fs::remove_file(&target).expect("removed"),
            }
            match open_and_read(dir.path()).await {
                Ok(found) => {
                    // Only the very last group of the journal may look as if it had been torn.
                    let lost = all.len() - found.len();
                    assert!(lost <= 1 && all.starts_with(&found), "{} lost {lost} rows", target.display());
                    harmless += 1;
                }
                Err(StoreError::Corrupt { path, reason }) => {
                    assert!(!path.is_empty() && !reason.is_empty());
                    noticed += 1;
                }
                Err(other) => panic!("damage to {}: {other}", target.display()),
            }
        }
    }
    assert!(noticed > harmless, "{noticed} noticed, {harmless} harmless");
}

#[tokio::test]
async fn a_directory_of_something_else_is_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(dir.path().join("tables")).expect("created");
    std::fs::write(dir.path().join("tables/1"), b"precious").expect("written");
    assert!(matches!(options(dir.path()).open(), Err(StoreError::Corrupt { .. })));
    assert_eq!(std::fs::read(dir.path().join("tables/1")).expect("it is there"), b"precious");
    let file = dir.path().join("tables/1");
    assert!(options(&file).open().is_err(), "a file is no directory");
}

/// Starts this test binary again for one test, with a variable set, through a shell that runs
/// `before` first.
fn child(test: &str, variable: &str, dir: &Path, before: &str) -> Command {
    let mut command = Command::new("sh");
    let exe = std::env::current_exe().expect("this test has a file");
    command.arg("-c").arg(format!("{before}; exec \"$0\" \"$@\"")).arg(exe);
    command.args(["--exact", test, "--nocapture"]).env(variable, dir).stderr(Stdio::inherit());
    command
}

#[tokio::test]
async fn a_second_process_is_told_that_the_directory_is_in_use() {
    if let Some(dir) = std::env::var_os(SHARED_DIR) {
        let _store = options(Path::new(&dir)).open().expect("opens");
        println!("\nopen");
        // Until the other one has seen it.
        let _ = std::io::stdin().read_line(&mut String::new());
        return;
    }
    let dir = filled(3).await;
    let test = "files::a_second_process_is_told_that_the_directory_is_in_use";
    let mut other = child(test, SHARED_DIR, dir.path(), "true");
    let mut other = other.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starts");
    let mut lines = BufReader::new(other.stdout.take().expect("a pipe")).lines();
    assert!(lines.any(|line| line.expect("the pipe works") == "open"), "the other process opens it");
    let error = options(dir.path()).open().err().expect("it is in use");
    assert!(matches!(&error, StoreError::InUse { .. }), "{error}");
    other.stdin.take().expect("a pipe").write_all(b"\n").expect("told");
    assert!(other.wait().expect("it ends").success());
    assert_eq!(open_and_read(dir.path()).await.expect("opens"), [0, 1, 2]);
}

/// The process may not write files beyond a size: the journal, in this case, reports that the disk
/// is full, as far as the process can tell.
#[cfg(unix)]
#[tokio::test]
async fn a_disk_that_is_really_full_loses_nothing() {
    if let Some(dir) = std::env::var_os(FULL_DIR) {
        let store = Options { memtable_bytes: 64 << 20, ..Options::new(dir) }.open().expect("opens");
        for n in 0..100_000 {
            match put(&store, n).await {
                Ok(()) => println!("\nacknowledged {n}"),
                Err(CommitError::Store(StoreError::Full(_))) => {
                    assert_eq!(numbers(&store).await.expect("reads go on").len() as u64, n);
                    println!("\nfull {n}");
                    break;
                }
                Err(other) => panic!("{other}"),
            }
        }
        assert!(matches!(put(&store, 1 << 20).await, Err(CommitError::Store(StoreError::Full(_)))));
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    // 3 MiB: `ulimit -f` counts blocks of 512 bytes. The signal is ignored, so that the call fails.
    let before = "trap '' XFSZ; ulimit -f 6144";
    let mut writer = child("files::a_disk_that_is_really_full_loses_nothing", FULL_DIR, &data, before);
    let output = writer.stdin(Stdio::null()).output().expect("runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    let acknowledged: Vec<u64> =
        text.lines().filter_map(|line| line.strip_prefix("acknowledged ")?.parse().ok()).collect();
    let full: Option<u64> = text.lines().find_map(|line| line.strip_prefix("full ")?.parse().ok());
    assert_eq!(full, Some(acknowledged.len() as u64), "{text}");
    assert!(acknowledged.len() > 1_000, "only {} were acknowledged", acknowledged.len());
    assert_eq!(open_and_read(&data).await.expect("opens again"), acknowledged);
}

/// The same where it is the merging of tables that finds the disk full: commits go on until reads
/// would suffer, and failed attempts leave nothing behind.
#[cfg(unix)]
#[tokio::test]
async fn tables_that_cannot_be_merged_refuse_commits_in_the_end() {
    let options = |dir: &Path| Options { memtable_bytes: 1_500_000, ..Options::new(dir) };
    if let Some(dir) = std::env::var_os(MERGE_DIR) {
        let store = options(Path::new(&dir)).open().expect("opens");
        for n in 0..100_000u64 {
            let mut transaction = store.begin();
            // All over the key space, so that tables overlap and have to be merged.
            let key = format!("row{:06}", n.wrapping_mul(7_919) % 1_000_000);
            transaction.set(key.into_bytes(), vec![n as u8; 50_000]);
            match transaction.commit().await {
                Ok(()) => {}
                Err(CommitError::Store(StoreError::Full(_))) => {
                    println!("\nfull after {n}");
                    return;
                }
                Err(other) => panic!("{other}"),
            }
        }
        panic!("the disk never became full");
    }
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let before = "trap '' XFSZ; ulimit -f 6144";
    let test = "files::tables_that_cannot_be_merged_refuse_commits_in_the_end";
    let output = child(test, MERGE_DIR, &data, before).stdin(Stdio::null()).output().expect("runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    let full = text.lines().find_map(|line| line.strip_prefix("full after ")?.parse::<u64>().ok());
    let rows = full.expect("it says when it was full");
    let bytes: u64 = files_under(&data).iter().map(|file| file.metadata().expect("it is there").len()).sum();
    assert!(bytes < rows * 50_000 * 3 / 2 + (16 << 20), "{bytes} bytes for {rows} rows");
    let store = options(&data).open().expect("opens without the limit");
    let (begin, end) = tandem_store::tuple::prefix_range(b"row");
    let mut reader = store.begin();
    for n in 0..rows {
        let key = format!("row{:06}", n.wrapping_mul(7_919) % 1_000_000);
        let value = reader.get(key.as_bytes(), Read::Snapshot).await.expect("read").expect("it is there");
        assert!(value.len() == 50_000 && value[0] == n as u8, "{key}");
    }
    let range = Range { begin, end, limit: usize::MAX, reverse: false };
    assert_eq!(store.begin().range(range, Read::Snapshot).await.expect("read").len() as u64, rows);
    let mut transaction = store.begin();
    transaction.set(b"after".to_vec(), b"1".to_vec());
    transaction.commit().await.expect("there is room again");
}

#[tokio::test]
async fn less_free_space_than_asked_for_refuses_commits_and_nothing_else() {
    let dir = filled(10).await;
    let store: Arc<Embedded> =
        Options { free_bytes_min: u64::MAX, ..options(dir.path()) }.open().expect("opens");
    for _ in 0..3 {
        match put(&store, 10).await {
            Err(CommitError::Store(StoreError::Full(reason))) => assert!(reason.contains("free"), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(numbers(&store).await.expect("reads go on").len(), 10);
    let mut reader = store.begin();
    reader.get(b"row000001", Read::Conflict).await.expect("read");
    reader.commit().await.expect("what only reads needs no space");
}
