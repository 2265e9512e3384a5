//! Life of a media stream (a `<Stream>`'s `statusCallback`).

use super::{CallbackError, Form};
use tandem_domain::time::Millis;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stream {
    pub call_sid: String,
    /// `MZ` and 32 hexadecimal digits.
    pub stream_sid: String,
    pub name: Option<String>,
    pub event: Event,
    pub at: Option<Millis>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    Started,
    Stopped,
    /// The carrier could not open or keep the socket; its own words.
    Failed(String),
}

/// Longest words of the carrier that are kept, in characters.
const ERROR_CHARS_MAX: usize = 200;

/// Reads a stream callback.
pub fn parse(form: &[(String, String)]) -> Result<Stream, CallbackError> {
    let form = Form::new(form)?;
    let event = match form.required("StreamEvent")? {
        "stream-started" => Event::Started,
        "stream-stopped" => Event::Stopped,
        "stream-error" => {
            let words = form.optional("StreamError")?.unwrap_or("unspecified");
            Event::Failed(words.chars().take(ERROR_CHARS_MAX).collect())
        }
        _ => return Err(CallbackError::Invalid("StreamEvent")),
    };
    Ok(Stream {
        call_sid: form.sid("CallSid", "CA")?.to_owned(),
        stream_sid: form.sid("StreamSid", "MZ")?.to_owned(),
        name: form.optional("StreamName")?.map(str::to_owned),
        event,
        // ISO 8601 here, unlike in other callbacks.
        at: form
            .optional("Timestamp")?
            .and_then(|text| text.parse::<jiff::Timestamp>().ok())
            .map(jiff::Timestamp::as_millisecond),
    })
}

#[cfg(test)]
mod tests {
    use super::super::{CALL, pairs};
    use super::*;

    #[test]
    fn streams_are_read() {
        let sid = "MZ0123456789abcdef0123456789abcdef";
        let mut form = pairs(&[
            ("CallSid", CALL),
            ("StreamSid", sid),
            ("StreamEvent", "stream-started"),
            ("StreamName", "c1"),
            ("Timestamp", "1970-01-01T00:00:01.500Z"),
        ]);
        let started = parse(&form).unwrap();
        assert_eq!(
            (started.event, started.at, started.name),
            (Event::Started, Some(1_500), Some("c1".into()))
        );
        form[2].1 = "stream-stopped".into();
        assert_eq!(parse(&form).unwrap().event, Event::Stopped);
        form[2].1 = "stream-error".into();
        form.extend(pairs(&[("StreamError", &"é".repeat(1_000))]));
        assert_eq!(parse(&form).unwrap().event, Event::Failed("é".repeat(ERROR_CHARS_MAX)));
        form[2].1 = "stream-sang".into();
        assert_eq!(parse(&form), Err(CallbackError::Invalid("StreamEvent")));
    }
}
