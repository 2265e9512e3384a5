//! Twilio Programmable Voice.

pub mod media;
pub mod signature;
pub mod twiml;
