//! The adapters against small servers over real sockets.

mod server;
mod twilio;
