//! Record batches in a round: read once per partition, offered to every member that wants some, cut to what each got.
//!
//! ```text
//! window      |batch 10–19|batch 20–29|batch 30–39|      one read, shared slices
//! member a     └ acquires 12–29 ─────┘                   gets the first two batches
//! member b                             └ 30–39 ───┘      gets the third
//! ```

use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::time::timeout;

use crate::coordinator::share::delivery::context::Context;
use crate::coordinator::share::delivery::work::WantedPartition;
use crate::coordinator::share::partition::acquire::{Offer, OfferedBatch};
use crate::coordinator::share::values::AcquiredRange;
use crate::log::fetch::values::{FetchRequest, Fetched, PartitionFetch};
use crate::metastore::values::AbortedTransaction;
use crate::model::error::{Condition, Failure};
use crate::model::offset::Offset;
use crate::record::batch::{BatchError, BatchHeader, HEADER_BYTES};

/// A read that is not answered by then is none of the round's business: the other requests do not wait for it.
const READ_WAIT: Duration = Duration::from_millis(20);

/// What a read gave.
#[derive(Debug)]
pub(super) enum ReadOutcome {
    Window(Window),
    /// Nothing is there yet.
    AtEnd,
    /// It was not in memory.
    Cold(Offset),
    /// The log begins later than that.
    OutOfRange,
    Failed(Failure),
}

/// Reads a partition from `offset` on, about `bytes_max` bytes, at least one batch.
pub(super) async fn read_window(
    context: &Context,
    wanted: &WantedPartition,
    offset: Offset,
    bytes_max: u32,
    read_committed: bool,
) -> ReadOutcome {
    let request = request(wanted, offset, bytes_max, read_committed);
    let Ok(mut outcomes) = timeout(READ_WAIT, context.parts.reader.read(&request)).await else {
        return ReadOutcome::Cold(offset);
    };
    match outcomes.pop() {
        Some(Ok(fetched)) if fetched.records.is_empty() => ReadOutcome::AtEnd,
        Some(Ok(fetched)) => match Window::new(offset, fetched) {
            Ok(window) => ReadOutcome::Window(window),
            Err(error) => ReadOutcome::Failed(Failure::new(Condition::CorruptMessage, error.to_string())),
        },
        Some(Err(failure)) if failure.condition == Condition::OffsetOutOfRange => ReadOutcome::OutOfRange,
        Some(Err(failure)) => ReadOutcome::Failed(failure),
        None => ReadOutcome::AtEnd,
    }
}

/// Loads a partition's records from `offset` on into memory, for a read that will come.
pub(super) async fn warm(context: &Context, wanted: &WantedPartition, offset: Offset, read_committed: bool) {
    // Extents are loaded as a whole. Whatever fails here fails there too, and is told there.
    let _ = context.parts.reader.read(&request(wanted, offset, 1, read_committed)).await;
}

fn request(wanted: &WantedPartition, offset: Offset, bytes_max: u32, read_committed: bool) -> FetchRequest {
    let WantedPartition { partition, timestamp_type } = *wanted;
    FetchRequest {
        partitions: vec![PartitionFetch { partition, offset, bytes_max, timestamp_type }],
        bytes_min: 1,
        wait_max: Duration::ZERO,
        bytes_max,
        read_committed,
    }
}

/// Batches that were read together.
#[derive(Debug)]
pub(super) struct Window {
    /// Where the read began.
    from: Offset,
    batches: Vec<WindowBatch>,
    slices: Vec<Bytes>,
    withheld: Vec<(Offset, Offset)>,
}

#[derive(Clone, Copy, Debug)]
struct WindowBatch {
    offered: OfferedBatch,
    /// Where its bytes begin among all slices'.
    position: u64,
}

impl Window {
    /// # Errors
    /// When the bytes are not whole batches.
    fn new(from: Offset, fetched: Fetched) -> Result<Self, BatchError> {
        let slices = fetched.records;
        let (mut batches, mut withheld) = (Vec::new(), Vec::new());
        let mut position = 0;
        // Headers lie within one slice, and a slice ends where a batch ends or where its records begin.
        let (mut rest, mut slice): (_, &[u8]) = (slices.iter(), &[]);
        loop {
            while slice.is_empty() {
                let Some(next) = rest.next() else {
                    return Ok(Self { from, batches, slices, withheld });
                };
                slice = next;
            }
            let header = BatchHeader::parse(slice)?;
            let (base_offset, last_offset) = (header.base_offset, header.last_offset());
            if header.is_control() || is_aborted(&header, &fetched.aborted) {
                withheld.push((base_offset, last_offset));
            }
            let offered = OfferedBatch { base_offset, last_offset, byte_size: header.byte_size };
            batches.push(WindowBatch { offered, position });
            position += u64::from(header.byte_size);
            let mut left = header.byte_size as usize;
            while left > slice.len() {
                left -= slice.len();
                slice = rest.next().ok_or(BatchError::Truncated { have: 0, want: left.max(HEADER_BYTES) })?;
            }
            slice = &slice[left..];
        }
    }

    /// What of the window is from `offset` on, up to `bytes_max` bytes; one batch at least when that is wished. `None`
    /// when `offset` is not in the window.
    pub(super) fn offer(&self, offset: Offset, bytes_max: u64, at_least_one: bool) -> Option<Offer> {
        let first = self.batches.partition_point(|batch| batch.offered.last_offset < offset);
        if offset < self.from || first == self.batches.len() {
            return None;
        }
        let from = if first == 0 { self.from } else { self.batches[first - 1].offered.last_offset.plus(1) };
        let mut bytes = 0;
        let fits = |batch: &&WindowBatch| {
            let is_first = bytes == 0 && at_least_one;
            bytes += u64::from(batch.offered.byte_size);
            is_first || bytes <= bytes_max
        };
        let batches = self.batches[first..].iter().take_while(fits).map(|batch| batch.offered).collect();
        Some(Offer { from, batches, withheld: self.withheld.clone() })
    }

    /// The bytes of the batches that hold something of `ranges`, which are in order.
    pub(super) fn cut(&self, ranges: &[AcquiredRange]) -> Vec<Bytes> {
        let mut spans: Vec<(usize, usize)> = Vec::new();
        for range in ranges {
            let first = self.batches.partition_point(|batch| batch.offered.last_offset < range.first);
            let end = self.batches.partition_point(|batch| batch.offered.base_offset <= range.last);
            match spans.last_mut() {
                Some((_, previous)) if first <= *previous => *previous = end.max(*previous),
                _ => spans.push((first, end)),
            }
        }
        let mut cut = Vec::new();
        for (first, end) in spans.into_iter().filter(|(first, end)| first < end) {
            let last = &self.batches[end - 1];
            self.slice(self.batches[first].position, last.position + u64::from(last.offered.byte_size), &mut cut);
        }
        cut
    }

    fn slice(&self, begin: u64, end: u64, cut: &mut Vec<Bytes>) {
        let mut position = 0;
        for slice in &self.slices {
            let length = slice.len() as u64;
            let (from, until) = (begin.max(position), end.min(position + length));
            if from < until {
                // Both lie within the slice, whose length is a usize.
                cut.push(slice.slice((from - position) as usize..(until - position) as usize));
            }
            position += length;
        }
    }
}

/// How many bytes slices hold.
pub(super) fn bytes_of(slices: &[Bytes]) -> u64 {
    slices.iter().map(|slice| slice.remaining() as u64).sum()
}

/// Whether a batch belongs to one of the aborted transactions: its producer's, between the first offset and the marker.
fn is_aborted(header: &BatchHeader, aborted: &[AbortedTransaction]) -> bool {
    let holds = |transaction: &AbortedTransaction| {
        transaction.producer_id == header.producer_id
            && (transaction.first_offset..=transaction.last_offset).contains(&header.base_offset)
    };
    header.is_transactional() && aborted.iter().any(holds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Timestamp;
    use crate::metastore::values::PartitionBounds;
    use crate::model::producer::{ProducerEpoch, ProducerId, Sequence};
    use crate::record::batch::{Batches, RecordBatch};
    use crate::record::build::{BatchBuilder, BatchShape};

    /// Ten records from a base offset on; `bytes` in each.
    fn batch(base: i64, bytes: usize, attributes: u8, producer: i64) -> Bytes {
        let producer = Some((ProducerId(producer), ProducerEpoch(0), Sequence(0)));
        let mut builder = BatchBuilder::new(BatchShape { producer, ..BatchShape::default() });
        for _ in 0..10 {
            builder.push_value(Timestamp(5), &vec![b'v'; bytes]);
        }
        let mut batch = builder.build().expect("builds").to_vec();
        batch[..8].copy_from_slice(&base.to_be_bytes());
        batch[22] |= attributes;
        batch.into()
    }

    /// Aborted: the producer, the first offset, the marker's offset.
    fn window(slices: Vec<Bytes>, aborted: &[(i64, i64, i64)]) -> Window {
        let offset = Offset(0);
        let bounds = PartitionBounds {
            log_start_offset: offset,
            high_watermark: offset,
            last_stable_offset: offset,
            byte_size: 0,
        };
        let transaction = |&(id, first, last): &(i64, i64, i64)| AbortedTransaction {
            producer_id: ProducerId(id),
            first_offset: Offset(first),
            last_offset: Offset(last),
        };
        let aborted = aborted.iter().map(transaction).collect();
        Window::new(Offset(3), Fetched { bounds, records: slices, aborted }).expect("whole batches")
    }

    fn range(first: i64, last: i64) -> AcquiredRange {
        AcquiredRange { first: Offset(first), last: Offset(last), delivery_count: 1 }
    }

    fn bases(slices: &[Bytes]) -> Vec<i64> {
        let base = |batch: Result<RecordBatch, BatchError>| batch.expect("whole").header().base_offset.0;
        Batches::new(Bytes::from(slices.concat())).map(base).collect()
    }

    #[test]
    fn a_window_is_offered_and_cut_at_batches_however_its_bytes_are_sliced() {
        let stored: Vec<Bytes> = [0, 10, 20, 30].map(|base| batch(base, 50, 0, 1)).into();
        let size = u64::from(BatchHeader::parse(&stored[0]).expect("a header").byte_size);
        let split = |batch: &Bytes| [batch.slice(..HEADER_BYTES), batch.slice(HEADER_BYTES..)];
        for slices in [stored.clone(), vec![stored.concat().into()], stored.iter().flat_map(split).collect()] {
            let window = window(slices, &[]);
            let offered = |offset, bytes_max, at_least_one| {
                let offer = window.offer(Offset(offset), bytes_max, at_least_one)?;
                let bases: Vec<i64> = offer.batches.iter().map(|batch| batch.base_offset.0).collect();
                Some((offer.from.0, bases))
            };
            assert_eq!(offered(3, u64::MAX, false), Some((3, vec![0, 10, 20, 30])));
            assert_eq!(offered(15, 2 * size, false), Some((10, vec![10, 20])));
            assert_eq!(offered(15, 1, true), Some((10, vec![10])));
            assert_eq!(offered(15, 1, false), Some((10, vec![])));
            assert_eq!((offered(2, 1, true), offered(40, 1, true)), (None, None));
            assert_eq!(bases(&window.cut(&[range(5, 5), range(8, 12), range(31, 35)])), [0, 10, 30]);
            assert_eq!(bases(&window.cut(&[range(0, 39)])), [0, 10, 20, 30]);
            assert_eq!(bytes_of(&window.cut(&[range(20, 29)])), size);
        }
    }

    #[test]
    fn control_records_and_what_was_aborted_are_withheld() {
        let (data, marker) = (0x10, 0x30);
        let slices = vec![
            batch(0, 5, data, 1),
            batch(10, 5, data, 2),
            batch(20, 5, marker, 1),
            batch(30, 5, data, 1),
            batch(40, 5, 0, 2),
            batch(50, 5, data, 2),
            batch(60, 5, marker, 1),
        ];
        let withheld = |aborted: &[(i64, i64, i64)]| {
            let ranges = window(slices.clone(), aborted).withheld;
            ranges.into_iter().map(|(first, last)| (first.0, last.0)).collect::<Vec<_>>()
        };
        let (first, second) = ((20, 29), (60, 69));
        // Markers are nobody's records, whatever they end and whoever reads.
        assert_eq!(withheld(&[]), [first, second]);
        // Aborted, and another by the same producer that was committed.
        assert_eq!(withheld(&[(1, 0, 20)]), [(0, 9), first, second]);
        assert_eq!(withheld(&[(1, 30, 60)]), [first, (30, 39), second]);
        // The marker is not in the window; what the producer wrote outside of transactions counts.
        assert_eq!(withheld(&[(2, 10, 70)]), [(10, 19), first, (50, 59), second]);
        // It began before the window.
        assert_eq!(withheld(&[(1, -5, 20)]), [(0, 9), first, second]);
        // Several at once, and one of a producer that wrote nothing here.
        assert_eq!(withheld(&[(1, 0, 20), (3, 5, 90), (2, 10, 70)]), [(0, 9), (10, 19), first, (50, 59), second]);
    }

    #[test]
    fn a_window_of_nothing_but_markers_is_withheld_as_a_whole() {
        let window = window(vec![batch(3, 5, 0x30, 1), batch(13, 5, 0x20, 2)], &[]);
        let offer = window.offer(Offset(3), 1, true).expect("it is in the window");
        assert_eq!(offer.withheld, [(Offset(3), Offset(12)), (Offset(13), Offset(22))]);
        assert_eq!(offer.batches.len(), 1, "batches are offered up to the limit, whatever is in them");
    }

    #[test]
    fn bytes_that_end_too_soon_are_an_error() {
        let whole = batch(0, 50, 0, 1);
        let bounds = PartitionBounds {
            log_start_offset: Offset(0),
            high_watermark: Offset(0),
            last_stable_offset: Offset(0),
            byte_size: 0,
        };
        for end in [20, HEADER_BYTES, whole.len() - 1] {
            let fetched = Fetched { bounds, records: vec![whole.slice(..end)], aborted: Vec::new() };
            assert!(Window::new(Offset(0), fetched).is_err(), "cut at {end}");
        }
    }
}
