//! The machines of one company run together in memory, against a carrier that misbehaves.

mod scenario;
mod walks;
mod world;
