//! The runtime that makes the machines of `tandem-domain` durable actors.
//!
//! A command reaches an entity's actor, the machine decides, a committing lane makes the
//! decision durable together with those of other entities, and only then is anyone told. What a
//! decision orders from the outside world lies in an outbox, written in the same transaction.

mod clock;
mod commit;
mod dead;
mod dispatch;
mod elsewhere;
mod entity;
mod error;
mod faults;
#[cfg(test)]
mod golden;
mod handle;
pub mod keys;
mod node;
mod pacer;
mod perform;
mod policy;
pub mod query;
mod route;
mod shard;
mod timers;
pub mod vault;
mod watch;
pub mod wire;
mod writes;

pub use clock::{Clock, SystemClock};
pub use dead::Letter;
pub use elsewhere::{Elsewhere, NotAsked};
pub use entity::{Answer, Key, View};
pub use error::{SendError, StartError};
pub use faults::Faults;
pub use handle::{Handle, Routed};
pub use node::{Node, Options};
pub use perform::{PerformError, Performer};
pub use shard::shard_of;
pub use vault::Vault;
