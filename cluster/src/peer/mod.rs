//! The service between nodes: its client side and its server side.

mod client;
mod server;

pub(crate) use client::Peers;
pub(crate) use server::serve;

use std::time::Duration;

/// Keeps connections alive, and finds out that the other side is not there any more.
const KEEP_ALIVE: Duration = Duration::from_secs(2);
const KEEP_ALIVE_WAIT: Duration = Duration::from_secs(2);
/// Largest message: the largest state that an entity may have, and some more.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
