//! Writes real offsets and append times into copies of batch headers, for readers.
//!
//! Stored bytes are the producers' own, made before offsets were known. What a reader gets is a stamped copy of the
//! header followed by the stored records, untouched.

use bytes::{BufMut, BytesMut};

use crate::base::clock::Timestamp;
use crate::base::crc::{combine, crc32c};
use crate::model::offset::Offset;
use crate::record::batch::{CRC_AT, CRC_COVERS_FROM, HEADER_BYTES, RecordBatch};

/// The leader epoch in everything that is served: leadership does not exist here, so it never moves.
const LEADER_EPOCH: i32 = 0;

const LEADER_EPOCH_AT: usize = 12;
const ATTRIBUTES_AT: usize = 21;
const MAX_TIMESTAMP_AT: usize = 35;
const LOG_APPEND_TIME: u8 = 0x08;

/// What a batch's header is to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Offset of its first record.
    pub base_offset: Offset,
    /// When it was appended, on topics that stamp by append time; other topics keep the producer's timestamps.
    pub append_time: Option<Timestamp>,
}

/// Appends the batch's stamped header ([`HEADER_BYTES`] bytes) to `target`. The records follow unchanged in the batch.
///
/// The CRC is not computed from the records again: a CRC is linear, so the old one, moved by the change of the header,
/// is the new one. A batch that failed its checksum before still fails it afterwards.
pub fn stamp_header(batch: &RecordBatch, stamp: Stamp, target: &mut BytesMut) {
    let start = target.len();
    target.put_slice(&batch.bytes()[..HEADER_BYTES]);
    let header = &mut target[start..];
    header[..8].copy_from_slice(&stamp.base_offset.0.to_be_bytes());
    header[LEADER_EPOCH_AT..LEADER_EPOCH_AT + 4].copy_from_slice(&LEADER_EPOCH.to_be_bytes());
    let Some(append_time) = stamp.append_time else {
        return;
    };
    let before = crc32c(&header[CRC_COVERS_FROM..]);
    // The flag is in the attributes' low byte.
    header[ATTRIBUTES_AT + 1] |= LOG_APPEND_TIME;
    header[MAX_TIMESTAMP_AT..MAX_TIMESTAMP_AT + 8].copy_from_slice(&append_time.0.to_be_bytes());
    let after = crc32c(&header[CRC_COVERS_FROM..]);
    let body_bytes = (batch.bytes().len() - HEADER_BYTES) as u64;
    let crc = combine(before ^ after, batch.header().crc, body_bytes);
    header[CRC_AT..CRC_COVERS_FROM].copy_from_slice(&crc.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::build::BatchBuilder;
    use bytes::Bytes;

    fn stamped(value: &[u8], stamp: Stamp) -> RecordBatch {
        let mut builder = BatchBuilder::default();
        builder.push_value(Timestamp(1_000), value);
        builder.push_value(Timestamp(900), value);
        let batch = RecordBatch::parse(&builder.build().expect("builds")).expect("parses");
        let mut bytes = BytesMut::new();
        stamp_header(&batch, stamp, &mut bytes);
        bytes.put_slice(&batch.bytes()[HEADER_BYTES..]);
        RecordBatch::parse(&Bytes::from(bytes)).expect("parses")
    }

    #[test]
    fn offsets_change_without_a_new_checksum() {
        let batch = stamped(b"value", Stamp { base_offset: Offset(1 << 40), append_time: None });
        assert_eq!(batch.header().base_offset, Offset(1 << 40));
        assert_eq!(batch.header().last_offset(), Offset((1 << 40) + 1));
        assert_eq!(batch.header().max_timestamp, Timestamp(1_000));
        batch.verify().expect("the offset lies outside of what the checksum covers");
    }

    #[test]
    fn append_time_changes_timestamps_and_checksum() {
        for length in [0, 1, 7, 64, 4_096, 100_000] {
            let stamp = Stamp { base_offset: Offset(7), append_time: Some(Timestamp(123_456_789)) };
            let batch = stamped(&vec![b'v'; length], stamp);
            batch.verify().expect("the checksum moved with the header");
            assert!(batch.header().is_log_append_time());
            let body = batch.body(1 << 20).expect("plain");
            let times: Vec<_> = batch.records(&body).map(|record| record.expect("well-formed").timestamp).collect();
            assert_eq!(times, [Timestamp(123_456_789); 2]);
        }
    }
}
