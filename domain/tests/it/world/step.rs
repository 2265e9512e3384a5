//! What may happen to a company: the steps of a random walk. Each names its object by a number
//! that is taken modulo what there is, so that a shortened walk still means something.

use super::World;
use super::setup::{NUMBERS, any_config, any_limits, any_plan, any_priority, contact, person};
use proptest::prelude::*;
use tandem_domain::agent::{AgentEnd, Speaker};
use tandem_domain::call::{self, CarrierStep, Document, MediaEnd, MediaGrant, Plan, SaidTurn};
use tandem_domain::campaign::{self, Config, Limits, Reason};
use tandem_domain::carrier::{
    AnsweredBy, Cause, DialOutcome, End, Instruction, Progress, RecordingReport, RecordingStatus, Refusal,
    RefusalReason,
};
use tandem_domain::company::{self, Caller, Update};
use tandem_domain::customer;
use tandem_domain::effect::{Effect, Reply};
use tandem_domain::id::Entity;
use tandem_domain::retry::Outcome;
use tandem_domain::row::{ConsentBasis, DncSource, Priority};
use tandem_domain::sealed::Sealed;
use tandem_domain::time::{DAY, HOUR, MINUTE, Millis, SECOND};

#[derive(Clone, Debug)]
pub enum Step {
    /// The oldest message of a pair is taken.
    Deliver(u16),
    /// Several, so that walks get somewhere.
    DeliverSome(u8),
    Tick(u16),
    TickDue,
    Pass(Millis),
    /// To the next timer.
    PassToWakeup,
    Perform(u16, Answer),
    Advance(u16, Progress),
    Verdict(u16, AnsweredBy),
    Mail(u16, Post),
    Media(u16, Media),
    Campaign(u8, Box<OnCampaign>),
    Person(u8, OnPerson),
    Company(OnCompany),
    Hangup(u16),
    Annotate(u16),
    Place(u8, Box<Plan>, Priority, Option<Millis>),
    External(u8, Box<Plan>),
    Report(u16, OnExternal),
}

/// What becomes of an order to the carrier.
#[allow(clippy::enum_variant_names, reason = "an answer that is lost is what it is")]
#[derive(Clone, Debug)]
pub enum Answer {
    Taken,
    Refused(RefusalReason),
    /// The call exists and its answer was lost; or not even that is told.
    LostAnswer {
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
    Document { again: bool },
    Open,
    Say(u8),
    CloseAgent,
    CloseCarrier,
    CloseNode,
    Stale,
    Record,
}

#[allow(clippy::large_enum_variant, reason = "made a few hundred times")]
#[derive(Clone, Debug)]
pub enum OnCampaign {
    Start,
    Pause,
    Resume,
    Stop,
    Add(Vec<(u8, Priority)>),
    Configure(Config),
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
                if !self.carrier.lines.is_empty() {
                    let at = usize::from(*n) % self.carrier.lines.len();
                    self.carrier.advance(at, *to, self.now);
                }
            }
            Step::Verdict(n, said) => {
                if !self.carrier.lines.is_empty() {
                    let at = usize::from(*n) % self.carrier.lines.len();
                    self.carrier.verdict(at, *said);
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
            Step::Place(n, plan, priority, not_before) => {
                let order = self.order(*n, (**plan).clone(), not_before.map(|ms| self.now + ms), *priority);
                self.place(order);
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
                    Answer::LostAnswer { told } => {
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
                let command = match self.carrier.line(&sid).filter(|l| l.attempt == attempt) {
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
                    Answer::LostAnswer { .. } => None,
                    _ => self.carrier.lines.iter().find(|l| l.attempt == attempt).map(|l| l.report(now)),
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

    fn media(&mut self, n: u16, media: Media) {
        if self.carrier.lines.is_empty() {
            return;
        }
        let at = usize::from(n) % self.carrier.lines.len();
        let line = self.carrier.lines[at].clone();
        let (attempt, sid, now) = (line.attempt.number, line.sid.clone(), self.now);
        let call = Entity::call(line.attempt.company, line.attempt.call);
        let closed = |generation, end| call::Command::MediaClosed { attempt, generation, end };
        match media {
            Media::Document { again } if line.answered_at.is_some() && !line.is_over() => {
                let reply = self.tell(call, call::Command::Document { attempt, sid, again }).expect("taken");
                let Reply::Call(call::Reply::Document(document)) = reply else { panic!("{reply:?}") };
                self.carrier.lines[at].document = Some(document);
                if document == Document::Hangup {
                    self.carrier.advance(at, Progress::Ended(End::Completed), now);
                }
            }
            Media::Open if line.document == Some(Document::Connect) && !line.is_over() => {
                let reply = self.tell(call, call::Command::MediaOpened { attempt, sid }).expect("taken");
                let Reply::Call(call::Reply::Media(grant)) = reply else { panic!("{reply:?}") };
                if let MediaGrant::Go(conversation) = grant {
                    self.carrier.lines[at].media = Some(conversation.generation);
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
                    sid: format!("RE{n:04}"),
                    status: RecordingStatus::Completed,
                    duration_s: Some(3),
                    channels: Some(2),
                };
                self.tell(call, call::Command::Recorded { attempt, sid, recording }).expect("taken");
            }
            Media::Document { .. } | Media::Open => {}
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
                campaign::Command::Configure { config: Box::new(config.clone()) }
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
            OnCompany::Limits(limits) => {
                company::Command::Update(Box::new(Update { limits: Some(*limits), ..Update::default() }))
            }
            OnCompany::Callers(callers) => {
                let mut numbers: Vec<Caller> = Vec::new();
                for (n, limits) in callers {
                    let number = NUMBERS[usize::from(*n) % NUMBERS.len()].to_owned();
                    if numbers.iter().all(|c| c.number != number) {
                        numbers.push(Caller { number, limits: *limits });
                    }
                }
                company::Command::Update(Box::new(Update { callers: Some(numbers), ..Update::default() }))
            }
            OnCompany::SingleCalls(config) => company::Command::Update(Box::new(Update {
                single_calls: Some((**config).clone()),
                ..Update::default()
            })),
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
            OnExternal::Begin => CarrierStep::Begin { from: NUMBERS[0].into() },
            OnExternal::Ringing => CarrierStep::Ringing { attempt },
            OnExternal::Answered(answered_by) => CarrierStep::Answered { attempt, answered_by },
            OnExternal::Talking => CarrierStep::Talking { attempt },
            OnExternal::Ended(outcome) => CarrierStep::Ended { attempt, outcome },
        };
        let _ = self.tell_call(id, call::Command::Step(step));
    }
}

pub fn any_refusal() -> impl Strategy<Value = RefusalReason> {
    prop::sample::select(vec![
        RefusalReason::InvalidNumber,
        RefusalReason::Unreachable,
        RefusalReason::Blocked,
        RefusalReason::CallerId,
        RefusalReason::Account,
        RefusalReason::Configuration,
        RefusalReason::RateLimited { retry_after_ms: None },
        RefusalReason::RateLimited { retry_after_ms: Some(1_500) },
        RefusalReason::RateLimited { retry_after_ms: Some(u32::MAX) },
        RefusalReason::Overloaded,
        RefusalReason::Other,
    ])
}

pub fn any_answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        12 => Just(Answer::Taken),
        3 => any_refusal().prop_map(Answer::Refused),
        2 => any::<bool>().prop_map(|told| Answer::LostAnswer { told }),
        2 => any::<bool>().prop_map(|told| Answer::LostRequest { told }),
        1 => Just(Answer::Twice),
    ]
}

pub fn any_progress() -> impl Strategy<Value = Progress> {
    prop::sample::select(vec![
        Progress::Initiated,
        Progress::Ringing,
        Progress::Ringing,
        Progress::Answered,
        Progress::Answered,
        Progress::Answered,
        Progress::Ended(End::Completed),
        Progress::Ended(End::Completed),
        Progress::Ended(End::Busy),
        Progress::Ended(End::NoAnswer),
        Progress::Ended(End::Canceled),
        Progress::Ended(End::Failed(Cause::InvalidNumber)),
        Progress::Ended(End::Failed(Cause::Unreachable)),
        Progress::Ended(End::Failed(Cause::Blocked)),
        Progress::Ended(End::Failed(Cause::Carrier)),
        Progress::Ended(End::Failed(Cause::Unspecified)),
    ])
}

pub const VERDICTS: [AnsweredBy; 7] = [
    AnsweredBy::Human,
    AnsweredBy::MachineStart,
    AnsweredBy::MachineEndBeep,
    AnsweredBy::MachineEndSilence,
    AnsweredBy::MachineEndOther,
    AnsweredBy::Fax,
    AnsweredBy::Unknown,
];

fn any_media() -> impl Strategy<Value = Media> {
    prop_oneof![
        4 => any::<bool>().prop_map(|again| Media::Document { again }),
        4 => Just(Media::Open),
        2 => any::<u8>().prop_map(Media::Say),
        1 => Just(Media::CloseAgent),
        1 => Just(Media::CloseCarrier),
        1 => Just(Media::CloseNode),
        1 => Just(Media::Stale),
        1 => Just(Media::Record),
    ]
}

fn any_on_campaign() -> impl Strategy<Value = OnCampaign> {
    prop_oneof![
        2 => Just(OnCampaign::Start),
        2 => Just(OnCampaign::Pause),
        5 => Just(OnCampaign::Resume),
        1 => Just(OnCampaign::Stop),
        2 => prop::collection::vec((any::<u8>(), any_priority()), 0..4).prop_map(OnCampaign::Add),
        2 => any_config().prop_map(OnCampaign::Configure),
        1 => Just(OnCampaign::Tick),
    ]
}

fn any_on_company() -> impl Strategy<Value = OnCompany> {
    prop_oneof![
        1 => Just(OnCompany::Close),
        3 => Just(OnCompany::Open),
        3 => any_limits().prop_map(OnCompany::Limits),
        2 => prop::collection::vec((any::<u8>(), any_limits()), 0..4).prop_map(OnCompany::Callers),
        1 => any_config().prop_map(|c| OnCompany::SingleCalls(Box::new(c))),
    ]
}

fn any_on_external() -> impl Strategy<Value = OnExternal> {
    prop_oneof![
        3 => Just(OnExternal::Begin),
        1 => Just(OnExternal::Ringing),
        1 => prop::option::of(prop::sample::select(VERDICTS.to_vec())).prop_map(OnExternal::Answered),
        1 => Just(OnExternal::Talking),
        2 => prop::sample::select(Outcome::ALL.to_vec()).prop_map(OnExternal::Ended),
    ]
}

pub fn any_step() -> impl Strategy<Value = Step> {
    let not_before = prop::option::weighted(0.3, prop_oneof![Just(-HOUR), Just(MINUTE), Just(2 * DAY)]);
    let on_person = prop_oneof![
        Just(OnPerson::DoNotCall),
        Just(OnPerson::Allow),
        Just(OnPerson::Consent),
        Just(OnPerson::Revoke),
    ];
    let post = prop_oneof![
        6 => Just(Post::Arrives),
        2 => Just(Post::ArrivesAndComesAgain),
        1 => Just(Post::IsLost),
    ];
    let pass = prop_oneof![
        6 => 1..SECOND,
        4 => SECOND..MINUTE,
        2 => MINUTE..HOUR,
        1 => HOUR..DAY + HOUR,
    ];
    prop_oneof![
        20 => any::<u16>().prop_map(Step::Deliver),
        6 => (1..12u8).prop_map(Step::DeliverSome),
        6 => any::<u16>().prop_map(Step::Tick),
        8 => Just(Step::TickDue),
        8 => pass.prop_map(Step::Pass),
        4 => Just(Step::PassToWakeup),
        14 => (any::<u16>(), any_answer()).prop_map(|(n, a)| Step::Perform(n, a)),
        14 => (any::<u16>(), any_progress()).prop_map(|(n, p)| Step::Advance(n, p)),
        3 => (any::<u16>(), prop::sample::select(VERDICTS.to_vec())).prop_map(|(n, v)| Step::Verdict(n, v)),
        16 => (any::<u16>(), post).prop_map(|(n, p)| Step::Mail(n, p)),
        10 => (any::<u16>(), any_media()).prop_map(|(n, m)| Step::Media(n, m)),
        5 => (any::<u8>(), any_on_campaign()).prop_map(|(n, m)| Step::Campaign(n, Box::new(m))),
        2 => (any::<u8>(), on_person).prop_map(|(n, m)| Step::Person(n, m)),
        2 => any_on_company().prop_map(Step::Company),
        2 => any::<u16>().prop_map(Step::Hangup),
        1 => any::<u16>().prop_map(Step::Annotate),
        2 => (any::<u8>(), any_plan(), any_priority(), not_before)
            .prop_map(|(n, p, priority, at)| Step::Place(n, Box::new(p), priority, at)),
        1 => (any::<u8>(), any_plan()).prop_map(|(n, p)| Step::External(n, Box::new(p))),
        2 => (any::<u16>(), any_on_external()).prop_map(|(n, m)| Step::Report(n, m)),
    ]
}
