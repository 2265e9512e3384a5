//! Options that say how calls are made.

use super::week;
use crate::cli::failure::Failure;
use crate::cli::time::duration;
use crate::cli::words::Words as _;
use crate::config::read::Span;
use clap::Args;
use tandem_proto::v1;

/// How a call is made.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "How it is made")]
pub struct PlanFlags {
    /// Name of a carrier in the node's configuration, or external.
    #[arg(long, value_name = "NAME")]
    carrier: Option<String>,
    /// The provider's id of the voice agent.
    #[arg(long, value_name = "ID")]
    agent: Option<String>,
    /// Name of an agent provider in the node's configuration.
    #[arg(long, value_name = "NAME")]
    agent_provider: Option<String>,
    /// The language that the agent speaks, such as es or pt-BR.
    #[arg(long, value_name = "TAG")]
    agent_language: Option<String>,
    /// Stands instead of the agent's own first sentence.
    #[arg(long, value_name = "TEXT")]
    first_message: Option<String>,
    /// How long it may ring: 15s to 10m.
    #[arg(long, value_name = "TIME")]
    ring_timeout: Option<Span>,
    /// Longest conversation: 10s to 4h.
    #[arg(long, value_name = "TIME")]
    max_duration: Option<Span>,
    /// Record the conversation.
    #[arg(long)]
    record: bool,
    /// What to do with a machine: continue, hangup or leave_message.
    #[arg(long, value_parser = v1::MachineAction::parse, value_name = "ACTION")]
    on_machine: Option<v1::MachineAction>,
    /// What to say to a machine after its beep; means leave_message.
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    /// The language of that message.
    #[arg(long, value_name = "TAG", requires = "message")]
    message_language: Option<String>,
    /// Attempts in all, the first included: 1 to 20.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20))]
    attempts: Option<u32>,
}

impl PlanFlags {
    /// Lays the options that were given over a plan.
    ///
    /// # Errors
    /// Options that contradict each other.
    pub fn apply(&self, plan: &mut v1::Plan) -> Result<(), Failure> {
        let set = |field: &mut Option<String>, value: &Option<String>| {
            if value.is_some() {
                field.clone_from(value);
            }
        };
        set(&mut plan.carrier, &self.carrier);
        if self.agent.is_some()
            || self.agent_provider.is_some()
            || self.agent_language.is_some()
            || self.first_message.is_some()
        {
            let agent = plan.agent.get_or_insert_default();
            set(&mut agent.agent_id, &self.agent);
            set(&mut agent.provider, &self.agent_provider);
            set(&mut agent.language, &self.agent_language);
            set(&mut agent.first_message, &self.first_message);
        }
        plan.ring_timeout = self.ring_timeout.map(duration).or(plan.ring_timeout);
        plan.max_duration = self.max_duration.map(duration).or(plan.max_duration);
        if self.record {
            plan.record = Some(true);
        }
        if let Some(attempts) = self.attempts {
            plan.retry.get_or_insert_default().attempts_max = Some(attempts);
        }
        self.apply_amd(plan)
    }

    fn apply_amd(&self, plan: &mut v1::Plan) -> Result<(), Failure> {
        use v1::MachineAction::LeaveMessage;
        let action = match (self.on_machine, &self.message) {
            (None, None) => return Ok(()),
            (Some(action), Some(_)) if action != LeaveMessage => {
                return Err(Failure::usage("--message is for --on-machine leave_message"));
            }
            (Some(action), _) => action,
            (None, Some(_)) => LeaveMessage,
        };
        let amd = plan.amd.get_or_insert_default();
        amd.on_machine = action.into();
        if let Some(text) = &self.message {
            let language = self.message_language.clone().unwrap_or_default();
            amd.message = Some(v1::VoicemailMessage { text: text.clone(), language });
        }
        if action == LeaveMessage && amd.message.is_none() {
            return Err(Failure::usage("--on-machine leave_message needs --message"));
        }
        Ok(())
    }
}

/// How the calls of a campaign, or of a company, are made.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "How calls are made")]
pub struct SettingsFlags {
    #[command(flatten)]
    plan: PlanFlags,
    /// A number to call from, one of the company's; may be given many times.
    #[arg(long = "caller-id", value_name = "NUMBER")]
    caller_ids: Vec<String>,
    /// When people are called, on their own clock, such as 'Mon-Fri 09:00-17:30; Sat 10:00-14:00'.
    #[arg(long, value_name = "WEEK")]
    hours: Option<String>,
    /// Least time between two attempts to one person, over all campaigns.
    #[arg(long, value_name = "TIME")]
    gap: Option<Span>,
    /// Most attempts to one person within 24 h, over all campaigns; 0 means any number.
    #[arg(long, value_name = "N")]
    person_attempts: Option<u32>,
    /// Call only people whose consent is on record.
    #[arg(long)]
    consent_required: bool,
    /// Attempts alive at once; 0 means any number.
    #[arg(long, value_name = "N")]
    concurrency: Option<u32>,
    /// Dials a second, such as 0.5; 0 means any number.
    #[arg(long, value_name = "RATE")]
    calls_per_second: Option<f64>,
    /// Attempts within a UTC day; 0 means any number.
    #[arg(long, value_name = "N")]
    attempts_per_day: Option<u32>,
}

impl SettingsFlags {
    /// Lays the options that were given over settings.
    ///
    /// # Errors
    /// Options that cannot be right.
    pub fn apply(&self, settings: &mut v1::CampaignSettings) -> Result<(), Failure> {
        let mut plan = settings.plan.clone().unwrap_or_default();
        self.plan.apply(&mut plan)?;
        if plan != v1::Plan::default() {
            settings.plan = Some(plan);
        }
        if !self.caller_ids.is_empty() {
            settings.caller_ids.clone_from(&self.caller_ids);
        }
        if let Some(hours) = &self.hours {
            let week = week(hours).map_err(|why| Failure::usage(format!("--hours: {why}")))?;
            settings.hours.get_or_insert_default().week = week;
        }
        settings.gap = self.gap.map(duration).or(settings.gap);
        settings.person_attempts_per_day = self.person_attempts.or(settings.person_attempts_per_day);
        if self.consent_required {
            settings.consent_required = Some(true);
        }
        if self.concurrency.is_some() || self.calls_per_second.is_some() || self.attempts_per_day.is_some() {
            let limits = settings.limits.get_or_insert_default();
            limits.concurrency = self.concurrency.or(limits.concurrency);
            limits.calls_per_second = self.calls_per_second.or(limits.calls_per_second);
            limits.attempts_per_day = self.attempts_per_day.or(limits.attempts_per_day);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_given_changes_nothing() {
        let mut settings = v1::CampaignSettings::default();
        SettingsFlags::default().apply(&mut settings).unwrap();
        assert_eq!(settings, v1::CampaignSettings::default());
    }

    #[test]
    fn options_win_over_the_file() {
        let mut settings = v1::CampaignSettings {
            plan: Some(v1::Plan { carrier: Some("a".into()), record: Some(false), ..Default::default() }),
            gap: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
            ..Default::default()
        };
        let plan = PlanFlags {
            agent: Some("agent_1".into()),
            message: Some("Please call back.".into()),
            attempts: Some(3),
            ..Default::default()
        };
        let flags = SettingsFlags {
            plan,
            hours: Some("Mon 09:00-10:00".into()),
            concurrency: Some(4),
            ..Default::default()
        };
        flags.apply(&mut settings).unwrap();
        let plan = settings.plan.unwrap();
        assert_eq!((plan.carrier(), plan.record()), ("a", false));
        assert_eq!(plan.agent.unwrap().agent_id(), "agent_1");
        assert_eq!(plan.amd.unwrap().on_machine, i32::from(v1::MachineAction::LeaveMessage));
        assert_eq!(plan.retry.unwrap().attempts_max, Some(3));
        assert_eq!((settings.gap.unwrap().seconds, settings.hours.unwrap().week.len()), (1, 1));
    }

    #[test]
    fn contradictions_are_refused() {
        let apply = |flags: PlanFlags| flags.apply(&mut v1::Plan::default());
        let action = |action, message: Option<&str>| PlanFlags {
            on_machine: Some(action),
            message: message.map(str::to_owned),
            ..Default::default()
        };
        assert!(apply(action(v1::MachineAction::LeaveMessage, None)).is_err());
        assert!(apply(action(v1::MachineAction::Hangup, Some("x"))).is_err());
        assert!(apply(action(v1::MachineAction::LeaveMessage, Some("x"))).is_ok());
        let flags = SettingsFlags { hours: Some("sometimes".into()), ..Default::default() };
        assert!(flags.apply(&mut v1::CampaignSettings::default()).is_err());
    }
}
