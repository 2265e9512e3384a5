//! The log: everything that happened, written down outside of the system under test.
//!
//! It lives in the simulator's process, so it survives crashes of the system under test, and is appended line by line as
//! JSON to a file, so it survives the simulator too. Checkers compare what the system claims with what stands here.

mod entry;
mod ledger;

pub use entry::{
    AgentConversationEnd, CallEnd, Callback, ConversationEnd, Delivery, Entry, Event, HangUp, Post, Verdict,
};
pub use ledger::Summary;

use crate::pace::Clock;
use ledger::Ledger;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::Arc;

/// Longest line that is read back.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// Why a log cannot be opened or read back.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("cannot open or read the log file: {0}")]
    Io(#[from] std::io::Error),
    #[error("line {line} of the log file is not an entry: {error}")]
    Line { line: usize, error: serde_json::Error },
    #[error("line {line} of the log file is longer than {LINE_BYTES_MAX} bytes")]
    LongLine { line: usize },
}

struct Inner {
    ledger: Ledger,
    entries: VecDeque<Arc<Entry>>,
    next: u64,
    file: Option<File>,
}

/// The log of a running simulator. A cheap clone of one shared log.
#[derive(Clone)]
pub struct Log {
    inner: Arc<Mutex<Inner>>,
    clock: Arc<dyn Clock>,
    kept_max: usize,
}

/// The entries that are still held in memory.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// In order. Older ones than the first are only in the file.
    pub entries: Vec<Arc<Entry>>,
    /// Counts of everything, also of entries no longer held.
    pub summary: Summary,
}

impl Snapshot {
    pub fn posts(&self) -> impl Iterator<Item = &Post> {
        self.entries
            .iter()
            .filter_map(|entry| if let Event::Post(post) = &entry.event { Some(post) } else { None })
    }

    pub fn call_ends(&self) -> impl Iterator<Item = &CallEnd> {
        self.entries
            .iter()
            .filter_map(|entry| if let Event::CallEnded(end) = &entry.event { Some(end) } else { None })
    }

    pub fn callbacks(&self) -> impl Iterator<Item = &Callback> {
        self.entries.iter().filter_map(|entry| {
            if let Event::Callback(callback) = &entry.event { Some(callback) } else { None }
        })
    }

    /// Media sockets that have closed.
    pub fn conversations(&self) -> impl Iterator<Item = &ConversationEnd> {
        self.entries.iter().filter_map(|entry| {
            if let Event::ConversationClosed(end) = &entry.event { Some(end) } else { None }
        })
    }

    pub fn agent_conversations(&self) -> impl Iterator<Item = &AgentConversationEnd> {
        self.entries.iter().filter_map(|entry| {
            if let Event::AgentConversationClosed(end) = &entry.event { Some(end) } else { None }
        })
    }
}

impl Log {
    /// A log in memory, and in the file at `path` if given: it is continued if it exists. The newest `kept_max` entries
    /// stay in memory.
    pub(crate) fn open(
        path: Option<&Path>,
        kept_max: usize,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LogError> {
        let mut ledger = Ledger::default();
        let mut next = 0;
        let mut entries = VecDeque::new();
        let file = match path {
            None => None,
            Some(path) => {
                if path.exists() {
                    let whole = read_lines(path, |entry| {
                        ledger.apply(&entry);
                        next = entry.n + 1;
                        keep(&mut entries, Arc::new(entry), kept_max);
                    })?;
                    // A line cut short by a crash would swallow the next one.
                    File::options().write(true).open(path)?.set_len(whole)?;
                }
                Some(File::options().create(true).append(true).open(path)?)
            }
        };
        let inner = Inner { ledger, entries, next, file };
        Ok(Self { inner: Arc::new(Mutex::new(inner)), clock, kept_max })
    }

    /// Reads a log back from its file. A last line cut short is left out.
    pub fn read(path: &Path) -> Result<Snapshot, LogError> {
        let mut ledger = Ledger::default();
        let mut entries = Vec::new();
        read_lines(path, |entry| {
            ledger.apply(&entry);
            entries.push(Arc::new(entry));
        })?;
        Ok(Snapshot { entries, summary: ledger.summary() })
    }

    pub(crate) fn write(&self, event: Event) {
        let mut inner = self.inner.lock();
        // The time is taken under the lock, so that entries stand in the order of their times.
        let entry = Entry { n: inner.next, at_ms: self.clock.now_ms(), event };
        inner.next += 1;
        inner.ledger.apply(&entry);
        if let Some(file) = &mut inner.file {
            let written = serde_json::to_vec(&entry).map_err(std::io::Error::other).and_then(|mut line| {
                line.push(b'\n');
                file.write_all(&line)
            });
            if written.is_err() {
                inner.ledger.unwritten();
            }
        }
        keep(&mut inner.entries, Arc::new(entry), self.kept_max);
    }

    pub fn snapshot(&self) -> Snapshot {
        let inner = self.inner.lock();
        Snapshot { entries: inner.entries.iter().cloned().collect(), summary: inner.ledger.summary() }
    }

    pub fn summary(&self) -> Summary {
        self.inner.lock().ledger.summary()
    }

    /// Up to `max` entries from number `from` on, as far as they are held.
    pub fn entries(&self, from: u64, max: usize) -> Vec<Arc<Entry>> {
        let inner = self.inner.lock();
        let first = inner.entries.front().map_or(inner.next, |entry| entry.n);
        let skip = usize::try_from(from.saturating_sub(first)).unwrap_or(usize::MAX);
        inner.entries.iter().skip(skip).take(max).cloned().collect()
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("entries", &self.inner.lock().next).finish_non_exhaustive()
    }
}

fn keep(entries: &mut VecDeque<Arc<Entry>>, entry: Arc<Entry>, kept_max: usize) {
    while entries.len() >= kept_max.max(1) {
        entries.pop_front();
    }
    entries.push_back(entry);
}

/// Gives every whole line to `take`. Returns the length of the file up to the last whole line.
fn read_lines(path: &Path, mut take: impl FnMut(Entry)) -> Result<u64, LogError> {
    let mut reader = BufReader::new(File::open(path)?);
    let mut whole = 0;
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        let read = std::io::Read::take(&mut reader, LINE_BYTES_MAX).read_until(b'\n', &mut bytes)?;
        if bytes.last() != Some(&b'\n') {
            if read as u64 == LINE_BYTES_MAX {
                return Err(LogError::LongLine { line });
            }
            break;
        }
        whole += read as u64;
        take(serde_json::from_slice(&bytes).map_err(|error| LogError::Line { line, error })?);
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pace::SystemClock;

    fn post(attempt: &str, status: u16) -> Event {
        Event::Post(Post {
            to: "+15550100".into(),
            from: "+15550199".into(),
            attempt: Some(attempt.into()),
            campaign: None,
            sid: (status == 201).then(|| "CA1".into()),
            status,
            code: None,
            faults: vec![],
        })
    }

    fn created(sid: &str) -> Event {
        Event::CallCreated {
            sid: sid.into(),
            to: "+15550100".into(),
            from: "+15550199".into(),
            attempt: Some("/a/1".into()),
            campaign: Some("c1".into()),
            person: crate::Person::Human,
            faults: vec![],
        }
    }

    fn ended(sid: &str) -> Event {
        Event::CallEnded(CallEnd {
            sid: sid.into(),
            status: "completed".into(),
            sip: 200,
            by: HangUp::Person,
            talk_ms: 10,
            said: 1,
            heard: 1,
            message: None,
        })
    }

    #[test]
    fn violations_are_counted_once_each() {
        let log = Log::open(None, 100, Arc::new(SystemClock)).expect("memory");
        for event in [
            post("/a/1", 201),
            created("CA1"),
            post("/a/1", 500),
            created("CA2"),
            post("/a/1", 429),
            post("/a/2", 201),
            ended("CA1"),
            ended("CA2"),
            created("CA3"),
            ended("CA3"),
        ] {
            log.write(event);
        }
        let summary = log.summary();
        assert_eq!((summary.posts, summary.attempts, summary.double_dials), (4, 2, 1));
        assert_eq!(summary.double_dialed, ["/a/1"]);
        assert_eq!((summary.overlaps_by_number, summary.overlaps_by_campaign), (1, 1));
        assert_eq!((summary.calls, summary.live_calls, summary.live_calls_max), (3, 0, 2));
        assert_eq!(summary.calls_by_end["completed"], 3);
        assert_eq!(summary.posts_per_s_max, 4);
    }

    #[test]
    fn the_file_reads_back_as_it_was_and_is_continued() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("log.jsonl");
        let log = Log::open(Some(&path), 2, Arc::new(SystemClock)).expect("opens");
        for event in [post("/a/1", 201), created("CA1"), ended("CA1")] {
            log.write(event);
        }
        assert_eq!(log.snapshot().entries.len(), 2, "memory is bounded");
        let back = Log::read(&path).expect("reads");
        assert_eq!(back.entries.len(), 3);
        assert_eq!(back.summary, log.summary());
        assert_eq!(back.posts().count(), 1);
        drop(log);

        // A crash in the middle of a line.
        File::options().append(true).open(&path).expect("opens").write_all(b"{\"n\":3,\"at").expect("writes");
        let log = Log::open(Some(&path), 100, Arc::new(SystemClock)).expect("continues");
        log.write(post("/a/1", 201));
        let back = Log::read(&path).expect("reads");
        assert_eq!(back.entries.iter().map(|entry| entry.n).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(back.summary.double_dials, 1);
    }

    #[test]
    fn a_file_that_is_no_log_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("log.jsonl");
        std::fs::write(&path, "name,phone\nAna,1\n").expect("writes");
        assert!(matches!(Log::read(&path), Err(LogError::Line { line: 1, .. })));
        assert!(matches!(
            Log::open(Some(&path), 1, Arc::new(SystemClock)),
            Err(LogError::Line { line: 1, .. })
        ));
        assert_eq!(std::fs::read_to_string(&path).expect("still there"), "name,phone\nAna,1\n");
    }
}
