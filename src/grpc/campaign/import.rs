//! Importing contacts from a stream.

use super::add::{Adder, Draft};
use super::{campaign_id, refuse_single_calls};
use crate::grpc::convert::{choices, person};
use crate::grpc::error::Violation;
use crate::grpc::import::{self, Issues, PIECE_BYTES_MAX, Records, bad_file, bad_header};
use crate::grpc::room::{Room, key_text};
use std::sync::Arc;
use tandem_domain::campaign::Campaign;
use tandem_domain::contact_file::{ContactLine, FileError, Header, LineError};
use tandem_domain::id::CompanyId;
use tandem_domain::phone::Country;
use tandem_domain::row::Priority;
use tandem_proto::v1;
use tandem_proto::v1::import_contacts_request::Content;
use tonic::{Status, Streaming};

/// Contacts of one message.
const CONTACTS_MAX: usize = 1_000;

pub async fn import(
    room: Arc<Room>,
    company: CompanyId,
    mut stream: Streaming<v1::ImportContactsRequest>,
) -> Result<v1::ImportContactsResponse, Status> {
    let first = stream.message().await?.and_then(|m| m.content);
    let Some(Content::Header(header)) = first else {
        return Err(Violation::new("header", "required in the first message").into());
    };
    let (campaign, entity) = campaign_id(company, &header.campaign_id)?;
    refuse_single_calls(company, campaign)?;
    let region = person::region_of("header.default_region", &header.default_region)?;
    let key = key_text(&header.idempotency_key)?;
    // Told before the file is sent, not after.
    room.read::<Campaign>(entity).await?;
    let bytes_max = room.import_bytes_max;
    let mut import = Import {
        adder: Adder::new(room, company, campaign, key),
        bytes_max,
        region,
        issues: Issues::default(),
        read: 0,
        stopped: None,
        source: None,
    };
    while let Some(message) = stream.message().await? {
        match message.content {
            Some(Content::Csv(piece)) => import.piece(piece).await?,
            Some(Content::Contacts(contacts)) => import.contacts(contacts.contacts).await?,
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

/// In which form the contacts come.
enum Source {
    Csv { records: Box<Records>, header: Option<Header> },
    Messages,
}

struct Import {
    adder: Adder,
    /// Bytes of a file.
    bytes_max: u64,
    region: Option<Country>,
    issues: Issues,
    /// Contacts that were read, good or not.
    read: u64,
    /// Where the file could not be read on.
    stopped: Option<v1::ImportIssue>,
    source: Option<Source>,
}

impl Import {
    async fn piece(&mut self, piece: bytes::Bytes) -> Result<(), Status> {
        if piece.len() > PIECE_BYTES_MAX {
            return Err(Violation::new("csv", "at most 1 MiB in one message").into());
        }
        let bytes_max = self.bytes_max;
        let fresh = || Source::Csv { records: Box::new(Records::new(bytes_max)), header: None };
        let Source::Csv { records, .. } = self.source.get_or_insert_with(fresh) else {
            return Err(Violation::new("csv", "not together with contacts").into());
        };
        records.push(piece);
        self.records().await
    }

    /// Adds the records that are complete.
    async fn records(&mut self) -> Result<(), Status> {
        loop {
            let Some(Source::Csv { records, header }) = &mut self.source else { return Ok(()) };
            let record = match records.next() {
                Ok(Some(record)) => record,
                Ok(None) => return Ok(()),
                Err(e) => return self.stop(&e),
            };
            let Some(header) = header else {
                *header = Some(Header::parse(record.fields()).map_err(|e| bad_header(&e))?);
                continue;
            };
            let read = header.contact(record.line, record.fields(), self.region);
            let lane = read.as_ref().map_or(Priority::Normal, |line| person::lane_of(line.priority));
            self.take(read, lane).await?;
        }
    }

    /// A file that is none from its beginning is refused; one that breaks off later keeps what stood
    /// before.
    fn stop(&mut self, e: &FileError) -> Result<(), Status> {
        if self.read == 0 {
            return Err(bad_file(e));
        }
        self.stopped = Some(import::stopped(e));
        Ok(())
    }

    async fn contacts(&mut self, contacts: Vec<v1::NewContact>) -> Result<(), Status> {
        if !matches!(self.source.get_or_insert(Source::Messages), Source::Messages) {
            return Err(Violation::new("contacts", "not together with csv").into());
        }
        if contacts.len() > CONTACTS_MAX {
            return Err(Violation::new("contacts", "at most 1000 in one message").into());
        }
        for contact in contacts {
            let told = person::Told {
                phone: &contact.phone,
                region: self.region,
                name: &contact.name,
                email: &contact.email,
                language: &contact.language,
                time_zone: &contact.time_zone,
                variables: &contact.variables,
            };
            let lane = choices::priority_of("contacts.priority", contact.priority)?.unwrap_or_default();
            let line = told.read(self.read + 1).map_err(|e| {
                // A message without anything in it is no blank line: somebody meant something by it.
                let blank = e.is_blank();
                let reason =
                    tandem_domain::contact_file::Reason::Number(tandem_domain::phone::NumberError::Empty);
                if blank { LineError { reason, ..e } } else { e }
            });
            self.take(line, lane).await?;
        }
        Ok(())
    }

    async fn take(&mut self, line: Result<ContactLine, LineError>, lane: Priority) -> Result<(), Status> {
        match line {
            Ok(line) => {
                self.read += 1;
                self.adder.add(Draft::new(line, lane)).await
            }
            Err(e) => {
                if !e.is_blank() {
                    self.read += 1;
                    self.issues.add(&e);
                }
                Ok(())
            }
        }
    }

    async fn finish(mut self) -> Result<v1::ImportContactsResponse, Status> {
        if self.stopped.is_none()
            && let Some(Source::Csv { records, .. }) = &mut self.source
        {
            records.finish();
            self.records().await?;
        }
        let totals = self.adder.finish().await?;
        Ok(v1::ImportContactsResponse {
            read: self.read,
            added: totals.added,
            duplicates: totals.duplicates,
            invalid: self.issues.count,
            issues_truncated: self.issues.is_truncated(),
            issues: self.issues.listed,
            stopped: self.stopped,
            replayed: totals.batches > 0 && totals.replayed == totals.batches,
        })
    }
}
