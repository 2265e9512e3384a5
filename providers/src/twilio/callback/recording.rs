//! State of a recording (`RecordingStatusCallback`).

use super::{CallbackError, Form};
use tandem_domain::carrier::{RecordingReport, RecordingStatus};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recording {
    /// The call's first leg.
    pub call_sid: String,
    pub report: RecordingReport,
}

/// Reads a recording callback.
pub fn parse(form: &[(String, String)]) -> Result<Recording, CallbackError> {
    let form = Form::new(form)?;
    let status = match form.required("RecordingStatus")? {
        "in-progress" => RecordingStatus::InProgress,
        "completed" => RecordingStatus::Completed,
        "absent" => RecordingStatus::Absent,
        _ => return Err(CallbackError::Invalid("RecordingStatus")),
    };
    Ok(Recording {
        call_sid: form.sid("CallSid", "CA")?.to_owned(),
        report: RecordingReport {
            sid: form.sid("RecordingSid", "RE")?.to_owned(),
            status,
            duration_s: form.number("RecordingDuration"),
            channels: form.number("RecordingChannels"),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::{CALL, pairs};
    use super::*;

    #[test]
    fn recordings_are_read() {
        let sid = "RE0123456789abcdef0123456789abcdef";
        let mut form = pairs(&[
            ("CallSid", CALL),
            ("RecordingSid", sid),
            ("RecordingStatus", "completed"),
            ("RecordingDuration", "61"),
            ("RecordingChannels", "2"),
        ]);
        let report = RecordingReport {
            sid: sid.into(),
            status: RecordingStatus::Completed,
            duration_s: Some(61),
            channels: Some(2),
        };
        assert_eq!(parse(&form), Ok(Recording { call_sid: CALL.into(), report }));
        for (status, expected) in
            [("in-progress", RecordingStatus::InProgress), ("absent", RecordingStatus::Absent)]
        {
            form[2].1 = status.into();
            assert_eq!(parse(&form).unwrap().report.status, expected);
        }
        form[2].1 = "lost".into();
        assert_eq!(parse(&form), Err(CallbackError::Invalid("RecordingStatus")));
        form[2].1 = "completed".into();
        form[1].1 = "RE1".into();
        assert_eq!(parse(&form), Err(CallbackError::Invalid("RecordingSid")));
    }
}
