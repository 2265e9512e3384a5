//! The data directory: whose it is, whether it is one, and what must be in it.
//!
//! ```text
//! LOCK      held by the process that uses the directory
//! STORE     one line: what this is, in which version, whether it is complete, the journal's salt
//! journal/  0, 1, ...
//! tables/   the log-structured merge tree
//! ```

use super::failure::{corrupt, opening};
use super::journal;
use crate::StoreError;
use std::fs::{File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

const LOCK: &str = "LOCK";
const MARK: &str = "STORE";
const JOURNAL: &str = "journal";
const TABLES: &str = "tables";
/// Without it the tree would take its directory for a new one.
const TABLES_MANIFEST: &str = "tables/current";
const MARK_NEW: &str = "STORE.new";
const MARK_BYTES_MAX: usize = 256;
const FORMAT: &str = "tandem-store 1";

/// The open directory; the lock goes with it.
pub(super) struct Directory {
    pub path: PathBuf,
    pub salt: u64,
    /// Whether everything must be there. Otherwise it is being made.
    ready: bool,
    _lock: File,
}

impl Directory {
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |error: io::Error| opening(path, &error);
        std::fs::create_dir_all(path).map_err(failed)?;
        let path = path.canonicalize().map_err(failed)?;
        let lock = lock(&path)?;
        let mark = match read_mark(&path)? {
            Some(mark) => mark,
            None => {
                check_empty(&path)?;
                let mark = Mark { ready: false, salt: RandomState::new().hash_one(&path) };
                write_mark(&path, &mark).map_err(failed)?;
                mark
            }
        };
        if mark.ready {
            check_parts(&path)?;
        } else {
            // Perhaps an earlier start died before anything could be committed.
            remove_parts(&path).map_err(failed)?;
            journal::create(&path.join(JOURNAL), mark.salt).map_err(failed)?;
        }
        Ok(Self { path, salt: mark.salt, ready: mark.ready, _lock: lock })
    }

    /// Everything is in place: from now on, what is missing is damage.
    pub fn mark_ready(&mut self) -> Result<(), StoreError> {
        if !self.ready {
            let mark = Mark { ready: true, salt: self.salt };
            write_mark(&self.path, &mark).map_err(|error| opening(&self.path, &error))?;
            self.ready = true;
        }
        Ok(())
    }

    pub fn journal(&self) -> PathBuf {
        self.path.join(JOURNAL)
    }

    pub fn tables(&self) -> PathBuf {
        self.path.join(TABLES)
    }
}

pub(super) fn sync_dir(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path.join(LOCK));
    let file = file.map_err(|error| opening(path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: path.display().to_string() }),
        Err(TryLockError::Error(error)) => Err(opening(path, &error)),
    }
}

struct Mark {
    ready: bool,
    salt: u64,
}

impl Mark {
    fn line(&self) -> String {
        let state = if self.ready { "ready" } else { "new" };
        let text = format!("{FORMAT} {state} {:016x}", self.salt);
        format!("{text} {:016x}\n", xxh3_64(text.as_bytes()))
    }

    fn parse(line: &str) -> Option<Self> {
        let (text, checksum) = line.strip_suffix('\n')?.rsplit_once(' ')?;
        if u64::from_str_radix(checksum, 16).ok()? != xxh3_64(text.as_bytes()) {
            return None;
        }
        let (state, salt) = text.strip_prefix(FORMAT)?.strip_prefix(' ')?.split_once(' ')?;
        let ready = match state {
            "ready" => true,
            "new" => false,
            _ => return None,
        };
        Some(Self { ready, salt: u64::from_str_radix(salt, 16).ok()? })
    }
}

fn read_mark(path: &Path) -> Result<Option<Mark>, StoreError> {
    let file = path.join(MARK);
    match std::fs::read(&file) {
        Ok(bytes) if bytes.len() <= MARK_BYTES_MAX => std::str::from_utf8(&bytes)
            .ok()
            .and_then(Mark::parse)
            .map(Some)
            .ok_or_else(|| corrupt(&file, format!("it does not say \"{FORMAT}\""))),
        Ok(_) => Err(corrupt(&file, "it is too long")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(opening(&file, &error)),
    }
}

fn write_mark(path: &Path, mark: &Mark) -> io::Result<()> {
    let new = path.join(MARK_NEW);
    let mut file = File::create(&new)?;
    file.write_all(mark.line().as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path.join(MARK))?;
    sync_dir(path)
}

/// Nothing but what a first start that died early, or a file system, leaves behind.
fn check_empty(path: &Path) -> Result<(), StoreError> {
    for entry in std::fs::read_dir(path).map_err(|error| opening(path, &error))? {
        let name = entry.map_err(|error| opening(path, &error))?.file_name();
        if ![LOCK, MARK_NEW, "lost+found"].iter().any(|known| name == *known) {
            let name = name.display();
            return Err(corrupt(
                path,
                format!("there is {name} but no {MARK}: not an intact data directory"),
            ));
        }
    }
    Ok(())
}

fn remove_parts(path: &Path) -> io::Result<()> {
    for part in [JOURNAL, TABLES] {
        match std::fs::remove_dir_all(path.join(part)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn check_parts(path: &Path) -> Result<(), StoreError> {
    for part in [JOURNAL, TABLES, TABLES_MANIFEST] {
        if !path.join(part).exists() {
            return Err(corrupt(path, format!("{part} is missing")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_survive_the_round_trip_and_damage_shows() {
        for ready in [true, false] {
            let line = Mark { ready, salt: 0xfeed_0000_0000_beef }.line();
            let mark = Mark::parse(&line).expect("it parses");
            assert_eq!((mark.ready, mark.salt), (ready, 0xfeed_0000_0000_beef));
            for at in 0..line.len() {
                let mut bytes = line.clone().into_bytes();
                bytes[at] ^= 1;
                assert!(Mark::parse(&String::from_utf8_lossy(&bytes)).is_none(), "byte {at}");
            }
        }
        assert!(Mark::parse("").is_none());
    }

    #[test]
    fn a_start_that_died_half_way_is_done_over() {
        let dir = tempfile::tempdir().expect("a directory");
        write_mark(dir.path(), &Mark { ready: false, salt: 5 }).expect("written");
        std::fs::create_dir_all(dir.path().join("journal")).expect("created");
        std::fs::write(dir.path().join("journal/0"), b"half").expect("written");
        let mut directory = Directory::open(dir.path()).expect("opens");
        assert_ne!(std::fs::read(directory.journal().join("0")).expect("there"), b"half");
        directory.mark_ready().expect("marks");
        drop(directory);
        assert!(
            matches!(Directory::open(dir.path()), Err(StoreError::Corrupt { .. })),
            "there are no tables"
        );
    }

    #[test]
    fn a_foreign_directory_is_left_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("thesis.txt"), b"mine").expect("written");
        assert!(matches!(Directory::open(dir.path()), Err(StoreError::Corrupt { .. })));
        assert_eq!(std::fs::read(dir.path().join("thesis.txt")).expect("there"), b"mine");
    }
}
