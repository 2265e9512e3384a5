//! Whoever picked up: a script of steps, driven by simulated time and by what is heard. Pure.

use crate::audio::{self, Manner};
use crate::log::HangUp;
use crate::pace::{FRAME_BYTES, Pace};
use crate::scenario::{CallPlan, Person, Talk};
use std::collections::VecDeque;

/// Turns that a person who waits for the agent to end answers with a murmur, before losing patience for good.
const MURMURS_MAX: usize = 20;
const CUTS_IN_AFTER_MS: u64 = 800;
const HANG_UP_AFTER_MS: u64 = 600;

enum Step {
    /// Until the other side has said something and is silent.
    Listen,
    /// One's own pause; passes at full speed.
    Pause(u64),
    /// Nothing, while the other side may do something; passes at the speed of waiting.
    Idle(u64),
    Say(String),
    /// Says it once the other side has spoken for a while without an end.
    CutIn(String),
    Beep(u64),
    FaxTone(u64),
    GreetingDone,
    HangUp(HangUp),
    /// Is lost once the other side has spoken for a while.
    Lost,
}

/// What the person hears at this moment.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Hearing {
    /// Sound is being played to the person.
    pub(super) speaking: bool,
    /// How long without a break, simulated.
    pub(super) speaking_ms: u64,
    /// Times the other side has spoken and come to an end, or was cut off.
    pub(super) turns: u64,
    /// The other side has said its last words.
    pub(super) farewell: bool,
}

/// What the person does.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Act {
    /// One frame or less of sound.
    Sound(Vec<u8>),
    /// The last piece of a sentence has been said.
    Spoke,
    GreetingDone,
    HangsUp(HangUp),
}

struct Speaking {
    audio: Vec<u8>,
    at: usize,
    /// Simulated time spent on the frame under way.
    spent_ms: u64,
    sentence: bool,
}

pub(super) struct Script {
    steps: VecDeque<Step>,
    speaking: Option<Speaking>,
    turns_seen: u64,
    /// Time spent in the step under way, or in silence while listening.
    spent_ms: u64,
    asked: bool,
    patience_ms: u64,
}

impl Script {
    /// The script of a call that is answered. `None` for people who never answer.
    pub(super) fn of(plan: &CallPlan, talk: &Talk) -> Option<Self> {
        let mut steps = VecDeque::new();
        let react = |steps: &mut VecDeque<Step>| {
            steps.push_back(Step::Listen);
            steps.push_back(Step::Pause(plan.reaction_ms));
        };
        let mut lines = plan.lines.iter().cloned();
        match plan.person {
            Person::Human | Person::Interrupter => {
                if plan.person == Person::Interrupter {
                    let line = lines.next().unwrap_or_else(|| "Wait, please.".to_owned());
                    steps.push_back(Step::CutIn(line));
                }
                for line in lines {
                    react(&mut steps);
                    steps.push_back(Step::Say(line));
                }
                if plan.hangs_up {
                    react(&mut steps);
                    steps.push_back(Step::Say("Good bye.".to_owned()));
                } else {
                    for _ in 0..MURMURS_MAX {
                        react(&mut steps);
                        steps.push_back(Step::Say("All right.".to_owned()));
                    }
                }
                // Nobody hangs up in the middle of a word.
                steps.push_back(Step::Pause(HANG_UP_AFTER_MS));
                steps.push_back(Step::HangUp(HangUp::Person));
            }
            Person::Drops => {
                react(&mut steps);
                steps.push_back(Step::Say(lines.next().unwrap_or_else(|| "Yes?".to_owned())));
                steps.push_back(Step::Lost);
            }
            Person::Silent => {
                steps.push_back(Step::Idle(talk.patience_ms.saturating_mul(3)));
                steps.push_back(Step::HangUp(HangUp::Silence));
            }
            Person::Voicemail => {
                steps.push_back(Step::Pause(400));
                steps.push_back(Step::Say(lines.next().unwrap_or_default()));
                steps.push_back(Step::Beep(600));
                steps.push_back(Step::GreetingDone);
                steps.push_back(Step::Idle(talk.record_ms));
                steps.push_back(Step::HangUp(HangUp::TapeFull));
            }
            Person::Fax => {
                for _ in 0..8 {
                    steps.push_back(Step::FaxTone(500));
                    steps.push_back(Step::Idle(3_000));
                }
                steps.push_back(Step::HangUp(HangUp::Silence));
            }
            Person::Busy
            | Person::NoAnswer
            | Person::InvalidNumber
            | Person::NotInService
            | Person::Unreachable => return None,
        }
        Some(Self {
            steps,
            speaking: None,
            turns_seen: 0,
            spent_ms: 0,
            asked: false,
            patience_ms: talk.patience_ms,
        })
    }

    /// Whether time passes at full speed for this person, or the other side is waited for.
    pub(super) fn busy(&self) -> bool {
        self.speaking.is_some() || matches!(self.steps.front(), Some(Step::Pause(_)))
    }

    pub(super) fn speaking(&self) -> bool {
        self.speaking.is_some()
    }

    /// Simulated time until the person does something if nothing new is heard; 0 for at once.
    pub(super) fn due_ms(&self, hearing: Hearing, pace: &Pace) -> u64 {
        if let Some(speaking) = &self.speaking {
            let left = (speaking.audio.len() - speaking.at).min(FRAME_BYTES);
            return pace.audio_ms(left).saturating_sub(speaking.spent_ms);
        }
        let until = |ms: u64| ms.saturating_sub(self.spent_ms);
        match self.steps.front() {
            Some(Step::Pause(ms) | Step::Idle(ms)) => until(*ms),
            Some(Step::Listen) if !hearing.speaking && hearing.turns > self.turns_seen => 0,
            Some(Step::CutIn(_) | Step::Lost) if hearing.speaking => {
                CUTS_IN_AFTER_MS.saturating_sub(hearing.speaking_ms)
            }
            Some(Step::Listen) if hearing.speaking => u64::MAX,
            Some(Step::Listen | Step::CutIn(_) | Step::Lost) => until(self.patience_ms),
            Some(Step::Say(_) | Step::Beep(_) | Step::FaxTone(_) | Step::GreetingDone | Step::HangUp(_))
            | None => 0,
        }
    }

    /// Lets `ms` pass (never more than [`Self::due_ms`] said) and does at most one thing.
    pub(super) fn pass(&mut self, ms: u64, hearing: Hearing, pace: &Pace) -> Option<Act> {
        if self.speaking.is_some() {
            return self.speak(ms, pace);
        }
        self.spent_ms = self.spent_ms.saturating_add(ms);
        let step = self.steps.front()?;
        match step {
            Step::Pause(limit) | Step::Idle(limit) => {
                if self.spent_ms >= *limit {
                    self.next();
                }
            }
            Step::Listen => {
                if hearing.speaking {
                    self.spent_ms = 0;
                } else if hearing.turns > self.turns_seen {
                    self.turns_seen = hearing.turns;
                    self.asked = false;
                    self.next();
                    if hearing.farewell {
                        // Nothing is to be said any more: whoever said good bye hangs up, or the person does.
                        self.steps = [Step::Idle(self.patience_ms), Step::HangUp(HangUp::Person)].into();
                    }
                } else {
                    return self.lose_patience(pace);
                }
            }
            Step::CutIn(line) if hearing.speaking => {
                self.spent_ms = 0;
                if hearing.speaking_ms >= CUTS_IN_AFTER_MS {
                    let audio = audio::sentence(
                        line,
                        pace.audio_bytes(audio::speaking_ms(line)),
                        Manner::INTERRUPTING,
                    );
                    self.next();
                    // What is being said now is no answer, whether it is cut off or goes on to its end.
                    self.turns_seen = hearing.turns + 1;
                    self.begin(audio, true);
                }
            }
            Step::Lost if hearing.speaking => {
                self.spent_ms = 0;
                if hearing.speaking_ms >= CUTS_IN_AFTER_MS {
                    return Some(Act::HangsUp(HangUp::Lost));
                }
            }
            // What it waited to cut into is over already: from here on as everybody else.
            Step::CutIn(line) if hearing.turns > self.turns_seen => {
                let line = line.clone();
                self.turns_seen = hearing.turns;
                self.next();
                self.steps.push_front(Step::Say(line));
            }
            Step::Lost if hearing.turns > self.turns_seen => return Some(Act::HangsUp(HangUp::Lost)),
            Step::CutIn(_) | Step::Lost => return self.lose_patience(pace),
            Step::Say(line) => {
                let audio = audio::sentence(line, pace.audio_bytes(audio::speaking_ms(line)), Manner::PLAIN);
                self.next();
                self.begin(audio, true);
            }
            Step::Beep(ms) => {
                let audio = audio::beep(pace.audio_bytes(*ms));
                self.next();
                self.begin(audio, false);
            }
            Step::FaxTone(ms) => {
                let audio = audio::fax_tone(pace.audio_bytes(*ms));
                self.next();
                self.begin(audio, false);
            }
            Step::GreetingDone => {
                self.next();
                return Some(Act::GreetingDone);
            }
            // Stays in the script: whoever asks again is told again.
            Step::HangUp(why) => return Some(Act::HangsUp(*why)),
        }
        None
    }

    fn next(&mut self) {
        self.steps.pop_front();
        self.spent_ms = 0;
    }

    fn begin(&mut self, audio: Vec<u8>, sentence: bool) {
        self.speaking = Some(Speaking { audio, at: 0, spent_ms: 0, sentence });
    }

    fn speak(&mut self, ms: u64, pace: &Pace) -> Option<Act> {
        let speaking = self.speaking.as_mut()?;
        if speaking.at >= speaking.audio.len() {
            let sentence = speaking.sentence;
            self.speaking = None;
            return sentence.then_some(Act::Spoke);
        }
        speaking.spent_ms += ms;
        let end = (speaking.at + FRAME_BYTES).min(speaking.audio.len());
        if speaking.spent_ms < pace.audio_ms(end - speaking.at) {
            return None;
        }
        let sound = speaking.audio[speaking.at..end].to_vec();
        speaking.at = end;
        speaking.spent_ms = 0;
        Some(Act::Sound(sound))
    }

    fn lose_patience(&mut self, pace: &Pace) -> Option<Act> {
        if self.spent_ms < self.patience_ms {
            return None;
        }
        if self.asked {
            return Some(Act::HangsUp(HangUp::Silence));
        }
        self.asked = true;
        self.spent_ms = 0;
        let audio = audio::sentence("Hello? Is anybody there?", pace.audio_bytes(1_500), Manner::PLAIN);
        self.begin(audio, true);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::{Ear, Heard};
    use crate::pace::SystemClock;
    use crate::scenario::{Chooser, Scenario};
    use std::sync::Arc;

    fn plan(person: Person) -> (CallPlan, Talk) {
        let scenario = Scenario::only(person);
        let talk = scenario.talk.clone();
        let mut plan = Chooser::new(1, scenario).call("+15550100", 0);
        plan.lines.truncate(2);
        plan.hangs_up = true;
        (plan, talk)
    }

    /// Runs a script against somebody who answers every sentence (and begins), until it hangs up.
    fn talk_to(person: Person, speed: f64, answers: bool) -> (Vec<String>, HangUp, u64) {
        let pace = Pace::new(speed, None, None, Arc::new(SystemClock));
        let (plan, talk) = plan(person);
        let mut script = Script::of(&plan, &talk).expect("answers");
        let mut hearing = Hearing { speaking: answers, ..Hearing::default() };
        let (mut clock_ms, mut spoken_until, mut ear, mut said) = (0, 2_000, Ear::default(), Vec::new());
        for _ in 0..1_000_000 {
            let mut step = script.due_ms(hearing, &pace).min(pace.frame_ms());
            if hearing.speaking {
                step = step.min(spoken_until - clock_ms);
            }
            clock_ms += step;
            if hearing.speaking {
                hearing.speaking_ms += step;
                if clock_ms >= spoken_until {
                    hearing = Hearing { turns: hearing.turns + 1, ..Hearing::default() };
                }
            }
            match script.pass(step, hearing, &pace) {
                Some(Act::Sound(sound)) => {
                    for heard in ear.listen(&sound) {
                        if let Heard::Started { text, manner } = heard {
                            said.push(text);
                            if manner.interrupts {
                                hearing = Hearing { turns: hearing.turns + 1, ..Hearing::default() };
                            }
                        }
                    }
                }
                Some(Act::Spoke) if answers => {
                    hearing.speaking = true;
                    spoken_until = clock_ms + 1_500;
                }
                Some(Act::HangsUp(why)) => return (said, why, clock_ms),
                _ => {}
            }
        }
        panic!("the script did not end");
    }

    #[test]
    fn a_person_says_all_lines_at_every_speed() {
        for speed in [1.0, 50.0, 1_000.0] {
            let (said, why, clock_ms) = talk_to(Person::Human, speed, true);
            assert_eq!((said.len(), why), (3, HangUp::Person), "speed {speed}");
            assert_eq!(said[2], "Good bye.");
            assert!((5_000..120_000).contains(&clock_ms), "{clock_ms} ms at speed {speed}");
        }
    }

    #[test]
    fn a_person_who_hears_nothing_asks_once_and_hangs_up() {
        let (said, why, _) = talk_to(Person::Human, 100.0, false);
        assert_eq!((said.len(), why), (1, HangUp::Silence));
    }

    #[test]
    fn an_interrupter_cuts_in_and_goes_on() {
        let (said, why, _) = talk_to(Person::Interrupter, 1.0, true);
        assert_eq!((said.len(), why), (3, HangUp::Person));
    }

    #[test]
    fn a_call_that_drops_ends_while_the_agent_speaks() {
        let (said, why, _) = talk_to(Person::Drops, 100.0, true);
        assert_eq!((said.len(), why), (1, HangUp::Lost));
    }

    #[test]
    fn a_machine_ends_when_its_tape_is_full() {
        let (said, why, clock_ms) = talk_to(Person::Voicemail, 1.0, false);
        assert_eq!((said.len(), why), (1, HangUp::TapeFull));
        assert!(clock_ms > 30_000);
    }
}
