//! What a transaction has read and relies on.

use bytes::Bytes;
use bytes::{Buf, BytesMut};
use postgres_types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::error::Error;

/// The server's number of the transaction that wrote a row. A row that is written again has another one, even
/// where the value is the same; in the seconds that a transaction lives the numbers do not come round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Writer(u32);

impl<'a> FromSql<'a> for Writer {
    fn from_sql(_: &Type, mut raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Writer(raw.try_get_u32()?))
    }

    accepts!(XID);
}

impl ToSql for Writer {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0.to_be_bytes());
        Ok(IsNull::No)
    }

    accepts!(XID);
    to_sql_checked!();
}

/// Who wrote the row at a place; `None` where there is no row.
pub(super) type Version = Option<Writer>;

/// What one transaction has found at the places that it looked at.
pub(super) type Found = HashMap<Bytes, Version>;

/// Places from `begin` to before `end`, in which there are so many rows.
pub(super) struct Protected {
    pub begin: Bytes,
    pub end: Bytes,
    pub rows: i64,
}

/// What must be unchanged at the commit.
#[derive(Default)]
pub(super) struct Reads {
    pub places: HashMap<Bytes, Version>,
    /// Values that places must have.
    pub expected: HashMap<Bytes, Option<Bytes>>,
    /// Each row within a range is also among `places`: as many rows, and none of them changed, is no change.
    pub ranges: Vec<Protected>,
    bytes: usize,
    changed: bool,
}

impl Reads {
    pub fn place(&mut self, place: Bytes, version: Version) {
        self.bytes += place.len() + 8;
        if let Some(before) = self.places.insert(place, version) {
            // Two states were seen, only one of which can be the present one.
            self.changed |= before != version;
        }
    }

    pub fn expect(&mut self, place: Bytes, value: Option<Bytes>) {
        self.bytes += place.len() + value.as_ref().map_or(0, Bytes::len);
        match self.expected.entry(place) {
            Entry::Vacant(entry) => {
                entry.insert(value);
            }
            Entry::Occupied(entry) => self.changed |= *entry.get() != value,
        }
    }

    pub fn range(&mut self, begin: Bytes, end: Bytes, rows: i64) {
        self.bytes += begin.len() + end.len();
        self.ranges.push(Protected { begin, end, rows });
    }

    /// In bytes, as the limit on transactions counts them.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether something is known to have changed without asking.
    pub fn is_changed(&self) -> bool {
        self.changed
    }
}
