//! The REST interface: authentication, create, update, fetch, list, delete, recordings.

use super::error::ApiError;
use super::life;
use super::list;
use super::order::{self, Create, Form};
use super::recording::Recording;
use super::resource::{Resource, Status};
use super::{Call, Carrier, ORDERS_MAX, Order};
use crate::log::{Event, Post};
use crate::scenario::{CreatePlan, Fault, Person};
use crate::server::Cut;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use parking_lot::Mutex;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// Largest request body, in bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;

type Shared = State<Arc<Carrier>>;

pub(crate) fn router(carrier: Arc<Carrier>) -> Router {
    let account = Router::new()
        .route("/Accounts/{account}", get(account))
        .route("/Accounts/{account}/Calls.json", post(create).get(calls))
        .route("/Accounts/{account}/Calls/{call}", post(update).get(fetch).delete(forget))
        .route("/Accounts/{account}/Calls/{call}/Recordings.json", post(record).get(recordings))
        .route("/Accounts/{account}/Recordings/{file}", get(recording).delete(forget_recording))
        .layer(middleware::from_fn_with_state(Arc::clone(&carrier), authenticate));
    Router::new()
        .nest("/2010-04-01", account)
        .fallback(|| async { ApiError::not_found() })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(carrier)
}

/// Basic authentication with an API key or with the account's own token.
async fn authenticate(State(carrier): Shared, request: Request, next: Next) -> Response {
    if !authentic(&carrier, request.headers()) {
        return ApiError::authenticate().into_response();
    }
    let mut parts = request.uri().path().split('/').skip_while(|part| *part != "Accounts");
    let named = parts.nth(1).map(|sid| sid.strip_suffix(".json").unwrap_or(sid).to_owned());
    if named.as_deref() != Some(&carrier.account.sid) {
        return ApiError::authenticate().into_response();
    }
    next.run(request).await
}

fn authentic(carrier: &Carrier, headers: &HeaderMap) -> bool {
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Basic "))
        .and_then(|value| base64::engine::general_purpose::STANDARD.decode(value.trim()).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let Some((user, password)) = given.as_deref().and_then(|given| given.split_once(':')) else {
        return false;
    };
    let account = &carrier.account;
    (user == account.sid && password == account.auth_token.expose())
        || account.api_keys.iter().any(|(sid, secret)| user == sid && password == secret.expose())
}

fn active(carrier: &Carrier) -> Result<(), ApiError> {
    match carrier.account.suspended.load(Ordering::SeqCst) {
        0 => Ok(()),
        code => Err(ApiError::suspended(code)),
    }
}

fn form(bytes: &[u8]) -> Form {
    Form(form_urlencoded::parse(bytes).into_owned().collect())
}

async fn account(State(carrier): Shared) -> Response {
    let suspended = carrier.account.suspended.load(Ordering::SeqCst) != 0;
    axum::Json(json!({
        "sid": carrier.account.sid,
        "friendly_name": "Simulated account",
        "status": if suspended { "suspended" } else { "active" },
        "type": "Full",
    }))
    .into_response()
}

/// What a create comes to.
struct Taken {
    sid: Option<String>,
    result: Result<serde_json::Value, ApiError>,
}

async fn create(State(carrier): Shared, body: Bytes) -> Response {
    let form = form(&body);
    let to = form.get("To").unwrap_or_default().to_owned();
    let chooser = carrier.chooser();
    let nth_post = {
        let mut book = carrier.book.lock();
        let counts = book.counts.entry(chooser.rng("count", &to, 0).next()).or_default();
        counts.0 += 1;
        counts.0 - 1
    };
    let plan = chooser.create(&to, nth_post);
    let (status_url, campaign) = named(&form);
    let mut post = Post {
        to,
        from: form.get("From").unwrap_or_default().to_owned(),
        attempt: status_url,
        campaign,
        sid: None,
        status: 0,
        code: None,
        faults: plan.faults.clone(),
    };
    let has = |fault| plan.has(fault);
    if has(Fault::CutBefore) {
        carrier.log.write(Event::Post(post));
        return cut();
    }
    let (taken, ready) = match prepare(&carrier, &form, &plan) {
        Err(error) => (Taken { sid: None, result: Err(error) }, None),
        Ok(create) => match accept(&carrier, create, &post) {
            Ok((call, start)) => {
                let resource = call.resource.lock().json(&carrier.account.sid);
                (Taken { sid: Some(call.sid.clone()), result: Ok(resource) }, Some((call, start)))
            }
            Err(error) => (Taken { sid: None, result: Err(error) }, None),
        },
    };
    let accepted = taken.result.is_ok();
    let answer = match taken.result {
        Ok(_) if has(Fault::ErrorAfter) => Err(ApiError::internal()),
        other => other,
    };
    post.sid = taken.sid;
    (post.status, post.code) = match &answer {
        _ if accepted && has(Fault::CutAfter) => (0, None),
        Ok(_) => (StatusCode::CREATED.as_u16(), None),
        Err(error) => (error.status.as_u16(), Some(error.code)),
    };
    // Written before the call begins and before anything is answered: whatever happens next, this stands.
    carrier.log.write(Event::Post(post));
    if let Some((call, start)) = ready {
        start(call);
    }
    if accepted && has(Fault::SlowAnswer) {
        tokio::time::sleep(Duration::from_millis(chooser.scenario.network.slow_answer_ms)).await;
    }
    if accepted && has(Fault::CutAfter) {
        return cut();
    }
    match answer {
        Ok(resource) => (StatusCode::CREATED, axum::Json(resource)).into_response(),
        Err(error) => error.into_response(),
    }
}

fn cut() -> Response {
    let mut response = Response::default();
    response.extensions_mut().insert(Cut);
    response
}

/// The attempt and the campaign that a create names by its status callback.
fn named(form: &Form) -> (Option<String>, Option<String>) {
    let Some(url) = form.get("StatusCallback").and_then(|url| reqwest::Url::parse(url).ok()) else {
        return (None, None);
    };
    let campaign =
        url.query_pairs().find(|(name, _)| name == "campaign").map(|(_, value)| value.into_owned());
    (Some(url.path().to_owned()), campaign)
}

/// Everything that can be refused before a call exists.
fn prepare(carrier: &Carrier, form: &Form, plan: &CreatePlan) -> Result<Create, ApiError> {
    if plan.has(Fault::ErrorBefore) {
        return Err(ApiError::internal());
    }
    let chooser = carrier.chooser();
    let network = &chooser.scenario.network;
    if plan.has(Fault::Throttled) {
        return Err(ApiError::throttled(network.retry_after_s));
    }
    active(carrier)?;
    let create = Create::read(form)?;
    if !network.from_numbers.is_empty() && !network.from_numbers.contains(&create.from) {
        return Err(ApiError::unverified_from());
    }
    Ok(create)
}

type Start = Box<dyn FnOnce(Arc<Call>) + Send>;

/// Makes the call. It begins when the returned function is called.
fn accept(carrier: &Arc<Carrier>, create: Create, post: &Post) -> Result<(Arc<Call>, Start), ApiError> {
    let chooser = carrier.chooser();
    let network = &chooser.scenario.network;
    let now = carrier.pace.now_ms();
    let mut book = carrier.book.lock();
    let key = chooser.rng("count", &create.to, 0).next();
    let nth = book.counts.get(&key).map_or(0, |counts| counts.1);
    let plan = chooser.call(&create.to, nth);
    if plan.person == Person::InvalidNumber {
        // It counts as a call to that number: the next one may meet something else.
        book.counts.entry(key).or_default().1 += 1;
        return Err(ApiError::invalid_to());
    }
    if (network.concurrent_max > 0 && book.live >= network.concurrent_max) || book.live >= carrier.live_max {
        return Err(ApiError::too_many_calls());
    }
    let departure = carrier
        .gate
        .place(network.calls_per_s, network.queue_max, &carrier.pace)
        .ok_or_else(ApiError::queue_full)?;
    book.counts.entry(key).or_default().1 += 1;
    book.live += 1;
    book.next += 1;
    let n = book.next;
    let sid = format!("CA{}", chooser.rng(&format!("sid/{}", carrier.run), &create.to, nth).hex32());
    let (orders, waiting) = mpsc::channel(ORDERS_MAX);
    let call = Arc::new(Call {
        sid: sid.clone(),
        n,
        to: create.to.clone(),
        from: create.from.clone(),
        attempt: post.attempt.clone(),
        nth,
        resource: Mutex::new(Resource {
            sid: sid.clone(),
            to: create.to.clone(),
            from: create.from.clone(),
            status: Status::Queued,
            created_ms: now,
            updated_ms: now,
            start_ms: None,
            end_ms: None,
            duration_s: None,
            answered_by: None,
            queue_ms: 0,
        }),
        plan,
        orders,
        sequence: AtomicU32::new(0),
    });
    book.calls.insert(sid, Arc::clone(&call));
    book.by_number.entry(create.to.clone()).or_default().push(Arc::clone(&call));
    drop(book);

    let (carrier, campaign) = (Arc::clone(carrier), post.campaign.clone());
    let start = move |call: Arc<Call>| {
        carrier.log.write(Event::CallCreated {
            sid: call.sid.clone(),
            to: call.to.clone(),
            from: call.from.clone(),
            attempt: call.attempt.clone(),
            campaign,
            person: call.plan.person,
            faults: call.plan.faults.clone(),
        });
        let tasks = carrier.tasks.clone();
        tasks.spawn(life::run(carrier, call, create, departure, waiting));
    };
    Ok((call, Box::new(start)))
}

async fn calls(State(carrier): Shared, RawQuery(query): RawQuery) -> Result<Response, ApiError> {
    active(&carrier)?;
    let query = query.unwrap_or_default();
    let page = list::calls(&carrier, &form(query.as_bytes()), &query)?;
    Ok(axum::Json(page).into_response())
}

/// `CA….json` without its ending.
fn sid(file: &str) -> Result<&str, ApiError> {
    file.strip_suffix(".json").ok_or_else(ApiError::not_found)
}

fn find(carrier: &Carrier, file: &str) -> Result<Arc<Call>, ApiError> {
    carrier.find(sid(file)?).ok_or_else(ApiError::not_found)
}

async fn fetch(
    State(carrier): Shared,
    Path((_, file)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    active(&carrier)?;
    let call = find(&carrier, &file)?;
    let resource = call.resource.lock().json(&carrier.account.sid);
    Ok(axum::Json(resource).into_response())
}

async fn update(
    State(carrier): Shared,
    Path((_, file)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let call = find(&carrier, &file)?;
    let form = form(&body);
    let (what, result) = decide(&carrier, &call, &form);
    carrier.log.write(Event::Updated {
        sid: call.sid.clone(),
        what: what.to_owned(),
        status: result.as_ref().map_or_else(|error| error.status.as_u16(), |()| 200),
    });
    result?;
    let resource = call.resource.lock().json(&carrier.account.sid);
    Ok(axum::Json(resource).into_response())
}

fn decide(carrier: &Carrier, call: &Call, form: &Form) -> (&'static str, Result<(), ApiError>) {
    if let Err(error) = active(carrier) {
        return ("refused", Err(error));
    }
    let status = call.resource.lock().status;
    let (what, order) = match form.get("Status") {
        Some("canceled") if status == Status::InProgress => return ("cancel", Err(ApiError::not_live())),
        Some("canceled") => ("cancel", Order::Cancel),
        Some("completed") => ("hang up", Order::HangUp),
        Some(_) => return ("invalid", Err(ApiError::invalid_parameter("Status"))),
        None => match order::source(form) {
            Err(error) => return ("invalid", Err(error)),
            Ok(None) => match order::time_limit(form) {
                Err(error) => return ("invalid", Err(error)),
                Ok(Some(limit_ms)) => ("limit", Order::Limit(limit_ms)),
                Ok(None) => {
                    return ("nothing", if status.ended() { Err(ApiError::not_live()) } else { Ok(()) });
                }
            },
            Ok(Some(source)) => ("replace", Order::Replace(source)),
        },
    };
    if status.ended() {
        return (what, Err(ApiError::not_live()));
    }
    let result = match call.orders.try_send(order) {
        Ok(()) => Ok(()),
        Err(mpsc::error::TrySendError::Full(_)) => Err(ApiError::throttled(1)),
        // It ended a moment ago.
        Err(mpsc::error::TrySendError::Closed(_)) => Err(ApiError::not_live()),
    };
    (what, result)
}

async fn forget(
    State(carrier): Shared,
    Path((_, file)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    active(&carrier)?;
    let call = find(&carrier, &file)?;
    if !call.ended() {
        // The record of a live call cannot be deleted.
        return Err(ApiError::new(StatusCode::CONFLICT, 20009, "Cannot delete this resource"));
    }
    carrier.book.lock().forget(&call.sid);
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn record(
    State(carrier): Shared,
    Path((_, call)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, ApiError> {
    active(&carrier)?;
    let call = carrier.find(&call).ok_or_else(ApiError::not_found)?;
    if call.resource.lock().status != Status::InProgress {
        return Err(ApiError::not_live());
    }
    let order = order::recording(&form(&body), "StartCallRecordingAPI")?;
    let n = carrier.book.lock().recordings_order.len() as u64;
    let recording = Recording {
        sid: format!("RE{}", carrier.chooser().rng("started", &call.sid, n).hex32()),
        call_sid: call.sid.clone(),
        duration_s: 0,
        channels: order.channels,
        created_ms: carrier.pace.now_ms(),
        source: order.source,
        completed: false,
    };
    let sent = call.orders.try_send(Order::Record(Box::new(order), recording.sid.clone()));
    if sent.is_err() {
        return Err(ApiError::not_live());
    }
    let json = recording.json(&carrier.account.sid);
    carrier.book.lock().keep(recording);
    Ok((StatusCode::CREATED, axum::Json(json)).into_response())
}

async fn recordings(
    State(carrier): Shared,
    Path((_, call)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    active(&carrier)?;
    let call = carrier.find(&call).ok_or_else(ApiError::not_found)?;
    let book = carrier.book.lock();
    let all: Vec<_> = book
        .recordings_order
        .iter()
        .filter_map(|sid| book.recordings.get(sid))
        .filter(|recording| recording.call_sid == call.sid)
        .map(|recording| recording.json(&carrier.account.sid))
        .collect();
    Ok(axum::Json(json!({ "recordings": all, "page": 0, "next_page_uri": null })).into_response())
}

async fn recording(
    State(carrier): Shared,
    Path((_, file)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    active(&carrier)?;
    let (sid, ending) = file.split_once('.').unwrap_or((&file, "wav"));
    let recording = carrier.book.lock().recordings.get(sid).cloned().ok_or_else(ApiError::not_found)?;
    match ending {
        "json" => Ok(axum::Json(recording.json(&carrier.account.sid)).into_response()),
        _ if !recording.completed => Err(ApiError::not_found()),
        "wav" => Ok(([(header::CONTENT_TYPE, "audio/x-wav")], recording.wav()).into_response()),
        "mp3" => Ok(([(header::CONTENT_TYPE, "audio/mpeg")], recording.mp3()).into_response()),
        _ => Err(ApiError::not_found()),
    }
}

async fn forget_recording(
    State(carrier): Shared,
    Path((_, file)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    active(&carrier)?;
    let mut book = carrier.book.lock();
    let sid = sid(&file)?;
    book.recordings_order.retain(|kept| kept != sid);
    match book.recordings.remove(sid) {
        Some(_) => Ok(StatusCode::NO_CONTENT.into_response()),
        None => Err(ApiError::not_found()),
    }
}
