//! `ElevenLabs-Signature`: HMAC-SHA256 over the time and the raw body of a webhook.

use crate::Secret;
use crate::twilio::signature::hex;
use ring::hmac;
use std::fmt;
use tandem_domain::time::{MINUTE, Millis, SECOND};

/// Name of the header, in lower case.
pub const HEADER: &str = "elevenlabs-signature";
/// A webhook that was signed longer ago is refused: it may be a replay.
pub const AGE_MAX: Millis = 30 * MINUTE;
/// A webhook that was signed this far in the future is refused; less is a difference of clocks.
pub const AHEAD_MAX: Millis = 5 * MINUTE;

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SignatureError {
    #[error("the signature has no time or no hash")]
    Malformed,
    #[error("the signature is too old")]
    Expired,
    #[error("the signature is of the future")]
    Ahead,
    #[error("the signature does not match")]
    Mismatch,
}

/// The webhook's secret made ready for signing; it is used as given, with its `wsec_`.
#[derive(Clone)]
pub struct Key(hmac::Key);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Key {
    pub fn new(secret: &Secret) -> Self {
        Key(hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes()))
    }

    /// The header's value for `body`, signed at `at_s` (seconds since 1970).
    pub fn sign(&self, at_s: i64, body: &[u8]) -> String {
        let tag = hmac::sign(&self.0, &signed(&at_s.to_string(), body));
        format!("t={at_s},v0={}", hex(tag.as_ref()))
    }

    /// Checks the header's value `given` against the raw `body`, at the time `now`.
    pub fn verify(&self, given: &str, body: &[u8], now: Millis) -> Result<(), SignatureError> {
        let part = |name: &str| given.split(',').find_map(|part| part.trim().strip_prefix(name));
        let at = part("t=").ok_or(SignatureError::Malformed)?;
        let hash = part("v0=").and_then(unhex).ok_or(SignatureError::Malformed)?;
        let at_ms = at
            .parse::<i64>()
            .ok()
            .and_then(|seconds| seconds.checked_mul(SECOND))
            .ok_or(SignatureError::Malformed)?;
        // Compares in constant time, and before the time is judged: who cannot sign learns nothing.
        hmac::verify(&self.0, &signed(at, body), &hash).map_err(|_| SignatureError::Mismatch)?;
        if at_ms < now.saturating_sub(AGE_MAX) {
            return Err(SignatureError::Expired);
        }
        if at_ms > now.saturating_add(AHEAD_MAX) {
            return Err(SignatureError::Ahead);
        }
        Ok(())
    }
}

fn signed(at: &str, body: &[u8]) -> Vec<u8> {
    [at.as_bytes(), b".", body].concat()
}

/// A SHA-256 in lower-case hexadecimal digits.
fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_S: i64 = 1_739_537_297;
    const NOW: Millis = AT_S * SECOND;
    const BODY: &[u8] = br#"{"type":"post_call_transcription"}"#;

    fn key() -> Key {
        Key::new(&Secret::from("wsec_test"))
    }

    #[test]
    fn vectors() {
        for (body, hash) in [
            (BODY, "81a65aa1e2057ec4cdc236dca583cf6ef5899fbc7acd1fe2c0921f684fa3779c"),
            (
                &br#"{"type":"post_call_audio"}"#[..],
                "ea4fe8dfc304e5b4a019ade2795dbff33bbad679fc2f76d8f34b386157e4abe0",
            ),
        ] {
            let header = format!("t={AT_S},v0={hash}");
            assert_eq!(key().sign(AT_S, body), header);
            assert_eq!(key().verify(&header, body, NOW), Ok(()));
            assert_eq!(key().verify(&format!("v0={hash}, t={AT_S}"), body, NOW), Ok(()));
        }
    }

    #[test]
    fn age_is_bounded_both_ways() {
        let header = key().sign(AT_S, BODY);
        assert_eq!(key().verify(&header, BODY, NOW + AGE_MAX), Ok(()));
        assert_eq!(key().verify(&header, BODY, NOW + AGE_MAX + 1), Err(SignatureError::Expired));
        assert_eq!(key().verify(&header, BODY, NOW - AHEAD_MAX), Ok(()));
        assert_eq!(key().verify(&header, BODY, NOW - AHEAD_MAX - 1), Err(SignatureError::Ahead));
    }

    #[test]
    fn forgeries_are_refused() {
        let header = key().sign(AT_S, BODY);
        assert_eq!(key().verify(&header, b"{}", NOW), Err(SignatureError::Mismatch));
        let later = header.replace("t=1739537297", "t=1739537298");
        assert_eq!(key().verify(&later, BODY, NOW), Err(SignatureError::Mismatch));
        let other = Key::new(&Secret::from("wsec_other"));
        assert_eq!(other.verify(&header, BODY, NOW), Err(SignatureError::Mismatch));
        let hash = header.split_once("v0=").unwrap().1;
        for bad in [
            String::new(),
            format!("v0={hash}"),
            format!("t={AT_S}"),
            format!("t=x,v0={hash}"),
            format!("t={},v0={hash}", i64::MAX),
            format!("t={AT_S},v0={}", hash.to_uppercase()),
            format!("t={AT_S},v0={}", &hash[1..]),
            format!("t={AT_S},v0={}é", &hash[2..]),
        ] {
            assert_eq!(key().verify(&bad, BODY, NOW), Err(SignatureError::Malformed), "{bad}");
        }
    }
}
