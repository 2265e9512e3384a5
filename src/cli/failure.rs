//! Why a command failed: what is said to a person, and what to a program.

use super::exit::Exit;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Why a command failed.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Failure {
    #[serde(serialize_with = "number")]
    pub exit: Exit,
    /// Stable code, as the server gave it; empty where it was none.
    pub reason: String,
    pub message: String,
    /// One for each thing that is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// More about the reason, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

fn number<S: serde::Serializer>(exit: &Exit, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u8(exit.code())
}

impl Failure {
    pub fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure {
            exit,
            reason: String::new(),
            message: message.into(),
            details: Vec::new(),
            help: None,
            metadata: BTreeMap::new(),
            retry_after_ms: None,
        }
    }

    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::new(Exit::Usage, message)
    }

    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Failure {
        self.help = Some(help.into());
        self
    }

    /// Of an error of this process, with what caused it.
    pub fn of(error: &dyn std::error::Error) -> Failure {
        let mut failure = Failure::new(Exit::Failure, error.to_string());
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !failure.message.contains(&text) && !failure.details.contains(&text) {
                failure.details.push(text);
            }
            cause = error.source();
        }
        failure
    }

    /// Of what a server answered.
    pub fn of_status(status: &Status) -> Failure {
        let details = status.get_error_details();
        let retry_after = details.retry_info().and_then(|info| info.retry_delay);
        // A cause is there only where this side failed: the connection was not made, or broke.
        let exit = match (status.code(), std::error::Error::source(status)) {
            (Code::Unknown | Code::Internal, Some(_)) => Exit::Unavailable,
            (code, _) => Exit::of(code, retry_after.is_some()),
        };
        let mut failure = Failure::new(exit, message(status));
        failure.retry_after_ms = retry_after.map(milliseconds);
        if let Some(info) = details.error_info() {
            failure.reason.clone_from(&info.reason);
            failure.metadata = info.metadata.clone().into_iter().collect();
        }
        if let Some(bad) = details.bad_request() {
            failure.add(bad.field_violations.iter().map(|v| format!("{}: {}", v.field, v.description)));
        }
        if let Some(unmet) = details.precondition_failure() {
            failure.add(unmet.violations.iter().map(|v| format!("{}: {}", v.r#type, v.description)));
        }
        if let Some(resource) = details.resource_info() {
            failure.add([format!("{} {}", resource.resource_type, resource.resource_name)]);
        }
        if let Some(why) = why_not_connected(status) {
            failure.message = format!("no connection to the server: {why}");
        }
        failure.help = help(&failure, status.code());
        failure
    }

    /// Details that say more than the message does.
    fn add(&mut self, details: impl IntoIterator<Item = String>) {
        for detail in details {
            if !self.message.contains(&detail) && !self.details.contains(&detail) {
                self.details.push(detail);
            }
        }
    }

    /// As it is shown to a person.
    pub fn lines(&self) -> Vec<String> {
        let reason = if self.reason.is_empty() { String::new() } else { format!(" [{}]", self.reason) };
        let mut lines = vec![format!("error: {}{reason}", self.message)];
        lines.extend(self.details.iter().map(|detail| format!("  {detail}")));
        if let Some(ms) = self.retry_after_ms {
            lines.push(format!("  may be tried again in {ms} ms"));
        }
        if let Some(help) = &self.help {
            lines.extend(help.lines().map(|line| format!("  help: {line}")));
        }
        lines
    }
}

/// Of a connection that was not made, or broke: what the system said, without the layers in between.
fn why_not_connected(status: &Status) -> Option<String> {
    const LAYERS: [&str; 4] =
        ["transport error", "tcp connect error", "connection error", "client error (Connect)"];
    let mut cause = Some(std::error::Error::source(status)?);
    let mut all = vec![status.message().to_owned()];
    while let Some(error) = cause {
        all.push(error.to_string());
        cause = error.source();
    }
    let last = all.last().cloned().unwrap_or_default();
    let mut told: Vec<String> = Vec::new();
    for text in all {
        let empty = text.is_empty() || LAYERS.contains(&text.as_str());
        if !empty && !told.iter().any(|known| known.contains(&text)) {
            told.push(text);
        }
    }
    Some(if told.is_empty() { last } else { told.join(": ") })
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn message(status: &Status) -> String {
    match (status.code(), status.message()) {
        (Code::Unavailable, "") => "the server cannot be reached".to_owned(),
        (Code::DeadlineExceeded, "") | (Code::Cancelled, "Timeout expired") => {
            "the server did not answer in time".to_owned()
        }
        (code, "") => code.description().to_owned(),
        (_, message) => message.to_owned(),
    }
}

/// What to do about it.
fn help(failure: &Failure, code: Code) -> Option<String> {
    let by_reason = match failure.reason.as_str() {
        "IDEMPOTENCY_KEY_REUSED" => "use a new --idempotency-key for a request that differs",
        "DO_NOT_CALL" => "the person opted out; `tandem customer dnc remove` only if that was a mistake",
        "NO_CONSENT" => "record it with `tandem customer consent give`, if there is one",
        "COMPANY_CLOSED" => {
            "an operator stopped this company: `tandem company get` shows why, `open` lifts it"
        }
        "OUTSIDE_HOURS" | "TOO_SOON" | "ATTEMPTS_TODAY" => "it clears by itself; `explain` shows when",
        "ZONE_UNKNOWN" => "give the person's time zone: --time-zone, or a column time_zone in the file",
        "ADMIN_REQUIRED" => "this needs the admin token of the node (grpc.admin_token) as the key",
        "NO_CALLER_ID" => "give the company one: `tandem company update --caller-id NUMBER`",
        "INVALID_NUMBER" => "write it as +15551234567, or name its country with --region",
        "LIMIT_REACHED" => "`tandem company get` shows the limits",
        _ => "",
    };
    let by_reason = if failure.message.contains("agent.agent_id") {
        "--agent ID, or id under [agent] in the file; for single calls also `tandem company update --agent ID`"
    } else {
        by_reason
    };
    if !by_reason.is_empty() {
        return Some(by_reason.to_owned());
    }
    let by_code = match code {
        Code::Unauthenticated => {
            "TANDEM_KEY, --key-file or --key gives an API key of this node, as `tandem company create` and \
             `tandem company key create` make them; the admin token is for `tandem company` alone"
        }
        Code::PermissionDenied => {
            "use a key with the scope that this needs; `tandem company key list` shows them"
        }
        Code::Unavailable | Code::Unknown | Code::Internal
            if failure.reason.is_empty() && failure.exit == Exit::Unavailable =>
        {
            "is the node running there, with or without TLS? --server or TANDEM_SERVER names its gRPC address"
        }
        Code::DeadlineExceeded | Code::Cancelled => "--timeout gives it more time",
        Code::Unimplemented => "the server is older than this command line, or is no Tandem node",
        _ => return None,
    };
    Some(by_code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::ErrorDetails;

    #[test]
    fn a_status_is_told_whole() {
        let mut details = ErrorDetails::new();
        details
            .set_error_info("INVALID_FIELD", "tandem", [("field".to_owned(), "callers".to_owned())])
            .add_bad_request_violation("settings.caller_ids", "1 to 64 caller ids")
            .set_resource_info("campaign", "c-1", "", "");
        let status = Status::with_error_details(Code::InvalidArgument, "the request is invalid", details);
        let failure = Failure::of_status(&status);
        assert_eq!((failure.exit, &*failure.reason), (Exit::Usage, "INVALID_FIELD"));
        assert_eq!(
            failure.lines(),
            [
                "error: the request is invalid [INVALID_FIELD]",
                "  settings.caller_ids: 1 to 64 caller ids",
                "  campaign c-1",
            ]
        );
        let json = serde_json::to_value(&failure).unwrap();
        assert_eq!((json["exit"].as_u64(), json["metadata"]["field"].as_str()), (Some(2), Some("callers")));
    }

    #[test]
    fn an_overloaded_server_is_not_a_refusal() {
        let mut details = ErrorDetails::new();
        details.set_retry_info(Some(Duration::from_millis(250)));
        let status = Status::with_error_details(Code::ResourceExhausted, "too much", details);
        let failure = Failure::of_status(&status);
        assert_eq!((failure.exit, failure.retry_after_ms), (Exit::Unavailable, Some(250)));
    }

    #[test]
    fn a_connection_that_broke_is_told_from_a_server_that_failed() {
        let broke = Status::from_error(Box::new(std::io::Error::other("tls: no such thing")));
        assert_eq!((broke.code(), Failure::of_status(&broke).exit), (Code::Unknown, Exit::Unavailable));
        assert_eq!(Failure::of_status(&Status::unknown("tls")).exit, Exit::Failure);
    }

    #[test]
    fn a_connection_that_was_not_made_is_told_in_the_systems_words() {
        #[derive(Debug, thiserror::Error)]
        #[error("transport error")]
        struct Transport(#[source] std::io::Error);
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let expected = format!("no connection to the server: {refused}");
        let failure = Failure::of_status(&Status::from_error(Box::new(Transport(refused))));
        assert_eq!((failure.message, failure.details), (expected, Vec::<String>::new()));
        assert!(failure.help.is_some_and(|help| help.contains("--server")));
    }

    #[test]
    fn there_is_help() {
        let help =
            |code, message: &str| Failure::of_status(&Status::new(code, message)).help.unwrap_or_default();
        assert!(help(Code::Unauthenticated, "no key").contains("TANDEM_KEY"));
        assert!(help(Code::Unavailable, "").contains("--server"));
        assert_eq!(help(Code::Internal, "x"), "");
        let mut details = ErrorDetails::new();
        details.set_error_info("DO_NOT_CALL", "tandem", std::collections::HashMap::new());
        let status = Status::with_error_details(Code::FailedPrecondition, "refused", details);
        let failure = Failure::of_status(&status);
        assert_eq!(failure.exit, Exit::Refused);
        assert!(failure.help.unwrap().contains("opted out"));
    }

    #[test]
    fn causes_are_told_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot start")]
        struct Outer(#[source] std::io::Error);
        let failure = Failure::of(&Outer(std::io::Error::other("the disk is full")));
        assert_eq!(failure.lines(), ["error: cannot start", "  the disk is full"]);
    }
}
