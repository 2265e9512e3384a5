//! `tandem company`: the tenant and its API keys.

mod keys;
mod show;

use super::args::{Once, Paging};
use super::call::finish_list;
use super::client::Client;
use super::exit::Exit;
use super::failure::Failure;
use super::output::Output;
use super::settings::{self, PlanFlags};
use clap::{Args, Subcommand};
use keys::Keys;
use std::path::PathBuf;
use tandem_proto::v1;
use tandem_proto::v1::company_service_client::CompanyServiceClient;
use tonic::transport::Channel;

#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Create a company and its first API key. Needs the admin token.
    Create(Box<Create>),
    /// Show a company.
    Get(Which),
    /// List all companies. Needs the admin token.
    List {
        #[command(flatten)]
        paging: Paging,
    },
    /// Change a company's limits, caller ids, or how its single calls are made.
    Update(Box<Update>),
    /// API keys.
    #[command(subcommand)]
    Key(Keys),
    /// Emergency stop: no dial for this company from now on. Calls that are alive go on.
    Close {
        #[command(flatten)]
        which: Which,
        /// Shown to operators.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        once: Once,
    },
    /// Lift the emergency stop.
    Open {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        once: Once,
    },
}

/// Which company is meant.
#[derive(Args, Clone, Debug)]
pub struct Which {
    /// With the admin token: of which company. An API key has its own.
    #[arg(long = "company", value_name = "ID", default_value = "", hide_default_value = true)]
    company_id: String,
}

#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    TANDEM_KEY=$ADMIN_TOKEN tandem company create Acme --caller-id +12025550100 --key-out acme.key\n  \
    tandem --key-file acme.key company get\n\n\
    The secret of the first key is shown once and stored nowhere; --key-out puts it into a file that only you can read.")]
pub struct Create {
    /// What people call it.
    name: String,
    /// Name of the first API key.
    #[arg(long, value_name = "NAME")]
    key_name: Option<String>,
    /// Writes the secret of the first key into this new file instead of showing it.
    #[arg(long, value_name = "FILE")]
    key_out: Option<PathBuf>,
    #[command(flatten)]
    once: Once,
    #[command(flatten)]
    profile: Profile,
}

#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  tandem company update --concurrency 200 --calls-per-second 5\n\n\
    What is not said stays as it is.")]
pub struct Update {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    once: Once,
    #[command(flatten)]
    profile: Profile,
}

/// What a company has.
#[derive(Args, Clone, Debug)]
pub struct Profile {
    /// A number that the company owns and calls from; may be given many times. Stands instead of all.
    #[arg(long = "caller-id", value_name = "NUMBER")]
    caller_ids: Vec<String>,
    /// Attempts alive at once; 0 means any number.
    #[arg(long, value_name = "N")]
    concurrency: Option<u32>,
    /// Dials a second; 0 means any number.
    #[arg(long, value_name = "RATE")]
    calls_per_second: Option<f64>,
    /// Attempts within a UTC day; 0 means any number.
    #[arg(long, value_name = "N")]
    attempts_per_day: Option<u32>,
    /// A campaign file that says how single calls are made; its name and caller ids are left aside.
    #[arg(long, value_name = "FILE")]
    single_calls: Option<PathBuf>,
    #[command(flatten)]
    plan: PlanFlags,
}

impl Profile {
    fn limits(&self) -> Option<v1::Limits> {
        let limits = v1::Limits {
            concurrency: self.concurrency,
            calls_per_second: self.calls_per_second,
            attempts_per_day: self.attempts_per_day,
        };
        (limits != v1::Limits::default()).then_some(limits)
    }

    fn caller_ids(&self) -> Vec<v1::CallerId> {
        self.caller_ids.iter().map(|number| v1::CallerId { number: number.clone(), limits: None }).collect()
    }

    fn single_calls(&self) -> Result<Option<v1::CampaignSettings>, Failure> {
        let file = self.single_calls.as_ref().map(|path| settings::read(path)).transpose()?;
        let mut settings = file.unwrap_or_default().settings;
        settings.caller_ids.clear();
        let mut plan = settings.plan.take().unwrap_or_default();
        self.plan.apply(&mut plan)?;
        settings.plan = (plan != v1::Plan::default()).then_some(plan);
        Ok((settings != v1::CampaignSettings::default()).then_some(settings))
    }
}

fn service(channel: Channel) -> CompanyServiceClient<Channel> {
    CompanyServiceClient::new(channel).max_decoding_message_size(super::client::MESSAGE_BYTES_MAX)
}

impl Command {
    pub async fn run(self, client: &Client, out: &mut Output) -> Result<Exit, Failure> {
        match self {
            Command::Create(create) => create.run(client, out).await?,
            Command::Get(Which { company_id }) => {
                let request = v1::GetCompanyRequest { company_id };
                let get = async |channel, request| service(channel).get_company(request).await;
                let answer = client.ask(request, get).await?;
                out.answer(&answer.company.unwrap_or_default(), show::company)?;
            }
            Command::List { paging } => list(client, out, &paging).await?,
            Command::Update(update) => update.run(client, out).await?,
            Command::Key(keys) => keys.run(client, out).await?,
            Command::Close { which, reason, once } => {
                let idempotency_key = once.key();
                let request = v1::CloseCompanyRequest {
                    company_id: which.company_id,
                    reason,
                    idempotency_key: idempotency_key.clone(),
                };
                let close = async |channel, request| service(channel).close_company(request).await;
                let answer = client.change(&idempotency_key, request, close).await?;
                out.answer(&answer, |answer| show::done("closed: nobody is called", answer.replayed))?;
            }
            Command::Open { which, once } => {
                let idempotency_key = once.key();
                let request = v1::OpenCompanyRequest {
                    company_id: which.company_id,
                    idempotency_key: idempotency_key.clone(),
                };
                let open = async |channel, request| service(channel).open_company(request).await;
                let answer = client.change(&idempotency_key, request, open).await?;
                out.answer(&answer, |answer| show::done("open", answer.replayed))?;
            }
        }
        Ok(Exit::Ok)
    }
}

impl Create {
    async fn run(self, client: &Client, out: &mut Output) -> Result<(), Failure> {
        let file = self.key_out.as_deref().map(keys::KeyFile::create).transpose()?;
        let idempotency_key = self.once.key();
        let request = v1::CreateCompanyRequest {
            name: self.name,
            limits: self.profile.limits(),
            caller_ids: self.profile.caller_ids(),
            single_calls: self.profile.single_calls()?,
            key_name: self.key_name.unwrap_or_default(),
            idempotency_key: idempotency_key.clone(),
        };
        let create = async |channel, request| service(channel).create_company(request).await;
        let mut answer = client.change(&idempotency_key, request, create).await?;
        let place = file.map(|file| file.keep(&mut answer.secret, out)).transpose()?;
        out.answer(&answer, |answer| show::created(answer, place.as_deref()))
    }
}

impl Update {
    async fn run(self, client: &Client, out: &mut Output) -> Result<(), Failure> {
        let caller_ids = self.profile.caller_ids();
        let (limits, single_calls) = (self.profile.limits(), self.profile.single_calls()?);
        if limits.is_none() && caller_ids.is_empty() && single_calls.is_none() {
            return Err(Failure::usage("nothing is to be changed"));
        }
        let idempotency_key = self.once.key();
        let request = v1::UpdateCompanyRequest {
            company_id: self.which.company_id,
            limits,
            caller_ids: (!caller_ids.is_empty()).then_some(v1::CallerIds { caller_ids }),
            single_calls,
            idempotency_key: idempotency_key.clone(),
        };
        let update = async |channel, request| service(channel).update_company(request).await;
        let answer = client.change(&idempotency_key, request, update).await?;
        out.answer(&answer, |answer| show::company(&answer.company.clone().unwrap_or_default()))
    }
}

async fn list(client: &Client, out: &mut Output, paging: &Paging) -> Result<(), Failure> {
    let (mut pages, mut table) = (paging.pages(), show::table());
    while let Some((page_size, page_token)) = pages.next() {
        let request = v1::ListCompaniesRequest { page_size, page_token };
        let list = async |channel, request| service(channel).list_companies(request).await;
        let answer = client.ask(request, list).await?;
        pages.read(answer.companies.len(), answer.next_page_token);
        for company in &answer.companies {
            if out.is_json() { out.item(company, |_| String::new())? } else { table.row(show::row(company)) }
        }
    }
    finish_list(out, &table, pages.is_more())
}
