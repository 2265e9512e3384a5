//! The engine on PostgreSQL: servers that die, networks that break, clients that stop, and what is said then.

use async_trait::async_trait;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tandem_store::conformance::Subject;
use tandem_store::conformance::outages::{
    Counts, Outage, absence_is_told_and_passes, commits_are_as_they_were_told,
};
use tandem_store::postgresql::{Options, PostgreSql};
use tandem_store::{CommitError, Read, StoreError};
use tandem_testing::{Passing, Postgres, Proxy};
use tokio::sync::Mutex;

async fn open(options: Options) -> Arc<PostgreSql> {
    options.open().await.expect("opens")
}

fn options(server: &Postgres, url: String) -> Options {
    Options { prefix: server.unique_prefix(), ..Options::new(url) }
}

/// The server is killed, or stopped in order, and started again.
struct Server {
    server: Mutex<Postgres>,
    kill: bool,
}

#[async_trait]
impl Outage for Server {
    async fn begin(&self) {
        let mut server = self.server.lock().await;
        if self.kill { server.kill().await } else { server.stop().await }
    }

    async fn end(&self) {
        self.server.lock().await.up().await.expect("it starts again");
    }
}

/// The server and all of its processes stand still.
struct Frozen(Postgres);

#[async_trait]
impl Outage for Frozen {
    async fn begin(&self) {
        self.0.freeze(true).await;
    }

    async fn end(&self) {
        self.0.freeze(false).await;
    }
}

/// The network does not pass anything on, or closes connections.
struct Network {
    proxy: Proxy,
    passing: Passing,
}

#[async_trait]
impl Outage for Network {
    async fn begin(&self) {
        self.proxy.set(self.passing);
    }

    async fn end(&self) {
        // What was held is lost.
        self.proxy.set(Passing::Cut);
        self.proxy.set(Passing::Through);
    }
}

async fn over_server(kill: bool) -> Option<(Subject, Server)> {
    let server = Postgres::start_or_skip().await?;
    // A busy machine may take its time to start a server.
    let options = Options { outcome_max: Duration::from_secs(25), ..options(&server, server.url()) };
    let store = open(options).await;
    Some((Subject::new(store, ()), Server { server: Mutex::new(server), kill }))
}

async fn over_network(passing: Passing) -> Option<(Subject, Network)> {
    let server = Postgres::shared().await?;
    let proxy = Proxy::start(server.port()).await.expect("a port");
    let store = open(options(server, server.url_at(proxy.port()))).await;
    Some((Subject::new(store, ()), Network { proxy, passing }))
}

fn is_telling(counts: Counts) {
    assert!(counts.committed >= 100, "{counts:?}");
    assert_eq!(counts.unknown, 0, "the server was back in time to be asked: {counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_are_as_they_were_told_when_the_server_is_killed() {
    let Some((s, outage)) = over_server(true).await else { return };
    is_telling(commits_are_as_they_were_told(&s, &outage, 12, 300).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_are_as_they_were_told_when_the_server_is_restarted() {
    let Some((s, outage)) = over_server(false).await else { return };
    is_telling(commits_are_as_they_were_told(&s, &outage, 6, 300).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_are_as_they_were_told_when_connections_are_cut() {
    let Some((s, outage)) = over_network(Passing::Cut).await else { return };
    is_telling(commits_are_as_they_were_told(&s, &outage, 40, 30).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_are_as_they_were_told_when_the_network_holds_and_then_loses() {
    let Some((s, outage)) = over_network(Passing::Held).await else { return };
    is_telling(commits_are_as_they_were_told(&s, &outage, 12, 300).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_are_as_they_were_told_when_the_server_stands_still() {
    let Some(server) = Postgres::start_or_skip().await else { return };
    let store = open(Options {
        answer_max: Duration::from_millis(200),
        outcome_max: Duration::from_millis(300),
        ..options(&server, server.url())
    });
    let s = Subject::new(store.await, ());
    // Longer than anybody waits: some do not learn what became of their commits.
    let counts = commits_are_as_they_were_told(&s, &Frozen(server), 12, 1_200).await;
    assert!(counts.committed >= 100, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_gone_is_noticed_at_once() {
    let Some((s, outage)) = over_server(true).await else { return };
    // The first one tries to learn what became of its commit; nobody else waits.
    let longest = absence_is_told_and_passes(&s, &outage, 2_000).await;
    assert!(longest < Duration::from_secs(2), "{longest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_swallows_everything_is_noticed_within_seconds() {
    let Some((s, outage)) = over_network(Passing::Held).await else { return };
    let longest = absence_is_told_and_passes(&s, &outage, 2_000).await;
    assert!(longest < Duration::from_secs(12), "{longest:?}");
}

/// The server has committed, and its answer is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_found_again() {
    let Some((s, network)) = over_network(Passing::Cut).await else { return };
    for n in 0..20 {
        let key = s.key(format!("n{n}"));
        let mut transaction = s.begin();
        if n % 2 == 0 {
            transaction.get(&key, Read::Conflict).await.expect("the read succeeds");
        }
        transaction.set(key.clone(), b"1".to_vec());
        transaction.add(s.key("count"), 1);
        network.proxy.set_answers(Passing::Held);
        let passed = network.proxy.passed();
        let commit = tokio::spawn(transaction.commit());
        while network.proxy.passed() == passed {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // Sometimes it is done by then, sometimes not.
        tokio::time::sleep(Duration::from_millis(n % 5)).await;
        network.begin().await;
        network.end().await;
        let told = commit.await.expect("it does not panic");
        let there = s.committed(format!("n{n}")).await.is_some();
        match told {
            Ok(()) => assert!(there, "{n} is lost"),
            Err(CommitError::Store(_)) => assert!(!there, "{n} is there"),
            Err(error) => panic!("{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(s.committed(format!("n{n}")).await.is_some(), there, "{n} was still in flight");
    }
}

/// A commit that its client has given up on reaches the server late. Whoever looked before does not find
/// anything else afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_arrives_late_is_not_written_any_more() {
    let Some(server) = Postgres::shared().await else { return };
    let proxy = Proxy::start(server.port()).await.expect("a port");
    let store = open(Options {
        answer_max: Duration::from_millis(100),
        outcome_max: Duration::from_millis(200),
        ..options(server, server.url_at(proxy.port()))
    });
    let s = Subject::new(store.await, ());
    for n in 0..10 {
        let mut transaction = s.begin();
        transaction.set(s.key(format!("n{n}")), b"1".to_vec());
        proxy.set(Passing::Held);
        let told = transaction.commit().await;
        assert!(matches!(told, Err(CommitError::Unknown(_))), "{told:?}");
        let stranded = proxy.strand();
        assert_eq!(s.committed(format!("n{n}")).await, None, "it has not arrived");
        stranded.deliver();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(s.committed(format!("n{n}")).await, None, "it was written after the answer");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_bounded_and_waiting_for_one_is() {
    let Some(server) = Postgres::shared().await else { return };
    let proxy = Proxy::start(server.port()).await.expect("a port");
    let store = open(Options { connections_max: 6, ..options(server, server.url_at(proxy.port())) }).await;
    let s = Subject::new(store, ());
    s.put(&[("a", "1")]).await;
    let mut readers = Vec::new();
    // One of them is for commits.
    for _ in 0..5 {
        let mut reader = s.begin();
        reader.get(&s.key("a"), Read::Conflict).await.expect("there is a connection");
        readers.push(reader);
    }
    let start = Instant::now();
    match s.begin().get(&s.key("a"), Read::Snapshot).await {
        Err(error @ StoreError::Unavailable(_)) => assert!(error.to_string().contains("busy"), "{error}"),
        other => panic!("{other:?}"),
    }
    assert!((1_900..4_000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    s.put(&[("b", "1")]).await;
    for mut reader in readers {
        reader.set(s.key("c"), b"1".to_vec());
        reader.commit().await.expect("each has its connection");
    }
    s.put(&[("d", "1")]).await;
}

/// The message, without a password in it.
async fn refusal(options: Options) -> StoreError {
    match options.open().await {
        Ok(_) => panic!("it opened"),
        Err(error) => {
            assert!(!error.to_string().contains("secret"), "{error}");
            error
        }
    }
}

#[tokio::test]
async fn what_is_in_the_way_of_opening_is_said() {
    let Some(server) = Postgres::shared().await else { return };
    let port = server.port();
    let says = |error: &StoreError, words: &[&str]| {
        let text = error.to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    };

    let error = refusal(Options::new("postgresql://tandem:secret@127.0.0.1:1/postgres")).await;
    assert!(error.is_retryable());
    says(&error, &["127.0.0.1:1", "refused", "url"]);

    server.sql("CREATE USER outsider PASSWORD 'other'").await.expect("made");
    let error =
        refusal(Options::new(format!("postgresql://outsider:secret@127.0.0.1:{port}/postgres"))).await;
    assert!(!error.is_retryable());
    says(&error, &["outsider", "password", "28P01"]);

    let error = refusal(Options::new(format!("postgresql://tandem:secret@127.0.0.1:{port}/nowhere"))).await;
    assert!(!error.is_retryable());
    says(&error, &["nowhere", "create it"]);

    let outsider = format!("postgresql://outsider:other@127.0.0.1:{port}/postgres");
    let error = refusal(Options { prefix: "theirs".into(), ..Options::new(&outsider) }).await;
    assert!(!error.is_retryable());
    says(&error, &["CREATE SCHEMA theirs"]);
    // With a schema made for it, no other right is needed.
    server.sql("CREATE SCHEMA theirs AUTHORIZATION outsider").await.expect("made");
    let store = open(Options { prefix: "theirs".into(), ..Options::new(&outsider) }).await;
    Subject::new(store, ()).put(&[("a", "1")]).await;

    server.sql("UPDATE theirs.settings SET format = 2").await.expect("set");
    let error = refusal(Options { prefix: "theirs".into(), ..Options::new(&outsider) }).await;
    assert!(!error.is_retryable());
    says(&error, &["format 2", "newer version"]);

    let error = refusal(Options { prefix: "No".into(), ..Options::new(server.url()) }).await;
    assert!(!error.is_retryable());
    let error = refusal(Options { connections_max: 1, ..Options::new(server.url()) }).await;
    assert!(!error.is_retryable());
}

/// One commit that relies on a row is held up before it is written; who writes that row, without having read
/// anything ever, waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_has_read_nothing_waits_for_who_relies_on_its_row() {
    let Some(server) = Postgres::shared().await else { return };
    let prefix = server.unique_prefix();
    let options = || Options { prefix: prefix.clone(), ..Options::new(server.url()) };
    // Both know of no row that anybody relies on.
    let (one, other) = (Subject::new(open(options()).await, ()), Subject::new(open(options()).await, ()));
    for round in 0..2 {
        other.put(&[("epoch", "1"), ("held", "1")]).await;
        let place: String = one.key("held").iter().map(|byte| format!("{byte:02x}")).collect();
        let hold = format!(
            "BEGIN; SELECT FROM {prefix}.rows WHERE place = '\\x{place}' FOR UPDATE; SELECT pg_sleep(1); COMMIT"
        );
        let mut relying = one.begin();
        relying.get(&one.key("epoch"), Read::Conflict).await.expect("the read succeeds");
        relying.set(one.key("held"), b"2".to_vec());
        let held = tokio::spawn(async move { server.sql(&hold).await });
        tokio::time::sleep(Duration::from_millis(200)).await;
        let relying = tokio::spawn(relying.commit());
        tokio::time::sleep(Duration::from_millis(200)).await;
        let (start, mut raising) = (Instant::now(), other.begin());
        raising.set(other.key("epoch"), b"2".to_vec());
        raising.commit().await.expect("nothing was read");
        assert!(
            start.elapsed() > Duration::from_millis(300),
            "round {round}: it waited {:?}",
            start.elapsed()
        );
        assert_eq!(other.committed("held").await.as_deref(), Some(&b"2"[..]));
        relying.await.expect("it does not panic").expect("nothing has changed");
        held.await.expect("it does not panic").expect("the row was held");
    }
}

#[tokio::test]
async fn prefixes_are_apart() {
    let Some(server) = Postgres::shared().await else { return };
    let one = Subject::new(open(options(server, server.url())).await, ());
    let other = Subject::new(open(options(server, server.url())).await, ());
    one.put(&[("a", "1")]).await;
    assert_eq!(other.committed("a").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_open_a_new_database_at_the_same_time() {
    let Some(server) = Postgres::shared().await else { return };
    let prefix = server.unique_prefix();
    let opening: Vec<_> = (0..8)
        .map(|n| {
            let options = Options { prefix: prefix.clone(), ..Options::new(server.url()) };
            tokio::spawn(async move {
                let s = Subject::new(open(options).await, ());
                s.write(|t| t.add(s.key("n"), n)).await;
                s.store.close().await.expect("closes");
            })
        })
        .collect();
    for opening in opening {
        opening.await.expect("it opens");
    }
    let store = open(Options { prefix: prefix.clone(), ..Options::new(server.url()) }).await;
    assert_eq!(Subject::new(store, ()).committed("n").await.as_deref(), Some(&28i64.to_le_bytes()[..]));
    let left = server.sql(&format!("SELECT count(*) FROM {prefix}.sessions")).await.expect("counted");
    assert!(left.parse::<u32>().expect("a number") <= 2, "{left} sessions were left behind");
}

#[tokio::test]
async fn a_weaker_default_of_the_server_does_not_count() {
    let hasty = [("synchronous_commit", "off"), ("wal_writer_delay", "10s"), ("autovacuum", "off")];
    let Some(server) = Postgres::or_skip(Postgres::start_with(&hasty, &[]).await) else { return };
    let s = Subject::new(open(options(&server, server.url())).await, ());
    // What a commit writes is in the log when it is acknowledged.
    for n in 0..20 {
        s.put(&[("a", &n.to_string())]).await;
        let flushed = server.sql("SELECT pg_current_wal_insert_lsn() = pg_current_wal_flush_lsn()").await;
        assert_eq!(flushed.as_deref(), Ok("t"));
    }
}

#[tokio::test]
async fn connections_are_encrypted_as_the_url_says() {
    let authority_key = rcgen::KeyPair::generate().expect("a key");
    let mut authority = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_certificate = authority.self_signed(&authority_key).expect("a certificate").pem();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().expect("a key");
    let names = vec!["localhost".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).expect("parameters").signed_by(&key, &issuer);
    let files = [
        ("server.crt", &certificate.expect("a certificate").pem()[..]),
        ("server.key", &key.serialize_pem()),
    ];
    let Some(server) = Postgres::or_skip(Postgres::start_with(&[("ssl", "on")], &files).await) else {
        return;
    };
    let dir = tempfile::tempdir().expect("a directory");
    let authorities = dir.path().join("authorities.pem");
    std::fs::write(&authorities, authority_certificate).expect("written");
    let authorities = authorities.display();

    let port = server.port();
    for (host, rest, works) in [
        ("127.0.0.1", "sslmode=disable".to_owned(), Some(false)),
        ("127.0.0.1", "application_name=x".to_owned(), Some(true)),
        ("127.0.0.1", "sslmode=prefer".to_owned(), Some(true)),
        ("127.0.0.1", "sslmode=require".to_owned(), Some(true)),
        ("127.0.0.1", format!("sslmode=verify-ca&sslrootcert={authorities}"), Some(true)),
        ("127.0.0.1", "sslmode=verify-ca".to_owned(), None),
        ("localhost", format!("sslmode=verify-full&sslrootcert={authorities}"), Some(true)),
        ("127.0.0.1", format!("sslmode=verify-full&sslrootcert={authorities}"), None),
        ("localhost", "sslmode=verify-full".to_owned(), None),
    ] {
        let url = format!("postgresql://tandem@{host}:{port}/postgres?{rest}");
        let opened = options(&server, url).open().await;
        let Some(encrypted) = works else {
            let error = opened.err().expect("the certificate is not to be trusted").to_string();
            assert!(error.contains("certificate"), "{rest}: {error}");
            continue;
        };
        let store = opened.unwrap_or_else(|error| panic!("{rest}: {error}"));
        let s = Subject::new(store, ());
        s.put(&[("a", "1")]).await;
        let all = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                   WHERE client_port IS NOT NULL AND pid <> pg_backend_pid()";
        assert_eq!(server.sql(all).await.as_deref(), Ok(if encrypted { "t" } else { "f" }), "{rest}");
        s.store.close().await.expect("closes");
        let others =
            "SELECT count(*) FROM pg_stat_activity WHERE client_port IS NOT NULL AND pid <> pg_backend_pid()";
        while server.sql(others).await.as_deref() != Ok("0") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
