//! Placing a call.

use crate::grpc::convert::{call, choices, person, plan, time};
use crate::grpc::error::{self, reason};
use crate::grpc::room::{Room, derived_id, key, key_text, vault_failed};
use tandem_actors::{Answer, SendError};
use tandem_domain::call::{Call, Command, Order, Plan, Reply};
use tandem_domain::campaign;
use tandem_domain::contact_file::ContactLine;
use tandem_domain::id::{CallId, CompanyId, CustomerId, Entity};
use tandem_domain::machine::Rejection;
use tandem_domain::row::Priority;
use tandem_domain::time::Millis;
use tandem_proto::v1;
use tonic::{Code, Status};

/// Two calls may meet a new person at once, and only one can give them their key; the other finds it at
/// the next try.
const TRIES: u32 = 4;

pub async fn place(
    room: &Room,
    company: CompanyId,
    message: &v1::PlaceCallRequest,
) -> Result<v1::PlaceCallResponse, Status> {
    let key = key("PlaceCall", &message.idempotency_key, message)?;
    let wish = Wish::read(room, company, message).await?;
    let call = CallId(match key_text(&message.idempotency_key)? {
        Some(text) => derived_id(company, "call", text),
        None => room.fresh_id()?,
    });
    let customer = room.customer_id(company, &wish.line.number).await?;
    let entity = Entity::call(company, call);
    let mut tried = 0;
    let answer = loop {
        tried += 1;
        let (order, new_person) = wish.order(room, company, customer).await?;
        let command = Command::Place(Box::new(order));
        match room.handle.send::<Call>(entity, command, key).await {
            Ok(answer) => break answer,
            Err(SendError::Rejected(Rejection::PersonKeyExists)) if new_person && tried < TRIES => {}
            Err(e) => return Err(error::send(e, room.now())),
        }
    };
    placed(call, customer, answer)
}

fn placed(
    call: CallId,
    customer: CustomerId,
    answer: Answer<Reply>,
) -> Result<v1::PlaceCallResponse, Status> {
    Ok(v1::PlaceCallResponse {
        call_id: call.to_string(),
        customer_id: customer.to_string(),
        status: Some(call::status(&super::status_of(answer.reply)?)),
        event: answer.events,
        replayed: answer.replayed,
    })
}

/// What a request asks for, checked.
struct Wish {
    line: ContactLine,
    plan: Plan,
    from: Option<String>,
    not_before: Option<Millis>,
    priority: Priority,
}

impl Wish {
    async fn read(room: &Room, company: CompanyId, message: &v1::PlaceCallRequest) -> Result<Wish, Status> {
        let told = person::Told {
            phone: &message.to,
            region: person::region_of("default_region", &message.default_region)?,
            name: &message.name,
            email: &message.email,
            language: &message.language,
            time_zone: &message.time_zone,
            variables: &message.variables,
        };
        let line = told.read(0).map_err(|e| person::violation(e, "to"))?;
        let not_before = message.not_before.as_ref();
        let not_before = not_before.map(|at| time::millis_at("not_before", at)).transpose()?;
        let priority = choices::priority_of("priority", message.priority)?.unwrap_or_default();
        let defaults = room.defaults.of(room, company).await?;
        let mut plan = defaults.plan.clone();
        if let Some(message) = &message.plan {
            plan::apply_plan(&mut plan, message)?;
        }
        plan::check(&plan)?;
        plan::check_names(&room.configured, &plan)?;
        if !plan.is_external() && !defaults.has_caller_id {
            return Err(no_caller_id());
        }
        let from = Some(call::caller_id(message.from.clone())?).filter(|from| !from.is_empty());
        Ok(Wish { line, plan, from, not_before, priority })
    }

    /// The order, and whether it brings the person's key along.
    async fn order(
        &self,
        room: &Room,
        company: CompanyId,
        customer: CustomerId,
    ) -> Result<(Order, bool), Status> {
        let key = room.key_of(company, customer).await?;
        let number = &self.line.number;
        let told = person::person_of(&self.line);
        let told = told.map(|told| key.seal_value(&told)).transpose().map_err(vault_failed)?;
        let order = Order {
            customer,
            to: key.seal(number.as_e164().as_bytes()).map_err(vault_failed)?,
            last4: person::last4(number),
            place: person::place_of(&self.line),
            person: told,
            campaign: (!self.plan.is_external()).then(|| campaign::direct(company)),
            priority: self.priority,
            plan: self.plan.clone(),
            from: self.from.clone(),
            not_before: self.not_before,
            new_key: key.new_key,
        };
        let new_person = order.new_key.is_some();
        Ok((order, new_person))
    }
}

/// A call that could never be dialed is not taken.
fn no_caller_id() -> Status {
    let message = "the company has no caller id to call from: add one with UpdateCompany";
    error::plain(Code::FailedPrecondition, reason::NO_CALLER_ID, message)
}
