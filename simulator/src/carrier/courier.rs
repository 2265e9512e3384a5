//! Callbacks of one call: sent one after the other as they arise, unless a fault says otherwise.

use super::order::Address;
use super::{Call, Carrier};
use crate::log::{self, Delivery, Event};
use crate::scenario::Fault;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Callbacks of one call that may wait.
const WAITING_MAX: usize = 64;

/// One callback, ready to be sent.
pub(super) struct Letter {
    pub(super) address: Address,
    pub(super) form: Vec<(String, String)>,
    /// `status`, `amd`, `recording`, `stream`.
    pub(super) kind: &'static str,
    pub(super) what: String,
    pub(super) sequence: Option<u64>,
    pub(super) faults: Vec<Fault>,
    /// Simulated time to wait before it is sent.
    pub(super) after_ms: u64,
}

pub(super) type Outbox = mpsc::Sender<Letter>;

pub(super) fn open() -> (Outbox, mpsc::Receiver<Letter>) {
    mpsc::channel(WAITING_MAX)
}

/// Sends what comes until the outbox closes and everything is sent. Faults: a lost callback is only written down, a
/// doubled one is sent again at the same time, a reordered one after its successor, a delayed one late.
pub(super) async fn run(carrier: Arc<Carrier>, call: Arc<Call>, mut letters: mpsc::Receiver<Letter>) {
    let timeout = Duration::from_millis(carrier.chooser().scenario.network.webhook_timeout_ms);
    let delay_ms = carrier.chooser().scenario.network.callback_delay_ms;
    let mut beside = FuturesUnordered::new();
    let mut held: Option<Letter> = None;
    loop {
        let letter = tokio::select! {
            letter = letters.recv() => letter,
            Some(()) = beside.next(), if !beside.is_empty() => continue,
        };
        let Some(letter) = letter else { break };
        let has = |fault| letter.faults.contains(&fault);
        if has(Fault::CallbackLost) {
            record(&carrier, &call, &letter, Delivery::Withheld);
        } else if has(Fault::CallbackReordered) && held.is_none() {
            held = Some(letter);
        } else if has(Fault::CallbackDelayed) {
            beside.push(send(&carrier, &call, letter, delay_ms, timeout, false));
        } else {
            let twice = has(Fault::CallbackDoubled);
            along(&mut beside, send(&carrier, &call, letter, 0, timeout, twice)).await;
            if let Some(letter) = held.take() {
                along(&mut beside, send(&carrier, &call, letter, 0, timeout, false)).await;
            }
        }
    }
    if let Some(letter) = held {
        send(&carrier, &call, letter, 0, timeout, false).await;
    }
    while beside.next().await.is_some() {}
}

/// Completes `one` while the delayed ones go on.
async fn along<F: Future<Output = ()>>(beside: &mut FuturesUnordered<F>, one: impl Future<Output = ()>) {
    tokio::pin!(one);
    loop {
        tokio::select! {
            () = &mut one => return,
            Some(()) = beside.next(), if !beside.is_empty() => {}
        }
    }
}

/// In memory of its own: a courier lives as long as its call and sends a few times.
fn send<'a>(
    carrier: &'a Carrier,
    call: &'a Call,
    letter: Letter,
    delay_ms: u64,
    timeout: Duration,
    twice: bool,
) -> Pin<Box<impl Future<Output = ()> + Send + use<'a>>> {
    Box::pin(deliver(carrier, call, letter, delay_ms, timeout, twice))
}

async fn deliver(
    carrier: &Carrier,
    call: &Call,
    letter: Letter,
    delay_ms: u64,
    timeout: Duration,
    twice: bool,
) {
    carrier.pace.sleep(letter.after_ms + delay_ms).await;
    let token = match letter.sequence {
        Some(sequence) => format!("{}-{}-{sequence}", call.sid, letter.kind),
        None => format!("{}-{}-{}", call.sid, letter.kind, letter.what),
    };
    let one =
        || carrier.webhooks.ask(&letter.address.url, letter.address.method, &letter.form, timeout, &token);
    let answers = if twice {
        let (first, second) = tokio::join!(one(), one());
        vec![first, second]
    } else {
        vec![one().await]
    };
    for outcome in answers.into_iter().flat_map(|answer| answer.tries) {
        record(carrier, call, &letter, outcome);
    }
}

fn record(carrier: &Carrier, call: &Call, letter: &Letter, outcome: Delivery) {
    carrier.log.write(Event::Callback(log::Callback {
        sid: call.sid.clone(),
        attempt: call.attempt.clone(),
        kind: letter.kind.to_owned(),
        what: letter.what.clone(),
        sequence: letter.sequence,
        faults: letter.faults.clone(),
        outcome,
    }));
}
