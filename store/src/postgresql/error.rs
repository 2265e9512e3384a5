//! What the server and the connection to it say, as errors of the store. Nothing here repeats a url, a
//! password, a key or a value.

use crate::StoreError;
use std::error::Error as _;
use std::fmt::Write as _;
use tokio_postgres::Error;
use tokio_postgres::error::{DbError, Severity, SqlState};

/// Why a statement did not do what it should.
#[derive(Debug, Clone)]
pub(super) enum Trouble {
    /// The connection is gone or not to be trusted; what it was doing may still happen.
    Lost(String),
    /// The server has refused, and undone what the statement did.
    Refused { state: SqlState, text: String },
}

impl Trouble {
    pub fn of(error: &Error) -> Trouble {
        match error.as_db_error() {
            // The last words of a session that ends: whether its commit was made durable is not said.
            Some(db) if !is_alive(db) => Trouble::Lost(db.message().to_owned()),
            Some(db) => Trouble::Refused { state: db.code().clone(), text: text(db) },
            None => Trouble::Lost(chain(error)),
        }
    }

    pub fn slow() -> Trouble {
        Trouble::Lost("the server did not answer in time".into())
    }

    pub fn is(&self, states: &[SqlState]) -> bool {
        matches!(self, Trouble::Refused { state, .. } if states.contains(state))
    }

    /// As an error of a read, or of whatever else has written nothing.
    pub fn into_store(self) -> StoreError {
        match self {
            Trouble::Lost(why) => StoreError::Unavailable(format!("the connection to the database: {why}")),
            Trouble::Refused { state, text } => refused(&state, text),
        }
    }
}

fn is_alive(error: &DbError) -> bool {
    matches!(error.parsed_severity(), Some(Severity::Error))
}

fn text(error: &DbError) -> String {
    format!("{} ({})", error.message(), error.code().code())
}

/// An error with what it comes from.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let _ = write!(text, ": {inner}");
        source = inner.source();
    }
    text
}

/// Help is needed for what no repetition mends.
fn refused(state: &SqlState, text: String) -> StoreError {
    match state.code() {
        "53100" => StoreError::Full(text),
        // No more connections; starting up or shutting down; too slow; locked for too long; a standby.
        code if ["53", "57", "55", "40", "08"].contains(&&code[..2]) => unavailable(text),
        "25006" => unavailable(format!("the server takes no writes: {text}")),
        _ => StoreError::Refused(format!("the database says: {text}")),
    }
}

fn unavailable(text: String) -> StoreError {
    StoreError::Unavailable(format!("the database says: {text}"))
}

/// An error of connecting to `server`, and what to do about it.
pub(super) fn of_connecting(error: &Error, server: &str) -> StoreError {
    let Some(db) = error.as_db_error() else {
        return StoreError::Unavailable(format!(
            "no connection to PostgreSQL at {server}: {}; check that it runs and that the url names it",
            chain(error)
        ));
    };
    let said = text(db);
    match db.code().code() {
        "28P01" | "28000" => StoreError::Refused(format!(
            "PostgreSQL at {server} refuses the login: {said}; check user and password in the url, and pg_hba.conf"
        )),
        "3D000" => StoreError::Refused(format!(
            "PostgreSQL at {server} does not have the database: {said}; create it, or name another in the url"
        )),
        "53300" => StoreError::Unavailable(format!(
            "PostgreSQL at {server} has no connection left: {said}; lower connections_max, or raise max_connections there"
        )),
        "42501" => StoreError::Refused(format!("PostgreSQL at {server} does not permit it: {said}")),
        _ => match Trouble::of(error) {
            Trouble::Lost(why) => StoreError::Unavailable(format!("PostgreSQL at {server} says: {why}")),
            Trouble::Refused { state, text } => refused(&state, text),
        },
    }
}
