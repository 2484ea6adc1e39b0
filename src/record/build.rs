//! Builds record batches: for the command line, for markers and for tests.

use bytes::{BufMut, Bytes, BytesMut};

use crate::base::clock::Timestamp;
use crate::base::crc::crc32c;
use crate::model::offset::Offset;
use crate::model::producer::{ProducerEpoch, ProducerId, Sequence};
use crate::record::batch::{CRC_AT, CRC_COVERS_FROM, HEADER_BYTES, MAGIC};
use crate::record::decompress::{Compression, DecompressError, compress};

/// A record to be put into a batch.
#[derive(Clone, Debug, Default)]
pub struct NewRecord<'a> {
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
    /// Its headers, in order; names may repeat.
    pub headers: Vec<(&'a [u8], Option<&'a [u8]>)>,
}

/// What a batch's header says besides its records; the default is a plain batch of no particular producer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchShape {
    /// How the records are compressed.
    pub compression: Compression,
    /// Offset of the first record; 0 as a producer sends it.
    pub base_offset: Offset,
    /// The idempotent producer with its epoch and the first record's sequence.
    pub producer: Option<(ProducerId, ProducerEpoch, Sequence)>,
    /// Whether the batch belongs to a transaction.
    pub transactional: bool,
    /// Whether the batch holds a marker.
    pub control: bool,
}

/// Collects records into one batch.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    shape: BatchShape,
    body: BytesMut,
    record_count: i32,
    base_timestamp: Timestamp,
    max_timestamp: Timestamp,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new(BatchShape::default())
    }
}

impl BatchBuilder {
    /// An empty batch.
    #[must_use]
    pub fn new(shape: BatchShape) -> Self {
        Self {
            shape,
            body: BytesMut::new(),
            record_count: 0,
            base_timestamp: Timestamp::NONE,
            max_timestamp: Timestamp::NONE,
        }
    }

    /// Appends a record.
    pub fn push(&mut self, record: &NewRecord<'_>) {
        if self.record_count == 0 {
            self.base_timestamp = record.timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(record.timestamp);
        let mut fields = BytesMut::new();
        fields.put_i8(0);
        put_varlong(&mut fields, record.timestamp.0.wrapping_sub(self.base_timestamp.0));
        put_varlong(&mut fields, i64::from(self.record_count));
        put_nullable(&mut fields, record.key);
        put_nullable(&mut fields, record.value);
        put_varlong(&mut fields, record.headers.len() as i64);
        for (name, value) in &record.headers {
            put_nullable(&mut fields, Some(name));
            put_nullable(&mut fields, *value);
        }
        put_varlong(&mut self.body, fields.len() as i64);
        self.body.put_slice(&fields);
        self.record_count += 1;
    }

    /// Appends a record that is nothing but a value.
    pub fn push_value(&mut self, timestamp: Timestamp, value: &[u8]) {
        self.push(&NewRecord { timestamp, value: Some(value), ..NewRecord::default() });
    }

    /// How many records there are so far.
    #[must_use]
    pub fn record_count(&self) -> i32 {
        self.record_count
    }

    /// How many bytes the records take so far, before compression.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        self.body.len()
    }

    /// The finished batch.
    ///
    /// # Errors
    /// When the codec fails.
    pub fn build(&self) -> Result<Bytes, DecompressError> {
        let body = compress(self.shape.compression, &self.body)?;
        let mut batch = BytesMut::with_capacity(HEADER_BYTES + body.len());
        let (producer_id, producer_epoch, base_sequence) =
            self.shape.producer.unwrap_or((ProducerId(-1), ProducerEpoch(-1), Sequence(-1)));
        let flags = (i16::from(self.shape.transactional) << 4) | (i16::from(self.shape.control) << 5);
        batch.put_i64(self.shape.base_offset.0);
        batch.put_u32((HEADER_BYTES - 12 + body.len()) as u32);
        batch.put_i32(0);
        batch.put_i8(MAGIC);
        batch.put_u32(0);
        batch.put_i16(self.shape.compression.code() | flags);
        batch.put_i32(self.record_count - 1);
        batch.put_i64(self.base_timestamp.0);
        batch.put_i64(self.max_timestamp.0);
        batch.put_i64(producer_id.0);
        batch.put_i16(producer_epoch.0);
        batch.put_i32(base_sequence.0);
        batch.put_i32(self.record_count);
        batch.put_slice(&body);
        let crc = crc32c(&batch[CRC_COVERS_FROM..]);
        batch[CRC_AT..CRC_COVERS_FROM].copy_from_slice(&crc.to_be_bytes());
        Ok(batch.freeze())
    }
}

fn put_nullable(target: &mut BytesMut, bytes: Option<&[u8]>) {
    match bytes {
        None => put_varlong(target, -1),
        Some(bytes) => {
            put_varlong(target, bytes.len() as i64);
            target.put_slice(bytes);
        }
    }
}

/// Zigzag, then seven bits a byte, lowest first.
fn put_varlong(target: &mut BytesMut, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        target.put_u8((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    target.put_u8(rest as u8);
}
