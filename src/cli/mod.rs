//! The command line.
//!
//! Commands that ask a node speak gRPC, as any application does; others run here. Results go to the
//! standard output, progress and failures to the standard error; [`Exit`] says how it ended.

#![allow(clippy::result_large_err, reason = "a failure is made once, and ends the command")]

mod args;
mod call;
mod campaign;
mod client;
mod cluster;
mod company;
mod config_command;
mod customer;
mod exit;
mod failure;
mod json;
mod local;
mod output;
mod settings;
mod table;
mod time;
mod words;

pub use exit::Exit;
pub use failure::Failure;
pub use local::Programs;

use args::Global;
use clap::{CommandFactory as _, Parser, Subcommand};
use client::Client;
use output::Output;
use std::process::ExitCode;
use tokio::runtime::Builder;

/// Places, receives and supervises phone calls held by voice agents.
#[derive(Parser, Clone, Debug)]
#[command(name = "tandem", version, max_term_width = 110, subcommand_required = true)]
#[command(after_help = AFTER_HELP)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
First steps:
  tandem demo                          a whole campaign against a simulated carrier and agent
  tandem config example > tandem.toml  a configuration with every key
  tandem node --config tandem.toml     run a node
  tandem company create Acme --key-out acme.key
  tandem campaign example > campaign.toml
  tandem campaign create --config campaign.toml
  tandem campaign import ID contacts.csv
  tandem campaign preflight ID
  tandem campaign start ID && tandem campaign watch ID

Exit codes:
  0  done
  1  failed
  2  the command, a file or a value is wrong
  3  done in part: some lines were bad
  4  there is no such thing
  5  refused: a rule, a limit or the present state forbids it
  6  the API key is missing, wrong, or may not do this
  7  the server is not reached, is overloaded or took too long; try again";

#[derive(Subcommand, Clone, Debug)]
enum Command {
    /// Run a node.
    Node(local::Node),
    /// Run a whole campaign against a simulated carrier and voice agent, here and now.
    Demo(crate::demo::DemoArgs),
    /// Run a simulated carrier and voice agent on their own.
    Simulate(crate::simulate::SimulateArgs),
    /// Put a node under load and report what it does.
    Bench(crate::bench::BenchArgs),
    /// Place calls and look at them.
    #[command(subcommand)]
    Call(call::Command),
    /// Call many people, by a list.
    #[command(subcommand)]
    Campaign(campaign::Command),
    /// People: who they are, what happened, whether they may be called.
    #[command(subcommand)]
    Customer(customer::Command),
    /// The company, its limits and its API keys.
    #[command(subcommand)]
    Company(company::Command),
    /// The nodes of a cluster, and who has what.
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// Check and explain configurations.
    #[command(subcommand)]
    Config(config_command::Command),
}

/// Runs the command that this process was started with.
pub fn main(programs: Programs) -> ExitCode {
    let cli = Cli::parse();
    let mut out = Output::new(cli.global.json);
    let ended = run(cli, programs, &mut out);
    let flushed = out.flush();
    let code = match ended.and_then(|code| flushed.map(|()| code)) {
        Ok(code) => code,
        Err(failure) if output::is_closed(&failure) => Exit::Ok.into(),
        Err(failure) => {
            out.failure(&failure);
            failure.exit.into()
        }
    };
    out.end_progress();
    code
}

fn run(cli: Cli, programs: Programs, out: &mut Output) -> Result<ExitCode, Failure> {
    let Cli { global, command } = cli;
    let json = global.json;
    match command {
        Command::Node(node) => node.run(programs.node),
        Command::Demo(demo) => Ok(crate::demo::run(&crate::demo::DemoArgs { json, ..demo })),
        Command::Simulate(simulate) => {
            Ok(crate::simulate::run(&crate::simulate::SimulateArgs { json, ..simulate }))
        }
        Command::Bench(bench) => Ok(crate::bench::run(&crate::bench::BenchArgs { json, ..bench })),
        Command::Config(command) => command.run(out).map(Into::into),
        // Needs no server, and so no good address of one.
        Command::Campaign(campaign::Command::Example) => {
            out.text(&settings::example()).map(|()| Exit::Ok.into())
        }
        Command::Call(command) => ask(&global, async |client| command.run(client, out).await),
        Command::Campaign(command) => ask(&global, async |client| command.run(client, out).await),
        Command::Customer(command) => ask(&global, async |client| command.run(client, out).await),
        Command::Company(command) => ask(&global, async |client| command.run(client, out).await),
        Command::Cluster(command) => ask(&global, async |client| command.run(client, out).await),
    }
}

/// Runs a command that asks a node. One thread is enough for it.
fn ask(
    global: &Global,
    command: impl AsyncFnOnce(&Client) -> Result<Exit, Failure>,
) -> Result<ExitCode, Failure> {
    on(Builder::new_current_thread(), async { command(&global.client()?).await })
}

fn on(
    mut builder: Builder,
    command: impl Future<Output = Result<Exit, Failure>>,
) -> Result<ExitCode, Failure> {
    let runtime = builder.enable_all().build().map_err(|error| Failure::of(&error))?;
    let ended = runtime.block_on(command);
    // Does not wait for a thread that reads a standard input that never ends.
    runtime.shutdown_background();
    ended.map(Into::into)
}

/// All commands with their help, for tests and documentation.
pub fn commands() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests;
