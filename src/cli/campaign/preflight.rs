//! `tandem campaign preflight`

use super::{service, show};
use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::time::Given;
use jiff::Timestamp;
use tandem_proto::v1;

pub async fn run(
    client: &Client,
    out: &mut Output,
    campaign_id: String,
    at: Option<Given>,
) -> Result<(), Failure> {
    let at = at.and_then(|at| at.ahead(Timestamp::now()));
    let request = v1::PreflightCampaignRequest { campaign_id, at };
    let open = async |channel, request| service(channel).preflight_campaign(request).await;
    let mut stream = client.stream(request, open).await?;
    let mut newest = v1::PreflightCampaignResponse::default();
    while let Some(sums) = stream.message().await.map_err(|status| Failure::of_status(&status))? {
        out.progress(&format!("{} contacts looked at", sums.scanned));
        newest = sums;
    }
    if !newest.complete {
        return Err(Failure::new(Exit::Unavailable, "the server ended before all contacts were looked at"));
    }
    out.answer(&newest, show::preflight)
}
