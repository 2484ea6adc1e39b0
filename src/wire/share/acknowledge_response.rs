//! The body of a ShareAcknowledge response, v1–2: how long locks are is said from v2 on.

use bytes::BufMut;
use kafka_protocol::protocol::StrBytes;

use crate::wire::fields::{FieldReader, MalformedMessage};
use crate::wire::pieces::Pieces;
use crate::wire::share::response::{
    SharePartitionAnswer, ShareResponse, ShareTopicAnswer, put_error, put_no_leader, read_error, skip_leader,
    text_bytes,
};

/// A ShareAcknowledge response.
pub type ShareAcknowledgeResponse = ShareResponse<AcknowledgedPartition>;

/// A topic's part of a ShareAcknowledge response.
pub type AcknowledgedTopic = ShareTopicAnswer<AcknowledgedPartition>;

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

impl SharePartitionAnswer for AcknowledgedPartition {
    const LOCK_TIMEOUT_SINCE: i16 = 2;

    fn own_bytes_max(&self) -> usize {
        32 + text_bytes(self.error_message.as_ref())
    }

    fn slices(&self) -> usize {
        0
    }

    fn put(self, pieces: &mut Pieces) {
        pieces.own.put_i32(self.partition);
        put_error(self.error_code, self.error_message.as_ref(), pieces);
        put_no_leader(pieces);
        pieces.no_tags();
    }

    fn from_fields(fields: &mut FieldReader<'_>) -> Result<Self, MalformedMessage> {
        let partition = fields.i32()?;
        let (error_code, error_message) = read_error(fields)?;
        skip_leader(fields)?;
        fields.tags()?;
        Ok(Self { partition, error_code, error_message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use kafka_protocol::messages::ShareAcknowledgeResponse as Decoded;
    use kafka_protocol::protocol::Decodable;
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;
    use uuid::Uuid;

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
                let mut body = Bytes::from(response.clone().encode(version).concat());
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
            let mut body = Bytes::from(response.clone().encode(1).concat());
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
