//! The verdicts held against a plain minute-by-minute reading of the rules.

use super::*;
use crate::phone::UsState;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, civil};
use proptest::prelude::*;

/// The rules once more, written as plainly as can be, over the library's own calendar.
struct Oracle {
    zones: Vec<TimeZone>,
    hours: Hours,
    rules: Rules,
}

impl Oracle {
    fn new(set: &ZoneSet, hours: &Hours, rules: &Rules) -> Oracle {
        let database = TimeZoneDatabase::bundled();
        let zones = set.iter().map(|zone| database.get(zone.name().unwrap()).unwrap()).collect();
        Oracle { zones, hours: hours.clone(), rules: *rules }
    }

    /// Open at this instant and, on the clock, for the whole margin after it.
    fn is_open(&self, now: Millis) -> bool {
        let instant = Timestamp::from_millisecond(now).unwrap();
        self.zones.iter().all(|zone| {
            let wall = zone.to_datetime(instant);
            (0..=i64::from(self.rules.margin_minutes))
                .all(|minute| self.is_inside(wall.saturating_add(jiff::Span::new().minutes(minute))))
        })
    }

    fn is_inside(&self, wall: civil::DateTime) -> bool {
        let date = Date::new(wall.year(), wall.month(), wall.day()).unwrap();
        let weekday = Weekday::ALL[wall.weekday().to_monday_zero_offset() as usize];
        let minute = wall.hour() as u16 * 60 + wall.minute() as u16;
        let within =
            |interval: &Interval| (interval.open_minute()..interval.close_minute()).contains(&minute);
        let state = self.rules.state.and_then(rules::state_hours);
        !self.hours.excluded().contains(&date)
            && self.hours.intervals(weekday).iter().any(within)
            && (!self.rules.federal || (8 * 60..21 * 60).contains(&minute))
            && state.is_none_or(|state| {
                state.week[weekday.index()].as_ref().is_some_and(within)
                    && !(state.closed_on_holidays && holiday::is_us_federal(date))
            })
    }
}

fn any_hours() -> impl Strategy<Value = Hours> {
    let day = prop::collection::btree_set(0u16..=288, 0..=8).prop_map(|marks| {
        let marks: Vec<u16> = marks.into_iter().map(|mark| mark * 5).collect();
        marks.chunks_exact(2).map(|pair| Interval::new(pair[0], pair[1]).unwrap()).collect::<Vec<_>>()
    });
    let dates = prop::collection::vec((2024i16..2034, 1i8..=12, 1i8..=28), 0..20);
    (prop::array::uniform7(day), dates).prop_filter_map("some hours", |(week, dates)| {
        let dates = dates.into_iter().map(|(y, m, d)| Date::new(y, m, d).unwrap()).collect();
        Hours::new(week, dates).ok()
    })
}

fn any_rules() -> impl Strategy<Value = Rules> {
    let state = prop::option::of(prop::sample::select(
        rules::STATE_HOURS.iter().map(|rule| UsState::new(rule.state).unwrap()).collect::<Vec<_>>(),
    ));
    (any::<bool>(), state, prop::sample::select(vec![0u16, 1, 5, 30]))
        .prop_map(|(federal, state, margin_minutes)| Rules { federal, state, margin_minutes })
}

fn any_zones() -> impl Strategy<Value = ZoneSet> {
    const KNOWN: [&str; 18] = [
        "America/New_York",
        "America/Chicago",
        "America/Denver",
        "America/Phoenix",
        "America/St_Johns",
        "America/Nuuk",
        "Europe/Berlin",
        "Europe/London",
        "Africa/Casablanca",
        "Africa/Cairo",
        "Asia/Kolkata",
        "Asia/Gaza",
        "Australia/Lord_Howe",
        "Australia/Sydney",
        "Pacific/Chatham",
        "Pacific/Apia",
        "America/Santiago",
        "Antarctica/Troll",
    ];
    prop::collection::vec(prop::sample::select(&KNOWN[..]), 1..=3).prop_map(|names| zones(&names))
}

/// A whole minute within two days of a change of the first zone's clock, or anywhere if that
/// has none.
fn near_a_change(set: &ZoneSet, pick: usize, minutes: i64) -> Millis {
    let zone = TimeZoneDatabase::bundled().get(set.as_slice()[0].name().unwrap()).unwrap();
    let start: Timestamp = "2024-01-01T00:00:00Z".parse().unwrap();
    let changes: Vec<Millis> = zone
        .following(start)
        .take(24)
        .map(|change| change.timestamp().as_millisecond())
        .filter(|ms| *ms < at("2034-01-01T00:00:00Z"))
        .collect();
    let base = if changes.is_empty() { start.as_millisecond() } else { changes[pick % changes.len()] };
    base + minutes * MINUTE
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Minute by minute from `now` to the verdict's end, the oracle says the same.
    #[test]
    fn minute_by_minute(set in any_zones(), hours in any_hours(), rules in any_rules(), pick in 0usize..24, minutes in -2_880i64..2_880) {
        const MINUTES_MAX: i64 = 4_320;
        let now = near_a_change(&set, pick, minutes);
        let oracle = Oracle::new(&set, &hours, &rules);
        let horizon = now + Millis::from(HORIZON_DAYS) * DAY;
        let (open, end) = match check(now, &set, &hours, &rules) {
            Verdict::Open { closes_at } => (true, closes_at),
            Verdict::Closed { opens_at } => (false, opens_at),
            Verdict::NotInSight { look_at } => (false, look_at),
            Verdict::Never { why } => {
                prop_assert_eq!(why, Never::NoCommonHours);
                (false, horizon)
            }
        };
        prop_assert!(end > now && end <= horizon);
        prop_assert_eq!((end - now) % MINUTE, 0);
        let length = (end - now) / MINUTE;
        for minute in (0..length.min(MINUTES_MAX)).chain((length - 60).max(0)..length) {
            prop_assert_eq!(oracle.is_open(now + minute * MINUTE), open, "minute {} of {}", minute, length);
        }
        if end < horizon {
            prop_assert_eq!(oracle.is_open(end), !open);
        }
    }

    /// To the millisecond: the verdict changes exactly where it says, in every zone.
    #[test]
    fn the_millisecond_before(set in any_zones(), hours in any_hours(), rules in any_rules(), now in 1_704_067_200_000i64..2_000_000_000_000) {
        let horizon = now + Millis::from(HORIZON_DAYS) * DAY;
        let is_open = |at: Millis| check(at, &set, &hours, &rules).is_open();
        match check(now, &set, &hours, &rules) {
            Verdict::Open { closes_at } => {
                prop_assert!(is_open(closes_at - 1));
                prop_assert!(closes_at == horizon || !is_open(closes_at));
            }
            Verdict::Closed { opens_at } => {
                prop_assert!(opens_at > now);
                prop_assert!(is_open(opens_at));
                for zone in set.iter() {
                    prop_assert!(check(opens_at, &zone.into(), &hours, &rules).is_open());
                }
                // Whoever asks a moment before is told the same opening.
                prop_assert_eq!(check(opens_at - 1, &set, &hours, &rules), Verdict::Closed { opens_at });
            }
            Verdict::NotInSight { look_at } => {
                prop_assert_eq!(look_at, horizon);
                prop_assert!(!is_open(now));
            }
            Verdict::Never { why } => {
                prop_assert_eq!(why, Never::NoCommonHours);
                // Nor later in the year, with the clocks of summer and of winter.
                for weeks in (0..54).step_by(2) {
                    let later = check(now + weeks * 7 * DAY, &set, &hours, &rules);
                    let opens = matches!(later, Verdict::Open { .. } | Verdict::Closed { .. });
                    prop_assert!(!opens, "after {} weeks: {:?}", weeks, later);
                }
            }
        }
    }

    /// A wider schedule, fewer zones or fewer rules never close what was open.
    #[test]
    fn bounds_only_take_away(set in any_zones(), hours in any_hours(), rules in any_rules(), now in 1_704_067_200_000i64..2_000_000_000_000) {
        if check(now, &set, &hours, &rules).is_open() {
            prop_assert!(check(now, &set, &hours, &Rules::none()).is_open());
            prop_assert!(check(now, &set, &Hours::always(), &rules).is_open());
            prop_assert!(check(now, &set.as_slice()[0].into(), &hours, &rules).is_open());
        }
    }

    #[test]
    fn explained_as_decided(set in any_zones(), hours in any_hours(), rules in any_rules(), now in 1_704_067_200_000i64..2_000_000_000_000) {
        let open = explain(now, &set, &hours, &rules).iter().all(|view| view.closure.is_none());
        prop_assert_eq!(open, check(now, &set, &hours, &rules).is_open());
    }
}

/// The list of changes gives what the database gives, for every zone.
#[test]
fn clocks_show_what_the_database_says() {
    let database = TimeZoneDatabase::bundled();
    for zone in Zone::all() {
        let name = zone.name().unwrap();
        let theirs = database.get(name).unwrap();
        for hour in (0..149 * 365 * 24).step_by(24 * 29 + 5) {
            let now = hour * 3_600_000;
            let wall = theirs.to_datetime(Timestamp::from_millisecond(now).unwrap());
            let local = local(now, zone).unwrap();
            let minute = wall.hour() as u16 * 60 + wall.minute() as u16;
            assert_eq!(
                (local.date.ymd(), local.minute),
                ((wall.year(), wall.month(), wall.day()), minute),
                "{name} {now}"
            );
        }
    }
}
