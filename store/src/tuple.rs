//! Keys as tuples in FoundationDB's tuple encoding, whose byte order is the order of the tuples.
//!
//! The encoding is the one of the FoundationDB tuple layer (`design/tuple.md` of its repository),
//! so that keys written by one engine mean the same on every other and to any FoundationDB tool.

pub use foundationdb_tuple::{
    Bytes, Element, PackError, Subspace, TupleDepth, TuplePack, TupleUnpack, VersionstampOffset,
};

/// A key that is not the tuple it was taken for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a key of {bytes} bytes is not the expected tuple: {reason}")]
pub struct UnpackError {
    /// Length of the key; its content may be personal and is not repeated.
    pub bytes: usize,
    pub reason: String,
}

/// Encodes a tuple as a key.
pub fn pack<T: TuplePack>(tuple: &T) -> Vec<u8> {
    foundationdb_tuple::pack(tuple)
}

/// Encodes a tuple behind a prefix that is already encoded.
pub fn pack_with_prefix<T: TuplePack>(prefix: &[u8], tuple: &T) -> Vec<u8> {
    let mut key = Vec::with_capacity(prefix.len() + 32);
    key.extend_from_slice(prefix);
    foundationdb_tuple::pack_into(tuple, &mut key);
    key
}

/// Decodes a whole key. Anything left over is an error.
pub fn unpack<'de, T: TupleUnpack<'de>>(key: &'de [u8]) -> Result<T, UnpackError> {
    foundationdb_tuple::unpack(key).map_err(|error| unpack_error(key, &error))
}

/// Decodes what follows `prefix` in a key.
pub fn unpack_after<'de, T: TupleUnpack<'de>>(prefix: &[u8], key: &'de [u8]) -> Result<T, UnpackError> {
    match key.strip_prefix(prefix) {
        Some(rest) => foundationdb_tuple::unpack(rest).map_err(|error| unpack_error(key, &error)),
        None => Err(UnpackError { bytes: key.len(), reason: "it has another prefix".into() }),
    }
}

fn unpack_error(key: &[u8], error: &PackError) -> UnpackError {
    UnpackError { bytes: key.len(), reason: error.to_string() }
}

/// The first key after all keys that begin with `prefix`, or `None` where there is no such key
/// (an empty prefix, or one of 0xFF bytes only).
pub fn strinc(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// The range `[begin, end)` of all keys that begin with `prefix`, `prefix` itself included.
///
/// A prefix without a successor is closed off by a run of 0xFF longer than any legal key.
pub fn prefix_range(prefix: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let end = strinc(prefix).unwrap_or_else(|| vec![0xff; crate::KEY_BYTES_MAX + 1]);
    (prefix.to_vec(), end)
}

/// The first key after `key` in byte order.
pub fn key_after(key: &[u8]) -> Vec<u8> {
    let mut after = Vec::with_capacity(key.len() + 1);
    after.extend_from_slice(key);
    after.push(0);
    after
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_packed_tuple_unpacks_and_a_torn_one_is_an_error() {
        let key = pack(&("call", 7u64, "a\0b"));
        assert_eq!(unpack::<(String, u64, String)>(&key), Ok(("call".into(), 7, "a\0b".into())));
        let torn = &key[..key.len() - 1];
        assert_eq!(unpack::<(String, u64, String)>(torn).map_err(|e| e.bytes), Err(torn.len()));
        assert!(unpack::<(String, u64)>(&key).is_err());
    }

    #[test]
    fn a_prefix_is_taken_off_and_a_foreign_one_refused() {
        let prefix = pack(&("shard", 3));
        let key = pack_with_prefix(&prefix, &("timer", 9u64));
        assert_eq!(unpack_after::<(String, u64)>(&prefix, &key), Ok(("timer".into(), 9)));
        assert!(unpack_after::<(String, u64)>(&pack(&("shard", 4)), &key).is_err());
    }

    #[test]
    fn successors_of_prefixes() {
        assert_eq!(strinc(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(strinc(&[1, 0xff, 0xff]), Some(vec![2]));
        assert_eq!(strinc(&[0xff]), None);
        assert_eq!(strinc(b""), None);
    }

    proptest! {
        #[test]
        fn the_prefix_range_holds_exactly_the_keys_with_the_prefix(
            prefix in proptest::collection::vec(prop_oneof![Just(0u8), Just(0xfe), Just(0xff), any::<u8>()], 0..4),
            key in proptest::collection::vec(prop_oneof![Just(0u8), Just(0xfe), Just(0xff), any::<u8>()], 0..6),
        ) {
            let (begin, end) = prefix_range(&prefix);
            prop_assert_eq!(key.starts_with(&prefix), begin <= key && key < end);
        }

        #[test]
        fn keys_order_as_their_tuples(a in any::<(i64, String, u64)>(), b in any::<(i64, String, u64)>()) {
            prop_assert_eq!(pack(&a).cmp(&pack(&b)), a.cmp(&b));
        }

        #[test]
        fn garbage_is_an_error_and_never_a_panic(key in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = unpack::<(String, u64)>(&key);
            let _ = unpack::<Vec<Element>>(&key);
        }
    }
}
