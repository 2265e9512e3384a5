//! The simulator over real sockets, against a small orchestrator that lives in the test.

mod adapters;
mod agent;
mod calls;
mod faults;
mod logs;
mod orchestrator;
mod rest;
mod world;
