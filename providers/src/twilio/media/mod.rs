//! Media streams: the text frames on the carrier's WebSocket, both ways.
//!
//! [`Frame`] is what the carrier sends, [`Order`] what it is sent. Audio is base64 of mu-law at
//! 8 kHz, mono, usually 160 bytes (20 ms) a frame, and stays text: both the carrier and the voice
//! agent speak it, so it is only checked and carried over. Reading borrows from the frame;
//! writing fills a buffer that the caller keeps.

mod wire;

use crate::wire::push_text;
use std::borrow::Cow;
use std::fmt;
use wire::Checked;

/// Largest frame that is read, in bytes. The largest that makes sense is far smaller: a second of
/// audio is 10,668 characters.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;
/// Most custom parameters a stream may start with.
pub const PARAMETERS_MAX: usize = 100;

/// What the carrier sends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Frame<'a> {
    /// Always first.
    Connected,
    /// Always second.
    Start(Start),
    Media(Media<'a>),
    /// A key was pressed: `0`-`9`, `A`-`D`, `*`, `#`.
    Dtmf {
        digit: char,
    },
    /// All audio sent before this mark has been played, or was cleared.
    Mark {
        name: Cow<'a, str>,
    },
    /// The stream ends; the socket closes next.
    Stop,
}

/// How a stream begins.
#[derive(Clone, PartialEq, Eq)]
pub struct Start {
    pub stream_sid: String,
    pub account_sid: String,
    pub call_sid: String,
    /// From the document's `<Parameter>`s.
    pub parameters: Vec<(String, String)>,
    pub format: Format,
}

impl Start {
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for Start {
    // Parameters may hold a token that admits to the media socket.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.parameters.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Start")
            .field("stream_sid", &self.stream_sid)
            .field("call_sid", &self.call_sid)
            .field("parameters", &names)
            .field("format", &self.format)
            .finish()
    }
}

/// Encoding of the audio on a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Format {
    pub encoding: String,
    pub sample_rate_hz: u32,
    pub channels: u8,
}

impl Format {
    /// The only one the carrier uses today.
    pub fn mulaw_8000() -> Self {
        Format { encoding: "audio/x-mulaw".into(), sample_rate_hz: 8_000, channels: 1 }
    }
}

/// One piece of the caller's voice.
#[derive(Clone, PartialEq, Eq)]
pub struct Media<'a> {
    /// Counts from 1.
    pub chunk: u64,
    /// Milliseconds since the stream began.
    pub timestamp_ms: u64,
    /// Base64 text, checked.
    pub payload: Cow<'a, str>,
}

impl fmt::Debug for Media<'_> {
    // What was said is not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Media")
            .field("chunk", &self.chunk)
            .field("timestamp_ms", &self.timestamp_ms)
            .field("payload_chars", &self.payload.len())
            .finish()
    }
}

/// What the carrier is sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Order<'a> {
    /// Audio to play after what waits already. Base64 text, without any header.
    Media { stream_sid: Cow<'a, str>, payload: Cow<'a, str> },
    /// Comes back as [`Frame::Mark`] once the audio before it has been played.
    Mark { stream_sid: Cow<'a, str>, name: Cow<'a, str> },
    /// Forget all audio that waits. Marks that wait come back at once.
    Clear { stream_sid: Cow<'a, str> },
}

/// Why a frame cannot be read. Shows nothing of its content.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    #[error("the frame has {bytes} bytes; {FRAME_BYTES_MAX} are read")]
    TooLarge { bytes: usize },
    #[error("not a frame: unreadable at line {line}, column {column}")]
    Malformed { line: usize, column: usize },
    #[error("the frame lacks `{0}`")]
    Missing(&'static str),
    #[error("the frame's `{0}` is unreadable")]
    Invalid(&'static str),
}

impl<'a> Frame<'a> {
    /// Reads a frame of the carrier. `None` for an event that is not known: new ones are to be
    /// ignored.
    pub fn parse(text: &'a str) -> Result<Option<Self>, FrameError> {
        let wire = Checked::read(text)?;
        Ok(Some(match wire.event() {
            "media" => {
                let media = wire.media()?;
                Frame::Media(Media {
                    chunk: media.chunk.map_or(0, |n| n.0),
                    timestamp_ms: media.timestamp.map_or(0, |n| n.0),
                    payload: media.payload,
                })
            }
            "mark" => Frame::Mark { name: wire.mark()? },
            "dtmf" => Frame::Dtmf { digit: wire.digit()? },
            "connected" => Frame::Connected,
            "start" => Frame::Start(wire.start()?),
            "stop" => Frame::Stop,
            _ => return Ok(None),
        }))
    }

    /// Writes the frame into `out`, whose earlier content is dropped. `sequence` counts the frames
    /// of a stream from 1 (`Connected` has none).
    pub fn write(&self, out: &mut String, from: &Origin<'_>, sequence: u64) {
        out.clear();
        if let Frame::Connected = self {
            out.push_str(r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#);
            return;
        }
        wire::open_frame(out, self.name(), sequence, from.stream_sid);
        match self {
            Frame::Connected => {}
            Frame::Start(start) => wire::push_start(out, start),
            Frame::Media(media) => wire::push_media(out, media),
            Frame::Dtmf { digit } => {
                out.push_str(r#","dtmf":{"track":"inbound_track","digit":"#);
                push_text(out, digit.encode_utf8(&mut [0; 4]));
                out.push('}');
            }
            Frame::Mark { name } => wire::push_mark(out, name),
            Frame::Stop => {
                out.push_str(r#","stop":{"accountSid":"#);
                push_text(out, from.account_sid);
                out.push_str(r#","callSid":"#);
                push_text(out, from.call_sid);
                out.push('}');
            }
        }
        out.push('}');
    }

    fn name(&self) -> &'static str {
        match self {
            Frame::Connected => "connected",
            Frame::Start(_) => "start",
            Frame::Media(_) => "media",
            Frame::Dtmf { .. } => "dtmf",
            Frame::Mark { .. } => "mark",
            Frame::Stop => "stop",
        }
    }
}

/// Which stream of which call a carrier's frame belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Origin<'a> {
    pub stream_sid: &'a str,
    pub account_sid: &'a str,
    pub call_sid: &'a str,
}

impl<'a> Order<'a> {
    /// Reads what the carrier is sent. `None` for an event that is not known.
    pub fn parse(text: &'a str) -> Result<Option<Self>, FrameError> {
        let mut wire = Checked::read(text)?;
        let stream_sid = wire.stream_sid();
        let stream_sid = move || stream_sid.ok_or(FrameError::Missing("streamSid"));
        Ok(Some(match wire.event() {
            "media" => Order::Media { stream_sid: stream_sid()?, payload: wire.media()?.payload },
            "mark" => Order::Mark { stream_sid: stream_sid()?, name: wire.mark()? },
            "clear" => Order::Clear { stream_sid: stream_sid()? },
            _ => return Ok(None),
        }))
    }

    /// Writes the order into `out`, whose earlier content is dropped.
    pub fn write(&self, out: &mut String) {
        match self {
            Order::Media { stream_sid, payload } => write_media(out, stream_sid, payload),
            Order::Mark { stream_sid, name } => write_mark(out, stream_sid, name),
            Order::Clear { stream_sid } => write_clear(out, stream_sid),
        }
    }
}

/// Writes an order to play `payload` (base64 text) into `out`, whose earlier content is dropped.
pub fn write_media(out: &mut String, stream_sid: &str, payload: &str) {
    out.clear();
    out.reserve(80 + stream_sid.len() + payload.len());
    open_order(out, "media", stream_sid);
    out.push_str(r#","media":{"payload":"#);
    push_text(out, payload);
    out.push_str("}}");
}

/// Writes an order to send back `name` when all audio before it has been played.
pub fn write_mark(out: &mut String, stream_sid: &str, name: &str) {
    out.clear();
    open_order(out, "mark", stream_sid);
    wire::push_mark(out, name);
    out.push('}');
}

/// Writes an order to forget all audio that waits to be played.
pub fn write_clear(out: &mut String, stream_sid: &str) {
    out.clear();
    open_order(out, "clear", stream_sid);
    out.push('}');
}

fn open_order(out: &mut String, event: &str, stream_sid: &str) {
    out.push_str(r#"{"event":""#);
    out.push_str(event);
    out.push_str(r#"","streamSid":"#);
    push_text(out, stream_sid);
}

/// Whether `text` is base64 in the standard alphabet, padded. The empty text is.
pub fn is_base64(text: &str) -> bool {
    let bytes = text.as_bytes();
    if !bytes.len().is_multiple_of(4) {
        return false;
    }
    let padding = bytes.iter().rev().take(2).take_while(|b| **b == b'=').count();
    bytes[..bytes.len() - padding].iter().all(|b| wire::BASE64[usize::from(*b)])
}

#[cfg(test)]
mod tests;
