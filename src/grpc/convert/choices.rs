//! Closed sets, one match for each direction, so that a new variant does not compile until it has
//! its word in the interface.

use crate::grpc::error::Violation;
use tandem_domain::agent::Speaker;
use tandem_domain::call::{self, Direction, Verdict};
use tandem_domain::campaign;
use tandem_domain::carrier::AnsweredBy;
use tandem_domain::company::Scope;
use tandem_domain::customer;
use tandem_domain::retry::{Disposition, Outcome};
use tandem_domain::row::{ConsentBasis, DncSource, Priority};
use tandem_domain::window::Weekday;
use tandem_proto::v1;

/// Both directions of a set whose members have the same names on both sides; `Unspecified` is absent.
macro_rules! same_names {
    ($to:ident, $from:ident, $domain:ty, $proto:ident, [$($name:ident),* $(,)?]) => {
        pub fn $to(it: $domain) -> v1::$proto {
            match it {
                $(<$domain>::$name => v1::$proto::$name,)*
            }
        }

        /// `None` where it is not specified.
        ///
        /// # Errors
        /// A number that this version has no name for.
        pub fn $from(field: &'static str, it: i32) -> Result<Option<$domain>, Violation> {
            match v1::$proto::try_from(it) {
                Ok(v1::$proto::Unspecified) => Ok(None),
                $(Ok(v1::$proto::$name) => Ok(Some(<$domain>::$name)),)*
                Err(_) => Err(unknown(field)),
            }
        }
    };
}

fn unknown(field: &'static str) -> Violation {
    Violation::new(field, "a value that this version does not know")
}

/// The value of a field that has to be set.
pub fn required<T>(field: &'static str, it: Option<T>) -> Result<T, Violation> {
    it.ok_or_else(|| Violation::new(field, "required"))
}

same_names!(priority, priority_of, Priority, Priority, [High, Normal, Low]);
same_names!(direction, direction_of, Direction, Direction, [Outbound, Inbound]);
same_names!(
    answered_by,
    answered_by_of,
    AnsweredBy,
    AnsweredBy,
    [Human, MachineStart, MachineEndBeep, MachineEndSilence, MachineEndOther, Fax, Unknown]
);
same_names!(
    outcome,
    outcome_of,
    Outcome,
    Outcome,
    [
        Answered,
        Voicemail,
        Fax,
        Busy,
        NoAnswer,
        InvalidNumber,
        Unreachable,
        Blocked,
        CarrierFailure,
        Canceled,
        Lost,
        Rejected,
    ]
);
same_names!(
    disposition,
    disposition_of,
    Disposition,
    Disposition,
    [
        Completed,
        Voicemail,
        VoicemailLeft,
        Busy,
        NoAnswer,
        Failed,
        InvalidNumber,
        DoNotCall,
        NoConsent,
        Canceled,
        Lost,
        Stopped,
        Expired,
        Fax,
        Blocked,
    ]
);
same_names!(speaker, speaker_of, Speaker, Speaker, [Agent, Caller]);
same_names!(
    weekday,
    weekday_of,
    Weekday,
    DayOfWeek,
    [Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday]
);
same_names!(
    consent_basis,
    consent_basis_of,
    ConsentBasis,
    ConsentBasis,
    [Written, Oral, BusinessRelationship]
);
same_names!(dnc_source, dnc_source_of, DncSource, DoNotCallSource, [OptOut, Operator, List]);
same_names!(
    scope,
    scope_of,
    Scope,
    Scope,
    [
        CallsRead,
        CallsWrite,
        CampaignsRead,
        CampaignsWrite,
        CustomersRead,
        CustomersWrite,
        CompanyRead,
        CompanyWrite,
    ]
);

pub fn call_phase(it: call::Phase) -> v1::CallPhase {
    match it {
        call::Phase::Absent => v1::CallPhase::Unspecified,
        call::Phase::Queued => v1::CallPhase::Queued,
        call::Phase::Dispatching => v1::CallPhase::Dispatching,
        call::Phase::Unknown => v1::CallPhase::Unknown,
        call::Phase::Initiated => v1::CallPhase::Initiated,
        call::Phase::Ringing => v1::CallPhase::Ringing,
        call::Phase::InProgress => v1::CallPhase::InProgress,
        call::Phase::Reattaching => v1::CallPhase::Reattaching,
        call::Phase::Ended => v1::CallPhase::Ended,
    }
}

pub fn campaign_phase(it: campaign::Phase) -> v1::CampaignPhase {
    match it {
        campaign::Phase::Absent => v1::CampaignPhase::Unspecified,
        campaign::Phase::Draft => v1::CampaignPhase::Draft,
        campaign::Phase::Starting => v1::CampaignPhase::Starting,
        campaign::Phase::Running => v1::CampaignPhase::Running,
        campaign::Phase::Pausing => v1::CampaignPhase::Pausing,
        campaign::Phase::Paused => v1::CampaignPhase::Paused,
        campaign::Phase::Resuming => v1::CampaignPhase::Resuming,
        campaign::Phase::Stopping => v1::CampaignPhase::Stopping,
        campaign::Phase::Stopped => v1::CampaignPhase::Stopped,
        campaign::Phase::Completed => v1::CampaignPhase::Completed,
        campaign::Phase::Failed => v1::CampaignPhase::Failed,
    }
}

/// The reason, and the carrier's code behind it.
pub fn campaign_reason(it: Option<campaign::Reason>) -> (v1::CampaignReason, u32) {
    let Some(reason) = it else { return (v1::CampaignReason::Unspecified, 0) };
    let word = match reason {
        campaign::Reason::Operator => v1::CampaignReason::Operator,
        campaign::Reason::CarrierAccount { .. } => v1::CampaignReason::CarrierAccount,
        campaign::Reason::CallerId { .. } => v1::CampaignReason::CallerId,
        campaign::Reason::CarrierConfiguration { .. } => v1::CampaignReason::CarrierConfiguration,
    };
    (word, reason.code())
}

pub fn verdict(it: Verdict) -> v1::Verdict {
    match it {
        Verdict::Unknown => v1::Verdict::Unknown,
        Verdict::LikelyHuman => v1::Verdict::LikelyHuman,
        Verdict::LikelyMachine => v1::Verdict::LikelyMachine,
        Verdict::Human => v1::Verdict::Human,
        Verdict::Machine { beep: false } => v1::Verdict::Machine,
        Verdict::Machine { beep: true } => v1::Verdict::MachineBeep,
        Verdict::Fax => v1::Verdict::Fax,
    }
}

pub fn customer_status(it: customer::Status) -> v1::CustomerStatus {
    match it {
        customer::Status::Absent => v1::CustomerStatus::Unspecified,
        customer::Status::Placeholder => v1::CustomerStatus::Placeholder,
        customer::Status::Lead => v1::CustomerStatus::Lead,
        customer::Status::Customer => v1::CustomerStatus::Customer,
        customer::Status::Inactive => v1::CustomerStatus::Inactive,
        customer::Status::Churned => v1::CustomerStatus::Churned,
    }
}

/// `None` where it is not specified.
///
/// # Errors
/// A number that this version has no name for.
pub fn customer_status_of(field: &'static str, it: i32) -> Result<Option<customer::Status>, Violation> {
    let all = customer::Status::ALL.into_iter();
    match v1::CustomerStatus::try_from(it) {
        Ok(v1::CustomerStatus::Unspecified) => Ok(None),
        Ok(word) => Ok(all.into_iter().find(|status| customer_status(*status) == word)),
        Err(_) => Err(unknown(field)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_disposition_and_outcome_comes_back() {
        for it in Disposition::ALL {
            assert_eq!(disposition_of("d", disposition(it) as i32), Ok(Some(it)));
            let expected = format!("DISPOSITION_{}", it.name().to_ascii_uppercase());
            assert_eq!(disposition(it).as_str_name(), expected);
        }
        for it in Outcome::ALL {
            assert_eq!(outcome_of("o", outcome(it) as i32), Ok(Some(it)));
            assert_eq!(outcome(it).as_str_name(), format!("OUTCOME_{}", it.name().to_ascii_uppercase()));
        }
    }

    #[test]
    fn phases_have_the_names_of_the_domain() {
        for it in call::Phase::ALL.into_iter().filter(|p| *p != call::Phase::Absent) {
            let expected = format!("CALL_PHASE_{}", it.name().to_ascii_uppercase());
            assert_eq!(call_phase(it).as_str_name(), expected);
        }
    }

    #[test]
    fn scopes_and_weekdays_and_statuses_come_back() {
        for it in Scope::ALL {
            assert_eq!(scope_of("s", scope(it) as i32), Ok(Some(it)));
            let name = scope(it).as_str_name().to_ascii_lowercase();
            assert_eq!(name.strip_prefix("scope_"), Some(it.name().replace(':', "_").as_str()));
        }
        for it in Weekday::ALL {
            assert_eq!(weekday_of("d", weekday(it) as i32), Ok(Some(it)));
        }
        for it in customer::Status::ALL.into_iter().filter(|s| *s != customer::Status::Absent) {
            assert_eq!(customer_status_of("s", customer_status(it) as i32), Ok(Some(it)));
        }
    }

    #[test]
    fn unspecified_is_absent_and_a_stranger_is_refused() {
        assert_eq!(priority_of("priority", 0), Ok(None));
        assert!(priority_of("priority", 99).is_err());
        assert!(customer_status_of("status", -1).is_err());
        assert!(required("outcome", outcome_of("outcome", 0).expect("unspecified")).is_err());
    }
}
