//! A week's calling hours and the dates on which nobody is called.

use super::date::{Date, Weekday};
use crate::time::MINUTE;
use crate::time::Millis;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

pub const DAY_MINUTES: u16 = 24 * 60;
pub const INTERVALS_PER_DAY_MAX: usize = 4;
pub const EXCLUDED_DATES_MAX: usize = 400;

/// Part of a day on the clock of the called person: from `open` to before `close`, in minutes after
/// midnight.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval {
    open: u16,
    close: u16,
}

/// Why calling hours were refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HoursError {
    #[error("an interval must begin before it ends, both within one day (00:00 to 24:00)")]
    BadInterval,
    #[error("not an interval of the form 09:00-17:30")]
    NotAnInterval,
    #[error("not hours of the form \"Mon-Fri 09:00-17:30; Sat 10:00-14:00\"")]
    NotHours,
    #[error("{0}: intervals overlap")]
    Overlap(Weekday),
    #[error("{0}: more than {INTERVALS_PER_DAY_MAX} intervals")]
    TooManyIntervals(Weekday),
    #[error("{0} is given twice")]
    DayTwice(Weekday),
    #[error("no day has any hours: nobody could ever be called")]
    NoHours,
    #[error("more than {EXCLUDED_DATES_MAX} excluded dates")]
    TooManyDates,
}

impl Interval {
    /// From minutes after midnight; `close` may be 1440.
    pub const fn new(open: u16, close: u16) -> Result<Interval, HoursError> {
        if open < close && close <= DAY_MINUTES {
            Ok(Interval { open, close })
        } else {
            Err(HoursError::BadInterval)
        }
    }

    /// From whole hours known to be right: for tables in the source.
    pub(super) const fn hours(open: u16, close: u16) -> Interval {
        assert!(open < close && close <= 24);
        Interval { open: open * 60, close: close * 60 }
    }

    pub fn open_minute(self) -> u16 {
        self.open
    }

    pub fn close_minute(self) -> u16 {
        self.close
    }

    pub(super) fn open_ms(self) -> Millis {
        Millis::from(self.open) * MINUTE
    }

    pub(super) fn close_ms(self) -> Millis {
        Millis::from(self.close) * MINUTE
    }

    fn intersection(self, other: Interval) -> Option<Interval> {
        Interval::new(self.open.max(other.open), self.close.min(other.close)).ok()
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Interval { open, close } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", open / 60, open % 60, close / 60, close % 60)
    }
}

impl fmt::Debug for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Interval {
    type Err = HoursError;
    /// `09:00-17:30`; `24:00` is the end of the day.
    fn from_str(text: &str) -> Result<Self, HoursError> {
        let (open, close) = text.trim().split_once('-').ok_or(HoursError::NotAnInterval)?;
        Interval::new(clock_minute(open)?, clock_minute(close)?)
    }
}

fn clock_minute(text: &str) -> Result<u16, HoursError> {
    let (hour, minute) = text.trim().split_once(':').ok_or(HoursError::NotAnInterval)?;
    let digits = |part: &str, max: u16| {
        let well_formed = (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        part.parse().ok().filter(|n: &u16| well_formed && *n <= max).ok_or(HoursError::NotAnInterval)
    };
    Ok(digits(hour, 24)? * 60 + digits(minute, 59)?)
}

/// The open intervals of one day: in order, apart from each other, at most four.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Day {
    intervals: [Interval; INTERVALS_PER_DAY_MAX],
    len: u8,
}

impl Day {
    pub const CLOSED: Day =
        Day { intervals: [Interval { open: 0, close: 0 }; INTERVALS_PER_DAY_MAX], len: 0 };

    fn new(weekday: Weekday, mut intervals: Vec<Interval>) -> Result<Day, HoursError> {
        if intervals.len() > INTERVALS_PER_DAY_MAX {
            return Err(HoursError::TooManyIntervals(weekday));
        }
        intervals.sort_unstable();
        if intervals.windows(2).any(|pair| pair[0].close > pair[1].open) {
            return Err(HoursError::Overlap(weekday));
        }
        // Intervals that touch are one, so that the margin before closing counts at the real end.
        intervals.dedup_by(|next, before| {
            let touch = before.close == next.open;
            if touch {
                before.close = next.close;
            }
            touch
        });
        let mut day = Day::CLOSED;
        intervals.into_iter().for_each(|interval| day.push(interval));
        Ok(day)
    }

    /// The caller adds at most four.
    fn push(&mut self, interval: Interval) {
        if let Some(slot) = self.intervals.get_mut(usize::from(self.len)) {
            *slot = interval;
            self.len += 1;
        }
    }

    pub fn intervals(&self) -> &[Interval] {
        self.intervals.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// What is left of the day within one interval, or nothing when there is none.
    pub fn within(&self, bound: Option<Interval>) -> Day {
        let mut day = Day::CLOSED;
        if let Some(bound) = bound {
            self.intervals().iter().filter_map(|i| i.intersection(bound)).for_each(|i| day.push(i));
        }
        day
    }
}

/// A company's or campaign's calling hours: a weekly schedule on the clock of the called person,
/// and dates without calls.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Hours {
    week: [Day; 7],
    /// In order, each once.
    excluded: Vec<Date>,
}

impl Hours {
    /// `week` from Monday to Sunday, at most four intervals a day, in any order, not overlapping;
    /// `excluded` at most 400 dates.
    pub fn new(week: [Vec<Interval>; 7], mut excluded: Vec<Date>) -> Result<Hours, HoursError> {
        if excluded.len() > EXCLUDED_DATES_MAX {
            return Err(HoursError::TooManyDates);
        }
        if week.iter().all(Vec::is_empty) {
            return Err(HoursError::NoHours);
        }
        excluded.sort_unstable();
        excluded.dedup();
        let mut days = [Day::CLOSED; 7];
        for ((slot, weekday), intervals) in days.iter_mut().zip(Weekday::ALL).zip(week) {
            *slot = Day::new(weekday, intervals)?;
        }
        Ok(Hours { week: days, excluded })
    }

    /// Every minute of every day: for tests and for calls that no rule limits.
    pub fn always() -> Hours {
        let mut day = Day::CLOSED;
        day.push(Interval { open: 0, close: DAY_MINUTES });
        Hours { week: [day; 7], excluded: Vec::new() }
    }

    /// The same hours with other excluded dates.
    pub fn with_excluded(self, mut excluded: Vec<Date>) -> Result<Hours, HoursError> {
        if excluded.len() > EXCLUDED_DATES_MAX {
            return Err(HoursError::TooManyDates);
        }
        excluded.sort_unstable();
        excluded.dedup();
        Ok(Hours { excluded, ..self })
    }

    pub fn intervals(&self, weekday: Weekday) -> &[Interval] {
        self.week.get(weekday.index()).map_or(&[], Day::intervals)
    }

    pub fn excluded(&self) -> &[Date] {
        &self.excluded
    }

    pub(super) fn is_excluded(&self, date: Date) -> bool {
        self.excluded.binary_search(&date).is_ok()
    }

    pub(super) fn day(&self, weekday: Weekday) -> Day {
        self.week.get(weekday.index()).copied().unwrap_or(Day::CLOSED)
    }
}

impl Default for Hours {
    /// Monday to Saturday from nine to eight, which stays inside most of the stricter state rules.
    fn default() -> Self {
        let mut open = Day::CLOSED;
        open.push(Interval::hours(9, 20));
        let mut week = [open; 7];
        week[Weekday::Sunday.index()] = Day::CLOSED;
        Hours { week, excluded: Vec::new() }
    }
}

impl fmt::Display for Hours {
    /// The form that [`Hours::from_str`] reads, without the excluded dates.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = 0;
        let mut separator = "";
        while let Some(day) = self.week.get(first) {
            let same = self.week[first..].iter().take_while(|other| *other == day).count();
            let last = first + same - 1;
            if day.len > 0 {
                write!(f, "{separator}{}", Weekday::ALL[first])?;
                if last > first {
                    write!(f, "-{}", Weekday::ALL[last])?;
                }
                for (n, interval) in day.intervals().iter().enumerate() {
                    write!(f, "{}{interval}", if n == 0 { " " } else { ", " })?;
                }
                separator = "; ";
            }
            first += same;
        }
        Ok(())
    }
}

impl fmt::Debug for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hours({self}; {} dates excluded)", self.excluded.len())
    }
}

impl FromStr for Hours {
    type Err = HoursError;
    /// `Mon-Fri 09:00-12:00, 13:00-17:30; Sat 10:00-14:00`. Days that are not named are closed.
    fn from_str(text: &str) -> Result<Self, HoursError> {
        let mut week: [Vec<Interval>; 7] = Default::default();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let (days, times) = part.split_once(char::is_whitespace).ok_or(HoursError::NotHours)?;
            let times = times.split(',').map(str::parse).collect::<Result<Vec<Interval>, _>>()?;
            let (first, last) = days.split_once('-').unwrap_or((days, days));
            let day = |name: &str| name.parse::<Weekday>().map_err(|_| HoursError::NotHours);
            let (first, last) = (day(first)?, day(last)?);
            let count = (last.index() + 7 - first.index()) % 7 + 1;
            for weekday in Weekday::ALL.into_iter().cycle().skip(first.index()).take(count) {
                if !week[weekday.index()].is_empty() {
                    return Err(HoursError::DayTwice(weekday));
                }
                week[weekday.index()].clone_from(&times);
            }
        }
        Hours::new(week, Vec::new())
    }
}

/// The stored form: minutes and day numbers.
#[derive(Serialize, Deserialize)]
struct Stored {
    week: [Vec<(u16, u16)>; 7],
    excluded: Vec<Date>,
}

impl From<Hours> for Stored {
    fn from(hours: Hours) -> Stored {
        let week = hours.week.map(|day| day.intervals().iter().map(|i| (i.open, i.close)).collect());
        Stored { week, excluded: hours.excluded }
    }
}

impl TryFrom<Stored> for Hours {
    type Error = HoursError;
    fn try_from(stored: Stored) -> Result<Hours, HoursError> {
        let mut week: [Vec<Interval>; 7] = Default::default();
        for (slot, day) in week.iter_mut().zip(stored.week) {
            *slot =
                day.into_iter().map(|(open, close)| Interval::new(open, close)).collect::<Result<_, _>>()?;
        }
        Hours::new(week, stored.excluded)
    }
}
