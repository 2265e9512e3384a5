//! One request: whose it is, whether it is the carrier's, and what is answered.

use super::server::Edge;
use super::tell::Untold;
use super::urls::{Callback, Route};
use super::{callback, media};
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use std::sync::Arc;
use tandem_domain::id::Attempt;
use tandem_providers::twilio::callback::{CallbackError, decode};
use tandem_providers::twilio::signature::HEADER as SIGNATURE;
use tokio::time::{Instant, timeout};

pub(super) type Answer = Response<Full<Bytes>>;

/// Why a request gets nothing. Says nothing of what exists.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("nothing is here")]
    NotFound,
    #[error("only {0}")]
    Method(&'static str),
    #[error("not signed")]
    Unsigned,
    #[error("the signature is not that of this request")]
    Forged,
    #[error("too large")]
    TooLarge,
    #[error("the request did not end in time")]
    Slow,
    #[error("the request broke off")]
    Broken,
    #[error("{0}")]
    Callback(CallbackError),
    #[error("not an upgrade to a WebSocket")]
    NoUpgrade,
    #[error("not available at the moment; try again")]
    Unavailable,
}

impl Fault {
    fn status(&self) -> StatusCode {
        match self {
            Fault::NotFound => StatusCode::NOT_FOUND,
            Fault::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Fault::Unsigned | Fault::Broken | Fault::Callback(_) => StatusCode::BAD_REQUEST,
            Fault::Forged => StatusCode::FORBIDDEN,
            Fault::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Fault::Slow => StatusCode::REQUEST_TIMEOUT,
            Fault::NoUpgrade => StatusCode::UPGRADE_REQUIRED,
            Fault::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// For metrics.
    fn name(&self) -> &'static str {
        match self {
            Fault::NotFound => "not_found",
            Fault::Method(_) => "method",
            Fault::Unsigned => "unsigned",
            Fault::Forged => "forged",
            Fault::TooLarge => "too_large",
            Fault::Slow | Fault::Broken => "broken",
            Fault::Callback(_) => "unreadable",
            Fault::NoUpgrade => "no_upgrade",
            Fault::Unavailable => "unavailable",
        }
    }

    fn answer(&self) -> Answer {
        let mut answer = Response::new(Full::new(Bytes::from(format!("{self}\n"))));
        *answer.status_mut() = self.status();
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        match self {
            Fault::Unavailable => drop(headers.insert(RETRY_AFTER, HeaderValue::from_static("1"))),
            Fault::Method(allowed) => drop(headers.insert(ALLOW, HeaderValue::from_static(allowed))),
            _ => {}
        }
        answer
    }
}

impl From<CallbackError> for Fault {
    fn from(error: CallbackError) -> Self {
        Fault::Callback(error)
    }
}

impl From<Untold> for Fault {
    fn from(untold: Untold) -> Self {
        match untold {
            // A signed request about nothing: no try will find more.
            Untold::Unknown | Untold::Refused(_) => Fault::NotFound,
            Untold::Unavailable => Fault::Unavailable,
        }
    }
}

pub(super) async fn answer(edge: &Arc<Edge>, request: Request<Incoming>) -> Answer {
    let (kind, answered) = match edge.urls.route(request.uri().path()) {
        None => ("other", Err(Fault::NotFound)),
        Some(Route::Media) => ("media", media::upgrade(edge, request)),
        Some(Route::Callback(attempt, what)) => {
            let began = Instant::now();
            let answered = take(edge, attempt, what, request).await;
            let seconds = began.elapsed().as_secs_f64();
            metrics::histogram!("tandem_callback_seconds", "kind" => what.name()).record(seconds);
            if let Err(fault) = &answered {
                tracing::info!(%attempt, kind = what.name(), %fault, "a callback was not taken");
            }
            (what.name(), answered)
        }
    };
    let result = answered.as_ref().err().map_or("taken", Fault::name);
    metrics::counter!("tandem_callbacks_total", "kind" => kind, "result" => result).increment(1);
    answered.unwrap_or_else(|fault| fault.answer())
}

/// Checks a callback and hands it over.
async fn take(
    edge: &Arc<Edge>,
    attempt: Attempt,
    what: Callback,
    request: Request<Incoming>,
) -> Result<Answer, Fault> {
    if request.method() != Method::POST {
        return Err(Fault::Method("POST"));
    }
    let (head, body) = request.into_parts();
    let signature = signature(&head.headers)?.ok_or(Fault::Unsigned)?;
    let form = decode(&whole(edge, &head.headers, body).await?)?;
    let query = head.uri.query();
    let url = edge.urls.signed(attempt, what, query);
    let signers = edge.accounts.callback(&url, &form, signature).ok_or(Fault::Forged)?;
    callback::take(edge, attempt, what, query, &form, &signers).await
}

/// The signature that a request carries, if it carries one.
pub(super) fn signature(headers: &HeaderMap) -> Result<Option<&str>, Fault> {
    headers.get(SIGNATURE).map(HeaderValue::to_str).transpose().map_err(|_| Fault::Forged)
}

async fn whole(edge: &Edge, headers: &HeaderMap, body: Incoming) -> Result<Bytes, Fault> {
    let limit = edge.limits.body_bytes_max;
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|announced: u64| announced > limit as u64) {
        return Err(Fault::TooLarge);
    }
    match timeout(edge.limits.body_timeout, Limited::new(body, limit).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Fault::TooLarge),
        Ok(Err(_)) => Err(Fault::Broken),
        Err(_) => Err(Fault::Slow),
    }
}

/// Taken down.
pub(super) fn taken() -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

pub(super) fn document(xml: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(xml)));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/xml; charset=utf-8"));
    answer
}
