//! Conversations: audio and words in both directions.

use super::line::{Line, Ordered, connects};
use super::world::World;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tandem_actors::{Faults, query};
use tandem_domain::agent::{AgentEnd, Speaker, Variable};
use tandem_domain::call::{MediaEnd, What};
use tandem_domain::id::{Entity, Kind};
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
    talk.audio("QUJD", 2);
    // The line ends after the bridge has heard of it; the two come by ways of their own.
    assert_eq!(line.ordered().await, media("QUJD"));
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
async fn a_plan_that_names_no_provider_means_the_only_one() {
    let mut world = World::start().await;
    let taken = world.call_with(|config| config.plan.agent.provider.clear()).await;
    let answer = world.document(&taken, &taken.sid).await;
    let (stream, _) = connects(&answer.body);
    let mut line = Line::begin(&world, &taken.sid, &stream).await;
    let mut talk = world.talk().await;
    talk.ready();
    line.speak("f39/").await;
    assert_eq!(talk.hears().await, "f39/");
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

/// Kills entities of one kind the next so many times they decide.
struct Deaths {
    kind: Kind,
    left: AtomicU32,
}

impl Faults for Deaths {
    fn before_decision(&self, entity: Entity) {
        if entity.kind == self.kind {
            let took = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            assert!(took.is_err(), "a bug in a machine");
        }
    }
}

async fn dying(kind: Kind) -> (World, Arc<Deaths>) {
    let deaths = Arc::new(Deaths { kind, left: AtomicU32::new(0) });
    let given = deaths.clone();
    (World::with_node(move |options| options.faults = given, |_| {}).await, deaths)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opt_out_that_is_not_taken_down_is_not_promised() {
    let (mut world, deaths) = dying(Kind::Customer).await;
    let (taken, _line, mut talk) = world.talking().await;
    // As often as it takes to be set aside.
    deaths.left.store(1_000, Ordering::SeqCst);
    let call = |id: &str| ToolCall { id: id.into(), name: "opt_out".into(), parameters: json!({}) };
    talk.say(AgentEvent::ToolCall(call("tc1")));
    let answer = talk.told().await;
    assert!(matches!(answer, Some(Command::ToolResult { is_error: true, .. })), "{answer:?}");
    let row = RowKey::Dnc { company: taken.attempt.company, customer: taken.customer };
    let entry: Option<DncEntry> = query::row(&*world.store, &row).await.expect("readable");
    assert_eq!(entry, None);
    deaths.left.store(0, Ordering::SeqCst);
    talk.say(AgentEvent::ToolCall(call("tc2")));
    assert!(matches!(talk.told().await, Some(Command::ToolResult { is_error: false, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_is_stored_once_though_the_call_dies_meanwhile() {
    let (mut world, deaths) = dying(Kind::Call).await;
    let (taken, line, talk) = world.talking().await;
    let mut expected = Vec::new();
    for n in 0..60 {
        if n % 10 == 0 {
            // All before is stored but what the agent said last: so both deaths meet one command, and no command
            // meets a third, with which it would be set aside.
            world.until(&taken, "what was said before", |state| state.turns + 1 >= 2 * n).await;
            deaths.left.store(2, Ordering::SeqCst);
        }
        talk.transcript(&format!("question {n}"));
        talk.response(&format!("answer {n}"));
        expected.push(turn(Speaker::Caller, &format!("question {n}")));
        expected.push(turn(Speaker::Agent, &format!("answer {n}")));
    }
    world.until(&taken, "most of it", |state| state.turns >= 119).await;
    line.stop().await;
    world.until(&taken, "all of it", |state| state.turns == 120).await;
    assert_eq!(world.said(&taken).await, expected);
    world.quiet().await;
}

/// Much more than anybody can say or hear: it is bounded, and the conversation is none the worse for it.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_floods_does_no_harm() {
    let mut world = World::start().await;
    let (taken, mut line, mut talk) = world.talking().await;
    // Ten minutes of audio at once, and the carrier reads all that comes.
    let second = "QUJD".repeat(8_000 / 3);
    for _ in 0..600 {
        talk.audio(&second, 1);
    }
    for _ in 0..40 {
        let parameters = json!({});
        talk.say(AgentEvent::ToolCall(ToolCall { id: "tc".into(), name: "current_time".into(), parameters }));
    }
    talk.say(AgentEvent::Interrupted { event_id: Some(1) });
    let mut chars = 0;
    loop {
        match line.ordered().await.expect("open") {
            Ordered::Media(payload) => chars += payload.len(),
            Ordered::Mark(_) => {}
            Ordered::Clear => break,
        }
    }
    let seconds = chars / 4 * 3 / 8_000;
    assert!(seconds <= 122, "{seconds} s wait to be played at the carrier");
    for _ in 0..40 {
        assert!(matches!(talk.told().await, Some(Command::ToolResult { .. })), "each is answered");
    }
    talk.audio("REVG", 2);
    assert_eq!(line.ordered().await, media("REVG"), "and then it goes on");
    line.speak("f39/").await;
    assert_eq!(talk.hears().await, "f39/");
    talk.transcript(&"very ".repeat(20_000));
    world.until(&taken, "the turn", |state| state.turns == 1).await;
    let (_, text) = &world.said(&taken).await[0];
    assert!(text.len() <= 16 * 1024 && text.starts_with("very very"), "{}", text.len());
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
    let filler = "Sorry, we were cut off for a moment. I am back.";
    assert_eq!(talk.opening.first_message.as_deref(), Some(filler), "nobody is greeted twice");
    talk.ready();
    let Some(Command::ContextUpdate { text, .. }) = talk.told().await else { panic!("the context") };
    assert!(text.ends_with("\nYou: Good morning.\nCaller: Yes?"), "{text}");
    line.speak("f39/").await;
    assert_eq!(talk.hears().await, "f39/");
    talk.audio("QUJD", 1);
    assert_eq!(line.ordered().await, media("QUJD"));
    assert_eq!(*world.provider.opened.lock(), 3);
}
