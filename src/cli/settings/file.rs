//! A campaign as a TOML file. Unknown keys are refused, and everything that is wrong is told at once.

use super::{date, week};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::time::duration;
use crate::cli::words::Words as _;
use crate::config::read::{Base, Key, Problems, Reader, Section, Span, Tree, TreeError};
use std::fmt::Write as _;
use std::path::Path;
use tandem_proto::v1;

/// What a file says. Whatever it does not say is left to the server.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct CampaignFile {
    pub name: Option<String>,
    pub settings: v1::CampaignSettings,
}

/// Reads a file.
///
/// # Errors
/// A file that cannot be read, or everything that is wrong with it.
pub fn read(path: &Path) -> Result<CampaignFile, Failure> {
    let text = crate::config::read_text(path).map_err(|error| Failure::usage(error.to_string()))?;
    parse(&text).map(|(file, _)| file).map_err(|problems| {
        let mut failure =
            Failure::new(Exit::Usage, format!("{} has {} problems", path.display(), problems.0.len()));
        failure.details = problems.0.iter().map(ToString::to_string).collect();
        failure.with_help("`tandem campaign example` prints a file with every key")
    })
}

fn parse(text: &str) -> Result<(CampaignFile, Vec<Key>), Problems> {
    let tree = Tree::parse(text).map_err(|TreeError(problems)| problems)?;
    let mut reader = Reader::new(&tree, Base::default());
    let mut root = reader.root();
    let name = root.optional("name", "\"Spring reminders\"", "What people call the campaign.");
    let about = "Numbers to call from, each one of the company's: 1 to 64.";
    let caller_ids: Option<Vec<String>> = root.optional("caller_ids", "[\"+12025550100\"]", about);
    let about = "Name of a carrier in the node's configuration, or external.";
    let carrier = root.optional("carrier", "\"twilio\"", about);
    let mut plan = v1::Plan { carrier, ..Default::default() };
    plan.agent = agent(&mut reader.section("agent"));
    calls(&mut reader.section("calls"), &mut plan);
    plan.amd = amd(&mut reader.section("machines"));
    plan.retry = retry(&mut reader.section("retry"));
    let mut section = reader.section("hours");
    let (hours, bounds) = (hours(&mut section), bounds(&mut section));
    let limits = limits(&mut reader.section("limits"));
    let mut people = reader.section("people");
    let about = "Least time between two attempts to one person, over all campaigns: up to 30d.";
    let gap: Option<Span> = people.optional("gap", "\"4h\"", about);
    let about = "Most attempts to one person within 24 h, over all campaigns: up to 16; 0 means any number.";
    let person_attempts_per_day = people.optional("attempts_per_day", "3", about);
    let about = "Call only people whose consent is on record.";
    let consent_required = people.optional("consent_required", "false", about);
    let keys = reader.finish(&[])?;
    let settings = v1::CampaignSettings {
        plan: (plan != v1::Plan::default()).then_some(plan),
        hours,
        bounds,
        gap: gap.map(duration),
        person_attempts_per_day,
        consent_required,
        limits,
        caller_ids: caller_ids.unwrap_or_default(),
    };
    Ok((CampaignFile { name, settings }, keys))
}

fn agent(section: &mut Section<'_, '_>) -> Option<v1::Agent> {
    let agent = v1::Agent {
        provider: section.optional(
            "provider",
            "\"elevenlabs\"",
            "Name of a provider in the node's configuration.",
        ),
        agent_id: section.optional(
            "id",
            "\"agent_0123\"",
            "The provider's id of the voice agent. Needed to start.",
        ),
        first_message: section.optional(
            "first_message",
            "\"Good morning!\"",
            "Stands instead of the agent's own first sentence: up to 1000 bytes.",
        ),
        language: section.optional("language", "\"en\"", "The language that it speaks, such as es or pt-BR."),
    };
    (agent != v1::Agent::default()).then_some(agent)
}

fn calls(section: &mut Section<'_, '_>, plan: &mut v1::Plan) {
    let mut span = |key, example, about| section.optional::<Span>(key, example, about).map(duration);
    plan.ring_timeout = span("ring_timeout", "\"25s\"", "How long it may ring: 15s to 10m.");
    plan.max_duration = span("max_duration", "\"15m\"", "Longest conversation: 10s to 4h.");
    let about =
        "How long an attempt of unknown outcome is searched for before it counts as lost: 30s to 24h.";
    plan.settle_after = span("settle_after", "\"10m\"", about);
    plan.record =
        section.optional("record", "false", "Record the conversations, each side on a channel of its own.");
}

fn amd(section: &mut Section<'_, '_>) -> Option<v1::AmdPolicy> {
    let about = "Whether machines are told from people.";
    let enabled = section.optional("detect", "true", about);
    let about = "What to do with a machine: hangup, continue, or leave_message.";
    let on_machine: Option<String> = section.optional("action", "\"hangup\"", about);
    let action = on_machine.map_or(0, |word| {
        v1::MachineAction::parse(&word).map_err(|why| section.refuse("action", why)).map_or(0, Into::into)
    });
    let about = "What to say after the beep, with leave_message: up to 1000 bytes.";
    let text: Option<String> = section.optional("message", "\"Please call us back.\"", about);
    let about = "The language of the message.";
    let language: Option<String> = section.optional("message_language", "\"en-US\"", about);
    let leaves = action == i32::from(v1::MachineAction::LeaveMessage);
    if leaves != text.is_some() && !(text.is_none() && section.is_given("message")) {
        let key = if leaves { "action" } else { "message" };
        section.refuse(key, "action = \"leave_message\" and message belong together");
    }
    if language.is_some() && text.is_none() {
        section.refuse("message_language", "there is no message");
    }
    let about = "An undecided verdict counts as a person.";
    let unknown_is_human = section.optional("unknown_is_human", "true", about);
    let timeout: Option<Span> =
        section.optional("timeout", "\"30s\"", "How long the verdict may take: 3s to 59s.");
    let amd = v1::AmdPolicy {
        enabled,
        on_machine: action,
        message: text.map(|text| v1::VoicemailMessage { text, language: language.unwrap_or_default() }),
        unknown_is_human,
        timeout: timeout.map(duration),
    };
    (amd != v1::AmdPolicy::default()).then_some(amd)
}

fn retry(section: &mut Section<'_, '_>) -> Option<v1::RetryPolicy> {
    let about = "Attempts in all, the first included: 1 to 20.";
    let attempts_max = section.optional("attempts", "5", about);
    let about = "Delay after the first, second, ... attempt; the last counts for all further ones. Up to 16.";
    let schedule: Option<Vec<Span>> =
        section.optional("schedule", "[\"15m\", \"1h\", \"4h\", \"24h\"]", about);
    let about = "After which outcomes there is another attempt.";
    let example = "[\"voicemail\", \"busy\", \"no_answer\", \"unreachable\", \"carrier_failure\"]";
    let after: Option<Vec<String>> = section.optional("after", example, about);
    let mut retried_outcomes = Vec::new();
    for word in after.unwrap_or_default() {
        match v1::Outcome::parse(&word) {
            Ok(outcome) => retried_outcomes.push(outcome.into()),
            Err(why) => section.refuse("after", format!("{word:?}: {why}")),
        }
    }
    let busy: Option<Span> =
        section.optional("busy_delay", "\"5m\"", "Delay after a busy line, if that is shorter.");
    let about = "Each delay is lengthened by up to so many thousandths of itself: 0 to 500.";
    let jitter_permille = section.optional("jitter_permille", "0", about);
    let retry = v1::RetryPolicy {
        attempts_max,
        schedule: schedule.unwrap_or_default().into_iter().map(duration).collect(),
        retried_outcomes,
        busy_delay: busy.map(duration),
        jitter_permille,
    };
    (retry != v1::RetryPolicy::default()).then_some(retry)
}

fn hours(section: &mut Section<'_, '_>) -> Option<v1::CallingHours> {
    let about = "When people are called, on their own clock. Days that are not named are closed.";
    let text: Option<String> = section.optional("week", "\"Mon-Sat 09:00-20:00\"", about);
    let week = text.map(|text| week(&text).map_err(|why| section.refuse("week", why)).unwrap_or_default());
    let about = "Dates on which nobody is called, up to 400.";
    let dates: Option<Vec<String>> = section.optional("excluded_dates", "[\"2026-12-25\"]", about);
    let mut excluded_dates = Vec::new();
    for text in dates.iter().flatten() {
        match date(text) {
            Ok(date) => excluded_dates.push(date),
            Err(why) => section.refuse("excluded_dates", why),
        }
    }
    // Whatever sets hours sets the excluded dates with them.
    (week.is_some() || dates.is_some())
        .then(|| v1::CallingHours { week: week.unwrap_or_default(), excluded_dates })
}

fn bounds(section: &mut Section<'_, '_>) -> Option<v1::CallingBounds> {
    let about = "Besides, only from 8 to 21 o'clock at the called person's place.";
    let federal = section.optional("federal", "true", about);
    let about = "Besides, only within the stricter hours of the called person's state.";
    let state = section.optional("state", "true", about);
    let about = "The last dial is this long before closing, in whole minutes.";
    let margin: Option<Span> = section.optional("margin", "\"5m\"", about);
    let bounds = v1::CallingBounds { federal, state, margin: margin.map(duration) };
    (bounds != v1::CallingBounds::default()).then_some(bounds)
}

fn limits(section: &mut Section<'_, '_>) -> Option<v1::Limits> {
    let limits = v1::Limits {
        concurrency: section.optional("concurrency", "10", "Attempts alive at once; 0 means any number."),
        calls_per_second: section.optional("calls_per_second", "1.0", "Dials a second; 0 means any number."),
        attempts_per_day: section.optional(
            "attempts_per_day",
            "0",
            "Attempts within a UTC day; 0 means any number.",
        ),
    };
    (limits != v1::Limits::default()).then_some(limits)
}

/// A file with every key, at what the server takes for it where it is left out, if there is such a thing.
pub fn example() -> String {
    let keys = parse("").map(|(_, keys)| keys).unwrap_or_default();
    let mut text = String::from(
        "# A campaign. Take the # away to set a key; what is left out is as the server has it.\n\
         # Create it with: tandem campaign create --config campaign.toml\n\n",
    );
    let mut table = "";
    for key in &keys {
        let (parent, name) = key.path.rsplit_once('.').unwrap_or(("", &key.path));
        if parent != table {
            let _ = write!(text, "\n[{parent}]\n");
            table = parent;
        }
        let mark = if matches!(name, "name" | "caller_ids") || key.path == "agent.id" { "" } else { "# " };
        let _ = write!(text, "# {}\n{mark}{name} = {}\n", key.about, key.example);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        parse(text).unwrap_err().0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_example_is_a_campaign() {
        let (file, keys) = parse(&example()).unwrap();
        assert_eq!(file.name.as_deref(), Some("Spring reminders"));
        assert_eq!(file.settings.caller_ids, ["+12025550100"]);
        // With every # of a key taken away but those that need others.
        let bare: String = example()
            .lines()
            .map(|line| {
                let setting = line.strip_prefix("# ").unwrap_or(line);
                let is_key = setting.split(' ').nth(1) == Some("=") && !setting.starts_with("message");
                if is_key { format!("{setting}\n") } else { format!("{line}\n") }
            })
            .collect();
        let (file, _) = parse(&bare).unwrap();
        let settings = file.settings;
        assert!(settings.hours.is_some() && settings.bounds.is_some() && settings.limits.is_some());
        let plan = settings.plan.unwrap();
        assert_eq!((plan.retry.unwrap().schedule.len(), plan.carrier.as_deref()), (4, Some("twilio")));
        assert!(keys.len() > 30, "{}", keys.len());
    }

    #[test]
    fn what_is_left_out_is_left_to_the_server() {
        assert_eq!(parse("").unwrap().0, CampaignFile::default());
    }

    #[test]
    fn mistakes_are_told_with_their_lines() {
        assert_eq!(problems("nmae = \"x\""), ["line 1: nmae: unknown key; did you mean name?"]);
        assert_eq!(
            problems("[retry]\natempts = 3"),
            ["line 2: retry.atempts: unknown key; did you mean retry.attempts?"]
        );
        let text = "caller_ids = \"+1\"\n[retry]\nafter = [\"bussy\"]\nschedule = [15]\n[hours]\nweek = \"daily\"\n\
                    excluded_dates = [\"x\"]\n[machines]\naction = \"leave_message\"\n[people]\ngap = \"soon\"\n";
        let found = problems(text);
        let expected = [
            "line 1: caller_ids: expected a list",
            "line 3: retry.after: \"bussy\": did you mean busy?",
            "line 4: retry.schedule: a number without a unit",
            "line 6: hours.week: not hours of the form",
            "line 7: hours.excluded_dates: \"x\" is no date",
            "line 9: machines.action: action = \"leave_message\" and message belong together",
            "line 11: people.gap: expected a length of time",
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}");
        }
    }

    #[test]
    fn messages_belong_to_machines() {
        assert!(problems("[machines]\nmessage = \"x\"")[0].contains("belong together"));
        assert!(problems("[machines]\nmessage_language = \"en\"")[0].contains("no message"));
        let text = "[machines]\naction = \"leave-message\"\nmessage = \"Hello\"\nmessage_language = \"es\"\n";
        let amd = parse(text).unwrap().0.settings.plan.unwrap().amd.unwrap();
        assert_eq!(amd.message.unwrap().language, "es");
    }

    #[test]
    fn a_bad_file_is_told_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("campaign.toml");
        std::fs::write(&path, "a = 1\nb = 2\n").unwrap();
        let failure = read(&path).unwrap_err();
        assert_eq!((failure.exit, failure.details.len()), (Exit::Usage, 2));
        assert_eq!(read(&directory.path().join("absent")).unwrap_err().exit, Exit::Usage);
    }
}
