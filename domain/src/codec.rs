//! The one place that knows how values are written: a schema version byte, then bincode.
//!
//! bincode 2.0.1 is pinned: its format is frozen. Should it ever have to go, `wincode` writes the
//! same bytes.

use serde::{Serialize, de::DeserializeOwned};

/// Version of the encoding below. A changed type gets the next version, and a reader for what was
/// written before: `docs/formats.md`.
pub const VERSION: u8 = 1;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the value is empty")]
    Empty,
    #[error("the value was written in format {0}, which this build does not know")]
    Version(u8),
    #[error("the value is damaged: {0}")]
    Damaged(String),
}

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<16_000_000>()
}

/// Appends version and value to `out`.
pub fn encode_into<T: Serialize>(out: &mut Vec<u8>, value: &T) {
    out.push(VERSION);
    // Writing into a Vec cannot fail, and every stored type is plain data.
    bincode::serde::encode_into_std_write(value, out, config()).expect("plain data encodes");
}

pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    encode_into(&mut out, value);
    out
}

/// # Errors
/// Another version, or bytes that are not a value of this type.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let (version, body) = bytes.split_first().ok_or(DecodeError::Empty)?;
    if *version != VERSION {
        return Err(DecodeError::Version(*version));
    }
    let (value, read) =
        bincode::serde::decode_from_slice(body, config()).map_err(|e| DecodeError::Damaged(e.to_string()))?;
    if read != body.len() {
        return Err(DecodeError::Damaged(format!("{} bytes too many", body.len() - read)));
    }
    Ok(value)
}
