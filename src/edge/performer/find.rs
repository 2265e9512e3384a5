//! Which call of the carrier's list is the one that a lost dial has made.
//!
//! The list names numbers and times and nothing of ours, so this is an inference, and one that errs on the safe
//! side: a call that another attempt has is nobody else's, and of several that remain none is taken. The attempt is
//! then settled by the callback that names it, or counts as lost.

use tandem_actors::PerformError;
use tandem_actors::query::{self, CallList};
use tandem_domain::call::{self, Call};
use tandem_domain::carrier::Report;
use tandem_domain::id::{Attempt, CustomerId, Entity};
use tandem_domain::time::{Millis, SECOND};
use tandem_providers::carrier::Found;
use tandem_store::Store;

/// How far the carrier's clock may be behind ours. No two dials of one company to one person are so close together.
pub(super) const MARGIN_MS: Millis = 10 * SECOND;
/// Calls of the same person that are looked at, newest first.
const CALLS_MAX: usize = 64;

/// What is known of an attempt and of the calls beside it.
pub(super) struct Known {
    pub customer: CustomerId,
    /// The carrier's ids that belong to other attempts.
    taken: Vec<String>,
}

impl Known {
    /// Reads who is called, and which of the carrier's calls to them are accounted for.
    pub async fn read(store: &dyn Store, attempt: Attempt) -> Result<Known, PerformError> {
        let failed = |e: query::QueryError| PerformError(format!("the call cannot be read: {e}"));
        let entity = Entity::call(attempt.company, attempt.call);
        let (_, state) = query::stored::<Call>(store, entity)
            .await
            .map_err(failed)?
            .ok_or_else(|| PerformError("there is no such call".into()))?;
        let customer = state.customer.ok_or_else(|| PerformError("the call has no person".into()))?;
        let mut taken = sids(&state, Some(attempt.number));
        let list = CallList::Customer(customer);
        let others = query::calls(store, attempt.company, list, (None, None), None, CALLS_MAX)
            .await
            .map_err(failed)?;
        for other in others.items.iter().filter(|other| other.id != attempt.call) {
            taken.extend(sids(&other.state, None));
        }
        Ok(Known { customer, taken })
    }
}

/// The carrier's ids of a call, but for those of the attempt that is alive and has this number.
fn sids(state: &call::State, but: Option<u16>) -> Vec<String> {
    let live = state.live.as_ref().filter(|_| Some(state.attempt) != but).and_then(|live| live.sid.clone());
    state.past.iter().filter_map(|past| past.sid.clone()).chain(live).collect()
}

/// The one call that can only be this attempt's, if there is one.
pub(super) fn settle(attempt: Attempt, known: &Known, found: Vec<Found>, since: Millis) -> Option<Report> {
    // Whole seconds, by a clock that may be a little behind.
    let earliest = (since - MARGIN_MS).div_euclid(SECOND) * SECOND;
    let mut candidates = found
        .into_iter()
        .filter(|call| call.created_at.is_none_or(|at| at >= earliest))
        .filter(|call| !known.taken.contains(&call.report.sid));
    let first = candidates.next()?;
    let more = candidates.count();
    if more > 0 {
        tracing::warn!(%attempt, candidates = more + 1, "several calls may be this attempt's; none is taken");
        return None;
    }
    Some(first.report)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_domain::call::{Live, Past};
    use tandem_domain::carrier::Progress;
    use tandem_domain::id::{CallId, CompanyId};
    use tandem_domain::retry::Outcome;

    const SINCE: Millis = 1_780_000_000_700;

    fn found(sid: &str, created_at: Option<Millis>) -> Found {
        let report = Report {
            sid: sid.into(),
            progress: Progress::Ringing,
            sequence: None,
            at: None,
            answered_by: None,
            sip_code: None,
            duration_s: None,
        };
        Found { sid: sid.into(), to: "+15550100".into(), from: "+15550199".into(), report, created_at }
    }

    fn settled(taken: &[&str], found: Vec<Found>) -> Option<String> {
        let attempt =
            Attempt { company: CompanyId::from_bytes([1; 16]), call: CallId::from_bytes([2; 16]), number: 1 };
        let taken = taken.iter().map(|sid| sid.to_string()).collect();
        let known = Known { customer: CustomerId::from_bytes([3; 16]), taken };
        settle(attempt, &known, found, SINCE).map(|report| report.sid)
    }

    #[test]
    fn the_only_call_that_fits_is_taken() {
        let second = SINCE / 1_000 * 1_000;
        assert_eq!(settled(&[], vec![]), None);
        assert_eq!(settled(&[], vec![found("CA1", Some(second))]).as_deref(), Some("CA1"));
        assert_eq!(settled(&[], vec![found("CA1", None)]).as_deref(), Some("CA1"), "still queued there");
        let skewed = second - MARGIN_MS;
        assert_eq!(settled(&[], vec![found("CA1", Some(skewed))]).as_deref(), Some("CA1"));
        assert_eq!(settled(&[], vec![found("CA1", Some(skewed - 1_000))]), None, "an earlier one");
    }

    #[test]
    fn a_call_of_another_attempt_is_not_taken() {
        let calls = || vec![found("CA2", Some(SINCE + 1_000)), found("CA1", Some(SINCE))];
        assert_eq!(settled(&["CA1"], calls()).as_deref(), Some("CA2"));
        assert_eq!(settled(&["CA1", "CA2"], calls()), None);
    }

    #[test]
    fn of_several_none_is_taken() {
        assert_eq!(settled(&[], vec![found("CA2", Some(SINCE)), found("CA1", None)]), None);
    }

    #[test]
    fn the_attempts_own_id_is_not_in_its_way() {
        let mut state = call::State {
            attempt: 2,
            live: Some(Box::new(Live { sid: Some("CA2".into()), ..Live::default() })),
            ..call::State::default()
        };
        state.past.push(Past {
            number: 1,
            sid: Some("CA1".into()),
            started_at: 0,
            answered_at: None,
            ended_at: 0,
            outcome: Outcome::Busy,
            verdict: Default::default(),
            message_left: false,
            counted: true,
            code: 0,
            recording: None,
        });
        assert_eq!(sids(&state, Some(2)), ["CA1"]);
        assert_eq!(sids(&state, None), ["CA1", "CA2"]);
    }
}
