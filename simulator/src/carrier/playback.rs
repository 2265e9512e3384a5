//! What is being played to the person: sound as lengths, marks in their places. The bytes themselves are not kept. Pure.

use crate::audio::{self, Ear, Heard, Manner};
use std::collections::VecDeque;

/// Sound that may wait to be played, in samples (ten minutes at 8 kHz). More is dropped and counted.
const SAMPLES_MAX: u64 = 8_000 * 600;
const MARKS_MAX: usize = 1_000;
/// Sound without our header counts as one sentence when this much silence follows it.
const FOREIGN_GAP_MS: u64 = 700;

enum Item {
    Sound { samples: u64, loud: bool },
    Mark(String),
    Sentence { text: String, manner: Manner },
}

/// What was played in a stretch of time.
#[derive(Default, Debug)]
pub(super) struct Played {
    /// Marks whose sound has been played, in order.
    pub(super) marks: Vec<String>,
    /// Sentences heard to their end.
    pub(super) sentences: Vec<String>,
}

#[derive(Default)]
pub(super) struct Playback {
    items: VecDeque<Item>,
    samples: u64,
    marks: usize,
    ear: Ear,
    stride: u64,
    /// Words of the sentence that is arriving.
    arriving: Option<(String, Manner)>,
    /// How long sound has been playing without a break.
    speaking_ms: u64,
    /// Foreign sound was played, and for how long there has been silence since.
    foreign_gap_ms: Option<u64>,
    turns: u64,
    farewell: bool,
    /// Bytes that did not fit.
    pub(super) dropped: u64,
}

impl Playback {
    pub(super) fn new(stride: u64) -> Self {
        Self { stride, ..Self::default() }
    }

    /// Audio from the media socket.
    pub(super) fn audio(&mut self, bytes: &[u8]) {
        if self.samples + bytes.len() as u64 * self.stride > SAMPLES_MAX {
            self.dropped += bytes.len() as u64;
            return;
        }
        for heard in self.ear.listen(bytes) {
            match heard {
                Heard::Started { text, manner } => self.arriving = Some((text, manner)),
                Heard::Speech { bytes } => self.sound(bytes as u64 * self.stride, false),
                Heard::Noise { bytes } => self.sound(bytes as u64 * self.stride, true),
                // Silence is sound too, but nobody takes it for speech.
                Heard::Silence { bytes } => self.sound(bytes as u64 * self.stride, false),
                Heard::Finished => {
                    let (text, manner) = self.arriving.take().unwrap_or_default();
                    self.items.push_back(Item::Sentence { text, manner });
                }
            }
        }
    }

    /// A sentence of the carrier's own voice (`<Say>`).
    pub(super) fn say(&mut self, text: &str) {
        self.sound(audio::speaking_ms(text) * 8, false);
        self.items.push_back(Item::Sentence { text: text.to_owned(), manner: Manner::PLAIN });
    }

    /// A recording of `ms` (`<Play>`).
    pub(super) fn play(&mut self, name: &str, ms: u64) {
        self.sound(ms * 8, false);
        self.items.push_back(Item::Sentence { text: name.to_owned(), manner: Manner::PLAIN });
    }

    fn sound(&mut self, samples: u64, loud: bool) {
        self.samples += samples;
        match self.items.back_mut() {
            Some(Item::Sound { samples: before, loud: same }) if *same == loud => *before += samples,
            _ => self.items.push_back(Item::Sound { samples, loud }),
        }
    }

    /// A mark: given back by [`Self::pass`] once everything before it has been played. `false` when there are too many.
    pub(super) fn mark(&mut self, name: String) -> bool {
        if self.marks >= MARKS_MAX {
            return false;
        }
        self.marks += 1;
        self.items.push_back(Item::Mark(name));
        true
    }

    /// Empties the buffer; the marks in it are given back at once. A sentence cut off by it is a turn that has ended.
    pub(super) fn clear(&mut self) -> Vec<String> {
        if self.playing() || self.foreign_gap_ms.is_some() {
            self.turns += 1;
        }
        self.foreign_gap_ms = None;
        self.samples = 0;
        self.marks = 0;
        self.speaking_ms = 0;
        self.arriving = None;
        self.ear = Ear::default();
        let items = std::mem::take(&mut self.items);
        items
            .into_iter()
            .filter_map(|item| if let Item::Mark(name) = item { Some(name) } else { None })
            .collect()
    }

    pub(super) fn playing(&self) -> bool {
        self.samples > 0
    }

    pub(super) fn speaking_ms(&self) -> u64 {
        self.speaking_ms
    }

    /// Times sound came to its end, or was cut off.
    pub(super) fn turns(&self) -> u64 {
        self.turns
    }

    /// Whether the other side has said its last words.
    pub(super) fn farewell(&self) -> bool {
        self.farewell
    }

    /// Simulated time until something is to be told: a mark, the end of a sentence, the end of all sound.
    pub(super) fn due_ms(&self) -> u64 {
        match (self.items.front(), self.foreign_gap_ms) {
            (Some(Item::Sound { samples, .. }), _) => samples.div_ceil(8),
            (Some(_), _) => 0,
            (None, Some(gap_ms)) => FOREIGN_GAP_MS.saturating_sub(gap_ms),
            (None, None) => u64::MAX,
        }
    }

    /// Plays for `ms`.
    pub(super) fn pass(&mut self, ms: u64) -> Played {
        let mut played = Played::default();
        let mut left = ms.saturating_mul(8);
        let mut sounded = false;
        while let Some(item) = self.items.front_mut() {
            match item {
                Item::Sound { samples, loud } => {
                    if left == 0 {
                        break;
                    }
                    let step = left.min(*samples);
                    *samples -= step;
                    self.samples -= step;
                    left -= step;
                    sounded = true;
                    if *loud {
                        self.foreign_gap_ms = Some(0);
                    }
                    if *samples == 0 {
                        self.items.pop_front();
                    }
                }
                Item::Mark(_) | Item::Sentence { .. } => match self.items.pop_front() {
                    Some(Item::Mark(name)) => {
                        self.marks -= 1;
                        played.marks.push(name);
                    }
                    Some(Item::Sentence { text, manner }) => {
                        self.turns += 1;
                        self.farewell |= manner.farewell;
                        self.foreign_gap_ms = None;
                        played.sentences.push(text);
                    }
                    _ => {}
                },
            }
        }
        self.speaking_ms = if self.playing() && sounded { self.speaking_ms + ms } else { 0 };
        if !sounded && let Some(gap_ms) = &mut self.foreign_gap_ms {
            *gap_ms += ms;
            if *gap_ms >= FOREIGN_GAP_MS {
                self.foreign_gap_ms = None;
                self.turns += 1;
            }
        }
        played
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_come_back_when_their_sound_has_been_played() {
        let mut playback = Playback::new(1);
        assert!(playback.mark("first".into()));
        playback.audio(&audio::sentence("one", 1_600, Manner::PLAIN));
        assert!(playback.mark("second".into()));
        playback.audio(&audio::sentence("two", 800, Manner::PLAIN));
        assert_eq!(playback.pass(0).marks, ["first"]);
        assert_eq!(playback.due_ms(), 200);
        assert!(playback.pass(199).marks.is_empty());
        assert!(playback.playing());
        let played = playback.pass(1);
        assert_eq!((played.marks, played.sentences), (vec!["second".to_owned()], vec!["one".to_owned()]));
        assert_eq!(playback.pass(100).sentences, ["two"]);
        assert_eq!((playback.playing(), playback.turns(), playback.due_ms()), (false, 2, u64::MAX));
    }

    #[test]
    fn clear_gives_the_marks_back_and_forgets_the_sound() {
        let mut playback = Playback::new(1);
        playback.audio(&audio::sentence("never heard", 8_000, Manner::PLAIN));
        assert!(playback.mark("m".into()));
        assert_eq!(playback.clear(), ["m"]);
        assert!(!playback.playing());
        assert!(playback.pass(10_000).sentences.is_empty());
        assert_eq!(playback.turns(), 1);
        assert!(playback.clear().is_empty());
        assert_eq!(playback.turns(), 1, "nothing was cut off");
        playback.audio(&audio::sentence("heard", 80, Manner::PLAIN));
        assert_eq!(playback.pass(10_000).sentences, ["heard"]);
    }

    #[test]
    fn foreign_sound_is_one_turn_once_it_stops() {
        let mut playback = Playback::new(1);
        playback.audio(&audio::beep(1_600));
        playback.pass(200);
        assert_eq!((playback.turns(), playback.due_ms()), (0, FOREIGN_GAP_MS));
        playback.pass(FOREIGN_GAP_MS);
        assert_eq!((playback.turns(), playback.due_ms()), (1, u64::MAX));
    }

    #[test]
    fn a_flood_is_bounded() {
        let mut playback = Playback::new(1);
        for _ in 0..10_000 {
            playback.audio(&[0x80; 8_000]);
            playback.mark("m".into());
        }
        assert!(playback.samples <= SAMPLES_MAX);
        assert!(playback.dropped > 0);
        assert_eq!(playback.clear().len(), MARKS_MAX);
    }
}
