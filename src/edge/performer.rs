//! Carries out what calls have ordered from their carrier.

mod find;

use super::urls::{Callback, Urls};
use crate::configured::Configured;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use tandem_actors::vault::VaultError;
use tandem_actors::{PerformError, Performer, Vault, query};
use tandem_domain::call::{Call, MachineAction};
use tandem_domain::carrier::{
    AmdRequest, DialOutcome, DialRequest, Instruction, InstructionOutcome, RecordingRequest, Refusal,
    RefusalReason, Report,
};
use tandem_domain::effect::DialOrder;
use tandem_domain::id::{Attempt, Entity};
use tandem_domain::sealed::Sealed;
use tandem_domain::time::Millis;
use tandem_providers::carrier::{Carrier, CarrierError};
use tandem_store::Store;

/// The carriers of the configuration, by the name that plans use.
pub type Carriers = BTreeMap<String, Arc<dyn Carrier>>;

/// What the dispatcher of `tandem_actors` needs of the outside world, over the carriers' adapters.
pub struct CarrierPerformer {
    carriers: Carriers,
    /// Whom plans may name.
    configured: Arc<Configured>,
    urls: Urls,
    vault: Vault,
    store: Arc<dyn Store>,
}

impl CarrierPerformer {
    /// `urls` are the addresses that carriers call back; the server of [`super::serve`] answers there.
    pub fn new(
        carriers: Carriers,
        configured: Arc<Configured>,
        urls: Urls,
        vault: Vault,
        store: Arc<dyn Store>,
    ) -> Self {
        CarrierPerformer { carriers, configured, urls, vault, store }
    }

    fn carrier(&self, name: &str) -> Option<&Arc<dyn Carrier>> {
        let carrier = self.carriers.get(name);
        if carrier.is_none() {
            tracing::error!(carrier = name, "no carrier of this name is configured");
        }
        carrier
    }

    /// A call may have waited for longer than its voice agent is configured: nobody is dialed whom nobody would talk to.
    async fn check_agent(&self, attempt: Attempt) -> Result<(), RefusalReason> {
        let entity = Entity::call(attempt.company, attempt.call);
        let stored = query::stored::<Call>(&*self.store, entity).await;
        let state = match stored {
            Ok(Some((_, state))) => state,
            Ok(None) => {
                tracing::error!(%attempt, "there is no call for an order to dial");
                return Err(RefusalReason::Configuration);
            }
            Err(error) => {
                tracing::error!(%attempt, %error, "the call to dial cannot be read");
                // Nothing left this process, and the next try may fare better.
                return Err(RefusalReason::Overloaded);
            }
        };
        self.configured.check_provider(&state.plan.agent.provider).map_err(|why| {
            tracing::error!(%attempt, %why, "a call is not dialed: nobody could talk to the person");
            RefusalReason::Configuration
        })
    }

    /// The order as the carrier is asked, or why it cannot be asked at all.
    async fn request(&self, order: &DialOrder) -> Result<DialRequest, RefusalReason> {
        let attempt = order.attempt;
        let refuse = |error: VaultError| {
            tracing::error!(%attempt, %error, "the number to dial cannot be opened");
            match error {
                // Nothing left this process, and the next try may fare better.
                VaultError::Store(_) | VaultError::Unavailable(_) => RefusalReason::Overloaded,
                VaultError::NoCompany | VaultError::Unopenable | VaultError::Key(_) => {
                    RefusalReason::Configuration
                }
            }
        };
        let person = self.vault.person(attempt.company, order.customer).await.map_err(refuse)?;
        if person.new_key.is_some() {
            // Whoever has no key has been erased: it is this person who is not called any more, nobody else.
            tracing::info!(%attempt, "the person has been erased and is not called");
            return Err(RefusalReason::Blocked);
        }
        let to = person.open_text(&order.to).map_err(refuse)?;
        let url = |what| self.urls.callback(attempt, what);
        let amd = order.amd.enabled.then(|| AmdRequest {
            verdict_url: url(Callback::Amd),
            until_message_end: matches!(order.amd.on_machine, MachineAction::LeaveMessage { .. }),
            timeout_s: order.amd.timeout_s,
        });
        let recording = order
            .record
            .then(|| RecordingRequest { status_url: url(Callback::Recording), dual_channel: true });
        Ok(DialRequest {
            to,
            from: order.from.clone(),
            document_url: url(Callback::Document),
            status_url: url(Callback::Status),
            fallback_url: Some(url(Callback::Fallback)),
            ring_timeout_s: order.ring_timeout_s,
            max_duration_s: order.max_duration_s,
            amd,
            recording,
        })
    }
}

#[async_trait]
impl Performer for CarrierPerformer {
    async fn dial(&self, order: &DialOrder) -> DialOutcome {
        let refused = |reason| DialOutcome::Refused(Refusal { reason, code: 0 });
        let Some(carrier) = self.carrier(&order.carrier) else {
            return refused(RefusalReason::Configuration);
        };
        if let Err(reason) = self.check_agent(order.attempt).await {
            return refused(reason);
        }
        match self.request(order).await {
            Ok(request) => carrier.dial(&request).await,
            Err(reason) => refused(reason),
        }
    }

    async fn instruct(
        &self,
        _: Attempt,
        carrier: &str,
        sid: &str,
        instruction: &Instruction,
    ) -> InstructionOutcome {
        match self.carrier(carrier) {
            Some(carrier) => carrier.instruct(sid, instruction).await,
            None => InstructionOutcome::Refused { code: 0 },
        }
    }

    async fn fetch(&self, carrier: &str, sid: &str) -> Result<Option<Report>, PerformError> {
        let carrier = self.carrier(carrier).ok_or_else(unconfigured)?;
        carrier.fetch(sid).await.map_err(unanswered)
    }

    async fn find(
        &self,
        attempt: Attempt,
        carrier: &str,
        to: &Sealed,
        from: &str,
        since: Millis,
    ) -> Result<Option<Report>, PerformError> {
        let carrier = self.carrier(carrier).ok_or_else(unconfigured)?;
        let known = find::Known::read(&*self.store, attempt).await?;
        let person = self.vault.person(attempt.company, known.customer).await.map_err(unopened)?;
        let to = person.open_text(to).map_err(unopened)?;
        let found = carrier.find(&to, from, since - find::MARGIN_MS).await.map_err(unanswered)?;
        Ok(find::settle(attempt, &known, found, since))
    }
}

fn unconfigured() -> PerformError {
    PerformError("no carrier of this name is configured".into())
}

fn unopened(error: VaultError) -> PerformError {
    PerformError(format!("the number cannot be opened: {error}"))
}

fn unanswered(error: CarrierError) -> PerformError {
    PerformError(error.to_string())
}

impl fmt::Debug for CarrierPerformer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CarrierPerformer").field("carriers", &self.carriers.keys()).finish_non_exhaustive()
    }
}
