//! Streams of numbered events that can be resumed.

use super::deadline::Deadline;
use super::error;
use super::room::{Room, query_failed};
use futures_util::Stream;
use futures_util::stream;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tandem_actors::{Routed, query};
use tandem_domain::id::Entity;
use tokio::sync::watch;
use tonic::Status;

/// Events read at once.
const PAGE: usize = 128;

/// An entity may be taken over by another node, and its events with it; then nobody here wakes its
/// watchers, who look for themselves.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What a method that streams answers.
pub type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send + 'static>>;

/// A part of the events of one entity, as they become durable.
pub struct Tail<M: Routed> {
    room: Arc<Room>,
    of: Entity,
    woken: watch::Receiver<u64>,
    /// Number of the newest event that was given out.
    after: u64,
    deadline: Deadline,
    read: VecDeque<(u64, M::Event)>,
}

impl<M: Routed> Tail<M> {
    /// The events behind number `after`.
    pub fn new(room: Arc<Room>, of: Entity, after: u64, deadline: Deadline) -> Self {
        // Woken by whatever becomes durable from now on; what is durable already is read first.
        let woken = room.handle.watch(of);
        Tail { room, of, woken, after, deadline, read: VecDeque::new() }
    }

    /// The next event, and whether it is the newest of those that were there to read.
    ///
    /// # Errors
    /// A failing store, or a deadline that has passed.
    pub async fn next(&mut self) -> Result<(u64, M::Event, bool), Status> {
        loop {
            if let Some((number, event)) = self.read.pop_front() {
                self.after = number;
                return Ok((number, event, self.read.is_empty()));
            }
            // Marked as seen before the read, so that nothing that follows it is overslept.
            self.woken.borrow_and_update();
            let events = query::events::<M>(self.room.store(), self.of, self.after.saturating_add(1), PAGE);
            self.read = events.await.map_err(query_failed)?.into();
            if self.read.is_empty() {
                self.wait().await?;
            }
        }
    }

    /// Everything that was read has been given out.
    pub fn is_drained(&self) -> bool {
        self.read.is_empty()
    }

    async fn wait(&mut self) -> Result<(), Status> {
        tokio::select! {
            changed = self.woken.changed() => {
                if changed.is_err() {
                    self.woken = self.room.handle.watch(self.of);
                }
                Ok(())
            }
            () = tokio::time::sleep(LOOK_EVERY) => Ok(()),
            () = self.deadline.passed() => Err(error::deadline()),
        }
    }
}

/// A stream that goes on until `step` answers `None`, or once more where it answers an error.
pub fn answers<S, T, F, Fut>(state: S, step: F) -> Answers<T>
where
    S: Send + 'static,
    T: Send + 'static,
    F: Fn(S) -> Fut + Send + 'static,
    Fut: Future<Output = Result<Option<(T, S)>, Status>> + Send + 'static,
{
    Box::pin(stream::unfold((Some(state), step), |(state, step)| async move {
        match step(state?).await {
            Ok(Some((item, state))) => Some((Ok(item), (Some(state), step))),
            Ok(None) => None,
            Err(status) => Some((Err(status), (None, step))),
        }
    }))
}
