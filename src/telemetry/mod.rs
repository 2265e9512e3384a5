//! What the node says of itself: logs, metrics, and whether it lives and is ready.

mod logging;
mod masking;
mod metrics;
mod readiness;
mod server;

pub use logging::{LevelError, LoggingError, check_level, init};
pub use masking::{Masked, mask, masked_text};
pub use metrics::{InstallError, Recorder};
pub use readiness::{Readiness, State};
pub use server::{Server, ServerError};
