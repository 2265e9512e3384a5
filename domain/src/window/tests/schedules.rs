//! Hours, dates, holidays and the table of state rules.

use super::*;
use proptest::prelude::*;

#[test]
fn written_hours() {
    let text = "Mon-Fri 09:00-12:00, 13:00-17:30; Sat 10:00-14:00";
    assert_eq!(hours(text).to_string(), text);
    assert_eq!(hours("mon - fri 9:00-17:00".replace(" - ", "-").as_str()).to_string(), "Mon-Fri 09:00-17:00");
    assert_eq!(hours("Fri-Mon 09:00-24:00").to_string(), "Mon 09:00-24:00; Fri-Sun 09:00-24:00");
    assert_eq!(Hours::default().to_string(), "Mon-Sat 09:00-20:00");
    // Intervals that touch are one.
    assert_eq!(hours("Mon 12:00-13:00, 09:00-12:00").to_string(), "Mon 09:00-13:00");
}

#[test]
fn refused_hours() {
    use HoursError::*;
    for (text, want) in [
        ("", NoHours),
        ("Mon", NotHours),
        ("Mon-Someday 09:00-17:00", NotHours),
        ("Mon 9-17", NotAnInterval),
        ("Mon 09:00", NotAnInterval),
        ("Mon 09:00-09:60", NotAnInterval),
        ("Mon 09:00-25:00", NotAnInterval),
        ("Mon +9:00-10:00", NotAnInterval),
        ("Mon 09:00-24:01", BadInterval),
        ("Mon 17:00-09:00", BadInterval),
        ("Mon 09:00-09:00", BadInterval),
        ("Mon 09:00-12:00, 11:00-13:00", Overlap(Weekday::Monday)),
        (
            "Mon 01:00-02:00, 03:00-04:00, 05:00-06:00, 07:00-08:00, 09:00-10:00",
            TooManyIntervals(Weekday::Monday),
        ),
        ("Mon 09:00-10:00; Mon-Tue 11:00-12:00", DayTwice(Weekday::Monday)),
    ] {
        assert_eq!(text.parse::<Hours>(), Err(want), "{text}");
    }
    let many: Vec<Date> = (0..401).map(|n| Date::new(2026, 1, 1).unwrap().plus_days(n)).collect();
    assert_eq!(Hours::default().with_excluded(many), Err(TooManyDates));
}

#[test]
fn dates() {
    for text in ["1970-01-01", "2026-12-25", "2028-02-29", "0001-01-01", "9999-12-31"] {
        assert_eq!(text.parse::<Date>().unwrap().to_string(), text);
    }
    for text in
        ["", "2026-02-29", "2026-13-01", "2026-1-1", "26-01-01", "2026/01/01", "+026-01-01", "0000-01-01"]
    {
        assert_eq!(text.parse::<Date>(), Err(BadDate), "{text}");
    }
    assert_eq!("2026-11-26".parse::<Date>().unwrap().weekday(), Weekday::Thursday);
    assert_eq!("1969-12-31".parse::<Date>().unwrap().weekday(), Weekday::Wednesday);
}

#[test]
fn the_federal_holidays_of_2026_and_2027() {
    let year = |year: i16| -> Vec<String> {
        let first = Date::new(year, 1, 1).unwrap();
        let days = (0..365).map(|n| first.plus_days(n));
        days.filter(|date| holiday::is_us_federal(*date)).map(|date| date.to_string()).collect()
    };
    assert_eq!(
        year(2026),
        [
            "2026-01-01",
            "2026-01-19",
            "2026-02-16",
            "2026-05-25",
            "2026-06-19",
            "2026-07-03",
            "2026-07-04",
            "2026-09-07",
            "2026-10-12",
            "2026-11-11",
            "2026-11-26",
            "2026-12-25",
        ]
    );
    assert_eq!(
        year(2027),
        [
            "2027-01-01",
            "2027-01-18",
            "2027-02-15",
            "2027-05-31",
            "2027-06-18",
            "2027-06-19",
            "2027-07-04",
            "2027-07-05",
            "2027-09-06",
            "2027-10-11",
            "2027-11-11",
            "2027-11-25",
            "2027-12-24",
            "2027-12-25",
            "2027-12-31",
        ]
    );
}

#[test]
fn the_state_table_is_in_order_and_stricter_than_the_federal_hours() {
    assert!(rules::STATE_HOURS.is_sorted_by(|a, b| a.state < b.state));
    for rule in &rules::STATE_HOURS {
        let official = rule.status == rules::Status::Official;
        assert!(
            !official || rule.confirmed_by.is_some(),
            "{}: official, and nobody confirmed it",
            rule.state
        );
        assert!(!rule.source.is_empty());
        for interval in rule.week.iter().flatten() {
            let (open, close) = (interval.open_minute(), interval.close_minute());
            assert!(open >= rules::FEDERAL.open_minute() && close <= rules::FEDERAL.close_minute());
        }
        assert!(rules::state_hours(UsState::new(rule.state).unwrap()).is_some());
    }
    assert!(rules::state_hours(UsState::new("OH").unwrap()).is_none());
}

proptest! {
    #[test]
    fn no_text_makes_hours_panic(text in "[A-Za-z0-9:;, -]{0,60}") {
        if let Ok(hours) = text.parse::<Hours>() {
            prop_assert_eq!(hours.to_string().parse::<Hours>().unwrap(), hours);
        }
    }

    #[test]
    fn dates_are_numbered_without_gaps(n in -700_000i32..2_900_000) {
        let date = Date::new(1970, 1, 1).unwrap().plus_days(n);
        let (year, month, day) = date.ymd();
        prop_assert_eq!(Date::new(year, month, day).unwrap(), date);
        prop_assert_eq!(date.plus_days(1).weekday().index(), (date.weekday().index() + 1) % 7);
    }
}

/// The stored bytes, which stay readable for ever; what breaks the rules is not read.
#[test]
fn stored_forms() {
    use crate::codec::{decode, encode};
    let dates = vec!["2026-12-25".parse().unwrap()];
    let stored = hours("Mon 09:00-12:00").with_excluded(dates).unwrap();
    // Monday: one interval from 540 to 720; six closed days; one date, day 20,812, as a zigzag.
    let bytes = [1, 1, 251, 28, 2, 251, 208, 2, 0, 0, 0, 0, 0, 0, 1, 251, 152, 162];
    assert_eq!(encode(&stored), bytes);
    assert_eq!(decode::<Hours>(&bytes), Ok(stored));
    let (backwards, none) = ([1, 1, 20, 10, 0, 0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert!(decode::<Hours>(&backwards).is_err());
    assert!(decode::<Hours>(&none).is_err());
    let rules = Rules { state: UsState::new("KY"), ..Rules::default() };
    assert_eq!(decode::<Rules>(&encode(&rules)), Ok(rules));
}
