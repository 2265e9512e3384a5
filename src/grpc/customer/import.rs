//! Entering a do-not-call list from a stream.

use crate::grpc::convert::person;
use crate::grpc::error::Violation;
use crate::grpc::import::{self, Issues, PIECE_BYTES_MAX, Records, bad_file, bad_header};
use crate::grpc::room::{Room, key_over, key_text};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use std::pin::Pin;
use std::time::Duration;
use tandem_domain::contact_file::{FileError, Header, HeaderError, LineError, Reason};
use tandem_domain::customer::{Command, Customer};
use tandem_domain::id::{CompanyId, Entity};
use tandem_domain::phone::{Country, Number, NumberError};
use tandem_domain::row::DncSource;
use tandem_proto::v1;
use tandem_proto::v1::import_do_not_call_request::Content;
use tonic::{Status, Streaming};

/// Numbers of one message.
const NUMBERS_MAX: usize = 10_000;
/// Numbers that are entered at once.
const AT_ONCE: usize = 128;
/// Every person on the list wakes an actor, which nobody needs any more afterwards. The list sees to it
/// that they go, and waits while it has woken so many.
const AWAKE_MAX: usize = 2_048;
/// Numbers between two looks at how many are awake.
const LOOK_EVERY: u64 = 256;
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// What wakes meanwhile for other reasons does not hold a list for ever: so often it looks again.
const LOOKS_MAX: u32 = 100;

pub async fn import(
    room: &Room,
    company: CompanyId,
    mut stream: Streaming<v1::ImportDoNotCallRequest>,
) -> Result<v1::ImportDoNotCallResponse, Status> {
    let first = stream.message().await?.and_then(|m| m.content);
    let Some(Content::Header(header)) = first else {
        return Err(Violation::new("header", "required in the first message").into());
    };
    let region = person::region_of("header.default_region", &header.default_region)?;
    let key = key_text(&header.idempotency_key)?;
    let mut import = Import::new(room, company, region, key);
    while let Some(message) = stream.message().await? {
        match message.content {
            Some(Content::Csv(piece)) => import.piece(piece).await?,
            Some(Content::Numbers(numbers)) => import.numbers(numbers.numbers).await?,
            Some(Content::Header(_)) => {
                return Err(Violation::new("header", "only in the first message").into());
            }
            None => return Err(Violation::new("content", "required").into()),
        }
        if import.stopped.is_some() {
            break;
        }
    }
    import.finish().await
}

/// In which form the numbers come.
enum Source {
    Csv { records: Box<Records>, column: Option<PhoneColumn> },
    Messages,
}

/// The column with the numbers.
struct PhoneColumn {
    at: usize,
    name: String,
}

impl PhoneColumn {
    /// Finds it in the first record, by the rules of contact files.
    fn find(names: &[&[u8]]) -> Result<PhoneColumn, HeaderError> {
        Header::parse(names.iter().copied())?;
        // One column means phone for sure, or one may mean it where none does for sure: a header that has
        // two of the same kind was refused above.
        let sure = |name: &&[u8]| {
            matches!(Header::parse([b"phone".as_slice(), name]), Err(HeaderError::TwoPhoneColumns { .. }))
        };
        let may = |name: &&[u8]| Header::parse([*name]).is_ok();
        let at = names.iter().position(sure).or_else(|| names.iter().position(may));
        let at = at.ok_or(HeaderError::NoPhoneColumn)?;
        Ok(PhoneColumn { at, name: String::from_utf8_lossy(names[at]).trim().to_owned() })
    }
}

type Entering<'a> = Pin<Box<dyn Future<Output = Result<bool, Status>> + Send + 'a>>;

struct Import<'a> {
    room: &'a Room,
    company: CompanyId,
    region: Option<Country>,
    key: Option<&'a str>,
    source: Option<Source>,
    entering: FuturesUnordered<Entering<'a>>,
    /// Entities awake when it began.
    awake: usize,
    issues: Issues,
    read: u64,
    entered: u64,
    replayed: u64,
    stopped: Option<v1::ImportIssue>,
}

impl<'a> Import<'a> {
    fn new(room: &'a Room, company: CompanyId, region: Option<Country>, key: Option<&'a str>) -> Self {
        Import {
            room,
            company,
            region,
            key,
            source: None,
            entering: FuturesUnordered::new(),
            awake: room.handle.entities(),
            issues: Issues::default(),
            read: 0,
            entered: 0,
            replayed: 0,
            stopped: None,
        }
    }

    async fn piece(&mut self, piece: Bytes) -> Result<(), Status> {
        if piece.len() > PIECE_BYTES_MAX {
            return Err(Violation::new("csv", "at most 1 MiB in one message").into());
        }
        let bytes_max = self.room.import_bytes_max;
        let fresh = || Source::Csv { records: Box::new(Records::new(bytes_max)), column: None };
        let Source::Csv { records, .. } = self.source.get_or_insert_with(fresh) else {
            return Err(Violation::new("csv", "not together with numbers").into());
        };
        records.push(piece);
        self.records().await
    }

    async fn records(&mut self) -> Result<(), Status> {
        loop {
            let Some(Source::Csv { records, column }) = &mut self.source else { return Ok(()) };
            let record = match records.next() {
                Ok(Some(record)) => record,
                Ok(None) => return Ok(()),
                Err(e) => return self.stop(&e),
            };
            let Some(column) = column else {
                let names: Vec<&[u8]> = record.fields().collect();
                *column = Some(PhoneColumn::find(&names).map_err(|e| bad_header(&e))?);
                continue;
            };
            if record.fields().all(|field| field.trim_ascii().is_empty()) {
                continue;
            }
            let line = record.line;
            let field = record.fields().nth(column.at).unwrap_or(b"");
            let number = match std::str::from_utf8(field) {
                Ok(text) => Number::parse(text.trim(), self.region).map_err(Reason::Number),
                Err(_) => Err(Reason::NotText),
            };
            let number =
                number.map_err(|reason| LineError { line, column: Some(column.name.clone()), reason });
            self.take(number).await?;
        }
    }

    fn stop(&mut self, e: &FileError) -> Result<(), Status> {
        if self.read == 0 {
            return Err(bad_file(e));
        }
        self.stopped = Some(import::stopped(e));
        Ok(())
    }

    async fn numbers(&mut self, numbers: Vec<String>) -> Result<(), Status> {
        if !matches!(self.source.get_or_insert(Source::Messages), Source::Messages) {
            return Err(Violation::new("numbers", "not together with csv").into());
        }
        if numbers.len() > NUMBERS_MAX {
            return Err(Violation::new("numbers", "at most 10000 in one message").into());
        }
        for text in numbers {
            let line = self.read + 1;
            let number = Number::parse(text.trim(), self.region).map_err(|e: NumberError| LineError {
                line,
                column: None,
                reason: Reason::Number(e),
            });
            self.take(number).await?;
        }
        Ok(())
    }

    async fn take(&mut self, number: Result<Number, LineError>) -> Result<(), Status> {
        self.read += 1;
        let number = match number {
            Ok(number) => number,
            Err(e) => {
                self.issues.add(&e);
                return Ok(());
            }
        };
        if self.entering.len() >= AT_ONCE {
            self.next_entered().await?;
        }
        if self.read.is_multiple_of(LOOK_EVERY) {
            self.let_go().await?;
        }
        self.entering.push(Box::pin(enter(self.room, self.company, number, self.key)));
        Ok(())
    }

    /// Lets those go who have been entered, where they are many; those under way go on meanwhile.
    async fn let_go(&mut self) -> Result<(), Status> {
        for _ in 0..LOOKS_MAX {
            if self.room.handle.entities() <= self.awake + AWAKE_MAX {
                break;
            }
            self.room.handle.relieve();
            let mut rest = std::pin::pin!(tokio::time::sleep(LOOK_AGAIN));
            loop {
                tokio::select! {
                    () = &mut rest => break,
                    entered = self.next_entered(), if !self.entering.is_empty() => drop(entered?),
                }
            }
        }
        Ok(())
    }

    /// Waits for one that is under way; false where there is none.
    async fn next_entered(&mut self) -> Result<bool, Status> {
        let Some(entered) = self.entering.next().await else { return Ok(false) };
        self.replayed += u64::from(entered?);
        self.entered += 1;
        Ok(true)
    }

    async fn finish(mut self) -> Result<v1::ImportDoNotCallResponse, Status> {
        if self.stopped.is_none()
            && let Some(Source::Csv { records, .. }) = &mut self.source
        {
            records.finish();
            self.records().await?;
        }
        while self.next_entered().await? {}
        Ok(v1::ImportDoNotCallResponse {
            read: self.read,
            entered: self.entered,
            invalid: self.issues.count,
            issues_truncated: self.issues.is_truncated(),
            issues: self.issues.listed,
            stopped: self.stopped,
            replayed: self.entered > 0 && self.replayed == self.entered,
        })
    }
}

/// Enters one number; whether it had been entered before under the same key.
async fn enter(room: &Room, company: CompanyId, number: Number, key: Option<&str>) -> Result<bool, Status> {
    let customer = room.customer_id(company, &number).await?;
    // One key serves the whole list: each person remembers it for themselves.
    let key = key.map(|text| key_over(text.as_bytes(), b"ImportDoNotCall"));
    let command = Command::DoNotCall { source: DncSource::List, call: None };
    let answer = room.send::<Customer>(Entity::customer(company, customer), command, key).await?;
    Ok(answer.replayed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(names: &[&str]) -> Result<(usize, String), HeaderError> {
        let names: Vec<&[u8]> = names.iter().map(|n| n.as_bytes()).collect();
        PhoneColumn::find(&names).map(|c| (c.at, c.name))
    }

    #[test]
    fn the_column_of_numbers_is_found_by_the_rules_of_contact_files() {
        assert_eq!(find(&["phone"]), Ok((0, "phone".into())));
        assert_eq!(find(&["Name", "Phone Number", "Mobile"]), Ok((1, "Phone Number".into())));
        assert_eq!(find(&["name", " mobile "]), Ok((1, "mobile".into())));
        assert_eq!(find(&["\u{feff}tel", "email"]).map(|f| f.0), Ok(0));
        assert_eq!(find(&["name", "email"]), Err(HeaderError::NoPhoneColumn));
        assert_eq!(find(&["+12025550143"]), Err(HeaderError::NoHeader));
        assert!(find(&["phone", "to"]).is_err());
    }
}
