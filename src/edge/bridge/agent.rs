//! The agent's side of a conversation: opened, and opened again where that may help.

use super::opening::Openings;
use futures_util::future::BoxFuture;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tandem_domain::agent::AgentEnd;
use tandem_providers::agent::tool::Answer;
use tandem_providers::agent::{AgentEvent, OpenError, SendError, Session, VoiceAgent};
use tokio::time::{Instant, Sleep, sleep, timeout, timeout_at};

const REST_MIN: Duration = Duration::from_millis(200);
const REST_MAX: Duration = Duration::from_secs(2);
/// How long the agent may take to agree that a conversation is over.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);
/// Close code of a socket that broke without a word (RFC 6455, section 7.4.1).
const ABNORMAL: u16 = 1_006;

/// What comes from the agent.
#[derive(Debug)]
pub(super) enum Happening {
    Event(AgentEvent),
    /// The conversation broke off, or was refused as it was opened, and is opened anew.
    Lost,
    /// It is over for good. Nothing follows.
    Over(AgentEnd),
}

enum State {
    Opening(BoxFuture<'static, Result<Session, OpenError>>),
    Open(Session),
    Resting(Pin<Box<Sleep>>),
    Over,
}

enum Step {
    Opened(Result<Session, OpenError>),
    Event(Option<AgentEvent>),
    Rested,
}

/// The agent's side of one conversation.
pub(in crate::edge) struct AgentLink {
    provider: Arc<dyn VoiceAgent>,
    openings: Openings,
    state: State,
    /// The agent has said that it listens.
    ready: bool,
    since: Instant,
    patience: Duration,
    tries_left: u32,
    rest: Duration,
    dropped: u64,
}

impl AgentLink {
    /// Begins to open a conversation. At most `tries` are opened in all, and each time the agent must listen within
    /// `patience`.
    pub(super) fn new(
        provider: Arc<dyn VoiceAgent>,
        openings: Openings,
        tries: u32,
        patience: Duration,
    ) -> Self {
        let mut link = AgentLink {
            provider,
            openings,
            state: State::Over,
            ready: false,
            since: Instant::now(),
            patience,
            tries_left: tries.max(1),
            rest: REST_MIN,
            dropped: 0,
        };
        link.open();
        link
    }

    fn open(&mut self) {
        self.tries_left = self.tries_left.saturating_sub(1);
        let (provider, opening) = (Arc::clone(&self.provider), self.openings.now());
        self.state = State::Opening(Box::pin(async move { provider.open(&opening).await }));
    }

    /// What happens next; never again after `Over`. Loses nothing when dropped before it is done.
    pub(super) async fn next(&mut self) -> Happening {
        loop {
            let ready = self.ready;
            let late = self.since + self.patience;
            let state = &mut self.state;
            let step = async {
                match state {
                    State::Opening(opening) => Step::Opened(opening.await),
                    State::Open(session) => Step::Event(session.receiver.next().await),
                    State::Resting(rest) => {
                        rest.await;
                        Step::Rested
                    }
                    State::Over => std::future::pending().await,
                }
            };
            let step =
                if ready { step.await } else { timeout_at(late, step).await.unwrap_or(Step::Event(None)) };
            // Nothing is awaited from here to the end, so nothing of it can be lost.
            let happening = match step {
                Step::Opened(Ok(session)) => {
                    self.state = State::Open(session);
                    None
                }
                Step::Opened(Err(error)) => {
                    let (end, rest) = why(&error);
                    tracing::warn!(%error, "the agent could not be reached");
                    self.ended(end, rest)
                }
                Step::Rested => {
                    self.open();
                    None
                }
                Step::Event(Some(AgentEvent::Ended(end))) => self.ended(end, None),
                Step::Event(None) => self.ended(AgentEnd::Dropped { code: ABNORMAL }, None),
                Step::Event(Some(event)) => {
                    if matches!(event, AgentEvent::Ready { .. }) {
                        let waited = self.since.elapsed().as_secs_f64();
                        metrics::histogram!("tandem_agent_ready_seconds").record(waited);
                        (self.ready, self.rest) = (true, REST_MIN);
                    }
                    Some(Happening::Event(event))
                }
            };
            if let Some(happening) = happening {
                return happening;
            }
        }
    }

    /// The conversation, or the try to open one, has ended. Another is opened if that may help and there is time.
    fn ended(&mut self, end: AgentEnd, asked: Option<Duration>) -> Option<Happening> {
        self.dropped += self.dropped_here();
        let was_ready = std::mem::take(&mut self.ready);
        if was_ready {
            self.since = Instant::now();
        }
        if self.tries_left > 0 && self.openings.refused(&end) {
            tracing::warn!("the agent permits no other first message: its greeting will not be passed on");
            self.open();
            return was_ready.then_some(Happening::Lost);
        }
        let rest = asked.unwrap_or(self.rest).max(self.rest);
        let late = Instant::now() + rest >= self.since + self.patience;
        let helps = matches!(end, AgentEnd::Dropped { .. }) && self.tries_left > 0 && !late;
        if !helps {
            // Dropped, the session is closed.
            self.state = State::Over;
            // `next` waits for ever from now on, without a limit.
            self.ready = true;
            return Some(Happening::Over(end));
        }
        tracing::warn!(?end, "the agent's conversation broke off and is opened anew");
        metrics::counter!("tandem_agent_reopened_total").increment(1);
        self.state = State::Resting(Box::pin(sleep(rest)));
        self.rest = (self.rest * 2).min(REST_MAX);
        was_ready.then_some(Happening::Lost)
    }

    /// Should it be opened again, then in the middle of a conversation.
    pub(super) fn resume(&mut self) {
        self.openings.resume();
    }

    /// The conversation that is open was taken up in its middle.
    pub(super) fn is_middle(&self) -> bool {
        self.openings.is_middle()
    }

    /// The agent greets, and the person has been greeted before.
    pub(super) fn is_greeting_muted(&self) -> bool {
        self.openings.is_greeting_muted()
    }

    /// Passes the caller's voice on. Before the agent listens its last second is kept, once there is a socket; what was
    /// said before that nobody hears.
    pub(super) fn hear(&mut self, payload: &str) {
        let State::Open(session) = &self.state else { return };
        match session.sender.audio(payload) {
            // A conversation that is over says so itself.
            Ok(()) | Err(SendError::Closed | SendError::Full) => {}
            Err(SendError::NotBase64 | SendError::TooLarge) => self.dropped += 1,
        }
    }

    /// Answers a tool call.
    pub(super) fn answer(&self, id: &str, answer: &Answer) {
        if let State::Open(session) = &self.state
            && let Err(error) = session.sender.tool_result(id, &answer.result, answer.is_error)
        {
            tracing::warn!(%error, "a tool's answer did not reach the agent");
        }
    }

    /// Tells the agent something to know.
    pub(super) fn tell(&self, text: &str) {
        if let State::Open(session) = &self.state
            && let Err(error) = session.sender.context_update(text, None)
        {
            tracing::warn!(%error, "the agent was not told what it should know");
        }
    }

    fn dropped_here(&self) -> u64 {
        match &self.state {
            State::Open(session) => session.sender.audio_dropped(),
            _ => 0,
        }
    }

    /// Pieces of the caller's voice that the agent has not heard.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped + self.dropped_here()
    }

    /// Ends the conversation in good order, if one is open.
    pub(super) async fn release(self) {
        let State::Open(Session { sender, mut receiver }) = self.state else { return };
        sender.close();
        let closing = async { while receiver.next().await.is_some() {} };
        if timeout(RELEASE_TIMEOUT, closing).await.is_err() {
            tracing::debug!("the agent did not agree that the conversation is over");
        }
    }
}

/// What an agent that could not be opened amounts to, and how long it asks us to wait.
fn why(error: &OpenError) -> (AgentEnd, Option<Duration>) {
    let refused = |code, kind: &str| AgentEnd::Refused { code, kind: kind.to_owned() };
    match error {
        OpenError::Unreachable(_) | OpenError::Timeout | OpenError::Malformed(_) => {
            (AgentEnd::Dropped { code: ABNORMAL }, None)
        }
        OpenError::RateLimited { retry_after_ms } => {
            let rest = retry_after_ms.map(|ms| Duration::from_millis(ms.into()));
            (AgentEnd::Dropped { code: 429 }, rest)
        }
        OpenError::Server { status } => (AgentEnd::Dropped { code: *status }, None),
        OpenError::Credentials { status } => (refused(*status, "credentials"), None),
        OpenError::UnknownAgent => (refused(404, "unknown_agent"), None),
        OpenError::Refused { status } => (refused(*status, "refused"), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use parking_lot::Mutex;
    use std::collections::VecDeque;
    use tandem_domain::agent::Opening;
    use tandem_domain::call::{AgentSpec, Conversation};
    use tandem_domain::id::CustomerId;
    use tandem_providers::agent::{AudioFormat, Receiver, channel};

    /// What one try to open comes to: a refusal, or the events of a conversation that then stays silent.
    type Try = Result<Vec<AgentEvent>, OpenError>;

    #[derive(Default)]
    struct Scripted {
        tries: Mutex<VecDeque<Try>>,
        first_messages: Mutex<Vec<Option<String>>>,
    }

    #[async_trait]
    impl VoiceAgent for Scripted {
        async fn open(&self, opening: &Opening) -> Result<Session, OpenError> {
            use futures_util::StreamExt as _;
            self.first_messages.lock().push(opening.first_message.clone());
            let next = self.tries.lock().pop_front();
            let events = next.unwrap_or(Err(OpenError::Server { status: 500 }))?;
            let (sender, commands) = channel();
            let silence = futures_util::stream::once(async move {
                let _commands = commands;
                std::future::pending::<AgentEvent>().await
            });
            let events = futures_util::stream::iter(events).chain(silence);
            Ok(Session { sender, receiver: Receiver::new(events) })
        }
    }

    const PATIENCE: Duration = Duration::from_secs(12);

    fn link(tries: Vec<Try>) -> (AgentLink, Arc<Scripted>) {
        link_of(1, Some("Hello"), tries)
    }

    /// A link of a connection of this generation, in a call in which something was said.
    fn link_of(generation: u32, first: Option<&str>, tries: Vec<Try>) -> (AgentLink, Arc<Scripted>) {
        let scripted = Arc::new(Scripted { tries: Mutex::new(tries.into()), ..Scripted::default() });
        let agent = AgentSpec { first_message: first.map(str::to_owned), ..AgentSpec::default() };
        let customer = CustomerId::from_bytes([3; 16]);
        let conversation = Conversation { generation, customer, agent, person: None, turns: 2 };
        let openings = Openings::new(&conversation, None, Some("I am back."));
        (AgentLink::new(scripted.clone(), openings, 4, PATIENCE), scripted)
    }

    fn ready() -> AgentEvent {
        AgentEvent::Ready {
            conversation_id: "c".into(),
            input_format: AudioFormat::ULAW_8000,
            output_format: AudioFormat::ULAW_8000,
        }
    }

    fn dropped(code: u16) -> AgentEvent {
        AgentEvent::Ended(AgentEnd::Dropped { code })
    }

    fn opened(scripted: &Scripted) -> usize {
        scripted.first_messages.lock().len()
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_cannot_be_reached_is_given_up_after_so_many_tries() {
        let (mut link, scripted) = link(vec![]);
        let end = link.next().await;
        assert!(matches!(end, Happening::Over(AgentEnd::Dropped { code: 500 })), "{end:?}");
        assert_eq!(opened(&scripted), 4);
        let after = timeout(PATIENCE * 10, link.next()).await;
        assert!(after.is_err(), "nothing follows");
    }

    #[tokio::test(start_paused = true)]
    async fn a_definite_no_is_not_asked_again() {
        let (mut link, scripted) = link(vec![Err(OpenError::Credentials { status: 401 })]);
        let end = link.next().await;
        assert!(matches!(end, Happening::Over(AgentEnd::Refused { code: 401, .. })), "{end:?}");
        assert_eq!(opened(&scripted), 1);
        let (mut link, _) = self::link(vec![Ok(vec![ready(), AgentEvent::Ended(AgentEnd::Finished)])]);
        assert!(matches!(link.next().await, Happening::Event(AgentEvent::Ready { .. })));
        assert!(matches!(link.next().await, Happening::Over(AgentEnd::Finished)));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_never_listens_is_waited_for_as_long_as_there_is_patience() {
        let started = Instant::now();
        let (mut link, scripted) = link(vec![Ok(vec![])]);
        assert!(matches!(link.next().await, Happening::Over(AgentEnd::Dropped { code: ABNORMAL })));
        assert_eq!((started.elapsed(), opened(&scripted)), (PATIENCE, 1));
        // Nor is it opened where it asks for more patience than there is.
        let (mut link, scripted) =
            self::link(vec![Err(OpenError::RateLimited { retry_after_ms: Some(60_000) })]);
        assert!(matches!(link.next().await, Happening::Over(AgentEnd::Dropped { code: 429 })));
        assert_eq!(opened(&scripted), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_conversation_that_breaks_off_is_opened_in_its_middle() {
        let (mut link, scripted) = link(vec![
            Ok(vec![ready(), dropped(1_011)]),
            Err(OpenError::RateLimited { retry_after_ms: Some(1_500) }),
            Ok(vec![ready()]),
        ]);
        assert!(matches!(link.next().await, Happening::Event(AgentEvent::Ready { .. })));
        tokio::time::advance(PATIENCE * 5).await;
        assert!(matches!(link.next().await, Happening::Lost));
        link.resume();
        let lost = Instant::now();
        assert!(matches!(link.next().await, Happening::Event(AgentEvent::Ready { .. })));
        assert!(lost.elapsed() >= Duration::from_millis(1_700), "it waits as long as it is asked to");
        let messages = scripted.first_messages.lock().clone();
        let back = || Some("I am back.".to_owned());
        assert_eq!(messages, [Some("Hello".into()), back(), back()]);
        // A conversation may be silent for longer than an agent may take to come.
        assert!(timeout(PATIENCE * 5, link.next()).await.is_err());
        link.release().await;
    }

    /// An agent whose settings permit no other first message closes as soon as it is told one.
    #[tokio::test(start_paused = true)]
    async fn an_agent_that_permits_no_other_first_message_is_opened_without() {
        let refused = || AgentEvent::Ended(AgentEnd::Refused { code: 1_008, kind: "override_error".into() });
        let (mut link, scripted) = link_of(2, None, vec![Ok(vec![refused()]), Ok(vec![ready()])]);
        let began = Instant::now();
        assert!(!link.is_greeting_muted());
        assert!(matches!(link.next().await, Happening::Event(AgentEvent::Ready { .. })));
        assert!(link.is_middle() && link.is_greeting_muted());
        assert_eq!(began.elapsed(), Duration::ZERO, "the person waits: it is asked again at once");
        assert_eq!(*scripted.first_messages.lock(), [Some("I am back.".to_owned()), None]);
        // And where that is refused as well, it is over.
        let (mut link, _) = link_of(2, None, vec![Ok(vec![refused()]), Ok(vec![refused()])]);
        assert!(matches!(link.next().await, Happening::Over(AgentEnd::Refused { code: 1_008, .. })));
    }
}
