//! What a transaction has written and not yet committed, laid over what it reads.
//!
//! Shared by the engines that keep their writes on the client's side until the commit.

use crate::{KEY_BYTES_MAX, Range, Row, StoreError, TRANSACTION_BYTES_MAX, VALUE_BYTES_MAX};
use bytes::Bytes;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound;

/// What happens to one key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Mutation {
    Set(Bytes),
    Clear,
    Add(i64),
}

/// What the transaction's own writes say about one key.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Local {
    /// Written here: the store need not be asked.
    Known(Option<Bytes>),
    /// To be added to what the store has.
    Add(i64),
    /// Not touched.
    Unknown,
}

/// The writes of one transaction: the last word on each key, and cleared ranges underneath.
#[derive(Default)]
pub(crate) struct Overlay {
    writes: BTreeMap<Bytes, Mutation>,
    /// Cleared ranges, begin to end, disjoint. A key in `writes` stands above them.
    cleared: BTreeMap<Vec<u8>, Vec<u8>>,
    bytes: usize,
    refused: Option<StoreError>,
}

/// The writes of a transaction, taken out for the commit.
pub(crate) struct Writes {
    /// In key order, one per key. They stand above `cleared`.
    pub rows: Vec<(Bytes, Mutation)>,
    pub cleared: Vec<(Vec<u8>, Vec<u8>)>,
    pub bytes: usize,
}

/// Sum on a counter as FoundationDB's ADD has it: what is stored is cut or zero-extended to eight
/// bytes, little-endian, and the sum wraps.
pub(crate) fn added(stored: Option<&[u8]>, delta: i64) -> Bytes {
    let mut counter = [0u8; 8];
    if let Some(stored) = stored {
        let len = stored.len().min(8);
        counter[..len].copy_from_slice(&stored[..len]);
    }
    Bytes::copy_from_slice(&i64::from_le_bytes(counter).wrapping_add(delta).to_le_bytes())
}

pub(crate) fn check_key(key: &[u8]) -> Result<(), StoreError> {
    match key.len() {
        0 => Err(StoreError::KeyEmpty),
        len if len > KEY_BYTES_MAX => Err(StoreError::KeyTooLong(len)),
        _ => Ok(()),
    }
}

/// Bounds may be empty (the very beginning) and one byte longer than a key (the first key after).
fn check_bound(bound: &[u8]) -> Result<(), StoreError> {
    if bound.len() > KEY_BYTES_MAX + 1 { Err(StoreError::KeyTooLong(bound.len())) } else { Ok(()) }
}

pub(crate) fn check_range(range: &Range) -> Result<(), StoreError> {
    check_bound(&range.begin)?;
    check_bound(&range.end)?;
    if range.begin >= range.end || range.limit == 0 { Err(StoreError::BadRange) } else { Ok(()) }
}

impl Overlay {
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.cleared.is_empty()
    }

    /// Bytes of keys and values written so far.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The first write that broke a limit; the commit fails with it.
    pub fn refused(&self) -> Option<&StoreError> {
        self.refused.as_ref()
    }

    pub fn set(&mut self, key: Bytes, value: Bytes) {
        if value.len() > VALUE_BYTES_MAX {
            self.refuse(StoreError::ValueTooLong(value.len()));
            return;
        }
        self.write(key, Mutation::Set(value));
    }

    pub fn clear(&mut self, key: Bytes) {
        self.write(key, Mutation::Clear);
    }

    pub fn add(&mut self, key: Vec<u8>, delta: i64) {
        let mutation = match self.local(&key) {
            Local::Known(value) => Mutation::Set(added(value.as_deref(), delta)),
            Local::Add(before) => Mutation::Add(before.wrapping_add(delta)),
            Local::Unknown => Mutation::Add(delta),
        };
        self.write(key.into(), mutation);
    }

    pub fn clear_range(&mut self, begin: Vec<u8>, end: Vec<u8>) {
        if let Err(error) = check_bound(&begin).and_then(|()| check_bound(&end)) {
            self.refuse(error);
            return;
        }
        if begin >= end {
            self.refuse(StoreError::BadRange);
            return;
        }
        if !self.fits(begin.len() + end.len()) {
            return;
        }
        self.forget_writes(&begin, &end);
        self.merge_cleared(begin, end);
    }

    fn forget_writes(&mut self, begin: &[u8], end: &[u8]) {
        let inside: Vec<Bytes> = self
            .writes
            .range::<[u8], _>((Bound::Included(begin), Bound::Excluded(end)))
            .map(|(key, _)| key.clone())
            .collect();
        for key in inside {
            if let Some(mutation) = self.writes.remove(&key) {
                self.bytes -= mutation_bytes(&key, &mutation);
            }
        }
    }

    /// Adds `[begin, end)`, swallowing every cleared range that it touches.
    fn merge_cleared(&mut self, mut begin: Vec<u8>, mut end: Vec<u8>) {
        while let Some((other_begin, other_end)) =
            self.cleared.range::<[u8], _>((Bound::Unbounded, Bound::Included(&end[..]))).next_back()
        {
            if *other_end < begin {
                break;
            }
            let other_begin = other_begin.clone();
            let Some(other_end) = self.cleared.remove(&other_begin) else { break };
            self.bytes -= other_begin.len() + other_end.len();
            begin = begin.min(other_begin);
            end = end.max(other_end);
        }
        self.bytes += begin.len() + end.len();
        self.cleared.insert(begin, end);
    }

    fn write(&mut self, key: Bytes, mutation: Mutation) {
        if let Err(error) = check_key(&key) {
            self.refuse(error);
            return;
        }
        if !self.fits(mutation_bytes(&key, &mutation)) {
            return;
        }
        self.bytes += mutation_bytes(&key, &mutation);
        let key_len = key.len();
        if let Some(before) = self.writes.insert(key, mutation) {
            self.bytes -= key_len + value_bytes(&before);
        }
    }

    /// Whether so much more may be written. A transaction that is too large cannot commit, so what
    /// it writes from then on is dropped: its memory is bounded as well.
    fn fits(&mut self, more: usize) -> bool {
        let bytes = self.bytes + more;
        if bytes > TRANSACTION_BYTES_MAX {
            self.refuse(StoreError::TransactionTooLarge(bytes));
        }
        self.refused.is_none()
    }

    fn refuse(&mut self, error: StoreError) {
        self.refused.get_or_insert(error);
    }

    pub fn local(&self, key: &[u8]) -> Local {
        match self.writes.get(key) {
            Some(Mutation::Set(value)) => Local::Known(Some(value.clone())),
            Some(Mutation::Clear) => Local::Known(None),
            Some(Mutation::Add(delta)) => Local::Add(*delta),
            None if self.is_cleared(key) => Local::Known(None),
            None => Local::Unknown,
        }
    }

    fn is_cleared(&self, key: &[u8]) -> bool {
        self.cleared
            .range::<[u8], _>((Bound::Unbounded, Bound::Included(key)))
            .next_back()
            .is_some_and(|(_, end)| key < &end[..])
    }

    /// The rows of `range` with the own writes laid over `stored`, which yields the store's rows of
    /// that range in the order asked for and is drawn on only as far as needed.
    pub fn range(
        &self,
        range: &Range,
        stored: impl Iterator<Item = Result<Row, StoreError>>,
    ) -> Result<Vec<Row>, StoreError> {
        if self.is_empty() {
            return stored.take(range.limit).collect();
        }
        let bounds = (Bound::Included(&range.begin[..]), Bound::Excluded(&range.end[..]));
        let own = self.writes.range::<[u8], _>(bounds);
        let stored = stored.filter(|row| !matches!(row, Ok((key, _)) if self.hides(key)));
        if range.reverse {
            merge(own.rev(), stored, range.limit, |a, b| b.cmp(a))
        } else {
            merge(own, stored, range.limit, |a, b| a.cmp(b))
        }
    }

    fn hides(&self, key: &[u8]) -> bool {
        !self.cleared.is_empty() && self.is_cleared(key) && !self.writes.contains_key(key)
    }

    pub fn into_writes(self) -> Writes {
        Writes {
            rows: self.writes.into_iter().collect(),
            cleared: self.cleared.into_iter().collect(),
            bytes: self.bytes,
        }
    }
}

fn value_bytes(mutation: &Mutation) -> usize {
    match mutation {
        Mutation::Set(value) => value.len(),
        Mutation::Clear => 0,
        Mutation::Add(_) => 8,
    }
}

fn mutation_bytes(key: &[u8], mutation: &Mutation) -> usize {
    key.len() + value_bytes(mutation)
}

/// Merges two streams that are both sorted by `order`; on the same key the own write wins.
fn merge<'a>(
    own: impl Iterator<Item = (&'a Bytes, &'a Mutation)>,
    stored: impl Iterator<Item = Result<Row, StoreError>>,
    limit: usize,
    order: impl Fn(&[u8], &[u8]) -> Ordering,
) -> Result<Vec<Row>, StoreError> {
    let mut own = own.peekable();
    let mut stored = stored.peekable();
    let mut rows = Vec::new();
    while rows.len() < limit {
        let next = match (own.peek(), stored.peek()) {
            (None, None) => break,
            (_, Some(Err(error))) => return Err(error.clone()),
            (Some(_), None) => Ordering::Less,
            (None, Some(Ok(_))) => Ordering::Greater,
            (Some((own_key, _)), Some(Ok((key, _)))) => order(own_key, key),
        };
        let base = if next == Ordering::Less { None } else { stored.next().transpose()? };
        let write = if next == Ordering::Greater { None } else { own.next() };
        let row = match (write, base) {
            (None, row) => row,
            (Some((key, Mutation::Set(value))), _) => Some((key.clone(), value.clone())),
            (Some((_, Mutation::Clear)), _) => None,
            (Some((key, Mutation::Add(delta))), base) => {
                Some((key.clone(), added(base.as_ref().map(|(_, value)| &value[..]), *delta)))
            }
        };
        rows.extend(row);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Op {
        Set(u8, u8),
        Clear(u8),
        ClearRange(u8, u8),
        Add(u8, i8),
    }

    fn op() -> impl Strategy<Value = Op> {
        let key = 0u8..12;
        prop_oneof![
            (key.clone(), any::<u8>()).prop_map(|(key, value)| Op::Set(key, value)),
            key.clone().prop_map(Op::Clear),
            (key.clone(), 1u8..6).prop_map(|(begin, len)| Op::ClearRange(begin, begin + len)),
            (key, any::<i8>()).prop_map(|(key, delta)| Op::Add(key, delta)),
        ]
    }

    type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

    fn apply(overlay: &mut Overlay, rows: &mut Rows, op: &Op) {
        match *op {
            Op::Set(key, value) => {
                overlay.set(vec![key].into(), vec![value].into());
                rows.insert(vec![key], vec![value]);
            }
            Op::Clear(key) => {
                overlay.clear(vec![key].into());
                rows.remove(&vec![key]);
            }
            Op::ClearRange(begin, end) => {
                overlay.clear_range(vec![begin], vec![end]);
                rows.retain(|key, _| key[0] < begin || key[0] >= end);
            }
            Op::Add(key, delta) => {
                overlay.add(vec![key], i64::from(delta));
                let sum = added(rows.get(&vec![key]).map(Vec::as_slice), i64::from(delta));
                rows.insert(vec![key], sum.to_vec());
            }
        }
    }

    fn bytes_of(overlay: &Overlay) -> usize {
        let writes: usize = overlay.writes.iter().map(|(key, mutation)| mutation_bytes(key, mutation)).sum();
        writes + overlay.cleared.iter().map(|(begin, end)| begin.len() + end.len()).sum::<usize>()
    }

    proptest! {
        #[test]
        fn what_is_read_and_written_is_what_the_writes_say(
            stored in proptest::collection::btree_map(0u8..12, any::<u8>(), 0..8),
            ops in proptest::collection::vec(op(), 0..16),
            bounds in (0u8..12, 1u8..12),
            limit in 1usize..6,
            reverse in any::<bool>(),
        ) {
            let stored: Rows = stored.into_iter().map(|(key, value)| (vec![key], vec![value])).collect();
            let (mut overlay, mut rows) = (Overlay::default(), stored.clone());
            for op in &ops {
                apply(&mut overlay, &mut rows, op);
            }
            prop_assert!(overlay.refused().is_none());
            prop_assert_eq!(overlay.bytes(), bytes_of(&overlay));

            // By key.
            for key in 0u8..12 {
                let value = match overlay.local(&[key]) {
                    Local::Known(value) => value.map(|value| value.to_vec()),
                    Local::Add(delta) => Some(added(stored.get(&vec![key]).map(Vec::as_slice), delta).to_vec()),
                    Local::Unknown => stored.get(&vec![key]).cloned(),
                };
                prop_assert_eq!(value, rows.get(&vec![key]).cloned());
            }

            // By range, drawing on no more of the store than needed.
            let range = Range { begin: vec![bounds.0], end: vec![bounds.0 + bounds.1], limit, reverse };
            let within = |key: &[u8]| range.begin[..] <= *key && *key < range.end[..];
            let row = |(key, value): (&Vec<u8>, &Vec<u8>)| (Bytes::from(key.clone()), Bytes::from(value.clone()));
            let mut base: Vec<Row> = stored.iter().filter(|(key, _)| within(key)).map(row).collect();
            let mut expected: Vec<Row> = rows.iter().filter(|(key, _)| within(key)).map(row).collect();
            if reverse {
                base.reverse();
                expected.reverse();
            }
            expected.truncate(limit);
            prop_assert_eq!(overlay.range(&range, base.into_iter().map(Ok)).expect("no error"), expected);

            // As a commit applies it: cleared ranges first, then the rows.
            let writes = overlay.into_writes();
            let mut committed = stored;
            for (begin, end) in &writes.cleared {
                committed.retain(|key, _| key < begin || key >= end);
            }
            for (key, mutation) in writes.rows {
                match mutation {
                    Mutation::Set(value) => {
                        committed.insert(key.to_vec(), value.to_vec());
                    }
                    Mutation::Clear => {
                        committed.remove(&key[..]);
                    }
                    Mutation::Add(delta) => {
                        let sum = added(committed.get(&key[..]).map(Vec::as_slice), delta);
                        committed.insert(key.to_vec(), sum.to_vec());
                    }
                }
            }
            prop_assert_eq!(committed, rows);
        }
    }

    #[test]
    fn a_transaction_that_is_too_large_takes_no_more_memory() {
        let mut overlay = Overlay::default();
        for i in 0..1_000u32 {
            overlay.set(i.to_be_bytes().to_vec().into(), vec![0; VALUE_BYTES_MAX].into());
        }
        assert!(matches!(overlay.refused(), Some(StoreError::TransactionTooLarge(_))));
        assert!(overlay.bytes() <= TRANSACTION_BYTES_MAX);
    }

    #[test]
    fn an_error_of_the_store_is_passed_on() {
        let mut overlay = Overlay::default();
        overlay.set(b"b".to_vec().into(), Bytes::new());
        let range = Range { begin: b"a".to_vec(), end: b"z".to_vec(), limit: 9, reverse: false };
        let stored = [Ok((Bytes::from("a"), Bytes::new())), Err(StoreError::TooOld)];
        assert!(matches!(overlay.range(&range, stored.into_iter()), Err(StoreError::TooOld)));
    }
}
