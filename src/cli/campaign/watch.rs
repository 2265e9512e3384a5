//! `tandem campaign watch`

use super::{describe, service, show};
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::time::duration;
use crate::config::read::Span;
use clap::Args;
use tandem_proto::v1;

#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    tandem campaign watch ID\n  \
    tandem campaign watch ID --events --after 120 --json")]
pub struct Watch {
    /// The id of the campaign.
    campaign_id: String,
    /// Every event instead of the progress.
    #[arg(long)]
    events: bool,
    /// With --events, go on behind the event of this number.
    #[arg(long, default_value_t = 0, value_name = "N", requires = "events")]
    after: u64,
    /// How often the progress is told: at least 100ms.
    #[arg(long, default_value = "1s", value_name = "TIME", conflicts_with = "events")]
    every: Span,
    /// Stay after the campaign has ended.
    #[arg(long)]
    keep_open: bool,
}

impl Watch {
    pub async fn run(self, client: &Client, out: &mut Output) -> Result<(), Failure> {
        let progress_every = (!self.events).then(|| duration(self.every));
        let request = |after_event| v1::WatchCampaignRequest {
            campaign_id: self.campaign_id.clone(),
            after_event,
            keep_open: self.keep_open,
            progress_every,
        };
        let open = async |channel, request| service(channel).watch_campaign(request).await;
        let mut newest = None;
        let each = |answer: v1::WatchCampaignResponse| {
            let number = answer.event.as_ref().map_or(0, |event| event.event);
            if self.events || out.is_json() {
                out.item(&answer, |answer| describe::line(answer.event.as_ref()))?;
            } else if let Some(progress) = &answer.progress {
                let line = show::progress_line(answer.phase, progress);
                // A terminal has one line that is written anew, a file has them all.
                if out.is_live() {
                    out.progress(&line)
                } else {
                    out.item(&answer, |_| line)?
                }
                newest = Some(progress.clone());
            }
            Ok(number)
        };
        client.watch(self.after, request, open, each).await?;
        match newest {
            Some(progress) => out.lines(show::progress_lines(&progress)),
            None => Ok(()),
        }
    }
}
