//! Watching a campaign: its events, or its progress from time to time.

use crate::grpc::convert::{campaign as convert, choices, events, time};
use crate::grpc::deadline::Deadline;
use crate::grpc::error;
use crate::grpc::room::Room;
use crate::grpc::watch::{Answers, Tail, answers};
use std::sync::Arc;
use std::time::Duration;
use tandem_actors::View;
use tandem_domain::campaign::{Campaign, State};
use tandem_domain::id::Entity;
use tandem_proto::v1;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Status;

/// Progress is told no more often.
const EVERY_MIN: Duration = Duration::from_millis(100);
const EVERY_MAX: Duration = Duration::from_secs(3_600);

pub async fn watch(
    room: Arc<Room>,
    of: Entity,
    message: &v1::WatchCampaignRequest,
    deadline: Deadline,
) -> Result<Answers<v1::WatchCampaignResponse>, Status> {
    let every = message.progress_every.as_ref().map(|d| time::millis("progress_every", d)).transpose()?;
    let view = room.read::<Campaign>(of).await?;
    let keep_open = message.keep_open;
    if let Some(every) = every {
        let every = Duration::from_millis(every.unsigned_abs()).clamp(EVERY_MIN, EVERY_MAX);
        let woken = room.handle.watch(of);
        let after = message.after_event;
        let state = Progress {
            room,
            of,
            woken,
            every,
            after,
            next: Instant::now(),
            over: false,
            keep_open,
            deadline,
        };
        return Ok(answers(state, Progress::step));
    }
    let ended = view.state.phase.is_final() && message.after_event >= view.events;
    let tail = Tail::<Campaign>::new(room.clone(), of, message.after_event, deadline);
    Ok(answers(Events { room, of, tail, ended, keep_open }, Events::step))
}

fn with_progress(event: v1::CampaignEvent, state: &State) -> v1::WatchCampaignResponse {
    v1::WatchCampaignResponse {
        event: Some(event),
        progress: Some(convert::progress(state)),
        phase: choices::campaign_phase(state.phase).into(),
    }
}

/// One who wants every event.
struct Events {
    room: Arc<Room>,
    of: Entity,
    tail: Tail<Campaign>,
    /// The event that ended the campaign has been sent.
    ended: bool,
    keep_open: bool,
}

impl Events {
    async fn step(mut self) -> Result<Option<(v1::WatchCampaignResponse, Self)>, Status> {
        if self.ended && !self.keep_open && self.tail.is_drained() {
            return Ok(None);
        }
        let (number, event, newest) = self.tail.next().await?;
        self.ended |= events::ends_campaign(&event);
        let event = events::campaign_event(number, &event);
        if !newest {
            return Ok(Some((v1::WatchCampaignResponse { event: Some(event), ..<_>::default() }, self)));
        }
        let view = self.room.read::<Campaign>(self.of).await?;
        Ok(Some((with_progress(event, &view.state), self)))
    }
}

/// One who wants to know how far it is.
struct Progress {
    room: Arc<Room>,
    of: Entity,
    woken: watch::Receiver<u64>,
    every: Duration,
    /// Number of the newest event that was told of.
    after: u64,
    /// Not told again before this.
    next: Instant,
    /// The end has been told.
    over: bool,
    keep_open: bool,
    deadline: Deadline,
}

impl Progress {
    async fn step(mut self) -> Result<Option<(v1::WatchCampaignResponse, Self)>, Status> {
        if self.over && !self.keep_open {
            return Ok(None);
        }
        let deadline = self.deadline;
        let told = tokio::select! {
            told = self.tell() => told?,
            () = deadline.passed() => return Err(error::deadline()),
        };
        Ok(told.map(|told| (told, self)))
    }

    async fn tell(&mut self) -> Result<Option<v1::WatchCampaignResponse>, Status> {
        loop {
            tokio::time::sleep_until(self.next).await;
            self.next = Instant::now() + self.every;
            self.woken.borrow_and_update();
            let View { state, events } = self.room.read::<Campaign>(self.of).await?;
            let over = state.phase.is_final();
            if events > self.after {
                (self.after, self.over) = (events, over);
                let event = v1::CampaignEvent { event: events, at: None, what: None };
                return Ok(Some(with_progress(event, &state)));
            }
            if over && !self.keep_open {
                // The watcher had seen the end already.
                return Ok(None);
            }
            // Either it moves, or it is looked at again, should it have moved to another node.
            let moved = tokio::time::timeout(self.every.max(Duration::from_secs(5)), self.woken.changed());
            if let Ok(Err(_)) = moved.await {
                self.woken = self.room.handle.watch(self.of);
            }
        }
    }
}
