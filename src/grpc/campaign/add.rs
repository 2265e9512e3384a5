//! Adding contacts to a campaign: prepared in batches, several ahead, sent one after another.

use crate::grpc::convert::person;
use crate::grpc::error;
use crate::grpc::room::{Room, key_over, vault_failed};
use ring::digest;
use std::sync::Arc;
use tandem_actors::Key;
use tandem_domain::campaign::{Added, Campaign, Command, NewContact, Reply, Skip};
use tandem_domain::codec;
use tandem_domain::contact_file::ContactLine;
use tandem_domain::id::{CampaignId, CompanyId, Entity};
use tandem_domain::row::{Person, Priority};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;

/// Bytes of what is told of the people of one batch: with their keys they make one transaction.
const BATCH_BYTES_MAX: usize = 256 * 1024;
/// Batches that are prepared while one is sent.
const AHEAD_MAX: usize = 4;
/// A person's key may be made elsewhere at the same moment; then their contact is prepared again.
const TRIES: u32 = 4;

/// A contact to be added, read and checked.
pub struct Draft {
    line: ContactLine,
    priority: Priority,
    person: Option<Person>,
}

impl Draft {
    pub fn new(line: ContactLine, priority: Priority) -> Self {
        let person = person::person_of(&line);
        Draft { line, priority, person }
    }

    fn bytes(&self) -> usize {
        let Some(person) = &self.person else { return 64 };
        let texts = [&person.name, &person.email, &person.language];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        let variables: usize =
            person.variables.iter().map(|(name, value)| name.len() + variable_bytes(value)).sum();
        64 + texts + variables
    }
}

fn variable_bytes(value: &tandem_domain::agent::Variable) -> usize {
    match value {
        tandem_domain::agent::Variable::Text(text) => text.len(),
        _ => 8,
    }
}

/// Who adds contacts to which campaign, under which idempotency key.
#[derive(Clone)]
struct To {
    room: Arc<Room>,
    company: CompanyId,
    campaign: CampaignId,
    key: Option<Arc<str>>,
}

/// What became of the contacts so far.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Totals {
    pub added: u64,
    pub duplicates: u64,
    pub batches: u64,
    /// Batches that had been added before under the same key.
    pub replayed: u64,
}

/// Adds contacts in the order in which they come.
pub struct Adder {
    to: To,
    batch: Vec<Draft>,
    batch_bytes: usize,
    numbered: u64,
    /// Batches in order, each while it is prepared. Closed once all are handed in.
    prepared: Option<mpsc::Sender<Preparing>>,
    sender: Option<AbortOnDropHandle<Result<Totals, Status>>>,
}

type Preparing = AbortOnDropHandle<Result<Batch, Status>>;

/// A batch on its way.
struct Batch {
    number: u64,
    drafts: Vec<Draft>,
    contacts: Vec<NewContact>,
    /// Over what the batch says, however it was sealed.
    hash: Option<[u8; 32]>,
}

impl Adder {
    pub fn new(room: Arc<Room>, company: CompanyId, campaign: CampaignId, key: Option<&str>) -> Self {
        let to = To { room, company, campaign, key: key.map(Arc::from) };
        let (prepared, batches) = mpsc::channel(AHEAD_MAX);
        let sender = AbortOnDropHandle::new(tokio::spawn(to.clone().send_all(batches)));
        Adder {
            to,
            batch: Vec::new(),
            batch_bytes: 0,
            numbered: 0,
            prepared: Some(prepared),
            sender: Some(sender),
        }
    }

    /// Takes a contact; waits while enough is on its way.
    ///
    /// # Errors
    /// Whatever an earlier batch was refused with.
    pub async fn add(&mut self, draft: Draft) -> Result<(), Status> {
        let bytes = draft.bytes();
        if self.batch.len() >= Command::CONTACTS_MAX
            || (!self.batch.is_empty() && self.batch_bytes + bytes > BATCH_BYTES_MAX)
        {
            self.submit().await?;
        }
        self.batch_bytes += bytes;
        self.batch.push(draft);
        Ok(())
    }

    async fn submit(&mut self) -> Result<(), Status> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let drafts = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        let (to, number) = (self.to.clone(), self.numbered);
        self.numbered += 1;
        let work = AbortOnDropHandle::new(tokio::spawn(async move { to.prepare(number, drafts).await }));
        let taken = match &self.prepared {
            Some(prepared) => prepared.send(work).await.is_ok(),
            None => false,
        };
        // Nobody takes batches any more: an earlier one was refused.
        if taken { Ok(()) } else { self.sent().await.map(drop) }
    }

    /// What the sender came to.
    async fn sent(&mut self) -> Result<Totals, Status> {
        self.prepared = None;
        let Some(sender) = self.sender.take() else {
            return Err(error::internal("contacts could not be added", &"the sender is gone"));
        };
        sender.await.map_err(|e| error::internal("contacts could not be added", &e))?
    }

    /// Sends what is left, and waits until all is added.
    ///
    /// # Errors
    /// As [`Adder::add`].
    pub async fn finish(mut self) -> Result<Totals, Status> {
        self.submit().await?;
        self.sent().await
    }
}

struct Sent {
    added: u64,
    duplicates: u64,
    replayed: bool,
}

impl To {
    /// Sends batches one after another, so that contacts are numbered in the order of the file.
    async fn send_all(self, mut batches: mpsc::Receiver<Preparing>) -> Result<Totals, Status> {
        let mut totals = Totals::default();
        while let Some(preparing) = batches.recv().await {
            let batch =
                preparing.await.map_err(|e| error::internal("contacts could not be prepared", &e))??;
            let sent = self.send(batch).await?;
            totals.added += sent.added;
            totals.duplicates += sent.duplicates;
            totals.batches += 1;
            totals.replayed += u64::from(sent.replayed);
        }
        Ok(totals)
    }

    async fn prepare(&self, number: u64, drafts: Vec<Draft>) -> Result<Batch, Status> {
        let mut contacts = Vec::with_capacity(drafts.len());
        for draft in &drafts {
            contacts.push(self.seal(draft).await?);
        }
        let hash = self.key.as_ref().map(|_| hash(&drafts));
        Ok(Batch { number, drafts, contacts, hash })
    }

    async fn seal(&self, draft: &Draft) -> Result<NewContact, Status> {
        let number = &draft.line.number;
        let customer = self.room.customer_id(self.company, number).await?;
        let key = self.room.key_of(self.company, customer).await?;
        let told = draft.person.as_ref().map(|told| key.seal_value(told)).transpose();
        Ok(NewContact {
            customer,
            phone: key.seal(number.as_e164().as_bytes()).map_err(vault_failed)?,
            last4: person::last4(number),
            place: person::place_of(&draft.line),
            priority: draft.priority,
            person: told.map_err(vault_failed)?,
            line: u32::try_from(draft.line.line).unwrap_or(u32::MAX),
            new_key: key.new_key,
        })
    }

    /// The key of one try to send one batch.
    fn key_of(&self, batch: &Batch, tried: u32) -> Option<Key> {
        let (text, hash) = (self.key.as_ref()?, batch.hash?);
        Some(key_over(format!("{text}\0{}\0{tried}", batch.number).as_bytes(), &hash))
    }

    async fn send(&self, mut batch: Batch) -> Result<Sent, Status> {
        let entity = Entity::campaign(self.company, self.campaign);
        let mut sent = Sent { added: 0, duplicates: 0, replayed: true };
        for tried in 0..TRIES {
            let key = self.key_of(&batch, tried);
            let contacts = std::mem::take(&mut batch.contacts);
            let answer = self.room.send::<Campaign>(entity, Command::AddContacts { contacts }, key).await?;
            let Reply::Added(Added { added, skipped }) = answer.reply else {
                return Err(error::internal("a campaign answered something else", &"a status"));
            };
            sent.added += u64::from(added);
            sent.replayed &= answer.replayed;
            let mut again = Vec::new();
            for (at, skip) in skipped {
                match skip {
                    Skip::Duplicate => sent.duplicates += 1,
                    Skip::KeyRace => again.push(at as usize),
                }
            }
            if again.is_empty() {
                return Ok(sent);
            }
            let mut at = 0..;
            batch.drafts.retain(|_| at.next().is_some_and(|at: usize| again.contains(&at)));
            batch.hash = self.key.as_ref().map(|_| hash(&batch.drafts));
            for draft in &batch.drafts {
                batch.contacts.push(self.seal(draft).await?);
            }
        }
        Err(error::internal("contacts could not be added", &"their keys keep changing"))
    }
}

/// Over what a batch says.
fn hash(drafts: &[Draft]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for draft in drafts {
        let zone = draft.line.zone.map_or(u16::MAX, |zone| zone.number());
        context.update(&draft.line.line.to_be_bytes());
        context.update(draft.line.number.as_e164().as_bytes());
        context.update(&[draft.priority as u8, 0]);
        context.update(&zone.to_be_bytes());
        context.update(&codec::encode(&draft.person));
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn draft(phone: &str, name: &str) -> Draft {
        let none = BTreeMap::new();
        let told = person::Told {
            phone,
            region: None,
            name,
            email: "",
            language: "",
            time_zone: "",
            variables: &none,
        };
        Draft::new(told.read(2).expect("a good line"), Priority::Normal)
    }

    #[test]
    fn a_batch_is_known_by_what_it_says() {
        let there = [draft("+12025550143", "Ada"), draft("+12025550144", "")];
        let again = [draft("+1 202 555 0143", "Ada"), draft("+12025550144", "")];
        assert_eq!(hash(&there), hash(&again));
        for other in [
            [draft("+12025550143", "Bob"), draft("+12025550144", "")],
            [draft("+12025550143", "Ada"), draft("+12025550145", "")],
        ] {
            assert_ne!(hash(&there), hash(&other));
        }
    }

    #[test]
    fn the_size_of_a_contact_is_that_of_what_is_told() {
        assert!(draft("+12025550143", &"x".repeat(150)).bytes() >= draft("+12025550143", "").bytes() + 150);
    }
}
