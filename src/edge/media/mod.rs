//! Media sockets: how they begin, whose they are, and that each ends with a word to its call.

mod outgoing;
mod socket;

pub(crate) use socket::{CarrierSocket, Gone, Heard};

use super::accounts::Signers;
use super::bridge::{self, AgentLink, Held};
use super::callback::owned;
use super::live::Here;
use super::request::{Answer, Fault, signature};
use super::server::Edge;
use super::tell::{Untold, named_key, tell};
use bytes::Bytes;
use http::header::{CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderName, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use tandem_domain::call::{Call, Command, Conversation, MediaGrant, Reply};
use tandem_domain::id::{Attempt, Entity};
use tandem_providers::twilio::media::{Format, Frame, FrameError, Start};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// Messages within which a socket must have said what it is.
const PREAMBLE_MAX: usize = 8;

type Socket = CarrierSocket<TokioIo<Upgraded>>;

/// Why a socket carries no conversation.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error("it did not say in time which call it carries")]
    Slow,
    #[error("{0}")]
    Gone(#[from] Gone),
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("it does not begin as a media stream")]
    Preamble,
    #[error("its token is not that of its call")]
    Token,
    #[error("its audio is {0}, not mu-law at 8 kHz")]
    Audio(String),
    #[error("the call is another account's, or unknown")]
    NotTheirs,
    #[error("the attempt has this or a newer connection")]
    Second,
    #[error("the call does not want it")]
    Unwanted,
    #[error("the call could not be told")]
    Unavailable,
}

impl Unfit {
    /// For metrics.
    fn name(&self) -> &'static str {
        match self {
            Unfit::Slow => "slow",
            Unfit::Gone(_) => "gone",
            Unfit::Frame(_) | Unfit::Preamble => "unreadable",
            Unfit::Token => "token",
            Unfit::Audio(_) => "audio",
            Unfit::NotTheirs => "not_theirs",
            Unfit::Second => "second",
            Unfit::Unwanted => "unwanted",
            Unfit::Unavailable => "unavailable",
        }
    }
}

impl From<Untold> for Unfit {
    fn from(untold: Untold) -> Self {
        match untold {
            Untold::Unknown | Untold::Refused(_) => Unfit::Unwanted,
            Untold::Unavailable => Unfit::Unavailable,
        }
    }
}

/// Answers the upgrade to a media socket, which then lives in a task of its own.
pub(super) fn upgrade(edge: &Arc<Edge>, mut request: Request<Incoming>) -> Result<Answer, Fault> {
    if request.method() != Method::GET {
        return Err(Fault::Method("GET"));
    }
    let accept = handshake(request.headers()).ok_or(Fault::NoUpgrade)?;
    let signature = signature(request.headers())?.map(str::to_owned);
    if signature.is_none() && edge.signed_upgrades {
        return Err(Fault::Unsigned);
    }
    signers(edge, signature.as_deref()).ok_or(Fault::Forged)?;
    if edge.release.is_cancelled() {
        return Err(Fault::Unavailable);
    }
    let room = Arc::clone(&edge.sockets).try_acquire_owned().map_err(|_| {
        tracing::warn!(conversations = edge.live.count(), "there is no room for another media socket");
        Fault::Unavailable
    })?;
    let upgraded = hyper::upgrade::on(&mut request);
    edge.tasks.spawn(carry(Arc::clone(edge), upgraded, signature, room));

    let mut answer = Response::new(Full::<Bytes>::default());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    Ok(answer)
}

fn signers<'a>(edge: &'a Edge, signature: Option<&str>) -> Option<Signers<'a>> {
    match signature {
        Some(signature) => edge.accounts.upgrade(edge.urls.media(), signature),
        None => Some(edge.accounts.all()),
    }
}

/// What is answered to the opening handshake of a WebSocket (RFC 6455, section 4.2); `None` where it is none.
fn handshake(headers: &HeaderMap) -> Option<HeaderValue> {
    let has = |name: &HeaderName, word: &str| {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(word))
    };
    let sound = has(&CONNECTION, "upgrade")
        && has(&UPGRADE, "websocket")
        && has(&http::header::SEC_WEBSOCKET_VERSION, "13");
    let key = headers.get(SEC_WEBSOCKET_KEY).filter(|key| sound && !key.is_empty())?;
    HeaderValue::try_from(derive_accept_key(key.as_bytes())).ok()
}

/// The whole life of a media socket. Its place is free once this returns.
async fn carry(edge: Arc<Edge>, upgraded: OnUpgrade, signature: Option<String>, _room: OwnedSemaphorePermit) {
    let upgraded = match timeout(edge.limits.start_timeout, upgraded).await {
        Ok(Ok(upgraded)) => TokioIo::new(upgraded),
        Ok(Err(error)) => return tracing::debug!(%error, "a media socket was not opened"),
        Err(_) => return tracing::debug!("a media socket was not opened in time"),
    };
    let Some(signers) = signers(&edge, signature.as_deref()) else { return };
    let wire = WebSocketStream::from_raw_socket(upgraded, Role::Server, Some(socket::config())).await;
    let mut socket = Socket::new(wire, edge.limits.silence_max, edge.limits.stall_max);
    match converse(&edge, &signers, &mut socket).await {
        // Once the socket is closed the carrier goes on: neither waits for the agent to agree.
        Ok(agent) => drop(tokio::join!(socket.close(CloseCode::Normal), bridge::release(agent))),
        Err(unfit) => {
            tracing::info!(why = %unfit, "a media socket carries no conversation");
            metrics::counter!("tandem_media_refused_total", "reason" => unfit.name()).increment(1);
            socket.close(CloseCode::Policy).await;
        }
    }
}

/// Carries the conversation of the call whose socket it is, if its call wants that.
async fn converse(
    edge: &Edge,
    signers: &Signers<'_>,
    socket: &mut Socket,
) -> Result<Option<AgentLink>, Unfit> {
    let (whose, here) = tokio::select! {
        admitted = admit(edge, signers, socket) => admitted?,
        () = edge.release.cancelled() => return Err(Unfit::Unavailable),
    };
    let conversation = open(edge, &whose).await?;
    let Whose { attempt, start, .. } = whose;
    let held = Held { edge, attempt, stream_sid: start.stream_sid, conversation: *conversation };
    Ok(bridge::hold(held, socket, here).await)
}

/// What a socket says of itself, checked.
struct Whose {
    attempt: Attempt,
    generation: u32,
    start: Start,
}

/// Finds out whose socket it is, and gives it its place.
async fn admit(edge: &Edge, signers: &Signers<'_>, socket: &mut Socket) -> Result<(Whose, Here), Unfit> {
    let whose = timeout(edge.limits.start_timeout, introduction(signers, socket))
        .await
        .map_err(|_| Unfit::Slow)??;
    owned(edge, whose.attempt, signers).await.map_err(|fault| match fault {
        Fault::Unavailable => Unfit::Unavailable,
        _ => Unfit::NotTheirs,
    })?;
    let here = edge.live.admit(whose.attempt, whose.generation, &whose.start.call_sid).await;
    Ok((whose, here.ok_or(Unfit::Second)?))
}

/// Waits for the stream's first two messages and checks that it belongs to a call of ours.
async fn introduction(signers: &Signers<'_>, socket: &mut Socket) -> Result<Whose, Unfit> {
    let mut connected = false;
    for _ in 0..PREAMBLE_MAX {
        let Heard::Text(text) = socket.next().await? else { return Err(Unfit::Preamble) };
        match Frame::parse(&text)? {
            Some(Frame::Connected) if !connected => connected = true,
            Some(Frame::Start(start)) if connected => {
                let attempt = start.parameter("attempt").and_then(|text| text.parse().ok());
                let generation = start.parameter("generation").and_then(|text| text.parse().ok());
                let (Some(attempt), Some(generation), Some(token)) =
                    (attempt, generation, start.parameter("token"))
                else {
                    return Err(Unfit::Token);
                };
                if !signers.admits(&start.account_sid, attempt, generation, &start.call_sid, token) {
                    return Err(Unfit::Token);
                }
                if start.format != Format::mulaw_8000() {
                    return Err(Unfit::Audio(format!("{:?}", start.format)));
                }
                return Ok(Whose { attempt, generation, start });
            }
            // What is not known is to be ignored.
            None => {}
            Some(_) => return Err(Unfit::Preamble),
        }
    }
    Err(Unfit::Preamble)
}

/// Presents the socket to its call.
async fn open(edge: &Edge, whose: &Whose) -> Result<Box<Conversation>, Unfit> {
    let Whose { attempt, generation, start } = whose;
    let sid = start.call_sid.clone();
    let command = Command::Attach { attempt: attempt.number, sid, generation: *generation };
    // A generation is granted once. Where the answer is lost with the call's owner, the same socket gets it again.
    let name = format!("attach {attempt} {generation} {}", start.stream_sid);
    let key = Some(named_key(&name));
    let entity = Entity::call(attempt.company, attempt.call);
    match tell::<Call>(&edge.handle, entity, command, key, edge.limits.callback_patience).await? {
        Reply::Media(MediaGrant::Go(conversation)) => Ok(conversation),
        Reply::Media(MediaGrant::Refused) | Reply::Status(_) | Reply::Document(_) => Err(Unfit::Unwanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn only_an_upgrade_is_answered() {
        let version = http::header::SEC_WEBSOCKET_VERSION;
        let good = [
            (CONNECTION, "keep-alive, Upgrade"),
            (UPGRADE, "WebSocket"),
            (version.clone(), "13"),
            (SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        // The example of RFC 6455, section 1.3.
        assert_eq!(handshake(&headers(&good)).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        for missing in 0..good.len() {
            let mut less = good.to_vec();
            less.remove(missing);
            assert_eq!(handshake(&headers(&less)), None, "without {:?}", good[missing].0);
        }
        let mut old = good.to_vec();
        old[2].1 = "8";
        assert_eq!(handshake(&headers(&old)), None);
    }
}
