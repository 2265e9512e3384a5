//! One conversation: the carrier's media socket on one side, the voice agent on the other.
//!
//! What is bounded, and what is given up when it is full:
//!
//! - the caller's voice on its way to the agent: a little more than a second, the oldest is forgotten;
//! - the agent's voice on its way to the carrier: see `media::outgoing`; and what the carrier has not played yet: two
//!   minutes, the newest is forgotten;
//! - what was said on its way into the store: see [`transcript`], the newest is forgotten and counted;
//! - tools at work: eight, more are refused;
//! - messages of the carrier that cannot be read: 64, then the socket is given up.

mod agent;
mod filler;
mod mute;
mod opening;
mod playback;
mod recent;
mod standing;
mod tools;
mod transcript;

use super::live::{Here, Told};
use super::media::{CarrierSocket, Gone, Heard};
use super::server::Edge;
use super::tell::tell_call;
use crate::configured::meant;
pub(super) use agent::AgentLink;
use agent::Happening;
use futures_util::future::BoxFuture;
use mute::Mute;
use opening::Openings;
use playback::Playback;
use recent::Recent;
use std::sync::Arc;
use std::time::Duration;
use tandem_actors::vault::{PersonKey, VaultError};
use tandem_domain::agent::{AgentEnd, Speaker};
use tandem_domain::call::{Command, Conversation, MediaEnd};
use tandem_domain::id::Attempt;
use tandem_providers::agent::{AgentEvent, VoiceAgent};
use tandem_providers::twilio::media::Frame;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};
use tools::Tools;
use transcript::{Standing, Transcript};

/// Messages of the carrier that may be unreadable before the socket is given up.
const UNREADABLE_MAX: u32 = 64;

/// How long a conversation that is handed to another node is waited for until nothing is being said.
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What a conversation is about.
pub(super) struct Held<'a> {
    pub edge: &'a Edge,
    pub attempt: Attempt,
    pub stream_sid: String,
    pub conversation: Conversation,
}

/// Why it ends.
#[derive(Debug)]
enum Over {
    Media(MediaEnd),
    /// Another socket carries the call on: it is none of our business any more.
    Superseded,
}

/// Holds a conversation to its end, and tells the call. What was said is stored before; the place is free after. The
/// agent is left, to be released.
pub(super) async fn hold<S>(held: Held<'_>, socket: &mut CarrierSocket<S>, here: Here) -> Option<AgentLink>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let began = Instant::now();
    let (edge, attempt, generation) = (held.edge, held.attempt, held.conversation.generation);
    let (over, agent) = match prepare(&held).await {
        Ok(ready) => {
            let mut bridge = Bridge::new(&held, ready, socket, &here);
            let over = bridge.run().await;
            bridge.farewell().await;
            (over, Some(bridge.agent))
        }
        Err(end) => (Over::Media(end), None),
    };
    let name = match &over {
        Over::Superseded => "superseded",
        Over::Media(MediaEnd::Carrier) => "carrier",
        Over::Media(MediaEnd::Agent(_)) => "agent",
        Over::Media(MediaEnd::Node) => "node",
    };
    tracing::info!(%attempt, generation, ?over, seconds = began.elapsed().as_secs(), "a conversation is over");
    metrics::counter!("tandem_conversations_total", "end" => name).increment(1);
    metrics::histogram!("tandem_conversation_seconds").record(began.elapsed().as_secs_f64());
    if let Over::Media(end) = over {
        let command = Command::MediaClosed { attempt: attempt.number, generation, end };
        // Where it cannot be told, the call notices by itself that nothing is heard any more.
        let _ = tell_call(&edge.handle, attempt, command, edge.limits.farewell_patience).await;
    }
    agent
}

/// Ends the agent's side in good order, if there is one.
pub(super) async fn release(agent: Option<AgentLink>) {
    if let Some(agent) = agent {
        agent.release().await;
    }
}

/// What a conversation needs before it can begin.
struct Ready {
    key: PersonKey,
    openings: Openings,
    provider: Arc<dyn VoiceAgent>,
}

async fn prepare(held: &Held<'_>) -> Result<Ready, MediaEnd> {
    let (edge, attempt, conversation) = (held.edge, held.attempt, &held.conversation);
    let refused = |kind: &str| {
        let kind = kind.to_owned();
        MediaEnd::Agent(AgentEnd::Refused { code: 0, kind })
    };
    let Some(agent) = meant(&edge.agents, &conversation.agent.provider) else {
        tracing::error!(%attempt, agent = conversation.agent.provider, "no voice agent of this name is configured");
        return Err(refused("unknown_provider"));
    };
    let unopened = |error: VaultError| {
        tracing::error!(%attempt, %error, "what is known of the person cannot be opened");
        match error {
            VaultError::Store(_) | VaultError::Unavailable(_) => MediaEnd::Node,
            VaultError::NoCompany | VaultError::Unopenable | VaultError::Key(_) => refused("person"),
        }
    };
    let key = edge.handle.vault().person(attempt.company, conversation.customer).await.map_err(unopened)?;
    if key.new_key.is_some() {
        // Erased while the call was made: what is said could not be sealed for anybody.
        return Err(unopened(VaultError::Unopenable));
    }
    let person = conversation.person.as_ref().map(|sealed| key.open_value(sealed));
    let person = person.transpose().map_err(unopened)?;
    let openings = Openings::new(conversation, person, agent.resume_message.as_deref());
    Ok(Ready { key, openings, provider: Arc::clone(&agent.provider) })
}

struct Bridge<'a, S> {
    edge: &'a Edge,
    attempt: Attempt,
    generation: u32,
    stream_sid: &'a str,
    socket: &'a mut CarrierSocket<S>,
    here: &'a Here,
    agent: AgentLink,
    transcript: Transcript,
    recent: Recent,
    /// What was said on earlier connections, on its way from the store while the agent is being opened.
    earlier: Option<BoxFuture<'static, Recent>>,
    /// The agent listens, and waits to be told of it.
    untold: bool,
    mute: Option<Mute>,
    playback: Playback,
    tools: Tools,
    unreadable: u32,
    /// The agent has ended it; what it said last is still being played.
    leaving: Option<Leaving>,
    /// Another node is to go on with it, from the next pause on or from this time.
    moving: Option<Instant>,
}

struct Leaving {
    end: AgentEnd,
    until: Instant,
}

impl From<Told> for Over {
    fn from(told: Told) -> Self {
        match told {
            Told::Superseded => Over::Superseded,
            Told::CallOver => Over::Media(MediaEnd::Carrier),
        }
    }
}

/// What was read, once; waits for ever where nothing is.
async fn read(reading: &mut Option<BoxFuture<'static, Recent>>) -> Recent {
    let Some(future) = reading else { return std::future::pending().await };
    let read = future.await;
    *reading = None;
    read
}

impl<'a, S> Bridge<'a, S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    fn new(held: &'a Held<'_>, ready: Ready, socket: &'a mut CarrierSocket<S>, here: &'a Here) -> Self {
        let (edge, attempt) = (held.edge, held.attempt);
        let Conversation { generation, customer, .. } = held.conversation;
        let limits = &edge.limits;
        let earlier = ready.openings.is_middle().then(|| {
            let reading = recent::read(edge.handle.clone(), attempt, ready.key.clone());
            Box::pin(reading) as BoxFuture<'static, Recent>
        });
        Bridge {
            edge,
            attempt,
            stream_sid: &held.stream_sid,
            socket,
            here,
            agent: AgentLink::new(ready.provider, ready.openings, limits.agent_tries, limits.agent_patience),
            generation,
            transcript: Transcript::new(edge.handle.clone(), attempt, generation, ready.key),
            recent: Recent::default(),
            earlier,
            untold: false,
            mute: None,
            playback: Playback::new(Instant::now()),
            tools: Tools::new(&edge.tools, &edge.handle, attempt, customer),
            unreadable: 0,
            leaving: None,
            moving: None,
        }
    }

    async fn run(&mut self) -> Over {
        let here = self.here;
        let release = self.edge.release.clone();
        let mut told = std::pin::pin!(here.told());
        let lost = standing::lost(self.edge.handle.clone(), self.attempt, self.generation);
        let mut lost = std::pin::pin!(lost);
        let mut released = std::pin::pin!(release.cancelled());
        let mut timer = std::pin::pin!(sleep_until(Instant::now()));
        loop {
            let due = self.due();
            if let Some(due) = due
                && (timer.is_elapsed() || timer.deadline() > due)
            {
                timer.as_mut().reset(due);
            }
            let over = tokio::select! {
                heard = self.socket.next() => self.carrier(heard),
                happening = self.agent.next() => self.agent(happening),
                standing = self.transcript.next() => match standing {
                    Standing::Holds => None,
                    Standing::Stale => Some(Over::Superseded),
                },
                earlier = read(&mut self.earlier) => {
                    self.recent = std::mem::take(&mut self.recent).after(earlier);
                    self.tell();
                    None
                }
                Some((id, answer)) = self.tools.next(), if !self.tools.is_empty() => {
                    self.agent.answer(&id, &answer);
                    None
                }
                () = &mut timer, if due.is_some() => self.tick(),
                told = &mut told => Some(told.into()),
                told = &mut lost => Some(told.into()),
                () = &mut released, if self.moving.is_none() => self.move_on(),
            };
            if let Some(over) = over {
                return self.ended(over);
            }
        }
    }

    /// How it ended counts from where it began: an agent that had ended stays the one who did.
    fn ended(&mut self, over: Over) -> Over {
        match (self.leaving.take(), over) {
            (_, Over::Superseded) => Over::Superseded,
            (Some(leaving), Over::Media(_)) => Over::Media(MediaEnd::Agent(leaving.end)),
            (None, over) => over,
        }
    }

    /// Stores what is not stored yet.
    async fn farewell(&mut self) {
        self.transcript.finish(self.edge.limits.farewell_patience).await;
        let (caller, agent) = (self.agent.dropped(), self.socket.dropped() + self.playback.dropped());
        for (who, dropped) in [("caller", caller), ("agent", agent)] {
            if dropped > 0 {
                tracing::warn!(attempt = %self.attempt, who, dropped, "audio was forgotten");
                metrics::counter!("tandem_audio_dropped_total", "speaker" => who).increment(dropped);
            }
        }
    }

    fn due(&self) -> Option<Instant> {
        let leaving = self.leaving.as_ref().map(|leaving| leaving.until);
        [self.playback.due(), leaving, self.moving].into_iter().flatten().min()
    }

    /// This node lets go. Where another can go on with the conversation, it is not taken from between two words.
    fn move_on(&mut self) -> Option<Over> {
        let alone = (self.edge.alone)();
        if alone || self.is_pause() {
            return Some(Over::Media(MediaEnd::Node));
        }
        self.moving = Some(Instant::now() + PAUSE_MAX);
        None
    }

    /// The agent says nothing at the moment.
    fn is_pause(&self) -> bool {
        self.leaving.is_none() && self.playback.is_played()
    }

    fn tick(&mut self) -> Option<Over> {
        let now = Instant::now();
        if let Some(leaving) = self.leaving.as_ref().filter(|leaving| leaving.until <= now) {
            return Some(Over::Media(MediaEnd::Agent(leaving.end.clone())));
        }
        if self.playback.is_quiet(now) {
            self.mark();
        }
        if self.playback.is_over(now) {
            self.transcript.settle();
        }
        let moves = self.moving.is_some_and(|until| until <= now || self.is_pause());
        moves.then_some(Over::Media(MediaEnd::Node))
    }

    /// Asks the carrier to say when all audio so far has been played.
    fn mark(&mut self) {
        if let Some(name) = self.playback.mark()
            && !self.socket.mark(self.stream_sid, &name)
        {
            tracing::debug!(attempt = %self.attempt, "too many marks wait");
        }
    }

    fn carrier(&mut self, heard: Result<Heard, Gone>) -> Option<Over> {
        let heard = match heard {
            Ok(heard) => heard,
            Err(Gone::Closed) => return Some(Over::Media(MediaEnd::Carrier)),
            // Not a word of the carrier's: the call may well go on, with another socket.
            Err(gone) => {
                tracing::warn!(attempt = %self.attempt, %gone, "a media socket is lost");
                return Some(Over::Media(MediaEnd::Node));
            }
        };
        let frame = match &heard {
            Heard::Text(text) => Frame::parse(text),
            Heard::Binary => return self.unreadable(),
        };
        match frame {
            Ok(Some(Frame::Media(media))) => {
                self.agent.hear(&media.payload);
                None
            }
            Ok(Some(Frame::Mark { name })) => {
                if self.playback.played(&name) {
                    self.transcript.settle();
                }
                if self.moving.is_some() && self.is_pause() {
                    return Some(Over::Media(MediaEnd::Node));
                }
                let leaving = self.leaving.as_ref().filter(|_| self.playback.is_played())?;
                Some(Over::Media(MediaEnd::Agent(leaving.end.clone())))
            }
            Ok(Some(Frame::Dtmf { .. })) => {
                // Which key is the caller's secret: it may be part of a number of theirs.
                tracing::debug!(attempt = %self.attempt, "a key was pressed");
                metrics::counter!("tandem_keys_pressed_total").increment(1);
                None
            }
            Ok(Some(Frame::Stop)) => Some(Over::Media(MediaEnd::Carrier)),
            Ok(Some(Frame::Connected | Frame::Start(_))) | Err(_) => self.unreadable(),
            Ok(None) => None,
        }
    }

    fn unreadable(&mut self) -> Option<Over> {
        self.unreadable += 1;
        if self.unreadable <= UNREADABLE_MAX {
            return None;
        }
        tracing::warn!(attempt = %self.attempt, "a media socket sends too much that is no protocol");
        Some(Over::Media(MediaEnd::Node))
    }

    fn agent(&mut self, happening: Happening) -> Option<Over> {
        match happening {
            Happening::Event(event) => self.event(event),
            Happening::Lost => {
                self.transcript.settle();
                (self.untold, self.mute) = (false, None);
                if !self.recent.is_empty() {
                    self.agent.resume();
                }
                None
            }
            Happening::Over(end) => self.leave(end),
        }
    }

    fn event(&mut self, event: AgentEvent) -> Option<Over> {
        let now = Instant::now();
        if self.mute.as_mut().is_some_and(|mute| mute.swallows(&event)) {
            return None;
        }
        match event {
            AgentEvent::Audio { payload, .. } => {
                if self.playback.room(now, payload.len()) {
                    self.socket.play(self.stream_sid, &payload);
                }
            }
            AgentEvent::Interrupted { .. } => {
                self.socket.clear(self.stream_sid);
                self.playback.cleared(now);
                metrics::counter!("tandem_interruptions_total").increment(1);
            }
            AgentEvent::UserTranscript { text, .. } => {
                self.mark();
                self.recent.said(Speaker::Caller, &text);
                self.transcript.caller(text);
            }
            AgentEvent::AgentResponse { text, .. } => {
                self.mark();
                self.recent.said(Speaker::Agent, &text);
                self.transcript.agent(text);
            }
            AgentEvent::AgentCorrection { original, corrected, .. } => {
                self.recent.corrected(&original, &corrected);
                self.transcript.corrected(&original, corrected);
            }
            AgentEvent::ToolCall(call) => {
                if let Err(answer) = self.tools.begin(&call) {
                    self.agent.answer(&call.id, &answer);
                }
            }
            AgentEvent::Ready { conversation_id, input_format, output_format } => {
                tracing::info!(attempt = %self.attempt, conversation_id, "the agent listens");
                if !input_format.is_carrier_format() || !output_format.is_carrier_format() {
                    tracing::error!(
                        attempt = %self.attempt, input = %input_format, output = %output_format,
                        "the agent must be set to ulaw_8000 in both directions: its audio is passed on as it is",
                    );
                    let kind = "audio_format".to_owned();
                    return self.leave(AgentEnd::Refused { code: 0, kind });
                }
                self.mute = self.agent.is_greeting_muted().then(Mute::default);
                self.untold = self.agent.is_middle();
                self.tell();
            }
            // The link turns it into `Happening::Over`.
            AgentEvent::Ended(_) => {}
        }
        None
    }

    /// Tells an agent that comes in the middle what was said before, as soon as both are there.
    fn tell(&mut self) {
        if self.earlier.is_none() && std::mem::take(&mut self.untold) {
            self.agent.tell(&self.recent.context());
        }
    }

    /// The agent has ended it. What it said last is played to its end, for a while.
    fn leave(&mut self, end: AgentEnd) -> Option<Over> {
        let now = Instant::now();
        self.mark();
        if self.playback.is_played() {
            return Some(Over::Media(MediaEnd::Agent(end)));
        }
        let until = self.playback.over_at().min(now + self.edge.limits.last_word_max);
        self.leaving = Some(Leaving { end, until });
        None
    }
}
