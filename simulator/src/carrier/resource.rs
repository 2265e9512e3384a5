//! The call as its REST resource shows it.

use crate::log::Verdict;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

/// `CallStatus` of the resource. `initiated` is no status of the resource: it only stands in callbacks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Status {
    Queued,
    Ringing,
    InProgress,
    Completed,
    Busy,
    NoAnswer,
    Failed,
    Canceled,
}

impl Status {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Ringing => "ringing",
            Self::InProgress => "in-progress",
            Self::Completed => "completed",
            Self::Busy => "busy",
            Self::NoAnswer => "no-answer",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    pub(super) fn ended(self) -> bool {
        !matches!(self, Self::Queued | Self::Ringing | Self::InProgress)
    }
}

pub(super) struct Resource {
    pub(super) sid: String,
    pub(super) to: String,
    pub(super) from: String,
    pub(super) status: Status,
    pub(super) created_ms: i64,
    pub(super) updated_ms: i64,
    /// When dialing began.
    pub(super) start_ms: Option<i64>,
    pub(super) end_ms: Option<i64>,
    pub(super) duration_s: Option<u64>,
    pub(super) answered_by: Option<Verdict>,
    pub(super) queue_ms: u64,
}

/// RFC 2822 in UTC, as the carrier writes dates.
pub(super) fn date(ms: i64) -> String {
    let at = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
    at.to_zoned(TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

impl Resource {
    pub(super) fn json(&self, account_sid: &str) -> Value {
        let uri = format!("/2010-04-01/Accounts/{account_sid}/Calls/{}", self.sid);
        json!({
            "sid": self.sid,
            "account_sid": account_sid,
            "parent_call_sid": null,
            "date_created": date(self.created_ms),
            "date_updated": date(self.updated_ms),
            "to": self.to,
            "to_formatted": self.to,
            "from": self.from,
            "from_formatted": self.from,
            "phone_number_sid": null,
            "status": self.status.as_str(),
            "start_time": self.start_ms.map(date),
            "end_time": self.end_ms.map(date),
            "duration": self.duration_s.map(|s| s.to_string()),
            "price": null,
            "price_unit": "USD",
            "direction": "outbound-api",
            "answered_by": self.answered_by.map(Verdict::as_str),
            "api_version": "2010-04-01",
            "forwarded_from": null,
            "group_sid": null,
            "caller_name": null,
            "queue_time": self.queue_ms.to_string(),
            "trunk_sid": null,
            "annotation": null,
            "uri": format!("{uri}.json"),
            "subresource_uris": {
                "notifications": format!("{uri}/Notifications.json"),
                "recordings": format!("{uri}/Recordings.json"),
                "streams": format!("{uri}/Streams.json"),
                "events": format!("{uri}/Events.json"),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn dates_are_rfc_2822_in_utc() {
        assert_eq!(super::date(1_788_208_588_000), "Mon, 31 Aug 2026 20:36:28 +0000");
        assert_eq!(super::date(i64::MAX), "Thu, 01 Jan 1970 00:00:00 +0000");
    }
}
