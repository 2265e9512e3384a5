//! The node and its command line. What is decided is in `tandem_domain`; this crate holds the
//! edges, their configuration and the assembly.

pub mod bench;
pub mod cli;
pub mod config;
pub mod configured;
pub mod demo;
pub mod edge;
pub mod grpc;
pub mod node;
pub mod simulate;
mod stderr;
pub mod telemetry;
