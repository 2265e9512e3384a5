//! The live progress, on the standard error: one block that is drawn anew where a person watches, a line
//! now and then where it goes to a file.

use super::text;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;
use tandem_domain::time::Millis;
use tandem_proto::v1;
use tokio::time::Instant;

const DRAW_EVERY: Duration = Duration::from_millis(125);
const LINE_EVERY: Duration = Duration::from_secs(2);

/// What there is to see.
pub(super) struct View<'a> {
    pub now_ms: Millis,
    pub speed: f64,
    pub skipped_ms: Millis,
    pub progress: &'a v1::CampaignProgress,
    /// At the carrier.
    pub live_calls: u64,
}

pub(super) struct Screen {
    /// A person watches, on a terminal that can move its cursor.
    live: bool,
    /// Lines of the block that stand there to be drawn over.
    drawn: usize,
    last: Option<Instant>,
}

impl Screen {
    pub fn new() -> Screen {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Screen { live: io::stderr().is_terminal() && !dumb, drawn: 0, last: None }
    }

    /// A line that stays.
    pub fn say(&mut self, line: &str) {
        self.write(&[line.to_owned()], 0);
    }

    /// The state of things, if it is time for it.
    pub fn show(&mut self, view: &View<'_>) {
        let every = if self.live { DRAW_EVERY } else { LINE_EVERY };
        if self.last.is_some_and(|last| last.elapsed() < every) {
            return;
        }
        self.last = Some(Instant::now());
        if self.live {
            let block = block(view);
            self.write(&block, block.len());
        } else {
            self.write(&[line(view)], 0);
        }
    }

    /// Time is skipped. A block says so itself.
    pub fn skip(&mut self, from: Millis, to: Millis) {
        if !self.live {
            self.say(&format!("{}  nothing is due: skipping {}", text::time(from), text::span(to - from)));
        }
    }

    /// What stands there stays.
    pub fn done(&mut self) {
        self.drawn = 0;
    }

    /// Draws over the block; the last `over` of the lines may be drawn over in turn.
    fn write(&mut self, lines: &[String], over: usize) {
        let mut text = String::new();
        if self.drawn > 0 {
            text.push_str(&format!("\u{1b}[{}F\u{1b}[J", self.drawn));
        }
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        // Whoever closed it does not watch.
        let _ = io::stderr().lock().write_all(text.as_bytes());
        self.drawn = over;
    }
}

fn block(view: &View<'_>) -> Vec<String> {
    let p = view.progress;
    let answered = p.answered_by.unwrap_or_default();
    let machines = answered.machine + answered.fax;
    let due = match &p.next_due {
        _ if p.in_flight > 0 => "now".to_owned(),
        Some(due) => text::time(due.seconds * 1_000),
        None => "not known".to_owned(),
    };
    let width = 36;
    let full = (u64::from(p.finished) * width / u64::from(p.contacts.max(1))).min(width);
    let bar: String = (0..width).map(|at| if at < full { '#' } else { '.' }).collect();
    vec![
        String::new(),
        format!(
            "  {}   time x {}, {} skipped",
            text::time(view.now_ms),
            view.speed,
            text::span(view.skipped_ms)
        ),
        format!("  [{bar}] {} of {} contacts finished", p.finished, p.contacts),
        format!("  contacts   waiting {:<5} in flight {:<5} finished {}", p.ready, p.in_flight, p.finished),
        format!(
            "  attempts   {:<6} answered by: human {}, machine {machines}, unknown {}",
            p.attempts, answered.human, answered.unknown
        ),
        format!("  calls      alive {:<5} next due {due}", view.live_calls),
    ]
}

fn line(view: &View<'_>) -> String {
    let p = view.progress;
    let answered = p.answered_by.unwrap_or_default();
    format!(
        "{}  {} of {} finished, {} waiting, {} alive; {} attempts, human {}, machine {}, unknown {}",
        text::time(view.now_ms),
        p.finished,
        p.contacts,
        p.ready,
        view.live_calls,
        p.attempts,
        answered.human,
        answered.machine + answered.fax,
        answered.unknown
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_keeps_its_height_and_fits_a_terminal() {
        let progress = |n: u32| v1::CampaignProgress {
            contacts: n,
            finished: n,
            ready: n,
            in_flight: n.min(1),
            attempts: u64::from(n),
            answered_by: Some(v1::AnsweredByCounts { human: n, machine: n, fax: 0, unknown: n }),
            next_due: Some(prost_types::Timestamp { seconds: 1_772_548_200, nanos: 0 }),
            ..v1::CampaignProgress::default()
        };
        for n in [0, 9, 99_999] {
            let progress = progress(n);
            let view = View {
                now_ms: 1_772_548_200_000,
                speed: 80.0,
                skipped_ms: 3 * 86_400_000,
                progress: &progress,
                live_calls: u64::from(n),
            };
            let block = block(&view);
            assert_eq!(block.len(), 6);
            assert!(block.iter().all(|line| line.chars().count() < 80), "{block:?}");
            assert!(line(&view).contains("finished"));
        }
    }
}
