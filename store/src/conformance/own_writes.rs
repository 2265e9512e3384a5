//! A transaction sees its own writes: in every order, by key and by range.

use super::Subject;
use crate::{Range, Read, Transaction};
use bytes::Bytes;
use std::collections::BTreeMap;

/// One write to the keys `a` to `e`.
#[derive(Clone, Copy, Debug)]
enum Write {
    Set(&'static str),
    Clear(&'static str),
    ClearRange(&'static str, &'static str),
    Add(&'static str),
}

const WRITES: [Write; 7] = [
    Write::Set("b"),
    Write::Set("c"),
    Write::Clear("b"),
    Write::Clear("d"),
    Write::ClearRange("b", "d"),
    Write::ClearRange("c", "e"),
    Write::Add("c"),
];
const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

fn apply(s: &Subject, write: Write, step: usize, transaction: &mut dyn Transaction, rows: &mut Rows) {
    match write {
        Write::Set(name) => {
            let value = format!("{name}{step}").into_bytes();
            transaction.set(s.key(name), value.clone());
            rows.insert(s.key(name), value);
        }
        Write::Clear(name) => {
            transaction.clear(s.key(name));
            rows.remove(&s.key(name));
        }
        Write::ClearRange(begin, end) => {
            transaction.clear_range(s.key(begin), s.key(end));
            rows.retain(|key, _| *key < s.key(begin) || *key >= s.key(end));
        }
        Write::Add(name) => {
            let delta = step as i64 + 1;
            transaction.add(s.key(name), delta);
            let mut counter = [0; 8];
            let stored = rows.get(&s.key(name)).cloned().unwrap_or_default();
            let len = stored.len().min(8);
            counter[..len].copy_from_slice(&stored[..len]);
            rows.insert(s.key(name), i64::from_le_bytes(counter).wrapping_add(delta).to_le_bytes().to_vec());
        }
    }
}

async fn check(s: &Subject, transaction: &mut dyn Transaction, rows: &Rows, context: &str) {
    for name in NAMES {
        let value = transaction.get(&s.key(name), Read::Snapshot).await.expect("the read succeeds");
        assert_eq!(value.as_deref(), rows.get(&s.key(name)).map(Vec::as_slice), "{name} after {context}");
    }
    let all: Vec<(Bytes, Bytes)> = rows.iter().map(|(k, v)| (k.clone().into(), v.clone().into())).collect();
    let keys = NAMES.map(|name| s.key(name));
    let values = transaction.get_many(&keys.each_ref().map(|key| &key[..]), Read::Snapshot).await;
    let values = values.expect("the read succeeds");
    let expected: Vec<Option<Bytes>> =
        keys.iter().map(|key| rows.get(key).cloned().map(Bytes::from)).collect();
    assert_eq!(values, expected, "several after {context}");
    for reverse in [false, true] {
        for limit in [1, 2, usize::MAX] {
            let range = Range { limit, reverse, ..s.range("a", "f") };
            let read = transaction.range(range, Read::Snapshot).await.expect("the read succeeds");
            let mut expected = all.clone();
            if reverse {
                expected.reverse();
            }
            expected.truncate(limit);
            assert_eq!(read, expected, "limit {limit} reverse {reverse} after {context}");
        }
    }
}

pub async fn every_sequence_of_writes_reads_back(s: &Subject) {
    let counter = 40i64.to_le_bytes().to_vec();
    let bases: [Rows; 3] = [
        Rows::new(),
        NAMES.iter().map(|name| (s.key(name), name.as_bytes().to_vec())).collect(),
        [(s.key("c"), counter), (s.key("e"), b"e".to_vec())].into(),
    ];
    for base in &bases {
        for first in WRITES {
            for second in WRITES {
                for third in WRITES {
                    let writes = [first, second, third];
                    s.write(|transaction| {
                        transaction.clear_range(s.key("a"), s.key("f"));
                        base.iter().for_each(|(key, value)| transaction.set(key.clone(), value.clone()));
                    })
                    .await;
                    let mut rows = base.clone();
                    let mut transaction = s.begin();
                    for (step, write) in writes.into_iter().enumerate() {
                        apply(s, write, step, &mut *transaction, &mut rows);
                    }
                    let context = format!("{writes:?} on {base:?}");
                    check(s, &mut *transaction, &rows, &context).await;
                    s.accepted(transaction.commit().await);
                    check(s, &mut *s.begin(), &rows, &format!("{context}, committed")).await;
                }
            }
        }
    }
}

pub async fn reads_of_own_writes_do_not_conflict(s: &Subject) {
    s.put(&[("a", "1"), ("b", "1"), ("c", "1")]).await;
    let mut transaction = s.begin();
    transaction.set(s.key("a"), b"2".to_vec());
    transaction.clear(s.key("b"));
    transaction.clear_range(s.key("c"), s.key("d"));
    for name in ["a", "b", "c"] {
        transaction.get(&s.key(name), Read::Conflict).await.expect("the read succeeds");
    }
    s.put(&[("a", "3"), ("b", "3"), ("c", "3")]).await;
    s.accepted(transaction.commit().await);
}

/// A value of another length than eight bytes is cut or extended with zeroes, and sums wrap.
pub async fn adding_follows_the_rule_of_the_counter(s: &Subject) {
    let cases: [(&[u8], i64, i64); 5] = [
        (b"", 5, 5),
        (&[7], 5, 12),
        (&[1, 0, 0, 0, 0, 0, 0, 0, 99], 1, 2),
        (&i64::MAX.to_le_bytes(), 1, i64::MIN),
        (&[0xff; 8], -1, -2),
    ];
    for (stored, delta, expected) in cases {
        s.write(|transaction| transaction.set(s.key("n"), stored.to_vec())).await;
        let mut transaction = s.begin();
        transaction.add(s.key("n"), delta);
        let read = transaction.get(&s.key("n"), Read::Snapshot).await.expect("the read succeeds");
        assert_eq!(
            read.as_deref(),
            Some(&expected.to_le_bytes()[..]),
            "{stored:?} + {delta} before the commit"
        );
        s.accepted(transaction.commit().await);
        assert_eq!(
            s.committed("n").await.as_deref(),
            Some(&expected.to_le_bytes()[..]),
            "{stored:?} + {delta}"
        );
    }
}
