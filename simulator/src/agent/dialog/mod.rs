//! One conversation as the agent sees it: a pure machine. Messages and time go in, messages and the end come out.

mod hear;
mod speak;
#[cfg(test)]
mod tests;

use crate::agent::message::{self, Incoming, Initiation};
use crate::audio::Ear;
use crate::pace::{Pace, real_wait};
use crate::scenario::{Agent, AgentFault, Dialogue, Reply};
use serde_json::{Map, Value};
use std::time::Duration;

/// What the agent does.
#[derive(Debug, PartialEq)]
pub(in crate::agent) enum Out {
    Send(Value),
    /// Text or bytes that are no protocol.
    Garbage(&'static str),
    Close(u16),
    /// Break the connection without a close frame.
    Cut,
}

/// One line of the transcript.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::agent) struct Turn {
    pub(in crate::agent) agent: bool,
    pub(in crate::agent) text: String,
    pub(in crate::agent) at_ms: u64,
    pub(in crate::agent) interrupted: bool,
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

pub(in crate::agent) struct Dialog {
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
    pub(in crate::agent) transcript: Vec<Turn>,
    pub(in crate::agent) user_turns: u32,
    pub(in crate::agent) agent_turns: u32,
    pub(in crate::agent) interruptions: u32,
    pub(in crate::agent) tool_calls: u32,
    pub(in crate::agent) contexts: u32,
}

/// Longest transcript that is kept, in turns.
const TRANSCRIPT_MAX: usize = 200;

impl Dialog {
    pub(in crate::agent) fn new(
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
            contexts: 0,
        }
    }

    pub(in crate::agent) fn over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Simulated time since the conversation began.
    pub(in crate::agent) fn clock_ms(&self) -> u64 {
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
    pub(in crate::agent) fn due(&self) -> Duration {
        let step = (self.step_ms() as f64 - self.carry_ms).max(0.0) / self.rate();
        let mut real_ms = step.min(self.next_ping_ms - self.waited_ms);
        match &self.state {
            State::Opening => real_ms = real_ms.min(self.agent.initiation_wait_ms as f64 - self.waited_ms),
            State::Calling { waited_ms, .. } => {
                real_ms = real_ms.min(self.agent.tool_timeout_ms as f64 - waited_ms);
            }
            _ => {}
        }
        real_wait(real_ms)
    }

    /// Lets `real` pass.
    pub(in crate::agent) fn pass(&mut self, real: Duration, out: &mut Vec<Out>) {
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
    pub(in crate::agent) fn take(&mut self, message: Incoming, out: &mut Vec<Out>) {
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
            Incoming::Context => self.contexts += 1,
            Incoming::Other => {}
        }
    }

    /// A message that was no protocol.
    pub(in crate::agent) fn refuse(&mut self, out: &mut Vec<Out>) {
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
        if initiation.first_message.is_some() && self.dialogue.insists_on_first_message {
            out.push(Out::Send(message::error(1008, "override_error")));
            return self.close(1008, out);
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
