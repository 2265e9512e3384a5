//! Writing and reading keys in FoundationDB's tuple encoding, without allocation per field.
//!
//! Only what the layout needs: unsigned integers and UUIDs. The encoding is that of the
//! FoundationDB tuple layer (`design/tuple.md` of its repository); a test holds it against the
//! reference crate.

use super::Space;
use uuid::Uuid;

const INT_ZERO: u8 = 0x14;
const UUID: u8 = 0x30;
const BYTES: u8 = 0x01;

/// A key being written.
pub struct Writer(Vec<u8>);

impl Writer {
    pub fn new(space: Space) -> Self {
        Writer(Vec::with_capacity(64)).int(space as u64)
    }

    #[must_use]
    pub fn int(mut self, n: u64) -> Self {
        let bytes = n.to_be_bytes();
        let skip = (n.leading_zeros() / 8) as usize;
        // One type code for each length from 0 to 8 bytes.
        self.0.push(INT_ZERO + (8 - skip.min(8)) as u8);
        self.0.extend_from_slice(&bytes[skip.min(8)..]);
        self
    }

    /// Times before 1970 do not occur; they would sort as 1970.
    #[must_use]
    pub fn time(self, at: i64) -> Self {
        self.int(u64::try_from(at).unwrap_or(0))
    }

    #[must_use]
    pub fn uuid(mut self, id: Uuid) -> Self {
        self.0.push(UUID);
        self.0.extend_from_slice(id.as_bytes());
        self
    }

    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.push(BYTES);
        for b in bytes {
            self.0.push(*b);
            if *b == 0 {
                self.0.push(0xff);
            }
        }
        self.0.push(0);
        self
    }

    pub fn done(self) -> Vec<u8> {
        self.0
    }
}

/// One field, to be appended to a prefix.
pub(super) fn part(at: i64) -> Vec<u8> {
    Writer(Vec::with_capacity(9)).time(at).done()
}

/// A key that does not have the fields it should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stored key does not have the layout of its subspace")]
pub struct Malformed;

/// A key being read from the front.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(key: &'a [u8]) -> Self {
        Reader(key)
    }

    pub fn int(&mut self) -> Result<u64, Malformed> {
        let (code, rest) = self.0.split_first().ok_or(Malformed)?;
        let len = usize::from(code.checked_sub(INT_ZERO).ok_or(Malformed)?);
        if len > 8 || rest.len() < len {
            return Err(Malformed);
        }
        let (digits, rest) = rest.split_at(len);
        self.0 = rest;
        Ok(digits.iter().fold(0, |n, b| (n << 8) | u64::from(*b)))
    }

    pub fn time(&mut self) -> Result<i64, Malformed> {
        i64::try_from(self.int()?).map_err(|_| Malformed)
    }

    pub fn u32(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.int()?).map_err(|_| Malformed)
    }

    pub fn u8(&mut self) -> Result<u8, Malformed> {
        u8::try_from(self.int()?).map_err(|_| Malformed)
    }

    pub fn uuid(&mut self) -> Result<Uuid, Malformed> {
        let (code, rest) = self.0.split_first().ok_or(Malformed)?;
        if *code != UUID || rest.len() < 16 {
            return Err(Malformed);
        }
        let (id, rest) = rest.split_at(16);
        self.0 = rest;
        Uuid::from_slice(id).map_err(|_| Malformed)
    }

    pub fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn integers_and_bytes_are_written_as_the_reference_does(n: u64, b: Vec<u8>) {
            let ours = Writer(Vec::new()).int(n).bytes(&b).done();
            let theirs = foundationdb_tuple::pack(&(n, foundationdb_tuple::Bytes::from(b)));
            prop_assert_eq!(ours, theirs);
        }

        #[test]
        fn order_of_keys_is_order_of_numbers(a: u64, b: u64) {
            let (x, y) = (Writer(Vec::new()).int(a).done(), Writer(Vec::new()).int(b).done());
            prop_assert_eq!(a.cmp(&b), x.cmp(&y));
        }

        #[test]
        fn reading_gives_back_what_was_written(n: u64, id: [u8; 16], m: u32) {
            let key = Writer::new(Space::Timer).int(n).uuid(Uuid::from_bytes(id)).int(u64::from(m)).done();
            let mut r = Reader::new(&key);
            prop_assert_eq!(r.int(), Ok(Space::Timer as u64));
            prop_assert_eq!(r.int(), Ok(n));
            prop_assert_eq!(r.uuid(), Ok(Uuid::from_bytes(id)));
            prop_assert_eq!(r.u32(), Ok(m));
            prop_assert_eq!(r.end(), Ok(()));
        }

        #[test]
        fn garbage_is_refused_and_never_panics(garbage: Vec<u8>) {
            let mut r = Reader::new(&garbage);
            let _ = (r.int(), r.uuid(), r.u32(), r.time());
        }
    }
}
