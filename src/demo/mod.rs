//! `tandem demo`: a whole campaign, here and now.
//!
//! A node on the embedded store, and the simulated carrier and voice agent as servers of their own on
//! loopback ports. Everything after the start goes over the public interfaces: contacts are imported,
//! the campaign is made, started and followed over gRPC; calls are made over the carrier's HTTP. In the
//! end what the node says is held against what the carrier wrote down.
//!
//! ```text
//!   stage ─ clock, simulator, node        setup ─ company, lists, campaign
//!   drive ─ follows it, skips dead time   traffic ─ callers who are recognised meanwhile
//!   audit ─ node's word and carrier's log, side by side ─▶ summary
//! ```

mod api;
mod audit;
mod drive;
mod scenario;
mod screen;
mod setup;
mod stage;
mod summary;
mod text;
mod traffic;

use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// What `tandem demo` is told.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    tandem demo\n  \
    tandem demo --contacts contacts.csv --json > summary.json\n  \
    tandem demo --keep\n\n\
    Nobody is really called: carrier and voice agent are simulated, as servers of their own on this machine. Time is\n\
    simulated too: it runs faster while calls are alive, and is skipped while nothing is due. The summary says how\n\
    much of both.\n\n\
    Exits with 0 when the campaign came to its end and what the node says agrees with what the carrier wrote down,\n\
    with 1 when it does not, with 2 when an argument or the file is wrong.")]
pub struct DemoArgs {
    /// A CSV file of contacts; the one that comes with Tandem if left out.
    #[arg(long, value_name = "FILE")]
    pub contacts: Option<PathBuf>,
    /// Where data, key, configuration and the carrier's log are kept: a new or empty directory. A
    /// temporary one, removed in the end, if left out.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Leave it running in the end, until Ctrl-C, and print the addresses, an API key and what to try.
    #[arg(long)]
    pub keep: bool,
    /// What is drawn by chance is drawn from this.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// Simulated seconds in a second while calls are alive, 1 to 1000.
    #[arg(long, default_value_t = stage::SPEED, value_parser = speed, value_name = "X")]
    pub speed: f64,
    /// One JSON object on the standard output, the progress on the standard error: the command line's own
    /// `--json`, which all commands share.
    #[arg(skip)]
    pub json: bool,
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    // Faster than that, an answer within a few real milliseconds would look late to whoever waits for it.
    if (1.0..=1_000.0).contains(&speed) { Ok(speed) } else { Err("expected 1 to 1000".to_owned()) }
}

/// Why the demonstration did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: std::io::Error },
    #[error("{path}: {why}")]
    Contacts { path: String, why: String },
    #[error("{}: is no directory; --data-dir wants a new or empty one", .0.display())]
    NoDirectory(PathBuf),
    #[error("{}: is not empty; the demonstration wants a directory of its own", .0.display())]
    NotEmpty(PathBuf),
    #[error("{what}: {error}")]
    Local { what: &'static str, error: std::io::Error },
    #[error("the simulator does not start: {0}")]
    Simulator(#[from] tandem_simulator::StartError),
    #[error("the settings of the demonstration are refused: {0}")]
    Settings(String),
    #[error("the node does not start: {0}")]
    Node(#[from] crate::node::NodeError),
    #[error("{what}: {}", text::status(status))]
    Refused { what: &'static str, status: Box<tonic::Status> },
    #[error("{what}: the answer is not complete")]
    Incomplete { what: &'static str },
    #[error("the campaign is {phase} and does not go on{why}")]
    Ended { phase: String, why: String },
    #[error("nothing has happened for {seconds} s; {held}")]
    Stalled { seconds: u64, held: String },
    #[error("no end within {days} simulated days; {held}")]
    TooLong { days: i64, held: String },
    #[error("interrupted")]
    Interrupted,
}

impl DemoError {
    /// Whether what was asked for was wrong, rather than what was done.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            DemoError::File { .. }
                | DemoError::Contacts { .. }
                | DemoError::NoDirectory(_)
                | DemoError::NotEmpty(_)
        )
    }

    fn refused(what: &'static str) -> impl FnOnce(tonic::Status) -> DemoError {
        move |status| DemoError::Refused { what, status: Box::new(status) }
    }
}

/// Runs the demonstration on threads of its own, and says how it ended: 0, 1 when it failed or an
/// invariant was broken, 2 when an argument was wrong.
pub fn run(args: &DemoArgs) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            crate::stderr::say(format_args!("tandem demo: no threads can be started: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(perform(args)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            crate::stderr::say(format_args!("tandem demo: {error}"));
            ExitCode::from(if error.is_usage() { 2 } else { 1 })
        }
    }
}

/// Runs the demonstration; `true` when every invariant held.
///
/// # Errors
/// Why it did not come to its end. Everything that was started has been stopped, and a temporary
/// directory removed.
pub async fn perform(args: &DemoArgs) -> Result<bool, DemoError> {
    let contacts = setup::Contacts::open(args.contacts.as_deref()).await?;
    let stage = stage::Stage::open(args).await?;
    let played = tokio::select! {
        played = play(args, &stage, contacts) => played,
        () = interrupted() => Err(DemoError::Interrupted),
    };
    if args.keep
        && let Ok(summary) = &played
    {
        stage.invite(summary);
        interrupted().await;
    }
    stage.close().await;
    played.map(|summary| summary.violations.is_empty())
}

async fn play(
    args: &DemoArgs,
    stage: &stage::Stage,
    contacts: setup::Contacts,
) -> Result<summary::Summary, DemoError> {
    let mut screen = screen::Screen::new();
    stage.introduce(&mut screen);
    let prepared = setup::prepare(stage, contacts, &mut screen).await?;
    let traffic = traffic::Traffic::start(&prepared.api);
    let run = drive::drive(stage, &prepared, &mut screen).await?;
    let acknowledged = traffic.finish().await;
    screen.say("the campaign has ended; holding the node's word against the carrier's log");
    let found = audit::audit(stage, &prepared).await?;
    let summary = summary::Summary::new(stage, &prepared, &run, &acknowledged, found);
    summary.print(args.json).map_err(|error| DemoError::Local { what: "standard output", error })?;
    Ok(summary)
}

/// Somebody asks this process to stop.
async fn interrupted() {
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
