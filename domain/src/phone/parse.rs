//! The rules by which a text becomes a number.
//!
//! North American numbers, the bulk of most lists, are judged by the numbering plan's own rules:
//! an area code that is assigned to a US state or Canada, and an exchange from 200 that is no
//! service code. That costs well under a microsecond. Everything else goes through libphonenumber's
//! metadata, at some 10 µs. A property test holds the first way against the second.

use super::spelling::spell;
use super::{Country, Number, NumberError, place};
use phonenumber::Metadata;
use phonenumber::country::Id;
use phonenumber::metadata::{DATABASE, Descriptor};

/// E.164: country code and national number together.
const DIGITS_MAX: usize = 15;
/// Of a number of the North American plan after its country code.
const AMERICAN_DIGITS: usize = 10;

/// Free for whoever calls them, and of no place.
pub(super) const TOLL_FREE: [&str; 7] = ["800", "833", "844", "855", "866", "877", "888"];

/// Young area codes of which only some exchanges are given out yet: the library knows which.
const PARTLY_OPEN: [&str; 3] = ["274", "472", "983"];

const EMERGENCY: [&str; 14] =
    ["000", "100", "101", "102", "103", "108", "110", "111", "112", "115", "118", "119", "911", "999"];

pub(super) fn parse(text: &str, default: Option<Country>) -> Result<Number, NumberError> {
    let spelled = spell(text)?;
    let digits = spelled.digits();
    if spelled.plus {
        return international(digits);
    }
    if digits.len() <= 3 {
        return Err(short(digits));
    }
    let Some(default) = default else {
        return match digits.strip_prefix("00") {
            Some(rest) => international(rest),
            None => Err(NumberError::NoCountry),
        };
    };
    if place::is_north_american(default) {
        // 011 is what is dialed there before a country code; no number begins with a zero, so the
        // 00 of other countries cannot mean anything else either.
        let abroad = digits.strip_prefix("011").or_else(|| digits.strip_prefix("00"));
        return match abroad {
            Some(rest) if digits.len() > AMERICAN_DIGITS => international(rest),
            _ => american(digits),
        };
    }
    // What is dialed before a country code: 00 nearly everywhere, 0011 in Australia.
    match digits.strip_prefix(if default.code() == "AU" { "0011" } else { "00" }) {
        Some(rest) => international(rest),
        None => national(digits, default),
    }
}

fn short(digits: &str) -> NumberError {
    if EMERGENCY.contains(&digits) { NumberError::Emergency } else { NumberError::ShortCode }
}

/// A number of the North American plan, with or without the leading 1.
fn american(digits: &str) -> Result<Number, NumberError> {
    let national = match digits.strip_prefix('1') {
        Some(rest) if digits.len() > AMERICAN_DIGITS => rest,
        _ => digits,
    };
    if national.len() <= 3 {
        return Err(short(national));
    }
    if national.len() < AMERICAN_DIGITS {
        // Five and six digits are short codes of text messages; seven lack their area code.
        return Err(match national.len() {
            5 | 6 => NumberError::ShortCode,
            len => NumberError::TooShort { digits: u8::try_from(len).unwrap_or(u8::MAX) },
        });
    }
    if national.len() > AMERICAN_DIGITS {
        return Err(if national.len() > DIGITS_MAX {
            NumberError::TooLong
        } else {
            NumberError::WrongLength { country: Country::US, digits: count(national) }
        });
    }
    let (area, exchange) = (&national[..3], &national[3..6]);
    let place = area.parse().ok().and_then(place::area);
    let country = place.map_or(Country::US, |place| place.country);
    // N11 is a service (911, 411) wherever it stands.
    if exchange < "200" || area.ends_with("11") || exchange.ends_with("11") {
        return Err(NumberError::NotAssigned { country });
    }
    match place {
        Some(place) if matches!(place.country, Country::US | Country::CA) && !PARTLY_OPEN.contains(&area) => {
            Ok(Number::of("1", national))
        }
        Some(place) => judged(1, national, &[place.country.code()]),
        None if TOLL_FREE.contains(&area) => Ok(Number::of("1", national)),
        None if area == "900" || is_personal(area) => Err(NumberError::Premium { country }),
        None => Err(NumberError::NotAssigned { country }),
    }
}

/// Area codes of "follow me" numbers: 500 and 700, some of 5XX, and in Canada 622 and 633.
fn is_personal(area: &str) -> bool {
    matches!(area, "500" | "532" | "533" | "544" | "566" | "577" | "588" | "622" | "633" | "700")
        || (area.starts_with("52") && area != "520")
}

/// Digits that begin with a country code.
fn international(digits: &str) -> Result<Number, NumberError> {
    if let Some(rest) = digits.strip_prefix('1') {
        return american(if rest.len() == AMERICAN_DIGITS { digits } else { rest });
    }
    let Some(len) = place::calling_code(digits) else {
        return Err(if digits.is_empty() { NumberError::Empty } else { NumberError::UnknownCountryCode });
    };
    let (code, rest) = digits.split_at(len);
    if rest.len() <= 3 {
        return Err(short(rest));
    }
    let code = code.parse().map_err(|_| NumberError::UnknownCountryCode)?;
    let regions = DATABASE.region(&code).unwrap_or_default();
    let verdict = judged(code, rest, &regions);
    if !matches!(
        verdict,
        Err(NumberError::WrongLength { .. } | NumberError::NotAssigned { .. } | NumberError::TooLong)
    ) {
        return verdict;
    }
    // Mexico wrote mobile numbers with a 1 after the country code until 2019; many lists still do.
    if let (52, 11, Some(now)) = (code, rest.len(), rest.strip_prefix('1')) {
        return judged(code, now, &regions).or(verdict);
    }
    // Written with a trunk prefix, as in +44 (0)20…: it is dropped where the country has that one.
    let trunk = regions.iter().find_map(|id| DATABASE.by_id(*id)?.national_prefix());
    match trunk.and_then(|trunk| rest.strip_prefix(trunk)) {
        Some(stripped) => judged(code, stripped, &regions).or(verdict),
        None => verdict,
    }
}

/// Digits as they are dialed within a country.
fn national(digits: &str, default: Country) -> Result<Number, NumberError> {
    let id: Id = default.code().parse().map_err(|_| NumberError::NoCountry)?;
    let parsed = phonenumber::parse(Some(id), digits).map_err(|_| lengths(default, digits))?;
    let code = parsed.code().value();
    judged(code, &parsed.national().to_string(), &DATABASE.region(&code).unwrap_or_default())
}

fn lengths(country: Country, national: &str) -> NumberError {
    match national.len() {
        len if len > DIGITS_MAX => NumberError::TooLong,
        0..=3 => short(national),
        _ => NumberError::WrongLength { country, digits: count(national) },
    }
}

fn count(digits: &str) -> u8 {
    u8::try_from(digits.len()).unwrap_or(u8::MAX)
}

/// Judges a national number by the library's metadata of the regions that share the country code.
fn judged(code: u16, national: &str, regions: &[&str]) -> Result<Number, NumberError> {
    let calling = code.to_string();
    if calling.len() + national.len() > DIGITS_MAX {
        return Err(NumberError::TooLong);
    }
    let number = Number::of(&calling, national);
    let country = number.country();
    if country == Country::UNKNOWN {
        // 800, 881 and other codes of no country: unknown price and no zone.
        return Err(NumberError::UnknownCountryCode);
    }
    let metadata = || regions.iter().filter_map(|id| DATABASE.by_id(*id));
    if metadata().any(|metadata| is_costly(metadata, national)) {
        return Err(NumberError::Premium { country });
    }
    if metadata().any(|metadata| is_subscriber(metadata, national)) {
        return Ok(number);
    }
    if metadata().any(|metadata| is_machine(metadata, national)) {
        return Err(NumberError::NotAPerson { country });
    }
    let length = u16::from(count(national));
    let possible = metadata().any(|metadata| {
        let kinds = metadata.descriptors();
        [kinds.fixed_line(), kinds.mobile()]
            .into_iter()
            .flatten()
            .any(|k| k.possible_length().contains(&length))
    });
    Err(if possible { NumberError::NotAssigned { country } } else { lengths(country, national) })
}

fn is_costly(metadata: &Metadata, national: &str) -> bool {
    let kinds = metadata.descriptors();
    [kinds.premium_rate(), kinds.shared_cost(), kinds.personal_number()]
        .into_iter()
        .any(|kind| matches(kind, national))
}

fn is_machine(metadata: &Metadata, national: &str) -> bool {
    let kinds = metadata.descriptors();
    [kinds.pager(), kinds.voicemail()].into_iter().any(|kind| matches(kind, national))
}

fn is_subscriber(metadata: &Metadata, national: &str) -> bool {
    let kinds = metadata.descriptors();
    matches(Some(kinds.general()), national)
        && [kinds.fixed_line(), kinds.mobile(), kinds.voip(), kinds.toll_free(), kinds.uan()]
            .into_iter()
            .any(|kind| matches(kind, national))
}

fn matches(kind: Option<&Descriptor>, national: &str) -> bool {
    kind.is_some_and(|kind| kind.is_match(national))
}
