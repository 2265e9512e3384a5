//! Sending a file in pieces, of any size, in constant memory.

use super::service;
use crate::cli::args::Once;
use crate::cli::client::{self, Client, repeatable};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::table::{Card, Table};
use bytes::Bytes;
use clap::Args;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tandem_proto::v1;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use v1::import_contacts_request::Content;

/// Size of a piece.
const PIECE_BYTES: usize = 128 << 10;
/// Pieces that wait to be sent.
const PIECES_WAITING: usize = 4;
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "The file is CSV in UTF-8 with a line of column names; one of them is phone. Good lines are added, \
    bad ones are listed with their numbers; a person who is in the campaign already is left out.\n\n\
    Examples:\n  \
    tandem campaign import ID contacts.csv\n  \
    zcat contacts.csv.gz | tandem campaign import ID - --region DE --json\n\n\
    Exit code 0: every line was good. 3: some were bad, the others were added."
)]
pub struct Import {
    /// The id of the campaign.
    campaign_id: String,
    /// The file; - for the standard input.
    file: PathBuf,
    /// Country of numbers without country code, such as US or DE.
    #[arg(long, value_name = "COUNTRY")]
    region: Option<String>,
    #[command(flatten)]
    once: Once,
}

impl Import {
    pub async fn run(self, client: &Client, out: &mut Output) -> Result<Exit, Failure> {
        let feed = Feed::new(self.file);
        let idempotency_key = self.once.key();
        let header = v1::ImportContactsHeader {
            campaign_id: self.campaign_id,
            default_region: self.region.unwrap_or_default(),
            idempotency_key: idempotency_key.clone(),
        };
        let message = |content| v1::ImportContactsRequest { content: Some(content) };
        let header = message(Content::Header(header));
        let piece = move |bytes| message(Content::Csv(bytes));
        let import = async |stream| {
            let send = async |channel, request| service(channel).import_contacts(request).await;
            client.send(stream, send).await
        };
        let answer = feed
            .send(header, piece, import, out)
            .await
            .map_err(|failure| repeatable(failure, &idempotency_key))?;
        out.answer(&answer, imported)?;
        let whole = answer.invalid == 0 && answer.stopped.is_none();
        Ok(if whole { Exit::Ok } else { Exit::Partial })
    }
}

/// A file that is sent.
pub struct Feed {
    /// Absent for the standard input, which can be read but once.
    path: Option<PathBuf>,
}

/// Why a file is not sent any further.
enum Broken {
    Server(Status),
    File(std::io::Error),
}

impl Feed {
    pub fn new(path: PathBuf) -> Feed {
        Feed { path: (path.as_os_str() != "-").then_some(path) }
    }

    /// Sends `header` and the file in pieces, and once more from its beginning where the connection
    /// breaks: the header has an idempotency key.
    ///
    /// # Errors
    /// A file that cannot be read, or what the server answered.
    pub async fn send<M, A>(
        &self,
        header: M,
        piece: impl Fn(Bytes) -> M + Clone + Send + 'static,
        send: impl AsyncFn(ReceiverStream<M>) -> Result<A, Status>,
        out: &mut Output,
    ) -> Result<A, Failure>
    where
        M: Clone + Send + 'static,
    {
        let mut repeated = self.path.is_none();
        loop {
            let broken = match self.send_once(header.clone(), piece.clone(), &send, out).await {
                Ok(answer) => return Ok(answer),
                Err(broken) => broken,
            };
            match broken {
                Broken::File(error) => {
                    let name = self
                        .path
                        .as_ref()
                        .map_or("the standard input".into(), |path| path.display().to_string());
                    return Err(Failure::usage(format!("cannot read {name}: {error}")));
                }
                Broken::Server(status) => match client::retry_after(&status).filter(|_| !repeated) {
                    Some(rest) => sleep(rest).await,
                    None => return Err(Failure::of_status(&status)),
                },
            }
            repeated = true;
        }
    }

    async fn send_once<M, A>(
        &self,
        header: M,
        piece: impl Fn(Bytes) -> M + Send + 'static,
        send: &impl AsyncFn(ReceiverStream<M>) -> Result<A, Status>,
        out: &mut Output,
    ) -> Result<A, Broken>
    where
        M: Send + 'static,
    {
        let (mut source, total) = self.open().map_err(Broken::File)?;
        let (sender, receiver) = mpsc::channel(PIECES_WAITING);
        let sent = Arc::new(AtomicU64::new(0));
        // Held here as well: a file that cannot be read on must not look like one that has ended.
        let (reader, counter) = (sender.clone(), sent.clone());
        let reading = tokio::task::spawn_blocking(move || {
            if reader.blocking_send(header).is_err() {
                return Ok(());
            }
            let mut all = 0;
            loop {
                let bytes = read_piece(&mut source)?;
                let read = bytes.len() as u64;
                // An empty file is sent as such, so that it is refused like any other that is no list.
                let ends = read == 0 && all > 0;
                // Whoever does not take pieces any more says why.
                if ends || reader.blocking_send(piece(bytes)).is_err() || read == 0 {
                    return Ok(());
                }
                all += read;
                counter.store(all, Ordering::Relaxed);
            }
        });
        let failed = async move {
            match reading.await {
                Ok(Ok(())) => {
                    drop(sender);
                    std::future::pending().await
                }
                Ok(Err(error)) => error,
                Err(panic) => std::io::Error::other(panic),
            }
        };
        let mut failed = std::pin::pin!(failed);
        let mut answer = std::pin::pin!(send(ReceiverStream::new(receiver)));
        let mut tick = interval(PROGRESS_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                answer = &mut answer => return answer.map_err(Broken::Server),
                error = &mut failed => return Err(Broken::File(error)),
                _ = tick.tick() => out.progress(&progress(sent.load(Ordering::Relaxed), total)),
            }
        }
    }

    fn open(&self) -> std::io::Result<(Box<dyn Read + Send>, Option<u64>)> {
        let Some(path) = &self.path else { return Ok((Box::new(std::io::stdin()), None)) };
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(std::io::ErrorKind::IsADirectory.into());
        }
        Ok((Box::new(file), metadata.is_file().then_some(metadata.len())))
    }
}

/// The next piece; empty at the end.
fn read_piece(source: &mut dyn Read) -> std::io::Result<Bytes> {
    let mut piece = Vec::new();
    source.take(PIECE_BYTES as u64).read_to_end(&mut piece)?;
    Ok(piece.into())
}

fn progress(sent: u64, total: Option<u64>) -> String {
    #[allow(clippy::cast_precision_loss)]
    let mb = |bytes: u64| bytes as f64 / 1e6;
    match total {
        Some(total) if sent >= total => {
            format!("sent {:.1} MB; waiting for the last of it to be stored", mb(sent))
        }
        Some(total) => format!("sent {:.1} of {:.1} MB ({} %)", mb(sent), mb(total), sent * 100 / total),
        None => format!("sent {:.1} MB", mb(sent)),
    }
}

fn imported(answer: &v1::ImportContactsResponse) -> Vec<String> {
    let mut card = Card::new();
    card.add("read", answer.read.to_string())
        .add("added", answer.added.to_string())
        .add("duplicates", answer.duplicates.to_string())
        .add("invalid", answer.invalid.to_string());
    if answer.replayed {
        card.add("replayed", "imported before with this idempotency key");
    }
    let mut lines = card.lines();
    lines.extend(issue_lines(&answer.issues, answer.issues_truncated, answer.stopped.as_ref()));
    lines
}

/// The bad lines of a file.
pub fn issue_lines(
    issues: &[v1::ImportIssue],
    truncated: bool,
    stopped: Option<&v1::ImportIssue>,
) -> Vec<String> {
    let mut lines = Vec::new();
    if !issues.is_empty() {
        let mut table = Table::new(&["LINE", "COLUMN", "REASON", "WHY"]).right(&[0]);
        for issue in issues {
            table.row([
                issue.line.to_string(),
                issue.column.clone(),
                issue.reason.clone(),
                issue.description.clone(),
            ]);
        }
        lines.push(String::new());
        lines.extend(table.lines());
    }
    if truncated {
        lines.push(format!("only the first {} bad lines are shown", issues.len()));
    }
    if let Some(issue) = stopped {
        let description = crate::cli::table::printable(&issue.description);
        lines.push(format!("stopped at line {}: {description}; what follows was not looked at", issue.line));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use tokio_stream::StreamExt as _;

    fn out() -> Output {
        Output::to(true, Box::new(std::io::sink()))
    }

    /// Takes everything, as a server does.
    async fn collect(mut stream: ReceiverStream<Vec<u8>>) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(piece) = stream.next().await {
            all.push(piece);
        }
        all
    }

    #[tokio::test]
    async fn a_file_arrives_whole_and_in_order() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let content: Vec<u8> = (0..3 * PIECE_BYTES + 17).map(|n| (n % 251) as u8).collect();
        file.write_all(&content).unwrap();
        let feed = Feed::new(file.path().to_owned());
        let send = async |stream| Ok(collect(stream).await);
        let pieces = feed.send(b"header".to_vec(), |bytes| bytes.to_vec(), send, &mut out()).await.unwrap();
        assert_eq!((pieces.len(), &*pieces[0]), (5, &b"header"[..]));
        assert_eq!(pieces[1..].concat(), content);
    }

    #[tokio::test]
    async fn a_broken_connection_is_tried_once_more_from_the_beginning() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"phone\n+1\n").unwrap();
        let feed = Feed::new(file.path().to_owned());
        let tries = AtomicU64::new(0);
        let send = async |stream: ReceiverStream<Vec<u8>>| {
            if tries.fetch_add(1, Ordering::Relaxed) == 0 {
                return Err(Status::unavailable("gone"));
            }
            Ok(collect(stream).await.concat())
        };
        let sent = feed.send(b"h".to_vec(), |bytes| bytes.to_vec(), send, &mut out()).await.unwrap();
        assert_eq!(sent, b"hphone\n+1\n");
        let send = async |_: ReceiverStream<Vec<u8>>| Err::<(), _>(Status::unavailable("gone"));
        let failure = feed.send(Vec::new(), |bytes| bytes.to_vec(), send, &mut out()).await.unwrap_err();
        assert_eq!(failure.exit, Exit::Unavailable);
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_not_one_that_ended() {
        let directory = tempfile::tempdir().unwrap();
        for path in [directory.path().to_owned(), directory.path().join("absent")] {
            let send = async |stream| Ok(collect(stream).await);
            let sent = Feed::new(path).send(Vec::new(), |bytes| bytes.to_vec(), send, &mut out()).await;
            assert_eq!(sent.unwrap_err().exit, Exit::Usage);
        }
    }

    #[test]
    fn bad_lines_are_listed() {
        let issue = |line| v1::ImportIssue {
            line,
            column: "phone".into(),
            reason: "number".into(),
            description: "too short".into(),
        };
        let lines = issue_lines(&[issue(3), issue(1_024)], true, Some(&issue(2_000)));
        assert_eq!(lines[2], "   3  phone   number  too short");
        assert_eq!(lines[4], "only the first 2 bad lines are shown");
        assert!(lines[5].starts_with("stopped at line 2000: too short"));
        assert!(issue_lines(&[], false, None).is_empty());
        assert_eq!(progress(50, Some(200)), "sent 0.0 of 0.0 MB (25 %)");
        assert!(progress(0, Some(0)).contains("waiting"));
    }
}
