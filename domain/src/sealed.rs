//! Personal data inside values. The core carries it and never looks inside.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A ciphertext: nonce, sealed bytes and tag, under the key of one customer. Only `vault` in
/// `tandem-actors` makes and opens it.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sealed(pub Box<[u8]>);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}
