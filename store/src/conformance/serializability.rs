//! Concurrent transactions behave as if they ran one after the other, in the order in which they
//! were acknowledged.

use super::Subject;
use super::counters::counter;
use super::history::{self, Element, Event, Key};
use super::random::Random;
use crate::{CommitError, Read, Transaction};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::mpsc;

const TASKS: u64 = 12;

async fn balance(s: &Subject, transaction: &mut dyn Transaction, account: u64, read: Read) -> i64 {
    let key = s.key(format!("account{account:03}"));
    counter(transaction.get(&key, read).await.expect("the read succeeds"))
}

/// Transfers between accounts, none of which may fall below zero, while others sum them up.
pub async fn transfers_keep_the_sum(s: &Subject) {
    const ACCOUNTS: u64 = 20;
    const OPENING: i64 = 100;
    const TRANSFERS: u64 = 100;
    s.write(|t| {
        (0..ACCOUNTS).for_each(|i| t.set(s.key(format!("account{i:03}")), OPENING.to_le_bytes().to_vec()));
    })
    .await;
    let stop = Arc::new(AtomicBool::new(false));
    let auditor = tokio::spawn({
        let (s, stop) = (s.clone(), stop.clone());
        async move {
            let mut audits = 0u64;
            while !stop.load(Ordering::Relaxed) || audits == 0 {
                let mut transaction = s.begin();
                let mut sum = 0;
                for account in 0..ACCOUNTS {
                    let balance = balance(&s, &mut *transaction, account, Read::Snapshot).await;
                    assert!(balance >= 0, "account {account} is overdrawn");
                    sum += balance;
                    tokio::task::yield_now().await;
                }
                assert_eq!(sum, ACCOUNTS as i64 * OPENING);
                audits += 1;
            }
        }
    });
    let tellers: Vec<_> = (0..TASKS)
        .map(|seed| {
            let s = s.clone();
            tokio::spawn(async move {
                let mut random = Random::new(seed);
                let mut committed = 0u64;
                while committed < TRANSFERS {
                    let (from, to) = (random.below(ACCOUNTS), random.below(ACCOUNTS));
                    let amount = random.below(60) as i64;
                    let mut transaction = s.begin();
                    let available = balance(&s, &mut *transaction, from, Read::Conflict).await;
                    if from == to || available < amount {
                        continue;
                    }
                    let rest = (available - amount).to_le_bytes().to_vec();
                    transaction.set(s.key(format!("account{from:03}")), rest);
                    if random.one_in(2) {
                        transaction.add(s.key(format!("account{to:03}")), amount);
                    } else {
                        let sum = balance(&s, &mut *transaction, to, Read::Conflict).await + amount;
                        transaction.set(s.key(format!("account{to:03}")), sum.to_le_bytes().to_vec());
                    }
                    transaction.add(s.key("transfers"), 1);
                    match transaction.commit().await {
                        Ok(()) => committed += 1,
                        Err(CommitError::Conflict) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    for teller in tellers {
        teller.await.expect("the task ends");
    }
    stop.store(true, Ordering::Relaxed);
    auditor.await.expect("every audit is right");
    assert_eq!(counter(s.committed("transfers").await), (TASKS * TRANSFERS) as i64);
}

fn list_key(s: &Subject, key: Key) -> Vec<u8> {
    s.key(format!("list{key:02}"))
}

fn list(value: Option<bytes::Bytes>) -> Vec<Element> {
    let value = value.unwrap_or_default();
    value.chunks_exact(8).filter_map(|chunk| Some(u64::from_le_bytes(chunk.try_into().ok()?))).collect()
}

/// One random transaction on the lists. `None` if it conflicted.
async fn transact(s: &Subject, random: &mut Random, clock: &AtomicU64, fresh: &AtomicU64) -> Option<Event> {
    const LISTS: u64 = 5;
    let mut event = Event { invoked: clock.fetch_add(1, Ordering::SeqCst), ..Event::default() };
    let mut transaction = s.begin();
    let first = random.below(LISTS);
    for i in 0..1 + random.below(3) {
        let key = (first + i) % LISTS;
        let value = transaction.get(&list_key(s, key), Read::Conflict).await.expect("the read succeeds");
        let mut elements = list(value);
        event.reads.push((key, elements.clone()));
        if random.one_in(2) {
            let element = fresh.fetch_add(1, Ordering::Relaxed);
            elements.push(element);
            event.appends.push((key, element));
            transaction.set(list_key(s, key), elements.iter().flat_map(|e| e.to_le_bytes()).collect());
        }
        if random.one_in(4) {
            tokio::task::yield_now().await;
        }
    }
    match transaction.commit().await {
        Ok(()) => event.returned = Some(clock.fetch_add(1, Ordering::SeqCst)),
        Err(CommitError::Conflict) => return None,
        Err(CommitError::Unknown(_)) => {}
        Err(error) => panic!("{error}"),
    }
    Some(event)
}

pub async fn histories_are_strictly_serializable(s: &Subject) {
    const TRANSACTIONS: u64 = 60;
    let (clock, fresh) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<_> = (0..TASKS)
        .map(|seed| {
            let (s, clock, fresh) = (s.clone(), clock.clone(), fresh.clone());
            tokio::spawn(async move {
                let mut random = Random::new(seed);
                let mut events = Vec::new();
                for _ in 0..TRANSACTIONS {
                    events.extend(transact(&s, &mut random, &clock, &fresh).await);
                }
                events
            })
        })
        .collect();
    let mut events = Vec::new();
    for client in clients {
        events.extend(client.await.expect("the task ends"));
    }
    let mut finals = BTreeMap::new();
    for (key, value) in s.all().await {
        let number =
            String::from_utf8_lossy(&key[s.prefix.len() + 4..]).parse().expect("the key is a list's");
        finals.insert(number, list(Some(value)));
    }
    assert!(events.len() as u64 > TRANSACTIONS, "only {} of them committed", events.len());
    if let Err(error) = history::check(&events, &finals) {
        panic!("{error}");
    }
}

/// Whoever hears of a commit sees it, and nobody sees the value go back.
pub async fn acknowledged_writes_are_seen_at_once(s: &Subject) {
    const WRITES: i64 = 300;
    let (tell, mut told) = mpsc::channel::<i64>(1_000);
    let stop = Arc::new(AtomicBool::new(false));
    let watchers: Vec<_> = (0..3)
        .map(|_| {
            let (s, stop) = (s.clone(), stop.clone());
            tokio::spawn(async move {
                let mut last = 0;
                while !stop.load(Ordering::Relaxed) {
                    let seen = counter(s.committed("register").await);
                    assert!(seen >= last, "{seen} after {last}");
                    last = seen;
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let follower = tokio::spawn({
        let s = s.clone();
        async move {
            while let Some(acknowledged) = told.recv().await {
                let seen = counter(s.committed("register").await);
                assert!(seen >= acknowledged, "{seen} after {acknowledged} was acknowledged");
            }
        }
    });
    for i in 1..=WRITES {
        s.write(|t| t.set(s.key("register"), i.to_le_bytes().to_vec())).await;
        tell.send(i).await.expect("the follower listens");
    }
    drop(tell);
    follower.await.expect("the follower saw everything");
    stop.store(true, Ordering::Relaxed);
    for watcher in watchers {
        watcher.await.expect("the value never went back");
    }
}

/// Who has raised an epoch, and was told so, sees whatever was written under those before: writers that rely on
/// an old one fail from then on. The one who raises it reads nothing.
pub async fn nothing_is_written_under_an_epoch_that_was_raised(s: &Subject) {
    const EPOCHS: i64 = 60;
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..6)
        .map(|writer| {
            let (s, stop) = (s.clone(), stop.clone());
            tokio::spawn(async move {
                let mut written = 0i64;
                while !stop.load(Ordering::Relaxed) {
                    let mut transaction = s.begin();
                    let epoch =
                        transaction.get(&s.key("epoch"), Read::Conflict).await.expect("the read succeeds");
                    let row = [counter(epoch).to_le_bytes(), written.to_le_bytes()].concat();
                    transaction.set(s.key(format!("row/{writer}")), row);
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
    let rows = async || {
        let range = s.range("row/", "row0");
        s.begin().range(range, Read::Snapshot).await.expect("the read succeeds")
    };
    for epoch in 1..=EPOCHS {
        s.write(|t| t.set(s.key("epoch"), epoch.to_le_bytes().to_vec())).await;
        let before = rows().await;
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        for row in rows().await {
            let under = counter(Some(row.1.slice(..8)));
            assert!(under >= epoch || before.contains(&row), "written under {under} after {epoch} was told");
        }
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        assert!(writer.await.expect("the task ends") > 0, "nothing was written");
    }
}
