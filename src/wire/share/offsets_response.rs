//! The body of a DescribeShareGroupOffsets response, v0–1; v1 adds the lag (KIP-1226).

use bytes::{BufMut, Bytes};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::wire::fields::{FieldReader, MalformedMessage};
use crate::wire::pieces::Pieces;

/// A DescribeShareGroupOffsets response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShareOffsetsResponse {
    /// How long the client is muted, in milliseconds.
    pub throttle_time_ms: i32,
    /// Groups in the order of the request.
    pub groups: Vec<GroupOffsets>,
}

/// A group's part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupOffsets {
    /// The group.
    pub group_id: StrBytes,
    /// Its topics.
    pub topics: Vec<TopicOffsets>,
    /// What went wrong with the whole group, or 0.
    pub error_code: i16,
    /// Words on it.
    pub error_message: Option<StrBytes>,
}

/// A topic's part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicOffsets {
    /// The topic's name.
    pub name: StrBytes,
    /// Its identity, or zero.
    pub topic_id: Uuid,
    /// Its partitions.
    pub partitions: Vec<PartitionOffsets>,
}

/// A partition's part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionOffsets {
    /// The partition's index.
    pub partition: i32,
    /// Everything before it is done; −1 when there is none.
    pub start_offset: i64,
    /// The leader's epoch.
    pub leader_epoch: i32,
    /// How many offsets are not done; −1 when that is not known (v1+).
    pub lag: i64,
    /// What went wrong, or 0.
    pub error_code: i16,
    /// Words on it.
    pub error_message: Option<StrBytes>,
}

impl ShareOffsetsResponse {
    /// The body at `version` (0–1).
    #[must_use]
    pub fn encode(&self, version: i16) -> Vec<Bytes> {
        let mut pieces = Pieces::with_capacity(256, 0, true);
        pieces.own.put_i32(self.throttle_time_ms);
        pieces.count(self.groups.len());
        for group in &self.groups {
            pieces.string(group.group_id.as_bytes());
            pieces.count(group.topics.len());
            for topic in &group.topics {
                pieces.string(topic.name.as_bytes());
                pieces.uuid(topic.topic_id);
                pieces.count(topic.partitions.len());
                for partition in &topic.partitions {
                    partition.put(version, &mut pieces);
                }
                pieces.no_tags();
            }
            pieces.own.put_i16(group.error_code);
            pieces.nullable_string(group.error_message.as_deref().map(str::as_bytes));
            pieces.no_tags();
        }
        pieces.no_tags();
        pieces.finish()
    }

    /// Takes a response off the front of `body`.
    ///
    /// # Errors
    /// When it is cut off or malformed.
    pub fn read(body: &mut Bytes, version: i16) -> Result<Self, MalformedMessage> {
        if !(0..=1).contains(&version) {
            return Err(MalformedMessage::Version);
        }
        let mut fields = FieldReader::new(body);
        let response = Self {
            throttle_time_ms: fields.i32()?,
            groups: fields.array(|fields| {
                let group = GroupOffsets {
                    group_id: fields.string()?,
                    topics: fields.array(|fields| TopicOffsets::from_fields(fields, version))?,
                    error_code: fields.i16()?,
                    error_message: fields.nullable_string()?,
                };
                fields.tags()?;
                Ok(group)
            })?,
        };
        fields.tags()?;
        Ok(response)
    }
}

impl TopicOffsets {
    fn from_fields(fields: &mut FieldReader<'_>, version: i16) -> Result<Self, MalformedMessage> {
        let topic = Self {
            name: fields.string()?,
            topic_id: fields.uuid()?,
            partitions: fields.array(|fields| PartitionOffsets::from_fields(fields, version))?,
        };
        fields.tags()?;
        Ok(topic)
    }
}

impl PartitionOffsets {
    fn put(&self, version: i16, pieces: &mut Pieces) {
        pieces.own.put_i32(self.partition);
        pieces.own.put_i64(self.start_offset);
        pieces.own.put_i32(self.leader_epoch);
        if version >= 1 {
            pieces.own.put_i64(self.lag);
        }
        pieces.own.put_i16(self.error_code);
        pieces.nullable_string(self.error_message.as_deref().map(str::as_bytes));
        pieces.no_tags();
    }

    fn from_fields(fields: &mut FieldReader<'_>, version: i16) -> Result<Self, MalformedMessage> {
        let partition = Self {
            partition: fields.i32()?,
            start_offset: fields.i64()?,
            leader_epoch: fields.i32()?,
            lag: if version >= 1 { fields.i64()? } else { -1 },
            error_code: fields.i16()?,
            error_message: fields.nullable_string()?,
        };
        fields.tags()?;
        Ok(partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::DescribeShareGroupOffsetsResponse as Decoded;
    use kafka_protocol::protocol::Decodable;

    fn response() -> ShareOffsetsResponse {
        let partition = PartitionOffsets {
            partition: 3,
            start_offset: 17,
            leader_epoch: 0,
            lag: 5,
            error_code: 29,
            error_message: Some(StrBytes::from_static_str("no")),
        };
        let topic = TopicOffsets {
            name: StrBytes::from_static_str("t"),
            topic_id: Uuid::from_u128(7),
            partitions: vec![partition.clone(), PartitionOffsets { partition: 4, error_message: None, ..partition }],
        };
        let group = GroupOffsets {
            group_id: StrBytes::from_static_str("g"),
            topics: vec![topic],
            error_code: 30,
            error_message: Some(StrBytes::from_static_str("none")),
        };
        ShareOffsetsResponse { throttle_time_ms: 9, groups: vec![group, GroupOffsets::default()] }
    }

    #[test]
    fn what_is_written_is_read_and_the_first_version_has_no_lag() {
        for version in 0..=1 {
            let mut body = Bytes::from(response().encode(version).concat());
            let mut expected = response();
            if version < 1 {
                expected.groups[0].topics[0].partitions.iter_mut().for_each(|partition| partition.lag = -1);
            }
            assert_eq!(ShareOffsetsResponse::read(&mut body, version), Ok(expected));
            assert!(body.is_empty());
        }
    }

    #[test]
    fn the_generated_codec_reads_the_same() {
        let mut body = Bytes::from(response().encode(0).concat());
        let decoded = Decoded::decode(&mut body, 0).unwrap();
        assert!(body.is_empty());
        let group = &decoded.groups[0];
        assert_eq!((group.group_id.as_str(), group.error_code), ("g", 30));
        let topic = &group.topics[0];
        assert_eq!((topic.topic_name.as_str(), topic.topic_id), ("t", Uuid::from_u128(7)));
        let partition = &topic.partitions[0];
        assert_eq!((partition.partition_index, partition.start_offset, partition.leader_epoch), (3, 17, 0));
        assert_eq!((partition.error_code, partition.error_message.as_deref()), (29, Some("no")));
    }
}
