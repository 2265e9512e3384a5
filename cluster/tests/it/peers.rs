//! Nodes talk to each other, and to nobody else.

use crate::world::{Node, World, is_settled, until};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::time::Duration;
use tandem_cluster::{JoinError, NotAnswered, Options, Tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

async fn two(world: &World) -> (Node, Node) {
    let (a, b) = (world.join("a").await, world.join("b").await);
    until("both share", || is_settled(&[&a, &b])).await;
    let sees = |node: &Node| {
        let view = node.cluster.view();
        (0..crate::world::SHARDS).all(|shard| view.owner(shard).is_some())
    };
    until("both see that", || sees(&a) && sees(&b)).await;
    (a, b)
}

fn shard_of(node: &Node) -> u16 {
    node.shards.open_now().into_keys().next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_reach_the_owner_and_are_lost_with_it() {
    let world = World::new();
    let (a, b) = two(&world).await;
    let shard = shard_of(&b);
    assert_eq!(a.cluster.ask(shard, "hello".into()).await.unwrap().as_ref(), b"b heard hello");
    assert_eq!(a.cluster.ask(shard_of(&a), "x".into()).await, Err(NotAnswered::NotThere), "it is a's own");
    assert_eq!(a.cluster.ask(1_000, "x".into()).await, Err(NotAnswered::NotThere), "there is no such shard");
    // One that hangs is given up when its node is.
    let asked = tokio::spawn({
        let a = a.cluster.clone();
        async move { a.ask(shard, "wait".into()).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    b.cluster.abort();
    assert_eq!(timeout(Duration::from_secs(20), asked).await.unwrap().unwrap(), Err(NotAnswered::Lost));
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_requests_at_once_are_refused() {
    let world = World::new();
    let a = world.try_join("a", |o| o.requests_max = 3).await.unwrap();
    let b = world.join("b").await;
    until("both share", || is_settled(&[&a, &b])).await;
    let shard = shard_of(&b);
    until("a sees that", || a.cluster.view().owner(shard).is_some_and(|(o, _)| o.node == "b")).await;
    for _ in 0..3 {
        let a = a.cluster.clone();
        tokio::spawn(async move { a.ask(shard, "wait".into()).await });
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(a.cluster.ask(shard, "x".into()).await, Err(NotAnswered::Overloaded));
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_elsewhere_are_told_until_the_shard_moves() {
    let world = World::new();
    let (a, b) = two(&world).await;
    let (sender, mut news) = watch::channel(0);
    a.cluster.watch(shard_of(&b), "entity".into(), sender);
    timeout(Duration::from_secs(20), news.changed()).await.unwrap().unwrap();
    b.shards.tell(7);
    timeout(Duration::from_secs(20), news.wait_for(|n| *n == 7)).await.unwrap().unwrap();
    b.cluster.abort();
    let ended = timeout(Duration::from_secs(20), async { while news.changed().await.is_ok() {} });
    ended.await.expect("whoever watches is told to begin anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_at_the_port_does_no_harm() {
    let world = World::new();
    let (a, b) = two(&world).await;
    let address = a.cluster.view().nodes["b"].peer.clone();
    for garbage in [b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![0xff; 10_000], Vec::new()] {
        let mut socket = TcpStream::connect(&address).await.unwrap();
        let _ = socket.write_all(&garbage).await;
        let mut answer = [0; 64];
        let _ = timeout(Duration::from_millis(300), socket.read(&mut answer)).await;
    }
    assert!(a.cluster.ask(shard_of(&b), "hello".into()).await.is_ok());
}

/// An authority, and what makes certificates of it.
struct Authority(rcgen::Certificate, Issuer<'static, KeyPair>);

fn authority() -> Authority {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let cert = params.self_signed(&key).unwrap();
    Authority(cert, Issuer::new(params, key))
}

fn tls(ca: &Authority) -> impl FnOnce(&mut Options) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["tandem-node".to_owned()]).unwrap();
    let cert = params.signed_by(&key, &ca.1).unwrap();
    let (ca, cert, key) = (ca.0.pem().into(), cert.pem().into(), key.serialize_pem().into());
    move |o: &mut Options| o.tls = Some(Tls { ca, cert, key, domain: "tandem-node".into() })
}

#[tokio::test(flavor = "multi_thread")]
async fn with_tls_only_those_with_a_certificate_are_nodes() {
    let world = World::new();
    let (ours, others) = (authority(), authority());
    let a = world.try_join("a", tls(&ours)).await.unwrap();
    let b = world.try_join("b", tls(&ours)).await.unwrap();
    until("both share", || is_settled(&[&a, &b])).await;
    let shard = shard_of(&b);
    until("a sees that", || a.cluster.view().owner(shard).is_some_and(|(o, _)| o.node == "b")).await;
    assert!(a.cluster.ask(shard, "hello".into()).await.is_ok());
    // One without, and one of another authority, are in the store's list; they cannot talk to the others.
    let stranger = world.try_join("c", tls(&others)).await.unwrap();
    let plain = world.try_join("d", |_| {}).await.unwrap();
    until("a has some", || !a.shards.open_now().is_empty()).await;
    let (shard, held) = (shard_of(&a), a.cluster.view());
    assert_eq!(held.owner(shard).unwrap().0.node, "a");
    for node in [&stranger, &plain] {
        until("it sees a", || node.cluster.view().owner(shard).is_some()).await;
        if node.cluster.view().owner(shard).unwrap().0.node == "a" {
            assert_eq!(node.cluster.ask(shard, "hello".into()).await, Err(NotAnswered::NotThere));
        }
    }
    let broken = world.try_join("e", |o| {
        o.tls = Some(Tls { ca: b"x".to_vec(), cert: b"x".to_vec(), key: b"x".to_vec(), domain: "n".into() });
    });
    assert!(matches!(broken.await, Err(JoinError::Tls(_))));
}
