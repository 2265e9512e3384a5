//! Words for people.

use jiff::Timestamp;
use tandem_domain::time::{DAY, HOUR, MINUTE, Millis, SECOND};
use tandem_proto::v1;
use tonic::Status;
use tonic_types::StatusExt as _;

/// A point of time, to the second.
pub(super) fn time(ms: Millis) -> String {
    Timestamp::from_millisecond(ms)
        .map_or_else(|_| ms.to_string(), |at| at.strftime("%a %-d %b %Y %H:%M:%S UTC").to_string())
}

/// A stretch of time in its two largest units.
pub(super) fn span(ms: Millis) -> String {
    let units = [(DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s")];
    let mut left = ms.max(0);
    let mut parts = Vec::new();
    for (unit, name) in units {
        if left >= unit {
            parts.push(format!("{} {name}", left / unit));
            left %= unit;
        }
    }
    parts.truncate(2);
    if parts.is_empty() { "0 s".to_owned() } else { parts.join(" ") }
}

/// The word of a closed set: `DISPOSITION_NO_ANSWER` is `no_answer`.
pub(super) fn word(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_ascii_lowercase()
}

/// A description within a sentence.
pub(super) fn lowered(description: &str) -> String {
    let mut chars = description.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// What a server answered instead.
pub(super) fn status(status: &Status) -> String {
    let reason = status.get_details_error_info().map(|info| format!(" [{}]", info.reason));
    let message = if status.message().is_empty() { status.code().description() } else { status.message() };
    format!("{message}{}", reason.unwrap_or_default())
}

/// The first bad lines of an import, at most `max`, and how many more there are.
pub(super) fn issues(imported: &v1::ImportContactsResponse, max: usize) -> Vec<String> {
    let shown = imported.issues.iter().take(max);
    let mut lines: Vec<String> =
        shown.map(|issue| format!("line {}: {}", issue.line, lowered(&issue.description))).collect();
    let more = imported.invalid.saturating_sub(lines.len() as u64);
    if more > 0 && !lines.is_empty() {
        lines.push(format!("and {more} more"));
    }
    if let Some(stopped) = &imported.stopped {
        lines.push(format!("stopped at line {}: {}", stopped.line, lowered(&stopped.description)));
    }
    lines
}

/// The same in few words: which lines.
pub(super) fn bad_lines(imported: &v1::ImportContactsResponse, max: usize) -> String {
    let shown: Vec<String> = imported.issues.iter().take(max).map(|issue| issue.line.to_string()).collect();
    if shown.is_empty() {
        return String::new();
    }
    let more = match imported.invalid.saturating_sub(shown.len() as u64) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    format!("lines {}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_spans_are_told_in_words() {
        assert_eq!(time(1_772_548_200_000), "Tue 3 Mar 2026 14:30:00 UTC");
        assert_eq!(span(0), "0 s");
        assert_eq!(span(999), "0 s");
        assert_eq!(span(61_000), "1 min 1 s");
        assert_eq!(span(3 * DAY + 2 * HOUR + MINUTE), "3 d 2 h");
        assert_eq!(word("DISPOSITION_NO_ANSWER", "DISPOSITION_"), "no_answer");
        assert_eq!(lowered("Outside of hours"), "outside of hours");
    }

    #[test]
    fn bad_lines_are_cut_short_and_counted() {
        let issue = |line| v1::ImportIssue { line, description: "Too short".into(), ..Default::default() };
        let imported = v1::ImportContactsResponse {
            invalid: 23,
            issues: (2..25).map(issue).collect(),
            ..Default::default()
        };
        assert_eq!(issues(&imported, 2), ["line 2: too short", "line 3: too short", "and 21 more"]);
        assert_eq!(bad_lines(&imported, 2), "lines 2, 3, and 21 more");
        let none = v1::ImportContactsResponse::default();
        assert!(issues(&none, 3).is_empty() && bad_lines(&none, 3).is_empty());
    }
}
