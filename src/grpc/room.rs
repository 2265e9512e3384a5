//! What all services share: the door to the entities, and the ways to it.

use super::auth::{Auth, Caller, Who};
use super::convert::person::number_of;
use super::deadline::Deadline;
use super::defaults::Remembered;
use super::error::{self, Violation, reason};
use crate::configured::Configured;
use prost::Message;
use ring::digest;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tandem_actors::query::{self, QueryError};
use tandem_actors::vault::{PersonKey, VaultError};
use tandem_actors::{Answer, Handle, Key, Routed, SendError, View};
use tandem_domain::company::Scope;
use tandem_domain::id::{CompanyId, CustomerId, Entity};
use tandem_domain::machine::Rejection;
use tandem_domain::phone::Number;
use tandem_domain::row::{Person, RowKey};
use tandem_domain::sealed::Sealed;
use tandem_domain::time::Millis;
use tandem_store::Store;
use tonic::{Code, Request, Status};
use uuid::Uuid;

/// Bytes of an idempotency key.
const KEY_BYTES_MAX: usize = 128;

/// A change is made up so often before its sender is told that others keep coming between. Of those who
/// change one thing at once, one succeeds each time.
const CHANGES_MAX: u32 = 32;

/// Shared by the services.
pub struct Room {
    pub handle: Handle,
    /// What plans may name.
    pub configured: Arc<Configured>,
    pub auth: Auth,
    pub defaults: Remembered,
    /// Longest time for a request that is no stream.
    pub timeout: Duration,
    /// Largest file that is imported.
    pub import_bytes_max: u64,
}

/// A request that was let in.
pub struct Admitted<T> {
    pub caller: Caller,
    pub deadline: Deadline,
    pub message: T,
}

/// How a request names a person.
#[derive(Clone, Copy)]
pub enum Named<'a> {
    Id(&'a str),
    Phone(&'a str),
}

/// A person whom a request is about.
#[derive(Clone, Copy)]
pub struct Someone {
    pub id: CustomerId,
    /// Where the request gave it.
    pub number: Option<Number>,
}

impl Room {
    /// Lets a request in whose key may do this.
    ///
    /// # Errors
    /// UNAUTHENTICATED or PERMISSION_DENIED.
    pub async fn admit<T>(&self, request: Request<T>, scope: Scope) -> Result<Admitted<T>, Status> {
        let caller = self.auth.caller(request.metadata(), scope).await?;
        let deadline = Deadline::of(request.metadata(), self.timeout);
        Ok(Admitted { caller, deadline, message: request.into_inner() })
    }

    /// Lets a stream in: it lasts as long as the client wants.
    ///
    /// # Errors
    /// As [`Room::admit`].
    pub async fn admit_stream<T>(&self, request: Request<T>, scope: Scope) -> Result<Admitted<T>, Status> {
        let caller = self.auth.caller(request.metadata(), scope).await?;
        let deadline = Deadline::asked(request.metadata());
        Ok(Admitted { caller, deadline, message: request.into_inner() })
    }

    /// The company that a request of [`super::company`] is about.
    ///
    /// # Errors
    /// As [`Room::admit`]; NOT_FOUND for a company other than the key's own.
    pub async fn company<T>(
        &self,
        request: &Request<T>,
        scope: Scope,
        company_id: &str,
    ) -> Result<(CompanyId, Who), Status> {
        let who = self.auth.who(request.metadata(), scope).await?;
        let named = (!company_id.is_empty()).then(|| id("company_id", company_id)).transpose()?;
        match (who, named) {
            (Who::Admin, Some(named)) => Ok((named, who)),
            (Who::Admin, None) => Err(Violation::new("company_id", "required with the admin token").into()),
            (Who::Key(caller), Some(named)) if named != caller.company => Err(error::not_found("company")),
            (Who::Key(caller), _) => Ok((caller.company, who)),
        }
    }

    pub fn now(&self) -> Millis {
        self.handle.clock().now()
    }

    pub fn store(&self) -> &dyn Store {
        &**self.handle.store()
    }

    /// Sends a command.
    ///
    /// # Errors
    /// As the table of errors has it.
    pub async fn send<M: Routed>(
        &self,
        to: Entity,
        command: M::Command,
        key: Option<Key>,
    ) -> Result<Answer<M::Reply>, Status> {
        self.handle.send::<M>(to, command, key).await.map_err(|e| error::send(e, self.now()))
    }

    /// Sends a command that is made of the entity as it is: what the request leaves out stays. Made anew
    /// where somebody else's change came between the look and the command, so that both take effect.
    ///
    /// # Errors
    /// As [`Room::send`]; ABORTED where others keep coming between.
    pub async fn change<M: Routed>(
        &self,
        to: Entity,
        key: Option<Key>,
        mut made_of: impl FnMut(&M::State) -> Result<M::Command, Status>,
    ) -> Result<Answer<M::Reply>, Status> {
        let mut tries = 0;
        loop {
            let command = made_of(&self.read::<M>(to).await?.state)?;
            tries += 1;
            match self.handle.send::<M>(to, command, key).await {
                Err(SendError::Rejected(Rejection::Stale(_))) if tries < CHANGES_MAX => {}
                answer => return answer.map_err(|e| error::send(e, self.now())),
            }
        }
    }

    /// Looks at an entity.
    ///
    /// # Errors
    /// NOT_FOUND, or where it cannot be asked.
    pub async fn read<M: Routed>(&self, of: Entity) -> Result<View<M::State>, Status> {
        let view = self.handle.read::<M>(of).await.map_err(|e| error::send(e, self.now()))?;
        view.ok_or_else(|| error::not_found(of.kind.name()))
    }

    /// The id of the person with this number.
    ///
    /// # Errors
    /// Where the company's keys cannot be had.
    pub async fn customer_id(&self, company: CompanyId, number: &Number) -> Result<CustomerId, Status> {
        self.handle.vault().customer_id(company, number).await.map_err(vault_failed)
    }

    /// The person's key, stored or still to be stored.
    ///
    /// # Errors
    /// As [`Room::customer_id`].
    pub async fn key_of(&self, company: CompanyId, customer: CustomerId) -> Result<PersonKey, Status> {
        self.handle.vault().person(company, customer).await.map_err(vault_failed)
    }

    /// The person a request names.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where it names nobody, or not by an id or a number.
    pub async fn someone(&self, company: CompanyId, named: Option<Named<'_>>) -> Result<Someone, Status> {
        match named {
            None => Err(Violation::new("customer", "required: customer_id or phone").into()),
            Some(Named::Id(text)) => Ok(Someone { id: id("customer_id", text)?, number: None }),
            Some(Named::Phone(text)) => {
                let number = number_of("phone", text, None)?;
                Ok(Someone { id: self.customer_id(company, &number).await?, number: Some(number) })
            }
        }
    }

    /// The person a request names; by id only if anything is known of them, so that a slip in an id is
    /// not taken for a person.
    ///
    /// # Errors
    /// As [`Room::someone`], and NOT_FOUND.
    pub async fn someone_known(
        &self,
        company: CompanyId,
        named: Option<Named<'_>>,
    ) -> Result<Someone, Status> {
        let someone = self.someone(company, named).await?;
        if someone.number.is_none() {
            let key = RowKey::CustomerKey { company, customer: someone.id };
            let known: Option<Vec<u8>> = query::row(self.store(), &key).await.map_err(query_failed)?;
            known.ok_or_else(|| error::not_found("customer"))?;
        }
        Ok(someone)
    }

    /// A fresh id that sorts by time, so that new entities lie together in the store.
    ///
    /// # Errors
    /// Where no randomness is to be had.
    pub fn fresh_id(&self) -> Result<Uuid, Status> {
        let random = self.handle.vault().random_bytes::<10>().map_err(vault_failed)?;
        let now = u64::try_from(self.now()).unwrap_or(0);
        Ok(uuid::Builder::from_unix_timestamp_millis(now, &random).into_uuid())
    }
}

/// The id that an idempotency key gives: the same for the same company, kind and key.
pub fn derived_id(company: CompanyId, kind: &str, key: &str) -> Uuid {
    let mut name = Vec::with_capacity(kind.len() + 1 + key.len());
    name.extend_from_slice(kind.as_bytes());
    name.push(0);
    name.extend_from_slice(key.as_bytes());
    Uuid::new_v5(&company.0, &name)
}

/// An id in text form.
///
/// # Errors
/// A text that is no UUID.
pub fn id<I: FromStr>(field: &'static str, text: &str) -> Result<I, Violation> {
    text.parse().map_err(|_| Violation::new(field, "not an id: a UUID in text form"))
}

/// The text of an idempotency key, checked.
///
/// # Errors
/// More than 128 bytes.
pub fn key_text(text: &str) -> Result<Option<&str>, Violation> {
    if text.len() > KEY_BYTES_MAX {
        return Err(Violation::new("idempotency_key", "1 to 128 bytes, or empty"));
    }
    Ok((!text.is_empty()).then_some(text))
}

fn half(digest: &digest::Digest) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&digest.as_ref()[..16]);
    half
}

/// The idempotency key of a request, where it has one. It stands for this method and this message:
/// messages have their bytes in one order only.
///
/// # Errors
/// As [`key_text`].
pub fn key<M: Message>(method: &str, text: &str, message: &M) -> Result<Option<Key>, Violation> {
    let Some(text) = key_text(text)? else { return Ok(None) };
    let mut request = Vec::with_capacity(method.len() + message.encoded_len());
    request.extend_from_slice(method.as_bytes());
    message.encode_raw(&mut request);
    Ok(Some(key_over(text.as_bytes(), &request)))
}

/// The key of these texts.
pub fn key_over(text: &[u8], request: &[u8]) -> Key {
    Key {
        key: half(&digest::digest(&digest::SHA256, text)),
        request: half(&digest::digest(&digest::SHA256, request)),
    }
}

/// What was sealed of a person.
///
/// # Errors
/// INTERNAL where it cannot be opened.
pub fn open_person(key: &PersonKey, sealed: Option<&Sealed>) -> Result<Option<Person>, Status> {
    sealed.map(|sealed| key.open_value(sealed)).transpose().map_err(vault_failed)
}

pub fn vault_failed(e: VaultError) -> Status {
    match e {
        VaultError::Store(why) => store_failed(&why),
        VaultError::Unavailable(_) => {
            error::retryable(Code::Unavailable, reason::UNAVAILABLE, "the store is not available; try again")
        }
        other => error::internal("personal data cannot be sealed or opened", &other),
    }
}

pub fn query_failed(e: QueryError) -> Status {
    match e {
        QueryError::BadCursor => super::page::bad_token(),
        QueryError::Store(e) if e.is_retryable() => {
            error::retryable(Code::Unavailable, reason::UNAVAILABLE, "the store is not available; try again")
        }
        QueryError::Store(e) => store_failed(&e),
        QueryError::Damaged(why) => error::internal("a stored row is damaged", &why),
    }
}

fn store_failed(why: &dyn std::fmt::Display) -> Status {
    tracing::error!(%why, "the store failed");
    error::plain(Code::Internal, reason::STORE_FAILED, "the store failed; nothing was written")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_proto::v1;

    fn hangup(call_id: &str) -> v1::HangupCallRequest {
        v1::HangupCallRequest { call_id: call_id.into(), idempotency_key: "k".into() }
    }

    #[test]
    fn a_key_stands_for_one_method_and_one_message() {
        let first = key("HangupCall", "k", &hangup("a")).expect("good").expect("a key");
        assert_eq!(key("HangupCall", "k", &hangup("a")), Ok(Some(first)));
        let other = key("HangupCall", "k", &hangup("b")).expect("good").expect("a key");
        assert_eq!(first.key, other.key);
        assert_ne!(first.request, other.request);
        let method = key("PlaceCall", "k", &hangup("a")).expect("good").expect("a key");
        assert_ne!(first.request, method.request);
        assert_ne!(first.key, key("HangupCall", "l", &hangup("a")).expect("good").expect("a key").key);
    }

    #[test]
    fn a_store_that_is_out_of_reach_is_worth_another_try() {
        let away = vault_failed(VaultError::Unavailable("no connection".into()));
        assert_eq!(away.code(), Code::Unavailable);
        assert_eq!(vault_failed(VaultError::Store("full".into())).code(), Code::Internal);
    }

    #[test]
    fn keys_are_bounded_and_may_be_left_out() {
        assert_eq!(key("HangupCall", "", &hangup("a")), Ok(None));
        assert!(key("HangupCall", &"k".repeat(128), &hangup("a")).is_ok());
        assert!(key("HangupCall", &"k".repeat(129), &hangup("a")).is_err());
    }

    #[test]
    fn derived_ids_depend_on_company_kind_and_key() {
        let (a, b) = (CompanyId::from_bytes([1; 16]), CompanyId::from_bytes([2; 16]));
        assert_eq!(derived_id(a, "call", "k"), derived_id(a, "call", "k"));
        let others = [derived_id(b, "call", "k"), derived_id(a, "campaign", "k"), derived_id(a, "call", "l")];
        assert!(others.iter().all(|other| *other != derived_id(a, "call", "k")));
    }
}
