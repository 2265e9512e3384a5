//! Every way in which asking for a call can come out. The server's log says what arrived: each
//! dial leaves at most one request, whatever happens to it.

use super::{CALL, created, error, impatient, options, request, twilio};
use crate::server::{Server, Step};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tandem_domain::carrier::RefusalReason::{self, *};
use tandem_domain::carrier::{DialOutcome, DialRequest, Refusal};
use tandem_providers::carrier::Carrier as _;
use tandem_providers::twilio::Twilio;
use tokio::net::TcpListener;

fn accepted() -> DialOutcome {
    DialOutcome::Accepted { sid: CALL.into() }
}

fn refused(reason: RefusalReason, code: u32) -> DialOutcome {
    DialOutcome::Refused(Refusal { reason, code })
}

#[tokio::test]
async fn a_call_is_accepted() {
    let server = Server::start([Step::json(201, created())]).await;
    assert_eq!(twilio(&server).dial(&request()).await, accepted());
    let [seen] = &server.seen()[..] else { panic!("one request") };
    assert_eq!(seen.method, "POST");
    assert_eq!(seen.path, "/2010-04-01/Accounts/AC0123456789abcdef0123456789abcdef/Calls.json");
    assert_eq!(seen.header("authorization"), Some("Basic U0sxOnNlY3JldA=="));
    assert_eq!(seen.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(Some(seen.header("host").unwrap()), server.url.strip_prefix("http://"));
    assert!(seen.form().contains(&("To".into(), "+15005550010".into())));
}

#[tokio::test]
async fn a_clear_no_is_refused() {
    for (status, code, reason) in [
        (400, 21_211, InvalidNumber),
        (400, 21_214, Unreachable),
        (400, 21_216, Blocked),
        (400, 21_210, CallerId),
        (400, 21_215, Configuration),
        (401, 20_003, Account),
        (403, 20_003, Account),
        (403, 20_005, Account),
        (403, 20_403, Account),
        (401, 10_001, Account),
        (404, 20_404, Account),
        (400, 10_004, Overloaded),
        (400, 22_005, Overloaded),
        (400, 29_999, Other),
    ] {
        let server = Server::start([Step::json(status, error(code, status))]).await;
        assert_eq!(twilio(&server).dial(&request()).await, refused(reason, code), "{code}");
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn too_many_requests_are_told_when_to_come_back() {
    for (headers, body, expected) in [
        (
            vec![("retry-after", "3".to_owned())],
            error(20_429, 429),
            refused(RateLimited { retry_after_ms: Some(3_000) }, 20_429),
        ),
        (vec![], error(20_429, 429), refused(RateLimited { retry_after_ms: None }, 20_429)),
        (vec![], "<html>".into(), refused(RateLimited { retry_after_ms: None }, 0)),
        (vec![], error(10_004, 429), refused(Overloaded, 10_004)),
    ] {
        let server = Server::start([Step::Answer { status: 429, headers, body }]).await;
        assert_eq!(twilio(&server).dial(&request()).await, expected);
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn what_is_not_clear_is_unknown() {
    let steps = [
        ("500", Step::json(500, error(20_500, 500))),
        ("500 with the body of a created call", Step::json(500, created())),
        ("500 with a code that would be a no", Step::json(500, error(21_211, 500))),
        ("503", Step::json(503, error(20_503, 503))),
        ("an internal error under a wrong status", Step::json(400, error(20_500, 400))),
        ("502 of a proxy", Step::json(502, "<html>bad gateway</html>")),
        ("403 of a proxy", Step::json(403, "<html>forbidden</html>")),
        ("400 without a code", Step::json(400, "{}")),
        ("a redirect", Step::Answer { status: 307, headers: vec![("location", "/x".into())], body: created() }),
        ("broken JSON", Step::json(201, "{\"sid\":\"CA01")),
        ("no id", Step::json(201, "{\"status\":\"queued\"}")),
        ("an id that is none", Step::json(201, "{\"sid\":\"CA1\",\"status\":\"queued\"}")),
        ("an empty success", Step::json(201, "")),
        ("a close without a word", Step::Close),
        ("no HTTP", Step::Raw(b"220 mail.example.com ESMTP\r\n".to_vec())),
        ("half a head", Step::Raw(b"HTTP/1.1 201 Crea".to_vec())),
        ("half a body", Step::Raw(b"HTTP/1.1 201 X\r\ncontent-length: 400\r\n\r\n{\"sid\":\"CA0123456789abcdef0123456789abcdef\"".to_vec())),
        ("half a refusal", Step::Raw(b"HTTP/1.1 400 X\r\ncontent-length: 400\r\n\r\n{\"code\":21211}".to_vec())),
        ("too large", Step::json(201, format!("{{\"sid\":\"{CALL}\",\"x\":\"{}\"}}", "x".repeat(2 << 20)))),
    ];
    for (name, step) in steps {
        let server = Server::start([step]).await;
        assert_eq!(twilio(&server).dial(&request()).await, DialOutcome::Unknown, "{name}");
        assert_eq!(server.seen().len(), 1, "{name}");
    }
}

#[tokio::test]
async fn no_answer_in_time_is_unknown() {
    for step in [
        Step::Silence,
        Step::Stall(b"HTTP/1.1 201 X\r\ncontent-le".to_vec()),
        Step::Stall(b"HTTP/1.1 201 X\r\ncontent-length: 400\r\n\r\n{\"sid\":".to_vec()),
    ] {
        let server = Server::start([step]).await;
        assert_eq!(impatient(&server).dial(&request()).await, DialOutcome::Unknown);
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn no_connection_is_a_definite_no() {
    // A port that nothing listens on.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let twilio = Twilio::new(options(&url)).unwrap();
    assert_eq!(twilio.dial(&request()).await, refused(Overloaded, 0));

    // A server that takes the connection and never speaks TLS: no request can have been sent.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut options = options(&format!("https://{}", listener.local_addr().unwrap()));
    options.connect_timeout = Duration::from_millis(100);
    let twilio = Twilio::new(options).unwrap();
    assert_eq!(twilio.dial(&request()).await, refused(Overloaded, 0));
}

#[tokio::test]
async fn a_kept_connection_is_used_again() {
    let server = Server::start([Step::json(201, created()), Step::json(201, created())]).await;
    let twilio = twilio(&server);
    for _ in 0..2 {
        assert_eq!(twilio.dial(&request()).await, accepted());
        settle().await;
    }
    let connections: Vec<usize> = server.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [0, 0]);
}

#[tokio::test]
async fn a_rested_connection_is_not_used_again() {
    let server = Server::start([Step::json(201, created()), Step::json(201, created())]).await;
    let mut options = options(&server.url);
    options.limits.idle_max = Duration::ZERO;
    let twilio = Twilio::new(options).unwrap();
    for _ in 0..2 {
        assert_eq!(twilio.dial(&request()).await, accepted());
        settle().await;
    }
    let connections: Vec<usize> = server.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [0, 1]);
}

/// The case in which other clients send twice: the server takes the request on a connection that
/// was used before, and closes it without an answer.
#[tokio::test]
async fn a_kept_connection_that_dies_does_not_repeat_the_request() {
    let server = Server::start([Step::json(201, created()), Step::Close, Step::json(201, created())]).await;
    let twilio = twilio(&server);
    assert_eq!(twilio.dial(&request()).await, accepted());
    settle().await;
    assert_eq!(twilio.dial(&request()).await, DialOutcome::Unknown);
    settle().await;
    let seen = server.seen();
    assert_eq!(seen.len(), 2, "the request that got no answer came once");
    assert_eq!(seen[1].connection, 0, "and on the kept connection");
}

/// A server that closes after every answer without saying so, and many dials at a time: each
/// arrives exactly once, or its outcome is unknown, and none arrives twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_closed_behind_our_back_never_double_a_dial() {
    const DIALS: usize = 400;
    const AT_A_TIME: usize = 8;
    let step = Step::AnswerThenClose { status: 201, body: created() };
    let server = Server::start(std::iter::repeat_n(step, 2 * DIALS)).await;
    let twilio = Arc::new(twilio(&server));
    let mut tasks = tokio::task::JoinSet::new();
    for worker in 0..AT_A_TIME {
        let twilio = Arc::clone(&twilio);
        tasks.spawn(async move {
            let mut unknown = Vec::new();
            for i in (worker..DIALS).step_by(AT_A_TIME) {
                let url = format!("https://voice.example.com/status/{i}");
                let request = DialRequest { status_url: url.clone(), ..request() };
                match twilio.dial(&request).await {
                    DialOutcome::Accepted { .. } => {}
                    DialOutcome::Unknown => unknown.push(url),
                    DialOutcome::Refused(refusal) => panic!("{refusal:?}"),
                }
            }
            unknown
        });
    }
    let unknown = tasks.join_all().await.concat();
    settle().await;
    let mut arrived = HashMap::<String, usize>::new();
    for seen in server.seen() {
        let (_, url) = seen.form().into_iter().find(|(name, _)| name == "StatusCallback").unwrap();
        *arrived.entry(url).or_default() += 1;
    }
    for i in 0..DIALS {
        let url = format!("https://voice.example.com/status/{i}");
        match arrived.get(&url) {
            Some(1) => {}
            None => assert!(unknown.contains(&url), "{url} was accepted and never arrived"),
            Some(times) => panic!("{url} arrived {times} times"),
        }
    }
    assert!(unknown.len() < DIALS / 2, "{} of {DIALS} unknown", unknown.len());
}

#[tokio::test]
async fn dials_beyond_the_connections_wait_and_then_are_not_sent() {
    let server = Server::start([Step::Silence, Step::Silence]).await;
    let mut options = options(&server.url);
    options.limits.connections_max = 1;
    options.limits.queue_timeout = Duration::from_millis(50);
    options.limits.request_timeout = Duration::from_secs(60);
    let twilio = Arc::new(Twilio::new(options).unwrap());
    let first = tokio::spawn({
        let twilio = twilio.clone();
        async move { twilio.dial(&request()).await }
    });
    while server.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(twilio.dial(&request()).await, refused(Overloaded, 0));
    assert_eq!(server.seen().len(), 1);
    first.abort();
}

/// Gives connection tasks a moment to see what has happened to their sockets.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}
