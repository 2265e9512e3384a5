//! Enums and records within stored values: walks need not meet all of their variants.

use super::{Stored, again};
use tandem_domain::agent::{AgentEnd, Speaker, Variable};
use tandem_domain::call::{CarrierStep, Direction, Document, MachineAction, MediaEnd, Verdict};
use tandem_domain::campaign::{Reason, Skip, Trouble};
use tandem_domain::carrier::{
    AnsweredBy, Cause, DialOutcome, End, Instruction, InstructionOutcome, Progress, RecordingStatus, Refusal,
    RefusalReason,
};
use tandem_domain::codec::encode;
use tandem_domain::dial::Bar;
use tandem_domain::effect::PaceKey;
use tandem_domain::id::{CampaignId, CompanyId, Kind};
use tandem_domain::retry::{Disposition, Outcome};
use tandem_domain::row::{ConsentBasis, DncSource, Person, Priority};
use tandem_domain::window::Weekday;

const COMPANY: CompanyId = CompanyId::from_bytes([1; 16]);

/// All variants, each with a value where it has fields. A new one does not compile until it is here.
macro_rules! part {
    ($name:literal, $type:ident, [$($variant:ident $(= $value:expr)?),* $(,)?]) => {
        Stored {
            name: $name,
            variants: &[$(stringify!($variant)),*],
            read: |b| again::<$type>(b, |value| match value {
                $($type::$variant { .. } => stringify!($variant)),*
            }),
            values: || vec![$((stringify!($variant), encode(&part!(@ $type, $variant $(, $value)?)))),*],
        }
    };
    (@ $type:ident, $variant:ident) => { $type::$variant };
    (@ $type:ident, $variant:ident, $value:expr) => { $value };
}

pub const PARTS: &[Stored] = &[
    part!("part-kind", Kind, [Call, Campaign, Customer, Company]),
    part!("part-direction", Direction, [Outbound, Inbound]),
    part!(
        "part-verdict",
        Verdict,
        [Unknown, LikelyHuman, LikelyMachine, Human, Machine = Verdict::Machine { beep: true }, Fax,]
    ),
    part!(
        "part-machine-action",
        MachineAction,
        [
            Continue,
            Hangup,
            LeaveMessage = MachineAction::LeaveMessage { text: "Hello.".into(), language: "en-US".into() },
        ]
    ),
    part!(
        "part-carrier-step",
        CarrierStep,
        [
            Begin = CarrierStep::Begin { from: "+12025550100".into() },
            Ringing = CarrierStep::Ringing { attempt: 1 },
            Answered = CarrierStep::Answered { attempt: 1, answered_by: Some(AnsweredBy::Human) },
            Talking = CarrierStep::Talking { attempt: 1 },
            Ended = CarrierStep::Ended { attempt: 1, outcome: Outcome::Busy },
        ]
    ),
    part!("part-media-end", MediaEnd, [Carrier, Agent = MediaEnd::Agent(AgentEnd::Finished), Node]),
    part!("part-document", Document, [Connect, Hangup, Stream = Document::Stream { generation: 2 }]),
    part!(
        "part-agent-end",
        AgentEnd,
        [
            Finished,
            Released,
            Dropped = AgentEnd::Dropped { code: 1006 },
            Refused = AgentEnd::Refused { code: 1008, kind: "missing_variable".into() },
        ]
    ),
    part!("part-speaker", Speaker, [Agent, Caller]),
    part!(
        "part-variable",
        Variable,
        [
            Text = Variable::Text("a text".into()),
            Number = Variable::Number(-1.5),
            Bool = Variable::Bool(true),
        ]
    ),
    part!(
        "part-campaign-reason",
        Reason,
        [
            Operator,
            CarrierAccount = Reason::CarrierAccount { code: 20_003 },
            CallerId = Reason::CallerId { code: 21_210 },
            CarrierConfiguration = Reason::CarrierConfiguration { code: 21_205 },
        ]
    ),
    part!(
        "part-trouble",
        Trouble,
        [Account, CallerId, Configuration, Busy = Trouble::Busy { until: 1_800_000_000_000 },]
    ),
    part!("part-skip", Skip, [Duplicate, KeyRace]),
    part!(
        "part-progress",
        Progress,
        [Queued, Initiated, Ringing, Answered, Ended = Progress::Ended(End::Completed),]
    ),
    part!("part-end", End, [Completed, Busy, NoAnswer, Canceled, Failed = End::Failed(Cause::Carrier)]),
    part!("part-cause", Cause, [InvalidNumber, Unreachable, Blocked, Carrier, Unspecified]),
    part!(
        "part-answered-by",
        AnsweredBy,
        [Human, MachineStart, MachineEndBeep, MachineEndSilence, MachineEndOther, Fax, Unknown,]
    ),
    part!(
        "part-dial-outcome",
        DialOutcome,
        [
            Accepted = DialOutcome::Accepted { sid: "CA1".into() },
            Refused = DialOutcome::Refused(Refusal { reason: RefusalReason::Other, code: 400 }),
            Unknown,
        ]
    ),
    part!(
        "part-refusal-reason",
        RefusalReason,
        [
            InvalidNumber,
            Unreachable,
            Blocked,
            CallerId,
            Account,
            Configuration,
            RateLimited = RefusalReason::RateLimited { retry_after_ms: Some(1_000) },
            Overloaded,
            Other,
        ]
    ),
    part!("part-recording-status", RecordingStatus, [InProgress, Completed, Absent]),
    part!(
        "part-instruction",
        Instruction,
        [
            Hangup,
            SayAndHangup = Instruction::SayAndHangup { text: "Bye.".into(), language: "en-US".into() },
            PlayAndHangup = Instruction::PlayAndHangup { url: "https://example.com/bye.wav".into() },
        ]
    ),
    part!(
        "part-instruction-outcome",
        InstructionOutcome,
        [Done, AlreadyEnded, Retry, Refused = InstructionOutcome::Refused { code: 21_220 },]
    ),
    part!(
        "part-bar",
        Bar,
        [
            CompanyClosed,
            NotRunning,
            DoNotCall,
            NoConsent,
            ZoneUnknown,
            OutsideHours = Bar::OutsideHours { until: 1_800_000_000_000 },
            HoursNotInSight = Bar::HoursNotInSight { until: 1_800_000_000_000 },
            HoursNever,
            TooSoon = Bar::TooSoon { until: 1_800_000_000_000 },
            AttemptsToday = Bar::AttemptsToday { until: 1_800_000_000_000 },
            AlreadyLive,
        ]
    ),
    part!(
        "part-pace-key",
        PaceKey,
        [
            Company = PaceKey::Company(COMPANY),
            Campaign = PaceKey::Campaign(CampaignId::from_bytes([2; 16])),
            CallerId = PaceKey::CallerId(COMPANY, "+12025550100".into()),
        ]
    ),
    part!(
        "part-outcome",
        Outcome,
        [
            Answered,
            Voicemail,
            Fax,
            Busy,
            NoAnswer,
            InvalidNumber,
            Unreachable,
            Blocked,
            CarrierFailure,
            Canceled,
            Lost,
            Rejected,
        ]
    ),
    part!(
        "part-disposition",
        Disposition,
        [
            Completed,
            Voicemail,
            VoicemailLeft,
            Busy,
            NoAnswer,
            Failed,
            InvalidNumber,
            DoNotCall,
            NoConsent,
            Canceled,
            Lost,
            Stopped,
            Expired,
            Fax,
            Blocked,
        ]
    ),
    part!("part-priority", Priority, [High, Normal, Low]),
    part!("part-dnc-source", DncSource, [OptOut, Operator, List]),
    part!("part-consent-basis", ConsentBasis, [Written, Oral, BusinessRelationship]),
    part!("part-weekday", Weekday, [Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday]),
    // What stands within `Sealed`, once it is opened.
    Stored {
        name: "part-person",
        variants: &["value"],
        read: |b| again::<Person>(b, |_| "value"),
        values: || {
            let variables = [("vip", Variable::Bool(true)), ("balance", Variable::Number(12.5))];
            let full = Person {
                name: Some("Ada".into()),
                email: Some("ada@example.com".into()),
                language: Some("en".into()),
                variables: variables.map(|(name, value)| (name.to_owned(), value)).into(),
            };
            vec![("value", encode(&Person::default())), ("value", encode(&full))]
        },
    },
];
