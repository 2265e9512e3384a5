//! Where a URL leads.

use http::Uri;
use std::fmt;

/// Longest URL that is read, in bytes.
const URL_BYTES_MAX: usize = 4_096;

/// A server, and a resource there.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// Over TLS.
    pub secure: bool,
    /// A name or an address; IPv6 without brackets.
    pub host: String,
    pub port: u16,
    /// Path and query; at least `/`.
    pub path: String,
    /// As it stands in a `Host` header.
    pub authority: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TargetError {
    #[error("not an absolute URL")]
    Malformed,
    #[error("the URL's scheme must be {0}")]
    Scheme(&'static str),
    #[error("credentials do not belong in a URL")]
    Credentials,
    #[error("a base URL has no path and no query")]
    Path,
}

impl Target {
    /// Reads a base URL: `http` or `https`, host, perhaps a port, no path.
    pub fn base(url: &str) -> Result<Self, TargetError> {
        let target = Target::read(url, &[("http", false), ("https", true)], "http or https")?;
        if target.path == "/" { Ok(target) } else { Err(TargetError::Path) }
    }

    /// Reads a WebSocket's URL: `ws` or `wss`.
    pub fn socket(url: &str) -> Result<Self, TargetError> {
        Target::read(url, &[("ws", false), ("wss", true)], "ws or wss")
    }

    fn read(url: &str, schemes: &[(&str, bool)], expected: &'static str) -> Result<Self, TargetError> {
        if url.len() > URL_BYTES_MAX {
            return Err(TargetError::Malformed);
        }
        let uri: Uri = url.parse().map_err(|_| TargetError::Malformed)?;
        let scheme = uri.scheme_str().ok_or(TargetError::Malformed)?;
        let secure = schemes.iter().find(|(name, _)| *name == scheme).ok_or(TargetError::Scheme(expected))?.1;
        let authority = uri.authority().ok_or(TargetError::Malformed)?;
        if authority.as_str().contains('@') {
            return Err(TargetError::Credentials);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(TargetError::Malformed);
        }
        let port = match authority.port_u16() {
            Some(port) => port,
            None if authority.as_str().ends_with(authority.host()) => {
                if secure {
                    443
                } else {
                    80
                }
            }
            None => return Err(TargetError::Malformed),
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Target { secure, host, port, path, authority: authority.as_str().to_owned() })
    }
}

impl fmt::Debug for Target {
    // A path may carry a signature.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({}{})", if self.secure { "tls " } else { "" }, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        let target = Target::base("https://api.example.com").unwrap();
        assert_eq!(
            (target.secure, &*target.host, target.port, &*target.path),
            (true, "api.example.com", 443, "/")
        );
        let target = Target::base("http://127.0.0.1:4010/").unwrap();
        assert_eq!((target.secure, target.port, &*target.authority), (false, 4010, "127.0.0.1:4010"));
        let target = Target::socket("wss://[::1]:9/a/b?c=d&e=f").unwrap();
        assert_eq!((&*target.host, target.port, &*target.path), ("::1", 9, "/a/b?c=d&e=f"));
        assert_eq!(Target::socket("ws://h?x=1").unwrap().path, "/?x=1");
    }

    #[test]
    fn other_urls_are_refused() {
        for (url, error) in [
            ("", TargetError::Malformed),
            ("api.example.com", TargetError::Malformed),
            ("https://", TargetError::Malformed),
            ("https://h:99999", TargetError::Malformed),
            ("ftp://h", TargetError::Scheme("http or https")),
            ("https://user:pw@h", TargetError::Credentials),
            ("https://h/path", TargetError::Path),
            ("https://h?q=1", TargetError::Path),
        ] {
            assert_eq!(Target::base(url), Err(error), "{url}");
        }
        assert_eq!(Target::socket("https://h"), Err(TargetError::Scheme("ws or wss")));
        assert!(Target::base(&format!("https://{}", "h".repeat(URL_BYTES_MAX))).is_err());
    }

    #[test]
    fn a_signature_in_the_path_is_not_shown() {
        let target = Target::socket("wss://h/x?conversation_signature=hidden").unwrap();
        assert!(!format!("{target:?}").contains("hidden"));
    }
}
