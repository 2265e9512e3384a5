//! Lists that come in as streams: read piece by piece, in constant memory.

mod issues;
mod records;

pub use issues::{Issues, stopped};
pub use records::Records;

use super::error::{self, reason};
use tandem_domain::contact_file::{FileError, HeaderError};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// Bytes of one piece of a file.
pub const PIECE_BYTES_MAX: usize = 1024 * 1024;

/// The file is no list that can be read.
pub fn bad_file(e: &FileError) -> Status {
    refused(reason::INVALID_FILE, e.reason(), e.line(), e.to_string())
}

/// The first line does not say which column is what.
pub fn bad_header(e: &HeaderError) -> Status {
    let reason = if matches!(e, HeaderError::NoHeader) { reason::NO_HEADER } else { reason::INVALID_FILE };
    refused(reason, e.reason(), Some(1), e.to_string())
}

fn refused(reason: &'static str, code: &'static str, line: Option<u64>, why: String) -> Status {
    let mut metadata = std::collections::HashMap::from([("code".to_owned(), code.to_owned())]);
    if let Some(line) = line {
        metadata.insert("line".to_owned(), line.to_string());
    }
    let mut details = ErrorDetails::with_error_info(reason, error::DOMAIN, metadata);
    details.add_bad_request_violation("csv", why.as_str());
    Status::with_error_details(Code::InvalidArgument, why, details)
}
