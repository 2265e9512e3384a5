//! How a conversation ends.

use super::provider::{Line, audio, open, open_with, options, provider, ready, rest};
use serde_json::json;
use std::time::Duration;
use tandem_domain::agent::AgentEnd;
use tandem_providers::agent::{AUDIO_QUEUE_MAX, AgentEvent};
use tokio::io::AsyncWriteExt as _;

#[tokio::test]
async fn close_codes_have_their_meaning() {
    let refused = |kind: &str| AgentEnd::Refused { code: 1008, kind: kind.into() };
    for (code, reason, expected) in [
        (1000, "", AgentEnd::Finished),
        (1000, "max_duration_exceeded", AgentEnd::Finished),
        (1002, "llm_timeout", AgentEnd::Dropped { code: 1002 }),
        (1008, "missing_dynamic_variable", refused("missing_dynamic_variable")),
        (1008, "", refused("")),
        (1011, "", AgentEnd::Dropped { code: 1011 }),
        (4001, "", AgentEnd::Dropped { code: 4001 }),
    ] {
        let provider = provider(move |mut line: Line| async move {
            line.begin().await;
            line.close(code, reason).await;
        })
        .await;
        let mut session = open(&provider).await;
        let events = rest(&mut session).await;
        assert_eq!(events.last(), Some(&AgentEvent::Ended(expected)), "{code}");
        assert_eq!(session.receiver.next().await, None);
    }
}

#[tokio::test]
async fn an_error_message_says_what_the_close_means() {
    let provider = provider(|mut line: Line| async move {
        let _ = line.hear().await;
        line.say(json!({"type": "error", "error_event": {"code": 1008, "error_type": "override_error", "message": "m"}}))
            .await;
        line.close(1008, "first_message override is not allowed").await;
    })
    .await;
    let mut session = open(&provider).await;
    let end = AgentEnd::Refused { code: 1008, kind: "override_error".into() };
    assert_eq!(rest(&mut session).await, [AgentEvent::Ended(end)]);
}

#[tokio::test]
async fn an_error_message_counts_even_when_the_socket_breaks() {
    let provider = provider(|mut line: Line| async move {
        line.begin().await;
        line.say(json!({"type": "error", "error_event": {"code": 1008, "error_type": "value_error"}})).await;
        line.0.get_mut().shutdown().await.unwrap();
    })
    .await;
    let mut session = open(&provider).await;
    let end = AgentEnd::Refused { code: 1008, kind: "value_error".into() };
    assert_eq!(rest(&mut session).await.last(), Some(&AgentEvent::Ended(end)));
}

#[tokio::test]
async fn a_broken_socket_is_dropped() {
    let provider = provider(|mut line: Line| async move {
        line.begin().await;
        line.say(audio(1, "AAAA")).await;
    })
    .await;
    let mut session = open(&provider).await;
    let events = rest(&mut session).await;
    assert!(matches!(events[1], AgentEvent::Audio { .. }), "what was said before is heard");
    assert_eq!(events[2], AgentEvent::Ended(AgentEnd::Dropped { code: 1006 }));
}

#[tokio::test]
async fn what_is_no_websocket_frame_is_dropped() {
    let provider = provider(|mut line: Line| async move {
        line.begin().await;
        line.0.get_mut().write_all(&[0xff; 64]).await.unwrap();
        let _ = line.hear_close().await;
    })
    .await;
    let mut session = open(&provider).await;
    let end = AgentEnd::Dropped { code: 1007 };
    assert_eq!(rest(&mut session).await.last(), Some(&AgentEvent::Ended(end)));
}

#[tokio::test]
async fn a_message_that_is_too_large_ends_it() {
    let provider = provider(|mut line: Line| async move {
        line.begin().await;
        let large = audio(1, &"AAAA".repeat(400_000)).to_string();
        let _ = futures_util::SinkExt::send(&mut line.0, large.into()).await;
    })
    .await;
    let mut session = open(&provider).await;
    let end = AgentEnd::Dropped { code: 1006 };
    assert_eq!(rest(&mut session).await.last(), Some(&AgentEvent::Ended(end)));
}

#[tokio::test]
async fn we_close_in_order() {
    let provider = provider(|mut line: Line| async move {
        line.begin().await;
        let last = line.hear().await;
        (last, line.hear_close().await)
    })
    .await;
    let mut session = open(&provider).await;
    assert!(matches!(session.receiver.next().await, Some(AgentEvent::Ready { .. })));
    session.sender.tool_result("tc1", "{}", false).unwrap();
    session.sender.close();
    assert_eq!(rest(&mut session).await, [AgentEvent::Ended(AgentEnd::Released)]);
    let (last, code) = provider.scene.await.unwrap();
    assert_eq!((&last["type"], code), (&json!("client_tool_result"), Some(1000)));
}

#[tokio::test]
async fn a_sender_that_is_gone_closes_even_before_the_agent_is_ready() {
    let provider = provider(|mut line: Line| async move {
        let _ = line.hear().await;
        line.hear_close().await
    })
    .await;
    let session = open(&provider).await;
    drop(session.sender);
    let mut receiver = session.receiver;
    assert_eq!(receiver.next().await, Some(AgentEvent::Ended(AgentEnd::Released)));
    assert_eq!(receiver.next().await, None);
    assert_eq!(provider.scene.await.unwrap(), Some(1000));
}

/// Scenes in which the provider goes quiet.
mod silence {
    use super::*;
    use std::future::pending;

    #[tokio::test]
    async fn an_agent_that_is_never_ready_is_given_up() {
        let provider = provider(|mut line: Line| async move {
            let _ = line.hear().await;
            pending::<()>().await;
        })
        .await;
        let mut options = options(&provider.http.url);
        options.ready_timeout = Duration::from_millis(50);
        let mut session = open_with(options).await;
        assert_eq!(rest(&mut session).await, [AgentEvent::Ended(AgentEnd::Dropped { code: 1006 })]);
    }

    #[tokio::test]
    async fn a_socket_that_does_not_answer_a_probe_is_given_up() {
        let provider = provider(|mut line: Line| async move {
            line.begin().await;
            pending::<()>().await;
        })
        .await;
        let mut options = options(&provider.http.url);
        options.silence_max = Duration::from_millis(50);
        let mut session = open_with(options).await;
        let events = rest(&mut session).await;
        assert_eq!(events.last(), Some(&AgentEvent::Ended(AgentEnd::Dropped { code: 1006 })));
    }

    #[tokio::test]
    async fn a_close_that_is_not_answered_does_not_hold_us() {
        let provider = provider(|mut line: Line| async move {
            line.begin().await;
            pending::<()>().await;
        })
        .await;
        let mut session = open(&provider).await;
        assert!(matches!(session.receiver.next().await, Some(AgentEvent::Ready { .. })));
        session.sender.close();
        // From here on time runs ahead whenever nothing else happens.
        tokio::time::pause();
        assert_eq!(rest(&mut session).await, [AgentEvent::Ended(AgentEnd::Released)]);
    }

    /// A provider that talks on but takes nothing: live audio is dropped, and in the end the
    /// conversation is.
    #[tokio::test]
    async fn a_socket_that_takes_nothing_is_given_up() {
        let provider = provider(|mut line: Line| async move {
            line.begin().await;
            loop {
                line.say(audio(1, "AAAA")).await;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        let mut options = options(&provider.http.url);
        options.stall_max = Duration::from_millis(100);
        let mut session = open_with(options).await;
        let sender = session.sender.clone();
        let payload = "A".repeat(60_000);
        let talking = tokio::spawn(async move {
            // More at once than may wait, however fast it is taken away.
            while (0..=AUDIO_QUEUE_MAX).all(|_| sender.audio(&payload).is_ok()) {
                tokio::task::yield_now().await;
            }
            sender.audio_dropped()
        });
        let mut end = None;
        while let Some(event) = session.receiver.next().await {
            end = Some(event);
        }
        assert_eq!(end, Some(AgentEvent::Ended(AgentEnd::Dropped { code: 1006 })));
        assert!(talking.await.unwrap() > 0);
    }

    #[tokio::test]
    async fn ready_twice_is_told_once() {
        let provider = provider(|mut line: Line| async move {
            line.begin().await;
            line.say(ready()).await;
            line.close(1000, "").await;
        })
        .await;
        let mut session = open(&provider).await;
        assert_eq!(rest(&mut session).await.len(), 2);
    }
}
