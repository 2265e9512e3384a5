//! From an empty node to a campaign that is ready to start: all of it over the public interface.

use super::api::{Api, once};
use super::scenario::AGENT;
use super::screen::Screen;
use super::stage::Stage;
use super::{DemoError, text};
use bytes::Bytes;
use prost_types::Duration;
use std::path::{Path, PathBuf};
use tandem_proto::v1;
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// The contact file that comes with Tandem.
pub(super) const CONTACTS: &[u8] = include_bytes!("../../examples/contacts.csv");
/// And its do-not-call list.
pub(super) const DO_NOT_CALL: &[u8] = include_bytes!("../../examples/dnc.csv");
/// For numbers without a country code.
pub(super) const REGION: &str = "US";

/// Numbers set aside for fiction.
const CALLER_IDS: [&str; 4] = ["+16465550190", "+16465550191", "+16465550192", "+16465550193"];

/// Calls alive at once. Each is a media socket on the carrier's side and one on the agent's.
const CONCURRENCY: u32 = 40;
/// Dials in a simulated second.
const CALLS_PER_S: f64 = 4.0;

/// File content is sent in pieces of so many bytes.
const PIECE_BYTES: usize = 64 * 1024;
/// Pieces that are read ahead.
const PIECES_WAITING: usize = 4;

/// Where contacts come from.
pub(super) enum Contacts {
    Shipped,
    File { path: PathBuf, file: tokio::fs::File },
}

impl Contacts {
    /// Opens the file at once: a wrong name is told before anything is started.
    pub async fn open(path: Option<&Path>) -> Result<Contacts, DemoError> {
        let Some(path) = path else { return Ok(Contacts::Shipped) };
        let failed = |error| DemoError::File { path: path.to_owned(), error };
        let file = tokio::fs::File::open(path).await.map_err(failed)?;
        if file.metadata().await.map_err(failed)?.is_dir() {
            return Err(failed(std::io::ErrorKind::IsADirectory.into()));
        }
        Ok(Contacts::File { path: path.to_owned(), file })
    }

    fn name(&self) -> String {
        match self {
            Contacts::Shipped => "examples/contacts.csv".to_owned(),
            Contacts::File { path, .. } => path.display().to_string(),
        }
    }
}

/// A campaign that is ready to start.
pub(super) struct Prepared {
    pub api: Api,
    /// The company's API key, all of it.
    pub key: String,
    pub campaign_id: String,
    pub imported: v1::ImportContactsResponse,
}

/// Makes the company, enters the do-not-call list, makes the campaign, imports its contacts, and shows what
/// is to be expected.
pub(super) async fn prepare(
    stage: &Stage,
    contacts: Contacts,
    screen: &mut Screen,
) -> Result<Prepared, DemoError> {
    let key = company(stage).await?;
    let mut api = Api::connect(stage.node.grpc, &key).await?;
    let listed = do_not_call(&mut api).await?;
    screen.say(&format!("do-not-call  {} numbers entered", listed.entered));
    let campaign_id = campaign(&mut api).await?;
    let name = contacts.name();
    let imported = import(&mut api, &campaign_id, contacts).await?;
    screen.say(&format!(
        "contacts   {} lines of {name}: {} added, {} duplicates, {} invalid",
        imported.read, imported.added, imported.duplicates, imported.invalid
    ));
    for line in text::issues(&imported, 3) {
        screen.say(&format!("           {line}"));
    }
    preflight(&mut api, &campaign_id, screen).await?;
    Ok(Prepared { api, key, campaign_id, imported })
}

async fn company(stage: &Stage) -> Result<String, DemoError> {
    let mut admin = Api::connect(stage.node.grpc, stage.admin_token.expose()).await?;
    let request = v1::CreateCompanyRequest {
        name: "Demonstration".to_owned(),
        limits: Some(v1::Limits {
            concurrency: Some(100),
            calls_per_second: Some(10.0),
            attempts_per_day: Some(0),
        }),
        caller_ids: CALLER_IDS.map(|number| v1::CallerId { number: number.to_owned(), limits: None }).into(),
        idempotency_key: once(),
        ..v1::CreateCompanyRequest::default()
    };
    const WHAT: &str = "making the company";
    let answer = admin.companies.create_company(request).await.map_err(DemoError::refused(WHAT))?;
    Ok(answer.into_inner().secret)
}

async fn do_not_call(api: &mut Api) -> Result<v1::ImportDoNotCallResponse, DemoError> {
    use v1::import_do_not_call_request::Content;
    let header = v1::ImportDoNotCallHeader { default_region: REGION.to_owned(), idempotency_key: once() };
    let pieces = [Content::Header(header), Content::Csv(Bytes::from_static(DO_NOT_CALL))];
    let requests = pieces.map(|content| v1::ImportDoNotCallRequest { content: Some(content) });
    let answer = api.customers.import_do_not_call(tokio_stream::iter(requests)).await;
    Ok(answer.map_err(DemoError::refused("entering the do-not-call list"))?.into_inner())
}

async fn campaign(api: &mut Api) -> Result<String, DemoError> {
    let plan = v1::Plan {
        carrier: Some("twilio".to_owned()),
        agent: Some(v1::Agent {
            provider: Some("elevenlabs".to_owned()),
            agent_id: Some(AGENT.to_owned()),
            ..v1::Agent::default()
        }),
        amd: Some(v1::AmdPolicy {
            on_machine: v1::MachineAction::LeaveMessage.into(),
            message: Some(v1::VoicemailMessage {
                text: "Hello, this is a demonstration. We will call again.".to_owned(),
                language: "en-US".to_owned(),
            }),
            ..v1::AmdPolicy::default()
        }),
        max_duration: Some(Duration { seconds: 5 * 60, nanos: 0 }),
        retry: Some(v1::RetryPolicy {
            // Whoever was left a message is not called again. Delays and budget are the defaults: five
            // attempts, after 15 min, 1 h, 4 h and 24 h.
            retried_outcomes: [
                v1::Outcome::Busy,
                v1::Outcome::NoAnswer,
                v1::Outcome::Unreachable,
                v1::Outcome::CarrierFailure,
            ]
            .map(i32::from)
            .into(),
            ..v1::RetryPolicy::default()
        }),
        ..v1::Plan::default()
    };
    let settings = v1::CampaignSettings {
        plan: Some(plan),
        // The default of 4 h between any two attempts would hide the schedule's first delays.
        gap: Some(Duration { seconds: 15 * 60, nanos: 0 }),
        limits: Some(v1::Limits {
            concurrency: Some(CONCURRENCY),
            calls_per_second: Some(CALLS_PER_S),
            attempts_per_day: Some(0),
        }),
        caller_ids: CALLER_IDS.map(str::to_owned).into(),
        ..v1::CampaignSettings::default()
    };
    let request = v1::CreateCampaignRequest {
        name: "Demonstration".to_owned(),
        settings: Some(settings),
        idempotency_key: once(),
    };
    let answer = api.campaigns.create_campaign(request).await;
    Ok(answer.map_err(DemoError::refused("making the campaign"))?.into_inner().campaign_id)
}

/// Sends the file as a stream of pieces, of which few are in memory at a time.
async fn import(
    api: &mut Api,
    campaign_id: &str,
    contacts: Contacts,
) -> Result<v1::ImportContactsResponse, DemoError> {
    use v1::import_contacts_request::Content;
    let header = v1::ImportContactsHeader {
        campaign_id: campaign_id.to_owned(),
        default_region: REGION.to_owned(),
        idempotency_key: once(),
    };
    let name = contacts.name();
    let (sender, receiver) = mpsc::channel(PIECES_WAITING);
    let reading = async move {
        let send = async |content| sender.send(v1::ImportContactsRequest { content: Some(content) }).await;
        // Whoever takes no more says why in the answer.
        let mut open = send(Content::Header(header)).await.is_ok();
        let Contacts::File { path, mut file } = contacts else {
            if open {
                let _ = send(Content::Csv(Bytes::from_static(CONTACTS))).await;
            }
            return Ok(());
        };
        while open {
            let mut piece = Vec::with_capacity(PIECE_BYTES);
            let read = (&mut file).take(PIECE_BYTES as u64).read_to_end(&mut piece).await;
            match read {
                Ok(0) => break,
                Ok(_) => open = send(Content::Csv(piece.into())).await.is_ok(),
                Err(error) => return Err(DemoError::File { path, error }),
            }
        }
        Ok(())
    };
    let sending = async {
        let answer = api.campaigns.import_contacts(ReceiverStream::new(receiver)).await;
        answer.map_err(|status| match status.code() {
            tonic::Code::InvalidArgument => DemoError::Contacts { path: name, why: text::status(&status) },
            _ => DemoError::refused("importing the contacts")(status),
        })
    };
    let (read, sent) = tokio::join!(reading, sending);
    read?;
    Ok(sent?.into_inner())
}

/// What the rule of the dial says of everybody before anybody is called.
async fn preflight(api: &mut Api, campaign_id: &str, screen: &mut Screen) -> Result<(), DemoError> {
    const WHAT: &str = "looking ahead";
    let request = v1::PreflightCampaignRequest { campaign_id: campaign_id.to_owned(), at: None };
    let stream = api.campaigns.preflight_campaign(request).await;
    let mut stream = stream.map_err(DemoError::refused(WHAT))?.into_inner();
    let mut last = None;
    while let Some(answer) = stream.message().await.map_err(DemoError::refused(WHAT))? {
        last = Some(answer);
    }
    let found = last.filter(|answer| answer.complete).ok_or(DemoError::Incomplete { what: WHAT })?;
    screen.say(&format!("preflight  {} may be called now", found.callable));
    for held in &found.barred {
        let skipped = if held.r#final { ": never called" } else { "" };
        screen.say(&format!("           {} {}{skipped}", held.count, text::lowered(&held.description)));
    }
    for opening in found.openings.iter().take(4) {
        if let Some(at) = &opening.at {
            let at = text::time(at.seconds * 1_000);
            screen.say(&format!("           {} can be called from {at} on", opening.count));
        }
    }
    Ok(())
}
