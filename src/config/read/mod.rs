//! Reads settings: a TOML file with the environment laid over it.
//!
//! Whoever needs settings asks a [`Section`] for them key by key, with default, bounds and a
//! sentence of explanation. Asking is what makes a key known: whatever else stands in the file or in
//! the environment is refused, and the same words make the example file and the documentation. All
//! problems are gathered, so that a file is mended in one go.

mod environment;
mod problem;
mod section;
mod suggest;
mod tree;
mod value;

pub use environment::{PREFIX, variable};
pub use problem::{Place, Problem, Problems};
pub use section::{Key, Reader, Section};
pub use suggest::nearest;
pub use tree::{Tree, TreeError};
pub use value::{Base, Span, Url, Value};
