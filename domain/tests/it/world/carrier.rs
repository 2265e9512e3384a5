//! A carrier in memory: the calls it has, and what it has sent and nobody has read yet.

use tandem_domain::call::{Command, Document};
use tandem_domain::carrier::{AnsweredBy, Cause, End, Progress, Report};
use tandem_domain::id::Attempt;
use tandem_domain::time::Millis;

/// A call as the carrier has it.
#[derive(Clone, Debug)]
pub struct Line {
    pub sid: String,
    pub attempt: Attempt,
    pub progress: Progress,
    pub answered_at: Option<Millis>,
    /// What the document said when it was asked for.
    pub document: Option<Document>,
    /// Generation of the media connection that is open.
    pub media: Option<u32>,
    /// Of the newest that a document offered, and of the newest that was granted.
    pub offered: u32,
    pub granted: u32,
    pub sequence: u32,
    pub told_to_hang_up: bool,
    /// A fetch finds nothing.
    pub forgotten: bool,
}

impl Line {
    pub fn is_over(&self) -> bool {
        matches!(self.progress, Progress::Ended(_))
    }

    pub fn report(&self, now: Millis) -> Report {
        let duration =
            self.answered_at.filter(|_| self.is_over()).and_then(|at| u32::try_from((now - at) / 1000).ok());
        Report {
            sid: self.sid.clone(),
            progress: self.progress,
            sequence: Some(self.sequence),
            at: Some(now),
            answered_by: None,
            sip_code: None,
            duration_s: duration,
        }
    }
}

#[derive(Default)]
pub struct Carrier {
    pub lines: Vec<Line>,
    /// Callbacks on their way.
    pub mail: Vec<(Attempt, Command)>,
}

impl Carrier {
    pub fn take(&mut self, attempt: Attempt) -> String {
        let sid = format!("CA{:04}", self.lines.len() + 1);
        self.lines.push(Line {
            sid: sid.clone(),
            attempt,
            progress: Progress::Queued,
            answered_at: None,
            document: None,
            media: None,
            offered: 0,
            granted: 0,
            sequence: 0,
            told_to_hang_up: false,
            forgotten: false,
        });
        sid
    }

    pub fn line(&mut self, sid: &str) -> Option<&mut Line> {
        self.lines.iter_mut().find(|l| l.sid == sid)
    }

    /// A line gets on, and the carrier says so.
    pub fn advance(&mut self, at: usize, to: Progress, now: Millis) {
        let Some(line) = self.lines.get_mut(at) else { return };
        if line.is_over() {
            return;
        }
        line.progress = to;
        line.sequence += 1;
        if to == Progress::Answered {
            line.answered_at = line.answered_at.or(Some(now));
        }
        if line.is_over() {
            line.media = None;
        }
        let (attempt, report) = (line.attempt, line.report(now));
        self.mail.push((attempt, Command::Reported { attempt: attempt.number, report }));
    }

    /// The call ends, as a hang-up ends it.
    pub fn hang_up(&mut self, sid: &str, now: Millis) {
        let Some(at) = self.lines.iter().position(|l| l.sid == sid) else { return };
        self.lines[at].told_to_hang_up = true;
        let end = if self.lines[at].answered_at.is_some() { End::Completed } else { End::Canceled };
        self.advance(at, Progress::Ended(end), now);
    }

    /// The call is gone without a word.
    pub fn forget(&mut self, at: usize) {
        if let Some(line) = self.lines.get_mut(at) {
            line.progress = Progress::Ended(End::Failed(Cause::Unspecified));
            line.media = None;
            line.forgotten = true;
        }
    }

    pub fn verdict(&mut self, at: usize, answered_by: AnsweredBy) {
        let Some(line) = self.lines.get(at) else { return };
        let command = Command::Amd { attempt: line.attempt.number, sid: line.sid.clone(), answered_by };
        self.mail.push((line.attempt, command));
    }
}
