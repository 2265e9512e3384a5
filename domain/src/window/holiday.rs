//! Federal holidays of the United States (5 U.S.C. 6103), on which some states forbid calls.
//!
//! A holiday that falls on a weekend closes the weekday on which it is observed as well. Status:
//! common knowledge, state calendars were not read; counsel must confirm.

use super::date::{Date, Weekday};

/// Whether a federal holiday is, or is observed, on this date.
pub fn is_us_federal(date: Date) -> bool {
    let (_, month, day) = date.ymd();
    on(month, day, date.weekday())
        || moved(month, day, date.weekday())
        // New Year's Day on a Saturday is observed on the last day of the year before.
        || (month == 12 && day == 31 && date.weekday() == Weekday::Friday)
}

/// The holidays on their own dates.
fn on(month: i8, day: i8, weekday: Weekday) -> bool {
    let nth_monday = |n: i8| weekday == Weekday::Monday && (7 * n - 6..=7 * n).contains(&day);
    match month {
        1 => day == 1 || nth_monday(3),
        2 => nth_monday(3),
        5 => weekday == Weekday::Monday && day >= 25,
        6 => day == 19,
        7 => day == 4,
        9 => nth_monday(1),
        10 => nth_monday(2),
        11 => day == 11 || (weekday == Weekday::Thursday && (22..=28).contains(&day)),
        12 => day == 25,
        _ => false,
    }
}

/// The Friday before or the Monday after a holiday of fixed date that falls on a weekend.
fn moved(month: i8, day: i8, weekday: Weekday) -> bool {
    let fixed = |day: i8| matches!((month, day), (1, 1) | (6, 19) | (7, 4) | (11, 11) | (12, 25));
    match weekday {
        Weekday::Friday => fixed(day + 1),
        Weekday::Monday => fixed(day - 1),
        _ => false,
    }
}
