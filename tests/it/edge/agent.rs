//! A voice agent in memory, whose every word the test gives.

use async_trait::async_trait;
use futures_util::stream;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use tandem_domain::agent::{AgentEnd, Opening};
use tandem_providers::agent::{
    AgentEvent, AudioFormat, Command, Commands, OpenError, Receiver, Session, VoiceAgent, channel,
};
use tokio::sync::{mpsc, watch};

/// The provider.
pub struct Provider {
    /// What the next tries to open meet, before it succeeds.
    pub refusals: Mutex<VecDeque<OpenError>>,
    pub opened: Mutex<u32>,
    /// Agents that were prepared for.
    pub prepared: Mutex<Vec<String>>,
    talks: mpsc::UnboundedSender<Talk>,
    live: Arc<watch::Sender<usize>>,
}

/// The provider's end of a conversation.
pub struct Talk {
    pub opening: Opening,
    say: mpsc::UnboundedSender<AgentEvent>,
    heard: mpsc::UnboundedReceiver<Command>,
}

impl Provider {
    /// The provider, and the conversations that are opened with it.
    pub fn new() -> (Arc<Provider>, mpsc::UnboundedReceiver<Talk>) {
        let (talks, opened) = mpsc::unbounded_channel();
        let provider = Provider {
            refusals: Mutex::default(),
            opened: Mutex::new(0),
            prepared: Mutex::default(),
            talks,
            live: Arc::new(watch::Sender::new(0)),
        };
        (Arc::new(provider), opened)
    }

    /// Returns once no conversation is open.
    pub async fn idle(&self) {
        self.live.subscribe().wait_for(|live| *live == 0).await.expect("the provider lives");
    }
}

struct Conversation {
    say: mpsc::UnboundedReceiver<AgentEvent>,
    heard: mpsc::UnboundedSender<Command>,
    commands: Commands,
    over: bool,
    live: Arc<watch::Sender<usize>>,
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.live.send_modify(|live| *live -= 1);
    }
}

impl Conversation {
    async fn next(mut self) -> Option<(AgentEvent, Conversation)> {
        while !self.over {
            let event = tokio::select! {
                event = self.say.recv() => event.unwrap_or(AgentEvent::Ended(AgentEnd::Dropped { code: 1_006 })),
                command = self.commands.next() => match command {
                    Some(Command::Close) | None => AgentEvent::Ended(AgentEnd::Released),
                    Some(command) => {
                        let _ = self.heard.send(command);
                        continue;
                    }
                },
            };
            self.over = matches!(event, AgentEvent::Ended(_));
            return Some((event, self));
        }
        None
    }
}

#[async_trait]
impl VoiceAgent for Provider {
    async fn open(&self, opening: &Opening) -> Result<Session, OpenError> {
        *self.opened.lock() += 1;
        if let Some(refusal) = self.refusals.lock().pop_front() {
            return Err(refusal);
        }
        let (sender, commands) = channel();
        let (say, said) = mpsc::unbounded_channel();
        let (hear, heard) = mpsc::unbounded_channel();
        self.live.send_modify(|live| *live += 1);
        let conversation =
            Conversation { say: said, heard: hear, commands, over: false, live: Arc::clone(&self.live) };
        self.talks.send(Talk { opening: opening.clone(), say, heard }).expect("the test listens");
        Ok(Session { sender, receiver: Receiver::new(stream::unfold(conversation, Conversation::next)) })
    }

    async fn prepare(&self, agent_id: &str) {
        self.prepared.lock().push(agent_id.to_owned());
    }
}

impl Talk {
    pub fn say(&self, event: AgentEvent) {
        self.say.send(event).expect("the bridge listens");
    }

    pub fn ready(&self) {
        self.ready_as(AudioFormat::ULAW_8000);
    }

    pub fn ready_as(&self, format: AudioFormat) {
        self.say(AgentEvent::Ready {
            conversation_id: "conv_1".into(),
            input_format: format.clone(),
            output_format: format,
        });
    }

    pub fn audio(&self, payload: &str, event_id: u64) {
        self.say(AgentEvent::Audio { payload: payload.into(), event_id: Some(event_id) });
    }

    pub fn response(&self, text: &str) {
        self.say(AgentEvent::AgentResponse { text: text.into(), event_id: None });
    }

    /// What it says as this event: its words, and some of their sound.
    pub fn speaks(&self, text: &str, payload: &str, event_id: u64) {
        self.say(AgentEvent::AgentResponse { text: text.into(), event_id: Some(event_id) });
        self.audio(payload, event_id);
    }

    pub fn transcript(&self, text: &str) {
        self.say(AgentEvent::UserTranscript { text: text.into(), event_id: None });
    }

    pub fn end(&self, end: AgentEnd) {
        self.say(AgentEvent::Ended(end));
    }

    /// What the agent is told next, the caller's voice aside.
    pub async fn told(&mut self) -> Option<Command> {
        loop {
            match self.heard.recv().await {
                Some(Command::Audio(_)) => {}
                other => return other,
            }
        }
    }

    /// The next piece of the caller's voice.
    pub async fn hears(&mut self) -> String {
        loop {
            if let Command::Audio(payload) = self.heard.recv().await.expect("the bridge lives") {
                return payload;
            }
        }
    }
}
