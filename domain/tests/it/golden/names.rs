//! The variants of what the machines store.

use tandem_domain::effect::Effect;
use tandem_domain::{call, campaign, company, customer};

/// The names of all variants, and which one a value is: a new one does not compile until it is
/// named here, and then it needs a line.
macro_rules! variants {
    ($list:ident, $of:ident, $type:ty, [$($name:ident),* $(,)?]) => {
        pub const $list: &[&str] = &[$(stringify!($name)),*];
        pub fn $of(value: &$type) -> &'static str {
            #[allow(unused_imports)]
            use $type as It;
            match value {
                $(It::$name { .. } => stringify!($name)),*
            }
        }
    };
}

variants!(
    CALL,
    call,
    call::What,
    [
        Created,
        Offered,
        AttemptStarted,
        Accepted,
        OutcomeUnknown,
        Initiated,
        Ringing,
        Answered,
        Judged,
        MediaOpened,
        MediaClosed,
        Said,
        MessageLeft,
        HangupRequested,
        CheckPlanned,
        Recorded,
        AttemptEnded,
        RetryPlanned,
        Ended,
        Annotated,
    ]
);
variants!(
    CAMPAIGN,
    campaign,
    campaign::What,
    [
        Created,
        Configured,
        Added,
        Phase,
        Shared,
        AskedForMore,
        Claimed,
        Declined,
        Released,
        Finished,
        Returned,
        BackedOff,
    ]
);
variants!(
    CUSTOMER,
    customer,
    customer::What,
    [Created, Recognised, CallEnded, Enriched, DoNotCall, CallsAllowed, Consented, ConsentRevoked, Noted,]
);
variants!(
    COMPANY,
    company,
    company::What,
    [Created, Updated, KeyAdded, KeyRevoked, Closed, Opened, Lent, Left,]
);
variants!(EFFECT, effect, Effect, [Dial, Instruct, Fetch, Find, Send]);
variants!(
    CALL_COMMAND,
    call_command,
    call::Command,
    [
        Place,
        Begin,
        Step,
        Dialed,
        Reported,
        Found,
        Missing,
        Amd,
        Recorded,
        Instructed,
        Document,
        MediaOpened,
        MediaClosed,
        Said,
        Hangup,
        Annotate,
        Tick,
        Reattach,
        Attach,
    ]
);
variants!(
    CAMPAIGN_COMMAND,
    campaign_command,
    campaign::Command,
    [
        Create,
        Configure,
        AddContacts,
        Enqueue,
        Start,
        Pause,
        Resume,
        Stop,
        Share,
        Declined,
        Released,
        Finished,
        Tick,
    ]
);
variants!(
    CUSTOMER_COMMAND,
    customer_command,
    customer::Command,
    [Recognise, CallEnded, Enrich, DoNotCall, AllowCalls, Consent, RevokeConsent, Note, Get,]
);
variants!(
    COMPANY_COMMAND,
    company_command,
    company::Command,
    [Create, Update, AddKey, RevokeKey, Close, Open, Join, Leave, Shared, Get,]
);
variants!(
    CALL_PHASE,
    call_phase,
    call::Phase,
    [Absent, Queued, Dispatching, Unknown, Initiated, Ringing, InProgress, Reattaching, Ended,]
);
variants!(
    CAMPAIGN_PHASE,
    campaign_phase,
    campaign::Phase,
    [Absent, Draft, Starting, Running, Pausing, Paused, Resuming, Stopping, Stopped, Completed, Failed,]
);
variants!(
    CUSTOMER_STATUS,
    customer_status,
    customer::Status,
    [Absent, Placeholder, Lead, Customer, Inactive, Churned,]
);
variants!(CALL_REPLY, call_reply, call::Reply, [Status, Document, Media]);
variants!(CAMPAIGN_REPLY, campaign_reply, campaign::Reply, [Status, Added]);
variants!(CUSTOMER_REPLY, customer_reply, customer::Reply, [Known]);
variants!(COMPANY_REPLY, company_reply, company::Reply, [State]);
