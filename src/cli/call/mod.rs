//! `tandem call`: one call at a time.

mod describe;
mod place;
mod show;

use super::args::{Once, Paging};
use super::client::Client;
use super::exit::Exit;
use super::failure::Failure;
use super::output::Output;
use super::time::{self, Given};
use super::words::Words as _;
use clap::{Args, Subcommand};
use jiff::Timestamp;
pub use place::Place;
pub use show::{hold_lines, last4, row, table, times, whereabouts};
use tandem_proto::v1;
use tandem_proto::v1::call_service_client::CallServiceClient;
use tonic::transport::Channel;

#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Place a call to one person.
    Place(Box<Place>),
    /// Show a call and its attempts.
    Get {
        /// The id of the call.
        call_id: String,
    },
    /// List calls, newest first.
    List(List),
    /// End a call: cancel it while it waits or rings, hang up when it talks.
    Hangup {
        /// The id of the call.
        call_id: String,
        #[command(flatten)]
        once: Once,
    },
    /// Follow the events of a call until it ends.
    Watch(Watch),
    /// Show what holds the next attempt back, and until when.
    Explain {
        /// The id of the call.
        call_id: String,
        /// As if it were this time: absolute, or so long from now.
        #[arg(long, value_parser = time::parse, allow_hyphen_values = true, value_name = "TIME")]
        at: Option<Given>,
    },
    /// Show what was said.
    Transcript {
        /// The id of the call.
        call_id: String,
    },
}

#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    tandem call list --since 2h --disposition no_answer\n  \
    tandem call list --phone '+1 212 555 0123' --limit 0 --json | jq -r .call_id")]
pub struct List {
    /// Of this campaign only.
    #[arg(long, value_name = "ID")]
    campaign: Option<String>,
    /// With this person only.
    #[arg(long, value_name = "ID", conflicts_with = "phone")]
    customer: Option<String>,
    /// With the person of this number only.
    #[arg(long, value_name = "NUMBER")]
    phone: Option<String>,
    /// Ended so only, such as completed, voicemail, no_answer or busy.
    #[arg(long, value_parser = v1::Disposition::parse)]
    disposition: Option<v1::Disposition>,
    /// Made since then: a time, or so long ago.
    #[arg(long, value_parser = time::parse, value_name = "TIME")]
    since: Option<Given>,
    /// Made before then.
    #[arg(long, value_parser = time::parse, value_name = "TIME")]
    until: Option<Given>,
    #[command(flatten)]
    paging: Paging,
}

#[derive(Args, Clone, Debug)]
pub struct Watch {
    /// The id of the call.
    call_id: String,
    /// Go on behind the event of this number.
    #[arg(long, default_value_t = 0, value_name = "N")]
    after: u64,
    /// Stay after the call has ended: recordings and notes may follow.
    #[arg(long)]
    keep_open: bool,
}

fn service(channel: Channel) -> CallServiceClient<Channel> {
    CallServiceClient::new(channel).max_decoding_message_size(super::client::MESSAGE_BYTES_MAX)
}

impl Command {
    pub async fn run(self, client: &Client, out: &mut Output) -> Result<Exit, Failure> {
        match self {
            Command::Place(place) => return place.run(client, out).await,
            Command::Get { call_id } => get(client, out, call_id).await?,
            Command::List(list) => list.run(client, out).await?,
            Command::Hangup { call_id, once } => {
                let idempotency_key = once.key();
                let request = v1::HangupCallRequest { call_id, idempotency_key: idempotency_key.clone() };
                let hangup = async |channel, request| service(channel).hangup_call(request).await;
                let answer = client.change(&idempotency_key, request, hangup).await?;
                out.answer(&answer, |answer| show::status(answer.status.as_ref(), answer.replayed))?;
            }
            Command::Watch(watch) => watch.run(client, out).await?,
            Command::Explain { call_id, at } => {
                let at = at.and_then(|at| at.ahead(Timestamp::now()));
                let request = v1::ExplainCallRequest { call_id, at };
                let explain = async |channel, request| service(channel).explain_call(request).await;
                let answer = client.ask(request, explain).await?;
                out.answer(&answer, show::explained)?;
            }
            Command::Transcript { call_id } => transcript(client, out, call_id).await?,
        }
        Ok(Exit::Ok)
    }
}

async fn get(client: &Client, out: &mut Output, call_id: String) -> Result<(), Failure> {
    let request = v1::GetCallRequest { call_id };
    let answer =
        client.ask(request, async |channel, request| service(channel).get_call(request).await).await?;
    out.answer(&answer.call.unwrap_or_default(), show::call)
}

impl List {
    async fn run(self, client: &Client, out: &mut Output) -> Result<(), Failure> {
        use v1::list_calls_request::Customer;
        let now = Timestamp::now();
        let customer = self.customer.map(Customer::CustomerId).or(self.phone.map(Customer::Phone));
        let template = v1::ListCallsRequest {
            campaign_id: self.campaign.unwrap_or_default(),
            customer,
            disposition: self.disposition.map_or(0, Into::into),
            since: self.since.and_then(|at| at.ago(now)),
            until: self.until.and_then(|at| at.ago(now)),
            ..Default::default()
        };
        let (mut pages, mut table) = (self.paging.pages(), table());
        while let Some((page_size, page_token)) = pages.next() {
            let request = v1::ListCallsRequest { page_size, page_token, ..template.clone() };
            let answer = client
                .ask(request, async |channel, request| service(channel).list_calls(request).await)
                .await?;
            pages.read(answer.calls.len(), answer.next_page_token);
            for call in &answer.calls {
                if out.is_json() { out.item(call, |_| String::new())? } else { table.row(row(call)) }
            }
        }
        finish_list(out, &table, pages.is_more())
    }
}

/// Prints the table of a list, which is empty where JSON was printed line by line.
pub fn finish_list(out: &mut Output, table: &super::table::Table, is_more: bool) -> Result<(), Failure> {
    if !out.is_json() {
        out.table(table)?;
    }
    if is_more {
        out.note("there are more: --limit shows them");
    }
    Ok(())
}

impl Watch {
    async fn run(self, client: &Client, out: &mut Output) -> Result<(), Failure> {
        let request = |after_event| v1::WatchCallRequest {
            call_id: self.call_id.clone(),
            after_event,
            keep_open: self.keep_open,
        };
        let open = async |channel, request| service(channel).watch_call(request).await;
        let each = |answer: v1::WatchCallResponse| {
            let event = answer.event.unwrap_or_default();
            out.item(&event, describe::line)?;
            Ok(event.event)
        };
        client.watch(self.after, request, open, each).await
    }
}

async fn transcript(client: &Client, out: &mut Output, call_id: String) -> Result<(), Failure> {
    let mut pages = Paging::all();
    while let Some((page_size, page_token)) = pages.next() {
        let request = v1::GetTranscriptRequest { call_id: call_id.clone(), page_size, page_token };
        let answer = client
            .ask(request, async |channel, request| service(channel).get_transcript(request).await)
            .await?;
        pages.read(answer.turns.len(), answer.next_page_token);
        for turn in &answer.turns {
            out.item(turn, |turn| {
                let speaker = v1::Speaker::word_of(turn.speaker);
                format!("{}  {speaker:<6}  {}", time::shown(turn.at.as_ref()), turn.text)
            })?;
        }
    }
    Ok(())
}
