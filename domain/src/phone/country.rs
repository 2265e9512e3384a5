//! Countries by their ISO 3166 code.

use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A country or territory: the two capital letters of ISO 3166-1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

/// A text that is not a country code.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a country code: write the two letters of ISO 3166, such as US or DE")]
pub struct BadCountry;

impl Country {
    pub const US: Country = Country(*b"US");
    pub const CA: Country = Country(*b"CA");
    pub const GB: Country = Country(*b"GB");
    pub const DE: Country = Country(*b"DE");
    /// ISO's user-assigned code for "unknown": the country of a stored number whose prefix is not
    /// in our tables. No rule set knows it, so nothing is ever dialed there.
    pub const UNKNOWN: Country = Country(*b"ZZ");

    /// Two ASCII letters, in either case. Says nothing of whether the code is assigned.
    pub fn new(code: &str) -> Option<Country> {
        match code.as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Some(Country([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
            }
            _ => None,
        }
    }

    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("ZZ")
    }
}

impl FromStr for Country {
    type Err = BadCountry;
    fn from_str(text: &str) -> Result<Self, BadCountry> {
        Country::new(text.trim()).ok_or(BadCountry)
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Country {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Country {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Country::new(&text).ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &"two letters"))
    }
}
