//! `tandem customer`: people, as the company knows them.

mod changes;
mod show;

use super::args::{Once, Paging};
use super::call::finish_list;
use super::client::Client;
use super::exit::Exit;
use super::failure::Failure;
use super::output::Output;
use super::table::Table;
use super::time;
use changes::{Consent, DoNotCall, Note, Update};
use clap::{Args, Subcommand};
use tandem_proto::v1;
use tandem_proto::v1::customer_service_client::CustomerServiceClient;
use tonic::transport::Channel;

#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Recognise the person of a call that has come in, and count the call.
    Lookup(Lookup),
    /// Show a person. Counts nothing.
    Get {
        /// A phone number, or the id of a customer.
        who: String,
    },
    /// Change what is known of a person.
    Update(Update),
    /// Add a note to a person's history.
    Note(Note),
    /// List what happened with a person, newest first.
    History {
        /// A phone number, or the id of a customer.
        who: String,
        #[command(flatten)]
        paging: Paging,
    },
    /// The do-not-call list.
    #[command(subcommand)]
    Dnc(DoNotCall),
    /// The consent to be called.
    #[command(subcommand)]
    Consent(Consent),
}

#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    tandem customer lookup '+1 212 555 0123'\n  \
    tandem customer lookup 5551234567 --region US --call-id 01990c1e-8b1c-7cc0-9a51-0242ac120002\n\n\
    The same call id is counted once, however often it is looked up.")]
pub struct Lookup {
    /// The number of the person who calls.
    phone: String,
    /// Country of a number without country code, such as US or DE.
    #[arg(long, value_name = "COUNTRY")]
    region: Option<String>,
    /// A UUID that names the call; made up if left out.
    #[arg(long, value_name = "ID")]
    call_id: Option<String>,
    #[command(flatten)]
    once: Once,
}

fn service(channel: Channel) -> CustomerServiceClient<Channel> {
    CustomerServiceClient::new(channel).max_decoding_message_size(super::client::MESSAGE_BYTES_MAX)
}

/// Whether a text names a customer by the id: whatever is a UUID is no phone number.
fn is_id(who: &str) -> bool {
    who.trim().parse::<tandem_domain::id::CustomerId>().is_ok()
}

/// A person by id or number, as each request has it.
macro_rules! who {
    ($who:expr, $request:ident) => {{
        use tandem_proto::v1::$request::Customer;
        let who = $who;
        Some(if $crate::cli::customer::is_id(&who) {
            Customer::CustomerId(who)
        } else {
            Customer::Phone(who)
        })
    }};
}
use who;

impl Command {
    pub async fn run(self, client: &Client, out: &mut Output) -> Result<Exit, Failure> {
        match self {
            Command::Lookup(lookup) => lookup.run(client, out).await?,
            Command::Get { who } => {
                let request = v1::GetCustomerRequest { customer: who!(who, get_customer_request) };
                let get = async |channel, request| service(channel).get_customer(request).await;
                out.answer(&client.ask(request, get).await?, show::got)?;
            }
            Command::Update(update) => update.run(client, out).await?,
            Command::Note(note) => note.run(client, out).await?,
            Command::History { who, paging } => history(client, out, &who, &paging).await?,
            Command::Dnc(command) => return command.run(client, out).await,
            Command::Consent(command) => command.run(client, out).await?,
        }
        Ok(Exit::Ok)
    }
}

impl Lookup {
    async fn run(self, client: &Client, out: &mut Output) -> Result<(), Failure> {
        let idempotency_key = self.once.key();
        let request = v1::LookupRequest {
            phone: self.phone,
            default_region: self.region.unwrap_or_default(),
            call_id: self.call_id.unwrap_or_else(|| uuid::Uuid::now_v7().to_string()),
            idempotency_key: idempotency_key.clone(),
        };
        let lookup = async |channel, request| service(channel).lookup(request).await;
        let answer = client.change(&idempotency_key, request, lookup).await?;
        out.answer(&answer, show::looked_up)
    }
}

async fn history(client: &Client, out: &mut Output, who: &str, paging: &Paging) -> Result<(), Failure> {
    let (mut pages, mut table) = (paging.pages(), Table::new(&["AT", "NUMBER", "WHAT"]).right(&[1]));
    while let Some((page_size, page_token)) = pages.next() {
        let customer = who!(who.to_owned(), get_history_request);
        let request = v1::GetHistoryRequest { customer, page_size, page_token };
        let history = async |channel, request| service(channel).get_history(request).await;
        let answer = client.ask(request, history).await?;
        pages.read(answer.entries.len(), answer.next_page_token);
        for entry in &answer.entries {
            if out.is_json() {
                out.item(entry, |_| String::new())?;
            } else {
                table.row([time::shown(entry.at.as_ref()), entry.number.to_string(), show::entry(entry)]);
            }
        }
    }
    finish_list(out, &table, pages.is_more())
}
