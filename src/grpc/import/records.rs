//! Records of a file that comes in pieces cut anywhere.
//!
//! Line by line the raw bytes pass [`Scan`] first, which stops what is no such file before anything is
//! buffered for it; then the CSV reader, which keeps no more than the record it is in.

use bytes::{Buf as _, Bytes, BytesMut};
use csv_core::ReadRecordResult;
use tandem_domain::contact_file::{FileError, RECORD_BYTES_MAX, Scan, detect_delimiter};

/// Fields that are made room for at first. More is made as needed, up to one for each byte.
const FIELDS: usize = 72;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One record. Its fields are those of the file, unquoted.
#[derive(Debug)]
pub struct Record<'a> {
    /// Line of the file on which it begins, from 1.
    pub line: u64,
    bytes: &'a [u8],
    ends: &'a [usize],
}

impl<'a> Record<'a> {
    pub fn fields(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (bytes, mut begin) = (self.bytes, 0);
        self.ends.iter().map(move |end| {
            let field = bytes.get(begin..*end).unwrap_or(&[]);
            begin = *end;
            field
        })
    }
}

/// Reads records as pieces are pushed.
pub struct Records {
    stage: Stage,
    /// What may still come, of so many bytes in all.
    bytes_left: u64,
    bytes_max: u64,
    /// More has come.
    too_large: bool,
}

enum Stage {
    /// Waiting for the whole first line, by which the separator is known, while something looks whether
    /// this is a text at all: a file without a line end is not waited for.
    Head(BytesMut, Scan),
    Body(Box<Body>),
}

struct Body {
    scan: Scan,
    core: csv_core::Reader,
    /// What was pushed and not read yet.
    piece: Bytes,
    /// The rest of the line that is being read; it has passed the scan.
    line: Bytes,
    /// Number of that line, and whether the next byte begins a line.
    line_no: u64,
    at_line_start: bool,
    /// Line on which the present record began.
    record_line: u64,
    /// No byte of the next record has been read.
    at_record_start: bool,
    bytes: Vec<u8>,
    ends: Vec<usize>,
    bytes_len: usize,
    ends_len: usize,
    /// There is nothing more to come.
    finished: bool,
    done: bool,
}

impl Records {
    /// Of a file of at most so many bytes.
    pub fn new(bytes_max: u64) -> Self {
        let stage = Stage::Head(BytesMut::new(), Scan::new(b','));
        Records { stage, bytes_left: bytes_max, bytes_max, too_large: false }
    }

    /// Takes the next piece. The records of the one before have to be read first.
    pub fn push(&mut self, piece: Bytes) {
        match self.bytes_left.checked_sub(piece.len() as u64) {
            Some(left) if !self.too_large => self.bytes_left = left,
            _ => {
                self.too_large = true;
                return;
            }
        }
        match &mut self.stage {
            Stage::Body(body) => {
                debug_assert!(body.piece.is_empty(), "the former piece is not read yet");
                body.piece = piece;
            }
            Stage::Head(head, look) => {
                head.extend_from_slice(&piece);
                let is_text = !matches!(look.feed(&piece), Err(FileError::NotText { .. }));
                if head.len() > RECORD_BYTES_MAX || head.contains(&b'\n') || !is_text {
                    self.begin(false);
                }
            }
        }
    }

    /// No more pieces come.
    pub fn finish(&mut self) {
        match &mut self.stage {
            Stage::Head(..) => self.begin(true),
            Stage::Body(body) => body.finished = true,
        }
    }

    fn begin(&mut self, finished: bool) {
        let Stage::Head(head, _) = &mut self.stage else { return };
        let mut head = std::mem::take(head);
        if head.starts_with(BYTE_ORDER_MARK) {
            head.advance(BYTE_ORDER_MARK.len());
        }
        let delimiter = detect_delimiter(&head);
        self.stage = Stage::Body(Box::new(Body {
            scan: Scan::new(delimiter),
            core: csv_core::ReaderBuilder::new().delimiter(delimiter).build(),
            piece: head.freeze(),
            line: Bytes::new(),
            line_no: 0,
            at_line_start: true,
            record_line: 1,
            at_record_start: true,
            bytes: vec![0; 4_096],
            ends: vec![0; FIELDS],
            bytes_len: 0,
            ends_len: 0,
            finished,
            done: false,
        }));
    }

    /// The next record; `None` where another piece is needed, or at the end.
    ///
    /// # Errors
    /// A file that cannot be read on: every record before was given out.
    pub fn next(&mut self) -> Result<Option<Record<'_>>, FileError> {
        if self.too_large {
            let line = match &self.stage {
                Stage::Head(..) => 1,
                Stage::Body(body) => body.line_no.max(1),
            };
            return Err(FileError::TooLarge { line, mib_max: self.bytes_max >> 20 });
        }
        match &mut self.stage {
            Stage::Head(..) => Ok(None),
            Stage::Body(body) => body.next(),
        }
    }
}

impl Body {
    fn next(&mut self) -> Result<Option<Record<'_>>, FileError> {
        if self.done {
            return Ok(None);
        }
        if self.at_record_start {
            (self.bytes_len, self.ends_len) = (0, 0);
        }
        loop {
            if self.line.is_empty() {
                if self.piece.is_empty() && !self.finished {
                    return Ok(None);
                }
                self.next_line()?;
            }
            let (result, read, wrote, ended) = self.core.read_record(
                &self.line,
                &mut self.bytes[self.bytes_len..],
                &mut self.ends[self.ends_len..],
            );
            self.line.advance(read);
            self.bytes_len += wrote;
            self.ends_len += ended;
            match result {
                ReadRecordResult::InputEmpty => {
                    self.at_record_start &= self.bytes_len == 0 && self.ends_len == 0
                }
                // Grown no further than the scan lets a record grow.
                ReadRecordResult::OutputFull => self.bytes.resize(self.bytes.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::Record => {
                    let line = self.record_line;
                    self.at_record_start = true;
                    return Ok(Some(Record {
                        line,
                        bytes: &self.bytes[..self.bytes_len],
                        ends: &self.ends[..self.ends_len],
                    }));
                }
                ReadRecordResult::End => {
                    self.done = true;
                    return Ok(None);
                }
            }
        }
    }

    /// Moves on to the next line of the piece, or to the end of the file.
    fn next_line(&mut self) -> Result<(), FileError> {
        if self.piece.is_empty() {
            // The reader is given nothing, and takes it for the end.
            return self.scan.clone().finish().map(drop);
        }
        let end = self.piece.iter().position(|b| *b == b'\n').map_or(self.piece.len(), |at| at + 1);
        self.line = self.piece.split_to(end);
        self.scan.feed(&self.line)?;
        if self.at_line_start {
            self.line_no += 1;
        }
        self.at_line_start = self.line.ends_with(b"\n");
        if self.at_record_start {
            self.record_line = self.line_no;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Rows = Vec<(u64, Vec<String>)>;

    /// Reads a file cut into pieces of these sizes, and how it ended.
    fn read(file: &[u8], cuts: &[usize]) -> (Rows, Option<FileError>) {
        let mut records = Records::new(u64::MAX);
        let mut rows = Rows::new();
        let mut rest = Bytes::copy_from_slice(file);
        let mut cuts = cuts.iter().copied().cycle();
        loop {
            if rest.is_empty() {
                records.finish();
            } else {
                let cut = cuts.next().unwrap_or(usize::MAX).clamp(1, rest.len());
                records.push(rest.split_to(cut));
            }
            loop {
                match records.next() {
                    Ok(Some(r)) => {
                        let fields = r.fields().map(|f| String::from_utf8_lossy(f).into_owned());
                        rows.push((r.line, fields.collect()));
                    }
                    Ok(None) => break,
                    Err(e) => return (rows, Some(e)),
                }
            }
            if rest.is_empty() {
                return (rows, None);
            }
        }
    }

    fn row(line: u64, fields: &[&str]) -> (u64, Vec<String>) {
        (line, fields.iter().map(|f| (*f).to_owned()).collect())
    }

    /// The last round pushes nothing and finishes.
    fn whole(file: &[u8]) -> (Rows, Option<FileError>) {
        let mut records = Records::new(u64::MAX);
        records.push(Bytes::copy_from_slice(file));
        let mut rows = Rows::new();
        for last in [false, true] {
            if last {
                records.finish();
            }
            loop {
                match records.next() {
                    Ok(Some(r)) => rows.push((
                        r.line,
                        r.fields().map(|f| String::from_utf8_lossy(f).into_owned()).collect(),
                    )),
                    Ok(None) => break,
                    Err(e) => return (rows, Some(e)),
                }
            }
        }
        (rows, None)
    }

    #[test]
    fn lines_are_numbered_as_in_the_file_over_blank_and_quoted_ones() {
        let file = b"phone,note\r\n+1,\"two\r\nlines\"\r\n\r\n\r\n+2,x\r\n+3,y";
        let expected = vec![
            row(1, &["phone", "note"]),
            row(2, &["+1", "two\r\nlines"]),
            row(6, &["+2", "x"]),
            row(7, &["+3", "y"]),
        ];
        assert_eq!(whole(file), (expected, None));
    }

    #[test]
    fn the_separator_is_the_one_of_the_first_line() {
        for separator in [',', ';', '\t', '|'] {
            let file = format!("phone{separator}name\n+1{separator}Ada\n");
            let expected = vec![row(1, &["phone", "name"]), row(2, &["+1", "Ada"])];
            assert_eq!(whole(file.as_bytes()), (expected, None));
        }
    }

    #[test]
    fn a_byte_order_mark_does_not_hide_a_quote() {
        let file = b"\xef\xbb\xbf\"phone\",\"a,b\"\n1,2\n";
        assert_eq!(whole(file).0[0], row(1, &["phone", "a,b"]));
    }

    #[test]
    fn what_stands_before_the_trouble_is_given_out() {
        let (rows, error) = whole(b"phone,name\n+1,Ada\n+2,\"open\n");
        assert_eq!(rows.len(), 2);
        assert_eq!(error, Some(FileError::OpenQuote { line: 3 }));
        let (rows, error) = whole(b"phone\n+1\n+2\0\n+3\n");
        assert_eq!(rows.len(), 2);
        assert!(matches!(error, Some(FileError::NotText { line: 3, .. })), "{error:?}");
    }

    #[test]
    fn what_is_no_such_file_is_refused() {
        assert_eq!(whole(b"").1, Some(FileError::Empty));
        assert!(matches!(whole(b"PK\x03\x04rubbish").1, Some(FileError::NotText { .. })));
        let endless = vec![b'x'; 3 * RECORD_BYTES_MAX];
        assert!(matches!(whole(&endless).1, Some(FileError::RecordTooLong { line: 1 })));
        assert!(matches!(read(&endless, &[1_000]).1, Some(FileError::RecordTooLong { line: 1 })));
    }

    #[test]
    fn what_is_no_text_is_known_before_its_first_line_ends() {
        for file in [b"\x7fELF\x02\x01\x01".as_slice(), b"PK\x03\x04", b"\xff\xfep\0"] {
            let mut records = Records::new(u64::MAX);
            let refused = file.iter().find_map(|byte| {
                records.push(Bytes::copy_from_slice(&[*byte]));
                records.next().map(drop).err()
            });
            assert!(matches!(refused, Some(FileError::NotText { line: 1, .. })), "{file:?}: {refused:?}");
        }
    }

    #[test]
    fn a_file_that_is_too_large_gives_out_what_lies_within_the_bound() {
        let mut records = Records::new(12);
        records.push(Bytes::from_static(b"phone\n+1\n+2\n"));
        let lines: Vec<u64> = std::iter::from_fn(|| records.next().expect("good").map(|r| r.line)).collect();
        assert_eq!(lines, [1, 2, 3]);
        records.push(Bytes::from_static(b"+"));
        let too_large = FileError::TooLarge { line: 3, mib_max: 0 };
        assert_eq!(records.next().map(drop), Err(too_large));
        // And so it stays.
        records.push(Bytes::new());
        records.finish();
        assert_eq!(records.next().map(drop), Err(too_large));
    }

    #[test]
    fn records_of_very_many_fields_are_read() {
        let file = format!("a\n{}\n", ",".repeat(5_000));
        let (rows, error) = whole(file.as_bytes());
        assert_eq!((rows[1].1.len(), error), (5_001, None));
    }

    proptest! {
        #[test]
        fn wherever_it_is_cut_the_records_are_the_same(
            rows in proptest::collection::vec(
                proptest::collection::vec("[a-z,;\"\n\r ]{0,8}", 1..4), 1..12),
            crlf: bool,
            cuts in proptest::collection::vec(1usize..40, 1..6),
        ) {
            let end = if crlf { "\r\n" } else { "\n" };
            let mut file = String::from("phone,b,c") + end;
            for row in &rows {
                let fields: Vec<String> =
                    row.iter().map(|f| format!("\"{}\"", f.replace('"', "\"\""))).collect();
                file += &fields.join(",");
                file += end;
            }
            let (once, error) = whole(file.as_bytes());
            prop_assert_eq!(&error, &None);
            prop_assert_eq!(once.len(), rows.len() + 1);
            for (read, wrote) in once[1..].iter().zip(&rows) {
                prop_assert_eq!(&read.1, wrote);
            }
            prop_assert_eq!(read(file.as_bytes(), &cuts), (once, None));
        }

        #[test]
        fn garbage_gives_an_error_or_records_and_never_a_panic(
            file in proptest::collection::vec(any::<u8>(), 0..400),
            cuts in proptest::collection::vec(1usize..40, 1..6),
        ) {
            let _ = read(&file, &cuts);
        }
    }
}
