//! Finds in the journal's files what is not yet in tables, and notices where something is missing.

use super::FILES;
use super::record::{self, Header, JournalRow};
use crate::StoreError;
use crate::embedded::failure::corrupt;
use bytes::Bytes;
use std::path::Path;

/// What the journal had.
pub(in crate::embedded) struct Recovered {
    /// Groups that are not in tables, in order.
    pub groups: Vec<RecoveredGroup>,
    /// Sequence of the last group ever seen.
    pub last: u64,
    /// Sequence up to which everything is in tables.
    pub flushed: u64,
    /// Sequence of the last group of each file that is not in tables; 0 if there is none.
    pub last_by_file: Vec<u64>,
}

pub(in crate::embedded) struct RecoveredGroup {
    pub sequence: u64,
    pub payload: Bytes,
}

impl RecoveredGroup {
    /// The rows of the group, in the order they were written.
    pub fn rows(&self, dir: &Path) -> Result<Vec<JournalRow>, StoreError> {
        record::rows(self.payload.clone())
            .ok_or_else(|| corrupt(dir, format!("group {} of the journal does not parse", self.sequence)))
    }
}

pub(super) fn recover(dir: &Path, salt: u64, persisted: u64) -> Result<Recovered, StoreError> {
    let mut found: Vec<(Header, usize, Bytes)> = Vec::new();
    let mut flushed = persisted;
    for index in 0..FILES {
        let path = dir.join(index.to_string());
        let bytes = std::fs::read(&path)
            .map_err(|error| corrupt(&path, format!("the journal cannot be read: {error}")))?;
        let records = record::find_all(&bytes, salt);
        if records.first().is_none_or(|first| first.payload != (record::HEADER_BYTES..record::HEADER_BYTES)) {
            return Err(corrupt(&path, "the file of the journal has lost its beginning"));
        }
        flushed = records.iter().map(|found| found.header.flushed).fold(flushed, u64::max);
        for record in records {
            // Copied only if needed: most of a file is usually in tables already.
            if record.header.sequence > flushed && !record.payload.is_empty() {
                found.push((record.header, index, Bytes::copy_from_slice(&bytes[record.payload])));
            }
        }
    }
    found.retain(|(header, _, _)| header.sequence > flushed);
    found.sort_by_key(|(header, _, _)| header.sequence);
    check_chain(dir, flushed, &found)?;
    let mut last_by_file = vec![0; FILES];
    for (header, index, _) in &found {
        last_by_file[*index] = header.sequence;
    }
    let last = found.last().map_or(flushed, |(header, _, _)| header.sequence);
    let groups = found
        .into_iter()
        .map(|(header, _, payload)| RecoveredGroup { sequence: header.sequence, payload })
        .collect();
    Ok(Recovered { groups, last, flushed, last_by_file })
}

fn check_chain(dir: &Path, flushed: u64, found: &[(Header, usize, Bytes)]) -> Result<(), StoreError> {
    let mut last = None;
    for (header, _, _) in found {
        let whole = match last {
            None => header.previous <= flushed,
            Some(last) => header.previous == last,
        };
        if !whole {
            let missing = header.previous;
            return Err(corrupt(dir, format!("group {missing} of the journal is missing or damaged")));
        }
        last = Some(header.sequence);
    }
    Ok(())
}
