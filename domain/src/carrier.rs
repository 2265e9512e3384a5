//! What a carrier can be asked and what it can answer, in neutral terms. The adapters in
//! `tandem-providers` translate; the machines in this crate decide.

use crate::time::Millis;
use serde::{Deserialize, Serialize};

/// How far a call has come, as its carrier tells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Progress {
    /// Accepted, waiting in the carrier's own queue.
    Queued,
    /// Left the queue; the far end is being dialed.
    Initiated,
    /// The far end alerts.
    Ringing,
    /// Answered: by a person, a machine, an IVR.
    Answered,
    Ended(End),
}

/// How a call ended for the carrier. A closed set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum End {
    /// Answered and ended.
    Completed,
    Busy,
    NoAnswer,
    /// Canceled before it was answered.
    Canceled,
    Failed(Cause),
}

/// Why a call could not be completed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Cause {
    /// The number does not exist (Twilio 21211, 21217, 13223, 13224, 13226; SIP 404, 484, 604).
    InvalidNumber,
    /// The number exists and cannot be reached now (Twilio 21214; SIP 480 on a failed call).
    Unreachable,
    /// The carrier or the called side forbids this number: do not call it again
    /// (Twilio 21216, 13225, 32203; SIP 603, 607, 608).
    Blocked,
    /// Trouble of the carrier or the network (SIP 5xx): may be tried again.
    Carrier,
    /// Failed and no more is known.
    Unspecified,
}

/// One thing that a carrier says of a call, by callback or in answer to a fetch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The carrier's own id of the call (Twilio: `CA` and 32 hex digits).
    pub sid: String,
    pub progress: Progress,
    /// Twilio's `SequenceNumber`, from 0. `None` when the report answers a fetch.
    pub sequence: Option<u32>,
    /// When it happened, by the carrier's clock.
    pub at: Option<Millis>,
    /// Verdict of answering machine detection, where it came with the report.
    pub answered_by: Option<AnsweredBy>,
    pub sip_code: Option<u16>,
    /// Whole seconds of conversation, when ended.
    pub duration_s: Option<u32>,
}

/// A verdict of answering machine detection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum AnsweredBy {
    Human,
    /// A machine; its greeting may still be playing.
    MachineStart,
    /// The greeting ended with a beep: a message can be left now.
    MachineEndBeep,
    MachineEndSilence,
    MachineEndOther,
    Fax,
    /// Undecided or timed out.
    Unknown,
}

/// What came of asking a carrier to place a call. There is no fourth way: whatever is not a clear
/// yes or a clear no is `Unknown`, is never asked again, and is settled by other means.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum DialOutcome {
    /// The carrier has taken the call and gave it this id.
    Accepted { sid: String },
    /// The carrier said no before it did anything. No call exists.
    Refused(Refusal),
    /// No answer, a broken answer or a 5xx: a call may or may not exist.
    Unknown,
}

/// A definite no of a carrier.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Refusal {
    pub reason: RefusalReason,
    /// The carrier's code (Twilio: five digits), 0 where it gave none.
    pub code: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum RefusalReason {
    /// The number is not one: final for this person.
    InvalidNumber,
    /// Cannot be reached at present.
    Unreachable,
    /// Must not be called (premium, blocked, forbidden).
    Blocked,
    /// Caller id not owned, not verified or malformed: configuration of the company.
    CallerId,
    /// The account is suspended, closed or out of funds, or its credentials are refused: every
    /// campaign that uses it pauses.
    Account,
    /// Other configuration (permissions for a country, URLs, features).
    Configuration,
    /// Too many requests; nothing was processed. Retry after this long.
    RateLimited { retry_after_ms: Option<u32> },
    /// The carrier's own queue is full (Twilio 22005) or its concurrency reached (10004).
    Overloaded,
    /// Anything else that is a definite no.
    Other,
}

/// Order to place a call. `attempt` and the URLs identify it in everything that comes back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DialRequest {
    /// E.164.
    pub to: String,
    /// E.164.
    pub from: String,
    /// Asked for the document that says what the call does once it is answered.
    pub document_url: String,
    pub status_url: String,
    /// Asked when `document_url` fails.
    pub fallback_url: Option<String>,
    /// How long it may ring, in seconds.
    pub ring_timeout_s: u32,
    /// Longest conversation, in seconds.
    pub max_duration_s: u32,
    pub amd: Option<AmdRequest>,
    pub recording: Option<RecordingRequest>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AmdRequest {
    pub verdict_url: String,
    /// Wait for the end of the greeting (needed to leave a message after the beep).
    pub until_message_end: bool,
    pub timeout_s: u32,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordingRequest {
    pub status_url: String,
    pub dual_channel: bool,
}

/// State of a recording as the carrier reports it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RecordingReport {
    /// Twilio: `RE` and 32 hex digits.
    pub sid: String,
    pub status: RecordingStatus,
    pub duration_s: Option<u32>,
    pub channels: Option<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum RecordingStatus {
    InProgress,
    Completed,
    Absent,
}

/// A live call can be told to do this.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Instruction {
    /// End it: canceled while it rings, hung up when it talks.
    Hangup,
    /// Stop what it does, say this text and hang up (a message after the beep).
    SayAndHangup { text: String, language: String },
    /// Stop what it does, play this sound and hang up.
    PlayAndHangup { url: String },
}

/// What a carrier answers to an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum InstructionOutcome {
    Done,
    /// The call had ended already (Twilio 21220) or is not known (20404): nothing to do.
    AlreadyEnded,
    /// Try again later.
    Retry,
    /// Refused for good, with the carrier's code.
    Refused {
        code: u32,
    },
}
