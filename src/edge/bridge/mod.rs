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
mod opening;
mod playback;
mod recent;
mod tools;
mod transcript;

use super::live::{Here, Told};
use super::media::{CarrierSocket, Gone, Heard};
use super::server::Edge;
use super::tell::tell_call;
use crate::configured::meant;
use agent::{AgentLink, Happening};
use playback::Playback;
use recent::Recent;
use std::sync::Arc;
use tandem_actors::vault::{PersonKey, VaultError};
use tandem_domain::agent::{AgentEnd, Opening, Speaker};
use tandem_domain::call::{Command, Conversation, MediaEnd};
use tandem_domain::id::Attempt;
use tandem_providers::agent::{AgentEvent, VoiceAgent};
use tandem_providers::twilio::media::Frame;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};
use tools::Tools;
use transcript::Transcript;

/// Messages of the carrier that may be unreadable before the socket is given up.
const UNREADABLE_MAX: u32 = 64;

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

/// Holds a conversation to its end, and tells the call. What was said is stored before; the place is free after.
pub(super) async fn hold<S>(held: Held<'_>, socket: &mut CarrierSocket<S>, here: Here)
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
    // The call knows; whoever waits for that need not wait for the agent to agree.
    drop(here);
    if let Some(agent) = agent {
        agent.release().await;
    }
}

/// What a conversation needs before it can begin.
struct Ready {
    key: PersonKey,
    opening: Opening,
    provider: Arc<dyn VoiceAgent>,
    recent: Recent,
}

async fn prepare(held: &Held<'_>) -> Result<Ready, MediaEnd> {
    let (edge, attempt, conversation) = (held.edge, held.attempt, &held.conversation);
    let refused = |kind: &str| {
        let kind = kind.to_owned();
        MediaEnd::Agent(AgentEnd::Refused { code: 0, kind })
    };
    let Some(provider) = meant(&edge.agents, &conversation.agent.provider) else {
        tracing::error!(%attempt, agent = conversation.agent.provider, "no voice agent of this name is configured");
        return Err(refused("unknown_provider"));
    };
    let unopened = |error: VaultError| {
        tracing::error!(%attempt, %error, "what is known of the person cannot be opened");
        match error {
            VaultError::Store(_) => MediaEnd::Node,
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
    let recent = match conversation.turns {
        0 => Recent::default(),
        turns => recent::read(&**edge.handle.store(), attempt, &key, turns).await,
    };
    let opening = opening::of(conversation, person);
    Ok(Ready { key, opening, provider: std::sync::Arc::clone(provider), recent })
}

struct Bridge<'a, S> {
    edge: &'a Edge,
    attempt: Attempt,
    stream_sid: &'a str,
    socket: &'a mut CarrierSocket<S>,
    here: &'a Here,
    agent: AgentLink,
    transcript: Transcript,
    recent: Recent,
    playback: Playback,
    tools: Tools,
    unreadable: u32,
    /// The agent has ended it; what it said last is still being played.
    leaving: Option<Leaving>,
}

struct Leaving {
    end: AgentEnd,
    until: Instant,
}

impl<'a, S> Bridge<'a, S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    fn new(held: &'a Held<'_>, ready: Ready, socket: &'a mut CarrierSocket<S>, here: &'a Here) -> Self {
        let (edge, attempt) = (held.edge, held.attempt);
        let Conversation { generation, customer, .. } = held.conversation;
        let limits = &edge.limits;
        Bridge {
            edge,
            attempt,
            stream_sid: &held.stream_sid,
            socket,
            here,
            agent: AgentLink::new(ready.provider, ready.opening, limits.agent_tries, limits.agent_patience),
            transcript: Transcript::new(edge.handle.clone(), attempt, generation, ready.key),
            recent: ready.recent,
            playback: Playback::new(Instant::now()),
            tools: Tools::new(&edge.tools, &edge.handle, attempt, customer),
            unreadable: 0,
            leaving: None,
        }
    }

    async fn run(&mut self) -> Over {
        let here = self.here;
        let release = self.edge.release.clone();
        let mut told = std::pin::pin!(here.told());
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
                () = self.transcript.next() => None,
                Some((id, answer)) = self.tools.next(), if !self.tools.is_empty() => {
                    self.agent.answer(&id, &answer);
                    None
                }
                () = &mut timer, if due.is_some() => self.tick(),
                told = &mut told => Some(match told {
                    Told::Superseded => Over::Superseded,
                    Told::CallOver => Over::Media(MediaEnd::Carrier),
                }),
                () = &mut released => Some(Over::Media(MediaEnd::Node)),
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
        [self.playback.due(), leaving].into_iter().flatten().min()
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
        None
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
        self.here.heard();
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
                if let Some(context) = self.recent.context() {
                    self.agent.tell(&context);
                }
            }
            // The link turns it into `Happening::Over`.
            AgentEvent::Ended(_) => {}
        }
        None
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
