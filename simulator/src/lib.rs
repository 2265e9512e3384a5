//! A telephone carrier and a voice agent to develop, show and test against: servers over real sockets that behave on
//! the wire like Twilio's and ElevenLabs', with people, machines and faults behind them.
//!
//! ```text
//!   system under test ── POST Calls.json ──────▶ carrier ── who picks up? ── scenario (seed, number, n-th call)
//!                     ◀─ status callbacks ──────    │
//!                     ◀─ document request ──────    │
//!                     ◀═ media socket ══════════════╛
//!                     ══ conversation socket ══▶ agent ──── dialogue
//!                     everything ──────────────▶ log ────── GET /_sim/log, /_sim/summary, JSON lines
//! ```
//!
//! - [`Simulator::start`] with [`Options`] gives a [`Running`] simulator.
//! - [`Scenario`] says what happens, as data; [`Control`] changes it while it runs.
//! - [`log`] is what happened, written down outside of the system under test.
//! - Time may be compressed ([`Options::speed`]); see [`Pace`] for what is compressed and what is not.

mod agent;
mod audio;
mod carrier;
mod control;
pub mod log;
mod pace;
mod rng;
pub mod scenario;
mod server;
mod simulator;
mod webhooks;
mod wire;

pub use control::Control;
pub use log::{Log, Snapshot, Summary};
pub use pace::{Clock, Pace, SystemClock};
pub use scenario::{AgentFault, Fault, Person, Scenario, ScenarioError};
pub use simulator::{Limits, Options, Running, Simulator, StartError};
