//! Progress of a call (`StatusCallback`).
//!
//! Delivered in no certain order and perhaps twice: the receiver orders by `sequence` and ignores
//! what an end has overtaken. The answer's body is not looked at.

use super::{CallbackError, Form};
use crate::twilio::progress::{answered_by, progress, rfc2822};
use tandem_domain::carrier::Report;

/// Reads a status callback. A `CallStatus` that is not known is taken for the least that can be
/// said, that the call exists.
pub fn parse(form: &[(String, String)]) -> Result<Report, CallbackError> {
    let form = Form::new(form)?;
    let sip_code = form.number("SipResponseCode");
    Ok(Report {
        sid: form.sid("CallSid", "CA")?.to_owned(),
        progress: progress(form.required("CallStatus")?, sip_code),
        sequence: form.number("SequenceNumber"),
        at: form.optional("Timestamp")?.and_then(rfc2822),
        answered_by: form.optional("AnsweredBy")?.map(answered_by),
        sip_code,
        duration_s: form.number("CallDuration"),
    })
}

#[cfg(test)]
mod tests {
    use super::super::{CALL, pairs};
    use super::*;
    use tandem_domain::carrier::{AnsweredBy, Cause, End, Progress};

    #[test]
    fn progress_is_read() {
        let form = pairs(&[
            ("CallSid", CALL),
            ("AccountSid", "AC1"),
            ("From", "+15005550006"),
            ("To", "+15005550010"),
            ("CallStatus", "ringing"),
            ("CallbackSource", "call-progress-events"),
            ("SequenceNumber", "1"),
            ("Timestamp", "Mon, 31 Aug 2026 20:36:28 +0000"),
        ]);
        let report = parse(&form).unwrap();
        assert_eq!(
            (report.sid.as_str(), report.progress, report.sequence),
            (CALL, Progress::Ringing, Some(1))
        );
        assert_eq!(report.at, Some(1_788_208_588_000));
        assert_eq!((report.sip_code, report.duration_s, report.answered_by), (None, None, None));
    }

    #[test]
    fn ends_are_read() {
        let form = pairs(&[
            ("CallSid", CALL),
            ("CallStatus", "completed"),
            ("SequenceNumber", "3"),
            ("CallDuration", "63"),
            ("Duration", "2"),
            ("SipResponseCode", "200"),
            ("AnsweredBy", "machine_end_beep"),
        ]);
        let report = parse(&form).unwrap();
        assert_eq!(report.progress, Progress::Ended(End::Completed));
        assert_eq!((report.duration_s, report.sip_code), (Some(63), Some(200)));
        assert_eq!(report.answered_by, Some(AnsweredBy::MachineEndBeep));
        let form = pairs(&[("CallSid", CALL), ("CallStatus", "failed"), ("SipResponseCode", "404")]);
        assert_eq!(parse(&form).unwrap().progress, Progress::Ended(End::Failed(Cause::InvalidNumber)));
    }

    #[test]
    fn details_that_are_garbage_cost_nothing_else() {
        let form = pairs(&[
            ("CallSid", CALL),
            ("CallStatus", "busy"),
            ("SequenceNumber", "x"),
            ("Timestamp", "x"),
            ("CallDuration", "-1"),
            ("SipResponseCode", "99999"),
        ]);
        let report = parse(&form).unwrap();
        assert_eq!(report.progress, Progress::Ended(End::Busy));
        assert_eq!(
            (report.sequence, report.at, report.duration_s, report.sip_code),
            (None, None, None, None)
        );
    }

    #[test]
    fn what_names_no_call_is_refused() {
        assert_eq!(parse(&pairs(&[("CallStatus", "busy")])), Err(CallbackError::Missing("CallSid")));
        assert_eq!(parse(&pairs(&[("CallSid", CALL)])), Err(CallbackError::Missing("CallStatus")));
        let form = pairs(&[("CallSid", "CA1"), ("CallStatus", "busy")]);
        assert_eq!(parse(&form), Err(CallbackError::Invalid("CallSid")));
    }
}
