//! `tandem.v1.CompanyService`.

use super::auth::{KeyId, Minted, Who};
use super::convert::{choices, company as convert, settings};
use super::deadline::Deadline;
use super::error::Violation;
use super::page::{self, Mark};
use super::room::{Room, derived_id, key, key_text, query_failed, vault_failed};
use std::sync::Arc;
use tandem_actors::query;
use tandem_domain::campaign::{Config, Limits};
use tandem_domain::company::{Command, Company, NewKey, Reply, Scope, State, Update};
use tandem_domain::id::{CompanyId, Entity};
use tandem_proto::v1;
use tandem_proto::v1::company_service_server::CompanyService;
use tonic::{Request, Response, Status};
use uuid::Uuid;

/// Name of the first key where the request gives none.
const FIRST_KEY: &str = "first";
/// Companies of one page: each is read by itself.
const COMPANIES_MAX: usize = 100;

/// Companies.
pub struct Companies(pub Arc<Room>);

fn state_of(reply: Reply) -> State {
    let Reply::State(state) = reply;
    *state
}

/// The new state as it is shown.
fn shown(company: CompanyId, state: &State, event: u64) -> v1::Company {
    convert::company(company, state, event)
}

/// The key of this id, as it is shown.
fn key_shown(state: &State, id: KeyId) -> Option<v1::ApiKey> {
    state.keys.iter().find(|key| key.key_id == id).map(convert::api_key)
}

impl Companies {
    /// A new key. Its public part comes of the idempotency key, so that it is the same when asked again.
    fn mint(&self, company: CompanyId, key: &str) -> Result<(KeyId, Minted), Status> {
        let vault = self.0.handle.vault();
        let id: KeyId = match key_text(key)? {
            Some(text) => first_half(derived_id(company, "api key", text)),
            None => vault.random_bytes().map_err(vault_failed)?,
        };
        Ok((id, Minted::new(id, vault.random_bytes().map_err(vault_failed)?)))
    }

    /// What changes of a company, checked against what this node has.
    fn update_of(
        &self,
        state: &State,
        limits: Option<&v1::Limits>,
        single_calls: Option<&v1::CampaignSettings>,
    ) -> Result<Update, Violation> {
        let update = update_of(state, limits, single_calls)?;
        // What stays as it was is not asked about: nothing is dialed by it without being checked again.
        let plan = update.single_calls.as_ref().map(|config| &config.plan);
        if let (Some(plan), true) = (plan, single_calls.is_some_and(|message| message.plan.is_some())) {
            settings::check_names_of_single_calls(&self.0.configured, plan)
                .map_err(|v| v.within("single_calls"))?;
        }
        Ok(update)
    }

    async fn create(&self, message: v1::CreateCompanyRequest) -> Result<v1::CreateCompanyResponse, Status> {
        let key = key("CreateCompany", &message.idempotency_key, &message)?;
        let company = CompanyId(match key_text(&message.idempotency_key)? {
            Some(text) => derived_id(CompanyId(Uuid::nil()), "company", text),
            None => self.0.fresh_id()?,
        });
        let mut settings =
            self.update_of(&State::default(), message.limits.as_ref(), message.single_calls.as_ref())?;
        settings.callers = Some(convert::callers_of(&message.caller_ids)?);
        settings.limits.get_or_insert(Limits::default());
        settings.single_calls.get_or_insert(Config::default());
        let (key_id, minted) = self.mint(company, &message.idempotency_key)?;
        let name = if message.key_name.is_empty() { FIRST_KEY } else { &message.key_name };
        let first = NewKey { key_id, hash: minted.hash, name: name.to_owned(), scopes: Scope::all_bits() };
        let command = Command::Create {
            name: message.name.trim().to_owned(),
            secrets: self.0.handle.vault().new_company_secrets().map_err(vault_failed)?,
            settings: Box::new(settings),
            key: Some(first),
        };
        let answer = self.0.send::<Company>(Entity::company(company), command, key).await?;
        let state = state_of(answer.reply);
        Ok(v1::CreateCompanyResponse {
            company: Some(shown(company, &state, answer.events)),
            key: key_shown(&state, key_id),
            // What was minted now is not what was stored then.
            secret: if answer.replayed { String::new() } else { minted.text },
            replayed: answer.replayed,
        })
    }

    async fn update(
        &self,
        company: CompanyId,
        message: v1::UpdateCompanyRequest,
    ) -> Result<v1::UpdateCompanyResponse, Status> {
        let key = key("UpdateCompany", &message.idempotency_key, &message)?;
        let entity = Entity::company(company);
        let changed = |state: &State| {
            let mut update = self.update_of(state, message.limits.as_ref(), message.single_calls.as_ref())?;
            let from = Update {
                limits: update.limits.is_some().then_some(state.limits),
                single_calls: update.single_calls.is_some().then(|| state.single_calls.clone()),
                callers: None,
            };
            if let Some(callers) = &message.caller_ids {
                update.callers = Some(convert::callers_of(&callers.caller_ids)?);
            }
            Ok(Command::Update { settings: Box::new(update), from: Some(Box::new(from)) })
        };
        let answer = self.0.change::<Company>(entity, key, changed).await?;
        self.0.defaults.forget(company);
        let company = Some(shown(company, &state_of(answer.reply), answer.events));
        Ok(v1::UpdateCompanyResponse { company, replayed: answer.replayed })
    }

    async fn create_key(
        &self,
        company: CompanyId,
        who: Who,
        message: v1::CreateKeyRequest,
    ) -> Result<v1::CreateKeyResponse, Status> {
        let key = key("CreateKey", &message.idempotency_key, &message)?;
        let scopes = scopes_of(&message.scopes)?;
        if let Who::Key(caller) = who {
            // Nobody gives away more than they have.
            for scope in Scope::ALL.into_iter().filter(|scope| scopes & *scope as u32 != 0) {
                caller.require(scope)?;
            }
        }
        let (key_id, minted) = self.mint(company, &message.idempotency_key)?;
        let new = NewKey { key_id, hash: minted.hash, name: message.name, scopes };
        let answer = self.0.send::<Company>(Entity::company(company), Command::AddKey(new), key).await?;
        Ok(v1::CreateKeyResponse {
            key: key_shown(&state_of(answer.reply), key_id),
            secret: if answer.replayed { String::new() } else { minted.text },
            replayed: answer.replayed,
        })
    }

    async fn revoke_key(
        &self,
        company: CompanyId,
        message: v1::RevokeKeyRequest,
    ) -> Result<v1::RevokeKeyResponse, Status> {
        let key = key("RevokeKey", &message.idempotency_key, &message)?;
        let key_id = convert::key_id_of("key_id", &message.key_id)?;
        let entity = Entity::company(company);
        let answer = self.0.send::<Company>(entity, Command::RevokeKey { key_id }, key).await?;
        self.0.auth.forget(key_id);
        let key = key_shown(&state_of(answer.reply), key_id);
        Ok(v1::RevokeKeyResponse { key, replayed: answer.replayed })
    }

    async fn list(&self, message: &v1::ListCompaniesRequest) -> Result<v1::ListCompaniesResponse, Status> {
        let size = page::size(message.page_size)?.min(COMPANIES_MAX);
        let mark = Mark::new(&[b"companies"]);
        let after = mark.cursor(&message.page_token)?;
        let ids = query::companies(self.0.store(), after.as_deref(), size).await.map_err(query_failed)?;
        let mut companies = Vec::with_capacity(ids.items.len());
        for id in ids.items {
            let stored = query::stored::<Company>(self.0.store(), Entity::company(id)).await;
            if let Some((event, state)) = stored.map_err(query_failed)? {
                companies.push(v1::Company { single_calls: None, ..shown(id, &state, event) });
            }
        }
        Ok(v1::ListCompaniesResponse { companies, next_page_token: mark.token(ids.next) })
    }

    /// A command of which only is told whether it was replayed.
    async fn command<T: prost::Message>(
        &self,
        company: CompanyId,
        (method, command): (&str, Command),
        key_given: &str,
        message: &T,
    ) -> Result<bool, Status> {
        let key = key(method, key_given, message)?;
        let answer = self.0.send::<Company>(Entity::company(company), command, key).await?;
        Ok(answer.replayed)
    }
}

fn first_half(id: Uuid) -> KeyId {
    let mut half = [0; 8];
    half.copy_from_slice(&id.as_bytes()[..8]);
    half
}

/// What changes of a company; what the request leaves out stays.
fn update_of(
    state: &State,
    limits: Option<&v1::Limits>,
    single_calls: Option<&v1::CampaignSettings>,
) -> Result<Update, Violation> {
    let mut update = Update::default();
    if let Some(message) = limits {
        let mut limits = state.limits;
        settings::apply_limits(&mut limits, message)?;
        update.limits = Some(limits);
    }
    if let Some(message) = single_calls {
        let mut config = state.single_calls.clone();
        if !message.caller_ids.is_empty() {
            let why = "single calls may use every caller id of the company: leave them out";
            return Err(Violation::new("single_calls.caller_ids", why));
        }
        settings::apply_settings(&mut config, message).map_err(|v| v.within("single_calls"))?;
        settings::check_single_calls(&config).map_err(|v| v.within("single_calls"))?;
        update.single_calls = Some(config);
    }
    Ok(update)
}

fn scopes_of(messages: &[i32]) -> Result<u32, Violation> {
    let mut bits = 0;
    for message in messages {
        bits |= choices::required("scopes", choices::scope_of("scopes", *message)?)? as u32;
    }
    if bits == 0 { Err(Violation::new("scopes", "at least one")) } else { Ok(bits) }
}

#[tonic::async_trait]
impl CompanyService for Companies {
    async fn create_company(
        &self,
        request: Request<v1::CreateCompanyRequest>,
    ) -> Result<Response<v1::CreateCompanyResponse>, Status> {
        self.0.auth.admin(request.metadata()).await?;
        let deadline = Deadline::of(request.metadata(), self.0.timeout);
        deadline.bound(self.create(request.into_inner())).await.map(Response::new)
    }

    async fn get_company(
        &self,
        request: Request<v1::GetCompanyRequest>,
    ) -> Result<Response<v1::GetCompanyResponse>, Status> {
        let named = &request.get_ref().company_id;
        let (company, _) = self.0.company(&request, Scope::CompanyRead, named).await?;
        let deadline = Deadline::of(request.metadata(), self.0.timeout);
        let view = deadline.bound(self.0.read::<Company>(Entity::company(company))).await?;
        let company = Some(shown(company, &view.state, view.events));
        Ok(Response::new(v1::GetCompanyResponse { company }))
    }

    async fn list_companies(
        &self,
        request: Request<v1::ListCompaniesRequest>,
    ) -> Result<Response<v1::ListCompaniesResponse>, Status> {
        self.0.auth.admin(request.metadata()).await?;
        let deadline = Deadline::of(request.metadata(), self.0.timeout);
        deadline.bound(self.list(request.get_ref())).await.map(Response::new)
    }

    async fn update_company(
        &self,
        request: Request<v1::UpdateCompanyRequest>,
    ) -> Result<Response<v1::UpdateCompanyResponse>, Status> {
        let named = &request.get_ref().company_id;
        let (company, _) = self.0.company(&request, Scope::CompanyWrite, named).await?;
        let deadline = Deadline::of(request.metadata(), self.0.timeout);
        deadline.bound(self.update(company, request.into_inner())).await.map(Response::new)
    }

    async fn create_key(
        &self,
        request: Request<v1::CreateKeyRequest>,
    ) -> Result<Response<v1::CreateKeyResponse>, Status> {
        let named = &request.get_ref().company_id;
        let (company, who) = self.0.company(&request, Scope::CompanyWrite, named).await?;
        let deadline = Deadline::of(request.metadata(), self.0.timeout);
        deadline.bound(self.create_key(company, who, request.into_inner())).await.map(Response::new)
    }

    async fn revoke_key(
        &self,
        request: Request<v1::RevokeKeyRequest>,
    ) -> Result<Response<v1::RevokeKeyResponse>, Status> {
        let named = &request.get_ref().company_id;
        let (company, _) = self.0.company(&request, Scope::CompanyWrite, named).await?;
        let deadline = Deadline::of(request.metadata(), self.0.timeout);
        deadline.bound(self.revoke_key(company, request.into_inner())).await.map(Response::new)
    }

    async fn list_keys(
        &self,
        request: Request<v1::ListKeysRequest>,
    ) -> Result<Response<v1::ListKeysResponse>, Status> {
        let named = &request.get_ref().company_id;
        let (company, _) = self.0.company(&request, Scope::CompanyRead, named).await?;
        let deadline = Deadline::of(request.metadata(), self.0.timeout);
        let view = deadline.bound(self.0.read::<Company>(Entity::company(company))).await?;
        let keys = view.state.keys.iter().map(convert::api_key).collect();
        Ok(Response::new(v1::ListKeysResponse { keys }))
    }

    async fn close_company(
        &self,
        request: Request<v1::CloseCompanyRequest>,
    ) -> Result<Response<v1::CloseCompanyResponse>, Status> {
        let named = &request.get_ref().company_id;
        let (company, _) = self.0.company(&request, Scope::CompanyWrite, named).await?;
        let deadline = Deadline::of(request.metadata(), self.0.timeout);
        let message = request.into_inner();
        let command = Command::Close { reason: message.reason.clone() };
        let work = self.command(company, ("CloseCompany", command), &message.idempotency_key, &message);
        let replayed = deadline.bound(work).await?;
        Ok(Response::new(v1::CloseCompanyResponse { replayed }))
    }

    async fn open_company(
        &self,
        request: Request<v1::OpenCompanyRequest>,
    ) -> Result<Response<v1::OpenCompanyResponse>, Status> {
        let named = &request.get_ref().company_id;
        let (company, _) = self.0.company(&request, Scope::CompanyWrite, named).await?;
        let deadline = Deadline::of(request.metadata(), self.0.timeout);
        let message = request.into_inner();
        let work = self.command(company, ("OpenCompany", Command::Open), &message.idempotency_key, &message);
        let replayed = deadline.bound(work).await?;
        Ok(Response::new(v1::OpenCompanyResponse { replayed }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_named_and_at_least_one() {
        let both = [v1::Scope::CallsRead.into(), v1::Scope::CompanyWrite.into()];
        assert_eq!(scopes_of(&both), Ok(Scope::CallsRead as u32 | Scope::CompanyWrite as u32));
        assert!(scopes_of(&[]).is_err());
        assert!(scopes_of(&[0]).is_err());
        assert!(scopes_of(&[99]).is_err());
    }

    #[test]
    fn single_calls_name_no_caller_ids_of_their_own() {
        let message = v1::CampaignSettings { caller_ids: vec!["+12025550143".into()], ..<_>::default() };
        let refused = update_of(&State::default(), None, Some(&message)).expect_err("refused");
        assert_eq!(refused.field, "single_calls.caller_ids");
    }

    #[test]
    fn what_is_left_out_stays() {
        let limits = Limits { concurrency: 7, milli_cps: 8, attempts_a_day: 9 };
        let state = State { limits, ..State::default() };
        let message = v1::Limits { attempts_per_day: Some(10), ..v1::Limits::default() };
        let update = update_of(&state, Some(&message), None).expect("good");
        assert_eq!(update.limits, Some(Limits { attempts_a_day: 10, ..limits }));
        assert_eq!((update.callers, update.single_calls), (None, None));
    }
}
