//! What a call, a campaign, a customer and a company are, and what may happen to them.
//!
//! Pure: no async, no I/O, no clock, no randomness. Time, fresh ids and stored facts come in as
//! arguments; decisions go out as data.

pub mod agent;
pub mod carrier;
pub mod id;
pub mod phone;
pub mod retry;
pub mod time;
pub mod window;
