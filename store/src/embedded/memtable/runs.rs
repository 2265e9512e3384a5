//! Rows in key order, made when they are needed: a tail as it comes, and sorted runs.

use bytes::Bytes;
use parking_lot::Mutex;
use std::cmp::Ordering;
use std::sync::Arc;

/// Rows of a tail that is full.
const TAIL_MAX: usize = 2_048;
/// Runs this long are not merged any further, so that no merge takes long.
const RUN_MAX: usize = 16_384;

/// A version of a row: in key order, and within a key the newest first.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub key: Bytes,
    pub sequence: u64,
    pub value: Option<Bytes>,
}

impl Row {
    fn order(&self, other: &Row) -> Ordering {
        self.key.cmp(&other.key).then_with(|| other.sequence.cmp(&self.sequence))
    }
}

type Run = Arc<[Row]>;

#[derive(Default)]
struct Inner {
    tail: Vec<Row>,
    /// The longer ones first, save for those that are as long as they may be.
    runs: Vec<Run>,
    lowest_state: u64,
}

#[derive(Default)]
pub(super) struct Runs(Mutex<Inner>);

/// Of two versions of a key side by side, the newer first, the older one can go where every state
/// sees the newer, which sees what is below it.
fn drop_covered(rows: &mut Vec<Row>, lowest_state: u64) {
    rows.dedup_by(|older, newer| {
        older.key == newer.key && (newer.sequence < lowest_state || newer.sequence == older.sequence)
    });
}

impl Inner {
    /// Makes a run of the tail.
    fn seal(&mut self) {
        if self.tail.is_empty() {
            return;
        }
        let mut rows = std::mem::take(&mut self.tail);
        // Of a key that came twice in a group the last counts, so it has to be the first.
        rows.reverse();
        rows.sort_by(Row::order);
        drop_covered(&mut rows, self.lowest_state);
        while let Some(last) = self.runs.last()
            && last.len() <= 2 * rows.len()
            && last.len() + rows.len() <= RUN_MAX
        {
            // The sort finds that these are two sorted ones, and merges them. The newer ones come first.
            rows.extend(last.iter().cloned());
            rows.sort_by(Row::order);
            drop_covered(&mut rows, self.lowest_state);
            self.runs.pop();
        }
        self.runs.push(rows.into());
    }
}

impl Runs {
    pub fn push(&self, key: Bytes, sequence: u64, value: Option<Bytes>, lowest_state: u64) {
        let mut inner = self.0.lock();
        inner.lowest_state = lowest_state;
        inner.tail.push(Row { key, sequence, value });
        if inner.tail.len() >= TAIL_MAX {
            inner.seal();
        }
    }

    fn sealed(&self) -> Vec<Run> {
        let mut inner = self.0.lock();
        inner.seal();
        inner.runs.clone()
    }

    /// All versions of the rows in `[begin, end)`.
    pub fn between(&self, begin: &[u8], end: &[u8]) -> Merged {
        let parts = self.sealed().into_iter().filter_map(|run| {
            let first = run.partition_point(|row| row.key < begin);
            let behind = run.partition_point(|row| row.key < end);
            (first < behind).then_some(Part { run, first, behind })
        });
        Merged { parts: parts.collect() }
    }

    pub fn all(&self) -> Merged {
        let rows: Vec<Run> = self.sealed();
        // All of it: sorting what is sorted in parts goes by the parts.
        let mut all: Vec<Row> = rows.iter().rev().flat_map(|run| run.iter().cloned()).collect();
        all.sort_by(Row::order);
        let behind = all.len();
        let whole = Part { run: all.into(), first: 0, behind };
        Merged { parts: if behind == 0 { Vec::new() } else { vec![whole] } }
    }
}

struct Part {
    run: Run,
    first: usize,
    behind: usize,
}

/// Several runs as one, from both ends.
pub(super) struct Merged {
    /// The older ones first. None is empty.
    parts: Vec<Part>,
}

impl Merged {
    fn take(&mut self, at: usize, back: bool) -> Row {
        let part = &mut self.parts[at];
        let row = if back {
            part.behind -= 1;
            part.run[part.behind].clone()
        } else {
            part.first += 1;
            part.run[part.first - 1].clone()
        };
        if part.first == part.behind {
            self.parts.remove(at);
        }
        row
    }
}

impl Iterator for Merged {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        // Of two that are alike the newer run's is the newer: the first of the equal ones wins.
        let parts = self.parts.iter().enumerate().rev();
        let (at, _) = parts.min_by(|(_, a), (_, b)| a.run[a.first].order(&b.run[b.first]))?;
        Some(self.take(at, false))
    }
}

impl DoubleEndedIterator for Merged {
    fn next_back(&mut self) -> Option<Row> {
        let parts = self.parts.iter().enumerate().rev();
        let (at, _) = parts.max_by(|(_, a), (_, b)| a.run[a.behind - 1].order(&b.run[b.behind - 1]))?;
        Some(self.take(at, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::random::Random;

    fn row(random: &mut Random, sequence: u64) -> Row {
        let key = Bytes::from(random.below(500).to_string());
        Row { key, sequence, value: Some(Bytes::from(sequence.to_string())) }
    }

    #[test]
    fn rows_come_in_order_from_both_ends_however_they_came_in() {
        for (seed, count) in [(1, 10), (2, TAIL_MAX), (3, TAIL_MAX + 1), (4, 3 * TAIL_MAX), (5, 3 * RUN_MAX)]
        {
            let mut random = Random::new(seed);
            let runs = Runs::default();
            let mut expected = Vec::new();
            for sequence in 1..=count as u64 {
                let row = row(&mut random, sequence);
                expected.push(row.clone());
                // Somebody looks at the very first state, so that nothing is dropped.
                runs.push(row.key, sequence, row.value, 0);
                if random.one_in(1_000) {
                    drop(runs.sealed());
                }
            }
            expected.sort_by(Row::order);
            let as_text = |rows: Vec<Row>| -> Vec<_> {
                rows.into_iter().map(|r| (r.key, r.sequence, r.value)).collect()
            };
            let expected = as_text(expected);
            assert_eq!(as_text(runs.all().collect()), expected);
            let (low, high) = (b"2".as_slice(), b"4".as_slice());
            let inside: Vec<_> = expected.into_iter().filter(|(key, ..)| key >= low && key < high).collect();
            assert_eq!(as_text(runs.between(low, high).collect()), inside);
            let mut back = as_text(runs.between(low, high).rev().collect());
            back.reverse();
            assert_eq!(back, inside);
            let all = runs.sealed();
            assert!(all.iter().all(|run| run.len() <= RUN_MAX), "no run is too long to be merged quickly");
        }
    }

    #[test]
    fn a_key_that_is_written_again_and_again_is_kept_as_often_as_it_is_needed() {
        let runs = Runs::default();
        for sequence in 1..=10 * TAIL_MAX as u64 {
            runs.push(Bytes::from_static(b"k"), sequence, None, sequence.min(20_000));
        }
        let left: Vec<u64> = runs.all().map(|row| row.sequence).collect();
        let expected: Vec<u64> = (19_999..=10 * TAIL_MAX as u64).rev().collect();
        assert_eq!(left, expected, "what somebody who looks at the state below 20000 sees, and all since");
    }
}
