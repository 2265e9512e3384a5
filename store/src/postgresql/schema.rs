//! The tables and functions on the server: made once, under a lock, by whoever opens the database first.

use super::error::Trouble;
use super::long::BEGINNING_BYTES;
use crate::StoreError;
use std::time::Duration;
use tokio_postgres::Client;
use xxhash_rust::xxh3::xxh3_64;

/// Of tables and functions together.
const FORMAT: i32 = 1;
const SERVER_VERSION_MIN: i32 = 130_000;
const SQL: &str = include_str!("schema.sql");
/// For the tables to be made, by this process or another one.
const WAIT: Duration = Duration::from_secs(20);

/// # Errors
/// [`StoreError::Refused`].
pub(super) fn check_name(prefix: &str) -> Result<(), StoreError> {
    let starts = prefix.starts_with(|c: char| c.is_ascii_lowercase());
    let goes_on = prefix.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if starts && goes_on && prefix.len() <= 48 && !prefix.starts_with("pg_") {
        return Ok(());
    }
    Err(StoreError::Refused(
        "the prefix has 1 to 48 lower-case letters, digits and _, begins with a letter, and not with pg_"
            .into(),
    ))
}

/// Number of this cluster's locks among all advisory locks of the database.
pub(super) fn lock_space(prefix: &str) -> i32 {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "a part of the hash will do"
    )]
    let space = xxh3_64(prefix.as_bytes()) as i32;
    space
}

/// What the server is like.
pub(super) struct Server {
    /// Locks that all sessions together may hold.
    pub locks: usize,
}

async fn number(client: &Client, setting: &str) -> Result<i32, Trouble> {
    let row = client.query_one("SELECT current_setting($1)::int", &[&setting]).await;
    row.and_then(|row| row.try_get(0)).map_err(|error| Trouble::of(&error))
}

/// Looks at the server, and makes the tables in schema `prefix` where there are none.
pub(super) async fn prepare(client: &Client, prefix: &str) -> Result<Server, StoreError> {
    let prepared = tokio::time::timeout(WAIT, async {
        let version = number(client, "server_version_num").await.map_err(Trouble::into_store)?;
        if version < SERVER_VERSION_MIN {
            return Err(StoreError::Refused(format!(
                "PostgreSQL {} is too old: 13 or newer is needed",
                version / 10_000
            )));
        }
        warn_of_settings(client).await.map_err(Trouble::into_store)?;
        let made = make(client, prefix).await;
        if made.is_err() {
            // Whatever was begun is undone; the connection is not used any more.
            let _ = client.batch_execute("ROLLBACK").await;
        }
        made?;
        let per_session = number(client, "max_locks_per_transaction").await.map_err(Trouble::into_store)?;
        let sessions = number(client, "max_connections").await.map_err(Trouble::into_store)?;
        let locks = usize::try_from(i64::from(per_session) * i64::from(sessions)).unwrap_or(0);
        Ok(Server { locks })
    });
    prepared.await.unwrap_or_else(|_| Err(Trouble::slow().into_store()))
}

async fn warn_of_settings(client: &Client) -> Result<(), Trouble> {
    for (setting, what) in [
        ("fsync", "a crash of the server's machine can destroy the database"),
        ("full_page_writes", "a crash of the server's machine can tear pages of the database"),
    ] {
        let row = client.query_one("SELECT current_setting($1)::boolean", &[&setting]).await;
        let on: bool = row.and_then(|row| row.try_get(0)).map_err(|error| Trouble::of(&error))?;
        if !on {
            tracing::warn!("PostgreSQL runs with {setting} = off: {what}");
        }
    }
    Ok(())
}

async fn make(client: &Client, prefix: &str) -> Result<(), StoreError> {
    let trouble = |error| Trouble::of(&error).into_store();
    let making = |error: tokio_postgres::Error| match Trouble::of(&error) {
        Trouble::Refused { state, text } if state.code() == "42501" => StoreError::Refused(format!(
            "the tables cannot be made: {text}; let an administrator run CREATE SCHEMA {prefix} AUTHORIZATION with \
             the user of the url"
        )),
        trouble => trouble.into_store(),
    };
    client.batch_execute("BEGIN").await.map_err(trouble)?;
    let lock = "SELECT pg_advisory_xact_lock($1, 1)";
    client.query_one(lock, &[&lock_space(&format!("schema {prefix}"))]).await.map_err(trouble)?;
    let find = "SELECT to_regnamespace($1) IS NOT NULL, to_regclass($1 || '.settings') IS NOT NULL";
    let found = client.query_one(find, &[&prefix]).await.map_err(trouble)?;
    let (schema, tables): (bool, bool) = (found.get(0), found.get(1));
    if tables {
        let read = format!("SELECT format FROM {prefix}.settings");
        let format: i32 = client.query_one(&read, &[]).await.map_err(trouble)?.try_get(0).map_err(trouble)?;
        if format != FORMAT {
            return Err(StoreError::Refused(format!(
                "the tables in schema {prefix} have format {format}, and this version knows {FORMAT}: {}",
                if format > FORMAT { "use a newer version" } else { "use the version that wrote it" }
            )));
        }
    } else {
        // Where the schema is there already, no right to make one is needed.
        if !schema {
            client.batch_execute(&format!("CREATE SCHEMA {prefix}")).await.map_err(making)?;
        }
        let sql = SQL.replace("{schema}", prefix).replace("{beginning}", &BEGINNING_BYTES.to_string());
        client.batch_execute(&sql).await.map_err(making)?;
        tracing::info!(schema = prefix, "the tables were made");
    }
    client.batch_execute("COMMIT").await.map_err(trouble)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_schemas() {
        for good in ["tandem", "t", "cluster_2"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "Tandem", "2nd", "_x", "a-b", "a\"b", "a.b", "pg_x", &"x".repeat(49)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
