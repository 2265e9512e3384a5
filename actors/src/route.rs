//! The way of a command or a look to its entity: here, or one hop away.

use crate::elsewhere::Elsewhere;
use crate::entity::{Answer, Envelope, Key, Msg, Origin, ReplyTo, View};
use crate::error::SendError;
use crate::handle::{Routed, Services};
use crate::shard::Shard;
use crate::wire::{self, Request, Told};
use std::sync::Arc;
use std::time::Duration;
use tandem_domain::call::Call;
use tandem_domain::campaign::Campaign;
use tandem_domain::codec;
use tandem_domain::company::Company;
use tandem_domain::customer::Customer;
use tandem_domain::effect::{Command, Pace};
use tandem_domain::id::{CompanyId, Entity, Kind};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

/// How long a request follows a shard that moves. Longer than a takeover takes.
const PATIENCE: Duration = Duration::from_secs(8);
/// How often a look is repeated when its entity dies with it.
const READS_MAX: u32 = 8;

/// Waits between tries while a shard is on its way from one node to another.
struct Patience<'a> {
    elsewhere: &'a Arc<dyn Elsewhere>,
    shard: u16,
    until: Instant,
}

impl<'a> Patience<'a> {
    fn new(elsewhere: &'a Arc<dyn Elsewhere>, shard: u16) -> Self {
        Patience { elsewhere, shard, until: Instant::now() + PATIENCE }
    }

    /// Whether it is worth trying again.
    async fn again(&self) -> bool {
        timeout_at(self.until, self.elsewhere.changed(self.shard)).await.is_ok()
    }
}

/// What is told when nobody had the shard for long.
const NOBODY: SendError = SendError::Unavailable("nobody has this part of the data at the moment");

pub(crate) async fn send<M: Routed>(
    services: &Arc<Services>,
    to: Entity,
    command: M::Command,
    key: Option<Key>,
) -> Result<Answer<M::Reply>, SendError> {
    let shard = services.shard_of(to);
    let Some(elsewhere) = &services.elsewhere else {
        return send_here::<M>(&services.here(shard).ok_or(SendError::Moved)?, to, command, key).await;
    };
    let patience = Patience::new(elsewhere, shard);
    loop {
        let result = match services.here(shard) {
            Some(here) => send_here::<M>(&here, to, command.clone(), key).await,
            None => send_there::<M>(elsewhere, shard, to, command.clone(), key).await,
        };
        match result {
            // Nothing was done, or it is known by its key what was.
            Err(SendError::Moved) => {}
            Err(SendError::Lost) if key.is_some() => {}
            other => return other,
        }
        if !patience.again().await {
            return Err(NOBODY);
        }
    }
}

async fn send_here<M: Routed>(
    shard: &Arc<Shard>,
    to: Entity,
    command: M::Command,
    key: Option<Key>,
) -> Result<Answer<M::Reply>, SendError> {
    let (reply, answer) = oneshot::channel();
    let envelope =
        Envelope { command, key, origin: None, reply: ReplyTo::Caller(reply), tries: 0, crashes: 0 };
    shard.deliver::<M>(to, Msg::Do(envelope)).await?;
    answer.await.unwrap_or(Err(SendError::Unavailable("the entity has restarted")))
}

async fn ask(elsewhere: &Arc<dyn Elsewhere>, shard: u16, request: &Request) -> Told {
    let bytes = elsewhere.ask(shard, codec::encode(request).into()).await?;
    codec::decode::<Told>(&bytes).unwrap_or_else(|error| {
        tracing::error!(%error, "another node's answer cannot be read");
        Err(SendError::Lost)
    })
}

/// An answer of another kind than what was asked for.
fn nonsense<T>() -> Result<T, SendError> {
    tracing::error!("another node answers something else than what was asked");
    Err(SendError::Lost)
}

async fn send_there<M: Routed>(
    elsewhere: &Arc<dyn Elsewhere>,
    shard: u16,
    to: Entity,
    command: M::Command,
    key: Option<Key>,
) -> Result<Answer<M::Reply>, SendError> {
    let request = Request::Do { to, command: M::wrap_command(command), key, origin: None };
    match ask(elsewhere, shard, &request).await? {
        wire::Answer::Done { reply, replayed, events } => match codec::decode(&reply) {
            Ok(reply) => Ok(Answer { reply, replayed, events }),
            Err(_) => nonsense(),
        },
        _ => nonsense(),
    }
}

pub(crate) async fn read<M: Routed>(
    services: &Arc<Services>,
    of: Entity,
) -> Result<Option<View<M::State>>, SendError> {
    let shard = services.shard_of(of);
    let Some(elsewhere) = &services.elsewhere else {
        return read_here::<M>(&services.here(shard).ok_or(SendError::Moved)?, of).await;
    };
    let patience = Patience::new(elsewhere, shard);
    loop {
        let result = match services.here(shard) {
            Some(here) => read_here::<M>(&here, of).await,
            None => read_there::<M>(elsewhere, shard, of).await,
        };
        match result {
            Err(SendError::Moved | SendError::Lost) => {}
            other => return other,
        }
        if !patience.again().await {
            return Err(NOBODY);
        }
    }
}

async fn read_here<M: Routed>(shard: &Arc<Shard>, of: Entity) -> Result<Option<View<M::State>>, SendError> {
    // Looking changes nothing, so an entity that died with the question is asked again.
    for _ in 0..READS_MAX {
        let (reply, answer) = oneshot::channel();
        shard.deliver::<M>(of, Msg::Read(reply)).await?;
        if let Ok(result) = answer.await {
            return result;
        }
    }
    Err(SendError::Unavailable("the entity has restarted"))
}

async fn read_there<M: Routed>(
    elsewhere: &Arc<dyn Elsewhere>,
    shard: u16,
    of: Entity,
) -> Result<Option<View<M::State>>, SendError> {
    match ask(elsewhere, shard, &Request::Read { of }).await? {
        wire::Answer::State(None) => Ok(None),
        wire::Answer::State(Some((state, events))) => match codec::decode(&state) {
            Ok(state) => Ok(Some(View { state, events })),
            Err(_) => nonsense(),
        },
        _ => nonsense(),
    }
}

/// Sends a command to an entity, wherever it is, and waits until it is durable. Tries once.
pub(crate) async fn post(
    services: &Arc<Services>,
    to: Entity,
    command: &Command,
    origin: Option<Origin>,
) -> Result<(), SendError> {
    let shard = services.shard_of(to);
    match (services.here(shard), &services.elsewhere) {
        (Some(here), _) => post_here(&here, to, command.clone(), origin).await,
        (None, None) => Err(SendError::Moved),
        (None, Some(elsewhere)) => {
            let request = Request::Do { to, command: command.clone(), key: None, origin };
            ask(elsewhere, shard, &request).await.map(drop)
        }
    }
}

async fn post_here(
    shard: &Arc<Shard>,
    to: Entity,
    command: Command,
    origin: Option<Origin>,
) -> Result<(), SendError> {
    match command {
        Command::Call(c) => post_to::<Call>(shard, to, c, origin).await,
        Command::Campaign(c) => post_to::<Campaign>(shard, to, c, origin).await,
        Command::Customer(c) => post_to::<Customer>(shard, to, c, origin).await,
        Command::Company(c) => post_to::<Company>(shard, to, c, origin).await,
    }
}

async fn post_to<M: Routed>(
    shard: &Arc<Shard>,
    to: Entity,
    command: M::Command,
    origin: Option<Origin>,
) -> Result<(), SendError> {
    let (ack, taken) = oneshot::channel();
    let envelope = Envelope { command, key: None, origin, reply: ReplyTo::Ack(ack), tries: 0, crashes: 0 };
    shard.deliver::<M>(to, Msg::Do(envelope)).await?;
    taken.await.unwrap_or(Err(SendError::Unavailable("the entity has restarted")))
}

/// A place in time for a dial that these rates bind, given out by whoever has the company: dials of one company leave
/// from all nodes, and the distance between them is kept by one.
pub(crate) async fn pace(
    services: &Arc<Services>,
    company: CompanyId,
    paces: &[Pace],
    wait_max: Duration,
) -> Option<Duration> {
    if paces.is_empty() {
        return Some(Duration::ZERO);
    }
    let shard = services.shard_of(Entity::company(company));
    if let Some(here) = services.here(shard) {
        return pace_here(&here, paces, wait_max);
    }
    let wait_ms_max = u32::try_from(wait_max.as_millis()).unwrap_or(u32::MAX);
    let request = Request::Pace { company, paces: paces.to_vec(), wait_ms_max };
    match ask(services.elsewhere.as_ref()?, shard, &request).await {
        Ok(wire::Answer::Pace(wait)) => wait.map(Duration::from_micros),
        Ok(_) | Err(_) => None,
    }
}

fn pace_here(shard: &Arc<Shard>, paces: &[Pace], wait_max: Duration) -> Option<Duration> {
    let now = Instant::now();
    let from = match shard.services.elsewhere {
        // Whoever had the company before may have given out places up to then.
        Some(_) => now.max(shard.opened + crate::dispatch::PACE_WAIT_MAX),
        None => now,
    };
    let at = shard.services.pacer.reserve(paces, shard.clock.speed(), from, now + wait_max)?;
    Some(at - now)
}

/// Answers what another node has asked.
pub(crate) async fn answer(services: &Arc<Services>, request: &[u8]) -> Vec<u8> {
    let told = match codec::decode::<Request>(request) {
        Ok(request) => answer_request(services, request).await,
        Err(error) => {
            tracing::error!(%error, "another node asks something that cannot be read");
            Err(SendError::Unavailable("the request cannot be read"))
        }
    };
    codec::encode(&told)
}

async fn answer_request(services: &Arc<Services>, request: Request) -> Told {
    let here = |e: Entity| services.here(services.shard_of(e)).ok_or(SendError::Moved);
    match request {
        Request::Do { to, command, key: None, origin } if origin.is_some() => {
            post_here(&here(to)?, to, command, origin).await.map(|()| wire::Answer::Taken)
        }
        Request::Do { to, command, key, .. } => {
            let shard = here(to)?;
            match command {
                Command::Call(c) => done(send_here::<Call>(&shard, to, c, key).await),
                Command::Campaign(c) => done(send_here::<Campaign>(&shard, to, c, key).await),
                Command::Customer(c) => done(send_here::<Customer>(&shard, to, c, key).await),
                Command::Company(c) => done(send_here::<Company>(&shard, to, c, key).await),
            }
        }
        Request::Read { of } => {
            let shard = here(of)?;
            match of.kind {
                Kind::Call => state(read_here::<Call>(&shard, of).await),
                Kind::Campaign => state(read_here::<Campaign>(&shard, of).await),
                Kind::Customer => state(read_here::<Customer>(&shard, of).await),
                Kind::Company => state(read_here::<Company>(&shard, of).await),
            }
        }
        Request::Pace { company, paces, wait_ms_max } => {
            let shard = here(Entity::company(company))?;
            let wait = pace_here(&shard, &paces, Duration::from_millis(u64::from(wait_ms_max)));
            Ok(wire::Answer::Pace(wait.map(|wait| u64::try_from(wait.as_micros()).unwrap_or(u64::MAX))))
        }
    }
}

fn done<R: serde::Serialize>(result: Result<Answer<R>, SendError>) -> Told {
    result.map(|Answer { reply, replayed, events }| wire::Answer::Done {
        reply: codec::encode(&reply),
        replayed,
        events,
    })
}

fn state<S: serde::Serialize>(result: Result<Option<View<S>>, SendError>) -> Told {
    result.map(|view| wire::Answer::State(view.map(|View { state, events }| (codec::encode(&state), events))))
}
