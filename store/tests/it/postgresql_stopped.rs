//! A client that is stopped in the middle of a transaction, for longer than a transaction may live, and then
//! goes on: it holds up nobody, and writes nothing that has become wrong.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tandem_store::conformance::Subject;
use tandem_store::postgresql::{Options, PostgreSql};
use tandem_store::{CommitError, Read, StoreError};
use tandem_testing::Postgres;

/// Set for the client that is stopped: the url, and the prefix.
const URL: &str = "TANDEM_STORE_STOPPED_URL";
const PREFIX: &str = "TANDEM_STORE_STOPPED_PREFIX";

async fn open(url: &str, prefix: &str) -> Subject {
    let options = Options { prefix: prefix.to_owned(), ..Options::new(url) };
    let store: Arc<PostgreSql> = options.open().await.expect("opens");
    Subject::new(store, ())
}

struct Client {
    process: Child,
    input: ChildStdin,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Client {
    fn start(url: &str, prefix: &str) -> Client {
        let mut command = Command::new(std::env::current_exe().expect("this test has a file"));
        command.args(["--exact", "postgresql_stopped::a_client_reads_and_commits_when_told", "--nocapture"]);
        command.env(URL, url).env(PREFIX, prefix);
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the client starts");
        let input = process.stdin.take().expect("a pipe");
        let lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        Client { process, input, lines }
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, signal).expect("sent");
    }

    fn go(&mut self) {
        self.input.write_all(b"go\n").expect("written");
    }

    /// What follows `word` in the next line that has it.
    fn hear(&mut self, word: &str) -> String {
        let lines = self.lines.by_ref().map(|line| line.expect("the pipe works"));
        let found = lines.filter_map(|line| Some(line.split_once(word)?.1.trim().to_owned())).next();
        found.unwrap_or_else(|| panic!("the client does not say {word}"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_client_holds_up_nobody_and_writes_nothing_stale() {
    let Some(server) = Postgres::shared().await else { return };
    let prefix = server.unique_prefix();
    let url = format!("{}&application_name={prefix}", server.url());
    let s = open(&server.url(), &prefix).await;
    s.put(&[("epoch", "1"), ("other", "1")]).await;
    let mut client = Client::start(&url, &prefix);
    client.hear("has read");
    client.signal(rustix::process::Signal::STOP);

    let start = Instant::now();
    let mut commits = 0;
    while start.elapsed() < Duration::from_secs(8) {
        let mut transaction = s.begin();
        transaction.get(&s.key("other"), Read::Conflict).await.expect("the read succeeds");
        transaction.set(s.key("epoch"), b"2".to_vec());
        transaction.set(s.key("other"), b"2".to_vec());
        transaction.add(s.key("count"), 1);
        transaction.commit().await.expect("nobody else commits");
        commits += 1;
    }
    // Had any of them waited for the stopped client, it would have been the last.
    assert!(commits > 3, "{commits} commits");
    // The server has let go of what it kept for the client.
    let held = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = '{prefix}' AND state LIKE 'idle in%'"
    );
    assert_eq!(server.sql(&held).await.as_deref(), Ok("0"));

    client.signal(rustix::process::Signal::CONT);
    client.go();
    let outcome = client.hear("outcome");
    assert!(["TooOld", "Unavailable", "Conflict"].iter().any(|error| outcome.contains(error)), "{outcome}");
    assert_eq!(s.committed("written").await, None);
    // And it goes on as if nothing had been.
    let mut outcome = String::new();
    for _ in 0..20 {
        client.go();
        outcome = client.hear("outcome");
        // Some more of the connections that it had are closed by now.
        if !outcome.contains("Unavailable") {
            break;
        }
    }
    assert_eq!(outcome, "Ok(())");
    assert_eq!(s.committed("written").await.as_deref(), Some(&b"2"[..]));
    drop(client.input);
    assert!(client.process.wait().expect("it ends").success());
}

fn heard_go() -> bool {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).is_ok_and(|bytes| bytes > 0)
}

fn say(line: &str) {
    let said = std::io::stdout().write_all(format!("\n{line}\n").as_bytes());
    said.and_then(|()| std::io::stdout().flush()).expect("the pipe is open");
}

/// The client to be stopped. Run as a test like any other, it does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_reads_and_commits_when_told() {
    let (Ok(url), Ok(prefix)) = (std::env::var(URL), std::env::var(PREFIX)) else { return };
    let s = open(&url, &prefix).await;
    loop {
        let mut transaction = s.begin();
        let outcome = match transaction.get(&s.key("epoch"), Read::Conflict).await {
            Ok(epoch) => {
                say("has read");
                if !heard_go() {
                    return;
                }
                transaction.set(s.key("written"), epoch.expect("it is there").to_vec());
                transaction.commit().await
            }
            Err(error @ StoreError::Unavailable(_)) => Err(CommitError::Store(error)),
            Err(error) => panic!("{error}"),
        };
        say(&format!("outcome {outcome:?}"));
    }
}
