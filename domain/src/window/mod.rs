//! When a person may be called: hours on *their* clock.
//!
//! [`check`] answers for one instant. A window is open when the clock of every zone in which the
//! person may be is inside the hours of the campaign, of the federal rule and of their state's.
//! No zone, no window. Clocks are exact across changes of daylight saving: hours that a spring
//! change skips do not exist, hours that an autumn change repeats count twice.

mod clock;
mod date;
pub mod holiday;
mod hours;
pub mod rules;

#[cfg(test)]
mod tests;

pub use date::{BadDate, BadWeekday, Date, Weekday};
pub use hours::{DAY_MINUTES, EXCLUDED_DATES_MAX, Hours, HoursError, INTERVALS_PER_DAY_MAX, Interval};
pub use rules::Rules;

use crate::phone::{Zone, ZoneSet};
use crate::time::{DAY, MINUTE, Millis};
use clock::Clock;
use hours::Day;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How far ahead an opening is sought.
pub const HORIZON_DAYS: i32 = 14;

/// A year and some: every clock has been changed there and back by then, and hours that have not met
/// in any of its weeks never do.
const YEAR_DAYS: i32 = 400;

/// Whether a person may be called now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Verdict {
    /// Yes, until before `closes_at` (or at least until the horizon, if nothing closes before).
    Open { closes_at: Millis },
    /// No, and from `opens_at` on it is.
    Closed { opens_at: Millis },
    /// No, and not within the next [`HORIZON_DAYS`], for excluded dates, holidays or a clock that is
    /// changed later. It is to be asked again at `look_at`.
    NotInSight { look_at: Millis },
    /// No, and it never will be.
    Never { why: Never },
}

impl Verdict {
    pub fn is_open(&self) -> bool {
        matches!(self, Verdict::Open { .. })
    }
}

/// Why there will be no opening.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Never {
    /// It is not known in which zone the person is.
    NoZone,
    /// A zone that this build does not know, or a time outside the years 1970 to 2119.
    UnknownZone,
    /// The zones, weekly hours and rules leave no common minute.
    NoCommonHours,
}

impl Never {
    /// A stable code.
    pub fn reason(self) -> &'static str {
        match self {
            Never::NoZone => "no_zone",
            Never::UnknownZone => "unknown_zone",
            Never::NoCommonHours => "no_common_hours",
        }
    }
}

/// Whether a person in one of `zones` may be called at `now`, and until or from when.
pub fn check(now: Millis, zones: &ZoneSet, hours: &Hours, rules: &Rules) -> Verdict {
    if zones.is_empty() {
        return Verdict::Never { why: Never::NoZone };
    }
    let schedule = Schedule::new(hours, rules);
    match search(now, zones, &schedule) {
        Ok(Some(at)) if at == now => Verdict::Open { closes_at: closing(now, zones, &schedule) },
        Ok(Some(opens_at)) => Verdict::Closed { opens_at },
        Ok(None) if schedule.may_ever_open(now, zones) => {
            Verdict::NotInSight { look_at: horizon(now, HORIZON_DAYS) }
        }
        Ok(None) => Verdict::Never { why: Never::NoCommonHours },
        Err(UnknownTime) => Verdict::Never { why: Never::UnknownZone },
    }
}

fn horizon(now: Millis, days: i32) -> Millis {
    now.saturating_add(Millis::from(days) * DAY)
}

/// Every round but the last moves on to a later opening of some zone: no more than there are days
/// (one more for each side, one for a repeated one), intervals a day and zones.
const fn rounds_max(days: i32) -> usize {
    (days.unsigned_abs() as usize + 3) * INTERVALS_PER_DAY_MAX * ZoneSet::CAPACITY + 1
}

/// No clock is changed more often within the longest search; the busiest, Morocco's, is changed twice
/// in a month, once a year.
const STRETCHES_MAX: usize = 8;

/// No clock is known for a zone at some time.
struct UnknownTime;

/// Each zone moves the instant on to its own next opening until none moves it any more: that is
/// the first instant at which all are open.
fn search(now: Millis, zones: &ZoneSet, schedule: &Schedule<'_>) -> Result<Option<Millis>, UnknownTime> {
    let horizon = horizon(now, schedule.days);
    let mut at = now;
    for _ in 0..rounds_max(schedule.days) {
        let before = at;
        for zone in zones.iter() {
            let clock = Clock::of(zone).ok_or(UnknownTime)?;
            match schedule.next_opening(clock, at, horizon)? {
                Some(next) => at = next,
                None => return Ok(None),
            }
        }
        if at == before {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// The first instant after `now`, at which all are open, when some zone is not. At most the horizon.
fn closing(now: Millis, zones: &ZoneSet, schedule: &Schedule<'_>) -> Millis {
    let horizon = horizon(now, HORIZON_DAYS);
    zones
        .iter()
        .filter_map(|zone| Clock::of(zone).map(|clock| schedule.closing(clock, now, horizon)))
        .min()
        .unwrap_or(now)
}

/// The hours of one contact: the intersection of everything that bounds them.
struct Schedule<'a> {
    hours: &'a Hours,
    federal: bool,
    state: Option<&'static rules::StateHours>,
    margin_ms: Millis,
    /// How far ahead an opening is sought.
    days: i32,
    /// Excluded dates and holidays close.
    dates: bool,
}

impl<'a> Schedule<'a> {
    fn new(hours: &'a Hours, rules: &Rules) -> Schedule<'a> {
        Schedule {
            hours,
            federal: rules.federal,
            state: rules.state.and_then(rules::state_hours),
            margin_ms: Millis::from(rules.margin_minutes) * MINUTE,
            days: HORIZON_DAYS,
            dates: true,
        }
    }

    /// Whether the weekly hours meet at all, were there no excluded dates and holidays: those are
    /// over at some time, so that waiting helps.
    fn may_ever_open(&self, now: Millis, zones: &ZoneSet) -> bool {
        let week = Schedule { dates: false, days: YEAR_DAYS, ..*self };
        // Nearly always it is the rules that leave nothing: no need to search a year for it.
        let never = Weekday::ALL.into_iter().all(|day| week.of_weekday(day).intervals().is_empty());
        !never && matches!(search(now, zones, &week), Ok(Some(_)))
    }

    /// The open intervals of a date.
    fn day(&self, date: Date) -> Day {
        if self.dates && self.hours.is_excluded(date) {
            return Day::CLOSED;
        }
        let day = self.of_weekday(date.weekday());
        let holidays = self.dates && self.state.is_some_and(|state| state.closed_on_holidays);
        if holidays && !day.intervals().is_empty() && holiday::is_us_federal(date) {
            return Day::CLOSED;
        }
        day
    }

    /// The open intervals of a weekday that is no holiday.
    fn of_weekday(&self, weekday: Weekday) -> Day {
        let mut day = self.hours.day(weekday);
        if self.federal {
            day = day.within(Some(rules::FEDERAL));
        }
        if let Some(state) = self.state {
            day = day.within(state.week[weekday.index()]);
        }
        day
    }

    /// Until when a local clock that shows `wall` stays open, if it is: before the end of the
    /// interval, less the margin. Intervals that meet at midnight are one.
    fn open_until(&self, wall: Millis) -> Option<Millis> {
        let mut date = Date::of_wall(wall);
        let time = wall - date.wall();
        let day = self.day(date);
        let interval = day.intervals().iter().find(|i| i.open_ms() <= time && time < i.close_ms())?;
        let mut close = interval.close_ms();
        for _ in 0..=HORIZON_DAYS {
            if close < DAY {
                break;
            }
            match self.day(date.plus_days(1)).intervals().first() {
                Some(next) if next.open_ms() == 0 => {
                    date = date.plus_days(1);
                    close = next.close_ms();
                }
                _ => break,
            }
        }
        let until = date.wall() + close - self.margin_ms;
        (wall < until).then_some(until)
    }

    /// The first time from `wall` on, before `limit`, at which a local clock is open.
    fn next_open(&self, wall: Millis, limit: Millis) -> Option<Millis> {
        let mut date = Date::of_wall(wall);
        for _ in 0..=self.days + 1 {
            if date.wall() >= limit {
                return None;
            }
            for interval in self.day(date).intervals() {
                let from = wall.max(date.wall() + interval.open_ms());
                if from < date.wall() + interval.close_ms() && self.open_until(from).is_some() {
                    return Some(from).filter(|from| *from < limit);
                }
            }
            date = date.plus_days(1);
        }
        None
    }

    /// The first instant from `at` on at which one zone is open.
    fn next_opening(
        &self,
        clock: &Clock,
        at: Millis,
        horizon: Millis,
    ) -> Result<Option<Millis>, UnknownTime> {
        let mut at = at;
        for _ in 0..STRETCHES_MAX {
            if at > horizon {
                break;
            }
            let stretch = clock.stretch(at).ok_or(UnknownTime)?;
            let end = stretch.end.min(horizon.saturating_add(1));
            if let Some(wall) = self.next_open(at + stretch.offset_ms, end + stretch.offset_ms) {
                return Ok(Some(wall - stretch.offset_ms));
            }
            // The clock is changed: look again from what it shows then.
            at = end;
        }
        Ok(None)
    }

    /// The first instant after `at`, at which the zone is open, when it is not any more.
    fn closing(&self, clock: &Clock, at: Millis, horizon: Millis) -> Millis {
        let mut at = at;
        for _ in 0..STRETCHES_MAX {
            if at >= horizon {
                break;
            }
            let Some(stretch) = clock.stretch(at) else { return at };
            let Some(until) = self.open_until(at + stretch.offset_ms) else { return at };
            let until = until - stretch.offset_ms;
            if until < stretch.end {
                return until.min(horizon);
            }
            at = stretch.end;
        }
        at.min(horizon)
    }
}

/// What the clock of a zone shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Local {
    pub date: Date,
    /// Minutes after midnight.
    pub minute: u16,
}

impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:02}:{:02}", self.date.weekday(), self.date, self.minute / 60, self.minute % 60)
    }
}

/// What the clock of `zone` shows at `now`; `None` when the zone or the time is not known.
pub fn local(now: Millis, zone: Zone) -> Option<Local> {
    let wall = now + Clock::of(zone)?.stretch(now)?.offset_ms;
    let date = Date::of_wall(wall);
    let minute = u16::try_from((wall - date.wall()) / MINUTE).unwrap_or(0);
    Some(Local { date, minute })
}

/// Which rule closes a zone's window.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Closure {
    /// The zone is not known.
    UnknownZone,
    FederalHours,
    StateHours,
    StateHoliday,
    ExcludedDate,
    CampaignHours,
    /// Inside the hours, and too near to their end.
    Margin,
}

impl Closure {
    /// A stable code.
    pub fn reason(self) -> &'static str {
        match self {
            Closure::UnknownZone => "unknown_zone",
            Closure::FederalHours => "federal_hours",
            Closure::StateHours => "state_hours",
            Closure::StateHoliday => "state_holiday",
            Closure::ExcludedDate => "excluded_date",
            Closure::CampaignHours => "campaign_hours",
            Closure::Margin => "margin",
        }
    }
}

/// One zone of a contact, explained.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ZoneView {
    pub zone: Zone,
    pub local: Option<Local>,
    /// `None`: open.
    pub closure: Option<Closure>,
}

/// For each zone what its clock shows and which rule, if any, closes it: the same rules that
/// [`check`] goes by.
pub fn explain(now: Millis, zones: &ZoneSet, hours: &Hours, rules: &Rules) -> Vec<ZoneView> {
    let schedule = Schedule::new(hours, rules);
    zones
        .iter()
        .map(|zone| {
            let stretch = Clock::of(zone).and_then(|clock| clock.stretch(now));
            let closure = match stretch {
                Some(stretch) => schedule.closure(now + stretch.offset_ms),
                None => Some(Closure::UnknownZone),
            };
            ZoneView { zone, local: local(now, zone), closure }
        })
        .collect()
}

impl Schedule<'_> {
    fn closure(&self, wall: Millis) -> Option<Closure> {
        let date = Date::of_wall(wall);
        let time = wall - date.wall();
        let weekday = date.weekday();
        let inside = |interval: &Interval| interval.open_ms() <= time && time < interval.close_ms();
        if self.open_until(wall).is_some() {
            return None;
        }
        if self.federal && !inside(&rules::FEDERAL) {
            return Some(Closure::FederalHours);
        }
        if let Some(state) = self.state {
            if !state.week[weekday.index()].as_ref().is_some_and(inside) {
                return Some(Closure::StateHours);
            }
            if state.closed_on_holidays && holiday::is_us_federal(date) {
                return Some(Closure::StateHoliday);
            }
        }
        if self.hours.is_excluded(date) {
            return Some(Closure::ExcludedDate);
        }
        if !self.hours.day(weekday).intervals().iter().any(inside) {
            return Some(Closure::CampaignHours);
        }
        Some(Closure::Margin)
    }
}
