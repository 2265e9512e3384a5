//! Names that the carrier gives: two letters that tell the kind, and 32 hexadecimal digits.

/// `CA…`, a call.
pub fn is_call_sid(text: &str) -> bool {
    is_sid(text, "CA")
}

/// `AC…`, an account.
pub fn is_account_sid(text: &str) -> bool {
    is_sid(text, "AC")
}

pub(super) fn is_sid(text: &str, kind: &str) -> bool {
    text.len() == 34
        && text.strip_prefix(kind).is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shape_is_checked() {
        assert!(is_call_sid("CA0123456789abcdef0123456789abcdef"));
        for bad in [
            "",
            "CA",
            "AC0123456789abcdef0123456789abcdef",
            "CA0123456789abcdef0123456789abcdeg",
            "CA0123456789abcdef0123456789abcde",
            "CA0123456789abcdef0123456789abcdef0",
            "CA../../../../../../../../../../aa",
            "CAé123456789abcdef0123456789abcde",
        ] {
            assert!(!is_call_sid(bad), "{bad}");
        }
        assert!(is_account_sid("AC0123456789abcdef0123456789abcdef"));
    }
}
