//! What a call does when nothing was heard for too long.

use super::super::event::{DISPATCH_MS, HANGUP_MS, LOOK_MS, SETTLE_STEP_MS, SILENCE_MS, What};
use super::super::state::Phase;
use super::end::{self, Ending};
use super::{Draft, carrier};
use crate::carrier::{End, Instruction};
use crate::effect::Effect;
use crate::machine::Rejection;
use crate::retry::Outcome;
use crate::time::Millis;

/// So many fruitless questions end the attempt.
const CHECKS_MAX: u16 = 10;
/// And so many where the media is lost: nobody talks to the person any more.
const CHECKS_WITHOUT_MEDIA_MAX: u16 = 2;

pub(super) fn tick(d: &mut Draft<'_>) -> Result<(), Rejection> {
    let now = d.cx.now;
    if d.s.check_at.is_none_or(|at| now < at) {
        return Ok(());
    }
    let Some(live) = d.s.live.as_deref() else { return Ok(()) };
    let (checks, permitted_at) = (live.checks, live.permitted_at);
    if d.s.plan.is_external() {
        // Nobody can be asked, and the application has been silent for longer than any call lasts.
        return end::attempt(d, Ending::of(Outcome::Lost));
    }
    match d.s.phase {
        Phase::Absent | Phase::Queued | Phase::Ended => Ok(()),
        // Whoever was to dial has not come back: it may have dialed.
        Phase::Dispatching => {
            d.event(What::OutcomeUnknown);
            carrier::search(d);
            Ok(())
        }
        Phase::Unknown if now >= permitted_at + d.s.plan.settle_ms.max(DISPATCH_MS) => {
            end::attempt(d, Ending::of(Outcome::Lost))
        }
        Phase::Unknown => {
            carrier::search(d);
            plan_check(d, SETTLE_STEP_MS);
            Ok(())
        }
        Phase::Initiated | Phase::Ringing if checks >= CHECKS_MAX => {
            // It may still be alive at the carrier, and is not to ring on.
            hang_up(d);
            end::attempt(d, Ending::of(Outcome::Lost))
        }
        // Nothing was heard for a while, and nothing has to be wrong: only the carrier knows.
        Phase::InProgress if d.s.talks_until().is_some_and(|until| now < until) => {
            fetch(d);
            plan_check(d, LOOK_MS);
            Ok(())
        }
        Phase::InProgress | Phase::Reattaching if checks >= checks_max(d) => {
            let outcome = carrier::outcome(d, End::Completed);
            end::attempt(d, Ending::of(outcome))
        }
        Phase::Initiated | Phase::Ringing => {
            let wanted = d.s.live.as_ref().is_some_and(|l| l.hangup_sent);
            if wanted {
                hang_up(d);
            }
            fetch(d);
            plan_check(d, if wanted { HANGUP_MS } else { SILENCE_MS });
            Ok(())
        }
        // Longer than a conversation may last, or its media did not come back: end it, and ask how
        // it stands.
        Phase::InProgress | Phase::Reattaching => {
            hang_up(d);
            fetch(d);
            plan_check(d, HANGUP_MS);
            Ok(())
        }
    }
}

fn checks_max(d: &Draft<'_>) -> u16 {
    let lost = d.s.live.as_ref().is_some_and(|l| !l.media_open && l.generation > 0 && !l.message_left);
    if lost { CHECKS_WITHOUT_MEDIA_MAX } else { CHECKS_MAX }
}

fn hang_up(d: &mut Draft<'_>) {
    if let Some(sid) = d.s.live.as_ref().and_then(|l| l.sid.clone()) {
        d.instruct(sid, Instruction::Hangup);
    }
}

fn plan_check(d: &mut Draft<'_>, wait: Millis) {
    let at = Some(d.cx.now + wait);
    d.event(What::CheckPlanned { at });
}

fn fetch(d: &mut Draft<'_>) {
    if let Some(sid) = d.s.live.as_ref().and_then(|l| l.sid.clone()) {
        let carrier = d.s.plan.carrier.clone();
        d.effects.push(Effect::Fetch { attempt: d.attempt(), carrier, sid });
    }
}
