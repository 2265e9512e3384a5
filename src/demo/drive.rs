//! Follows the campaign to its end, and skips the time in which nothing is due.

use super::screen::{Screen, View};
use super::setup::Prepared;
use super::stage::Stage;
use super::{DemoError, api, text};
use std::time::Duration;
use tandem_domain::time::{DAY, Millis, SECOND};
use tandem_proto::v1;
use tokio::time::{Instant, sleep};

/// How often the campaign is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A gap is worth skipping from so much simulated time on.
const SKIP_MS_MIN: Millis = 30 * SECOND;
/// So much of a gap is left, for whatever is still on its way.
const SKIP_MARGIN_MS: Millis = 2 * SECOND;
/// Real time without any change after which the campaign counts as stuck: longer than the slowest thing
/// that is waited for, an attempt whose outcome is lost.
const STALL_S: u64 = 60;
/// Simulated time in which every contact must have had its end.
const DAYS_MAX: i64 = 60;

/// How the campaign ran.
pub(super) struct Run {
    /// Real time from start to end.
    pub took: Duration,
    /// Simulated time from start to end, what was skipped included.
    pub simulated_ms: Millis,
    pub skipped_ms: Millis,
    pub skips: u32,
    pub alive_max: u32,
}

/// Starts the campaign and follows it.
pub(super) async fn drive(stage: &Stage, prepared: &Prepared, screen: &mut Screen) -> Result<Run, DemoError> {
    let mut campaigns = prepared.api.campaigns.clone();
    let request =
        v1::StartCampaignRequest { campaign_id: prepared.campaign_id.clone(), idempotency_key: api::once() };
    campaigns.start_campaign(request).await.map_err(DemoError::refused("starting the campaign"))?;
    let mut follow = Follow {
        stage,
        prepared,
        began: Instant::now(),
        began_ms: stage.now(),
        skipped_ms: 0,
        skips: 0,
        alive_max: 0,
        marks: Marks::default(),
        changed: Instant::now(),
    };
    loop {
        let campaign = look(prepared).await?;
        let over = follow.step(&campaign, screen).await?;
        if over {
            screen.done();
            return Ok(Run {
                took: follow.began.elapsed(),
                simulated_ms: stage.now() - follow.began_ms,
                skipped_ms: follow.skipped_ms,
                skips: follow.skips,
                alive_max: follow.alive_max,
            });
        }
        sleep(LOOK_EVERY).await;
    }
}

/// The campaign as it stands.
pub(super) async fn look(prepared: &Prepared) -> Result<v1::Campaign, DemoError> {
    const WHAT: &str = "looking at the campaign";
    let request = v1::GetCampaignRequest { campaign_id: prepared.campaign_id.clone() };
    let answer = prepared.api.campaigns.clone().get_campaign(request).await;
    let campaign = answer.map_err(DemoError::refused(WHAT))?.into_inner().campaign;
    campaign.ok_or(DemoError::Incomplete { what: WHAT })
}

/// What changes as long as anything happens.
#[derive(PartialEq, Eq, Default)]
struct Marks {
    event: u64,
    posts: u64,
    live_calls: u64,
    callbacks: u64,
}

struct Follow<'a> {
    stage: &'a Stage,
    prepared: &'a Prepared,
    began: Instant,
    began_ms: Millis,
    skipped_ms: Millis,
    skips: u32,
    alive_max: u32,
    marks: Marks,
    changed: Instant,
}

impl Follow<'_> {
    /// One look; `true` when the campaign is complete.
    async fn step(&mut self, campaign: &v1::Campaign, screen: &mut Screen) -> Result<bool, DemoError> {
        let progress = campaign.progress.clone().unwrap_or_default();
        let carrier = self.stage.simulator.log.summary();
        self.alive_max = self.alive_max.max(progress.in_flight);
        let now_ms = self.stage.now();
        screen.show(&View {
            now_ms,
            speed: self.stage.speed,
            skipped_ms: self.skipped_ms,
            progress: &progress,
            live_calls: carrier.live_calls,
        });
        match campaign.phase() {
            v1::CampaignPhase::Completed => return Ok(true),
            phase @ (v1::CampaignPhase::Paused
            | v1::CampaignPhase::Pausing
            | v1::CampaignPhase::Stopped
            | v1::CampaignPhase::Stopping
            | v1::CampaignPhase::Failed) => {
                let why = match campaign.reason() {
                    v1::CampaignReason::Unspecified => String::new(),
                    reason => format!(": {}", text::word(reason.as_str_name(), "CAMPAIGN_REASON_")),
                };
                return Err(DemoError::Ended {
                    phase: text::word(phase.as_str_name(), "CAMPAIGN_PHASE_"),
                    why,
                });
            }
            _ => {}
        }
        let marks = Marks {
            event: campaign.event,
            posts: carrier.posts,
            live_calls: carrier.live_calls,
            callbacks: carrier.callbacks,
        };
        if marks != self.marks {
            (self.marks, self.changed) = (marks, Instant::now());
        } else if self.changed.elapsed() > Duration::from_secs(STALL_S) {
            return Err(DemoError::Stalled { seconds: STALL_S, held: self.held().await });
        }
        if now_ms - self.began_ms > DAYS_MAX * DAY {
            return Err(DemoError::TooLong { days: DAYS_MAX, held: self.held().await });
        }
        // A call that is alive on either side would be torn out of its time.
        if progress.in_flight == 0
            && carrier.live_calls == 0
            && let Some(due) = progress.next_due
        {
            let due_ms = due.seconds * 1_000 + Millis::from(due.nanos / 1_000_000);
            if let Some(ms) = worth_skipping(now_ms, due_ms) {
                screen.skip(now_ms, now_ms + ms);
                self.stage.clock.skip(ms);
                self.skipped_ms += ms;
                self.skips += 1;
            }
        }
        Ok(false)
    }

    /// What holds the campaign back, in its own words.
    async fn held(&self) -> String {
        let request = v1::ExplainCampaignRequest {
            campaign_id: self.prepared.campaign_id.clone(),
            ..v1::ExplainCampaignRequest::default()
        };
        let Ok(answer) = self.prepared.api.campaigns.clone().explain_campaign(request).await else {
            return "and the campaign cannot be asked why".to_owned();
        };
        let answer = answer.into_inner();
        let held =
            answer.held.iter().map(|held| format!("{} {}", held.count, text::lowered(&held.description)));
        let whole = answer.blocked_by.iter().map(|hold| text::lowered(&hold.description));
        let all: Vec<String> = whole.chain(held).collect();
        format!("{} finished, {} alive; held back: {}", answer.finished, answer.alive, all.join(", "))
    }
}

/// How much time to skip when nothing is due before `due`.
fn worth_skipping(now: Millis, due: Millis) -> Option<Millis> {
    let ms = due - now - SKIP_MARGIN_MS;
    (ms >= SKIP_MS_MIN).then_some(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_gaps_are_skipped_and_never_past_their_end() {
        assert_eq!(worth_skipping(1_000, 500), None);
        assert_eq!(worth_skipping(0, SKIP_MS_MIN), None);
        let due = 9 * 3_600_000;
        let skipped = worth_skipping(0, due).expect("worth it");
        assert!(skipped < due && due - skipped <= SKIP_MARGIN_MS);
    }
}
