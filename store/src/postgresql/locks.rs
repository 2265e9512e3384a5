//! Which locks a commit takes, so that what it has compared stays as it is until it is visible.
//!
//! A commit takes a shared lock on each key that it relies on, and an exclusive one on each that it writes, in
//! one order for all. The locks are the server's advisory ones: they are held in memory, and go with the
//! commit. Most rows are never relied on by anybody, and locks are few; so keys are divided into families by
//! their first two bytes (in a tuple: the subspace), and only the writes into families from which something
//! has ever been relied on are locked. Which those are is stored; one is added under the lock on everything.
//!
//! A commit that would take too many locks, or that concerns ranges, takes the lock on everything instead:
//! it runs alone.

use std::collections::{BTreeMap, BTreeSet};
use xxhash_rust::xxh3::xxh3_64;

/// The first two bytes of a key.
pub(super) type Family = i32;

pub(super) fn family(key: &[u8]) -> Family {
    let byte = |index: usize| Family::from(key.get(index).copied().unwrap_or(0));
    (byte(0) << 8) | byte(1)
}

/// Locks of one commit.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Locks {
    /// On everything; these families are relied on from now on.
    All { new: Vec<Family> },
    /// By number, in order; whether shared.
    Some(Vec<(i32, bool)>),
}

/// The number of a key's lock. Two keys may have the same: the one waits for the other for nothing.
fn number(place: &[u8]) -> i32 {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "a part of the hash will do"
    )]
    let number = xxh3_64(place) as i32;
    // 0 is the lock on everything.
    if number == 0 { 1 } else { number }
}

/// For reading `read` and writing `written` (places of keys), where `guarded` families are known to be
/// relied on.
pub(super) fn locks<'a>(
    read: impl Iterator<Item = &'a [u8]>,
    written: impl Iterator<Item = &'a [u8]>,
    ranges: bool,
    guarded: &BTreeSet<Family>,
    locks_max: usize,
) -> Locks {
    let mut locks = BTreeMap::new();
    let mut new = BTreeSet::new();
    for place in read {
        let family = family(place);
        if !guarded.contains(&family) {
            new.insert(family);
        }
        locks.insert(number(place), true);
    }
    let new: Vec<Family> = new.into_iter().collect();
    if ranges || !new.is_empty() {
        return Locks::All { new };
    }
    for place in written.filter(|place| guarded.contains(&family(place))) {
        locks.insert(number(place), false);
    }
    if locks.len() > locks_max { Locks::All { new } } else { Locks::Some(locks.into_iter().collect()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(read: &[&str], written: &[&str], ranges: bool, guarded: &[&str]) -> Locks {
        let guarded = guarded.iter().map(|name| family(name.as_bytes())).collect();
        let bytes = |names: &[&str]| names.iter().map(|name| name.as_bytes().to_vec()).collect::<Vec<_>>();
        let (read, written) = (bytes(read), bytes(written));
        locks(read.iter().map(|k| &k[..]), written.iter().map(|k| &k[..]), ranges, &guarded, 3)
    }

    #[test]
    fn writes_are_locked_only_where_somebody_relies_on_such_rows() {
        let Locks::Some(taken) = of(&["ep1"], &["ep2", "ev1", "ev2", "ev3", "ev4"], false, &["ep"]) else {
            panic!("the lock on everything")
        };
        assert_eq!(taken.len(), 2);
        assert!(taken.contains(&(number(b"ep1"), true)) && taken.contains(&(number(b"ep2"), false)));
        assert!(taken.is_sorted());
    }

    #[test]
    fn what_is_read_and_written_is_locked_for_writing() {
        assert_eq!(of(&["a1"], &["a1"], false, &["a1"]), Locks::Some(vec![(number(b"a1"), false)]));
    }

    #[test]
    fn new_families_ranges_and_too_many_locks_take_everything() {
        assert_eq!(of(&["ep1"], &[], false, &[]), Locks::All { new: vec![family(b"ep")] });
        assert_eq!(of(&[], &["a"], true, &[]), Locks::All { new: vec![] });
        let many = ["ep1", "ep2", "ep3", "ep4"];
        assert_eq!(of(&many, &[], false, &["ep"]), Locks::All { new: vec![] });
        assert_eq!(of(&[], &many, false, &["xx"]), Locks::Some(vec![]));
    }
}
