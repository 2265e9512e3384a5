//! What the agent is told when a conversation opens, and when it is taken up again in its middle.

use super::filler;
use tandem_domain::agent::{AgentEnd, Opening, Variable};
use tandem_domain::call::Conversation;
use tandem_domain::row::Person;

/// Words in a provider's name for the error that a first message may not be replaced.
const OVERRIDE: &str = "override";

/// How a conversation is opened, the first time and any other.
pub(super) struct Openings {
    /// As the plan has it.
    opening: Opening,
    /// What is said first in the middle of a conversation; empty where the person is to speak first.
    filler: String,
    middle: bool,
    /// The agent does not let its first message be replaced: it greets, and nobody is to hear that.
    greets: bool,
}

impl Openings {
    /// A conversation in whose course something was said before is opened in its middle. `filler`: what this provider's
    /// agents say then, instead of what they say by themselves in a language.
    pub fn new(conversation: &Conversation, person: Option<Person>, filler: Option<&str>) -> Self {
        let agent = &conversation.agent;
        let Person { name, email, language, mut variables } = person.unwrap_or_default();
        let spoken = agent.language.as_deref().or(language.as_deref());
        let filler = filler.unwrap_or_else(|| filler::of(spoken)).to_owned();
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
        // Turns may be those of an earlier attempt: a call that is made again greets.
        let middle = conversation.generation > 1 && conversation.turns > 0;
        Openings { opening, filler, middle, greets: false }
    }

    /// What the agent is told now.
    pub fn now(&self) -> Opening {
        let mut opening = self.opening.clone();
        if self.middle && !self.greets {
            opening.first_message = Some(self.filler.clone());
        }
        opening
    }

    /// From now on it is the middle of a conversation: nobody wants to be greeted twice.
    pub fn resume(&mut self) {
        self.middle = true;
    }

    pub fn is_middle(&self) -> bool {
        self.middle
    }

    /// The agent will greet, and the person has been greeted.
    pub fn is_greeting_muted(&self) -> bool {
        self.middle && self.greets
    }

    /// The agent has refused what it was told. Whether there is another way.
    pub fn refused(&mut self, end: &AgentEnd) -> bool {
        // A plan whose own first message was taken is not refused for another.
        let ours = self.middle && !self.greets && self.opening.first_message.is_none();
        let why = matches!(end, AgentEnd::Refused { kind, .. } if kind.contains(OVERRIDE));
        self.greets |= ours && why;
        ours && why
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_domain::call::AgentSpec;
    use tandem_domain::id::CustomerId;

    fn conversation(generation: u32, turns: u32) -> Conversation {
        Conversation {
            generation,
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

    fn first(conversation: &Conversation) -> Option<String> {
        Openings::new(conversation, None, Some("I am back.")).now().first_message
    }

    #[test]
    fn the_agent_knows_whom_it_talks_to() {
        let mut person =
            Person { name: Some("Ana".into()), language: Some("pt".into()), ..Person::default() };
        person.variables.insert("language".into(), Variable::Text("Portuguese".into()));
        person.variables.insert("amount".into(), Variable::Number(3.0));
        let opening = Openings::new(&conversation(1, 0), Some(person), None).now();
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
        assert!(Openings::new(&conversation(1, 0), None, None).now().variables.is_empty());
    }

    #[test]
    fn nobody_is_greeted_twice() {
        assert_eq!(first(&conversation(2, 2)).as_deref(), Some("I am back."));
        // The first time, and where nothing was said before the media was lost.
        for greeted in [conversation(1, 0), conversation(2, 0)] {
            assert_eq!(first(&greeted).as_deref(), Some("Hello {{name}}"));
        }
        // What was said in an earlier attempt, to a machine perhaps, was another call.
        assert_eq!(first(&conversation(1, 7)).as_deref(), Some("Hello {{name}}"));
        let mut openings = Openings::new(&conversation(1, 0), None, Some("I am back."));
        openings.resume();
        assert_eq!(openings.now().first_message.as_deref(), Some("I am back."));
    }

    #[test]
    fn the_filler_is_in_the_language_that_is_spoken() {
        let said = |person: Option<Person>, plan: Option<&str>| {
            let mut conversation = conversation(2, 2);
            conversation.agent.language = plan.map(str::to_owned);
            Openings::new(&conversation, person, None).now().first_message.expect("one")
        };
        let spanish = Person { language: Some("es-MX".into()), ..Person::default() };
        assert_eq!(said(None, Some("de-AT")), filler::of(Some("de")));
        assert_eq!(said(Some(spanish.clone()), None), filler::of(Some("es")));
        assert_eq!(said(Some(spanish), Some("en")), filler::of(None), "the plan's word comes first");
    }

    #[test]
    fn an_agent_that_insists_on_its_greeting_is_muted() {
        let refused = |kind: &str| AgentEnd::Refused { code: 1_008, kind: kind.into() };
        let mut plain = conversation(2, 2);
        plain.agent.first_message = None;
        let mut openings = Openings::new(&plain, None, None);
        assert!(openings.now().first_message.is_some() && !openings.is_greeting_muted());
        assert!(!openings.refused(&refused("missing_dynamic_variable")));
        assert!(!openings.refused(&AgentEnd::Dropped { code: 1_006 }));
        assert!(openings.refused(&refused("override_error")));
        assert!(openings.now().first_message.is_none() && openings.is_greeting_muted());
        assert!(!openings.refused(&refused("override_error")), "there is no third way");
        // One whose first message is replaced anyway has no such reason; nor one that was never resumed.
        assert!(!Openings::new(&conversation(2, 2), None, None).refused(&refused("override_error")));
        let mut first = conversation(1, 0);
        first.agent.first_message = None;
        assert!(!Openings::new(&first, None, None).refused(&refused("override_error")));
    }
}
