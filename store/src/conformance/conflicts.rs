//! Who conflicts with whom.

use super::Subject;
use crate::{Range, Read, Transaction};

async fn read(s: &Subject, transaction: &mut dyn Transaction, name: &str, read: Read) {
    transaction.get(&s.key(name), read).await.expect("the read succeeds");
}

async fn walk(transaction: &mut dyn Transaction, range: Range, read: Read) -> usize {
    transaction.range(range, read).await.expect("the read succeeds").len()
}

/// Two read the same value and both write a new one.
pub async fn a_lost_update_is_refused(s: &Subject) {
    s.put(&[("n", "1")]).await;
    let (mut first, mut second) = (s.begin(), s.begin());
    read(s, &mut *first, "n", Read::Conflict).await;
    read(s, &mut *second, "n", Read::Conflict).await;
    first.set(s.key("n"), b"2".to_vec());
    second.set(s.key("n"), b"3".to_vec());
    s.accepted(first.commit().await);
    s.refused(second.commit().await);
    assert_eq!(s.committed("n").await.as_deref(), Some(&b"2"[..]));
}

/// Each reads what the other writes.
pub async fn write_skew_is_refused(s: &Subject) {
    s.put(&[("a", "1"), ("b", "1")]).await;
    let (mut first, mut second) = (s.begin(), s.begin());
    for transaction in [&mut first, &mut second] {
        read(s, &mut **transaction, "a", Read::Conflict).await;
        read(s, &mut **transaction, "b", Read::Conflict).await;
    }
    first.set(s.key("a"), b"0".to_vec());
    second.set(s.key("b"), b"0".to_vec());
    s.accepted(first.commit().await);
    s.refused(second.commit().await);
    assert_eq!(s.committed("b").await.as_deref(), Some(&b"1"[..]));
}

/// Reads of a row, of a missing row and of a range, against every kind of write to it.
pub async fn every_read_conflicts_with_every_write(s: &Subject) {
    for write in ["set", "set the same", "clear", "clear_range", "add"] {
        for name in ["there", "missing"] {
            for by_range in [false, true] {
                s.write(|t| t.clear_range(s.key("a"), s.key("z"))).await;
                s.put(&[("there", "1")]).await;
                let mut reader = s.begin();
                if by_range {
                    walk(&mut *reader, s.range("m", "u"), Read::Conflict).await;
                } else {
                    read(s, &mut *reader, name, Read::Conflict).await;
                }
                s.write(|t| match write {
                    "set" => t.set(s.key(name), b"2".to_vec()),
                    "set the same" => t.set(s.key(name), b"1".to_vec()),
                    "clear" => t.clear(s.key(name)),
                    "clear_range" => t.clear_range(s.key("missing"), s.key("therf")),
                    _ => t.add(s.key(name), 1),
                })
                .await;
                reader.set(s.key("elsewhere"), b"x".to_vec());
                let outcome = reader.commit().await;
                let absent_again =
                    name == "missing" && (write == "clear" || (write == "clear_range" && !by_range));
                if absent_again && s.differences.absent_again_passes {
                    s.accepted(outcome);
                    continue;
                }
                assert!(
                    matches!(outcome, Err(crate::CommitError::Conflict)),
                    "{write} on {name}, read by range: {by_range}, gave {outcome:?}"
                );
            }
        }
    }
}

/// A phantom in the part that was walked is refused; beyond it nothing is protected.
pub async fn only_the_walked_part_of_a_range_is_protected(s: &Subject) {
    let cases = [
        // reverse, limit, written name, refused
        (false, 2, "a", false),
        (false, 2, "b", true),
        (false, 2, "c", true),
        (false, 2, "d", true),
        (false, 2, "d0", false),
        (false, 2, "f", false),
        (true, 2, "j", false),
        (true, 2, "i", true),
        (true, 2, "g", true),
        (true, 2, "f", true),
        (true, 2, "e", false),
        (true, 2, "b", false),
        (false, 9, "i5", true),
        (true, 9, "b5", true),
        (false, 9, "j", false),
    ];
    for (reverse, limit, written, refused) in cases {
        s.write(|t| t.clear_range(s.key("a"), s.key("z"))).await;
        s.put(&[("b", "1"), ("d", "1"), ("f", "1"), ("h", "1")]).await;
        let mut reader = s.begin();
        // Rows b, d, f, h between b and j.
        let rows = walk(&mut *reader, Range { limit, reverse, ..s.range("b", "j") }, Read::Conflict).await;
        assert_eq!(rows, limit.min(4));
        s.put(&[(written, "2")]).await;
        reader.set(s.key("y"), b"x".to_vec());
        let outcome = reader.commit().await;
        let context = format!("{written} written, reverse {reverse}, limit {limit}: {outcome:?}");
        if refused {
            assert!(matches!(outcome, Err(crate::CommitError::Conflict)), "{context}");
        } else if !s.differences.spurious_conflicts {
            assert!(outcome.is_ok(), "{context}");
        }
    }
}

pub async fn snapshot_reads_never_conflict(s: &Subject) {
    s.put(&[("a", "1"), ("b", "1")]).await;
    let mut reader = s.begin();
    read(s, &mut *reader, "a", Read::Snapshot).await;
    read(s, &mut *reader, "missing", Read::Snapshot).await;
    assert_eq!(walk(&mut *reader, s.range("a", "z"), Read::Snapshot).await, 2);
    s.put(&[("a", "2"), ("missing", "2"), ("c", "2")]).await;
    assert_eq!(walk(&mut *reader, s.range("a", "z"), Read::Snapshot).await, 2, "the snapshot stays");
    reader.set(s.key("a"), b"3".to_vec());
    s.accepted(reader.commit().await);
    assert_eq!(s.committed("a").await.as_deref(), Some(&b"3"[..]));
}

pub async fn writes_without_reads_never_conflict(s: &Subject) {
    let (mut first, mut second, mut third) = (s.begin(), s.begin(), s.begin());
    first.set(s.key("a"), b"1".to_vec());
    second.set(s.key("a"), b"2".to_vec());
    third.clear_range(s.key("a"), s.key("z"));
    third.set(s.key("b"), b"3".to_vec());
    first.commit().await.expect("nothing was read");
    third.commit().await.expect("nothing was read");
    second.commit().await.expect("nothing was read");
    assert_eq!(s.names(&s.all().await), [("a".into(), "2".into()), ("b".into(), "3".into())]);
}

pub async fn what_was_not_committed_conflicts_with_nobody(s: &Subject) {
    s.put(&[("a", "1"), ("b", "1")]).await;
    let mut reader = s.begin();
    read(s, &mut *reader, "a", Read::Conflict).await;
    // Dropped without a commit.
    s.begin().set(s.key("a"), b"2".to_vec());
    // Refused.
    let mut refused = s.begin();
    read(s, &mut *refused, "b", Read::Conflict).await;
    refused.set(s.key("a"), b"3".to_vec());
    s.put(&[("b", "2")]).await;
    s.refused(refused.commit().await);
    reader.set(s.key("c"), b"1".to_vec());
    s.accepted(reader.commit().await);
}

/// Neither `begin` nor a write fixes the snapshot, and every read after the first sees the same.
pub async fn the_first_read_fixes_what_is_seen(s: &Subject) {
    s.put(&[("a", "1"), ("b", "1")]).await;
    let mut reader = s.begin();
    reader.set(s.key("c"), b"1".to_vec());
    s.put(&[("a", "2")]).await;
    let value = reader.get(&s.key("a"), Read::Conflict).await.expect("the read succeeds");
    assert_eq!(value.as_deref(), Some(&b"2"[..]));
    s.put(&[("b", "2")]).await;
    let value = reader.get(&s.key("b"), Read::Snapshot).await.expect("the read succeeds");
    assert_eq!(value.as_deref(), Some(&b"1"[..]));
    let rows = reader.range(s.range("a", "z"), Read::Snapshot).await.expect("the read succeeds");
    let rows = s.names(&rows);
    assert_eq!(rows, [("a".into(), "2".into()), ("b".into(), "1".into()), ("c".into(), "1".into())]);
    s.accepted(reader.commit().await);
}

pub async fn transactions_that_only_read_always_commit(s: &Subject) {
    s.put(&[("a", "1")]).await;
    let mut reader = s.begin();
    read(s, &mut *reader, "a", Read::Conflict).await;
    walk(&mut *reader, s.range("a", "z"), Read::Conflict).await;
    s.put(&[("a", "2"), ("b", "2")]).await;
    reader.commit().await.expect("it saw one committed state");
    s.begin().commit().await.expect("it did nothing");
}

/// What one transaction has seen, another one relies on, where the engine can do that.
pub async fn what_another_has_seen_can_be_relied_on(s: &Subject) {
    for changed in ["nothing", "there", "missing"] {
        s.write(|t| t.clear_range(s.key("a"), s.key("z"))).await;
        s.put(&[("there", "1")]).await;
        let mut seer = s.begin();
        for name in ["there", "missing"] {
            read(s, &mut *seer, name, Read::Snapshot).await;
        }
        let Some(seen) = seer.seen() else { return };
        drop(seer);
        if changed != "nothing" {
            s.put(&[(changed, "1")]).await;
        }
        let mut relying = s.begin();
        for name in ["there", "missing"] {
            assert!(relying.rely(&s.key(name), &seen), "an engine that tells what it sees can rely on it");
        }
        relying.set(s.key("x"), b"1".to_vec());
        let outcome = relying.commit().await;
        if changed == "nothing" {
            s.accepted(outcome);
        } else {
            s.refused(outcome);
        }
        // What it has written itself has to be read.
        let mut writer = s.begin();
        writer.set(s.key("there"), b"2".to_vec());
        assert!(!writer.rely(&s.key("there"), &seen));
    }
}

/// What a transaction expects holds at its commit, or it fails; where the engine can do that.
pub async fn what_is_expected_holds_or_the_commit_fails(s: &Subject) {
    s.put(&[("there", "1")]).await;
    for (name, value, holds) in [
        ("there", Some("1"), true),
        ("there", Some("2"), false),
        ("there", Some(""), false),
        ("there", None, false),
        ("missing", None, true),
        ("missing", Some(""), false),
    ] {
        let mut transaction = s.begin();
        if !transaction.expect(&s.key(name), value.map(str::as_bytes)) {
            return;
        }
        transaction.set(s.key("x"), b"1".to_vec());
        let outcome = transaction.commit().await;
        if holds {
            s.accepted(outcome);
        } else {
            s.refused(outcome);
        }
    }
    // It is looked at in the end, not before.
    let mut early = s.begin();
    assert!(early.expect(&s.key("there"), Some(b"1")));
    let mut late = s.begin();
    assert!(late.expect(&s.key("there"), Some(b"3")));
    s.put(&[("there", "3")]).await;
    for (mut transaction, holds) in [(early, false), (late, true)] {
        transaction.set(s.key("x"), b"1".to_vec());
        if holds { s.accepted(transaction.commit().await) } else { s.refused(transaction.commit().await) }
    }
    // Both at once cannot be.
    let mut torn = s.begin();
    assert!(torn.expect(&s.key("there"), Some(b"3")) && torn.expect(&s.key("there"), None));
    torn.set(s.key("x"), b"1".to_vec());
    s.refused(torn.commit().await);
    // What it has written itself has to be read.
    let mut writer = s.begin();
    writer.set(s.key("there"), b"2".to_vec());
    assert!(!writer.expect(&s.key("there"), Some(b"3")));
}
