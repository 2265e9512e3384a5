//! `<Connect><Stream>`: the person's sound to the other side and the other side's to the person, until either ends.

use super::courier::Letter;
use super::leg::Happening;
use super::order::Address;
use super::second;
use super::socket::{Gone, Socket};
use super::talk::{Leave, Talk};
use crate::log::{ConversationEnd, Event};
use crate::pace::FRAME_BYTES;
use crate::scenario::Fault;
use crate::webhooks::Method;
use crate::wire::{Order as Asked, Stream};
use base64::Engine as _;
use std::sync::Arc;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

/// Simulated time after which a socket is cut that is to be cut, once the other side has spoken.
const CUT_AFTER_MS: u64 = 3_000;

/// What came in on one media socket.
#[derive(Default)]
struct Taken {
    frames: u64,
    bytes: u64,
    marks: u64,
    clears: u64,
    invalid: u64,
}

/// Why the socket is left.
enum Over {
    /// The other side closed it, properly or not.
    Peer(bool),
    /// It is to break now.
    Cut,
    Leave(Leave),
}

impl From<Leave> for Over {
    fn from(leave: Leave) -> Self {
        Self::Leave(leave)
    }
}

impl From<Gone> for Over {
    fn from(_: Gone) -> Self {
        Self::Peer(false)
    }
}

impl Talk<'_> {
    /// Runs a media stream. `Ok` when the socket is closed and the document goes on with its next verb.
    pub(super) async fn stream(&mut self, stream: Stream) -> Result<(), Leave> {
        let n = self.streams;
        self.streams += 1;
        let chooser = self.carrier().chooser();
        let stream_sid = format!("MZ{}", chooser.rng("stream", &self.call().sid, n).hex32());
        let opening = {
            let (carrier, url) = (Arc::clone(self.carrier()), stream.url.clone());
            let (stream_sid, call_sid) = (stream_sid.clone(), self.call().sid.clone());
            // Connecting needs much memory for a moment: it must not be part of the task for its whole life.
            Box::pin(async move { Socket::open(&carrier, &url, stream_sid, call_sid).await })
        };
        let mut socket = match self.during(opening).await? {
            Ok(socket) => socket,
            Err(error) => {
                self.carrier().log.write(Event::ConversationRefused {
                    sid: self.call().sid.clone(),
                    attempt: self.call().attempt.clone(),
                    second: false,
                    why: error.to_string(),
                });
                self.stream_event(&stream, &stream_sid, "stream-error").await;
                return Ok(());
            }
        };
        self.carrier().log.write(Event::ConversationOpened {
            stream: stream_sid.clone(),
            sid: self.call().sid.clone(),
            attempt: self.call().attempt.clone(),
            second: false,
        });
        self.stream_event(&stream, &stream_sid, "stream-started").await;
        self.connected = true;
        let mut taken = Taken::default();
        let over = self.converse(&mut socket, &stream, &mut taken, n == 0).await;
        self.connected = false;
        self.outgoing.clear();
        let frames_sent = socket.frames_sent;
        let (by, result) = match over {
            Over::Peer(properly) => (if properly { "peer" } else { "broken" }, Ok(())),
            Over::Cut => ("cut", Ok(())),
            Over::Leave(leave) => {
                socket.end().await;
                ("call", Err(leave))
            }
        };
        if result.is_ok() {
            // A stream without a sound does not end the silence.
            self.silent_since.get_or_insert_with(Instant::now);
        }
        // What had been sent and not yet played is lost with the stream.
        self.leg.playback.clear();
        self.carrier().log.write(Event::ConversationClosed(ConversationEnd {
            stream: stream_sid.clone(),
            sid: self.call().sid.clone(),
            attempt: self.call().attempt.clone(),
            second: false,
            by: by.to_owned(),
            frames_sent,
            frames_received: taken.frames,
            bytes_received: taken.bytes,
            marks: taken.marks,
            clears: taken.clears,
            invalid: taken.invalid,
        }));
        self.stream_event(&stream, &stream_sid, "stream-stopped").await;
        result
    }

    async fn converse(
        &mut self,
        socket: &mut Socket,
        stream: &Stream,
        taken: &mut Taken,
        first: bool,
    ) -> Over {
        let over = match self.exchange(socket, stream, taken, first).await {
            Err(over) => over,
            Ok(never) => match never {},
        };
        // What the person said before the end is still heard.
        if matches!(over, Over::Leave(_)) && self.flush(socket).await.is_err() {
            tracing::debug!(call = self.call().sid, "the last words were lost");
        }
        over
    }

    async fn flush(&mut self, socket: &mut Socket) -> Result<(), Gone> {
        for happening in std::mem::take(&mut self.outgoing) {
            match happening {
                Happening::Frame { sound, at_ms } => socket.media(&sound, at_ms).await?,
                Happening::Marks(names) => {
                    for name in names {
                        socket.mark(&name).await?;
                    }
                }
                Happening::Detected(..) | Happening::HungUp(_) => {}
            }
        }
        Ok(())
    }

    async fn exchange(
        &mut self,
        socket: &mut Socket,
        stream: &Stream,
        taken: &mut Taken,
        first: bool,
    ) -> Result<std::convert::Infallible, Over> {
        let has = |talk: &Self, fault| first && talk.call().plan.has(fault);
        let cuts = has(self, Fault::MediaCut);
        let began_ms = self.leg.clock_ms();
        socket.begin(stream.parameters.clone(), began_ms).await?;
        if has(self, Fault::MediaGarbage) {
            self.garbage(socket).await?;
        }
        // Lives as long as this stream; dropped, it closes.
        let _second = has(self, Fault::SecondSocket)
            .then(|| second::open(self.carrier(), self.call(), stream.clone(), self.streams));
        loop {
            self.flush(socket).await?;
            if cuts && taken.frames > 0 && self.leg.clock_ms() >= began_ms + CUT_AFTER_MS {
                return Err(Over::Cut);
            }
            let due = self.due();
            tokio::select! {
                biased;
                order = self.line.orders.recv() => self.obey(order)?,
                message = socket.next() => {
                    let message = message.map_err(Over::Peer)?;
                    // What is heard from now on is heard after what has passed.
                    self.catch_up().await?;
                    self.take(message, &socket.stream_sid, taken);
                }
                () = tokio::time::sleep_until(due) => self.catch_up().await?,
            }
        }
    }

    fn take(&mut self, message: Message, stream_sid: &str, taken: &mut Taken) {
        let Message::Text(text) = message else {
            taken.invalid += u64::from(matches!(message, Message::Binary(_)));
            return;
        };
        match Asked::parse(text.as_str()) {
            Ok(Some(Asked::Media { stream_sid: sid, payload })) if sid == stream_sid => {
                match base64::engine::general_purpose::STANDARD.decode(payload.as_bytes()) {
                    Ok(sound) => {
                        self.sounds();
                        taken.frames += 1;
                        taken.bytes += sound.len() as u64;
                        self.leg.playback.audio(&sound);
                    }
                    Err(_) => taken.invalid += 1,
                }
            }
            Ok(Some(Asked::Mark { stream_sid: sid, name })) if sid == stream_sid => {
                taken.marks += 1;
                if !self.leg.playback.mark(name.into_owned()) {
                    taken.invalid += 1;
                }
            }
            Ok(Some(Asked::Clear { stream_sid: sid })) if sid == stream_sid => {
                taken.clears += 1;
                let marks = self.leg.playback.clear();
                if !marks.is_empty() {
                    self.outgoing.push(Happening::Marks(marks));
                }
            }
            Ok(_) | Err(_) => taken.invalid += 1,
        }
    }

    /// Something is heard: if nothing was for a while, for how long.
    fn sounds(&mut self) {
        let Some(since) = self.silent_since.take() else { return };
        self.carrier().log.write(Event::Reattached {
            sid: self.call().sid.clone(),
            attempt: self.call().attempt.clone(),
            dead_air_ms: u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
    }

    /// Frames that are no protocol, and one of an event nobody knows.
    async fn garbage(&self, socket: &mut Socket) -> Result<(), Gone> {
        let long = "x".repeat(40_000);
        for text in ["", "not json", "{", "[]", "{\"event\":42}", "{\"event\":\"media\"}", &long] {
            socket.send(Message::text(text)).await?;
        }
        let unknown = format!("{{\"event\":\"weather\",\"streamSid\":\"{}\"}}", socket.stream_sid);
        socket.send(Message::text(unknown)).await?;
        let broken = format!(
            "{{\"event\":\"media\",\"streamSid\":\"{}\",\"media\":{{\"payload\":\"***\"}}}}",
            socket.stream_sid
        );
        socket.send(Message::text(broken)).await?;
        socket.send(Message::binary(vec![0_u8; FRAME_BYTES])).await
    }

    async fn stream_event(&self, stream: &Stream, stream_sid: &str, event: &str) {
        let Some(url) = stream.status_callback.clone() else { return };
        let at = jiff::Timestamp::from_millisecond(self.carrier().pace.now_ms()).unwrap_or_default();
        let mut pairs = vec![
            ("AccountSid", self.carrier().account.sid.clone()),
            ("CallSid", self.call().sid.clone()),
            ("StreamSid", stream_sid.to_owned()),
            ("StreamName", stream.name.clone().unwrap_or_else(|| stream_sid.to_owned())),
            ("StreamEvent", event.to_owned()),
            ("Timestamp", at.to_string()),
        ];
        if event == "stream-error" {
            pairs.push(("StreamError", "the media socket could not be opened".to_owned()));
        }
        self.line
            .post(Letter {
                address: Address { url, method: Method::Post },
                form: pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
                kind: "stream",
                what: event.to_owned(),
                sequence: None,
                faults: Vec::new(),
                after_ms: 0,
            })
            .await;
    }
}
