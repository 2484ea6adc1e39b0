//! The body of a Fetch response, v4–18, as a list of slices.
//!
//! ```text
//! [throttle … partition header, records length] [records] [records] [tags, next partition header …] [records] …
//! └──────────────── ours, one buffer ─────────┘ └── the caller's ──┘
//! ```
//!
//! Record batches are never copied: they stand in the list as they came, and one vectored write sends them. The
//! generated codec would copy them.
//!
//! Not here: diverging epochs, leader hints and endpoints of other nodes (KIP-595, KIP-951). Leader epochs never move.

use bytes::{BufMut, Bytes};
use uuid::Uuid;

use crate::wire::pieces::Pieces;

/// A Fetch response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchResponse {
    /// How long the client is muted, in milliseconds.
    pub throttle_time_ms: i32,
    /// An error of the whole request (v7+).
    pub error_code: i16,
    /// The fetch session, or 0 (v7+).
    pub session_id: i32,
    /// Topics in the order of the answer.
    pub topics: Vec<FetchedTopic>,
}

/// A topic's part of a Fetch response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchedTopic {
    /// The topic's name, sent up to v12.
    pub name: Bytes,
    /// The topic's id, sent from v13 on.
    pub topic_id: Uuid,
    /// Partitions in the order of the answer.
    pub partitions: Vec<FetchedPartition>,
}

/// A partition's part of a Fetch response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedPartition {
    /// The partition's index.
    pub partition: i32,
    /// The partition's error, or 0.
    pub error_code: i16,
    /// The high watermark, or −1.
    pub high_watermark: i64,
    /// The last stable offset, or −1.
    pub last_stable_offset: i64,
    /// The log start (v5+), or −1.
    pub log_start_offset: i64,
    /// Aborted transactions as (producer id, first offset); `None` for read_uncommitted.
    pub aborted: Option<Vec<(i64, i64)>>,
    /// Where the client should fetch instead (v11+), or −1.
    pub preferred_read_replica: i32,
    /// Whole record batches, in order.
    pub records: Vec<Bytes>,
}

impl FetchedPartition {
    /// A partition without records: an error, or nothing known yet.
    #[must_use]
    pub fn empty(partition: i32, error_code: i16) -> Self {
        Self {
            partition,
            error_code,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            aborted: None,
            preferred_read_replica: -1,
            records: Vec::new(),
        }
    }
}

/// From this version on lengths are variable-length integers and structs end with tagged fields.
const FLEXIBLE: i16 = 12;

impl FetchResponse {
    /// The body at `version` (4–18), to be sent slice after slice.
    ///
    /// A body that does not fit a frame comes out long all the same; whoever writes the frame's length refuses it.
    #[must_use]
    pub fn encode(self, version: i16) -> Vec<Bytes> {
        let mut pieces = Pieces::with_capacity(self.own_bytes_max(), self.record_slices(), version >= FLEXIBLE);
        pieces.own.put_i32(self.throttle_time_ms);
        if version >= 7 {
            pieces.own.put_i16(self.error_code);
            pieces.own.put_i32(self.session_id);
        }
        pieces.count(self.topics.len());
        for topic in self.topics {
            if version >= 13 {
                pieces.own.put_slice(topic.topic_id.as_bytes());
            } else {
                pieces.string(&topic.name);
            }
            pieces.count(topic.partitions.len());
            for partition in topic.partitions {
                partition.put(version, &mut pieces);
            }
            pieces.no_tags();
        }
        pieces.no_tags();
        pieces.finish()
    }

    /// An upper bound of all that is not records.
    fn own_bytes_max(&self) -> usize {
        let partition_bytes =
            |partition: &FetchedPartition| 64 + 17 * partition.aborted.as_ref().map_or(0, |aborted| aborted.len());
        let topic_bytes =
            |topic: &FetchedTopic| 32 + topic.name.len() + topic.partitions.iter().map(partition_bytes).sum::<usize>();
        32 + self.topics.iter().map(topic_bytes).sum::<usize>()
    }

    fn record_slices(&self) -> usize {
        self.topics.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.records.len()).sum()
    }
}

impl FetchedPartition {
    fn put(self, version: i16, pieces: &mut Pieces) {
        pieces.own.put_i32(self.partition);
        pieces.own.put_i16(self.error_code);
        pieces.own.put_i64(self.high_watermark);
        pieces.own.put_i64(self.last_stable_offset);
        if version >= 5 {
            pieces.own.put_i64(self.log_start_offset);
        }
        match &self.aborted {
            None => pieces.null(),
            Some(aborted) => {
                pieces.count(aborted.len());
                for (producer_id, first_offset) in aborted {
                    pieces.own.put_i64(*producer_id);
                    pieces.own.put_i64(*first_offset);
                    pieces.no_tags();
                }
            }
        }
        if version >= 11 {
            pieces.own.put_i32(self.preferred_read_replica);
        }
        pieces.slices(self.records);
        pieces.no_tags();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::FetchResponse as Decoded;
    use kafka_protocol::messages::fetch_response::PartitionData;
    use kafka_protocol::protocol::Decodable;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn any_partition() -> impl Strategy<Value = FetchedPartition> {
        let offsets = (any::<i64>(), any::<i64>(), any::<i64>());
        let aborted = proptest::option::of(vec((any::<i64>(), any::<i64>()), 0..5));
        let records = vec(vec(any::<u8>(), 0..300).prop_map(Bytes::from), 0..4);
        (any::<i32>(), any::<i16>(), offsets, aborted, any::<i32>(), records).prop_map(
            |(partition, error_code, offsets, aborted, preferred_read_replica, records)| FetchedPartition {
                partition,
                error_code,
                high_watermark: offsets.0,
                last_stable_offset: offsets.1,
                log_start_offset: offsets.2,
                aborted,
                preferred_read_replica,
                records,
            },
        )
    }

    fn any_response() -> impl Strategy<Value = FetchResponse> {
        let topic = ("[a-z.]{1,249}", any::<u128>(), vec(any_partition(), 0..5)).prop_map(|(name, id, partitions)| {
            FetchedTopic { name: Bytes::from(name), topic_id: Uuid::from_u128(id), partitions }
        });
        (any::<i32>(), any::<i16>(), any::<i32>(), vec(topic, 0..4)).prop_map(
            |(throttle_time_ms, error_code, session_id, topics)| FetchResponse {
                throttle_time_ms,
                error_code,
                session_id,
                topics,
            },
        )
    }

    fn partition_from(decoded: PartitionData) -> FetchedPartition {
        assert_eq!(decoded.current_leader, Default::default());
        FetchedPartition {
            partition: decoded.partition_index,
            error_code: decoded.error_code,
            high_watermark: decoded.high_watermark,
            last_stable_offset: decoded.last_stable_offset,
            log_start_offset: decoded.log_start_offset,
            aborted: decoded
                .aborted_transactions
                .map(|list| list.iter().map(|one| (one.producer_id.0, one.first_offset)).collect()),
            preferred_read_replica: decoded.preferred_read_replica.0,
            records: decoded.records.into_iter().filter(|records| !records.is_empty()).collect(),
        }
    }

    /// What a client must see of `response` at `version`.
    fn expected(mut response: FetchResponse, version: i16) -> FetchResponse {
        if version < 7 {
            (response.error_code, response.session_id) = (0, 0);
        }
        for topic in &mut response.topics {
            if version >= 13 {
                topic.name = Bytes::new();
            } else {
                topic.topic_id = Uuid::nil();
            }
            for partition in &mut topic.partitions {
                partition.log_start_offset = if version >= 5 { partition.log_start_offset } else { -1 };
                partition.preferred_read_replica = if version >= 11 { partition.preferred_read_replica } else { -1 };
                let joined = Bytes::from(partition.records.concat());
                partition.records = if joined.is_empty() { Vec::new() } else { vec![joined] };
            }
        }
        response
    }

    proptest! {
        #[test]
        fn a_client_reads_what_was_written(response in any_response()) {
            for version in 4..=18 {
                let mut body = Bytes::from(response.clone().encode(version).concat());
                let decoded = Decoded::decode(&mut body, version).unwrap();
                prop_assert!(body.is_empty());
                let topics = decoded.responses.into_iter().map(|topic| FetchedTopic {
                    name: topic.topic.0.into_bytes(),
                    topic_id: topic.topic_id,
                    partitions: topic.partitions.into_iter().map(partition_from).collect(),
                });
                let read = FetchResponse {
                    throttle_time_ms: decoded.throttle_time_ms,
                    error_code: decoded.error_code,
                    session_id: decoded.session_id,
                    topics: topics.collect(),
                };
                prop_assert_eq!(read, expected(response.clone(), version));
            }
        }

        #[test]
        fn records_are_not_copied(response in any_response()) {
            let records = |response: &FetchResponse| -> Vec<*const u8> {
                let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
                let slices = partitions.flat_map(|partition| &partition.records);
                slices.filter(|slice| !slice.is_empty()).map(|slice| slice.as_ptr()).collect()
            };
            let before = records(&response);
            let own_bytes_max = response.own_bytes_max();
            let slices = response.encode(12);
            let kept = slices.iter().map(|slice| slice.as_ptr()).filter(|slice| before.contains(slice)).count();
            prop_assert_eq!(kept, before.len());
            let own: usize = slices.iter().filter(|slice| !before.contains(&slice.as_ptr())).map(Bytes::len).sum();
            prop_assert!(own <= own_bytes_max);
        }
    }
}
