//! Lists of contacts as people have them: a header and one line per person.
//!
//! Three parts that do no I/O, so that a list of any length streams through constant memory:
//! [`Scan`] looks at the raw bytes and refuses what is no such file (a workbook, a quote that is
//! never closed) before a reader buffers it; [`Header::parse`] says which column is what; and
//! [`Header::contact`] makes a [`ContactLine`] of each record or says which column is wrong and why.
//! The records themselves come from a CSV reader of the caller. The format is described for users
//! in `docs/contact-files.md`.

mod columns;
mod line;
mod scan;

#[cfg(test)]
mod tests;

pub use columns::{Header, HeaderError};
pub use line::{ContactLine, LineError, Reason};
pub use scan::{FileError, NotText, Scan, detect_delimiter};

/// Columns of a file.
pub const COLUMNS_MAX: usize = 64;
/// Bytes of a column's name.
pub const COLUMN_NAME_BYTES_MAX: usize = 64;
/// Bytes of one field.
pub const FIELD_BYTES_MAX: usize = 4_096;
/// Bytes of one record, as it stands in the file.
pub const RECORD_BYTES_MAX: usize = 65_536;
/// Bytes of all variables of one contact, names included.
pub const VARIABLES_BYTES_MAX: usize = 16_384;
/// Bytes of a name.
pub const NAME_BYTES_MAX: usize = 200;
/// Bytes of an e-mail address (RFC 5321).
pub const EMAIL_BYTES_MAX: usize = 254;
/// The highest priority; called first.
pub const PRIORITY_MAX: u8 = 9;
