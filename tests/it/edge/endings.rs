//! Every way a conversation can end, and that nothing is left of it.

use super::line::{Line, Ordered, connects, hangs_up};
use super::world::{World, answered};
use std::time::Duration;
use tandem_domain::agent::AgentEnd;
use tandem_domain::call::{MediaEnd, Phase, What};
use tandem_domain::carrier::Instruction;
use tandem_providers::agent::{AudioFormat, OpenError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

fn closed(events: &[What]) -> Vec<(u32, MediaEnd)> {
    events
        .iter()
        .filter_map(|what| match what {
            What::MediaClosed { generation, end } => Some((*generation, end.clone())),
            _ => None,
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_ends_is_heard_to_its_last_word() {
    let mut world = World::start().await;
    let (taken, mut line, talk) = world.talking().await;
    talk.response("Good bye.");
    talk.audio(&"QUJD".repeat(4_000), 1);
    talk.end(AgentEnd::Finished);
    assert!(matches!(line.ordered().await, Some(Ordered::Media(_))));
    let Some(Ordered::Mark(mark)) = line.ordered().await else { panic!("a mark") };
    world.provider.idle().await;
    assert!(closed(&world.events(&taken).await).is_empty(), "it is still being played");
    line.played(&mark).await;
    assert_eq!(line.closed().await, Some(CloseCode::Normal));
    let events = world.events(&taken).await;
    assert_eq!(closed(&events), [(1, MediaEnd::Agent(AgentEnd::Finished))]);
    world
        .until(&taken, "the hang-up", |state| state.live.as_ref().is_none_or(|live| live.conversation_over))
        .await;
    let again = taken.dialed.request.document_url.replace('#', "?again=1#");
    assert!(hangs_up(&world.post(&again, &answered(&taken.sid)).await.body));
    let told = async {
        while world.rest.told(&taken.sid).is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(super::line::STUCK, told).await.expect("an instruction");
    assert_eq!(world.rest.told(&taken.sid), [Instruction::Hangup]);
    drop(line);
    world.quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_hangs_up_during_the_last_word_does_not_undo_it() {
    let mut world = World::start().await;
    let (taken, mut line, talk) = world.talking().await;
    talk.audio(&"QUJD".repeat(4_000), 1);
    talk.end(AgentEnd::Finished);
    while !matches!(line.ordered().await, Some(Ordered::Mark(_))) {}
    line.stop().await;
    let over = |state: &tandem_domain::call::State| state.live.as_ref().is_none_or(|live| !live.media_open);
    world.until(&taken, "the end", over).await;
    assert_eq!(closed(&world.events(&taken).await), [(1, MediaEnd::Agent(AgentEnd::Finished))]);
    world.quiet().await;
}

/// An agent that never listens, or is none: the call ends within the patience there is, with the reason.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_does_not_come_ends_the_call() {
    let patience = Duration::from_millis(400);
    let mut world = World::with(|options| options.limits.agent_patience = patience).await;
    // It opens and says nothing.
    let taken = world.call().await;
    let (stream, _) = connects(&world.document(&taken, &taken.sid).await.body);
    let mut line = Line::begin(&world, &taken.sid, &stream).await;
    let _silent = world.talk().await;
    assert_eq!(line.closed().await, Some(CloseCode::Normal));
    let end = MediaEnd::Agent(AgentEnd::Dropped { code: 1_006 });
    assert_eq!(closed(&world.events(&taken).await), [(1, end)]);
    drop(line);

    // It is refused for good: one try is enough.
    let before = *world.provider.opened.lock();
    world.provider.refusals.lock().push_back(OpenError::UnknownAgent);
    let taken = world.call().await;
    let (stream, _) = connects(&world.document(&taken, &taken.sid).await.body);
    let mut line = Line::begin(&world, &taken.sid, &stream).await;
    assert_eq!(line.closed().await, Some(CloseCode::Normal));
    let end = MediaEnd::Agent(AgentEnd::Refused { code: 404, kind: "unknown_agent".into() });
    assert_eq!(closed(&world.events(&taken).await), [(1, end)]);
    assert_eq!(*world.provider.opened.lock(), before + 1);
    drop(line);

    // It speaks in another format.
    let taken = world.call().await;
    let (stream, _) = connects(&world.document(&taken, &taken.sid).await.body);
    let mut line = Line::begin(&world, &taken.sid, &stream).await;
    world.talk().await.ready_as(AudioFormat::Pcm { sample_rate_hz: 16_000 });
    assert_eq!(line.closed().await, Some(CloseCode::Normal));
    let end = MediaEnd::Agent(AgentEnd::Refused { code: 0, kind: "audio_format".into() });
    assert_eq!(closed(&world.events(&taken).await), [(1, end)]);
    drop(line);

    world.provider.idle().await;
    world.quiet().await;
}

/// The node that dialed had the agent; the one that the carrier reaches has not.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_not_configured_here_ends_the_call() {
    let mut world = World::with(|options| options.agents.clear()).await;
    let taken = world.call().await;
    let (stream, _) = connects(&world.document(&taken, &taken.sid).await.body);
    let mut line = Line::begin(&world, &taken.sid, &stream).await;
    assert_eq!(line.closed().await, Some(CloseCode::Normal));
    let end = MediaEnd::Agent(AgentEnd::Refused { code: 0, kind: "unknown_provider".into() });
    assert_eq!(closed(&world.events(&taken).await), [(1, end)]);
    drop(line);
    world.provider.idle().await;
    world.quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_keeps_breaking_off_is_given_up() {
    let mut world = World::with(|options| options.limits.agent_tries = 2).await;
    let (taken, mut line, talk) = world.talking().await;
    talk.end(AgentEnd::Dropped { code: 1_002 });
    let second = world.talk().await;
    second.ready();
    second.end(AgentEnd::Dropped { code: 1_011 });
    assert_eq!(line.closed().await, Some(CloseCode::Normal));
    let end = MediaEnd::Agent(AgentEnd::Dropped { code: 1_011 });
    assert_eq!(closed(&world.events(&taken).await), [(1, end)]);
    assert_eq!(*world.provider.opened.lock(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_socket_is_lost_and_the_call_is_not() {
    let mut world = World::with(|options| options.limits.silence_max = Duration::from_millis(200)).await;
    let (taken, line, _talk) = world.talking().await;
    // Not read, so not even pings are answered.
    let state = world.until(&taken, "the loss", |state| state.phase == Phase::Reattaching).await;
    assert!(!state.live.expect("alive").conversation_over);
    assert_eq!(closed(&world.events(&taken).await), [(1, MediaEnd::Node)]);
    drop(line);
    world.provider.idle().await;
    world.quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_lets_conversations_go() {
    let mut world = World::start().await;
    let (taken, mut line, talk) = world.talking().await;
    talk.response("One moment");
    let edge = world.edge.take().expect("running");
    assert_eq!(edge.live().count(), 1);
    let (_, code) = tokio::join!(edge.shutdown(Duration::from_millis(50)), line.closed());
    assert_eq!(code, Some(CloseCode::Normal));
    let state = world.state(&taken).await;
    assert_eq!((state.phase, state.turns), (Phase::Reattaching, 1));
    assert_eq!(closed(&world.events(&taken).await), [(1, MediaEnd::Node)]);
    world.provider.idle().await;
    assert!(tokio::net::TcpStream::connect(world.addr).await.is_err(), "nobody listens any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_waits_for_conversations_that_end() {
    let mut world = World::start().await;
    let (taken, line, _talk) = world.talking().await;
    let edge = world.edge.take().expect("running");
    let ending = async {
        // Nothing is refused meanwhile.
        let answer = world.status(&taken, &taken.sid, "in-progress", "2").await;
        assert_eq!(answer.status, http::StatusCode::NO_CONTENT);
        line.stop().await;
    };
    let both = async { tokio::join!(edge.shutdown(super::line::STUCK), ending) };
    tokio::time::timeout(super::line::STUCK / 2, both).await.expect("it does not wait longer than needed");
    assert_eq!(closed(&world.events(&taken).await), [(1, MediaEnd::Carrier)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_many_calls() {
    let mut world = World::start().await;
    for n in 0..12 {
        let (taken, mut line, talk) = world.talking().await;
        line.speak("f39/").await;
        talk.audio("QUJD", 1);
        match n % 4 {
            0 => line.stop().await,
            1 => drop(line.socket),
            2 => {
                talk.end(AgentEnd::Refused { code: 1_008, kind: "override_error".into() });
                while let Some(ordered) = line.ordered().await {
                    if let Ordered::Mark(name) = ordered {
                        line.played(&name).await;
                    }
                }
            }
            _ => drop(world.status(&taken, &taken.sid, "completed", "3").await),
        }
    }
    world.provider.idle().await;
    world.quiet().await;
}
