//! The tables: a log-structured merge tree (fjall's `lsm-tree`) behind the few operations needed.
//!
//! Of the tree, only the tables are used. Memtables are kept outside, because its own are behind a
//! lock that is held while its manifest is synced, and that a read would have to wait for. Readers
//! hold an [`Arrangement`]: the tables of one moment, which stay as long as someone looks at them.

use super::Options;
use super::failure::{corrupt, guarded, table_error};
use super::memtable::{Memtable, Seen};
use crate::StoreError;
use bytes::Bytes;
use lsm_tree::compaction::Leveled;
use lsm_tree::compaction::filter::{CompactionFilter, Context, Factory, ItemAccessor, Verdict};
use lsm_tree::config::{BloomConstructionPolicy, FilterPolicy, FilterPolicyEntry, RestartIntervalPolicy};
use lsm_tree::{
    AbstractTree, AnyTree, Cache, Config, DescriptorTable, InternalValue, SequenceNumberCounter, Slice, Tree,
    ValueType,
};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use xxhash_rust::xxh3::xxh3_128;

const OPEN_FILES_MAX: usize = 512;
const LEVEL_0_TABLES: u8 = 4;
/// Rows a compaction handles between two looks at whether it should stop.
/// Tables of small stores are not made smaller than this.
const TABLE_BYTES_MIN: u64 = 8 * 1024 * 1024;
/// Older versions of a row need not be kept: whoever still sees them holds what has them.
const EVERYTHING: u64 = u64::MAX;
const STOP_CHECK_ROWS: u32 = 1024;

pub(super) struct Tables {
    tree: Tree,
    strategy: Arc<Leveled>,
    stopping: Arc<AtomicBool>,
    path: Arc<Path>,
}

impl Tables {
    /// Opens the tables in `path`, making the directory if there is none.
    pub fn open(options: &Options, path: &Path) -> Result<Self, StoreError> {
        let stopping = Arc::new(AtomicBool::new(false));
        let bloom = |policy| FilterPolicyEntry::Bloom(policy);
        // The tree counts arrangements with these; sequences of groups are counted elsewhere.
        let (arrangements, visible) = (SequenceNumberCounter::new(1), SequenceNumberCounter::default());
        let config = Config::new(path, arrangements, visible)
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
            .with_table_target_size(options.memtable_bytes.max(TABLE_BYTES_MIN));
        Ok(Self { tree, strategy: Arc::new(strategy), stopping, path: path.into() })
    }

    /// Highest sequence of a row that is in a table; 0 if there is none.
    pub fn persisted(&self) -> u64 {
        self.tree.get_highest_persisted_seqno().unwrap_or(0)
    }

    /// The tables as they are now. Waits while a flush or merge is putting its tables in place.
    pub fn arrangement(&self) -> Result<Arrangement, StoreError> {
        guarded(&self.path, || Ok(arrangement(&self.tree, &self.path)))
    }

    /// Writes the newest versions of a memtable's rows to tables, synced.
    pub fn flush(&self, memtable: &Memtable) -> Result<(), StoreError> {
        let rows = memtable.newest().map(|(sequence, (key, value))| {
            let kind = if value.is_some() { ValueType::Value } else { ValueType::Tombstone };
            let (key, value) = (Slice::from(key), Slice::from(value.unwrap_or_default()));
            Ok(InternalValue::from_components(key, value, sequence, kind))
        });
        guarded(&self.path, || match self.tree.flush_to_tables(rows)? {
            Some((tables, blobs)) => {
                self.tree.register_tables(&tables, blobs.as_deref(), None, &[], EVERYTHING)
            }
            None => Ok(()),
        })
    }

    /// Does one step of compaction, if one is due. False if none was.
    pub fn compact(&self) -> Result<bool, StoreError> {
        guarded(&self.path, || {
            let before = self.tree.current_version().id();
            self.tree.compact(self.strategy.clone(), EVERYTHING)?;
            Ok(self.tree.current_version().id() != before)
        })
    }

    /// Makes compactions end early, with an error.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
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

type Get = dyn Fn(&[u8], u64) -> lsm_tree::Result<Option<InternalValue>> + Send + Sync;
type Walk = dyn Fn(&[u8], &[u8], u64) -> Box<dyn DoubleEndedIterator<Item = lsm_tree::Result<InternalValue>>>
    + Send
    + Sync;

/// The tables of one moment. The tree's own types for that have no public names, so they are kept
/// in closures.
pub(super) struct Arrangement {
    get: Box<Get>,
    walk: Box<Walk>,
    empty: bool,
    path: Arc<Path>,
}

fn arrangement(tree: &Tree, path: &Arc<Path>) -> Arrangement {
    // The tree's memtables are empty, so that this is the tables and nothing else.
    let walked = tree.get_version_history_lock().latest_version();
    let version = tree.current_version();
    let empty = version.table_count() == 0;
    let get = move |key: &[u8], state| {
        let hash = lsm_tree::table::filter::standard_bloom::Builder::get_hash(key);
        let runs = version.iter_levels().flat_map(|level| level.iter());
        for table in runs.filter_map(|run| run.get_for_key(key)) {
            if let Some(row) = table.get(key, state, hash)? {
                return Ok(Some(row));
            }
        }
        Ok(None)
    };
    let walk = move |begin: &[u8], end: &[u8], state| -> Box<dyn DoubleEndedIterator<Item = _>> {
        Box::new(Tree::create_internal_range(walked.clone(), &(begin..end), state, None))
    };
    Arrangement { get: Box::new(get), walk: Box::new(walk), empty, path: path.clone() }
}

impl Arrangement {
    /// The value of a key as of a state: states see what is below them.
    pub fn get(&self, key: &[u8], state: u64) -> Result<Option<Bytes>, StoreError> {
        if self.empty {
            return Ok(None);
        }
        let row = guarded(&self.path, || (self.get)(key, state))?;
        Ok(row.filter(|row| !row.is_tombstone()).map(|row| Bytes::from(row.value)))
    }

    /// Hands the rows of `[begin, end)`, from the end down if `reverse`, to `walk`, which draws as
    /// many as it wants.
    pub fn range<T>(
        &self,
        begin: &[u8],
        end: &[u8],
        reverse: bool,
        state: u64,
        walk: impl FnOnce(&mut dyn Iterator<Item = Result<Seen, StoreError>>) -> T,
    ) -> Result<T, StoreError> {
        if self.empty {
            return Ok(walk(&mut std::iter::empty()));
        }
        let read = |row: Option<lsm_tree::Result<InternalValue>>| {
            let row = row?.map(|row| (Bytes::from(row.key.user_key), Some(Bytes::from(row.value))));
            Some(row.map_err(|error| table_error(&self.path, &error)))
        };
        guarded(&self.path, || {
            let mut rows = (self.walk)(begin, end, state);
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
