//! Agents that take a conversation up and do not let their first message be replaced.

use super::line::{Line, Ordered, connects};
use super::world::World;
use tandem_domain::agent::{AgentEnd, Speaker};
use tandem_domain::call::MediaEnd;
use tandem_providers::agent::Command as Told;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

fn override_error() -> AgentEnd {
    AgentEnd::Refused { code: 1_008, kind: "override_error".into() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_greeting_that_cannot_be_replaced_is_not_heard() {
    let mut world = World::start().await;
    // The plan leaves the first message to the agent, as one must whose settings permit no other.
    let taken = world.call_with(|config| config.plan.agent.first_message = None).await;
    let (stream, _) = connects(&world.document(&taken, &taken.sid).await.body);
    let line = Line::begin(&world, &taken.sid, &stream).await;
    let talk = world.talk().await;
    assert_eq!(talk.opening.first_message, None);
    talk.ready();
    talk.speaks("Hello, this is Acme.", "QUJD", 1);
    talk.transcript("Yes?");
    world.until(&taken, "both turns", |state| state.turns == 2).await;
    drop(line.socket);

    let (stream, _) = connects(&world.again(&taken, 1).await.body);
    let mut line = Line::begin(&world, &taken.sid, &stream).await;
    let talk = world.talk().await;
    assert!(talk.opening.first_message.is_some(), "it may permit it");
    talk.end(override_error());
    let mut talk = world.talk().await;
    assert_eq!(talk.opening.first_message, None);
    talk.ready();
    let Some(Told::ContextUpdate { text, .. }) = talk.told().await else { panic!("the context") };
    assert!(text.ends_with("\nYou: Hello, this is Acme.\nCaller: Yes?"), "{text}");
    talk.speaks("Hello, this is Acme.", "QUJD", 1);
    talk.audio("QUJD", 1);
    talk.speaks("Where were we?", "REVG", 2);
    assert_eq!(line.ordered().await, Some(Ordered::Media("REVG".into())), "nobody is greeted twice");
    line.stop().await;
    world.until(&taken, "the end", |state| state.turns == 3).await;
    let expected = [
        (Speaker::Agent, "Hello, this is Acme.".to_owned()),
        (Speaker::Caller, "Yes?".to_owned()),
        (Speaker::Agent, "Where were we?".to_owned()),
    ];
    assert_eq!(world.said(&taken).await, expected, "nor was it said");
}

/// What is refused at the first opening is refused: no way around it is tried.
#[tokio::test(flavor = "multi_thread")]
async fn a_plan_whose_first_message_is_refused_is_told_so() {
    let mut world = World::start().await;
    let taken = world.call().await;
    let (stream, _) = connects(&world.document(&taken, &taken.sid).await.body);
    let mut line = Line::begin(&world, &taken.sid, &stream).await;
    world.talk().await.end(override_error());
    assert_eq!(line.closed().await, Some(CloseCode::Normal));
    let events = world.events(&taken).await;
    let end = MediaEnd::Agent(override_error());
    let closed = tandem_domain::call::What::MediaClosed { generation: 1, end };
    assert!(events.contains(&closed), "{events:?}");
    assert_eq!(*world.provider.opened.lock(), 1);
}
