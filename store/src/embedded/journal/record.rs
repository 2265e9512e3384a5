//! The form of a group on disk.
//!
//! A record is a header of [`HEADER_BYTES`] and a payload, padded to eight bytes, little-endian:
//!
//! | bytes | field | meaning |
//! | --- | --- | --- |
//! | 8 | checksum | XXH3-64 of everything after it, padding excluded |
//! | 8 | salt | the same in all records of one data directory |
//! | 8 | sequence | number of this group; rows carry it in the tables |
//! | 8 | previous | sequence of the group before, so that a hole shows |
//! | 8 | flushed | all groups up to here were in tables when this was written |
//! | 4 | payload | bytes of the payload |
//! | 4 | - | zero |
//!
//! The payload is a run of rows: kind (1: 0 clear, 1 set), length of the key (2), length of the
//! value (4), key, value. Where a key comes twice, the last one counts.
//!
//! Files are written over again, so a record may be followed by older ones and by pieces of them.
//! The checksum tells a record from a piece, the sequences tell old from new.

use bytes::{Buf, Bytes};
use xxhash_rust::xxh3::xxh3_64;

pub(in crate::embedded) const HEADER_BYTES: usize = 48;
pub(super) const ALIGNMENT: usize = 8;
const ROW_HEADER_BYTES: usize = 7;
const KIND_CLEAR: u8 = 0;
const KIND_SET: u8 = 1;

/// A row as it goes to the tables: no value means that the key is cleared.
pub(in crate::embedded) type JournalRow = (Bytes, Option<Bytes>);

/// Bytes that a row takes in a payload.
pub(in crate::embedded) fn row_bytes(key: &[u8], value: Option<&[u8]>) -> usize {
    ROW_HEADER_BYTES + key.len() + value.map_or(0, <[u8]>::len)
}

/// Appends a row to a payload. Returns where key and value ended up in `payload`.
///
/// Lengths are within the limits of keys and values, which fit their fields.
pub(in crate::embedded) fn write_row(
    payload: &mut Vec<u8>,
    key: &[u8],
    value: Option<&[u8]>,
) -> (std::ops::Range<usize>, Option<std::ops::Range<usize>>) {
    let key_len = u16::try_from(key.len()).unwrap_or(u16::MAX);
    let value_len = u32::try_from(value.map_or(0, <[u8]>::len)).unwrap_or(u32::MAX);
    payload.push(if value.is_some() { KIND_SET } else { KIND_CLEAR });
    payload.extend_from_slice(&key_len.to_le_bytes());
    payload.extend_from_slice(&value_len.to_le_bytes());
    let key_at = payload.len();
    payload.extend_from_slice(key);
    let value_at = payload.len();
    payload.extend_from_slice(value.unwrap_or_default());
    (key_at..value_at, value.map(|_| value_at..payload.len()))
}

/// The rows of a payload; `None` where it does not parse.
pub(super) fn rows(mut payload: Bytes) -> Option<Vec<JournalRow>> {
    let mut rows = Vec::new();
    while payload.has_remaining() {
        let kind = payload.try_get_u8().ok()?;
        let key_len = usize::from(payload.try_get_u16_le().ok()?);
        let value_len = usize::try_from(payload.try_get_u32_le().ok()?).ok()?;
        if payload.remaining() < key_len.checked_add(value_len)? || key_len == 0 {
            return None;
        }
        let key = payload.split_to(key_len);
        let value = payload.split_to(value_len);
        rows.push(match kind {
            KIND_SET => (key, Some(value)),
            KIND_CLEAR if value_len == 0 => (key, None),
            _ => return None,
        });
    }
    Some(rows)
}

/// What a header says, besides checksum and salt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub sequence: u64,
    pub previous: u64,
    pub flushed: u64,
}

/// Fills in the header of `record`, whose first [`HEADER_BYTES`] are reserved for it, and pads it.
pub(super) fn seal(record: &mut Vec<u8>, salt: u64, header: Header) {
    let payload = u32::try_from(record.len().saturating_sub(HEADER_BYTES)).unwrap_or(u32::MAX);
    record[8..16].copy_from_slice(&salt.to_le_bytes());
    record[16..24].copy_from_slice(&header.sequence.to_le_bytes());
    record[24..32].copy_from_slice(&header.previous.to_le_bytes());
    record[32..40].copy_from_slice(&header.flushed.to_le_bytes());
    record[40..44].copy_from_slice(&payload.to_le_bytes());
    record[44..48].fill(0);
    let checksum = xxh3_64(&record[8..]);
    record[..8].copy_from_slice(&checksum.to_le_bytes());
    record.resize(record.len().next_multiple_of(ALIGNMENT), 0);
}

/// A whole record found in a file.
#[derive(Debug)]
pub(super) struct Found {
    pub header: Header,
    /// Where the payload is.
    pub payload: std::ops::Range<usize>,
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn record_at(file: &[u8], at: usize, salt: u64) -> Option<Found> {
    if u64_at(file, at + 8)? != salt {
        return None;
    }
    let payload_len = u32::from_le_bytes(file.get(at + 40..at + 44)?.try_into().ok()?);
    let payload_at = at + HEADER_BYTES;
    let end = payload_at.checked_add(usize::try_from(payload_len).ok()?)?;
    if xxh3_64(file.get(at + 8..end)?) != u64_at(file, at)? {
        return None;
    }
    let header = Header {
        sequence: u64_at(file, at + 16)?,
        previous: u64_at(file, at + 24)?,
        flushed: u64_at(file, at + 32)?,
    };
    Some(Found { header, payload: payload_at..end })
}

/// Every whole record in a file, wherever it stands.
pub(super) fn find_all(file: &[u8], salt: u64) -> Vec<Found> {
    let mut found = Vec::new();
    let mut at = 0;
    while at + HEADER_BYTES <= file.len() {
        match record_at(file, at, salt) {
            Some(record) => {
                at = record.payload.end.next_multiple_of(ALIGNMENT);
                found.push(record);
            }
            None => at += ALIGNMENT,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SALT: u64 = 0x5eed;

    fn record(sequence: u64, rows: &[(&[u8], Option<&[u8]>)]) -> Vec<u8> {
        let mut record = vec![0; HEADER_BYTES];
        for (key, value) in rows {
            write_row(&mut record, key, *value);
        }
        seal(&mut record, SALT, Header { sequence, previous: sequence - 1, flushed: 0 });
        record
    }

    fn sequences(file: &[u8]) -> Vec<u64> {
        find_all(file, SALT).iter().map(|found| found.header.sequence).collect()
    }

    #[test]
    fn a_record_is_found_with_its_rows() {
        let file = record(7, &[(b"a", Some(b"1")), (b"b", None), (b"c", Some(b""))]);
        let found = find_all(&file, SALT);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].header, Header { sequence: 7, previous: 6, flushed: 0 });
        let payload = Bytes::copy_from_slice(&file[found[0].payload.clone()]);
        let rows = rows(payload).expect("the payload parses");
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[1], (Bytes::from_static(b"b"), None));
        assert_eq!(rows[2], (Bytes::from_static(b"c"), Some(Bytes::new())));
        assert!(find_all(&file, SALT + 1).is_empty());
    }

    #[test]
    fn records_behind_a_damaged_one_are_still_found() {
        let mut file = record(1, &[(b"a", Some(&[1; 100]))]);
        let second = file.len();
        file.extend(record(2, &[(b"b", Some(&[2; 100]))]));
        file.extend(record(3, &[(b"c", Some(&[3; 100]))]));
        assert_eq!(sequences(&file), [1, 2, 3]);
        file[second + 60] ^= 1;
        assert_eq!(sequences(&file), [1, 3]);
    }

    proptest! {
        #[test]
        fn any_flipped_bit_hides_the_record(bit in 0usize..8 * 150) {
            let mut file = record(9, &[(b"key", Some(&[7; 92]))]);
            prop_assert_eq!(file.len(), 152);
            file[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(sequences(&file).is_empty());
        }

        #[test]
        fn garbage_is_no_record_and_no_panic(file in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(find_all(&file, SALT).is_empty());
            let _ = rows(Bytes::from(file));
        }

        #[test]
        fn rows_survive_the_round_trip(
            given in proptest::collection::vec(
                (proptest::collection::vec(any::<u8>(), 1..20), proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40))),
                0..10,
            ),
        ) {
            let mut payload = Vec::new();
            for (key, value) in &given {
                let before = payload.len();
                let (key_at, value_at) = write_row(&mut payload, key, value.as_deref());
                prop_assert_eq!(&payload[key_at], &key[..]);
                prop_assert_eq!(value_at.map(|at| payload[at].to_vec()), value.clone());
                prop_assert_eq!(payload.len() - before, row_bytes(key, value.as_deref()));
            }
            let read = rows(Bytes::from(payload)).expect("it parses");
            let read: Vec<_> = read.into_iter().map(|(k, v)| (k.to_vec(), v.map(|v| v.to_vec()))).collect();
            prop_assert_eq!(read, given);
        }
    }
}
