//! Servers that tests start for themselves, on loopback and in a directory of their own, and that go when the
//! process goes, whatever it dies of.

mod postgres;
mod proxy;

pub use postgres::{Missing, Postgres, StartError};
pub use proxy::{Passing, Proxy, Stranded};
