//! What a scenario from outside must keep to.

use super::Scenario;

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
