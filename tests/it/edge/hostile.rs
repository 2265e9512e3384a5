//! What should not come on a media socket, and does.

use super::line::{Line, connects, socket};
use super::world::{ACCOUNT, MEDIA, World, account};
use std::time::Duration;
use tandem_domain::call::{Phase, What};
use tandem_providers::Secret;
use tandem_providers::twilio::media::{Format, Frame};
use tandem_providers::twilio::signature::Key;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

async fn opened(world: &World, taken: &super::world::Taken) -> usize {
    let events = world.events(taken).await;
    events.iter().filter(|what| matches!(what, What::MediaOpened { .. })).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_signed_upgrades_are_taken() {
    let world = World::start().await;
    let other = Key::new(&Secret::from("54321")).sign(MEDIA, &[]);
    let elsewhere = world.key.sign("wss://calls.example.test/media/v1", &[]);
    assert_eq!(socket(&world, None).await.unwrap_err(), 400);
    assert_eq!(socket(&world, Some(other.clone())).await.unwrap_err(), 403);
    assert_eq!(socket(&world, Some(elsewhere)).await.unwrap_err(), 403);
    assert!(socket(&world, Some(world.key.sign(MEDIA, &[]))).await.is_ok(), "the control");
    let answer = world.send(http::Method::GET, MEDIA_PATH, bytes::Bytes::new(), None).await;
    assert_eq!(answer.status.as_u16(), 426, "not an upgrade at all");
    let answer = world.send(http::Method::POST, MEDIA_PATH, bytes::Bytes::new(), None).await;
    assert_eq!(answer.status.as_u16(), 405);

    // Where a signature need not be, one that is there must still be good.
    let world = World::with(|options| options.signed_upgrades = false).await;
    assert!(socket(&world, None).await.is_ok());
    assert_eq!(socket(&world, Some(other)).await.unwrap_err(), 403);
}

const MEDIA_PATH: &str = "/media/v1";

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_must_say_whose_it_is() {
    let mut world = World::with(|options| options.limits.start_timeout = Duration::from_millis(300)).await;
    let taken = world.call().await;
    let (stream, _) = connects(&world.document(&taken, &taken.sid).await.body);
    let good = stream.parameters.clone();
    let names: Vec<&str> = good.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["attempt", "generation", "token"]);
    let token = good[2].1.clone();
    let of = |attempt: &str, generation: &str, token: &str| {
        let pairs = [("attempt", attempt), ("generation", generation), ("token", token)];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    };
    let with = |attempt: &str, token: &str| of(attempt, "1", token);
    let attempt = taken.attempt.to_string();
    let next = attempt.replace("/1", "/2");
    for parameters in [
        vec![],
        with(&attempt, ""),
        with(&attempt, "AAAA"),
        with(&next, &token),
        with("1/2/3", &token),
        with("", &token),
        of(&attempt, "2", &token),
        of(&attempt, "", &token),
        of(&attempt, "x", &token),
        vec![good[0].clone(), good[2].clone()],
    ] {
        let mut line = Line::open(&world, &taken.sid).await;
        line.start(parameters.clone()).await;
        assert_eq!(line.closed().await, Some(CloseCode::Policy), "{parameters:?}");
    }
    // A good token, presented by another call or another account.
    let mut line = Line::open(&world, "CAffffffffffffffffffffffffffffffff").await;
    line.start(good.clone()).await;
    assert_eq!(line.closed().await, Some(CloseCode::Policy));
    let mut line = Line::open(&world, &taken.sid).await;
    line.start_as(good.clone(), "ACffffffffffffffffffffffffffffffff", Format::mulaw_8000()).await;
    assert_eq!(line.closed().await, Some(CloseCode::Policy));
    // Audio that nobody can pass on.
    let mut line = Line::open(&world, &taken.sid).await;
    let format = Format { encoding: "audio/l16".into(), sample_rate_hz: 16_000, channels: 1 };
    line.start_as(good.clone(), ACCOUNT, format).await;
    assert_eq!(line.closed().await, Some(CloseCode::Policy));
    // Says nothing, or something else, first.
    let mut line = Line::open(&world, &taken.sid).await;
    assert_eq!(line.closed().await, Some(CloseCode::Policy));
    for first in ["", "garbage", "{\"event\":\"media\",\"media\":{\"payload\":\"f39/\"}}"] {
        let mut line = Line::open(&world, &taken.sid).await;
        line.send(Message::text(first)).await;
        assert_eq!(line.closed().await, Some(CloseCode::Policy), "{first}");
    }
    assert_eq!(opened(&world, &taken).await, 0, "the call has heard of none of them");
    let _line = Line::begin(&world, &taken.sid, &stream).await;
    world.talk().await;
    assert_eq!(opened(&world, &taken).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_does_no_harm_and_too_much_of_it_ends_the_socket() {
    let mut world = World::start().await;
    let (taken, mut line, mut talk) = world.talking().await;
    let long = "x".repeat(40_000);
    for text in ["", "not json", "{", "[]", "{\"event\":42}", "{\"event\":\"media\"}", &long] {
        line.send(Message::text(text)).await;
    }
    line.send(Message::text("{\"event\":\"weather\"}")).await;
    line.send(Message::text("{\"event\":\"media\",\"media\":{\"payload\":\"***\"}}")).await;
    line.send(Message::binary(vec![0_u8; 160])).await;
    line.frame(Frame::Connected).await;
    line.played("no such mark").await;
    line.speak("f39/").await;
    assert_eq!(talk.hears().await, "f39/");
    for _ in 0..80 {
        line.send(Message::text("still not json")).await;
    }
    assert_eq!(line.closed().await, Some(CloseCode::Normal));
    world.until(&taken, "the loss", |state| state.phase == Phase::Reattaching).await;
    drop(line);
    world.provider.idle().await;
    world.quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_websocket_ends_it() {
    let mut world = World::start().await;
    let (taken, mut line, _talk) = world.talking().await;
    line.send(Message::text("x".repeat(70_000))).await;
    line.closed().await;
    world.until(&taken, "the loss", |state| state.phase == Phase::Reattaching).await;

    let (taken, line, _talk) = world.talking().await;
    let mut raw = line.socket.into_inner();
    raw.write_all(&[0xff; 512]).await.expect("written");
    world.until(&taken, "the loss", |state| state.phase == Phase::Reattaching).await;
    world.provider.idle().await;
    drop(raw);
    world.quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_socket_does_not_take_the_conversation() {
    let mut world = World::start().await;
    let taken = world.call().await;
    let (stream, _) = connects(&world.document(&taken, &taken.sid).await.body);
    let mut first = Line::begin(&world, &taken.sid, &stream).await;
    let mut talk = world.talk().await;
    talk.ready();
    // Whether or not anything is heard on the first.
    for _ in 0..2 {
        let mut second = Line::begin(&world, &taken.sid, &stream).await;
        assert_eq!(second.closed().await, Some(CloseCode::Policy));
        first.speak("f39/").await;
    }
    assert_eq!(opened(&world, &taken).await, 1);
    first.speak("QUJD").await;
    while talk.hears().await != "QUJD" {}
}

/// The first socket is open and nothing comes from it; the carrier knows that it is dead, and asks again.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_generation_takes_over_from_a_dead_one() {
    let mut world = World::start().await;
    let (taken, mut first, earlier) = world.talking().await;
    earlier.response("Can you hear me?");
    earlier.transcript("Yes?");
    world.until(&taken, "what was said", |state| state.turns == 2).await;
    earlier.response("Good.");
    let (stream, _) = connects(&world.again(&taken, 1).await.body);
    let mut second = Line::begin(&world, &taken.sid, &stream).await;
    let talk = world.talk().await;
    talk.ready();
    talk.audio("QUJD", 1);
    assert_eq!(second.ordered().await, Some(super::line::Ordered::Media("QUJD".into())));
    assert_eq!(world.state(&taken).await.turns, 3, "what was said on the first is stored");
    first.closed().await;
    assert_eq!(world.edge().live().count(), 1);
    let live = world.state(&taken).await.live.expect("alive");
    assert_eq!((live.generation, live.media_open), (2, true), "the older one's end says nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_room_for_so_many_and_no_more() {
    let mut world = World::with(|options| options.limits.conversations_max = 1).await;
    let (_taken, line, _talk) = world.talking().await;
    let signature = world.key.sign(MEDIA, &[]);
    assert_eq!(socket(&world, Some(signature.clone())).await.unwrap_err(), 503);
    line.stop().await;
    world.quiet().await;
    assert!(socket(&world, Some(signature)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_media_socket_of_another_account_is_not_served() {
    const OTHER: &str = "ACfedcba9876543210fedcba9876543210";
    let mut world =
        World::with(|options| options.accounts.push(account("spare", OTHER, "other token"))).await;
    let taken = world.call().await;
    let (stream, _) = connects(&world.document(&taken, &taken.sid).await.body);
    // Signed by the other account, with a token of the right one.
    let signature = Key::new(&Secret::from("other token")).sign(MEDIA, &[]);
    let mut line = Line::open(&world, &taken.sid).await;
    line.socket = socket(&world, Some(signature)).await.expect("a signature of ours");
    line.start(stream.parameters).await;
    assert_eq!(line.closed().await, Some(CloseCode::Policy));
    assert_eq!(opened(&world, &taken).await, 0);
}

/// Connections that say nothing, or never come to an end, do not stay.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_dawdle_are_closed() {
    let world = World::with(|options| {
        options.limits.head_timeout = Duration::from_millis(200);
        options.limits.body_timeout = Duration::from_millis(200);
    })
    .await;
    let ids = "01010101-0101-0101-0101-010101010101/02020202-0202-0202-0202-020202020202/1";
    for (request, status) in [
        ("POST /tw".to_owned(), None),
        (
            format!(
                "POST /tw/v1/{ids}/status HTTP/1.1\r\nhost: x\r\nx-twilio-signature: AAAA\r\ncontent-length: 9\r\n\r\na=b"
            ),
            Some("408"),
        ),
        (format!("POST /tw/v1/{ids}/status HTTP/1.1\r\nx-long: {}\r\n\r\n", "x".repeat(40_000)), Some("431")),
        ("\0\u{1}garbage\r\n\r\n".to_owned(), Some("400")),
    ] {
        let mut stream = tokio::net::TcpStream::connect(world.addr).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut answer = String::new();
        let read = tokio::time::timeout(super::line::STUCK, stream.read_to_string(&mut answer)).await;
        let _ = read.expect("the connection is closed");
        if let Some(status) = status {
            assert!(answer.contains(status) || answer.is_empty(), "{answer}");
        }
    }
}

/// Connections that rest do not keep others out.
#[tokio::test(flavor = "multi_thread")]
async fn resting_connections_give_way() {
    let world = World::with(|options| options.limits.connections_max = 8).await;
    let request = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut resting = Vec::new();
    for n in 0..5 {
        let mut stream = tokio::net::TcpStream::connect(world.addr).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut answer = vec![0; 1_024];
        let read = stream.read(&mut answer).await.expect("an answer");
        let answer = String::from_utf8_lossy(&answer[..read]).to_lowercase();
        assert!(answer.starts_with("http/1.1 404") && !answer.contains("connection: close"), "{n}: {answer}");
        resting.push(stream);
    }
    for _ in 0..5 {
        let mut stream = tokio::net::TcpStream::connect(world.addr).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut answer = String::new();
        let read = tokio::time::timeout(super::line::STUCK, stream.read_to_string(&mut answer)).await;
        read.expect("closed after one answer").expect("an answer");
        assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
    }
}
