//! Calls.

use super::{choices, hours, person, plan, time};
use crate::grpc::error::Violation;
use tandem_domain::call::{CarrierStep, Command, Live, Past, State, Status};
use tandem_domain::carrier::AnsweredBy;
use tandem_domain::id::CallId;
use tandem_domain::row::{Person, Turn};
use tandem_proto::v1;

/// A call as lists show it: nothing of the person but the last four digits.
pub fn call(id: CallId, s: &State) -> v1::Call {
    let past = s.past.iter().map(past_attempt);
    let live = s.live.as_deref().map(|live| live_attempt(s.attempt, live));
    v1::Call {
        call_id: id.to_string(),
        phase: choices::call_phase(s.phase).into(),
        direction: choices::direction(s.direction).into(),
        created_at: Some(time::timestamp(s.created_at)),
        customer_id: s.customer.map(|c| c.to_string()).unwrap_or_default(),
        campaign_id: s.campaign.map(|c| c.to_string()).unwrap_or_default(),
        contact: s.contact,
        priority: choices::priority(s.priority).into(),
        phone_last4: person::last4_text(s.last4),
        whereabouts: Some(hours::whereabouts(&s.place)),
        plan: Some(plan::plan(&s.plan)),
        attempt: s.attempt.into(),
        attempts_counted: s.counted.into(),
        attempts: past.chain(live).collect(),
        next_attempt_at: s.next_at.map(time::timestamp),
        turns: s.turns,
        talk_time: Some(time::duration(s.talk_ms)),
        hangup_requested: s.cancel,
        disposition: disposition(s),
        ended_at: s.ended.as_ref().map(|e| time::timestamp(e.at)),
        flagged: s.flagged,
        ..v1::Call::default()
    }
}

fn disposition(s: &State) -> i32 {
    s.ended.as_ref().map_or(0, |e| choices::disposition(e.disposition).into())
}

/// Adds what was sealed.
pub fn disclose(call: &mut v1::Call, phone: String, told: Option<Person>, note: Option<String>) {
    call.phone = phone;
    if let Some(told) = told {
        call.variables = person::variables(&told.variables);
        call.name = told.name.unwrap_or_default();
    }
    call.note = note.unwrap_or_default();
}

fn past_attempt(p: &Past) -> v1::Attempt {
    v1::Attempt {
        number: p.number.into(),
        carrier_call_id: p.sid.clone().unwrap_or_default(),
        started_at: Some(time::timestamp(p.started_at)),
        answered_at: p.answered_at.map(time::timestamp),
        ended_at: Some(time::timestamp(p.ended_at)),
        outcome: choices::outcome(p.outcome).into(),
        verdict: choices::verdict(p.verdict).into(),
        message_left: p.message_left,
        counted: p.counted,
        carrier_code: p.code,
        recording_id: p.recording.clone().unwrap_or_default(),
        ..v1::Attempt::default()
    }
}

fn live_attempt(number: u16, live: &Live) -> v1::Attempt {
    v1::Attempt {
        number: number.into(),
        carrier_call_id: live.sid.clone().unwrap_or_default(),
        from: live.from.clone(),
        started_at: Some(time::timestamp(live.permitted_at)),
        ringing_at: live.ringing_at.map(time::timestamp),
        answered_at: live.answered_at.map(time::timestamp),
        verdict: choices::verdict(live.verdict).into(),
        message_left: live.message_left,
        recording_id: live.recording.clone().unwrap_or_default(),
        ..v1::Attempt::default()
    }
}

pub fn status(s: &Status) -> v1::CallStatus {
    v1::CallStatus {
        phase: choices::call_phase(s.phase).into(),
        attempt: s.attempt.into(),
        next_attempt_at: s.next_at.map(time::timestamp),
        disposition: s.disposition.map_or(0, |d| choices::disposition(d).into()),
        ignored: s.ignored,
    }
}

/// Where a call stands, without a command.
pub fn status_of(s: &State) -> v1::CallStatus {
    v1::CallStatus {
        phase: choices::call_phase(s.phase).into(),
        attempt: s.attempt.into(),
        next_attempt_at: s.next_at.map(time::timestamp),
        disposition: disposition(s),
        ignored: false,
    }
}

/// A step of a call that the application dials itself.
pub fn step_of(message: v1::ReportCallRequest) -> Result<Command, Violation> {
    let attempt = |n: u32| {
        u16::try_from(n).ok().filter(|n| *n > 0).ok_or(Violation::new("attempt", "the number of an attempt"))
    };
    let step = v1::CarrierStep::try_from(message.step)
        .map_err(|_| Violation::new("step", "a value that this version does not know"))?;
    Ok(Command::Step(match step {
        v1::CarrierStep::Unspecified => return Err(Violation::new("step", "required")),
        v1::CarrierStep::Begin => CarrierStep::Begin { from: caller_id(message.from)? },
        v1::CarrierStep::Ringing => CarrierStep::Ringing { attempt: attempt(message.attempt)? },
        v1::CarrierStep::Answered => {
            let answered_by: Option<AnsweredBy> =
                choices::answered_by_of("answered_by", message.answered_by)?;
            CarrierStep::Answered { attempt: attempt(message.attempt)?, answered_by }
        }
        v1::CarrierStep::Talking => CarrierStep::Talking { attempt: attempt(message.attempt)? },
        v1::CarrierStep::Ended => CarrierStep::Ended {
            attempt: attempt(message.attempt)?,
            outcome: choices::required("outcome", choices::outcome_of("outcome", message.outcome)?)?,
        },
    }))
}

/// A caller id that may be left out. Its form alone is checked here: whether it is the company's, the
/// call finds out.
pub fn caller_id(from: String) -> Result<String, Violation> {
    match tandem_domain::phone::Number::from_e164(&from) {
        _ if from.is_empty() => Ok(from),
        Ok(_) => Ok(from),
        Err(_) => Err(Violation::new("from", "a caller id in E.164, such as +15551234567")),
    }
}

pub fn turn(number: u32, turn: &Turn, text: String) -> v1::Turn {
    v1::Turn {
        number,
        at: Some(time::timestamp(turn.at)),
        speaker: choices::speaker(turn.speaker).into(),
        text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_domain::call::{Ended, Phase, Verdict};
    use tandem_domain::retry::{Disposition, Outcome};

    fn report(step: v1::CarrierStep) -> v1::ReportCallRequest {
        v1::ReportCallRequest {
            step: step.into(),
            attempt: 2,
            from: "+12025550143".into(),
            outcome: v1::Outcome::Busy.into(),
            answered_by: v1::AnsweredBy::Human.into(),
            ..v1::ReportCallRequest::default()
        }
    }

    #[test]
    fn steps_are_read() {
        use v1::CarrierStep as Step;
        let expected = [
            (Step::Begin, CarrierStep::Begin { from: "+12025550143".into() }),
            (Step::Ringing, CarrierStep::Ringing { attempt: 2 }),
            (Step::Answered, CarrierStep::Answered { attempt: 2, answered_by: Some(AnsweredBy::Human) }),
            (Step::Talking, CarrierStep::Talking { attempt: 2 }),
            (Step::Ended, CarrierStep::Ended { attempt: 2, outcome: Outcome::Busy }),
        ];
        for (step, expected) in expected {
            assert_eq!(step_of(report(step)), Ok(Command::Step(expected)));
        }
    }

    #[test]
    fn steps_without_what_they_need_are_refused() {
        use v1::CarrierStep as Step;
        let cases = [
            (report(Step::Unspecified), "step"),
            (v1::ReportCallRequest { step: 77, ..report(Step::Begin) }, "step"),
            (v1::ReportCallRequest { from: "5551234".into(), ..report(Step::Begin) }, "from"),
            (v1::ReportCallRequest { attempt: 0, ..report(Step::Ringing) }, "attempt"),
            (v1::ReportCallRequest { attempt: 70_000, ..report(Step::Talking) }, "attempt"),
            (v1::ReportCallRequest { outcome: 0, ..report(Step::Ended) }, "outcome"),
            (v1::ReportCallRequest { answered_by: 99, ..report(Step::Answered) }, "answered_by"),
        ];
        for (message, field) in cases {
            assert_eq!(step_of(message).expect_err("refused").field, field);
        }
    }

    #[test]
    fn a_call_shows_its_attempts_in_order_and_of_the_person_four_digits() {
        let past = Past {
            number: 1,
            sid: Some("CA1".into()),
            started_at: 1_000,
            answered_at: None,
            ended_at: 2_000,
            outcome: Outcome::NoAnswer,
            verdict: Verdict::Unknown,
            message_left: false,
            counted: true,
            code: 0,
            recording: None,
        };
        let live = Live { from: "+12025550143".into(), permitted_at: 3_000, ..Live::default() };
        let state = State {
            phase: Phase::Ringing,
            attempt: 2,
            past: vec![past],
            live: Some(Box::new(live)),
            last4: *b"0143",
            ..State::default()
        };
        let shown = call(CallId::from_bytes([1; 16]), &state);
        assert_eq!(shown.attempts.iter().map(|a| a.number).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(shown.attempts[0].outcome(), v1::Outcome::NoAnswer);
        assert_eq!((shown.phone_last4.as_str(), shown.phone.as_str()), ("0143", ""));
        assert_eq!(shown.disposition(), v1::Disposition::Unspecified);
        let ended = Some(Ended { at: 9_000, disposition: Disposition::NoAnswer });
        let shown = call(CallId::from_bytes([1; 16]), &State { ended, ..state });
        assert_eq!(shown.disposition(), v1::Disposition::NoAnswer);
    }
}
