//! Commands of every kind with any content, half of it taken from what there is: for the question
//! whether a machine has an answer to everything.

use super::World;
use super::draw::VERDICTS;
use super::setup::{NUMBERS, contact, limits, owned, person, phone, place, plain};
use tandem_domain::agent::{AgentEnd, Speaker};
use tandem_domain::call::{self, CarrierStep, Direction, MediaEnd, Plan, SaidTurn, Verdict};
use tandem_domain::campaign::{self, Reason, Trouble, direct};
use tandem_domain::carrier::{
    Cause, DialOutcome, End, InstructionOutcome, Progress, RecordingReport, RecordingStatus, Refusal,
    RefusalReason, Report,
};
use tandem_domain::company::{self, CallerShare, Join, Leave, NewKey, Share, Update};
use tandem_domain::customer::{self, CallEnded, Enrich, Recognise, Status};
use tandem_domain::dial::Bar;
use tandem_domain::id::{CallId, CampaignId};
use tandem_domain::retry::{Disposition, Outcome};
use tandem_domain::row::{ConsentBasis, DncSource, Priority};
use tandem_domain::sealed::Sealed;
use tandem_domain::time::{DAY, HOUR, Millis};
use uuid::Uuid;

/// Kinds of command there are of each machine.
pub const OF_CALL: u64 = 24;
pub const OF_CAMPAIGN: u64 = 13;
pub const OF_CUSTOMER: u64 = 9;
pub const OF_COMPANY: u64 = 10;

impl World {
    fn any<T: Clone>(&mut self, of: &[T]) -> T {
        let n = self.random();
        of[(n % of.len() as u64) as usize].clone()
    }

    fn number(&mut self) -> u32 {
        let n = self.random() as u32;
        self.any(&[0, 1, 2, 3, 20, n, u32::MAX - 1, u32::MAX])
    }

    fn time(&mut self) -> Millis {
        let now = self.now;
        self.any(&[i64::MIN / 4, -1, 0, now - DAY, now - 1, now, now + 1, now + HOUR, i64::MAX / 4])
    }

    fn sid(&mut self) -> String {
        let mut sids: Vec<String> = self.carrier.lines.iter().map(|l| l.sid.clone()).collect();
        sids.extend(["".into(), "CAnobody".into()]);
        self.any(&sids)
    }

    fn attempt_of(&mut self, s: &call::State) -> u16 {
        self.any(&[
            0,
            s.attempt,
            s.attempt,
            s.attempt,
            s.attempt.wrapping_sub(1),
            s.attempt.wrapping_add(1),
            u16::MAX,
        ])
    }

    fn report(&mut self) -> Report {
        let progress = self.any(&[
            Progress::Queued,
            Progress::Initiated,
            Progress::Ringing,
            Progress::Answered,
            Progress::Ended(End::Completed),
            Progress::Ended(End::Busy),
            Progress::Ended(End::NoAnswer),
            Progress::Ended(End::Canceled),
            Progress::Ended(End::Failed(Cause::InvalidNumber)),
            Progress::Ended(End::Failed(Cause::Carrier)),
        ]);
        let said = self.any(&VERDICTS);
        Report {
            sid: self.sid(),
            progress,
            sequence: None,
            at: Some(self.time()),
            answered_by: self.any(&[None, Some(said)]),
            sip_code: None,
            duration_s: self.any(&[None, Some(0), Some(7), Some(u32::MAX)]),
        }
    }

    fn a_plan(&mut self) -> Plan {
        let external = Plan { carrier: Plan::EXTERNAL.into(), ..plain().plan };
        let wrong = Plan { ring_timeout_s: 1, ..plain().plan };
        self.any(&[plain().plan, external, wrong])
    }

    fn a_config(&mut self) -> campaign::Config {
        let nobody = campaign::Config { callers: Vec::new(), ..plain() };
        let all = campaign::Config { callers: NUMBERS.map(String::from).to_vec(), ..plain() };
        let wrong = campaign::Config { gap_ms: -1, ..plain() };
        self.any(&[plain(), plain(), nobody, all, wrong])
    }

    fn a_campaign(&mut self) -> CampaignId {
        let mut ids: Vec<_> = self.campaigns.keys().copied().collect();
        ids.push(direct(self.company));
        ids.push(CampaignId::from_bytes([77; 16]));
        self.any(&ids)
    }

    fn a_call(&mut self) -> CallId {
        let mut ids: Vec<_> = self.calls.keys().copied().collect();
        ids.push(CallId(Uuid::from_u128(5)));
        self.any(&ids)
    }

    fn step_of(&mut self, s: &call::State) -> CarrierStep {
        let attempt = self.attempt_of(s);
        let said = self.any(&VERDICTS);
        let outcome = self.any(&Outcome::ALL);
        let answered_by = self.any(&[None, Some(said)]);
        let caller = self.any(&["", NUMBERS[0], "+12025550199"]).to_owned();
        self.any(&[
            CarrierStep::Begin { from: caller },
            CarrierStep::Ringing { attempt },
            CarrierStep::Answered { attempt, answered_by },
            CarrierStep::Talking { attempt },
            CarrierStep::Ended { attempt, outcome },
        ])
    }

    /// The `kind`-th kind of command to a call that is in this state.
    pub fn any_call_command(&mut self, kind: u64, s: &call::State) -> call::Command {
        use call::Command as C;
        let attempt = self.attempt_of(s);
        let sid = self.sid();
        let n = self.random() as u8;
        match kind % OF_CALL {
            0 => {
                let plan = self.a_plan();
                let campaign = self.any(&[None, s.campaign, Some(direct(self.company))]);
                let not_before = self.time();
                let mut order = self.order(n, plan, Some(not_before), Priority::Low);
                order.from =
                    self.any(&[None, None, Some(NUMBERS[0].to_owned()), Some("+12025550199".to_owned())]);
                order.campaign = self.any(&[campaign, order.campaign, order.campaign]);
                order.new_key = self.any(&[None, Some(vec![1])]);
                C::Place(Box::new(order))
            }
            1 => {
                let new = contact(n, Priority::Normal);
                let contact = tandem_domain::row::Contact {
                    customer: person(n),
                    phone: phone(n),
                    last4: new.last4,
                    place: place(n),
                    priority: new.priority,
                    person: None,
                    line: 0,
                    added_at: 0,
                };
                let first = Some(Box::new(call::First { contact, plan: self.a_plan() }));
                let stranger = self.a_campaign();
                C::Begin(call::Begin {
                    campaign: self.any(&[s.campaign.unwrap_or(stranger), stranger]),
                    contact: self.any(&[s.contact.unwrap_or(0), 0, 7, u32::MAX]),
                    first: self.any(&[None, first]),
                    from: NUMBERS[0].into(),
                    milli_cps: [self.number(), self.number(), self.number()],
                })
            }
            2 => C::Step(self.step_of(s)),
            3 => C::Dialed { attempt, outcome: DialOutcome::Accepted { sid } },
            4 => {
                let reason = self.any(&[
                    RefusalReason::InvalidNumber,
                    RefusalReason::Unreachable,
                    RefusalReason::Blocked,
                    RefusalReason::CallerId,
                    RefusalReason::Account,
                    RefusalReason::Configuration,
                    RefusalReason::RateLimited { retry_after_ms: Some(u32::MAX) },
                    RefusalReason::Overloaded,
                    RefusalReason::Other,
                ]);
                let code = self.number();
                C::Dialed { attempt, outcome: DialOutcome::Refused(Refusal { reason, code }) }
            }
            5 => C::Dialed { attempt, outcome: DialOutcome::Unknown },
            6..=8 => C::Reported { attempt, report: self.report() },
            9 => {
                let report = self.report();
                C::Found { attempt, report: self.any(&[None, Some(report)]) }
            }
            10 => C::Missing { attempt, sid },
            11 => C::Amd { attempt, sid, answered_by: self.any(&VERDICTS) },
            12 => {
                let status = self.any(&[
                    RecordingStatus::InProgress,
                    RecordingStatus::Completed,
                    RecordingStatus::Absent,
                ]);
                let recording =
                    RecordingReport { sid: "RE1".into(), status, duration_s: None, channels: None };
                C::Recorded { attempt, sid, recording }
            }
            13 => C::Instructed { attempt, outcome: InstructionOutcome::Refused { code: 1 } },
            14 => C::Document { attempt, sid, again: self.any(&[true, false]) },
            15 => C::MediaOpened { attempt, sid },
            16 => {
                let end = self.any(&[
                    MediaEnd::Carrier,
                    MediaEnd::Node,
                    MediaEnd::Agent(AgentEnd::Finished),
                    MediaEnd::Agent(AgentEnd::Dropped { code: 1006 }),
                ]);
                C::MediaClosed { attempt, generation: self.number(), end }
            }
            17 => {
                let at = self.time();
                let turn = SaidTurn { at, speaker: Speaker::Caller, text: Sealed(vec![1].into()) };
                let turns = self.any(&[0, 1, 3, 101]);
                C::Said { attempt, generation: self.number(), turns: vec![turn; turns] }
            }
            18 => C::Hangup,
            19 => {
                let bytes = self.any(&[1, 20_000]);
                C::Annotate { note: Some(Sealed(vec![1; bytes].into())), flagged: Some(true) }
            }
            20 => C::Annotate { note: None, flagged: None },
            21 => C::Reattach { attempt, sid, generation: self.number() },
            22 => C::Attach { attempt, sid, generation: self.number() },
            _ => C::Tick,
        }
    }

    fn a_share(&mut self, s: &campaign::State) -> Share {
        let caller = CallerShare {
            concurrency: self.number(),
            milli_cps: self.number(),
            quota: self.number(),
            whole_milli_cps: [self.number(), self.number()],
        };
        let known = s.share.as_ref().map_or(1, |x| x.version);
        let session = u64::from(s.session) << 40;
        Share {
            version: self.any(&[0, known, known + 1, session | 9_999, u64::MAX]),
            concurrency: self.number(),
            milli_cps: self.number(),
            day: self.any(&[0, s.day, s.day + 1, i32::MAX, i32::MIN]),
            quota: self.number(),
            callers: vec![caller; (self.random() % 5) as usize],
            at: self.time(),
        }
    }

    fn contact_no(&mut self, s: &campaign::State) -> u32 {
        self.any(&[0, 1, 2, s.next_no.saturating_sub(1), s.next_no, u32::MAX])
    }

    /// The `kind`-th kind of command to a campaign that is in this state.
    pub fn any_campaign_command(&mut self, kind: u64, s: &campaign::State) -> campaign::Command {
        use campaign::Command as C;
        let n = self.random() as u8;
        let (contact_no, call, at) = (self.contact_no(s), self.a_call(), self.time());
        let verdict =
            self.any(&[Verdict::Unknown, Verdict::Human, Verdict::Fax, Verdict::Machine { beep: true }]);
        let outcome = self.any(&Outcome::ALL);
        match kind % OF_CAMPAIGN {
            0 => {
                let config = Box::new(self.a_config());
                let name = self.any(&["", "a campaign"]).to_owned();
                C::Create { name, config, direct: self.any(&[false, true]) }
            }
            1 => C::Configure { config: Box::new(self.a_config()), from: None },
            2 => {
                let mut one = contact(n, Priority::High);
                one.new_key = self.any(&[None, Some(vec![1])]);
                let many = self.any(&[0, 1, 2, 251]);
                C::AddContacts { contacts: vec![one; many] }
            }
            3 => C::Enqueue {
                call,
                customer: person(n),
                phone: phone(n),
                last4: [0; 4],
                place: place(n),
                priority: Priority::Normal,
                from: self.any(&[None, Some(NUMBERS[1].to_owned())]),
                due: at,
            },
            4 => C::Start,
            5 => C::Pause { reason: self.any(&[Reason::Operator, Reason::CallerId { code: 1 }]) },
            6 => C::Resume,
            7 => C::Stop,
            8 => C::Share(Box::new(self.a_share(s))),
            9 => C::Declined(Box::new(campaign::Declined {
                contact: contact_no,
                call,
                place: place(n),
                priority: Priority::Normal,
                attempts: 1,
                from: self.any(&[None, Some(NUMBERS[0].to_owned())]),
                until: at,
                bar: self.any(&[Bar::CompanyClosed, Bar::AlreadyLive, Bar::DoNotCall]),
                fresh: self.any(&[true, false]),
            })),
            10 => C::Released(Box::new(campaign::Released {
                contact: contact_no,
                call,
                place: place(n),
                priority: Priority::Normal,
                attempts: u16::MAX,
                from: self.any(&[None, Some(NUMBERS[0].to_owned())]),
                retry_at: at,
                outcome,
                verdict,
                counted: self.any(&[true, false]),
                trouble: self.any(&[
                    None,
                    Some(Trouble::Account),
                    Some(Trouble::CallerId),
                    Some(Trouble::Configuration),
                    Some(Trouble::Busy { until: at }),
                ]),
                code: self.number(),
            })),
            11 => C::Finished(Box::new(campaign::Finished {
                contact: self.any(&[None, Some(contact_no)]),
                call,
                priority: Priority::Normal,
                queued_at: self.any(&[None, Some(at)]),
                disposition: self.any(&Disposition::ALL),
                attempts: 1,
                talk_ms: at,
                verdict,
                outcome: self.any(&[None, Some(outcome)]),
            })),
            _ => C::Tick,
        }
    }

    pub fn any_customer_command(&mut self, kind: u64) -> customer::Command {
        use customer::Command as C;
        let n = self.random() as u8;
        let (call, at) = (self.a_call(), self.time());
        let source = self.any(&[DncSource::OptOut, DncSource::List]);
        match kind % OF_CUSTOMER {
            0 => C::Recognise(Box::new(Recognise {
                call,
                phone: phone(n),
                last4: [0; 4],
                new_key: self.any(&[None, Some(vec![1])]),
            })),
            1 => C::CallEnded(Box::new(CallEnded {
                call,
                phone: phone(n),
                last4: [0; 4],
                direction: Direction::Inbound,
                disposition: self.any(&Disposition::ALL),
                attempts: 1,
                started_at: at,
                talk_ms: at,
            })),
            2 => {
                let tag = "t".repeat(self.any(&[0, 1, 50, 51]));
                let many = self.any(&[0, 20, 21]);
                let bytes = self.any(&[1, 2_001]);
                C::Enrich(Box::new(Enrich {
                    status: self.any(&[None, Some(Status::Absent), Some(Status::Customer)]),
                    person: Some(Sealed(vec![0; bytes].into())),
                    person_from: None,
                    tags: Some(vec![tag; many]),
                }))
            }
            3 => C::DoNotCall { source, call: Some(call) },
            4 => C::AllowCalls,
            5 => C::Consent { basis: ConsentBasis::Oral },
            6 => C::RevokeConsent,
            7 => {
                let bytes = self.any(&[1, 20_000]);
                C::Note { text: Sealed(vec![0; bytes].into()) }
            }
            _ => C::Get,
        }
    }

    pub fn any_company_command(&mut self, kind: u64) -> company::Command {
        use company::Command as C;
        let campaign = self.a_campaign();
        let loan = self.book.state.loans.get(&campaign).cloned();
        let key = NewKey { key_id: [self.any(&[1, 2]); 8], hash: [0; 32], name: "k".into(), scopes: 1 };
        let many = self.any(&[0, 1, 3, 65]);
        let numbers: Vec<String> = (0..many).map(|n| format!("+1202555{n:04}")).collect();
        let lim = limits(self.any(&[0, 1, 9, u32::MAX]), self.any(&[0, 100, u32::MAX]), self.number());
        let update = Update {
            limits: self.any(&[None, Some(lim)]),
            callers: self.any(&[None, Some(owned(&[lim])), Some(vec![company::Caller::default()])]),
            single_calls: None,
        };
        match kind % OF_COMPANY {
            0 => C::Create {
                name: self.any(&["", "company"]).into(),
                secrets: vec![1],
                settings: Box::new(update),
                key: self.any(&[None, Some(key)]),
            },
            1 => C::Update { settings: Box::new(update), from: None },
            2 => C::AddKey(key),
            3 => C::RevokeKey { key_id: key.key_id },
            4 => C::Close { reason: self.any(&["", "checked"]).into() },
            5 => C::Open,
            6 => C::Join(Box::new(Join {
                campaign,
                concurrency: self.number(),
                milli_cps: self.number(),
                callers: numbers,
                used_today: self.number(),
                callers_today: vec![self.number(); (self.random() % 4) as usize],
                day: self.any(&[0, self.book.state.day, i32::MAX]),
                in_use: vec![self.number(); (self.random() % 4) as usize],
                session: self.number(),
                idle: self.any(&[true, false]),
            })),
            7 => C::Leave(Box::new(Leave {
                campaign,
                day: self.any(&[0, self.book.state.day, i32::MAX]),
                used_today: self.number(),
                callers_today: vec![self.number(); (self.random() % 4) as usize],
            })),
            8 => C::Shared {
                campaign,
                version: self.any(&[0, loan.map_or(1, |l| l.version), u64::MAX]),
                in_use: vec![self.number(); (self.random() % 5) as usize],
            },
            _ => C::Get,
        }
    }
}
