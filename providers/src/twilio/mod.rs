//! Twilio Programmable Voice: its REST interface behind [`crate::carrier::Carrier`], and what it
//! sends us: callbacks, document requests, media streams, all of them signed.

mod call;
pub mod callback;
mod client;
mod codes;
mod form;
pub mod media;
mod progress;
mod sid;
pub mod signature;
pub mod twiml;

pub use client::{ConfigError, Credentials, Options, Twilio};
pub use sid::{is_account_sid, is_call_sid};
