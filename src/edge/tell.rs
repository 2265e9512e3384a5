//! Commands to entities, asked for again where they could not be taken down.

use ring::digest::{SHA256, digest};
use std::time::Duration;
use tandem_actors::{Handle, Key, Routed, SendError};
use tandem_domain::call::{self, Call};
use tandem_domain::id::{Attempt, Entity};
use tokio::time::{Instant, sleep, timeout_at};

const WAIT_MIN: Duration = Duration::from_millis(20);
const WAIT_MAX: Duration = Duration::from_millis(500);

/// Why a command did not get an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Untold {
    /// There is no such entity.
    Unknown,
    /// It says no, and will again.
    Refused(&'static str),
    /// It could not be reached in time, or not written. Later it may.
    Unavailable,
}

/// Sends a command that does no harm when it arrives twice, until it is durable, for at most `patience`.
pub(crate) async fn tell<M: Routed>(
    handle: &Handle,
    to: Entity,
    command: M::Command,
    key: Option<Key>,
    patience: Duration,
) -> Result<M::Reply, Untold> {
    let until = Instant::now() + patience;
    let mut wait = WAIT_MIN;
    loop {
        let sent = timeout_at(until, handle.send::<M>(to, command.clone(), key)).await;
        let error = match sent {
            Ok(Ok(answer)) => return Ok(answer.reply),
            Ok(Err(error)) => error,
            Err(_) => return Err(Untold::Unavailable),
        };
        match error {
            SendError::Rejected(tandem_domain::machine::Rejection::NotFound(_)) => {
                return Err(Untold::Unknown);
            }
            SendError::Rejected(_) | SendError::DeadLetter => {
                tracing::warn!(%to, reason = error.reason(), "a command was refused");
                return Err(Untold::Refused(error.reason()));
            }
            SendError::Moved
            | SendError::Lost
            | SendError::Unavailable(_)
            | SendError::Overloaded(_)
            | SendError::Store(_) => {}
        }
        if Instant::now() + wait >= until {
            tracing::warn!(%to, reason = error.reason(), "a command could not be delivered");
            return Err(Untold::Unavailable);
        }
        sleep(wait).await;
        wait = (wait * 2).min(WAIT_MAX);
    }
}

/// The idempotency key of a command that this name stands for, and no other.
pub(crate) fn named_key(name: &str) -> Key {
    let hash = digest(&SHA256, name.as_bytes());
    let mut key = [0; 16];
    key.copy_from_slice(&hash.as_ref()[..16]);
    Key { key, request: key }
}

/// As [`tell`], to the call of an attempt.
pub(crate) async fn tell_call(
    handle: &Handle,
    attempt: Attempt,
    command: call::Command,
    patience: Duration,
) -> Result<call::Reply, Untold> {
    tell::<Call>(handle, Entity::call(attempt.company, attempt.call), command, None, patience).await
}
