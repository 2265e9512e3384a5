//! Recognising a caller: one command, and nothing read besides where it can be helped.

use super::known;
use crate::grpc::convert::{customer as convert, person};
use crate::grpc::room::{Room, id, key, vault_failed};
use tandem_actors::vault::PersonKey;
use tandem_domain::customer::{Command, Customer, Recognise, State};
use tandem_domain::id::{CallId, CompanyId, CustomerId, Entity};
use tandem_domain::row::Person;
use tandem_proto::v1;
use tonic::Status;

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
    let mut key = room.key_of(company, customer).await?;
    let command = Command::Recognise(Box::new(Recognise {
        call,
        // Needed for a stranger only; whether it is one, only the customer's actor knows.
        phone: key.seal(number.as_e164().as_bytes()).map_err(vault_failed)?,
        last4: person::last4(&number),
        new_key: key.new_key.take(),
    }));
    let answer = room.send::<Customer>(Entity::customer(company, customer), command, idempotency).await?;
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
