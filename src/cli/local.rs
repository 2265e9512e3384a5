//! Commands that run here instead of asking a node: the node itself. The demonstration, the simulator and
//! the load generator are modules of their own.

use super::config_command;
use super::failure::Failure;
use crate::config::Config;
use crate::telemetry;
use clap::Args;
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

/// What runs in this process and is put together elsewhere. Each blocks until it has ended, with a runtime of
/// its own.
#[derive(Clone, Copy)]
pub struct Programs {
    pub node: fn(&Config) -> ExitCode,
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
