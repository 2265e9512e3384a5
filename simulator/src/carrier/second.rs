//! The fault of a second media socket for a call that has one: the other side must not serve it.

use super::socket::Socket;
use super::{Call, Carrier};
use crate::audio::SILENCE;
use crate::log::{ConversationEnd, Event};
use crate::pace::FRAME_BYTES;
use crate::wire::{Order as Asked, Stream};
use std::sync::Arc;
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Real time after which it is closed if the other side has not done so.
const OPEN_MAX: Duration = Duration::from_secs(10);
const FRAME_EVERY: Duration = Duration::from_millis(100);

/// Opens the second socket. It closes when the returned guard is dropped.
pub(super) fn open(carrier: &Arc<Carrier>, call: &Arc<Call>, stream: Stream, n: u64) -> DropGuard {
    let over = CancellationToken::new();
    let guard = over.clone().drop_guard();
    let (carrier, call) = (Arc::clone(carrier), Arc::clone(call));
    let tasks = carrier.tasks.clone();
    tasks.spawn(async move {
        let stop = carrier.stop.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            () = run(&carrier, &call, stream, n, over) => {}
        }
    });
    guard
}

async fn run(carrier: &Carrier, call: &Call, stream: Stream, n: u64, over: CancellationToken) {
    let stream_sid = format!("MZ{}", carrier.chooser().rng("second", &call.sid, n).hex32());
    let opened = Socket::open(carrier, &stream.url, stream_sid.clone(), call.sid.clone()).await;
    let mut socket = match opened {
        Ok(socket) => socket,
        Err(error) => {
            carrier.log.write(Event::ConversationRefused {
                sid: call.sid.clone(),
                attempt: call.attempt.clone(),
                second: true,
                why: error.to_string(),
            });
            return;
        }
    };
    carrier.log.write(Event::ConversationOpened {
        stream: stream_sid.clone(),
        sid: call.sid.clone(),
        attempt: call.attempt.clone(),
        second: true,
    });
    let (mut frames, mut bytes, mut by, mut at_ms) = (0, 0, "peer", 0);
    if socket.begin(stream.parameters, 0).await.is_ok() {
        let until = tokio::time::Instant::now() + OPEN_MAX;
        loop {
            let sent = tokio::select! {
                biased;
                () = over.cancelled() => { by = "call"; break }
                () = tokio::time::sleep_until(until) => { by = "call"; break }
                message = socket.next() => match message {
                    Ok(Message::Text(text)) => {
                        if let Ok(Some(Asked::Media { payload, .. })) = Asked::parse(text.as_str()) {
                            frames += 1;
                            bytes += payload.len() as u64 / 4 * 3;
                        }
                        Ok(())
                    }
                    Ok(_) => Ok(()),
                    Err(properly) => {
                        if !properly { by = "broken" }
                        break;
                    }
                },
                () = tokio::time::sleep(FRAME_EVERY) => {
                    at_ms += carrier.pace.frame_ms();
                    socket.media(&[SILENCE; FRAME_BYTES], at_ms).await
                }
            };
            if sent.is_err() {
                by = "broken";
                break;
            }
        }
    }
    let frames_sent = socket.frames_sent;
    if by == "call" {
        socket.end().await;
    }
    carrier.log.write(Event::ConversationClosed(ConversationEnd {
        stream: stream_sid,
        sid: call.sid.clone(),
        attempt: call.attempt.clone(),
        second: true,
        by: by.to_owned(),
        frames_sent,
        frames_received: frames,
        bytes_received: bytes,
        marks: 0,
        clears: 0,
        invalid: 0,
    }));
}
