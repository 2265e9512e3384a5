//! Range reads.

use super::Subject;
use super::random::Random;
use crate::{CommitError, Range, Read, Row};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub async fn bounds_limits_and_directions(s: &Subject) {
    let names: Vec<String> = (0..50).map(|i| format!("k{i:02}")).collect();
    s.write(|t| names.iter().for_each(|name| t.set(s.key(name), name.clone().into_bytes()))).await;
    // The longer key sorts after its prefix and before the next one.
    s.put(&[("k10\0", "between")]).await;
    let mut reader = s.begin();
    for (begin, end, first, last, count) in [
        ("k00", "k50", "k00", "k49", 51),
        ("k10", "k11", "k10", "k10\0", 2),
        ("k10\0", "k11", "k10\0", "k10\0", 1),
        ("k05", "k06", "k05", "k05", 1),
        ("j", "k01", "k00", "k00", 1),
        ("k49", "z", "k49", "k49", 1),
    ] {
        for reverse in [false, true] {
            for limit in [1, 2, 51, 1_000] {
                let range = Range { limit, reverse, ..s.range(begin, end) };
                let rows = reader.range(range, Read::Snapshot).await.expect("the read succeeds");
                let rows: Vec<String> = s.names(&rows).into_iter().map(|(name, _)| name).collect();
                assert_eq!(rows.len(), limit.min(count), "{begin} to {end}");
                assert_eq!(rows[0], if reverse { last } else { first });
                assert!(rows.windows(2).all(|pair| (pair[0] < pair[1]) != reverse), "{rows:?}");
            }
        }
    }
    let none = reader.range(s.range("l", "z"), Read::Conflict).await.expect("the read succeeds");
    assert_eq!(none, []);
}

/// Keys of up to 9,000 bytes, many of which differ only far behind, in every kind of read and write.
pub async fn long_keys_are_keys_like_others(s: &Subject) {
    let key = |random: &mut Random| {
        let beginning = [10, 1_900, 1_970, 1_990, 4_000, 8_900][random.below(6) as usize];
        let tail = (0..random.below(50)).map(|_| [0, b'k', 0xff][random.below(3) as usize]);
        s.key(std::iter::repeat_n(b'k', beginning).chain(tail).collect::<Vec<u8>>())
    };
    let mut random = Random::new(5);
    let mut rows: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    for round in 0..40u8 {
        let mut transaction = s.begin();
        for _ in 0..random.below(12) {
            let (key, other) = (key(&mut random), key(&mut random));
            match random.below(12) {
                0 => {
                    transaction.clear(key.clone());
                    rows.remove(&key);
                }
                1 if random.one_in(3) && key < other => {
                    transaction.clear_range(key.clone(), other.clone());
                    rows.retain(|name, _| *name < key || *name >= other);
                }
                2 => {
                    transaction.add(key.clone(), i64::from(round));
                    let sum = crate::overlay::added(rows.get(&key).map(Vec::as_slice), i64::from(round));
                    rows.insert(key, sum.to_vec());
                }
                _ => {
                    transaction.set(key.clone(), vec![round; 3]);
                    rows.insert(key, vec![round; 3]);
                }
            }
        }
        // Before the commit, with what was committed underneath, and after it.
        for committed in [false, true] {
            let mut reader = s.begin();
            let reader = if committed { &mut reader } else { &mut transaction };
            for _ in 0..8 {
                let (begin, end) = (key(&mut random), key(&mut random));
                let value = reader.get(&begin, Read::Snapshot).await.expect("the read succeeds");
                assert_eq!(value.as_deref(), rows.get(&begin).map(Vec::as_slice));
                if begin >= end {
                    continue;
                }
                let (limit, reverse) = ([1, 2, 5, usize::MAX][random.below(4) as usize], random.one_in(2));
                let within = rows.range(begin.clone()..end.clone());
                let row = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone().into(), value.clone().into());
                let mut expected: Vec<Row> = within.map(row).collect();
                if reverse {
                    expected.reverse();
                }
                expected.truncate(limit);
                let range = Range { begin, end, limit, reverse };
                let read = reader.range(range.clone(), Read::Conflict).await.expect("the read succeeds");
                assert!(read == expected, "{} rows instead of {}", read.len(), expected.len());
            }
            if !committed {
                s.accepted(std::mem::replace(&mut transaction, s.begin()).commit().await);
            }
        }
    }
    // Among keys with one beginning, too, only the walked part has to be protected, and all of it.
    let name = |tail: u8| [vec![b'q'; 3_000], vec![tail]].concat();
    for (limit, reverse, written, walked) in [
        (9, false, 5, true),
        (2, false, 2, true),
        (2, true, 4, true),
        (9, true, 9, true),
        (9, false, 10, false),
    ] {
        s.write(|t| (0..6u8).for_each(|i| t.set(s.key(name(i)), vec![i]))).await;
        let mut reader = s.begin();
        let range = Range { limit, reverse, ..s.range(name(1), name(10)) };
        assert_eq!(reader.range(range, Read::Conflict).await.expect("the read succeeds").len(), limit.min(5));
        s.write(|t| t.set(s.key(name(written)), vec![0])).await;
        reader.set(s.key("x"), b"1".to_vec());
        let outcome = reader.commit().await;
        if walked {
            s.refused(outcome);
        } else if !s.differences.spurious_conflicts && !s.differences.long_ranges_protect_more {
            assert!(outcome.is_ok(), "{outcome:?}");
        }
        s.write(|t| t.clear(s.key(name(9)))).await;
    }
}

/// Writers move tokens between rows, inserting and clearing; every range read sees all of them.
pub async fn ranges_are_consistent_under_concurrent_writes(s: &Subject) {
    const TOKENS: u64 = 40;
    const PLACES: u64 = 500;
    let place = |random: &mut Random| format!("place{:04}", random.below(PLACES));
    let mut random = Random::new(1);
    s.write(|t| (0..TOKENS).for_each(|i| t.set(s.key(format!("place{:04}", i * 7)), b"token".to_vec())))
        .await;
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|seed| {
            let (s, stop) = (s.clone(), stop.clone());
            tokio::spawn(async move {
                let mut random = Random::new(seed);
                let mut moves = 0u64;
                while !stop.load(Ordering::Relaxed) {
                    let (from, to) = (s.key(place(&mut random)), s.key(place(&mut random)));
                    let mut transaction = s.begin();
                    let token = transaction.get(&from, Read::Conflict).await.expect("the read succeeds");
                    let taken = transaction.get(&to, Read::Conflict).await.expect("the read succeeds");
                    let (Some(token), None) = (token, taken) else { continue };
                    transaction.clear(from);
                    transaction.set(to, token.to_vec());
                    match transaction.commit().await {
                        Ok(()) => moves += 1,
                        Err(CommitError::Conflict) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                moves
            })
        })
        .collect();
    for _ in 0..200 {
        let mut reader = s.begin();
        let mut seen = Vec::new();
        // In pages, from both ends: all pages belong to the same state.
        let middle = place(&mut random);
        for range in [
            Range { reverse: false, ..s.range(&middle, "q") },
            Range { reverse: true, ..s.range("place", &middle) },
        ] {
            seen.extend(reader.range(range, Read::Snapshot).await.expect("the read succeeds"));
        }
        assert_eq!(seen.len() as u64, TOKENS, "every token is somewhere, once");
        tokio::task::yield_now().await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut moves = 0;
    for writer in writers {
        moves += writer.await.expect("the task ends");
    }
    assert!(moves > 0, "nothing was moved");
}

/// Rows carry the number of clears before them. A clear takes every row with it that was committed
/// before, however shortly, so whoever looks sees rows of the present number only.
pub async fn a_cleared_range_takes_the_newest_rows_with_it(s: &Subject) {
    const CLEARS: i64 = 60;
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..6)
        .map(|writer| {
            let (s, stop) = (s.clone(), stop.clone());
            tokio::spawn(async move {
                let mut written = 0u64;
                while !stop.load(Ordering::Relaxed) {
                    let mut transaction = s.begin();
                    let clears =
                        transaction.get(&s.key("clears"), Read::Conflict).await.expect("the read succeeds");
                    transaction
                        .set(s.key(format!("row/{writer}/{written}")), clears.unwrap_or_default().to_vec());
                    match transaction.commit().await {
                        Ok(()) => written += 1,
                        Err(CommitError::Conflict) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                written
            })
        })
        .collect();
    for clear in 1..=CLEARS {
        s.write(|t| {
            t.clear_range(s.key("row/"), s.key("row0"));
            t.set(s.key("clears"), clear.to_le_bytes().to_vec());
        })
        .await;
        let mut reader = s.begin();
        let rows = reader.range(s.range("row/", "row0"), Read::Snapshot).await.expect("the read succeeds");
        let present = clear.to_le_bytes();
        let old = rows.iter().filter(|(_, value)| value[..] != present).count();
        assert_eq!(old, 0, "{old} of {} rows outlived clear {clear}", rows.len());
    }
    stop.store(true, Ordering::Relaxed);
    let mut written = 0;
    for writer in writers {
        written += writer.await.expect("the task ends");
    }
    assert!(written > 0, "nothing was written");
}
