//! Tools that run here when an agent calls for them.

mod current_time;

pub use current_time::CurrentTime;

use super::ToolCall;
use async_trait::async_trait;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tandem_domain::time::Millis;

/// Largest answer of a tool, in bytes of JSON: it goes into the agent's context.
pub const RESULT_BYTES_MAX: usize = 16 * 1024;
/// How long a tool may take where it does not say otherwise. The agent waits in silence meanwhile.
pub const TIME_LIMIT: Duration = Duration::from_secs(5);

/// Tells the time, in milliseconds since 1970. A seam: tests and simulations pass their own.
pub type Now = Arc<dyn Fn() -> Millis + Send + Sync>;

/// Something an agent may have done here.
#[async_trait]
pub trait Tool: Send + Sync {
    /// The name the agent calls it by.
    fn name(&self) -> &str;

    fn time_limit(&self) -> Duration {
        TIME_LIMIT
    }

    /// Does it. Dropped when the time limit passes.
    async fn call(&self, parameters: &Value) -> Result<Value, ToolError>;
}

/// Why a tool did not do it. The message is for the agent, which may tell the caller.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ToolError {
    #[error("{0}")]
    Parameters(String),
    #[error("{0}")]
    Failed(String),
}

/// What to answer an agent that called a tool.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// JSON text.
    pub result: String,
    pub is_error: bool,
}

impl Answer {
    fn error(message: &str) -> Self {
        Answer { result: json!({ "error": message }).to_string(), is_error: true }
    }
}

/// The tools of a node, by name.
#[derive(Clone, Default)]
pub struct Registry(BTreeMap<String, Arc<dyn Tool>>);

impl Registry {
    /// No tools at all.
    pub fn new() -> Self {
        Registry::default()
    }

    /// The tools that come with Tandem.
    pub fn built_in(now: Now) -> Self {
        Registry::new().with(Arc::new(CurrentTime::new(now)))
    }

    /// Adds a tool, in the place of one of the same name.
    pub fn with(mut self, tool: Arc<dyn Tool>) -> Self {
        self.0.insert(tool.name().to_owned(), tool);
        self
    }

    /// Does what the agent called for, within the tool's time limit. Always gives an answer: an
    /// agent that gets none waits.
    pub async fn run(&self, call: &ToolCall) -> Answer {
        let Some(tool) = self.0.get(&call.name) else {
            return Answer::error("there is no such tool");
        };
        match tokio::time::timeout(tool.time_limit(), tool.call(&call.parameters)).await {
            Err(_) => Answer::error("the tool took too long"),
            Ok(Err(error)) => Answer::error(&error.to_string()),
            Ok(Ok(value)) => {
                let result = value.to_string();
                if result.len() > RESULT_BYTES_MAX {
                    return Answer::error("the tool's answer is too large");
                }
                Answer { result, is_error: false }
            }
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Slow;
    #[async_trait]
    impl Tool for Slow {
        fn name(&self) -> &str {
            "slow"
        }
        async fn call(&self, _: &Value) -> Result<Value, ToolError> {
            std::future::pending().await
        }
    }

    struct Wordy;
    #[async_trait]
    impl Tool for Wordy {
        fn name(&self) -> &str {
            "wordy"
        }
        async fn call(&self, parameters: &Value) -> Result<Value, ToolError> {
            match parameters.get("fail") {
                Some(_) => Err(ToolError::Failed("no luck".into())),
                None => Ok(Value::String("x".repeat(RESULT_BYTES_MAX))),
            }
        }
    }

    fn call(name: &str, parameters: Value) -> ToolCall {
        ToolCall { id: "tc1".into(), name: name.into(), parameters }
    }

    #[tokio::test(start_paused = true)]
    async fn every_call_gets_an_answer() {
        let registry = Registry::built_in(Arc::new(|| 0)).with(Arc::new(Slow)).with(Arc::new(Wordy));
        for (name, parameters, error) in [
            ("unknown", json!({}), "there is no such tool"),
            ("slow", json!({}), "the tool took too long"),
            ("wordy", json!({}), "the tool's answer is too large"),
            ("wordy", json!({"fail": true}), "no luck"),
        ] {
            let answer = registry.run(&call(name, parameters)).await;
            assert!(answer.is_error);
            assert_eq!(answer.result, json!({ "error": error }).to_string());
        }
        let answer = registry.run(&call("current_time", json!({"time_zone": "UTC"}))).await;
        assert!(!answer.is_error);
    }
}
