//! A carrier that calls nobody: it takes every dial, says that it was answered, and ends it at
//! once. For load tests; it has to be configured by name, and says so in the log.

use crate::config::{Carrier, Config};
use async_trait::async_trait;
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use tandem_actors::{Handle, PerformError, Performer};
use tandem_domain::call::{Call, Command};
use tandem_domain::carrier::{
    AnsweredBy, DialOutcome, End, Instruction, InstructionOutcome, Progress, Report,
};
use tandem_domain::effect::DialOrder;
use tandem_domain::id::{Attempt, Entity};
use tandem_domain::sealed::Sealed;
use tandem_domain::time::Millis;

/// The carriers of a node: real ones, and those that call nobody.
pub struct Carriers {
    null: BTreeSet<String>,
    real: Arc<dyn Performer>,
    handle: OnceLock<Handle>,
}

impl Carriers {
    pub fn new(config: &Config, real: Arc<dyn Performer>) -> Self {
        let null: BTreeSet<String> = config
            .carriers
            .iter()
            .filter(|(_, carrier)| matches!(carrier, Carrier::Null))
            .map(|(name, _)| name.clone())
            .collect();
        for name in &null {
            tracing::warn!(carrier = name, "this carrier calls nobody: it is for load tests");
        }
        Carriers { null, real, handle: OnceLock::new() }
    }

    /// The calls that are to be told how their dials went.
    pub fn connect(&self, handle: Handle) {
        let _ = self.handle.set(handle);
    }

    fn life(&self, attempt: Attempt, sid: String) {
        let Some(handle) = self.handle.get().cloned() else { return };
        tokio::spawn(async move {
            let to = Entity::call(attempt.company, attempt.call);
            let steps =
                [Progress::Initiated, Progress::Ringing, Progress::Answered, Progress::Ended(End::Completed)];
            for (sequence, progress) in (0u32..).zip(steps) {
                let report = Report {
                    sid: sid.clone(),
                    progress,
                    sequence: Some(sequence),
                    at: None,
                    answered_by: (progress == Progress::Answered).then_some(AnsweredBy::Human),
                    sip_code: None,
                    duration_s: None,
                };
                let command = Command::Reported { attempt: attempt.number, report };
                if let Err(error) = handle.send::<Call>(to, command, None).await {
                    tracing::debug!(%error, "a call did not take its report");
                    return;
                }
            }
        });
    }
}

#[async_trait]
impl Performer for Carriers {
    async fn dial(&self, order: &DialOrder) -> DialOutcome {
        if !self.null.contains(&order.carrier) {
            return self.real.dial(order).await;
        }
        let sid = format!("null-{}-{}", order.attempt.call, order.attempt.number);
        self.life(order.attempt, sid.clone());
        DialOutcome::Accepted { sid }
    }

    async fn instruct(
        &self,
        attempt: Attempt,
        carrier: &str,
        sid: &str,
        instruction: &Instruction,
    ) -> InstructionOutcome {
        if self.null.contains(carrier) {
            return InstructionOutcome::AlreadyEnded;
        }
        self.real.instruct(attempt, carrier, sid, instruction).await
    }

    async fn fetch(&self, carrier: &str, sid: &str) -> Result<Option<Report>, PerformError> {
        if self.null.contains(carrier) {
            return Ok(None);
        }
        self.real.fetch(carrier, sid).await
    }

    async fn find(
        &self,
        attempt: Attempt,
        carrier: &str,
        to: &Sealed,
        from: &str,
        since: Millis,
    ) -> Result<Option<Report>, PerformError> {
        if self.null.contains(carrier) {
            return Ok(None);
        }
        self.real.find(attempt, carrier, to, from, since).await
    }
}
