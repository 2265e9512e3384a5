//! How calls are to be made: from a file, from options, or both.

mod file;
mod flags;

pub use file::{CampaignFile, example, read};
pub use flags::{PlanFlags, SettingsFlags};

use super::failure::Failure;
use std::collections::BTreeMap;
use tandem_domain::window::{Hours, Weekday};
use tandem_proto::v1;

/// Reads `name=value` pairs.
///
/// # Errors
/// A pair that is none, or a name that comes twice.
pub fn variables(pairs: &[String]) -> Result<BTreeMap<String, v1::Variable>, Failure> {
    let mut variables = BTreeMap::new();
    for pair in pairs {
        let bad = || Failure::usage(format!("--var {pair}: expected NAME=VALUE, each name once"));
        let (name, value) = pair.split_once('=').ok_or_else(bad)?;
        let value = v1::Variable { value: Some(v1::variable::Value::Text(value.to_owned())) };
        if name.is_empty() || variables.insert(name.to_owned(), value).is_some() {
            return Err(bad());
        }
    }
    Ok(variables)
}

/// A week such as `Mon-Fri 09:00-17:30; Sat 10:00-14:00` as messages hold it.
///
/// # Errors
/// What is wrong with it.
fn week(text: &str) -> Result<Vec<v1::calling_hours::Day>, String> {
    let hours: Hours = text.parse().map_err(|error: tandem_domain::window::HoursError| error.to_string())?;
    let interval = |interval: &tandem_domain::window::Interval| v1::calling_hours::Interval {
        open_minute: interval.open_minute().into(),
        close_minute: interval.close_minute().into(),
    };
    let day = |(number, weekday)| v1::calling_hours::Day {
        day: number,
        intervals: hours.intervals(weekday).iter().map(interval).collect(),
    };
    Ok((1..).zip(Weekday::ALL).map(day).filter(|day| !day.intervals.is_empty()).collect())
}

/// A date such as `2026-12-25` as messages hold it.
fn date(text: &str) -> Result<v1::Date, String> {
    let bad = || format!("{text:?} is no date such as 2026-12-25, from 1970 to 2119");
    let civil: jiff::civil::Date = text.trim().parse().map_err(|_| bad())?;
    if !(1970..=2119).contains(&civil.year()) {
        return Err(bad());
    }
    Ok(v1::Date { year: civil.year().into(), month: civil.month().into(), day: civil.day().into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_read() {
        let read = variables(&["order=A=17".into(), "empty=".into()]).unwrap();
        assert_eq!(read["order"].value, Some(v1::variable::Value::Text("A=17".into())));
        assert_eq!(read.len(), 2);
        for pairs in [vec!["order"], vec!["=x"], vec!["a=1", "a=2"]] {
            let pairs: Vec<String> = pairs.into_iter().map(str::to_owned).collect();
            assert!(variables(&pairs).is_err(), "{pairs:?}");
        }
    }

    #[test]
    fn weeks_are_read() {
        let days = week("Mon-Tue 09:00-12:00, 13:00-17:30; Sun 10:00-24:00").unwrap();
        let numbers: Vec<i32> = days.iter().map(|day| day.day).collect();
        assert_eq!(numbers, [1, 2, 7]);
        assert_eq!((days[0].intervals[1].open_minute, days[2].intervals[0].close_minute), (780, 1_440));
        assert!(week("always").is_err() && week("").is_err());
    }

    #[test]
    fn dates_are_read() {
        assert_eq!(date("2026-12-25"), Ok(v1::Date { year: 2026, month: 12, day: 25 }));
        for text in ["", "2026-02-30", "25.12.2026", "1800-01-01"] {
            assert!(date(text).is_err(), "{text}");
        }
    }
}
