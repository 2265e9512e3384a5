//! Call resources and errors as JSON, read leniently: numbers come as strings, anything may be
//! null, and what is not known is ignored.

use super::progress::{answered_by, progress, rfc2822};
use super::sid::is_call_sid;
use crate::carrier::Found;
use serde::Deserialize;
use serde_json::Value;
use tandem_domain::carrier::{Progress, Report};
use tandem_domain::time::Millis;

#[derive(Deserialize)]
pub(super) struct Call {
    #[serde(default)]
    sid: Value,
    #[serde(default)]
    status: Value,
    #[serde(default)]
    to: Value,
    #[serde(default)]
    from: Value,
    #[serde(default)]
    date_created: Value,
    #[serde(default)]
    start_time: Value,
    #[serde(default)]
    end_time: Value,
    #[serde(default)]
    duration: Value,
    #[serde(default)]
    answered_by: Value,
}

/// One page of a list of calls.
#[derive(Deserialize)]
pub(super) struct Page {
    pub calls: Vec<Call>,
    #[serde(default)]
    pub next_page_uri: Value,
}

/// The body of an answer that is no success.
#[derive(Deserialize)]
struct ErrorBody {
    #[serde(default)]
    code: Value,
}

/// The carrier's own code in the body of an error; `None` where the body is not the carrier's.
pub(super) fn error_code(body: &[u8]) -> Option<u32> {
    let body: ErrorBody = serde_json::from_slice(body).ok()?;
    number(&body.code).and_then(|code| u32::try_from(code).ok()).filter(|code| *code > 0)
}

impl Call {
    pub fn read(body: &[u8]) -> Option<Call> {
        serde_json::from_slice(body).ok()
    }

    /// The call's id, if it has the shape of one.
    pub fn sid(&self) -> Option<&str> {
        self.sid.as_str().filter(|sid| is_call_sid(sid))
    }

    pub fn is_between(&self, to: &str, from: &str) -> bool {
        self.to.as_str() == Some(to) && self.from.as_str() == Some(from)
    }

    pub fn created_at(&self) -> Option<Millis> {
        date(&self.date_created)
    }

    /// `None` without an id or a status.
    pub fn report(&self) -> Option<Report> {
        let progress = progress(self.status.as_str()?, None);
        let at = match progress {
            Progress::Ended(_) => &self.end_time,
            Progress::Answered => &self.start_time,
            Progress::Queued | Progress::Initiated | Progress::Ringing => &Value::Null,
        };
        Some(Report {
            sid: self.sid()?.to_owned(),
            progress,
            sequence: None,
            at: date(at),
            answered_by: self.answered_by.as_str().filter(|verdict| !verdict.is_empty()).map(answered_by),
            sip_code: None,
            duration_s: number(&self.duration).and_then(|seconds| u32::try_from(seconds).ok()),
        })
    }

    /// `None` where the call cannot be named.
    pub fn found(&self) -> Option<Found> {
        Some(Found {
            sid: self.sid()?.to_owned(),
            to: self.to.as_str()?.to_owned(),
            from: self.from.as_str()?.to_owned(),
            report: self.report()?,
            created_at: self.created_at(),
        })
    }
}

fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn date(value: &Value) -> Option<Millis> {
    value.as_str().and_then(rfc2822)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_domain::carrier::{AnsweredBy, End};

    const SID: &str = "CA0123456789abcdef0123456789abcdef";

    fn read(json: serde_json::Value) -> Option<Report> {
        Call::read(json.to_string().as_bytes()).and_then(|call| call.report())
    }

    #[test]
    fn a_new_call() {
        let report = read(serde_json::json!({
            "sid": SID, "status": "queued", "duration": null, "price": null, "queue_time": "0",
            "answered_by": null, "start_time": null, "end_time": null, "subresource_uris": {"x": [1]},
        }));
        let report = report.unwrap();
        assert_eq!((report.sid.as_str(), report.progress, report.duration_s), (SID, Progress::Queued, None));
    }

    #[test]
    fn an_ended_call() {
        let report = read(serde_json::json!({
            "sid": SID, "status": "completed", "duration": "63", "answered_by": "machine_start",
            "start_time": "Mon, 31 Aug 2026 20:35:25 +0000", "end_time": "Mon, 31 Aug 2026 20:36:28 +0000",
        }))
        .unwrap();
        assert_eq!(report.progress, Progress::Ended(End::Completed));
        assert_eq!((report.duration_s, report.at), (Some(63), Some(1_788_208_588_000)));
        assert_eq!(report.answered_by, Some(AnsweredBy::MachineStart));
        let running =
            read(serde_json::json!({"sid": SID, "status": "busy", "duration": "", "answered_by": ""}));
        let running = running.unwrap();
        assert_eq!((running.duration_s, running.answered_by), (None, None));
        let number = read(serde_json::json!({"sid": SID, "status": "completed", "duration": 63})).unwrap();
        assert_eq!(number.duration_s, Some(63));
    }

    #[test]
    fn what_is_no_call() {
        for json in [
            serde_json::json!({}),
            serde_json::json!({"sid": "CA1", "status": "queued"}),
            serde_json::json!({"sid": 7, "status": "queued"}),
            serde_json::json!({"sid": SID}),
            serde_json::json!([]),
        ] {
            assert_eq!(read(json.clone()), None, "{json}");
        }
        assert!(Call::read(b"<html>").is_none());
    }

    #[test]
    fn error_codes() {
        assert_eq!(error_code(br#"{"code":21211,"message":"m","more_info":"u","status":400}"#), Some(21_211));
        assert_eq!(error_code(br#"{"code":"20429"}"#), Some(20_429));
        for body in [
            "",
            "{}",
            r#"{"code":null}"#,
            r#"{"code":-1}"#,
            r#"{"code":0}"#,
            "<html>",
            r#"{"code":99999999999}"#,
        ] {
            assert_eq!(error_code(body.as_bytes()), None, "{body}");
        }
    }
}
