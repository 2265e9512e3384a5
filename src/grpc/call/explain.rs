//! What holds the next attempt of a call back.

use crate::grpc::campaign::explain::{asked_at, attempt_holds};
use crate::grpc::convert::{call, hours, time};
use crate::grpc::room::{Room, id};
use tandem_domain::call::{Call, Phase};
use tandem_domain::id::{CallId, CompanyId, Entity};
use tandem_proto::v1;
use tonic::Status;

pub async fn explain(
    room: &Room,
    company: CompanyId,
    message: &v1::ExplainCallRequest,
) -> Result<v1::ExplainCallResponse, Status> {
    let call_id: CallId = id("call_id", &message.call_id)?;
    let now = asked_at(room, message.at.as_ref())?;
    let s = room.read::<Call>(Entity::call(company, call_id)).await?.state;
    let mut told = v1::ExplainCallResponse {
        status: Some(call::status_of(&s)),
        whereabouts: Some(hours::whereabouts(&s.place)),
        alive_for: s.live.as_ref().map(|live| time::duration((now - live.permitted_at).max(0))),
        ..v1::ExplainCallResponse::default()
    };
    if s.phase != Phase::Ended && !s.cancel {
        told.attempts_left = s.plan.retry.attempts_max().saturating_sub(s.counted).into();
    }
    let (Phase::Queued, Some(customer)) = (s.phase, s.customer) else { return Ok(told) };
    let who = (customer, &s.place);
    let explained = attempt_holds(room, company, s.campaign, who, (call_id, s.next_at), now).await?;
    told.blocked_by = explained.blocked_by;
    told.recent_attempts = explained.recent_attempts;
    told.hours_close_at = explained.hours_close_at;
    Ok(told)
}
