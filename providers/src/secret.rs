//! Values that must not be seen in logs.

use std::fmt;

/// A credential. Its `Debug` shows nothing of it, and it has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    pub fn new(value: impl Into<Box<str>>) -> Self {
        Secret(value.into())
    }

    /// The value itself, for the one place that puts it on the wire.
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        Secret::new(value)
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Secret::new(value)
    }
}

/// A phone number (or any address) as it may stand in logs: at most its last four characters, and
/// nothing of one so short that four characters would be most of it.
pub fn masked(address: &str) -> String {
    let chars = address.chars().count();
    if chars < 8 {
        return "***".to_owned();
    }
    let tail: String = address.chars().skip(chars - 4).collect();
    format!("***{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        let shown = format!("{:?}", Secret::from("sk-very-secret"));
        assert!(!shown.contains("very"), "{shown}");
    }

    #[test]
    fn at_most_four_digits_are_shown() {
        assert_eq!(masked("+15005550010"), "***0010");
        assert_eq!(masked("12345"), "***");
        assert_eq!(masked(""), "***");
        assert_eq!(masked("é+éééééé9"), "***ééé9");
    }
}
