//! Calling hours and their bounds.

use super::choices::{required, weekday, weekday_of};
use super::time;
use crate::grpc::error::Violation;
use tandem_domain::dial::{Bounds, Place};
use tandem_domain::time::MINUTE;
use tandem_domain::window::{Date, Hours, HoursError, Interval, Weekday};
use tandem_proto::v1;
use tandem_proto::v1::calling_hours::{Day, Interval as Piece};

fn refused(error: &HoursError) -> Violation {
    Violation::new("hours", error.to_string())
}

/// Hours as the message gives them; parts that it leaves out stay as in `base`.
pub fn hours_of(message: &v1::CallingHours, base: &Hours) -> Result<Hours, Violation> {
    let excluded = message.excluded_dates.iter().map(date_of).collect::<Result<Vec<_>, _>>()?;
    if message.week.is_empty() {
        return base.clone().with_excluded(excluded).map_err(|e| refused(&e));
    }
    let mut week: [Vec<Interval>; 7] = Default::default();
    let mut given = [false; 7];
    for day in &message.week {
        let weekday = required("hours.week.day", weekday_of("hours.week.day", day.day)?)?;
        if std::mem::replace(&mut given[weekday.index()], true) {
            return Err(refused(&HoursError::DayTwice(weekday)));
        }
        week[weekday.index()] = day.intervals.iter().map(interval_of).collect::<Result<_, _>>()?;
    }
    Hours::new(week, excluded).map_err(|e| refused(&e))
}

fn interval_of(piece: &Piece) -> Result<Interval, Violation> {
    let minute = |m: u32| u16::try_from(m).map_err(|_| refused(&HoursError::BadInterval));
    Interval::new(minute(piece.open_minute)?, minute(piece.close_minute)?).map_err(|e| refused(&e))
}

fn date_of(date: &v1::Date) -> Result<Date, Violation> {
    let bad = || Violation::new("hours.excluded_dates", "not a date of the calendar");
    let year = i16::try_from(date.year).map_err(|_| bad())?;
    let (month, day) = (i8::try_from(date.month), i8::try_from(date.day));
    Date::new(year, month.map_err(|_| bad())?, day.map_err(|_| bad())?).map_err(|_| bad())
}

pub fn hours(hours: &Hours) -> v1::CallingHours {
    let open = |day: &Weekday| !hours.intervals(*day).is_empty();
    let week = Weekday::ALL.into_iter().filter(open).map(|day| Day {
        day: weekday(day).into(),
        intervals: hours
            .intervals(day)
            .iter()
            .map(|i| Piece { open_minute: i.open_minute().into(), close_minute: i.close_minute().into() })
            .collect(),
    });
    let excluded = hours.excluded().iter().map(|date| {
        let (year, month, day) = date.ymd();
        v1::Date { year: year.into(), month: month.into(), day: day.into() }
    });
    v1::CallingHours { week: week.collect(), excluded_dates: excluded.collect() }
}

/// Bounds as the message gives them; fields that it leaves out stay.
pub fn apply_bounds(bounds: &mut Bounds, message: &v1::CallingBounds) -> Result<(), Violation> {
    if let Some(federal) = message.federal {
        bounds.federal = federal;
    }
    if let Some(state) = message.state {
        bounds.state = state;
    }
    if let Some(margin) = &message.margin {
        let minutes = u16::try_from(
            time::millis("bounds.margin", margin)?.unsigned_abs().div_ceil(MINUTE.unsigned_abs()),
        )
        .ok();
        let minutes = minutes.filter(|m| *m <= 12 * 60);
        bounds.margin_minutes = minutes.ok_or(Violation::new("bounds.margin", "0 to 12 hours"))?;
    }
    Ok(())
}

pub fn bounds(bounds: &Bounds) -> v1::CallingBounds {
    v1::CallingBounds {
        federal: Some(bounds.federal),
        state: Some(bounds.state),
        margin: Some(time::duration(i64::from(bounds.margin_minutes) * MINUTE)),
    }
}

pub fn whereabouts(place: &Place) -> v1::Whereabouts {
    v1::Whereabouts {
        time_zones: place.zones.iter().filter_map(|zone| zone.name()).map(str::to_owned).collect(),
        state: place.state.map(|s| s.code().to_owned()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_come_back() {
        let texts =
            ["Mon-Fri 09:00-12:00, 13:00-17:30; Sat 10:00-14:00", "Sun 00:00-24:00", "Mon 08:00-09:00"];
        for text in texts {
            let there: Hours = text.parse().expect("hours");
            let dates = ["2026-12-25", "2027-01-01"].map(|d| d.parse().expect("a date"));
            let there = there.with_excluded(dates.into()).expect("dates");
            assert_eq!(hours_of(&hours(&there), &Hours::default()), Ok(there));
        }
    }

    #[test]
    fn without_a_week_the_former_hours_stay_and_the_dates_change() {
        let base: Hours = "Mon 10:00-11:00".parse().expect("hours");
        let date = v1::Date { year: 2026, month: 7, day: 4 };
        let message = v1::CallingHours { week: Vec::new(), excluded_dates: vec![date] };
        let hours = hours_of(&message, &base).expect("good");
        assert_eq!(hours.intervals(Weekday::Monday), base.intervals(Weekday::Monday));
        assert_eq!(hours.excluded().len(), 1);
    }

    #[test]
    fn what_is_no_day_no_interval_or_no_date_is_refused() {
        let day = |day: i32, open_minute, close_minute| v1::CallingHours {
            week: vec![Day { day, intervals: vec![Piece { open_minute, close_minute }] }],
            excluded_dates: Vec::new(),
        };
        for message in
            [day(0, 60, 120), day(9, 60, 120), day(1, 120, 60), day(1, 0, 1441), day(1, 0, u32::MAX)]
        {
            assert!(hours_of(&message, &Hours::default()).is_err(), "{message:?}");
        }
        let mut twice = day(1, 60, 120);
        twice.week.push(twice.week[0].clone());
        assert!(hours_of(&twice, &Hours::default()).is_err());
        for (year, month, day) in [(2026, 2, 30), (99_999, 1, 1), (2026, 300, 1), (0, 1, 1)] {
            assert!(date_of(&v1::Date { year, month, day }).is_err());
        }
    }

    #[test]
    fn bounds_change_only_where_they_are_given() {
        let mut it = Bounds::default();
        let message = v1::CallingBounds { state: Some(false), ..v1::CallingBounds::default() };
        apply_bounds(&mut it, &message).expect("good");
        assert_eq!(it, Bounds { state: false, ..Bounds::default() });
        let mut back = Bounds { federal: false, state: true, margin_minutes: 0 };
        apply_bounds(&mut back, &bounds(&it)).expect("good");
        assert_eq!(back, it);
        let long = Some(time::duration(13 * 60 * MINUTE));
        let message = v1::CallingBounds { margin: long, ..v1::CallingBounds::default() };
        assert!(apply_bounds(&mut it, &message).is_err());
    }
}
