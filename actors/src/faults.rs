//! Where tests put faults in.

use tandem_domain::id::Entity;

/// Called at points where something may die. The default does nothing.
pub trait Faults: Send + Sync + 'static {
    /// Before an entity decides; may panic, as a machine with a bug would.
    fn before_decision(&self, _entity: Entity) {}
}

pub(crate) struct NoFaults;

impl Faults for NoFaults {}
