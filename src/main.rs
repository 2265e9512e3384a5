use std::process::ExitCode;
use tandem::cli::{self, Programs};

fn main() -> ExitCode {
    cli::main(Programs { node: |_| ExitCode::FAILURE, demo: |_| ExitCode::FAILURE })
}
