//! Admits batches: judges one partition's records and notes what the index must know. Pure; copies no payload.

use crate::base::clock::Timestamp;
use crate::config::topic::TimestampType;
use crate::log::append::values::{AppendFailure, PartitionAppend};
use crate::metastore::values::ProducerBatch;
use crate::model::error::{Condition, Failure};
use crate::record::batch::{BatchHeader, whole_crc};
use crate::record::validate::{BatchRules, InvalidBatch, TimestampBounds, validate};

/// The first version of Produce that may carry zstd (KIP-110).
const ZSTD_PRODUCE_VERSION: i16 = 7;

/// What the index must know of an admitted batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchFacts {
    /// CRC-32C of the whole batch.
    pub crc: u32,
    pub record_count: u32,
    pub max_timestamp: Timestamp,
    pub producer: Option<ProducerBatch>,
    /// Whether the topic stamps records by append time, which the answer then tells.
    pub stamped: bool,
}

/// Judges one partition's records as they came from a producer.
pub(crate) fn admit(
    append: &PartitionAppend,
    produce_version: i16,
    now: Timestamp,
) -> Result<BatchFacts, AppendFailure> {
    let config = &append.config;
    let stamped = config.timestamp_type == TimestampType::LogAppendTime;
    let rules = BatchRules {
        batch_bytes_max: config.message_bytes_max,
        zstd_allowed: produce_version >= ZSTD_PRODUCE_VERSION,
        keys_required: config.compacted,
        timestamps: (!stamped).then_some(TimestampBounds {
            now,
            before_max_ms: config.timestamp_before_max_ms,
            after_max_ms: config.timestamp_after_max_ms,
        }),
    };
    let header = validate(&append.records, &rules).map_err(refuse)?;
    if header.is_transactional() {
        let message = "transactional batches are not supported by this version";
        return Err(AppendFailure::from(Failure::new(Condition::InvalidTxnState, message)));
    }
    Ok(facts(&header, whole_crc(&append.records, &header), stamped))
}

fn facts(header: &BatchHeader, crc: u32, stamped: bool) -> BatchFacts {
    let producer = (header.producer_id.0 >= 0).then_some(ProducerBatch {
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
        // A batch before it may come through another agent: it has to wait first.
        begins_anywhere: false,
    });
    BatchFacts {
        crc,
        // A validated count is at least 1.
        record_count: header.record_count.unsigned_abs(),
        max_timestamp: header.max_timestamp,
        producer,
        stamped,
    }
}

fn refuse(invalid: InvalidBatch) -> AppendFailure {
    AppendFailure { failure: invalid.failure, records: invalid.records }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::crc::crc32c;
    use crate::config::topic::TopicConfig;
    use crate::model::producer::{ProducerEpoch, ProducerId, Sequence};
    use crate::model::topic::{PartitionIndex, TopicId, TopicIdPartition};
    use crate::record::build::{BatchBuilder, BatchShape};
    use crate::record::decompress::Compression;
    use std::sync::Arc;
    use uuid::Uuid;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn append(shape: BatchShape, config: TopicConfig) -> PartitionAppend {
        let mut builder = BatchBuilder::new(shape);
        builder.push_value(NOW, b"a");
        builder.push_value(NOW, b"b");
        PartitionAppend {
            partition: TopicIdPartition::new(TopicId(Uuid::from_u128(1)), PartitionIndex(0)),
            config: Arc::new(config),
            records: builder.build().expect("builds"),
        }
    }

    #[test]
    fn notes_what_the_index_must_know() {
        let producer = (ProducerId(7), ProducerEpoch(1), Sequence(10));
        let shape = BatchShape { producer: Some(producer), ..BatchShape::default() };
        let facts = admit(&append(shape, TopicConfig::default()), 13, NOW).expect("a good batch");
        assert_eq!((facts.record_count, facts.max_timestamp, facts.stamped), (2, NOW, false));
        assert_eq!(facts.producer.map(|batch| batch.base_sequence), Some(Sequence(10)));
        assert_eq!(facts.crc, crc32c(&append(shape, TopicConfig::default()).records));
    }

    #[test]
    fn the_topic_and_the_request_decide_what_is_allowed() {
        fn check(append: &PartitionAppend, produce_version: i16, expected: Option<Condition>) {
            let outcome = admit(append, produce_version, NOW);
            assert_eq!(outcome.err().map(|failure| failure.failure.condition), expected);
        }
        let zstd = BatchShape { compression: Compression::Zstd, ..BatchShape::default() };
        check(&append(zstd, TopicConfig::default()), 7, None);
        check(&append(zstd, TopicConfig::default()), 6, Some(Condition::UnsupportedCompressionType));
        let compacted = TopicConfig { compacted: true, ..TopicConfig::default() };
        check(&append(BatchShape::default(), compacted), 9, Some(Condition::InvalidRecord));
        let small = TopicConfig { message_bytes_max: 70, ..TopicConfig::default() };
        check(&append(BatchShape::default(), small), 9, Some(Condition::MessageTooLarge));
        let producer = Some((ProducerId(7), ProducerEpoch(1), Sequence(10)));
        let transactional = BatchShape { transactional: true, producer, ..BatchShape::default() };
        check(&append(transactional, TopicConfig::default()), 9, Some(Condition::InvalidTxnState));
        let early = TopicConfig { timestamp_after_max_ms: -1, ..TopicConfig::default() };
        check(&append(BatchShape::default(), early.clone()), 9, Some(Condition::InvalidTimestamp));
        let stamped = TopicConfig { timestamp_type: TimestampType::LogAppendTime, ..early };
        check(&append(BatchShape::default(), stamped), 9, None);
    }
}
