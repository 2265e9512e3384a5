//! What an agent has done here while it talks.

use super::super::tell::tell;
use async_trait::async_trait;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tandem_actors::Handle;
use tandem_domain::customer::{self, Customer};
use tandem_domain::id::{Attempt, CustomerId, Entity};
use tandem_domain::row::DncSource;
use tandem_providers::agent::ToolCall;
use tandem_providers::agent::tool::{Answer, Registry, Tool, ToolError};

/// Tools of one conversation that are at work at a time.
const AT_WORK_MAX: usize = 8;
/// How long it may take to write an opt-out down. The agent waits in silence meanwhile.
const OPT_OUT_PATIENCE: Duration = Duration::from_secs(8);
/// Names under which agents are set up to call for it.
const OPT_OUT_NAMES: [&str; 2] = ["opt_out", "do_not_call"];

pub(super) struct Tools {
    registry: Registry,
    at_work: FuturesUnordered<BoxFuture<'static, (String, Answer)>>,
}

impl Tools {
    /// The tools of the node, and opting out the person on the line.
    pub fn new(common: &Registry, handle: &Handle, attempt: Attempt, customer: CustomerId) -> Self {
        let registry = OPT_OUT_NAMES.into_iter().fold(common.clone(), |registry, name| {
            registry.with(Arc::new(OptOut { name, handle: handle.clone(), attempt, customer }))
        });
        Tools { registry, at_work: FuturesUnordered::new() }
    }

    /// Sets to work on what the agent called for.
    ///
    /// # Errors
    /// The answer to give at once, where too much is at work already.
    pub fn begin(&mut self, call: &ToolCall) -> Result<(), Answer> {
        if self.at_work.len() >= AT_WORK_MAX {
            let result = json!({ "error": "too many tools are at work" }).to_string();
            return Err(Answer { result, is_error: true });
        }
        let (registry, call) = (self.registry.clone(), call.clone());
        self.at_work.push(Box::pin(async move {
            let answer = registry.run(&call).await;
            // What an agent makes up is not a name of ours.
            let error = answer.is_error.to_string();
            metrics::counter!("tandem_tool_calls_total", "error" => error).increment(1);
            (call.id, answer)
        }));
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.at_work.is_empty()
    }

    /// The next answer; `None` where nothing is at work. Loses nothing when dropped before it is done.
    pub async fn next(&mut self) -> Option<(String, Answer)> {
        self.at_work.next().await
    }
}

/// Takes down that the person does not want to be called any more. The agent hears of it once it is durable: what it
/// then promises, is so.
struct OptOut {
    name: &'static str,
    handle: Handle,
    attempt: Attempt,
    customer: CustomerId,
}

#[async_trait]
impl Tool for OptOut {
    fn name(&self) -> &str {
        self.name
    }

    fn time_limit(&self) -> Duration {
        // The command knows its own limit, and may be on its way when it passes.
        OPT_OUT_PATIENCE + Duration::from_secs(1)
    }

    async fn call(&self, _: &Value) -> Result<Value, ToolError> {
        let to = Entity::customer(self.attempt.company, self.customer);
        let command =
            customer::Command::DoNotCall { source: DncSource::OptOut, call: Some(self.attempt.call) };
        match tell::<Customer>(&self.handle, to, command, None, OPT_OUT_PATIENCE).await {
            Ok(_) => {
                tracing::info!(attempt = %self.attempt, "the person does not want to be called any more");
                metrics::counter!("tandem_opt_outs_total").increment(1);
                Ok(json!({ "done": true, "message": "This person will not be called again." }))
            }
            Err(why) => {
                tracing::error!(attempt = %self.attempt, ?why, "an opt-out could not be taken down");
                Err(ToolError::Failed("it could not be taken down; try again in a moment".into()))
            }
        }
    }
}
