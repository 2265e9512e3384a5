//! A state of the rows, shared by all transactions that read at it.

use super::queue::closed;
use super::tables::State;
use crate::{Row, StoreError};
use bytes::Bytes;
use parking_lot::RwLock;

pub(super) struct View {
    /// Sequence of the last group in it.
    version: u64,
    /// Taken away when no transaction may use it any more, so that one that is kept forever does
    /// not keep old rows on the disk.
    state: RwLock<Option<State>>,
}

impl View {
    pub fn new(version: u64, state: State) -> Self {
        Self { version, state: RwLock::new(Some(state)) }
    }

    pub fn version(&self) -> u64 {
        self.version
    }

    /// Waits for reads that are under way.
    pub fn revoke(&self) {
        self.state.write().take();
    }

    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.state.read().as_ref().ok_or_else(closed)?.get(key)
    }

    /// Hands the rows of `[begin, end)` to `walk`, which draws as many as it wants.
    pub fn range<T>(
        &self,
        begin: &[u8],
        end: &[u8],
        reverse: bool,
        walk: impl FnOnce(&mut dyn Iterator<Item = Result<Row, StoreError>>) -> T,
    ) -> Result<T, StoreError> {
        self.state.read().as_ref().ok_or_else(closed)?.range(begin, end, reverse, walk)
    }
}
