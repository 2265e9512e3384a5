//! The people of a campaign: lists, and what holds them back.

use super::{service, show};
use crate::cli::args::Paging;
use crate::cli::call::finish_list;
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::time::{self, Given};
use clap::Args;
use jiff::Timestamp;
use tandem_proto::v1;
use v1::explain_contact_request::Who;

#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    tandem campaign explain ID\n  \
    tandem campaign explain ID --phone '+1 212 555 0123'\n  \
    tandem campaign explain ID --contact 17 --at 2h")]
pub struct Explain {
    /// The id of the campaign.
    campaign_id: String,
    /// Of this contact, by its number within the campaign.
    #[arg(long, value_name = "N", group = "who")]
    contact: Option<u32>,
    /// Of the contact with this number.
    #[arg(long, value_name = "NUMBER", group = "who")]
    phone: Option<String>,
    /// Of this customer.
    #[arg(long, value_name = "ID", group = "who")]
    customer: Option<String>,
    /// As if it were this time: absolute, or so long from now.
    #[arg(long, value_parser = time::parse, allow_hyphen_values = true, value_name = "TIME")]
    at: Option<Given>,
    /// Contacts to look at, for a campaign: up to 10000.
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    sample: u32,
}

impl Explain {
    pub async fn run(self, client: &Client, out: &mut Output) -> Result<(), Failure> {
        let at = self.at.and_then(|at| at.ahead(Timestamp::now()));
        let who = self
            .contact
            .map(Who::Contact)
            .or(self.phone.map(Who::Phone))
            .or(self.customer.map(Who::CustomerId));
        if who.is_some() {
            let request = v1::ExplainContactRequest { campaign_id: self.campaign_id, who, at };
            let explain = async |channel, request| service(channel).explain_contact(request).await;
            return out.answer(&client.ask(request, explain).await?, show::explained_contact);
        }
        let request =
            v1::ExplainCampaignRequest { campaign_id: self.campaign_id, sample_max: self.sample, at };
        let explain = async |channel, request| service(channel).explain_campaign(request).await;
        out.answer(&client.ask(request, explain).await?, show::explained_campaign)
    }
}

pub async fn list(
    client: &Client,
    out: &mut Output,
    campaign_id: String,
    paging: &Paging,
) -> Result<(), Failure> {
    let (mut pages, mut table) = (paging.pages(), show::contact_table());
    while let Some((page_size, page_token)) = pages.next() {
        let request = v1::ListContactsRequest { campaign_id: campaign_id.clone(), page_size, page_token };
        let list = async |channel, request| service(channel).list_contacts(request).await;
        let answer = client.ask(request, list).await?;
        pages.read(answer.contacts.len(), answer.next_page_token);
        for contact in &answer.contacts {
            if out.is_json() {
                out.item(contact, |_| String::new())?
            } else {
                table.row(show::contact_row(contact))
            }
        }
    }
    finish_list(out, &table, pages.is_more())
}
