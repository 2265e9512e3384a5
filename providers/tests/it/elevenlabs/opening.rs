//! How a conversation begins, or does not.

use super::provider::{open, opening, options, provider, signed};
use crate::server::{Server, Step};
use serde_json::json;
use std::time::Duration;
use tandem_providers::agent::{AgentEvent, AudioFormat, OpenError, VoiceAgent as _};
use tandem_providers::elevenlabs::ElevenLabs;
use tokio::net::TcpListener;

#[tokio::test]
async fn a_conversation_is_opened_by_a_signed_url() {
    let provider = provider(|mut line| async move { line.begin().await }).await;
    let mut session = open(&provider).await;
    let AgentEvent::Ready { conversation_id, input_format, output_format } =
        session.receiver.next().await.unwrap()
    else {
        panic!("not ready")
    };
    assert_eq!(conversation_id, "conv_1");
    assert_eq!((input_format, output_format), (AudioFormat::ULAW_8000, AudioFormat::ULAW_8000));
    let [seen] = &provider.http.seen()[..] else { panic!("one request") };
    assert_eq!(seen.path, "/v1/convai/conversation/get-signed-url?agent_id=agent+1");
    assert_eq!(seen.header("xi-api-key"), Some("key"));
    assert_eq!(provider.asked.await.unwrap(), "/v1/convai/conversation?agent_id=a&conversation_signature=s");
    let first = provider.scene.await.unwrap();
    assert_eq!(first, json!({"type": "conversation_initiation_client_data", "user_id": "lead-1"}));
}

#[tokio::test]
async fn a_conversation_that_is_not_opened_says_why() {
    let limited = |retry_after_ms| OpenError::RateLimited { retry_after_ms };
    for (step, expected) in [
        (Step::json(401, "{\"detail\":\"x\"}"), OpenError::Credentials { status: 401 }),
        (Step::json(404, "{\"detail\":{\"status\":\"x\"}}"), OpenError::UnknownAgent),
        (Step::json(422, "{\"detail\":[]}"), OpenError::Refused { status: 422 }),
        (Step::json(429, ""), limited(None)),
        (
            Step::Answer { status: 429, headers: vec![("retry-after", "7".into())], body: String::new() },
            limited(Some(7_000)),
        ),
        (Step::json(500, ""), OpenError::Server { status: 500 }),
        (Step::json(200, "{"), OpenError::Malformed("no signed URL in the answer")),
        (
            Step::json(200, "{\"signed_url\":\"https://h/\"}"),
            OpenError::Malformed("the signed URL is not a socket's"),
        ),
        (Step::json(200, "{\"signed_url\":\"\"}"), OpenError::Malformed("the signed URL is not a socket's")),
        (Step::Stall(b"HTTP/1.1 200 X\r\n".to_vec()), OpenError::Timeout),
    ] {
        let server = Server::start([step.clone()]).await;
        let mut options = options(&server.url);
        options.request_timeout = Duration::from_millis(100);
        let agent = ElevenLabs::new(options).unwrap();
        assert_eq!(agent.open(&opening()).await.unwrap_err(), expected, "{step:?}");
    }
}

#[tokio::test]
async fn a_socket_that_is_not_opened_says_why() {
    for (step, expected) in [
        (Step::json(403, ""), OpenError::Credentials { status: 403 }),
        (Step::json(503, ""), OpenError::Server { status: 503 }),
        (Step::json(200, ""), OpenError::Malformed("an answer that is neither success nor error")),
        (Step::Close, OpenError::Unreachable("not a WebSocket's".into())),
        (Step::Raw(b"SSH-2.0-x\r\n".to_vec()), OpenError::Unreachable("not a WebSocket's".into())),
        (Step::Silence, OpenError::Timeout),
    ] {
        let socket = Server::start([step.clone()]).await;
        let url = socket.url.replace("http://", "ws://");
        let server = Server::start([Step::json(200, json!({"signed_url": url}).to_string())]).await;
        let mut options = options(&server.url);
        options.request_timeout = Duration::from_millis(100);
        let agent = ElevenLabs::new(options).unwrap();
        assert_eq!(agent.open(&opening()).await.unwrap_err(), expected, "{step:?}");
    }
}

#[tokio::test]
async fn no_connection_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let agent = ElevenLabs::new(options(&format!("http://{address}"))).unwrap();
    assert!(matches!(agent.open(&opening()).await, Err(OpenError::Unreachable(_))));
    let signed = json!({"signed_url": format!("ws://{address}/")}).to_string();
    let server = Server::start([Step::json(200, signed)]).await;
    let agent = ElevenLabs::new(options(&server.url)).unwrap();
    assert!(matches!(agent.open(&opening()).await, Err(OpenError::Unreachable(_))));
}

#[tokio::test]
async fn what_was_prepared_is_used() {
    let provider = provider(|mut line| async move { line.begin().await }).await;
    let agent = ElevenLabs::new(options(&provider.http.url)).unwrap();
    agent.prepare("agent 1").await;
    assert_eq!(provider.http.seen().len(), 1);
    // The provider answers one request only.
    let mut session = agent.open(&opening()).await.unwrap();
    assert!(matches!(session.receiver.next().await, Some(AgentEvent::Ready { .. })));
    assert_eq!(provider.http.seen().len(), 1, "the person did not wait for it");
    // It serves once, and nobody else; nor is anything lost where nothing could be prepared.
    assert_eq!(agent.open(&opening()).await.unwrap_err(), OpenError::Server { status: 599 });
    agent.prepare("agent 1").await;
    assert_eq!(agent.open(&opening()).await.unwrap_err(), OpenError::Server { status: 599 });
}

#[tokio::test]
async fn what_was_prepared_and_is_refused_is_asked_for_anew() {
    let provider = provider(|mut line| async move { line.begin().await }).await;
    let refusing = Server::start([Step::json(403, "")]).await;
    let stale = refusing.url.replace("http://", "ws://");
    let http = Server::start([signed(&stale), signed(&provider.url)]).await;
    let agent = ElevenLabs::new(options(&http.url)).unwrap();
    agent.prepare("agent 1").await;
    let mut session = agent.open(&opening()).await.unwrap();
    assert!(matches!(session.receiver.next().await, Some(AgentEvent::Ready { .. })));
    assert_eq!((refusing.seen().len(), http.seen().len()), (1, 2));
}
