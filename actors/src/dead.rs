//! Commands that killed their entity.

use crate::entity::{CRASHES_MAX, Envelope, ReplyTo};
use crate::error::SendError;
use crate::handle::Routed;
use crate::keys;
use crate::shard::Shard;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tandem_domain::codec;
use tandem_domain::id::Entity;
use tandem_domain::time::Millis;

/// A command that was set aside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Letter {
    pub entity: Entity,
    pub at: Millis,
    pub why: String,
    /// The encoded [`tandem_domain::effect::Command`].
    pub command: Vec<u8>,
}

/// A command has killed its entity: it is tried again on the entity's next life, and set aside
/// when it has killed often enough. The entity lives on either way.
pub(crate) fn crashed<M: Routed>(shard: &Arc<Shard>, me: Entity, envelope: Envelope<M>, why: String) {
    metrics::counter!("tandem_entity_crashes_total", "kind" => me.kind.name()).increment(1);
    tracing::error!(entity = %me, crashes = envelope.crashes, why, "a command has killed its entity");
    let shard = shard.clone();
    shard.clone().spawn("dead letters", async move {
        if envelope.crashes < CRASHES_MAX {
            shard.redeliver(me, envelope).await;
            return;
        }
        metrics::counter!("tandem_dead_letters_total", "kind" => me.kind.name()).increment(1);
        let at = shard.clock.now();
        let command = codec::encode(&M::wrap_command(envelope.command.clone()));
        let letter = codec::encode(&Letter { entity: me, at, why, command });
        let mut tx = shard.store.begin();
        tx.set(keys::dead_letter(me, at), letter);
        if let Err(e) = tx.commit().await {
            tracing::error!(entity = %me, error = %e, "a dead letter could not be kept");
        }
        match envelope.reply {
            ReplyTo::Caller(to) => drop(to.send(Err(SendError::DeadLetter))),
            ReplyTo::Ack(to) => drop(to.send(Err(SendError::DeadLetter))),
            ReplyTo::Nobody => {}
        }
    });
}
