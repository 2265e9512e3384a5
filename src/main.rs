use std::process::ExitCode;
use tandem::cli::{self, Programs};

/// Many small allocations of several threads: measured against the system's in docs/performance.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main(Programs { node: tandem::node::run })
}
