//! Settings of campaigns and of single calls, and limits.

use super::{hours, plan, time};
use crate::configured::{Configured, What};
use crate::grpc::error::Violation;
use tandem_domain::call::Plan;
use tandem_domain::campaign::{Config, Limits};
use tandem_domain::phone::Number;
use tandem_proto::v1;

/// Changes what the message gives and leaves the rest.
pub fn apply_settings(config: &mut Config, message: &v1::CampaignSettings) -> Result<(), Violation> {
    if let Some(message) = &message.plan {
        plan::apply_plan(&mut config.plan, message)?;
    }
    if let Some(message) = &message.hours {
        config.hours = hours::hours_of(message, &config.hours)?;
    }
    if let Some(message) = &message.bounds {
        hours::apply_bounds(&mut config.bounds, message)?;
    }
    if let Some(gap) = &message.gap {
        config.gap_ms = time::millis("gap", gap)?;
    }
    if let Some(attempts) = message.person_attempts_per_day {
        config.person_attempts_a_day =
            u16::try_from(attempts).map_err(|_| Violation::new("person_attempts_per_day", "at most 16"))?;
    }
    if let Some(required) = message.consent_required {
        config.consent_required = required;
    }
    if let Some(message) = &message.limits {
        apply_limits(&mut config.limits, message)?;
    }
    if !message.caller_ids.is_empty() {
        config.callers = message.caller_ids.iter().map(|n| caller_id_of(n)).collect::<Result<_, _>>()?;
    }
    Ok(())
}

/// Checks settings by the machines' own bounds, under the names of the interface.
pub fn check(config: &Config) -> Result<(), Violation> {
    check_bare(config).map_err(|v| v.within("settings"))
}

/// The same, under names within the settings.
fn check_bare(config: &Config) -> Result<(), Violation> {
    plan::check(&config.plan)?;
    config.validate().map_err(|e| {
        let field = match e.field {
            "carrier" => "plan.carrier",
            "callers" => "caller_ids",
            "person_attempts_a_day" => "person_attempts_per_day",
            other => other,
        };
        Violation::new(field, e.why)
    })
}

/// The same for single calls: their agent may be named call by call, and their caller ids are those of
/// the company.
pub fn check_single_calls(config: &Config) -> Result<(), Violation> {
    let mut complete = config.clone();
    complete.callers = vec!["+12025550143".to_owned()];
    if complete.plan.agent.agent_id.is_empty() {
        complete.plan.agent.agent_id = "named by each call".to_owned();
    }
    check_bare(&complete)
}

/// Checks that this node has what the plan of single calls names. A call may name its own agent, so one that names no
/// agent at all is left to the calls.
pub fn check_names_of_single_calls(configured: &Configured, plan: &Plan) -> Result<(), Violation> {
    match configured.check(plan) {
        Err(why) if why.what == What::Provider && why.given.is_empty() && plan.agent.agent_id.is_empty() => {
            Ok(())
        }
        checked => checked.map_err(plan::unconfigured),
    }
}

/// A caller id in E.164.
pub fn caller_id_of(text: &str) -> Result<String, Violation> {
    let number = Number::parse(text, None)
        .map_err(|e| Violation { code: e.reason(), ..Violation::new("caller_ids", e.to_string()) })?;
    Ok(number.as_e164().to_owned())
}

pub fn settings(config: &Config) -> v1::CampaignSettings {
    v1::CampaignSettings {
        plan: Some(plan::plan(&config.plan)),
        hours: Some(hours::hours(&config.hours)),
        bounds: Some(hours::bounds(&config.bounds)),
        gap: Some(time::duration(config.gap_ms)),
        person_attempts_per_day: Some(config.person_attempts_a_day.into()),
        consent_required: Some(config.consent_required),
        limits: Some(limits(&config.limits)),
        caller_ids: config.callers.clone(),
    }
}

/// Changes what the message gives and leaves the rest.
pub fn apply_limits(limits: &mut Limits, message: &v1::Limits) -> Result<(), Violation> {
    if let Some(concurrency) = message.concurrency {
        limits.concurrency = concurrency;
    }
    if let Some(cps) = message.calls_per_second {
        limits.milli_cps = milli_cps_of(cps)?;
    }
    if let Some(attempts) = message.attempts_per_day {
        limits.attempts_a_day = attempts;
    }
    Ok(())
}

fn milli_cps_of(cps: f64) -> Result<u32, Violation> {
    let refused = || Violation::new("limits.calls_per_second", "0 (no limit), or 0.001 to 1000");
    if !(0.0..=1_000.0).contains(&cps) {
        return Err(refused());
    }
    // Within 0 to 1,000,000 by the check above.
    let milli = (cps * 1_000.0).round() as u32;
    // A rate so small that it would round to "no limit".
    if milli == 0 && cps > 0.0 { Err(refused()) } else { Ok(milli) }
}

pub fn limits(limits: &Limits) -> v1::Limits {
    v1::Limits {
        concurrency: Some(limits.concurrency),
        calls_per_second: Some(f64::from(limits.milli_cps) / 1_000.0),
        attempts_per_day: Some(limits.attempts_a_day),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn limits_come_back(concurrency in 0u32..=100_000, milli_cps in 0u32..=1_000_000, attempts_a_day: u32) {
            let there = Limits { concurrency, milli_cps, attempts_a_day };
            let mut back = Limits { concurrency: 1, milli_cps: 1, attempts_a_day: 1 };
            prop_assert_eq!(apply_limits(&mut back, &limits(&there)), Ok(()));
            prop_assert_eq!(back, there);
        }
    }

    #[test]
    fn settings_come_back() {
        let there = Config {
            callers: vec!["+12025550143".into()],
            gap_ms: 90_500,
            consent_required: true,
            person_attempts_a_day: 0,
            ..Config::default()
        };
        let mut back = Config::default();
        apply_settings(&mut back, &settings(&there)).expect("good");
        assert_eq!(back, there);
    }

    #[test]
    fn rates_that_are_no_rates_are_refused() {
        for cps in [f64::NAN, -1.0, f64::INFINITY, 1_000.5, 0.0001] {
            assert!(milli_cps_of(cps).is_err(), "{cps}");
        }
        assert_eq!(milli_cps_of(2.5), Ok(2_500));
    }

    #[test]
    fn caller_ids_are_read_as_numbers() {
        assert_eq!(caller_id_of("+1 (202) 555-0143").as_deref(), Ok("+12025550143"));
        let refused = caller_id_of("12").expect_err("no number");
        assert!(!refused.code.is_empty());
    }

    #[test]
    fn settings_out_of_bounds_are_named_as_the_interface_names_them() {
        let mut config = Config::default();
        config.plan.agent.agent_id = "agent_1".into();
        assert_eq!(check(&config).expect_err("no caller id").field, "settings.caller_ids");
        config.callers = vec!["+12025550143".into()];
        assert_eq!(check(&config), Ok(()));
        config.gap_ms = i64::MAX;
        assert_eq!(check(&config).expect_err("a gap").field, "settings.gap");
        config.plan.ring_timeout_s = 0;
        assert_eq!(check(&config).expect_err("a plan").field, "settings.plan.ring_timeout");
    }
}
