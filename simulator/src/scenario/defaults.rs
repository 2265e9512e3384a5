//! Scenarios that are ready to use, and what stands where nothing is said.

use super::{Agent, AgentFault, Dialogue, Fault, Network, Person, Reply, Scenario, Talk, Tool};
use std::collections::BTreeMap;

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
            patience_ms: 10_000,
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
            insists_on_first_message: false,
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
