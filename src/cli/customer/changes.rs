//! Commands that change what is known of people.

use super::{service, show, who};
use crate::cli::args::Once;
use crate::cli::campaign::{Feed, issue_lines};
use crate::cli::client::{Client, repeatable};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::settings::variables;
use crate::cli::table::Card;
use crate::cli::words::Words as _;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use tandem_proto::v1;
use v1::import_do_not_call_request::Content;

#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  \
    tandem customer update '+1 212 555 0123' --name 'Ada Lovelace' --tag vip --var plan=gold\n\n\
    What is not said stays as it is; an empty text removes it.")]
pub struct Update {
    /// A phone number, or the id of a customer.
    who: String,
    /// lead, customer, inactive, churned or placeholder.
    #[arg(long, value_parser = v1::CustomerStatus::parse)]
    status: Option<v1::CustomerStatus>,
    /// The person's name.
    #[arg(long)]
    name: Option<String>,
    /// The person's e-mail address.
    #[arg(long)]
    email: Option<String>,
    /// The person's language, such as en or pt-BR.
    #[arg(long, value_name = "TAG")]
    language: Option<String>,
    /// A value for the agent; may be given many times.
    #[arg(long = "var", value_name = "NAME=VALUE")]
    variables: Vec<String>,
    /// Stands instead of all tags; may be given many times.
    #[arg(long = "tag", value_name = "TAG", conflicts_with = "no_tags")]
    tags: Vec<String>,
    /// Removes all tags.
    #[arg(long)]
    no_tags: bool,
    #[command(flatten)]
    once: Once,
}

#[derive(Args, Clone, Debug)]
pub struct Note {
    /// A phone number, or the id of a customer.
    who: String,
    /// The note.
    text: String,
    #[command(flatten)]
    once: Once,
}

#[derive(Subcommand, Clone, Debug)]
pub enum DoNotCall {
    /// Nobody calls this person from now on.
    Add {
        /// A phone number, or the id of a customer.
        who: String,
        /// Where it comes from: opt_out, operator or list.
        #[arg(long, value_parser = v1::DoNotCallSource::parse, default_value = "operator")]
        source: v1::DoNotCallSource,
        /// The call in which it was said.
        #[arg(long, value_name = "ID")]
        call: Option<String>,
        #[command(flatten)]
        once: Once,
    },
    /// The person may be called again.
    Remove {
        /// A phone number, or the id of a customer.
        who: String,
        #[command(flatten)]
        once: Once,
    },
    /// Enter a list of numbers, a CSV file with a column phone.
    Import(Import),
}

#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  tandem customer dnc import opted-out.csv --region US\n\n\
    Exit code 0: every line was good. 3: some were bad, the others were entered.")]
pub struct Import {
    /// The file; - for the standard input.
    file: PathBuf,
    /// Country of numbers without country code, such as US or DE.
    #[arg(long, value_name = "COUNTRY")]
    region: Option<String>,
    #[command(flatten)]
    once: Once,
}

#[derive(Subcommand, Clone, Debug)]
pub enum Consent {
    /// The person agreed to be called.
    Give {
        /// A phone number, or the id of a customer.
        who: String,
        /// On what it rests: written, oral or business_relationship.
        #[arg(long, value_parser = v1::ConsentBasis::parse)]
        basis: v1::ConsentBasis,
        #[command(flatten)]
        once: Once,
    },
    /// The person does not agree any more. Binds every campaign.
    Revoke {
        /// A phone number, or the id of a customer.
        who: String,
        #[command(flatten)]
        once: Once,
    },
}

impl Update {
    pub async fn run(self, client: &Client, out: &mut Output) -> Result<(), Failure> {
        let idempotency_key = self.once.key();
        let tags = (self.no_tags || !self.tags.is_empty()).then_some(v1::Tags { tags: self.tags });
        let request = v1::UpdateCustomerRequest {
            customer: who!(self.who, update_customer_request),
            status: self.status.map_or(0, Into::into),
            name: self.name,
            email: self.email,
            language: self.language,
            variables: variables(&self.variables)?,
            tags,
            idempotency_key: idempotency_key.clone(),
        };
        let update = async |channel, request| service(channel).update_customer(request).await;
        let answer = client.change(&idempotency_key, request, update).await?;
        out.answer(&answer, |answer| show::customer(&answer.customer.clone().unwrap_or_default()))
    }
}

impl Note {
    pub async fn run(self, client: &Client, out: &mut Output) -> Result<(), Failure> {
        let idempotency_key = self.once.key();
        let request = v1::AddNoteRequest {
            customer: who!(self.who, add_note_request),
            text: self.text,
            idempotency_key: idempotency_key.clone(),
        };
        let add = async |channel, request| service(channel).add_note(request).await;
        let answer = client.change(&idempotency_key, request, add).await?;
        out.answer(&answer, |answer| show::done("", answer.replayed))
    }
}

impl DoNotCall {
    pub async fn run(self, client: &Client, out: &mut Output) -> Result<Exit, Failure> {
        match self {
            DoNotCall::Add { who, source, call, once } => {
                let idempotency_key = once.key();
                let request = v1::SetDoNotCallRequest {
                    customer: who!(who, set_do_not_call_request),
                    source: source.into(),
                    call_id: call.unwrap_or_default(),
                    idempotency_key: idempotency_key.clone(),
                };
                let set = async |channel, request| service(channel).set_do_not_call(request).await;
                let answer = client.change(&idempotency_key, request, set).await?;
                out.answer(&answer, |answer| show::done(&answer.customer_id, answer.replayed))?;
            }
            DoNotCall::Remove { who, once } => {
                let idempotency_key = once.key();
                let request = v1::ClearDoNotCallRequest {
                    customer: who!(who, clear_do_not_call_request),
                    idempotency_key: idempotency_key.clone(),
                };
                let clear = async |channel, request| service(channel).clear_do_not_call(request).await;
                let answer = client.change(&idempotency_key, request, clear).await?;
                out.answer(&answer, |answer| show::done(&answer.customer_id, answer.replayed))?;
            }
            DoNotCall::Import(import) => return import.run(client, out).await,
        }
        Ok(Exit::Ok)
    }
}

impl Import {
    async fn run(self, client: &Client, out: &mut Output) -> Result<Exit, Failure> {
        let idempotency_key = self.once.key();
        let header = v1::ImportDoNotCallHeader {
            default_region: self.region.unwrap_or_default(),
            idempotency_key: idempotency_key.clone(),
        };
        let message = |content| v1::ImportDoNotCallRequest { content: Some(content) };
        let header = message(Content::Header(header));
        let piece = move |bytes| message(Content::Csv(bytes));
        let import = async |stream| {
            let send = async |channel, request| service(channel).import_do_not_call(request).await;
            client.send(stream, send).await
        };
        let sent = Feed::new(self.file).send(header, piece, import, out).await;
        let answer = sent.map_err(|failure| repeatable(failure, &idempotency_key))?;
        out.answer(&answer, imported)?;
        let whole = answer.invalid == 0 && answer.stopped.is_none();
        Ok(if whole { Exit::Ok } else { Exit::Partial })
    }
}

fn imported(answer: &v1::ImportDoNotCallResponse) -> Vec<String> {
    let mut card = Card::new();
    card.add("read", answer.read.to_string())
        .add("entered", answer.entered.to_string())
        .add("invalid", answer.invalid.to_string());
    if answer.replayed {
        card.add("replayed", "imported before with this idempotency key");
    }
    let mut lines = card.lines();
    lines.extend(issue_lines(&answer.issues, answer.issues_truncated, answer.stopped.as_ref()));
    lines
}

impl Consent {
    pub async fn run(self, client: &Client, out: &mut Output) -> Result<(), Failure> {
        match self {
            Consent::Give { who, basis, once } => {
                let idempotency_key = once.key();
                let request = v1::SetConsentRequest {
                    customer: who!(who, set_consent_request),
                    basis: basis.into(),
                    idempotency_key: idempotency_key.clone(),
                };
                let set = async |channel, request| service(channel).set_consent(request).await;
                let answer = client.change(&idempotency_key, request, set).await?;
                out.answer(&answer, |answer| show::done(&answer.customer_id, answer.replayed))
            }
            Consent::Revoke { who, once } => {
                let idempotency_key = once.key();
                let request = v1::RevokeConsentRequest {
                    customer: who!(who, revoke_consent_request),
                    idempotency_key: idempotency_key.clone(),
                };
                let revoke = async |channel, request| service(channel).revoke_consent(request).await;
                let answer = client.change(&idempotency_key, request, revoke).await?;
                out.answer(&answer, |answer| show::done(&answer.customer_id, answer.replayed))
            }
        }
    }
}
