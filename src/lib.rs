//! The node and its command line. What is decided is in `tandem_domain`; this crate holds the
//! edges, their configuration and the assembly.

pub mod cli;
pub mod config;
pub mod telemetry;
