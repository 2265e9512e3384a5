//! Sound of the simulation: mu-law that carries its own words.
//!
//! A spoken sentence starts with a short header (marker, flags, length, text) in the audio bytes themselves and goes on
//! as a tone. Whoever receives the bytes, through whatever bridge, can therefore tell what was said and whether all of
//! it arrived: a transcript made at the other end is proof that the audio went through unchanged and in order. Sound
//! without the header (a foreign system) is told from silence by its level.

use std::sync::OnceLock;

/// Mu-law silence.
pub(crate) const SILENCE: u8 = 0xff;
const MARKER: [u8; 6] = [0x2a, 0x55, 0xd3, 0x1c, 0xa6, 0x4e];
const HEADER_BYTES: usize = MARKER.len() + 1 + 4 + 2;
/// Longest text carried in one sentence, in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 400;
/// Longest sentence that a listener believes in: two minutes at 8 kHz.
const SENTENCE_BYTES_MAX: usize = 960_000;
const FLAG_INTERRUPTS: u8 = 1;
const FLAG_FAREWELL: u8 = 2;
const TABLE_BYTES: usize = 8_000;

/// One linear sample as mu-law (ITU-T G.711).
fn mu_law(sample: i16) -> u8 {
    const BIAS: i32 = 0x84;
    const CLIP: i32 = 32_635;
    let sign = if sample < 0 { 0x80_u8 } else { 0 };
    let magnitude = i32::from(sample).abs().min(CLIP) + BIAS;
    // The bias makes bit 7 the lowest possible leading bit, and the clip makes bit 14 the highest.
    let exponent = 24 - magnitude.leading_zeros() as u8;
    let mantissa = ((magnitude >> (exponent + 3)) & 0x0f) as u8;
    !(sign | exponent << 4 | mantissa)
}

fn table(hertz: &[f64]) -> Vec<u8> {
    (0..TABLE_BYTES)
        .map(|n| {
            let at = n as f64 / 8_000.0 * std::f64::consts::TAU;
            let level: f64 = hertz.iter().map(|hz| (at * hz).sin()).sum::<f64>() / hertz.len() as f64;
            mu_law((level * 12_000.0) as i16)
        })
        .collect()
}

fn repeat(table: &[u8], bytes: usize) -> Vec<u8> {
    table.iter().copied().cycle().take(bytes).collect()
}

/// A voice-like tone of `bytes` samples.
fn hum(bytes: usize) -> Vec<u8> {
    static TABLE: OnceLock<Vec<u8>> = OnceLock::new();
    repeat(TABLE.get_or_init(|| table(&[140.0, 700.0, 1_220.0])), bytes)
}

/// The beep of an answering machine: 1 kHz.
pub(crate) fn beep(bytes: usize) -> Vec<u8> {
    static TABLE: OnceLock<Vec<u8>> = OnceLock::new();
    repeat(TABLE.get_or_init(|| table(&[1_000.0])), bytes)
}

/// The calling tone of a fax: 1,100 Hz.
pub(crate) fn fax_tone(bytes: usize) -> Vec<u8> {
    static TABLE: OnceLock<Vec<u8>> = OnceLock::new();
    repeat(TABLE.get_or_init(|| table(&[1_100.0])), bytes)
}

/// What else is heard from how a sentence is spoken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Manner {
    /// Said while the other talks.
    pub(crate) interrupts: bool,
    /// The last words: nothing is expected to follow.
    pub(crate) farewell: bool,
}

impl Manner {
    pub(crate) const PLAIN: Self = Self { interrupts: false, farewell: false };
    pub(crate) const INTERRUPTING: Self = Self { interrupts: true, farewell: false };
    pub(crate) const FAREWELL: Self = Self { interrupts: false, farewell: true };
}

/// A spoken sentence of `bytes` samples, or as many as its text needs.
pub(crate) fn sentence(text: &str, bytes: usize, manner: Manner) -> Vec<u8> {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = &text.as_bytes()[..end];
    let total = bytes.min(SENTENCE_BYTES_MAX).max(HEADER_BYTES + text.len());
    let mut out = Vec::with_capacity(total);
    out.extend_from_slice(&MARKER);
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    out.push(flag(manner.interrupts, FLAG_INTERRUPTS) | flag(manner.farewell, FLAG_FAREWELL));
    out.extend_from_slice(&(total as u32).to_le_bytes());
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text);
    out.extend(hum(total - out.len()));
    out
}

/// How long it takes to say `text`, in milliseconds: about 15 letters a second.
pub(crate) fn speaking_ms(text: &str) -> u64 {
    (text.chars().count() as u64 * 65).clamp(600, 30_000)
}

/// Whether a sample is so weak that it counts as silence.
fn quiet(byte: u8) -> bool {
    byte | 0x80 >= 0xe8
}

/// What a listener makes of the next stretch of audio. `bytes` is how much of the stretch it covers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Heard {
    /// A sentence begins; its words are known from here.
    Started {
        text: String,
        manner: Manner,
    },
    /// Part of a sentence.
    Speech {
        bytes: usize,
    },
    /// The sentence that began last is complete.
    Finished,
    /// Sound that is no sentence of ours.
    Noise {
        bytes: usize,
    },
    Silence {
        bytes: usize,
    },
}

/// Takes audio in pieces of any size and tells what is in it. Memory: at most one header.
#[derive(Default)]
pub(crate) struct Ear {
    pending: Vec<u8>,
    sentence_left: usize,
}

impl Ear {
    pub(crate) fn listen(&mut self, audio: &[u8]) -> Vec<Heard> {
        let mut out = Vec::new();
        let mut rest = audio;
        while !rest.is_empty() {
            if self.sentence_left > 0 {
                let taken = rest.len().min(self.sentence_left);
                self.sentence_left -= taken;
                rest = &rest[taken..];
                out.push(Heard::Speech { bytes: taken });
                if self.sentence_left == 0 {
                    out.push(Heard::Finished);
                }
            } else if self.pending.is_empty() {
                let start = rest.iter().position(|byte| *byte == MARKER[0]).unwrap_or(rest.len());
                sound(&rest[..start], &mut out);
                rest = &rest[start..];
                if let Some((first, tail)) = rest.split_first() {
                    self.pending.push(*first);
                    rest = tail;
                }
            } else {
                self.pending.push(rest[0]);
                rest = &rest[1..];
                self.consider(&mut out);
            }
        }
        out
    }

    /// Looks at the bytes held back since a possible marker began.
    fn consider(&mut self, out: &mut Vec<Heard>) {
        let held = self.pending.len();
        let marker = held.min(MARKER.len());
        if self.pending[..marker] != MARKER[..marker] {
            let mut held = std::mem::take(&mut self.pending);
            // The byte that broke the marker may begin the real one.
            if held.last() == Some(&MARKER[0]) {
                held.pop();
                self.pending.push(MARKER[0]);
            }
            sound(&held, out);
            return;
        }
        if held < HEADER_BYTES {
            return;
        }
        let flags = self.pending[6];
        let total = u32::from_le_bytes([self.pending[7], self.pending[8], self.pending[9], self.pending[10]])
            as usize;
        let text = usize::from(u16::from_le_bytes([self.pending[11], self.pending[12]]));
        if text > TEXT_BYTES_MAX || total > SENTENCE_BYTES_MAX || total < HEADER_BYTES + text {
            let held = std::mem::take(&mut self.pending);
            sound(&held, out);
            return;
        }
        if held < HEADER_BYTES + text {
            return;
        }
        let held = std::mem::take(&mut self.pending);
        let text = String::from_utf8_lossy(&held[HEADER_BYTES..]).into_owned();
        let manner =
            Manner { interrupts: flags & FLAG_INTERRUPTS != 0, farewell: flags & FLAG_FAREWELL != 0 };
        out.push(Heard::Started { text, manner });
        out.push(Heard::Speech { bytes: held.len() });
        self.sentence_left = total - held.len();
        if self.sentence_left == 0 {
            out.push(Heard::Finished);
        }
    }
}

/// Adds a stretch that is no sentence of ours. One loud sample in eight makes it noise.
fn sound(stretch: &[u8], out: &mut Vec<Heard>) {
    if stretch.is_empty() {
        return;
    }
    let loud = stretch.iter().filter(|byte| !quiet(**byte)).count();
    let next = if loud * 8 > stretch.len() {
        Heard::Noise { bytes: stretch.len() }
    } else {
        Heard::Silence { bytes: stretch.len() }
    };
    match (out.last_mut(), &next) {
        (Some(Heard::Noise { bytes }), Heard::Noise { bytes: more })
        | (Some(Heard::Silence { bytes }), Heard::Silence { bytes: more }) => *bytes += more,
        _ => out.push(next),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(heard: &[Heard]) -> Vec<String> {
        heard
            .iter()
            .filter_map(|heard| match heard {
                Heard::Started { text, .. } => Some(text.clone()),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn mu_law_matches_the_standard_at_known_points() {
        // Points of the G.711 table: zero, full scale both ways, and +-1000.
        assert_eq!(mu_law(0), 0xff);
        assert_eq!(mu_law(32_767), 0x80);
        assert_eq!(mu_law(-32_768), 0x00);
        assert_eq!(mu_law(1_000), 0xce);
        assert_eq!(mu_law(-1_000), 0x4e);
    }

    #[test]
    fn words_arrive_whatever_the_size_of_the_pieces() {
        let mut audio = vec![SILENCE; 50];
        audio.extend(sentence("Hello, who is this?", 1_600, Manner::PLAIN));
        audio.extend(vec![SILENCE; 70]);
        audio.extend(sentence("Grüß Gott", 10, Manner::INTERRUPTING));
        for size in [1, 3, 160, 10_000] {
            let mut ear = Ear::default();
            let heard: Vec<Heard> = audio.chunks(size).flat_map(|piece| ear.listen(piece)).collect();
            assert_eq!(words(&heard), ["Hello, who is this?", "Grüß Gott"], "pieces of {size}");
            assert_eq!(heard.iter().filter(|heard| **heard == Heard::Finished).count(), 2);
            let bytes: usize = heard
                .iter()
                .map(|heard| match heard {
                    Heard::Speech { bytes } | Heard::Noise { bytes } | Heard::Silence { bytes } => *bytes,
                    _ => 0,
                })
                .sum();
            assert_eq!(bytes, audio.len(), "pieces of {size}");
        }
    }

    #[test]
    fn foreign_sound_is_noise_and_silence_is_silence() {
        let mut ear = Ear::default();
        assert_eq!(ear.listen(&[SILENCE; 160]), [Heard::Silence { bytes: 160 }]);
        let heard = ear.listen(&beep(800));
        assert!(heard.iter().all(|heard| matches!(heard, Heard::Noise { .. })), "{heard:?}");
    }

    #[test]
    fn a_lying_header_is_noise() {
        let mut lie = MARKER.to_vec();
        lie.extend([0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        let mut ear = Ear::default();
        let heard = ear.listen(&lie);
        assert!(words(&heard).is_empty());
        assert_eq!(words(&ear.listen(&sentence("still here", 100, Manner::PLAIN))), ["still here"]);
    }

    #[test]
    fn the_hum_never_looks_like_a_sentence() {
        let mut ear = Ear::default();
        assert!(words(&ear.listen(&hum(40_000))).is_empty());
    }
}
