//! What is asked of a voice agent's provider while the carrier is still on its way to the media socket: the person waits
//! for every round trip that comes after it.

use super::server::Edge;
use crate::configured::meant;
use std::sync::Arc;
use tandem_domain::call::Call;
use tandem_domain::id::{Attempt, Entity};

/// Has the call's provider prepare for a conversation with its agent, in the background. In vain where the carrier
/// brings the socket to another node.
pub(super) fn prepare(edge: &Arc<Edge>, attempt: Attempt) {
    let Ok(room) = Arc::clone(&edge.preparations).try_acquire_owned() else { return };
    let of = Arc::clone(edge);
    edge.tasks.spawn(async move {
        let _room = room;
        let entity = Entity::call(attempt.company, attempt.call);
        // Nothing depends on it.
        let Ok(Some(call)) = of.handle.read::<Call>(entity).await else { return };
        let spec = &call.state.plan.agent;
        if let Some(agent) = meant(&of.agents, &spec.provider) {
            agent.provider.prepare(&spec.agent_id).await;
        }
    });
}
