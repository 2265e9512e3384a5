//! What a value can be.

use super::problem::Place;
use super::tree::{Node, Raw};
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// From where relative paths are reckoned.
#[derive(Clone, Debug, Default)]
pub struct Base {
    /// The directory of the file. Paths from the environment are reckoned from the working directory.
    pub directory: PathBuf,
}

/// A type that a setting can have.
pub trait Value: Sized {
    /// What is expected, in words that follow "expected".
    const EXPECTED: &'static str;

    /// # Errors
    /// What is wrong, where that is more than "not what was expected". Never repeats the value.
    fn read(node: &Node, base: &Base) -> Result<Self, Option<String>>;

    /// As it is written in a file.
    fn written(&self) -> String;
}

/// The text of a value that is text, or a word of the environment.
fn text(node: &Node) -> Result<&str, Option<String>> {
    match &node.raw {
        Raw::Text(text) | Raw::Word(text) => Ok(text),
        _ => Err(None),
    }
}

/// A text as TOML writes it.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

impl Value for bool {
    const EXPECTED: &'static str = "true or false";

    fn read(node: &Node, _: &Base) -> Result<Self, Option<String>> {
        match &node.raw {
            Raw::Boolean(b) => Ok(*b),
            Raw::Word(word) => word.trim().parse().map_err(|_| None),
            _ => Err(None),
        }
    }

    fn written(&self) -> String {
        self.to_string()
    }
}

macro_rules! integer {
    ($($type:ty),*) => {$(
        impl Value for $type {
            const EXPECTED: &'static str = "a whole number";

            fn read(node: &Node, _: &Base) -> Result<Self, Option<String>> {
                match &node.raw {
                    Raw::Integer(digits, radix) => <$type>::from_str_radix(digits, *radix).map_err(|_| None),
                    Raw::Word(word) => word.trim().replace('_', "").parse().map_err(|_| None),
                    _ => Err(None),
                }
            }

            fn written(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

integer!(u8, u16, u32, u64, usize);

impl Value for f64 {
    const EXPECTED: &'static str = "a number";

    fn read(node: &Node, _: &Base) -> Result<Self, Option<String>> {
        let written = match &node.raw {
            Raw::Float(written) | Raw::Word(written) => written.trim(),
            Raw::Integer(digits, 10) => digits.as_str(),
            _ => return Err(None),
        };
        written.parse().ok().filter(|n: &f64| n.is_finite()).ok_or(None)
    }

    fn written(&self) -> String {
        format!("{self:?}")
    }
}

impl Value for String {
    const EXPECTED: &'static str = "text";

    fn read(node: &Node, _: &Base) -> Result<Self, Option<String>> {
        text(node).map(str::to_owned)
    }

    fn written(&self) -> String {
        quoted(self)
    }
}

impl Value for PathBuf {
    const EXPECTED: &'static str = "a path";

    fn read(node: &Node, base: &Base) -> Result<Self, Option<String>> {
        let path = Path::new(text(node)?);
        if path.as_os_str().is_empty() {
            return Err(Some("the path is empty".to_owned()));
        }
        match node.place {
            Place::Line(_) => Ok(base.directory.join(path)),
            _ => Ok(path.to_owned()),
        }
    }

    fn written(&self) -> String {
        quoted(&self.display().to_string())
    }
}

impl Value for SocketAddr {
    const EXPECTED: &'static str = "an address and a port, such as 127.0.0.1:7350 or [::]:7350";

    fn read(node: &Node, _: &Base) -> Result<Self, Option<String>> {
        text(node)?.trim().parse().map_err(|_| None)
    }

    fn written(&self) -> String {
        quoted(&self.to_string())
    }
}

/// A point of time.
impl Value for jiff::Timestamp {
    const EXPECTED: &'static str = "a date with time and offset, such as 2026-03-02T09:00:00Z";

    fn read(node: &Node, _: &Base) -> Result<Self, Option<String>> {
        let written = match &node.raw {
            Raw::Date(date) => date.as_str(),
            _ => text(node)?.trim(),
        };
        written.parse().map_err(|_| None)
    }

    fn written(&self) -> String {
        self.to_string()
    }
}

impl<T: Value> Value for Vec<T> {
    const EXPECTED: &'static str = "a list";

    fn read(node: &Node, base: &Base) -> Result<Self, Option<String>> {
        let read = |item: &Node| {
            T::read(item, base)
                .map_err(|why| why.or_else(|| Some(format!("in the list, expected {}", T::EXPECTED))))
        };
        match &node.raw {
            Raw::List(items) => items.iter().map(read).collect(),
            // In the environment, items are parted by commas.
            Raw::Word(word) => word
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| read(&Node { place: node.place.clone(), raw: Raw::Word(item.to_owned()) }))
                .collect(),
            _ => Err(None),
        }
    }

    fn written(&self) -> String {
        format!("[{}]", self.iter().map(Value::written).collect::<Vec<_>>().join(", "))
    }
}

/// A length of time as people write it: `90s`, `15m`, `1h30m`, `2d`, `500ms`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Span(pub Duration);

impl Span {
    const UNITS: [(&'static str, u64); 5] =
        [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

    pub const fn from_secs(seconds: u64) -> Span {
        Span(Duration::from_secs(seconds))
    }

    /// In milliseconds, at most `i64::MAX`.
    pub fn as_ms(self) -> i64 {
        i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX)
    }
}

/// A text that is not a length of time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("expected {}", Span::EXPECTED)]
pub struct NotASpan;

impl FromStr for Span {
    type Err = NotASpan;

    fn from_str(text: &str) -> Result<Self, NotASpan> {
        let mut rest = text.trim();
        if rest == "0" {
            return Ok(Span::default());
        }
        let (mut total_ms, mut parts) = (0u64, 0);
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, after) = rest.split_at(digits);
            let letters = after.bytes().take_while(u8::is_ascii_lowercase).count();
            let (unit, after) = after.split_at(letters);
            let number: u64 = number.parse().map_err(|_| NotASpan)?;
            let unit_ms = Span::UNITS.iter().find(|(name, _)| *name == unit).ok_or(NotASpan)?.1;
            total_ms = number.checked_mul(unit_ms).and_then(|ms| total_ms.checked_add(ms)).ok_or(NotASpan)?;
            rest = after.trim_start();
            parts += 1;
        }
        if parts == 0 { Err(NotASpan) } else { Ok(Span(Duration::from_millis(total_ms))) }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, unit_ms) in Span::UNITS {
            if rest >= unit_ms {
                write!(f, "{}{unit}", rest / unit_ms)?;
                rest %= unit_ms;
            }
        }
        Ok(())
    }
}

impl Value for Span {
    const EXPECTED: &'static str = "a length of time such as 90s, 15m, 1h30m or 2d";

    fn read(node: &Node, _: &Base) -> Result<Self, Option<String>> {
        match &node.raw {
            Raw::Integer(..) => Err(Some(format!("a number without a unit; expected {}", Span::EXPECTED))),
            _ => text(node)?.parse().map_err(|_| None),
        }
    }

    fn written(&self) -> String {
        quoted(&self.to_string())
    }
}

/// Where a server is: scheme, host, perhaps a port, and perhaps a path without a slash at its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Url(String);

/// Why a text is not a URL of a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UrlError {
    #[error("expected {}", Url::EXPECTED)]
    Malformed,
    #[error("credentials do not belong in a URL")]
    Credentials,
    #[error("a URL of a server has no query")]
    Query,
}

impl Url {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// Nobody else can listen in: the way does not leave this machine.
    pub fn is_loopback(&self) -> bool {
        let Ok(uri) = self.0.parse::<http::Uri>() else { return false };
        let host = uri.host().unwrap_or("").trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        const BYTES_MAX: usize = 512;
        let text = text.trim();
        if text.len() > BYTES_MAX || text.contains('#') {
            return Err(UrlError::Malformed);
        }
        let uri: http::Uri = text.parse().map_err(|_| UrlError::Malformed)?;
        let authority = uri.authority().ok_or(UrlError::Malformed)?.as_str();
        if authority.contains('@') {
            return Err(UrlError::Credentials);
        }
        let port_well_formed =
            authority.ends_with(uri.host().unwrap_or("")) || uri.port_u16().is_some_and(|p| p > 0);
        let web = matches!(uri.scheme_str(), Some("http" | "https"));
        if !web || uri.host().is_none_or(str::is_empty) || !port_well_formed {
            return Err(UrlError::Malformed);
        }
        if uri.query().is_some() {
            return Err(UrlError::Query);
        }
        Ok(Url(text.trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Value for Url {
    const EXPECTED: &'static str = "a URL such as https://calls.example.com";

    fn read(node: &Node, _: &Base) -> Result<Self, Option<String>> {
        text(node)?.parse().map_err(|error: UrlError| Some(error.to_string()))
    }

    fn written(&self) -> String {
        quoted(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_written() {
        for (text, ms) in [
            ("90s", 90_000),
            ("15m", 900_000),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
            ("500ms", 500),
            ("0", 0),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.as_ms(), ms, "{text}");
            assert_eq!(span.to_string().parse(), Ok(span), "{text}");
        }
        assert_eq!(Span::from_secs(90).to_string(), "1m30s");
        for text in
            ["", "15", "m", "1.5h", "-1s", "1w", "1h 3x", "99999999999999999999d", "18446744073709551615d"]
        {
            assert_eq!(text.parse::<Span>(), Err(NotASpan), "{text}");
        }
    }

    #[test]
    fn urls_are_read() {
        let url: Url = "https://calls.example.com/".parse().unwrap();
        assert_eq!(
            (url.as_str(), url.is_https(), url.is_loopback()),
            ("https://calls.example.com", true, false)
        );
        for text in ["http://127.0.0.1:9", "http://[::1]:9", "http://localhost"] {
            assert!(text.parse::<Url>().unwrap().is_loopback(), "{text}");
        }
        for (text, error) in [
            ("", UrlError::Malformed),
            ("calls.example.com", UrlError::Malformed),
            ("ftp://h", UrlError::Malformed),
            ("https://", UrlError::Malformed),
            ("https://h:99999", UrlError::Malformed),
            ("https://h#x", UrlError::Malformed),
            ("https://u:p@h", UrlError::Credentials),
            ("https://h/?q", UrlError::Query),
        ] {
            assert_eq!(text.parse::<Url>(), Err(error), "{text}");
        }
    }

    #[test]
    fn paths_are_reckoned_from_the_file() {
        let base = Base { directory: "/etc/tandem".into() };
        let node = |place, raw: &str| Node { place, raw: Raw::Text(raw.to_owned()) };
        let read = |node| PathBuf::read(&node, &base).unwrap();
        assert_eq!(read(node(Place::Line(1), "data")), Path::new("/etc/tandem/data"));
        assert_eq!(read(node(Place::Line(1), "/data")), Path::new("/data"));
        assert_eq!(read(node(Place::Variable("X".into()), "data")), Path::new("data"));
    }
}
