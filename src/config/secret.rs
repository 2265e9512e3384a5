//! Values that must not be seen.

use std::fmt;
use zeroize::Zeroizing;

/// A credential from the configuration. Its `Debug` shows nothing of it, it has no `Display`, and its
/// memory is overwritten when it is dropped (copies that others made of it are beyond reach).
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Secret(Zeroizing::new(value.into()))
    }

    /// The value itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl From<&Secret> for tandem_providers::Secret {
    fn from(secret: &Secret) -> Self {
        tandem_providers::Secret::from(secret.expose())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        let secret = Secret::new("sk-very-secret");
        assert_eq!(format!("{secret:?} {:#?}", Some(&secret)).matches("very").count(), 0);
        assert_eq!(secret.expose(), "sk-very-secret");
    }
}
