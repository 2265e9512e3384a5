//! The carrier's words for how far a call has come, in ours.

use tandem_domain::carrier::{AnsweredBy, Cause, End, Progress};
use tandem_domain::time::Millis;

/// Reads a call's status. A status that is not known is taken as `Queued`, the least that can be
/// said of a call that exists: new ones may appear and must not break anything.
pub(super) fn progress(status: &str, sip_code: Option<u16>) -> Progress {
    match status {
        "queued" => Progress::Queued,
        "initiated" => Progress::Initiated,
        "ringing" => Progress::Ringing,
        "in-progress" => Progress::Answered,
        "completed" => Progress::Ended(End::Completed),
        "busy" => Progress::Ended(End::Busy),
        "no-answer" => Progress::Ended(End::NoAnswer),
        "canceled" => Progress::Ended(End::Canceled),
        "failed" => Progress::Ended(failed(sip_code)),
        _ => {
            tracing::debug!("a call status that is not known");
            Progress::Queued
        }
    }
}

/// How a call ended that could not be completed as dialed, by its final SIP code (RFC 3261
/// section 21; 607 and 608: RFC 8197 and RFC 8688).
fn failed(sip_code: Option<u16>) -> End {
    match sip_code {
        Some(486 | 600) => End::Busy,
        Some(408 | 487) => End::NoAnswer,
        Some(404 | 410 | 484 | 604) => End::Failed(Cause::InvalidNumber),
        Some(480) => End::Failed(Cause::Unreachable),
        Some(603 | 607 | 608) => End::Failed(Cause::Blocked),
        Some(500..=599) => End::Failed(Cause::Carrier),
        _ => End::Failed(Cause::Unspecified),
    }
}

/// Reads a verdict of machine detection. Machines are told by their prefix, so that a new kind of
/// machine is still one; what is not known otherwise is `Unknown`.
pub(super) fn answered_by(verdict: &str) -> AnsweredBy {
    match verdict {
        "human" => AnsweredBy::Human,
        "fax" => AnsweredBy::Fax,
        "machine_end_beep" => AnsweredBy::MachineEndBeep,
        "machine_end_silence" => AnsweredBy::MachineEndSilence,
        other if other.starts_with("machine_end") => AnsweredBy::MachineEndOther,
        other if other.starts_with("machine") => AnsweredBy::MachineStart,
        _ => AnsweredBy::Unknown,
    }
}

/// Reads a date as the REST interface and most callbacks write it (RFC 2822).
pub(super) fn rfc2822(text: &str) -> Option<Millis> {
    jiff::fmt::rfc2822::parse(text.trim()).ok().map(|date| date.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses() {
        for (status, expected) in [
            ("queued", Progress::Queued),
            ("initiated", Progress::Initiated),
            ("ringing", Progress::Ringing),
            ("in-progress", Progress::Answered),
            ("completed", Progress::Ended(End::Completed)),
            ("busy", Progress::Ended(End::Busy)),
            ("no-answer", Progress::Ended(End::NoAnswer)),
            ("canceled", Progress::Ended(End::Canceled)),
            ("failed", Progress::Ended(End::Failed(Cause::Unspecified))),
            ("teleported", Progress::Queued),
            ("", Progress::Queued),
        ] {
            assert_eq!(progress(status, None), expected, "{status}");
        }
    }

    #[test]
    fn sip_codes_tell_why_a_call_failed() {
        for (codes, expected) in [
            (&[404, 410, 484, 604][..], End::Failed(Cause::InvalidNumber)),
            (&[480], End::Failed(Cause::Unreachable)),
            (&[603, 607, 608], End::Failed(Cause::Blocked)),
            (&[500, 502, 503, 504, 599], End::Failed(Cause::Carrier)),
            (&[486, 600], End::Busy),
            (&[408, 487], End::NoAnswer),
            (&[0, 200, 401, 403, 488, 606, 700], End::Failed(Cause::Unspecified)),
        ] {
            for code in codes {
                assert_eq!(progress("failed", Some(*code)), Progress::Ended(expected), "{code}");
            }
        }
        // The code says more only of what failed.
        assert_eq!(progress("completed", Some(404)), Progress::Ended(End::Completed));
    }

    #[test]
    fn verdicts() {
        for (verdict, expected) in [
            ("human", AnsweredBy::Human),
            ("machine_start", AnsweredBy::MachineStart),
            ("machine", AnsweredBy::MachineStart),
            ("machine_end_beep", AnsweredBy::MachineEndBeep),
            ("machine_end_silence", AnsweredBy::MachineEndSilence),
            ("machine_end_other", AnsweredBy::MachineEndOther),
            ("machine_end_song", AnsweredBy::MachineEndOther),
            ("fax", AnsweredBy::Fax),
            ("unknown", AnsweredBy::Unknown),
            ("parrot", AnsweredBy::Unknown),
        ] {
            assert_eq!(answered_by(verdict), expected, "{verdict}");
        }
    }

    #[test]
    fn dates() {
        assert_eq!(rfc2822("Thu, 01 Jan 1970 00:00:01 +0000"), Some(1_000));
        assert_eq!(rfc2822("Mon, 31 Aug 2026 20:36:28 +0000"), Some(1_788_208_588_000));
        for bad in ["", "yesterday", "2026-08-31T20:36:28Z", "Mon, 99 Aug 2026 20:36:28 +0000"] {
            assert_eq!(rfc2822(bad), None, "{bad}");
        }
    }
}
