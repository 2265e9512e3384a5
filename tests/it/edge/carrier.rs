//! A carrier's REST in memory: takes dials and remembers what it was told.

use async_trait::async_trait;
use parking_lot::Mutex;
use std::sync::Arc;
use tandem_domain::carrier::{DialOutcome, DialRequest, Instruction, InstructionOutcome, Report};
use tandem_domain::time::Millis;
use tandem_providers::carrier::{Carrier, CarrierError, Found};
use tokio::sync::mpsc;

/// A dial that came, with the id that the carrier gave it.
pub struct Dialed {
    pub sid: String,
    pub request: DialRequest,
}

pub struct Rest {
    dialed: mpsc::UnboundedSender<Dialed>,
    /// Every instruction with the call it was for.
    pub told: Mutex<Vec<(String, Instruction)>>,
    /// Whether answers to dials are lost.
    pub loses_answers: Mutex<bool>,
    /// What its list of calls shows, and from when on it was asked for.
    pub listed: Mutex<Vec<Found>>,
    pub asked_since: Mutex<Option<Millis>>,
}

impl Rest {
    pub fn new() -> (Arc<Rest>, mpsc::UnboundedReceiver<Dialed>) {
        let (dialed, dials) = mpsc::unbounded_channel();
        let rest = Rest {
            dialed,
            told: Mutex::default(),
            loses_answers: Mutex::new(false),
            listed: Mutex::default(),
            asked_since: Mutex::default(),
        };
        (Arc::new(rest), dials)
    }

    /// What this call was told, in order.
    pub fn told(&self, sid: &str) -> Vec<Instruction> {
        self.told.lock().iter().filter(|(to, _)| to == sid).map(|(_, what)| what.clone()).collect()
    }
}

/// An id that no other call has.
pub fn fresh_sid(kind: &str) -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{kind}{:032x}", NEXT.fetch_add(1, Ordering::Relaxed))
}

#[async_trait]
impl Carrier for Rest {
    async fn dial(&self, request: &DialRequest) -> DialOutcome {
        let sid = fresh_sid("CA");
        let _ = self.dialed.send(Dialed { sid: sid.clone(), request: request.clone() });
        if *self.loses_answers.lock() { DialOutcome::Unknown } else { DialOutcome::Accepted { sid } }
    }

    async fn instruct(&self, sid: &str, instruction: &Instruction) -> InstructionOutcome {
        self.told.lock().push((sid.to_owned(), instruction.clone()));
        InstructionOutcome::Done
    }

    async fn fetch(&self, _: &str) -> Result<Option<Report>, CarrierError> {
        Err(CarrierError::Timeout)
    }

    async fn find(&self, _: &str, _: &str, since: Millis) -> Result<Vec<Found>, CarrierError> {
        *self.asked_since.lock() = Some(since);
        Ok(self.listed.lock().clone())
    }
}
