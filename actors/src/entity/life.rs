//! The life of an entity: it is read from the store, decides, and is woken by its timer.

use super::adopt::{adopt, answer_in_order, plan_timer, state_row};
use super::facts::read_facts;
use super::memory::{Inbox, Keys, seen_before};
use super::{Envelope, Life, Link, Loaded, Msg, ReplyTo, Stored, View, panic_text, store_failed};
use crate::commit::Pending;
use crate::error::SendError;
use crate::handle::Routed;
use crate::keys;
use crate::writes::Writes;
use ractor::{ActorProcessingErr, ActorRef};
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tandem_domain::codec;
use tandem_domain::machine::Context;
use tandem_domain::row::Fact;
use tandem_domain::time::Millis;
use tandem_store::Read;

impl<M: Routed> Life<M> {
    async fn load(&mut self) -> Result<&mut Loaded<M>, SendError> {
        let broken = self.loaded.as_ref().is_some_and(|l| l.link.broken.load(Ordering::Acquire));
        if broken {
            self.loaded = None;
            // What was submitted before the break is settled, one way or the other, by now or soon;
            // the state is read after that.
            self.shard.services.lanes.barrier(&self.shard).await;
        }
        if self.loaded.is_none() {
            let mut tx = self.shard.store.begin();
            let found = tx.get(&keys::entity_state(self.me), Read::Snapshot).await.map_err(store_failed)?;
            let fresh = found.is_none();
            let stored = match found {
                None => Stored { events: 0, sent: 0, armed: None, state: M::State::default() },
                Some(bytes) => codec::decode::<Stored<M::State>>(&bytes)
                    .map_err(|e| SendError::Store(format!("{} cannot be read: {e}", self.me)))?,
            };
            self.gauge.settle::<M>(&stored.state);
            // What was not written may have moved the timer in memory.
            if broken && let Some(at) = M::wakeup(&stored.state) {
                self.shard.timers.arm_by(self.me, at);
            }
            self.loaded = Some(Box::new(Loaded {
                state: stored.state,
                stored: !fresh,
                events: stored.events,
                sent: stored.sent,
                armed: stored.armed,
                waking: None,
                submitted: 0,
                link: Arc::new(Link::default()),
                overlay: HashMap::new(),
                inbox: Inbox::new(fresh),
                keys: Keys::new(fresh),
            }));
        }
        match self.loaded.as_deref_mut() {
            Some(loaded) => Ok(loaded),
            None => Err(SendError::Unavailable("the entity could not be loaded")),
        }
    }

    /// Returns when every decision submitted so far is durable or given up.
    pub(super) async fn barrier(&mut self) {
        let Some(loaded) = self.loaded.as_deref() else { return };
        if loaded.outstanding() {
            self.shard.services.lanes.barrier(&self.shard).await;
        }
    }

    pub(super) async fn read(&mut self) -> Result<Option<View<M::State>>, SendError> {
        self.load().await?;
        // What is not durable yet is not told.
        self.barrier().await;
        let shard = self.shard.clone();
        let loaded = self.load().await?;
        let view =
            M::exists(&loaded.state).then(|| View { state: loaded.state.clone(), events: loaded.events });
        // Whoever was stopped for a while may have been succeeded: what it knows is old then.
        if shard.is_leased() || shard.reads_own_epoch().await? { Ok(view) } else { Err(SendError::Moved) }
    }

    pub(super) async fn tick(&mut self, myself: &ActorRef<Msg<M>>) -> Result<(), ActorProcessingErr> {
        let now = self.shard.clock.now();
        let (me, shard) = (self.me, self.shard.clone());
        let Ok(loaded) = self.load().await else {
            shard.tick_again(me);
            return Ok(());
        };
        loaded.waking = None;
        match M::wakeup(&loaded.state) {
            Some(at) if at <= now => {
                let envelope = Envelope {
                    command: M::tick(),
                    key: None,
                    origin: None,
                    reply: ReplyTo::Nobody,
                    tries: 0,
                    crashes: 0,
                };
                self.execute(myself, envelope).await
            }
            _ => {
                // The wish has moved since the timer was set: move the timer after it.
                self.rearm(now);
                Ok(())
            }
        }
    }

    fn rearm(&mut self, now: Millis) {
        let (me, shard) = (self.me, self.shard.clone());
        let Some(loaded) = self.loaded.as_deref_mut() else { return };
        let mut writes = Writes::default();
        if plan_timer::<M>(&shard, me, loaded, now, true, &mut writes) {
            state_row::<M>(me, loaded, &mut writes);
            loaded.submitted += 1;
            let (seq, link) = (loaded.submitted, loaded.link.clone());
            shard.services.lanes.submit(Pending::quiet(shard.clone(), me, seq, link, writes.done()));
        }
    }

    pub(super) async fn execute(
        &mut self,
        myself: &ActorRef<Msg<M>>,
        mut envelope: Envelope<M>,
    ) -> Result<(), ActorProcessingErr> {
        let (me, shard, gauge) = (self.me, self.shard.clone(), self.gauge.clone());
        let now = shard.clock.now();
        gauge.used_at.store(now.unsigned_abs(), Ordering::Relaxed);
        let loaded = match self.load().await {
            Ok(loaded) => loaded,
            Err(e) => {
                envelope.reply.fail(&shard, me, e);
                return Ok(());
            }
        };
        loaded.trim();
        let Loaded { keys, inbox, .. } = &mut *loaded;
        match seen_before::<M>(me, &*shard.store, keys, inbox, &envelope).await {
            Ok(None) => {}
            Ok(Some(result)) => {
                answer_in_order::<M>(me, &shard, loaded, envelope.reply, result);
                return Ok(());
            }
            Err(e) => {
                envelope.reply.fail(&shard, me, e);
                return Ok(());
            }
        }
        let wanted = M::facts(me, &loaded.state, &envelope.command, now);
        if wanted.iter().any(|f| matches!(f, Fact::Ready { .. })) && loaded.outstanding() {
            // A range is read from the store alone, so what was decided has to be there.
            shard.services.lanes.barrier(&shard).await;
        }
        let read = match read_facts(&shard, loaded, wanted).await {
            Ok(read) => read,
            Err(e) => {
                envelope.reply.fail(&shard, me, e);
                return Ok(());
            }
        };
        let context =
            Context { me, now, next_event: loaded.events + 1, random: shard.random(), facts: &read.facts };
        let (state, command) = (&loaded.state, &envelope.command);
        let decided = std::panic::catch_unwind(AssertUnwindSafe(|| {
            shard.services.faults.before_decision(me);
            M::decide(state, command, &context)
        }));
        match decided {
            Err(panic) => {
                // The actor dies, as it should; the command is carried to the shard, which counts.
                envelope.crashes += 1;
                let why = panic_text(panic.as_ref());
                crate::dead::crashed::<M>(&shard, me, envelope, why.clone());
                Err(why.into())
            }
            Ok(Err(rejection)) => {
                answer_in_order::<M>(me, &shard, loaded, envelope.reply, Err(rejection.into()));
                Ok(())
            }
            Ok(Ok(decision)) => {
                adopt(me, &shard, myself, &gauge, loaded, envelope, decision, read.checks, now);
                Ok(())
            }
        }
    }
}
