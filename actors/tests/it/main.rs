//! The runtime from outside: nodes over an embedded store, with a carrier that answers at once.

mod campaign;
mod commands;
mod crash;
mod faults;
mod world;
