//! A look at the raw bytes while they pass: is this a text of separated values at all?
//!
//! A CSV reader buffers a record until it ends. A quote that is never closed, or a file that is no
//! text, would make it buffer the whole file; the scan stops such a file within one record's
//! length.

use super::RECORD_BYTES_MAX;
use std::fmt;

/// Kinds of file that are often taken for a CSV.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotText {
    /// `.xlsx`, `.ods`, `.numbers` or another archive.
    Workbook,
    /// `.xls`.
    OldWorkbook,
    Pdf,
    Compressed,
    Utf16,
    /// A byte that no text holds.
    Binary,
}

impl fmt::Display for NotText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotText::Workbook => "a workbook or archive, not a CSV: export the sheet as CSV UTF-8",
            NotText::OldWorkbook => "an Excel workbook, not a CSV: export the sheet as CSV UTF-8",
            NotText::Pdf => "a PDF, not a CSV",
            NotText::Compressed => "a compressed file: decompress it first",
            NotText::Utf16 => "a text in UTF-16: save it as CSV UTF-8",
            NotText::Binary => "not a text: it holds bytes that no text has",
        })
    }
}

/// Why a file is not a list that can be read. Lines are counted from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FileError {
    #[error("the file is empty")]
    Empty,
    #[error("line {line}: {kind}")]
    NotText { line: u64, kind: NotText },
    #[error("line {line}: a quote is opened and not closed; write a quote inside a field twice")]
    OpenQuote { line: u64 },
    #[error("line {line}: longer than {RECORD_BYTES_MAX} bytes")]
    RecordTooLong { line: u64 },
    #[error(
        "line {line}: the file is larger than {mib_max} MiB: cut it into several, each with the line of names"
    )]
    TooLarge { line: u64, mib_max: u64 },
}

impl FileError {
    /// A stable code.
    pub fn reason(&self) -> &'static str {
        match self {
            FileError::Empty => "empty",
            FileError::NotText { .. } => "not_text",
            FileError::OpenQuote { .. } => "open_quote",
            FileError::RecordTooLong { .. } => "record_too_long",
            FileError::TooLarge { .. } => "too_large",
        }
    }

    /// Line of the file, from 1; `None` for the file as a whole.
    pub fn line(&self) -> Option<u64> {
        match self {
            FileError::Empty => None,
            FileError::NotText { line, .. }
            | FileError::OpenQuote { line }
            | FileError::RecordTooLong { line }
            | FileError::TooLarge { line, .. } => Some(*line),
        }
    }
}

/// Lines that one quoted field may span. Real notes have a few; a quote that was never closed runs
/// on.
const QUOTED_LINES_MAX: u64 = 64;

/// The separator of a file by its first line, of which `head` is (the beginning): comma,
/// semicolon, tab or bar, whichever stands there most often outside quotes; a comma if none does.
pub fn detect_delimiter(head: &[u8]) -> u8 {
    let mut counts = [(b',', 0usize), (b';', 0), (b'\t', 0), (b'|', 0)];
    let mut quoted = false;
    for byte in head.iter().take(RECORD_BYTES_MAX) {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' | b'\r' if !quoted => break,
            _ if !quoted => counts.iter_mut().filter(|(c, _)| c == byte).for_each(|(_, n)| *n += 1),
            _ => {}
        }
    }
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map_or(b',', |(delimiter, _)| delimiter)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    FieldStart,
    Field,
    Quoted,
    /// After a quote inside a quoted field: its end, or the first of two.
    QuoteInQuoted,
}

/// Follows the bytes of a file, fed in pieces of any size.
#[derive(Clone, Debug)]
pub struct Scan {
    delimiter: u8,
    at: At,
    line: u64,
    record_line: u64,
    record_bytes: usize,
    quote_line: u64,
    /// The first bytes of the file, until there are enough to know its kind.
    magic: [u8; MAGIC_BYTES],
    seen: u64,
    /// Something other than a byte order mark and line ends was seen.
    content: bool,
}

const MAGIC_BYTES: usize = 4;
const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

impl Scan {
    pub fn new(delimiter: u8) -> Scan {
        Scan {
            delimiter,
            at: At::FieldStart,
            line: 1,
            record_line: 1,
            record_bytes: 0,
            quote_line: 1,
            magic: [0; MAGIC_BYTES],
            seen: 0,
            content: false,
        }
    }

    /// Looks at the next piece. After an error the file is not to be read on.
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), FileError> {
        for byte in piece {
            if let Some(slot) = usize::try_from(self.seen).ok().and_then(|seen| self.magic.get_mut(seen)) {
                *slot = *byte;
            }
            self.seen += 1;
            if let Some(kind) = self.kind() {
                return Err(FileError::NotText { line: 1, kind });
            }
            if !self.in_byte_order_mark() {
                self.byte(*byte)?;
            }
        }
        Ok(())
    }

    /// Whether the bytes so far are (the beginning of) a byte order mark, which readers skip.
    fn in_byte_order_mark(&self) -> bool {
        let seen = usize::try_from(self.seen).unwrap_or(usize::MAX);
        seen <= BYTE_ORDER_MARK.len() && self.magic.get(..seen) == BYTE_ORDER_MARK.get(..seen)
    }

    /// The end of the file. Gives its number of lines.
    pub fn finish(self) -> Result<u64, FileError> {
        if !self.content {
            return Err(FileError::Empty);
        }
        if self.at == At::Quoted {
            return Err(FileError::OpenQuote { line: self.quote_line });
        }
        Ok(if self.record_bytes == 0 { self.line - 1 } else { self.line })
    }

    /// The kind of file by its first bytes, asked while they come in.
    fn kind(&self) -> Option<NotText> {
        match (self.seen, &self.magic) {
            (2, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) => Some(NotText::Utf16),
            (2, [0x1f, 0x8b, ..]) => Some(NotText::Compressed),
            (4, b"PK\x03\x04") => Some(NotText::Workbook),
            (4, [0xd0, 0xcf, 0x11, 0xe0]) => Some(NotText::OldWorkbook),
            (4, b"%PDF") => Some(NotText::Pdf),
            (4, b"\x89PNG" | b"GIF8" | b"\x7fELF" | [0xff, 0xd8, 0xff, _]) => Some(NotText::Binary),
            (4, [0x28, 0xb5, 0x2f, 0xfd]) => Some(NotText::Compressed),
            _ => None,
        }
    }

    fn byte(&mut self, byte: u8) -> Result<(), FileError> {
        // Told apart from bytes of UTF-8, which are judged field by field.
        if byte < 0x20 && !matches!(byte, b'\n' | b'\r' | b'\t' | 0x0b | 0x0c) {
            // The first four bytes may yet say more.
            if self.seen >= MAGIC_BYTES as u64 || byte == 0 {
                return Err(FileError::NotText { line: self.line, kind: NotText::Binary });
            }
        }
        self.content |= !matches!(byte, b'\n' | b'\r');
        self.record_bytes += 1;
        if self.record_bytes > RECORD_BYTES_MAX {
            return Err(match self.at {
                At::Quoted => FileError::OpenQuote { line: self.quote_line },
                _ => FileError::RecordTooLong { line: self.record_line },
            });
        }
        self.at = match (self.at, byte) {
            (At::FieldStart, b'"') => {
                self.quote_line = self.line;
                At::Quoted
            }
            (At::Quoted, b'"') => At::QuoteInQuoted,
            (At::QuoteInQuoted, b'"') => At::Quoted,
            (At::Quoted, _) => At::Quoted,
            (_, b'\n' | b'\r') => At::FieldStart,
            (_, other) if other == self.delimiter => At::FieldStart,
            _ => At::Field,
        };
        if byte == b'\n' {
            self.line += 1;
            if self.at == At::Quoted && self.line - self.quote_line > QUOTED_LINES_MAX {
                return Err(FileError::OpenQuote { line: self.quote_line });
            }
        }
        if self.at == At::FieldStart && matches!(byte, b'\n' | b'\r') {
            self.record_line = self.line;
            self.record_bytes = 0;
        }
        Ok(())
    }
}
