//! What a call, a campaign, a customer and a company are, and what may happen to them.
//!
//! Pure: no async, no I/O, no clock, no randomness. Time, fresh ids and stored facts come in as
//! arguments; decisions go out as data.

pub mod agent;
pub mod call;
pub mod campaign;
pub mod carrier;
pub mod codec;
pub mod company;
pub mod contact_file;
pub mod customer;
pub mod dial;
pub mod effect;
pub mod id;
pub mod interned;
pub mod invariant;
pub mod machine;
pub mod phone;
pub mod retry;
pub mod row;
pub mod sealed;
pub mod time;
pub mod window;
