//! Legal bounds of calling hours, as data.
//!
//! The engine takes the intersection of the federal hours, the state's and the campaign's. The
//! state table comes from one secondary survey and is a default of caution, not advice: counsel
//! must confirm each line before it is relied on, and may change it without touching the engine.

use super::date::Weekday;
use super::hours::Interval;
use crate::phone::{Number, UsState, us_state};
use serde::{Deserialize, Serialize};

/// Changes whenever a line below does; stands in the record of each decision.
pub const RULES_VERSION: u32 = 1;

/// How far a rule can be trusted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// The official text was read, whole or as a quotation.
    Official,
    /// Secondary source: counsel must confirm.
    Secondary,
}

impl Status {
    pub fn text(self) -> &'static str {
        match self {
            Status::Official => "official text",
            Status::Secondary => "secondary: counsel must confirm",
        }
    }
}

/// No solicitation before 8 or after 21 o'clock, local time of the called party.
/// 47 CFR 64.1200(c)(1); 16 CFR 310.4(c).
pub const FEDERAL: Interval = Interval::hours(8, 21);
pub const FEDERAL_STATUS: Status = Status::Official;

/// The calling hours of one state.
#[derive(Clone, Copy, Debug)]
pub struct StateHours {
    /// Two capital letters.
    pub state: &'static str,
    /// From Monday to Sunday; `None`: no calls on that day.
    pub week: [Option<Interval>; 7],
    /// No calls on holidays (see [`super::holiday`]).
    pub closed_on_holidays: bool,
    /// Calls to one person within 24 hours on one subject.
    pub calls_per_day_max: Option<u8>,
    pub source: &'static str,
    pub status: Status,
    /// Date from which it holds (`2026-01-01`), where the source gives one.
    pub effective: Option<&'static str>,
    /// Who of counsel confirmed it; `None`: nobody yet.
    pub confirmed_by: Option<&'static str>,
}

const SURVEY: &str = "multi-state telemarketing survey, secondary, no state code read";

const fn daily(state: &'static str, open: u16, close: u16) -> StateHours {
    StateHours {
        state,
        week: [Some(Interval::hours(open, close)); 7],
        closed_on_holidays: false,
        calls_per_day_max: None,
        source: SURVEY,
        status: Status::Secondary,
        effective: None,
        confirmed_by: None,
    }
}

impl StateHours {
    const fn sunday(mut self, hours: Option<Interval>) -> StateHours {
        self.week[Weekday::Sunday.index()] = hours;
        self
    }

    const fn saturday(mut self, hours: Option<Interval>) -> StateHours {
        self.week[Weekday::Saturday.index()] = hours;
        self
    }

    const fn no_holidays(mut self) -> StateHours {
        self.closed_on_holidays = true;
        self
    }

    const fn at_most(mut self, calls: u8) -> StateHours {
        self.calls_per_day_max = Some(calls);
        self
    }
}

/// States whose hours are stricter than the federal ones. Maine's and California's lines are for
/// automated calls, which artificial voices are (FCC 24-17).
pub static STATE_HOURS: [StateHours; 19] = [
    daily("AL", 8, 20).sunday(None).no_holidays(),
    daily("CA", 9, 21),
    daily("CT", 9, 20),
    daily("FL", 8, 20).at_most(3),
    daily("KY", 10, 21),
    daily("LA", 8, 20).sunday(None).no_holidays(),
    daily("MA", 8, 20),
    daily("MD", 8, 20).at_most(3),
    daily("ME", 9, 17).saturday(None).sunday(None),
    daily("MI", 9, 21),
    daily("MN", 9, 21),
    daily("MS", 8, 20).sunday(None),
    daily("OK", 8, 20).at_most(3),
    daily("PA", 8, 21).sunday(Some(Interval::hours(12, 21))).no_holidays(),
    daily("RI", 9, 18).saturday(Some(Interval::hours(10, 17))).sunday(None).no_holidays(),
    daily("TX", 9, 21).sunday(Some(Interval::hours(12, 21))),
    daily("UT", 8, 21).sunday(None).no_holidays(),
    daily("WA", 8, 20),
    daily("WY", 8, 20),
];

/// The stricter hours of a state, where it has any.
pub fn state_hours(state: UsState) -> Option<&'static StateHours> {
    let at = STATE_HOURS.binary_search_by(|rule| rule.state.cmp(state.code())).ok()?;
    STATE_HOURS.get(at)
}

/// States in which all parties must agree to a recording, as most published lists give them, and
/// those in doubt. Status: secondary, counsel must confirm each.
pub const ALL_PARTY_RECORDING: [&str; 14] =
    ["CA", "CT", "DE", "FL", "IL", "MA", "MD", "MI", "MT", "NH", "NV", "OR", "PA", "WA"];

/// Whether a recording in this state must be announced and agreed to before it begins.
pub fn needs_all_party_consent(state: UsState) -> bool {
    ALL_PARTY_RECORDING.contains(&state.code())
}

/// What bounds the hours of one contact beside the campaign's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rules {
    /// Apply the federal hours. Other countries have theirs; these stand in for them.
    pub federal: bool,
    /// Apply the stricter hours of this state, if it has any.
    pub state: Option<UsState>,
    /// The last dial is this long before closing, so that ringing does not cross it.
    pub margin_minutes: u16,
}

impl Rules {
    pub const MARGIN_MINUTES_DEFAULT: u16 = 5;

    /// The rules that hold for a number, by its area code.
    pub fn for_number(number: &Number) -> Rules {
        Rules { state: us_state(number), ..Rules::default() }
    }

    /// No legal bounds and no margin: the campaign's hours alone.
    pub fn none() -> Rules {
        Rules { federal: false, state: None, margin_minutes: 0 }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Rules { federal: true, state: None, margin_minutes: Rules::MARGIN_MINUTES_DEFAULT }
    }
}
