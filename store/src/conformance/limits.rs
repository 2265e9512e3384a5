//! Limits, ages and sizes.

use super::Subject;
use crate::{
    CommitError, KEY_BYTES_MAX, Range, Read, StoreError, TRANSACTION_BYTES_MAX, TRANSACTION_MS_MAX,
    Transaction, VALUE_BYTES_MAX,
};

/// Commits what `write` writes, next to a row that must then not be there.
async fn refusal(s: &Subject, write: impl Fn(&mut dyn Transaction)) -> StoreError {
    let mut transaction = s.begin();
    transaction.set(s.key("companion"), b"x".to_vec());
    write(&mut *transaction);
    match transaction.commit().await {
        Err(CommitError::Store(error)) => {
            assert_eq!(s.committed("companion").await, None, "nothing of a refused transaction is written");
            error
        }
        other => panic!("the commit should be refused, and was {other:?}"),
    }
}

pub async fn limits_are_enforced(s: &Subject) {
    let longest = |byte: u8| [&s.prefix[..], &vec![byte; KEY_BYTES_MAX - s.prefix.len()]].concat();
    let too_long = [longest(b'a'), vec![b'a']].concat();
    let (mut key, value) = (longest(b'k'), vec![1; VALUE_BYTES_MAX]);
    s.write(|t| t.set(key.clone(), value.clone())).await;
    let read = s.begin().get(&key, Read::Conflict).await.expect("the longest key is legal");
    assert_eq!(read.as_deref(), Some(&value[..]));
    key.push(0);

    let error = refusal(s, |t| t.set(too_long.clone(), vec![])).await;
    assert!(matches!(error, StoreError::KeyTooLong(n) if n == KEY_BYTES_MAX + 1), "{error}");
    let error = refusal(s, |t| t.clear(too_long.clone())).await;
    assert!(matches!(error, StoreError::KeyTooLong(_)), "{error}");
    let error = refusal(s, |t| t.add(too_long.clone(), 1)).await;
    assert!(matches!(error, StoreError::KeyTooLong(_)), "{error}");
    let error = refusal(s, |t| t.set(vec![], vec![])).await;
    assert!(matches!(error, StoreError::KeyEmpty), "{error}");
    let error = refusal(s, |t| t.set(s.key("v"), vec![0; VALUE_BYTES_MAX + 1])).await;
    assert!(matches!(error, StoreError::ValueTooLong(n) if n == VALUE_BYTES_MAX + 1), "{error}");
    let error = refusal(s, |t| t.clear_range(s.key("b"), s.key("b"))).await;
    assert!(matches!(error, StoreError::BadRange), "{error}");
    let rows = TRANSACTION_BYTES_MAX / VALUE_BYTES_MAX + 1;
    let error = refusal(s, |t| (0..rows).for_each(|i| t.set(s.key(format!("{i}")), value.clone()))).await;
    assert!(matches!(error, StoreError::TransactionTooLarge(_)), "{error}");

    let mut reader = s.begin();
    let error = reader.get(&too_long, Read::Snapshot).await.expect_err("the key is too long");
    assert!(matches!(error, StoreError::KeyTooLong(_)), "{error}");
    let error = reader.get(&[], Read::Snapshot).await.expect_err("the key is empty");
    assert!(matches!(error, StoreError::KeyEmpty), "{error}");
    for bad in [Range { limit: 0, ..s.range("a", "b") }, s.range("b", "a"), s.range("a", "a")] {
        let error = reader.range(bad, Read::Snapshot).await.expect_err("the range is bad");
        assert!(matches!(error, StoreError::BadRange), "{error}");
    }
    // A bound may be the first key after the longest one.
    let range = Range { begin: longest(b'k'), end: key, limit: 2, reverse: false };
    assert_eq!(reader.range(range, Read::Conflict).await.expect("the range is legal").len(), 1);
}

pub async fn a_transaction_that_lives_too_long_is_too_old(s: &Subject) {
    s.put(&[("a", "1")]).await;
    let (mut reader, mut writer, mut blind) = (s.begin(), s.begin(), s.begin());
    for transaction in [&mut reader, &mut writer] {
        transaction.get(&s.key("a"), Read::Conflict).await.expect("the read succeeds");
    }
    blind.set(s.key("b"), b"1".to_vec());
    writer.set(s.key("c"), b"1".to_vec());
    s.age_ms(TRANSACTION_MS_MAX - 1_000).await;
    reader.get(&s.key("a"), Read::Conflict).await.expect("it is not that old yet");
    s.age_ms(1_500).await;
    let error = reader.get(&s.key("a"), Read::Conflict).await.expect_err("it is too old");
    assert!(matches!(error, StoreError::TooOld) && error.is_retryable(), "{error}");
    let error = reader.range(s.range("a", "b"), Read::Snapshot).await.expect_err("it is too old");
    assert!(matches!(error, StoreError::TooOld), "{error}");
    match writer.commit().await {
        Err(CommitError::Store(StoreError::TooOld)) => {}
        other => panic!("the commit should be too old, and was {other:?}"),
    }
    assert_eq!(s.committed("c").await, None);
    blind.commit().await.expect("what read nothing does not age");
}

pub async fn what_was_dropped_leaves_nothing(s: &Subject) {
    s.put(&[("a", "1")]).await;
    let before = s.all().await;
    for i in 0..100 {
        let mut transaction = s.begin();
        transaction.get(&s.key("a"), Read::Conflict).await.expect("the read succeeds");
        transaction.set(s.key(format!("b{i}")), b"x".to_vec());
        transaction.clear_range(s.key("a"), s.key("b"));
        transaction.add(s.key("n"), 1);
        drop(transaction);
    }
    assert_eq!(s.all().await, before);
}

/// Several of them at a time, each of more than four megabytes: whole or not at all.
pub async fn large_transactions_are_written_whole(s: &Subject) {
    const ROWS: usize = 1_000;
    let tasks: Vec<_> = (0..4u8)
        .map(|writer| {
            let s = s.clone();
            tokio::spawn(async move {
                let mut transaction = s.begin();
                for row in 0..ROWS {
                    transaction.set(s.key(format!("row{row:04}")), vec![writer; 4_096]);
                }
                transaction.commit().await.expect("nothing was read");
            })
        })
        .collect();
    for task in tasks {
        let rows = s.all().await;
        let whole =
            rows.is_empty() || (rows.len() == ROWS && rows.iter().all(|(_, value)| value == &rows[0].1));
        assert!(whole, "{} rows of different writers", rows.len());
        task.await.expect("the task ends");
    }
    let rows = s.all().await;
    assert_eq!(rows.len(), ROWS);
    assert!(rows.iter().all(|(_, value)| value.len() == 4_096 && value == &rows[0].1));
}

pub async fn a_large_range_is_cleared_whole(s: &Subject) {
    const ROWS: usize = 5_000;
    for half in 0..2 {
        s.write(|t| {
            (0..ROWS).filter(|i| i % 2 == half).for_each(|i| t.set(s.key(format!("r{i:05}")), vec![7; 100]))
        })
        .await;
    }
    s.put(&[("q", "before"), ("s", "after")]).await;
    let mut transaction = s.begin();
    transaction.clear_range(s.key("r"), s.key("s"));
    transaction.set(s.key("r00007"), b"kept".to_vec());
    s.accepted(transaction.commit().await);
    let rows = s.names(&s.all().await);
    let row = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(rows, [row("q", "before"), row("r00007", "kept"), row("s", "after")]);
}
