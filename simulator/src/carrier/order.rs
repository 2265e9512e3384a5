//! What a create or an update asks for, read from the form and checked.

use super::error::ApiError;
use crate::webhooks::Method;

/// Longest document inside a request, in characters.
const INLINE_CHARS_MAX: usize = 4_000;
const RING_TIMEOUT_S_MAX: u64 = 600;
const RING_TIMEOUT_S: u64 = 60;
const TIME_LIMIT_S: u64 = 14_400;
const TIME_LIMIT_S_MAX: u64 = 86_400;
const DETECTION_TIMEOUT_S: u64 = 30;

/// A form as it came: names may occur more than once.
pub(super) struct Form(pub(super) Vec<(String, String)>);

impl Form {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(given, _)| given == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    fn seconds(&self, name: &str, default: u64, max: u64) -> Result<u64, ApiError> {
        match self.get(name) {
            None => Ok(default),
            Some(text) => match text.parse::<u64>() {
                Ok(value) if (1..=max).contains(&value) => Ok(value),
                _ => Err(ApiError::invalid_number(name)),
            },
        }
    }

    fn method(&self, name: &str) -> Result<Method, ApiError> {
        match self.get(name) {
            None => Ok(Method::Post),
            Some(text) if text.eq_ignore_ascii_case("POST") => Ok(Method::Post),
            Some(text) if text.eq_ignore_ascii_case("GET") => Ok(Method::Get),
            Some(_) => Err(ApiError::invalid_parameter(name)),
        }
    }

    fn address(&self, name: &str, method: &str) -> Result<Option<Address>, ApiError> {
        let Some(url) = self.get(name) else { return Ok(None) };
        check_url(name, url)?;
        Ok(Some(Address { url: url.to_owned(), method: self.method(method)? }))
    }
}

fn check_url(name: &str, url: &str) -> Result<(), ApiError> {
    let parsed = reqwest::Url::parse(url).map_err(|_| ApiError::invalid_url(name))?;
    let host = parsed.host_str().unwrap_or_default();
    // The carrier refuses callback hosts with an underscore.
    if !matches!(parsed.scheme(), "http" | "https") || host.is_empty() || host.contains('_') {
        return Err(ApiError::invalid_url(name));
    }
    Ok(())
}

/// Where to ask, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Address {
    pub(super) url: String,
    pub(super) method: Method,
}

/// Where a document comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Source {
    Url(Address),
    Inline(String),
}

/// Which status callbacks are wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct StatusCallback {
    pub(super) address: Address,
    pub(super) initiated: bool,
    pub(super) ringing: bool,
    pub(super) answered: bool,
    pub(super) completed: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct DetectionOrder {
    pub(super) until_message_end: bool,
    pub(super) timeout_ms: u64,
    /// The document does not wait for the verdict.
    pub(super) asynchronous: bool,
    pub(super) callback: Option<Address>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct RecordingOrder {
    pub(super) channels: u8,
    pub(super) callback: Option<Address>,
    pub(super) in_progress: bool,
    pub(super) completed: bool,
    pub(super) source: &'static str,
}

/// A create, checked.
pub(super) struct Create {
    pub(super) to: String,
    pub(super) from: String,
    pub(super) source: Source,
    pub(super) fallback: Option<Address>,
    pub(super) status: Option<StatusCallback>,
    pub(super) ring_timeout_ms: u64,
    pub(super) time_limit_ms: u64,
    pub(super) detection: Option<DetectionOrder>,
    pub(super) recording: Option<RecordingOrder>,
}

/// `+`, then 8 to 15 digits that do not begin with 0.
pub(super) fn is_e164(number: &str) -> bool {
    number.strip_prefix('+').is_some_and(|digits| {
        (8..=15).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0')
    })
}

pub(super) fn source(form: &Form) -> Result<Option<Source>, ApiError> {
    if let Some(address) = form.address("Url", "Method")? {
        return Ok(Some(Source::Url(address)));
    }
    match form.get("Twiml") {
        None => Ok(None),
        Some(xml) if xml.chars().count() > INLINE_CHARS_MAX => Err(ApiError::invalid_parameter("Twiml")),
        Some(xml) => Ok(Some(Source::Inline(xml.to_owned()))),
    }
}

/// `TimeLimit` of an update, in simulated milliseconds.
pub(super) fn time_limit(form: &Form) -> Result<Option<u64>, ApiError> {
    match form.get("TimeLimit") {
        None => Ok(None),
        Some(_) => form.seconds("TimeLimit", TIME_LIMIT_S, TIME_LIMIT_S_MAX).map(|s| Some(s * 1_000)),
    }
}

pub(super) fn fallback(form: &Form) -> Result<Option<Address>, ApiError> {
    form.address("FallbackUrl", "FallbackMethod")
}

fn status_callback(form: &Form) -> Result<Option<StatusCallback>, ApiError> {
    let Some(address) = form.address("StatusCallback", "StatusCallbackMethod")? else { return Ok(None) };
    // Several values may also stand in one, with spaces between them.
    let events: Vec<&str> = form.all("StatusCallbackEvent").flat_map(str::split_whitespace).collect();
    let wants = |event: &str| events.contains(&event);
    Ok(Some(StatusCallback {
        initiated: wants("initiated"),
        ringing: wants("ringing"),
        answered: wants("answered"),
        completed: wants("completed") || events.is_empty(),
        address,
    }))
}

fn detection(form: &Form) -> Result<Option<DetectionOrder>, ApiError> {
    let until_message_end = match form.get("MachineDetection") {
        Some("Enable") => false,
        Some("DetectMessageEnd") => true,
        _ => return Ok(None),
    };
    Ok(Some(DetectionOrder {
        until_message_end,
        timeout_ms: form.seconds("MachineDetectionTimeout", DETECTION_TIMEOUT_S, 59)? * 1_000,
        asynchronous: form.get("AsyncAmd").is_some_and(|text| text.eq_ignore_ascii_case("true")),
        callback: form.address("AsyncAmdStatusCallback", "AsyncAmdStatusCallbackMethod")?,
    }))
}

pub(super) fn recording(form: &Form, source: &'static str) -> Result<RecordingOrder, ApiError> {
    let events: Vec<&str> =
        form.all("RecordingStatusCallbackEvent").flat_map(str::split_whitespace).collect();
    Ok(RecordingOrder {
        channels: if form.get("RecordingChannels") == Some("dual") { 2 } else { 1 },
        callback: form.address("RecordingStatusCallback", "RecordingStatusCallbackMethod")?,
        in_progress: events.contains(&"in-progress"),
        completed: events.contains(&"completed") || events.is_empty(),
        source,
    })
}

impl Create {
    pub(super) fn read(form: &Form) -> Result<Self, ApiError> {
        let to = form.get("To").ok_or_else(ApiError::missing_to)?;
        let from = form.get("From").ok_or_else(ApiError::missing_from)?;
        if !is_e164(to) {
            return Err(ApiError::invalid_to());
        }
        if !is_e164(from) {
            return Err(ApiError::invalid_from());
        }
        let record = form.get("Record").is_some_and(|text| text.eq_ignore_ascii_case("true"));
        Ok(Self {
            to: to.to_owned(),
            from: from.to_owned(),
            source: source(form)?.ok_or_else(|| ApiError::invalid_url("Url"))?,
            fallback: fallback(form)?,
            status: status_callback(form)?,
            ring_timeout_ms: form.seconds("Timeout", RING_TIMEOUT_S, RING_TIMEOUT_S_MAX)? * 1_000,
            time_limit_ms: form.seconds("TimeLimit", TIME_LIMIT_S, TIME_LIMIT_S_MAX)? * 1_000,
            detection: detection(form)?,
            recording: if record { Some(recording(form, "OutboundAPI")?) } else { None },
        })
    }
}
