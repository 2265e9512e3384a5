//! What the carrier says: the answer to a dial, callbacks, answers to fetches and searches.

use super::super::event::What;
use super::super::plan::MachineAction;
use super::super::state::{Phase, Verdict};
use super::Draft;
use super::end::{self, Ending};
use crate::campaign::Trouble;
use crate::carrier::{
    AnsweredBy, Cause, DialOutcome, End, Instruction, Progress, RecordingReport, RecordingStatus, Refusal,
    RefusalReason, Report,
};
use crate::effect::Effect;
use crate::machine::Rejection;
use crate::retry::Outcome;
use crate::time::{MINUTE, Millis, SECOND};

/// Pause after the carrier asked for one without saying how long.
const BACK_OFF_MS: Millis = 5 * SECOND;
/// A longer pause is not believed.
const BACK_OFF_MS_MAX: Millis = 10 * MINUTE;

pub(super) fn dialed(d: &mut Draft<'_>, attempt: u16, outcome: &DialOutcome) -> Result<(), Rejection> {
    if d.live(attempt).is_none() {
        // The attempt is over. A call that was created for it must not ring on.
        if let DialOutcome::Accepted { sid } = outcome
            && !knows(d, sid)
        {
            d.instruct(sid.clone(), Instruction::Hangup);
        }
        return Ok(());
    }
    match outcome {
        DialOutcome::Accepted { sid } => {
            adopt(d, attempt, sid);
        }
        DialOutcome::Unknown => {
            if d.s.phase == Phase::Dispatching {
                d.event(What::OutcomeUnknown);
                search(d);
            }
        }
        DialOutcome::Refused(refusal) => {
            // A callback may have come before this answer; then there is a call, whatever it says.
            if matches!(d.s.phase, Phase::Dispatching | Phase::Unknown) {
                end::attempt(d, refused(refusal, d.cx.now))?;
            }
        }
    }
    Ok(())
}

fn refused(refusal: &Refusal, now: Millis) -> Ending {
    let (outcome, again_at, trouble) = match refusal.reason {
        RefusalReason::InvalidNumber => (Outcome::InvalidNumber, None, None),
        RefusalReason::Unreachable => (Outcome::Unreachable, None, None),
        RefusalReason::Blocked => (Outcome::Blocked, None, None),
        RefusalReason::Other => (Outcome::CarrierFailure, None, None),
        RefusalReason::CallerId => (Outcome::CarrierFailure, Some(now), Some(Trouble::CallerId)),
        RefusalReason::Account => (Outcome::CarrierFailure, Some(now), Some(Trouble::Account)),
        RefusalReason::Configuration => (Outcome::CarrierFailure, Some(now), Some(Trouble::Configuration)),
        RefusalReason::RateLimited { retry_after_ms } => {
            let wait =
                retry_after_ms.map_or(BACK_OFF_MS, |ms| Millis::from(ms).clamp(SECOND, BACK_OFF_MS_MAX));
            (Outcome::CarrierFailure, Some(now + wait), Some(Trouble::Busy { until: now + wait }))
        }
        RefusalReason::Overloaded => {
            let until = now + BACK_OFF_MS;
            (Outcome::CarrierFailure, Some(until), Some(Trouble::Busy { until }))
        }
    };
    Ending { code: refusal.code, again_at, trouble, ..Ending::of(outcome) }
}

/// Whether this carrier id belongs to this call, now or in an attempt that is over.
fn knows(d: &Draft<'_>, sid: &str) -> bool {
    let live = d.s.live.as_ref().and_then(|l| l.sid.as_deref());
    live == Some(sid) || d.s.past.iter().any(|p| p.sid.as_deref() == Some(sid))
}

/// The attempt ended without anybody having seen its end.
fn was_given_up(d: &Draft<'_>, sid: &str) -> bool {
    d.s.past.iter().any(|p| p.sid.as_deref() == Some(sid) && p.outcome == Outcome::Lost)
}

/// The first id to present itself for an attempt is the attempt's; any other call is hung up at
/// once. Returns whether `sid` is the one.
pub(super) fn adopt(d: &mut Draft<'_>, attempt: u16, sid: &str) -> bool {
    let Some(live) = d.live(attempt) else {
        if !knows(d, sid) {
            d.instruct(sid.to_owned(), Instruction::Hangup);
        }
        return false;
    };
    match &live.sid {
        Some(known) if known == sid => true,
        Some(_) => {
            d.instruct(sid.to_owned(), Instruction::Hangup);
            false
        }
        None => {
            d.event(What::Accepted { sid: sid.to_owned() });
            if d.s.cancel {
                d.instruct(sid.to_owned(), Instruction::Hangup);
            }
            true
        }
    }
}

pub(super) fn reported(d: &mut Draft<'_>, attempt: u16, report: &Report) -> Result<(), Rejection> {
    // A call that has ended needs no hang-up, so its id is not adopted into a later attempt either.
    if d.live(attempt).is_none() {
        let alive = !matches!(report.progress, Progress::Ended(_));
        if alive && (!knows(d, &report.sid) || was_given_up(d, &report.sid)) {
            d.instruct(report.sid.clone(), Instruction::Hangup);
        }
        return Ok(());
    }
    if !adopt(d, attempt, &report.sid) {
        return Ok(());
    }
    // Callbacks come doubled, late and out of order: only what is further on than the phase counts.
    match report.progress {
        Progress::Queued => {}
        Progress::Initiated => {
            if matches!(d.s.phase, Phase::Dispatching | Phase::Unknown) {
                d.event(What::Initiated);
            }
        }
        Progress::Ringing => {
            if matches!(d.s.phase, Phase::Dispatching | Phase::Unknown | Phase::Initiated) {
                d.event(What::Ringing);
            }
        }
        Progress::Answered => answered(d),
        Progress::Ended(how) => {
            if let Some(said) = report.answered_by {
                judge(d, said);
            }
            if how == End::Completed {
                answered(d);
            }
            let longest = Millis::from(d.s.plan.max_duration_s) * SECOND + MINUTE;
            let talk_ms = report.duration_s.map(|s| (Millis::from(s) * SECOND).min(longest));
            end::attempt(d, Ending { talk_ms, ..Ending::of(outcome(d, how)) })?;
        }
    }
    if let (Some(said), true) = (report.answered_by, d.s.phase.is_answered()) {
        amd(d, attempt, &report.sid, said);
    }
    Ok(())
}

pub(super) fn answered(d: &mut Draft<'_>) {
    if matches!(d.s.phase, Phase::Dispatching | Phase::Unknown | Phase::Initiated | Phase::Ringing) {
        d.event(What::Answered);
    }
}

/// The neutral outcome of an ended attempt, with what is known of who answered.
pub(super) fn outcome(d: &Draft<'_>, how: End) -> Outcome {
    let verdict = d.s.live.as_ref().map(|l| l.verdict).unwrap_or_default();
    let left = d.s.live.as_ref().is_some_and(|l| l.message_left);
    // Whoever has answered has answered, whatever became of the line after that.
    let how = if d.s.phase.is_answered() { End::Completed } else { how };
    match how {
        End::Completed if verdict == Verdict::Fax => Outcome::Fax,
        End::Completed if left || verdict.is_machine() => Outcome::Voicemail,
        End::Completed => Outcome::Answered,
        End::Busy => Outcome::Busy,
        End::NoAnswer => Outcome::NoAnswer,
        End::Canceled => Outcome::Canceled,
        End::Failed(Cause::InvalidNumber) => Outcome::InvalidNumber,
        End::Failed(Cause::Unreachable) => Outcome::Unreachable,
        End::Failed(Cause::Blocked) => Outcome::Blocked,
        End::Failed(Cause::Carrier | Cause::Unspecified) => Outcome::CarrierFailure,
    }
}

/// Takes a verdict down. It may revise an earlier one, until a message is being left.
pub(super) fn judge(d: &mut Draft<'_>, said: AnsweredBy) {
    let verdict = Verdict::of(said, d.s.plan.amd.unknown_is_human);
    let stands = d.s.live.as_ref().is_none_or(|l| l.message_left || l.verdict == verdict);
    // An undecided late word does not take back a decided one.
    let decided = d.s.live.as_ref().is_some_and(|l| l.verdict != Verdict::Unknown);
    if !(stands || said == AnsweredBy::Unknown && decided) {
        d.event(What::Judged { answered_by: said, verdict });
    }
}

pub(super) fn amd(d: &mut Draft<'_>, attempt: u16, sid: &str, said: AnsweredBy) {
    if d.live(attempt).is_none() || !adopt(d, attempt, sid) {
        return;
    }
    // Only an answered call is listened to.
    answered(d);
    judge(d, said);
    let Some(live) = d.s.live.as_ref() else { return };
    if live.message_left || live.hangup_sent {
        return;
    }
    if d.s.is_dismissed() {
        d.instruct(sid.to_owned(), Instruction::Hangup);
        return;
    }
    // A greeting that still plays is waited for.
    if let MachineAction::LeaveMessage { text, language } = &d.s.plan.amd.on_machine
        && live.verdict.is_machine()
        && said != AnsweredBy::MachineStart
    {
        let instruction = Instruction::SayAndHangup { text: text.clone(), language: language.clone() };
        d.event(What::MessageLeft);
        d.instruct(sid.to_owned(), instruction);
    }
}

pub(super) fn recorded(d: &mut Draft<'_>, attempt: u16, sid: &str, recording: &RecordingReport) {
    let known = if attempt == d.s.attempt && d.s.live.is_some() {
        d.s.live.as_ref().and_then(|l| l.sid.as_deref())
    } else {
        d.s.past.iter().find(|p| p.number == attempt).and_then(|p| p.sid.as_deref())
    };
    let has = d.s.past.iter().any(|p| p.recording.as_deref() == Some(&recording.sid))
        || d.s.live.as_ref().is_some_and(|l| l.recording.as_deref() == Some(&recording.sid));
    if known == Some(sid) && !has && recording.status == RecordingStatus::Completed {
        d.event(What::Recorded { attempt, recording: recording.sid.clone() });
    }
}

/// Asks the carrier whether a call exists for an attempt whose outcome is unknown.
pub(super) fn search(d: &mut Draft<'_>) {
    let Some(live) = d.s.live.as_ref() else { return };
    d.effects.push(Effect::Find {
        attempt: d.attempt(),
        carrier: d.s.plan.carrier.clone(),
        to: d.s.to.clone(),
        from: live.from.clone(),
        since: live.permitted_at,
    });
}

/// The answer to a search. Nothing found is no proof: a queued call may not be listed yet, so the
/// search goes on until the stated time is over.
pub(super) fn found(d: &mut Draft<'_>, attempt: u16, report: Option<&Report>) -> Result<(), Rejection> {
    match report {
        Some(report) if d.live(attempt).is_some() => reported(d, attempt, report),
        _ => Ok(()),
    }
}

/// The carrier does not know a call that it once took: it is over, nobody knows how.
pub(super) fn missing(d: &mut Draft<'_>, attempt: u16, sid: &str) -> Result<(), Rejection> {
    match d.live(attempt) {
        Some(live) if live.sid.as_deref() == Some(sid) => {
            let answered = d.s.phase.is_answered();
            let outcome = if answered { outcome(d, End::Completed) } else { Outcome::Lost };
            end::attempt(d, Ending::of(outcome))
        }
        _ => Ok(()),
    }
}
