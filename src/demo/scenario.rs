//! Who is called, what they do, and what goes wrong on the way.

use tandem_simulator::scenario::{Attempt, Dialogue, Number, Reply, Tool};
use tandem_simulator::{AgentFault, Fault, Person, Scenario};

/// The provider's id of the agent that holds the conversations.
pub(super) const AGENT: &str = "agent_demonstration";

/// A lively day, on which answers get lost and callbacks come twice or in the wrong order.
pub(super) fn scenario() -> Scenario {
    let people = [
        (Person::Human, 45.0),
        (Person::Interrupter, 6.0),
        (Person::Silent, 2.0),
        (Person::Voicemail, 21.0),
        (Person::Fax, 1.0),
        (Person::Busy, 8.0),
        (Person::NoAnswer, 12.0),
        (Person::InvalidNumber, 1.0),
        (Person::NotInService, 1.0),
        (Person::Unreachable, 1.5),
        (Person::Drops, 1.5),
    ];
    let faults = [
        (Fault::Throttled, 0.02),
        (Fault::ErrorAfter, 0.02),
        (Fault::CutAfter, 0.01),
        (Fault::CallbackLost, 0.02),
        (Fault::CallbackDoubled, 0.05),
        (Fault::CallbackReordered, 0.05),
        (Fault::CallbackDelayed, 0.02),
        (Fault::AmdUnknown, 0.04),
    ];
    let mut scenario = Scenario { people: people.into(), faults: faults.into(), ..Scenario::default() };
    scenario.agent.faults = [(AgentFault::Cut, 0.005)].into();
    scenario.agent.agents = [(AGENT.to_owned(), dialogue())].into();
    scenario.numbers = NEVER_REACHED.map(|(number, person)| never_reached(number, person)).into();
    scenario
}

/// What the agent says. It asks the node for the time, as agents do with a client tool.
fn dialogue() -> Dialogue {
    let say = |text: &str| Reply { say: text.to_owned(), tool: None };
    let current_time = Tool { name: "current_time".to_owned(), parameters: serde_json::Map::new() };
    Dialogue {
        replies: vec![
            say("Thank you. I am calling about your request of last week."),
            Reply {
                say: "Let me look into the calendar. Would tomorrow suit you?".to_owned(),
                tool: Some(current_time),
            },
            say("Good. I will send you a confirmation."),
        ],
        ..Dialogue::default()
    }
}

/// Some of the shipped contacts, who are called as often as the retry policy allows, and in vain.
const NEVER_REACHED: [(&str, Person); 7] = [
    ("+13055550104", Person::NoAnswer),
    ("+18045550109", Person::NoAnswer),
    ("+13135550113", Person::NoAnswer),
    ("+15025550115", Person::NoAnswer),
    ("+18135550105", Person::Busy),
    ("+14105550110", Person::Busy),
    ("+16145550112", Person::Unreachable),
];

fn never_reached(number: &str, person: Person) -> Number {
    let attempt = Attempt { person: Some(person), ..Attempt::default() };
    Number { number: number.to_owned(), attempts: vec![attempt], posts: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::setup::{CONTACTS, REGION};
    use std::collections::BTreeSet;
    use tandem_domain::phone::{Country, Number};

    #[test]
    fn the_scenario_is_sound_and_the_agent_is_in_it() {
        let scenario = scenario();
        scenario.validate().expect("sound");
        assert!(scenario.agent.agents.contains_key(AGENT));
    }

    #[test]
    fn whoever_is_never_reached_is_among_the_shipped_contacts() {
        let text = String::from_utf8_lossy(CONTACTS);
        let numbers = text.lines().filter_map(|line| line.split(',').next());
        let parsed = numbers.filter_map(|number| Number::parse(number, Country::new(REGION)).ok());
        let shipped: BTreeSet<String> = parsed.map(|number| number.as_e164().to_owned()).collect();
        for (number, _) in NEVER_REACHED {
            assert!(shipped.contains(number), "{number}");
        }
    }
}
