//! Records in a decompressed body, read in place.

use crate::base::clock::Timestamp;
use crate::model::offset::Offset;

/// A record is not well-formed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {index} of the batch is malformed: {reason}")]
pub struct RecordError {
    /// Which, from 0.
    pub index: i32,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// What records are relative to: a batch's header says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordBase {
    /// Offset of the first record.
    pub offset: Offset,
    /// What timestamps are relative to.
    pub timestamp: Timestamp,
    /// Every record's timestamp, when the log stamps.
    pub append_time: Option<Timestamp>,
    /// How many records there are.
    pub record_count: i32,
}

/// One record, borrowed from its batch's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp (the batch's, when the log stamps).
    pub timestamp: Timestamp,
    /// Its key, if it has one.
    pub key: Option<&'a [u8]>,
    /// Its value; none is a tombstone on compacted topics.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: Headers<'a>,
}

/// A record's headers in their own order; names may repeat, values may be null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers<'a> {
    count: usize,
    bytes: &'a [u8],
}

impl Headers<'_> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        self.count = self.count.checked_sub(1)?;
        let mut reader = Reader { bytes: self.bytes };
        // The record's iterator has walked them before, so this does not fail.
        let (name, value) = reader.header().ok()?;
        self.bytes = reader.bytes;
        Some((name, value))
    }
}

/// Walks the records of a body; ends after the first error. Fewer records than the header counts, or bytes left over,
/// are errors too.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    reader: Reader<'a>,
    base: RecordBase,
    next_index: i32,
}

impl<'a> Records<'a> {
    /// Walks `body`, a batch's records without compression.
    #[must_use]
    pub fn new(base: RecordBase, body: &'a [u8]) -> Self {
        Self { reader: Reader { bytes: body }, base, next_index: 0 }
    }

    fn read(&mut self) -> Result<Record<'a>, &'static str> {
        let length = usize::try_from(self.reader.varint()?).map_err(|_| "negative length")?;
        let mut fields = Reader { bytes: self.reader.take(length)? };
        // Record attributes are unused so far.
        fields.take(1)?;
        let timestamp_delta = fields.varlong()?;
        let offset_delta = fields.varint()?;
        let (key, value) = (fields.nullable()?, fields.nullable()?);
        let count = usize::try_from(fields.varint()?).map_err(|_| "negative number of headers")?;
        let headers = Headers { count, bytes: fields.bytes };
        for _ in 0..count {
            fields.header()?;
        }
        if !fields.bytes.is_empty() {
            return Err("bytes are left over");
        }
        let created = Timestamp(self.base.timestamp.0.wrapping_add(timestamp_delta));
        let timestamp = self.base.append_time.unwrap_or(created);
        let offset = Offset(self.base.offset.0.wrapping_add(i64::from(offset_delta)));
        Ok(Record { offset, timestamp, key, value, headers })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.next_index;
        if index >= self.base.record_count {
            let rest = std::mem::take(&mut self.reader.bytes);
            return (!rest.is_empty()).then_some(Err(RecordError { index, reason: "more bytes than records" }));
        }
        self.next_index += 1;
        let record = self.read().map_err(|reason| RecordError { index, reason });
        if record.is_err() {
            self.next_index = i32::MAX;
            self.reader.bytes = &[];
        }
        Some(record)
    }
}

/// Reads Kafka's variable-length fields and never past the end.
#[derive(Clone, Debug)]
struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or("it ends too early")?;
        self.bytes = rest;
        Ok(taken)
    }

    /// A zigzag-encoded 64-bit number of at most ten bytes.
    fn varlong(&mut self) -> Result<i64, &'static str> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.bytes.split_first().ok_or("it ends too early")?;
            self.bytes = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        Err("a number is too long")
    }

    fn varint(&mut self) -> Result<i32, &'static str> {
        i32::try_from(self.varlong()?).map_err(|_| "a number is too large")
    }

    /// Bytes with their length before them; −1 means null.
    fn nullable(&mut self) -> Result<Option<&'a [u8]>, &'static str> {
        match self.varint()? {
            -1 => Ok(None),
            length => self.take(usize::try_from(length).map_err(|_| "negative length")?).map(Some),
        }
    }

    fn header(&mut self) -> Result<(&'a [u8], Option<&'a [u8]>), &'static str> {
        let name = self.nullable()?.ok_or("a header has no name")?;
        Ok((name, self.nullable()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::batch::RecordBatch;
    use crate::record::build::{BatchBuilder, BatchShape, NewRecord};
    use crate::record::decompress::Compression;
    use bytes::Bytes;
    use proptest::prelude::*;

    type Parts = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(Vec<u8>, Option<Vec<u8>>)>);

    fn parts() -> impl Strategy<Value = Parts> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..20);
        let optional = || proptest::option::of(bytes());
        (0..2_000_000_000_000_i64, optional(), optional(), proptest::collection::vec((bytes(), optional()), 0..4))
    }

    proptest! {
        #[test]
        fn what_was_built_is_read(records in proptest::collection::vec(parts(), 1..20), codec in 0..5_i16) {
            let compression = Compression::from_attributes(codec).expect("known");
            let mut builder = BatchBuilder::new(BatchShape { compression, ..BatchShape::default() });
            for (timestamp, key, value, headers) in &records {
                builder.push(&NewRecord {
                    timestamp: Timestamp(*timestamp),
                    key: key.as_deref(),
                    value: value.as_deref(),
                    headers: headers.iter().map(|(name, value)| (&name[..], value.as_deref())).collect(),
                });
            }
            let batch = RecordBatch::parse(&builder.build().expect("builds")).expect("parses");
            batch.verify().expect("checksum");
            let body = batch.body(1 << 20).expect("decompresses");
            let read: Vec<Parts> = batch.records(&body).map(|record| {
                let record = record.expect("well-formed");
                let headers = record.headers.map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec))).collect();
                (record.timestamp.0, record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec), headers)
            }).collect();
            prop_assert_eq!(read, records);
        }

        #[test]
        fn rubbish_never_panics(body in proptest::collection::vec(any::<u8>(), 0..200), count in any::<i32>()) {
            let base =
                RecordBase { offset: Offset(0), timestamp: Timestamp(0), append_time: None, record_count: count };
            let read = Records::new(base, &body).take(1_000).count();
            prop_assert!(read <= body.len() + 1);
        }
    }

    #[test]
    fn repeated_names_and_null_values_survive() {
        let mut builder = BatchBuilder::default();
        let headers = vec![(&b"trace"[..], Some(&b"1"[..])), (b"trace", None), (b"trace", Some(b""))];
        builder.push(&NewRecord { timestamp: Timestamp(5), key: None, value: None, headers: headers.clone() });
        let batch = RecordBatch::parse(&builder.build().expect("builds")).expect("parses");
        let body: Bytes = batch.body(1_000).expect("plain");
        let records: Vec<_> = batch.records(&body).map(|record| record.expect("well-formed")).collect();
        assert_eq!(records[0].headers.len(), 3);
        assert_eq!(records[0].headers.collect::<Vec<_>>(), headers);
    }
}
