//! `/_sim/…`: the simulator's own interface, on both servers. It has no authentication: bind the simulator where only
//! you can reach it.

use crate::carrier::Carrier;
use crate::log::Log;
use crate::scenario::{Chooser, Scenario, ScenarioError};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use parking_lot::RwLock;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// Largest scenario that may be posted, in bytes.
const BODY_BYTES_MAX: usize = 8 << 20;
/// Entries of one answer.
const ENTRIES_MAX: usize = 100_000;

/// What the simulator can be told while it runs. A cheap clone.
#[derive(Clone)]
pub struct Control {
    pub(crate) carrier: Arc<Carrier>,
    pub(crate) chooser: Arc<RwLock<Arc<Chooser>>>,
    pub(crate) seed: u64,
    pub(crate) log: Log,
}

impl Control {
    /// Suspends the account with this error code (20003, 20005, …) or lifts the suspension with `None`.
    pub fn suspend(&self, code: Option<u32>) {
        self.carrier.suspend(code.unwrap_or(0));
    }

    /// Takes another scenario for all calls that are created from now on.
    pub fn scenario(&self, scenario: Scenario) -> Result<(), ScenarioError> {
        scenario.validate()?;
        *self.chooser.write() = Chooser::new(self.seed, scenario);
        self.log.write(crate::log::Event::ScenarioChanged);
        Ok(())
    }
}

pub(crate) fn router(control: Control) -> Router {
    Router::new()
        .route("/_sim/log", get(log))
        .route("/_sim/summary", get(summary))
        .route("/_sim/account", post(account))
        .route("/_sim/scenario", post(scenario).get(current))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(control)
}

#[derive(Deserialize)]
struct Range {
    #[serde(default)]
    from: u64,
    max: Option<usize>,
}

/// Entries as JSON lines: `?from=` a number on, at most `?max=`.
async fn log(State(control): State<Control>, Query(range): Query<Range>) -> Response {
    let entries = control.log.entries(range.from, range.max.unwrap_or(ENTRIES_MAX).min(ENTRIES_MAX));
    let mut lines = Vec::new();
    for entry in entries {
        if serde_json::to_writer(&mut lines, &*entry).is_err() {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        lines.push(b'\n');
    }
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from(lines)).into_response()
}

async fn summary(State(control): State<Control>) -> Response {
    axum::Json(control.log.summary()).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountChange {
    suspended: bool,
    /// 20003 (the default), 20005, 20403 and the like.
    #[serde(default = "permission_denied")]
    code: u32,
}

fn permission_denied() -> u32 {
    20003
}

fn bad(error: impl std::fmt::Display) -> Response {
    (StatusCode::BAD_REQUEST, axum::Json(json!({ "error": error.to_string() }))).into_response()
}

async fn account(State(control): State<Control>, body: Bytes) -> Response {
    match serde_json::from_slice::<AccountChange>(&body) {
        Err(error) => bad(error),
        Ok(change) => {
            control.suspend((change.suspended && change.code != 0).then_some(change.code));
            axum::Json(json!({ "suspended": change.suspended })).into_response()
        }
    }
}

async fn scenario(State(control): State<Control>, body: Bytes) -> Response {
    match serde_json::from_slice::<Scenario>(&body) {
        Err(error) => bad(error),
        Ok(scenario) => match control.scenario(scenario) {
            Err(error) => bad(error),
            Ok(()) => axum::Json(json!({ "ok": true })).into_response(),
        },
    }
}

async fn current(State(control): State<Control>) -> Response {
    let chooser = Arc::clone(&control.chooser.read());
    axum::Json(&chooser.scenario).into_response()
}
