use super::*;
use proptest::prelude::*;

const ENDED: Millis = 1_800_000_000_000;

#[test]
fn the_default_schedule() {
    let policy = Policy::default();
    let next = |attempts, outcome| policy.next(attempts, outcome, ENDED, 0);
    assert_eq!(next(1, Outcome::NoAnswer), Next::At(ENDED + 15 * MINUTE));
    assert_eq!(next(2, Outcome::NoAnswer), Next::At(ENDED + HOUR));
    assert_eq!(next(3, Outcome::Busy), Next::At(ENDED + 4 * HOUR));
    assert_eq!(next(4, Outcome::Voicemail), Next::At(ENDED + DAY));
    assert_eq!(next(5, Outcome::NoAnswer), Next::Final(FinalReason::BudgetSpent));
    assert_eq!(next(1, Outcome::Answered), Next::Final(FinalReason::Answered));
    for outcome in [Outcome::Lost, Outcome::Fax, Outcome::InvalidNumber, Outcome::Blocked, Outcome::Canceled]
    {
        assert_eq!(next(1, outcome), Next::Final(FinalReason::NotRetried), "{outcome:?}");
    }
}

#[test]
fn a_busy_line_may_be_tried_sooner_and_never_later() {
    let unchecked = Unchecked { busy_delay_ms: Some(30 * MINUTE), ..Policy::default().get().clone() };
    let policy = unchecked.check().unwrap();
    assert_eq!(policy.next(1, Outcome::Busy, 0, 0), Next::At(15 * MINUTE));
    assert_eq!(policy.next(2, Outcome::Busy, 0, 0), Next::At(30 * MINUTE));
    assert_eq!(policy.next(2, Outcome::NoAnswer, 0, 0), Next::At(HOUR));
}

#[test]
fn jitter_only_lengthens() {
    let unchecked = Unchecked { jitter_permille: 200, ..Policy::default().get().clone() };
    let policy = unchecked.check().unwrap();
    assert_eq!(policy.next(1, Outcome::Busy, 0, 0), Next::At(15 * MINUTE));
    assert_eq!(policy.next(1, Outcome::Busy, 0, u64::MAX), Next::At(18 * MINUTE));
    assert_eq!(policy.next(1, Outcome::Busy, 0, u64::MAX / 2), Next::At(16 * MINUTE + 30 * SECOND));
}

#[test]
fn refused_policies() {
    let change = |change: fn(&mut Unchecked)| {
        let mut unchecked = Policy::default().get().clone();
        change(&mut unchecked);
        unchecked.check().unwrap_err()
    };
    assert_eq!(change(|p| p.attempts_max = 0), PolicyError::Attempts);
    assert_eq!(change(|p| p.attempts_max = ATTEMPTS_MAX + 1), PolicyError::Attempts);
    assert_eq!(change(|p| p.schedule_ms.clear()), PolicyError::Schedule);
    assert_eq!(change(|p| p.schedule_ms = vec![HOUR; SCHEDULE_MAX + 1]), PolicyError::Schedule);
    assert_eq!(change(|p| p.schedule_ms[2] = 0), PolicyError::Delay);
    assert_eq!(change(|p| p.schedule_ms[2] = -HOUR), PolicyError::Delay);
    assert_eq!(change(|p| p.schedule_ms[0] = 31 * DAY), PolicyError::Delay);
    assert_eq!(change(|p| p.busy_delay_ms = Some(1)), PolicyError::Delay);
    assert_eq!(change(|p| p.jitter_permille = 501), PolicyError::Jitter);
    for outcome in Outcome::ALL.into_iter().filter(|outcome| !outcome.is_retryable()) {
        let mut unchecked = Policy::default().get().clone();
        unchecked.retried = unchecked.retried.with(outcome);
        assert_eq!(unchecked.check(), Err(PolicyError::NotRetryable(outcome)));
    }
    assert!(Unchecked { schedule_ms: Vec::new(), ..Policy::once().get().clone() }.check().is_ok());
}

#[test]
fn names_are_stable_and_tell_apart() {
    let outcomes: Vec<&str> = Outcome::ALL.into_iter().map(Outcome::name).collect();
    assert_eq!(
        outcomes.join(" "),
        "answered voicemail fax busy no_answer invalid_number unreachable blocked carrier_failure canceled lost rejected"
    );
    let dispositions: Vec<&str> = Disposition::ALL.into_iter().map(Disposition::name).collect();
    assert_eq!(
        dispositions.join(" "),
        "completed voicemail voicemail_left busy no_answer failed invalid_number do_not_call no_consent canceled \
         lost stopped expired fax blocked"
    );
    assert!(Outcome::ALL.into_iter().all(|outcome| Outcome::from_name(outcome.name()) == Some(outcome)));
    assert!(Disposition::ALL.into_iter().all(|end| Disposition::from_name(end.name()) == Some(end)));
    assert_eq!(Outcome::from_name("unheard_of"), None);
    // Stored by their place: it is the place in ALL.
    for (at, outcome) in Outcome::ALL.into_iter().enumerate() {
        assert_eq!(outcome as usize, at);
    }
    for (at, disposition) in Disposition::ALL.into_iter().enumerate() {
        assert_eq!(disposition as usize, at);
    }
}

#[test]
fn dispositions_of_last_outcomes() {
    assert_eq!(Disposition::of(Outcome::Voicemail, true), Disposition::VoicemailLeft);
    assert_eq!(Disposition::of(Outcome::Voicemail, false), Disposition::Voicemail);
    assert_eq!(Disposition::of(Outcome::Unreachable, false), Disposition::Failed);
    // A message counts for machines only.
    for outcome in Outcome::ALL.into_iter().filter(|outcome| *outcome != Outcome::Voicemail) {
        assert_eq!(Disposition::of(outcome, true), Disposition::of(outcome, false));
    }
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    prop::sample::select(&Outcome::ALL[..])
}

fn any_policy() -> impl Strategy<Value = Policy> {
    (
        1..=ATTEMPTS_MAX,
        prop::collection::vec(DELAY_MS_MIN..=DELAY_MS_MAX, 1..=SCHEDULE_MAX),
        prop::collection::vec(any_outcome(), 0..12),
        prop::option::of(DELAY_MS_MIN..=DELAY_MS_MAX),
        0..=JITTER_PERMILLE_MAX,
    )
        .prop_map(|(attempts_max, schedule_ms, retried, busy_delay_ms, jitter_permille)| {
            let retried = retried.into_iter().filter(|outcome| outcome.is_retryable()).collect();
            Unchecked { attempts_max, schedule_ms, retried, busy_delay_ms, jitter_permille }.check().unwrap()
        })
}

proptest! {
    /// A contact's whole life: whatever comes of its attempts, there are no more of them than the
    /// budget allows, each begins after the one before ended and not before the delay is over.
    #[test]
    fn the_budget_holds(policy in any_policy(), story in prop::collection::vec((any_outcome(), 0..HOUR, any::<u64>()), 64)) {
        let mut attempts = 0u16;
        let mut begins = 0;
        let mut over = false;
        for (outcome, lasts, random) in story {
            attempts += 1;
            prop_assert!(attempts <= policy.attempts_max());
            let ended_at = begins + lasts;
            match policy.next(attempts, outcome, ended_at, random) {
                Next::At(at) => {
                    let delay = policy.delay_ms(attempts, outcome).unwrap();
                    prop_assert!(at > begins && at >= ended_at + delay);
                    prop_assert!(at <= ended_at + delay + delay * Millis::from(JITTER_PERMILLE_MAX) / 1_000);
                    prop_assert!(policy.get().retried.contains(outcome) && outcome.is_retryable());
                    begins = at;
                }
                Next::Final(reason) => {
                    match reason {
                        FinalReason::Answered => prop_assert_eq!(outcome, Outcome::Answered),
                        FinalReason::NotRetried => prop_assert!(!policy.get().retried.contains(outcome)),
                        FinalReason::BudgetSpent => prop_assert_eq!(attempts, policy.attempts_max()),
                    }
                    over = true;
                    break;
                }
            }
        }
        prop_assert!(over, "64 attempts are more than any budget");
    }

    #[test]
    fn more_attempts_than_the_budget_are_final(policy in any_policy(), outcome in any_outcome(), more in 0u16..100) {
        let next = policy.next(policy.attempts_max().saturating_add(more), outcome, ENDED, 0);
        prop_assert!(matches!(next, Next::Final(_)));
    }

    #[test]
    fn no_time_overflows(policy in any_policy(), outcome in any_outcome(), ended_at in any::<Millis>(), random in any::<u64>(), attempts in any::<u16>()) {
        if let Next::At(at) = policy.next(attempts, outcome, ended_at, random) {
            prop_assert!(at >= ended_at);
        }
    }

    #[test]
    fn a_set_holds_what_was_put_into_it(members in prop::collection::btree_set(any_outcome(), 0..12)) {
        let set: OutcomeSet = members.iter().copied().collect();
        prop_assert_eq!(set.iter().collect::<Vec<_>>(), members.iter().copied().collect::<Vec<_>>());
        for outcome in Outcome::ALL {
            prop_assert_eq!(set.contains(outcome), members.contains(&outcome));
            prop_assert!(!set.without(outcome).contains(outcome));
        }
    }
}

/// The stored bytes, which stay readable for ever; what breaks the rules is not read.
#[test]
fn stored_forms() {
    use crate::codec::{decode, encode};
    let outcomes: Vec<Vec<u8>> = Outcome::ALL.iter().map(encode).collect();
    assert_eq!(outcomes, (0..12).map(|n| vec![1, n]).collect::<Vec<_>>());
    let dispositions: Vec<Vec<u8>> = Disposition::ALL.iter().map(encode).collect();
    assert_eq!(dispositions, (0..15).map(|n| vec![1, n]).collect::<Vec<_>>());
    let policy = Policy::default();
    assert_eq!(decode::<Policy>(&encode(&policy)), Ok(policy.clone()));
    let endless = Unchecked { attempts_max: 1_000, ..policy.get().clone() };
    assert!(decode::<Policy>(&encode(&endless)).is_err());
}
