//! What the configuration says of the outside: carriers, voice agents, and where they reach us.

use super::NodeError;
use crate::config::{Agent, Carrier, Config, TwilioLogin};
use crate::configured::Configured;
use crate::edge::{self, Account, Agents, CarrierPerformer, Carriers, EdgeOptions, Urls};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tandem_actors::{Handle, Vault};
use tandem_providers::Secret;
use tandem_providers::elevenlabs::{self, ElevenLabs};
use tandem_providers::twilio::{self, Credentials, Twilio};
use tandem_store::Store;

fn secret(value: &crate::config::Secret) -> Secret {
    Secret::new(value.expose())
}

fn bad(section: &str, name: &str, error: impl std::fmt::Display) -> NodeError {
    NodeError::Provider(format!("{section}.{name}: {error}"))
}

/// The addresses that carriers are given. Without a public one no carrier is configured, and these
/// are never used.
pub fn urls(config: &Config) -> Result<Urls, NodeError> {
    let text = match &config.http.public_url {
        Some(url) => url.to_string(),
        None => format!("http://{}", config.http.listen),
    };
    text.parse().map_err(|e| bad("http", "public_url", e))
}

/// What plans may name.
pub fn configured(config: &Config) -> Configured {
    let carriers = config.carriers.iter().map(|(name, carrier)| (name, !matches!(carrier, Carrier::Null)));
    let all = carriers.fold(Configured::default(), |all, (name, calls)| all.with_carrier(name, calls));
    config.agents.keys().fold(all, |all, name| all.with_agent(name))
}

fn carriers(config: &Config) -> Result<Carriers, NodeError> {
    let mut carriers = Carriers::new();
    for (name, carrier) in &config.carriers {
        let Carrier::Twilio(account) = carrier else { continue };
        let credentials = match &account.login {
            TwilioLogin::ApiKey { sid, secret: key } => {
                Credentials::ApiKey { sid: sid.clone(), secret: secret(key) }
            }
            TwilioLogin::AuthToken => Credentials::AuthToken(secret(&account.auth_token)),
        };
        let mut options = twilio::Options::new(account.account_sid.clone(), credentials);
        options.base_url = account.base_url.to_string();
        options.limits.connections_max = account.connections_max;
        options.limits.request_timeout = Duration::from_millis(account.timeout_ms);
        let made = Twilio::new(options).map_err(|e| bad("carriers", name, e))?;
        carriers.insert(name.clone(), Arc::new(made));
    }
    Ok(carriers)
}

fn agents(config: &Config) -> Result<Agents, NodeError> {
    let mut agents = Agents::new();
    for (name, agent) in &config.agents {
        let Agent::ElevenLabs(account) = agent;
        let mut options = elevenlabs::Options::new(secret(&account.api_key));
        options.base_url = account.base_url.to_string();
        let made = ElevenLabs::new(options).map_err(|e| bad("agents", name, e))?;
        let resume_message = account.resume_message.clone();
        agents.insert(name.clone(), edge::Agent { provider: Arc::new(made), resume_message });
    }
    Ok(agents)
}

fn accounts(config: &Config) -> Vec<Account> {
    let mut accounts = Vec::new();
    for (name, carrier) in &config.carriers {
        if let Carrier::Twilio(account) = carrier {
            accounts.push(Account {
                carrier: name.clone(),
                account_sid: account.account_sid.clone(),
                auth_token: secret(&account.auth_token),
            });
        }
    }
    accounts
}

/// Carries out dials and instructions over the configured carriers.
pub fn performer(
    config: &Config,
    vault: &Vault,
    store: Arc<dyn Store>,
) -> Result<Arc<CarrierPerformer>, NodeError> {
    let configured = Arc::new(configured(config));
    let performer = CarrierPerformer::new(carriers(config)?, configured, urls(config)?, vault.clone(), store);
    Ok(Arc::new(performer))
}

/// What the HTTP edge is to be.
pub fn edge(config: &Config, handle: Handle) -> Result<EdgeOptions, NodeError> {
    let mut options = EdgeOptions::new(config.http.listen, urls(config)?, handle);
    options.accounts = accounts(config);
    options.agents = agents(config)?;
    options.limits.conversations_max = config.limits.conversations_max;
    options.limits.body_bytes_max = config.http.body_kb_max as usize * 1024;
    if let Some(tls) = &config.http.tls {
        let read =
            |path: &Path| std::fs::read(path).map_err(|e| NodeError::Tls(format!("{}: {e}", path.display())));
        let config = edge::server_config(&read(&tls.cert)?, &read(&tls.key)?);
        options.tls = Some(config.map_err(|e| NodeError::Tls(e.to_string()))?);
    }
    Ok(options)
}
