//! One conversation as the agent sees it: a pure machine. Messages and time go in, messages and the end come out.

use super::message::{self, Incoming, Initiation};
use crate::audio::{self, Ear, Heard, Manner};
use crate::pace::Pace;
use crate::scenario::{Agent, AgentFault, Dialogue, Reply, Tool};
use serde_json::{Map, Value};
use std::time::Duration;

/// Audio of one message, in bytes: half a second at speed 1.
const PIECE_BYTES: usize = 4_000;
/// Audio messages of a flood.
const FLOOD_PIECES: u64 = 500;
/// Agent turns after which a fault that happens in the middle happens.
const MIDDLE_TURNS: u32 = 2;
/// What is written for speech that has no words here.
const NO_WORDS: &str = "...";

/// What the agent does.
#[derive(Debug, PartialEq)]
pub(super) enum Out {
    Send(Value),
    /// Text or bytes that are no protocol.
    Garbage(&'static str),
    Close(u16),
    /// Break the connection without a close frame.
    Cut,
}

/// One line of the transcript.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Turn {
    pub(super) agent: bool,
    pub(super) text: String,
    pub(super) at_ms: u64,
    pub(super) interrupted: bool,
}

#[derive(Debug)]
enum State {
    /// Waits for the initiation.
    Opening,
    /// Its own words are being played, until this time by its own estimate.
    Speaking {
        until_ms: u64,
        then: Then,
    },
    /// Waits for the caller to say something.
    Listening {
        since_ms: u64,
    },
    /// The caller speaks.
    Hearing {
        words: Option<String>,
        silent_ms: u64,
    },
    /// Thinks about an answer until this time.
    Reacting {
        until_ms: u64,
    },
    /// Waits for the result of a tool.
    Calling {
        id: String,
        reply: Reply,
        waited_ms: f64,
    },
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    Listen,
    End,
}

pub(super) struct Dialog {
    pace: Pace,
    agent: Agent,
    dialogue: Dialogue,
    fault: Option<AgentFault>,
    id: String,
    state: State,
    ear: Ear,
    clock_ms: u64,
    carry_ms: f64,
    /// Real time since the conversation began, for what must not be compressed.
    waited_ms: f64,
    variables: Map<String, Value>,
    event: u64,
    next_ping_ms: f64,
    pings: Vec<u64>,
    prompts: u32,
    replies: usize,
    /// What the agent said last, when it began, and how long it lasts.
    last: Option<(String, u64, u64)>,
    last_piece: Vec<u8>,
    /// Words of the caller that came while a tool was called.
    pending: Option<String>,
    pub(super) transcript: Vec<Turn>,
    pub(super) user_turns: u32,
    pub(super) agent_turns: u32,
    pub(super) interruptions: u32,
    pub(super) tool_calls: u32,
}

/// Longest transcript that is kept, in turns.
const TRANSCRIPT_MAX: usize = 200;

impl Dialog {
    pub(super) fn new(
        id: String,
        agent: Agent,
        dialogue: Dialogue,
        fault: Option<AgentFault>,
        pace: Pace,
    ) -> Self {
        let next_ping_ms = pace.real_wait(agent.ping_ms).as_secs_f64() * 1_000.0;
        Self {
            pace,
            agent,
            dialogue,
            fault,
            id,
            state: State::Opening,
            ear: Ear::default(),
            clock_ms: 0,
            carry_ms: 0.0,
            waited_ms: 0.0,
            variables: Map::new(),
            event: 0,
            next_ping_ms,
            pings: Vec::new(),
            prompts: 0,
            replies: 0,
            last: None,
            last_piece: Vec::new(),
            pending: None,
            transcript: Vec::new(),
            user_turns: 0,
            agent_turns: 0,
            interruptions: 0,
            tool_calls: 0,
        }
    }

    pub(super) fn over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Simulated time since the conversation began.
    pub(super) fn clock_ms(&self) -> u64 {
        self.clock_ms
    }

    fn rate(&self) -> f64 {
        match self.state {
            State::Speaking { .. } | State::Reacting { .. } => self.pace.speed(),
            _ => self.pace.wait_speed(),
        }
    }

    /// Simulated time until the agent acts of itself.
    fn step_ms(&self) -> u64 {
        let until = |at_ms: u64| at_ms.saturating_sub(self.clock_ms);
        let own = match &self.state {
            State::Speaking { until_ms, .. } | State::Reacting { until_ms } => until(*until_ms),
            State::Listening { since_ms } => until(since_ms + self.agent.patience_ms),
            State::Hearing { words, silent_ms } => {
                // Words of our own have a stated end; foreign speech ends with silence, and a line that goes dead
                // in the middle of either ends the turn as well.
                let limit = if words.is_some() { self.agent.patience_ms } else { self.agent.end_of_turn_ms };
                limit.saturating_sub(*silent_ms)
            }
            State::Opening | State::Calling { .. } | State::Over => u64::MAX,
        };
        own.min(until(self.agent.duration_ms_max))
    }

    /// Real time until [`Self::pass`] has something to do.
    pub(super) fn due(&self) -> Duration {
        let step = (self.step_ms() as f64 - self.carry_ms).max(0.0) / self.rate();
        let mut real_ms = step.min(self.next_ping_ms - self.waited_ms);
        match &self.state {
            State::Opening => real_ms = real_ms.min(self.agent.initiation_wait_ms as f64 - self.waited_ms),
            State::Calling { waited_ms, .. } => {
                real_ms = real_ms.min(self.agent.tool_timeout_ms as f64 - waited_ms);
            }
            _ => {}
        }
        Duration::from_secs_f64(real_ms.clamp(0.0, 86_400_000.0) / 1_000.0)
    }

    /// Lets `real` pass.
    pub(super) fn pass(&mut self, real: Duration, out: &mut Vec<Out>) {
        let real_ms = real.as_secs_f64() * 1_000.0;
        self.waited_ms += real_ms;
        let available = real_ms * self.rate() + self.carry_ms;
        // Never past the next thing to do: what comes after it may run at another rate.
        let ms = (available.floor() as u64).min(self.step_ms());
        self.carry_ms = (available - ms as f64).clamp(0.0, 1.0);
        self.clock_ms += ms;
        if self.waited_ms >= self.next_ping_ms {
            self.ping(out);
        }
        if self.clock_ms >= self.agent.duration_ms_max {
            return self.close(1000, out);
        }
        match &mut self.state {
            State::Opening if self.waited_ms >= self.agent.initiation_wait_ms as f64 => {
                self.begin(Initiation::default(), out);
            }
            State::Speaking { until_ms, then } if self.clock_ms >= *until_ms => match then {
                Then::End => self.close(1000, out),
                Then::Listen => self.listen(),
            },
            State::Listening { since_ms } if self.clock_ms >= *since_ms + self.agent.patience_ms => {
                self.prompt(out);
            }
            State::Hearing { words, silent_ms } => {
                *silent_ms += ms;
                let limit = if words.is_some() { self.agent.patience_ms } else { self.agent.end_of_turn_ms };
                if *silent_ms >= limit {
                    self.heard(out);
                }
            }
            State::Reacting { until_ms } if self.clock_ms >= *until_ms => self.answer(out),
            State::Calling { waited_ms, .. } => {
                *waited_ms += real_ms;
                if *waited_ms >= self.agent.tool_timeout_ms as f64 {
                    self.tool_result("the tool did not answer", out);
                }
            }
            _ => {}
        }
    }

    /// Takes one message of the client.
    pub(super) fn take(&mut self, message: Incoming, out: &mut Vec<Out>) {
        if self.over() || self.fault == Some(AgentFault::NeverAnswers) {
            return;
        }
        match message {
            Incoming::Initiation(initiation) => {
                if matches!(self.state, State::Opening) {
                    self.begin(*initiation, out);
                }
            }
            Incoming::Audio(sound) => {
                for heard in self.ear.listen(&sound) {
                    self.hear(heard, out);
                }
            }
            Incoming::Pong(event) => self.pings.retain(|ping| *ping != event),
            Incoming::ToolResult { id, result, is_error: _ } => {
                if matches!(&self.state, State::Calling { id: called, .. } if *called == id) {
                    self.tool_result(&result, out);
                }
            }
            Incoming::Text(text) => {
                if !matches!(self.state, State::Opening) {
                    self.user_turn(text, out);
                }
            }
            Incoming::Activity => {
                if let State::Listening { since_ms } = &mut self.state {
                    *since_ms = self.clock_ms;
                }
            }
            Incoming::Other => {}
        }
    }

    /// A message that was no protocol.
    pub(super) fn refuse(&mut self, out: &mut Vec<Out>) {
        out.push(Out::Send(message::error(1008, "invalid_message")));
        self.close(1008, out);
    }

    fn begin(&mut self, initiation: Initiation, out: &mut Vec<Out>) {
        if self.fault == Some(AgentFault::NeverAnswers) {
            // Silence: not even the metadata.
            self.state = State::Listening { since_ms: u64::MAX / 2 };
            return;
        }
        out.push(Out::Send(message::metadata(&self.id)));
        self.variables = initiation.variables;
        let id = Value::String(self.id.clone());
        self.variables.insert("system__conversation_id".to_owned(), id);
        match self.fault {
            Some(AgentFault::Close1008) => {
                out.push(Out::Send(message::error(1008, "missing_dynamic_variable")));
                return self.close(1008, out);
            }
            Some(AgentFault::EndsAtOnce) => return self.close(1000, out),
            _ => {}
        }
        let first = initiation.first_message.unwrap_or_else(|| self.dialogue.first_message.clone());
        if first.is_empty() {
            self.listen();
        } else {
            self.say(&first, Then::Listen, out);
        }
    }

    fn listen(&mut self) {
        self.state = State::Listening { since_ms: self.clock_ms };
    }

    /// Speaks a text; its variables are filled in.
    fn say(&mut self, text: &str, then: Then, out: &mut Vec<Out>) {
        let Some(text) = fill(text, &self.variables) else {
            out.push(Out::Send(message::error(1008, "missing_dynamic_variable")));
            return self.close(1008, out);
        };
        if self.broken(out) {
            return;
        }
        self.agent_turns += 1;
        let ms = audio::speaking_ms(&text);
        let manner = if then == Then::End { Manner::FAREWELL } else { Manner::PLAIN };
        let sound = audio::sentence(&text, self.pace.audio_bytes(ms), manner);
        let ms = self.pace.audio_ms(sound.len());
        for (n, piece) in sound.chunks(PIECE_BYTES).enumerate() {
            self.event += 1;
            if n == 0 {
                out.push(Out::Send(message::agent_response(&text, self.event)));
            }
            if self.fault == Some(AgentFault::Garbage) {
                out.push(Out::Garbage(GARBAGE[(self.event as usize) % GARBAGE.len()]));
            }
            out.push(Out::Send(message::audio(piece, self.event)));
            self.last_piece = piece.to_vec();
        }
        if self.fault == Some(AgentFault::Flood) && self.agent_turns == 1 {
            for _ in 0..FLOOD_PIECES {
                self.event += 1;
                out.push(Out::Send(message::audio(&audio::beep(2 * PIECE_BYTES), self.event)));
            }
        }
        self.write(true, &text);
        self.last = Some((text, self.clock_ms, ms));
        self.state = State::Speaking { until_ms: self.clock_ms + ms, then };
    }

    /// Faults that strike in the middle of a conversation.
    fn broken(&mut self, out: &mut Vec<Out>) -> bool {
        if self.agent_turns != MIDDLE_TURNS {
            return false;
        }
        match self.fault {
            Some(AgentFault::Close1002) => {
                out.push(Out::Send(message::error(1002, "llm_timeout")));
                self.close(1002, out);
            }
            Some(AgentFault::Close1011) => self.close(1011, out),
            Some(AgentFault::Cut) => {
                out.push(Out::Cut);
                self.state = State::Over;
            }
            _ => return false,
        }
        true
    }

    fn hear(&mut self, heard: Heard, out: &mut Vec<Out>) {
        match heard {
            Heard::Started { text, manner } => {
                if self.speaking() || (manner.interrupts && self.just_spoke()) {
                    self.interrupted(out);
                }
                match &mut self.state {
                    State::Opening | State::Over => {}
                    State::Calling { .. } => self.pending = Some(text),
                    state => *state = State::Hearing { words: Some(text), silent_ms: 0 },
                }
            }
            Heard::Speech { .. } => self.not_silent(),
            Heard::Finished => {
                if matches!(self.state, State::Hearing { .. }) {
                    self.heard(out);
                }
            }
            Heard::Noise { bytes } => {
                // A click is no speech.
                if self.pace.audio_ms(bytes) < 10 && !matches!(self.state, State::Hearing { .. }) {
                    return;
                }
                if self.speaking() {
                    self.interrupted(out);
                }
                if matches!(self.state, State::Listening { .. } | State::Reacting { .. }) {
                    self.state = State::Hearing { words: None, silent_ms: 0 };
                }
                self.not_silent();
            }
            Heard::Silence { bytes } => {
                let ms = self.pace.audio_ms(bytes);
                let end_ms = self.agent.end_of_turn_ms;
                if let State::Hearing { words: None, silent_ms } = &mut self.state {
                    *silent_ms += ms;
                    if *silent_ms >= end_ms {
                        self.heard(out);
                    }
                }
            }
        }
    }

    fn not_silent(&mut self) {
        if let State::Hearing { silent_ms, .. } = &mut self.state {
            *silent_ms = 0;
        }
    }

    fn speaking(&self) -> bool {
        matches!(self.state, State::Speaking { .. })
    }

    /// Whether the agent was the last to speak.
    fn just_spoke(&self) -> bool {
        self.last.is_some() && matches!(self.state, State::Listening { .. })
    }

    fn interrupted(&mut self, out: &mut Vec<Out>) {
        self.interruptions += 1;
        let event = self.event;
        out.push(Out::Send(message::interruption(event)));
        if let Some((text, from_ms, ms)) = self.last.take() {
            let spoken = (self.clock_ms.saturating_sub(from_ms)).min(ms) as f64 / ms.max(1) as f64;
            let letters = (text.chars().count() as f64 * spoken) as usize;
            let corrected: String = text.chars().take(letters).collect();
            if let Some(turn) = self.transcript.iter_mut().rev().find(|turn| turn.agent) {
                turn.text.clone_from(&corrected);
                turn.interrupted = true;
            }
            out.push(Out::Send(message::correction(&text, &corrected, event)));
        }
        // Audio that was under way when the caller cut in: it must be dropped by its event id.
        out.push(Out::Send(message::audio(&self.last_piece, event)));
        self.listen();
    }

    /// The caller has finished a turn.
    fn heard(&mut self, out: &mut Vec<Out>) {
        if let State::Hearing { words, .. } = std::mem::replace(&mut self.state, State::Over) {
            self.user_turn(words.unwrap_or_else(|| NO_WORDS.to_owned()), out);
        }
    }

    fn user_turn(&mut self, text: String, out: &mut Vec<Out>) {
        self.user_turns += 1;
        self.prompts = 0;
        self.event += 1;
        out.push(Out::Send(message::user_transcript(&text, self.event)));
        self.write(false, &text);
        self.last = None;
        self.state = State::Reacting { until_ms: self.clock_ms + self.agent.reaction_ms };
    }

    fn answer(&mut self, out: &mut Vec<Out>) {
        let Some(reply) = self.dialogue.replies.get(self.replies).cloned() else {
            let closing = self.dialogue.closing.clone();
            if closing.is_empty() {
                return self.close(1000, out);
            }
            return self.say(&closing, Then::End, out);
        };
        self.replies += 1;
        match &reply.tool {
            None => self.say(&reply.say, Then::Listen, out),
            Some(Tool { name, parameters }) => {
                self.tool_calls += 1;
                self.event += 1;
                let id = format!("{}_tool_{}", self.id, self.tool_calls);
                out.push(Out::Send(message::tool_call(name, &id, parameters, self.event)));
                self.state = State::Calling { id, reply, waited_ms: 0.0 };
            }
        }
    }

    fn tool_result(&mut self, result: &str, out: &mut Vec<Out>) {
        if let State::Calling { reply, .. } = std::mem::replace(&mut self.state, State::Over) {
            let result: String = result.chars().take(120).collect();
            self.variables.insert("result".to_owned(), Value::String(result));
            self.say(&reply.say, Then::Listen, out);
            if let Some(text) = self.pending.take()
                && !self.over()
            {
                self.event += 1;
                out.push(Out::Send(message::user_transcript(&text, self.event)));
                self.write(false, &text);
            }
        }
    }

    fn prompt(&mut self, out: &mut Vec<Out>) {
        if self.prompts >= self.agent.prompts_max || self.dialogue.prompt.is_empty() {
            return self.close(1000, out);
        }
        self.prompts += 1;
        let prompt = self.dialogue.prompt.clone();
        self.say(&prompt, Then::Listen, out);
    }

    fn ping(&mut self, out: &mut Vec<Out>) {
        if self.fault == Some(AgentFault::NeverAnswers) || matches!(self.state, State::Opening) {
            self.next_ping_ms = self.waited_ms + self.ping_every_ms();
            return;
        }
        if self.pings.len() as u64 >= u64::from(self.agent.missed_pongs_max) {
            out.push(Out::Send(message::error(1002, "transport_receive_timeout")));
            return self.close(1002, out);
        }
        self.event += 1;
        self.pings.push(self.event);
        out.push(Out::Send(message::ping(self.event)));
        self.next_ping_ms = self.waited_ms + self.ping_every_ms();
    }

    fn ping_every_ms(&self) -> f64 {
        self.pace.real_wait(self.agent.ping_ms).as_secs_f64() * 1_000.0
    }

    fn close(&mut self, code: u16, out: &mut Vec<Out>) {
        out.push(Out::Close(code));
        self.state = State::Over;
    }

    fn write(&mut self, agent: bool, text: &str) {
        if self.transcript.len() < TRANSCRIPT_MAX {
            let turn = Turn { agent, text: text.to_owned(), at_ms: self.clock_ms, interrupted: false };
            self.transcript.push(turn);
        }
    }
}

const GARBAGE: [&str; 5] = [
    "",
    "not json",
    "{\"type\":\"weather\",\"weather_event\":{\"rain\":true}}",
    "[1,2,3]",
    "{\"type\":\"audio\"}",
];

/// Replaces every `{{name}}`. `None` when one is not known.
fn fill(text: &str, variables: &Map<String, Value>) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let Some(length) = rest[start..].find("}}") else { break };
        out.push_str(&rest[..start]);
        match variables.get(rest[start + 2..start + length].trim())? {
            Value::String(value) => out.push_str(value),
            other => out.push_str(&other.to_string()),
        }
        rest = &rest[start + length + 2..];
    }
    out.push_str(rest);
    Some(out)
}
