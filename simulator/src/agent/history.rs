//! Conversations of the past, for whoever asks about them over REST.

use super::dialog::{Dialog, Turn};
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};

/// Conversations kept.
const KEPT_MAX: usize = 2_000;

pub(super) struct Past {
    agent: String,
    user: Option<String>,
    began_ms: i64,
    duration_s: u64,
    code: Option<u16>,
    transcript: Vec<Turn>,
}

#[derive(Default)]
pub(super) struct History {
    past: HashMap<String, Past>,
    order: VecDeque<String>,
}

impl Past {
    pub(super) fn of(
        dialog: Dialog,
        agent: &str,
        user: Option<String>,
        began_ms: i64,
        code: Option<u16>,
    ) -> Self {
        Self {
            agent: agent.to_owned(),
            user,
            began_ms,
            duration_s: dialog.clock_ms() / 1_000,
            code,
            transcript: dialog.transcript,
        }
    }
}

impl History {
    pub(super) fn keep(&mut self, id: String, past: Past) {
        while self.order.len() >= KEPT_MAX {
            let Some(oldest) = self.order.pop_front() else { break };
            self.past.remove(&oldest);
        }
        self.order.push_back(id.clone());
        self.past.insert(id, past);
    }

    pub(super) fn forget(&mut self, id: &str) -> bool {
        self.order.retain(|kept| kept != id);
        self.past.remove(id).is_some()
    }

    pub(super) fn show(&self, id: &str) -> Option<Value> {
        let past = self.past.get(id)?;
        let good = past.code == Some(1000) || past.code.is_none();
        let transcript: Vec<Value> = past
            .transcript
            .iter()
            .map(|turn| {
                json!({
                    "role": if turn.agent { "agent" } else { "user" },
                    "message": turn.text,
                    "time_in_call_secs": turn.at_ms / 1_000,
                    "interrupted": turn.interrupted,
                    "tool_calls": [],
                    "tool_results": [],
                })
            })
            .collect();
        Some(json!({
            "agent_id": past.agent,
            "conversation_id": id,
            "status": if good { "done" } else { "failed" },
            "user_id": past.user,
            "has_audio": false,
            "has_user_audio": false,
            "has_response_audio": false,
            "metadata": {
                "start_time_unix_secs": past.began_ms / 1_000,
                "accepted_time_unix_secs": past.began_ms / 1_000,
                "call_duration_secs": past.duration_s,
                "cost": 0,
                "termination_reason": if good { "end_call tool" } else { "error" },
                "error": past.code.filter(|code| *code != 1000).map(|code| json!({ "code": code, "reason": "simulated" })),
            },
            "analysis": {
                "call_successful": if good { "success" } else { "failure" },
                "transcript_summary": format!("A simulated conversation of {} turns.", past.transcript.len()),
                "evaluation_criteria_results": {},
                "data_collection_results": {},
            },
            "conversation_initiation_client_data": {},
            "transcript": transcript,
        }))
    }
}
