//! `tandem.v1.CampaignService`.

mod add;
pub mod explain;
pub mod holds;
mod import;
mod preflight;
mod watching;

use super::convert::{campaign as convert, choices, plan, settings};
use super::error::{self, Violation};
use super::page::{self, Mark};
use super::room::{Admitted, Room, derived_id, id, key, key_text, query_failed};
use super::watch::Answers;
use std::sync::Arc;
use tandem_actors::{Answer, query};
use tandem_domain::campaign::{Campaign, Command, Config, Phase, Reason, Reply, State};
use tandem_domain::company::Scope;
use tandem_domain::id::{CampaignId, CompanyId, Entity};
use tandem_proto::v1;
use tandem_proto::v1::campaign_service_server::CampaignService;
use tonic::{Request, Response, Status, Streaming};

/// Bytes of a name.
const NAME_BYTES_MAX: usize = 200;

/// Campaigns.
pub struct Campaigns(pub Arc<Room>);

/// The phase that most commands of this service are answered with.
fn phase_of(answer: &Answer<Reply>) -> Result<i32, Status> {
    match &answer.reply {
        Reply::Status(status) => Ok(choices::campaign_phase(status.phase).into()),
        Reply::Added(_) => Err(error::internal("a campaign answered something else", &"contacts added")),
    }
}

/// The id of a campaign that people made: that of the single calls is the company's own affair.
fn campaign_id(company: CompanyId, text: &str) -> Result<(CampaignId, Entity), Status> {
    let campaign: CampaignId = id("campaign_id", text)?;
    Ok((campaign, Entity::campaign(company, campaign)))
}

/// The single calls go on as long as the company does; whoever wants them to stop closes it.
fn refuse_single_calls(company: CompanyId, campaign: CampaignId) -> Result<(), Status> {
    if campaign == tandem_domain::campaign::direct(company) {
        let why = "the company's single calls: change them with UpdateCompany, stop them with CloseCompany";
        return Err(Violation::new("campaign_id", why).into());
    }
    Ok(())
}

impl Campaigns {
    /// Whether this node has what the plan names.
    fn check_names(&self, config: &Config) -> Result<(), Violation> {
        plan::check_names(&self.0.configured, &config.plan).map_err(|v| v.within("settings"))
    }

    /// A campaign is not set going to dial people with whom nobody could talk: its plan may have been good when it was
    /// made, and the node's configuration have changed since. One that goes already answers for itself.
    async fn check_standing(
        &self,
        company: CompanyId,
        campaign: &str,
        stands: &[Phase],
    ) -> Result<(), Status> {
        let (campaign, entity) = campaign_id(company, campaign)?;
        refuse_single_calls(company, campaign)?;
        let state = self.0.read::<Campaign>(entity).await?.state;
        if stands.contains(&state.phase) {
            self.check_names(&state.config)?;
        }
        Ok(())
    }

    async fn create(
        &self,
        company: CompanyId,
        message: v1::CreateCampaignRequest,
    ) -> Result<v1::CreateCampaignResponse, Status> {
        let key = key("CreateCampaign", &message.idempotency_key, &message)?;
        let name = message.name.trim();
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(Violation::new("name", "1 to 200 bytes").into());
        }
        let mut config = Config::default();
        if let Some(message) = &message.settings {
            settings::apply_settings(&mut config, message).map_err(|v| v.within("settings"))?;
        }
        settings::check(&config)?;
        self.check_names(&config)?;
        let campaign = CampaignId(match key_text(&message.idempotency_key)? {
            Some(text) => derived_id(company, "campaign", text),
            None => self.0.fresh_id()?,
        });
        let config = Box::new(config);
        let command = Command::Create { name: name.to_owned(), config, direct: false };
        let answer = self.0.send::<Campaign>(Entity::campaign(company, campaign), command, key).await?;
        Ok(v1::CreateCampaignResponse {
            campaign_id: campaign.to_string(),
            phase: phase_of(&answer)?,
            replayed: answer.replayed,
        })
    }

    async fn update(
        &self,
        company: CompanyId,
        message: v1::UpdateCampaignRequest,
    ) -> Result<v1::UpdateCampaignResponse, Status> {
        let (campaign, entity) = campaign_id(company, &message.campaign_id)?;
        refuse_single_calls(company, campaign)?;
        let key = key("UpdateCampaign", &message.idempotency_key, &message)?;
        let changed = |state: &State| {
            let mut config = state.config.clone();
            if let Some(message) = &message.settings {
                settings::apply_settings(&mut config, message).map_err(|v| v.within("settings"))?;
            }
            settings::check(&config)?;
            // What stays as it was is asked about when the campaign goes on.
            if message.settings.as_ref().is_some_and(|settings| settings.plan.is_some()) {
                self.check_names(&config)?;
            }
            let from = Some(Box::new(state.config.clone()));
            Ok(Command::Configure { config: Box::new(config), from })
        };
        let answer = self.0.change::<Campaign>(entity, key, changed).await?;
        Ok(v1::UpdateCampaignResponse { phase: phase_of(&answer)?, replayed: answer.replayed })
    }

    async fn get(
        &self,
        company: CompanyId,
        message: &v1::GetCampaignRequest,
    ) -> Result<v1::GetCampaignResponse, Status> {
        let (campaign, entity) = campaign_id(company, &message.campaign_id)?;
        let view = self.0.read::<Campaign>(entity).await?;
        let campaign = Some(convert::campaign(campaign, &view.state, view.events));
        Ok(v1::GetCampaignResponse { campaign })
    }

    async fn list(
        &self,
        company: CompanyId,
        message: &v1::ListCampaignsRequest,
    ) -> Result<v1::ListCampaignsResponse, Status> {
        let size = page::size(message.page_size)?;
        let mark = Mark::new(&[b"campaigns", company.0.as_bytes()]);
        let after = mark.cursor(&message.page_token)?;
        let rows = query::campaigns(self.0.store(), company, after.as_deref(), size).await;
        let rows = rows.map_err(query_failed)?;
        let show = |row: &query::CampaignRow| v1::Campaign {
            settings: None,
            ..convert::campaign(row.id, &row.state, 0)
        };
        Ok(v1::ListCampaignsResponse {
            campaigns: rows.items.iter().map(show).collect(),
            next_page_token: mark.token(rows.next),
        })
    }

    async fn contacts(
        &self,
        company: CompanyId,
        message: &v1::ListContactsRequest,
    ) -> Result<v1::ListContactsResponse, Status> {
        let (campaign, entity) = campaign_id(company, &message.campaign_id)?;
        let size = page::size(message.page_size)?;
        let mark = Mark::new(&[b"contacts", company.0.as_bytes(), campaign.0.as_bytes()]);
        let after = mark.cursor(&message.page_token)?;
        self.0.read::<Campaign>(entity).await?;
        let rows = query::contacts(self.0.store(), company, campaign, after.as_deref(), size).await;
        let rows = rows.map_err(query_failed)?;
        let show =
            |row: &query::ContactRow| convert::contact(campaign, row.no, &row.contact, row.end.as_ref());
        Ok(v1::ListContactsResponse {
            contacts: rows.items.iter().map(show).collect(),
            next_page_token: mark.token(rows.next),
        })
    }

    /// A command without more than itself: the phase after it, and whether it was replayed.
    async fn command<T: prost::Message>(
        &self,
        company: CompanyId,
        (method, command): (&str, Command),
        (campaign, key_given): (&str, &str),
        message: &T,
    ) -> Result<(i32, bool), Status> {
        let (campaign, entity) = campaign_id(company, campaign)?;
        refuse_single_calls(company, campaign)?;
        let key = key(method, key_given, message)?;
        let answer = self.0.send::<Campaign>(entity, command, key).await?;
        Ok((phase_of(&answer)?, answer.replayed))
    }
}

/// A method that sends one command and answers the phase.
macro_rules! plain_command {
    ($self:ident, $request:ident, $name:literal, $command:expr, $response:ident) => {
        plain_command!($self, $request, $name, $command, $response, &[])
    };
    // `$stands`: the phases out of which it sets the campaign going.
    ($self:ident, $request:ident, $name:literal, $command:expr, $response:ident, $stands:expr) => {{
        let Admitted { caller, deadline, message } = $self.0.admit($request, Scope::CampaignsWrite).await?;
        let named = (message.campaign_id.as_str(), message.idempotency_key.as_str());
        let stands: &[Phase] = $stands;
        let work = async {
            if !stands.is_empty() {
                $self.check_standing(caller.company, named.0, stands).await?;
            }
            $self.command(caller.company, ($name, $command), named, &message).await
        };
        let (phase, replayed) = deadline.bound(work).await?;
        Ok(Response::new(v1::$response { phase, replayed }))
    }};
}

#[tonic::async_trait]
impl CampaignService for Campaigns {
    async fn create_campaign(
        &self,
        request: Request<v1::CreateCampaignRequest>,
    ) -> Result<Response<v1::CreateCampaignResponse>, Status> {
        let Admitted { caller, deadline, message } = self.0.admit(request, Scope::CampaignsWrite).await?;
        deadline.bound(self.create(caller.company, message)).await.map(Response::new)
    }

    async fn update_campaign(
        &self,
        request: Request<v1::UpdateCampaignRequest>,
    ) -> Result<Response<v1::UpdateCampaignResponse>, Status> {
        let Admitted { caller, deadline, message } = self.0.admit(request, Scope::CampaignsWrite).await?;
        deadline.bound(self.update(caller.company, message)).await.map(Response::new)
    }

    async fn get_campaign(
        &self,
        request: Request<v1::GetCampaignRequest>,
    ) -> Result<Response<v1::GetCampaignResponse>, Status> {
        let Admitted { caller, deadline, message } = self.0.admit(request, Scope::CampaignsRead).await?;
        deadline.bound(self.get(caller.company, &message)).await.map(Response::new)
    }

    async fn list_campaigns(
        &self,
        request: Request<v1::ListCampaignsRequest>,
    ) -> Result<Response<v1::ListCampaignsResponse>, Status> {
        let Admitted { caller, deadline, message } = self.0.admit(request, Scope::CampaignsRead).await?;
        deadline.bound(self.list(caller.company, &message)).await.map(Response::new)
    }

    async fn import_contacts(
        &self,
        request: Request<Streaming<v1::ImportContactsRequest>>,
    ) -> Result<Response<v1::ImportContactsResponse>, Status> {
        let Admitted { caller, deadline, message } =
            self.0.admit_stream(request, Scope::CampaignsWrite).await?;
        deadline.bound(import::import(self.0.clone(), caller.company, message)).await.map(Response::new)
    }

    async fn start_campaign(
        &self,
        request: Request<v1::StartCampaignRequest>,
    ) -> Result<Response<v1::StartCampaignResponse>, Status> {
        plain_command!(self, request, "StartCampaign", Command::Start, StartCampaignResponse, &[Phase::Draft])
    }

    async fn pause_campaign(
        &self,
        request: Request<v1::PauseCampaignRequest>,
    ) -> Result<Response<v1::PauseCampaignResponse>, Status> {
        let pause = Command::Pause { reason: Reason::Operator };
        plain_command!(self, request, "PauseCampaign", pause, PauseCampaignResponse)
    }

    async fn resume_campaign(
        &self,
        request: Request<v1::ResumeCampaignRequest>,
    ) -> Result<Response<v1::ResumeCampaignResponse>, Status> {
        let stands = &[Phase::Paused, Phase::Pausing];
        plain_command!(self, request, "ResumeCampaign", Command::Resume, ResumeCampaignResponse, stands)
    }

    async fn stop_campaign(
        &self,
        request: Request<v1::StopCampaignRequest>,
    ) -> Result<Response<v1::StopCampaignResponse>, Status> {
        plain_command!(self, request, "StopCampaign", Command::Stop, StopCampaignResponse)
    }

    type WatchCampaignStream = Answers<v1::WatchCampaignResponse>;

    async fn watch_campaign(
        &self,
        request: Request<v1::WatchCampaignRequest>,
    ) -> Result<Response<Self::WatchCampaignStream>, Status> {
        let Admitted { caller, deadline, message } =
            self.0.admit_stream(request, Scope::CampaignsRead).await?;
        let (_, entity) = campaign_id(caller.company, &message.campaign_id)?;
        watching::watch(self.0.clone(), entity, &message, deadline).await.map(Response::new)
    }

    type PreflightCampaignStream = Answers<v1::PreflightCampaignResponse>;

    async fn preflight_campaign(
        &self,
        request: Request<v1::PreflightCampaignRequest>,
    ) -> Result<Response<Self::PreflightCampaignStream>, Status> {
        let Admitted { caller, deadline, message } =
            self.0.admit_stream(request, Scope::CampaignsRead).await?;
        preflight::preflight(self.0.clone(), caller.company, &message, deadline).await.map(Response::new)
    }

    async fn explain_contact(
        &self,
        request: Request<v1::ExplainContactRequest>,
    ) -> Result<Response<v1::ExplainContactResponse>, Status> {
        let Admitted { caller, deadline, message } = self.0.admit(request, Scope::CampaignsRead).await?;
        let work = explain::contact(&self.0, caller.company, &message);
        deadline.bound(work).await.map(Response::new)
    }

    async fn explain_campaign(
        &self,
        request: Request<v1::ExplainCampaignRequest>,
    ) -> Result<Response<v1::ExplainCampaignResponse>, Status> {
        let Admitted { caller, deadline, message } = self.0.admit(request, Scope::CampaignsRead).await?;
        let work = explain::campaign(&self.0, caller.company, &message);
        deadline.bound(work).await.map(Response::new)
    }

    async fn list_contacts(
        &self,
        request: Request<v1::ListContactsRequest>,
    ) -> Result<Response<v1::ListContactsResponse>, Status> {
        let Admitted { caller, deadline, message } = self.0.admit(request, Scope::CampaignsRead).await?;
        deadline.bound(self.contacts(caller.company, &message)).await.map(Response::new)
    }
}
