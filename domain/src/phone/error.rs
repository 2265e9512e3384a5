//! Why a text is not a number that we call.

use super::Country;

/// Why a text was refused as a phone number. The messages say what to do and never repeat the
/// number; [`NumberError::reason`] is stable.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NumberError {
    #[error("the number is empty")]
    Empty,
    #[error("letters in the number: write digits only, also for a number that spells a word")]
    Letters,
    #[error("the character {0:?} has no place in a number: write digits, with + in front of a country code")]
    Character(char),
    #[error(
        "a spreadsheet rounded this number (as in 1.21E+10): format the column as text and export it again"
    )]
    Rounded,
    #[error("the number has an extension, which cannot be dialed: give the direct number")]
    Extension,
    #[error("{digits} digits are too few: write the whole number with its area code")]
    TooShort { digits: u8 },
    #[error("more than 15 digits: write one number only")]
    TooLong,
    #[error(
        "the number has no country code: write it with + and the country code, or name a default country"
    )]
    NoCountry,
    #[error("no country has this code: check the digits after the +")]
    UnknownCountryCode,
    #[error("numbers of {country} do not have {digits} digits after the country code: check the number")]
    WrongLength { country: Country, digits: u8 },
    #[error(
        "no such number is assigned in {country}: check the area code and whether the country code is right"
    )]
    NotAssigned { country: Country },
    #[error("an emergency number: it is never called")]
    Emergency,
    #[error("a short number or service code: give the number of a person")]
    ShortCode,
    #[error("a premium, shared-cost or personal-redirection number of {country}: it is never called")]
    Premium { country: Country },
    #[error("a pager or voice mail access number of {country}: give the number of a person")]
    NotAPerson { country: Country },
}

impl NumberError {
    /// A stable code for interfaces, statistics and the lists of refused lines.
    pub fn reason(&self) -> &'static str {
        match self {
            NumberError::Empty => "empty",
            NumberError::Letters => "letters",
            NumberError::Character(_) => "character",
            NumberError::Rounded => "rounded",
            NumberError::Extension => "extension",
            NumberError::TooShort { .. } => "too_short",
            NumberError::TooLong => "too_long",
            NumberError::NoCountry => "no_country",
            NumberError::UnknownCountryCode => "unknown_country_code",
            NumberError::WrongLength { .. } => "wrong_length",
            NumberError::NotAssigned { .. } => "not_assigned",
            NumberError::Emergency => "emergency",
            NumberError::ShortCode => "short_code",
            NumberError::Premium { .. } => "premium",
            NumberError::NotAPerson { .. } => "not_a_person",
        }
    }
}
