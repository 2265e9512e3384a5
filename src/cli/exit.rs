//! Exit codes, which scripts rely on.

use tonic::Code;

/// How a command ended. The numbers are stable.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Exit {
    /// It was done.
    Ok = 0,
    /// It failed for a reason that is none of the others.
    Failure = 1,
    /// The command or its input is wrong.
    Usage = 2,
    /// It was done in part: some lines were bad.
    Partial = 3,
    /// There is no such thing.
    NotFound = 4,
    /// A rule, a limit or the state that a thing is in forbids it.
    Refused = 5,
    /// The key is missing or wrong, or may not do this.
    Forbidden = 6,
    /// The server cannot be reached, is overloaded, or took too long. Try again.
    Unavailable = 7,
}

impl Exit {
    pub const ALL: [Exit; 8] = [
        Exit::Ok,
        Exit::Failure,
        Exit::Usage,
        Exit::Partial,
        Exit::NotFound,
        Exit::Refused,
        Exit::Forbidden,
        Exit::Unavailable,
    ];

    pub fn code(self) -> u8 {
        self as u8
    }

    /// For the help and the documentation.
    pub fn about(self) -> &'static str {
        match self {
            Exit::Ok => "done",
            Exit::Failure => "failed",
            Exit::Usage => "the command, a file or a value is wrong",
            Exit::Partial => "done in part: some lines were bad",
            Exit::NotFound => "there is no such thing",
            Exit::Refused => "refused: a rule, a limit or the present state forbids it",
            Exit::Forbidden => "the API key is missing, wrong, or may not do this",
            Exit::Unavailable => "the server is not reached, is overloaded or took too long; try again",
        }
    }

    /// Of what a server answered. `retryable`: it said when to try again.
    pub fn of(code: Code, retryable: bool) -> Exit {
        match code {
            Code::Ok => Exit::Ok,
            Code::InvalidArgument | Code::OutOfRange => Exit::Usage,
            Code::NotFound => Exit::NotFound,
            Code::ResourceExhausted | Code::Aborted if retryable => Exit::Unavailable,
            Code::FailedPrecondition | Code::AlreadyExists | Code::ResourceExhausted | Code::Aborted => {
                Exit::Refused
            }
            Code::Unauthenticated | Code::PermissionDenied => Exit::Forbidden,
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => Exit::Unavailable,
            Code::Unknown | Code::Internal | Code::DataLoss | Code::Unimplemented => Exit::Failure,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        std::process::ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_its_exit_code() {
        for (code, plain, retryable) in [
            (Code::Ok, 0, 0),
            (Code::Cancelled, 7, 7),
            (Code::Unknown, 1, 1),
            (Code::InvalidArgument, 2, 2),
            (Code::DeadlineExceeded, 7, 7),
            (Code::NotFound, 4, 4),
            (Code::AlreadyExists, 5, 5),
            (Code::PermissionDenied, 6, 6),
            (Code::ResourceExhausted, 5, 7),
            (Code::FailedPrecondition, 5, 5),
            (Code::Aborted, 5, 7),
            (Code::OutOfRange, 2, 2),
            (Code::Unimplemented, 1, 1),
            (Code::Internal, 1, 1),
            (Code::Unavailable, 7, 7),
            (Code::DataLoss, 1, 1),
            (Code::Unauthenticated, 6, 6),
        ] {
            assert_eq!(Exit::of(code, false).code(), plain, "{code:?}");
            assert_eq!(Exit::of(code, true).code(), retryable, "{code:?}");
        }
    }

    #[test]
    fn the_numbers_are_stable_and_documented() {
        let documented = include_str!("../../docs/operations.md");
        for (number, exit) in Exit::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(exit.code()), number);
            let row = format!("| {number} | {} |", exit.about());
            assert!(documented.contains(&row), "docs/operations.md misses {row}");
        }
    }
}
