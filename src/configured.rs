//! Which carriers and voice agents this node has, by the names that plans use.
//!
//! A plan that names one which is not there can hold no conversation: it is refused before anybody is dialed, where it
//! comes in, where a campaign starts, and at last where a dial would leave.

use std::collections::BTreeMap;
use std::fmt;
use tandem_domain::call::Plan;

/// Names that are listed in a message; the rest is counted.
const LISTED_MAX: usize = 16;

/// Names of the configuration, and nothing else of it.
#[derive(Clone, Default, Debug)]
pub struct Configured {
    /// Whether it calls anybody: one for load tests does not, and needs no agent.
    carriers: BTreeMap<String, bool>,
    agents: BTreeMap<String, ()>,
}

/// What a plan names that is not there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unconfigured {
    pub what: What,
    /// The name in the plan; empty where it names none.
    pub given: String,
    /// What it could have named.
    pub known: Vec<String>,
}

/// Which of a plan's names it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    Carrier,
    Provider,
}

impl What {
    /// The field of `tandem.v1.Plan`.
    pub fn field(self) -> &'static str {
        match self {
            What::Carrier => "plan.carrier",
            What::Provider => "plan.agent.provider",
        }
    }

    fn section(self) -> &'static str {
        match self {
            What::Carrier => "carriers",
            What::Provider => "agents",
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            What::Carrier => "carrier",
            What::Provider => "voice agent provider",
        })
    }
}

impl Unconfigured {
    /// What there is to choose from, in one line.
    pub fn names(&self) -> String {
        let more = self.known.len().saturating_sub(LISTED_MAX);
        let listed = self.known.iter().take(LISTED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
        match (listed.as_str(), more) {
            ("", _) => "none".to_owned(),
            (_, 0) => listed,
            (_, more) => format!("{listed} and {more} more"),
        }
    }
}

impl fmt::Display for Unconfigured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unconfigured { what, given, known } = self;
        match (given.as_str(), known.len()) {
            ("", 0) => write!(f, "no {what} is configured on this node")?,
            ("", count) => {
                write!(f, "it names no {what}, of which {count} are configured: {}", self.names())?
            }
            (given, _) => write!(
                f,
                "no {what} named '{}' is configured on this node; configured: {}",
                given.escape_debug(),
                self.names()
            )?,
        }
        let section = what.section();
        match known.len() {
            0 => write!(f, "; add one to the node's configuration, as [{section}.<name>]"),
            _ => write!(f, "; name one of them, or add [{section}.<name>] to the node's configuration"),
        }
    }
}

impl std::error::Error for Unconfigured {}

impl Configured {
    /// A carrier; `calls`: it calls people, so its plans need an agent.
    #[must_use]
    pub fn with_carrier(mut self, name: impl Into<String>, calls: bool) -> Self {
        self.carriers.insert(name.into(), calls);
        self
    }

    #[must_use]
    pub fn with_agent(mut self, name: impl Into<String>) -> Self {
        self.agents.insert(name.into(), ());
        self
    }

    /// Whether calls can be made by this plan here. One that is dialed from outside needs nothing of this node.
    ///
    /// # Errors
    /// The first name that leads nowhere.
    pub fn check(&self, plan: &Plan) -> Result<(), Unconfigured> {
        if plan.is_external() {
            return Ok(());
        }
        match self.carriers.get(&plan.carrier) {
            None => Err(Unconfigured {
                what: What::Carrier,
                given: plan.carrier.clone(),
                known: self.carriers.keys().cloned().collect(),
            }),
            Some(false) => Ok(()),
            Some(true) => self.check_provider(&plan.agent.provider),
        }
    }

    /// Whether a conversation can be held with the agent of this provider.
    ///
    /// # Errors
    /// It is not configured; or none is named and there is not exactly one.
    pub fn check_provider(&self, name: &str) -> Result<(), Unconfigured> {
        match meant(&self.agents, name) {
            Some(()) => Ok(()),
            None => Err(Unconfigured {
                what: What::Provider,
                given: name.to_owned(),
                known: self.agents.keys().cloned().collect(),
            }),
        }
    }
}

/// Whom of these a name means. One that is empty means the only one there is.
pub fn meant<'a, T>(of: &'a BTreeMap<String, T>, name: &str) -> Option<&'a T> {
    let only = || of.values().next().filter(|_| name.is_empty() && of.len() == 1);
    of.get(name).or_else(only)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(carrier: &str, provider: &str) -> Plan {
        let mut plan = Plan { carrier: carrier.into(), ..Plan::default() };
        plan.agent.provider = provider.into();
        plan
    }

    fn refused(configured: &Configured, carrier: &str, provider: &str) -> String {
        let refused = configured.check(&plan(carrier, provider)).expect_err("not configured");
        format!("{}: {refused}", refused.what.field())
    }

    #[test]
    fn a_plan_names_what_is_there() {
        let one = Configured::default().with_carrier("main", true).with_agent("a");
        for (carrier, provider) in [("main", "a"), ("main", ""), (Plan::EXTERNAL, "anything")] {
            assert_eq!(one.check(&plan(carrier, provider)), Ok(()), "{carrier} {provider}");
        }
        assert_eq!(
            refused(&one, "twilio", "a"),
            "plan.carrier: no carrier named 'twilio' is configured on this node; configured: main; \
             name one of them, or add [carriers.<name>] to the node's configuration"
        );
        assert!(
            refused(&one, "main", "b").starts_with("plan.agent.provider: no voice agent provider named 'b'")
        );
    }

    #[test]
    fn a_plan_that_names_no_provider_means_the_only_one() {
        let none = Configured::default().with_carrier("main", true);
        assert_eq!(
            refused(&none, "main", ""),
            "plan.agent.provider: no voice agent provider is configured on this node; \
             add one to the node's configuration, as [agents.<name>]"
        );
        assert!(refused(&none, "main", "a").contains("configured: none;"));
        let two = none.with_agent("a").with_agent("b");
        assert!(
            refused(&two, "main", "")
                .contains("names no voice agent provider, of which 2 are configured: a, b;")
        );
        assert_eq!(two.check(&plan("main", "b")), Ok(()));
    }

    #[test]
    fn a_carrier_that_calls_nobody_needs_no_agent() {
        let configured = Configured::default().with_carrier("null", false);
        assert_eq!(configured.check(&plan("null", "")), Ok(()));
        assert!(refused(&configured, "", "").contains("names no carrier, of which 1 are configured: null"));
        assert!(refused(&Configured::default(), "x", "").contains("no carrier named 'x'"));
    }

    #[test]
    fn messages_are_bounded_and_hold_no_control_characters() {
        let many = (0..40).fold(Configured::default(), |c, n| c.with_carrier(format!("c{n:02}"), true));
        let told = refused(&many, "evil\n\u{1b}[0m", "");
        assert!(told.contains("'evil\\n\\u{1b}[0m'") && told.ends_with("configuration"), "{told}");
        assert!(told.contains("c15 and 24 more;"), "{told}");
    }
}
