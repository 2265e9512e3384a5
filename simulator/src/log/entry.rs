//! What is written down, one entry per thing that happened.

use crate::scenario::{AgentFault, Fault, Person};
use serde::{Deserialize, Serialize};

/// One line of the log.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Numbered without gaps from 0, in the order in which things happened.
    pub n: u64,
    /// Milliseconds since 1970-01-01T00:00:00Z, by the simulator's clock.
    pub at_ms: i64,
    #[serde(flatten)]
    pub event: Event,
}

/// What happened. Phone numbers stand here in full: the log is the evidence against which a run is checked, and its
/// numbers are simulated.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The simulator began; everything before it in the file belongs to an earlier one.
    Started {
        seed: u64,
        speed: f64,
    },
    /// A create POST arrived. Written before it is answered.
    Post(Post),
    /// A call exists.
    CallCreated {
        sid: String,
        to: String,
        from: String,
        attempt: Option<String>,
        campaign: Option<String>,
        person: Person,
        faults: Vec<Fault>,
    },
    /// A call took a step: `initiated`, `ringing`, `in-progress`.
    CallProgressed {
        sid: String,
        status: String,
    },
    /// A call is over.
    CallEnded(CallEnd),
    /// Answering machine detection came to a verdict.
    Detected {
        sid: String,
        answered_by: Verdict,
        after_ms: u64,
    },
    /// A callback was sent, or kept back.
    Callback(Callback),
    /// A document was fetched.
    Document {
        sid: String,
        url_path: String,
        outcome: Delivery,
    },
    /// An update of a live call was asked for over REST.
    Updated {
        sid: String,
        what: String,
        status: u16,
    },
    /// A media socket was opened.
    ConversationOpened {
        stream: String,
        sid: String,
        attempt: Option<String>,
        second: bool,
    },
    /// A media socket could not be opened, or was refused.
    ConversationRefused {
        sid: String,
        attempt: Option<String>,
        second: bool,
        why: String,
    },
    ConversationClosed(ConversationEnd),
    /// A call whose media socket had closed hears something again, on another.
    Reattached {
        sid: String,
        attempt: Option<String>,
        /// Real time from the close of the socket to the first sound on the next.
        dead_air_ms: u64,
    },
    /// A conversation with the voice agent began: initiation received.
    AgentConversationOpened {
        conversation: String,
        agent: String,
        user: Option<String>,
        fault: Option<AgentFault>,
    },
    AgentConversationClosed(AgentConversationEnd),
    /// Something was asked of the agent's REST and refused.
    AgentRefused {
        what: String,
        status: u16,
    },
    AccountChanged {
        suspended: bool,
    },
    ScenarioChanged,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Post {
    pub to: String,
    pub from: String,
    /// Path of the `StatusCallback` URL: it names the attempt.
    pub attempt: Option<String>,
    /// Query parameter `campaign` of the same URL, where there is one.
    pub campaign: Option<String>,
    /// The call that came of it; none when it was refused.
    pub sid: Option<String>,
    /// Status answered; 0 when the connection was cut without an answer.
    pub status: u16,
    /// Twilio's error code, where the answer carried one.
    pub code: Option<u32>,
    pub faults: Vec<Fault>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CallEnd {
    pub sid: String,
    /// `completed`, `busy`, `no-answer`, `failed`, `canceled`.
    pub status: String,
    pub sip: u16,
    pub by: HangUp,
    /// Simulated time from answer to end; 0 when it was not answered.
    pub talk_ms: u64,
    /// Sentences said by the person and heard by them, to the end.
    pub said: u32,
    pub heard: u32,
    /// What a machine recorded after its beep.
    pub message: Option<String>,
}

/// Who or what ended a call.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HangUp {
    /// The person hung up at the end of the conversation.
    Person,
    /// The person lost patience with a silent line.
    Silence,
    /// The line broke.
    Lost,
    /// The machine's tape was full.
    TapeFull,
    /// The document came to its end, or said `<Hangup>` or `<Reject>`.
    Document,
    /// No usable document could be had.
    DocumentFailed,
    /// Asked for over REST.
    Rest,
    TimeLimit,
    /// It never was answered.
    NotAnswered,
}

/// Verdict of answering machine detection, in Twilio's words.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Human,
    MachineStart,
    MachineEndBeep,
    MachineEndSilence,
    Fax,
    Unknown,
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::MachineStart => "machine_start",
            Self::MachineEndBeep => "machine_end_beep",
            Self::MachineEndSilence => "machine_end_silence",
            Self::Fax => "fax",
            Self::Unknown => "unknown",
        }
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Callback {
    pub sid: String,
    pub attempt: Option<String>,
    /// `status`, `amd`, `recording`, `stream`.
    pub kind: String,
    /// `CallStatus` of a status callback; verdict, recording status or stream event of the others.
    pub what: String,
    pub sequence: Option<u64>,
    pub faults: Vec<Fault>,
    pub outcome: Delivery,
}

/// What became of a request to the system under test.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Answered with this status.
    Answered(u16),
    /// Not sent, on purpose.
    Withheld,
    TimedOut,
    /// Not delivered: no connection, or it broke.
    Failed,
    /// The URL cannot be asked.
    BadUrl,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ConversationEnd {
    pub stream: String,
    pub sid: String,
    pub attempt: Option<String>,
    /// Opened on purpose beside the first.
    pub second: bool,
    /// `peer` (closed by the other side), `call` (the call ended or went on to another document), `cut` (on purpose),
    /// `broken`.
    pub by: String,
    pub frames_sent: u64,
    pub frames_received: u64,
    pub bytes_received: u64,
    pub marks: u64,
    pub clears: u64,
    /// Frames received that were no protocol.
    pub invalid: u64,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AgentConversationEnd {
    pub conversation: String,
    /// `agent`, `peer`, `broken`.
    pub by: String,
    /// Close code sent or received.
    pub code: Option<u16>,
    pub user_turns: u32,
    pub agent_turns: u32,
    pub interruptions: u32,
    pub tool_calls: u32,
    /// Times it was told something to know (`contextual_update`).
    #[serde(default)]
    pub contexts: u32,
    pub frames_received: u64,
    /// Messages received that were no protocol.
    pub invalid: u64,
}

/// The last four digits: for anything a person reads.
fn masked(number: &str) -> String {
    let digits: Vec<char> = number.chars().filter(char::is_ascii_digit).collect();
    let tail: String = digits[digits.len().saturating_sub(4)..].iter().collect();
    format!("…{tail}")
}

impl std::fmt::Debug for Post {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Post")
            .field("to", &masked(&self.to))
            .field("from", &masked(&self.from))
            .field("attempt", &self.attempt)
            .field("sid", &self.sid)
            .field("status", &self.status)
            .field("code", &self.code)
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Event {
    /// As JSON, with phone numbers masked.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut safe = self.clone();
        match &mut safe {
            Self::Post(post) => {
                post.to = masked(&post.to);
                post.from = masked(&post.from);
            }
            Self::CallCreated { to, from, .. } => {
                *to = masked(to);
                *from = masked(from);
            }
            _ => {}
        }
        f.write_str(&serde_json::to_string(&safe).map_err(|_| std::fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_four_digits_and_json_all() {
        let post = Post {
            to: "+15550001234".into(),
            from: "+15550005678".into(),
            attempt: Some("/a/1".into()),
            campaign: None,
            sid: None,
            status: 201,
            code: None,
            faults: vec![],
        };
        let event = Event::Post(post.clone());
        for shown in [format!("{post:?}"), format!("{event:?}")] {
            assert!(
                shown.contains("1234") && !shown.contains("5550001234") && !shown.contains("555000"),
                "{shown}"
            );
        }
        let entry = Entry { n: 3, at_ms: 5, event };
        let line = serde_json::to_string(&entry).expect("plain data");
        assert!(line.contains("+15550001234"));
        assert_eq!(serde_json::from_str::<Entry>(&line).expect("own output"), entry);
    }
}
