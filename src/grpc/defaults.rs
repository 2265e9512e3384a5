//! How each company's single calls are made, remembered for a second: placing a call should not ask the
//! company's actor, through which everything of the company would pass.

use super::room::Room;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use tandem_domain::call::Plan;
use tandem_domain::company::Company;
use tandem_domain::id::{CompanyId, Entity};
use tandem_domain::time::{Millis, SECOND};
use tonic::Status;

/// How long another node may go on with settings that were changed here.
const REMEMBER_MS: Millis = SECOND;
const REMEMBERED_MAX: usize = 10_000;

/// What a call takes over from its company.
pub struct Defaults {
    pub plan: Plan,
    /// The company owns a number to call from.
    pub has_caller_id: bool,
}

/// Remembers them.
#[derive(Default)]
pub struct Remembered(RwLock<HashMap<CompanyId, (Millis, Arc<Defaults>)>>);

impl Remembered {
    /// # Errors
    /// Where the company cannot be asked.
    pub async fn of(&self, room: &Room, company: CompanyId) -> Result<Arc<Defaults>, Status> {
        let now = room.now();
        let known = self.0.read().get(&company).filter(|(until, _)| now < *until).map(|(_, d)| d.clone());
        if let Some(known) = known {
            return Ok(known);
        }
        let state = room.read::<Company>(Entity::company(company)).await?.state;
        let has_caller_id = !state.callers.is_empty();
        let defaults = Arc::new(Defaults { plan: state.single_calls.plan, has_caller_id });
        let mut all = self.0.write();
        if all.len() >= REMEMBERED_MAX {
            all.retain(|_, (until, _)| now < *until);
        }
        if all.len() < REMEMBERED_MAX {
            all.insert(company, (now + REMEMBER_MS, defaults.clone()));
        }
        Ok(defaults)
    }

    /// The company's settings have changed.
    pub fn forget(&self, company: CompanyId) {
        self.0.write().remove(&company);
    }
}
