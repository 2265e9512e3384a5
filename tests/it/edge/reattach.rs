//! A call whose media socket is gone goes on: on this node or another, with what was said so far; or it ends, soon.

use super::agent::Talk;
use super::line::{Line, Ordered, connects, hangs_up};
use super::world::{World, answered};
use std::sync::Arc;
use std::time::Duration;
use tandem_actors::{Clock as _, SystemClock, query};
use tandem_domain::agent::{AgentEnd, Speaker};
use tandem_domain::call::{Call, Command, MediaEnd, Phase, What};
use tandem_domain::carrier::Instruction;
use tandem_providers::agent::{AgentEvent, Command as Told};
use tandem_providers::twilio::twiml::Stream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

const FILLER: &str = "Sorry, we were cut off for a moment. I am back.";

fn turn(speaker: Speaker, text: &str) -> (Speaker, String) {
    (speaker, text.to_owned())
}

fn media(payload: &str) -> Option<Ordered> {
    Some(Ordered::Media(payload.into()))
}

/// What the agent is told of the conversation so far.
async fn context(talk: &mut Talk) -> String {
    match talk.told().await {
        Some(Told::ContextUpdate { text, .. }) => text,
        other => panic!("{other:?}"),
    }
}

/// The connections of a call: granted, and closed with this end.
fn connections(events: &[What]) -> Vec<(u32, Option<MediaEnd>)> {
    let of = |what: &What| match what {
        What::MediaOpened { generation } => Some((*generation, None)),
        What::MediaClosed { generation, end } => Some((*generation, Some(end.clone()))),
        _ => None,
    };
    events.iter().filter_map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_socket_takes_the_conversation_up_where_it_was() {
    let mut world = World::start().await;
    let (taken, line, talk) = world.talking().await;
    talk.response("Good morning.");
    talk.transcript("Yes?");
    world.until(&taken, "both turns", |state| state.turns == 2).await;
    // The connection breaks without a word; the call goes on with its next verb.
    drop(line.socket);
    world.until(&taken, "the loss", |state| state.phase == Phase::Reattaching).await;
    let (stream, again) = connects(&world.again(&taken, 1).await.body);
    assert!(again.contains("?again=2#"), "{again}");
    let mut line = Line::begin(&world, &taken.sid, &stream).await;
    let mut talk = world.talk().await;
    assert_eq!(talk.opening.first_message.as_deref(), Some(FILLER), "nobody is greeted twice");
    talk.ready();
    assert!(context(&mut talk).await.ends_with("\nYou: Good morning.\nCaller: Yes?"));
    talk.speaks(FILLER, "QUJD", 1);
    assert_eq!(line.ordered().await, media("QUJD"));
    talk.transcript("Never mind.");
    let state = world.until(&taken, "what was said since", |state| state.turns == 4).await;
    assert_eq!((state.phase, state.live.expect("alive").generation), (Phase::InProgress, 2));
    let expected = [(1, None), (1, Some(MediaEnd::Node)), (2, None)];
    assert_eq!(connections(&world.events(&taken).await), expected);
    // Lost again, it is told all of it.
    drop(line.socket);
    let (stream, _) = connects(&world.again(&taken, 2).await.body);
    let _line = Line::begin(&world, &taken.sid, &stream).await;
    let mut talk = world.talk().await;
    talk.ready();
    let so_far = format!("\nYou: Good morning.\nCaller: Yes?\nYou: {FILLER}\nCaller: Never mind.");
    assert!(context(&mut talk).await.ends_with(&so_far));
}

/// What was there to say is in the configuration of the provider.
#[tokio::test(flavor = "multi_thread")]
async fn the_agent_says_what_it_is_told_to_say_when_it_is_back() {
    let message = "Ich bin wieder da.";
    let mut world = World::with(|options| {
        let agent = options.agents.get_mut("elevenlabs").expect("the only one");
        agent.resume_message = Some(message.into());
    })
    .await;
    let (taken, line, talk) = world.talking().await;
    talk.transcript("Yes?");
    world.until(&taken, "a turn", |state| state.turns == 1).await;
    drop(line.socket);
    let (stream, _) = connects(&world.again(&taken, 1).await.body);
    let _line = Line::begin(&world, &taken.sid, &stream).await;
    assert_eq!(world.talk().await.opening.first_message.as_deref(), Some(message));
}

/// The node that has the socket does not even know that it is dead: the carrier reaches another.
#[tokio::test(flavor = "multi_thread")]
async fn another_node_takes_the_conversation_up_and_the_first_lets_it_go() {
    let mut world = World::start().await;
    let (taken, mut first, mut earlier) = world.talking().await;
    earlier.response("Shall I book it?");
    earlier.transcript("Yes.");
    world.until(&taken, "both turns", |state| state.turns == 2).await;

    let home = world.addr;
    let second = world.second_edge(|_| {}).await;
    let (stream, _) = connects(&world.again(&taken, 1).await.body);
    assert_eq!(world.state(&taken).await.phase, Phase::Reattaching, "nobody has told but the carrier");
    let mut line = Line::begin(&world, &taken.sid, &stream).await;
    let mut talk = world.talk().await;
    assert_eq!(talk.opening.first_message.as_deref(), Some(FILLER));
    talk.ready();
    assert!(context(&mut talk).await.ends_with("\nYou: Shall I book it?\nCaller: Yes."));
    line.speak("f39/").await;
    assert_eq!(talk.hears().await, "f39/");
    talk.audio("QUJD", 1);
    assert_eq!(line.ordered().await, media("QUJD"));

    // The first finds out from the call, closes its socket and lets its agent go.
    assert_eq!(first.closed().await, Some(CloseCode::Normal));
    assert!(earlier.told().await.is_none(), "its agent is released");
    let left = async {
        while world.edge().live().count() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(super::line::STUCK, left).await.expect("nothing is left there");
    assert_eq!(second.live().count(), 1);
    let live = world.state(&taken).await.live.expect("alive");
    assert_eq!((live.generation, live.media_open), (2, true), "its end says nothing of the second");

    // Whatever comes with the first generation, or a second time with the second, is not served: here nor there.
    world.reach(home);
    for (generation, token) in [(1, &stream), (2, &stream)] {
        let mut stale = token.clone();
        stale.parameters[1].1 = generation.to_string();
        let mut line = Line::begin(&world, &taken.sid, &stale).await;
        assert_eq!(line.closed().await, Some(CloseCode::Policy), "generation {generation}");
    }
    let expected = [(1, None), (1, Some(MediaEnd::Node)), (2, None)];
    assert_eq!(connections(&world.events(&taken).await), expected);
    line.speak("QUJD").await;
    assert_eq!(talk.hears().await, "QUJD");
    line.stop().await;
}

/// A socket of a document that was overtaken: good once, and stale by the time it comes.
#[tokio::test(flavor = "multi_thread")]
async fn a_socket_of_an_older_document_is_closed() {
    let mut world = World::start().await;
    let taken = world.call().await;
    let (older, _) = connects(&world.document(&taken, &taken.sid).await.body);
    let (newer, _) = connects(&world.again(&taken, 1).await.body);
    let mut line = Line::begin(&world, &taken.sid, &newer).await;
    let mut talk = world.talk().await;
    talk.ready();
    let second = world.second_edge(|_| {}).await;
    for _ in 0..2 {
        let mut stale = Line::begin(&world, &taken.sid, &older).await;
        assert_eq!(stale.closed().await, Some(CloseCode::Policy));
    }
    assert_eq!(second.live().count(), 0);
    line.speak("f39/").await;
    assert_eq!(talk.hears().await, "f39/");
    assert_eq!(connections(&world.events(&taken).await), [(2, None)]);
    assert_eq!(world.provider.prepared.lock().as_slice(), ["agent_1", "agent_1"], "ahead of the sockets");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_is_over_is_not_taken_up_again() {
    let mut world = World::start().await;
    // The agent has ended it.
    let (taken, mut line, talk) = world.talking().await;
    talk.end(AgentEnd::Finished);
    line.closed().await;
    assert!(hangs_up(&world.again(&taken, 1).await.body));
    // Somebody wants it to end.
    let (taken, line, _talk) = world.talking().await;
    world.handle().send::<Call>(taken.entity(), Command::Hangup, None).await.expect("taken");
    drop(line.socket);
    assert!(hangs_up(&world.again(&taken, 1).await.body));
    let (taken, line, _talk) = world.talking().await;
    let (stream, _) = connects(&world.again(&taken, 1).await.body);
    world.handle().send::<Call>(taken.entity(), Command::Hangup, None).await.expect("taken");
    let mut late = Line::begin(&world, &taken.sid, &stream).await;
    assert_eq!(late.closed().await, Some(CloseCode::Policy), "it came too late");
    drop(line);
    // The call has ended; or ends while the carrier asks.
    let (taken, line, _talk) = world.talking().await;
    let mut ended = answered(&taken.sid);
    ended[2].1 = "completed";
    let again = taken.dialed.request.document_url.replace('#', "?again=1#");
    assert!(hangs_up(&world.post(&again, &ended).await.body));
    world.status(&taken, &taken.sid, "completed", "3").await;
    assert!(hangs_up(&world.again(&taken, 1).await.body));
    drop(line);
    world.provider.idle().await;
    world.quiet().await;
}

/// The carrier closes its stream and the call goes on: nobody has said that the conversation is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_the_carrier_closes_is_opened_again_if_it_asks() {
    let mut world = World::start().await;
    let (taken, line, talk) = world.talking().await;
    talk.transcript("Yes?");
    world.until(&taken, "a turn", |state| state.turns == 1).await;
    line.stop().await;
    world.until(&taken, "the close", |state| state.live.as_ref().is_some_and(|live| !live.media_open)).await;
    let (stream, _) = connects(&world.again(&taken, 1).await.body);
    let _line = Line::begin(&world, &taken.sid, &stream).await;
    assert_eq!(world.talk().await.opening.first_message.as_deref(), Some(FILLER));
    assert_eq!(world.state(&taken).await.live.expect("alive").generation, 2);
}

/// Simulated time runs a hundred times as fast: ten seconds are a tenth.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_media_does_not_come_back_ends_soon() {
    let mut world = World::with_node(
        |options| {
            let real = SystemClock::new().now();
            options.clock = Arc::new(SystemClock::simulated(1_780_416_000_000, real, 100.0));
        },
        |_| {},
    )
    .await;
    let (taken, line, _talk) = world.talking().await;
    drop(line.socket);
    let state = world.until(&taken, "its end", |state| state.ended.is_some()).await;
    // The carrier was told, and never answered.
    assert!(world.rest.told(&taken.sid).contains(&Instruction::Hangup));
    assert_eq!(state.past.len(), 1);
    let lost_ms = state.past[0].ended_at - state.past[0].answered_at.expect("answered");
    assert!(lost_ms < 120_000, "{lost_ms}");
    let company = taken.attempt.company;
    let campaigns = query::campaigns(&*world.store, company, None, 8).await.expect("readable").items;
    for campaign in campaigns {
        let held = query::permits(&*world.store, company, campaign.id).await.expect("readable");
        assert_eq!(held, 0, "its permit is free");
    }
    assert!(hangs_up(&world.again(&taken, 1).await.body), "and nobody goes on with it");
    world.provider.idle().await;
    world.quiet().await;
}

/// A stream whose document comes from a draining node is opened on another.
async fn moved(world: &mut World, taken: &super::world::Taken) -> (Line, Talk) {
    let (stream, _): (Stream, _) = connects(&world.again(taken, 1).await.body);
    let line = Line::begin(world, &taken.sid, &stream).await;
    (line, world.talk().await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_leaves_hands_its_conversations_over_in_a_pause() {
    let mut world = World::with(|options| options.alone = Arc::new(|| false)).await;
    let (taken, mut line, talk) = world.talking().await;
    talk.speaks("Good morning.", "QUJD", 1);
    assert_eq!(line.ordered().await, media("QUJD"));
    let leaving = world.edge.take().expect("running");
    let home = leaving.addr();
    let second = world.second_edge(|_| {}).await;
    let hand_over = async {
        // It is told to go while the agent speaks: the mark says when that is over.
        let Some(Ordered::Mark(name)) = line.ordered().await else { panic!("a mark") };
        let refused = async {
            while tokio::net::TcpStream::connect(home).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(super::line::STUCK, refused)
            .await
            .expect("it stops listening before it lets go");
        assert_eq!(world.state(&taken).await.phase, Phase::InProgress);
        line.played(&name).await;
        assert_eq!(line.closed().await, Some(CloseCode::Normal));
    };
    tokio::join!(leaving.shutdown(Duration::from_millis(50)), hand_over);
    let state = world.state(&taken).await;
    assert_eq!((state.phase, state.turns), (Phase::Reattaching, 1), "what was said last is stored");
    let (mut line, mut talk) = moved(&mut world, &taken).await;
    assert_eq!(talk.opening.first_message.as_deref(), Some(FILLER));
    talk.ready();
    assert!(context(&mut talk).await.ends_with("\nYou: Good morning."));
    line.speak("f39/").await;
    assert_eq!(talk.hears().await, "f39/");
    assert_eq!(second.live().count(), 1);
    assert_eq!(world.said(&taken).await, [turn(Speaker::Agent, "Good morning.")]);
}

/// It would be spoken for ever: after a while the conversation is handed over in the middle of a sentence.
#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_not_waited_for_without_end() {
    let mut world = World::with(|options| options.alone = Arc::new(|| false)).await;
    let (taken, mut line, talk) = world.talking().await;
    let leaving = world.edge.take().expect("running");
    let speaking = async {
        loop {
            talk.say(AgentEvent::Audio { payload: "QUJD".repeat(2_000), event_id: Some(1) });
            tokio::time::sleep(Duration::from_millis(100)).await;
            if world.state(&taken).await.phase == Phase::Reattaching {
                return;
            }
        }
    };
    let reading = async { while line.ordered().await.is_some() {} };
    tokio::join!(leaving.shutdown(Duration::from_millis(50)), speaking, reading);
    assert_eq!(connections(&world.events(&taken).await), [(1, None), (1, Some(MediaEnd::Node))]);
}
