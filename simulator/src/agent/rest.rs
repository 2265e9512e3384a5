//! The agent's HTTP interface: signed URLs, past conversations, and the upgrade to a conversation.

use super::{AgentServer, conversation};
use crate::carrier::websocket_config;
use crate::log::Event;
use crate::scenario::AgentFault;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

type Shared = State<Arc<AgentServer>>;

pub(crate) fn router(agent: Arc<AgentServer>) -> Router {
    Router::new()
        .route("/v1/convai/conversation/get-signed-url", get(signed_url))
        .route("/v1/convai/conversation", get(converse))
        .route("/v1/convai/conversations/{id}", get(show).delete(forget))
        .with_state(agent)
}

#[derive(Deserialize)]
struct Asked {
    agent_id: Option<String>,
    conversation_signature: Option<String>,
}

fn refuse(agent: &AgentServer, what: &str, status: StatusCode, kind: &str, message: &str) -> Response {
    agent.log.write(Event::AgentRefused { what: what.to_owned(), status: status.as_u16() });
    let body = json!({ "detail": { "status": kind, "message": message } });
    (status, axum::Json(body)).into_response()
}

fn authentic(agent: &AgentServer, headers: &HeaderMap) -> bool {
    headers.get("xi-api-key").is_some_and(|key| key.as_bytes() == agent.xi_api_key.expose().as_bytes())
}

fn unauthorized(agent: &AgentServer, what: &str) -> Response {
    refuse(agent, what, StatusCode::UNAUTHORIZED, "invalid_api_key", "Invalid API key")
}

/// Whether an agent of that id exists.
fn exists(agent: &AgentServer, id: &str) -> bool {
    let chooser = agent.chooser();
    let agents = &chooser.scenario.agent.agents;
    agents.is_empty() || agents.contains_key(id)
}

async fn signed_url(State(agent): Shared, headers: HeaderMap, Query(asked): Query<Asked>) -> Response {
    const WHAT: &str = "signed url";
    if !authentic(&agent, &headers) {
        return unauthorized(&agent, WHAT);
    }
    let Some(id) = asked.agent_id.filter(|id| !id.is_empty()) else {
        agent.log.write(Event::AgentRefused { what: WHAT.to_owned(), status: 422 });
        let body = json!({ "detail": [{
            "loc": ["query", "agent_id"], "msg": "Field required", "type": "missing",
        }] });
        return (StatusCode::UNPROCESSABLE_ENTITY, axum::Json(body)).into_response();
    };
    let n = agent.signed.load(Ordering::Relaxed);
    match agent.fault(&[AgentFault::SignedUrlError, AgentFault::SignedUrlBusy], "signed", n) {
        Some(AgentFault::SignedUrlError) => {
            agent.signed.fetch_add(1, Ordering::Relaxed);
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            return refuse(&agent, WHAT, status, "internal_error", "Internal error");
        }
        Some(_) => {
            agent.signed.fetch_add(1, Ordering::Relaxed);
            return busy(&agent, WHAT, "system_busy");
        }
        None => {}
    }
    if !exists(&agent, &id) {
        return refuse(&agent, WHAT, StatusCode::NOT_FOUND, "not_found", "No such agent");
    }
    if full(&agent) {
        return busy(&agent, WHAT, "too_many_concurrent_requests");
    }
    axum::Json(json!({ "signed_url": agent.signed_url(&id) })).into_response()
}

fn full(agent: &AgentServer) -> bool {
    let limit = agent.chooser().scenario.agent.concurrent_max;
    limit > 0 && agent.live.load(Ordering::Relaxed) >= limit
}

fn busy(agent: &AgentServer, what: &str, kind: &str) -> Response {
    let mut response = refuse(agent, what, StatusCode::TOO_MANY_REQUESTS, kind, "Too many requests");
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

async fn show(State(agent): Shared, headers: HeaderMap, Path(id): Path<String>) -> Response {
    if !authentic(&agent, &headers) {
        return unauthorized(&agent, "conversation");
    }
    let shown = agent.history.lock().show(&id);
    match shown {
        Some(conversation) => axum::Json(conversation).into_response(),
        None => refuse(&agent, "conversation", StatusCode::NOT_FOUND, "not_found", "No such conversation"),
    }
}

async fn forget(State(agent): Shared, headers: HeaderMap, Path(id): Path<String>) -> Response {
    if !authentic(&agent, &headers) {
        return unauthorized(&agent, "conversation");
    }
    if agent.history.lock().forget(&id) {
        axum::Json(json!({})).into_response()
    } else {
        refuse(&agent, "conversation", StatusCode::NOT_FOUND, "not_found", "No such conversation")
    }
}

async fn converse(State(agent): Shared, Query(asked): Query<Asked>, request: Request) -> Response {
    const WHAT: &str = "conversation socket";
    let id = asked.agent_id.unwrap_or_default();
    let admitted = asked.conversation_signature.is_some_and(|signature| agent.admits(&id, &signature));
    if !admitted || !exists(&agent, &id) {
        return refuse(&agent, WHAT, StatusCode::FORBIDDEN, "forbidden", "Signature missing or not valid");
    }
    let Some(accept) = accept_key(request.headers()) else {
        return refuse(&agent, WHAT, StatusCode::BAD_REQUEST, "bad_request", "Not a WebSocket upgrade");
    };
    let upgrade = hyper::upgrade::on(request);
    let tasks = agent.tasks.clone();
    let server = Arc::clone(&agent);
    tasks.spawn(async move {
        let stop = server.stop.clone();
        let whole = async {
            if let Ok(upgraded) = upgrade.await {
                let socket = WebSocketStream::from_raw_socket(
                    TokioIo::new(upgraded),
                    Role::Server,
                    Some(websocket_config()),
                )
                .await;
                conversation::run(&server, socket, id).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = whole => {}
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    response
}

/// The answer to a WebSocket handshake; `None` when the request is none.
fn accept_key(headers: &HeaderMap) -> Option<HeaderValue> {
    let has = |name: header::HeaderName, word: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
    };
    if !has(header::CONNECTION, "upgrade")
        || !has(header::UPGRADE, "websocket")
        || !has(header::SEC_WEBSOCKET_VERSION, "13")
    {
        return None;
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?;
    derive_accept_key(key.as_bytes()).parse().ok()
}
