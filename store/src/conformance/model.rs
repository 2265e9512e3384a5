//! Random interleavings of several transactions, against a model that keeps every committed state.

use super::Subject;
use super::random::Random;
use crate::overlay::added;
use crate::{CommitError, Range, Read, Transaction};
use std::collections::BTreeMap;

/// Transactions open at a time.
pub const SLOTS: usize = 4;
/// Keys in play, `a` and on.
pub const KEYS: u8 = 8;
const SEEDS: u64 = 60;
const STEPS: usize = 120;

/// What happens next, in one of the slots. A slot without a transaction begins one.
#[derive(Clone, Debug)]
pub struct Step {
    pub slot: usize,
    pub action: Action,
}

#[derive(Clone, Debug)]
pub enum Action {
    Get { key: u8, snapshot: bool },
    Range { begin: u8, end: u8, limit: usize, reverse: bool, snapshot: bool },
    Set { key: u8, value: u8 },
    Clear { key: u8 },
    ClearRange { begin: u8, end: u8 },
    Add { key: u8, delta: i8 },
    Commit,
    Drop,
}

type Rows = BTreeMap<u8, Vec<u8>>;
/// A bit for each key.
type Keys = u16;

fn bit(key: u8) -> Keys {
    1 << key
}

fn bits(begin: u8, end: u8) -> Keys {
    (begin..end).fold(0, |keys, key| keys | bit(key))
}

/// A committed state and the keys that its transaction wrote.
struct Version {
    rows: Rows,
    written: Keys,
}

struct Open {
    transaction: Box<dyn Transaction>,
    snapshot: Option<usize>,
    writes: Vec<Action>,
    /// Keys read for conflicts that the store had to be asked for.
    read: Keys,
    /// Keys in walked ranges that the transaction had written itself: an engine may protect them.
    perhaps_read: Keys,
    /// Keys whose value does not depend on the store any more.
    known: Keys,
}

fn apply(rows: &mut Rows, write: &Action) {
    match write {
        Action::Set { key, value } => {
            rows.insert(*key, vec![*value]);
        }
        Action::Clear { key } => {
            rows.remove(key);
        }
        Action::ClearRange { begin, end } => rows.retain(|key, _| key < begin || key >= end),
        Action::Add { key, delta } => {
            let sum = added(rows.get(key).map(Vec::as_slice), i64::from(*delta));
            rows.insert(*key, sum.to_vec());
        }
        _ => {}
    }
}

fn written(write: &Action) -> Keys {
    match write {
        Action::Set { key, .. } | Action::Clear { key } | Action::Add { key, .. } => bit(*key),
        Action::ClearRange { begin, end } => bits(*begin, *end),
        _ => 0,
    }
}

struct Model<'a> {
    s: &'a Subject,
    versions: Vec<Version>,
    slots: [Option<Open>; SLOTS],
}

fn name(key: u8) -> [u8; 1] {
    [b'a' + key]
}

fn kind(snapshot: bool) -> Read {
    if snapshot { Read::Snapshot } else { Read::Conflict }
}

impl Model<'_> {
    fn open(&mut self, slot: usize) -> &mut Open {
        let s = self.s;
        self.slots[slot].get_or_insert_with(|| Open {
            transaction: s.begin(),
            snapshot: None,
            writes: Vec::new(),
            read: 0,
            perhaps_read: 0,
            known: 0,
        })
    }

    /// What the transaction in `slot` sees; its first call fixes that.
    fn seen(&mut self, slot: usize) -> Rows {
        let newest = self.versions.len() - 1;
        let open = self.open(slot);
        let snapshot = *open.snapshot.get_or_insert(newest);
        let writes = open.writes.clone();
        let mut rows = self.versions[snapshot].rows.clone();
        writes.iter().for_each(|write| apply(&mut rows, write));
        rows
    }

    async fn step(&mut self, step: &Step) -> Result<(), String> {
        let (slot, s) = (step.slot, self.s);
        match &step.action {
            Action::Get { key, snapshot } => self.get(slot, *key, *snapshot).await,
            Action::Range { begin, end, limit, reverse, snapshot } => {
                let range = Range { limit: *limit, reverse: *reverse, ..s.range(name(*begin), name(*end)) };
                self.range(slot, (*begin, *end), range, *snapshot).await
            }
            Action::Commit => self.commit(slot).await,
            Action::Drop => {
                self.slots[slot] = None;
                Ok(())
            }
            write => {
                self.write(slot, write);
                Ok(())
            }
        }
    }

    async fn get(&mut self, slot: usize, key: u8, snapshot: bool) -> Result<(), String> {
        let open = self.open(slot);
        let known = open.known & bit(key) != 0;
        // Whether such a read fixes the snapshot is left open.
        if known && open.snapshot.is_none() {
            return Ok(());
        }
        let expected = self.seen(slot).remove(&key);
        let full_key = self.s.key(name(key));
        let open = self.open(slot);
        let value =
            open.transaction.get(&full_key, kind(snapshot)).await.map_err(|error| error.to_string())?;
        if !snapshot && !known {
            open.read |= bit(key);
        }
        if value.as_deref() == expected.as_deref() {
            Ok(())
        } else {
            Err(format!("read {value:?} instead of {expected:?}"))
        }
    }

    async fn range(
        &mut self,
        slot: usize,
        keys: (u8, u8),
        range: Range,
        snapshot: bool,
    ) -> Result<(), String> {
        let seen = self.seen(slot);
        let (limit, reverse) = (range.limit, range.reverse);
        let within = seen.range(keys.0..keys.1);
        let expected: Vec<u8> = if reverse {
            within.rev().take(limit).map(|(key, _)| *key).collect()
        } else {
            within.take(limit).map(|(key, _)| *key).collect()
        };
        let open = self.open(slot);
        let rows = open.transaction.range(range, kind(snapshot)).await.map_err(|error| error.to_string())?;
        if !snapshot {
            let walked = match expected.last() {
                Some(last) if expected.len() == limit && reverse => bits(*last, keys.1),
                Some(last) if expected.len() == limit => bits(keys.0, *last + 1),
                _ => bits(keys.0, keys.1),
            };
            open.read |= walked & !open.known;
            open.perhaps_read |= walked & open.known;
        }
        let expected: Vec<_> =
            expected.iter().map(|key| (self.s.key(name(*key)).into(), seen[key].clone().into())).collect();
        if rows == expected { Ok(()) } else { Err(format!("read {rows:?} instead of {expected:?}")) }
    }

    fn write(&mut self, slot: usize, write: &Action) {
        let s = self.s;
        let open = self.open(slot);
        match write {
            Action::Set { key, value } => open.transaction.set(s.key(name(*key)), vec![*value]),
            Action::Clear { key } => open.transaction.clear(s.key(name(*key))),
            Action::ClearRange { begin, end } => {
                open.transaction.clear_range(s.key(name(*begin)), s.key(name(*end)));
            }
            Action::Add { key, delta } => open.transaction.add(s.key(name(*key)), i64::from(*delta)),
            _ => return,
        }
        if !matches!(write, Action::Add { .. }) {
            open.known |= written(write);
        }
        open.writes.push(write.clone());
    }

    /// Keys that count as unchanged because they are as absent as they were.
    fn absent_again(&self, snapshot: usize) -> Keys {
        let newest = &self.versions[self.versions.len() - 1].rows;
        let before = &self.versions[snapshot].rows;
        let absent = |key: &u8| !before.contains_key(key) && !newest.contains_key(key);
        let passes = self.s.differences.absent_again_passes;
        (0..KEYS).filter(absent).filter(|_| passes).fold(0, |keys, key| keys | bit(key))
    }

    async fn commit(&mut self, slot: usize) -> Result<(), String> {
        let Some(open) = self.slots[slot].take() else { return Ok(()) };
        let outcome = open.transaction.commit().await;
        let since = open.snapshot.map_or(&[][..], |snapshot| &self.versions[snapshot + 1..]);
        let written_since = since.iter().fold(0, |keys, version| keys | version.written);
        let writes_any = !open.writes.is_empty();
        let unchanged = open.snapshot.map_or(0, |snapshot| self.absent_again(snapshot));
        let must = writes_any && written_since & open.read & !unchanged != 0;
        let may = writes_any && written_since & (open.read | open.perhaps_read) != 0;
        match outcome {
            Ok(()) if must => return Err("committed in spite of a conflict".into()),
            Ok(()) => {}
            Err(CommitError::Conflict) if must || may || self.s.differences.spurious_conflicts => {
                return Ok(());
            }
            Err(error) => return Err(format!("refused: {error}")),
        }
        let mut rows = self.versions[self.versions.len() - 1].rows.clone();
        open.writes.iter().for_each(|write| apply(&mut rows, write));
        let written = open.writes.iter().fold(0, |keys, write| keys | written(write));
        self.versions.push(Version { rows, written });
        Ok(())
    }
}

/// Runs the steps on an engine and the model. Begins with no keys, and leaves none.
pub async fn run(s: &Subject, steps: &[Step]) -> Result<(), String> {
    let first = Version { rows: Rows::new(), written: 0 };
    let mut model = Model { s, versions: vec![first], slots: Default::default() };
    for (i, step) in steps.iter().enumerate() {
        model.step(step).await.map_err(|error| format!("step {i}, {step:?}: {error}"))?;
    }
    for slot in 0..SLOTS {
        model.commit(slot).await.map_err(|error| format!("the last commit in slot {slot}: {error}"))?;
    }
    let newest = &model.versions[model.versions.len() - 1].rows;
    let expected: Vec<_> =
        newest.iter().map(|(key, v)| (s.key(name(*key)).into(), v.clone().into())).collect();
    let stored = s.all().await;
    if stored != expected {
        return Err(format!("in the end there is {stored:?} instead of {expected:?}"));
    }
    s.write(|t| t.clear_range(s.key(name(0)), s.key(name(KEYS)))).await;
    Ok(())
}

/// A step that any numbers stand for.
pub fn step(random: &mut Random) -> Step {
    let key = random.below(u64::from(KEYS)) as u8;
    let (begin, end) = (key, key + 1 + random.below(u64::from(KEYS - key)) as u8);
    let snapshot = random.one_in(4);
    let action = match random.below(20) {
        0..4 => Action::Get { key, snapshot },
        4..8 => {
            let limit = 1 + random.below(4) as usize;
            Action::Range { begin, end, limit, reverse: random.one_in(2), snapshot }
        }
        8..12 => Action::Set { key, value: random.below(256) as u8 },
        12..14 => Action::Clear { key },
        14 => Action::ClearRange { begin, end },
        15..17 => Action::Add { key, delta: random.below(256) as u8 as i8 },
        17..19 => Action::Commit,
        _ => Action::Drop,
    };
    Step { slot: random.below(SLOTS as u64) as usize, action }
}

pub async fn random_interleavings_follow_the_model(s: &Subject) {
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let steps: Vec<Step> = (0..STEPS).map(|_| step(&mut random)).collect();
        if let Err(error) = run(s, &steps).await {
            panic!("seed {seed}: {error}");
        }
    }
}
