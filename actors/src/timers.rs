//! A shard's clock: due timers become commands.
//!
//! Durable timers are rows; those that were set while the shard is here are in memory as well,
//! and exact. Rows from before are brought in by looking ahead a little, again and again.

use crate::keys;
use crate::shard::Shard;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use tandem_domain::id::Entity;
use tandem_domain::time::{MINUTE, Millis};
use tandem_store::{Range, Read};
use tokio::sync::Notify;

/// How far ahead rows are brought into memory.
const AHEAD_MS: Millis = 10 * MINUTE;
/// Rows read in one go.
const PAGE: usize = 1_000;
/// Timers delivered before others get a turn.
const BURST: usize = 256;

#[derive(Default)]
struct Due {
    order: BTreeSet<(Millis, Entity)>,
    of: HashMap<Entity, Millis>,
}

#[derive(Default)]
pub(crate) struct Timers {
    due: Mutex<Due>,
    earlier: Notify,
}

impl Timers {
    pub fn arm(&self, e: Entity, at: Millis) {
        let mut due = self.due.lock();
        if let Some(old) = due.of.insert(e, at) {
            due.order.remove(&(old, e));
        }
        let first = due.order.first().is_none_or(|(t, _)| at < *t);
        due.order.insert((at, e));
        drop(due);
        if first {
            self.earlier.notify_one();
        }
    }

    /// No later than `at`.
    pub fn arm_by(&self, e: Entity, at: Millis) {
        if self.due.lock().of.get(&e).is_none_or(|armed| at < *armed) {
            self.arm(e, at);
        }
    }

    pub fn cancel(&self, e: Entity) {
        let mut due = self.due.lock();
        if let Some(old) = due.of.remove(&e) {
            due.order.remove(&(old, e));
        }
    }

    /// A row from the store; what was set since is newer.
    fn found(&self, e: Entity, at: Millis) {
        let mut due = self.due.lock();
        let Due { order, of } = &mut *due;
        if let std::collections::hash_map::Entry::Vacant(free) = of.entry(e) {
            free.insert(at);
            order.insert((at, e));
        }
    }

    fn take(&self, now: Millis) -> Vec<Entity> {
        let mut due = self.due.lock();
        let mut fired = Vec::new();
        while fired.len() < BURST
            && let Some((at, e)) = due.order.first().copied()
            && at <= now
        {
            due.order.remove(&(at, e));
            due.of.remove(&e);
            fired.push(e);
        }
        fired
    }

    fn next(&self) -> Option<Millis> {
        self.due.lock().order.first().map(|(at, _)| *at)
    }

    pub fn len(&self) -> usize {
        self.due.lock().of.len()
    }
}

/// Brings rows due before `until` into memory.
async fn look_ahead(shard: &Shard, from: Millis, until: Millis) -> Result<(), tandem_store::StoreError> {
    let (mut begin, end) = keys::timers_until(shard.id, from, until);
    loop {
        let mut tx = shard.store.begin();
        let range = Range { begin: begin.clone(), end: end.clone(), limit: PAGE, reverse: false };
        let rows = tx.range(range, Read::Snapshot).await?;
        for (key, _) in &rows {
            match keys::timer_parts(key) {
                Ok((at, e)) => shard.timers.found(e, at),
                Err(e) => tracing::error!(shard = shard.id, error = %e, "a timer row is skipped"),
            }
        }
        match rows.last() {
            Some((key, _)) if rows.len() == PAGE => {
                begin = key.to_vec();
                begin.push(0);
            }
            _ => return Ok(()),
        }
    }
}

/// Runs until the shard stops.
pub(crate) async fn run(shard: Arc<Shard>) {
    let mut seen_until = 0;
    loop {
        let now = shard.clock.now();
        if now + AHEAD_MS / 2 >= seen_until {
            let until = now + AHEAD_MS;
            match look_ahead(&shard, seen_until, until).await {
                Ok(()) => seen_until = until,
                Err(e) => {
                    tracing::warn!(shard = shard.id, error = %e, "timers cannot be read; trying again");
                    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                    continue;
                }
            }
        }
        let fired = shard.timers.take(now);
        if !fired.is_empty() {
            for e in fired {
                shard.tick(e);
            }
            tokio::task::yield_now().await;
            continue;
        }
        let wake =
            shard.timers.next().map_or(seen_until - AHEAD_MS / 2, |at| at.min(seen_until - AHEAD_MS / 2));
        tokio::select! {
            () = shard.clock.sleep_until(wake) => {}
            () = shard.timers.earlier.notified() => {}
        }
    }
}
