//! The state of a campaign.

use crate::call::{Plan, Verdict};
use crate::company::Share;
use crate::dial::Bounds;
use crate::retry::{Disposition, Outcome};
use crate::row::{Contacted, DialPolicy};
use crate::time::{DAY, HOUR, Millis};
use crate::window::Hours;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum Phase {
    #[default]
    Absent,
    Draft,
    /// Waiting for its share of the company's limits.
    Starting,
    Running,
    /// No further dials; attempts that are alive come to their end.
    Pausing,
    Paused,
    Resuming,
    /// No further dials; whoever still waits gets the disposition `stopped`.
    Stopping,
    Stopped,
    Completed,
    Failed,
}

impl Phase {
    pub fn name(self) -> &'static str {
        match self {
            Phase::Absent => "absent",
            Phase::Draft => "draft",
            Phase::Starting => "starting",
            Phase::Running => "running",
            Phase::Pausing => "pausing",
            Phase::Paused => "paused",
            Phase::Resuming => "resuming",
            Phase::Stopping => "stopping",
            Phase::Stopped => "stopped",
            Phase::Completed => "completed",
            Phase::Failed => "failed",
        }
    }

    pub fn is_final(self) -> bool {
        matches!(self, Phase::Stopped | Phase::Completed | Phase::Failed)
    }
}

/// Why a campaign does not run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Reason {
    Operator,
    /// The carrier account is suspended, closed or out of funds; with the carrier's code.
    CarrierAccount {
        code: u32,
    },
    /// The carrier refuses the caller id.
    CallerId {
        code: u32,
    },
    /// The carrier refuses the configuration (permissions, URLs).
    CarrierConfiguration {
        code: u32,
    },
}

impl Reason {
    pub fn name(self) -> &'static str {
        match self {
            Reason::Operator => "operator",
            Reason::CarrierAccount { .. } => "carrier_account",
            Reason::CallerId { .. } => "caller_id",
            Reason::CarrierConfiguration { .. } => "carrier_configuration",
        }
    }

    pub fn code(self) -> u32 {
        match self {
            Reason::Operator => 0,
            Reason::CarrierAccount { code }
            | Reason::CallerId { code }
            | Reason::CarrierConfiguration { code } => code,
        }
    }
}

/// Limits on a campaign, a company or a caller id. 0 means unlimited.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Limits {
    /// Attempts alive at once.
    pub concurrency: u32,
    /// Dials per second, in thousandths.
    pub milli_cps: u32,
    /// Attempts per UTC day.
    pub attempts_a_day: u32,
}

impl Limits {
    /// # Errors
    /// A limit so large that it is a mistake.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.concurrency > 100_000 || self.milli_cps > 1_000_000 {
            let why = "at most 100000 at once and 1000 calls per second".to_owned();
            return Err(ConfigError { field: "limits", why });
        }
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Config {
    pub plan: Plan,
    pub hours: Hours,
    pub bounds: Bounds,
    /// Least time between two attempts to one person, over all campaigns of the company.
    pub gap_ms: Millis,
    /// Most attempts to one person within 24 h, over all campaigns of the company.
    pub person_attempts_a_day: u16,
    pub consent_required: bool,
    pub limits: Limits,
    /// Caller ids to use, E.164; each has to be one of the company's.
    pub callers: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            plan: Plan::default(),
            hours: Hours::default(),
            bounds: Bounds::default(),
            gap_ms: 4 * HOUR,
            person_attempts_a_day: 3,
            consent_required: false,
            limits: Limits { concurrency: 10, milli_cps: 1_000, attempts_a_day: 0 },
            callers: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct ConfigError {
    pub field: &'static str,
    pub why: String,
}

impl Config {
    pub const CALLERS_MAX: usize = 64;

    /// # Errors
    /// The first field out of bounds.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let err = |field, why: &str| Err(ConfigError { field, why: why.to_owned() });
        self.plan.validate().map_err(|e| ConfigError { field: e.field, why: e.why.to_owned() })?;
        if self.callers.is_empty() || self.callers.len() > Self::CALLERS_MAX {
            return err("callers", "1 to 64 caller ids, in E.164 form");
        }
        for (i, caller) in self.callers.iter().enumerate() {
            let digits = caller.strip_prefix('+').unwrap_or("");
            if !(7..=15).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return err("callers", "every caller id has the form +15551234567");
            }
            if self.callers[..i].contains(caller) {
                return err("callers", "a caller id is given twice");
            }
        }
        if self.plan.is_external() {
            return err("carrier", "an application that dials itself places single calls");
        }
        self.rules()
    }

    /// What holds for single calls as well, whose plans and caller ids are given elsewhere.
    ///
    /// # Errors
    /// The first field out of bounds.
    pub fn rules(&self) -> Result<(), ConfigError> {
        let err = |field, why: &str| Err(ConfigError { field, why: why.to_owned() });
        if !(0..=30 * DAY).contains(&self.gap_ms) {
            return err("gap", "0 to 30 days");
        }
        if usize::from(self.person_attempts_a_day) > Contacted::MAX {
            return err("person_attempts_a_day", "at most 16");
        }
        self.limits.validate()
    }

    pub fn policy(&self, running: bool) -> DialPolicy {
        DialPolicy {
            running,
            hours: self.hours.clone(),
            bounds: self.bounds,
            gap_ms: self.gap_ms,
            attempts_a_day: self.person_attempts_a_day,
            consent_required: self.consent_required,
            callers: self.callers.clone(),
        }
    }
}

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct State {
    pub phase: Phase,
    pub name: String,
    pub direct: bool,
    pub config: Config,
    pub share: Option<Share>,
    pub counts: Counts,
    /// Number for the next contact.
    pub next_no: u32,
    /// Contacts in the ready queue.
    pub ready: u32,
    /// The queue need not be looked at before this; `None` where it is not known.
    pub next_due: Option<Millis>,
    /// Contacts handed to their calls.
    pub in_flight: u32,
    /// Pacing: the theoretical arrival time of the next dial, in microseconds.
    pub tat_us: i64,
    pub callers: Vec<CallerUse>,
    /// The last so many caller ids of the list are only in use until their calls end.
    pub leaving: u8,
    /// Caller ids that left the list while they still had to wait; at most [`Config::CALLERS_MAX`],
    /// those that left last.
    pub parted: Vec<Parted>,
    pub day: i32,
    pub today: u32,
    /// When the company was asked for (more of) its share, until it has answered.
    pub asked: Option<Millis>,
    /// It is not asked again before this.
    pub ask_after: Millis,
    /// The day has turned, and the share is still that of the day before.
    pub turned: bool,
    /// Sessions of borrowing from the company: a share of an earlier one lends nothing any more.
    pub session: u32,
    /// Others go first: nothing is to be done for a while.
    pub idle: bool,
    pub reason: Option<Reason>,
    pub created_at: Millis,
    pub started_at: Option<Millis>,
    pub ended_at: Option<Millis>,
}

/// How far one caller id is used by this campaign.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct CallerUse {
    pub in_flight: u32,
    pub tat_us: i64,
    pub today: u32,
}

/// The pace of a caller id that is not in the list any more.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Parted {
    /// E.164.
    pub number: String,
    pub tat_us: i64,
}

/// Sums that are kept as calls end, never counted by scanning.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Counts {
    pub contacts: u32,
    pub duplicates: u32,
    /// Contacts with their final disposition, by [`Disposition`] in the order of `ALL`.
    pub dispositions: Vec<u32>,
    pub finished: u32,
    pub attempts: u64,
    /// Attempts by outcome, in the order of [`Outcome::ALL`].
    pub outcomes: Vec<u64>,
    pub human: u32,
    pub machine: u32,
    pub fax: u32,
    pub unknown: u32,
    pub talk_ms: i64,
}

impl Counts {
    pub(super) fn disposition(&mut self, d: Disposition) {
        self.finished += 1;
        bump(&mut self.dispositions, Disposition::ALL.iter().position(|x| *x == d), Disposition::ALL.len());
    }

    pub(super) fn attempt(&mut self, o: Outcome, verdict: Verdict) {
        self.attempts += 1;
        bump(&mut self.outcomes, Outcome::ALL.iter().position(|x| *x == o), Outcome::ALL.len());
        if matches!(o, Outcome::Answered | Outcome::Voicemail | Outcome::Fax) {
            match verdict {
                Verdict::Human => self.human += 1,
                Verdict::LikelyMachine | Verdict::Machine { .. } => self.machine += 1,
                Verdict::Fax => self.fax += 1,
                Verdict::Unknown | Verdict::LikelyHuman => self.unknown += 1,
            }
        }
    }

    pub fn of(&self, d: Disposition) -> u32 {
        let at = Disposition::ALL.iter().position(|x| *x == d);
        at.and_then(|i| self.dispositions.get(i)).copied().unwrap_or(0)
    }
}

fn bump<N: Copy + Default + std::ops::AddAssign + From<u8>>(v: &mut Vec<N>, at: Option<usize>, len: usize) {
    if let Some(at) = at {
        if v.len() < len {
            v.resize(len, N::default());
        }
        v[at] += N::from(1u8);
    }
}
