//! The journal on disks that fail, tear and lose what was not synced.

use super::*;
use crate::conformance::random::Random;
use crate::embedded::failure::Trouble;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;

const SALT: u64 = 77;
/// Bytes that a disk writes whole or not at all.
const SECTOR: usize = 512;

/// A disk of which nothing is certain but what was synced.
#[derive(Default)]
pub(in crate::embedded) struct Disk {
    files: BTreeMap<PathBuf, Content>,
    /// Operations that still succeed, by kind.
    pub writes_left: Option<usize>,
    pub syncs_left: Option<usize>,
    pub truncates_left: Option<usize>,
    /// The next write panics, as a bug would.
    pub panics: bool,
}

#[derive(Default, Clone)]
struct Content {
    durable: Vec<u8>,
    /// What a read sees: written, perhaps not durable.
    seen: Vec<u8>,
    /// Writes since the last sync, in order.
    pending: Vec<(u64, Vec<u8>)>,
}

struct DiskFile {
    disk: Arc<Mutex<Disk>>,
    path: PathBuf,
}

fn use_up(left: &mut Option<usize>) -> io::Result<()> {
    match left {
        None => Ok(()),
        Some(0) => Err(io::Error::from(io::ErrorKind::StorageFull)),
        Some(left) => {
            *left -= 1;
            Ok(())
        }
    }
}

fn write(file: &mut Vec<u8>, bytes: &[u8], offset: u64) {
    let offset = offset as usize;
    if file.len() < offset + bytes.len() {
        file.resize(offset + bytes.len(), 0);
    }
    file[offset..offset + bytes.len()].copy_from_slice(bytes);
}

impl DiskFile {
    fn with<T>(&self, work: impl FnOnce(&mut Disk, &mut Content) -> io::Result<T>) -> io::Result<T> {
        let mut disk = self.disk.lock();
        let mut content = disk.files.remove(&self.path).unwrap_or_default();
        let outcome = work(&mut disk, &mut content);
        disk.files.insert(self.path.clone(), content);
        outcome
    }
}

impl Medium for DiskFile {
    fn len(&self) -> io::Result<u64> {
        self.with(|_, file| Ok(file.seen.len() as u64))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        assert!(!self.disk.lock().panics, "a panic for the test");
        self.with(|disk, file| {
            let outcome = use_up(&mut disk.writes_left);
            // A failed write got half way, up to the end of a sector.
            let half = (offset as usize + bytes.len() / 2) / SECTOR * SECTOR;
            let half = half.saturating_sub(offset as usize);
            let written = if outcome.is_ok() { bytes } else { &bytes[..half] };
            write(&mut file.seen, written, offset);
            file.pending.push((offset, written.to_vec()));
            outcome
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|disk, file| {
            use_up(&mut disk.syncs_left)?;
            file.durable = file.seen.clone();
            file.pending.clear();
            Ok(())
        })
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.with(|disk, file| {
            use_up(&mut disk.truncates_left)?;
            // The file system keeps the order of a truncation and later writes.
            file.seen.truncate(len as usize);
            file.durable.truncate(len as usize);
            file.pending.retain(|(offset, bytes)| offset + bytes.len() as u64 <= len);
            Ok(())
        })
    }
}

impl Disk {
    /// Opens files on `disk`, with what the file system has for a start.
    pub fn opener(disk: &Arc<Mutex<Disk>>) -> Opener {
        let disk = disk.clone();
        Box::new(move |path: &Path| {
            let content = std::fs::read(path).unwrap_or_default();
            let content = Content { durable: content.clone(), seen: content, pending: Vec::new() };
            std::fs::OpenOptions::new().create(true).append(true).open(path)?;
            disk.lock().files.entry(path.to_owned()).or_insert(content);
            Ok(Box::new(DiskFile { disk: disk.clone(), path: path.to_owned() }))
        })
    }

    /// The power fails: of every write since the last sync, some sectors made it and some did not.
    /// The file system then has what is left.
    fn power_cut(&self, random: &mut Random) {
        for (path, content) in &self.files {
            let mut left = content.durable.clone();
            for (offset, bytes) in &content.pending {
                let mut at = 0;
                while at < bytes.len() {
                    let sector_end = SECTOR - (*offset as usize + at) % SECTOR;
                    let end = bytes.len().min(at + sector_end);
                    if random.one_in(2) {
                        write(&mut left, &bytes[at..end], offset + at as u64);
                    }
                    at = end;
                }
            }
            std::fs::write(path, left).expect("the file system works");
        }
    }

    /// The process ends: the file system has what was written.
    pub fn process_end(&self) {
        for (path, content) in &self.files {
            std::fs::write(path, &content.seen).expect("the file system works");
        }
    }
}

fn fresh() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    create(dir.path(), SALT).expect("created");
    dir
}

fn open_files(dir: &Path, persisted: u64) -> (Journal, Recovered) {
    open(dir, SALT, persisted, files()).expect("the journal opens")
}

fn append(journal: &mut Journal, sequence: u64, value: &[u8]) -> Result<(), Trouble> {
    journal.append(sequence, |payload| {
        write_row(payload, &sequence.to_le_bytes(), Some(value));
        write_row(payload, b"last", Some(&sequence.to_le_bytes()));
    })
}

fn sequences(recovered: &Recovered) -> Vec<u64> {
    recovered.groups.iter().map(|group| group.sequence).collect()
}

/// The groups are whole: each has its two rows.
fn check_rows(dir: &Path, recovered: &Recovered) {
    for group in &recovered.groups {
        let rows = group.rows(dir).expect("the rows parse");
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].0, &group.sequence.to_le_bytes()[..]);
        assert_eq!(rows[1].1.as_deref(), Some(&group.sequence.to_le_bytes()[..]));
    }
}

#[test]
fn what_was_appended_is_recovered_until_it_is_in_tables() {
    let dir = fresh();
    let (mut journal, recovered) = open_files(dir.path(), 0);
    assert!(recovered.groups.is_empty());
    for sequence in 1..=9 {
        append(&mut journal, sequence * 2, &[1; 3_000]).expect("appended");
        if sequence % 3 == 0 {
            journal.start_file();
        }
    }
    assert_eq!(journal.files.iter().filter(|file| file.last > 0).count(), 3);
    drop(journal);
    let (journal, recovered) = open_files(dir.path(), 0);
    assert_eq!(sequences(&recovered), [2, 4, 6, 8, 10, 12, 14, 16, 18]);
    check_rows(dir.path(), &recovered);
    assert_eq!((recovered.last, journal.last), (18, 18));
    // The tables have the first file and a part of the second.
    let (mut journal, recovered) = open_files(dir.path(), 8);
    assert_eq!(sequences(&recovered), [10, 12, 14, 16, 18]);
    // So the first file is used again, and its old groups do not come back.
    append(&mut journal, 20, &[2; 10]).expect("appended");
    assert_eq!(journal.active.map(|(index, _)| index), Some(0));
    let (_, recovered) = open_files(dir.path(), 8);
    assert_eq!(sequences(&recovered), [10, 12, 14, 16, 18, 20]);
    check_rows(dir.path(), &recovered);
}

#[test]
fn what_later_groups_say_about_the_tables_counts() {
    let dir = fresh();
    let (mut journal, _) = open_files(dir.path(), 0);
    append(&mut journal, 1, b"a").expect("appended");
    append(&mut journal, 2, b"b").expect("appended");
    journal.start_file();
    journal.flushed().store(2, Ordering::Release);
    append(&mut journal, 3, b"c").expect("appended");
    // The tables say 1: the row of group 2 was a deletion that is not needed any more.
    let (_, recovered) = open_files(dir.path(), 1);
    assert_eq!(sequences(&recovered), [3]);
    assert_eq!(recovered.flushed, 2);
}

#[test]
fn a_torn_last_group_is_as_if_it_had_never_been() {
    let dir = fresh();
    let (mut journal, _) = open_files(dir.path(), 0);
    append(&mut journal, 1, &[1; 50]).expect("appended");
    let whole = journal.active_bytes() as usize;
    append(&mut journal, 2, &[2; 50]).expect("appended");
    let end = whole + HEADER_BYTES + row_bytes(&[0; 8], Some(&[2; 50])) + row_bytes(b"last", Some(&[0; 8]));
    let path = dir.path().join("0");
    let bytes = std::fs::read(&path).expect("read");
    for cut in whole..end {
        // Cut off, and cut off with something else behind.
        for rest in [0, 200] {
            std::fs::write(&path, [&bytes[..cut], &vec![0xaa; rest]].concat()).expect("written");
            let (mut journal, recovered) = open_files(dir.path(), 0);
            assert_eq!(sequences(&recovered), [1], "cut at {cut}");
            append(&mut journal, 3, b"after").expect("appended");
            assert_eq!(sequences(&open_files(dir.path(), 0).1), [1, 3]);
            std::fs::write(dir.path().join("1"), beginning(SALT, 0, 0)).expect("written");
        }
    }
}

#[test]
fn damage_before_the_last_group_is_noticed() {
    let dir = fresh();
    let (mut journal, _) = open_files(dir.path(), 0);
    let mut ends = Vec::new();
    for sequence in 1..=6 {
        append(&mut journal, sequence, &[1; 50]).expect("appended");
        ends.push(journal.active_bytes() as usize);
        if sequence == 3 {
            journal.start_file();
        }
    }
    let damaged = |file: &str, at: usize| {
        let path = dir.path().join(file);
        let bytes = std::fs::read(&path).expect("read");
        let mut bad = bytes.clone();
        bad[at] ^= 0x10;
        std::fs::write(&path, bad).expect("written");
        let outcome = open(dir.path(), SALT, 0, files()).map(|(_, recovered)| sequences(&recovered));
        std::fs::write(&path, bytes).expect("written");
        outcome
    };
    for (file, at) in [("0", 100), ("0", ends[0] + 60), ("0", ends[1] + 60), ("1", 70), ("1", ends[3] + 60)] {
        let error = damaged(file, at).expect_err("a group is missing");
        assert!(matches!(&error, StoreError::Corrupt { reason, .. } if reason.contains("group")), "{error}");
    }
    // The very last one cannot be told from a torn one.
    assert_eq!(damaged("1", ends[4] + 60).expect("opens"), [1, 2, 3, 4, 5]);
    // Lost content, lost files, foreign files.
    let file = dir.path().join("0");
    for content in [Some(vec![]), Some(vec![0; 5_000]), Some(beginning(SALT, 0, 0)), None] {
        let before = std::fs::read(&file).expect("read");
        match content {
            Some(content) => std::fs::write(&file, content).expect("written"),
            None => std::fs::remove_file(&file).expect("removed"),
        }
        let error = open(dir.path(), SALT, 0, files()).err().expect("groups are missing");
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
        std::fs::write(&file, before).expect("written");
    }
    std::fs::write(dir.path().join("notes"), b"").expect("written");
    assert!(matches!(open(dir.path(), SALT, 3, files()), Err(StoreError::Corrupt { .. })));
}

#[test]
fn a_disk_that_fails_once_takes_nothing_back_and_goes_on() {
    for (syncs, half) in [(false, 0), (false, 1), (true, 0)] {
        let (dir, disk) = (fresh(), Arc::new(Mutex::new(Disk::default())));
        let (mut journal, _) = open(dir.path(), SALT, 0, Disk::opener(&disk)).expect("opens");
        append(&mut journal, 1, &[1; 100]).expect("appended");
        if syncs {
            disk.lock().syncs_left = Some(0);
            // The sync that settles the failure is allowed.
            let outcome = append_with_one_failing_sync(&mut journal, &disk, 2);
            assert!(!outcome.expect_err("fails").outcome_unknown);
        } else {
            disk.lock().writes_left = Some(half);
            // Large enough to need new space, which is written first.
            let trouble = append(&mut journal, 2, &[2; 90_000]).expect_err("the disk is full");
            assert!(matches!(trouble.error, StoreError::Full(_)) && !trouble.outcome_unknown, "{trouble:?}");
            disk.lock().writes_left = None;
        }
        append(&mut journal, 3, &[3; 100]).expect("there is room again");
        disk.lock().process_end();
        let (_, recovered) = open_files(dir.path(), 0);
        assert_eq!(sequences(&recovered), [1, 3]);
        check_rows(dir.path(), &recovered);
    }
}

/// Lets the sync of the group fail and the one after it succeed.
fn append_with_one_failing_sync(
    journal: &mut Journal,
    disk: &Arc<Mutex<Disk>>,
    sequence: u64,
) -> Result<(), Trouble> {
    struct FailOnce {
        inner: Box<dyn Medium>,
        failed: Mutex<bool>,
    }
    impl Medium for FailOnce {
        fn len(&self) -> io::Result<u64> {
            self.inner.len()
        }
        fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
            self.inner.write_at(bytes, offset)
        }
        fn sync(&self) -> io::Result<()> {
            if std::mem::replace(&mut *self.failed.lock(), true) {
                self.inner.sync()
            } else {
                Err(io::Error::other("the disk has a bad day"))
            }
        }
        fn truncate(&self, len: u64) -> io::Result<()> {
            self.inner.truncate(len)
        }
    }
    disk.lock().syncs_left = None;
    let (index, _) = journal.active.expect("a file is active");
    let path = journal.dir.join(index.to_string());
    let plain = Disk::opener(disk)(&path).expect("opens");
    let inner = std::mem::replace(&mut journal.files[index].medium, plain);
    let plain = std::mem::replace(
        &mut journal.files[index].medium,
        Box::new(FailOnce { inner, failed: Mutex::new(false) }),
    );
    let outcome = append(journal, sequence, &[2; 100]);
    journal.files[index].medium = plain;
    outcome
}

#[test]
fn where_a_failure_cannot_be_taken_back_the_outcome_is_unknown() {
    let (dir, disk) = (fresh(), Arc::new(Mutex::new(Disk::default())));
    let (mut journal, _) = open(dir.path(), SALT, 0, Disk::opener(&disk)).expect("opens");
    append(&mut journal, 1, &[1; 100]).expect("appended");
    (disk.lock().syncs_left, disk.lock().truncates_left) = (Some(0), Some(0));
    let trouble = append(&mut journal, 2, &[2; 100]).expect_err("nothing works any more");
    assert!(trouble.outcome_unknown);
}

/// Power cuts at any write or sync: what was acknowledged is there, and nothing is torn.
#[test]
fn acknowledged_groups_survive_power_cuts() {
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let dir = fresh();
        let (mut acknowledged, mut sequence, mut flushed) = (Vec::new(), 0, 0);
        for _ in 0..4 {
            let disk = Arc::new(Mutex::new(Disk::default()));
            let (mut journal, recovered) =
                open(dir.path(), SALT, flushed, Disk::opener(&disk)).expect("the journal is sound");
            let found = sequences(&recovered);
            let needed: Vec<u64> = acknowledged.iter().copied().filter(|s| *s > flushed).collect();
            assert!(needed.iter().all(|s| found.contains(s)), "seed {seed}: {needed:?} in {found:?}");
            check_rows(dir.path(), &recovered);
            // What turned out whole is committed from now on.
            acknowledged.extend(found.iter().filter(|s| !needed.contains(s)));
            sequence = sequence.max(recovered.last);
            let (writes, syncs) = (random.below(40) as usize, random.below(25) as usize);
            disk.lock().writes_left = Some(writes);
            disk.lock().syncs_left = Some(syncs);
            disk.lock().truncates_left = Some(0);
            for _ in 0..30 {
                sequence += 1 + random.below(2);
                let bytes = 1 + random.below(3_000) as usize;
                if append(&mut journal, sequence, &vec![sequence as u8; bytes]).is_err() {
                    break;
                }
                acknowledged.push(sequence);
                if random.one_in(6) {
                    journal.start_file();
                    if random.one_in(2) {
                        flushed = sequence;
                        journal.flushed().store(flushed, Ordering::Release);
                    }
                }
            }
            disk.lock().power_cut(&mut random);
        }
    }
}
