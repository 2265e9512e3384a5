//! The files: a log-structured merge tree (fjall) behind the few operations that are needed.

use super::Options;
use super::failure::{self, Trouble};
use crate::{Row, StoreError};
use bytes::Bytes;
use fjall::{AbstractTree, Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Snapshot};
use std::path::PathBuf;
use std::time::Duration;

const ROWS: &str = "rows";
/// Sealed memtables and level-0 runs at which writers wait, well before the engine's own limits,
/// where it would wait without end.
const SEALED_MEMTABLES_MAX: usize = 2;
const LEVEL_0_RUNS_MAX: usize = 18;
const BACKPRESSURE_PAUSE: Duration = Duration::from_millis(2);
const BACKPRESSURE_PAUSES_MAX: u32 = 15_000;

/// What becomes of one key when a group is applied.
pub(super) enum Put {
    Value(Bytes),
    Nothing,
}

pub(super) struct Disk {
    database: Database,
    rows: Keyspace,
    path: PathBuf,
}

/// A state of the data that does not change.
pub(super) struct State {
    snapshot: Snapshot,
    rows: Keyspace,
}

impl Disk {
    pub fn open(options: &Options) -> Result<Self, StoreError> {
        let path = options.path.clone();
        failure::guarded(&path, || {
            let database = Database::builder(&options.path)
                .cache_size(options.cache_bytes)
                .worker_threads(2)
                .max_journaling_size(options.journal_bytes.max(64 * 1024 * 1024))
                .manual_journal_persist(true)
                .open()?;
            let rows = database.keyspace(ROWS, || {
                KeyspaceCreateOptions::default().max_memtable_size(options.memtable_bytes)
            })?;
            Ok(Self { database, rows, path: path.clone() })
        })
    }

    /// The state as of the last applied group. Only the applying thread may ask: between the start
    /// and the end of [`Disk::apply`] a background flush can make part of the group visible.
    pub fn state(&self) -> State {
        State { snapshot: self.database.snapshot(), rows: self.rows.clone() }
    }

    /// Makes a group durable, then visible to states taken from now on.
    pub fn apply(&self, puts: impl Iterator<Item = (Bytes, Put)>) -> Result<(), Trouble> {
        self.wait_for_room()?;
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for (key, put) in puts {
            match put {
                Put::Value(value) => batch.insert(&self.rows, key, value),
                Put::Nothing => batch.remove(&self.rows, key),
            }
        }
        batch.commit().map_err(|error| failure::writing(&self.path, &error))
    }

    fn wait_for_room(&self) -> Result<(), Trouble> {
        for _ in 0..BACKPRESSURE_PAUSES_MAX {
            if self.rows.tree.sealed_memtable_count() < SEALED_MEMTABLES_MAX
                && self.rows.tree.l0_run_count() < LEVEL_0_RUNS_MAX
            {
                return Ok(());
            }
            std::thread::sleep(BACKPRESSURE_PAUSE);
        }
        Err(Trouble::refused("the background flush does not make progress"))
    }
}

impl State {
    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        match self.snapshot.get(&self.rows, key) {
            Ok(value) => Ok(value.map(Bytes::from)),
            Err(error) => Err(failure::reading(&error)),
        }
    }

    /// Rows of `[begin, end)`, lazily, from the end down if `reverse`.
    pub fn range(
        &self,
        begin: &[u8],
        end: &[u8],
        reverse: bool,
    ) -> impl Iterator<Item = Result<Row, StoreError>> {
        let mut walk = self.snapshot.range(&self.rows, begin..end);
        std::iter::from_fn(move || {
            let guard = if reverse { walk.next_back() } else { walk.next() }?;
            Some(match guard.into_inner() {
                Ok((key, value)) => Ok((Bytes::from(key), Bytes::from(value))),
                Err(error) => Err(failure::reading(&error)),
            })
        })
    }
}
