//! What is told in the end, to people and to programs.

use super::audit::{Counts, Found, sum};
use super::drive::Run;
use super::setup::Prepared;
use super::stage::Stage;
use super::text;
use super::traffic::Acknowledged;
use crate::config::Secret;
use serde::Serialize;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use tandem_domain::time::Millis;

/// The run in figures. `contacts` is the sum of `dispositions` and `skipped`.
#[derive(Serialize, Debug)]
pub(super) struct Summary {
    pub campaign_id: String,
    pub seed: u64,
    /// Lines of the contact file.
    pub contacts: u64,
    /// Contacts that were called, by final disposition.
    dispositions: Counts,
    /// Contacts that were not, by reason.
    skipped: Counts,
    /// The first of the bad lines.
    invalid_lines: Vec<BadLine>,
    attempts: u64,
    answered_by: AnsweredBy,
    /// Sum of all conversations, in simulated seconds.
    talk_seconds: f64,
    /// By the carrier's own log, like everything up to `conversations`.
    carrier_posts: u64,
    carrier_posts_by_answer: Counts,
    double_dials: u64,
    messages_left: u64,
    conversations: u64,
    /// Attempts without an outcome.
    unsettled: u64,
    /// Most attempts alive at once.
    alive_max: u32,
    /// Attempts in a real second.
    calls_per_s: f64,
    command_ack_ms: Ack,
    /// Simulated seconds in a second, while time was not skipped.
    simulated_speed: f64,
    /// Real time of the campaign.
    seconds: f64,
    simulated_seconds: f64,
    skipped_seconds: f64,
    skips: u32,
    /// What must never be false, and was.
    pub violations: Vec<String>,
    #[serde(skip)]
    key: Secret,
    #[serde(skip)]
    bad: String,
}

#[derive(Serialize, Debug)]
struct BadLine {
    line: u64,
    column: String,
    reason: String,
    description: String,
}

#[derive(Serialize, Debug)]
struct AnsweredBy {
    human: u32,
    machine: u32,
    fax: u32,
    unknown: u32,
}

/// Time from a command to its durable acknowledgement, over gRPC.
#[derive(Serialize, Debug)]
struct Ack {
    p50: Option<f64>,
    p99: Option<f64>,
    count: usize,
}

/// Bad lines in the JSON.
const BAD_LINES_MAX: usize = 100;
/// Bad lines shown to people.
const BAD_LINES_SHOWN: usize = 5;

/// With so many decimals as mean something.
fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

fn seconds(ms: Millis) -> f64 {
    ms as f64 / 1_000.0
}

impl Summary {
    pub fn new(
        stage: &Stage,
        prepared: &Prepared,
        run: &Run,
        acknowledged: &Acknowledged,
        found: Found,
    ) -> Summary {
        let mut violations = found.violations();
        if acknowledged.failed > 0 {
            let why = acknowledged.why.as_deref().unwrap_or_default();
            violations
                .push(format!("commands that were refused or not answered: {} ({why})", acknowledged.failed));
        }
        let answered = found.progress.answered_by.unwrap_or_default();
        let talk = found.progress.talk_time.unwrap_or_default();
        let took = run.took.as_secs_f64();
        let bad = prepared.imported.issues.iter().take(BAD_LINES_MAX);
        Summary {
            campaign_id: prepared.campaign_id.clone(),
            seed: stage.seed,
            contacts: found.read,
            skipped: found.skipped(),
            invalid_lines: bad
                .map(|issue| BadLine {
                    line: issue.line,
                    column: issue.column.clone(),
                    reason: issue.reason.clone(),
                    description: issue.description.clone(),
                })
                .collect(),
            attempts: found.attempts,
            answered_by: AnsweredBy {
                human: answered.human,
                machine: answered.machine,
                fax: answered.fax,
                unknown: answered.unknown,
            },
            talk_seconds: rounded(talk.seconds as f64 + f64::from(talk.nanos) / 1e9),
            carrier_posts: found.carrier.posts,
            carrier_posts_by_answer: found.carrier.posts_by_answer,
            double_dials: found.carrier.double_dials,
            messages_left: found.carrier.messages_left,
            conversations: found.carrier.agent_conversations,
            unsettled: found.unsettled,
            alive_max: run.alive_max,
            calls_per_s: rounded(found.attempts as f64 / took.max(0.001)),
            command_ack_ms: Ack {
                p50: acknowledged.percentile(0.5).map(rounded),
                p99: acknowledged.percentile(0.99).map(rounded),
                count: acknowledged.count(),
            },
            simulated_speed: stage.speed,
            seconds: rounded(took),
            simulated_seconds: seconds(run.simulated_ms),
            skipped_seconds: seconds(run.skipped_ms),
            skips: run.skips,
            dispositions: found.dispositions,
            violations,
            key: Secret::new(prepared.key.as_str()),
            bad: text::bad_lines(&prepared.imported, BAD_LINES_SHOWN),
        }
    }

    /// The company's API key.
    pub fn key(&self) -> &str {
        self.key.expose()
    }

    /// Writes it to the standard output. A reader that has gone is none of our business.
    pub fn print(&self, json: bool) -> io::Result<()> {
        let text = if json {
            format!("{}\n", serde_json::to_string(self).map_err(io::Error::other)?)
        } else {
            self.table()
        };
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }

    fn table(&self) -> String {
        let mut t = Lines::default();
        t.row("contacts", self.contacts, "lines of the file");
        t.row("  called", sum(&self.dispositions), "by final disposition:");
        for (word, count) in by_count(&self.dispositions) {
            t.row(&format!("    {}", spaced(word)), count, "");
        }
        t.row("  skipped", sum(&self.skipped), "and why:");
        for (reason, count) in by_count(&self.skipped) {
            let more = if reason == "invalid" { self.bad.as_str() } else { "" };
            t.row(&format!("    {}", spaced(reason)), count, more);
        }
        t.gap();
        let answered = &self.answered_by;
        t.row("attempts", self.attempts, &format!("at most {} at a time", self.alive_max));
        t.row("  answered by a human", answered.human, "");
        t.row(
            "  by a machine",
            answered.machine,
            &format!("{} messages left after the beep", self.messages_left),
        );
        t.row("  by a fax", answered.fax, "");
        t.row("  not known by whom", answered.unknown, "treated as people");
        t.text("talk time", &text::span((self.talk_seconds * 1_000.0) as Millis));
        t.gap();
        t.text("real time", &format!("{:.1} s, {:.1} calls a second", self.seconds, self.calls_per_s));
        t.text(
            "simulated time",
            &format!(
                "{}; {} of it skipped in {} steps, the rest {} times as fast as real time",
                text::span((self.simulated_seconds * 1_000.0) as Millis),
                text::span((self.skipped_seconds * 1_000.0) as Millis),
                self.skips,
                self.simulated_speed
            ),
        );
        let ms = |ms: Option<f64>| ms.map_or("-".to_owned(), |ms| format!("{ms:.2} ms"));
        t.text(
            "acknowledged",
            &format!(
                "command to durable answer: p50 {}, p99 {}, of {} over gRPC",
                ms(self.command_ack_ms.p50),
                ms(self.command_ack_ms.p99),
                self.command_ack_ms.count
            ),
        );
        t.gap();
        let answers: Vec<String> = self
            .carrier_posts_by_answer
            .iter()
            .map(|(answer, count)| match answer.as_str() {
                "cut" => format!("{count} cut off without an answer"),
                status => format!("{count} answered {status}"),
            })
            .collect();
        t.row("the carrier's own log", self.carrier_posts, &format!("dials: {}", answers.join(", ")));
        t.row("  double dials", self.double_dials, "");
        t.row("  unsettled attempts", self.unsettled, "");
        t.gap();
        if self.violations.is_empty() {
            t.line("Every contact has one final disposition, and node and carrier agree.");
        } else {
            t.line("BROKEN: this must never be, and is:");
            for violation in &self.violations {
                t.line(&format!("  {violation}"));
            }
        }
        t.0
    }
}

/// Words as people write them.
fn spaced(word: &str) -> String {
    word.replace('_', " ")
}

/// The most frequent first.
fn by_count(counts: &Counts) -> Vec<(&str, u64)> {
    let mut counts: Vec<_> = counts.iter().map(|(word, count)| (word.as_str(), *count)).collect();
    counts.sort_by_key(|(word, count)| (std::cmp::Reverse(*count), *word));
    counts
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn row(&mut self, name: &str, count: impl Into<u64>, more: &str) {
        let count: u64 = count.into();
        self.line(format!("{name:<24}{count:>7}  {more}").trim_end());
    }

    fn text(&mut self, name: &str, text: &str) {
        self.line(&format!("{name:<24}  {text}"));
    }

    fn line(&mut self, line: &str) {
        let _ = writeln!(self.0, "{line}");
    }

    fn gap(&mut self) {
        self.0.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(violations: &[&str]) -> Summary {
        Summary {
            campaign_id: "c".into(),
            seed: 1,
            contacts: 12,
            dispositions: [("completed".into(), 7), ("no_answer".into(), 2)].into(),
            skipped: [("do_not_call".into(), 1), ("invalid".into(), 2)].into(),
            invalid_lines: vec![BadLine {
                line: 3,
                column: "phone".into(),
                reason: "number".into(),
                description: "letters in the number".into(),
            }],
            attempts: 15,
            answered_by: AnsweredBy { human: 7, machine: 3, fax: 0, unknown: 1 },
            talk_seconds: 3_720.5,
            carrier_posts: 15,
            carrier_posts_by_answer: [("201".into(), 14), ("cut".into(), 1)].into(),
            double_dials: 0,
            messages_left: 3,
            conversations: 8,
            unsettled: 0,
            alive_max: 5,
            calls_per_s: 7.5,
            command_ack_ms: Ack { p50: Some(1.25), p99: None, count: 400 },
            simulated_speed: 80.0,
            seconds: 2.0,
            simulated_seconds: 90_000.0,
            skipped_seconds: 80_000.0,
            skips: 3,
            violations: violations.iter().map(|v| (*v).to_owned()).collect(),
            key: Secret::new("tdm_secret"),
            bad: "lines 3, and 1 more".into(),
        }
    }

    #[test]
    fn people_are_told_everything() {
        let table = summary(&[]).table();
        for told in [
            "contacts                     12  lines of the file",
            "    no answer                 2",
            "    invalid                   2  lines 3, and 1 more",
            "1 h 2 min",
            "p50 1.25 ms, p99 -, of 400",
            "14 answered 201, 1 cut off",
            "80 times as fast",
            "node and carrier agree",
        ] {
            assert!(table.contains(told), "{told} is missing in:\n{table}");
        }
        let broken = summary(&["attempts dialed more than once: 1"]).table();
        assert!(broken.contains("BROKEN") && broken.contains("dialed more than once: 1"));
        assert!(!broken.contains("agree"));
    }

    #[test]
    fn programs_are_told_the_same_and_no_secret() {
        let json = serde_json::to_value(summary(&[])).expect("JSON");
        for field in [
            "contacts",
            "dispositions",
            "skipped",
            "attempts",
            "carrier_posts",
            "double_dials",
            "unsettled",
            "answered_by",
            "calls_per_s",
            "command_ack_ms",
            "simulated_speed",
            "seconds",
        ] {
            assert!(json.get(field).is_some(), "{field}");
        }
        assert_eq!(json["command_ack_ms"]["p50"], 1.25);
        assert!(!json.to_string().contains("tdm_"));
    }
}
