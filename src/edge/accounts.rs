//! Who may speak to us in a carrier's name: whoever knows the auth token of one of its accounts.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use std::fmt;
use tandem_domain::id::Attempt;
use tandem_providers::Secret;
use tandem_providers::twilio::signature::Key;

/// What the key of media tokens is made for, so that it serves nothing else.
const TOKEN_PURPOSE: &[u8] = b"tandem media token 2";

/// An account at a carrier.
#[derive(Clone, Debug)]
pub struct Account {
    /// The configured name of the carrier, as plans use it.
    pub carrier: String,
    /// `AC` and 32 hexadecimal digits.
    pub account_sid: String,
    /// What its callbacks are signed with.
    pub auth_token: Secret,
}

struct Known {
    carrier: String,
    account_sid: String,
    signatures: Key,
    tokens: hmac::Key,
}

/// The accounts of a node.
pub(crate) struct Accounts(Vec<Known>);

/// Accounts whose auth token has signed what arrived. More than one only where one account stands under several names.
pub(crate) struct Signers<'a>(Vec<&'a Known>);

impl Accounts {
    pub fn new(accounts: Vec<Account>) -> Self {
        let known = |account: Account| {
            let root = hmac::Key::new(hmac::HMAC_SHA256, account.auth_token.expose().as_bytes());
            Known {
                signatures: Key::new(&account.auth_token),
                tokens: hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&root, TOKEN_PURPOSE).as_ref()),
                carrier: account.carrier,
                account_sid: account.account_sid,
            }
        };
        Accounts(accounts.into_iter().map(known).collect())
    }

    /// All of them are one account: whoever signs speaks for every call of a carrier.
    pub fn is_one(&self) -> bool {
        self.0.windows(2).all(|two| two[0].account_sid == two[1].account_sid)
    }

    /// Checks a callback. `None`: none of our carriers has sent it.
    pub fn callback(&self, url: &str, form: &[(String, String)], signature: &str) -> Option<Signers<'_>> {
        let (_, sid) = form.iter().find(|(name, _)| name == "AccountSid")?;
        self.signers(|known| {
            known.account_sid == *sid && known.signatures.verify(url, form, signature).is_ok()
        })
    }

    /// Checks the upgrade to a media socket, which does not name its account.
    pub fn upgrade(&self, url: &str, signature: &str) -> Option<Signers<'_>> {
        self.signers(|known| known.signatures.verify_upgrade(url, signature).is_ok())
    }

    /// Everybody, where a media socket need not be signed. Its token is checked all the same.
    pub fn all(&self) -> Signers<'_> {
        Signers(self.0.iter().collect())
    }

    fn signers(&self, signed: impl Fn(&Known) -> bool) -> Option<Signers<'_>> {
        let signers: Vec<&Known> = self.0.iter().filter(|known| signed(known)).collect();
        (!signers.is_empty()).then_some(Signers(signers))
    }
}

impl Signers<'_> {
    pub fn speaks_for(&self, carrier: &str) -> bool {
        self.0.iter().any(|known| known.carrier == carrier)
    }

    /// Admits the carrier's call `sid` to the media connection of this generation. It is given away in the document
    /// that connects the call, and holds for no other call, attempt or generation.
    pub fn token(&self, attempt: Attempt, generation: u32, sid: &str) -> String {
        let text = stands_for(attempt, generation, sid);
        let tag = self.0.first().map(|known| hmac::sign(&known.tokens, text.as_bytes()));
        tag.map(|tag| URL_SAFE_NO_PAD.encode(tag)).unwrap_or_default()
    }

    /// Whether the token was given to this call for this connection, by one of these and in its own account.
    pub fn admits(
        &self,
        account_sid: &str,
        attempt: Attempt,
        generation: u32,
        sid: &str,
        token: &str,
    ) -> bool {
        let Ok(tag) = URL_SAFE_NO_PAD.decode(token) else { return false };
        let text = stands_for(attempt, generation, sid);
        self.0
            .iter()
            .filter(|known| known.account_sid == account_sid)
            .any(|known| hmac::verify(&known.tokens, text.as_bytes(), &tag).is_ok()) // constant time
    }
}

/// Unambiguous: no part holds a space.
fn stands_for(attempt: Attempt, generation: u32, sid: &str) -> String {
    format!("{attempt} {generation} {sid}")
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|known| &known.carrier)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_domain::id::{CallId, CompanyId};

    const A: &str = "AC0123456789abcdef0123456789abcdef";
    const B: &str = "ACfedcba9876543210fedcba9876543210";
    const URL: &str = "https://h/tw";

    fn account(carrier: &str, sid: &str, token: &str) -> Account {
        Account { carrier: carrier.into(), account_sid: sid.into(), auth_token: Secret::from(token) }
    }

    fn attempt(number: u16) -> Attempt {
        Attempt { company: CompanyId::from_bytes([1; 16]), call: CallId::from_bytes([2; 16]), number }
    }

    fn form(sid: &str) -> Vec<(String, String)> {
        vec![("AccountSid".into(), sid.into()), ("CallSid".into(), "CA1".into())]
    }

    #[test]
    fn an_account_speaks_for_itself_only() {
        let accounts = Accounts::new(vec![account("a", A, "one"), account("b", B, "two")]);
        assert!(!accounts.is_one());
        let by = |token: &str, sid| Key::new(&Secret::from(token)).sign(URL, &form(sid));
        let signers = accounts.callback(URL, &form(A), &by("one", A)).unwrap();
        assert!(signers.speaks_for("a") && !signers.speaks_for("b"));
        assert!(accounts.callback(URL, &form(A), &by("two", A)).is_none(), "another account's token");
        assert!(accounts.callback(URL, &form(B), &by("one", B)).is_none());
        assert!(accounts.callback(URL, &form("AC1"), &by("one", "AC1")).is_none());
        assert!(accounts.callback(URL, &[], &by("one", A)).is_none());
        assert!(accounts.callback("https://h/other", &form(A), &by("one", A)).is_none());
    }

    #[test]
    fn one_account_may_have_two_names() {
        let accounts = Accounts::new(vec![account("a", A, "one"), account("spare", A, "one")]);
        assert!(accounts.is_one());
        let signature = Key::new(&Secret::from("one")).sign(URL, &[]);
        let signers = accounts.upgrade(URL, &signature).unwrap();
        assert!(signers.speaks_for("a") && signers.speaks_for("spare"));
        assert!(Accounts::new(Vec::new()).is_one());
    }

    #[test]
    fn a_token_holds_for_one_call_attempt_and_generation() {
        let accounts = Accounts::new(vec![account("a", A, "one"), account("b", B, "two")]);
        let key = Key::new(&Secret::from("one"));
        let signers = accounts.callback(URL, &form(A), &key.sign(URL, &form(A))).unwrap();
        let token = signers.token(attempt(1), 3, "CA1");
        let all = accounts.all();
        assert!(all.admits(A, attempt(1), 3, "CA1", &token));
        assert!(!all.admits(A, attempt(2), 3, "CA1", &token));
        assert!(!all.admits(A, attempt(1), 4, "CA1", &token));
        assert!(!all.admits(A, attempt(1), 3, "CA2", &token));
        assert!(!all.admits(B, attempt(1), 3, "CA1", &token));
        for bad in ["", "x", "AAAA", &token[1..], &format!("{token}A")] {
            assert!(!all.admits(A, attempt(1), 3, "CA1", bad), "{bad}");
        }
        // Another process with the same configuration admits it too: a call outlives a restart.
        let later = Accounts::new(vec![account("a", A, "one")]);
        assert!(later.all().admits(A, attempt(1), 3, "CA1", &token));
    }

    #[test]
    fn nothing_secret_is_shown() {
        let shown = format!("{:?}", Accounts::new(vec![account("a", A, "hidden")]));
        assert_eq!(shown, r#"{"a"}"#);
    }
}
