//! Carriers and voice agents: the adapters between Tandem's neutral vocabulary
//! (`tandem_domain::{carrier, agent}`) and what providers speak on the wire.
//!
//! - [`carrier`]: what every carrier can be asked; [`twilio`] speaks to one.
//! - [`agent`]: a conversation with a voice agent and the tools it may call; [`elevenlabs`] speaks to one.
//! - [`net`]: TLS, connections and an HTTP client that never sends a request twice.
//!
//! The adapters keep no state of calls: whatever must be remembered is remembered by the caller.

pub mod agent;
pub mod carrier;
pub mod elevenlabs;
pub mod net;
pub mod secret;
pub mod twilio;
mod wire;

pub use secret::{Secret, masked};
