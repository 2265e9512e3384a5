//! `tandem.v1.CustomerService`.

mod import;
mod lookup;

use super::convert::{choices, customer as convert};
use super::error::Violation;
use super::page::{self, Mark};
use super::room::{Admitted, Named, Room, Someone, id, key, open_person, query_failed, vault_failed};
use std::sync::Arc;
use tandem_actors::Answer;
use tandem_actors::query;
use tandem_actors::vault::PersonKey;
use tandem_domain::company::Scope;
use tandem_domain::customer::{self, Command, Customer, Enrich, Entry, Known, Reply, State};
use tandem_domain::id::{CallId, CompanyId, CustomerId, Entity};
use tandem_domain::row::{DncEntry, DncSource, RowKey};
use tandem_proto::v1;
use tandem_proto::v1::customer_service_server::CustomerService;
use tonic::{Request, Response, Status, Streaming};

/// Bytes of a note.
const NOTE_BYTES_MAX: usize = 4_000;

/// Customers.
pub struct Customers(pub Arc<Room>);

/// How a request of this service names a person: each has a choice of its own with the same two ways.
macro_rules! named {
    ($choice:expr, $module:ident) => {
        $choice.as_ref().map(|it| match it {
            v1::$module::Customer::CustomerId(id) => Named::Id(id.as_str()),
            v1::$module::Customer::Phone(phone) => Named::Phone(phone.as_str()),
        })
    };
}

impl Customers {
    /// A customer as they are shown, whatever they had sealed opened.
    async fn show(
        &self,
        company: CompanyId,
        customer: CustomerId,
        s: &State,
    ) -> Result<v1::Customer, Status> {
        let key = self.0.key_of(company, customer).await?;
        let phone = key.open_text(&s.phone).map_err(vault_failed)?;
        let told = open_person(&key, s.person.as_ref())?;
        Ok(convert::customer(customer, s, phone, told))
    }

    async fn get(
        &self,
        company: CompanyId,
        message: &v1::GetCustomerRequest,
    ) -> Result<v1::GetCustomerResponse, Status> {
        let someone = self.0.someone(company, named!(message.customer, get_customer_request)).await?;
        let view = self.0.read::<Customer>(Entity::customer(company, someone.id)).await?;
        let row = RowKey::Dnc { company, customer: someone.id };
        let dnc: Option<DncEntry> = query::row(self.0.store(), &row).await.map_err(query_failed)?;
        Ok(v1::GetCustomerResponse {
            customer: Some(v1::Customer {
                // The list is what counts at dial time; the customer's own mark follows it.
                do_not_call: dnc.is_some(),
                ..self.show(company, someone.id, &view.state).await?
            }),
            do_not_call_since: dnc.as_ref().map(|e| super::convert::time::timestamp(e.at)),
            do_not_call_source: dnc.map_or(0, |e| choices::dnc_source(e.source).into()),
        })
    }

    async fn update(
        &self,
        company: CompanyId,
        message: v1::UpdateCustomerRequest,
    ) -> Result<v1::UpdateCustomerResponse, Status> {
        let key = key("UpdateCustomer", &message.idempotency_key, &message)?;
        let someone = self.0.someone(company, named!(message.customer, update_customer_request)).await?;
        let status = choices::customer_status_of("status", message.status)?;
        let entity = Entity::customer(company, someone.id);
        // Only for somebody on record: otherwise their key would not be stored.
        self.0.read::<Customer>(entity).await?;
        let person_key = self.0.key_of(company, someone.id).await?;
        let changed = |state: &State| {
            let told = open_person(&person_key, state.person.as_ref())?.unwrap_or_default();
            let told = convert::changed(told, &message)?;
            let person = told.map(|told| person_key.seal_value(&told)).transpose().map_err(vault_failed)?;
            let person_from = person.is_some().then(|| state.person.clone());
            let tags = message.tags.as_ref().map(|tags| tags.tags.clone());
            Ok(Command::Enrich(Box::new(Enrich { status, person, person_from, tags })))
        };
        let answer = self.0.change::<Customer>(entity, key, changed).await?;
        let known = known(answer.reply);
        let customer = Some(self.show(company, someone.id, &known.state).await?);
        Ok(v1::UpdateCustomerResponse { customer, replayed: answer.replayed })
    }

    async fn history(
        &self,
        company: CompanyId,
        message: &v1::GetHistoryRequest,
    ) -> Result<v1::GetHistoryResponse, Status> {
        let size = page::size(message.page_size)?;
        let Someone { id: customer, .. } =
            self.0.someone(company, named!(message.customer, get_history_request)).await?;
        let mark = Mark::new(&[b"history", company.0.as_bytes(), customer.0.as_bytes()]);
        let after = mark.cursor(&message.page_token)?;
        self.0.read::<Customer>(Entity::customer(company, customer)).await?;
        let rows = query::history(self.0.store(), company, customer, after.as_deref(), size).await;
        let rows = rows.map_err(query_failed)?;
        let entries = disclose_history(&self.0.key_of(company, customer).await?, rows.items)?;
        Ok(v1::GetHistoryResponse { entries, next_page_token: mark.token(rows.next) })
    }

    async fn note(
        &self,
        company: CompanyId,
        message: v1::AddNoteRequest,
    ) -> Result<v1::AddNoteResponse, Status> {
        if message.text.trim().is_empty() || message.text.len() > NOTE_BYTES_MAX {
            return Err(Violation::new("text", "1 to 4000 bytes").into());
        }
        let key = key("AddNote", &message.idempotency_key, &message)?;
        let someone = self.0.someone(company, named!(message.customer, add_note_request)).await?;
        let entity = Entity::customer(company, someone.id);
        // Only for somebody on record: otherwise their key would not be stored.
        self.0.read::<Customer>(entity).await?;
        let person_key = self.0.key_of(company, someone.id).await?;
        let text = person_key.seal(message.text.as_bytes()).map_err(vault_failed)?;
        let answer = self.0.send::<Customer>(entity, Command::Note { text }, key).await?;
        Ok(v1::AddNoteResponse { replayed: answer.replayed })
    }

    /// A command to whomever a request names, known to the company or not.
    async fn tell<T: prost::Message>(
        &self,
        company: CompanyId,
        (method, command): (&str, Command),
        (named, key_given): (Option<Named<'_>>, &str),
        message: &T,
    ) -> Result<(String, bool), Status> {
        let key = key(method, key_given, message)?;
        let someone = self.0.someone_known(company, named).await?;
        let entity = Entity::customer(company, someone.id);
        let answer: Answer<Reply> = self.0.send::<Customer>(entity, command, key).await?;
        Ok((someone.id.to_string(), answer.replayed))
    }
}

fn known(reply: Reply) -> Known {
    let Reply::Known(known) = reply;
    *known
}

fn disclose_history(
    key: &PersonKey,
    events: Vec<(u64, customer::Event)>,
) -> Result<Vec<v1::HistoryEntry>, Status> {
    let disclose = |(number, event): (u64, customer::Event)| {
        let entry = Entry::from(event.what);
        let note = match &entry {
            Entry::NoteAdded { text } => Some(key.open_text(text).map_err(vault_failed)?),
            _ => None,
        };
        // Entries are numbered from 0.
        let number = u32::try_from(number - 1).unwrap_or(u32::MAX);
        Ok(convert::history_entry(number, event.at, &entry, note))
    };
    events.into_iter().map(disclose).collect()
}

#[tonic::async_trait]
impl CustomerService for Customers {
    async fn lookup(
        &self,
        request: Request<v1::LookupRequest>,
    ) -> Result<Response<v1::LookupResponse>, Status> {
        let Admitted { caller, deadline, message } = self.0.admit(request, Scope::CustomersWrite).await?;
        deadline.bound(lookup::lookup(&self.0, caller.company, &message)).await.map(Response::new)
    }

    async fn get_customer(
        &self,
        request: Request<v1::GetCustomerRequest>,
    ) -> Result<Response<v1::GetCustomerResponse>, Status> {
        let Admitted { caller, deadline, message } = self.0.admit(request, Scope::CustomersRead).await?;
        deadline.bound(self.get(caller.company, &message)).await.map(Response::new)
    }

    async fn update_customer(
        &self,
        request: Request<v1::UpdateCustomerRequest>,
    ) -> Result<Response<v1::UpdateCustomerResponse>, Status> {
        let Admitted { caller, deadline, message } = self.0.admit(request, Scope::CustomersWrite).await?;
        deadline.bound(self.update(caller.company, message)).await.map(Response::new)
    }

    async fn get_history(
        &self,
        request: Request<v1::GetHistoryRequest>,
    ) -> Result<Response<v1::GetHistoryResponse>, Status> {
        let Admitted { caller, deadline, message } = self.0.admit(request, Scope::CustomersRead).await?;
        deadline.bound(self.history(caller.company, &message)).await.map(Response::new)
    }

    async fn add_note(
        &self,
        request: Request<v1::AddNoteRequest>,
    ) -> Result<Response<v1::AddNoteResponse>, Status> {
        let Admitted { caller, deadline, message } = self.0.admit(request, Scope::CustomersWrite).await?;
        deadline.bound(self.note(caller.company, message)).await.map(Response::new)
    }

    async fn set_do_not_call(
        &self,
        request: Request<v1::SetDoNotCallRequest>,
    ) -> Result<Response<v1::SetDoNotCallResponse>, Status> {
        let Admitted { caller, deadline, message } = self.0.admit(request, Scope::CustomersWrite).await?;
        let source = choices::dnc_source_of("source", message.source)?.unwrap_or(DncSource::Operator);
        let call = (!message.call_id.is_empty()).then(|| id::<CallId>("call_id", &message.call_id));
        let command = Command::DoNotCall { source, call: call.transpose()? };
        let named = (named!(message.customer, set_do_not_call_request), message.idempotency_key.as_str());
        let work = self.tell(caller.company, ("SetDoNotCall", command), named, &message);
        let (customer_id, replayed) = deadline.bound(work).await?;
        Ok(Response::new(v1::SetDoNotCallResponse { customer_id, replayed }))
    }

    async fn clear_do_not_call(
        &self,
        request: Request<v1::ClearDoNotCallRequest>,
    ) -> Result<Response<v1::ClearDoNotCallResponse>, Status> {
        let Admitted { caller, deadline, message } = self.0.admit(request, Scope::CustomersWrite).await?;
        let named = (named!(message.customer, clear_do_not_call_request), message.idempotency_key.as_str());
        let work = self.tell(caller.company, ("ClearDoNotCall", Command::AllowCalls), named, &message);
        let (customer_id, replayed) = deadline.bound(work).await?;
        Ok(Response::new(v1::ClearDoNotCallResponse { customer_id, replayed }))
    }

    async fn import_do_not_call(
        &self,
        request: Request<Streaming<v1::ImportDoNotCallRequest>>,
    ) -> Result<Response<v1::ImportDoNotCallResponse>, Status> {
        let Admitted { caller, deadline, message } =
            self.0.admit_stream(request, Scope::CustomersWrite).await?;
        deadline.bound(import::import(&self.0, caller.company, message)).await.map(Response::new)
    }

    async fn set_consent(
        &self,
        request: Request<v1::SetConsentRequest>,
    ) -> Result<Response<v1::SetConsentResponse>, Status> {
        let Admitted { caller, deadline, message } = self.0.admit(request, Scope::CustomersWrite).await?;
        let basis = choices::required("basis", choices::consent_basis_of("basis", message.basis)?)?;
        let named = (named!(message.customer, set_consent_request), message.idempotency_key.as_str());
        let work = self.tell(caller.company, ("SetConsent", Command::Consent { basis }), named, &message);
        let (customer_id, replayed) = deadline.bound(work).await?;
        Ok(Response::new(v1::SetConsentResponse { customer_id, replayed }))
    }

    async fn revoke_consent(
        &self,
        request: Request<v1::RevokeConsentRequest>,
    ) -> Result<Response<v1::RevokeConsentResponse>, Status> {
        let Admitted { caller, deadline, message } = self.0.admit(request, Scope::CustomersWrite).await?;
        let named = (named!(message.customer, revoke_consent_request), message.idempotency_key.as_str());
        let work = self.tell(caller.company, ("RevokeConsent", Command::RevokeConsent), named, &message);
        let (customer_id, replayed) = deadline.bound(work).await?;
        Ok(Response::new(v1::RevokeConsentResponse { customer_id, replayed }))
    }
}
