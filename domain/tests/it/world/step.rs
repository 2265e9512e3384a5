//! What may happen to a company: the steps of a random walk. Each names its object by a number
//! that is taken modulo what there is, so that a shortened walk still means something.

use super::World;
use super::carrier::Line;
use super::setup::{NUMBERS, contact, person};
use tandem_domain::agent::{AgentEnd, Speaker};
use tandem_domain::call::{self, CarrierStep, Document, MediaEnd, MediaGrant, Plan, SaidTurn};
use tandem_domain::campaign::{self, Config, Limits, Reason};
use tandem_domain::carrier::{
    AnsweredBy, DialOutcome, End, Instruction, Progress, RecordingReport, RecordingStatus, Refusal,
    RefusalReason,
};
use tandem_domain::company::{self, Caller, Update};
use tandem_domain::customer;
use tandem_domain::effect::{Effect, Reply};
use tandem_domain::id::Entity;
use tandem_domain::machine::Rejection;
use tandem_domain::retry::Outcome;
use tandem_domain::row::{ConsentBasis, DncSource, Priority};
use tandem_domain::sealed::Sealed;
use tandem_domain::time::Millis;

#[derive(Clone, Debug)]
pub enum Step {
    /// The oldest message of a pair is taken.
    Deliver(u16),
    /// Several, so that walks get somewhere.
    DeliverSome(u8),
    /// Everything that can be taken now is taken.
    Flow,
    Tick(u16),
    TickDue,
    Pass(Millis),
    /// To the next timer.
    PassToWakeup,
    Perform(u16, Answer),
    Advance(u16, Progress),
    /// As calls ordinarily get on: it rings, it is answered.
    Onward(u16),
    /// The carrier asks for the document and connects the media.
    Talk(u16),
    Verdict(u16, AnsweredBy),
    /// The carrier knows the call no longer, and says nothing of it.
    Forget(u16),
    Mail(u16, Post),
    Media(u16, Media),
    Campaign(u8, Box<OnCampaign>),
    Person(u8, OnPerson),
    Company(OnCompany),
    Hangup(u16),
    Annotate(u16),
    Place(u8, Box<Plan>, Priority, Option<Millis>, Option<u8>),
    External(u8, Box<Plan>),
    Report(u16, OnExternal),
}

/// What becomes of an order to the carrier.
#[derive(Clone, Debug)]
pub enum Answer {
    Taken,
    Refused(RefusalReason),
    /// The call exists and the answer was lost; or not even that is told.
    Silence {
        told: bool,
    },
    /// No call exists and nobody knows.
    LostRequest {
        told: bool,
    },
    /// The carrier makes two calls of one request.
    Twice,
}

#[derive(Clone, Copy, Debug)]
pub enum Post {
    Arrives,
    ArrivesAndComesAgain,
    IsLost,
}

#[derive(Clone, Copy, Debug)]
pub enum Media {
    Document {
        again: bool,
    },
    Open,
    /// As sockets of documents without generations do.
    OpenUnnamed,
    Say(u8),
    CloseAgent,
    CloseCarrier,
    CloseNode,
    Stale,
    Record,
}

#[derive(Clone, Debug)]
pub enum OnCampaign {
    Start,
    Pause,
    Resume,
    Stop,
    Add(Vec<(u8, Priority)>),
    Configure(Box<Config>),
    Tick,
}

#[derive(Clone, Copy, Debug)]
pub enum OnPerson {
    DoNotCall,
    Allow,
    Consent,
    Revoke,
}

#[derive(Clone, Debug)]
pub enum OnCompany {
    Close,
    Open,
    Limits(Limits),
    Callers(Vec<(u8, Limits)>),
    SingleCalls(Box<Config>),
}

#[derive(Clone, Copy, Debug)]
pub enum OnExternal {
    Begin,
    Ringing,
    Answered(Option<AnsweredBy>),
    Talking,
    Ended(Outcome),
}

fn pick<T>(from: &[T], n: u16) -> Option<&T> {
    from.get(usize::from(n) % from.len().max(1))
}

impl World {
    pub fn step(&mut self, step: &Step) {
        match step {
            Step::Deliver(n) => {
                let lanes: Vec<_> = self.lanes.keys().copied().collect();
                if let Some(lane) = pick(&lanes, *n) {
                    self.deliver(*lane);
                }
            }
            Step::DeliverSome(n) => {
                for _ in 0..*n {
                    let lanes: Vec<_> = self.lanes.keys().copied().collect();
                    let Some(lane) = pick(&lanes, (self.random() & 0xffff) as u16).copied() else { break };
                    self.deliver(lane);
                    self.check();
                }
            }
            Step::Tick(n) => {
                let now = self.now;
                let due: Vec<_> = self.wakeups().into_iter().filter(|(at, _)| *at <= now).collect();
                if let Some((_, e)) = pick(&due, *n) {
                    self.tick(*e);
                }
            }
            Step::Flow => self.flow(),
            Step::TickDue => drop(self.tick_due()),
            Step::Pass(ms) => self.now += ms,
            Step::PassToWakeup => {
                if let Some((at, _)) = self.wakeups().into_iter().min() {
                    self.now = self.now.max(at);
                }
            }
            Step::Perform(n, answer) => {
                if !self.orders.is_empty() {
                    let order = self.orders.remove(usize::from(*n) % self.orders.len());
                    self.perform(order, answer);
                }
            }
            Step::Advance(n, to) => {
                if let Some(at) = self.line(*n, |l| !l.is_over()) {
                    self.carrier.advance(at, *to, self.now);
                }
            }
            Step::Onward(n) => {
                let meant = |l: &Line| l.answered_at.is_none() && !l.is_over();
                let Some(at) = self.line(*n, meant) else { return };
                let next = match self.carrier.lines[at].progress {
                    Progress::Queued | Progress::Initiated => Progress::Ringing,
                    _ => Progress::Answered,
                };
                self.carrier.advance(at, next, self.now);
            }
            Step::Talk(n) => {
                let meant = |l: &Line| l.answered_at.is_some() && !l.is_over();
                let Some(at) = self.line(*n, meant) else { return };
                self.talk(at);
            }
            Step::Verdict(n, said) => {
                if let Some(at) = self.line(*n, |l| l.answered_at.is_some()) {
                    self.carrier.verdict(at, *said);
                }
            }
            Step::Forget(n) => {
                if let Some(at) = self.line(*n, |l| !l.is_over()) {
                    self.carrier.forget(at);
                }
            }
            Step::Mail(n, post) => self.mail(*n, *post),
            Step::Media(n, media) => self.media(*n, *media),
            Step::Campaign(n, move_) => self.on_campaign(*n, move_),
            Step::Person(n, move_) => self.on_person(*n, *move_),
            Step::Company(move_) => self.on_company(move_),
            Step::Hangup(n) => self.on_call(*n, call::Command::Hangup),
            Step::Annotate(n) => {
                let note =
                    call::Command::Annotate { note: Some(Sealed(vec![1].into())), flagged: Some(true) };
                self.on_call(*n, note);
            }
            Step::Place(n, plan, priority, not_before, from) => {
                let at = not_before.map(|ms| self.now + ms);
                let mut order = self.order(*n, (**plan).clone(), at, *priority);
                order.from = from.map(|n| NUMBERS[usize::from(n) % NUMBERS.len()].to_owned());
                let owned = |number: &String| self.book.state.callers.iter().any(|c| c.number == *number);
                let strange = order.from.as_ref().is_some_and(|from| !owned(from));
                let placed = self.try_place(order);
                assert_eq!(placed.err(), strange.then_some(Rejection::NotACallerId));
            }
            Step::External(n, plan) => {
                let plan = Plan { carrier: Plan::EXTERNAL.into(), ..(**plan).clone() };
                let order = self.order(*n, plan, None, Priority::Normal);
                self.place(order);
            }
            Step::Report(n, move_) => self.on_external(*n, *move_),
        }
    }

    /// The dispatcher performs an order.
    pub fn perform(&mut self, order: Effect, answer: &Answer) {
        match order {
            Effect::Dial(order) => {
                let attempt = order.attempt;
                match answer {
                    Answer::Taken => {
                        let sid = self.carrier.take(attempt);
                        self.answer(attempt, DialOutcome::Accepted { sid });
                    }
                    Answer::Twice => {
                        let sid = self.carrier.take(attempt);
                        self.carrier.take(attempt);
                        self.answer(attempt, DialOutcome::Accepted { sid });
                    }
                    Answer::Refused(reason) => {
                        let refusal = Refusal { reason: *reason, code: 21_000 };
                        self.answer(attempt, DialOutcome::Refused(refusal));
                    }
                    Answer::Silence { told } => {
                        self.carrier.take(attempt);
                        if *told {
                            self.answer(attempt, DialOutcome::Unknown);
                        }
                    }
                    Answer::LostRequest { told } => {
                        if *told {
                            self.answer(attempt, DialOutcome::Unknown);
                        }
                    }
                }
            }
            Effect::Instruct { sid, instruction, .. } => {
                if !matches!(answer, Answer::LostRequest { .. }) {
                    let over = self.carrier.line(&sid).is_none_or(|l| l.is_over());
                    match instruction {
                        _ if over => {}
                        Instruction::Hangup => self.carrier.hang_up(&sid, self.now),
                        // The message is said, then the carrier hangs up: the walk ends it.
                        Instruction::SayAndHangup { .. } | Instruction::PlayAndHangup { .. } => {}
                    }
                }
            }
            Effect::Fetch { attempt, sid, .. } => {
                if matches!(answer, Answer::LostRequest { .. }) {
                    return;
                }
                let now = self.now;
                let command = match self.carrier.line(&sid).filter(|l| l.attempt == attempt && !l.forgotten) {
                    Some(line) => {
                        let report = line.report(now);
                        call::Command::Reported { attempt: attempt.number, report }
                    }
                    None => call::Command::Missing { attempt: attempt.number, sid },
                };
                self.tell(Entity::call(attempt.company, attempt.call), command).expect("taken");
            }
            Effect::Find { attempt, .. } => {
                let now = self.now;
                let report = match answer {
                    Answer::LostRequest { .. } => return,
                    // The list lags behind.
                    Answer::Silence { .. } => None,
                    _ => self
                        .carrier
                        .lines
                        .iter()
                        .find(|l| l.attempt == attempt && !l.forgotten)
                        .map(|l| l.report(now)),
                };
                let command = call::Command::Found { attempt: attempt.number, report };
                self.tell(Entity::call(attempt.company, attempt.call), command).expect("taken");
            }
            Effect::Send { .. } => unreachable!("messages travel in lanes"),
        }
    }

    pub fn mail(&mut self, n: u16, post: Post) {
        if self.carrier.mail.is_empty() {
            return;
        }
        let at = usize::from(n) % self.carrier.mail.len();
        let (attempt, command) = match post {
            Post::Arrives | Post::IsLost => self.carrier.mail.remove(at),
            Post::ArrivesAndComesAgain => self.carrier.mail[at].clone(),
        };
        if !matches!(post, Post::IsLost) {
            self.tell(Entity::call(attempt.company, attempt.call), command).expect("a callback is taken");
        }
    }

    /// One of the lines that are meant, or now and then another.
    fn line(&mut self, n: u16, meant: impl Fn(&Line) -> bool) -> Option<usize> {
        let any = self.random().is_multiple_of(8);
        let lines = self.carrier.lines.iter().enumerate();
        let meant: Vec<usize> = lines.filter(|(_, l)| any || meant(l)).map(|(at, _)| at).collect();
        pick(&meant, n).copied()
    }

    fn talk(&mut self, at: usize) {
        self.media_of(at, Media::Document { again: false });
        self.media_of(at, Media::Open);
    }

    fn media(&mut self, n: u16, media: Media) {
        let meant = |l: &Line| match media {
            Media::Document { .. } => l.answered_at.is_some() && !l.is_over(),
            Media::Open | Media::OpenUnnamed => {
                matches!(l.document, Some(Document::Stream { .. })) && !l.is_over()
            }
            _ => l.media.is_some(),
        };
        if let Some(at) = self.line(n, meant) {
            self.media_of(at, media);
        }
    }

    fn media_of(&mut self, at: usize, media: Media) {
        let line = self.carrier.lines[at].clone();
        let (attempt, sid, now) = (line.attempt.number, line.sid.clone(), self.now);
        let call = Entity::call(line.attempt.company, line.attempt.call);
        let closed = |generation, end| call::Command::MediaClosed { attempt, generation, end };
        match media {
            Media::Document { again } if line.answered_at.is_some() && !line.is_over() => {
                let command = if again {
                    // Its media socket has closed, whether or not anybody here could say so.
                    self.carrier.lines[at].media = None;
                    call::Command::Reattach { attempt, sid, generation: line.offered }
                } else {
                    call::Command::Document { attempt, sid, again: false }
                };
                let reply = self.tell(call, command).expect("taken");
                let Reply::Call(call::Reply::Document(document)) = reply else { panic!("{reply:?}") };
                self.carrier.lines[at].document = Some(document);
                match document {
                    Document::Hangup => self.carrier.advance(at, Progress::Ended(End::Completed), now),
                    Document::Stream { generation } => {
                        assert!(generation > line.granted, "{generation} is stale before it is used");
                        self.carrier.lines[at].offered = generation;
                    }
                    Document::Connect => panic!("no generation"),
                }
            }
            Media::Open | Media::OpenUnnamed if line.offered > 0 && !line.is_over() => {
                let generation = line.offered;
                let command = match media {
                    Media::Open => call::Command::Attach { attempt, sid, generation },
                    _ => call::Command::MediaOpened { attempt, sid },
                };
                let reply = self.tell(call, command).expect("taken");
                let Reply::Call(call::Reply::Media(grant)) = reply else { panic!("{reply:?}") };
                if let MediaGrant::Go(conversation) = grant {
                    let granted = conversation.generation;
                    assert!(granted > line.granted, "one generation, one conversation: {granted}");
                    self.carrier.lines[at].granted = granted;
                    self.carrier.lines[at].media = Some(granted);
                }
            }
            Media::Say(turns) => {
                let Some(generation) = line.media else { return };
                let turn = SaidTurn { at: now, speaker: Speaker::Agent, text: Sealed(vec![9].into()) };
                let turns = vec![turn; usize::from(turns % 4)];
                self.tell(call, call::Command::Said { attempt, generation, turns }).expect("taken");
            }
            Media::CloseAgent | Media::CloseCarrier | Media::CloseNode => {
                let Some(generation) = line.media else { return };
                let end = match media {
                    Media::CloseAgent => MediaEnd::Agent(AgentEnd::Finished),
                    Media::CloseCarrier => MediaEnd::Carrier,
                    _ => MediaEnd::Node,
                };
                self.carrier.lines[at].media = None;
                self.tell(call, closed(generation, end)).expect("taken");
            }
            Media::Stale => {
                let stale = line.media.unwrap_or(1).saturating_sub(1);
                self.tell(call, closed(stale, MediaEnd::Carrier)).expect("taken");
            }
            Media::Record => {
                let recording = RecordingReport {
                    sid: format!("RE{at:04}"),
                    status: RecordingStatus::Completed,
                    duration_s: Some(3),
                    channels: Some(2),
                };
                self.tell(call, call::Command::Recorded { attempt, sid, recording }).expect("taken");
            }
            Media::Document { .. } | Media::Open | Media::OpenUnnamed => {}
        }
    }

    fn on_campaign(&mut self, n: u8, move_: &OnCampaign) {
        let ids: Vec<_> = self.campaigns.keys().copied().collect();
        let Some(id) = pick(&ids, u16::from(n)).copied() else { return };
        let command = match move_ {
            OnCampaign::Start => campaign::Command::Start,
            OnCampaign::Pause => campaign::Command::Pause { reason: Reason::Operator },
            OnCampaign::Resume => campaign::Command::Resume,
            OnCampaign::Stop => campaign::Command::Stop,
            OnCampaign::Add(people) => campaign::Command::AddContacts {
                contacts: people.iter().map(|(n, p)| contact(*n, *p)).collect(),
            },
            // Single calls are configured by their company.
            OnCampaign::Configure(_) if self.campaigns[&id].state.direct => return,
            OnCampaign::Configure(config) => {
                campaign::Command::Configure { config: config.clone(), from: None }
            }
            OnCampaign::Tick => campaign::Command::Tick,
        };
        // Refusals are named, and change nothing.
        let _ = self.tell_campaign(id, command);
    }

    fn on_person(&mut self, n: u8, move_: OnPerson) {
        let command = match move_ {
            OnPerson::DoNotCall => customer::Command::DoNotCall { source: DncSource::Operator, call: None },
            OnPerson::Allow => customer::Command::AllowCalls,
            OnPerson::Consent => customer::Command::Consent { basis: ConsentBasis::Written },
            OnPerson::Revoke => customer::Command::RevokeConsent,
        };
        self.tell_customer(person(n), command).expect("taken");
    }

    fn on_company(&mut self, move_: &OnCompany) {
        let command = match move_ {
            OnCompany::Close => company::Command::Close { reason: "stopped".into() },
            OnCompany::Open => company::Command::Open,
            OnCompany::Limits(limits) => company::Command::Update {
                settings: Box::new(Update { limits: Some(*limits), ..Update::default() }),
                from: None,
            },
            OnCompany::Callers(callers) => {
                let mut numbers: Vec<Caller> = Vec::new();
                for (n, limits) in callers {
                    let number = NUMBERS[usize::from(*n) % NUMBERS.len()].to_owned();
                    if numbers.iter().all(|c| c.number != number) {
                        numbers.push(Caller { number, limits: *limits });
                    }
                }
                company::Command::Update {
                    settings: Box::new(Update { callers: Some(numbers), ..Update::default() }),
                    from: None,
                }
            }
            OnCompany::SingleCalls(config) => company::Command::Update {
                settings: Box::new(Update { single_calls: Some((**config).clone()), ..Update::default() }),
                from: None,
            },
        };
        self.tell_company(command).expect("taken");
    }

    fn on_call(&mut self, n: u16, command: call::Command) {
        let ids: Vec<_> = self.calls.keys().copied().collect();
        if let Some(id) = pick(&ids, n) {
            self.tell_call(*id, command).expect("taken");
        }
    }

    fn on_external(&mut self, n: u16, move_: OnExternal) {
        let ids: Vec<_> =
            self.calls.iter().filter(|(_, k)| k.state.plan.is_external()).map(|(id, _)| *id).collect();
        let Some(id) = pick(&ids, n).copied() else { return };
        let attempt = self.call(id).attempt;
        let step = match move_ {
            OnExternal::Begin => CarrierStep::Begin { from: NUMBERS[usize::from(n) % NUMBERS.len()].into() },
            OnExternal::Ringing => CarrierStep::Ringing { attempt },
            OnExternal::Answered(answered_by) => CarrierStep::Answered { attempt, answered_by },
            OnExternal::Talking => CarrierStep::Talking { attempt },
            OnExternal::Ended(outcome) => CarrierStep::Ended { attempt, outcome },
        };
        let _ = self.tell_call(id, call::Command::Step(step));
    }
}
