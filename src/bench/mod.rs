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
pub struct BenchArgs {
    #[command(subcommand)]
    pub workload: Workload,
    /// Directory on the disk to be measured; a fresh one inside it is used and removed.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub scratch: PathBuf,
    /// One JSON object a workload on the standard output; the default is a table.
    #[arg(skip)]
    pub json: bool,
    /// Connections to the node.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub connections: u16,
    /// Shards of the node.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub shards: u16,
}

#[derive(Subcommand, Clone, Debug)]
pub enum Workload {
    /// Empty calls to the same server: what gRPC alone costs.
    Empty {
        #[arg(long, default_value_t = 200_000)]
        requests: u64,
        #[arg(long, default_value_t = 64)]
        concurrency: usize,
    },
    /// Distinct calls through six durable transitions, one acknowledged request each.
    Lifecycle {
        #[arg(long, default_value_t = 20_000)]
        calls: u64,
        #[arg(long, default_value_t = 64)]
        concurrency: usize,
    },
    /// Callers recognised and counted exactly once; every 50th request is sent twice.
    Upsert {
        #[arg(long, default_value_t = 50_000)]
        requests: u64,
        #[arg(long, default_value_t = 1)]
        customers: u64,
        #[arg(long, default_value_t = 100)]
        concurrency: usize,
    },
    /// Recognition of known callers at a steady rate; latency counts from when a request was due.
    Lookup {
        #[arg(long, default_value_t = 40_000)]
        requests: u64,
        #[arg(long, default_value_t = 1_000)]
        customers: u64,
        #[arg(long, default_value_t = 64)]
        concurrency: usize,
        /// Requests per second; 0 for as many as possible.
        #[arg(long, default_value_t = 2_000)]
        rate: u32,
    },
    /// A contact file imported, and run against a carrier that calls nobody.
    Campaign {
        #[arg(long, default_value_t = 20_000)]
        contacts: u32,
        /// Attempts alive at once.
        #[arg(long, default_value_t = 500)]
        concurrency: u32,
        /// Import only.
        #[arg(long)]
        import_only: bool,
    },
    /// Memory for each live call.
    Idle {
        #[arg(long, default_value_t = 100_000)]
        calls: u64,
    },
    /// From the start of a node with stored calls to its first answer to a command.
    Restart {
        #[arg(long, default_value_t = 1_000_000)]
        calls: u64,
        #[arg(long, default_value_t = 5)]
        times: u32,
    },
    /// Everything at the sizes of docs/performance.md.
    All,
}

/// Runs the workloads and prints their reports.
pub fn run(args: &BenchArgs) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("tandem bench: no threads can be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        for workload in expand(&args.workload) {
            match one(args, &workload).await {
                Ok(report) => report.print(args.json),
                Err(error) => {
                    eprintln!("tandem bench: {error}");
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
