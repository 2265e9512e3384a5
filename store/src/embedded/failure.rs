//! What goes wrong in the files, as typed errors.

use crate::{CommitError, StoreError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Why a group could not be made durable.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    pub error: StoreError,
    /// Whether the group may show up after a restart all the same.
    pub outcome_unknown: bool,
}

impl Trouble {
    /// The group was refused before anything was written.
    pub fn refused(reason: &str) -> Self {
        Self::from(StoreError::Unavailable(reason.into()))
    }

    pub fn commit_error(&self) -> CommitError {
        if self.outcome_unknown {
            CommitError::Unknown(self.error.to_string())
        } else {
            CommitError::Store(self.error.clone())
        }
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self { error, outcome_unknown: false }
    }
}

pub(super) fn corrupt(path: &Path, reason: impl Into<String>) -> StoreError {
    StoreError::Corrupt { path: path.display().to_string(), reason: reason.into() }
}

/// A write failed; whether it left something behind is for the caller to say.
pub(super) fn writing(path: &Path, error: &io::Error) -> Trouble {
    Trouble::from(io_error(path, error, |text| {
        StoreError::Unavailable(format!("writing to {} failed: {text}", path.display()))
    }))
}

/// Something else than the tables went wrong while opening.
pub(super) fn opening(path: &Path, error: &io::Error) -> StoreError {
    io_error(path, error, |text| {
        StoreError::Unavailable(format!("opening {} failed: {text}", path.display()))
    })
}

fn io_error(path: &Path, error: &io::Error, other: impl FnOnce(String) -> StoreError) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            StoreError::Full(format!("{}: {error}", path.display()))
        }
        _ => other(error.to_string()),
    }
}

/// Runs what works on the tables. Their code panics on some kinds of damage; to us that is damage
/// like any other.
pub(super) fn guarded<T>(path: &Path, work: impl FnOnce() -> lsm_tree::Result<T>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(table_error(path, &error)),
        Err(panic) => Err(corrupt(path, panic_text(panic.as_ref()))),
    }
}

pub(super) fn table_error(path: &Path, error: &lsm_tree::Error) -> StoreError {
    let lsm_tree::Error::Io(error) = error else { return corrupt(path, error.to_string()) };
    match error.kind() {
        // Tables are complete once they are named. What ends early, points nowhere or is gone was
        // damaged since.
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::NotFound
        | io::ErrorKind::InvalidData
        | io::ErrorKind::InvalidInput => corrupt(path, error.to_string()),
        _ => io_error(path, error, |text| {
            StoreError::Unavailable(format!("the tables in {} failed: {text}", path.display()))
        }),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "the table code panicked".into())
}
