//! The carrier's error codes. Only codes that say that nothing was done are here; the rest, above
//! all its internal errors, leave open whether a call exists.

use tandem_domain::carrier::{Refusal, RefusalReason};

/// The carrier's internal error: on creating a call it does not say whether there is one.
const INTERNAL: u32 = 20_500;
/// The carrier is unavailable.
const UNAVAILABLE: u32 = 20_503;
/// Too many requests: never processed.
pub(super) const TOO_MANY: u32 = 20_429;
/// No such resource.
pub(super) const NOT_FOUND: u32 = 20_404;
/// The call is not in a state for this; in practice it has ended.
pub(super) const CALL_ENDED: u32 = 21_220;

/// Whether this code leaves open what happened.
pub(super) fn is_trouble(code: u32) -> bool {
    matches!(code, INTERNAL | UNAVAILABLE)
}

/// Whether nothing will work with this account until a person has acted.
pub(super) fn is_account(code: u32) -> bool {
    matches!(code, 10_001 | 10_003 | 20_003 | 20_005 | 20_403)
}

/// What a code means in answer to asking for a call; `None` where it is no definite no.
pub(super) fn refusal(code: u32, retry_after_ms: Option<u32>) -> Option<Refusal> {
    let reason = match code {
        _ if is_trouble(code) => return None,
        _ if is_account(code) => RefusalReason::Account,
        // The only thing named in the address is the account.
        NOT_FOUND => RefusalReason::Account,
        TOO_MANY => RefusalReason::RateLimited { retry_after_ms },
        10_004 | 15_001 | 15_002 | 22_005 | 32_001 | 32_101 => RefusalReason::Overloaded,
        13_223 | 13_224 | 13_226 | 21_211 | 21_217 => RefusalReason::InvalidNumber,
        21_214 => RefusalReason::Unreachable,
        13_225 | 21_202 | 21_216 | 32_203 => RefusalReason::Blocked,
        21_210 | 21_212 | 21_213 | 32_204 => RefusalReason::CallerId,
        10_002
        | 20_008
        | 21_201
        | 21_203
        | 21_205
        | 21_208
        | 21_215
        | 21_218
        | 21_219
        | 21_221..=21_226
        | 21_262
        | 21_626
        | 13_227
        | 12_100
        | 15_003
        | 32_200
        | 32_205
        | 573_005 => RefusalReason::Configuration,
        11_200..=11_237 => RefusalReason::Configuration,
        _ => RefusalReason::Other,
    };
    Some(Refusal { reason, code })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_reason() {
        use RefusalReason::*;
        for (reason, codes) in [
            (InvalidNumber, &[13_223, 13_224, 13_226, 21_211, 21_217][..]),
            (Unreachable, &[21_214]),
            (Blocked, &[13_225, 21_202, 21_216, 32_203]),
            (CallerId, &[21_210, 21_212, 21_213]),
            (Account, &[10_001, 10_003, 20_003, 20_005, 20_403, 20_404]),
            (
                Configuration,
                &[10_002, 20_008, 21_203, 21_205, 21_215, 21_219, 21_226, 11_200, 13_227, 573_005],
            ),
            (RateLimited { retry_after_ms: Some(500) }, &[20_429]),
            (Overloaded, &[10_004, 22_005, 15_001]),
            (Other, &[1, 29_999, 21_999]),
        ] {
            for code in codes {
                assert_eq!(refusal(*code, Some(500)), Some(Refusal { reason, code: *code }), "{code}");
            }
        }
        assert_eq!(refusal(20_500, None), None);
        assert_eq!(refusal(20_503, None), None);
    }
}
