//! The addresses under which carriers reach this node.
//!
//! A carrier signs the address that it was given, not the one that arrives behind a proxy. So every address is made
//! here from the public one, and an arriving path is only read to find out which of ours is meant.

use std::fmt;
use std::str::FromStr;
use tandem_domain::id::Attempt;

/// Before the attempt, in the path of every callback.
const CALLBACKS: &str = "/tw/v1/";
const MEDIA: &str = "/media/v1";
/// Overrides of the carrier's habits, which stand in the fragment and are not signed: three more tries where we were
/// not reached, did not answer in time or could not take it down. What arrives twice does no harm.
const PERSISTENT: &str = "#rc=3&rp=5xx,ct,rt";
/// Longest path that is read, in bytes. Ours are shorter than half of it.
const PATH_BYTES_MAX: usize = 1_024;

/// What a carrier calls for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Callback {
    /// Progress of the call.
    Status,
    /// What the answered call is to do.
    Document,
    /// Verdict of machine detection.
    Amd,
    Recording,
    /// The document could not be had: as `Document`.
    Fallback,
    /// The media socket's life.
    Stream,
}

impl Callback {
    const ALL: [Callback; 6] = [
        Callback::Status,
        Callback::Document,
        Callback::Amd,
        Callback::Recording,
        Callback::Fallback,
        Callback::Stream,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Callback::Status => "status",
            Callback::Document => "document",
            Callback::Amd => "amd",
            Callback::Recording => "recording",
            Callback::Fallback => "fallback",
            Callback::Stream => "stream",
        }
    }
}

/// Which of our addresses a path is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Route {
    Callback(Attempt, Callback),
    Media,
}

/// Why addresses cannot be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("public URL: expected https:// (or http:// for trials), a host, perhaps a port and a path; no query")]
pub struct UrlsError;

/// Addresses under one public URL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Urls {
    /// Without a slash at its end.
    base: String,
    /// The path within `base`, which a proxy may have taken away from what arrives.
    prefix: String,
    media: String,
}

impl FromStr for Urls {
    type Err = UrlsError;

    /// Reads the public URL, such as `https://calls.example.com`.
    fn from_str(url: &str) -> Result<Self, UrlsError> {
        let base = url.trim().trim_end_matches('/');
        let uri: http::Uri = base.parse().map_err(|_| UrlsError)?;
        let authority = uri.authority().ok_or(UrlsError)?.as_str();
        let bad = authority.contains('@') || uri.query().is_some() || base.contains('#');
        let scheme = match uri.scheme_str() {
            Some("https") if !bad => "wss",
            Some("http") if !bad => "ws",
            _ => return Err(UrlsError),
        };
        let prefix = uri.path().trim_end_matches('/').to_owned();
        let media = format!("{scheme}://{authority}{prefix}{MEDIA}");
        Ok(Urls { base: base.to_owned(), prefix, media })
    }
}

impl Urls {
    /// Where the carrier opens media sockets. Without a query: the carrier permits none.
    pub(crate) fn media(&self) -> &str {
        &self.media
    }

    pub(crate) fn callback(&self, attempt: Attempt, what: Callback) -> String {
        self.full(attempt, what, PERSISTENT)
    }

    /// Where the document goes on once its media socket has closed: the one of this generation.
    pub(crate) fn again(&self, attempt: Attempt, generation: u32) -> String {
        self.full(attempt, Callback::Document, format_args!("?again={generation}{PERSISTENT}"))
    }

    /// A callback's address as it was signed.
    pub(crate) fn signed(&self, attempt: Attempt, what: Callback, query: Option<&str>) -> String {
        match query {
            Some(query) => self.full(attempt, what, format_args!("?{query}")),
            None => self.full(attempt, what, ""),
        }
    }

    fn full(&self, attempt: Attempt, what: Callback, rest: impl fmt::Display) -> String {
        format!("{}{CALLBACKS}{attempt}/{}{rest}", self.base, what.name())
    }

    /// Which address this path is, with or without what the public URL has before it.
    pub(crate) fn route(&self, path: &str) -> Option<Route> {
        if path.len() > PATH_BYTES_MAX {
            return None;
        }
        let path = path.strip_prefix(self.prefix.as_str()).unwrap_or(path);
        if path == MEDIA {
            return Some(Route::Media);
        }
        let (given, what) = path.strip_prefix(CALLBACKS)?.rsplit_once('/')?;
        let what = Callback::ALL.into_iter().find(|callback| callback.name() == what)?;
        let attempt: Attempt = given.parse().ok()?;
        // Ids have other spellings, which were never given to anybody.
        (attempt.to_string() == given).then_some(Route::Callback(attempt, what))
    }
}

/// The generation whose media socket has closed, from the query of the document that is asked for again; 0 where it is
/// asked for the first time. `None`: not a query of ours.
pub(crate) fn again_of(query: Option<&str>) -> Option<u32> {
    let Some(query) = query else { return Some(0) };
    let text = query.strip_prefix("again=")?;
    // Numbers have other spellings, which were never given to anybody.
    text.parse().ok().filter(|generation: &u32| *generation > 0 && generation.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_domain::id::{CallId, CompanyId};

    fn attempt() -> Attempt {
        Attempt { company: CompanyId::from_bytes([1; 16]), call: CallId::from_bytes([2; 16]), number: 3 }
    }

    const IDS: &str = "01010101-0101-0101-0101-010101010101/02020202-0202-0202-0202-020202020202/3";

    #[test]
    fn addresses_lead_back() {
        for (base, media) in [
            ("https://calls.example.com", "wss://calls.example.com/media/v1"),
            ("https://calls.example.com/", "wss://calls.example.com/media/v1"),
            ("https://calls.example.com:8443/voice/", "wss://calls.example.com:8443/voice/media/v1"),
            ("http://127.0.0.1:7351", "ws://127.0.0.1:7351/media/v1"),
        ] {
            let urls: Urls = base.parse().unwrap();
            assert_eq!(urls.media(), media);
            for what in Callback::ALL {
                let url = urls.callback(attempt(), what);
                let uri: http::Uri = url.split('#').next().unwrap().parse().unwrap();
                assert_eq!(urls.route(uri.path()), Some(Route::Callback(attempt(), what)), "{url}");
                assert_eq!(urls.signed(attempt(), what, uri.query()), url.split('#').next().unwrap());
                let bare = uri.path().strip_prefix("/voice").unwrap_or(uri.path());
                assert_eq!(urls.route(bare), Some(Route::Callback(attempt(), what)), "{bare}");
            }
            assert_eq!(urls.route(media.parse::<http::Uri>().unwrap().path()), Some(Route::Media));
        }
    }

    #[test]
    fn a_document_that_goes_on_says_so() {
        let urls: Urls = "https://h".parse().unwrap();
        let url = urls.again(attempt(), 2);
        assert_eq!(url, format!("https://h/tw/v1/{IDS}/document?again=2#rc=3&rp=5xx,ct,rt"));
        for (query, expected) in [
            (None, Some(0)),
            (Some("again=2"), Some(2)),
            (Some("again=0"), None),
            (Some("again=300"), Some(300)),
            (Some("again=4294967296"), None),
            (Some("again=+2"), None),
            (Some("again=02"), None),
            (Some("again="), None),
            (Some(""), None),
            (Some("x=1"), None),
        ] {
            assert_eq!(again_of(query), expected, "{query:?}");
        }
    }

    #[test]
    fn other_paths_are_nobodys() {
        let urls: Urls = "https://h/voice".parse().unwrap();
        let long = format!("/tw/v1/{}", "a/".repeat(600));
        for path in [
            "",
            "/",
            "/tw/v1/",
            "/media/v1/",
            "/media/v2",
            "/tw/v1/1/2/3/status",
            &format!("/tw/v1/{IDS}"),
            &format!("/tw/v1/{IDS}/"),
            &format!("/tw/v1/{IDS}/state"),
            &format!("/tw/v1/{IDS}/status/x"),
            &format!("/tw/v1/x/{IDS}/status"),
            &format!("/tw/v1/{}/status", IDS.replace('-', "")),
            &format!("/tw/v1/{{01010101-0101-0101-0101-010101010101}}{}/status", &IDS[36..]),
            &format!("/tw/v1/{}/status", IDS.replace("/3", "/03")),
            &format!("/tw/v1/{}/status", IDS.replace("/3", "/70000")),
            &long,
        ] {
            assert_eq!(urls.route(path), None, "{path}");
        }
    }

    #[test]
    fn unusable_public_urls_are_refused() {
        for url in
            ["", "calls.example.com", "ftp://h", "https://", "https://u:p@h", "https://h?x=1", "https://h#x"]
        {
            assert_eq!(url.parse::<Urls>(), Err(UrlsError), "{url}");
        }
    }
}
