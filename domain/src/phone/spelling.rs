//! From what people and spreadsheets write to plain digits.

use super::NumberError;

/// The digits of a number as written, without separators.
pub(super) struct Spelled {
    /// Written with a plus: the digits begin with a country code.
    pub plus: bool,
    digits: [u8; Spelled::DIGITS_MAX],
    len: usize,
}

impl Spelled {
    /// 15 of E.164 and room for an international prefix such as 0011.
    pub const DIGITS_MAX: usize = 20;

    pub fn digits(&self) -> &str {
        std::str::from_utf8(&self.digits[..self.len]).unwrap_or("")
    }
}

/// Longer texts are refused unread.
const TEXT_BYTES_MAX: usize = 96;

pub(super) fn spell(text: &str) -> Result<Spelled, NumberError> {
    let text = text.trim();
    if text.len() > TEXT_BYTES_MAX {
        return Err(NumberError::TooLong);
    }
    // Spreadsheets mark a cell as text with an apostrophe.
    let text = text.strip_prefix('\'').unwrap_or(text);
    let text = match text.get(..4) {
        Some(scheme) if scheme.eq_ignore_ascii_case("tel:") => &text[4..],
        _ => text,
    };
    let mut out = Spelled { plus: false, digits: [0; Spelled::DIGITS_MAX], len: 0 };
    for (at, c) in text.char_indices() {
        if let Some(digit) = digit(c) {
            let Some(slot) = out.digits.get_mut(out.len) else { return Err(NumberError::TooLong) };
            *slot = b'0' + digit;
            out.len += 1;
        } else if matches!(c, '+' | '＋') && out.len == 0 && !out.plus {
            out.plus = true;
        } else if !is_separator(c) {
            return Err(refuse(c, &text[at..], out.len));
        }
    }
    if out.len == 0 {
        return Err(NumberError::Empty);
    }
    Ok(out)
}

fn digit(c: char) -> Option<u8> {
    let zero = match c {
        '0'..='9' => '0',
        '\u{ff10}'..='\u{ff19}' => '\u{ff10}',
        '\u{0660}'..='\u{0669}' => '\u{0660}',
        '\u{06f0}'..='\u{06f9}' => '\u{06f0}',
        _ => return None,
    };
    u8::try_from(u32::from(c) - u32::from(zero)).ok()
}

fn is_separator(c: char) -> bool {
    matches!(c, '-' | '.' | '(' | ')' | '[' | ']' | '/' | '·' | '\u{2212}' | '\u{2010}'..='\u{2015}')
        // Marks of writing direction and of no width come along when a number is copied from a page.
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
        || c.is_whitespace()
}

/// Says what is wrong at `c`, the start of `rest`, after `digits` digits.
fn refuse(c: char, rest: &str, digits: usize) -> NumberError {
    let tail = rest.trim_start_matches(|c: char| !c.is_ascii_digit());
    let mark = rest[..rest.len() - tail.len()].trim().trim_matches(['.', ':', '=', '-', ' ']);
    let whole = !tail.is_empty() && tail.bytes().all(|b| b.is_ascii_digit());
    if matches!(c, 'e' | 'E') && whole && matches!(mark, "e+" | "E+" | "e" | "E") && digits > 0 {
        return NumberError::Rounded;
    }
    let extension = ["x", "ext", "extn", "extension", ";ext", "#", ",", ";", "ap", "app"];
    if digits >= 7 && whole && extension.iter().any(|known| mark.eq_ignore_ascii_case(known)) {
        return NumberError::Extension;
    }
    if c.is_alphabetic() { NumberError::Letters } else { NumberError::Character(c) }
}
