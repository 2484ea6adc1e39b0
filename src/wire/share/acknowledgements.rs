//! What ShareFetch and ShareAcknowledge say alike: partitions by topic, each with what becomes of ranges of offsets.

use bytes::{BufMut, Bytes};
use uuid::Uuid;

use crate::wire::fields::{FieldReader, MalformedMessage};
use crate::wire::pieces::Pieces;

/// A topic's part of a request. The same topic may come twice in one request: librdkafka does it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShareTopic {
    /// The topic.
    pub topic_id: Uuid,
    /// Its partitions.
    pub partitions: Vec<SharePartition>,
}

/// A partition's part of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharePartition {
    /// The partition's index.
    pub partition: i32,
    /// What becomes of records.
    pub batches: Vec<AcknowledgedBatch>,
}

/// What becomes of a range of offsets, not judged yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AcknowledgedBatch {
    /// The first offset.
    pub first_offset: i64,
    /// The last offset.
    pub last_offset: i64,
    /// One type for all or one per offset, a byte each: 0 gap, 1 accept, 2 release, 3 reject, 4 renew (v2).
    pub types: Bytes,
}

/// Reads a request's topics.
pub(crate) fn read_topics(fields: &mut FieldReader<'_>) -> Result<Vec<ShareTopic>, MalformedMessage> {
    fields.array(|fields| {
        let topic = ShareTopic { topic_id: fields.uuid()?, partitions: fields.array(read_partition)? };
        fields.tags()?;
        Ok(topic)
    })
}

fn read_partition(fields: &mut FieldReader<'_>) -> Result<SharePartition, MalformedMessage> {
    let partition = SharePartition { partition: fields.i32()?, batches: fields.array(read_batch)? };
    fields.tags()?;
    Ok(partition)
}

fn read_batch(fields: &mut FieldReader<'_>) -> Result<AcknowledgedBatch, MalformedMessage> {
    let batch = AcknowledgedBatch { first_offset: fields.i64()?, last_offset: fields.i64()?, types: fields.bytes()? };
    fields.tags()?;
    Ok(batch)
}

/// Writes a request's topics.
pub(crate) fn put_topics(topics: &[ShareTopic], pieces: &mut Pieces) {
    pieces.count(topics.len());
    for topic in topics {
        pieces.uuid(topic.topic_id);
        pieces.count(topic.partitions.len());
        for partition in &topic.partitions {
            pieces.own.put_i32(partition.partition);
            pieces.count(partition.batches.len());
            for batch in &partition.batches {
                pieces.own.put_i64(batch.first_offset);
                pieces.own.put_i64(batch.last_offset);
                pieces.string(&batch.types);
                pieces.no_tags();
            }
            pieces.no_tags();
        }
        pieces.no_tags();
    }
}
