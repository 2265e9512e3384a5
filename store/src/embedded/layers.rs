//! Where the rows are: in the memtable that is written to, in closed ones that are on their way to
//! tables, and in tables. A reader holds the layers of its moment, so it waits for nobody, and
//! nobody for it.

use super::fingerprints::fingerprint;
use super::memtable::{Memtable, Seen, Version};
use super::tables::Arrangement;
use crate::{Row, StoreError};
use bytes::Bytes;
use parking_lot::Mutex;
use std::cmp::Ordering;
use std::sync::Arc;

/// A row that is in a newer layer hides the same key in all older ones.
pub(super) struct Layers {
    newest: Arc<Memtable>,
    /// The youngest first.
    closed: Vec<Arc<Memtable>>,
    tables: Arc<Arrangement>,
}

type Rows<'a> = Box<dyn Iterator<Item = Result<Seen, StoreError>> + 'a>;

impl Layers {
    pub fn newest(&self) -> &Arc<Memtable> {
        &self.newest
    }

    fn memtables(&self) -> impl Iterator<Item = &Arc<Memtable>> {
        std::iter::once(&self.newest).chain(&self.closed)
    }

    pub fn get(&self, key: &[u8], state: u64) -> Result<Option<Bytes>, StoreError> {
        let (fingerprint, place) = (fingerprint(key), Version::seen_by(state, key));
        match self.memtables().find_map(|memtable| memtable.get(fingerprint, &place)) {
            Some(value) => Ok(value),
            None => self.tables.get(key, state),
        }
    }

    /// Hands the rows of `[begin, end)`, from the end down if `reverse`, to `walk`, which draws as
    /// many as it wants.
    pub fn range<T>(
        &self,
        begin: &[u8],
        end: &[u8],
        reverse: bool,
        state: u64,
        walk: impl FnOnce(&mut dyn Iterator<Item = Result<Row, StoreError>>) -> T,
    ) -> Result<T, StoreError> {
        let mut memtables: Vec<Rows<'_>> = Vec::with_capacity(2 + self.closed.len());
        for memtable in self.memtables().filter(|memtable| !memtable.is_empty()) {
            memtables.push(if reverse {
                Box::new(memtable.walk_back(begin, end, state).map(Ok))
            } else {
                Box::new(memtable.walk(begin, end, state).map(Ok))
            });
        }
        self.tables.range(begin, end, reverse, state, |rows| {
            let mut layers: Vec<Rows<'_>> = memtables;
            layers.push(Box::new(rows));
            walk(&mut merge(layers, reverse))
        })
    }
}

/// Merges layers, the newest first, each in key order (or down from the end).
fn merge<'a>(mut layers: Vec<Rows<'a>>, reverse: bool) -> impl Iterator<Item = Result<Row, StoreError>> + 'a {
    let mut heads: Vec<Option<Result<Seen, StoreError>>> = layers.iter_mut().map(Iterator::next).collect();
    std::iter::from_fn(move || {
        loop {
            let first = first_head(&heads, reverse)?;
            let row = heads[first].take()?;
            heads[first] = layers[first].next();
            let (key, value) = match row {
                Ok(row) => row,
                Err(error) => {
                    heads.fill(None);
                    return Some(Err(error));
                }
            };
            for (head, layer) in heads.iter_mut().zip(&mut layers).skip(first + 1) {
                if matches!(head, Some(Ok((other, _))) if *other == key) {
                    *head = layer.next();
                }
            }
            if let Some(value) = value {
                return Some(Ok((key, value)));
            }
        }
    })
}

/// The layer whose next row comes first; among several with the same key, the newest. An error
/// comes before everything.
fn first_head(heads: &[Option<Result<Seen, StoreError>>], reverse: bool) -> Option<usize> {
    let mut first: Option<(usize, &Bytes)> = None;
    for (index, head) in heads.iter().enumerate() {
        let key = match head {
            None => continue,
            Some(Err(_)) => return Some(index),
            Some(Ok((key, _))) => key,
        };
        let wanted = if reverse { Ordering::Greater } else { Ordering::Less };
        if first.is_none_or(|(_, other)| key.cmp(other) == wanted) {
            first = Some((index, key));
        }
    }
    first.map(|(index, _)| index)
}

/// The layers of this moment.
pub(super) struct Stack {
    current: Mutex<Arc<Layers>>,
    memtable_bytes: u64,
}

impl Stack {
    /// A memtable is full with so many bytes.
    pub fn new(tables: Arrangement, memtable_bytes: u64) -> Self {
        let newest = Arc::new(Memtable::for_bytes(memtable_bytes));
        let layers = Layers { newest, closed: Vec::new(), tables: Arc::new(tables) };
        Self { current: Mutex::new(Arc::new(layers)), memtable_bytes }
    }

    pub fn current(&self) -> Arc<Layers> {
        self.current.lock().clone()
    }

    /// Closes the memtable and starts a new one; only whoever writes to it does. Gives the closed
    /// one, unless it is empty and stays.
    pub fn rotate(&self) -> Option<Arc<Memtable>> {
        let mut current = self.current.lock();
        if current.newest.is_empty() {
            return None;
        }
        let full = current.newest.clone();
        let closed = std::iter::once(&full).chain(&current.closed).cloned().collect();
        let newest = Arc::new(Memtable::for_bytes(self.memtable_bytes));
        *current = Arc::new(Layers { newest, closed, tables: current.tables.clone() });
        Some(full)
    }

    /// Puts an arrangement of tables in the place of the present one, and of `written`, a memtable
    /// that is in it. Gives the one before.
    pub fn arrange(&self, tables: Arrangement, written: Option<&Arc<Memtable>>) -> Arc<Arrangement> {
        let mut current = self.current.lock();
        let is_written =
            |memtable: &Arc<Memtable>| written.is_some_and(|written| Arc::ptr_eq(written, memtable));
        let closed = current.closed.iter().filter(|memtable| !is_written(memtable)).cloned().collect();
        let before = current.tables.clone();
        *current = Arc::new(Layers { newest: current.newest.clone(), closed, tables: Arc::new(tables) });
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(rows: &[(&str, Option<&str>)], reverse: bool) -> Rows<'static> {
        let own = |text: &str| Bytes::from(text.to_owned());
        let mut rows: Vec<_> = rows.iter().map(|(key, value)| Ok((own(key), value.map(own)))).collect();
        if reverse {
            rows.reverse();
        }
        Box::new(rows.into_iter())
    }

    #[test]
    fn newer_layers_hide_older_ones() {
        for reverse in [false, true] {
            let layers = vec![
                layer(&[("b", None), ("d", Some("new"))], reverse),
                layer(&[("a", Some("mid")), ("c", None), ("d", None)], reverse),
                layer(&[("b", Some("old")), ("c", Some("old")), ("e", Some("old"))], reverse),
            ];
            let mut rows: Vec<_> = merge(layers, reverse).map(|row| row.expect("no error")).collect();
            if reverse {
                rows.reverse();
            }
            let expected = [("a", "mid"), ("d", "new"), ("e", "old")];
            assert_eq!(rows, expected.map(|(key, value)| (Bytes::from(key), Bytes::from(value))));
        }
    }

    #[test]
    fn an_error_ends_the_walk() {
        let broken: Rows<'_> = Box::new([Err(StoreError::TooOld)].into_iter());
        let mut rows = merge(vec![layer(&[("a", Some("1")), ("b", Some("2"))], false), broken], false);
        assert!(matches!(rows.next(), Some(Err(StoreError::TooOld))));
        assert!(rows.next().is_none());
    }
}
