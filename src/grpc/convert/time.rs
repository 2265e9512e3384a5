//! Times and durations.

use crate::grpc::error::Violation;
use prost_types::{Duration, Timestamp};
use tandem_domain::time::{DAY, Millis};

/// Times from the year 2120 on are refused: no clock of a time zone is known for them.
const LATEST: Millis = 150 * 365 * DAY;

/// Milliseconds since 1970 as a timestamp.
pub fn timestamp(at: Millis) -> Timestamp {
    let nanos = i32::try_from(at.rem_euclid(1_000) * 1_000_000).unwrap_or(0);
    Timestamp { seconds: at.div_euclid(1_000), nanos }
}

/// Milliseconds as a duration.
pub fn duration(ms: Millis) -> Duration {
    let nanos = i32::try_from(ms % 1_000 * 1_000_000).unwrap_or(0);
    Duration { seconds: ms / 1_000, nanos }
}

/// A time between 1970 and 2119. Parts of a millisecond are cut off.
pub fn millis_at(field: &'static str, at: &Timestamp) -> Result<Millis, Violation> {
    let refused = || Violation::new(field, "a time of the years 1970 to 2119");
    if !(0..1_000_000_000).contains(&at.nanos) {
        return Err(refused());
    }
    let ms = at.seconds.checked_mul(1_000).and_then(|ms| ms.checked_add(i64::from(at.nanos) / 1_000_000));
    ms.filter(|ms| (0..LATEST).contains(ms)).ok_or_else(refused)
}

/// A duration that is not negative, at most 100 years. Parts of a millisecond are cut off.
pub fn millis(field: &'static str, d: &Duration) -> Result<Millis, Violation> {
    let refused = || Violation::new(field, "a duration that is not negative");
    if !(0..1_000_000_000).contains(&d.nanos) {
        return Err(refused());
    }
    let ms = d.seconds.checked_mul(1_000).and_then(|ms| ms.checked_add(i64::from(d.nanos) / 1_000_000));
    ms.filter(|ms| (0..=100 * 365 * DAY).contains(ms)).ok_or_else(refused)
}

/// A duration in whole seconds, rounded up, so that nothing that was asked for is shortened.
pub fn seconds(field: &'static str, d: &Duration) -> Result<u32, Violation> {
    let ms = millis(field, d)?;
    u32::try_from(ms.unsigned_abs().div_ceil(1_000)).map_err(|_| Violation::new(field, "too long"))
}

/// As RFC 3339 has it, in UTC.
pub fn rfc3339(at: Millis) -> String {
    jiff::Timestamp::from_millisecond(at).map(|t| t.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn times_come_back(at in 0..LATEST) {
            prop_assert_eq!(millis_at("at", &timestamp(at)), Ok(at));
        }

        #[test]
        fn durations_come_back(ms in 0..100 * DAY) {
            prop_assert_eq!(millis("gap", &duration(ms)), Ok(ms));
        }

        #[test]
        fn no_message_makes_it_panic(seconds in any::<i64>(), nanos in any::<i32>()) {
            let _ = millis_at("at", &Timestamp { seconds, nanos });
            let d = Duration { seconds, nanos };
            let _ = (millis("gap", &d), super::seconds("gap", &d));
        }
    }

    #[test]
    fn times_before_1970_and_after_2119_are_refused() {
        for seconds in [-1, LATEST / 1_000, i64::MAX, i64::MIN] {
            assert!(millis_at("at", &Timestamp { seconds, nanos: 0 }).is_err(), "{seconds}");
        }
        assert!(millis_at("at", &Timestamp { seconds: 0, nanos: -1 }).is_err());
    }

    #[test]
    fn seconds_are_rounded_up() {
        assert_eq!(seconds("t", &Duration { seconds: 24, nanos: 1_000_000 }), Ok(25));
        assert_eq!(seconds("t", &Duration { seconds: 25, nanos: 0 }), Ok(25));
        assert!(seconds("t", &Duration { seconds: -1, nanos: 0 }).is_err());
    }
}
