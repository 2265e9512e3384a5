//! What the carrier reports by calling our URLs: forms, one module for each kind.
//!
//! All parsers take the decoded pairs of the form, in any order, ignore what they do not know, and
//! check the request's signature nowhere: that comes first, see [`super::signature`].

pub mod amd;
pub mod document;
pub mod recording;
pub mod status;
pub mod stream;

use super::sid::is_sid;
use std::borrow::Cow;

/// Most pairs a callback may have.
pub const PAIRS_MAX: usize = 200;
/// Longest value that is read, in bytes.
pub const VALUE_BYTES_MAX: usize = 4_096;

/// Why a callback cannot be read. Shows nothing of its values.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CallbackError {
    #[error("the callback lacks `{0}`")]
    Missing(&'static str),
    #[error("the callback's `{0}` is unreadable")]
    Invalid(&'static str),
    #[error("the callback is too large")]
    TooLarge,
}

/// Decodes the body of a callback (`application/x-www-form-urlencoded`).
pub fn decode(body: &[u8]) -> Result<Vec<(String, String)>, CallbackError> {
    let pairs: Vec<(String, String)> = form_urlencoded::parse(body)
        .take(PAIRS_MAX + 1)
        .map(|(n, v)| (Cow::into_owned(n), Cow::into_owned(v)))
        .collect();
    if pairs.len() > PAIRS_MAX { Err(CallbackError::TooLarge) } else { Ok(pairs) }
}

/// The pairs of a callback.
#[derive(Clone, Copy)]
struct Form<'a>(&'a [(String, String)]);

impl<'a> Form<'a> {
    fn new(pairs: &'a [(String, String)]) -> Result<Self, CallbackError> {
        if pairs.len() > PAIRS_MAX { Err(CallbackError::TooLarge) } else { Ok(Form(pairs)) }
    }

    /// A value that is there and not empty.
    fn optional(self, name: &'static str) -> Result<Option<&'a str>, CallbackError> {
        match self.0.iter().find(|(known, _)| known == name) {
            Some((_, value)) if value.len() > VALUE_BYTES_MAX => Err(CallbackError::Invalid(name)),
            Some((_, value)) => Ok(Some(value.as_str()).filter(|value| !value.is_empty())),
            None => Ok(None),
        }
    }

    fn required(self, name: &'static str) -> Result<&'a str, CallbackError> {
        self.optional(name)?.ok_or(CallbackError::Missing(name))
    }

    fn sid(self, name: &'static str, kind: &str) -> Result<&'a str, CallbackError> {
        let sid = self.required(name)?;
        if is_sid(sid, kind) { Ok(sid) } else { Err(CallbackError::Invalid(name)) }
    }

    /// A number, where it is there and is one: a detail that cannot be read must not cost the rest.
    fn number<T: std::str::FromStr>(self, name: &'static str) -> Option<T> {
        self.optional(name).ok().flatten().and_then(|text| text.trim().parse().ok())
    }
}

#[cfg(test)]
fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect()
}

#[cfg(test)]
const CALL: &str = "CA0123456789abcdef0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_decoded_and_bounded() {
        assert_eq!(
            decode(b"To=%2B1500&A=b+c&A=").unwrap(),
            pairs(&[("To", "+1500"), ("A", "b c"), ("A", "")])
        );
        assert_eq!(decode(&b"a=b&".repeat(PAIRS_MAX)).unwrap().len(), PAIRS_MAX);
        assert_eq!(decode(&b"a=b&".repeat(PAIRS_MAX + 1)), Err(CallbackError::TooLarge));
        assert_eq!(decode(b"\xff%ff%zz&&=&").unwrap().len(), 2);
    }

    #[test]
    fn values_are_bounded() {
        let long = "x".repeat(VALUE_BYTES_MAX + 1);
        let form = pairs(&[("CallSid", &long), ("Empty", "")]);
        let form = Form::new(&form).unwrap();
        assert_eq!(form.required("CallSid"), Err(CallbackError::Invalid("CallSid")));
        assert_eq!(form.required("Empty"), Err(CallbackError::Missing("Empty")));
    }

    proptest::proptest! {
        #[test]
        fn garbage_never_panics(body in proptest::collection::vec(proptest::num::u8::ANY, 0..300), value in ".{0,40}") {
            let names = ["CallSid", "CallStatus", "SequenceNumber", "Timestamp", "AnsweredBy", "StreamEvent",
                "RecordingStatus", "RecordingSid", "StreamSid", "From", "To"];
            let mut form = decode(&body).unwrap_or_default();
            form.extend(names.map(|name| (name.to_owned(), value.clone())));
            form.push(("CallSid".to_owned(), CALL.to_owned()));
            let _ = (status::parse(&form), amd::parse(&form), recording::parse(&form));
            let _ = (stream::parse(&form), document::parse(&form));
            form.reverse();
            let _ = (status::parse(&form), amd::parse(&form), recording::parse(&form));
            let _ = (stream::parse(&form), document::parse(&form));
        }
    }
}
