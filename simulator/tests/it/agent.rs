//! The voice agent on its own.

use super::orchestrator::{reqwest_get, signed_url};
use super::world::{World, XI_KEY};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tandem_simulator::scenario::Dialogue;
use tandem_simulator::{Person, Scenario};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn open(world: &World) -> Socket {
    let url = signed_url(&world.sim.agent_url, XI_KEY).await.expect("a signed URL");
    tokio_tungstenite::connect_async(&url).await.expect("a conversation").0
}

async fn send(socket: &mut Socket, value: Value) {
    socket.send(Message::text(value.to_string())).await.expect("sent");
}

/// Messages up to the end, and its close code.
async fn rest(socket: &mut Socket) -> (Vec<Value>, Option<u16>) {
    let mut messages = Vec::new();
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Text(text) => messages.push(serde_json::from_str(text.as_str()).expect("JSON")),
            Message::Close(frame) => return (messages, frame.map(|frame| u16::from(frame.code))),
            _ => {}
        }
    }
    (messages, None)
}

/// The next message of a type; others are passed over.
async fn next(socket: &mut Socket, kind: &str) -> Value {
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Text(text) = message {
            let value: Value = serde_json::from_str(text.as_str()).expect("JSON");
            if value["type"] == kind {
                return value;
            }
        }
    }
    panic!("no {kind}");
}

#[tokio::test]
async fn keys_and_signatures_are_checked() {
    let world = World::new(Scenario::default()).await;
    let base = &world.sim.agent_url;
    let url = format!("{base}/v1/convai/conversation/get-signed-url?agent_id=agent_1");
    assert_eq!(reqwest_get(&url, None).await.0, 401);
    assert_eq!(reqwest_get(&url, Some(("xi-api-key", "wrong"))).await.0, 401);
    let without = format!("{base}/v1/convai/conversation/get-signed-url");
    let (status, body) = reqwest_get(&without, Some(("xi-api-key", XI_KEY))).await;
    assert_eq!((status, body["detail"][0]["loc"][1].as_str()), (422, Some("agent_id")));

    let signed = signed_url(base, XI_KEY).await.expect("a signed URL");
    let unsigned = signed.split("&conversation_signature").next().expect("a URL").to_owned();
    let other = signed.replace("agent_1", "agent_2");
    let mut forged = signed.clone();
    let last = forged.pop().expect("a digit");
    forged.push(if last == '0' { '1' } else { '0' });
    for url in [unsigned, other, forged] {
        let refused = tokio_tungstenite::connect_async(&url).await;
        assert!(
            matches!(&refused, Err(tokio_tungstenite::tungstenite::Error::Http(answer)) if answer.status().as_u16() == 403),
            "{refused:?}"
        );
    }
    assert!(tokio_tungstenite::connect_async(&signed).await.is_ok());
}

#[tokio::test]
async fn a_conversation_by_text_runs_through_its_dialogue() {
    let world = World::new(Scenario::default()).await;
    let mut socket = open(&world).await;
    send(
        &mut socket,
        json!({ "type": "conversation_initiation_client_data", "user_id": "lead-1",
            "conversation_config_override": { "agent": { "first_message": "Hi {{name}}!" } },
            "dynamic_variables": { "name": "Ana", "vip": true } }),
    )
    .await;
    let metadata = next(&mut socket, "conversation_initiation_metadata").await;
    let event = &metadata["conversation_initiation_metadata_event"];
    assert_eq!(event["agent_output_audio_format"], "ulaw_8000");
    let id = event["conversation_id"].as_str().expect("an id").to_owned();
    let response = next(&mut socket, "agent_response").await;
    assert_eq!(response["agent_response_event"]["agent_response"], "Hi Ana!");
    next(&mut socket, "audio").await;
    send(&mut socket, json!({ "type": "user_message", "text": "hello" })).await;
    next(&mut socket, "agent_response").await;
    send(&mut socket, json!({ "type": "user_message", "text": "what time is it" })).await;
    let call = next(&mut socket, "client_tool_call").await;
    assert_eq!(call["client_tool_call"]["tool_name"], "get_current_time");
    send(
        &mut socket,
        json!({ "type": "client_tool_result", "tool_call_id": call["client_tool_call"]["tool_call_id"],
            "result": "noon", "is_error": false }),
    )
    .await;
    let response = next(&mut socket, "agent_response").await;
    assert!(
        response["agent_response_event"]["agent_response"].as_str().is_some_and(|text| text.contains("noon"))
    );
    for _ in 0..2 {
        send(&mut socket, json!({ "type": "user_message", "text": "fine" })).await;
        next(&mut socket, "agent_response").await;
    }
    let (_, code) = rest(&mut socket).await;
    assert_eq!(code, Some(1000));

    world.until("the end", |world| world.sim.log.snapshot().agent_conversations().next().is_some()).await;
    let url = format!("{}/v1/convai/conversations/{id}", world.sim.agent_url);
    let (status, past) = reqwest_get(&url, Some(("xi-api-key", XI_KEY))).await;
    assert_eq!(
        (status, past["status"].as_str(), past["user_id"].as_str()),
        (200, Some("done"), Some("lead-1"))
    );
    assert_eq!(past["transcript"].as_array().map(Vec::len), Some(9));
}

#[tokio::test]
async fn missing_variables_and_nonsense_close_with_1008() {
    let mut mix = Scenario::default();
    let needy = Dialogue { first_message: "Hi {{name}}".to_owned(), ..Dialogue::default() };
    mix.agent.agents.insert("agent_1".to_owned(), needy);
    let world = World::new(mix).await;
    let mut socket = open(&world).await;
    send(&mut socket, json!({ "type": "conversation_initiation_client_data" })).await;
    let (messages, code) = rest(&mut socket).await;
    assert_eq!(code, Some(1008));
    assert_eq!(
        messages.last().map(|last| last["error_event"]["error_type"].clone()),
        Some(json!("missing_dynamic_variable"))
    );

    let mut socket = open(&world).await;
    socket.send(Message::text("not json")).await.expect("sent");
    let (_, code) = rest(&mut socket).await;
    assert_eq!(code, Some(1008));

    let url = format!("{}/v1/convai/conversation/get-signed-url?agent_id=agent_2", world.sim.agent_url);
    assert_eq!(reqwest_get(&url, Some(("xi-api-key", XI_KEY))).await.0, 404);
}

#[tokio::test]
async fn pings_must_be_answered() {
    let mut mix = Scenario::default();
    mix.agent.ping_ms = 500;
    mix.agent.patience_ms = 3_600_000;
    let world = World::new(mix).await;
    let mut socket = open(&world).await;
    send(&mut socket, json!({ "type": "conversation_initiation_client_data" })).await;
    for _ in 0..6 {
        let ping = next(&mut socket, "ping").await;
        send(&mut socket, json!({ "type": "pong", "event_id": ping["ping_event"]["event_id"] })).await;
    }
    let (messages, code) = rest(&mut socket).await;
    assert_eq!(code, Some(1002));
    let pings = messages.iter().filter(|message| message["type"] == "ping").count();
    assert_eq!(pings, 3, "three may be missed");
}

#[tokio::test]
async fn an_agent_that_hears_nothing_asks_and_ends() {
    let mut mix = Scenario::only(Person::Human);
    mix.agent.patience_ms = 500;
    let world = World::new(mix).await;
    let mut socket = open(&world).await;
    // Not even the initiation comes: it begins without.
    let (messages, code) = rest(&mut socket).await;
    assert_eq!(code, Some(1000));
    let said = messages.iter().filter(|message| message["type"] == "agent_response").count();
    assert_eq!(said, 3, "the greeting and two prompts");
}

#[tokio::test]
async fn more_conversations_than_allowed_are_refused() {
    let mut mix = Scenario::default();
    mix.agent.concurrent_max = 1;
    let world = World::new(mix).await;
    let socket = open(&world).await;
    world.until("the conversation", |_| true).await;
    let url = format!("{}/v1/convai/conversation/get-signed-url?agent_id=agent_1", world.sim.agent_url);
    let refused = async {
        loop {
            let (status, body) = reqwest_get(&url, Some(("xi-api-key", XI_KEY))).await;
            if status == 429 {
                return body;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let body = tokio::time::timeout(std::time::Duration::from_secs(30), refused).await.expect("refused");
    assert_eq!(body["detail"]["status"], "too_many_concurrent_requests");
    drop(socket);
}
