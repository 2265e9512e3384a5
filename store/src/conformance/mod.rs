//! What every engine has to do, as tests that any engine can run.
//!
//! Each case takes a [`Subject`] and panics where the engine does something else. An engine runs
//! all of them with one line, [`conformance!`](crate::conformance), and declares there in what it
//! differs.

pub mod conflicts;
pub mod counters;
pub mod history;
pub mod limits;
pub mod model;
pub mod outages;
pub mod own_writes;
pub mod random;
pub mod ranges;
pub mod serializability;

use crate::{CommitError, Range, Read, Row, Store, Transaction};
use bytes::Bytes;
use std::any::Any;
use std::sync::Arc;

/// In what an engine differs from the others, within what the trait allows.
#[derive(Clone, Default)]
pub struct Differences {
    /// Commits may fail with a conflict where there was none.
    pub spurious_conflicts: bool,
    /// A row that was read as absent and is absent at the commit counts as unchanged, whatever was done to it
    /// in between.
    pub absent_again_passes: bool,
    /// A conflict read of a range with keys of more than 2,000 bytes in it may protect others with the same
    /// beginning as well.
    pub long_ranges_protect_more: bool,
    /// Makes transactions older by so many milliseconds. Without it, cases wait for real.
    pub age_ms: Option<Arc<dyn Fn(u64) + Send + Sync>>,
}

/// The engine under test.
#[derive(Clone)]
pub struct Subject {
    pub store: Arc<dyn Store>,
    pub differences: Differences,
    /// All keys of a case begin with this, so that cases can share a database.
    pub prefix: Vec<u8>,
    /// What must live as long as the store: a directory, a server.
    pub keep: Arc<dyn Any + Send + Sync>,
}

impl Subject {
    pub fn new(store: Arc<dyn Store>, keep: impl Any + Send + Sync) -> Self {
        let (differences, prefix) = (Differences::default(), b"conformance/".to_vec());
        Self { store, differences, prefix, keep: Arc::new(keep) }
    }

    pub fn begin(&self) -> Box<dyn Transaction> {
        self.store.begin()
    }

    /// A key of this case.
    pub fn key(&self, name: impl AsRef<[u8]>) -> Vec<u8> {
        [&self.prefix, name.as_ref()].concat()
    }

    /// The range `[begin, end)` of this case, forward and without a limit.
    pub fn range(&self, begin: impl AsRef<[u8]>, end: impl AsRef<[u8]>) -> Range {
        Range { begin: self.key(begin), end: self.key(end), limit: usize::MAX, reverse: false }
    }

    /// Names (what follows the prefix) and values of `rows`.
    pub fn names(&self, rows: &[Row]) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        rows.iter().map(|(key, value)| (text(&key[self.prefix.len()..]), text(value))).collect()
    }

    /// Commits `rows` in one transaction.
    pub async fn put(&self, rows: &[(&str, &str)]) {
        self.write(|transaction| {
            for (name, value) in rows {
                transaction.set(self.key(name), value.as_bytes().to_vec());
            }
        })
        .await;
    }

    /// Commits what `write` writes, without reads.
    pub async fn write(&self, write: impl Fn(&mut dyn Transaction)) {
        let mut transaction = self.begin();
        write(&mut *transaction);
        transaction.commit().await.expect("a transaction without reads commits");
    }

    /// What is committed under `name`.
    pub async fn committed(&self, name: impl AsRef<[u8]>) -> Option<Bytes> {
        let key = self.key(name);
        self.begin().get(&key, Read::Snapshot).await.expect("the read succeeds")
    }

    /// All that is committed in this case.
    pub async fn all(&self) -> Vec<Row> {
        let (begin, end) = crate::tuple::prefix_range(&self.prefix);
        let range = Range { begin, end, limit: usize::MAX, reverse: false };
        self.begin().range(range, Read::Snapshot).await.expect("the read succeeds")
    }

    /// The commit must have succeeded, or failed as the engine says it may.
    pub fn accepted(&self, outcome: Result<(), CommitError>) {
        match outcome {
            Ok(()) => {}
            Err(CommitError::Conflict) if self.differences.spurious_conflicts => {}
            Err(error) => panic!("the commit should succeed: {error}"),
        }
    }

    /// The commit must have failed with a conflict.
    pub fn refused(&self, outcome: Result<(), CommitError>) {
        match outcome {
            Err(CommitError::Conflict) => {}
            other => panic!("the commit should fail with a conflict, and was {other:?}"),
        }
    }

    /// Makes all open transactions older.
    pub async fn age_ms(&self, ms: u64) {
        match &self.differences.age_ms {
            Some(age) => age(ms),
            None => tokio::time::sleep(std::time::Duration::from_millis(ms)).await,
        }
    }
}

/// Runs every case on one engine, each as a test of its own in module `$engine`. `$subject` is the
/// path of an `async fn() -> Subject` that makes a fresh one; or of one that gives an `Option<Subject>`, which
/// is `None` where the engine cannot be had, and says so.
#[macro_export]
macro_rules! conformance {
    ($engine:ident, $subject:path) => {
        mod $engine {
            $crate::conformance_cases! { $subject;
                own_writes::every_sequence_of_writes_reads_back,
                own_writes::reads_of_own_writes_do_not_conflict,
                own_writes::adding_follows_the_rule_of_the_counter,
                conflicts::a_lost_update_is_refused,
                conflicts::write_skew_is_refused,
                conflicts::every_read_conflicts_with_every_write,
                conflicts::only_the_walked_part_of_a_range_is_protected,
                conflicts::snapshot_reads_never_conflict,
                conflicts::writes_without_reads_never_conflict,
                conflicts::what_was_not_committed_conflicts_with_nobody,
                conflicts::the_first_read_fixes_what_is_seen,
                conflicts::transactions_that_only_read_always_commit,
                conflicts::what_another_has_seen_can_be_relied_on,
                conflicts::what_is_expected_holds_or_the_commit_fails,
                counters::concurrent_additions_all_count,
                counters::additions_mix_with_other_writes,
                limits::limits_are_enforced,
                limits::a_transaction_that_lives_too_long_is_too_old,
                limits::what_was_dropped_leaves_nothing,
                limits::large_transactions_are_written_whole,
                limits::a_large_range_is_cleared_whole,
                ranges::bounds_limits_and_directions,
                ranges::long_keys_are_keys_like_others,
                ranges::ranges_are_consistent_under_concurrent_writes,
                ranges::a_cleared_range_takes_the_newest_rows_with_it,
                serializability::transfers_keep_the_sum,
                serializability::histories_are_strictly_serializable,
                serializability::acknowledged_writes_are_seen_at_once,
                serializability::nothing_is_written_under_an_epoch_that_was_raised,
                model::random_interleavings_follow_the_model,
            }
        }
    };
}

/// The tests of [`conformance!`].
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_cases {
    ($subject:path; $($file:ident::$case:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let subject: Option<$crate::conformance::Subject> = $subject().await.into();
                if let Some(subject) = subject {
                    $crate::conformance::$file::$case(&subject).await;
                }
            }
        )*
    };
}
