//! The shape that every entity has: a pure state machine.

use crate::effect::Effect;
use crate::id::{Entity, Kind};
use crate::interned::Text;
use crate::row::{Fact, RowKey, RowWrite};
use crate::time::Millis;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::fmt::Debug;

/// A pure state machine. `State::default()` stands for "does not exist".
///
/// For every state and command `decide` gives a decision or a named refusal, never a panic; the
/// state after a decision is its events folded by `evolve`, and nothing else.
pub trait Machine: Send + Sync + Sized + 'static {
    const KIND: Kind;
    type State: Default + Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync;
    type Command: Clone + Debug + Serialize + DeserializeOwned + Send + Sync;
    type Event: Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync;
    type Reply: Clone + Debug + Serialize + DeserializeOwned + Send + Sync;

    /// The stored rows that `decide` will need for this command. They are read before it and
    /// checked again in the transaction that makes the decision durable: if one has changed, the
    /// decision is taken anew.
    fn facts(me: Entity, state: &Self::State, command: &Self::Command, now: Millis) -> Vec<Fact>;

    fn decide(
        state: &Self::State,
        command: &Self::Command,
        context: &Context<'_>,
    ) -> Result<Decision<Self>, Rejection>;

    fn evolve(state: &mut Self::State, event: &Self::Event);

    /// When this state wants to be woken by [`Machine::tick`], if at all. The runtime keeps a
    /// durable timer for it; the command arrives at that time or later, never earlier.
    fn wakeup(state: &Self::State) -> Option<Millis>;

    /// The command that a timer delivers.
    fn tick() -> Self::Command;

    fn exists(state: &Self::State) -> bool;

    /// Nothing more happens by itself, so the entity need not be kept in memory between commands.
    fn is_final(state: &Self::State) -> bool;
}

/// What a decision may know besides the state and the command.
pub struct Context<'a> {
    pub me: Entity,
    pub now: Millis,
    /// Number of the first event that this decision will write, from 1.
    pub next_event: u64,
    /// Uniform random bits, drawn once for this decision.
    pub random: u64,
    pub facts: &'a Facts,
}

/// Rows read for a decision, in the order in which they were asked for.
#[derive(Default, Debug)]
pub struct Facts(pub Vec<FactValue>);

#[derive(Debug)]
pub enum FactValue {
    Row(RowKey, Option<Vec<u8>>),
    Ready(Vec<crate::row::ReadyEntry>),
}

impl Facts {
    /// The decoded row, `None` where it is absent.
    ///
    /// # Errors
    /// A row that was not asked for, or cannot be decoded: the decision must fail closed.
    pub fn row<T: DeserializeOwned>(&self, key: &RowKey) -> Result<Option<T>, Rejection> {
        for fact in &self.0 {
            if let FactValue::Row(k, value) = fact
                && k == key
            {
                return match value {
                    None => Ok(None),
                    Some(bytes) => crate::codec::decode(bytes)
                        .map(Some)
                        .map_err(|_| Rejection::internal("a stored fact cannot be decoded")),
                };
            }
        }
        Err(Rejection::internal("a fact was not read"))
    }

    /// Whether the row is there, whatever it says.
    ///
    /// # Errors
    /// A row that was not asked for.
    pub fn present(&self, key: &RowKey) -> Result<bool, Rejection> {
        self.0
            .iter()
            .find_map(|fact| match fact {
                FactValue::Row(k, value) if k == key => Some(value.is_some()),
                _ => None,
            })
            .ok_or(Rejection::internal("a fact was not read"))
    }

    pub fn ready(&self) -> &[crate::row::ReadyEntry] {
        self.0
            .iter()
            .find_map(|f| match f {
                FactValue::Ready(rows) => Some(rows.as_slice()),
                FactValue::Row(..) => None,
            })
            .unwrap_or(&[])
    }
}

/// What is to become true, all of it or nothing, in one transaction.
#[derive(Debug, Clone)]
pub struct Decision<M: Machine> {
    pub events: Vec<M::Event>,
    pub effects: Vec<Effect>,
    pub rows: Vec<RowWrite>,
    pub reply: M::Reply,
}

impl<M: Machine> Decision<M> {
    /// Nothing changes; there is only an answer.
    pub fn answer(reply: M::Reply) -> Self {
        Decision { events: Vec::new(), effects: Vec::new(), rows: Vec::new(), reply }
    }

    pub fn new(events: Vec<M::Event>, reply: M::Reply) -> Self {
        Decision { events, effects: Vec::new(), rows: Vec::new(), reply }
    }
}

/// A refusal: nothing has changed. `reason` codes are stable and documented.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Rejection {
    #[error("there is no such {0}")]
    NotFound(#[serde(with = "crate::interned")] Text),
    #[error("it exists already")]
    AlreadyExists,
    /// The command does not fit the state that the entity is in.
    #[error("{command} is not possible while it is {state}")]
    IllegalTransition {
        #[serde(with = "crate::interned")]
        state: Text,
        #[serde(with = "crate::interned")]
        command: Text,
    },
    #[error("{field}: {why}")]
    Invalid {
        #[serde(with = "crate::interned")]
        field: Text,
        why: String,
    },
    /// A rule forbids it now or for ever.
    #[error("refused: {0}")]
    Barred(crate::dial::Bar),
    #[error("{what} is full: at most {max}")]
    Exhausted {
        #[serde(with = "crate::interned")]
        what: Text,
        max: u64,
    },
    /// The same idempotency key was used with another request.
    #[error("the idempotency key was used before with another request")]
    KeyReused,
    /// The command brought a new person's key along, and somebody else has stored one meanwhile. Sent
    /// again with what is sealed by that one, it is taken.
    #[error("the person has a key already")]
    PersonKeyExists,
    /// It was changed by somebody else since this change was made up: make it up anew.
    #[error("the {0} have changed in the meantime")]
    Stale(#[serde(with = "crate::interned")] Text),
    /// Nobody but the company may be shown as the caller.
    #[error("not a caller id of the company")]
    NotACallerId,
    #[error("internal: {0}")]
    Internal(#[serde(with = "crate::interned")] Text),
}

impl Rejection {
    pub fn internal(what: &'static str) -> Self {
        Rejection::Internal(what)
    }

    pub fn invalid(field: &'static str, why: impl Into<String>) -> Self {
        Rejection::Invalid { field, why: why.into() }
    }

    /// Stable code for programs, as it travels in gRPC error details.
    pub fn reason(&self) -> &'static str {
        match self {
            Rejection::NotFound(_) => "NOT_FOUND",
            Rejection::AlreadyExists => "ALREADY_EXISTS",
            Rejection::IllegalTransition { .. } => "ILLEGAL_TRANSITION",
            Rejection::Invalid { .. } => "INVALID_FIELD",
            Rejection::Barred(bar) => bar.reason(),
            Rejection::Exhausted { .. } => "LIMIT_REACHED",
            Rejection::KeyReused => "IDEMPOTENCY_KEY_REUSED",
            Rejection::PersonKeyExists => "PERSON_KEY_EXISTS",
            Rejection::Stale(_) => "STALE",
            Rejection::NotACallerId => "NOT_A_CALLER_ID",
            Rejection::Internal(_) => "INTERNAL",
        }
    }
}
