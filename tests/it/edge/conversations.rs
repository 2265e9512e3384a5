//! Conversations: audio and words in both directions.

use super::line::{Line, Ordered, connects};
use super::world::World;
use serde_json::json;
use tandem_actors::query;
use tandem_domain::agent::{AgentEnd, Speaker, Variable};
use tandem_domain::call::{MediaEnd, What};
use tandem_domain::row::{DncEntry, DncSource, RowKey};
use tandem_providers::agent::{AgentEvent, Command, OpenError, ToolCall};
use tandem_providers::twilio::media::Frame;

fn media(payload: &str) -> Option<Ordered> {
    Some(Ordered::Media(payload.to_owned()))
}

fn turn(speaker: Speaker, text: &str) -> (Speaker, String) {
    (speaker, text.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn voices_and_words_go_both_ways() {
    let mut world = World::start().await;
    let (taken, mut line, mut talk) = world.talking().await;
    let opening = &talk.opening;
    assert_eq!((opening.agent_id.as_str(), opening.first_message.as_deref()), ("agent_1", Some("Hello")));
    assert_eq!(opening.user_id.as_deref(), Some(taken.customer.to_string().as_str()));
    assert_eq!(opening.variables["name"], Variable::Text("Ana".into()));
    assert_eq!(opening.variables["amount"], Variable::Number(3.0));

    line.speak("f39/").await;
    line.speak("AAAA").await;
    assert_eq!((talk.hears().await.as_str(), talk.hears().await.as_str()), ("f39/", "AAAA"));
    talk.response("Good morning.");
    talk.audio("QUJD", 1);
    talk.audio("REVG", 1);
    assert_eq!((line.ordered().await, line.ordered().await), (media("QUJD"), media("REVG")));
    // The pause after a turn asks when it has been played; until then it may be taken back.
    let Some(Ordered::Mark(mark)) = line.ordered().await else { panic!("a mark") };
    assert!(world.said(&taken).await.is_empty());
    line.played(&mark).await;
    world.until(&taken, "the agent's turn", |state| state.turns == 1).await;
    talk.transcript("Who is there?");
    world.until(&taken, "the caller's turn", |state| state.turns == 2).await;
    talk.response("Acme.");
    line.frame(Frame::Dtmf { digit: '1' }).await;
    line.frame(Frame::Stop).await;
    let over = |state: &tandem_domain::call::State| state.live.as_ref().is_some_and(|live| !live.media_open);
    let state = world.until(&taken, "the end", over).await;
    assert_eq!(state.turns, 3, "what was said is stored before");
    let said = [
        turn(Speaker::Agent, "Good morning."),
        turn(Speaker::Caller, "Who is there?"),
        turn(Speaker::Agent, "Acme."),
    ];
    assert_eq!(world.said(&taken).await, said);
    let events = world.events(&taken).await;
    assert!(events.contains(&What::MediaClosed { generation: 1, end: MediaEnd::Carrier }), "{events:?}");
    world.provider.idle().await;
    world.quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_breaks_in_is_heard_at_once() {
    let mut world = World::start().await;
    let (taken, mut line, talk) = world.talking().await;
    talk.response("A long story that nobody wants to hear.");
    for _ in 0..50 {
        talk.audio(&"QUJD".repeat(1_000), 1);
    }
    assert!(matches!(line.ordered().await, Some(Ordered::Media(_))));
    talk.say(AgentEvent::Interrupted { event_id: Some(1) });
    talk.say(AgentEvent::AgentCorrection {
        original: "A long story that nobody wants to hear.".into(),
        corrected: "A long story".into(),
        event_id: Some(1),
    });
    talk.transcript("Stop.");
    talk.audio("REVG", 2);
    let mut before = 0;
    loop {
        match line.ordered().await.expect("open") {
            Ordered::Media(_) => before += 1,
            Ordered::Mark(name) => panic!("{name}"),
            Ordered::Clear => break,
        }
    }
    assert!(before <= 49, "what had left before");
    assert_eq!(line.ordered().await, media("REVG"), "nothing old after the clear");
    world.until(&taken, "both turns", |state| state.turns == 2).await;
    let said = [turn(Speaker::Agent, "A long story"), turn(Speaker::Caller, "Stop.")];
    assert_eq!(world.said(&taken).await, said);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_last_is_stored_before_the_call_is_over() {
    let mut world = World::start().await;
    let (taken, _line, talk) = world.talking().await;
    talk.transcript("Good bye.");
    talk.response("Good bye, Ana.");
    world.until(&taken, "the caller's turn", |state| state.turns == 1).await;
    // The word of the end comes before the media socket closes.
    world.status(&taken, &taken.sid, "completed", "4").await;
    assert_eq!(world.state(&taken).await.past.len(), 1);
    let said = [turn(Speaker::Caller, "Good bye."), turn(Speaker::Agent, "Good bye, Ana.")];
    assert_eq!(world.said(&taken).await, said);
    world.provider.idle().await;
    world.quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_are_answered_and_an_opt_out_is_durable_before() {
    let mut world = World::start().await;
    let (taken, _line, mut talk) = world.talking().await;
    let call = |id: &str, name: &str| {
        let (id, name) = (id.to_owned(), name.to_owned());
        AgentEvent::ToolCall(ToolCall { id, name, parameters: json!({}) })
    };
    talk.say(call("tc1", "current_time"));
    let Some(Command::ToolResult { id, result, is_error }) = talk.told().await else { panic!("an answer") };
    assert_eq!((id.as_str(), is_error), ("tc1", false));
    assert!(result.contains("2026-06-02"), "the node's clock: {result}");
    talk.say(call("tc2", "no_such_tool"));
    assert!(matches!(talk.told().await, Some(Command::ToolResult { is_error: true, .. })));

    let row = RowKey::Dnc { company: taken.attempt.company, customer: taken.customer };
    let before: Option<DncEntry> = query::row(&*world.store, &row).await.expect("readable");
    assert_eq!(before, None);
    talk.say(call("tc3", "opt_out"));
    let Some(Command::ToolResult { id, is_error, .. }) = talk.told().await else { panic!("an answer") };
    assert_eq!((id.as_str(), is_error), ("tc3", false));
    let entry: Option<DncEntry> = query::row(&*world.store, &row).await.expect("readable");
    let entry = entry.expect("there, once the agent knows");
    assert_eq!((entry.source, entry.call), (DncSource::OptOut, Some(taken.attempt.call)));
    // Asked again, by its other name.
    talk.say(call("tc4", "do_not_call"));
    assert!(matches!(talk.told().await, Some(Command::ToolResult { is_error: false, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_breaks_off_takes_the_conversation_up_again() {
    let mut world = World::start().await;
    let (taken, mut line, talk) = world.talking().await;
    talk.response("Good morning.");
    talk.transcript("Yes?");
    world.until(&taken, "both turns", |state| state.turns == 2).await;
    world.provider.refusals.lock().push_back(OpenError::Server { status: 503 });
    talk.end(AgentEnd::Dropped { code: 1_011 });
    let mut talk = world.talk().await;
    talk.ready();
    let Some(Command::ContextUpdate { text, .. }) = talk.told().await else { panic!("the context") };
    assert!(text.ends_with("\nYou: Good morning.\nCaller: Yes?"), "{text}");
    line.speak("f39/").await;
    assert_eq!(talk.hears().await, "f39/");
    talk.audio("QUJD", 1);
    assert_eq!(line.ordered().await, media("QUJD"));
    assert_eq!(*world.provider.opened.lock(), 3);
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
    world.until(&taken, "the loss", |state| state.phase == tandem_domain::call::Phase::Reattaching).await;
    let again = taken.dialed.request.document_url.replace('#', "?again=1#");
    let answer = world.post(&again, &super::world::answered(&taken.sid)).await;
    let (stream, _) = connects(&answer.body);
    let mut line = Line::begin(&world, &taken.sid, &stream).await;
    let mut talk = world.talk().await;
    assert_eq!(talk.opening.first_message.as_deref(), Some(""), "nobody is greeted twice");
    talk.ready();
    let Some(Command::ContextUpdate { text, .. }) = talk.told().await else { panic!("the context") };
    assert!(text.ends_with("\nYou: Good morning.\nCaller: Yes?"), "{text}");
    talk.audio("QUJD", 1);
    assert_eq!(line.ordered().await, media("QUJD"));
    let state =
        world.until(&taken, "the new one", |state| state.live.as_ref().is_some_and(|l| l.media_open)).await;
    assert_eq!(state.live.expect("alive").generation, 2);
}
