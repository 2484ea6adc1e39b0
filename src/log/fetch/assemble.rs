//! Makes of an extent's stored bytes what a reader gets: whole batches with real offsets, cut at batch boundaries.
//!
//! Stored batches do not know their offsets. Each header is copied and stamped, the records behind it are shared:
//!
//! ```text
//! stored   |header|records |header|records   |        (cache, shared)
//! stamped  |header|        |header|                   (one small buffer per answer)
//! sent      stamped records stamped records           (slices, written one after the other)
//! ```

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use crate::base::clock::Timestamp;
use crate::metastore::values::Extent;
use crate::model::offset::Offset;
use crate::record::batch::{BatchError, HEADER_BYTES, RecordBatch};
use crate::record::stamp::{Stamp, stamp_header};

/// Batches up to this size are copied whole behind their headers: a copy is cheaper than one more slice to send.
const COPIED_BYTES_MAX: usize = 1_024;

/// A stored batch with its place in the log.
#[derive(Clone, Debug)]
pub(crate) struct PlacedBatch {
    pub batch: RecordBatch,
    pub base_offset: Offset,
}

impl PlacedBatch {
    pub(crate) fn last_offset(&self) -> Offset {
        self.base_offset.plus(i64::from(self.batch.header().last_offset_delta))
    }
}

/// The batches of an extent; ends after the first error. Stored bytes have passed their checksum before.
pub(crate) struct PlacedBatches<'a> {
    slices: std::slice::Iter<'a, Bytes>,
    rest: Bytes,
    next_offset: Offset,
}

impl<'a> PlacedBatches<'a> {
    pub(crate) fn new(extent: &Extent, slices: &'a [Bytes]) -> Self {
        Self { slices: slices.iter(), rest: Bytes::new(), next_offset: extent.base_offset }
    }
}

impl Iterator for PlacedBatches<'_> {
    type Item = Result<PlacedBatch, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.rest.is_empty() {
            self.rest = self.slices.next()?.clone();
        }
        match RecordBatch::parse(&self.rest) {
            Ok(batch) if batch.header().last_offset_delta >= 0 => {
                self.rest = self.rest.split_off(batch.bytes().len());
                let base_offset = self.next_offset;
                self.next_offset = base_offset.plus(i64::from(batch.header().last_offset_delta) + 1);
                Some(Ok(PlacedBatch { batch, base_offset }))
            }
            Ok(batch) => Some(Err(self.end(BatchError::Length(batch.header().last_offset_delta)))),
            Err(error) => Some(Err(self.end(error))),
        }
    }
}

impl PlacedBatches<'_> {
    fn end(&mut self, error: BatchError) -> BatchError {
        self.rest = Bytes::new();
        self.slices = [].iter();
        error
    }
}

/// What a partition's batches may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Batches that end before this are skipped.
    pub from: Offset,
    /// Batches that end at or after this are not given.
    pub until: Offset,
    /// No batch is given that would go beyond this many bytes …
    pub bytes_max: u64,
    /// … except the first one, when this is set.
    pub at_least_one: bool,
    /// Whether headers are stamped with the extents' append times.
    pub stamps_time: bool,
}

/// Collects one partition's answer.
#[derive(Debug)]
pub(crate) struct Assembly {
    limits: Limits,
    pieces: Vec<Piece>,
    copied: BytesMut,
    bytes: u64,
    is_full: bool,
}

#[derive(Debug)]
enum Piece {
    /// Bytes of the buffer of copies.
    Copied(Range<usize>),
    /// Bytes that are shared with the cache.
    Shared(Bytes),
}

impl Assembly {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, pieces: Vec::new(), copied: BytesMut::new(), bytes: 0, is_full: false }
    }

    /// Bytes so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether a limit was reached: what follows would leave a gap.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Adds the batches of the next extent.
    ///
    /// # Errors
    /// When the bytes are not the batches that the extent promises. Batches before the fault stay.
    pub(crate) fn push(&mut self, extent: &Extent, slices: &[Bytes]) -> Result<(), BatchError> {
        let append_time = self.limits.stamps_time.then_some(extent.append_time);
        for placed in PlacedBatches::new(extent, slices) {
            let placed = placed?;
            if placed.last_offset() > extent.last_offset {
                let (have, want) = (extent.last_offset.0, placed.last_offset().0);
                return Err(BatchError::Span { have, want });
            }
            if placed.last_offset() < self.limits.from {
                continue;
            }
            let byte_size = placed.batch.bytes().len() as u64;
            let fits = self.bytes + byte_size <= self.limits.bytes_max;
            let is_first = self.limits.at_least_one && self.bytes == 0;
            if placed.last_offset() >= self.limits.until || !(fits || is_first) {
                self.is_full = true;
                return Ok(());
            }
            self.give(&placed, append_time);
            self.bytes += byte_size;
        }
        Ok(())
    }

    fn give(&mut self, placed: &PlacedBatch, append_time: Option<Timestamp>) {
        let start = self.copied.len();
        stamp_header(&placed.batch, Stamp { base_offset: placed.base_offset, append_time }, &mut self.copied);
        let records = placed.batch.bytes().slice(HEADER_BYTES..);
        let is_short = records.len() + HEADER_BYTES <= COPIED_BYTES_MAX;
        if is_short {
            self.copied.put_slice(&records);
        }
        let end = self.copied.len();
        match self.pieces.last_mut() {
            Some(Piece::Copied(range)) => range.end = end,
            _ => self.pieces.push(Piece::Copied(start..end)),
        }
        if !is_short {
            self.pieces.push(Piece::Shared(records));
        }
    }

    /// The answer's slices, in order.
    pub(crate) fn finish(self) -> Vec<Bytes> {
        let copied = self.copied.freeze();
        let slice_of = |piece| match piece {
            Piece::Copied(range) => copied.slice(range),
            Piece::Shared(bytes) => bytes,
        };
        self.pieces.into_iter().map(slice_of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::object::{ByteRange, ObjectKey};
    use crate::record::batch::Batches;
    use crate::record::build::BatchBuilder;

    fn batch(records: usize, value_bytes: usize) -> Bytes {
        let mut builder = BatchBuilder::default();
        for _ in 0..records {
            builder.push_value(Timestamp(5), &vec![b'v'; value_bytes]);
        }
        builder.build().expect("builds")
    }

    fn extent(base: i64, last: i64) -> Extent {
        Extent {
            base_offset: Offset(base),
            last_offset: Offset(last),
            object: ObjectKey::from("wal/x"),
            bytes: ByteRange { position: 64, length: 0 },
            crc: 0,
            max_timestamp: Timestamp(5),
            append_time: Timestamp(99),
        }
    }

    fn limits() -> Limits {
        Limits {
            from: Offset(0),
            until: Offset(i64::MAX),
            bytes_max: u64::MAX,
            at_least_one: false,
            stamps_time: false,
        }
    }

    /// Base and last offset of every batch in an answer.
    fn offsets(slices: &[Bytes]) -> Vec<(i64, i64)> {
        let joined = Bytes::from(slices.concat());
        let place = |batch: Result<RecordBatch, BatchError>| {
            let batch = batch.expect("whole batches only");
            batch.verify().expect("a good checksum");
            (batch.header().base_offset.0, batch.header().last_offset().0)
        };
        Batches::new(joined).map(place).collect()
    }

    #[test]
    fn batches_get_their_offsets_and_long_ones_are_shared() {
        let stored = [batch(2, 10), batch(1, 10), batch(3, 5_000), batch(1, 10)];
        for slices in [stored.to_vec(), vec![Bytes::from(stored.concat())]] {
            let mut assembly = Assembly::new(limits());
            assembly.push(&extent(100, 106), &slices).expect("well-formed");
            let answer = assembly.finish();
            assert_eq!(offsets(&answer), [(100, 101), (102, 102), (103, 105), (106, 106)]);
            assert_eq!(answer.len(), 3, "headers and short batches are one slice, long records are another");
            let shared = slices.iter().any(|slice| slice.as_ptr_range().contains(&answer[1].as_ptr()));
            assert!(shared, "the long records are not copied");
        }
    }

    #[test]
    fn answers_are_cut_at_batch_boundaries() {
        fn check(limits: Limits, expected: &[(i64, i64)]) {
            let stored: Vec<Bytes> = (0..4).map(|_| batch(10, 10)).collect();
            let mut assembly = Assembly::new(limits);
            assembly.push(&extent(0, 39), &stored).expect("well-formed");
            assert_eq!(offsets(&assembly.finish()), expected, "{limits:?}");
        }
        let size = batch(10, 10).len() as u64;
        check(Limits { from: Offset(10), ..limits() }, &[(10, 19), (20, 29), (30, 39)]);
        check(Limits { from: Offset(19), ..limits() }, &[(10, 19), (20, 29), (30, 39)]);
        check(Limits { from: Offset(39), ..limits() }, &[(30, 39)]);
        check(Limits { until: Offset(20), ..limits() }, &[(0, 9), (10, 19)]);
        check(Limits { bytes_max: 2 * size, ..limits() }, &[(0, 9), (10, 19)]);
        check(Limits { bytes_max: 2 * size - 1, ..limits() }, &[(0, 9)]);
        check(Limits { bytes_max: 1, ..limits() }, &[]);
        check(Limits { bytes_max: 1, at_least_one: true, from: Offset(15), ..limits() }, &[(10, 19)]);
    }

    #[test]
    fn nothing_follows_a_cut() {
        let mut assembly = Assembly::new(Limits { bytes_max: 100, at_least_one: true, ..limits() });
        assembly.push(&extent(0, 9), &[batch(10, 10)]).expect("well-formed");
        assert!(!assembly.is_full());
        assembly.push(&extent(10, 19), &[batch(10, 10)]).expect("well-formed");
        assert!(assembly.is_full());
    }

    #[test]
    fn append_time_is_stamped() {
        let mut assembly = Assembly::new(Limits { stamps_time: true, ..limits() });
        assembly.push(&extent(7, 7), &[batch(1, 3_000)]).expect("well-formed");
        let answer = Bytes::from(assembly.finish().concat());
        let batch = RecordBatch::parse(&answer).expect("a batch");
        batch.verify().expect("a good checksum");
        assert_eq!((batch.header().max_timestamp, batch.header().is_log_append_time()), (Timestamp(99), true));
    }

    #[test]
    fn bytes_that_are_not_what_the_extent_promises_are_an_error() {
        let stored = batch(10, 10);
        let mut assembly = Assembly::new(limits());
        assert!(assembly.push(&extent(0, 8), std::slice::from_ref(&stored)).is_err());
        assert!(assembly.push(&extent(0, 9), &[stored.slice(..stored.len() - 1)]).is_err());
        assert_eq!(assembly.bytes(), 0);
    }
}
