//! What callbacks say, told to their calls. Answered once it is durable, so that a carrier's next try makes up for
//! what was not taken down; what arrives twice, late or out of order the call sorts out.

use super::accounts::Signers;
use super::request::{Answer, Fault, document, taken};
use super::server::Edge;
use super::tell::{Untold, tell_call};
use super::urls::{Callback, again_of};
use super::warm;
use std::sync::Arc;
use std::time::Duration;
use tandem_domain::call::{Call, Command, Document, Reply};
use tandem_domain::carrier::Progress;
use tandem_domain::id::{Attempt, Entity};
use tandem_providers::twilio::callback::{amd, document as asked, recording, status, stream};
use tandem_providers::twilio::twiml::{self, Stream, Verb};

/// How long the end of a call waits for its conversation to take down the last words.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Takes a callback whose signature is good.
pub(super) async fn take(
    edge: &Arc<Edge>,
    attempt: Attempt,
    what: Callback,
    query: Option<&str>,
    form: &[(String, String)],
    signers: &Signers<'_>,
) -> Result<Answer, Fault> {
    let again = match what {
        Callback::Document => again_of(query).ok_or(Fault::NotFound)?,
        // No other address of ours has a query.
        _ if query.is_some() => return Err(Fault::NotFound),
        _ => 0,
    };
    let number = attempt.number;
    let command = match what {
        Callback::Status => Command::Reported { attempt: number, report: status::parse(form)? },
        Callback::Document | Callback::Fallback => {
            let report = asked::parse(form)?.report;
            if matches!(report.progress, Progress::Ended(_)) {
                // Nobody listens any more. Its own word of the end comes by the status callback.
                return act_on(None);
            }
            return act(edge, attempt, report.sid, again, signers).await;
        }
        Callback::Amd => {
            let verdict = amd::parse(form)?;
            Command::Amd { attempt: number, sid: verdict.call_sid, answered_by: verdict.answered_by }
        }
        Callback::Recording => {
            let recording = recording::parse(form)?;
            Command::Recorded { attempt: number, sid: recording.call_sid, recording: recording.report }
        }
        Callback::Stream => {
            let stream = stream::parse(form)?;
            if let stream::Event::Failed(why) = &stream.event {
                tracing::warn!(%attempt, stream = stream.stream_sid, why, "the carrier has no media socket");
                metrics::counter!("tandem_media_failures_total").increment(1);
            }
            return Ok(taken());
        }
    };
    owned(edge, attempt, signers).await?;
    if let Command::Reported { report, .. } = &command
        && matches!(report.progress, Progress::Ended(_))
    {
        edge.live.call_over(attempt, &report.sid, LAST_WORDS).await;
    }
    match tell_call(&edge.handle, attempt, command, edge.limits.callback_patience).await {
        // A refusal is an answer: the same again would be refused again.
        Ok(_) | Err(Untold::Refused(_)) => Ok(taken()),
        Err(untold) => Err(untold.into()),
    }
}

/// Whether the call is one that whoever signed may speak of. With one account there is nothing to tell apart.
pub(super) async fn owned(edge: &Edge, attempt: Attempt, signers: &Signers<'_>) -> Result<(), Fault> {
    if edge.accounts.is_one() {
        return Ok(());
    }
    let entity = Entity::call(attempt.company, attempt.call);
    let looked = tokio::time::timeout(edge.limits.callback_patience, edge.handle.read::<Call>(entity)).await;
    match looked {
        Ok(Ok(Some(call))) if signers.speaks_for(&call.state.plan.carrier) => Ok(()),
        // As one that does not exist.
        Ok(Ok(_)) => Err(Fault::NotFound),
        Ok(Err(_)) | Err(_) => Err(Fault::Unavailable),
    }
}

/// What the answered call is to do. One that nobody here knows hangs up: an error would be read out to the person.
async fn act(
    edge: &Arc<Edge>,
    attempt: Attempt,
    sid: String,
    again: u32,
    signers: &Signers<'_>,
) -> Result<Answer, Fault> {
    let number = attempt.number;
    let generation = match owned(edge, attempt, signers).await {
        Ok(()) => {
            let command = match again {
                0 => Command::Document { attempt: number, sid: sid.clone(), again: false },
                generation => Command::Reattach { attempt: number, sid: sid.clone(), generation },
            };
            match tell_call(&edge.handle, attempt, command, edge.limits.callback_patience).await {
                Ok(Reply::Document(Document::Stream { generation })) => Some(generation),
                Ok(_) | Err(Untold::Refused(_) | Untold::Unknown) => None,
                Err(Untold::Unavailable) => return Err(Fault::Unavailable),
            }
        }
        Err(Fault::NotFound) => None,
        Err(fault) => return Err(fault),
    };
    if again > 0 {
        let answer = if generation.is_some() { "connect" } else { "hangup" };
        metrics::counter!("tandem_reattach_documents_total", "answer" => answer).increment(1);
        tracing::info!(%attempt, ended = again, ?generation, "a call asks what to do without its media");
    }
    let Some(generation) = generation else { return act_on(None) };
    warm::prepare(edge, attempt);
    let stream = Stream {
        url: edge.urls.media().to_owned(),
        name: None,
        status_callback: Some(edge.urls.callback(attempt, Callback::Stream)),
        parameters: vec![
            ("attempt".to_owned(), attempt.to_string()),
            ("generation".to_owned(), generation.to_string()),
            ("token".to_owned(), signers.token(attempt, generation, &sid)),
        ],
    };
    // Should the media socket close while the call goes on, the call is asked again what to do, through whatever node
    // the carrier reaches then.
    let url = edge.urls.again(attempt, generation);
    act_on(Some(twiml::Document::connect(stream, [Verb::Redirect { url }])))
}

/// Answers a document; without one the call hangs up.
fn act_on(text: Option<twiml::Document>) -> Result<Answer, Fault> {
    let text = text.unwrap_or_else(twiml::Document::hangup);
    // Every part of it was made here and fits.
    text.to_xml().map(document).map_err(|_| Fault::Unavailable)
}
