//! The body of a ShareFetch response, v1–2, as a list of slices: records are never copied.
//!
//! Records are never null: none at all are a length of zero. No leader is ever named, and no endpoints with it: any
//! agent serves any partition.

use bytes::{BufMut, Bytes};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::wire::fields::{FieldReader, MalformedMessage};
use crate::wire::pieces::Pieces;
use crate::wire::share::acknowledgements::{put_no_leader, skip_endpoints, skip_leader};

/// A ShareFetch response; both versions look alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShareFetchResponse {
    /// How long the client is muted, in milliseconds.
    pub throttle_time_ms: i32,
    /// An error of the whole request.
    pub error_code: i16,
    /// Words on it.
    pub error_message: Option<StrBytes>,
    /// How long acquired records belong to the member, in milliseconds.
    pub lock_timeout_ms: i32,
    /// Topics in the order of the answer.
    pub topics: Vec<ShareFetchedTopic>,
}

/// A topic's part of a ShareFetch response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShareFetchedTopic {
    /// The topic.
    pub topic_id: Uuid,
    /// Its partitions in the order of the answer.
    pub partitions: Vec<ShareFetchedPartition>,
}

/// A partition's part of a ShareFetch response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShareFetchedPartition {
    /// The partition's index.
    pub partition: i32,
    /// What went wrong with the fetch, or 0.
    pub error_code: i16,
    /// Words on it.
    pub error_message: Option<StrBytes>,
    /// What went wrong with the acknowledgements, or 0.
    pub acknowledge_error_code: i16,
    /// Words on it.
    pub acknowledge_error_message: Option<StrBytes>,
    /// Whole record batches, in order.
    pub records: Vec<Bytes>,
    /// What the member holds from now on.
    pub acquired: Vec<AcquiredRecords>,
}

/// A range that a member holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AcquiredRecords {
    /// The first offset.
    pub first_offset: i64,
    /// The last offset.
    pub last_offset: i64,
    /// Which delivery this is, from 1.
    pub delivery_count: i16,
}

/// What a range takes.
const ACQUIRED_BYTES: usize = 8 + 8 + 2 + 1;

impl ShareFetchResponse {
    /// The body, to be sent slice after slice.
    #[must_use]
    pub fn encode(self) -> Vec<Bytes> {
        let mut pieces = Pieces::with_capacity(self.own_bytes_max(), self.record_slices(), true);
        pieces.own.put_i32(self.throttle_time_ms);
        pieces.own.put_i16(self.error_code);
        pieces.nullable_string(self.error_message.as_deref().map(str::as_bytes));
        pieces.own.put_i32(self.lock_timeout_ms);
        pieces.count(self.topics.len());
        for topic in self.topics {
            pieces.uuid(topic.topic_id);
            pieces.count(topic.partitions.len());
            for partition in topic.partitions {
                partition.put(&mut pieces);
            }
            pieces.no_tags();
        }
        // No endpoints.
        pieces.count(0);
        pieces.no_tags();
        pieces.finish()
    }

    /// An upper bound of all that is not records.
    fn own_bytes_max(&self) -> usize {
        let text = |text: &Option<StrBytes>| text.as_ref().map_or(0, |text| text.len());
        let partition_bytes = |partition: &ShareFetchedPartition| {
            64 + text(&partition.error_message)
                + text(&partition.acknowledge_error_message)
                + ACQUIRED_BYTES * partition.acquired.len()
        };
        let topic_bytes = |topic: &ShareFetchedTopic| 32 + topic.partitions.iter().map(partition_bytes).sum::<usize>();
        32 + text(&self.error_message) + self.topics.iter().map(topic_bytes).sum::<usize>()
    }

    fn record_slices(&self) -> usize {
        self.topics.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.records.len()).sum()
    }

    /// Takes a response off the front of `body`. Records come as one slice of it.
    ///
    /// # Errors
    /// When it is cut off or malformed.
    pub fn read(body: &mut Bytes, version: i16) -> Result<Self, MalformedMessage> {
        if !(1..=2).contains(&version) {
            return Err(MalformedMessage::Version);
        }
        let mut fields = FieldReader::new(body);
        let response = Self {
            throttle_time_ms: fields.i32()?,
            error_code: fields.i16()?,
            error_message: fields.nullable_string()?,
            lock_timeout_ms: fields.i32()?,
            topics: fields.array(|fields| {
                let topic = ShareFetchedTopic {
                    topic_id: fields.uuid()?,
                    partitions: fields.array(ShareFetchedPartition::from_fields)?,
                };
                fields.tags()?;
                Ok(topic)
            })?,
        };
        skip_endpoints(&mut fields)?;
        fields.tags()?;
        Ok(response)
    }
}

impl ShareFetchedPartition {
    fn put(self, pieces: &mut Pieces) {
        pieces.own.put_i32(self.partition);
        pieces.own.put_i16(self.error_code);
        pieces.nullable_string(self.error_message.as_deref().map(str::as_bytes));
        pieces.own.put_i16(self.acknowledge_error_code);
        pieces.nullable_string(self.acknowledge_error_message.as_deref().map(str::as_bytes));
        put_no_leader(pieces);
        pieces.slices(self.records);
        pieces.count(self.acquired.len());
        for acquired in &self.acquired {
            pieces.own.put_i64(acquired.first_offset);
            pieces.own.put_i64(acquired.last_offset);
            pieces.own.put_i16(acquired.delivery_count);
            pieces.no_tags();
        }
        pieces.no_tags();
    }

    fn from_fields(fields: &mut FieldReader<'_>) -> Result<Self, MalformedMessage> {
        let mut partition = Self {
            partition: fields.i32()?,
            error_code: fields.i16()?,
            error_message: fields.nullable_string()?,
            acknowledge_error_code: fields.i16()?,
            acknowledge_error_message: fields.nullable_string()?,
            ..Self::default()
        };
        skip_leader(fields)?;
        let records = fields.bytes()?;
        partition.records = if records.is_empty() { Vec::new() } else { vec![records] };
        partition.acquired = fields.array(|fields| {
            let acquired = AcquiredRecords {
                first_offset: fields.i64()?,
                last_offset: fields.i64()?,
                delivery_count: fields.i16()?,
            };
            fields.tags()?;
            Ok(acquired)
        })?;
        fields.tags()?;
        Ok(partition)
    }
}

#[cfg(test)]
mod tests;
