//! Country, US state and zones of a number, by its prefix.

use super::area::AREAS;
use super::world::PREFIXES;
use super::{Country, Zone, ZoneSet};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

/// A state of the United States or the District of Columbia: two capital letters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UsState([u8; 2]);

impl UsState {
    /// Two ASCII letters, in either case. Says nothing of whether there is such a state.
    pub fn new(code: &str) -> Option<UsState> {
        match code.as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Some(UsState([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
            }
            _ => None,
        }
    }

    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("??")
    }
}

impl fmt::Display for UsState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for UsState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Where numbers with one prefix are issued.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub country: Country,
    pub state: Option<UsState>,
    pub zones: ZoneSet,
}

struct Places {
    /// By area code less 200.
    areas: Vec<Option<Place>>,
    prefixes: HashMap<u32, Place>,
    /// The countries that share calling code 1.
    american: Vec<Country>,
}

const AREA_FIRST: usize = 200;
const AREA_COUNT: usize = 800;
const PREFIX_DIGITS_MAX: usize = 7;

fn places() -> &'static Places {
    static PLACES: OnceLock<Places> = OnceLock::new();
    PLACES.get_or_init(|| {
        let mut areas = vec![None; AREA_COUNT];
        for line in AREAS.lines() {
            for (code, place) in area_line(line) {
                areas[code] = Some(place);
            }
        }
        let mut american: Vec<Country> = areas.iter().flatten().map(|place: &Place| place.country).collect();
        american.sort_unstable();
        american.dedup();
        Places { areas, prefixes: PREFIXES.lines().filter_map(prefix_line).collect(), american }
    })
}

/// The area codes (less 200) of one line of the table. Lines are tested to be well formed; a bad
/// one would give nothing, which closes its numbers.
fn area_line(line: &str) -> Vec<(usize, Place)> {
    let mut words = line.split_ascii_whitespace();
    let (Some(at), Some(zones)) = (words.next(), words.next()) else { return Vec::new() };
    let (country, state) = match at.split_once('-') {
        Some((country, state)) => (country, UsState::new(state)),
        None => (at, None),
    };
    let (Some(country), Some(zones)) = (Country::new(country), zone_list(zones)) else { return Vec::new() };
    words
        .filter_map(|code| code.parse::<usize>().ok()?.checked_sub(AREA_FIRST))
        .filter(|code| *code < AREA_COUNT)
        .map(|code| (code, Place { country, state, zones }))
        .collect()
}

fn prefix_line(line: &str) -> Option<(u32, Place)> {
    let mut words = line.split_ascii_whitespace();
    let prefix = words.next()?.parse().ok()?;
    let country = Country::new(words.next()?)?;
    Some((prefix, Place { country, state: None, zones: zone_list(words.next()?)? }))
}

fn zone_list(names: &str) -> Option<ZoneSet> {
    let mut zones = ZoneSet::EMPTY;
    for name in names.split(',') {
        zones.insert(Zone::by_name(name)?).ok()?;
    }
    Some(zones)
}

/// The place of an area code of the North American plan; `None` when it belongs to no place.
pub(super) fn area(code: usize) -> Option<&'static Place> {
    places().areas.get(code.checked_sub(AREA_FIRST)?)?.as_ref()
}

/// The place of a number by the digits of its international form (no plus).
pub(super) fn of(digits: &str) -> Option<&'static Place> {
    if digits.starts_with('1') {
        return area(digits.get(1..4)?.parse().ok()?);
    }
    let places = places();
    (1..=PREFIX_DIGITS_MAX.min(digits.len())).rev().find_map(|len| {
        let prefix: u32 = digits.get(..len)?.parse().ok()?;
        places.prefixes.get(&prefix)
    })
}

/// How many digits the calling code has that these digits begin with; `None` when no country has
/// such a code.
pub(super) fn calling_code(digits: &str) -> Option<usize> {
    (1..=3.min(digits.len())).find(|len| {
        let prefix = digits.get(..*len).and_then(|prefix| prefix.parse().ok());
        prefix.is_some_and(|prefix: u32| places().prefixes.contains_key(&prefix))
    })
}

/// Whether a country is part of the North American plan.
pub(super) fn is_north_american(country: Country) -> bool {
    places().american.binary_search(&country).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_both_tables_is_read() {
        for line in AREAS.lines().filter(|line| !line.is_empty()) {
            let words = line.split_ascii_whitespace().count();
            assert_eq!(area_line(line).len(), words - 2, "{line}");
        }
        for line in PREFIXES.lines().filter(|line| !line.is_empty()) {
            assert!(prefix_line(line).is_some(), "{line}");
            assert_eq!(line.split_ascii_whitespace().count(), 3, "{line}");
        }
    }

    #[test]
    fn no_prefix_and_no_area_code_is_listed_twice() {
        let prefixes: Vec<&str> = PREFIXES.lines().filter_map(|line| line.split(' ').next()).collect();
        let mut once = prefixes.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), prefixes.len());
        let mut codes: Vec<usize> = AREAS.lines().flat_map(area_line).map(|(code, _)| code).collect();
        let listed = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), listed);
    }

    #[test]
    fn every_state_has_an_area_code() {
        let mut states: Vec<UsState> =
            AREAS.lines().flat_map(area_line).filter_map(|(_, place)| place.state).collect();
        states.sort_unstable();
        states.dedup();
        assert_eq!(states.len(), 51);
    }
}
