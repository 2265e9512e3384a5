//! The machines of one company run together in memory, against a carrier that misbehaves.

mod golden;
mod scenario;
mod totality;
mod transitions;
mod walks;
mod world;
