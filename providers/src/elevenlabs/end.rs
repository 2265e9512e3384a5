//! How a conversation ended, from the socket's close code.

use tandem_domain::agent::AgentEnd;

/// Close codes of RFC 6455 that have a meaning here.
pub(super) const NORMAL: u16 = 1_000;
/// The socket broke without a word. Never on the wire.
pub(super) const ABNORMAL: u16 = 1_006;
/// The provider sent what is no message.
pub(super) const UNREADABLE: u16 = 1_007;
/// What we sent does not please the provider: a variable is missing, an override is not allowed.
const POLICY: u16 = 1_008;

/// `kind` is the provider's word for what is wrong, where there is one.
pub(super) fn end(code: u16, kind: Option<String>) -> AgentEnd {
    match code {
        NORMAL => AgentEnd::Finished,
        POLICY => AgentEnd::Refused { code, kind: kind.unwrap_or_default() },
        // Among them 1002 (operational) and 1011 (internal): another conversation may fare better.
        _ => AgentEnd::Dropped { code },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_meaning() {
        assert_eq!(end(1_000, Some("x".into())), AgentEnd::Finished);
        let refused = AgentEnd::Refused { code: 1_008, kind: "override_error".into() };
        assert_eq!(end(1_008, Some("override_error".into())), refused);
        assert_eq!(end(1_008, None), AgentEnd::Refused { code: 1_008, kind: String::new() });
        for code in [1_001, 1_002, 1_006, 1_011, 3_000, 4_999] {
            assert_eq!(end(code, None), AgentEnd::Dropped { code });
        }
    }
}
