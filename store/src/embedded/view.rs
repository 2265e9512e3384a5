//! A state of the data with its version, shared by all transactions that read at it.

use super::disk::State;
use super::queue::closed;
use crate::{Row, StoreError};
use bytes::Bytes;
use parking_lot::RwLock;

pub(super) struct View {
    version: u64,
    /// Taken away when the state has outlived every transaction that may use it, so that a
    /// transaction kept forever does not keep old data on the disk.
    state: RwLock<Option<State>>,
}

impl View {
    pub fn new(version: u64, state: State) -> Self {
        Self { version, state: RwLock::new(Some(state)) }
    }

    pub fn version(&self) -> u64 {
        self.version
    }

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
        limit: usize,
        walk: impl FnOnce(&mut dyn Iterator<Item = Result<Row, StoreError>>) -> T,
    ) -> Result<T, StoreError> {
        let state = self.state.read();
        let state = state.as_ref().ok_or_else(closed)?;
        Ok(walk(&mut state.range(begin, end, reverse).take(limit)))
    }
}
