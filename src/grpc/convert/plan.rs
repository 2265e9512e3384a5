//! How calls are made.

use super::choices::{outcome, outcome_of, required};
use super::time;
use crate::configured::{Configured, Unconfigured};
use crate::grpc::error::Violation;
use tandem_domain::call::{AgentSpec, AmdPolicy, MachineAction, Plan};
use tandem_domain::retry;
use tandem_proto::v1;

/// What a message is left where a plan names no language for a machine.
const MESSAGE_LANGUAGE: &str = "en-US";

/// Changes what the message gives and leaves the rest. The whole is checked, so that a plan that is
/// refused says which field of the interface is wrong.
pub fn apply_plan(plan: &mut Plan, message: &v1::Plan) -> Result<(), Violation> {
    if let Some(carrier) = &message.carrier {
        plan.carrier.clone_from(carrier);
    }
    if let Some(agent) = &message.agent {
        apply_agent(&mut plan.agent, agent)?;
    }
    if let Some(d) = &message.ring_timeout {
        plan.ring_timeout_s = time::seconds("plan.ring_timeout", d)?;
    }
    if let Some(d) = &message.max_duration {
        plan.max_duration_s = time::seconds("plan.max_duration", d)?;
    }
    if let Some(amd) = &message.amd {
        apply_amd(&mut plan.amd, amd)?;
    }
    if let Some(record) = message.record {
        plan.record = record;
    }
    if let Some(retry) = &message.retry {
        plan.retry = retry_of(&plan.retry, retry)?;
    }
    if let Some(d) = &message.settle_after {
        plan.settle_ms = time::millis("plan.settle_after", d)?;
    }
    Ok(())
}

/// Checks a plan by the machines' own bounds, under the names of the interface.
pub fn check(plan: &Plan) -> Result<(), Violation> {
    plan.validate().map_err(|e| Violation::new(field_name(e.field), e.why))
}

/// Checks that this node has what a plan names.
pub fn check_names(configured: &Configured, plan: &Plan) -> Result<(), Violation> {
    configured.check(plan).map_err(unconfigured)
}

/// A name that leads nowhere.
pub fn unconfigured(why: Unconfigured) -> Violation {
    Violation::new(why.what.field(), why.to_string())
}

/// The interface's name for a field of [`Plan`].
fn field_name(field: &'static str) -> &'static str {
    match field {
        "carrier" => "plan.carrier",
        "agent.agent_id" => "plan.agent.agent_id",
        "agent.first_message" => "plan.agent.first_message",
        "ring_timeout_s" => "plan.ring_timeout",
        "max_duration_s" => "plan.max_duration",
        "amd.timeout_s" => "plan.amd.timeout",
        "amd.message" => "plan.amd.message",
        "settle_s" => "plan.settle_after",
        other => other,
    }
}

fn apply_agent(agent: &mut AgentSpec, message: &v1::Agent) -> Result<(), Violation> {
    if let Some(provider) = &message.provider {
        if provider.len() > 64 {
            return Err(Violation::new("plan.agent.provider", "at most 64 bytes"));
        }
        agent.provider.clone_from(provider);
    }
    if let Some(id) = &message.agent_id {
        agent.agent_id.clone_from(id);
    }
    // Set to nothing, it is the agent's own again.
    if let Some(first) = &message.first_message {
        agent.first_message = (!first.is_empty()).then(|| first.clone());
    }
    if let Some(language) = &message.language {
        if language.len() > 35 {
            return Err(Violation::new("plan.agent.language", "a language tag such as es or pt-BR"));
        }
        agent.language = (!language.is_empty()).then(|| language.clone());
    }
    Ok(())
}

fn apply_amd(amd: &mut AmdPolicy, message: &v1::AmdPolicy) -> Result<(), Violation> {
    if let Some(enabled) = message.enabled {
        amd.enabled = enabled;
    }
    if let Some(unknown_is_human) = message.unknown_is_human {
        amd.unknown_is_human = unknown_is_human;
    }
    if let Some(d) = &message.timeout {
        amd.timeout_s = time::seconds("plan.amd.timeout", d)?;
    }
    let leave = |text: &v1::VoicemailMessage| {
        let language = if text.language.is_empty() { MESSAGE_LANGUAGE } else { &text.language };
        MachineAction::LeaveMessage { text: text.text.clone(), language: language.to_owned() }
    };
    let field = "plan.amd.on_machine";
    let action = v1::MachineAction::try_from(message.on_machine)
        .map_err(|_| Violation::new(field, "a value that this version does not know"))?;
    match (action, &message.message) {
        (v1::MachineAction::Continue, _) => amd.on_machine = MachineAction::Continue,
        (v1::MachineAction::Hangup, _) => amd.on_machine = MachineAction::Hangup,
        (v1::MachineAction::LeaveMessage, Some(text)) => amd.on_machine = leave(text),
        (v1::MachineAction::LeaveMessage, None) => {
            if !matches!(amd.on_machine, MachineAction::LeaveMessage { .. }) {
                return Err(Violation::new("plan.amd.message", "required to leave a message"));
            }
        }
        (v1::MachineAction::Unspecified, Some(text)) => {
            if !matches!(amd.on_machine, MachineAction::LeaveMessage { .. }) {
                return Err(Violation::new(
                    field,
                    "a message is only left with MACHINE_ACTION_LEAVE_MESSAGE",
                ));
            }
            amd.on_machine = leave(text);
        }
        (v1::MachineAction::Unspecified, None) => {}
    }
    Ok(())
}

fn retry_of(base: &retry::Policy, message: &v1::RetryPolicy) -> Result<retry::Policy, Violation> {
    let mut policy = base.get().clone();
    if let Some(attempts) = message.attempts_max {
        policy.attempts_max = u16::try_from(attempts).unwrap_or(u16::MAX);
    }
    if message.schedule.len() > retry::SCHEDULE_MAX {
        return Err(Violation::new("plan.retry.schedule", "at most 16 delays"));
    }
    if !message.schedule.is_empty() {
        let delays = message.schedule.iter().map(|d| time::millis("plan.retry.schedule", d));
        policy.schedule_ms = delays.collect::<Result<_, _>>()?;
    }
    if !message.retried_outcomes.is_empty() {
        let field = "plan.retry.retried_outcomes";
        let outcomes = message.retried_outcomes.iter().map(|o| required(field, outcome_of(field, *o)?));
        policy.retried = outcomes.collect::<Result<Vec<_>, _>>()?.into_iter().collect();
    }
    if let Some(d) = &message.busy_delay {
        policy.busy_delay_ms = Some(time::millis("plan.retry.busy_delay", d)?);
    }
    if let Some(jitter) = message.jitter_permille {
        policy.jitter_permille = u16::try_from(jitter).unwrap_or(u16::MAX);
    }
    policy.check().map_err(|e| Violation::new("plan.retry", e.to_string()))
}

pub fn plan(plan: &Plan) -> v1::Plan {
    v1::Plan {
        carrier: Some(plan.carrier.clone()),
        agent: Some(v1::Agent {
            provider: Some(plan.agent.provider.clone()),
            agent_id: Some(plan.agent.agent_id.clone()),
            first_message: plan.agent.first_message.clone(),
            language: plan.agent.language.clone(),
        }),
        ring_timeout: Some(time::duration(i64::from(plan.ring_timeout_s) * 1_000)),
        max_duration: Some(time::duration(i64::from(plan.max_duration_s) * 1_000)),
        amd: Some(amd(&plan.amd)),
        record: Some(plan.record),
        retry: Some(retry(&plan.retry)),
        settle_after: Some(time::duration(plan.settle_ms)),
    }
}

fn amd(amd: &AmdPolicy) -> v1::AmdPolicy {
    let (on_machine, message) = match &amd.on_machine {
        MachineAction::Continue => (v1::MachineAction::Continue, None),
        MachineAction::Hangup => (v1::MachineAction::Hangup, None),
        MachineAction::LeaveMessage { text, language } => {
            let message = v1::VoicemailMessage { text: text.clone(), language: language.clone() };
            (v1::MachineAction::LeaveMessage, Some(message))
        }
    };
    v1::AmdPolicy {
        enabled: Some(amd.enabled),
        on_machine: on_machine.into(),
        message,
        unknown_is_human: Some(amd.unknown_is_human),
        timeout: Some(time::duration(i64::from(amd.timeout_s) * 1_000)),
    }
}

fn retry(policy: &retry::Policy) -> v1::RetryPolicy {
    let policy = policy.get();
    v1::RetryPolicy {
        attempts_max: Some(policy.attempts_max.into()),
        schedule: policy.schedule_ms.iter().map(|ms| time::duration(*ms)).collect(),
        retried_outcomes: policy.retried.iter().map(|o| outcome(o).into()).collect(),
        busy_delay: policy.busy_delay_ms.map(time::duration),
        jitter_permille: Some(policy.jitter_permille.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(message: v1::Plan) -> Result<Plan, Violation> {
        let mut plan = Plan::default();
        apply_plan(&mut plan, &message)?;
        Ok(plan)
    }

    #[test]
    fn a_plan_comes_back() {
        let mut there = Plan {
            carrier: "twilio-2".into(),
            ring_timeout_s: 40,
            max_duration_s: 60,
            record: true,
            settle_ms: 61_500,
            retry: retry::Policy::once(),
            ..Plan::default()
        };
        there.agent.agent_id = "agent_1".into();
        there.agent.first_message = Some("Hello".into());
        there.amd.on_machine = MachineAction::LeaveMessage { text: "Bye".into(), language: "de-DE".into() };
        there.amd.timeout_s = 7;
        assert_eq!(applied(plan(&there)), Ok(there));
    }

    #[test]
    fn an_empty_message_changes_nothing() {
        assert_eq!(applied(v1::Plan::default()), Ok(Plan::default()));
    }

    #[test]
    fn a_message_for_machines_needs_the_action_and_the_action_a_message() {
        let amd = |on_machine: v1::MachineAction, message: Option<v1::VoicemailMessage>| v1::Plan {
            amd: Some(v1::AmdPolicy { on_machine: on_machine.into(), message, ..v1::AmdPolicy::default() }),
            ..v1::Plan::default()
        };
        let text = v1::VoicemailMessage { text: "Call us".into(), language: String::new() };
        assert!(applied(amd(v1::MachineAction::LeaveMessage, None)).is_err());
        assert!(applied(amd(v1::MachineAction::Unspecified, Some(text.clone()))).is_err());
        let left = applied(amd(v1::MachineAction::LeaveMessage, Some(text))).expect("good");
        let expected =
            MachineAction::LeaveMessage { text: "Call us".into(), language: MESSAGE_LANGUAGE.into() };
        assert_eq!(left.amd.on_machine, expected);
    }

    #[test]
    fn retry_policies_are_checked() {
        let retry = |retry| applied(v1::Plan { retry: Some(retry), ..v1::Plan::default() });
        let default = v1::RetryPolicy::default;
        assert_eq!(
            retry(v1::RetryPolicy { attempts_max: Some(2), ..default() }).map(|p| p.retry.attempts_max()),
            Ok(2)
        );
        for bad in [
            v1::RetryPolicy { attempts_max: Some(0), ..default() },
            v1::RetryPolicy { attempts_max: Some(u32::MAX), ..default() },
            v1::RetryPolicy { schedule: vec![time::duration(1)], ..default() },
            v1::RetryPolicy { schedule: vec![time::duration(60_000); 1_000], ..default() },
            v1::RetryPolicy { retried_outcomes: vec![v1::Outcome::Answered.into()], ..default() },
            v1::RetryPolicy { retried_outcomes: vec![0], ..default() },
            v1::RetryPolicy { jitter_permille: Some(501), ..default() },
        ] {
            let error = retry(bad).expect_err("refused");
            assert!(error.field.starts_with("plan.retry"), "{error}");
        }
    }

    #[test]
    fn a_plan_out_of_bounds_is_named_as_the_interface_names_it() {
        let too_short = v1::Plan { ring_timeout: Some(time::duration(1_000)), ..v1::Plan::default() };
        let mut plan = applied(too_short).expect("well formed");
        plan.agent.agent_id = "agent_1".into();
        assert_eq!(check(&plan).expect_err("refused").field, "plan.ring_timeout");
        assert_eq!(check(&Plan::default()).expect_err("refused").field, "plan.agent.agent_id");
    }
}
