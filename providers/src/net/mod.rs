//! TLS, connections, and an HTTP client that never sends a request twice.

pub mod connect;
pub mod http;
pub mod target;
pub mod tls;

pub use connect::{ConnectError, Connector, Socket};
pub use target::{Target, TargetError};
pub use tls::{Roots, TlsError};
