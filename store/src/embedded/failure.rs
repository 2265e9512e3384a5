//! What went wrong in the files, as typed errors.

use crate::{CommitError, StoreError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Why a group could not be applied.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    pub error: StoreError,
    /// Whether the group may show up after a restart all the same.
    pub outcome_unknown: bool,
}

impl Trouble {
    /// The group was refused before anything was written.
    pub fn refused(reason: &str) -> Self {
        Self { error: StoreError::Unavailable(reason.into()), outcome_unknown: false }
    }

    pub fn commit_error(&self) -> CommitError {
        if self.outcome_unknown {
            CommitError::Unknown(self.error.to_string())
        } else {
            CommitError::Store(self.error.clone())
        }
    }
}

/// Runs what opens the files. The engine panics on some kinds of damage; that is damage too.
pub(super) fn guarded<T>(path: &Path, open: impl FnOnce() -> fjall::Result<T>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(open)) {
        Ok(Ok(opened)) => Ok(opened),
        Ok(Err(error)) => Err(opening(path, &error)),
        Err(panic) => Err(corrupt(path, panic_text(panic.as_ref()))),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        return (*text).to_owned();
    }
    panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "the engine panicked".to_owned())
}

pub(super) fn corrupt(path: &Path, reason: String) -> StoreError {
    StoreError::Corrupt { path: path.display().to_string(), reason }
}

fn opening(path: &Path, error: &fjall::Error) -> StoreError {
    match error {
        fjall::Error::Locked => StoreError::InUse { path: path.display().to_string() },
        other => match io_error(other) {
            Some(io) if is_full(io) => StoreError::Full(format!("{}: {io}", path.display())),
            Some(io)
                if matches!(
                    io.kind(),
                    io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
                ) =>
            {
                StoreError::Unavailable(format!("{}: {io}", path.display()))
            }
            Some(io) => corrupt(path, io.to_string()),
            None => corrupt(path, other.to_string()),
        },
    }
}

pub(super) fn writing(path: &Path, error: &fjall::Error) -> Trouble {
    if matches!(error, fjall::Error::Poisoned) {
        return Trouble {
            error: StoreError::Unavailable(format!("an earlier write to {} failed; restart", path.display())),
            outcome_unknown: false,
        };
    }
    let error = match io_error(error) {
        Some(io) if is_full(io) => StoreError::Full(format!("{}: {io}", path.display())),
        _ => StoreError::Unavailable(format!("writing to {} failed: {error}", path.display())),
    };
    Trouble { error, outcome_unknown: true }
}

pub(super) fn reading(error: &fjall::Error) -> StoreError {
    StoreError::Unavailable(format!("reading failed: {error}"))
}

fn io_error(error: &fjall::Error) -> Option<&io::Error> {
    match error {
        fjall::Error::Io(io) | fjall::Error::Storage(fjall::LsmError::Io(io)) => Some(io),
        _ => None,
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
