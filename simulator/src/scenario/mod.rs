//! What the simulated world does, as data: who picks up, what goes wrong, what is said.
//!
//! A [`Scenario`] is read from TOML, sent over HTTP as JSON, or built in code. Which behaviour a call meets is drawn from
//! (seed, number, n-th call to that number), so a run can be repeated; faults are drawn on their own and compose
//! with whoever picks up.

mod check;
mod choose;
mod defaults;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use check::ScenarioError;
pub(crate) use choose::{CallPlan, Chooser, CreatePlan};

/// Who or what is at the other end of a dialed number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Person {
    /// Picks up after some rings, talks a few turns, then hangs up or lets the agent end.
    Human,
    /// As `Human`, and cuts in while the agent speaks.
    Interrupter,
    /// Picks up, says nothing and hangs up after a while.
    Silent,
    /// A machine: greeting, beep, then it records until its tape is full.
    Voicemail,
    Fax,
    Busy,
    NoAnswer,
    /// Refused at create with 21211.
    InvalidNumber,
    /// Accepted, then `failed` with SIP 404.
    NotInService,
    /// Accepted, then `failed` with SIP 480.
    Unreachable,
    /// Answers and is cut off in the middle of the conversation.
    Drops,
}

/// Something that goes wrong, on its own probability.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// 429 with `Retry-After`, nothing processed.
    Throttled,
    /// 500 and no call.
    ErrorBefore,
    /// Connection cut and no call.
    CutBefore,
    /// The call goes on and the answer is 500.
    ErrorAfter,
    /// The call goes on and the connection is cut without an answer.
    CutAfter,
    /// The call goes on and the answer comes late (`network.slow_answer_ms`).
    SlowAnswer,
    /// One callback is never sent.
    CallbackLost,
    /// One callback is sent twice, with the same sequence number.
    CallbackDoubled,
    /// One callback is sent after the next one.
    CallbackReordered,
    /// One callback is sent late (`network.callback_delay_ms`).
    CallbackDelayed,
    /// A second media socket is opened for the same call.
    SecondSocket,
    /// Frames that are no protocol on the media socket.
    MediaGarbage,
    /// The media socket breaks without a close frame while the call lives.
    MediaCut,
    /// Answering machine detection says the opposite.
    AmdWrong,
    /// Answering machine detection says `unknown`.
    AmdUnknown,
}

/// What can go wrong on the agent's side of a conversation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentFault {
    /// 500 for the signed URL.
    SignedUrlError,
    /// 429 for the signed URL.
    SignedUrlBusy,
    /// The socket opens and nothing is ever said, not even the metadata.
    NeverAnswers,
    /// Closes with 1002 in the middle.
    #[serde(rename = "close_1002")]
    Close1002,
    /// Closes with 1008 after the initiation.
    #[serde(rename = "close_1008")]
    Close1008,
    /// Closes with 1011 in the middle.
    #[serde(rename = "close_1011")]
    Close1011,
    /// The connection breaks in the middle without a close frame.
    Cut,
    /// Sends a burst of audio far beyond what was asked.
    Flood,
    /// Sends frames that are no protocol between its ordinary ones.
    Garbage,
    /// Closes with 1000 before saying a word.
    EndsAtOnce,
}

/// The whole behaviour of the simulated carrier and agent.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// Relative weights of who picks up.
    pub people: BTreeMap<Person, f64>,
    /// Probability of each fault, 0 to 1: of REST faults per create, of callback faults per callback, of the others
    /// per call.
    pub faults: BTreeMap<Fault, f64>,
    pub network: Network,
    pub talk: Talk,
    pub agent: Agent,
    /// What single numbers do instead.
    pub numbers: Vec<Number>,
}

/// One number's own behaviour.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Number {
    /// E.164.
    pub number: String,
    /// What the n-th call to it meets; the last entry stays. Empty: as everybody else.
    #[serde(default)]
    pub attempts: Vec<Attempt>,
    /// REST faults of the n-th create POST to it; after the last entry there are none.
    #[serde(default)]
    pub posts: Vec<Vec<Fault>>,
}

/// What one call to an overridden number meets. No fault but the named ones happens to it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Attempt {
    /// `None`: drawn from the weights.
    pub person: Option<Person>,
    pub faults: Vec<Fault>,
    /// `None`: drawn from [`Talk`].
    pub rings: Option<u64>,
    /// Turns that a person speaks. `None`: drawn from [`Talk`].
    pub turns: Option<u64>,
    /// Whether the person hangs up (`true`) or waits for the agent to end. `None`: drawn.
    pub hangs_up: Option<bool>,
}

/// The carrier and the way to it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// Calls per simulated second that leave the queue; 0 for no gate.
    pub calls_per_s: f64,
    /// Calls that may wait for the gate; beyond, 22005.
    pub queue_max: usize,
    /// Live calls allowed; beyond, 10004. 0 for no limit.
    pub concurrent_max: usize,
    /// Caller ids that the account owns; empty for any.
    pub from_numbers: Vec<String>,
    /// Simulated time a new call stays out of the call list.
    pub list_lag_ms: u64,
    /// Real time that [`Fault::SlowAnswer`] takes.
    pub slow_answer_ms: u64,
    /// `Retry-After` of [`Fault::Throttled`], in seconds.
    pub retry_after_s: u64,
    /// Simulated time that [`Fault::CallbackDelayed`] holds a callback back.
    pub callback_delay_ms: u64,
    /// Real time that a webhook may take.
    pub webhook_timeout_ms: u64,
    /// Simulated time between dialing and the first ring, lower and upper bound.
    pub setup_ms: [u64; 2],
    /// Simulated time from one ring to the next.
    pub ring_ms: u64,
}

/// How people and machines talk.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Talk {
    /// Rings until somebody picks up, lower and upper bound.
    pub rings: [u64; 2],
    /// Turns that a person speaks, lower and upper bound.
    pub turns: [u64; 2],
    /// Probability that the person hangs up rather than waiting for the agent to end.
    pub hangs_up: f64,
    /// Simulated time a person waits in silence before asking whether somebody is there, and again before hanging up.
    pub patience_ms: u64,
    /// Simulated time between the other's last word and the answer, lower and upper bound.
    pub reaction_ms: [u64; 2],
    /// What people say, drawn per call and turn.
    pub lines: Vec<String>,
    /// What machines say before the beep.
    pub greetings: Vec<String>,
    /// How long a machine records, simulated.
    pub record_ms: u64,
    /// Simulated time until the verdict of answering machine detection on a person, lower and upper bound.
    pub detection_ms: [u64; 2],
}

/// The voice agent.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Agent {
    /// Probability of each fault per conversation.
    pub faults: BTreeMap<AgentFault, f64>,
    /// Ids of agents that exist, with their dialogues; empty for any id with the default dialogue.
    pub agents: BTreeMap<String, Dialogue>,
    /// Conversations allowed at a time; beyond, 429 for the signed URL. 0 for no limit.
    pub concurrent_max: usize,
    /// Simulated time between pings.
    pub ping_ms: u64,
    /// Pings that may stay unanswered before the agent closes with 1002.
    pub missed_pongs_max: u32,
    /// Real time that a client tool may take.
    pub tool_timeout_ms: u64,
    /// Real time in which `conversation_initiation_client_data` is waited for before the agent begins without.
    pub initiation_wait_ms: u64,
    /// Simulated time between the caller's last word and the agent's answer.
    pub reaction_ms: u64,
    /// Simulated length of the silence that ends a turn of foreign speech.
    pub end_of_turn_ms: u64,
    /// Simulated time the agent waits for the caller before it asks again.
    pub patience_ms: u64,
    /// Times it asks before it ends the conversation.
    pub prompts_max: u32,
    /// Longest conversation, simulated.
    pub duration_ms_max: u64,
}

/// What an agent says, as data. It always comes to an end: after the last reply it closes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dialogue {
    /// `{{name}}` is replaced by the dynamic variable of that name.
    pub first_message: String,
    /// Its settings do not permit another first message: whoever brings one is refused (1008).
    pub insists_on_first_message: bool,
    /// Answer to the caller's n-th turn.
    pub replies: Vec<Reply>,
    /// Said after the turn that follows the last reply, before `end_call`.
    pub closing: String,
    /// Said when the caller stays silent.
    pub prompt: String,
}

/// One answer of the agent.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reply {
    pub say: String,
    /// Client tool that is called first; its result replaces `{{result}}`.
    pub tool: Option<Tool>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    pub name: String,
    /// JSON object given to the tool.
    #[serde(default)]
    pub parameters: serde_json::Map<String, serde_json::Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toml_makes_the_round_trip_and_defaults_fill_the_rest() {
        let scenario = Scenario::rough();
        let text = toml::to_string(&scenario).expect("a scenario is plain data");
        assert_eq!(Scenario::from_toml(&text).expect("own output"), scenario);

        let short = "[people]\nbusy = 1\n[faults]\nerror_after = 0.5\n[[numbers]]\nnumber = \"+15550100\"\nattempts = [{ person = \"fax\" }]\n";
        let scenario = Scenario::from_toml(short).expect("valid");
        assert_eq!(scenario.people, BTreeMap::from([(Person::Busy, 1.0)]));
        assert_eq!(scenario.faults[&Fault::ErrorAfter], 0.5);
        assert_eq!(scenario.numbers[0].attempts[0].person, Some(Person::Fax));
        assert_eq!(scenario.network, Network::default());
    }

    #[test]
    fn the_documented_scenario_is_the_default() {
        let text = include_str!("../../scenarios/default.toml");
        assert_eq!(Scenario::from_toml(text).expect("valid"), Scenario::default());
        let keys = toml::to_string(&Scenario::default()).expect("plain data");
        for key in keys.lines().filter_map(|line| line.split_once(" = ").map(|(key, _)| key)) {
            assert!(text.contains(&format!("\n{key} = ")) || key == "numbers", "`{key}` is not documented");
        }
        let table = toml::Table::try_from(Scenario::rough()).expect("a table");
        let faults = [&table["faults"], &table["agent"]["faults"]];
        for fault in faults.into_iter().flat_map(|faults| faults.as_table().expect("a table").keys()) {
            assert!(text.contains(&format!("# {fault} = ")), "`{fault}` is not documented");
        }
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for (text, part) in [
            ("[people]\nghost = 1\n", "ghost"),
            ("[people]\nbusy = -1\n", "Busy"),
            ("[people]\nbusy = 0\n", "people"),
            ("[faults]\nerror_after = 1.5\n", "ErrorAfter"),
            ("[faults]\nerror_after = nan\n", "ErrorAfter"),
            ("[agent.faults]\ncut = 2.0\n", "Cut"),
            ("[talk]\nlines = []\n", "talk.lines"),
            ("[talk]\nrings = [4, 1]\n", "talk.rings"),
            ("[network]\nring_ms = 0\n", "network.ring_ms"),
            ("[network]\ncalls_per_s = inf\n", "network.calls_per_s"),
            ("typo = 1\n", "typo"),
        ] {
            let error = Scenario::from_toml(text).expect_err(text).to_string();
            assert!(error.contains(part), "{text:?} gives {error:?}");
        }
    }
}
