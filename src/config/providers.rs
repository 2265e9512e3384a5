//! Accounts at carriers and voice agent providers.

use super::Secret;
use super::read::{Section, Url};

/// `[carriers.<name>]`
#[derive(Clone, Debug)]
pub enum Carrier {
    Twilio(Twilio),
    /// Calls nobody: takes every dial, and ends it answered at once. For load tests.
    Null,
}

/// An account at Twilio.
#[derive(Clone, Debug)]
pub struct Twilio {
    pub account_sid: String,
    /// Signs every callback.
    pub auth_token: Secret,
    pub login: TwilioLogin,
    pub base_url: Url,
    /// Requests under way at a time.
    pub connections_max: usize,
    pub timeout_ms: u64,
}

/// How requests are authenticated.
#[derive(Clone, Debug)]
pub enum TwilioLogin {
    /// With the account's auth token.
    AuthToken,
    /// With an API key, which can be revoked alone.
    ApiKey { sid: String, secret: Secret },
}

#[derive(Clone, Copy)]
enum CarrierType {
    Twilio,
    Null,
}

impl Carrier {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Carrier> {
        let types = [("twilio", CarrierType::Twilio), ("null", CarrierType::Null)];
        let about = "What the account is with; null calls nobody, for load tests.";
        match section.choice("type", &types, None, about)? {
            CarrierType::Twilio => Twilio::read(section).map(Carrier::Twilio),
            CarrierType::Null => Some(Carrier::Null),
        }
    }

    /// Where requests go; nowhere for one that calls nobody.
    pub(super) fn base_url(&self) -> Option<&Url> {
        match self {
            Carrier::Twilio(twilio) => Some(&twilio.base_url),
            Carrier::Null => None,
        }
    }
}

/// Two letters and 32 hexadecimal digits.
fn is_sid(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix)
        .is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|b| b.is_ascii_hexdigit()))
}

impl Twilio {
    fn read(section: &mut Section<'_, '_>) -> Option<Twilio> {
        let example = "\"AC00000000000000000000000000000000\"";
        let account_sid: Option<String> =
            section.required("account_sid", example, "The account: AC and 32 hexadecimal digits.");
        if account_sid.as_ref().is_some_and(|sid| !is_sid(sid, "AC")) {
            section.refuse("account_sid", "must be AC and 32 hexadecimal digits");
        }
        let auth_token =
            section.secret("auth_token", true, "The account's auth token: what callbacks are signed with.");
        let example = "\"SK00000000000000000000000000000000\"";
        let about =
            "An API key for requests: SK and 32 hexadecimal digits. Without it the auth token serves.";
        let api_key: Option<String> = section.optional("api_key", example, about);
        if api_key.as_ref().is_some_and(|sid| !is_sid(sid, "SK")) {
            section.refuse("api_key", "must be SK and 32 hexadecimal digits");
        }
        let api_secret = section.secret("api_secret", false, "The secret of the API key.");
        let secret_given = section.is_given("api_secret") || section.is_given("api_secret_file");
        match (section.is_given("api_key"), secret_given) {
            (true, false) => section.refuse("api_secret", "is required together with api_key"),
            (false, true) => section.refuse("api_key", "is required together with api_secret"),
            _ => {}
        }
        let base_url = base_url(section, "https://api.twilio.com");
        let connections_max =
            section.number("connections_max", 64, 1..=1_024, "Requests to the carrier under way at a time.");
        let timeout_ms = section.number(
            "timeout_ms",
            15_000,
            1_000..=60_000,
            "How long a request may take; a dial that takes longer is settled, never sent again.",
        );
        let login = match (api_key, api_secret) {
            (Some(sid), Some(secret)) => TwilioLogin::ApiKey { sid, secret },
            _ => TwilioLogin::AuthToken,
        };
        Some(Twilio {
            account_sid: account_sid?,
            auth_token: auth_token?,
            login,
            base_url: base_url?,
            connections_max,
            timeout_ms,
        })
    }
}

/// `[agents.<name>]`
#[derive(Clone, Debug)]
pub enum Agent {
    ElevenLabs(ElevenLabs),
}

/// An account at ElevenLabs.
#[derive(Clone, Debug)]
pub struct ElevenLabs {
    pub api_key: Secret,
    pub base_url: Url,
    /// What its agents say when they take an interrupted conversation up again.
    pub resume_message: Option<String>,
}

/// It is said while the person waits to go on.
const RESUME_MESSAGE_BYTES_MAX: usize = 500;

#[derive(Clone, Copy)]
enum AgentType {
    ElevenLabs,
}

impl Agent {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Agent> {
        let types = [("elevenlabs", AgentType::ElevenLabs)];
        match section.choice("type", &types, None, "What the account is with.")? {
            AgentType::ElevenLabs => {
                let api_key = section.secret("api_key", true, "Permits conversations to be started.");
                let base_url = base_url(section, "https://api.elevenlabs.io");
                let example = "\"Sorry, we were cut off for a moment. I am back.\"";
                let about = "What agents say first when they take up a conversation whose line was interrupted. \
                             Without, a short excuse in the language of the plan or the person.";
                let resume_message: Option<String> = section.optional("resume_message", example, about);
                if resume_message.as_ref().is_some_and(|text| text.len() > RESUME_MESSAGE_BYTES_MAX) {
                    section.refuse("resume_message", "must be at most 500 bytes");
                }
                Some(Agent::ElevenLabs(ElevenLabs { api_key: api_key?, base_url: base_url?, resume_message }))
            }
        }
    }

    pub(super) fn base_url(&self) -> &Url {
        match self {
            Agent::ElevenLabs(elevenlabs) => &elevenlabs.base_url,
        }
    }
}

fn base_url(section: &mut Section<'_, '_>, default: &'static str) -> Option<Url> {
    let url =
        section.or("base_url", default.parse().ok()?, "The provider's address, for a region or a simulator.");
    Some(url)
}
