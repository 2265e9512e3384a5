//! `tandem.v1.CallService`.

mod explain;
mod list;
mod place;

use super::convert::{call as convert, events};
use super::error::Violation;
use super::page::Mark;
use super::room::{Admitted, Room, id, key, open_person, query_failed, vault_failed};
use super::watch::{Answers, Tail, answers};
use super::{error, page};
use std::sync::Arc;
use tandem_actors::vault::PersonKey;
use tandem_actors::{keys, query};
use tandem_domain::call::{Call, Command, Reply, Status as CallStatus};
use tandem_domain::company::Scope;
use tandem_domain::id::{CallId, CompanyId, Entity};
use tandem_proto::v1;
use tandem_proto::v1::call_service_server::CallService;
use tonic::{Request, Response, Status};

/// Bytes of a note on a call.
const NOTE_BYTES_MAX: usize = 4_000;

/// Calls.
pub struct Calls(pub Arc<Room>);

/// The status that every command of this service is answered with.
fn status_of(reply: Reply) -> Result<CallStatus, Status> {
    match reply {
        Reply::Status(status) => Ok(status),
        other => Err(error::internal("a call answered something else", &format!("{other:?}"))),
    }
}

impl Calls {
    async fn report(
        &self,
        company: CompanyId,
        message: v1::ReportCallRequest,
    ) -> Result<v1::ReportCallResponse, Status> {
        let call: CallId = id("call_id", &message.call_id)?;
        let key = key("ReportCall", &message.idempotency_key, &message)?;
        let command = convert::step_of(message)?;
        let answer = self.0.send::<Call>(Entity::call(company, call), command, key).await?;
        Ok(v1::ReportCallResponse {
            status: Some(convert::status(&status_of(answer.reply)?)),
            event: answer.events,
            replayed: answer.replayed,
        })
    }

    async fn get(
        &self,
        company: CompanyId,
        message: &v1::GetCallRequest,
    ) -> Result<v1::GetCallResponse, Status> {
        let call: CallId = id("call_id", &message.call_id)?;
        let view = self.0.read::<Call>(Entity::call(company, call)).await?;
        let s = &view.state;
        let mut shown = convert::call(call, s);
        shown.event = view.events;
        if let Some(customer) = s.customer {
            let key = self.0.key_of(company, customer).await?;
            let phone = key.open_text(&s.to).map_err(vault_failed)?;
            let person = open_person(&key, s.person.as_ref())?;
            let note = s.note.as_ref().map(|note| key.open_text(note)).transpose().map_err(vault_failed)?;
            convert::disclose(&mut shown, phone, person, note);
        }
        Ok(v1::GetCallResponse { call: Some(shown) })
    }

    async fn hangup(
        &self,
        company: CompanyId,
        message: v1::HangupCallRequest,
    ) -> Result<v1::HangupCallResponse, Status> {
        let call: CallId = id("call_id", &message.call_id)?;
        let key = key("HangupCall", &message.idempotency_key, &message)?;
        let answer = self.0.send::<Call>(Entity::call(company, call), Command::Hangup, key).await?;
        let status = Some(convert::status(&status_of(answer.reply)?));
        Ok(v1::HangupCallResponse { status, replayed: answer.replayed })
    }

    async fn transcript(
        &self,
        company: CompanyId,
        message: &v1::GetTranscriptRequest,
    ) -> Result<v1::GetTranscriptResponse, Status> {
        let call: CallId = id("call_id", &message.call_id)?;
        let size = page::size(message.page_size)?;
        let mark = Mark::new(&[b"transcript", company.0.as_bytes(), call.0.as_bytes()]);
        let after = mark.cursor(&message.page_token)?;
        let view = self.0.read::<Call>(Entity::call(company, call)).await?;
        let Some(customer) = view.state.customer else { return Ok(<_>::default()) };
        let turns = query::turns(self.0.store(), company, call, after.as_deref(), size);
        let turns = turns.await.map_err(query_failed)?;
        if turns.items.is_empty() {
            return Ok(<_>::default());
        }
        // Turns are numbered from 0 without gaps, so the cursor tells the number of the first.
        let first = match &after {
            None => 0,
            Some(after) => keys::Reader::new(after).u32().map_err(|_| page::bad_token())?.saturating_add(1),
        };
        let key = self.0.key_of(company, customer).await?;
        let open = |(number, turn)| disclose_turn(&key, number, turn);
        let shown = (first..).zip(&turns.items).map(open).collect::<Result<_, _>>()?;
        Ok(v1::GetTranscriptResponse { turns: shown, next_page_token: mark.token(turns.next) })
    }

    async fn annotate(
        &self,
        company: CompanyId,
        message: v1::AnnotateCallRequest,
    ) -> Result<v1::AnnotateCallResponse, Status> {
        let call: CallId = id("call_id", &message.call_id)?;
        if message.note.is_none() && message.flagged.is_none() {
            return Err(Violation::new("note", "a note or a flag is required").into());
        }
        if message.note.as_ref().is_some_and(|note| note.len() > NOTE_BYTES_MAX) {
            return Err(Violation::new("note", "at most 4000 bytes").into());
        }
        let key = key("AnnotateCall", &message.idempotency_key, &message)?;
        let entity = Entity::call(company, call);
        let note = match &message.note {
            None => None,
            Some(text) => {
                // A note is about the person, so it is sealed with their key.
                let view = self.0.read::<Call>(entity).await?;
                let customer = view.state.customer.ok_or_else(|| error::not_found("call"))?;
                let key = self.0.key_of(company, customer).await?;
                Some(key.seal(text.as_bytes()).map_err(vault_failed)?)
            }
        };
        let command = Command::Annotate { note, flagged: message.flagged };
        let answer = self.0.send::<Call>(entity, command, key).await?;
        let status = Some(convert::status(&status_of(answer.reply)?));
        Ok(v1::AnnotateCallResponse { status, replayed: answer.replayed })
    }
}

fn disclose_turn(key: &PersonKey, number: u32, turn: &tandem_domain::row::Turn) -> Result<v1::Turn, Status> {
    let text = key.open_text(&turn.text).map_err(vault_failed)?;
    Ok(convert::turn(number, turn, text))
}

#[tonic::async_trait]
impl CallService for Calls {
    async fn place_call(
        &self,
        request: Request<v1::PlaceCallRequest>,
    ) -> Result<Response<v1::PlaceCallResponse>, Status> {
        let Admitted { caller, deadline, message } = self.0.admit(request, Scope::CallsWrite).await?;
        deadline.bound(place::place(&self.0, caller.company, &message)).await.map(Response::new)
    }

    async fn get_call(
        &self,
        request: Request<v1::GetCallRequest>,
    ) -> Result<Response<v1::GetCallResponse>, Status> {
        let Admitted { caller, deadline, message } = self.0.admit(request, Scope::CallsRead).await?;
        deadline.bound(self.get(caller.company, &message)).await.map(Response::new)
    }

    async fn list_calls(
        &self,
        request: Request<v1::ListCallsRequest>,
    ) -> Result<Response<v1::ListCallsResponse>, Status> {
        let Admitted { caller, deadline, message } = self.0.admit(request, Scope::CallsRead).await?;
        deadline.bound(list::list(&self.0, caller.company, &message)).await.map(Response::new)
    }

    async fn hangup_call(
        &self,
        request: Request<v1::HangupCallRequest>,
    ) -> Result<Response<v1::HangupCallResponse>, Status> {
        let Admitted { caller, deadline, message } = self.0.admit(request, Scope::CallsWrite).await?;
        deadline.bound(self.hangup(caller.company, message)).await.map(Response::new)
    }

    type WatchCallStream = Answers<v1::WatchCallResponse>;

    async fn watch_call(
        &self,
        request: Request<v1::WatchCallRequest>,
    ) -> Result<Response<Self::WatchCallStream>, Status> {
        let Admitted { caller, deadline, message } = self.0.admit_stream(request, Scope::CallsRead).await?;
        let call: CallId = id("call_id", &message.call_id)?;
        let entity = Entity::call(caller.company, call);
        let view = self.0.read::<Call>(entity).await?;
        // Whoever has seen the end and everything behind it has nothing to wait for.
        let ended = view.state.ended.is_some() && message.after_event >= view.events;
        let tail = Tail::<Call>::new(self.0.clone(), entity, message.after_event, deadline);
        let state = Watching { tail, ended, keep_open: message.keep_open };
        Ok(Response::new(answers(state, Watching::step)))
    }

    async fn report_call(
        &self,
        request: Request<v1::ReportCallRequest>,
    ) -> Result<Response<v1::ReportCallResponse>, Status> {
        let Admitted { caller, deadline, message } = self.0.admit(request, Scope::CallsWrite).await?;
        deadline.bound(self.report(caller.company, message)).await.map(Response::new)
    }

    async fn get_transcript(
        &self,
        request: Request<v1::GetTranscriptRequest>,
    ) -> Result<Response<v1::GetTranscriptResponse>, Status> {
        let Admitted { caller, deadline, message } = self.0.admit(request, Scope::CallsRead).await?;
        deadline.bound(self.transcript(caller.company, &message)).await.map(Response::new)
    }

    async fn annotate_call(
        &self,
        request: Request<v1::AnnotateCallRequest>,
    ) -> Result<Response<v1::AnnotateCallResponse>, Status> {
        let Admitted { caller, deadline, message } = self.0.admit(request, Scope::CallsWrite).await?;
        deadline.bound(self.annotate(caller.company, message)).await.map(Response::new)
    }

    async fn explain_call(
        &self,
        request: Request<v1::ExplainCallRequest>,
    ) -> Result<Response<v1::ExplainCallResponse>, Status> {
        let Admitted { caller, deadline, message } = self.0.admit(request, Scope::CallsRead).await?;
        deadline.bound(explain::explain(&self.0, caller.company, &message)).await.map(Response::new)
    }
}

/// One who watches a call.
struct Watching {
    tail: Tail<Call>,
    /// The event that ended the call has been sent.
    ended: bool,
    keep_open: bool,
}

impl Watching {
    async fn step(mut self) -> Result<Option<(v1::WatchCallResponse, Self)>, Status> {
        if self.ended && !self.keep_open && self.tail.is_drained() {
            return Ok(None);
        }
        let (number, event, _) = self.tail.next().await?;
        self.ended |= events::ends_call(&event);
        let event = Some(events::call_event(number, &event));
        Ok(Some((v1::WatchCallResponse { event }, self)))
    }
}
