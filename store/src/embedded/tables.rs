//! The tables: a log-structured merge tree (fjall's `lsm-tree`) behind the few operations needed.
//!
//! Who does what, so that it stays consistent:
//! - Only the committing thread inserts, rotates the memtable and takes states.
//! - A state is a sequence: it sees the rows of groups below it. Flushes and compactions take
//!   sequences of their own from the same counter, which only ever makes a new arrangement of the
//!   same rows visible to states taken later.
//! - Rows that no state can see any more are dropped by flushes and compactions, which are told
//!   the lowest state in use.

use super::Options;
use super::failure::{corrupt, guarded, table_error};
use crate::{Row, StoreError};
use bytes::Bytes;
use lsm_tree::compaction::Leveled;
use lsm_tree::compaction::filter::{CompactionFilter, Context, Factory, ItemAccessor, Verdict};
use lsm_tree::config::{BloomConstructionPolicy, FilterPolicy, FilterPolicyEntry, RestartIntervalPolicy};
use lsm_tree::{
    AbstractTree, AnyTree, Cache, Config, DescriptorTable, Guard, Memtable, SequenceNumberCounter, Tree,
};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use xxhash_rust::xxh3::xxh3_128;

const OPEN_FILES_MAX: usize = 512;
const LEVEL_0_TABLES: u8 = 4;
/// Rows a compaction handles between two looks at whether it should stop.
const STOP_CHECK_ROWS: u32 = 1024;

pub(super) struct Tables {
    tree: Tree,
    sequences: SequenceNumberCounter,
    strategy: Arc<Leveled>,
    stopping: Arc<AtomicBool>,
    path: Arc<Path>,
}

/// The rows as of one sequence.
pub(super) struct State {
    tree: Tree,
    sequence: u64,
    path: Arc<Path>,
}

impl Tables {
    /// Opens the tables in `path`, making the directory if there is none.
    pub fn open(options: &Options, path: &Path) -> Result<Self, StoreError> {
        let sequences = SequenceNumberCounter::new(1);
        let stopping = Arc::new(AtomicBool::new(false));
        let bloom = |policy| FilterPolicyEntry::Bloom(policy);
        let config = Config::new(path, sequences.clone(), SequenceNumberCounter::default())
            .use_cache(Arc::new(Cache::with_capacity_bytes(options.cache_bytes)))
            .use_descriptor_table(Some(Arc::new(DescriptorTable::new(OPEN_FILES_MAX))))
            .data_block_restart_interval_policy(RestartIntervalPolicy::new([10, 16]))
            .filter_policy(FilterPolicy::new([
                bloom(BloomConstructionPolicy::FalsePositiveRate(0.0001)),
                bloom(BloomConstructionPolicy::BitsPerKey(10.0)),
            ]))
            .with_compaction_filter_factory(Some(Arc::new(StopFactory(stopping.clone()))));
        check_manifest(path)?;
        let tree = guarded(path, || match config.open()? {
            AnyTree::Standard(tree) => Ok(tree),
            AnyTree::Blob(_) => Err(lsm_tree::Error::Unrecoverable),
        })?;
        let strategy = Leveled::default()
            .with_l0_threshold(LEVEL_0_TABLES)
            .with_table_target_size(options.memtable_bytes.max(8 * 1024 * 1024));
        Ok(Self { tree, sequences, strategy: Arc::new(strategy), stopping, path: path.into() })
    }

    /// Highest sequence of a row that is in a table; 0 if there is none.
    pub fn persisted(&self) -> u64 {
        self.tree.get_highest_persisted_seqno().unwrap_or(0)
    }

    /// Sequences from now on are above `sequence`.
    pub fn start_after(&self, sequence: u64) {
        self.sequences.fetch_max(sequence + 1);
    }

    pub fn next_sequence(&self) -> u64 {
        self.sequences.next()
    }

    /// Where the rows of durable groups go.
    pub fn memtable(&self) -> Arc<Memtable> {
        self.tree.active_memtable()
    }

    /// The rows of all groups up to `sequence`.
    pub fn state(&self, sequence: u64) -> State {
        State { tree: self.tree.clone(), sequence: sequence + 1, path: self.path.clone() }
    }

    /// Bytes of rows in the memtable, with a rough allowance for what it needs to hold them.
    pub fn memtable_bytes(&self) -> u64 {
        self.tree.active_memtable().size()
    }

    /// Closes the memtable and starts another.
    pub fn rotate(&self) -> Option<Arc<Memtable>> {
        self.tree.rotate_memtable()
    }

    /// Writes all closed memtables to tables, synced.
    pub fn flush(&self, lowest_state: u64) -> Result<(), StoreError> {
        guarded(&self.path, || {
            let lock = self.tree.get_flush_lock();
            self.tree.flush(&lock, lowest_state).map(|_| ())
        })
    }

    /// Does one step of compaction, if one is due. False if none was.
    pub fn compact(&self, lowest_state: u64) -> Result<bool, StoreError> {
        guarded(&self.path, || {
            let before = self.tree.current_version().id();
            self.tree.compact(self.strategy.clone(), lowest_state)?;
            Ok(self.tree.current_version().id() != before)
        })
    }

    /// Makes compactions end early, with an error.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Forgets arrangements that no state at or above `lowest_state` looks at.
    pub fn forget_old_arrangements(&self, lowest_state: u64) -> Result<(), StoreError> {
        if self.tree.version_free_list_len() == 0 {
            return Ok(());
        }
        guarded(&self.path, || self.tree.get_version_history_lock().maintenance(&self.path, lowest_state))
    }

    /// Runs of level 0: where they pile up, compaction does not keep up.
    pub fn level_0_runs(&self) -> usize {
        self.tree.l0_run_count()
    }

    /// Number that the next table will get.
    pub fn next_table(&self) -> u64 {
        self.tree.next_table_id()
    }

    /// Removes the table files numbered from `first` that are in no arrangement: leftovers of a
    /// flush or compaction that failed. None may be running.
    pub fn sweep(&self, first: u64) -> std::io::Result<()> {
        let kept: HashSet<u64> = self.tree.current_version().iter_tables().map(|table| table.id()).collect();
        for entry in std::fs::read_dir(self.path.join("tables"))? {
            let entry = entry?;
            let number = entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
            if number.is_some_and(|number| number >= first && !kept.contains(&number)) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

impl State {
    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        guarded(&self.path, || Ok(self.tree.get(key, self.sequence)?.map(Bytes::from)))
    }

    /// Hands the rows of `[begin, end)`, from the end down if `reverse`, to `walk`, which draws as
    /// many as it wants.
    pub fn range<T>(
        &self,
        begin: &[u8],
        end: &[u8],
        reverse: bool,
        walk: impl FnOnce(&mut dyn Iterator<Item = Result<Row, StoreError>>) -> T,
    ) -> Result<T, StoreError> {
        let read = |guard: Option<lsm_tree::IterGuardImpl>| {
            let row = guard?.into_inner().map(|(key, value)| (Bytes::from(key), Bytes::from(value)));
            Some(row.map_err(|error| table_error(&self.path, &error)))
        };
        guarded(&self.path, || {
            let mut rows = self.tree.range(begin..end, self.sequence, None);
            Ok(if reverse {
                walk(&mut std::iter::from_fn(|| read(rows.next_back())))
            } else {
                walk(&mut std::iter::from_fn(|| read(rows.next())))
            })
        })
    }
}

/// The tree does not check its manifest against the checksum it stores with it.
fn check_manifest(path: &Path) -> Result<(), StoreError> {
    let current = path.join("current");
    let Ok(bytes) = std::fs::read(&current) else { return Ok(()) };
    let fields = bytes.first_chunk::<8>().zip(bytes.get(8..).and_then(|rest| rest.first_chunk::<16>()));
    let Some((version, checksum)) = fields else { return Err(corrupt(&current, "it is too short")) };
    let manifest = path.join(format!("v{}", u64::from_le_bytes(*version)));
    let content = std::fs::read(&manifest).map_err(|error| corrupt(&manifest, error.to_string()))?;
    if xxh3_128(&content) == u128::from_le_bytes(*checksum) {
        Ok(())
    } else {
        Err(corrupt(&manifest, "its checksum does not match"))
    }
}

/// Ends a compaction when the store closes; that it changes nothing is all there is to its filter.
struct StopFactory(Arc<AtomicBool>);

impl Factory for StopFactory {
    fn name(&self) -> &str {
        "stop"
    }

    fn make_filter(&self, _: &Context) -> Box<dyn CompactionFilter> {
        Box::new(StopFilter { stopping: self.0.clone(), rows: 0 })
    }
}

struct StopFilter {
    stopping: Arc<AtomicBool>,
    rows: u32,
}

impl CompactionFilter for StopFilter {
    fn filter_item(&mut self, _: ItemAccessor<'_>, _: &Context) -> lsm_tree::Result<Verdict> {
        self.rows = self.rows.wrapping_add(1);
        if self.rows.is_multiple_of(STOP_CHECK_ROWS) && self.stopping.load(Ordering::Relaxed) {
            return Err(lsm_tree::Error::Io(std::io::Error::other("the store is closing")));
        }
        Ok(Verdict::Keep)
    }
}
