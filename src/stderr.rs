//! Words to whoever runs the program.

use std::fmt::Display;
use std::io::Write as _;

/// Writes a line to the standard error. Where that cannot be written (its disk is full, its reader is
/// gone) nothing else is disturbed by it, unlike with `eprintln`, which panics.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The same without an end of the line.
pub(crate) fn show(text: impl Display) {
    let _ = write!(std::io::stderr(), "{text}");
}
