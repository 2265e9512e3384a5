//! Recordings: a real small file for every recorded call, and the callbacks about it.

use super::Carrier;
use super::courier::Letter;
use super::life::Line;
use super::order::RecordingOrder;
use super::resource::date;
use crate::audio;
use serde_json::{Value, json};

/// Simulated time between the end of a call and its recording.
const PROCESSING_MS: u64 = 800;
/// Longest sound that a recording's file really holds, in milliseconds.
const SOUND_MS_MAX: u64 = 1_000;

/// A recording that can be fetched.
#[derive(Clone)]
pub(super) struct Recording {
    pub(super) sid: String,
    pub(super) call_sid: String,
    pub(super) duration_s: u64,
    pub(super) channels: u8,
    pub(super) created_ms: i64,
    pub(super) source: &'static str,
    pub(super) completed: bool,
}

/// The recordings of one call: at most one for the whole call, and those started over REST.
pub(super) struct Recorder {
    orders: Vec<(RecordingOrder, Option<String>)>,
    started_ms: i64,
    duration_s: u64,
}

/// Recordings of one call.
const ORDERS_MAX: usize = 8;

impl Recorder {
    pub(super) fn new(order: Option<RecordingOrder>) -> Self {
        Self { orders: order.into_iter().map(|order| (order, None)).collect(), started_ms: 0, duration_s: 0 }
    }

    pub(super) fn order(&mut self, order: RecordingOrder, sid: String) {
        if self.orders.len() < ORDERS_MAX {
            self.orders.push((order, Some(sid)));
        }
    }

    pub(super) fn end(&mut self, duration_s: u64) {
        self.duration_s = duration_s;
    }

    /// What the last status callback says of a recording of the whole call.
    pub(super) fn callback_fields(&self, carrier: &Carrier) -> Vec<(String, String)> {
        let Some((order, Some(sid))) = self.orders.first() else { return Vec::new() };
        if order.source != "OutboundAPI" {
            return Vec::new();
        }
        let url = url(carrier, sid);
        let pairs = [
            ("RecordingUrl", url),
            ("RecordingSid", sid.clone()),
            ("RecordingDuration", self.duration_s.to_string()),
        ];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

fn url(carrier: &Carrier, sid: &str) -> String {
    format!("{}/2010-04-01/Accounts/{}/Recordings/{sid}", carrier.base, carrier.account.sid)
}

impl Line {
    /// The call has been answered: what is to record it begins.
    pub(super) async fn record_in_progress(&mut self) {
        self.recorder.started_ms = self.carrier.pace.now_ms();
        let call = std::sync::Arc::clone(&self.call);
        let started_ms = self.recorder.started_ms;
        for (at, (order, sid)) in self.recorder.orders.iter_mut().enumerate() {
            let sid = sid.get_or_insert_with(|| {
                let chooser = self.carrier.chooser();
                format!("RE{}", chooser.rng("recording", &call.sid, at as u64).hex32())
            });
            self.carrier.book.lock().keep(Recording {
                sid: sid.clone(),
                call_sid: call.sid.clone(),
                duration_s: 0,
                channels: order.channels,
                created_ms: started_ms,
                source: order.source,
                completed: false,
            });
        }
        for at in 0..self.recorder.orders.len() {
            if self.recorder.orders[at].0.in_progress {
                self.recording_callback(at, "in-progress").await;
            }
        }
    }

    pub(super) async fn record_ended(&mut self) {
        for at in 0..self.recorder.orders.len() {
            let (order, Some(sid)) = &self.recorder.orders[at] else { continue };
            if let Some(recording) = self.carrier.book.lock().recordings.get_mut(sid) {
                recording.completed = true;
                recording.duration_s = self.recorder.duration_s;
            }
            if order.completed {
                self.recording_callback(at, "completed").await;
            }
        }
    }

    async fn recording_callback(&self, at: usize, status: &str) {
        let (order, Some(sid)) = &self.recorder.orders[at] else { return };
        let Some(address) = order.callback.clone() else { return };
        let mut pairs = vec![
            ("AccountSid", self.carrier.account.sid.clone()),
            ("CallSid", self.call.sid.clone()),
            ("RecordingSid", sid.clone()),
            ("RecordingUrl", url(&self.carrier, sid)),
            ("RecordingStatus", status.to_owned()),
            ("RecordingChannels", order.channels.to_string()),
            ("RecordingStartTime", date(self.recorder.started_ms)),
            ("RecordingSource", order.source.to_owned()),
            ("RecordingTrack", "both".to_owned()),
        ];
        if status == "completed" {
            pairs.push(("RecordingDuration", self.recorder.duration_s.to_string()));
        }
        let call = &self.call;
        let kind = format!("recording/{at}/{status}");
        let faults = self.carrier.chooser().other_callback(&call.plan, &call.to, call.nth, &kind);
        self.post(Letter {
            address,
            form: pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            kind: "recording",
            what: status.to_owned(),
            sequence: None,
            faults,
            after_ms: if status == "completed" { PROCESSING_MS } else { 0 },
        })
        .await;
    }
}

impl Recording {
    pub(super) fn json(&self, account_sid: &str) -> Value {
        json!({
            "sid": self.sid,
            "account_sid": account_sid,
            "call_sid": self.call_sid,
            "status": if self.completed { "completed" } else { "in-progress" },
            "duration": if self.completed { Some(self.duration_s.to_string()) } else { None },
            "channels": self.channels,
            "source": self.source,
            "date_created": date(self.created_ms),
            "start_time": date(self.created_ms),
            "api_version": "2010-04-01",
            "price": null,
            "price_unit": "USD",
            "error_code": null,
            "uri": format!("/2010-04-01/Accounts/{account_sid}/Recordings/{}.json", self.sid),
        })
    }

    /// A WAV file (8 kHz, mu-law) with up to a second of sound.
    pub(super) fn wav(&self) -> Vec<u8> {
        let samples = ((self.duration_s * 1_000).clamp(20, SOUND_MS_MAX) * 8) as usize;
        let channels = usize::from(self.channels);
        let mono = audio::sentence("recording", samples, audio::Manner::PLAIN);
        let data: Vec<u8> = mono.iter().flat_map(|sample| std::iter::repeat_n(*sample, channels)).collect();
        let (rate, block) = (8_000_u32, self.channels as u16);
        let mut out = Vec::with_capacity(58 + data.len());
        out.extend_from_slice(b"RIFF");
        out.extend_from_slice(&(50 + data.len() as u32).to_le_bytes());
        out.extend_from_slice(b"WAVEfmt ");
        out.extend_from_slice(&18_u32.to_le_bytes());
        out.extend_from_slice(&7_u16.to_le_bytes());
        out.extend_from_slice(&block.to_le_bytes());
        out.extend_from_slice(&rate.to_le_bytes());
        out.extend_from_slice(&(rate * u32::from(block)).to_le_bytes());
        out.extend_from_slice(&block.to_le_bytes());
        out.extend_from_slice(&8_u16.to_le_bytes());
        out.extend_from_slice(&0_u16.to_le_bytes());
        // Formats other than PCM have a `fact` chunk with the number of samples.
        out.extend_from_slice(b"fact");
        out.extend_from_slice(&4_u32.to_le_bytes());
        out.extend_from_slice(&(mono.len() as u32).to_le_bytes());
        out.extend_from_slice(b"data");
        out.extend_from_slice(&(data.len() as u32).to_le_bytes());
        out.extend_from_slice(&data);
        out
    }

    /// An MP3 file: silent frames (MPEG-1 layer III, 128 kbit/s, 44.1 kHz), one per 26 ms up to a second.
    pub(super) fn mp3(&self) -> Vec<u8> {
        const FRAME_BYTES: usize = 417;
        let frames = ((self.duration_s * 1_000).clamp(26, SOUND_MS_MAX) / 26) as usize;
        let mut out = Vec::with_capacity(frames * FRAME_BYTES);
        for _ in 0..frames {
            let start = out.len();
            out.extend_from_slice(&[0xff, 0xfb, 0x90, 0x64]);
            out.resize(start + FRAME_BYTES, 0);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wav_file_adds_up() {
        for channels in [1, 2] {
            let recording = Recording {
                sid: "RE1".into(),
                call_sid: "CA1".into(),
                duration_s: 9,
                channels,
                created_ms: 0,
                source: "OutboundAPI",
                completed: true,
            };
            let wav = recording.wav();
            let long =
                |at: usize| u32::from_le_bytes([wav[at], wav[at + 1], wav[at + 2], wav[at + 3]]) as usize;
            assert_eq!((&wav[..4], &wav[8..16]), (&b"RIFF"[..], &b"WAVEfmt "[..]));
            assert_eq!(long(4), wav.len() - 8);
            assert_eq!((&wav[50..54], long(54)), (&b"data"[..], wav.len() - 58));
            assert_eq!(long(46), 8_000, "one second of samples");
            assert_eq!(long(54), 8_000 * usize::from(channels));
        }
    }
}
