//! The carrier asks what a call is to do: a call of ours has been answered, someone calls us, or
//! an earlier document has come to its end.

use super::{CallbackError, Form, status};
use crate::masked;
use std::fmt;
use tandem_domain::carrier::Report;

#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// The call as it is now; settles a dial whose answer was lost.
    pub report: Report,
    /// E.164 in most cases; may be a SIP address, a client, or a word such as `anonymous`.
    pub from: String,
    pub to: String,
    /// Someone calls us.
    pub is_inbound: bool,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("report", &self.report)
            .field("from", &masked(&self.from))
            .field("to", &masked(&self.to))
            .field("is_inbound", &self.is_inbound)
            .finish()
    }
}

/// Reads a document request.
pub fn parse(pairs: &[(String, String)]) -> Result<Request, CallbackError> {
    let form = Form::new(pairs)?;
    Ok(Request {
        report: status::parse(pairs)?,
        from: form.required("From")?.to_owned(),
        to: form.required("To")?.to_owned(),
        is_inbound: form.optional("Direction")? == Some("inbound"),
    })
}

#[cfg(test)]
mod tests {
    use super::super::{CALL, pairs};
    use super::*;
    use tandem_domain::carrier::Progress;

    #[test]
    fn requests_are_read() {
        let mut form = pairs(&[
            ("CallSid", CALL),
            ("CallStatus", "in-progress"),
            ("From", "+15005550006"),
            ("To", "+15005550010"),
            ("Direction", "outbound-api"),
        ]);
        let request = parse(&form).unwrap();
        assert_eq!((request.report.progress, request.is_inbound), (Progress::Answered, false));
        assert!(!format!("{request:?}").contains("500555"), "{request:?}");
        form[4].1 = "inbound".into();
        assert!(parse(&form).unwrap().is_inbound);
        form.remove(3);
        assert_eq!(parse(&form), Err(CallbackError::Missing("To")));
    }
}
