//! `X-Twilio-Signature`: HMAC-SHA1 over the URL and the form, keyed by the account's auth token
//! (API keys never sign).
//!
//! The URL is the one the carrier was given, not what a proxy made of it. The carrier is not
//! consistent about default ports and about how it writes a query, so a signature over any of four
//! spellings of the same URL is accepted, as its own libraries do: without port and with the
//! default port written out, each with the query as it stands and re-encoded.

use crate::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac};
use std::fmt;

/// Name of the header, in lower case.
pub const HEADER: &str = "x-twilio-signature";
/// Name of the query parameter that carries the hash of a body that is not a form.
pub const BODY_HASH: &str = "bodySHA256";

/// Why a request is not accepted as the carrier's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SignatureError {
    #[error("the signature does not match")]
    Mismatch,
    #[error("the URL carries no hash of the body")]
    NoBodyHash,
    #[error("the body is not the one that was signed")]
    Body,
    #[error("not an absolute URL")]
    Url,
}

/// The auth token made ready for signing.
#[derive(Clone)]
pub struct Key(hmac::Key);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Key {
    pub fn new(auth_token: &Secret) -> Self {
        Key(hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, auth_token.expose().as_bytes()))
    }

    /// Signs a request for `url` with a form body (`form` is empty for GET and for upgrades).
    pub fn sign(&self, url: &str, form: &[(String, String)]) -> String {
        STANDARD.encode(hmac::sign(&self.0, signed_text(url, &tail(form)).as_bytes()))
    }

    /// Signs a request whose body is not a form: the URL with the body's hash added to its query,
    /// and the signature over that.
    pub fn sign_body(&self, url: &str, body: &[u8]) -> (String, String) {
        let joint = if url.contains('?') { '&' } else { '?' };
        let url = format!("{url}{joint}{BODY_HASH}={}", hex_sha256(body));
        let signature = self.sign(&url, &[]);
        (url, signature)
    }

    /// Checks a request with a form body, or a GET with an empty `form`.
    pub fn verify(&self, url: &str, form: &[(String, String)], given: &str) -> Result<(), SignatureError> {
        let tail = tail(form);
        self.any(&spellings(url)?, &tail, given)
    }

    /// Checks a request whose body is not a form: the signature over the URL alone, and the body
    /// against the hash in the URL's query.
    pub fn verify_body(&self, url: &str, body: &[u8], given: &str) -> Result<(), SignatureError> {
        self.any(&spellings(url)?, "", given)?;
        let query = url.split_once('?').map_or("", |(_, query)| query);
        let (_, claimed) = form_urlencoded::parse(query.split('#').next().unwrap_or("").as_bytes())
            .find(|(name, _)| name == BODY_HASH)
            .ok_or(SignatureError::NoBodyHash)?;
        // Not a secret comparison: both sides are known to whoever sent the request.
        if claimed == hex_sha256(body) { Ok(()) } else { Err(SignatureError::Body) }
    }

    /// Checks the upgrade to a media stream: the `wss://` URL alone. A missing or an extra slash at
    /// the end of the path is forgiven, because the carrier's habit is not documented.
    pub fn verify_upgrade(&self, url: &str, given: &str) -> Result<(), SignatureError> {
        let mut urls = spellings(url)?;
        for i in 0..urls.len() {
            let other = match urls[i].strip_suffix('/') {
                Some(bare) => bare.to_owned(),
                None => format!("{}/", urls[i]),
            };
            urls.push(other);
        }
        self.any(&urls, "", given)
    }

    fn any(&self, urls: &[String], tail: &str, given: &str) -> Result<(), SignatureError> {
        let given = STANDARD.decode(given).map_err(|_| SignatureError::Mismatch)?;
        let matches = |url: &String| {
            hmac::verify(&self.0, signed_text(url, tail).as_bytes(), &given).is_ok() // constant time
        };
        if urls.iter().any(matches) { Ok(()) } else { Err(SignatureError::Mismatch) }
    }
}

fn signed_text(url: &str, tail: &str) -> String {
    // A fragment holds connection overrides for the carrier and is not part of what is signed.
    let url = url.split('#').next().unwrap_or("");
    let mut text = String::with_capacity(url.len() + tail.len());
    text.push_str(url);
    text.push_str(tail);
    text
}

/// The form as it is signed: names in byte order, each followed by its value; several values of
/// one name are sorted and each different one stands once.
fn tail(form: &[(String, String)]) -> String {
    let mut pairs: Vec<(&str, &str)> = form.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    pairs.sort_unstable();
    pairs.dedup();
    pairs.into_iter().flat_map(|(name, value)| [name, value]).collect()
}

fn hex_sha256(body: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, body).as_ref())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|b| [DIGITS[usize::from(b >> 4)] as char, DIGITS[usize::from(b & 15)] as char])
        .collect()
}

/// The four spellings of `url`.
fn spellings(url: &str) -> Result<Vec<String>, SignatureError> {
    let url = url.split('#').next().unwrap_or("");
    let (scheme, rest) = url.split_once("://").ok_or(SignatureError::Url)?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path_and_query) = rest.split_at(end);
    if authority.is_empty() {
        return Err(SignatureError::Url);
    }
    let (host, port) = split_port(authority);
    let default_port = if matches!(scheme, "https" | "wss") { "443" } else { "80" };
    let (path, query) = match path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path_and_query, None),
    };

    let mut urls = Vec::with_capacity(4);
    for authority in [host.to_owned(), format!("{host}:{}", port.unwrap_or(default_port))] {
        urls.push(format!("{scheme}://{authority}{path_and_query}"));
        if let Some(query) = query {
            let rewritten = legacy_query(query);
            if rewritten != query {
                urls.push(format!("{scheme}://{authority}{path}?{rewritten}"));
            }
        }
    }
    Ok(urls)
}

fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => {
            (host, Some(port))
        }
        _ => (authority, None),
    }
}

/// A query decoded and written again the way the carrier's older machinery does: values of one name
/// together, a name always with `=`, a space as `%20`.
fn legacy_query(query: &str) -> String {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()).take(PAIRS_MAX) {
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value.into_owned()),
            None => groups.push((name.into_owned(), vec![value.into_owned()])),
        }
    }
    let mut out = String::with_capacity(query.len());
    for (name, values) in &groups {
        for value in values {
            if !out.is_empty() {
                out.push('&');
            }
            encode_component(&mut out, name);
            out.push('=');
            encode_component(&mut out, value);
        }
    }
    out
}

/// More pairs than any URL of ours has; keeps the grouping above from being made expensive.
const PAIRS_MAX: usize = 64;

fn encode_component(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            out.push(byte as char);
        } else {
            out.push('%');
            out.push_str(&hex(&[byte]).to_ascii_uppercase());
        }
    }
}

#[cfg(test)]
mod tests;
