//! The JSON of media frames, read in one pass without copying what need not be copied.

use super::{FRAME_BYTES_MAX, Format, FrameError, Media, PARAMETERS_MAX, Start, is_base64};
use crate::wire::{Number, Text, push_text};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::fmt::Write as _;

pub(super) const BASE64: [bool; 256] = {
    let mut table = [false; 256];
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut i = 0;
    while i < alphabet.len() {
        table[alphabet[i] as usize] = true;
        i += 1;
    }
    table
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FrameWire<'a> {
    #[serde(borrow)]
    event: Text<'a>,
    #[serde(borrow, default)]
    stream_sid: Option<Text<'a>>,
    #[serde(borrow, default)]
    media: Option<MediaWire<'a>>,
    #[serde(borrow, default)]
    mark: Option<MarkWire<'a>>,
    #[serde(borrow, default)]
    dtmf: Option<DtmfWire<'a>>,
    #[serde(default)]
    start: Option<StartWire>,
}

#[derive(Deserialize)]
struct MediaWire<'a> {
    #[serde(default)]
    chunk: Option<Number>,
    #[serde(default)]
    timestamp: Option<Number>,
    #[serde(borrow, default)]
    payload: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct MarkWire<'a> {
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct DtmfWire<'a> {
    #[serde(borrow, default)]
    digit: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StartWire {
    #[serde(default)]
    stream_sid: Option<String>,
    #[serde(default)]
    account_sid: Option<String>,
    #[serde(default)]
    call_sid: Option<String>,
    #[serde(default)]
    custom_parameters: Option<Parameters>,
    #[serde(default)]
    media_format: Option<FormatWire>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FormatWire {
    #[serde(default)]
    encoding: Option<String>,
    #[serde(default)]
    sample_rate: Option<Number>,
    #[serde(default)]
    channels: Option<Number>,
}

/// Custom parameters in the order they came; values that are not strings are left out.
struct Parameters(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Parameters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ParametersVisitor;
        impl<'de> Visitor<'de> for ParametersVisitor {
            type Value = Parameters;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parameters, A::Error> {
                let mut parameters = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, serde_json::Value>()? {
                    if parameters.len() == PARAMETERS_MAX {
                        return Err(de::Error::custom("too many parameters"));
                    }
                    if let serde_json::Value::String(value) = value {
                        parameters.push((name, value));
                    }
                }
                Ok(Parameters(parameters))
            }
        }
        deserializer.deserialize_map(ParametersVisitor)
    }
}

/// A frame whose JSON is sound; its parts are checked when they are taken.
pub(super) struct Checked<'a>(FrameWire<'a>);

pub(super) struct Piece<'a> {
    pub chunk: Option<Number>,
    pub timestamp: Option<Number>,
    pub payload: Cow<'a, str>,
}

impl<'a> Checked<'a> {
    pub fn read(text: &'a str) -> Result<Self, FrameError> {
        if text.len() > FRAME_BYTES_MAX {
            return Err(FrameError::TooLarge { bytes: text.len() });
        }
        serde_json::from_str(text)
            .map(Checked)
            .map_err(|error| FrameError::Malformed { line: error.line(), column: error.column() })
    }

    pub fn event(&self) -> &'static str {
        match &*self.0.event.0 {
            "media" => "media",
            "mark" => "mark",
            "dtmf" => "dtmf",
            "connected" => "connected",
            "start" => "start",
            "stop" => "stop",
            "clear" => "clear",
            _ => "",
        }
    }

    pub fn stream_sid(&mut self) -> Option<Cow<'a, str>> {
        self.0.stream_sid.take().map(|text| text.0)
    }

    pub fn media(self) -> Result<Piece<'a>, FrameError> {
        let media = self.0.media.ok_or(FrameError::Missing("media"))?;
        let payload = media.payload.ok_or(FrameError::Missing("payload"))?.0;
        if !is_base64(&payload) {
            return Err(FrameError::Invalid("payload"));
        }
        Ok(Piece { chunk: media.chunk, timestamp: media.timestamp, payload })
    }

    pub fn mark(self) -> Result<Cow<'a, str>, FrameError> {
        self.0.mark.and_then(|mark| mark.name).map(|name| name.0).ok_or(FrameError::Missing("mark.name"))
    }

    pub fn digit(self) -> Result<char, FrameError> {
        let digit = self.0.dtmf.and_then(|dtmf| dtmf.digit).ok_or(FrameError::Missing("dtmf.digit"))?.0;
        let mut chars = digit.chars();
        match (chars.next(), chars.next()) {
            (Some(digit @ ('0'..='9' | 'A'..='D' | '*' | '#')), None) => Ok(digit),
            _ => Err(FrameError::Invalid("dtmf.digit")),
        }
    }

    pub fn start(self) -> Result<Start, FrameError> {
        let outer = self.0.stream_sid.map(|text| text.0.into_owned());
        let start = self.0.start.ok_or(FrameError::Missing("start"))?;
        let format = start.media_format.ok_or(FrameError::Missing("start.mediaFormat"))?;
        let number = |number: Option<Number>, name| number.ok_or(FrameError::Missing(name)).map(|n| n.0);
        Ok(Start {
            stream_sid: start.stream_sid.or(outer).ok_or(FrameError::Missing("streamSid"))?,
            account_sid: start.account_sid.ok_or(FrameError::Missing("start.accountSid"))?,
            call_sid: start.call_sid.ok_or(FrameError::Missing("start.callSid"))?,
            parameters: start.custom_parameters.map_or_else(Vec::new, |parameters| parameters.0),
            format: Format {
                encoding: format.encoding.ok_or(FrameError::Missing("mediaFormat.encoding"))?,
                sample_rate_hz: number(format.sample_rate, "mediaFormat.sampleRate")?
                    .try_into()
                    .map_err(|_| FrameError::Invalid("mediaFormat.sampleRate"))?,
                channels: number(format.channels, "mediaFormat.channels")?
                    .try_into()
                    .map_err(|_| FrameError::Invalid("mediaFormat.channels"))?,
            },
        })
    }
}

fn push_number(out: &mut String, number: fmt::Arguments<'_>) {
    // Writing into a string does not fail.
    let _ = out.write_fmt(number);
}

pub(super) fn open_frame(out: &mut String, event: &str, sequence: u64, stream_sid: &str) {
    push_number(out, format_args!(r#"{{"event":"{event}","sequenceNumber":"{sequence}","streamSid":"#));
    push_text(out, stream_sid);
}

pub(super) fn push_media(out: &mut String, media: &Media<'_>) {
    push_number(
        out,
        format_args!(
            r#","media":{{"track":"inbound","chunk":"{}","timestamp":"{}","payload":"#,
            media.chunk, media.timestamp_ms
        ),
    );
    push_text(out, &media.payload);
    out.push('}');
}

pub(super) fn push_mark(out: &mut String, name: &str) {
    out.push_str(r#","mark":{"name":"#);
    push_text(out, name);
    out.push('}');
}

pub(super) fn push_start(out: &mut String, start: &Start) {
    out.push_str(r#","start":{"streamSid":"#);
    push_text(out, &start.stream_sid);
    out.push_str(r#","accountSid":"#);
    push_text(out, &start.account_sid);
    out.push_str(r#","callSid":"#);
    push_text(out, &start.call_sid);
    out.push_str(r#","tracks":["inbound"],"customParameters":{"#);
    for (i, (name, value)) in start.parameters.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push_text(out, name);
        out.push(':');
        push_text(out, value);
    }
    out.push_str(r#"},"mediaFormat":{"encoding":"#);
    push_text(out, &start.format.encoding);
    push_number(
        out,
        format_args!(
            r#","sampleRate":{},"channels":{}}}}}"#,
            start.format.sample_rate_hz, start.format.channels
        ),
    );
}
