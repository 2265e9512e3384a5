//! The life of one call: queue, dialing, ringing, answer, end.

use super::courier::{self, Letter, Outbox};
use super::order::{Create, StatusCallback};
use super::person::Script;
use super::recording::Recorder;
use super::resource::{Status, date};
use super::talk::{Talk, Talked};
use super::{Call, Carrier, Order};
use crate::log::{CallEnd, Event, HangUp};
use crate::scenario::Person;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How a call ended.
struct End {
    status: Status,
    sip: u16,
    by: HangUp,
    talked: Talked,
}

impl End {
    fn unanswered(status: Status, sip: u16, by: HangUp) -> Self {
        Self { status, sip, by, talked: Talked::default() }
    }
}

/// What the parts of a call's life share.
pub(super) struct Line {
    pub(super) carrier: Arc<Carrier>,
    pub(super) call: Arc<Call>,
    pub(super) create: Create,
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) outbox: Outbox,
    pub(super) recorder: Recorder,
}

/// Runs a call from the queue to its end, callbacks included.
pub(super) async fn run(
    carrier: Arc<Carrier>,
    call: Arc<Call>,
    create: Create,
    departure: Instant,
    orders: mpsc::Receiver<Order>,
) {
    let (outbox, letters) = courier::open();
    let courier = courier::run(Arc::clone(&carrier), Arc::clone(&call), letters);
    let recorder = Recorder::new(create.recording.clone());
    let line =
        Line { carrier: Arc::clone(&carrier), call: Arc::clone(&call), create, orders, outbox, recorder };
    let stop = carrier.stop.clone();
    let whole = async {
        tokio::join!(live(line, departure), courier);
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = whole => {}
    }
}

/// The part that occupies the line. Afterwards only callbacks are left to send.
async fn live(mut line: Line, departure: Instant) {
    let end = match line.connect(departure).await {
        Err(end) => end,
        Ok(script) => line.answered(script).await,
    };
    line.finish(end).await;
}

impl Line {
    /// Queue, dialing and ringing. `Ok` when somebody picks up.
    async fn connect(&mut self, departure: Instant) -> Result<Script, End> {
        let queued = Instant::now();
        self.until(departure).await?;
        let queue_ms = queued.elapsed().as_secs_f64() * 1_000.0 * self.carrier.pace.speed();
        {
            let mut resource = self.call.resource.lock();
            resource.queue_ms = queue_ms as u64;
            resource.start_ms = Some(self.carrier.pace.now_ms());
        }
        self.progress("initiated").await;

        let plan = self.call.plan.clone();
        self.wait(plan.setup_ms).await?;
        match plan.person {
            Person::InvalidNumber | Person::NotInService => {
                return Err(End::unanswered(Status::Failed, 404, HangUp::NotAnswered));
            }
            Person::Unreachable => return Err(End::unanswered(Status::Failed, 480, HangUp::NotAnswered)),
            Person::Busy => return Err(End::unanswered(Status::Busy, 486, HangUp::NotAnswered)),
            _ => {}
        }
        self.set(Status::Ringing);
        self.progress("ringing").await;
        let ring_ms = self.carrier.chooser().scenario.network.ring_ms;
        let rings_ms = plan.rings.saturating_mul(ring_ms);
        let talk = self.carrier.chooser().scenario.talk.clone();
        match Script::of(&plan, &talk) {
            Some(script) if rings_ms < self.create.ring_timeout_ms => {
                self.wait(rings_ms).await?;
                Ok(script)
            }
            _ => {
                self.wait(self.create.ring_timeout_ms).await?;
                Err(End::unanswered(Status::NoAnswer, 487, HangUp::NotAnswered))
            }
        }
    }

    /// Lets simulated time pass before the answer; a cancel or a hang-up ends the call.
    async fn wait(&mut self, simulated_ms: u64) -> Result<(), End> {
        self.until(Instant::now() + self.carrier.pace.real(simulated_ms)).await
    }

    async fn until(&mut self, at: Instant) -> Result<(), End> {
        loop {
            tokio::select! {
                biased;
                order = self.orders.recv() => match order {
                    Some(Order::Cancel | Order::HangUp) => {
                        return Err(End::unanswered(Status::Canceled, 487, HangUp::Rest));
                    }
                    // What the call does once it is answered may change while it rings.
                    Some(Order::Replace(source)) => self.create.source = source,
                    Some(Order::Limit(ms)) => self.create.time_limit_ms = ms,
                    Some(Order::Record(order, sid)) => self.recorder.order(*order, sid),
                    None => return Err(End::unanswered(Status::Canceled, 487, HangUp::Rest)),
                },
                () = tokio::time::sleep_until(at) => return Ok(()),
            }
        }
    }

    async fn answered(&mut self, script: Script) -> End {
        self.set(Status::InProgress);
        self.progress("in-progress").await;
        self.record_in_progress().await;
        let (by, talked) = Talk::new(self, script).run().await;
        let sip = if by == HangUp::Lost { 487 } else { 200 };
        End { status: Status::Completed, sip, by, talked }
    }

    fn set(&self, status: Status) {
        let mut resource = self.call.resource.lock();
        resource.status = status;
        resource.updated_ms = self.carrier.pace.now_ms();
    }

    /// Writes a step down and tells it to the status callback, where wanted.
    async fn progress(&self, status: &str) {
        self.carrier
            .log
            .write(Event::CallProgressed { sid: self.call.sid.clone(), status: status.to_owned() });
        let wanted = |wanted: &StatusCallback| match status {
            "initiated" => wanted.initiated,
            "ringing" => wanted.ringing,
            _ => wanted.answered,
        };
        if self.create.status.as_ref().is_some_and(wanted) {
            self.status_callback(status, Vec::new()).await;
        }
    }

    async fn finish(mut self, end: End) {
        let now = self.carrier.pace.now_ms();
        let answered = end.status == Status::Completed;
        let duration_s = answered.then_some(end.talked.talk_ms / 1_000);
        {
            let mut resource = self.call.resource.lock();
            resource.status = end.status;
            resource.end_ms = Some(now);
            resource.updated_ms = now;
            resource.duration_s = duration_s;
        }
        self.carrier.retire(&self.call);
        self.carrier.log.write(Event::CallEnded(CallEnd {
            sid: self.call.sid.clone(),
            status: end.status.as_str().to_owned(),
            sip: end.sip,
            by: end.by,
            talk_ms: end.talked.talk_ms,
            said: end.talked.said,
            heard: end.talked.heard,
            message: end.talked.message,
        }));
        self.recorder.end(duration_s.unwrap_or_default());
        if self.create.status.as_ref().is_some_and(|wanted| wanted.completed) {
            let mut more = vec![
                ("CallDuration".to_owned(), duration_s.unwrap_or_default().to_string()),
                ("SipResponseCode".to_owned(), end.sip.to_string()),
            ];
            if let Some(seconds) = duration_s {
                // Billed minutes, begun ones whole.
                more.push(("Duration".to_owned(), seconds.div_ceil(60).max(1).to_string()));
            }
            more.extend(self.recorder.callback_fields(&self.carrier));
            self.status_callback(end.status.as_str(), more).await;
        }
        if answered {
            self.record_ended().await;
        }
    }

    /// What every callback of a call carries.
    pub(super) fn form(&self, status: &str) -> Vec<(String, String)> {
        let call = &self.call;
        let pairs = [
            ("CallSid", call.sid.as_str()),
            ("AccountSid", &self.carrier.account.sid),
            ("From", &call.from),
            ("To", &call.to),
            ("Caller", &call.from),
            ("Called", &call.to),
            ("CallStatus", status),
            ("ApiVersion", "2010-04-01"),
            ("Direction", "outbound-api"),
        ];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    async fn status_callback(&self, status: &str, more: Vec<(String, String)>) {
        let Some(wanted) = &self.create.status else { return };
        let sequence = u64::from(self.call.sequence.fetch_add(1, Ordering::Relaxed));
        let mut form = self.form(status);
        form.push(("CallbackSource".to_owned(), "call-progress-events".to_owned()));
        form.push(("SequenceNumber".to_owned(), sequence.to_string()));
        form.push(("Timestamp".to_owned(), date(self.carrier.pace.now_ms())));
        form.extend(more);
        let call = &self.call;
        let faults = self.carrier.chooser().callback(&call.plan, &call.to, call.nth, sequence);
        self.post(Letter {
            address: wanted.address.clone(),
            form,
            kind: "status",
            what: status.to_owned(),
            sequence: Some(sequence),
            faults,
            after_ms: 0,
        })
        .await;
    }

    /// Hands a callback to the courier. Waits only when very many wait already.
    pub(super) async fn post(&self, letter: Letter) {
        // The courier runs beside this line and ends after it.
        let _ = self.outbox.send(letter).await;
    }
}
