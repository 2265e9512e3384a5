//! Who runs what: the nodes of a cluster, and which of them has which shard.
//!
//! Safety is the shard's epoch in the store: every commit reads it, and it changes with the owner. Everything else here,
//! renewals, observation, leases, connections, is for liveness: a wrong suspicion costs work, never correctness. What the
//! shards hold is not known here.

mod cluster;
mod error;
mod host;
mod join;
pub mod keys;
mod lease;
mod member;
mod observe;
mod options;
mod peer;
mod plan;
mod rows;
mod table;
mod view;

pub use cluster::{Cluster, NotAnswered, Seen};
pub use error::{ChangeError, JoinError};
pub use host::Host;
pub use observe::Timing;
pub use options::{Addresses, Clock, Options, Protocol, Tls};
pub use rows::{Incarnation, Node, Owner, State};
pub use view::{Holding, View};
