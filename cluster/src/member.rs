//! A member at work: it renews its place, watches the others, takes over from the dead, and brings the shards to where
//! they belong.

use crate::cluster::Inner;
use crate::error::ChangeError;
use crate::join::row;
use crate::observe::Observer;
use crate::rows::{Incarnation, Owner, State};
use crate::table::Renewed;
use crate::view::View;
use futures_util::{StreamExt, stream};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

/// A renewal that takes longer is given up; the next one may do better.
const RENEWAL_MAX: Duration = Duration::from_secs(2);
/// How long a suspect's port has to answer.
const PROBE_MAX: Duration = Duration::from_millis(100);
/// Each survivor waits so much longer than the one before it until it takes over.
const RANK_WAIT: Duration = Duration::from_millis(200);
/// After a change that could not be made.
const AGAIN: Duration = Duration::from_millis(100);
/// Shards claimed in one transaction.
const CLAIMS_MAX: usize = 512;
/// Shards handed over in one round, so that what else there is to do does not wait for long.
const HAND_OVERS_MAX: usize = 16;
/// Shards opened at once.
const OPENS_AT_ONCE: usize = 8;

#[allow(clippy::disallowed_methods, reason = "they end with the cluster")]
pub(crate) fn start(inner: Arc<Inner>, advertise: String) {
    let ended = inner.ended.clone();
    let beating = inner.clone();
    let end = ended.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = beat(&beating, &advertise) => {}
            () = end.cancelled() => {}
        }
    });
    tokio::spawn(async move {
        tokio::select! {
            () = work(&inner) => {}
            () = ended.cancelled() => {}
        }
    });
}

/// Renews this node's place, and looks who else does.
async fn beat(inner: &Arc<Inner>, advertise: &str) {
    let mut turns = interval(inner.options.timing.renew);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = turns.tick() => {}
            () = inner.hurry.notified() => {}
        }
        renew(inner, advertise).await;
    }
}

async fn renew(inner: &Arc<Inner>, advertise: &str) {
    let began = Instant::now();
    let (me, known) = (inner.me(), inner.view.borrow().version);
    let clock = (inner.options.clock)();
    let renewal = inner.table.renew(&me.node, &me.incarnation, known, clock);
    match timeout(RENEWAL_MAX, renewal).await {
        Ok(Ok(Renewed::Still { nodes, view })) => {
            let ended = Instant::now();
            inner.lease.extend(began, inner.options.timing.lease);
            metrics::histogram!("tandem_renewal_seconds").record((ended - began).as_secs_f64());
            inner.observer.lock().saw(&nodes, began, ended);
            match view {
                Some(view) => inner.adopt(view),
                None => inner.adopt_nodes(nodes),
            }
            watch_others(inner).await;
        }
        Ok(Ok(Renewed::Expelled { by_name: true })) => {
            let why = format!("another node named {:?} has taken this one's place", me.node);
            tracing::error!(why, "this node gives up");
            give_up_all(inner);
            inner.failed.send_replace(Some(why));
            inner.ended.cancel();
        }
        Ok(Ok(Renewed::Expelled { by_name: false })) => {
            if !inner.leaving.is_cancelled() {
                rejoin(inner, advertise).await;
            }
        }
        // A conflict: somebody changes this node's row, its state for example.
        Ok(Err(ChangeError::Overtaken)) => inner.hurry.notify_one(),
        Ok(Err(error)) => {
            tracing::warn!(%error, "this node's place could not be renewed");
            inner.observer.lock().failed();
        }
        Err(_) => {
            tracing::warn!("this node's place could not be renewed in time");
            inner.observer.lock().failed();
        }
    }
}

/// Nothing that runs here is this node's any more.
fn give_up_all(inner: &Inner) {
    inner.lease.revoke();
    if let Some(host) = inner.host.get() {
        for (shard, epoch) in host.open_shards() {
            host.lose(shard, epoch);
        }
    }
}

/// The others took this node for dead, and its shards are theirs: it comes in again, as a new one.
async fn rejoin(inner: &Arc<Inner>, advertise: &str) {
    tracing::warn!("the other nodes have taken this one for dead; it gives its shards up and joins anew");
    metrics::counter!("tandem_node_expelled_total").increment(1);
    give_up_all(inner);
    *inner.life.write() = Incarnation::fresh();
    *inner.observer.lock() = Observer::new(inner.options.timing);
    match inner.table.join(&inner.options.node, &row(inner, advertise), None).await {
        Ok(()) => {
            drop(inner.look().await);
            inner.hurry.notify_one();
        }
        Err(error) => {
            // The next renewal finds no row of this life, and tries again.
            tracing::warn!(%error, "this node could not join again; it tries on");
        }
    }
}

/// Looks closer at those that have not renewed their places, and takes over from the dead.
async fn watch_others(inner: &Arc<Inner>) {
    let view = inner.view.borrow().clone();
    let suspects = inner.observer.lock().suspects(Instant::now());
    for name in suspects.into_iter().filter(|name| *name != inner.options.node) {
        let Some(node) = view.nodes.get(&name) else { continue };
        let refuses = refuses(&node.peer).await;
        let rank = rank(&view, &inner.options.node, &name);
        let dead = {
            let mut observer = inner.observer.lock();
            observer.probed(&name, refuses);
            observer.is_dead(&name, RANK_WAIT * rank, Instant::now())
        };
        if let Some((incarnation, counter)) = dead {
            take_over(inner, &name, &incarnation, counter).await;
        }
    }
}

/// Whether nobody listens at an address whose machine answers. Silence is not a refusal.
pub(crate) async fn refuses(address: &str) -> bool {
    match timeout(PROBE_MAX, TcpStream::connect(address)).await {
        Ok(Err(e)) => e.kind() == std::io::ErrorKind::ConnectionRefused,
        Ok(Ok(_)) | Err(_) => false,
    }
}

/// In which place this node is among those that could take over from `dead`.
fn rank(view: &View, me: &str, dead: &str) -> u32 {
    let fit = |name: &str| (crate::plan::affinity(name, 0) ^ crate::plan::affinity(dead, 1), name.to_owned());
    let mine = fit(me);
    let living = view.nodes.iter().filter(|(name, node)| node.state != State::Down && *name != dead);
    let before = living.filter(|(name, _)| fit(name) < mine).count();
    // Draining nodes may take over too, for others; how many there are is bounded.
    u32::try_from(before.min(10)).unwrap_or(10)
}

async fn take_over(inner: &Arc<Inner>, name: &str, incarnation: &Incarnation, counter: u64) {
    match inner.table.take_over(name, incarnation, counter).await {
        Ok(heirs) => {
            tracing::warn!(node = name, heirs = heirs.len(), "a node is down; its shards are taken over");
            metrics::counter!("tandem_takeovers_total").increment(1);
            drop(inner.look().await);
            inner.nudge_soon(heirs);
        }
        Err(ChangeError::Overtaken) => {}
        Err(error) => tracing::warn!(node = name, %error, "a dead node could not be taken over yet"),
    }
}

/// Brings shards to where they belong, whenever something has changed.
async fn work(inner: &Arc<Inner>) {
    loop {
        tokio::select! {
            () = inner.work.notified() => {}
            () = sleep(inner.options.timing.renew) => {}
        }
        if !put_right(inner).await {
            sleep(AGAIN).await;
            inner.work.notify_one();
        }
    }
}

/// One round; `false` where something could not be done.
async fn put_right(inner: &Arc<Inner>) -> bool {
    let Some(host) = inner.host.get() else { return true };
    let (me, view) = (inner.me(), inner.view.borrow().clone());
    for (shard, epoch) in host.open_shards() {
        let holding = &view.holdings[usize::from(shard)];
        if holding.epoch > epoch && holding.owner.as_ref() != Some(&me) {
            host.lose(shard, epoch);
        }
    }
    if inner.leaving.is_cancelled() {
        return true;
    }
    let opened = open(inner, &view, &me).await;
    let claimed = claim(inner, &view, &me).await;
    let handed = hand_over(inner, &me).await;
    opened && claimed && handed
}

/// Opens what is this node's and does not run yet.
async fn open(inner: &Arc<Inner>, view: &View, me: &Owner) -> bool {
    let Some(host) = inner.host.get() else { return true };
    let running = host.open_shards();
    let due = view.held_by(&me.node, &me.incarnation);
    let due = due.into_iter().filter(|(shard, epoch)| !running.iter().any(|(s, e)| s == shard && e >= epoch));
    let opened = stream::iter(due).map(|(shard, epoch)| async move {
        let opened = host.open(shard, epoch).await;
        inner.tell();
        match opened {
            Ok(()) => true,
            Err(why) => {
                tracing::error!(shard, epoch, why, "a shard could not be opened; trying on");
                false
            }
        }
    });
    opened.buffer_unordered(OPENS_AT_ONCE).all(|good| async move { good }).await
}

/// Claims what nobody has and this node is to have.
async fn claim(inner: &Arc<Inner>, view: &View, me: &Owner) -> bool {
    let planned = view.planned(None);
    let shards = (0u16..).zip(&planned);
    let wanted: Vec<u16> = shards
        .filter(|(shard, plan)| **plan == Some(me.node.as_str()) && view.owner(*shard).is_none())
        .map(|(shard, _)| shard)
        .take(CLAIMS_MAX)
        .collect();
    if wanted.is_empty() {
        return true;
    }
    match inner.table.claim(&wanted, &me.node, &me.incarnation).await {
        Ok(claimed) => {
            tracing::info!(shards = claimed.len(), "claimed shards that nobody had");
            inner.look().await.is_ok()
        }
        Err(ChangeError::Overtaken) => {
            inner.hurry.notify_one();
            true
        }
        Err(error) => {
            tracing::warn!(%error, "shards could not be claimed");
            false
        }
    }
}

/// Hands over what others are to have.
async fn hand_over(inner: &Arc<Inner>, me: &Owner) -> bool {
    let view = inner.view.borrow().clone();
    let planned = view.planned(None);
    let held = view.held_by(&me.node, &me.incarnation);
    let due: Vec<(u16, u64, Owner)> = held
        .into_iter()
        .filter_map(|(shard, epoch)| {
            let to = planned.get(usize::from(shard)).copied().flatten()?;
            let node = view.nodes.get(to).filter(|_| to != me.node)?;
            Some((shard, epoch, Owner { node: to.to_owned(), incarnation: node.incarnation.clone() }))
        })
        .take(HAND_OVERS_MAX)
        .collect();
    if due.is_empty() {
        return true;
    }
    let moved = stream::iter(due).map(|(shard, epoch, to)| hand_over_one(inner, me, shard, epoch, to));
    let moved: Vec<bool> = moved.buffer_unordered(inner.options.hand_overs_max.max(1)).collect().await;
    drop(inner.look().await);
    moved.into_iter().all(|good| good)
}

async fn hand_over_one(inner: &Arc<Inner>, me: &Owner, shard: u16, epoch: u64, to: Owner) -> bool {
    let Some(host) = inner.host.get() else { return true };
    // Whoever is to have it may have died since.
    if inner.observer.lock().suspects(Instant::now()).contains(&to.node) {
        return false;
    }
    let began = Instant::now();
    host.close(shard).await;
    match inner.table.hand_over(shard, epoch, me, &to).await {
        Ok(_) => {
            drop(inner.look().await);
            inner.nudge(std::slice::from_ref(&to.node)).await;
            let took = began.elapsed();
            metrics::histogram!("tandem_hand_over_seconds").record(took.as_secs_f64());
            tracing::debug!(shard, to = to.node, took_ms = took.as_millis(), "handed a shard over");
            true
        }
        Err(ChangeError::Overtaken) => {
            inner.hurry.notify_one();
            true
        }
        Err(error) => {
            tracing::warn!(shard, %error, "a shard could not be handed over; it stays for now");
            if let Err(why) = host.open(shard, epoch).await {
                tracing::error!(shard, why, "a shard could not be opened again; trying on");
            }
            inner.tell();
            false
        }
    }
}
