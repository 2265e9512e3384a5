//! The command line as a whole.

mod wire;

use super::*;
use clap::error::ErrorKind;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("tandem").chain(line.split_whitespace()))
}

#[test]
fn the_command_line_is_consistent() {
    commands().debug_assert();
}

#[test]
fn the_help_names_every_exit_code() {
    for exit in Exit::ALL {
        assert!(AFTER_HELP.contains(&format!("  {}  {}", exit.code(), exit.about())), "{exit:?}");
    }
}

#[test]
fn every_command_explains_itself() {
    fn check(command: &clap::Command, path: &str) {
        let path = format!("{path} {}", command.get_name());
        assert!(command.get_about().is_some(), "{path} says nothing");
        for arg in command.get_arguments() {
            assert!(arg.get_help().is_some(), "{path}: {} says nothing", arg.get_id());
        }
        command.get_subcommands().filter(|sub| sub.get_name() != "help").for_each(|sub| check(sub, &path));
    }
    check(&commands(), "");
}

#[test]
fn the_commands_of_the_documentation_are_there() {
    let documented = include_str!("../../../docs/operations.md");
    let mut checked = 0;
    for line in documented.lines().filter_map(|line| line.strip_prefix("| `tandem ")) {
        let command = line.split('`').next().unwrap_or_default();
        let words: Vec<&str> =
            command.split(' ').take_while(|word| word.starts_with(char::is_lowercase)).collect();
        let mut at = &commands();
        for word in words {
            at = at.find_subcommand(word).unwrap_or_else(|| panic!("`tandem {command}`: there is no {word}"));
        }
        checked += 1;
    }
    assert!(checked > 30, "{checked}");
}

#[test]
fn commands_are_read() {
    for line in [
        "node --config tandem.toml",
        "demo --contacts c.csv --data-dir d --keep --json",
        "simulate --seed 3 --speed 60",
        "call place +15551234567 --agent a --var x=1 --watch --server http://h:1",
        "call list --since 2h --disposition no-answer --limit 0",
        "call explain c-1 --at -2h",
        "--json call get c-1",
        "campaign create Name --caller-id +12025550100 --hours Mon",
        "campaign create --config campaign.toml",
        "campaign import k-1 - --region US --idempotency-key k",
        "campaign preflight k-1",
        "campaign start k-1",
        "campaign explain k-1 --contact 3",
        "campaign watch k-1 --events --after 3",
        "customer lookup +15551234567 --region US",
        "customer dnc add +15551234567 --source opt_out",
        "customer dnc import list.csv",
        "customer consent give +15551234567 --basis written",
        "company create Acme --concurrency 5 --key-out k",
        "company key create name --scope calls:read --scope calls:write",
        "company close --reason complaints",
        "config check --config tandem.toml --json",
        "config example",
    ] {
        if let Err(error) = parse(line) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn mistakes_are_refused() {
    for (line, kind) in [
        ("", ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand),
        ("cal get x", ErrorKind::InvalidSubcommand),
        ("call get", ErrorKind::MissingRequiredArgument),
        ("call get a --jsn", ErrorKind::UnknownArgument),
        ("call list --disposition completd", ErrorKind::ValueValidation),
        ("call list --since yesterday", ErrorKind::ValueValidation),
        ("call list --timeout 5", ErrorKind::ValueValidation),
        ("call place +1 --attempts 21", ErrorKind::ValueValidation),
        ("campaign explain k --contact 1 --phone 2", ErrorKind::ArgumentConflict),
        ("bench lifecycle --calls 0", ErrorKind::ValueValidation),
        ("bench upsert --concurrency 0", ErrorKind::ValueValidation),
        ("company key create name", ErrorKind::MissingRequiredArgument),
        ("company key create name --scope all", ErrorKind::ValueValidation),
        ("customer consent give +1", ErrorKind::MissingRequiredArgument),
    ] {
        match parse(line) {
            Ok(_) => panic!("{line}"),
            Err(error) => assert_eq!(error.kind(), kind, "{line}"),
        }
    }
}

#[test]
fn a_misspelt_word_is_answered_with_the_right_one() {
    let error = parse("call list --disposition completd").unwrap_err().to_string();
    assert!(error.contains("did you mean completed?"), "{error}");
}
