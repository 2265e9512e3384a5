//! How the steps of a random walk are drawn: often what gets a company on, seldom what stops it.

use super::setup::{any_config, any_limits, any_plan, any_priority};
use super::step::{Answer, Media, OnCampaign, OnCompany, OnExternal, OnPerson, Post, Step};
use proptest::prelude::*;
use tandem_domain::carrier::{AnsweredBy, Cause, End, Progress, RefusalReason};
use tandem_domain::retry::Outcome;
use tandem_domain::time::{DAY, HOUR, MINUTE, SECOND};

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
        20 => Just(Answer::Taken),
        3 => any_refusal().prop_map(Answer::Refused),
        2 => any::<bool>().prop_map(|told| Answer::Silence { told }),
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
        1 => Just(Media::OpenUnnamed),
        2 => any::<u8>().prop_map(Media::Say),
        1 => Just(Media::CloseAgent),
        1 => Just(Media::CloseCarrier),
        2 => Just(Media::CloseNode),
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
        2 => any_config().prop_map(|c| OnCampaign::Configure(Box::new(c))),
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
        5 => Just(Step::Flow),
        6 => any::<u16>().prop_map(Step::Tick),
        8 => Just(Step::TickDue),
        8 => pass.prop_map(Step::Pass),
        4 => Just(Step::PassToWakeup),
        22 => (any::<u16>(), any_answer()).prop_map(|(n, a)| Step::Perform(n, a)),
        8 => (any::<u16>(), any_progress()).prop_map(|(n, p)| Step::Advance(n, p)),
        14 => any::<u16>().prop_map(Step::Onward),
        8 => any::<u16>().prop_map(Step::Talk),
        1 => any::<u16>().prop_map(Step::Forget),
        4 => (any::<u16>(), prop::sample::select(VERDICTS.to_vec())).prop_map(|(n, v)| Step::Verdict(n, v)),
        16 => (any::<u16>(), post).prop_map(|(n, p)| Step::Mail(n, p)),
        14 => (any::<u16>(), any_media()).prop_map(|(n, m)| Step::Media(n, m)),
        3 => (any::<u8>(), any_on_campaign()).prop_map(|(n, m)| Step::Campaign(n, Box::new(m))),
        2 => (any::<u8>(), on_person).prop_map(|(n, m)| Step::Person(n, m)),
        1 => any_on_company().prop_map(Step::Company),
        2 => any::<u16>().prop_map(Step::Hangup),
        1 => any::<u16>().prop_map(Step::Annotate),
        2 => (any::<u8>(), any_plan(), any_priority(), not_before, prop::option::weighted(0.4, any::<u8>()))
            .prop_map(|(n, p, priority, at, from)| Step::Place(n, Box::new(p), priority, at, from)),
        1 => (any::<u8>(), any_plan()).prop_map(|(n, p)| Step::External(n, Box::new(p))),
        2 => (any::<u16>(), any_on_external()).prop_map(|(n, m)| Step::Report(n, m)),
    ]
}
