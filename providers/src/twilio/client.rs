//! The REST interface.

use super::call::{Call, Page, error_code};
use super::{codes, form};
use crate::Secret;
use crate::carrier::{Carrier, CarrierError, Found};
use crate::masked;
use crate::net::http::{Answer, BodyError, Client, HttpError, Limits, Lost};
use crate::net::tls::{self, Roots};
use crate::net::{Connector, Target, TargetError, TlsError};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use std::time::Duration;
use tandem_domain::carrier::{
    DialOutcome, DialRequest, Instruction, InstructionOutcome, Refusal, RefusalReason, Report,
};
use tandem_domain::time::{Millis, SECOND};

/// Calls on one page of a list.
const PAGE_SIZE: u32 = 100;
/// Most pages of a list that are read. Calls between the same two numbers since an attempt began
/// fill a fraction of one.
const PAGES_MAX: u32 = 10;

/// How to authenticate.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// An API key (`SK…`) and its secret: what the carrier recommends.
    ApiKey { sid: String, secret: Secret },
    /// The account's auth token. Signs callbacks as well.
    AuthToken(Secret),
}

#[derive(Clone, Debug)]
pub struct Options {
    /// `AC` and 32 hexadecimal digits.
    pub account_sid: String,
    pub credentials: Credentials,
    /// Scheme, host, perhaps a port.
    pub base_url: String,
    /// For the name, TCP and TLS together.
    pub connect_timeout: Duration,
    pub limits: Limits,
    pub roots: Roots,
}

impl Options {
    pub const BASE_URL: &str = "https://api.twilio.com";

    pub fn new(account_sid: impl Into<String>, credentials: Credentials) -> Self {
        Options {
            account_sid: account_sid.into(),
            credentials,
            base_url: Options::BASE_URL.to_owned(),
            connect_timeout: Duration::from_secs(5),
            limits: Limits::default(),
            roots: Roots::default(),
        }
    }
}

/// Why an adapter cannot be set up.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("an account SID is `AC` and 32 hexadecimal digits")]
    AccountSid,
    #[error("the credentials are empty or cannot stand in a header")]
    Credentials,
    #[error("base URL: {0}")]
    BaseUrl(#[from] TargetError),
    #[error("{0}")]
    Tls(#[from] TlsError),
}

/// An account at Twilio.
#[derive(Debug)]
pub struct Twilio {
    client: Client,
    calls_path: String,
    headers: [(HeaderName, HeaderValue); 2],
}

impl Twilio {
    pub fn new(options: Options) -> Result<Self, ConfigError> {
        if !super::is_account_sid(&options.account_sid) {
            return Err(ConfigError::AccountSid);
        }
        let (user, password) = match &options.credentials {
            Credentials::ApiKey { sid, secret } => (sid, secret),
            Credentials::AuthToken(token) => (&options.account_sid, token),
        };
        if user.is_empty() || user.contains(':') || password.is_empty() {
            return Err(ConfigError::Credentials);
        }
        let basic = format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.expose())));
        let mut authorization = HeaderValue::try_from(basic).map_err(|_| ConfigError::Credentials)?;
        authorization.set_sensitive(true);
        let connector = Connector::new(tls::client_config(&options.roots)?, options.connect_timeout);
        Ok(Twilio {
            client: Client::new(Target::base(&options.base_url)?, connector, options.limits)?,
            calls_path: format!("/2010-04-01/Accounts/{}/Calls", options.account_sid),
            headers: [(AUTHORIZATION, authorization), (ACCEPT, HeaderValue::from_static("application/json"))],
        })
    }

    async fn post(&self, path: &str, body: Bytes) -> Result<Answer, HttpError> {
        let [authorization, accept] = self.headers.clone();
        let kind = (CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        self.client.send(Method::POST, path, &[authorization, accept, kind], body).await
    }

    /// A GET whose answer is a success, or why it is not.
    async fn get(&self, path: &str) -> Result<Bytes, CarrierError> {
        let answer =
            self.client.send(Method::GET, path, &self.headers, Bytes::new()).await.map_err(no_answer)?;
        let status = answer.status.as_u16();
        let code = answer.body.as_ref().ok().and_then(|body| error_code(body));
        match (answer.status, code) {
            (status, _) if status.is_success() => answer.body.map_err(|error| match error {
                BodyError::Timeout => CarrierError::Timeout,
                BodyError::TooLarge => CarrierError::Malformed("the answer is too large"),
                BodyError::Broken => CarrierError::Malformed("the answer broke off"),
            }),
            (StatusCode::TOO_MANY_REQUESTS, _) | (_, Some(codes::TOO_MANY)) => {
                Err(CarrierError::RateLimited { retry_after_ms: answer.retry_after_ms })
            }
            (http_status, _) if http_status.is_server_error() => Err(CarrierError::Server { status }),
            (_, Some(code)) if codes::is_trouble(code) => Err(CarrierError::Server { status }),
            (_, Some(code)) if codes::is_account(code) => Err(CarrierError::Account { code }),
            (http_status, Some(code)) if http_status.is_client_error() => {
                Err(CarrierError::Refused { status, code })
            }
            _ => Err(CarrierError::Malformed("an answer that is not the carrier's")),
        }
    }

    fn call_path(&self, sid: &str) -> Option<String> {
        // Also keeps anything that is not an id out of the path.
        super::is_call_sid(sid).then(|| format!("{}/{sid}.json", self.calls_path))
    }
}

#[async_trait]
impl Carrier for Twilio {
    async fn dial(&self, request: &DialRequest) -> DialOutcome {
        let path = format!("{}.json", self.calls_path);
        let answer = self.post(&path, form::create(request)).await;
        let outcome = dialed(&answer);
        match &outcome {
            DialOutcome::Accepted { sid } => tracing::debug!(to = masked(&request.to), sid, "dial accepted"),
            DialOutcome::Refused(refusal) => {
                tracing::info!(to = masked(&request.to), ?refusal, "dial refused");
            }
            DialOutcome::Unknown => {
                tracing::warn!(to = masked(&request.to), cause = shown(&answer), "outcome of a dial unknown");
            }
        }
        outcome
    }

    async fn instruct(&self, sid: &str, instruction: &Instruction) -> InstructionOutcome {
        let Some(path) = self.call_path(sid) else { return InstructionOutcome::AlreadyEnded };
        let Ok(body) = form::update(instruction) else { return InstructionOutcome::Refused { code: 0 } };
        let answer = self.post(&path, body).await;
        let outcome = instructed(&answer);
        if !matches!(outcome, InstructionOutcome::Done) {
            tracing::info!(sid, ?outcome, cause = shown(&answer), "instruction not carried out");
        }
        outcome
    }

    async fn fetch(&self, sid: &str) -> Result<Option<Report>, CarrierError> {
        let Some(path) = self.call_path(sid) else { return Ok(None) };
        match self.get(&path).await {
            Ok(body) => match Call::read(&body).and_then(|call| call.report()) {
                Some(report) if report.sid == sid => Ok(Some(report)),
                Some(_) => Err(CarrierError::Malformed("another call was answered")),
                None => Err(CarrierError::Malformed("no call in the answer")),
            },
            Err(CarrierError::Refused { status: 404, code: codes::NOT_FOUND }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn find(&self, to: &str, from: &str, started_after: Millis) -> Result<Vec<Found>, CarrierError> {
        // Not filtered by `StartTime`, which a call that waits in the carrier's queue has not.
        let mut path = format!("{}.json?{}", self.calls_path, form::list(to, from, PAGE_SIZE));
        // The carrier tells whole seconds, so a call of the same second might seem to be earlier.
        let earliest = started_after.div_euclid(SECOND) * SECOND;
        let mut found = Vec::new();
        let mut order = Order::default();
        for _ in 0..PAGES_MAX {
            let body = self.get(&path).await?;
            let page: Page = serde_json::from_slice(&body)
                .map_err(|_| CarrierError::Malformed("no list in the answer"))?;
            for call in &page.calls {
                let created_at = call.created_at();
                order.see(created_at);
                if call.is_between(to, from) && created_at.is_none_or(|at| at >= earliest) {
                    found.push(call.found().ok_or(CarrierError::Malformed("a call without an id"))?);
                }
            }
            match page.next_page_uri.as_str().filter(|uri| !uri.is_empty()) {
                None => return Ok(found),
                Some(_) if order.is_past(earliest) => return Ok(found),
                Some(uri) if uri.starts_with(&self.calls_path) => path = uri.to_owned(),
                Some(_) => return Err(CarrierError::Malformed("the next page is elsewhere")),
            }
        }
        Err(CarrierError::TooLong { pages_max: PAGES_MAX })
    }
}

/// Whether a list has shown itself to be in order, newest first. It is not promised anywhere, so
/// reading stops early only where the list itself bears it out.
#[derive(Default)]
struct Order {
    last: Option<Millis>,
    broken: bool,
}

impl Order {
    fn see(&mut self, created_at: Option<Millis>) {
        if let Some(at) = created_at {
            self.broken |= self.last.is_some_and(|last| at > last);
            self.last = Some(at);
        }
    }

    fn is_past(&self, earliest: Millis) -> bool {
        !self.broken && self.last.is_some_and(|last| last < earliest)
    }
}

/// What the answer to a request for a call means.
fn dialed(answer: &Result<Answer, HttpError>) -> DialOutcome {
    let answer = match answer {
        Ok(answer) => answer,
        // Proved not to have left: no call exists, and asking again later cannot make a second.
        Err(HttpError::NotSent(_)) => {
            return DialOutcome::Refused(Refusal { reason: RefusalReason::Overloaded, code: 0 });
        }
        Err(HttpError::Lost(_)) => return DialOutcome::Unknown,
    };
    let body = answer.body.as_deref().unwrap_or_default();
    if answer.status.is_success() {
        return match Call::read(body).as_ref().and_then(Call::sid) {
            Some(sid) => DialOutcome::Accepted { sid: sid.to_owned() },
            None => DialOutcome::Unknown,
        };
    }
    let code = error_code(body);
    if answer.status == StatusCode::TOO_MANY_REQUESTS {
        let reason = RefusalReason::RateLimited { retry_after_ms: answer.retry_after_ms };
        // Some limits have codes of their own, such as too many calls at a time.
        let overloaded = code
            .and_then(|code| codes::refusal(code, None))
            .filter(|refusal| matches!(refusal.reason, RefusalReason::Overloaded | RefusalReason::Account));
        return DialOutcome::Refused(overloaded.unwrap_or(Refusal { reason, code: code.unwrap_or(0) }));
    }
    match code.and_then(|code| codes::refusal(code, answer.retry_after_ms)) {
        Some(refusal) if answer.status.is_client_error() => DialOutcome::Refused(refusal),
        _ => DialOutcome::Unknown,
    }
}

/// What the answer to an instruction means.
fn instructed(answer: &Result<Answer, HttpError>) -> InstructionOutcome {
    let Ok(answer) = answer else { return InstructionOutcome::Retry };
    if answer.status.is_success() {
        return InstructionOutcome::Done;
    }
    match error_code(answer.body.as_deref().unwrap_or_default()) {
        Some(codes::CALL_ENDED | codes::NOT_FOUND) => InstructionOutcome::AlreadyEnded,
        Some(codes::TOO_MANY) => InstructionOutcome::Retry,
        Some(code) if answer.status.is_client_error() && !codes::is_trouble(code) => {
            if answer.status == StatusCode::TOO_MANY_REQUESTS {
                InstructionOutcome::Retry
            } else {
                InstructionOutcome::Refused { code }
            }
        }
        _ => InstructionOutcome::Retry,
    }
}

fn no_answer(error: HttpError) -> CarrierError {
    match error {
        HttpError::NotSent(not_sent) => CarrierError::Unreachable(not_sent.to_string()),
        HttpError::Lost(Lost::Timeout) => CarrierError::Timeout,
        HttpError::Lost(lost) => CarrierError::Unreachable(lost.to_string()),
    }
}

/// An answer as it may stand in logs: its text may repeat the number, so only codes.
fn shown(answer: &Result<Answer, HttpError>) -> String {
    match answer {
        Ok(answer) => {
            let code = error_code(answer.body.as_deref().unwrap_or_default());
            format!("status {}, code {}", answer.status.as_u16(), code.unwrap_or(0))
        }
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options::new(
            "AC0123456789abcdef0123456789abcdef",
            Credentials::ApiKey { sid: "SK1".into(), secret: Secret::from("hidden") },
        )
    }

    #[test]
    fn options_are_checked() {
        assert!(Twilio::new(options()).is_ok());
        let wrong = Options { account_sid: "AC1".into(), ..options() };
        assert_eq!(Twilio::new(wrong).unwrap_err(), ConfigError::AccountSid);
        let empty = Options { credentials: Credentials::AuthToken(Secret::from("")), ..options() };
        assert_eq!(Twilio::new(empty).unwrap_err(), ConfigError::Credentials);
        let path = Options { base_url: "https://h/x".into(), ..options() };
        assert_eq!(Twilio::new(path).unwrap_err(), ConfigError::BaseUrl(TargetError::Path));
    }

    #[test]
    fn nothing_secret_is_shown() {
        let encoded = STANDARD.encode("SK1:hidden");
        for text in [format!("{:?}", options()), format!("{:?}", Twilio::new(options()).unwrap())] {
            assert!(!text.contains("hidden") && !text.contains(&encoded), "{text}");
        }
    }
}
