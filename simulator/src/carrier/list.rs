//! The list of calls: filters and pages.

use super::error::ApiError;
use super::order::Form;
use super::resource::Resource;
use super::{Call, Carrier};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::sync::Arc;

const PAGE_SIZE: usize = 50;
const PAGE_SIZE_MAX: usize = 1_000;

/// Bounds of a date, both inclusive, in milliseconds.
struct Range {
    from: i64,
    to: i64,
}

impl Range {
    fn holds(&self, at: Option<i64>) -> bool {
        match at {
            Some(at) => (self.from..=self.to).contains(&at),
            // A call that waits in the queue has no start yet, a live one no end: only an open range holds it.
            None => self.from == i64::MIN && self.to == i64::MAX,
        }
    }
}

/// A date filter: `Name` (that day, or that second), `Name>` (from then on), `Name<` (until then).
fn range(form: &Form, name: &str) -> Result<Range, ApiError> {
    let mut range = Range { from: i64::MIN, to: i64::MAX };
    if let Some(text) = form.get(name) {
        (range.from, range.to) = instant(name, text)?;
    }
    // `StartTime>=…` arrives as the name `StartTime>`.
    if let Some(text) = form.get(&format!("{name}>")) {
        range.from = range.from.max(instant(name, text)?.0);
    }
    if let Some(text) = form.get(&format!("{name}<")) {
        range.to = range.to.min(instant(name, text)?.0);
    }
    Ok(range)
}

fn instant(name: &str, text: &str) -> Result<(i64, i64), ApiError> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        let ms = at.as_millisecond();
        return Ok((ms, ms + 999));
    }
    let day = text.parse::<Date>().map_err(|_| ApiError::invalid_parameter(name))?;
    let start = day.to_zoned(TimeZone::UTC).map_err(|_| ApiError::invalid_parameter(name))?;
    let ms = start.timestamp().as_millisecond();
    Ok((ms, ms + 86_400_000 - 1))
}

/// Answers `GET …/Calls.json`: newest first.
pub(super) fn calls(carrier: &Carrier, form: &Form, query: &str) -> Result<Value, ApiError> {
    let number = |name: &str, default: usize| match form.get(name) {
        None => Ok(default),
        Some(text) => text.parse::<usize>().map_err(|_| ApiError::invalid_parameter(name)),
    };
    let size = number("PageSize", PAGE_SIZE)?.clamp(1, PAGE_SIZE_MAX);
    let page = number("Page", 0)?;
    let (started, ended) = (range(form, "StartTime")?, range(form, "EndTime")?);
    let lag_ms = carrier.chooser().scenario.network.list_lag_ms;
    // The lag is simulated time, the stamp of a call is not.
    let lag_ms = carrier.pace.real(lag_ms).as_millis() as i64;
    let newest_ms = carrier.pace.now_ms() - lag_ms;
    // A page token is the number of the newest call of the first page, so that later calls do not shift the pages.
    let before = match form.get("PageToken") {
        None => u64::MAX,
        Some(token) => token
            .strip_prefix("PA")
            .and_then(|n| n.parse().ok())
            .ok_or_else(|| ApiError::invalid_parameter("PageToken"))?,
    };
    let matches = |resource: &Resource| {
        resource.created_ms <= newest_ms
            && form.get("To").is_none_or(|to| resource.to == to)
            && form.get("From").is_none_or(|from| resource.from == from)
            && form.get("Status").is_none_or(|status| resource.status.as_str() == status)
            && form.get("ParentCallSid").is_none()
            && started.holds(resource.start_ms)
            && ended.holds(resource.end_ms)
    };

    let mut found: Vec<Arc<Call>> = {
        let book = carrier.book.lock();
        match form.get("To") {
            Some(to) => book.by_number.get(to).map_or_else(Vec::new, Clone::clone),
            None => book.calls.values().cloned().collect(),
        }
    };
    found.retain(|call| call.n <= before && matches(&call.resource.lock()));
    found.sort_unstable_by_key(|call| std::cmp::Reverse(call.n));
    let first = found.first().map_or(0, |call| call.n);
    let start = page.saturating_mul(size);
    let more = found.len() > start.saturating_add(size);
    let calls: Vec<Value> = found
        .iter()
        .skip(start)
        .take(size)
        .map(|call| call.resource.lock().json(&carrier.account.sid))
        .collect();

    let path = format!("/2010-04-01/Accounts/{}/Calls.json", carrier.account.sid);
    let kept: Vec<(String, String)> = form
        .0
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "Page" | "PageToken" | "PageSize"))
        .cloned()
        .collect();
    let uri = |page: usize| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&kept);
        query.append_pair("PageSize", &size.to_string()).append_pair("Page", &page.to_string());
        query.append_pair("PageToken", &format!("PA{first}"));
        format!("{path}?{}", query.finish())
    };
    Ok(json!({
        "first_page_uri": uri(0),
        "next_page_uri": more.then(|| uri(page.saturating_add(1))),
        "previous_page_uri": page.checked_sub(1).map(uri),
        "page": page,
        "page_size": size,
        "start": start,
        "end": (start + calls.len()).saturating_sub(1),
        "uri": if query.is_empty() { path.clone() } else { format!("{path}?{query}") },
        "calls": calls,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(pairs: &[(&str, &str)]) -> Result<(i64, i64), ApiError> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        range(&Form(pairs), "StartTime").map(|range| (range.from, range.to))
    }

    #[test]
    fn dates_bound_as_days_or_as_instants() {
        const DAY: i64 = 1_788_134_400_000;
        assert_eq!(bounds(&[]), Ok((i64::MIN, i64::MAX)));
        assert_eq!(bounds(&[("StartTime", "2026-08-31")]), Ok((DAY, DAY + 86_399_999)));
        assert_eq!(bounds(&[("StartTime>", "2026-08-31")]), Ok((DAY, i64::MAX)));
        assert_eq!(
            bounds(&[("StartTime>", "2026-08-31T00:00:05Z"), ("StartTime<", "2026-08-31T00:00:09Z")]),
            Ok((DAY + 5_000, DAY + 9_000))
        );
        assert!(bounds(&[("StartTime", "yesterday")]).is_err());
    }

    #[test]
    fn a_call_without_a_time_is_only_in_an_open_range() {
        assert!(Range { from: i64::MIN, to: i64::MAX }.holds(None));
        assert!(!Range { from: 0, to: i64::MAX }.holds(None));
    }
}
