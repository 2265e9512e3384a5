//! Long keys. An entry of a B-tree index holds some 2,700 bytes, and a key may have 10,000: of a long key
//! the index has the beginning and a hash, and the row has the rest of it.
//!
//! What stands in the index is called the place of a key. Places of short keys, and those of long keys with
//! different beginnings, are in the order of the keys. Long keys with the same beginning are next to each
//! other, in any order.

use bytes::Bytes;
use std::borrow::Cow;

/// Longest key that stands in the index as it is, and so much of longer ones, in bytes.
pub(super) const BEGINNING_BYTES: usize = 2_000;

/// Where a key stands in the index.
pub(super) fn place(key: &[u8]) -> Cow<'_, [u8]> {
    if key.len() <= BEGINNING_BYTES {
        return Cow::Borrowed(key);
    }
    let hash = ring::digest::digest(&ring::digest::SHA256, key);
    Cow::Owned([&key[..BEGINNING_BYTES], hash.as_ref()].concat())
}

/// What of a key does not stand in the index.
pub(super) fn rest(key: &[u8]) -> Option<&[u8]> {
    key.get(BEGINNING_BYTES..).filter(|rest| !rest.is_empty())
}

/// The key of a row that was found at `place`.
pub(super) fn key(place: &[u8], rest: Option<&[u8]>) -> Bytes {
    match rest {
        None => Bytes::copy_from_slice(place),
        Some(rest) => [&place[..BEGINNING_BYTES.min(place.len())], rest].concat().into(),
    }
}

/// The first place that a key from `bound` on can have. Long keys before it may stand there as well.
pub(super) fn first(bound: &[u8]) -> &[u8] {
    &bound[..bound.len().min(BEGINNING_BYTES)]
}

/// The first place that no key before `bound` has. Long keys from `bound` on may stand before it as well.
pub(super) fn after(bound: &[u8]) -> Cow<'_, [u8]> {
    if bound.len() <= BEGINNING_BYTES { Cow::Borrowed(bound) } else { Cow::Owned(after_group(bound)) }
}

/// The first place after all keys that have the beginning of `place`, and more.
pub(super) fn after_group(place: &[u8]) -> Vec<u8> {
    // Longer than a hash.
    let mut after = place[..BEGINNING_BYTES].to_vec();
    after.extend([0xff; 33]);
    after
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key_of(bytes: &[u8], at: usize) -> Vec<u8> {
        let mut key = vec![b'k'; at];
        key.extend_from_slice(bytes);
        key
    }

    proptest! {
        #[test]
        fn places_lie_where_bounds_say(
            a in (proptest::collection::vec(any::<u8>(), 0..40), 1_980usize..2_020),
            b in (proptest::collection::vec(any::<u8>(), 0..40), 1_980usize..2_020),
        ) {
            let (a, b) = (key_of(&a.0, a.1), key_of(&b.0, b.1));
            prop_assert_eq!(&key(&place(&a), rest(&a)), &a);
            if a >= b {
                prop_assert!(*place(&a) >= *first(&b));
            }
            if a < b {
                prop_assert!(*place(&a) < *after(&b));
            }
            if a.len().min(b.len()) <= BEGINNING_BYTES || a[..BEGINNING_BYTES] != b[..BEGINNING_BYTES] {
                prop_assert_eq!(a.cmp(&b), place(&a).cmp(&place(&b)));
            }
        }
    }
}
