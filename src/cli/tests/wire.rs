//! Commands against a server that behaves as it is told, over a real socket.

use crate::cli::call;
use crate::cli::client::{Client, Options};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::config::Secret;
use clap::Parser;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tandem_proto::v1;
use tandem_proto::v1::call_service_server::{CallService, CallServiceServer};
use tokio::net::TcpListener;
use tokio_stream::Stream;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// Answers to give, in order.
type Script<T> = Arc<Mutex<VecDeque<T>>>;

/// What the server does next, and what it was asked.
#[derive(Clone, Default)]
struct Fake {
    places: Script<Result<v1::PlaceCallResponse, Status>>,
    placed: Arc<Mutex<Vec<v1::PlaceCallRequest>>>,
    watches: Script<Vec<Result<u64, Status>>>,
    watched_after: Arc<Mutex<Vec<u64>>>,
    listed: Arc<Mutex<Vec<(i32, String)>>>,
    bearers: Arc<Mutex<Vec<Option<String>>>>,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl CallService for Fake {
    async fn place_call(&self, request: Request<v1::PlaceCallRequest>) -> Answer<v1::PlaceCallResponse> {
        let bearer = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        self.bearers.lock().push(bearer.map(str::to_owned));
        self.placed.lock().push(request.into_inner());
        let next = self.places.lock().pop_front();
        match next {
            Some(answer) => answer.map(Response::new),
            // Nothing is to be answered any more.
            None => std::future::pending().await,
        }
    }

    type WatchCallStream = Pin<Box<dyn Stream<Item = Result<v1::WatchCallResponse, Status>> + Send>>;

    async fn watch_call(&self, request: Request<v1::WatchCallRequest>) -> Answer<Self::WatchCallStream> {
        self.watched_after.lock().push(request.into_inner().after_event);
        let next = self.watches.lock().pop_front().ok_or_else(|| Status::not_found("no such call"))?;
        let answer = |event: Result<u64, Status>| {
            event.map(|event| v1::WatchCallResponse {
                event: Some(v1::CallEvent { event, ..Default::default() }),
            })
        };
        let answers: Vec<_> = next.into_iter().map(answer).collect();
        Ok(Response::new(Box::pin(tokio_stream::iter(answers))))
    }

    async fn list_calls(&self, request: Request<v1::ListCallsRequest>) -> Answer<v1::ListCallsResponse> {
        let request = request.into_inner();
        self.listed.lock().push((request.page_size, request.page_token.clone()));
        let page: usize = request.page_token.parse().unwrap_or(0);
        let calls =
            (0..2).map(|n| v1::Call { call_id: format!("c-{page}-{n}"), ..Default::default() }).collect();
        let next_page_token = if page < 2 { (page + 1).to_string() } else { String::new() };
        Ok(Response::new(v1::ListCallsResponse { calls, next_page_token }))
    }

    async fn get_call(&self, _: Request<v1::GetCallRequest>) -> Answer<v1::GetCallResponse> {
        let mut details = ErrorDetails::new();
        details
            .set_error_info("NOT_FOUND", "tandem", HashMap::new())
            .set_resource_info("call", "c-9", "", "");
        Err(Status::with_error_details(Code::NotFound, "there is no such call", details))
    }

    async fn hangup_call(&self, _: Request<v1::HangupCallRequest>) -> Answer<v1::HangupCallResponse> {
        Err(Status::unauthenticated("no API key"))
    }

    async fn report_call(&self, _: Request<v1::ReportCallRequest>) -> Answer<v1::ReportCallResponse> {
        Err(Status::unimplemented(""))
    }

    async fn get_transcript(
        &self,
        _: Request<v1::GetTranscriptRequest>,
    ) -> Answer<v1::GetTranscriptResponse> {
        Err(Status::unimplemented(""))
    }

    async fn annotate_call(&self, _: Request<v1::AnnotateCallRequest>) -> Answer<v1::AnnotateCallResponse> {
        Err(Status::unimplemented(""))
    }

    async fn explain_call(&self, _: Request<v1::ExplainCallRequest>) -> Answer<v1::ExplainCallResponse> {
        Err(Status::unimplemented(""))
    }
}

/// What a command printed.
#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl io::Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    command: call::Command,
}

async fn serve(fake: Fake) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let serving = Server::builder()
        .add_service(CallServiceServer::new(fake))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(serving);
    server
}

/// Runs one command line, and gives how it ended and what it printed.
async fn run(server: &str, json: bool, line: &str) -> (Result<Exit, Failure>, String) {
    let words = std::iter::once("call").chain(line.split_whitespace());
    let command = Line::try_parse_from(words).unwrap().command;
    let key = Some(Secret::new("tdm_key"));
    let options = Options { server: server.to_owned(), key, timeout: Duration::from_millis(300), ca: None };
    let printed = Printed::default();
    let mut out = Output::to(json, Box::new(printed.clone()));
    let ended = command.run(&Client::new(&options).unwrap(), &mut out).await;
    let bytes = printed.0.lock().clone();
    (ended, String::from_utf8(bytes).unwrap())
}

fn placed() -> Result<v1::PlaceCallResponse, Status> {
    Ok(v1::PlaceCallResponse { call_id: "c-1".into(), ..Default::default() })
}

#[tokio::test]
async fn a_change_is_sent_once_more_with_the_same_key() {
    let fake = Fake::default();
    fake.places.lock().extend([Err(Status::unavailable("restarting")), placed()]);
    let server = serve(fake.clone()).await;
    let (ended, printed) = run(&server, true, "place +15551234567 --var a=1").await;
    assert_eq!(ended.unwrap(), Exit::Ok);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).unwrap()["call_id"], "c-1");
    let sent = fake.placed.lock().clone();
    assert_eq!((sent.len(), &sent[0]), (2, &sent[1]));
    assert!(!sent[0].idempotency_key.is_empty());
    assert_eq!(*fake.bearers.lock(), [Some("Bearer tdm_key".to_owned()), Some("Bearer tdm_key".to_owned())]);
}

#[tokio::test]
async fn two_commands_have_two_keys() {
    let fake = Fake::default();
    fake.places.lock().extend([placed(), placed(), placed()]);
    let server = serve(fake.clone()).await;
    for line in ["place +1555", "place +1555", "place +1555 --idempotency-key mine"] {
        run(&server, false, line).await.0.unwrap();
    }
    let keys: Vec<String> =
        fake.placed.lock().iter().map(|request| request.idempotency_key.clone()).collect();
    assert_ne!(keys[0], keys[1]);
    assert_eq!(keys[2], "mine");
}

#[tokio::test]
async fn who_does_not_know_the_outcome_is_told_the_key() {
    let fake = Fake::default();
    fake.places.lock().extend([Err(Status::unavailable("")), Err(Status::unavailable(""))]);
    let server = serve(fake.clone()).await;
    for line in ["place +1555 --idempotency-key mine", "place +1556 --idempotency-key mine"] {
        // The second time nothing is answered at all.
        let failure = run(&server, false, line).await.0.unwrap_err();
        assert_eq!(failure.exit, Exit::Unavailable, "{failure:?}");
        assert!(failure.help.unwrap().contains("--idempotency-key mine"));
    }
    assert_eq!(fake.placed.lock().len(), 3, "a request that took too long is not repeated");
}

#[tokio::test]
async fn refusals_have_their_exit_codes() {
    let mut details = ErrorDetails::new();
    details.set_error_info("DO_NOT_CALL", "tandem", HashMap::new());
    let fake = Fake::default();
    fake.places.lock().extend([
        Err(Status::with_error_details(Code::FailedPrecondition, "refused", details)),
        Err(Status::invalid_argument("to: no number")),
    ]);
    let server = serve(fake.clone()).await;
    let failure = run(&server, false, "place +1555").await.0.unwrap_err();
    assert_eq!((failure.exit, &*failure.reason), (Exit::Refused, "DO_NOT_CALL"));
    assert_eq!(run(&server, false, "place x").await.0.unwrap_err().exit, Exit::Usage);
    assert_eq!(run(&server, false, "get c-9").await.0.unwrap_err().exit, Exit::NotFound);
    assert_eq!(run(&server, false, "hangup c-9").await.0.unwrap_err().exit, Exit::Forbidden);
    assert_eq!(run(&server, false, "transcript c-9").await.0.unwrap_err().exit, Exit::Failure);
    assert_eq!(fake.placed.lock().len(), 2, "what was refused is not repeated");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let failure = run(&server, false, "get c-1").await.0.unwrap_err();
    assert_eq!(failure.exit, Exit::Unavailable);
    assert!(failure.lines().join("\n").contains("--server"), "{failure:?}");
}

#[tokio::test]
async fn a_watch_goes_on_where_it_broke_off() {
    let fake = Fake::default();
    fake.watches.lock().extend([
        vec![Ok(1), Ok(2), Err(Status::unavailable("moved"))],
        vec![Err(Status::unavailable("still moving"))],
        vec![Ok(3), Ok(4)],
    ]);
    let server = serve(fake.clone()).await;
    let (ended, printed) = run(&server, true, "watch c-1").await;
    assert_eq!(ended.unwrap(), Exit::Ok);
    let events: Vec<u64> = printed
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["event"].as_u64().unwrap())
        .collect();
    assert_eq!((events, fake.watched_after.lock().clone()), (vec![1, 2, 3, 4], vec![0, 2, 2]));
}

#[tokio::test]
async fn a_watch_of_nothing_is_not_repeated() {
    let fake = Fake::default();
    let server = serve(fake.clone()).await;
    assert_eq!(run(&server, false, "watch c-1").await.0.unwrap_err().exit, Exit::NotFound);
    assert_eq!(fake.watched_after.lock().len(), 1);
}

#[tokio::test]
async fn lists_are_read_page_by_page() {
    let fake = Fake::default();
    let server = serve(fake.clone()).await;
    let (ended, printed) = run(&server, true, "list --limit 3").await;
    assert_eq!((ended.unwrap(), printed.lines().count()), (Exit::Ok, 4));
    assert_eq!(*fake.listed.lock(), [(3, String::new()), (1, "1".to_owned())]);
    let (_, printed) = run(&server, false, "list --limit 0").await;
    let ids: Vec<&str> = printed.lines().skip(1).map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(ids, ["c-0-0", "c-0-1", "c-1-0", "c-1-1", "c-2-0", "c-2-1"]);
    assert!(printed.starts_with("CALL "), "{printed}");
}
