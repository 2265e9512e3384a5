//! Whether one person may be called now. The same function answers the dial transaction, the
//! campaign's claim, `explain` and `preflight`; on any doubt the answer is no.

use crate::phone::{Number, UsState, Zone, ZoneSet, locate, us_state};
use crate::row::{CompanyGate, ConsentEntry, Contacted, DialPolicy, DncEntry};
use crate::time::{DAY, Millis};
use crate::window::{self, Hours, Rules};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a person may be: what calling hours are reckoned by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Place {
    /// Empty means unknown, and closed.
    pub zones: ZoneSet,
    /// State of the United States, for its stricter hours.
    pub state: Option<UsState>,
}

impl Place {
    /// By the person's own zone if it is known, else by the prefix of the number.
    pub fn of(number: &Number, own: Option<Zone>) -> Place {
        Place { zones: locate(number, own).zones, state: us_state(number) }
    }
}

/// Which bounds hold besides a campaign's own hours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Bounds {
    /// 8 to 21 o'clock at the called person's place.
    pub federal: bool,
    /// The stricter hours of the called person's state.
    pub state: bool,
    /// The last dial is this long before closing, so that ringing does not cross it.
    pub margin_minutes: u16,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds { federal: true, state: true, margin_minutes: Rules::MARGIN_MINUTES_DEFAULT }
    }
}

/// Whether a person at this place may be called now, by the clock alone.
pub fn hours_at(now: Millis, place: &Place, hours: &Hours, bounds: Bounds) -> window::Verdict {
    let rules = Rules {
        federal: bounds.federal,
        state: if bounds.state { place.state } else { None },
        margin_minutes: bounds.margin_minutes,
    };
    window::check(now, &place.zones, hours, &rules)
}

/// What is known when the question is asked. A row that could not be read is an error before this
/// point, never an absence.
pub struct Facts<'a> {
    pub gate: Option<&'a CompanyGate>,
    pub policy: Option<&'a DialPolicy>,
    pub dnc: Option<&'a DncEntry>,
    pub consent: Option<&'a ConsentEntry>,
    pub contacted: Option<&'a Contacted>,
    pub place: &'a Place,
}

/// Why a dial is not permitted. A closed set; the codes are stable.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Bar {
    /// The company is suspended or was stopped by an operator.
    CompanyClosed,
    /// The campaign is not running, or has no policy.
    NotRunning,
    /// On the do-not-call list.
    DoNotCall,
    /// Consent is required and there is none, or it was revoked.
    NoConsent,
    /// Nobody knows the person's time zone, so every hour is closed.
    ZoneUnknown,
    /// Outside of the calling hours at the person's place; open from then on.
    OutsideHours { until: Millis },
    /// No opening within the look-ahead of [`window::HORIZON_DAYS`], and one may come after it: asked
    /// again then.
    HoursNotInSight { until: Millis },
    /// The hours leave no time at which this person could ever be called.
    HoursNever,
    /// Attempted too recently, by this or another campaign.
    TooSoon { until: Millis },
    /// Attempted often enough within 24 h.
    AttemptsToday { until: Millis },
    /// Another call to this person is alive.
    AlreadyLive,
}

impl Bar {
    /// Every code, for documentation and for tests that demand completeness.
    pub const REASONS: [&'static str; 11] = [
        "COMPANY_CLOSED",
        "CAMPAIGN_NOT_RUNNING",
        "DO_NOT_CALL",
        "NO_CONSENT",
        "ZONE_UNKNOWN",
        "OUTSIDE_HOURS",
        "HOURS_NOT_IN_SIGHT",
        "HOURS_NEVER_OPEN",
        "TOO_SOON",
        "ATTEMPTS_TODAY",
        "ALREADY_LIVE",
    ];

    pub fn reason(self) -> &'static str {
        match self {
            Bar::CompanyClosed => "COMPANY_CLOSED",
            Bar::NotRunning => "CAMPAIGN_NOT_RUNNING",
            Bar::DoNotCall => "DO_NOT_CALL",
            Bar::NoConsent => "NO_CONSENT",
            Bar::ZoneUnknown => "ZONE_UNKNOWN",
            Bar::OutsideHours { .. } => "OUTSIDE_HOURS",
            Bar::HoursNotInSight { .. } => "HOURS_NOT_IN_SIGHT",
            Bar::HoursNever => "HOURS_NEVER_OPEN",
            Bar::TooSoon { .. } => "TOO_SOON",
            Bar::AttemptsToday { .. } => "ATTEMPTS_TODAY",
            Bar::AlreadyLive => "ALREADY_LIVE",
        }
    }

    /// When it is worth asking again; `None` where time alone will not help.
    pub fn clears_at(self) -> Option<Millis> {
        match self {
            Bar::OutsideHours { until }
            | Bar::HoursNotInSight { until }
            | Bar::TooSoon { until }
            | Bar::AttemptsToday { until } => Some(until),
            Bar::CompanyClosed
            | Bar::NotRunning
            | Bar::DoNotCall
            | Bar::NoConsent
            | Bar::ZoneUnknown
            | Bar::HoursNever
            | Bar::AlreadyLive => None,
        }
    }

    /// Whether this ends the contact: no later attempt could be permitted by waiting.
    pub fn is_final(self) -> bool {
        matches!(self, Bar::DoNotCall | Bar::NoConsent | Bar::ZoneUnknown | Bar::HoursNever)
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Bar::CompanyClosed => "the company may not dial",
            Bar::NotRunning => "the campaign is not running",
            Bar::DoNotCall => "the person is on the do-not-call list",
            Bar::NoConsent => "consent is required and not on record",
            Bar::ZoneUnknown => "the person's time zone is not known",
            Bar::OutsideHours { .. } => "outside of the calling hours at the person's place",
            Bar::HoursNotInSight { .. } => "no calling hours at the person's place within the next 14 days",
            Bar::HoursNever => "the calling hours never allow a call to this person",
            Bar::TooSoon { .. } => "the person was attempted too recently",
            Bar::AttemptsToday { .. } => "the person was attempted often enough within 24 hours",
            Bar::AlreadyLive => "another call to this person is alive",
        })
    }
}

/// All rules in order; the first that bars wins.
///
/// # Errors
/// The bar.
pub fn permitted(now: Millis, facts: &Facts<'_>) -> Result<(), Bar> {
    match all_bars(now, facts).next() {
        Some(bar) => Err(bar),
        None => Ok(()),
    }
}

/// Every bar that stands, in the order of the rules: what `explain` shows.
pub fn all_bars<'a>(now: Millis, facts: &'a Facts<'a>) -> impl Iterator<Item = Bar> + 'a {
    let rules: [fn(Millis, &Facts<'_>) -> Option<Bar>; 6] =
        [company, do_not_call, running, consent, hours, frequency];
    rules.into_iter().filter_map(move |rule| rule(now, facts))
}

fn company(_: Millis, f: &Facts<'_>) -> Option<Bar> {
    // A company without a gate row does not exist, so it may not dial.
    (!f.gate.is_some_and(|g| g.open)).then_some(Bar::CompanyClosed)
}

fn do_not_call(_: Millis, f: &Facts<'_>) -> Option<Bar> {
    f.dnc.is_some().then_some(Bar::DoNotCall)
}

fn running(_: Millis, f: &Facts<'_>) -> Option<Bar> {
    (!f.policy.is_some_and(|p| p.running)).then_some(Bar::NotRunning)
}

fn consent(_: Millis, f: &Facts<'_>) -> Option<Bar> {
    // A revocation binds whether or not the policy asks for consent, and from its commit on: the
    // clock of whoever took it down may be ahead of this one.
    let revoked = f.consent.is_some_and(|c| c.revoked_at.is_some());
    let missing = f.policy.is_some_and(|p| p.consent_required) && f.consent.is_none();
    (revoked || missing).then_some(Bar::NoConsent)
}

fn hours(now: Millis, f: &Facts<'_>) -> Option<Bar> {
    let policy = f.policy?;
    match hours_at(now, f.place, &policy.hours, policy.bounds) {
        window::Verdict::Open { .. } => None,
        window::Verdict::Closed { opens_at } => Some(Bar::OutsideHours { until: opens_at }),
        window::Verdict::NotInSight { look_at } => Some(Bar::HoursNotInSight { until: look_at }),
        window::Verdict::Never { why: window::Never::NoZone | window::Never::UnknownZone } => {
            Some(Bar::ZoneUnknown)
        }
        window::Verdict::Never { why: window::Never::NoCommonHours } => Some(Bar::HoursNever),
    }
}

fn frequency(now: Millis, f: &Facts<'_>) -> Option<Bar> {
    let policy = f.policy?;
    let contacted = f.contacted?;
    if contacted.live.is_some() {
        return Some(Bar::AlreadyLive);
    }
    let last = contacted.attempts.last().copied()?;
    if now < last + policy.gap_ms {
        return Some(Bar::TooSoon { until: last + policy.gap_ms });
    }
    let a_day = usize::from(policy.attempts_a_day).min(Contacted::MAX);
    let today = contacted.attempts.iter().filter(|at| **at > now - DAY).count();
    if a_day > 0 && today >= a_day {
        // Free again when the oldest of the newest `a_day` attempts is a day old.
        let oldest = contacted.attempts[contacted.attempts.len() - a_day];
        return Some(Bar::AttemptsToday { until: oldest + DAY });
    }
    None
}
