//! The body of a ShareAcknowledge response, v1–2. No leader is ever named: any agent serves any partition.

use bytes::{BufMut, Bytes};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::wire::fields::{FieldReader, MalformedMessage};
use crate::wire::pieces::Pieces;
use crate::wire::share::acknowledgements::{put_no_leader, skip_endpoints, skip_leader};

/// A ShareAcknowledge response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShareAcknowledgeResponse {
    /// How long the client is muted, in milliseconds.
    pub throttle_time_ms: i32,
    /// An error of the whole request.
    pub error_code: i16,
    /// Words on it.
    pub error_message: Option<StrBytes>,
    /// How long renewed records belong to the member, in milliseconds (v2+).
    pub lock_timeout_ms: i32,
    /// Topics in the order of the answer.
    pub topics: Vec<AcknowledgedTopic>,
}

/// A topic's part of a ShareAcknowledge response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AcknowledgedTopic {
    /// The topic.
    pub topic_id: Uuid,
    /// Its partitions in the order of the answer.
    pub partitions: Vec<AcknowledgedPartition>,
}

/// A partition's part of a ShareAcknowledge response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AcknowledgedPartition {
    /// The partition's index.
    pub partition: i32,
    /// What went wrong, or 0.
    pub error_code: i16,
    /// Words on it.
    pub error_message: Option<StrBytes>,
}

impl ShareAcknowledgeResponse {
    /// The body at `version` (1–2).
    #[must_use]
    pub fn encode(&self, version: i16) -> Vec<Bytes> {
        let mut pieces = Pieces::with_capacity(256, 0, true);
        pieces.own.put_i32(self.throttle_time_ms);
        pieces.own.put_i16(self.error_code);
        pieces.nullable_string(self.error_message.as_deref().map(str::as_bytes));
        if version >= 2 {
            pieces.own.put_i32(self.lock_timeout_ms);
        }
        pieces.count(self.topics.len());
        for topic in &self.topics {
            pieces.uuid(topic.topic_id);
            pieces.count(topic.partitions.len());
            for partition in &topic.partitions {
                pieces.own.put_i32(partition.partition);
                pieces.own.put_i16(partition.error_code);
                pieces.nullable_string(partition.error_message.as_deref().map(str::as_bytes));
                put_no_leader(&mut pieces);
                pieces.no_tags();
            }
            pieces.no_tags();
        }
        // No endpoints.
        pieces.count(0);
        pieces.no_tags();
        pieces.finish()
    }

    /// Takes a response off the front of `body`.
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
            lock_timeout_ms: if version >= 2 { fields.i32()? } else { 0 },
            topics: fields.array(|fields| {
                let topic = AcknowledgedTopic { topic_id: fields.uuid()?, partitions: fields.array(read_partition)? };
                fields.tags()?;
                Ok(topic)
            })?,
        };
        skip_endpoints(&mut fields)?;
        fields.tags()?;
        Ok(response)
    }
}

fn read_partition(fields: &mut FieldReader<'_>) -> Result<AcknowledgedPartition, MalformedMessage> {
    let partition = AcknowledgedPartition {
        partition: fields.i32()?,
        error_code: fields.i16()?,
        error_message: fields.nullable_string()?,
    };
    skip_leader(fields)?;
    fields.tags()?;
    Ok(partition)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::ShareAcknowledgeResponse as Decoded;
    use kafka_protocol::protocol::Decodable;
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    fn any_response() -> impl Strategy<Value = ShareAcknowledgeResponse> {
        let text = || option::of("[a-zé]{0,9}".prop_map(StrBytes::from_string));
        let partition = (any::<i32>(), any::<i16>(), text()).prop_map(|(partition, error_code, error_message)| {
            AcknowledgedPartition { partition, error_code, error_message }
        });
        let topic = (any::<u128>(), vec(partition, 0..4))
            .prop_map(|(id, partitions)| AcknowledgedTopic { topic_id: Uuid::from_u128(id), partitions });
        (any::<i32>(), any::<i16>(), text(), any::<i32>(), vec(topic, 0..4)).prop_map(
            |(throttle_time_ms, error_code, error_message, lock_timeout_ms, topics)| ShareAcknowledgeResponse {
                throttle_time_ms,
                error_code,
                error_message,
                lock_timeout_ms,
                topics,
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(response in any_response()) {
            for version in 1..=2 {
                let mut body = Bytes::from(response.encode(version).concat());
                let mut expected = response.clone();
                if version < 2 {
                    expected.lock_timeout_ms = 0;
                }
                prop_assert_eq!(ShareAcknowledgeResponse::read(&mut body, version), Ok(expected));
                prop_assert!(body.is_empty());
            }
        }

        #[test]
        fn the_generated_codec_reads_the_same(response in any_response()) {
            let mut body = Bytes::from(response.encode(1).concat());
            let decoded = Decoded::decode(&mut body, 1).unwrap();
            prop_assert!(body.is_empty());
            prop_assert_eq!(decoded.throttle_time_ms, response.throttle_time_ms);
            prop_assert_eq!((decoded.error_code, &decoded.error_message), (response.error_code, &response.error_message));
            let topics: Vec<AcknowledgedTopic> = decoded.responses.into_iter().map(|topic| AcknowledgedTopic {
                topic_id: topic.topic_id,
                partitions: topic.partitions.into_iter().map(|partition| {
                    assert_eq!((partition.current_leader.leader_id, partition.current_leader.leader_epoch), (-1, -1));
                    AcknowledgedPartition {
                        partition: partition.partition_index,
                        error_code: partition.error_code,
                        error_message: partition.error_message,
                    }
                }).collect(),
            }).collect();
            prop_assert_eq!(topics, response.topics);
        }
    }
}
