//! Phone numbers: which texts are one, where they ring, and what time it may be there.
//!
//! A [`Number`] is a validated E.164 number that never shows itself by accident: `Debug` and
//! `Display` give the last four digits only. Its prefix says the country it was issued in
//! ([`Number::country`]), the US state ([`us_state`]) and the time zones it may ring in
//! ([`zones_of`]).

mod area;
mod country;
mod error;
mod parse;
mod place;
mod spelling;
mod world;
pub mod zone;
mod zone_names;

#[cfg(test)]
mod tests;

pub use country::{BadCountry, Country};
pub use error::NumberError;
pub use place::UsState;
pub use zone::{TooManyZones, Zone, ZoneError, ZoneSet};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// A phone number in E.164: a plus and at most 15 digits. `Copy`, 17 bytes, no allocation.
///
/// Serialized as its text. Whoever stores it seals it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number {
    /// `+` and digits; zeros behind.
    text: [u8; Number::TEXT_BYTES_MAX],
    len: u8,
}

/// A stored text that does not have the form of an E.164 number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not an E.164 number: a plus and 5 to 15 digits")]
pub struct NotE164;

impl Number {
    const TEXT_BYTES_MAX: usize = 16;
    const DIGITS_MIN: usize = 5;

    /// Reads what people write: with or without separators, in international form or as dialed
    /// within `default_region`. Accepts only numbers that are assigned to subscribers.
    pub fn parse(text: &str, default_region: Option<Country>) -> Result<Number, NumberError> {
        parse::parse(text, default_region)
    }

    /// A number that was accepted before. Checks the form only, so that stored numbers stay
    /// readable when numbering plans change.
    pub fn from_e164(text: &str) -> Result<Number, NotE164> {
        let digits = text.strip_prefix('+').ok_or(NotE164)?;
        let well_formed = (Self::DIGITS_MIN..Self::TEXT_BYTES_MAX).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_digit())
            && !digits.starts_with('0');
        if well_formed { Ok(Number::of(digits, "")) } else { Err(NotE164) }
    }

    /// From digits that were checked: together at most 15.
    fn of(code: &str, national: &str) -> Number {
        let mut text = [0; Self::TEXT_BYTES_MAX];
        let mut len = 0;
        for (slot, byte) in
            text.iter_mut().zip([b'+'].into_iter().chain(code.bytes()).chain(national.bytes()))
        {
            *slot = byte;
            len += 1;
        }
        Number { text, len }
    }

    /// The whole number, `+` and digits. The only way to it.
    pub fn as_e164(&self) -> &str {
        self.text.get(..usize::from(self.len)).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or("")
    }

    /// The digits without the plus.
    fn digits(&self) -> &str {
        self.as_e164().get(1..).unwrap_or("")
    }

    /// The last four digits: what logs, metrics and lists may show.
    pub fn last4(&self) -> &str {
        let text = self.as_e164();
        text.get(text.len().saturating_sub(4)..).unwrap_or("")
    }

    /// Where it was issued, by its prefix. Toll-free numbers of North America count as US.
    pub fn country(&self) -> Country {
        match place::of(self.digits()) {
            Some(place) => place.country,
            None if self.digits().starts_with('1') => Country::US,
            None => Country::UNKNOWN,
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "…{}", self.last4())
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Number(…{})", self.last4())
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_e164())
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Number::from_e164(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// How the zones of a person are known: part of the record of a decision to dial.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ZoneSource {
    /// The contact or the customer carries a zone of their own.
    Contact,
    /// By the prefix of the number.
    Number,
    /// Not known: nobody is called.
    Unknown,
}

/// The zones in which a person may be, and how we know.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Located {
    pub zones: ZoneSet,
    pub source: ZoneSource,
}

/// The person's own zone if it is known, else the candidate zones of their number, else none.
pub fn locate(number: &Number, own: Option<Zone>) -> Located {
    if let Some(zone) = own {
        return Located { zones: ZoneSet::one(zone), source: ZoneSource::Contact };
    }
    let zones = zones_of(number);
    let source = if zones.is_empty() { ZoneSource::Unknown } else { ZoneSource::Number };
    Located { zones, source }
}

/// The zones in which numbers with this prefix are issued; empty for toll-free and unknown ones.
pub fn zones_of(number: &Number) -> ZoneSet {
    place::of(number.digits()).map_or(ZoneSet::EMPTY, |place| place.zones)
}

/// The US state whose area code the number has. Numbers move with their owners: it decides which
/// state's calling hours and recording rules are taken, for want of an address.
pub fn us_state(number: &Number) -> Option<UsState> {
    place::of(number.digits()).and_then(|place| place.state)
}
