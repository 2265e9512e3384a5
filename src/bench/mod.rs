//! `tandem bench`: a load generator over the public gRPC interface, and its report.
//!
//! The node under load is a process of its own, on loopback, with its data in a directory of the
//! caller's choice, so that its disk, its CPU and its memory are what is measured. Every loop is
//! closed (a worker has one request under way) and bounded.

mod campaign;
mod client;
mod idle;
mod lifecycle;
mod lookup;
mod process;
mod report;
mod restart;
mod server;
mod upsert;

use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of every workload.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    tandem bench empty\n  \
    tandem bench lifecycle --calls 50000 --concurrency 128\n  \
    tandem bench --scratch /mnt/data upsert --customers 1000\n  \
    tandem bench --json all > report.jsonl\n\n\
    Starts a node of its own on loopback, from this same program, and measures it with this machine's disk and CPUs;\n\
    the load generator runs on them as well. Figures of a debug build mean nothing: use `cargo run --release -- bench`.\n\
    Every answer waits for a sync of the disk: on a memory file system, such as /tmp on many machines, it looks too good.")]
pub struct BenchArgs {
    #[command(subcommand)]
    pub workload: Workload,
    /// Directory on the disk to be measured; a fresh one inside it is used and removed.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub scratch: PathBuf,
    /// One JSON object a workload on the standard output; the default is a table.
    #[arg(skip)]
    pub json: bool,
    /// Connections to the node, shared by the workers of a workload.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub connections: u16,
    /// Shards of the node, as `node.shards` of its configuration.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub shards: u16,
}

#[derive(Subcommand, Clone, Debug)]
pub enum Workload {
    /// Empty calls to the same server: what gRPC alone costs.
    Empty {
        /// Calls over all workers.
        #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = at_least_one)]
        requests: u64,
        /// Workers; each sends its next request when it has the answer to the last.
        #[arg(long, value_name = "N", default_value_t = 64, value_parser = workers)]
        concurrency: usize,
    },
    /// Distinct calls through six durable transitions, one acknowledged request each.
    Lifecycle {
        /// Calls to take through their life; each costs six requests.
        #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = at_least_one)]
        calls: u64,
        /// Workers; each takes one call through all six transitions, one acknowledged request after the other.
        #[arg(long, value_name = "N", default_value_t = 64, value_parser = workers)]
        concurrency: usize,
    },
    /// Callers recognised and counted exactly once; every 50th request is sent twice.
    Upsert {
        /// Calls to be counted, over all workers.
        #[arg(long, value_name = "N", default_value_t = 50_000, value_parser = at_least_one)]
        requests: u64,
        /// Numbers they come from, in turn; 1 makes all workers meet at one customer.
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
        customers: u64,
        /// Workers; each sends its next request when it has the answer to the last.
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = workers)]
        concurrency: usize,
    },
    /// Recognition of known callers at a steady rate; latency counts from when a request was due.
    Lookup {
        /// Recognitions, over all workers.
        #[arg(long, value_name = "N", default_value_t = 40_000, value_parser = at_least_one)]
        requests: u64,
        /// Customers that are known before the clock starts, asked for in turn.
        #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = at_least_one)]
        customers: u64,
        /// Workers: the most requests under way at once. When all are busy, what is due waits, and its waiting counts.
        #[arg(long, value_name = "N", default_value_t = 64, value_parser = workers)]
        concurrency: usize,
        /// Requests per second; 0 for as many as possible.
        #[arg(long, value_name = "N", default_value_t = 2_000)]
        rate: u32,
    },
    /// A contact file imported, and run against a carrier that calls nobody.
    Campaign {
        /// Lines of the file, each with a number of its own.
        #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
        contacts: u32,
        /// Attempts alive at once: the campaign's own limit.
        #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        concurrency: u32,
        /// Ends after the import: what a large file costs in time and memory.
        #[arg(long)]
        import_only: bool,
    },
    /// Memory for each live call.
    Idle {
        /// Calls that are brought to life and kept there while memory is read.
        #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = at_least_one)]
        calls: u64,
    },
    /// From the start of a node with stored calls to its first answer to a command.
    Restart {
        /// Calls to be stored before the first restart; storing a million takes minutes.
        #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = at_least_one)]
        calls: u64,
        /// How often the node is killed (SIGKILL) and started again; each time is reported.
        #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        times: u32,
    },
    /// Everything at the sizes of docs/performance.md.
    All,
}

fn at_least_one(text: &str) -> Result<u64, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| "expected a whole number from 1".to_owned())
}

/// Workers of one workload; each holds a request and its answer in memory.
fn workers(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|n| (1..=10_000).contains(n));
    number.ok_or_else(|| "expected a whole number from 1 to 10000".to_owned())
}

/// Runs the workloads and prints their reports.
pub fn run(args: &BenchArgs) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            crate::stderr::say(format_args!("tandem bench: no threads can be started: {error}"));
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        for workload in expand(&args.workload) {
            match one(args, &workload).await {
                Ok(report) => report.print(args.json),
                Err(error) => {
                    crate::stderr::say(format_args!("tandem bench: {error}"));
                    return ExitCode::FAILURE;
                }
            }
        }
        ExitCode::SUCCESS
    })
}

fn expand(workload: &Workload) -> Vec<Workload> {
    match workload {
        Workload::All => vec![
            Workload::Empty { requests: 200_000, concurrency: 64 },
            Workload::Lifecycle { calls: 20_000, concurrency: 64 },
            Workload::Upsert { requests: 50_000, customers: 1, concurrency: 100 },
            Workload::Upsert { requests: 50_000, customers: 1_000, concurrency: 64 },
            Workload::Lookup { requests: 40_000, customers: 1_000, concurrency: 64, rate: 2_000 },
            Workload::Campaign { contacts: 1_000_000, concurrency: 500, import_only: true },
            Workload::Campaign { contacts: 20_000, concurrency: 500, import_only: false },
            Workload::Idle { calls: 100_000 },
            Workload::Restart { calls: 1_000_000, times: 5 },
        ],
        one => vec![one.clone()],
    }
}

async fn one(args: &BenchArgs, workload: &Workload) -> Result<report::Report, BenchError> {
    match workload {
        Workload::Empty { requests, concurrency } => lifecycle::empty(args, *requests, *concurrency).await,
        Workload::Lifecycle { calls, concurrency } => lifecycle::run(args, *calls, *concurrency).await,
        Workload::Upsert { requests, customers, concurrency } => {
            upsert::run(args, *requests, *customers, *concurrency).await
        }
        Workload::Lookup { requests, customers, concurrency, rate } => {
            lookup::run(args, *requests, *customers, *concurrency, *rate).await
        }
        Workload::Campaign { contacts, concurrency, import_only } => {
            campaign::run(args, *contacts, *concurrency, *import_only).await
        }
        Workload::Idle { calls } => idle::run(args, *calls).await,
        Workload::Restart { calls, times } => restart::run(args, *calls, *times).await,
        Workload::All => Err(BenchError("expanded before".into())),
    }
}

/// What went wrong, for people.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BenchError(pub String);

impl BenchError {
    fn of(what: &str, error: impl std::fmt::Display) -> Self {
        BenchError(format!("{what}: {error}"))
    }
}
