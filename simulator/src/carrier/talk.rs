//! The answered call: fetches its document and does what it says, while the person at the other end goes on.

use super::courier::Letter;
use super::leg::{Detection, Happening, Leg};
use super::life::Line;
use super::order::{Address, Source};
use super::person::Script;
use super::{Call, Carrier, Order};
use crate::log::{Delivery, Event, HangUp, Verdict};
use crate::webhooks::Method;
use crate::wire::{self, Verb};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Documents that one call may go through.
const DOCUMENTS_MAX: u32 = 200;
/// Things that happen in one go before the task yields to its orders.
const HAPPENINGS_MAX: usize = 1_000;
/// Length of a `<Play>`ed file, simulated.
const PLAY_MS: u64 = 3_000;
/// `<Pause>` longer than this is as good as this.
const PAUSE_MS_MAX: u64 = 86_400_000;

/// Why a document is left before its end.
#[derive(Debug)]
pub(super) enum Leave {
    /// The call is over.
    Ended(HangUp),
    /// Another document takes its place.
    Replace(Source),
}

/// What came of the conversation.
#[derive(Default, Debug)]
pub(super) struct Talked {
    pub(super) talk_ms: u64,
    pub(super) said: u32,
    pub(super) heard: u32,
    pub(super) message: Option<String>,
}

pub(super) struct Talk<'a> {
    pub(super) line: &'a mut Line,
    pub(super) leg: Leg,
    /// Real time up to which the leg has gone on.
    last: Instant,
    /// For the media socket, if one is open: frames of the person and marks that were played.
    pub(super) outgoing: Vec<Happening>,
    pub(super) connected: bool,
    verdict: Option<(Verdict, u64)>,
    /// Media sockets opened so far.
    pub(super) streams: u64,
    /// Since a media socket closed and nothing was heard on another.
    pub(super) silent_since: Option<Instant>,
    documents: u32,
}

impl<'a> Talk<'a> {
    pub(super) fn new(line: &'a mut Line, script: Script) -> Self {
        let pace = line.carrier.pace.clone();
        let mut leg = Leg::new(pace, script, line.create.time_limit_ms);
        if let Some(order) = &line.create.detection {
            let detection =
                Detection { until_message_end: order.until_message_end, timeout_ms: order.timeout_ms };
            leg.detect(&detection, &line.call.plan);
        }
        Self {
            line,
            leg,
            last: Instant::now(),
            outgoing: Vec::new(),
            connected: false,
            verdict: None,
            streams: 0,
            silent_since: None,
            documents: 0,
        }
    }

    pub(super) fn carrier(&self) -> &Arc<Carrier> {
        &self.line.carrier
    }

    pub(super) fn call(&self) -> &Arc<Call> {
        &self.line.call
    }

    /// Runs to the end of the call.
    pub(super) async fn run(mut self) -> (HangUp, Talked) {
        let by = loop {
            if let Err(Leave::Ended(by)) = self.await_verdict().await {
                break by;
            }
            let source = self.line.create.source.clone();
            match self.document(source).await {
                Ok(()) => break HangUp::Document,
                Err(Leave::Ended(by)) => break by,
                Err(Leave::Replace(source)) => self.line.create.source = source,
            }
        };
        let talked = Talked {
            talk_ms: self.leg.clock_ms(),
            said: self.leg.said,
            heard: self.leg.heard,
            message: self.leg.message.take(),
        };
        (by, talked)
    }

    /// With synchronous detection the document waits for the verdict.
    async fn await_verdict(&mut self) -> Result<(), Leave> {
        if self.line.create.detection.as_ref().is_none_or(|order| order.asynchronous) {
            return Ok(());
        }
        while self.leg.detecting() {
            // An order to go on with another document is kept for when the verdict is there.
            if let Err(leave) = self.tick().await {
                match leave {
                    Leave::Ended(_) => return Err(leave),
                    Leave::Replace(source) => self.line.create.source = source,
                }
            }
        }
        Ok(())
    }

    /// Fetches a document and does what it says.
    async fn document(&mut self, source: Source) -> Result<(), Leave> {
        self.documents += 1;
        if self.documents > DOCUMENTS_MAX {
            return Err(Leave::Ended(HangUp::DocumentFailed));
        }
        let xml = match source {
            Source::Inline(xml) => Some(xml),
            Source::Url(address) => self.fetch(&address, Vec::new()).await?,
        };
        let document = match xml.as_deref().and_then(wire::document) {
            Some(document) => document,
            None => self.fallback().await?,
        };
        if document.passed_over > 0 {
            tracing::debug!(call = self.call().sid, verbs = document.passed_over, "verbs passed over");
        }
        for verb in document.verbs {
            self.verb(verb).await?;
        }
        Ok(())
    }

    async fn fallback(&mut self) -> Result<wire::Document, Leave> {
        let Some(address) = self.line.create.fallback.clone() else {
            return Err(Leave::Ended(HangUp::DocumentFailed));
        };
        let mut more = vec![("ErrorCode".to_owned(), "11200".to_owned())];
        if let Source::Url(failed) = &self.line.create.source {
            more.push(("ErrorUrl".to_owned(), failed.url.clone()));
        }
        let xml = self.fetch(&address, more).await?;
        xml.as_deref().and_then(wire::document).ok_or(Leave::Ended(HangUp::DocumentFailed))
    }

    async fn fetch(
        &mut self,
        address: &Address,
        more: Vec<(String, String)>,
    ) -> Result<Option<String>, Leave> {
        let mut form = self.line.form("in-progress");
        if let Some((verdict, after_ms)) = self.verdict {
            form.push(("AnsweredBy".to_owned(), verdict.as_str().to_owned()));
            form.push(("MachineDetectionDuration".to_owned(), after_ms.to_string()));
        }
        form.extend(more);
        let carrier = Arc::clone(self.carrier());
        let timeout = Duration::from_millis(carrier.chooser().scenario.network.webhook_timeout_ms);
        let token = format!("{}-document-{}", self.call().sid, self.documents);
        let Address { url, method } = address.clone();
        let (path, asked) =
            (path_of(&url), async move { carrier.webhooks.ask(&url, method, &form, timeout, &token).await });
        let answer = self.during(asked).await?;
        for outcome in &answer.tries {
            self.carrier().log.write(Event::Document {
                sid: self.call().sid.clone(),
                url_path: path.clone(),
                outcome: outcome.clone(),
            });
        }
        Ok(match answer.outcome() {
            Delivery::Answered(200..=299) => answer.body,
            _ => None,
        })
    }

    async fn verb(&mut self, verb: Verb) -> Result<(), Leave> {
        match verb {
            Verb::Connect(stream) => self.stream(stream).await,
            Verb::Say { text, .. } => {
                self.leg.playback.say(&text);
                self.played().await
            }
            Verb::Play { url } => {
                self.leg.playback.play(&path_of(&url), PLAY_MS);
                self.played().await
            }
            Verb::Pause { length_s } => {
                self.leg.pause((u64::from(length_s) * 1_000).min(PAUSE_MS_MAX));
                let mut passed = Ok(());
                while self.leg.pausing() && passed.is_ok() {
                    passed = self.tick().await;
                }
                self.leg.end_pause();
                passed
            }
            Verb::Redirect { url } => Err(Leave::Replace(Source::Url(Address { url, method: Method::Post }))),
            // An answered call cannot be turned away any more: it ends.
            Verb::Hangup | Verb::Reject(_) => Err(Leave::Ended(HangUp::Document)),
        }
    }

    async fn played(&mut self) -> Result<(), Leave> {
        while self.leg.playback.playing() {
            if let Err(leave) = self.tick().await {
                // Another document cuts the sound off.
                self.leg.playback.clear();
                return Err(leave);
            }
        }
        Ok(())
    }

    /// Completes `work` while the call goes on.
    pub(super) async fn during<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Leave> {
        tokio::pin!(work);
        loop {
            let due = self.due();
            tokio::select! {
                biased;
                order = self.line.orders.recv() => self.obey(order)?,
                done = &mut work => {
                    self.catch_up().await?;
                    return Ok(done);
                }
                () = tokio::time::sleep_until(due) => self.catch_up().await?,
            }
        }
    }

    /// Lets time pass until something happens.
    async fn tick(&mut self) -> Result<(), Leave> {
        let due = self.due();
        tokio::select! {
            biased;
            order = self.line.orders.recv() => self.obey(order),
            () = tokio::time::sleep_until(due) => self.catch_up().await,
        }
    }

    /// Real time at which the leg has something to do.
    pub(super) fn due(&self) -> Instant {
        self.last + self.leg.due()
    }

    pub(super) fn obey(&mut self, order: Option<Order>) -> Result<(), Leave> {
        match order {
            Some(Order::HangUp | Order::Cancel) | None => Err(Leave::Ended(HangUp::Rest)),
            Some(Order::Replace(source)) => Err(Leave::Replace(source)),
            Some(Order::Limit(ms)) => {
                self.leg.limit(ms);
                Ok(())
            }
            Some(Order::Record(order, sid)) => {
                self.line.recorder.order(*order, sid);
                Ok(())
            }
        }
    }

    /// Brings the leg up to the present and does what came of it.
    pub(super) async fn catch_up(&mut self) -> Result<(), Leave> {
        let now = Instant::now();
        let mut left = now.saturating_duration_since(self.last);
        let mut happened = Vec::new();
        for _ in 0..HAPPENINGS_MAX {
            left = self.leg.pass(left, &mut happened);
            for happening in happened.drain(..) {
                match happening {
                    Happening::HungUp(by) => {
                        self.last = now;
                        return Err(Leave::Ended(by));
                    }
                    Happening::Detected(verdict, after_ms) => self.detected(verdict, after_ms).await,
                    // Without a socket nobody hears the person, and there are no marks.
                    Happening::Frame { .. } | Happening::Marks(_) if !self.connected => {}
                    Happening::Frame { .. } | Happening::Marks(_) => self.outgoing.push(happening),
                }
            }
            if left.is_zero() {
                break;
            }
        }
        self.last = now - left.min(now.saturating_duration_since(self.last));
        Ok(())
    }

    async fn detected(&mut self, verdict: Verdict, after_ms: u64) {
        self.verdict = Some((verdict, after_ms));
        self.call().resource.lock().answered_by = Some(verdict);
        self.carrier().log.write(Event::Detected {
            sid: self.call().sid.clone(),
            answered_by: verdict,
            after_ms,
        });
        let order = self.line.create.detection.as_ref().filter(|order| order.asynchronous);
        let Some(address) = order.and_then(|order| order.callback.clone()) else { return };
        let pairs = [
            ("CallSid", self.call().sid.clone()),
            ("AccountSid", self.carrier().account.sid.clone()),
            ("AnsweredBy", verdict.as_str().to_owned()),
            ("MachineDetectionDuration", after_ms.to_string()),
        ];
        let call = self.call();
        let faults = self.carrier().chooser().other_callback(&call.plan, &call.to, call.nth, "amd");
        self.line
            .post(Letter {
                address,
                form: pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
                kind: "amd",
                what: verdict.as_str().to_owned(),
                sequence: None,
                faults,
                after_ms: 0,
            })
            .await;
    }
}

/// The path of a URL: what may stand in the log.
pub(super) fn path_of(url: &str) -> String {
    reqwest::Url::parse(url).map_or_else(|_| String::new(), |url| url.path().to_owned())
}
