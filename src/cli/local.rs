//! Commands that run here instead of asking a node: the node itself, the demonstration, the
//! simulator, the load generator.

use super::config_command;
use super::failure::Failure;
use crate::config::Config;
use crate::telemetry;
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    tandem config example > tandem.toml\n  \
    tandem config check --config tandem.toml\n  \
    tandem node --config tandem.toml\n\n\
    SIGTERM or SIGINT drains: nothing new is begun, conversations may end (node.drain), then it stops. A second\n\
    signal stops at once; nothing that was acknowledged is lost either way.")]
pub struct Node {
    /// The configuration; tandem.toml of the working directory if left out.
    #[arg(long, env = "TANDEM_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What `tandem demo` is told.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    tandem demo\n  \
    tandem demo --contacts contacts.csv --json > summary.json\n  \
    tandem demo --keep\n\n\
    No real call is made: carrier and voice agent are simulated, as servers of their own on this machine. Time is\n\
    simulated too, and runs faster; the summary says how fast.")]
pub struct Demo {
    /// A CSV file of contacts; the one that comes with Tandem if left out.
    #[arg(long, value_name = "FILE")]
    pub contacts: Option<PathBuf>,
    /// Where the data is kept; a temporary directory, removed in the end, if left out.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Leave it running in the end, and print the addresses and an API key.
    #[arg(long)]
    pub keep: bool,
    /// What is drawn by chance is drawn from this.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// Simulated seconds in a second; chosen to end soon if left out.
    #[arg(long, value_name = "X")]
    pub speed: Option<f64>,
    /// One JSON object on the standard output, the progress on the standard error.
    #[arg(skip)]
    pub json: bool,
}

/// What `tandem simulate` is told.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    tandem simulate\n  \
    tandem simulate --carrier 127.0.0.1:4010 --agent 127.0.0.1:4011 --seed 7 --log calls.jsonl\n  \
    tandem simulate --scenario rough.toml --speed 60\n\n\
    Speaks Twilio's REST, signed callbacks, TwiML and media streams, and ElevenLabs' conversations. Point base_url of a\n\
    carrier and of an agent at it. GET /_sim/summary and /_sim/log tell what happened.")]
pub struct Simulate {
    /// Where the carrier listens; port 0 for any.
    #[arg(long, default_value = "127.0.0.1:4010", value_name = "ADDRESS")]
    pub carrier: SocketAddr,
    /// Where the voice agent listens; port 0 for any.
    #[arg(long, default_value = "127.0.0.1:4011", value_name = "ADDRESS")]
    pub agent: SocketAddr,
    /// Who answers and what goes wrong: a TOML file.
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
    /// What is drawn by chance is drawn from this.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// Simulated seconds in a second.
    #[arg(long, default_value_t = 1.0, value_name = "X")]
    pub speed: f64,
    /// Appends everything that happens to this file, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
}

/// What runs in this process and is put together elsewhere. Each blocks until it has ended, with a runtime of
/// its own.
#[derive(Clone, Copy)]
pub struct Programs {
    pub node: fn(&Config) -> ExitCode,
    pub demo: fn(&Demo) -> ExitCode,
}

impl Node {
    pub fn run(self, program: fn(&Config) -> ExitCode) -> Result<ExitCode, Failure> {
        let loaded = config_command::load(self.config)?;
        telemetry::init(&loaded.config.log).map_err(|error| Failure::of(&error))?;
        tracing::info!(version = env!("CARGO_PKG_VERSION"), origin = %loaded.origin, "configuration read");
        for warning in loaded.config.warnings() {
            tracing::warn!(key = warning.key, "{}", warning.message);
        }
        Ok(program(&loaded.config))
    }
}
