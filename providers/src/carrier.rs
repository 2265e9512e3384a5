//! What every carrier can be asked.

use async_trait::async_trait;
use std::fmt;
use tandem_domain::carrier::{DialOutcome, DialRequest, Instruction, InstructionOutcome, Report};
use tandem_domain::time::Millis;

/// A carrier that places calls and can be told what to do with them.
///
/// None of these retries by itself: whether and when to ask again is the caller's decision, because
/// asking twice for a call places two.
#[async_trait]
pub trait Carrier: Send + Sync {
    /// Asks for one call. At most one request leaves, whatever happens to it.
    ///
    /// - `Accepted` only for a clear success that names the call.
    /// - `Refused` only where the carrier said no with a code of its own, or where it is proved that
    ///   not one byte of the request left this process (no connection could be made): that is
    ///   `Overloaded` with code 0, to be tried again later.
    /// - `Unknown` for all else.
    ///
    /// Dropping the future is not a way to take the request back: the outcome is then unknown.
    async fn dial(&self, request: &DialRequest) -> DialOutcome;

    /// Tells the live call `sid` what to do. An instruction may be repeated: a hang-up does not
    /// differ, a message starts again.
    async fn instruct(&self, sid: &str, instruction: &Instruction) -> InstructionOutcome;

    /// What the carrier says of the call `sid` now; `None` where it knows no such call.
    async fn fetch(&self, sid: &str) -> Result<Option<Report>, CarrierError>;

    /// The calls from `from` to `to` (E.164) that the carrier created at or after `started_after`,
    /// newest first, to settle dials whose outcome is unknown.
    ///
    /// The carrier's clock decides, in whole seconds, so the caller allows for the difference of
    /// clocks. A call whose time of creation the carrier does not tell is among them. Either every
    /// such call is returned or an error, never a part.
    async fn find(&self, to: &str, from: &str, started_after: Millis) -> Result<Vec<Found>, CarrierError>;
}

/// A call in the carrier's own list.
#[derive(Clone, PartialEq, Eq)]
pub struct Found {
    pub sid: String,
    pub to: String,
    pub from: String,
    pub report: Report,
    /// By the carrier's clock, in whole seconds. `None` where the carrier does not tell (Twilio may
    /// leave it out while a call waits in its queue).
    pub created_at: Option<Millis>,
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Found")
            .field("sid", &self.sid)
            .field("to", &crate::masked(&self.to))
            .field("from", &crate::masked(&self.from))
            .field("report", &self.report)
            .field("created_at", &self.created_at)
            .finish()
    }
}

/// Why a question to a carrier got no usable answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CarrierError {
    #[error("no connection to the carrier: {0}")]
    Unreachable(String),
    #[error("the carrier did not answer in time")]
    Timeout,
    #[error("too many requests to the carrier")]
    RateLimited { retry_after_ms: Option<u32> },
    /// The account is suspended, closed or out of funds, or its credentials are refused.
    #[error("the carrier refuses this account (code {code})")]
    Account { code: u32 },
    /// A definite no that concerns this request.
    #[error("the carrier refused (status {status}, code {code})")]
    Refused { status: u16, code: u32 },
    #[error("trouble at the carrier (status {status})")]
    Server { status: u16 },
    #[error("unreadable answer of the carrier: {0}")]
    Malformed(&'static str),
    /// The list is longer than is read; nothing of it is returned, because a part would mislead.
    #[error("the carrier's list is longer than {pages_max} pages")]
    TooLong { pages_max: u32 },
}

impl CarrierError {
    /// Whether the same question may be answered later.
    pub fn is_retryable(&self) -> bool {
        match self {
            CarrierError::Unreachable(_)
            | CarrierError::Timeout
            | CarrierError::RateLimited { .. }
            | CarrierError::Server { .. }
            | CarrierError::Malformed(_) => true,
            CarrierError::Account { .. } | CarrierError::Refused { .. } | CarrierError::TooLong { .. } => {
                false
            }
        }
    }
}
