//! Decides which extents a fetch reads. Pure.
//!
//! Partitions are served in the request's order, each up to its own limit, until the request's limit is used up; the
//! first one that has anything gives at least one batch, however large. Turning the order round, so that every
//! partition comes first some time, is the caller's part.

use crate::log::fetch::locate::{Located, Readable};
use crate::log::fetch::values::FetchRequest;
use crate::metastore::values::{AbortedTransaction, Extent};
use crate::model::offset::Offset;
use crate::object::cache::Heat;

/// What to read for one partition of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartitionPlan {
    /// Which, by its place in the request.
    pub index: usize,
    /// What, in order of offsets.
    pub extents: Vec<(Extent, Heat)>,
    /// Up to where.
    pub until: Offset,
    /// What of it was aborted, for readers of what is committed.
    pub aborted: Vec<AbortedTransaction>,
}

/// Whether it is time to answer: enough bytes, or an error that the client should hear of at once.
pub(crate) fn is_enough(request: &FetchRequest, located: &[Located]) -> bool {
    let mut bytes = 0_u64;
    for located in located {
        match located {
            Located::Failed(_) => return true,
            Located::AtEnd { .. } => {}
            // More is there, and would be waited for in vain: only the next fetch asks for it.
            Located::Found { readable, .. } if readable.is_cut => return true,
            Located::Found { readable, .. } => {
                bytes += readable.extents.iter().map(|(extent, _)| u64::from(extent.bytes.length)).sum::<u64>();
            }
        }
    }
    // More than the answer may hold is never waited for.
    bytes >= u64::from(request.bytes_min.min(request.bytes_max))
}

/// Chooses the extents to read, at most about `bytes_max` bytes.
pub(crate) fn plan(request: &FetchRequest, located: Vec<Located>, bytes_max: u64) -> Vec<PartitionPlan> {
    let mut plans: Vec<PartitionPlan> = Vec::new();
    let mut left = bytes_max;
    for (index, (located, fetch)) in located.into_iter().zip(&request.partitions).enumerate() {
        let Located::Found { readable, .. } = located else { continue };
        let Readable { mut extents, until, aborted, .. } = readable;
        let share = left.min(u64::from(fetch.bytes_max));
        if share == 0 && !plans.is_empty() {
            continue;
        }
        let mut bytes = 0;
        let mut count = 0;
        for (extent, _) in &extents {
            if count > 0 && bytes >= share {
                break;
            }
            // Nobody knows how much of an extent lies before the wanted offset and is cut off.
            bytes += if extent.base_offset < fetch.offset { 0 } else { u64::from(extent.bytes.length) };
            count += 1;
        }
        extents.truncate(count);
        left = left.saturating_sub(bytes.min(share));
        let aborted = reaching_into(&extents, aborted, fetch.offset);
        plans.push(PartitionPlan { index, extents, until, aborted });
    }
    plans
}

/// Those of the aborted transactions that a reader from `offset` on must know of. One whose marker lies before that it
/// must not: a client would take its producer's next transaction for it.
pub(crate) fn reaching_into(
    extents: &[(Extent, Heat)],
    mut aborted: Vec<AbortedTransaction>,
    offset: Offset,
) -> Vec<AbortedTransaction> {
    let last_offset = extents.last().map_or(offset, |(extent, _)| extent.last_offset);
    aborted.retain(|transaction| transaction.last_offset >= offset && transaction.first_offset <= last_offset);
    aborted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Timestamp;
    use crate::config::topic::TimestampType;
    use crate::log::fetch::values::PartitionFetch;
    use crate::metastore::values::PartitionBounds;
    use crate::model::error::{Condition, Failure};
    use crate::model::object::{ByteRange, ObjectKey};
    use crate::model::producer::ProducerId;
    use crate::model::topic::{PartitionIndex, TopicId, TopicIdPartition};
    use std::time::Duration;
    use uuid::Uuid;

    const BOUNDS: PartitionBounds = PartitionBounds {
        log_start_offset: Offset(0),
        high_watermark: Offset(100),
        last_stable_offset: Offset(100),
        byte_size: 0,
    };

    fn request(partition_bytes_max: &[u32], bytes_min: u32) -> FetchRequest {
        let partition = |(index, bytes_max): (i32, &u32)| PartitionFetch {
            partition: TopicIdPartition::new(TopicId(Uuid::from_u128(1)), PartitionIndex(index)),
            offset: Offset(0),
            bytes_max: *bytes_max,
            timestamp_type: TimestampType::CreateTime,
        };
        FetchRequest {
            partitions: (0..).zip(partition_bytes_max).map(partition).collect(),
            bytes_min,
            wait_max: Duration::ZERO,
            bytes_max: u32::MAX,
            read_committed: false,
        }
    }

    fn found(lengths: &[u32]) -> Located {
        let extent = |(index, length): (i64, &u32)| Extent {
            base_offset: Offset(index),
            last_offset: Offset(index),
            object: ObjectKey::from("wal/x"),
            bytes: ByteRange { position: 64, length: *length },
            crc: 0,
            max_timestamp: Timestamp(0),
            append_time: Timestamp(0),
        };
        let extents = (0..).zip(lengths).map(extent).map(|extent| (extent, Heat::Tail)).collect();
        let readable = Readable { extents, until: BOUNDS.high_watermark, aborted: Vec::new(), is_cut: false };
        Located::Found { bounds: BOUNDS, readable }
    }

    fn check(bytes_max: &[u32], total: u64, located: Vec<Located>, expected: &[(usize, usize)]) {
        let plans = plan(&request(bytes_max, 1), located, total);
        let seen: Vec<_> = plans.iter().map(|plan| (plan.index, plan.extents.len())).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn partitions_are_served_in_order_up_to_their_limits() {
        check(&[100, 100], 1_000, vec![found(&[50, 50, 50, 50]), found(&[50])], &[(0, 2), (1, 1)]);
        check(&[100, 100], 1_000, vec![Located::AtEnd { bounds: BOUNDS }, found(&[10])], &[(1, 1)]);
    }

    #[test]
    fn the_first_that_has_anything_gives_one_extent_however_large() {
        check(&[0, 0], 0, vec![found(&[500]), found(&[500])], &[(0, 1)]);
        check(&[10, 10], 5, vec![Located::AtEnd { bounds: BOUNDS }, found(&[500, 1])], &[(1, 1)]);
    }

    #[test]
    fn what_is_used_up_is_not_given_to_later_partitions() {
        check(&[100, 100, 100], 150, vec![found(&[100]), found(&[100]), found(&[100])], &[(0, 1), (1, 1)]);
    }

    #[test]
    fn errors_and_enough_bytes_end_the_wait() {
        fn check(bytes_min: u32, located: &[Located], expected: bool) {
            assert_eq!(is_enough(&request(&[1, 1], bytes_min), located), expected);
        }
        let at_end = || Located::AtEnd { bounds: BOUNDS };
        check(1, &[at_end(), at_end()], false);
        check(0, &[at_end(), at_end()], true);
        check(100, &[found(&[60]), found(&[39])], false);
        check(100, &[found(&[60]), found(&[40])], true);
        check(100, &[at_end(), Located::Failed(Failure::from(Condition::OffsetOutOfRange))], true);
        let mut cut = found(&[10]);
        if let Located::Found { readable, .. } = &mut cut {
            readable.is_cut = true;
        }
        check(100, &[cut], true);
    }

    #[test]
    fn only_aborted_transactions_that_reach_into_what_is_read_are_named() {
        let Located::Found { readable, .. } = found(&[10; 5]) else { panic!("it is found") };
        let all = [(0, 1), (0, 2), (3, 90), (4, 5), (5, 6)].map(|(first, last)| AbortedTransaction {
            first_offset: Offset(first),
            last_offset: Offset(last),
            producer_id: ProducerId(1),
        });
        let named = |offset| {
            let named = reaching_into(&readable.extents, all.to_vec(), Offset(offset));
            named.iter().map(|one| (one.first_offset.0, one.last_offset.0)).collect::<Vec<_>>()
        };
        assert_eq!(named(0), [(0, 1), (0, 2), (3, 90), (4, 5)]);
        assert_eq!(named(2), [(0, 2), (3, 90), (4, 5)]);
        assert_eq!(named(3), [(3, 90), (4, 5)]);
    }
}
