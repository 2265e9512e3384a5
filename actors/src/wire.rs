//! What travels between nodes: requests to entities, and answers. The bytes are those of [`codec`]; commands have the
//! form in which they lie in outboxes.

use crate::entity::{Key, Origin};
use crate::error::SendError;
use serde::{Deserialize, Serialize};
use tandem_domain::effect::{Command, Pace};
use tandem_domain::id::{CompanyId, Entity};

/// Version of these messages. Nodes that do not have one in common do not talk.
pub const PROTOCOL: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    Do {
        to: Entity,
        command: Command,
        key: Option<Key>,
        origin: Option<Origin>,
    },
    Read {
        of: Entity,
    },
    /// A place in time for a dial that these rates bind.
    Pace {
        company: CompanyId,
        paces: Vec<Pace>,
        wait_ms_max: u32,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// With the encoded reply.
    Done { reply: Vec<u8>, replayed: bool, events: u64 },
    /// A message was taken.
    Taken,
    /// With the encoded state and the number of the newest event, where it exists.
    State(Option<(Vec<u8>, u64)>),
    /// The dial may leave in so many microseconds; `None` if that is later than it can wait.
    Pace(Option<u64>),
}

pub(crate) type Told = Result<Answer, SendError>;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tandem_domain::codec;
    use tandem_domain::dial::Bar;
    use tandem_domain::machine::Rejection;

    #[test]
    fn refusals_arrive_as_they_were_sent() {
        let all = [
            SendError::Rejected(Rejection::NotFound("call")),
            SendError::Rejected(Rejection::IllegalTransition { state: "queued", command: "hangup" }),
            SendError::Rejected(Rejection::Invalid { field: "plan", why: "too long".into() }),
            SendError::Rejected(Rejection::Barred(Bar::TooSoon { until: 7 })),
            SendError::Rejected(Rejection::Exhausted { what: "contacts", max: 9 }),
            SendError::Rejected(Rejection::Stale("settings")),
            SendError::Moved,
            SendError::Lost,
            SendError::Unavailable("the store"),
            SendError::Overloaded("call"),
            SendError::DeadLetter,
            SendError::Store("full".into()),
        ];
        for error in all {
            let bytes = codec::encode(&Told::Err(error.clone()));
            let back: Told = codec::decode(&bytes).expect("it was written here");
            assert_eq!(back.expect_err("an error"), error);
        }
    }

    proptest! {
        #[test]
        fn garbage_is_refused(garbage: Vec<u8>) {
            let _ = codec::decode::<Request>(&garbage);
            let _ = codec::decode::<Told>(&garbage);
        }
    }
}
