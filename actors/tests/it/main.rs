//! The runtime from outside: nodes over an embedded store, with a carrier that answers at once.

#![allow(clippy::disallowed_methods, reason = "tests play the outside world with tasks of their own")]

mod away;
mod campaign;
mod commands;
mod crash;
mod faults;
mod memory;
mod world;
