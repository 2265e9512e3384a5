//! What the agent is told when a conversation opens.

use tandem_domain::agent::{Opening, Variable};
use tandem_domain::call::Conversation;
use tandem_domain::row::Person;

/// A conversation that goes on after its media was lost is opened as one: see [`super::recent`] for what the agent is
/// told then.
pub(super) fn of(conversation: &Conversation, person: Option<Person>) -> Opening {
    let agent = &conversation.agent;
    let Person { name, email, language, mut variables } = person.unwrap_or_default();
    // What the contact file named itself stands.
    for (variable, value) in [("name", name), ("email", email), ("language", language)] {
        if let Some(value) = value {
            variables.entry(variable.to_owned()).or_insert(Variable::Text(value));
        }
    }
    let opening = Opening {
        agent_id: agent.agent_id.clone(),
        user_id: Some(conversation.customer.to_string()),
        variables,
        first_message: agent.first_message.clone(),
        language: agent.language.clone(),
    };
    if conversation.turns > 0 { resumed(opening) } else { opening }
}

/// An opening in the middle of a conversation: nobody wants to be greeted twice. An agent with an empty first message
/// waits for the person to speak; one whose first message may not be replaced, as no plan of its does, greets again.
pub(super) fn resumed(opening: Opening) -> Opening {
    Opening { first_message: opening.first_message.map(|_| String::new()), ..opening }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_domain::call::AgentSpec;
    use tandem_domain::id::CustomerId;

    fn conversation(turns: u32) -> Conversation {
        Conversation {
            generation: 1,
            customer: CustomerId::from_bytes([3; 16]),
            agent: AgentSpec {
                provider: "elevenlabs".into(),
                agent_id: "agent_1".into(),
                first_message: Some("Hello {{name}}".into()),
                language: Some("de".into()),
            },
            person: None,
            turns,
        }
    }

    #[test]
    fn the_agent_knows_whom_it_talks_to() {
        let mut person =
            Person { name: Some("Ana".into()), language: Some("pt".into()), ..Person::default() };
        person.variables.insert("language".into(), Variable::Text("Portuguese".into()));
        person.variables.insert("amount".into(), Variable::Number(3.0));
        let opening = of(&conversation(0), Some(person));
        let expected = [
            ("amount", Variable::Number(3.0)),
            ("language", Variable::Text("Portuguese".into())),
            ("name", Variable::Text("Ana".into())),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value));
        assert_eq!(opening.variables, expected.into());
        assert_eq!(opening.first_message.as_deref(), Some("Hello {{name}}"));
        assert_eq!((opening.agent_id.as_str(), opening.language.as_deref()), ("agent_1", Some("de")));
        assert_eq!(opening.user_id.as_deref(), Some("03030303-0303-0303-0303-030303030303"));
        assert!(of(&conversation(0), None).variables.is_empty());
    }

    #[test]
    fn nobody_is_greeted_twice() {
        assert_eq!(of(&conversation(2), None).first_message.as_deref(), Some(""));
        let mut plain = conversation(2);
        plain.agent.first_message = None;
        assert_eq!(of(&plain, None).first_message, None);
    }
}
