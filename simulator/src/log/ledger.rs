//! The log summed up: a fold over its entries, the same for the live log and for one read back from its file.

use super::entry::{Entry, Event, HangUp, Post};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Attempts and numbers named as examples of a violation.
const EXAMPLES_MAX: usize = 20;
const WINDOW_MS: i64 = 1_000;

/// Counts of everything that happened.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Create POSTs, whatever was answered.
    pub posts: u64,
    /// Of them by the status answered; `cut` for none.
    pub posts_by_answer: BTreeMap<String, u64>,
    /// Attempts that were named by at least one POST.
    pub attempts: u64,
    /// Attempts with more than one POST, refused ones included.
    pub double_dials: u64,
    /// Attempts for which more than one call came to exist.
    pub double_calls: u64,
    /// Some of the attempts behind `double_dials`.
    pub double_dialed: Vec<String>,
    /// POSTs that named no attempt.
    pub posts_without_attempt: u64,
    /// Calls that came to exist.
    pub calls: u64,
    pub live_calls: u64,
    pub live_calls_max: u64,
    /// By final status.
    pub calls_by_end: BTreeMap<String, u64>,
    /// By who or what ended them.
    pub calls_by_hang_up: BTreeMap<String, u64>,
    /// Calls that were answered.
    pub answered: u64,
    pub talk_ms: u64,
    /// Verdicts of answering machine detection.
    pub answered_by: BTreeMap<String, u64>,
    /// Messages that machines recorded after the beep.
    pub messages_left: u64,
    /// Times a call began to a number that had a live call already.
    pub overlaps_by_number: u64,
    /// The same within one campaign, where the status callback names it (`campaign=` in its query).
    pub overlaps_by_campaign: u64,
    /// Media sockets opened.
    pub conversations: u64,
    pub live_conversations: u64,
    pub live_conversations_max: u64,
    /// Media sockets refused or not reached.
    pub conversations_refused: u64,
    /// Attempts served on more than one media socket, one after the other or at once.
    pub attempts_with_several_conversations: u64,
    /// Media sockets opened on purpose beside the first that were nevertheless served with audio.
    pub second_sockets_served: u64,
    /// Times a call went on after its media socket had closed, and how long nothing was heard: real milliseconds
    /// from the close to the first sound on the next socket.
    #[serde(default)]
    pub reattached: u64,
    #[serde(default)]
    pub dead_air_ms_p50: u64,
    #[serde(default)]
    pub dead_air_ms_p99: u64,
    #[serde(default)]
    pub dead_air_ms_max: u64,
    /// Conversations with the voice agent.
    pub agent_conversations: u64,
    pub live_agent_conversations: u64,
    pub live_agent_conversations_max: u64,
    pub agent_closes: BTreeMap<String, u64>,
    /// Most POSTs within any second.
    pub posts_per_s_max: u64,
    pub callbacks: u64,
    /// By outcome: the status answered, `withheld`, `timed_out`, `failed`, `bad_url`.
    pub callbacks_by_outcome: BTreeMap<String, u64>,
    pub documents: u64,
    pub documents_failed: u64,
    /// Entries counted.
    pub entries: u64,
    /// Entries that could not be written to the file.
    pub unwritten: u64,
}

#[derive(Default)]
struct Attempt {
    posts: u32,
    calls: u32,
    served: u32,
}

struct Live {
    to: String,
    campaign: Option<String>,
}

/// The running state of the fold. Memory: one small row per attempt, one per live call.
#[derive(Default)]
pub(super) struct Ledger {
    summary: Summary,
    attempts: HashMap<String, Attempt>,
    live: HashMap<String, Live>,
    by_number: HashMap<String, u32>,
    by_campaign: HashMap<(String, String), u32>,
    window: VecDeque<i64>,
    /// The newest of them, for quantiles.
    dead_air_ms: VecDeque<u64>,
}

/// Times that quantiles are taken of.
const TIMES_MAX: usize = 10_000;

/// The value below which so many percent of them lie; 0 of none.
fn quantile(sorted: &[u64], percent: usize) -> u64 {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or(0)
}

fn count(map: &mut BTreeMap<String, u64>, key: impl Into<String>) {
    *map.entry(key.into()).or_default() += 1;
}

/// The name that a unit variant has in JSON.
fn name(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        Ok(serde_json::Value::Object(map)) => {
            map.into_iter().next().map_or_else(String::new, |(_, inner)| inner.to_string())
        }
        _ => String::new(),
    }
}

impl Ledger {
    pub(super) fn summary(&self) -> Summary {
        let mut sorted: Vec<u64> = self.dead_air_ms.iter().copied().collect();
        sorted.sort_unstable();
        Summary {
            dead_air_ms_p50: quantile(&sorted, 50),
            dead_air_ms_p99: quantile(&sorted, 99),
            ..self.summary.clone()
        }
    }

    pub(super) fn apply(&mut self, entry: &Entry) {
        self.summary.entries += 1;
        let summary = &mut self.summary;
        match &entry.event {
            Event::Started { .. } => {
                // Whatever lived in an earlier simulator died with it.
                self.live.clear();
                self.by_number.clear();
                self.by_campaign.clear();
                summary.live_calls = 0;
                summary.live_conversations = 0;
                summary.live_agent_conversations = 0;
            }
            Event::Post(post) => self.post(entry.at_ms, post),
            Event::CallCreated { sid, to, attempt, campaign, .. } => {
                self.created(sid, to, attempt.as_deref(), campaign.as_deref());
            }
            Event::CallProgressed { status, .. } => {
                if status == "in-progress" {
                    summary.answered += 1;
                }
            }
            Event::CallEnded(end) => {
                count(&mut summary.calls_by_end, &end.status);
                if end.by != HangUp::NotAnswered {
                    count(&mut summary.calls_by_hang_up, name(&end.by));
                }
                summary.talk_ms += end.talk_ms;
                summary.messages_left += u64::from(end.message.is_some());
                self.ended(&end.sid);
            }
            Event::Detected { answered_by, .. } => count(&mut summary.answered_by, answered_by.as_str()),
            Event::Callback(callback) => {
                summary.callbacks += 1;
                count(&mut summary.callbacks_by_outcome, name(&callback.outcome));
            }
            Event::Document { outcome, .. } => {
                summary.documents += 1;
                if !matches!(outcome, super::Delivery::Answered(200..=299)) {
                    summary.documents_failed += 1;
                }
            }
            Event::ConversationOpened { .. } => {
                summary.conversations += 1;
                summary.live_conversations += 1;
                summary.live_conversations_max =
                    summary.live_conversations_max.max(summary.live_conversations);
            }
            Event::ConversationRefused { .. } => summary.conversations_refused += 1,
            Event::ConversationClosed(end) => {
                summary.live_conversations = summary.live_conversations.saturating_sub(1);
                let served = end.frames_received > 0;
                summary.second_sockets_served += u64::from(served && end.second);
                if served && let Some(attempt) = &end.attempt {
                    let attempt = self.attempts.entry(attempt.clone()).or_default();
                    attempt.served += 1;
                    summary.attempts_with_several_conversations += u64::from(attempt.served == 2);
                }
            }
            Event::Reattached { dead_air_ms, .. } => {
                summary.reattached += 1;
                summary.dead_air_ms_max = summary.dead_air_ms_max.max(*dead_air_ms);
                if self.dead_air_ms.len() == TIMES_MAX {
                    self.dead_air_ms.pop_front();
                }
                self.dead_air_ms.push_back(*dead_air_ms);
            }
            Event::AgentConversationOpened { .. } => {
                summary.agent_conversations += 1;
                summary.live_agent_conversations += 1;
                summary.live_agent_conversations_max =
                    summary.live_agent_conversations_max.max(summary.live_agent_conversations);
            }
            Event::AgentConversationClosed(end) => {
                summary.live_agent_conversations = summary.live_agent_conversations.saturating_sub(1);
                let code = end.code.map_or_else(|| "none".to_owned(), |code| code.to_string());
                count(&mut summary.agent_closes, format!("{} {code}", end.by));
            }
            Event::Updated { .. }
            | Event::AgentRefused { .. }
            | Event::AccountChanged { .. }
            | Event::ScenarioChanged => {}
        }
    }

    fn post(&mut self, at_ms: i64, post: &Post) {
        let summary = &mut self.summary;
        summary.posts += 1;
        let answer = if post.status == 0 { "cut".to_owned() } else { post.status.to_string() };
        count(&mut summary.posts_by_answer, answer);
        match &post.attempt {
            None => summary.posts_without_attempt += 1,
            Some(attempt) => {
                let row = self.attempts.entry(attempt.clone()).or_default();
                row.posts += 1;
                summary.attempts += u64::from(row.posts == 1);
                if row.posts == 2 {
                    summary.double_dials += 1;
                    if summary.double_dialed.len() < EXAMPLES_MAX {
                        summary.double_dialed.push(attempt.clone());
                    }
                }
            }
        }
        self.window.push_back(at_ms);
        while self.window.front().is_some_and(|first| at_ms - first >= WINDOW_MS) {
            self.window.pop_front();
        }
        summary.posts_per_s_max = summary.posts_per_s_max.max(self.window.len() as u64);
    }

    fn created(&mut self, sid: &str, to: &str, attempt: Option<&str>, campaign: Option<&str>) {
        let summary = &mut self.summary;
        summary.calls += 1;
        if let Some(attempt) = attempt {
            let row = self.attempts.entry(attempt.to_owned()).or_default();
            row.calls += 1;
            summary.double_calls += u64::from(row.calls == 2);
        }
        let same_number = self.by_number.entry(to.to_owned()).or_default();
        *same_number += 1;
        summary.overlaps_by_number += u64::from(*same_number > 1);
        if let Some(campaign) = campaign {
            let same = self.by_campaign.entry((campaign.to_owned(), to.to_owned())).or_default();
            *same += 1;
            summary.overlaps_by_campaign += u64::from(*same > 1);
        }
        self.live.insert(sid.to_owned(), Live { to: to.to_owned(), campaign: campaign.map(str::to_owned) });
        summary.live_calls = self.live.len() as u64;
        summary.live_calls_max = summary.live_calls_max.max(summary.live_calls);
    }

    fn ended(&mut self, sid: &str) {
        let Some(live) = self.live.remove(sid) else { return };
        self.summary.live_calls = self.live.len() as u64;
        if let Some(campaign) = live.campaign {
            let key = (campaign, live.to.clone());
            if let Some(same) = self.by_campaign.get_mut(&key) {
                *same -= 1;
                if *same == 0 {
                    self.by_campaign.remove(&key);
                }
            }
        }
        if let Some(same) = self.by_number.get_mut(&live.to) {
            *same -= 1;
            if *same == 0 {
                self.by_number.remove(&live.to);
            }
        }
    }

    pub(super) fn unwritten(&mut self) {
        self.summary.unwritten += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occurred() {
        assert_eq!(quantile(&[], 50), 0);
        assert_eq!((quantile(&[7], 50), quantile(&[7], 99)), (7, 7));
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!((quantile(&hundred, 50), quantile(&hundred, 99)), (50, 99));
        assert_eq!((quantile(&[1, 2, 3], 50), quantile(&[1, 2, 3], 99)), (2, 3));
    }
}
