//! Conversations that lose their node, against the simulated carrier and agent: how they go on, and how long nothing
//! is heard.

use super::line::STUCK;
use super::simulated::{Whole, number};
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tandem_actors::query;
use tandem_domain::agent::Speaker;
use tandem_domain::call::{Call, MediaEnd, What};
use tandem_domain::id::{CallId, CompanyId, Entity};
use tandem_domain::retry::Disposition;
use tandem_simulator::{Fault, Person};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Simulated seconds in a second. A call that is not re-attached within ten of them is given up, and what that takes is
/// real time: so not many.
const SPEED: f64 = 4.0;

/// What stands before the nodes of a cluster: it leads to one, until that one is gone.
struct Proxy {
    addr: SocketAddr,
    to: Arc<Mutex<(SocketAddr, CancellationToken)>>,
    _end: tokio_util::sync::DropGuard,
}

impl Proxy {
    async fn start(to: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("bound");
        let to = Arc::new(Mutex::new((to, CancellationToken::new())));
        let end = CancellationToken::new();
        let (target, over) = (Arc::clone(&to), end.clone());
        tokio::spawn(async move {
            loop {
                let carrier = tokio::select! {
                    accepted = listener.accept() => accepted,
                    () = over.cancelled() => return,
                };
                let Ok((mut carrier, _)) = carrier else { continue };
                let (to, gone) = target.lock().clone();
                tokio::spawn(async move {
                    let Ok(mut node) = TcpStream::connect(to).await else { return };
                    let _ = (carrier.set_nodelay(true), node.set_nodelay(true));
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut carrier, &mut node) => {}
                        () = gone.cancelled() => {}
                    }
                });
            }
        });
        Proxy { addr, to, _end: end.drop_guard() }
    }

    /// The node is gone: whatever led there breaks, and new connections lead to another.
    fn switch(&self, to: SocketAddr) {
        let (_, gone) = std::mem::replace(&mut *self.to.lock(), (to, CancellationToken::new()));
        gone.cancel();
    }
}

/// The one call of a world in which so many turns were said.
async fn talking(world: &Whole, turns: u32) -> (CompanyId, CallId) {
    let found = async {
        loop {
            for company in query::companies(&*world.store, None, 8).await.expect("readable").items {
                let list = query::CallList::All;
                let page = query::calls(&*world.store, company, list, (None, None), None, 8).await;
                if let Some(call) =
                    page.expect("a list").items.into_iter().find(|row| row.state.turns >= turns)
                {
                    return (company, call.id);
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(STUCK, found).await.expect("a conversation")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_goes_on_at_another_node() {
    let to = "+12125550141";
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let proxy = Proxy::start(listener.local_addr().expect("bound")).await;
    let world = Whole::start_at(vec![number(to, Person::Human, &[])], SPEED, listener, proxy.addr).await;
    let other = world.serve(TcpListener::bind("127.0.0.1:0").await.expect("a port")).await;
    let first = world.edge.as_ref().expect("running");

    let failing = async {
        let talked = talking(&world, 2).await;
        assert_eq!((first.live().count(), other.live().count()), (1, 0));
        proxy.switch(other.addr());
        talked
    };
    let ((_, state, said), (company, call)) = tokio::join!(world.call(to), failing);

    assert_eq!(state.ended.expect("ended").disposition, Disposition::Completed);
    assert_eq!(state.past.len(), 1, "it is one attempt");
    let events =
        query::events::<Call>(&*world.store, Entity::call(company, call), 1, 500).await.expect("events");
    let connections: Vec<u32> = events
        .iter()
        .filter_map(|(_, event)| match &event.what {
            What::MediaOpened { generation } => Some(*generation),
            _ => None,
        })
        .collect();
    assert_eq!(connections, [1, 2]);
    let lost = What::MediaClosed { generation: 1, end: MediaEnd::Node };
    assert!(events.iter().any(|(_, event)| event.what == lost), "{events:?}");
    // The agent does not greet again. What it says instead it may be interrupted in.
    let by_agent: Vec<&str> =
        said.iter().filter(|(who, _)| *who == Speaker::Agent).map(|(_, text)| text.as_str()).collect();
    assert_eq!(by_agent.iter().filter(|text| text.starts_with("Hello,")).count(), 1, "{said:?}");

    let summary = world.sim.log.summary();
    assert_eq!((summary.posts, summary.conversations, summary.reattached), (1, 2, 1), "{summary:?}");
    assert_eq!((summary.documents_failed, summary.live_agent_conversations), (0, 0), "{summary:?}");
    let contexts: Vec<u32> = world.sim.log.snapshot().agent_conversations().map(|end| end.contexts).collect();
    assert_eq!(contexts.iter().sum::<u32>(), 1, "the second agent was told what had been said");
    assert_eq!((first.live().count(), other.live().count()), (0, 0));
    other.shutdown(Duration::ZERO).await;
    world.shutdown().await;
}

/// How long nothing is heard, from the close of the media socket to the first sound on the next. The figure in
/// `docs/performance.md` is what this prints.
#[tokio::test(flavor = "multi_thread")]
async fn dead_air() {
    const CALLS: usize = 12;
    let to = |n: usize| format!("+12125552{n:03}");
    let numbers = (0..CALLS).map(|n| number(&to(n), Person::Human, &[Fault::MediaCut])).collect();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let public = listener.local_addr().expect("bound");
    let world = Whole::start_at(numbers, SPEED, listener, public).await;
    let people: Vec<String> = (0..CALLS).map(to).collect();
    for (_, state, _) in futures_util::future::join_all(people.iter().map(|to| world.call(to))).await {
        assert_eq!(state.ended.expect("ended").disposition, Disposition::Completed);
    }
    let summary = world.sim.log.summary();
    assert!(summary.reattached > 0 && summary.documents_failed == 0, "{summary:?}");
    println!(
        "dead air in ms, {} re-attached calls: p50 {}, p99 {}, max {}",
        summary.reattached, summary.dead_air_ms_p50, summary.dead_air_ms_p99, summary.dead_air_ms_max
    );
    world.shutdown().await;
}
