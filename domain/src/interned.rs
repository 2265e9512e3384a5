//! Texts that are fixed in a program, read from another program.
//!
//! Refusals name fields and states by texts that live as long as the program. Those that come from another node are
//! looked up among the ones met before; how many are kept is bounded, so that garbage fills no memory.

use serde::{Deserialize, Deserializer, Serializer};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Texts kept at most.
const KEPT_MAX: usize = 1_024;
/// Bytes of one of them.
const TEXT_BYTES_MAX: usize = 256;
/// Instead of one that is not kept.
const UNKNOWN: &str = "unknown";

static KEPT: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

/// A fixed text. Under this name `serde` does not take it for one that is borrowed from what is read.
pub type Text = &'static str;

/// The text with this content; `"unknown"` for too long ones, and where too many are kept already.
pub fn text(content: &str) -> &'static str {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = kept.get(content) {
        return found;
    }
    if content.len() > TEXT_BYTES_MAX || kept.len() >= KEPT_MAX {
        return UNKNOWN;
    }
    let new: &'static str = Box::leak(content.to_owned().into_boxed_str());
    kept.insert(new);
    new
}

/// For `#[serde(with = ...)]`.
pub fn serialize<S: Serializer>(text: &&'static str, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(text)
}

/// For `#[serde(with = ...)]`.
///
/// # Errors
/// Where it is no text.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<&'static str, D::Error> {
    String::deserialize(from).map(|content| text(&content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_content_is_the_same_text_and_long_ones_are_not_kept() {
        assert_eq!(text("call"), "call");
        assert!(std::ptr::eq(text("call"), text("call")));
        assert_eq!(text(&"x".repeat(300)), UNKNOWN);
    }
}
