//! Refusals of the REST interface, with the carrier's codes.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// A refusal: HTTP status, code, text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) code: u32,
    message: String,
    retry_after_s: Option<u64>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: u32, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after_s: None }
    }

    fn invalid(code: u32, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(super) fn authenticate() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, 20003, "Authenticate")
    }

    /// `code` 20003 is answered with 401 and the others with 403.
    pub(super) fn suspended(code: u32) -> Self {
        let status = if code == 20003 { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN };
        Self::new(status, code, "Account is not active")
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, 20404, "The requested resource was not found")
    }

    pub(super) fn throttled(retry_after_s: u64) -> Self {
        let mut error = Self::new(StatusCode::TOO_MANY_REQUESTS, 20429, "Too many requests");
        error.retry_after_s = Some(retry_after_s);
        error
    }

    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, 20500, "An internal server error occurred")
    }

    pub(super) fn missing_to() -> Self {
        Self::invalid(21201, "No 'To' number is specified")
    }

    pub(super) fn missing_from() -> Self {
        Self::invalid(21213, "'From' number is required")
    }

    pub(super) fn invalid_to() -> Self {
        Self::invalid(21211, "The phone number you are attempting to call is not valid")
    }

    pub(super) fn invalid_from() -> Self {
        Self::invalid(21212, "The 'From' number is not a valid phone number")
    }

    pub(super) fn unverified_from() -> Self {
        Self::invalid(21210, "'From' phone number not verified")
    }

    pub(super) fn invalid_url(what: &str) -> Self {
        Self::invalid(21205, format!("{what} is not a valid URL"))
    }

    pub(super) fn invalid_number(what: &str) -> Self {
        Self::invalid(21208, format!("{what} is out of range"))
    }

    pub(super) fn invalid_parameter(what: &str) -> Self {
        Self::invalid(20001, format!("{what} is not valid"))
    }

    pub(super) fn not_live() -> Self {
        Self::invalid(21220, "Call is not in-progress. Cannot redirect.")
    }

    pub(super) fn queue_full() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, 22005, "The queue of calls is full")
    }

    pub(super) fn too_many_calls() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, 10004, "Call concurrency limit exceeded")
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({
            "code": self.code,
            "message": self.message,
            "more_info": format!("https://www.twilio.com/docs/errors/{}", self.code),
            "status": self.status.as_u16(),
        });
        let mut response = (self.status, axum::Json(body)).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Basic realm=\"Twilio API\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
