//! Who asks, and what they may.
//!
//! A key is `tdm_`, 16 hexadecimal digits that name it, `_`, and 43 characters of base64url that are
//! its secret. Only the SHA-256 of the secret is stored. What the store says of a key is remembered
//! for a minute, so that a request reads nothing for it.

use super::convert::company::key_id;
use super::error::{self, reason};
use crate::config::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::RwLock;
use ring::digest;
use std::collections::HashMap;
use subtle::ConstantTimeEq as _;
use tandem_actors::{Handle, query};
use tandem_domain::company::Scope;
use tandem_domain::id::CompanyId;
use tandem_domain::time::{MINUTE, Millis};
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// How long a node may take a key that was revoked on another.
const REMEMBER_MS: Millis = MINUTE;
/// Keys that are remembered.
const REMEMBERED_MAX: usize = 10_000;

const PREFIX: &[u8] = b"tdm_";
const ID_CHARS: usize = 16;
const SECRET_BYTES: usize = 32;
const SECRET_CHARS: usize = 43;

/// The public part of a key.
pub type KeyId = [u8; 8];

/// Somebody with a key of a company.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caller {
    pub company: CompanyId,
    /// Bit set of [`Scope`].
    pub scopes: u32,
}

/// Somebody who may ask about companies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    /// The node's operator, for any company.
    Admin,
    Key(Caller),
}

/// A new key: what is stored of it, and the whole of it, to be shown once.
pub struct Minted {
    pub hash: [u8; 32],
    pub text: String,
}

impl Minted {
    pub fn new(id: KeyId, secret: [u8; SECRET_BYTES]) -> Minted {
        let secret = URL_SAFE_NO_PAD.encode(secret);
        Minted { hash: sha256(secret.as_bytes()), text: format!("tdm_{}_{secret}", key_id(id)) }
    }
}

/// What the store says of a key.
#[derive(Clone, Copy)]
struct Known {
    company: CompanyId,
    hash: [u8; 32],
    scopes: u32,
    until: Millis,
}

/// Knows keys.
pub struct Auth {
    handle: Handle,
    admin: Option<[u8; 32]>,
    known: RwLock<HashMap<KeyId, Known>>,
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

/// The token of an `authorization: Bearer ...`.
fn bearer(metadata: &MetadataMap) -> Option<&[u8]> {
    let value = metadata.get("authorization")?.as_encoded_bytes();
    let (scheme, token) = value.split_at_checked(b"bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// Splits a key into its id and its secret; `None` where it does not have the form of one.
fn parts(token: &[u8]) -> Option<(KeyId, &[u8])> {
    let rest = token.strip_prefix(PREFIX)?;
    let (id, rest) = rest.split_at_checked(ID_CHARS)?;
    let secret = rest.strip_prefix(b"_")?;
    if secret.len() != SECRET_CHARS {
        return None;
    }
    let mut number = 0u64;
    for digit in id {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        number = number << 4 | u64::from(value);
    }
    Some((number.to_be_bytes(), secret))
}

fn stranger() -> Status {
    error::plain(
        Code::Unauthenticated,
        reason::UNAUTHENTICATED,
        "no valid API key: send metadata authorization: Bearer tdm_...",
    )
}

impl Caller {
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes & scope as u32 != 0
    }

    /// # Errors
    /// PERMISSION_DENIED, naming the scope.
    pub fn require(&self, scope: Scope) -> Result<(), Status> {
        if self.may(scope) {
            return Ok(());
        }
        let metadata = HashMap::from([("scope".to_owned(), scope.name().to_owned())]);
        let details = ErrorDetails::with_error_info(reason::SCOPE_MISSING, error::DOMAIN, metadata);
        let message = format!("the key lacks the scope {}", scope.name());
        Err(Status::with_error_details(Code::PermissionDenied, message, details))
    }
}

impl Auth {
    pub fn new(handle: Handle, admin: Option<&Secret>) -> Self {
        let admin = admin.map(|token| sha256(token.expose().as_bytes()));
        Auth { handle, admin, known: RwLock::default() }
    }

    /// The company whose key came along, if it may do this.
    ///
    /// # Errors
    /// UNAUTHENTICATED without a valid key; PERMISSION_DENIED where it lacks the scope.
    pub async fn caller(&self, metadata: &MetadataMap, scope: Scope) -> Result<Caller, Status> {
        let (id, secret) = bearer(metadata).and_then(parts).ok_or_else(stranger)?;
        let caller = self.check(id, secret).await?;
        caller.require(scope)?;
        Ok(caller)
    }

    /// The node's operator, or a company whose key may do this.
    ///
    /// # Errors
    /// As [`Auth::caller`].
    pub async fn who(&self, metadata: &MetadataMap, scope: Scope) -> Result<Who, Status> {
        let token = bearer(metadata).ok_or_else(stranger)?;
        if self.is_admin(token) {
            return Ok(Who::Admin);
        }
        self.caller(metadata, scope).await.map(Who::Key)
    }

    /// The node's operator.
    ///
    /// # Errors
    /// UNAUTHENTICATED without any valid credential, PERMISSION_DENIED with a company's key.
    pub async fn admin(&self, metadata: &MetadataMap) -> Result<(), Status> {
        let token = bearer(metadata).ok_or_else(stranger)?;
        if self.is_admin(token) {
            return Ok(());
        }
        let (id, secret) = parts(token).ok_or_else(stranger)?;
        self.check(id, secret).await?;
        let message = "this needs the node's admin token";
        Err(error::plain(Code::PermissionDenied, reason::ADMIN_REQUIRED, message))
    }

    fn is_admin(&self, token: &[u8]) -> bool {
        self.admin.is_some_and(|hash| bool::from(sha256(token).ct_eq(&hash)))
    }

    /// A key was revoked: what is remembered of it is not true any more.
    pub fn forget(&self, id: KeyId) {
        self.known.write().remove(&id);
    }

    async fn check(&self, id: KeyId, secret: &[u8]) -> Result<Caller, Status> {
        let now = self.handle.clock().now();
        let remembered = self.known.read().get(&id).copied().filter(|known| now < known.until);
        let known = match remembered {
            Some(known) => known,
            None => self.look_up(id, now).await?,
        };
        if bool::from(sha256(secret).ct_eq(&known.hash)) {
            Ok(Caller { company: known.company, scopes: known.scopes })
        } else {
            Err(stranger())
        }
    }

    async fn look_up(&self, id: KeyId, now: Millis) -> Result<Known, Status> {
        let row = query::api_key(&**self.handle.store(), id).await.map_err(super::room::query_failed)?;
        // Of keys that do not exist nothing is remembered: whoever guesses them fills no memory.
        let row = row.filter(|row| row.revoked_at.is_none()).ok_or_else(stranger)?;
        let known =
            Known { company: row.company, hash: row.hash, scopes: row.scopes, until: now + REMEMBER_MS };
        let mut all = self.known.write();
        if all.len() >= REMEMBERED_MAX {
            all.retain(|_, known| now < known.until);
        }
        if all.len() < REMEMBERED_MAX {
            all.insert(id, known);
        }
        Ok(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(value: &str) -> MetadataMap {
        let mut map = MetadataMap::new();
        map.insert("authorization", value.parse().expect("ASCII"));
        map
    }

    #[test]
    fn a_minted_key_is_taken_apart_again() {
        let id = 0xabc0_u64.to_be_bytes();
        let minted = Minted::new(id, [7; 32]);
        assert_eq!(minted.text.len(), 4 + 16 + 1 + 43);
        let (found, secret) = parts(minted.text.as_bytes()).expect("a key");
        assert_eq!(found, id);
        assert_eq!(sha256(secret), minted.hash);
        assert_ne!(Minted::new(id, [8; 32]).hash, minted.hash);
    }

    #[test]
    fn what_does_not_have_the_form_of_a_key_is_none() {
        let good = Minted::new([1; 8], [2; 32]).text;
        let mut cases = vec![String::new(), "tdm_".into(), good[..good.len() - 1].into(), format!("{good}x")];
        cases.push(good.replace("tdm_", "tdn_"));
        cases.push(good.replacen("01", "0G", 1));
        cases.push(good.to_ascii_uppercase());
        for case in cases {
            assert_eq!(parts(case.as_bytes()), None, "{case}");
        }
    }

    #[test]
    fn the_scheme_is_read_in_any_case_and_no_other_scheme() {
        assert_eq!(bearer(&metadata("Bearer abc")), Some(b"abc".as_slice()));
        assert_eq!(bearer(&metadata("bearer  abc ")), Some(b"abc".as_slice()));
        for other in ["Basic abc", "Bearer", "abc", ""] {
            assert_eq!(bearer(&metadata(other)), None, "{other}");
        }
        assert_eq!(bearer(&MetadataMap::new()), None);
    }

    #[test]
    fn a_scope_that_is_missing_is_named() {
        let caller = Caller { company: CompanyId::from_bytes([1; 16]), scopes: Scope::CallsRead as u32 };
        assert!(caller.require(Scope::CallsRead).is_ok());
        let status = caller.require(Scope::CallsWrite).expect_err("refused");
        assert_eq!(status.code(), Code::PermissionDenied);
        let details = status.get_error_details();
        assert_eq!(details.error_info().expect("a reason").metadata["scope"], "calls:write");
    }
}
