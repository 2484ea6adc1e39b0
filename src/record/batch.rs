//! A record batch as a view over shared bytes.

use bytes::Bytes;

use crate::base::clock::Timestamp;
use crate::base::crc::{combine, crc32c};
use crate::model::offset::Offset;
use crate::model::producer::{ProducerEpoch, ProducerId, Sequence};
use crate::record::decompress::{Compression, DecompressError, decompress};
use crate::record::view::{RecordBase, RecordError, Records};

/// Bytes of a batch before its records.
pub const HEADER_BYTES: usize = 61;

/// Bytes before the ones that `length` counts: base offset and the length itself.
const PREFIX_BYTES: usize = 12;

/// Where the CRC's coverage begins.
pub(crate) const CRC_COVERS_FROM: usize = 21;

/// Where the CRC is.
pub(crate) const CRC_AT: usize = 17;

/// The only format version that is read or written.
pub const MAGIC: i8 = 2;

/// Why bytes are not a record batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Fewer bytes than the header or its length field say.
    #[error("record batch is cut off: {have} bytes of {want}")]
    Truncated {
        /// Bytes that are there.
        have: usize,
        /// Bytes that should be there.
        want: usize,
    },
    /// The length field is smaller than a header.
    #[error("record batch length {0} is smaller than its own header")]
    Length(i32),
    /// The records take other offsets than they should.
    #[error("records run to offset {want} where the log has only up to {have}")]
    Span {
        /// The last offset that is there for them.
        have: i64,
        /// The last offset that they would take.
        want: i64,
    },
    /// An older or unknown message format.
    #[error("record batch has magic {0}, only 2 is supported")]
    Magic(i8),
    /// The bytes are not what was sent.
    #[error("record batch fails its checksum: it says {stored:#010x}, the bytes give {computed:#010x}")]
    Checksum {
        /// What the header says.
        stored: u32,
        /// What the bytes give.
        computed: u32,
    },
    /// The records can not be decompressed.
    #[error(transparent)]
    Decompress(#[from] DecompressError),
    /// A record is not well-formed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// The fields of a batch's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record (0 as producers send it).
    pub base_offset: Offset,
    /// The whole batch in bytes, header included.
    pub byte_size: u32,
    /// CRC-32C of everything from the attributes on.
    pub crc: u32,
    /// Compression, timestamp type and flags.
    pub attributes: i16,
    /// The last record's offset minus the first one's.
    pub last_offset_delta: i32,
    /// What the records' timestamps are relative to.
    pub base_timestamp: Timestamp,
    /// The largest timestamp.
    pub max_timestamp: Timestamp,
    /// The idempotent producer, −1 when there is none.
    pub producer_id: ProducerId,
    /// Its incarnation.
    pub producer_epoch: ProducerEpoch,
    /// The first record's sequence.
    pub base_sequence: Sequence,
    /// How many records there are.
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the header at the beginning of `bytes`. Does not need the records to be there, and does not check the CRC.
    ///
    /// # Errors
    /// When the bytes are too few, the length is impossible or the magic is not 2.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        // The magic lies at the same place in all format versions; an old batch may well be shorter than a new header.
        if let Some(&magic) = bytes.get(16)
            && magic != MAGIC.to_be_bytes()[0]
        {
            return Err(BatchError::Magic(i8::from_be_bytes([magic])));
        }
        let Some(fields) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(BatchError::Truncated { have: bytes.len(), want: HEADER_BYTES });
        };
        let length = i32::from_be_bytes(at(fields, 8));
        let byte_size = u32::try_from(length)
            .ok()
            .and_then(|length| length.checked_add(PREFIX_BYTES as u32))
            .filter(|size| *size >= HEADER_BYTES as u32)
            .ok_or(BatchError::Length(length))?;
        Ok(Self {
            base_offset: Offset(i64::from_be_bytes(at(fields, 0))),
            byte_size,
            crc: u32::from_be_bytes(at(fields, CRC_AT)),
            attributes: i16::from_be_bytes(at(fields, 21)),
            last_offset_delta: i32::from_be_bytes(at(fields, 23)),
            base_timestamp: Timestamp(i64::from_be_bytes(at(fields, 27))),
            max_timestamp: Timestamp(i64::from_be_bytes(at(fields, 35))),
            producer_id: ProducerId(i64::from_be_bytes(at(fields, 43))),
            producer_epoch: ProducerEpoch(i16::from_be_bytes(at(fields, 51))),
            base_sequence: Sequence(i32::from_be_bytes(at(fields, 53))),
            record_count: i32::from_be_bytes(at(fields, 57)),
        })
    }

    /// How the records are compressed, or the unknown codec's number.
    ///
    /// # Errors
    /// When the attributes name a codec that does not exist.
    pub fn compression(&self) -> Result<Compression, DecompressError> {
        Compression::from_attributes(self.attributes)
    }

    /// Whether every record's timestamp is the batch's `max_timestamp`, set by the log.
    #[must_use]
    pub fn is_log_append_time(&self) -> bool {
        self.attributes & 0x08 != 0
    }

    /// Whether the batch belongs to a transaction.
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.attributes & 0x10 != 0
    }

    /// Whether the batch holds a transaction marker instead of a client's records.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.attributes & 0x20 != 0
    }

    /// Offset of the last record.
    #[must_use]
    pub fn last_offset(&self) -> Offset {
        Offset(self.base_offset.0.saturating_add(i64::from(self.last_offset_delta)))
    }
}

/// `N` bytes of a header from `position`, which the callers above know to lie within it.
fn at<const N: usize>(fields: &[u8; HEADER_BYTES], position: usize) -> [u8; N] {
    let mut value = [0; N];
    value.copy_from_slice(&fields[position..position + N]);
    value
}

/// CRC-32C of all bytes of a batch whose own CRC was found to be right: only the bytes that it does not cover are read.
#[must_use]
pub fn whole_crc(batch: &[u8], header: &BatchHeader) -> u32 {
    let (before, covered) = batch.split_at(CRC_COVERS_FROM.min(batch.len()));
    combine(crc32c(before), header.crc, covered.len() as u64)
}

/// One whole record batch. Cloning shares the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordBatch {
    header: BatchHeader,
    bytes: Bytes,
}

impl RecordBatch {
    /// The batch at the beginning of `run`; what follows it is left alone. The CRC is not checked.
    ///
    /// # Errors
    /// When `run` does not begin with a whole batch.
    pub fn parse(run: &Bytes) -> Result<Self, BatchError> {
        let header = BatchHeader::parse(run)?;
        let want = header.byte_size as usize;
        if run.len() < want {
            return Err(BatchError::Truncated { have: run.len(), want });
        }
        Ok(Self { header, bytes: run.slice(..want) })
    }

    /// The header's fields.
    #[must_use]
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Compares the bytes with the header's CRC.
    ///
    /// # Errors
    /// When they differ.
    pub fn verify(&self) -> Result<(), BatchError> {
        let computed = crc32c(&self.bytes[CRC_COVERS_FROM..]);
        let stored = self.header.crc;
        if computed == stored { Ok(()) } else { Err(BatchError::Checksum { stored, computed }) }
    }

    /// The records' bytes, decompressed; shared with the batch when it is not compressed.
    ///
    /// # Errors
    /// When they can not be decompressed, or would take more than `bytes_max`.
    pub fn body(&self, bytes_max: usize) -> Result<Bytes, DecompressError> {
        decompress(self.header.compression()?, &self.bytes.slice(HEADER_BYTES..), bytes_max)
    }

    /// The records in a body that [`RecordBatch::body`] gave, with absolute offsets and timestamps.
    #[must_use]
    pub fn records<'a>(&self, body: &'a [u8]) -> Records<'a> {
        let header = &self.header;
        let base = RecordBase {
            offset: header.base_offset,
            timestamp: header.base_timestamp,
            append_time: header.is_log_append_time().then_some(header.max_timestamp),
            record_count: header.record_count,
        };
        Records::new(base, body)
    }
}

/// The batches of a run of bytes, back to back; ends after the first error.
#[derive(Clone, Debug)]
pub struct Batches {
    rest: Bytes,
}

impl Batches {
    /// Walks `run` from its beginning.
    #[must_use]
    pub fn new(run: Bytes) -> Self {
        Self { rest: run }
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let batch = RecordBatch::parse(&self.rest);
        self.rest = match &batch {
            Ok(batch) => self.rest.slice(batch.bytes.len()..),
            Err(_) => Bytes::new(),
        };
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::build::BatchBuilder;

    fn batch(values: &[&str]) -> Bytes {
        let mut builder = BatchBuilder::default();
        for value in values {
            builder.push_value(Timestamp(1_000), value.as_bytes());
        }
        builder.build().expect("plain batches build")
    }

    #[test]
    fn batches_back_to_back_are_walked_without_copies() {
        let run = Bytes::from([batch(&["a", "b"]), batch(&["c"])].concat());
        let walked: Vec<_> = Batches::new(run.clone()).map(|batch| batch.expect("well-formed")).collect();
        assert_eq!(walked.iter().map(|batch| batch.header().record_count).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(walked[1].bytes().as_ptr(), run[walked[0].bytes().len()..].as_ptr(), "the second batch is a slice");
        assert!(walked.iter().all(|batch| batch.verify().is_ok()));
    }

    #[test]
    fn every_cut_is_an_error_and_never_a_panic() {
        let whole = batch(&["value"]);
        for length in 1..whole.len() {
            let walked: Vec<_> = Batches::new(whole.slice(..length)).collect();
            assert!(matches!(walked[..], [Err(_)]), "cut at {length}: {walked:?}");
        }
    }

    #[test]
    fn every_flipped_bit_that_the_checksum_covers_is_found() {
        let whole = batch(&["value"]);
        for bit in CRC_AT * 8..whole.len() * 8 {
            let mut bytes = whole.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let batch = RecordBatch::parse(&Bytes::from(bytes)).expect("the length is untouched");
            assert!(matches!(batch.verify(), Err(BatchError::Checksum { .. })), "bit {bit}");
        }
    }

    #[test]
    fn impossible_headers_are_refused() {
        fn check(position: usize, value: &[u8], expected: &BatchError) {
            let mut bytes = batch(&["value"]).to_vec();
            bytes[position..position + value.len()].copy_from_slice(value);
            assert_eq!(BatchHeader::parse(&bytes).as_ref(), Err(expected));
        }
        check(8, &(-1_i32).to_be_bytes(), &BatchError::Length(-1));
        check(8, &48_i32.to_be_bytes(), &BatchError::Length(48));
        check(16, &[1], &BatchError::Magic(1));
    }
}
