//! The adapters against small servers over real sockets.

mod elevenlabs;
mod server;
mod twilio;
