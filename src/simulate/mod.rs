//! `tandem simulate`: the simulated carrier and voice agent on their own, for whoever develops against a
//! node without an account anywhere.

use clap::Args;
use serde_json::json;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tandem_actors::{Clock as _, SystemClock};
use tandem_simulator::{Options, Scenario, ScenarioError, Simulator, StartError};

/// What `tandem simulate` is told.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    tandem simulate\n  \
    tandem simulate --print-scenario > rough.toml\n  \
    tandem simulate --scenario rough.toml --seed 7 --log calls.jsonl\n  \
    tandem simulate --speed 60\n\n\
    Speaks Twilio's REST, signed callbacks, TwiML and media streams, and ElevenLabs' conversations. Prints what to put\n\
    into tandem.toml. GET /_sim/summary and /_sim/log of either address tell what happened, POST /_sim/scenario and\n\
    /_sim/account change what happens. Whoever reaches the addresses may do all that: leave them on loopback.")]
pub struct SimulateArgs {
    /// Where the carrier listens; port 0 for any.
    #[arg(long, default_value = "127.0.0.1:4010", value_name = "ADDRESS")]
    pub carrier: SocketAddr,
    /// Where the voice agent listens; port 0 for any.
    #[arg(long, default_value = "127.0.0.1:4011", value_name = "ADDRESS")]
    pub agent: SocketAddr,
    /// Who answers and what goes wrong: a TOML file; a mix of people and machines, and no faults, if left out.
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
    /// Prints the scenario as TOML and ends.
    #[arg(long)]
    pub print_scenario: bool,
    /// What is drawn by chance is drawn from this.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// Simulated seconds in a second, 0.01 to 1000; the node's clock.speed has to be the same.
    #[arg(long, default_value_t = 1.0, value_parser = speed, value_name = "X")]
    pub speed: f64,
    /// Appends everything that happens to this file, one JSON object a line. It holds phone numbers.
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// The account: AC and 32 hexadecimal digits. Always the same if left out.
    #[arg(long, value_parser = account_sid, value_name = "SID")]
    pub account_sid: Option<String>,
    /// What the account logs in with and callbacks are signed with. Always the same if left out.
    #[arg(long, value_parser = credential, value_name = "TOKEN")]
    pub auth_token: Option<String>,
    /// What the voice agent is asked with. Always the same if left out.
    #[arg(long, value_parser = credential, value_name = "KEY")]
    pub xi_api_key: Option<String>,
    /// One JSON object on the standard output: the command line's own `--json`, which all commands share.
    #[arg(skip)]
    pub json: bool,
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    if (0.01..=1_000.0).contains(&speed) { Ok(speed) } else { Err("expected 0.01 to 1000".to_owned()) }
}

fn account_sid(text: &str) -> Result<String, String> {
    let digits = text.strip_prefix("AC").unwrap_or_default();
    if digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        Ok(text.to_owned())
    } else {
        Err("expected AC and 32 hexadecimal digits".to_owned())
    }
}

/// Text that a header and a line of TOML can hold as it is.
fn credential(text: &str) -> Result<String, String> {
    let fits = (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    let plain = !text.contains(['"', '\\', ':']);
    if fits && plain {
        Ok(text.to_owned())
    } else {
        Err("expected 1 to 128 visible characters of ASCII, without quotes, colons and backslashes"
            .to_owned())
    }
}

/// Why there is no simulator.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    #[error("{}: {error}", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("{}: it is larger than 1 MiB", .0.display())]
    TooLarge(PathBuf),
    #[error("{}: {error}", path.display())]
    Scenario { path: PathBuf, error: ScenarioError },
    #[error("the scenario cannot be written as TOML: {0}")]
    Unwritable(#[from] toml::ser::Error),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("standard output: {0}")]
    Output(io::Error),
}

impl SimulateError {
    /// Whether what was asked for was wrong, rather than what was done.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            SimulateError::Unreadable { .. } | SimulateError::TooLarge(_) | SimulateError::Scenario { .. }
        )
    }
}

/// Runs the simulator on threads of its own until SIGINT or SIGTERM: 0; 1 when it does not start, 2 when
/// an argument was wrong.
pub fn run(args: &SimulateArgs) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            crate::stderr::say(format_args!("tandem simulate: no threads can be started: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(perform(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            crate::stderr::say(format_args!("tandem simulate: {error}"));
            ExitCode::from(if error.is_usage() { 2 } else { 1 })
        }
    }
}

/// Runs the simulator until SIGINT or SIGTERM; or prints its scenario.
///
/// # Errors
/// Why there is none.
pub async fn perform(args: &SimulateArgs) -> Result<(), SimulateError> {
    let mix = match &args.scenario {
        Some(path) => read(path)?,
        None => Scenario::default(),
    };
    if args.print_scenario {
        return print(&scenario_text(&mix)?);
    }
    let options = options(args, mix);
    let credentials = Credentials {
        account_sid: options.account_sid.clone(),
        auth_token: options.auth_token.clone(),
        xi_api_key: options.xi_api_key.clone(),
    };
    let running = Simulator::start(options).await?;
    let told = if args.json {
        format!("{}\n", answer(args, &credentials, &running.carrier_url, &running.agent_url))
    } else {
        introduction(args, &credentials, &running.carrier_url, &running.agent_url)
    };
    print(&told)?;
    stopped().await;
    running.shutdown().await;
    Ok(())
}

const SCENARIO_BYTES_MAX: u64 = 1 << 20;

fn read(path: &Path) -> Result<Scenario, SimulateError> {
    use std::io::Read as _;
    let unreadable = |error| SimulateError::Unreadable { path: path.to_owned(), error };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(SCENARIO_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > SCENARIO_BYTES_MAX {
        return Err(SimulateError::TooLarge(path.to_owned()));
    }
    Scenario::from_toml(&text).map_err(|error| SimulateError::Scenario { path: path.to_owned(), error })
}

/// A scenario as a file that can be edited and given back.
fn scenario_text(scenario: &Scenario) -> Result<String, toml::ser::Error> {
    let words = |names: &[&str]| names.join(", ");
    Ok(format!(
        "# What the simulated carrier and voice agent do. What is left out stays as it is here.\n\
         # [people] holds relative weights; [faults] and [agent.faults] hold probabilities from 0 to 1:\n\
         #   faults        {}\n\
         #                 {}\n\
         #   agent.faults  {}\n\
         # Times are simulated milliseconds.\n\n{}",
        words(&[
            "throttled",
            "error_before",
            "cut_before",
            "error_after",
            "cut_after",
            "slow_answer",
            "callback_lost",
            "callback_doubled",
        ]),
        words(&[
            "callback_reordered",
            "callback_delayed",
            "second_socket",
            "media_garbage",
            "media_cut",
            "amd_wrong",
            "amd_unknown",
        ]),
        words(&[
            "signed_url_error",
            "signed_url_busy",
            "never_answers",
            "close_1002",
            "close_1008",
            "close_1011",
            "cut",
            "flood",
            "garbage",
            "ends_at_once"
        ]),
        toml::to_string(scenario)?
    ))
}

/// Shows a time that passes at the simulated speed from now on.
struct Paced(SystemClock);

impl tandem_simulator::Clock for Paced {
    fn now_ms(&self) -> i64 {
        self.0.now()
    }
}

fn options(args: &SimulateArgs, mix: Scenario) -> Options {
    let made_up = Options::default();
    let now = SystemClock::new().now();
    Options {
        carrier_addr: args.carrier,
        agent_addr: args.agent,
        account_sid: args.account_sid.clone().unwrap_or(made_up.account_sid),
        auth_token: args.auth_token.clone().unwrap_or(made_up.auth_token),
        xi_api_key: args.xi_api_key.clone().unwrap_or(made_up.xi_api_key),
        seed: args.seed,
        speed: args.speed,
        mix,
        log_path: args.log.clone(),
        clock: Arc::new(Paced(SystemClock::simulated(now, now, args.speed))),
        ..Options::default()
    }
}

/// Nobody's secrets: whoever simulates needs them.
struct Credentials {
    account_sid: String,
    auth_token: String,
    xi_api_key: String,
}

fn answer(args: &SimulateArgs, credentials: &Credentials, carrier: &str, agent: &str) -> serde_json::Value {
    json!({
        "carrier": carrier,
        "agent": agent,
        "account_sid": credentials.account_sid,
        "auth_token": credentials.auth_token,
        "xi_api_key": credentials.xi_api_key,
        "seed": args.seed,
        "speed": args.speed,
    })
}

fn introduction(args: &SimulateArgs, credentials: &Credentials, carrier: &str, agent: &str) -> String {
    let mut text = format!(
        "# A simulated carrier and voice agent, until Ctrl-C: nobody is really called.\n\
         # What happened: curl {carrier}/_sim/summary\n\
         # For tandem.toml:\n\n{}",
        snippet(credentials, carrier, agent)
    );
    if args.speed != 1.0 {
        let _ = write!(text, "\n[clock]\nspeed = {:?}\n", args.speed);
    }
    text
}

/// Settings of a node that calls here.
fn snippet(credentials: &Credentials, carrier: &str, agent: &str) -> String {
    format!(
        "[http]\n\
         public_url = \"http://127.0.0.1:7351\"\n\
         dev = true\n\n\
         [carriers.twilio]\n\
         type = \"twilio\"\n\
         account_sid = \"{}\"\n\
         auth_token = \"{}\"\n\
         base_url = \"{carrier}\"\n\n\
         [agents.elevenlabs]\n\
         type = \"elevenlabs\"\n\
         api_key = \"{}\"\n\
         base_url = \"{agent}\"\n",
        credentials.account_sid, credentials.auth_token, credentials.xi_api_key
    )
}

/// Writes to the standard output. A reader that has seen enough is no failure.
fn print(text: &str) -> Result<(), SimulateError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(SimulateError::Output(error)),
        _ => Ok(()),
    }
}

/// Somebody asks this process to stop.
async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        // Without a handler the signal ends the process by itself.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, read::Base};
    use clap::{FromArgMatches as _, error::ErrorKind};
    use tandem_simulator::{AgentFault, Fault};

    fn parse(args: &[&str]) -> Result<SimulateArgs, clap::Error> {
        let command = SimulateArgs::augment_args(clap::Command::new("simulate"));
        let matches = command.try_get_matches_from([&["simulate"], args].concat())?;
        SimulateArgs::from_arg_matches(&matches)
    }

    #[test]
    fn the_snippet_is_a_sound_configuration() {
        for args in [&["--speed", "60"][..], &["--auth-token", "t'0+/=", "--xi-api-key", "k"][..]] {
            let args = parse(args).expect("arguments");
            let options = options(&args, Scenario::default());
            let credentials = Credentials {
                account_sid: options.account_sid,
                auth_token: options.auth_token,
                xi_api_key: options.xi_api_key,
            };
            let text = introduction(&args, &credentials, "http://127.0.0.1:4010", "http://127.0.0.1:4011");
            let (config, _) = config::parse(&text, Base::default(), Vec::new()).expect("sound");
            assert_eq!(config.clock.speed, args.speed);
            assert_eq!((config.carriers.len(), config.agents.len()), (1, 1));
        }
    }

    #[test]
    fn a_printed_scenario_is_read_back() {
        let text = scenario_text(&Scenario::rough()).expect("TOML");
        assert_eq!(Scenario::from_toml(&text).expect("read back"), Scenario::rough());
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("scenario.toml");
        std::fs::write(&path, &text).expect("written");
        assert_eq!(read(&path).expect("read"), Scenario::rough());
        std::fs::write(&path, "people = 3").expect("written");
        assert!(matches!(read(&path), Err(SimulateError::Scenario { .. })));
        assert!(matches!(read(directory.path()), Err(SimulateError::Unreadable { .. })));
    }

    #[test]
    fn every_fault_is_named_in_a_printed_scenario() {
        let text = scenario_text(&Scenario::default()).expect("TOML");
        let all = Scenario::rough();
        let named = |fault: serde_json::Value| {
            let name = fault.as_str().unwrap_or_default().to_owned();
            assert!(!name.is_empty() && text.contains(&name), "{name}");
        };
        all.faults.keys().for_each(|fault: &Fault| named(json!(fault)));
        for fault in [
            AgentFault::SignedUrlError,
            AgentFault::SignedUrlBusy,
            AgentFault::NeverAnswers,
            AgentFault::Close1002,
            AgentFault::Close1008,
            AgentFault::Close1011,
            AgentFault::Cut,
            AgentFault::Flood,
            AgentFault::Garbage,
            AgentFault::EndsAtOnce,
        ] {
            named(json!(fault));
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for args in [
            &["--speed", "0"][..],
            &["--speed", "NaN"][..],
            &["--account-sid", "AC123"][..],
            &["--auth-token", "a\"b"][..],
            &["--carrier", "localhost"][..],
        ] {
            let error = parse(args).expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::ValueValidation, "{args:?}");
        }
    }
}
