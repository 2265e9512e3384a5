//! Rows on their way to the store, all in one buffer: a decision writes several small ones, and
//! the store keeps them as they are.

use bytes::Bytes;

/// Rows being written down.
#[derive(Default)]
pub(crate) struct Writes {
    buffer: Vec<u8>,
    rows: Vec<Row>,
}

/// Where a row ends in the buffer; it begins where the one before ended.
#[derive(Clone, Copy)]
struct Row {
    key: u32,
    /// None: the key is cleared.
    value: Option<u32>,
}

/// Rows written down.
#[derive(Default)]
pub(crate) struct Written {
    buffer: Bytes,
    rows: Box<[Row]>,
}

impl Writes {
    pub fn with_capacity(rows: usize, bytes: usize) -> Self {
        Writes { buffer: Vec::with_capacity(bytes), rows: Vec::with_capacity(rows) }
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn end(&self) -> u32 {
        // A transaction takes 10 MB at most; what is beyond is refused there.
        u32::try_from(self.buffer.len()).unwrap_or(u32::MAX)
    }

    /// The value is what `value` appends.
    pub fn set(&mut self, key: &[u8], value: impl FnOnce(&mut Vec<u8>)) {
        self.buffer.extend_from_slice(key);
        let key = self.end();
        value(&mut self.buffer);
        self.rows.push(Row { key, value: Some(self.end()) });
    }

    pub fn clear(&mut self, key: &[u8]) {
        self.buffer.extend_from_slice(key);
        self.rows.push(Row { key: self.end(), value: None });
    }

    pub fn done(self) -> Written {
        Written { buffer: self.buffer.into(), rows: self.rows.into() }
    }
}

impl Written {
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What it takes up in a transaction.
    pub fn bytes(&self) -> usize {
        self.buffer.len()
    }

    pub fn rows(&self) -> impl Iterator<Item = (Bytes, Option<Bytes>)> + '_ {
        let mut begin = 0;
        self.rows.iter().map(move |row| {
            let key = row.key as usize;
            let end = row.value.map_or(key, |value| value as usize);
            let value = row.value.map(|_| self.buffer.slice(key..end));
            let key = self.buffer.slice(begin..key);
            begin = end;
            (key, value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_out_as_they_went_in() {
        let mut writes = Writes::default();
        assert!(writes.is_empty());
        writes.set(b"a", |out| out.extend_from_slice(b"one"));
        writes.clear(b"b");
        writes.set(b"", |_| {});
        writes.set(b"c", |out| out.push(7));
        let written = writes.done();
        let rows: Vec<_> = written.rows().collect();
        let row = |key: &'static [u8], value: Option<&'static [u8]>| {
            (Bytes::from_static(key), value.map(Bytes::from_static))
        };
        assert_eq!(
            rows,
            [row(b"a", Some(b"one")), row(b"b", None), row(b"", Some(b"")), row(b"c", Some(&[7]))]
        );
        assert_eq!(written.rows().collect::<Vec<_>>(), rows, "again and again");
        assert!(Written::default().is_empty() && Written::default().rows().next().is_none());
    }
}
