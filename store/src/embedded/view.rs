//! A state of the rows, shared by all transactions that read at it.

use super::layers::Layers;
use super::queue::closed;
use crate::{Row, StoreError};
use bytes::Bytes;
use parking_lot::RwLock;
use std::sync::Arc;

pub(super) struct View {
    /// Sequence of the last group in it.
    version: u64,
    /// Taken away when no transaction may use it any more, so that one that is kept forever does
    /// not keep old memtables and tables.
    layers: RwLock<Option<Arc<Layers>>>,
}

impl View {
    pub fn new(version: u64, layers: Arc<Layers>) -> Self {
        Self { version, layers: RwLock::new(Some(layers)) }
    }

    pub fn version(&self) -> u64 {
        self.version
    }

    /// The rows of all groups up to `version`: states see what is below them.
    fn state(&self) -> u64 {
        self.version + 1
    }

    /// Waits for reads that are under way.
    pub fn revoke(&self) {
        self.layers.write().take();
    }

    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.layers.read().as_ref().ok_or_else(closed)?.get(key, self.state())
    }

    /// Hands the rows of `[begin, end)` to `walk`, which draws as many as it wants.
    pub fn range<T>(
        &self,
        begin: &[u8],
        end: &[u8],
        reverse: bool,
        walk: impl FnOnce(&mut dyn Iterator<Item = Result<Row, StoreError>>) -> T,
    ) -> Result<T, StoreError> {
        let layers = self.layers.read();
        layers.as_ref().ok_or_else(closed)?.range(begin, end, reverse, self.state(), walk)
    }
}
