//! `tandem call place`

use super::{Watch, service, show};
use crate::cli::args::Once;
use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::settings::{PlanFlags, variables};
use crate::cli::time::{self, Given};
use crate::cli::words::Words as _;
use clap::Args;
use jiff::Timestamp;
use tandem_proto::v1;

#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    tandem call place '+1 212 555 0123' --agent agent_01 --var order=A-17 --watch\n  \
    tandem call place '030 901820' --region DE --not-before 2h --priority high\n\n\
    What is not said here is as the company's single calls are set.")]
pub struct Place {
    /// The number, with or without separators.
    to: String,
    /// Country of a number without country code, such as US or DE.
    #[arg(long, value_name = "COUNTRY")]
    region: Option<String>,
    /// The person's name.
    #[arg(long)]
    name: Option<String>,
    /// The person's e-mail address.
    #[arg(long)]
    email: Option<String>,
    /// The person's language, such as en or pt-BR.
    #[arg(long, value_name = "TAG")]
    language: Option<String>,
    /// The person's own time zone, such as America/New_York; otherwise by the number.
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// A value for the agent; may be given many times.
    #[arg(long = "var", value_name = "NAME=VALUE")]
    variables: Vec<String>,
    /// No attempt before this time: absolute, or so long from now.
    #[arg(long, value_parser = time::parse, value_name = "TIME")]
    not_before: Option<Given>,
    /// The caller id to dial from, one of the company's, such as +12125550100; otherwise any of them.
    #[arg(long, value_name = "NUMBER")]
    from: Option<String>,
    /// high, normal or low.
    #[arg(long, value_parser = v1::Priority::parse)]
    priority: Option<v1::Priority>,
    /// Follow it until it ends.
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    once: Once,
    #[command(flatten)]
    plan: PlanFlags,
}

impl Place {
    pub async fn run(self, client: &Client, out: &mut Output) -> Result<Exit, Failure> {
        let idempotency_key = self.once.key();
        let mut plan = v1::Plan::default();
        self.plan.apply(&mut plan)?;
        let request = v1::PlaceCallRequest {
            to: self.to,
            default_region: self.region.unwrap_or_default(),
            plan: (plan != v1::Plan::default()).then_some(plan),
            variables: variables(&self.variables)?,
            name: self.name.unwrap_or_default(),
            email: self.email.unwrap_or_default(),
            language: self.language.unwrap_or_default(),
            not_before: self.not_before.and_then(|at| at.ahead(Timestamp::now())),
            priority: self.priority.map_or(0, Into::into),
            time_zone: self.time_zone.unwrap_or_default(),
            idempotency_key: idempotency_key.clone(),
            from: self.from.unwrap_or_default(),
        };
        let place = async |channel, request| service(channel).place_call(request).await;
        let answer = client.change(&idempotency_key, request, place).await?;
        out.answer(&answer, show::placed)?;
        if self.watch {
            out.flush()?;
            Watch { call_id: answer.call_id, after: 0, keep_open: false }.run(client, out).await?;
        }
        Ok(Exit::Ok)
    }
}
