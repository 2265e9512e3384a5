//! Between the messages of `tandem.v1` and the types of the domain.
//!
//! Reading a message gives a [`Violation`](super::error::Violation) with the name of the field where it
//! cannot be taken. Bounds that the machines check themselves are not checked twice.

pub mod call;
pub mod campaign;
pub mod choices;
pub mod company;
pub mod customer;
pub mod events;
pub mod hold;
pub mod hours;
pub mod person;
pub mod plan;
pub mod settings;
pub mod time;
