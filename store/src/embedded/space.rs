//! Notices that the disk is about to be full while there is still room to work: refusing commits
//! then is harmless, running out of space in the middle of things is not.

use crate::StoreError;
use std::path::{Path, PathBuf};

/// Free space is asked for again after so many bytes were written.
const CHECK_BYTES: u64 = 4 * 1024 * 1024;

pub(super) struct Space {
    path: PathBuf,
    free_bytes_min: u64,
    unchecked_bytes: u64,
    short: bool,
}

impl Space {
    pub fn new(path: &Path, free_bytes_min: u64) -> Self {
        Self { path: path.to_owned(), free_bytes_min, unchecked_bytes: CHECK_BYTES, short: false }
    }

    /// Before `bytes` are written.
    pub fn check(&mut self, bytes: u64) -> Result<(), StoreError> {
        self.unchecked_bytes = self.unchecked_bytes.saturating_add(bytes);
        if self.unchecked_bytes >= CHECK_BYTES || self.short {
            self.unchecked_bytes = 0;
            let free = free_bytes(&self.path);
            self.short = free.is_some_and(|free| free < self.free_bytes_min);
        }
        if !self.short {
            return Ok(());
        }
        Err(StoreError::Full(format!(
            "{} has less than {} MiB free; nothing is written until there is more",
            self.path.display(),
            self.free_bytes_min.div_ceil(1024 * 1024),
        )))
    }
}

#[cfg(unix)]
fn free_bytes(path: &Path) -> Option<u64> {
    let system = rustix::fs::statvfs(path).ok()?;
    Some(system.f_bavail.saturating_mul(system.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes(_: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_floor_that_no_disk_has_is_short_and_none_is_not() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(matches!(Space::new(dir.path(), u64::MAX).check(1), Err(StoreError::Full(_))));
        assert!(Space::new(dir.path(), 0).check(1).is_ok());
    }
}
