//! The closed sets of the protos, as words: `CALL_PHASE_IN_PROGRESS` is `in_progress`.

use crate::config::read::nearest;
use tandem_proto::v1;

/// An enumeration of the protos.
pub trait Words: Copy + TryFrom<i32> + Into<i32> {
    /// What stands before every name.
    const PREFIX: &'static str;

    fn full_name(self) -> &'static str;

    /// The word; empty for what is unspecified.
    fn word(self) -> String {
        if self.into() == 0 {
            return String::new();
        }
        let name = self.full_name();
        name.strip_prefix(Self::PREFIX).unwrap_or(name).to_ascii_lowercase()
    }

    /// The word of a number, as messages hold it; the number itself where this build does not know it.
    fn word_of(number: i32) -> String {
        Self::try_from(number).map_or_else(|_| number.to_string(), Self::word)
    }

    /// Every word.
    fn all() -> Vec<(String, Self)> {
        (1..).map_while(|number| Self::try_from(number).ok()).map(|value| (value.word(), value)).collect()
    }

    /// Reads a word; dashes will do for underscores.
    ///
    /// # Errors
    /// Which words there are.
    fn parse(text: &str) -> Result<Self, String> {
        let wanted = text.trim().to_ascii_lowercase().replace('-', "_");
        let all = Self::all();
        if let Some((_, value)) = all.iter().find(|(word, _)| *word == wanted) {
            return Ok(*value);
        }
        let meant = nearest(&wanted, all.iter().map(|(word, _)| word.as_str()));
        let hint = meant.map(|word| format!("did you mean {word}? ")).unwrap_or_default();
        let list = all.iter().map(|(word, _)| word.as_str()).collect::<Vec<_>>().join(", ");
        Err(format!("{hint}expected one of: {list}"))
    }
}

macro_rules! words {
    ($($name:ident = $prefix:literal),* $(,)?) => {
        $(impl Words for v1::$name {
            const PREFIX: &'static str = $prefix;
            fn full_name(self) -> &'static str {
                self.as_str_name()
            }
        })*

        #[cfg(test)]
        fn check_all() {
            $(
                for (word, value) in v1::$name::all() {
                    assert!(value.full_name().starts_with($prefix), "{}", value.full_name());
                    assert_eq!(v1::$name::parse(&word).map(i32::from), Ok(value.into()));
                }
                assert_eq!(v1::$name::word_of(0), "");
                assert_eq!(v1::$name::word_of(9_999), "9999");
            )*
        }
    };
}

words!(
    AnsweredBy = "ANSWERED_BY_",
    CallPhase = "CALL_PHASE_",
    CampaignPhase = "CAMPAIGN_PHASE_",
    CampaignReason = "CAMPAIGN_REASON_",
    ConsentBasis = "CONSENT_BASIS_",
    CustomerStatus = "CUSTOMER_STATUS_",
    Direction = "DIRECTION_",
    Disposition = "DISPOSITION_",
    DoNotCallSource = "DO_NOT_CALL_SOURCE_",
    MachineAction = "MACHINE_ACTION_",
    Outcome = "OUTCOME_",
    Priority = "PRIORITY_",
    Scope = "SCOPE_",
    Speaker = "SPEAKER_",
    Verdict = "VERDICT_",
);

/// A scope as keys know it: `calls:read` for `SCOPE_CALLS_READ`.
pub fn scope_word(number: i32) -> String {
    v1::Scope::word_of(number).replace('_', ":")
}

/// Reads a scope, written either way.
///
/// # Errors
/// Which scopes there are.
pub fn parse_scope(text: &str) -> Result<v1::Scope, String> {
    v1::Scope::parse(&text.replace(':', "_"))
        .map_err(|why| why.replace("_read", ":read").replace("_write", ":write"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_back() {
        check_all();
        assert_eq!(v1::Disposition::all().len(), 15);
        assert_eq!(v1::CallPhase::InProgress.word(), "in_progress");
    }

    #[test]
    fn slips_are_told() {
        assert_eq!(v1::Disposition::parse("No-Answer").unwrap(), v1::Disposition::NoAnswer);
        let why = v1::Disposition::parse("compleeted").unwrap_err();
        assert!(why.starts_with("did you mean completed? expected one of: completed, voicemail,"), "{why}");
        assert!(v1::Priority::parse("unspecified").is_err());
    }

    #[test]
    fn scopes_have_colons() {
        assert_eq!(scope_word(v1::Scope::CallsRead.into()), "calls:read");
        assert_eq!(parse_scope("campaigns:write"), Ok(v1::Scope::CampaignsWrite));
        assert!(parse_scope("calls").unwrap_err().contains("calls:read"));
    }
}
