//! What else a node does while a campaign runs: callers are recognised and notes are taken. Each is one
//! durable command, and the time to its answer is the time to its durable acknowledgement.

use super::api::{Api, once};
use std::time::Duration;
use tandem_proto::v1;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tonic::Status;
use uuid::Uuid;

/// Real time between two commands.
const EVERY: Duration = Duration::from_millis(20);
/// So many commands are measured at least, so that a percentile means something.
const COMMANDS_MIN: usize = 400;
/// And at most.
const COMMANDS_MAX: usize = 100_000;
/// Callers who call in: numbers set aside for fiction.
const CALLERS: u32 = 40;

/// Commands that run beside the campaign.
pub(super) struct Traffic {
    enough: watch::Sender<bool>,
    task: JoinHandle<Acknowledged>,
}

/// Times from command to durable acknowledgement.
#[derive(Default)]
pub(super) struct Acknowledged {
    /// In milliseconds.
    ms: Vec<f64>,
    /// Commands that were refused or not answered.
    pub failed: u64,
    /// The first of the reasons.
    pub why: Option<String>,
}

impl Traffic {
    pub fn start(api: &Api) -> Traffic {
        let (enough, stop) = watch::channel(false);
        Traffic { enough, task: tokio::spawn(run(api.clone(), stop)) }
    }

    /// Ends it once enough was measured.
    pub async fn finish(self) -> Acknowledged {
        self.enough.send_replace(true);
        self.task.await.unwrap_or_else(|error| Acknowledged {
            failed: 1,
            why: Some(error.to_string()),
            ..Acknowledged::default()
        })
    }
}

async fn run(mut api: Api, mut stop: watch::Receiver<bool>) -> Acknowledged {
    let mut seen = Acknowledged::default();
    for n in 0..COMMANDS_MAX {
        if *stop.borrow() {
            if n >= COMMANDS_MIN {
                break;
            }
        } else {
            tokio::select! {
                () = sleep(EVERY) => {}
                // Whoever held the other end is gone: so is the demonstration.
                changed = stop.changed() => if changed.is_err() { break },
            }
        }
        let began = Instant::now();
        match command(&mut api, u32::try_from(n).unwrap_or(0)).await {
            Ok(()) => seen.ms.push(began.elapsed().as_secs_f64() * 1_000.0),
            Err(status) => {
                seen.failed += 1;
                seen.why.get_or_insert_with(|| super::text::status(&status));
            }
        }
    }
    seen.ms.sort_by(f64::total_cmp);
    seen
}

/// By turns: somebody calls in, and something is noted of them.
async fn command(api: &mut Api, n: u32) -> Result<(), Status> {
    let phone = format!("+1917555{:04}", 100 + n / 2 % CALLERS);
    if n.is_multiple_of(2) {
        let request = v1::LookupRequest {
            phone,
            call_id: Uuid::new_v4().to_string(),
            idempotency_key: once(),
            ..v1::LookupRequest::default()
        };
        api.customers.lookup(request).await?;
    } else {
        let request = v1::AddNoteRequest {
            customer: Some(v1::add_note_request::Customer::Phone(phone)),
            text: "Called in while the campaign was running.".to_owned(),
            idempotency_key: once(),
        };
        api.customers.add_note(request).await?;
    }
    Ok(())
}

impl Acknowledged {
    pub fn count(&self) -> usize {
        self.ms.len()
    }

    /// The time within which this share of the commands was acknowledged, in milliseconds.
    pub fn percentile(&self, share: f64) -> Option<f64> {
        let at = (self.ms.len() as f64 * share).ceil() as usize;
        self.ms.get(at.saturating_sub(1)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let seen = Acknowledged { ms: (1..=200).map(f64::from).collect(), ..Acknowledged::default() };
        assert_eq!(seen.percentile(0.5), Some(100.0));
        assert_eq!(seen.percentile(0.99), Some(198.0));
        assert_eq!(seen.percentile(1.0), Some(200.0));
        let one = Acknowledged { ms: vec![3.0], ..Acknowledged::default() };
        assert_eq!((one.percentile(0.5), one.percentile(0.99)), (Some(3.0), Some(3.0)));
        assert_eq!(Acknowledged::default().percentile(0.5), None);
    }
}
