//! What the dispatcher needs of the outside world. Implemented over the carriers' adapters.

use async_trait::async_trait;
use tandem_domain::carrier::{DialOutcome, Instruction, InstructionOutcome, Report};
use tandem_domain::effect::DialOrder;
use tandem_domain::id::Attempt;
use tandem_domain::sealed::Sealed;
use tandem_domain::time::Millis;

/// Trouble that passes or does not; either way nothing was learnt.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the carrier could not be asked: {0}")]
pub struct PerformError(pub String);

#[async_trait]
pub trait Performer: Send + Sync + 'static {
    /// Sends the one request that may place this attempt. Called at most once for an attempt.
    async fn dial(&self, order: &DialOrder) -> DialOutcome;

    async fn instruct(
        &self,
        attempt: Attempt,
        carrier: &str,
        sid: &str,
        instruction: &Instruction,
    ) -> InstructionOutcome;

    /// How a call stands; `None` where the carrier does not know it.
    async fn fetch(&self, carrier: &str, sid: &str) -> Result<Option<Report>, PerformError>;

    /// A call that this attempt may have created.
    async fn find(
        &self,
        attempt: Attempt,
        carrier: &str,
        to: &Sealed,
        from: &str,
        since: Millis,
    ) -> Result<Option<Report>, PerformError>;
}
