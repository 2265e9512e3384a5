//! A small orchestrator: takes callbacks, answers document requests, bridges media sockets to the agent. It checks every
//! signature as the real thing would.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt as _, StreamExt as _};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tandem_providers::Secret;
use tandem_providers::twilio::signature::{HEADER, Key};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response as WsResponse};

/// One request that came in.
#[derive(Clone, Debug)]
pub struct Received {
    pub path: String,
    pub form: HashMap<String, String>,
    pub signed: bool,
    pub token: Option<String>,
}

impl Received {
    pub fn field(&self, name: &str) -> &str {
        self.form.get(name).map_or("", String::as_str)
    }
}

pub struct Orchestrator {
    pub base: String,
    pub media: String,
    key: Key,
    pub received: Mutex<Vec<Received>>,
    /// What is answered to requests by path: status and body, the last one again and again.
    pub documents: Mutex<HashMap<String, VecDeque<(u16, String)>>>,
    agent: Mutex<Option<(String, String)>>,
    /// Start frames of all media sockets.
    pub starts: Mutex<Vec<Value>>,
    /// What the bridge carried, in order: `user:`/`agent:` transcripts, `interruption`, `tool`, `close`.
    pub talked: Mutex<Vec<String>>,
    pub marks: AtomicUsize,
    /// Whether a second socket for one call is turned away.
    pub refuses_second: AtomicBool,
    pub pongs: AtomicBool,
    pub invalid_frames: AtomicUsize,
}

impl Orchestrator {
    pub async fn start(auth_token: &str) -> Arc<Self> {
        let http = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let media = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let this = Arc::new(Self {
            base: format!("http://{}", addr(&http)),
            media: format!("ws://{}/media", addr(&media)),
            key: Key::new(&Secret::from(auth_token)),
            received: Mutex::default(),
            documents: Mutex::default(),
            agent: Mutex::default(),
            starts: Mutex::default(),
            talked: Mutex::default(),
            marks: AtomicUsize::new(0),
            refuses_second: AtomicBool::new(true),
            pongs: AtomicBool::new(true),
            invalid_frames: AtomicUsize::new(0),
        });
        let router = Router::new().fallback(take).with_state(Arc::clone(&this));
        tokio::spawn(async move { axum::serve(http, router).await });
        let server = Arc::clone(&this);
        tokio::spawn(async move {
            while let Ok((socket, _)) = media.accept().await {
                let server = Arc::clone(&server);
                tokio::spawn(async move { server.serve_media(socket).await });
            }
        });
        this
    }

    /// Bridges conversations to the agent at `url`.
    pub fn bridge_to(&self, url: &str, xi_api_key: &str) {
        *self.agent.lock() = Some((url.to_owned(), xi_api_key.to_owned()));
    }

    /// Answers requests for `path`; several answers are given one after the other.
    pub fn answer(&self, path: &str, status: u16, body: &str) {
        let mut documents = self.documents.lock();
        documents.entry(path.to_owned()).or_default().push_back((status, body.to_owned()));
    }

    /// Requests whose path begins so.
    pub fn at(&self, path: &str) -> Vec<Received> {
        self.received.lock().iter().filter(|received| received.path.starts_with(path)).cloned().collect()
    }

    pub fn talked(&self) -> Vec<String> {
        self.talked.lock().clone()
    }

    /// A document that connects to the media socket, then does `after`.
    pub fn connect(&self, after: &str) -> String {
        format!(
            r#"<Response><Connect><Stream url="{}"><Parameter name="attempt" value="a1"/></Stream></Connect>{after}</Response>"#,
            self.media
        )
    }

    fn say(&self, what: impl Into<String>) {
        self.talked.lock().push(what.into());
    }

    async fn serve_media(self: Arc<Self>, socket: TcpStream) {
        // At 1,000 times real speed, 40 ms of a delayed acknowledgement are 40 s.
        socket.set_nodelay(true).expect("a TCP option");
        let mut signed = false;
        // The shape of the callback is the library's.
        #[allow(clippy::result_large_err)]
        let check = |request: &Request, response: WsResponse| -> Result<WsResponse, ErrorResponse> {
            let given =
                request.headers().get(HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
            signed = self.key.verify_upgrade(&self.media, given).is_ok();
            Ok(response)
        };
        let Ok(mut carrier) = tokio_tungstenite::accept_hdr_async(socket, check).await else { return };
        assert!(signed, "the upgrade is signed");
        // The call may be over before it says anything.
        let Some(connected) = next_json(&mut carrier).await else { return };
        assert_eq!(connected["event"], "connected");
        let Some(start) = next_json(&mut carrier).await else { return };
        assert_eq!(start["event"], "start");
        let call = start["start"]["callSid"].as_str().unwrap_or_default().to_owned();
        let second = {
            let mut starts = self.starts.lock();
            let second = starts
                .iter()
                .any(|start| start["start"]["callSid"] == call.as_str() && start["open"] == true);
            let mut start = start.clone();
            start["open"] = json!(true);
            starts.push(start);
            second
        };
        if second && self.refuses_second.load(Ordering::SeqCst) {
            let _ = carrier.close(None).await;
            return;
        }
        let stream = start["streamSid"].as_str().unwrap_or_default().to_owned();
        self.bridge(&mut carrier, &stream).await;
        if let Some(start) = self.starts.lock().iter_mut().find(|start| start["streamSid"] == stream.as_str())
        {
            start["open"] = json!(false);
        }
        let _ = tokio::time::timeout(std::time::Duration::from_secs(1), async {
            let _ = carrier.close(None).await;
            while let Some(Ok(_)) = carrier.next().await {}
        })
        .await;
    }

    async fn bridge(&self, carrier: &mut tokio_tungstenite::WebSocketStream<TcpStream>, stream: &str) {
        let target = self.agent.lock().clone();
        let Some((url, key)) = target else {
            while let Some(Ok(_)) = carrier.next().await {}
            return;
        };
        let Some(signed) = signed_url(&url, &key).await else { return self.say("no agent") };
        let Ok((mut agent, _)) = tokio_tungstenite::connect_async(&signed).await else {
            return self.say("agent refused");
        };
        let hello = json!({ "type": "conversation_initiation_client_data", "user_id": stream });
        let _ = agent.send(Message::text(hello.to_string())).await;
        let mut cleared = 0;
        loop {
            tokio::select! {
                message = carrier.next() => match message {
                    Some(Ok(Message::Text(text))) => {
                        let Ok(frame) = serde_json::from_str::<Value>(text.as_str()) else {
                            self.invalid_frames.fetch_add(1, Ordering::SeqCst);
                            continue;
                        };
                        match frame["event"].as_str() {
                            Some("media") => {
                                let payload = frame["media"]["payload"].as_str().unwrap_or_default();
                                if !tandem_providers::twilio::media::is_base64(payload) || payload.is_empty() {
                                    self.invalid_frames.fetch_add(1, Ordering::SeqCst);
                                    continue;
                                }
                                let chunk = json!({ "user_audio_chunk": payload }).to_string();
                                if agent.send(Message::text(chunk)).await.is_err() {
                                    return self.say("agent gone");
                                }
                            }
                            Some("mark") => { self.marks.fetch_add(1, Ordering::SeqCst); }
                            Some("stop") => { let _ = agent.close(None).await; return self.say("stop"); }
                            _ => { self.invalid_frames.fetch_add(1, Ordering::SeqCst); }
                        }
                    }
                    Some(Ok(Message::Close(_))) | None | Some(Err(_)) => {
                        let _ = agent.close(None).await;
                        return self.say("carrier gone");
                    }
                    Some(Ok(_)) => { self.invalid_frames.fetch_add(1, Ordering::SeqCst); }
                },
                message = agent.next() => match message {
                    Some(Ok(Message::Text(text))) => {
                        let Ok(value) = serde_json::from_str::<Value>(text.as_str()) else { continue };
                        for message in self.hear_agent(&value, stream, &mut cleared) {
                            let sent = match message {
                                To::Agent(message) => agent.send(message).await.is_ok(),
                                To::Carrier(message) => carrier.send(message).await.is_ok(),
                            };
                            if !sent { return self.say("broken"); }
                        }
                    }
                    Some(Ok(Message::Close(frame))) => {
                        let code = frame.map_or(0, |frame| u16::from(frame.code));
                        return self.say(format!("close {code}"));
                    }
                    None | Some(Err(_)) => return self.say("agent broken"),
                    Some(Ok(_)) => {}
                },
            }
        }
    }

    fn hear_agent(&self, value: &Value, stream: &str, cleared: &mut u64) -> Vec<To> {
        match value["type"].as_str() {
            Some("audio") => {
                let event = value["audio_event"]["event_id"].as_u64().unwrap_or(0);
                let Some(payload) = value["audio_event"]["audio_base_64"].as_str() else { return vec![] };
                if event <= *cleared {
                    return vec![];
                }
                let media = json!({ "event": "media", "streamSid": stream, "media": { "payload": payload } });
                let mark =
                    json!({ "event": "mark", "streamSid": stream, "mark": { "name": event.to_string() } });
                vec![
                    To::Carrier(Message::text(media.to_string())),
                    To::Carrier(Message::text(mark.to_string())),
                ]
            }
            Some("interruption") => {
                *cleared = value["interruption_event"]["event_id"].as_u64().unwrap_or(0);
                self.say("interruption");
                let clear = json!({ "event": "clear", "streamSid": stream });
                vec![To::Carrier(Message::text(clear.to_string()))]
            }
            Some("ping") if self.pongs.load(Ordering::SeqCst) => {
                let pong = json!({ "type": "pong", "event_id": value["ping_event"]["event_id"] });
                vec![To::Agent(Message::text(pong.to_string()))]
            }
            Some("client_tool_call") => {
                let call = &value["client_tool_call"];
                self.say(format!("tool {}", call["tool_name"].as_str().unwrap_or_default()));
                let result = json!({
                    "type": "client_tool_result", "tool_call_id": call["tool_call_id"],
                    "result": "half past nine", "is_error": false,
                });
                vec![To::Agent(Message::text(result.to_string()))]
            }
            Some("user_transcript") => {
                let text = value["user_transcription_event"]["user_transcript"].as_str().unwrap_or_default();
                self.say(format!("user: {text}"));
                vec![]
            }
            Some("agent_response") => {
                let text = value["agent_response_event"]["agent_response"].as_str().unwrap_or_default();
                self.say(format!("agent: {text}"));
                vec![]
            }
            Some("agent_response_correction") => {
                self.say("correction");
                vec![]
            }
            _ => vec![],
        }
    }
}

enum To {
    Agent(Message),
    Carrier(Message),
}

pub async fn signed_url(base: &str, key: &str) -> Option<String> {
    let url = format!("{base}/v1/convai/conversation/get-signed-url?agent_id=agent_1");
    let answer = reqwest_get(&url, Some(("xi-api-key", key))).await;
    answer.1["signed_url"].as_str().map(str::to_owned)
}

/// GET with a header; status and JSON (null when it is none).
pub async fn reqwest_get(url: &str, extra: Option<(&str, &str)>) -> (u16, Value) {
    let mut request = super::world::client().get(url);
    if let Some((name, value)) = extra {
        request = request.header(name, value);
    }
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let body = answer.bytes().await.expect("a body");
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

fn addr(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("bound")
}

async fn next_json(socket: &mut tokio_tungstenite::WebSocketStream<TcpStream>) -> Option<Value> {
    loop {
        match socket.next().await? {
            Ok(Message::Text(text)) => return serde_json::from_str(text.as_str()).ok(),
            Ok(_) => {}
            Err(_) => return None,
        }
    }
}

async fn take(State(this): State<Arc<Orchestrator>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let pairs: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
    let path = uri.path().to_owned();
    let given = headers.get(HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let url = format!("{}{}", this.base, uri);
    let signed = this.key.verify(&url, &pairs, given).is_ok();
    let token = headers.get("i-twilio-idempotency-token").and_then(|value| value.to_str().ok());
    this.received.lock().push(Received {
        path: path.clone(),
        form: pairs.into_iter().collect(),
        signed,
        token: token.map(str::to_owned),
    });
    let answer = {
        let mut documents = this.documents.lock();
        documents.get_mut(&path).and_then(|answers| {
            if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }
        })
    };
    match answer {
        Some((status, body)) => {
            let status = StatusCode::from_u16(status).expect("a status");
            (status, [(header::CONTENT_TYPE, "text/xml")], body).into_response()
        }
        None => StatusCode::NO_CONTENT.into_response(),
    }
}
