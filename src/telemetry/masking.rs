//! Phone numbers never reach a log, nor do API keys.
//!
//! Whoever logs a number masks it with [`mask`]. Behind that stands [`Masked`], which looks at every
//! line on its way out and masks whatever looks like a number: something may come in an error text of
//! a carrier, or in a value that nobody thought of.

use std::borrow::Cow;
use std::io;
use tracing_subscriber::fmt::MakeWriter;

/// A phone number as it may be shown: at most its last four characters.
pub use tandem_providers::masked as mask;

/// Fewest digits of a number in international form, behind its `+`.
const INTERNATIONAL_DIGITS_MIN: usize = 7;
/// Fewest digits of a number without a `+`: a North American one has ten.
const PLAIN_DIGITS_MIN: usize = 10;
const DIGITS_SHOWN: usize = 4;
/// How API keys begin, and how long the part is that does no harm: prefix and public id.
const API_KEY: &[u8] = b"tdm_";
const API_KEY_SHOWN: usize = 20;

/// A text in which whatever looks like a phone number shows at most its last four digits.
///
/// With a `+` (or `%2B`, as forms write it) before them, seven digits are a number; without, ten, apart
/// or together, with spaces, dots, dashes and brackets among them. UUIDs, addresses, dates and numbers
/// that are part of a word are left as they are. A plain number of ten digits or more is masked, whatever
/// it counts: such a count belongs into a metric.
///
/// Where the text is a JSON object, it stays one: a number that is masked becomes a string.
pub fn masked_text(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let is_json = text.starts_with('{');
    let mut masked: Option<String> = None;
    let (mut at, mut copied, mut in_string) = (0, 0, false);
    while at < bytes.len() {
        if let Some(found) = candidate(bytes, at) {
            if let Some(shown) = found.masked {
                let quote = if is_json && !in_string { "\"" } else { "" };
                let masked = masked.get_or_insert_with(|| String::with_capacity(text.len()));
                masked.push_str(&text[copied..found.start]);
                masked.extend([quote, &shown, quote]);
                copied = found.end;
            }
            at = found.end;
            continue;
        }
        match bytes[at] {
            b'"' => in_string = !in_string,
            // What is escaped is no quote, and an `n` there no beginning of a word.
            b'\\' if is_json => at += 1,
            _ => {}
        }
        at += 1;
    }
    match masked {
        None => Cow::Borrowed(text),
        Some(mut masked) => {
            masked.push_str(&text[copied..]);
            Cow::Owned(masked)
        }
    }
}

/// Something that begins with a digit or a plus.
struct Candidate {
    start: usize,
    /// Behind it: where to look on.
    end: usize,
    /// What stands instead, if it must not be seen.
    masked: Option<String>,
}

/// What begins at this place, if a number may begin there.
fn candidate(bytes: &[u8], at: usize) -> Option<Candidate> {
    if let Some(prefix) = plus(bytes, at) {
        let run = Run::at(bytes, at + prefix);
        return (run.digits > 0).then(|| run.candidate(bytes, at, run.digits >= INTERNATIONAL_DIGITS_MIN));
    }
    let first = bytes[at];
    let bracket =
        matches!(bytes[at..], [b'(', a, b, c, b')', ..] if [a, b, c].iter().all(u8::is_ascii_digit));
    if !first.is_ascii_alphanumeric() && !bracket {
        return None;
    }
    // The rest of a word: an id, a unit, a name.
    let word = bytes[at..].iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
    let harmless = |end: usize| Candidate { start: at, end, masked: None };
    if let Some(end) = api_key(bytes, at) {
        let shown = String::from_utf8_lossy(&bytes[at..at + API_KEY_SHOWN]);
        return Some(Candidate { start: at, end, masked: Some(format!("{shown}***")) });
    }
    if is_uuid(&bytes[at..]) {
        return Some(harmless(at + 36));
    }
    if !bracket && !bytes[at..at + word].iter().all(u8::is_ascii_digit) {
        return Some(harmless(at + word));
    }
    let run = Run::at(bytes, at);
    if run.digits == 0 {
        return None;
    }
    if is_date(&bytes[at..]) {
        return Some(harmless(at + 10));
    }
    if run.digits >= PLAIN_DIGITS_MIN && !run.is_address_or_fraction() {
        return Some(run.candidate(bytes, at, true));
    }
    // Only its first group is known to be none: a number may begin with the next.
    Some(harmless(at + word.max(1)))
}

/// Where an API key that begins here ends.
fn api_key(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes[at..].strip_prefix(API_KEY)?;
    let length = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')).count();
    (API_KEY.len() + length > API_KEY_SHOWN).then_some(at + API_KEY.len() + length)
}

/// `2026-11-20`, whatever follows but a digit.
fn is_date(bytes: &[u8]) -> bool {
    let digits = |from: usize, to: usize| {
        let text = bytes.get(from..to).and_then(|part| std::str::from_utf8(part).ok());
        text.filter(|text| text.bytes().all(|b| b.is_ascii_digit())).and_then(|text| text.parse().ok())
    };
    bytes.get(4) == Some(&b'-')
        && bytes.get(7) == Some(&b'-')
        && digits(0, 4).is_some_and(|year: u16| (1970..2200).contains(&year))
        && digits(5, 7).is_some_and(|month| (1..=12).contains(&month))
        && digits(8, 10).is_some_and(|day| (1..=31).contains(&day))
        && !bytes.get(10).is_some_and(u8::is_ascii_digit)
}

/// Length of a plus sign at this place.
fn plus(bytes: &[u8], at: usize) -> Option<usize> {
    match &bytes[at..] {
        [b'+', ..] => Some(1),
        [b'%', b'2', b'B' | b'b', ..] => Some(3),
        _ => None,
    }
}

fn is_uuid(bytes: &[u8]) -> bool {
    const DASHES: [usize; 4] = [8, 13, 18, 23];
    bytes.len() >= 36
        && bytes[..36]
            .iter()
            .enumerate()
            .all(|(i, b)| if DASHES.contains(&i) { *b == b'-' } else { b.is_ascii_hexdigit() })
        && bytes.get(36).is_none_or(|b| !b.is_ascii_alphanumeric())
}

/// Digits with separators among them.
struct Run {
    digits: usize,
    /// Behind the last digit.
    end: usize,
    /// Lengths of the groups, and the separator before each but the first.
    groups: Vec<(u8, usize)>,
}

impl Run {
    /// Separators that may stand next to each other, as in `) ` and ` (`.
    const SEPARATORS_MAX: usize = 2;
    /// More digits than any number has are looked at together all the same.
    const DIGITS_MAX: usize = 40;

    fn at(bytes: &[u8], start: usize) -> Run {
        let mut run = Run { digits: 0, end: start, groups: Vec::new() };
        let (mut at, mut separator, mut separators) = (start, 0, 0);
        while let Some(byte) = bytes.get(at) {
            if byte.is_ascii_digit() {
                if separators > 0 || run.groups.is_empty() {
                    run.groups.push((separator, 0));
                }
                if let Some((_, length)) = run.groups.last_mut() {
                    *length += 1;
                }
                run.digits += 1;
                separators = 0;
                run.end = at + 1;
                if run.digits == Run::DIGITS_MAX {
                    break;
                }
            } else if matches!(byte, b' ' | b'-' | b'.' | b'(' | b')') && separators < Run::SEPARATORS_MAX {
                separator = *byte;
                separators += 1;
            } else {
                break;
            }
            at += 1;
        }
        // Digits at the beginning of a word belong to the word.
        if bytes.get(run.end).is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_')
            && run.groups.len() > 1
            && let Some((_, length)) = run.groups.pop()
        {
            run.digits -= length;
            run.end -= length;
            while run.end > start && !bytes[run.end - 1].is_ascii_digit() {
                run.end -= 1;
            }
        }
        run
    }

    /// `192.168.100.200`, `3521.1234567`: dots, and no group of four at the end.
    fn is_address_or_fraction(&self) -> bool {
        let dotted =
            self.groups.len() > 1 && self.groups[1..].iter().all(|(separator, _)| *separator == b'.');
        let address = self.groups.iter().all(|(_, length)| *length <= 3);
        let fraction = self.groups.len() == 2;
        dotted && (address || fraction)
    }

    fn candidate(&self, bytes: &[u8], start: usize, is_number: bool) -> Candidate {
        let shown = if self.digits >= 2 * DIGITS_SHOWN { DIGITS_SHOWN } else { 0 };
        let digits = bytes[start..self.end].iter().rev().filter(|b| b.is_ascii_digit()).take(shown);
        let mut tail: Vec<u8> = digits.copied().collect();
        tail.reverse();
        let tail = String::from_utf8(tail).unwrap_or_default();
        let masked = is_number.then(|| format!("***{tail}"));
        Candidate { start, end: self.end.max(start + 1), masked }
    }
}

/// Masks what is written, line by line as the formatter gives it.
#[derive(Clone, Debug)]
pub struct Masked<W>(pub W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Masked<W> {
    type Writer = Masked<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Masked(self.0.make_writer())
    }

    fn make_writer_for(&'a self, meta: &tracing::Metadata<'_>) -> Self::Writer {
        Masked(self.0.make_writer_for(meta))
    }
}

impl<W: io::Write> io::Write for Masked<W> {
    /// The formatter gives a whole line at once, so that no number is cut in two.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        self.0.write_all(masked_text(&text).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_masked_in_any_form() {
        for (text, expected) in [
            ("to=+15551234567 from=\"+442071838750\"", "to=***4567 from=\"***8750\""),
            ("{\"to\":\"+15551234567\"}", "{\"to\":\"***4567\"}"),
            ("To=%2B15551234567&From=%2b15557654321", "To=***4567&From=***4321"),
            ("call (555) 123-4567 now", "call ***4567 now"),
            ("555.123.4567, 555-123-4567 and 555 123 4567.", "***4567, ***4567 and ***4567."),
            ("+1 (555) 123-4567", "***4567"),
            ("+49 30 901820", "***1820"),
            ("number 15551234567 refused", "number ***4567 refused"),
            ("tel:+15551234567;ext=1", "tel:***4567;ext=1"),
            ("x+15551234567x", "x***4567x"),
            ("sip:15551234567@host", "sip:***4567@host"),
            ("\"+4930123\"", "\"***\""),
            ("{\"n\":15551234567,\"e\":\"a\\n15551234567\"}", "{\"n\":\"***4567\",\"e\":\"a\\n***4567\"}"),
            ("{\"e\":\"a \\\"15551234567\\\"\"}", "{\"e\":\"a \\\"***4567\\\"\"}"),
            ("2012-34-56-7890 and 2026-11-2000", "***7890 and ***2000"),
            ("Bearer tdm_0123456789abcdef_AbC-dEf_0", "Bearer tdm_0123456789abcdef***"),
            ("Some(15551234567)", "Some(***4567)"),
            ("ünïcode +15551234567 ünïcode", "ünïcode ***4567 ünïcode"),
            ("+155512345678901234567890", "***7890"),
        ] {
            assert_eq!(masked_text(text), expected, "{text}");
        }
    }

    #[test]
    fn other_digits_are_left() {
        for text in [
            "",
            "attempt=3 of 5 after 900000 ms",
            "2026-11-20T09:35:15.123456Z  INFO tandem: started",
            "2026-11-20 09:35:15.123456",
            "from 2026-11-20 to 2026-12-24",
            "key tdm_0123456789abcdef",
            "call=01990c1e-8b1c-7cc0-9a51-024211112222",
            "sid=CA01234567890123456789012345678901",
            "listening on 192.168.100.200:7350 and [::1]:7350",
            "took 12.345678901s, then 3521.1234567",
            "key tdm_0123456789012345",
            "src/node.rs:120 thread 12",
            "1 + 2 = 3",
            "+",
            "%2B",
            "(a) (b)",
        ] {
            assert_eq!(masked_text(text), text);
            assert!(matches!(masked_text(text), Cow::Borrowed(_)));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_number_gets_through(
            before in "(.{0,20}[ \"=:,;/<])?",
            after in "([ \",;<)&].{0,20})?",
            digits in proptest::collection::vec(0..10_u8, 10..15),
            separators in proptest::collection::vec("[-. ]?", 14),
            plus in "(\\+|%2B)?",
        ) {
            // Without a plus, a number of dots alone may be an address or a fraction.
            let separator = |n: usize| if plus.is_empty() && separators[n] == "." { "-" } else { &separators[n] };
            let number: String = digits.iter().enumerate().map(|(n, digit)| {
                format!("{}{digit}", if n == 0 { "" } else { separator(n - 1) })
            }).collect();
            let text = format!("{before}{plus}{number}{after}");
            let masked = masked_text(&text);
            proptest::prop_assert!(!masked.contains(&number), "{text} gave {masked}");
        }

        #[test]
        fn any_text_is_read(text in ".{0,200}", digits in "[-+0-9. ()%2Ba-f]{0,100}") {
            masked_text(&text);
            masked_text(&digits);
            masked_text(&format!("{{{text}{digits}"));
        }
    }

    #[test]
    fn a_line_is_written_whole() {
        let mut out = Vec::new();
        io::Write::write_all(&mut Masked(&mut out), b"to=+15551234567 \xff\n").unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "to=***4567 \u{fffd}\n");
    }
}
