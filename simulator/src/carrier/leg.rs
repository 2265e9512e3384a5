//! The answered leg of a call: the person, what is played to them, and the clocks that run with it. Pure: the task of
//! the call lets time pass and performs what comes of it.

use super::person::{Act, Hearing, Script};
use super::playback::Playback;
use crate::audio::SILENCE;
use crate::log::{HangUp, Verdict};
use crate::pace::{FRAME_BYTES, Pace, real_wait};
use crate::scenario::{CallPlan, Fault, Person};
use std::time::Duration;

/// Silent frames of one call: ten minutes of them. Afterwards only speech is sent.
const SILENT_FRAMES_MAX: u32 = 30_000;
/// Answering machine detection gives up on a silent line after this.
const SILENCE_TIMEOUT_MS: u64 = 5_000;

/// Answering machine detection under way.
pub(super) struct Detection {
    /// `DetectMessageEnd` rather than `Enable`.
    pub(super) until_message_end: bool,
    pub(super) timeout_ms: u64,
}

/// What came of letting time pass.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Happening {
    /// A frame of 160 bytes from the person, speech or silence, and when it was complete.
    Frame {
        sound: Vec<u8>,
        at_ms: u64,
    },
    /// Marks whose sound has been played.
    Marks(Vec<String>),
    /// The verdict of answering machine detection, and how long it took.
    Detected(Verdict, u64),
    HungUp(HangUp),
}

pub(super) struct Leg {
    pace: Pace,
    clock_ms: u64,
    carry_ms: f64,
    script: Script,
    pub(super) playback: Playback,
    verdict: Option<(Verdict, u64)>,
    verdict_at_beep: Option<Verdict>,
    limit_ms: u64,
    owed_ms: u64,
    silent_frames_left: u32,
    after_beep: bool,
    /// The carrier passes time on its own (`<Pause>`) until this.
    pause_until_ms: Option<u64>,
    /// Sentences said by the person and heard by them, to the end.
    pub(super) said: u32,
    pub(super) heard: u32,
    /// What a machine recorded after its beep.
    pub(super) message: Option<String>,
}

impl Leg {
    pub(super) fn new(pace: Pace, script: Script, limit_ms: u64) -> Self {
        let playback = Playback::new(pace.stride());
        Self {
            pace,
            clock_ms: 0,
            carry_ms: 0.0,
            script,
            playback,
            verdict: None,
            verdict_at_beep: None,
            limit_ms,
            owed_ms: 0,
            silent_frames_left: SILENT_FRAMES_MAX,
            after_beep: false,
            pause_until_ms: None,
            said: 0,
            heard: 0,
            message: None,
        }
    }

    /// Begins answering machine detection.
    pub(super) fn detect(&mut self, detection: &Detection, plan: &CallPlan) {
        let end = detection.until_message_end;
        let (truth, at_ms) = match plan.person {
            Person::Voicemail if end => (Verdict::MachineEndBeep, detection.timeout_ms),
            Person::Voicemail => (Verdict::MachineStart, plan.detection_ms),
            Person::Fax => (Verdict::Fax, plan.detection_ms),
            Person::Silent => (Verdict::Unknown, SILENCE_TIMEOUT_MS),
            _ => (Verdict::Human, plan.detection_ms),
        };
        let (verdict, at_ms) = if plan.has(Fault::AmdUnknown) {
            (Verdict::Unknown, plan.detection_ms)
        } else if plan.has(Fault::AmdWrong) {
            let wrong = match truth {
                Verdict::Human if end => Verdict::MachineEndSilence,
                Verdict::Human => Verdict::MachineStart,
                _ => Verdict::Human,
            };
            (wrong, plan.detection_ms)
        } else if truth == Verdict::MachineEndBeep {
            self.verdict_at_beep = Some(truth);
            // Only when the greeting outlasts the timeout.
            (Verdict::Unknown, at_ms)
        } else {
            (truth, at_ms)
        };
        self.verdict = Some((verdict, self.clock_ms + at_ms.min(detection.timeout_ms)));
    }

    /// Whether a verdict is still to come.
    pub(super) fn detecting(&self) -> bool {
        self.verdict.is_some()
    }

    /// Simulated time since the answer.
    pub(super) fn clock_ms(&self) -> u64 {
        self.clock_ms
    }

    /// Begins a pause of the carrier's own.
    pub(super) fn pause(&mut self, ms: u64) {
        self.pause_until_ms = Some(self.clock_ms.saturating_add(ms));
    }

    /// Whether such a pause goes on.
    pub(super) fn pausing(&self) -> bool {
        self.pause_until_ms.is_some()
    }

    /// Ends it early.
    pub(super) fn end_pause(&mut self) {
        self.pause_until_ms = None;
    }

    pub(super) fn limit(&mut self, limit_ms: u64) {
        self.limit_ms = limit_ms;
    }

    fn hearing(&self) -> Hearing {
        Hearing {
            speaking: self.playback.playing(),
            speaking_ms: self.playback.speaking_ms(),
            turns: self.playback.turns(),
            farewell: self.playback.farewell(),
        }
    }

    /// Simulated milliseconds per real millisecond just now.
    fn rate(&self) -> f64 {
        if self.pausing() || self.playback.playing() || self.script.busy() {
            self.pace.speed()
        } else {
            self.pace.wait_speed()
        }
    }

    /// Simulated time until the next thing happens, or the next frame is owed.
    fn step_ms(&self) -> u64 {
        let mut step = self
            .script
            .due_ms(self.hearing(), &self.pace)
            .min(self.playback.due_ms())
            .min(self.limit_ms.saturating_sub(self.clock_ms));
        if let Some((_, at_ms)) = self.verdict {
            step = step.min(at_ms.saturating_sub(self.clock_ms));
        }
        if let Some(until_ms) = self.pause_until_ms {
            step = step.min(until_ms.saturating_sub(self.clock_ms));
        }
        if !self.script.speaking() && self.silent_frames_left > 0 {
            step = step.min(self.pace.silence_ms().saturating_sub(self.owed_ms).max(1));
        }
        step
    }

    /// Real time until [`Self::pass`] has something to do.
    pub(super) fn due(&self) -> Duration {
        real_wait((self.step_ms() as f64 - self.carry_ms) / self.rate())
    }

    /// Lets up to `real` pass, stopping at the first thing that happens. Returns what is left of `real`.
    pub(super) fn pass(&mut self, real: Duration, out: &mut Vec<Happening>) -> Duration {
        let rate = self.rate();
        let step = self.step_ms();
        let available = real.as_secs_f64() * 1_000.0 * rate + self.carry_ms;
        if available < step as f64 {
            let whole = available.floor();
            self.carry_ms = available - whole;
            self.advance(whole as u64, out);
            return Duration::ZERO;
        }
        let used = ((step as f64 - self.carry_ms).max(0.0) / rate / 1_000.0).min(real.as_secs_f64());
        self.carry_ms = 0.0;
        self.advance(step, out);
        real.saturating_sub(Duration::from_secs_f64(used))
    }

    fn advance(&mut self, ms: u64, out: &mut Vec<Happening>) {
        self.clock_ms += ms;
        let played = self.playback.pass(ms);
        if !played.marks.is_empty() {
            out.push(Happening::Marks(played.marks));
        }
        self.heard += played.sentences.len() as u32;
        if self.after_beep
            && let Some(text) = played.sentences.into_iter().next_back()
        {
            self.message = Some(text);
        }
        let spoke = self.script.speaking();
        match self.script.pass(ms, self.hearing(), &self.pace) {
            Some(Act::Sound(mut sound)) => {
                sound.resize(FRAME_BYTES, SILENCE);
                self.owed_ms = 0;
                out.push(Happening::Frame { sound, at_ms: self.clock_ms });
            }
            Some(Act::Spoke) => self.said += 1,
            Some(Act::GreetingDone) => {
                self.after_beep = true;
                if let Some(verdict) = self.verdict_at_beep.take() {
                    self.verdict = Some((verdict, self.clock_ms));
                }
            }
            Some(Act::HangsUp(why)) => out.push(Happening::HungUp(why)),
            None => {}
        }
        if !spoke && !self.script.speaking() {
            self.owed_ms += ms;
            if self.owed_ms >= self.pace.silence_ms() && self.silent_frames_left > 0 {
                self.owed_ms = 0;
                self.silent_frames_left -= 1;
                let sound = vec![SILENCE; FRAME_BYTES];
                out.push(Happening::Frame { sound, at_ms: self.clock_ms });
            }
        }
        if let Some((verdict, at_ms)) = self.verdict
            && self.clock_ms >= at_ms
        {
            self.verdict = None;
            self.verdict_at_beep = None;
            out.push(Happening::Detected(verdict, self.clock_ms));
        }
        if self.pause_until_ms.is_some_and(|until_ms| self.clock_ms >= until_ms) {
            self.pause_until_ms = None;
        }
        if self.clock_ms >= self.limit_ms {
            out.push(Happening::HungUp(HangUp::TimeLimit));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pace::SystemClock;
    use crate::scenario::{Chooser, Scenario};
    use std::sync::Arc;

    fn leg(person: Person, speed: f64, limit_ms: u64) -> (Leg, CallPlan) {
        let pace = Pace::new(speed, None, None, Arc::new(SystemClock));
        let scenario = Scenario::only(person);
        let talk = scenario.talk.clone();
        let plan = Chooser::new(1, scenario).call("+15550100", 0);
        let script = Script::of(&plan, &talk).expect("answers");
        (Leg::new(pace, script, limit_ms), plan)
    }

    /// Lets time pass in pieces until the person hangs up; tells what happened and when.
    fn run(leg: &mut Leg, pieces: impl Fn(&Leg) -> Duration) -> Vec<(u64, Happening)> {
        let mut out = Vec::new();
        for _ in 0..1_000_000 {
            let mut left = pieces(leg);
            let mut happened = Vec::new();
            for _ in 0..1_000 {
                left = leg.pass(left, &mut happened);
                out.extend(happened.drain(..).map(|happening| (leg.clock_ms(), happening)));
                if matches!(out.last(), Some((_, Happening::HungUp(_)))) {
                    return out;
                }
                if left.is_zero() {
                    break;
                }
            }
        }
        panic!("nobody hangs up");
    }

    #[test]
    fn what_happens_does_not_depend_on_how_often_one_looks() {
        let detection = Detection { until_message_end: true, timeout_ms: 30_000 };
        for speed in [1.0, 40.0] {
            let through = |pieces: &dyn Fn(&Leg) -> Duration| {
                let (mut leg, plan) = leg(Person::Voicemail, speed, 3_600_000);
                leg.detect(&detection, &plan);
                run(&mut leg, pieces)
            };
            let first = through(&|leg| leg.due());
            assert!(
                first.iter().any(|(_, what)| matches!(what, Happening::Detected(Verdict::MachineEndBeep, _)))
            );
            assert_eq!(first, through(&|_| Duration::from_micros(700)), "speed {speed}");
            assert_eq!(first, through(&|_| Duration::from_millis(333)), "speed {speed}");
        }
    }

    #[test]
    fn the_verdict_on_a_person_comes_at_its_time() {
        let (mut leg, plan) = leg(Person::Human, 1.0, 3_600_000);
        leg.detect(&Detection { until_message_end: false, timeout_ms: 30_000 }, &plan);
        let happened = run(&mut leg, Leg::due);
        let verdict = happened.iter().find(|(_, what)| matches!(what, Happening::Detected(..)));
        assert_eq!(
            verdict,
            Some(&(plan.detection_ms, Happening::Detected(Verdict::Human, plan.detection_ms)))
        );
    }

    #[test]
    fn the_time_limit_ends_the_call() {
        let (mut leg, _) = leg(Person::Voicemail, 1_000.0, 2_500);
        let happened = run(&mut leg, Leg::due);
        assert_eq!(happened.last(), Some(&(2_500, Happening::HungUp(HangUp::TimeLimit))));
    }
}
