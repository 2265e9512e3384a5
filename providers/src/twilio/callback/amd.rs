//! Verdict of asynchronous machine detection (`AsyncAmdStatusCallback`).

use super::{CallbackError, Form};
use crate::twilio::progress::answered_by;
use tandem_domain::carrier::AnsweredBy;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    pub call_sid: String,
    pub answered_by: AnsweredBy,
    /// How long it took, in milliseconds.
    pub took_ms: Option<u32>,
}

/// Reads a verdict. One that is not known is a machine if it says so and `Unknown` otherwise.
pub fn parse(form: &[(String, String)]) -> Result<Verdict, CallbackError> {
    let form = Form::new(form)?;
    Ok(Verdict {
        call_sid: form.sid("CallSid", "CA")?.to_owned(),
        answered_by: answered_by(form.required("AnsweredBy")?),
        took_ms: form.number("MachineDetectionDuration"),
    })
}

#[cfg(test)]
mod tests {
    use super::super::{CALL, pairs};
    use super::*;

    #[test]
    fn verdicts_are_read() {
        let form = pairs(&[
            ("CallSid", CALL),
            ("AnsweredBy", "machine_end_beep"),
            ("MachineDetectionDuration", "4200"),
        ]);
        let expected =
            Verdict { call_sid: CALL.into(), answered_by: AnsweredBy::MachineEndBeep, took_ms: Some(4_200) };
        assert_eq!(parse(&form), Ok(expected));
        assert_eq!(parse(&pairs(&[("CallSid", CALL)])), Err(CallbackError::Missing("AnsweredBy")));
        assert_eq!(parse(&pairs(&[("AnsweredBy", "human")])), Err(CallbackError::Missing("CallSid")));
    }
}
