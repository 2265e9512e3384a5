//! A bounded number of connections: made when they are needed, kept when they are not.

use super::address::Address;
use super::session::{Session, connect};
use crate::StoreError;
use parking_lot::Mutex;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// For a connection to become free.
const WAIT: Duration = Duration::from_secs(2);
/// After a connection could not be made, so long nobody tries again: whoever asks is told at once.
const PAUSE: Duration = Duration::from_millis(100);
/// A connection is not used for longer, so that neither side piles things up.
const LIFE: Duration = Duration::from_secs(3_600);
/// Of all connections, one in so many is for commits alone: reads never make them wait.
const COMMITS_SHARE: usize = 4;
/// Connections that are made at a time. Whoever would make another waits, and takes one that is given back.
const MAKING_MAX: usize = 3;

pub(super) struct Pool {
    address: Address,
    prefix: String,
    connections_max: usize,
    idle: Mutex<Vec<Session>>,
    all: Arc<Semaphore>,
    for_reads: Arc<Semaphore>,
    making: Semaphore,
    given_back: Notify,
    failed: Mutex<Option<(Instant, StoreError)>>,
    /// Sessions that were lost in a commit and could not be closed within bounded time. Nothing is begun before
    /// they are: whoever was told that the outcome is not known can look, and finds what will stay.
    unclosed: Mutex<Vec<i64>>,
    closed: AtomicBool,
}

/// A session on loan.
pub(super) struct Lease {
    session: Option<Session>,
    pool: Arc<Pool>,
    /// Nobody waits for the answer to what was asked last.
    abandoned: AtomicBool,
    _permits: (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>),
}

impl Pool {
    pub fn new(address: Address, prefix: String, connections_max: usize) -> Pool {
        let for_commits = (connections_max / COMMITS_SHARE).max(1);
        Pool {
            address,
            prefix,
            connections_max,
            idle: Mutex::new(Vec::new()),
            all: Arc::new(Semaphore::new(connections_max)),
            for_reads: Arc::new(Semaphore::new(connections_max - for_commits)),
            making: Semaphore::new(MAKING_MAX),
            given_back: Notify::new(),
            failed: Mutex::new(None),
            unclosed: Mutex::new(Vec::new()),
            closed: AtomicBool::new(false),
        }
    }

    /// A session to read with, and perhaps to commit with later.
    pub async fn for_reading(self: &Arc<Self>) -> Result<Lease, StoreError> {
        let permit = self.permit(&self.for_reads).await?;
        self.lease(Some(permit)).await
    }

    /// A session for a commit.
    pub async fn for_commit(self: &Arc<Self>) -> Result<Lease, StoreError> {
        self.lease(None).await
    }

    async fn permit(&self, semaphore: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, StoreError> {
        if let Ok(permit) = semaphore.clone().try_acquire_owned() {
            return Ok(permit);
        }
        match tokio::time::timeout(WAIT, semaphore.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(closed()),
            Err(_) => Err(StoreError::Unavailable(format!(
                "all {} connections to the database were busy for {} s",
                self.connections_max,
                WAIT.as_secs()
            ))),
        }
    }

    async fn lease(self: &Arc<Self>, reading: Option<OwnedSemaphorePermit>) -> Result<Lease, StoreError> {
        let permits = (self.permit(&self.all).await?, reading);
        if self.is_closed() {
            return Err(closed());
        }
        let session = self.session().await?;
        let lease = Lease {
            session: Some(session),
            pool: self.clone(),
            abandoned: AtomicBool::new(false),
            _permits: permits,
        };
        self.close_unclosed(&lease).await?;
        Ok(lease)
    }

    /// An idle one, or a new one; there is room for it.
    async fn session(&self) -> Result<Session, StoreError> {
        loop {
            if let Some(session) = self.idle_one() {
                return Ok(session);
            }
            tokio::select! {
                biased;
                making = self.making.acquire() => {
                    let _making = making.map_err(|_| closed())?;
                    return self.connect().await;
                }
                () = self.given_back.notified() => {}
            }
        }
    }

    fn idle_one(&self) -> Option<Session> {
        let mut idle = self.idle.lock();
        loop {
            let session = idle.pop()?;
            if !session.client.is_closed() {
                return Some(session);
            }
        }
    }

    async fn connect(&self) -> Result<Session, StoreError> {
        if let Some((since, error)) = &*self.failed.lock()
            && since.elapsed() < PAUSE
        {
            return Err(error.clone());
        }
        let made = match connect(&self.address).await {
            Ok(client) => {
                Session::begin(client, &self.prefix).await.map_err(super::error::Trouble::into_store)
            }
            Err(error) => Err(error),
        };
        *self.failed.lock() = made.as_ref().err().map(|error| (Instant::now(), error.clone()));
        made
    }

    /// Nothing is begun before this session is closed.
    pub fn not_closed(&self, session: i64) {
        self.unclosed.lock().push(session);
    }

    async fn close_unclosed(&self, lease: &Lease) -> Result<(), StoreError> {
        loop {
            let Some(session) = self.unclosed.lock().last().copied() else { return Ok(()) };
            lease.close_session(session).await?;
            self.unclosed.lock().retain(|other| *other != session);
        }
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn give_back(&self, session: Session) {
        if session.client.is_closed() || self.is_closed() || session.age() > LIFE {
            return;
        }
        self.idle.lock().push(session);
        self.given_back.notify_one();
    }

    /// Lends nothing any more, and ends the connections that are not in use.
    pub async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.all.close();
        self.for_reads.close();
        let idle = std::mem::take(&mut *self.idle.lock());
        futures_util::future::join_all(idle.into_iter().map(|session| session.end(&self.prefix))).await;
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".into())
}

impl Lease {
    /// The session is not to be used any more, by anybody.
    pub fn discard(mut self) {
        self.session = None;
    }

    /// Closes another session, waiting for what it is about to write. Tells the number of its newest commit;
    /// `None` where nobody knows the session.
    pub async fn close_session(&self, session: i64) -> Result<Option<i64>, StoreError> {
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&session];
        let close = self.client.query_opt(&self.statements.close, &parameters);
        let trouble = |error| super::error::Trouble::of(&error).into_store();
        self.abandoned.store(true, Ordering::Relaxed);
        let answer = tokio::time::timeout(WAIT * 3, close).await;
        self.abandoned.store(answer.is_err(), Ordering::Relaxed);
        match answer {
            Ok(row) => row.map_err(trouble)?.map(|row| row.try_get(0).map_err(trouble)).transpose(),
            Err(_) => Err(super::error::Trouble::slow().into_store()),
        }
    }
}

impl Deref for Lease {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.session.as_ref().expect("a lease has its session until it is discarded")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Session {
        self.session.as_mut().expect("a lease has its session until it is discarded")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(session) = self.session.take()
            && !*self.abandoned.get_mut()
        {
            self.pool.give_back(session);
        }
    }
}
