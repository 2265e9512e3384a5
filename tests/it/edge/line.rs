//! The carrier's end of a media socket.

use super::carrier::fresh_sid;
use super::world::{ACCOUNT, MEDIA, World};
use futures_util::{SinkExt as _, StreamExt as _};
use std::time::Duration;
use tandem_providers::twilio::media::{Format, Frame, Media, Order, Origin, Start};
use tandem_providers::twilio::signature::HEADER;
use tandem_providers::twilio::twiml::{Document, Stream, Verb, parse};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

/// Nothing here takes so long unless it is stuck.
pub const STUCK: Duration = Duration::from_secs(30);

/// The stream that a document connects, and where it goes on.
pub fn connects(xml: &str) -> (Stream, String) {
    let Document(verbs) = parse(xml).expect("TwiML");
    match &verbs[..] {
        [Verb::Connect(stream), Verb::Redirect { url }] => (stream.clone(), url.clone()),
        other => panic!("{other:?}"),
    }
}

pub fn hangs_up(xml: &str) -> bool {
    parse(xml).expect("TwiML") == Document::hangup()
}

/// What came from the node on a media socket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ordered {
    Media(String),
    Mark(String),
    Clear,
}

pub struct Line {
    pub socket: WebSocketStream<TcpStream>,
    pub stream_sid: String,
    call_sid: String,
    sequence: u64,
}

/// Opens a socket with this signature, if any. The error is the node's answer.
pub async fn socket(world: &World, signature: Option<String>) -> Result<WebSocketStream<TcpStream>, u16> {
    let mut request = MEDIA.replace("wss:", "ws:").into_client_request().expect("a URL");
    if let Some(signature) = signature {
        request.headers_mut().insert(HEADER, signature.parse().expect("ASCII"));
    }
    let stream = TcpStream::connect(world.addr).await.expect("a connection");
    match tokio_tungstenite::client_async(request, stream).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(answer)) => Err(answer.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

impl Line {
    /// Opens a signed socket and says nothing yet.
    pub async fn open(world: &World, call_sid: &str) -> Line {
        let signature = world.key.sign(MEDIA, &[]);
        let socket = socket(world, Some(signature)).await.expect("an upgrade");
        Line { socket, stream_sid: fresh_sid("MZ"), call_sid: call_sid.to_owned(), sequence: 0 }
    }

    /// Opens the stream of a document.
    pub async fn begin(world: &World, call_sid: &str, stream: &Stream) -> Line {
        let mut line = Line::open(world, call_sid).await;
        line.start(stream.parameters.clone()).await;
        line
    }

    pub async fn start(&mut self, parameters: Vec<(String, String)>) {
        self.start_as(parameters, ACCOUNT, Format::mulaw_8000()).await;
    }

    pub async fn start_as(&mut self, parameters: Vec<(String, String)>, account: &str, format: Format) {
        self.frame(Frame::Connected).await;
        self.frame(Frame::Start(Start {
            stream_sid: self.stream_sid.clone(),
            account_sid: account.to_owned(),
            call_sid: self.call_sid.clone(),
            parameters,
            format,
        }))
        .await;
    }

    pub async fn frame(&mut self, frame: Frame<'_>) {
        self.sequence += 1;
        let origin = Origin { stream_sid: &self.stream_sid, account_sid: ACCOUNT, call_sid: &self.call_sid };
        let mut text = String::new();
        frame.write(&mut text, &origin, self.sequence);
        self.send(Message::text(text)).await;
    }

    /// Sends what need not arrive: the node may have gone.
    pub async fn send(&mut self, message: Message) {
        let _ = self.socket.send(message).await;
    }

    pub async fn speak(&mut self, payload: &str) {
        self.frame(Frame::Media(Media { chunk: 1, timestamp_ms: 20, payload: payload.into() })).await;
    }

    pub async fn played(&mut self, name: &str) {
        self.frame(Frame::Mark { name: name.into() }).await;
    }

    /// The next order; `None` once the node has closed the socket.
    pub async fn ordered(&mut self) -> Option<Ordered> {
        loop {
            let message = timeout(STUCK, self.socket.next()).await.expect("an order");
            let text = match message {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => continue,
            };
            let order = Order::parse(&text).expect("an order").expect("a known one");
            let (sid, ordered) = match order {
                Order::Media { stream_sid, payload } => (stream_sid, Ordered::Media(payload.into_owned())),
                Order::Mark { stream_sid, name } => (stream_sid, Ordered::Mark(name.into_owned())),
                Order::Clear { stream_sid } => (stream_sid, Ordered::Clear),
            };
            assert_eq!(sid, self.stream_sid);
            return Some(ordered);
        }
    }

    /// The close that the node sends, whatever it orders before.
    pub async fn closed(&mut self) -> Option<CloseCode> {
        loop {
            match timeout(STUCK, self.socket.next()).await.expect("a close") {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// Ends the stream as a carrier does when its call ends.
    pub async fn stop(mut self) {
        self.frame(Frame::Stop).await;
        let _ = self.socket.close(None).await;
    }
}
