//! Additions: they never conflict, and none is lost.

use super::Subject;
use super::random::Random;
use crate::{CommitError, Read};
use bytes::Bytes;

const TASKS: u64 = 16;
const ADDITIONS: u64 = 50;

pub fn counter(value: Option<Bytes>) -> i64 {
    let bytes = value.and_then(|value| <[u8; 8]>::try_from(&value[..]).ok());
    bytes.map_or(0, i64::from_le_bytes)
}

pub async fn concurrent_additions_all_count(s: &Subject) {
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let s = s.clone();
            tokio::spawn(async move {
                for i in 0..ADDITIONS {
                    let mut transaction = s.begin();
                    transaction.add(s.key("sum"), (task * ADDITIONS + i) as i64);
                    transaction.add(s.key("count"), 1);
                    transaction.add(s.key("zero"), if i % 2 == 0 { 7 } else { -7 });
                    transaction.commit().await.expect("additions do not conflict");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("the task ends");
    }
    let n = (TASKS * ADDITIONS) as i64;
    assert_eq!(counter(s.committed("count").await), n);
    assert_eq!(counter(s.committed("sum").await), n * (n - 1) / 2);
    assert_eq!(counter(s.committed("zero").await), 0);
}

/// Additions, sets, clears and guarded updates of one counter at the same time: what a guarded
/// update reads is what it replaces.
pub async fn additions_mix_with_other_writes(s: &Subject) {
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let s = s.clone();
            tokio::spawn(async move {
                let mut random = Random::new(task);
                let mut total = 0;
                for _ in 0..ADDITIONS {
                    let delta = random.below(100) as i64;
                    let mut transaction = s.begin();
                    if random.one_in(3) {
                        // Moves the whole counter over to another and starts it again from delta.
                        let key = s.key("n");
                        let moved =
                            counter(transaction.get(&key, Read::Conflict).await.expect("the read succeeds"));
                        transaction.add(s.key("moved"), moved);
                        if random.one_in(2) {
                            transaction.clear(key.clone());
                            transaction.add(key, delta);
                        } else {
                            transaction.set(key, delta.to_le_bytes().to_vec());
                        }
                    } else {
                        transaction.add(s.key("n"), delta);
                    }
                    match transaction.commit().await {
                        Ok(()) => total += delta,
                        Err(CommitError::Conflict) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                total
            })
        })
        .collect();
    let mut total = 0;
    for task in tasks {
        total += task.await.expect("the task ends");
    }
    let stored = counter(s.committed("n").await) + counter(s.committed("moved").await);
    assert_eq!(stored, total, "what was acknowledged is there, and nothing else");
}
