//! What the simulated world does, as data: who picks up, what goes wrong, what is said.
//!
//! A [`Scenario`] is read from TOML, sent over HTTP as JSON, or built in code. Which behaviour a call meets is drawn from
//! (seed, number, n-th call to that number), so a run can be repeated; faults are drawn on their own and compose
//! with whoever picks up.

mod choose;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    Close1002,
    /// Closes with 1008 after the initiation.
    Close1008,
    /// Closes with 1011 in the middle.
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

/// Why a scenario cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    #[error("not valid TOML for a scenario: {0}")]
    Toml(#[from] Box<toml::de::Error>),
    #[error("`{0}` must be a number from 0 to 1")]
    Probability(String),
    #[error("weight of `{0}` must be a finite number, not negative")]
    Weight(String),
    #[error("at least one weight under `people` must be above 0")]
    Nobody,
    #[error("`{0}` must not be empty")]
    Empty(&'static str),
    #[error("`{0}` has its lower bound above its upper")]
    Bounds(&'static str),
    #[error("`{0}` is out of range")]
    Range(&'static str),
    #[error("{0} numbers have their own behaviour, at most {NUMBERS_MAX} may")]
    TooManyNumbers(usize),
}

const NUMBERS_MAX: usize = 100_000;
/// Upper bound of every simulated time in a scenario: one day.
const TIME_MS_MAX: u64 = 86_400_000;

impl Scenario {
    /// Everybody picks up after two rings and talks; nothing goes wrong.
    pub fn only(person: Person) -> Self {
        Self { people: BTreeMap::from([(person, 1.0)]), ..Self::default() }
    }

    /// The default people on a bad day of the network: every fault happens now and then.
    pub fn rough() -> Self {
        let faults = [
            (Fault::Throttled, 0.02),
            (Fault::ErrorBefore, 0.01),
            (Fault::CutBefore, 0.005),
            (Fault::ErrorAfter, 0.02),
            (Fault::CutAfter, 0.01),
            (Fault::SlowAnswer, 0.01),
            (Fault::CallbackLost, 0.02),
            (Fault::CallbackDoubled, 0.05),
            (Fault::CallbackReordered, 0.05),
            (Fault::CallbackDelayed, 0.02),
            (Fault::SecondSocket, 0.02),
            (Fault::MediaGarbage, 0.02),
            (Fault::MediaCut, 0.02),
            (Fault::AmdWrong, 0.02),
            (Fault::AmdUnknown, 0.05),
        ];
        let agent = [
            (AgentFault::SignedUrlError, 0.005),
            (AgentFault::Close1002, 0.01),
            (AgentFault::Close1011, 0.005),
            (AgentFault::Cut, 0.01),
            (AgentFault::Garbage, 0.02),
        ];
        Self {
            faults: faults.into(),
            agent: Agent { faults: agent.into(), ..Agent::default() },
            ..Self::default()
        }
    }

    pub fn from_toml(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = toml::from_str(text).map_err(|error| ScenarioError::Toml(Box::new(error)))?;
        scenario.validate()?;
        Ok(scenario)
    }

    /// Whether every figure makes sense. Called by everything that takes a scenario from outside.
    pub fn validate(&self) -> Result<(), ScenarioError> {
        for (person, weight) in &self.people {
            if !weight.is_finite() || *weight < 0.0 {
                return Err(ScenarioError::Weight(format!("people.{person:?}")));
            }
        }
        if self.people.values().sum::<f64>() <= 0.0 {
            return Err(ScenarioError::Nobody);
        }
        let faults = self.faults.iter().map(|(fault, p)| (format!("faults.{fault:?}"), *p));
        let agent_faults = self.agent.faults.iter().map(|(fault, p)| (format!("agent.faults.{fault:?}"), *p));
        let own = [("talk.hangs_up".to_owned(), self.talk.hangs_up)];
        for (name, probability) in faults.chain(agent_faults).chain(own) {
            if !(0.0..=1.0).contains(&probability) {
                return Err(ScenarioError::Probability(name));
            }
        }
        if self.talk.lines.is_empty() {
            return Err(ScenarioError::Empty("talk.lines"));
        }
        if self.talk.greetings.is_empty() {
            return Err(ScenarioError::Empty("talk.greetings"));
        }
        if self.numbers.len() > NUMBERS_MAX {
            return Err(ScenarioError::TooManyNumbers(self.numbers.len()));
        }
        let network = &self.network;
        if !network.calls_per_s.is_finite() || !(0.0..=1e6).contains(&network.calls_per_s) {
            return Err(ScenarioError::Range("network.calls_per_s"));
        }
        self.validate_times()
    }

    fn validate_times(&self) -> Result<(), ScenarioError> {
        let (network, talk, agent) = (&self.network, &self.talk, &self.agent);
        for (name, [low, high], limit) in [
            ("network.setup_ms", network.setup_ms, TIME_MS_MAX),
            ("talk.reaction_ms", talk.reaction_ms, TIME_MS_MAX),
            ("talk.detection_ms", talk.detection_ms, TIME_MS_MAX),
            ("talk.rings", talk.rings, 1_000),
            ("talk.turns", talk.turns, 1_000),
        ] {
            if low > high {
                return Err(ScenarioError::Bounds(name));
            }
            if high > limit {
                return Err(ScenarioError::Range(name));
            }
        }
        for (name, value, least) in [
            ("network.list_lag_ms", network.list_lag_ms, 0),
            ("network.slow_answer_ms", network.slow_answer_ms, 0),
            ("network.callback_delay_ms", network.callback_delay_ms, 0),
            ("network.webhook_timeout_ms", network.webhook_timeout_ms, 1),
            ("network.ring_ms", network.ring_ms, 1),
            ("talk.patience_ms", talk.patience_ms, 1),
            ("talk.record_ms", talk.record_ms, 1),
            ("agent.ping_ms", agent.ping_ms, 1),
            ("agent.tool_timeout_ms", agent.tool_timeout_ms, 1),
            ("agent.initiation_wait_ms", agent.initiation_wait_ms, 1),
            ("agent.reaction_ms", agent.reaction_ms, 0),
            ("agent.end_of_turn_ms", agent.end_of_turn_ms, 1),
            ("agent.patience_ms", agent.patience_ms, 1),
            ("agent.duration_ms_max", agent.duration_ms_max, 1),
        ] {
            if !(least..=TIME_MS_MAX).contains(&value) {
                return Err(ScenarioError::Range(name));
            }
        }
        Ok(())
    }
}

impl Default for Scenario {
    fn default() -> Self {
        let people = [
            (Person::Human, 52.0),
            (Person::Interrupter, 6.0),
            (Person::Silent, 2.0),
            (Person::Voicemail, 17.0),
            (Person::Fax, 1.0),
            (Person::Busy, 6.0),
            (Person::NoAnswer, 11.0),
            (Person::InvalidNumber, 1.0),
            (Person::NotInService, 1.0),
            (Person::Unreachable, 1.0),
            (Person::Drops, 2.0),
        ];
        Self {
            people: people.into(),
            faults: BTreeMap::new(),
            network: Network::default(),
            talk: Talk::default(),
            agent: Agent::default(),
            numbers: Vec::new(),
        }
    }
}

impl Default for Network {
    fn default() -> Self {
        Self {
            calls_per_s: 0.0,
            queue_max: 86_400,
            concurrent_max: 0,
            from_numbers: Vec::new(),
            list_lag_ms: 0,
            slow_answer_ms: 5_000,
            retry_after_s: 1,
            callback_delay_ms: 5_000,
            webhook_timeout_ms: 15_000,
            setup_ms: [400, 1_500],
            ring_ms: 4_000,
        }
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

impl Default for Talk {
    fn default() -> Self {
        Self {
            rings: [1, 4],
            turns: [2, 5],
            hangs_up: 0.4,
            patience_ms: 8_000,
            reaction_ms: [400, 1_200],
            lines: texts(&[
                "Yes, speaking.",
                "Who is calling, please?",
                "That sounds interesting, tell me more.",
                "What does it cost?",
                "Could you repeat that?",
                "I would have time on Tuesday.",
                "No, I am afraid not.",
                "Please send it to me in writing.",
            ]),
            greetings: texts(&[
                "You have reached the mailbox of this number. Please leave a message after the tone.",
                "We cannot take your call right now. Speak after the beep.",
            ]),
            record_ms: 30_000,
            detection_ms: [2_500, 4_500],
        }
    }
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            faults: BTreeMap::new(),
            agents: BTreeMap::new(),
            concurrent_max: 0,
            ping_ms: 10_000,
            missed_pongs_max: 3,
            tool_timeout_ms: 10_000,
            initiation_wait_ms: 3_000,
            reaction_ms: 600,
            end_of_turn_ms: 700,
            patience_ms: 10_000,
            prompts_max: 2,
            duration_ms_max: 600_000,
        }
    }
}

impl Default for Dialogue {
    fn default() -> Self {
        let say = |text: &str| Reply { say: text.to_owned(), tool: None };
        Self {
            first_message: "Hello, do you have a minute?".to_owned(),
            replies: vec![
                say("Thank you. I am calling about your request of last week."),
                Reply {
                    say: "Let me see: it is {{result}} now. Would tomorrow suit you?".to_owned(),
                    tool: Some(Tool {
                        name: "get_current_time".to_owned(),
                        parameters: serde_json::Map::new(),
                    }),
                },
                say("Good. I will send you a confirmation."),
            ],
            closing: "Thank you for your time. Good bye.".to_owned(),
            prompt: "Are you still there?".to_owned(),
        }
    }
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
