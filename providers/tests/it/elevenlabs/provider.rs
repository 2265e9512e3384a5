//! A provider of agents that plays one scene with each conversation.

use crate::server::{Server, Step};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::future::Future;
use std::time::Duration;
use tandem_domain::agent::Opening;
use tandem_providers::Secret;
use tandem_providers::agent::{AgentEvent, Session, VoiceAgent as _};
use tandem_providers::elevenlabs::{ElevenLabs, Options};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// The provider's end of a conversation.
pub struct Line(pub WebSocketStream<TcpStream>);

impl Line {
    pub async fn say(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    pub async fn say_text(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    /// The next text message; pings of the socket itself are answered on the way.
    pub async fn hear(&mut self) -> Value {
        loop {
            match self.0.next().await.unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The close code that ends the conversation, after whatever else is said.
    pub async fn hear_close(&mut self) -> Option<u16> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
                Some(Ok(_)) => {}
                _ => return None,
            }
        }
    }

    /// Takes the first message and says that the agent is ready.
    pub async fn begin(&mut self) -> Value {
        let first = self.hear().await;
        self.say(ready()).await;
        first
    }

    pub async fn close(&mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        self.0.send(Message::Close(Some(frame))).await.unwrap();
        let _ = self.hear_close().await;
    }
}

pub fn ready() -> Value {
    json!({
        "type": "conversation_initiation_metadata",
        "conversation_initiation_metadata_event": {
            "conversation_id": "conv_1",
            "agent_output_audio_format": "ulaw_8000",
            "user_input_audio_format": "ulaw_8000",
        }
    })
}

pub fn audio(event_id: u64, payload: &str) -> Value {
    json!({"type": "audio", "audio_event": {"audio_base_64": payload, "event_id": event_id}})
}

pub struct Provider<T> {
    pub http: Server,
    /// The signed URL that it gives.
    pub url: String,
    /// What the scene came to.
    pub scene: JoinHandle<T>,
    /// Path and query of the socket's request.
    pub asked: oneshot::Receiver<String>,
}

/// Starts a provider whose next conversation is `scene`.
pub async fn provider<T, F>(scene: impl FnOnce(Line) -> F + Send + 'static) -> Provider<T>
where
    F: Future<Output = T> + Send,
    T: Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "ws://{}/v1/convai/conversation?agent_id=a&conversation_signature=s",
        listener.local_addr().unwrap()
    );
    let http = Server::start([signed(&url)]).await;
    let (tell, asked) = oneshot::channel();
    let scene = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut path = None;
        #[allow(clippy::result_large_err)]
        let socket = tokio_tungstenite::accept_hdr_async(
            stream,
            |request: &tokio_tungstenite::tungstenite::handshake::server::Request, response| {
                path = request.uri().path_and_query().map(ToString::to_string);
                Ok(response)
            },
        )
        .await
        .unwrap();
        let _ = tell.send(path.unwrap());
        scene(Line(socket)).await
    });
    Provider { http, url, scene, asked }
}

/// The answer that gives this signed URL.
pub fn signed(url: &str) -> Step {
    Step::json(200, json!({"signed_url": url}).to_string())
}

pub fn options(base_url: &str) -> Options {
    let mut options = Options::new(Secret::from("key"));
    options.base_url = base_url.to_owned();
    options.request_timeout = Duration::from_secs(5);
    options
}

pub fn opening() -> Opening {
    Opening { agent_id: "agent 1".into(), user_id: Some("lead-1".into()), ..Opening::default() }
}

pub async fn open<T>(provider: &Provider<T>) -> Session {
    open_with(options(&provider.http.url)).await
}

pub async fn open_with(options: Options) -> Session {
    ElevenLabs::new(options).unwrap().open(&opening()).await.unwrap()
}

/// Everything that is left of a conversation.
pub async fn rest(session: &mut Session) -> Vec<AgentEvent> {
    let mut events = Vec::new();
    while let Some(event) = session.receiver.next().await {
        events.push(event);
    }
    events
}
