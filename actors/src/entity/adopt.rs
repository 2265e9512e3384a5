//! What a decision leads to: the state moves on, and rows go to the store.

use super::{
    Answer, Envelope, Gauge, Key, Loaded, Msg, Remembered, ReplyTo, TIMER_SLACK, TRIES_MAX, facts::Check,
};
use crate::commit::{Outcome, Pending};
use crate::dispatch::Record;
use crate::error::SendError;
use crate::handle::Routed;
use crate::keys;
use crate::shard::Shard;
use crate::writes::Writes;
use ractor::{ActorRef, MessagingErr};
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tandem_domain::codec;
use tandem_domain::id::Entity;
use tandem_domain::machine::{Decision, Machine};
use tandem_domain::time::Millis;

/// [`super::EventRecord`], borrowed.
#[derive(Serialize)]
pub(crate) struct RecordRef<'a, E> {
    pub events: &'a [E],
    pub answered: Option<&'a ([u8; 16], Remembered)>,
}

/// [`super::Stored`], borrowed.
#[derive(Serialize)]
pub(crate) struct StoredRef<'a, S> {
    pub events: u64,
    pub sent: u64,
    pub armed: Option<Millis>,
    pub state: &'a S,
}

/// An answer that changes nothing still waits for the decisions it was based on.
pub(super) fn answer_in_order<M: Machine>(
    me: Entity,
    shard: &Arc<Shard>,
    loaded: &mut Loaded<M>,
    reply: ReplyTo<M>,
    result: Result<Answer<M::Reply>, SendError>,
) {
    // Where nothing is outstanding what is known is the truth, as long as nobody else can have changed it; otherwise
    // the lane has a look at who has the shard.
    if !loaded.outstanding() && shard.is_leased() {
        return reply.send(result);
    }
    loaded.submitted += 1;
    let deciding = shard.clone();
    let done = Box::new(move |outcome: Outcome| match outcome {
        Outcome::Committed => reply.send(result),
        // What it was based on never came true.
        Outcome::Redo => reply.fail(&deciding, me, SendError::Unavailable("a decision is taken anew")),
        Outcome::Failed(e) => reply.fail(&deciding, me, e),
    });
    let (seq, link) = (loaded.submitted, loaded.link.clone());
    shard.services.lanes.submit(Pending::answer(shard.clone(), me, seq, link, done));
}

pub(super) fn state_row<M: Machine>(me: Entity, loaded: &Loaded<M>, writes: &mut Writes) {
    let Loaded { events, sent, armed, state, .. } = loaded;
    let stored = StoredRef { events: *events, sent: *sent, armed: *armed, state };
    writes.set(&keys::entity_state(me), |out| codec::encode_into(out, &stored));
}

/// Keeps the durable timer and the one in memory in step with what the state wishes. Returns
/// whether rows were written.
pub(super) fn plan_timer<M: Machine>(
    shard: &Shard,
    me: Entity,
    loaded: &mut Loaded<M>,
    now: Millis,
    fired: bool,
    writes: &mut Writes,
) -> bool {
    let wish = M::wakeup(&loaded.state);
    let row = wish.map(|at| at.max(now + TIMER_SLACK));
    let keep = match (loaded.armed, row) {
        (None, None) => true,
        // An earlier row will do: it comes, finds the wish moved, and moves on. Once it has fired
        // it is moved, so that it is not found again and again.
        (Some(armed), Some(row)) => armed <= row && !(fired && armed <= now),
        (None, Some(_)) | (Some(_), None) => false,
    };
    if !keep {
        if let Some(armed) = loaded.armed {
            writes.clear(&keys::timer(shard.id, armed, me));
        }
        if let Some(row) = row {
            writes.set(&keys::timer(shard.id, row, me), |_| {});
        }
        loaded.armed = row;
    }
    match (wish, loaded.waking) {
        (None, Some(_)) => {
            shard.timers.cancel(me);
            loaded.waking = None;
        }
        (Some(at), waking) if waking.is_none_or(|w| at < w) => {
            shard.timers.arm(me, at);
            loaded.waking = Some(at);
        }
        _ => {}
    }
    !keep
}

/// Takes a decision over: the state moves on at once, the rest waits for the commit.
#[allow(clippy::too_many_arguments, reason = "one step of one function, split for reading")]
pub(super) fn adopt<M: Routed>(
    me: Entity,
    shard: &Arc<Shard>,
    myself: &ActorRef<Msg<M>>,
    gauge: &Arc<Gauge>,
    loaded: &mut Loaded<M>,
    mut envelope: Envelope<M>,
    decision: Decision<M>,
    checks: Vec<Check>,
    now: Millis,
) {
    let Decision { events, effects, rows, reply } = decision;
    let seq = loaded.submitted + 1;
    let mut writes = Writes::with_capacity(rows.len() + 5, 1_024);
    let changed = !events.is_empty() || !effects.is_empty();
    for event in &events {
        loaded.events += 1;
        M::evolve(&mut loaded.state, event);
    }
    for row in rows {
        let key = keys::row(&row.key);
        match &row.value {
            Some(value) => writes.set(&key, |out| out.extend_from_slice(value)),
            None => writes.clear(&key),
        }
        loaded.overlay.insert(row.key, (seq, row.value));
    }
    let records: Vec<Record> = effects
        .into_iter()
        .map(|effect| {
            loaded.sent += 1;
            Record { from: me, number: loaded.sent, effect }
        })
        .collect();
    if let Some(origin) = envelope.origin {
        let number = origin.number.to_be_bytes();
        writes.set(&keys::inbox(me, origin.sender), |out| out.extend_from_slice(&number));
        loaded.inbox.took(seq, origin.sender, origin.number);
    }
    let answered = envelope.key.map(|Key { key, request }| {
        (key, Remembered { request, events: loaded.events, reply: codec::encode(&reply) })
    });
    let with_events = M::KEYS_WITH_EVENTS && !events.is_empty();
    if !events.is_empty() {
        let record = RecordRef { events: &events, answered: answered.as_ref().filter(|_| with_events) };
        writes.set(&keys::event(me, loaded.events), |out| codec::encode_into(out, &record));
    }
    if let Some((key, remembered)) = answered {
        if !with_events {
            writes.set(&keys::idempotency(me, key), |out| codec::encode_into(out, &remembered));
        }
        loaded.keys.used(seq, key, remembered);
    }
    let fired = matches!(envelope.reply, ReplyTo::Nobody);
    let timer = plan_timer::<M>(shard, me, loaded, now, fired, &mut writes);
    // Who has no state has no memory either: what is to be remembered comes with one.
    let remembers = envelope.origin.is_some() || envelope.key.is_some();
    if changed || timer || (remembers && !loaded.stored) {
        state_row::<M>(me, loaded, &mut writes);
        loaded.stored = true;
    }
    gauge.settle::<M>(&loaded.state);
    let answer = Answer { reply, replayed: false, events: loaded.events };
    if writes.is_empty() {
        return answer_in_order::<M>(me, shard, loaded, envelope.reply, Ok(answer));
    }
    loaded.submitted = seq;
    let (myself, gauge, deciding) = (myself.clone(), gauge.clone(), shard.clone());
    let done = Box::new(move |outcome: Outcome| match outcome {
        Outcome::Committed => envelope.reply.send(Ok(answer)),
        Outcome::Failed(e) => {
            // It has set the timer for a state that never came true: whoever asked, the entity looks at its time.
            deciding.tick_again(me);
            envelope.reply.send(Err(e));
        }
        Outcome::Redo if envelope.tries >= TRIES_MAX => {
            envelope.reply.fail(&deciding, me, SendError::Unavailable("its facts keep changing"));
        }
        Outcome::Redo => {
            envelope.tries += 1;
            gauge.depth.fetch_add(1, Ordering::Relaxed);
            if let Err(MessagingErr::SendErr(Msg::Do(envelope))) = myself.send_message(Msg::Do(envelope)) {
                // It is leaving: its successor decides, here or elsewhere.
                envelope.reply.fail(&deciding, me, SendError::Moved);
            }
        }
    });
    shard.services.lanes.submit(Pending {
        shard: shard.clone(),
        entity: me,
        seq,
        link: loaded.link.clone(),
        checks,
        writes: writes.done(),
        effects: records,
        events: if events.is_empty() { None } else { Some(loaded.events) },
        done: Some(done),
    });
}
