//! Dates and weekdays of the proleptic Gregorian calendar, without a time zone.

use crate::time::{DAY, Millis};
use jiff::civil;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A day of the week. Weeks begin on Monday.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Weekday {
    pub const ALL: [Weekday; 7] = [
        Weekday::Monday,
        Weekday::Tuesday,
        Weekday::Wednesday,
        Weekday::Thursday,
        Weekday::Friday,
        Weekday::Saturday,
        Weekday::Sunday,
    ];

    /// From 0 for Monday.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// `Mon` to `Sun`.
    pub fn short_name(self) -> &'static str {
        ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"][self.index()]
    }
}

impl fmt::Display for Weekday {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short_name())
    }
}

/// A text that is not the English name of a weekday.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a weekday: write Mon, Tue, Wed, Thu, Fri, Sat or Sun")]
pub struct BadWeekday;

impl FromStr for Weekday {
    type Err = BadWeekday;
    /// At least the first three letters of the English name, in any case.
    fn from_str(text: &str) -> Result<Self, BadWeekday> {
        let text = text.trim().to_ascii_lowercase();
        let names = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
        let at = names.iter().position(|name| text.len() >= 3 && name.starts_with(&text));
        at.map(|at| Weekday::ALL[at]).ok_or(BadWeekday)
    }
}

/// A calendar date, as days after 1970-01-01. Written `2026-12-25`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Date(i32);

/// A text or triple that is not a date between the years 1 and 9999.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a date: write it as 2026-12-25")]
pub struct BadDate;

const EPOCH: civil::Date = civil::date(1970, 1, 1);

impl Date {
    pub fn new(year: i16, month: i8, day: i8) -> Result<Date, BadDate> {
        let date = civil::Date::new(year, month, day).map_err(|_| BadDate)?;
        if year < 1 {
            return Err(BadDate);
        }
        Ok(Date((date - EPOCH).get_days()))
    }

    /// The date that a local clock shows, given as milliseconds since 1970-01-01 local time.
    pub(super) fn of_wall(wall: Millis) -> Date {
        Date(i32::try_from(wall.div_euclid(DAY)).unwrap_or(i32::MAX))
    }

    /// Its first instant on a local clock.
    pub(super) fn wall(self) -> Millis {
        Millis::from(self.0) * DAY
    }

    pub fn plus_days(self, days: i32) -> Date {
        Date(self.0.saturating_add(days))
    }

    pub fn weekday(self) -> Weekday {
        // 1970-01-01 was a Thursday.
        let since_monday = (i64::from(self.0) + 3).rem_euclid(7);
        Weekday::ALL[usize::try_from(since_monday).unwrap_or(0)]
    }

    /// Year, month and day.
    pub fn ymd(self) -> (i16, i8, i8) {
        let date = EPOCH.saturating_add(jiff::Span::new().try_days(self.0).unwrap_or_default());
        (date.year(), date.month(), date.day())
    }
}

impl FromStr for Date {
    type Err = BadDate;
    fn from_str(text: &str) -> Result<Self, BadDate> {
        let text = text.trim();
        let well_formed = text.len() == 10
            && text
                .bytes()
                .enumerate()
                .all(|(at, b)| if at == 4 || at == 7 { b == b'-' } else { b.is_ascii_digit() });
        if !well_formed {
            return Err(BadDate);
        }
        let number = |from: usize, to: usize| {
            text.get(from..to).and_then(|part| part.parse::<i16>().ok()).ok_or(BadDate)
        };
        let small = |n: i16| i8::try_from(n).map_err(|_| BadDate);
        Date::new(number(0, 4)?, small(number(5, 7)?)?, small(number(8, 10)?)?)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.ymd();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
