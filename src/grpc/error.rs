//! Errors as they travel: a gRPC code, and `google.rpc` details with a stable reason.
//!
//! Every reason stands in `docs/errors.md`; a test holds the two against each other.

use super::convert::time;
use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;
use tandem_actors::SendError;
use tandem_domain::dial::Bar;
use tandem_domain::machine::Rejection;
use tandem_domain::time::Millis;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The `domain` of every `google.rpc.ErrorInfo`.
pub const DOMAIN: &str = "tandem";

/// Reasons that are made here. Those of refusals come from the machines.
pub mod reason {
    pub const UNAUTHENTICATED: &str = "UNAUTHENTICATED";
    pub const SCOPE_MISSING: &str = "SCOPE_MISSING";
    pub const ADMIN_REQUIRED: &str = "ADMIN_REQUIRED";
    pub const NOT_FOUND: &str = "NOT_FOUND";
    pub const INVALID_FIELD: &str = "INVALID_FIELD";
    pub const INVALID_NUMBER: &str = "INVALID_NUMBER";
    pub const INVALID_PAGE_TOKEN: &str = "INVALID_PAGE_TOKEN";
    pub const INVALID_FILE: &str = "INVALID_FILE";
    pub const NO_HEADER: &str = "NO_HEADER";
    pub const NO_CALLER_ID: &str = "NO_CALLER_ID";
    pub const DEADLINE: &str = "DEADLINE";
    pub const INTERNAL: &str = "INTERNAL";
    pub const UNAVAILABLE: &str = "UNAVAILABLE";
    pub const OVERLOADED: &str = "OVERLOADED";
    pub const TOO_MANY_REQUESTS: &str = "TOO_MANY_REQUESTS";
    pub const STORE_FAILED: &str = "STORE_FAILED";
    pub const NO_CLUSTER: &str = "NO_CLUSTER";
    pub const ILLEGAL_NODE_STATE: &str = "ILLEGAL_NODE_STATE";

    /// All of them.
    pub const ALL: [&str; 18] = [
        UNAUTHENTICATED,
        SCOPE_MISSING,
        ADMIN_REQUIRED,
        NOT_FOUND,
        INVALID_FIELD,
        INVALID_NUMBER,
        INVALID_PAGE_TOKEN,
        INVALID_FILE,
        NO_HEADER,
        NO_CALLER_ID,
        DEADLINE,
        INTERNAL,
        UNAVAILABLE,
        OVERLOADED,
        TOO_MANY_REQUESTS,
        STORE_FAILED,
        NO_CLUSTER,
        ILLEGAL_NODE_STATE,
    ];
}

/// How long a client is asked to wait before it tries again.
const RETRY_SOON: Duration = Duration::from_millis(200);

/// A field of a request that cannot be taken, and why. Becomes INVALID_ARGUMENT.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{field}: {why}")]
pub struct Violation {
    /// As the proto names it, with dots, such as `plan.ring_timeout`.
    pub field: Cow<'static, str>,
    pub why: Cow<'static, str>,
    /// More than a wrong field, such as a number that cannot be called.
    pub reason: &'static str,
    /// Finer code, such as `too_short`; empty without.
    pub code: &'static str,
}

impl Violation {
    pub fn new(field: impl Into<Cow<'static, str>>, why: impl Into<Cow<'static, str>>) -> Self {
        Violation { field: field.into(), why: why.into(), reason: reason::INVALID_FIELD, code: "" }
    }

    /// The same within an outer message.
    #[must_use]
    pub fn within(mut self, outer: &str) -> Self {
        self.field = format!("{outer}.{}", self.field).into();
        self
    }
}

impl From<Violation> for Status {
    fn from(v: Violation) -> Status {
        let mut metadata = HashMap::new();
        if !v.code.is_empty() {
            metadata.insert("code".to_owned(), v.code.to_owned());
        }
        let mut details = ErrorDetails::with_error_info(v.reason, DOMAIN, metadata);
        details.add_bad_request_violation(v.field.as_ref(), v.why.as_ref());
        Status::with_error_details(Code::InvalidArgument, v.to_string(), details)
    }
}

/// An error with a reason and nothing else to say.
pub fn plain(code: Code, reason: &'static str, message: impl Into<String>) -> Status {
    let details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
    Status::with_error_details(code, message, details)
}

/// Absent, or of another company: the two cannot be told apart.
pub fn not_found(what: &'static str) -> Status {
    let mut details = ErrorDetails::with_error_info(reason::NOT_FOUND, DOMAIN, HashMap::new());
    details.set_resource_info(what, "", "", "");
    Status::with_error_details(Code::NotFound, format!("there is no such {what}"), details)
}

/// Something is wrong in here: the log has it, the client does not.
pub fn internal(what: &str, error: &dyn std::fmt::Display) -> Status {
    tracing::error!(%error, "{what}");
    plain(Code::Internal, reason::INTERNAL, "an internal error; the node's log says more")
}

/// Nothing was done; the same request may succeed soon.
pub fn retryable(code: Code, reason: &'static str, message: impl Into<String>) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
    details.set_retry_info(Some(RETRY_SOON));
    Status::with_error_details(code, message, details)
}

/// The client's deadline has passed. What it asked for may yet happen or have happened.
pub fn deadline() -> Status {
    plain(
        Code::DeadlineExceeded,
        reason::DEADLINE,
        "the deadline has passed; the outcome is not known: send it again with the same idempotency key",
    )
}

/// Why a command was not carried out.
pub fn send(error: SendError, now: Millis) -> Status {
    match error {
        SendError::Rejected(rejection) => rejected(rejection, now),
        SendError::Moved | SendError::Lost | SendError::Unavailable(_) => {
            retryable(Code::Unavailable, reason::UNAVAILABLE, "not available at the moment; try again")
        }
        SendError::Overloaded(what) => retryable(
            Code::ResourceExhausted,
            reason::OVERLOADED,
            match what {
                "node" => "as much is alive on this node as it has room for; nothing was done".to_owned(),
                what => format!("too many commands wait for this {what}; nothing was done"),
            },
        ),
        SendError::Store(why) => {
            tracing::error!(%why, "the store failed");
            plain(Code::Internal, reason::STORE_FAILED, "the store failed; nothing was written")
        }
        other @ SendError::DeadLetter => {
            plain(Code::Internal, other.reason(), "the command could not be carried out and was set aside")
        }
    }
}

/// A refusal: nothing has changed.
pub fn rejected(rejection: Rejection, now: Millis) -> Status {
    let message = rejection.to_string();
    let stable = rejection.reason();
    let info = |metadata| ErrorDetails::with_error_info(stable, DOMAIN, metadata);
    match rejection {
        Rejection::NotFound(what) => not_found(what),
        Rejection::AlreadyExists => plain(Code::AlreadyExists, stable, message),
        Rejection::IllegalTransition { state, command } => {
            let metadata = [("state", state), ("command", command)];
            let details = info(metadata.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
            Status::with_error_details(Code::FailedPrecondition, message, details)
        }
        Rejection::Invalid { field, why } => Violation::new(field, why).into(),
        Rejection::Barred(bar) => barred(bar, now),
        Rejection::Exhausted { what, max } => {
            let mut details = info([("max".to_owned(), max.to_string())].into());
            details.add_quota_failure_violation(what, message.as_str());
            Status::with_error_details(Code::ResourceExhausted, message, details)
        }
        Rejection::KeyReused => {
            let mut details = info(HashMap::new());
            details.add_precondition_failure_violation(stable, "idempotency_key", message.as_str());
            Status::with_error_details(Code::FailedPrecondition, message, details)
        }
        Rejection::PersonKeyExists => retryable(Code::Aborted, stable, message),
        Rejection::Stale(_) => retryable(Code::Aborted, stable, message),
        Rejection::NotACallerId => {
            let mut details = info(HashMap::new());
            details.add_bad_request_violation("from", message.as_str());
            Status::with_error_details(Code::InvalidArgument, message, details)
        }
        Rejection::Internal(what) => internal("a machine refused for a reason of its own", &what),
    }
}

/// A rule forbids the dial, for now or for ever.
fn barred(bar: Bar, now: Millis) -> Status {
    let stable = bar.reason();
    let mut metadata = HashMap::from([("final".to_owned(), bar.is_final().to_string())]);
    if let Some(at) = bar.clears_at() {
        metadata.insert("clears_at".to_owned(), time::rfc3339(at));
    }
    let mut details = ErrorDetails::with_error_info(stable, DOMAIN, metadata);
    details.add_precondition_failure_violation(stable, "call", bar.to_string());
    if let Some(at) = bar.clears_at() {
        details.set_retry_info(Some(Duration::from_millis(u64::try_from(at - now).unwrap_or(0))));
    }
    Status::with_error_details(Code::FailedPrecondition, format!("refused: {bar}"), details)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(status: &Status) -> (String, HashMap<String, String>) {
        let details = status.get_error_details();
        let info = details.error_info().expect("every error has a reason");
        assert_eq!(info.domain, DOMAIN);
        (info.reason.clone(), info.metadata.clone())
    }

    #[test]
    fn a_bar_says_which_rule_and_when_it_clears() {
        let status = rejected(Rejection::Barred(Bar::OutsideHours { until: 61_000 }), 1_000);
        assert_eq!(status.code(), Code::FailedPrecondition);
        let (reason, metadata) = info(&status);
        assert_eq!(reason, "OUTSIDE_HOURS");
        assert_eq!(metadata["clears_at"], "1970-01-01T00:01:01Z");
        assert_eq!(metadata["final"], "false");
        let details = status.get_error_details();
        assert_eq!(details.retry_info().and_then(|r| r.retry_delay), Some(Duration::from_secs(60)));
        let violations = &details.precondition_failure().expect("a rule").violations;
        assert_eq!(violations[0].r#type, "OUTSIDE_HOURS");
    }

    #[test]
    fn a_bar_that_never_clears_asks_for_no_retry() {
        let status = rejected(Rejection::Barred(Bar::DoNotCall), 1_000);
        assert!(status.get_error_details().retry_info().is_none());
        assert_eq!(info(&status).1["final"], "true");
    }

    #[test]
    fn a_wrong_field_is_named() {
        let status: Status = Violation::new("ring_timeout", "15 s to 10 min").within("plan").into();
        assert_eq!(status.code(), Code::InvalidArgument);
        let details = status.get_error_details();
        assert_eq!(details.bad_request().expect("fields").field_violations[0].field, "plan.ring_timeout");
    }

    #[test]
    fn internal_trouble_is_not_told_to_clients() {
        let secret = "/var/lib/tandem: no space left";
        for status in [
            send(SendError::Store(secret.to_owned()), 0),
            rejected(Rejection::Internal("a stored fact cannot be decoded"), 0),
        ] {
            assert_eq!(status.code(), Code::Internal);
            assert!(!status.message().contains("space") && !status.message().contains("fact"));
        }
    }

    #[test]
    fn two_who_meet_a_person_at_once_are_asked_to_try_again() {
        let status = rejected(Rejection::PersonKeyExists, 0);
        assert_eq!((status.code(), info(&status).0.as_str()), (Code::Aborted, "PERSON_KEY_EXISTS"));
        assert!(status.get_error_details().retry_info().is_some());
    }

    #[test]
    fn what_passes_asks_for_a_retry() {
        for error in [SendError::Unavailable("moving"), SendError::Overloaded("campaign")] {
            let retryable = error.is_retryable();
            let status = send(error, 0);
            assert!(retryable && status.get_error_details().retry_info().is_some());
        }
    }
}
