//! The gRPC interface over a real socket: a node on a store of its own, and a carrier in memory.

mod access;
mod bad_input;
mod calls;

mod campaigns;
mod changes;
mod companies;
mod customers;
mod documents;
mod gate;
mod imports;
mod names;
mod watching;
mod world;
