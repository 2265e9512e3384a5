//! Points and lengths of time, as people give and read them.

use crate::config::read::Span;
use jiff::{SignedDuration, Timestamp};
use prost_types::{Duration, Timestamp as Point};

/// A point of time on a command line: absolute, or so long from now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Given {
    At(Timestamp),
    /// A length of time; before or after now, as the option says.
    Span(Span),
}

/// Reads `2026-03-02T09:00:00Z`, `2026-03-02` (its beginning in UTC) or a length of time such as `2h`.
///
/// # Errors
/// What is expected.
pub fn parse(text: &str) -> Result<Given, String> {
    let text = text.trim();
    if let Ok(at) = text.parse() {
        return Ok(Given::At(at));
    }
    if let Ok(at) = format!("{text}T00:00:00Z").parse() {
        return Ok(Given::At(at));
    }
    let span = text.strip_prefix(['+', '-']).unwrap_or(text);
    span.parse().map(Given::Span).map_err(|_| {
        "expected a time such as 2026-03-02T09:00:00Z, a date, or a length of time such as 30m, 2h or 1d"
            .to_owned()
    })
}

impl Given {
    fn span(self, now: Timestamp, sign: i64) -> Option<Point> {
        let at = match self {
            Given::At(at) => at,
            Given::Span(span) => now.checked_add(SignedDuration::from_millis(sign * span.as_ms())).ok()?,
        };
        Some(Point { seconds: at.as_second(), nanos: at.subsec_nanosecond() })
    }

    /// A length of time is reckoned back from now.
    pub fn ago(self, now: Timestamp) -> Option<Point> {
        self.span(now, -1)
    }

    /// A length of time is reckoned from now on.
    pub fn ahead(self, now: Timestamp) -> Option<Point> {
        self.span(now, 1)
    }
}

/// A length of time as messages hold it.
pub fn duration(span: Span) -> Duration {
    let ms = span.as_ms();
    Duration { seconds: ms / 1_000, nanos: i32::try_from(ms % 1_000).unwrap_or(0) * 1_000_000 }
}

/// A point of time for people, in UTC to the second; empty where there is none.
pub fn shown(at: Option<&Point>) -> String {
    at.and_then(|at| Timestamp::new(at.seconds, 0).ok()).map(|at| at.to_string()).unwrap_or_default()
}

/// The same with milliseconds, for events.
pub fn shown_precisely(at: Option<&Point>) -> String {
    at.and_then(|at| Timestamp::new(at.seconds, at.nanos.clamp(0, 999_999_999)).ok())
        .map(|at| format!("{at:.3}"))
        .unwrap_or_default()
}

/// A length of time for people; empty where there is none.
pub fn shown_span(span: Option<&Duration>) -> String {
    span.map(|span| Span::from_secs(u64::try_from(span.seconds).unwrap_or(0)).to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        let now: Timestamp = "2026-03-02T12:00:00Z".parse().unwrap();
        let ago = |text: &str| shown(parse(text).unwrap().ago(now).as_ref());
        assert_eq!(ago("2026-03-01T09:30:00+01:00"), "2026-03-01T08:30:00Z");
        assert_eq!(ago("2026-03-01"), "2026-03-01T00:00:00Z");
        assert_eq!(ago("2h"), "2026-03-02T10:00:00Z");
        assert_eq!(shown(parse("+30m").unwrap().ahead(now).as_ref()), "2026-03-02T12:30:00Z");
        for text in ["", "now", "2026-13-01", "2", "yesterday", "106751991168d"] {
            let given = parse(text);
            assert!(given.is_err() || given.unwrap().ago(now).is_none(), "{text}");
        }
    }

    #[test]
    fn times_are_shown() {
        assert_eq!(shown(None), "");
        let at = Point { seconds: 1, nanos: 250_000_000 };
        assert_eq!(shown(Some(&at)), "1970-01-01T00:00:01Z");
        assert_eq!(shown_precisely(Some(&at)), "1970-01-01T00:00:01.250Z");
        assert_eq!(shown(Some(&Point { seconds: i64::MAX, nanos: -1 })), "");
        assert_eq!(shown_span(Some(&duration(Span::from_secs(90)))), "1m30s");
        assert_eq!(shown_span(Some(&Duration { seconds: -5, nanos: 0 })), "0s");
    }
}
