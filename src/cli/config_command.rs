//! `tandem config`

use super::exit::Exit;
use super::failure::Failure;
use super::output::Output;
use super::table::Table;
use crate::config::read::variable;
use crate::config::{self, LoadError};
use clap::Subcommand;
use serde_json::json;
use std::path::PathBuf;

#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Check a configuration, and tell everything that is wrong with it.
    #[command(after_help = "Exit code 0: it is sound (there may be warnings). 2: it is not.")]
    Check {
        /// The file; tandem.toml of the working directory if left out.
        #[arg(long, env = "TANDEM_CONFIG", value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Print a configuration with every key at its default.
    Example,
    /// List every key, with its default and its variable.
    Keys {
        /// As the tables of docs/operations.md.
        #[arg(long, hide = true, conflicts_with = "json")]
        markdown: bool,
    },
}

impl Command {
    pub fn run(self, out: &mut Output) -> Result<Exit, Failure> {
        match self {
            Command::Check { config } => return check(config, out),
            Command::Example => out.text(&config::example())?,
            Command::Keys { markdown: true } => out.text(&config::documentation())?,
            Command::Keys { markdown: false } => keys(out)?,
        }
        Ok(Exit::Ok)
    }
}

fn check(file: Option<PathBuf>, out: &mut Output) -> Result<Exit, Failure> {
    match config::load(file.as_deref()) {
        Ok(loaded) => {
            let warnings = loaded.config.warnings();
            let origin = loaded.origin.to_string();
            let answer = json!({ "ok": true, "origin": origin, "problems": [], "warnings": warnings });
            out.value(&answer, || {
                let warnings =
                    warnings.iter().map(|warning| format!("warning: {}: {}", warning.key, warning.message));
                std::iter::once(format!("{origin}: sound")).chain(warnings).collect()
            })?;
            Ok(Exit::Ok)
        }
        Err(LoadError::Invalid { origin, problems }) => {
            let origin = origin.to_string();
            let answer = json!({ "ok": false, "origin": origin, "problems": problems.0, "warnings": [] });
            out.value(&answer, || {
                let count = match problems.0.len() {
                    1 => "1 problem".to_owned(),
                    count => format!("{count} problems"),
                };
                let problems = problems.0.iter().map(|problem| format!("  {problem}"));
                std::iter::once(format!("{origin}: {count}")).chain(problems).collect()
            })?;
            Ok(Exit::Usage)
        }
        Err(error) => Err(Failure::usage(error.to_string())),
    }
}

fn keys(out: &mut Output) -> Result<(), Failure> {
    let keys = config::Config::keys();
    if out.is_json() {
        for key in &keys {
            let value = json!({
                "key": key.path,
                "variable": variable(&key.path),
                "value": key.expected,
                "default": key.default,
                "required": key.required,
                "about": key.about,
            });
            out.value(&value, Vec::new)?;
        }
        return Ok(());
    }
    let mut table = Table::new(&["KEY", "DEFAULT", "VALUE", "VARIABLE"]);
    for key in &keys {
        let default =
            key.default.clone().unwrap_or_else(|| if key.required { "required".into() } else { "-".into() });
        table.row([key.path.clone(), default, key.expected.clone(), variable(&key.path)]);
    }
    out.table(&table)
}

/// The configuration that a node is started with, and warnings on its way.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(file: Option<PathBuf>) -> Result<config::Loaded, Failure> {
    config::load(file.as_deref()).map_err(|error| match error {
        LoadError::Invalid { origin, problems } => {
            let mut failure = Failure::usage(format!("{origin} is not sound"));
            failure.details = problems.0.iter().map(ToString::to_string).collect();
            failure.with_help("`tandem config check` tells the same; `tandem config keys` lists every key")
        }
        error => Failure::usage(error.to_string()),
    })
}
