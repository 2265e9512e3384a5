//! Recognising a caller: one command, and nothing read besides where it can be helped.

use super::known;
use crate::grpc::convert::{customer as convert, person};
use crate::grpc::error;
use crate::grpc::room::{Room, id, key, vault_failed};
use tandem_actors::SendError;
use tandem_actors::vault::PersonKey;
use tandem_domain::customer::{Command, Customer, Recognise, State};
use tandem_domain::id::{CallId, CompanyId, CustomerId, Entity};
use tandem_domain::machine::Rejection;
use tandem_domain::row::Person;
use tandem_proto::v1;
use tonic::Status;

/// Two may meet a stranger at once, and only one can give them their key; the other finds it at the
/// next try.
const TRIES: u32 = 4;

pub async fn lookup(
    room: &Room,
    company: CompanyId,
    message: &v1::LookupRequest,
) -> Result<v1::LookupResponse, Status> {
    let region = person::region_of("default_region", &message.default_region)?;
    let number = person::number_of("phone", &message.phone, region)?;
    let call: CallId = id("call_id", &message.call_id)?;
    let idempotency = key("Lookup", &message.idempotency_key, message)?;
    let customer = room.customer_id(company, &number).await?;
    let mut tried = 0;
    let (key, answer) = loop {
        tried += 1;
        let mut key = room.key_of(company, customer).await?;
        let new_key = key.new_key.take();
        let new_person = new_key.is_some();
        let command = Command::Recognise(Box::new(Recognise {
            call,
            // Needed for a stranger only; whether it is one, only the customer's actor knows.
            phone: key.seal(number.as_e164().as_bytes()).map_err(vault_failed)?,
            last4: person::last4(&number),
            new_key,
        }));
        let entity = Entity::customer(company, customer);
        match room.handle.send::<Customer>(entity, command, idempotency).await {
            Ok(answer) => break (key, answer),
            // An import or a call has met the stranger at the same moment.
            Err(SendError::Rejected(Rejection::PersonKeyExists)) if new_person && tried < TRIES => {}
            Err(e) => return Err(error::send(e, room.now())),
        }
    };
    let known = known(answer.reply);
    let told = told(room, company, customer, &key, &known.state).await?;
    Ok(v1::LookupResponse {
        customer: Some(convert::customer(customer, &known.state, number.as_e164().to_owned(), told)),
        returning: known.returning,
        counted: known.counted,
        replayed: answer.replayed,
    })
}

/// What is known of the person, opened.
async fn told(
    room: &Room,
    company: CompanyId,
    customer: CustomerId,
    key: &PersonKey,
    s: &State,
) -> Result<Option<Person>, Status> {
    let Some(sealed) = &s.person else { return Ok(None) };
    match key.open_value(sealed) {
        Ok(told) => Ok(Some(told)),
        // A fresh key was drawn for somebody who got theirs at the same moment elsewhere.
        Err(_) => {
            let key = room.key_of(company, customer).await?;
            key.open_value(sealed).map(Some).map_err(vault_failed)
        }
    }
}
