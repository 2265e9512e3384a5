//! `tandem campaign`: many calls, by a list.

mod contacts;
mod describe;
mod import;
mod preflight;
mod show;
mod watch;

use super::args::{Once, Paging};
use super::call::finish_list;
use super::client::Client;
use super::exit::Exit;
use super::failure::Failure;
use super::output::Output;
use super::settings::{self, CampaignFile, SettingsFlags};
use super::time::{self, Given};
use clap::{Args, Subcommand};
pub use import::{Feed, issue_lines};
pub use show::{limits_line, settings_card};
use std::path::PathBuf;
use tandem_proto::v1;
use tandem_proto::v1::campaign_service_client::CampaignServiceClient;
use tonic::transport::Channel;

#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Create a campaign, as a draft.
    Create(Box<Create>),
    /// Change the settings of a draft or a paused campaign.
    Update(Box<Update>),
    /// Print a campaign file with every key.
    Example,
    /// Add the contacts of a CSV file.
    Import(import::Import),
    /// Count who would be called at this time, who would not, and why.
    Preflight {
        /// The id of the campaign.
        campaign_id: String,
        /// As if it were this time: absolute, or so long from now.
        #[arg(long, value_parser = time::parse, allow_hyphen_values = true, value_name = "TIME")]
        at: Option<Given>,
    },
    /// Begin to call.
    Start(Change),
    /// Call nobody else for now; attempts that are alive come to their end.
    Pause(Change),
    /// Go on calling.
    Resume(Change),
    /// End it for good: whoever still waits is not called.
    Stop(Change),
    /// Show a campaign and how far it is.
    Get {
        /// The id of the campaign.
        campaign_id: String,
    },
    /// List campaigns, newest first.
    List {
        #[command(flatten)]
        paging: Paging,
    },
    /// Follow how far a campaign is until it ends.
    Watch(watch::Watch),
    /// Show what holds a campaign, or one of its contacts, back, and until when.
    Explain(contacts::Explain),
    /// List contacts in the order of arrival.
    Contacts {
        /// The id of the campaign.
        campaign_id: String,
        #[command(flatten)]
        paging: Paging,
    },
}

#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    tandem campaign example > campaign.toml\n  \
    tandem campaign create --config campaign.toml\n  \
    tandem campaign create 'Spring reminders' --caller-id +12025550100 --agent agent_01 --concurrency 20\n\n\
    Options win over the file.")]
pub struct Create {
    /// What people call it; may stand in the file instead.
    name: Option<String>,
    /// A campaign file, as `tandem campaign example` prints one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    once: Once,
    #[command(flatten)]
    settings: SettingsFlags,
}

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Example:\n  tandem campaign update ID --concurrency 50\n\nWhat is not said stays as it is."
)]
pub struct Update {
    /// The id of the campaign.
    campaign_id: String,
    /// A campaign file; its name is left aside.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    once: Once,
    #[command(flatten)]
    settings: SettingsFlags,
}

#[derive(Args, Clone, Debug)]
pub struct Change {
    /// The id of the campaign.
    campaign_id: String,
    #[command(flatten)]
    once: Once,
}

pub fn service(channel: Channel) -> CampaignServiceClient<Channel> {
    CampaignServiceClient::new(channel).max_decoding_message_size(super::client::MESSAGE_BYTES_MAX)
}

/// Sends one of the changes that are all alike, and tells where the campaign stands then.
macro_rules! change {
    ($change:expr, $client:expr, $out:expr, $request:ident, $method:ident) => {{
        let Change { campaign_id, once } = $change;
        let idempotency_key = once.key();
        let request = v1::$request { campaign_id, idempotency_key: idempotency_key.clone() };
        let send = async |channel, request| service(channel).$method(request).await;
        let answer = $client.change(&idempotency_key, request, send).await?;
        $out.answer(&answer, |answer| show::phase(answer.phase, answer.replayed))?;
    }};
}

impl Command {
    pub async fn run(self, client: &Client, out: &mut Output) -> Result<Exit, Failure> {
        match self {
            Command::Create(create) => create.run(client, out).await?,
            Command::Update(update) => update.run(client, out).await?,
            Command::Example => out.text(&settings::example())?,
            Command::Import(import) => return import.run(client, out).await,
            Command::Preflight { campaign_id, at } => preflight::run(client, out, campaign_id, at).await?,
            Command::Start(change) => change!(change, client, out, StartCampaignRequest, start_campaign),
            Command::Pause(change) => change!(change, client, out, PauseCampaignRequest, pause_campaign),
            Command::Resume(change) => change!(change, client, out, ResumeCampaignRequest, resume_campaign),
            Command::Stop(change) => change!(change, client, out, StopCampaignRequest, stop_campaign),
            Command::Get { campaign_id } => {
                let request = v1::GetCampaignRequest { campaign_id };
                let get = async |channel, request| service(channel).get_campaign(request).await;
                let answer = client.ask(request, get).await?;
                out.answer(&answer.campaign.unwrap_or_default(), show::campaign)?;
            }
            Command::List { paging } => list(client, out, &paging).await?,
            Command::Watch(watch) => watch.run(client, out).await?,
            Command::Explain(explain) => explain.run(client, out).await?,
            Command::Contacts { campaign_id, paging } => {
                contacts::list(client, out, campaign_id, &paging).await?;
            }
        }
        Ok(Exit::Ok)
    }
}

fn from_file(path: Option<&PathBuf>) -> Result<CampaignFile, Failure> {
    path.map(|path| settings::read(path)).transpose().map(Option::unwrap_or_default)
}

impl Create {
    async fn run(self, client: &Client, out: &mut Output) -> Result<(), Failure> {
        let mut file = from_file(self.config.as_ref())?;
        self.settings.apply(&mut file.settings)?;
        let name = self.name.or(file.name).ok_or_else(|| {
            Failure::usage("a campaign needs a name")
                .with_help("tandem campaign create NAME, or name = in the file")
        })?;
        let idempotency_key = self.once.key();
        let request = v1::CreateCampaignRequest {
            name,
            settings: Some(file.settings),
            idempotency_key: idempotency_key.clone(),
        };
        let create = async |channel, request| service(channel).create_campaign(request).await;
        let answer = client.change(&idempotency_key, request, create).await?;
        out.answer(&answer, show::created)
    }
}

impl Update {
    async fn run(self, client: &Client, out: &mut Output) -> Result<(), Failure> {
        let mut file = from_file(self.config.as_ref())?;
        self.settings.apply(&mut file.settings)?;
        if file.settings == v1::CampaignSettings::default() {
            return Err(Failure::usage("nothing is to be changed"));
        }
        let idempotency_key = self.once.key();
        let request = v1::UpdateCampaignRequest {
            campaign_id: self.campaign_id,
            settings: Some(file.settings),
            idempotency_key: idempotency_key.clone(),
        };
        let update = async |channel, request| service(channel).update_campaign(request).await;
        let answer = client.change(&idempotency_key, request, update).await?;
        out.answer(&answer, |answer| show::phase(answer.phase, answer.replayed))
    }
}

async fn list(client: &Client, out: &mut Output, paging: &Paging) -> Result<(), Failure> {
    let (mut pages, mut table) = (paging.pages(), show::table());
    while let Some((page_size, page_token)) = pages.next() {
        let request = v1::ListCampaignsRequest { page_size, page_token };
        let list = async |channel, request| service(channel).list_campaigns(request).await;
        let answer = client.ask(request, list).await?;
        pages.read(answer.campaigns.len(), answer.next_page_token);
        for campaign in &answer.campaigns {
            if out.is_json() {
                out.item(campaign, |_| String::new())?
            } else {
                table.row(show::row(campaign))
            }
        }
    }
    finish_list(out, &table, pages.is_more())
}
