//! What the agent says, by its dialogue and by its faults.

use super::{Dialog, Out, State, Then};
use crate::agent::message;
use crate::audio::{self, Manner};
use crate::scenario::{AgentFault, Tool};
use serde_json::{Map, Value};

/// Audio of one message, in bytes: half a second at speed 1.
const PIECE_BYTES: usize = 4_000;
/// Audio messages of a flood.
const FLOOD_PIECES: u64 = 500;
/// Agent turns after which a fault that happens in the middle happens.
const MIDDLE_TURNS: u32 = 2;

impl Dialog {
    /// Speaks a text; its variables are filled in.
    pub(super) fn say(&mut self, text: &str, then: Then, out: &mut Vec<Out>) {
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
    pub(super) fn broken(&mut self, out: &mut Vec<Out>) -> bool {
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

    pub(super) fn answer(&mut self, out: &mut Vec<Out>) {
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

    pub(super) fn tool_result(&mut self, result: &str, out: &mut Vec<Out>) {
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

    pub(super) fn prompt(&mut self, out: &mut Vec<Out>) {
        if self.prompts >= self.agent.prompts_max || self.dialogue.prompt.is_empty() {
            return self.close(1000, out);
        }
        self.prompts += 1;
        let prompt = self.dialogue.prompt.clone();
        self.say(&prompt, Then::Listen, out);
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
pub(super) fn fill(text: &str, variables: &Map<String, Value>) -> Option<String> {
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
