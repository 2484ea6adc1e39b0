//! OffsetCommit and OffsetFetch, whose topics stand by name up to v9 and by id from v10 on (KIP-848, KIP-516).
//!
//! The generated codec ends at v9. Up to there it does the work; v10 differs in nothing but the ids, so it is read into
//! and written from the same messages, with the ids beside them.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    ApiKey, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable};
use uuid::Uuid;

use crate::wire::fields::{FieldReader, MalformedMessage};
use crate::wire::message::{Exchange, ReadRequest};

/// The first version that names topics by id.
pub const TOPIC_IDS_SINCE: i16 = 10;

/// The generated codec's messages as they stand at v10 but for the topics.
const LIKE: i16 = TOPIC_IDS_SINCE - 1;

/// A message and the ids of its topics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WithTopicIds<M> {
    /// The message. Topics that have an id have no name.
    pub message: M,
    /// The id of each topic from v10 on, in the order in which they stand there; nothing before.
    pub topic_ids: Vec<Uuid>,
}

type Read<T> = Result<T, MalformedMessage>;

fn words(error: impl ToString) -> String {
    error.to_string()
}

impl ReadRequest for WithTopicIds<OffsetCommitRequest> {
    fn read(body: &mut Bytes, version: i16) -> Result<Self, String> {
        if version < TOPIC_IDS_SINCE {
            let message = OffsetCommitRequest::decode(body, version).map_err(words)?;
            return Ok(Self { message, topic_ids: Vec::new() });
        }
        read_commit_request(&mut FieldReader::new(body)).map_err(words)
    }
}

impl Exchange for WithTopicIds<OffsetCommitRequest> {
    const KEY: i16 = ApiKey::OffsetCommit as i16;
    const MIN: i16 = 2;
    const MAX: i16 = TOPIC_IDS_SINCE;
    type Response = WithTopicIds<OffsetCommitResponse>;

    fn put(&self, version: i16, frame: &mut BytesMut) -> Result<(), String> {
        if version < TOPIC_IDS_SINCE {
            return self.message.encode(frame, version).map_err(words);
        }
        let request = &self.message;
        put_string(frame, Some(&request.group_id));
        frame.put_i32(request.generation_id_or_member_epoch);
        put_string(frame, Some(&request.member_id));
        put_string(frame, request.group_instance_id.as_deref());
        put_count(frame, request.topics.len());
        for (topic, topic_id) in request.topics.iter().zip(&self.topic_ids) {
            frame.put_slice(topic_id.as_bytes());
            put_all(frame, &topic.partitions)?;
            put_no_tags(frame);
        }
        put_no_tags(frame);
        Ok(())
    }

    fn read_response(body: &mut Bytes, version: i16) -> Result<Self::Response, String> {
        if version < TOPIC_IDS_SINCE {
            let message = OffsetCommitResponse::decode(body, version).map_err(words)?;
            return Ok(WithTopicIds { message, topic_ids: Vec::new() });
        }
        read_commit_response(&mut FieldReader::new(body)).map_err(words)
    }
}

impl ReadRequest for WithTopicIds<OffsetFetchRequest> {
    fn read(body: &mut Bytes, version: i16) -> Result<Self, String> {
        if version < TOPIC_IDS_SINCE {
            let message = OffsetFetchRequest::decode(body, version).map_err(words)?;
            return Ok(Self { message, topic_ids: Vec::new() });
        }
        read_fetch_request(&mut FieldReader::new(body)).map_err(words)
    }
}

impl Exchange for WithTopicIds<OffsetFetchRequest> {
    const KEY: i16 = ApiKey::OffsetFetch as i16;
    const MIN: i16 = 1;
    const MAX: i16 = TOPIC_IDS_SINCE;
    type Response = WithTopicIds<OffsetFetchResponse>;

    fn put(&self, version: i16, frame: &mut BytesMut) -> Result<(), String> {
        if version < TOPIC_IDS_SINCE {
            return self.message.encode(frame, version).map_err(words);
        }
        let mut topic_ids = self.topic_ids.iter();
        put_count(frame, self.message.groups.len());
        for group in &self.message.groups {
            put_string(frame, Some(&group.group_id));
            put_string(frame, group.member_id.as_deref());
            frame.put_i32(group.member_epoch);
            match &group.topics {
                None => put_null(frame),
                Some(topics) => {
                    put_count(frame, topics.len());
                    for (topic, topic_id) in topics.iter().zip(&mut topic_ids) {
                        frame.put_slice(topic_id.as_bytes());
                        put_count(frame, topic.partition_indexes.len());
                        topic.partition_indexes.iter().for_each(|index| frame.put_i32(*index));
                        put_no_tags(frame);
                    }
                }
            }
            put_no_tags(frame);
        }
        frame.put_u8(u8::from(self.message.require_stable));
        put_no_tags(frame);
        Ok(())
    }

    fn read_response(body: &mut Bytes, version: i16) -> Result<Self::Response, String> {
        if version < TOPIC_IDS_SINCE {
            let message = OffsetFetchResponse::decode(body, version).map_err(words)?;
            return Ok(WithTopicIds { message, topic_ids: Vec::new() });
        }
        read_fetch_response(&mut FieldReader::new(body)).map_err(words)
    }
}

impl WithTopicIds<OffsetCommitResponse> {
    /// The body at v10.
    ///
    /// # Errors
    /// Words on a field that v10 does not have.
    pub fn encode(&self) -> Result<Bytes, String> {
        let mut body = BytesMut::new();
        body.put_i32(self.message.throttle_time_ms);
        put_count(&mut body, self.message.topics.len());
        for (topic, topic_id) in self.message.topics.iter().zip(&self.topic_ids) {
            body.put_slice(topic_id.as_bytes());
            put_all(&mut body, &topic.partitions)?;
            put_no_tags(&mut body);
        }
        put_no_tags(&mut body);
        Ok(body.freeze())
    }
}

impl WithTopicIds<OffsetFetchResponse> {
    /// The body at v10.
    ///
    /// # Errors
    /// Words on a field that v10 does not have.
    pub fn encode(&self) -> Result<Bytes, String> {
        let (mut body, mut topic_ids) = (BytesMut::new(), self.topic_ids.iter());
        body.put_i32(self.message.throttle_time_ms);
        put_count(&mut body, self.message.groups.len());
        for group in &self.message.groups {
            put_string(&mut body, Some(&group.group_id));
            put_count(&mut body, group.topics.len());
            for (topic, topic_id) in group.topics.iter().zip(&mut topic_ids) {
                body.put_slice(topic_id.as_bytes());
                put_all(&mut body, &topic.partitions)?;
                put_no_tags(&mut body);
            }
            body.put_i16(group.error_code);
            put_no_tags(&mut body);
        }
        put_no_tags(&mut body);
        Ok(body.freeze())
    }
}

fn read_commit_request(reader: &mut FieldReader<'_>) -> Read<WithTopicIds<OffsetCommitRequest>> {
    let mut topic_ids = Vec::new();
    let mut request = OffsetCommitRequest::default()
        .with_group_id(reader.string()?.into())
        .with_generation_id_or_member_epoch(reader.i32()?)
        .with_member_id(reader.string()?)
        .with_group_instance_id(reader.nullable_string()?);
    request.topics = reader.array(|reader| {
        topic_ids.push(reader.uuid()?);
        let partitions = reader.array(|reader| {
            let partition = OffsetCommitRequestPartition::default()
                .with_partition_index(reader.i32()?)
                .with_committed_offset(reader.i64()?)
                .with_committed_leader_epoch(reader.i32()?)
                .with_committed_metadata(reader.nullable_string()?);
            reader.tags().map(|()| partition)
        })?;
        reader.tags()?;
        Ok(OffsetCommitRequestTopic::default().with_partitions(partitions))
    })?;
    reader.tags()?;
    Ok(WithTopicIds { message: request, topic_ids })
}

fn read_commit_response(reader: &mut FieldReader<'_>) -> Read<WithTopicIds<OffsetCommitResponse>> {
    let mut topic_ids = Vec::new();
    let mut response = OffsetCommitResponse::default().with_throttle_time_ms(reader.i32()?);
    response.topics = reader.array(|reader| {
        topic_ids.push(reader.uuid()?);
        let partitions = reader.array(|reader| {
            let partition = OffsetCommitResponsePartition::default()
                .with_partition_index(reader.i32()?)
                .with_error_code(reader.i16()?);
            reader.tags().map(|()| partition)
        })?;
        reader.tags()?;
        Ok(OffsetCommitResponseTopic::default().with_partitions(partitions))
    })?;
    reader.tags()?;
    Ok(WithTopicIds { message: response, topic_ids })
}

fn read_fetch_request(reader: &mut FieldReader<'_>) -> Read<WithTopicIds<OffsetFetchRequest>> {
    let mut topic_ids = Vec::new();
    let groups = reader.array(|reader| {
        let group = OffsetFetchRequestGroup::default()
            .with_group_id(reader.string()?.into())
            .with_member_id(reader.nullable_string()?)
            .with_member_epoch(reader.i32()?);
        let topics = reader.nullable_array(|reader| {
            topic_ids.push(reader.uuid()?);
            let indexes = reader.array(FieldReader::i32)?;
            reader.tags()?;
            Ok(OffsetFetchRequestTopics::default().with_partition_indexes(indexes))
        })?;
        reader.tags()?;
        Ok(group.with_topics(topics))
    })?;
    let request = OffsetFetchRequest::default().with_groups(groups).with_require_stable(reader.bool()?);
    reader.tags()?;
    Ok(WithTopicIds { message: request, topic_ids })
}

fn read_fetch_response(reader: &mut FieldReader<'_>) -> Read<WithTopicIds<OffsetFetchResponse>> {
    let mut topic_ids = Vec::new();
    let mut response = OffsetFetchResponse::default().with_throttle_time_ms(reader.i32()?);
    response.groups = reader.array(|reader| {
        let group_id = reader.string()?.into();
        let topics = reader.array(|reader| {
            topic_ids.push(reader.uuid()?);
            let partitions = reader.array(|reader| {
                let partition = OffsetFetchResponsePartitions::default()
                    .with_partition_index(reader.i32()?)
                    .with_committed_offset(reader.i64()?)
                    .with_committed_leader_epoch(reader.i32()?)
                    .with_metadata(reader.nullable_string()?)
                    .with_error_code(reader.i16()?);
                reader.tags().map(|()| partition)
            })?;
            reader.tags()?;
            Ok(OffsetFetchResponseTopics::default().with_partitions(partitions))
        })?;
        let group = OffsetFetchResponseGroup::default().with_group_id(group_id).with_topics(topics);
        let group = group.with_error_code(reader.i16()?);
        reader.tags().map(|()| group)
    })?;
    reader.tags()?;
    Ok(WithTopicIds { message: response, topic_ids })
}

/// An array of structs that v10 has as v9.
fn put_all(body: &mut BytesMut, structs: &[impl Encodable]) -> Result<(), String> {
    put_count(body, structs.len());
    structs.iter().try_for_each(|one| one.encode(body, LIKE)).map_err(words)
}

fn put_string(body: &mut BytesMut, text: Option<&str>) {
    match text {
        None => put_null(body),
        Some(text) => {
            put_count(body, text.len());
            body.put_slice(text.as_bytes());
        }
    }
}

/// The length of a string or the count of an array, plus one.
fn put_count(body: &mut BytesMut, count: usize) {
    let mut rest = u32::try_from(count).unwrap_or(u32::MAX).saturating_add(1);
    while rest >= 0x80 {
        body.put_u8((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    body.put_u8(rest as u8);
}

fn put_null(body: &mut BytesMut) {
    body.put_u8(0);
}

fn put_no_tags(body: &mut BytesMut) {
    body.put_u8(0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::protocol::StrBytes;

    // Golden bytes, written by another implementation of Kafka's schemas.
    const COMMIT_REQUEST: &str = "026700000003026d00030102030405060708090a0b0c0d0e0f100200000001000000000000002a00\
        000005056e6f746500000000000000000000000000000000009902000000000000000000000007ff\
        ffffff00000000";
    const COMMIT_RESPONSE: &str = "00000000030102030405060708090a0b0c0d0e0f1002000000010000000000000000000000000000\
        00000000009902000000000064000000";
    const FETCH_REQUEST: &str = "030267026d00000003020102030405060708090a0b0c0d0e0f100300000000000000010000026800\
        ffffffff00000100";
    const FETCH_RESPONSE: &str = "00000000030267030102030405060708090a0b0c0d0e0f100200000001000000000000002a000000\
        05056e6f746500000000000000000000000000000000000000990200000000ffffffffffffffffff\
        ffffff010064000000000002680100100000";

    fn bytes(hex: &str) -> Bytes {
        let digit = |byte: u8| char::from(byte).to_digit(16).expect("a digit") as u8;
        hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
    }

    fn ids() -> Vec<Uuid> {
        vec![Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10), Uuid::from_u128(0x99)]
    }

    fn text(text: &'static str) -> StrBytes {
        StrBytes::from_static_str(text)
    }

    #[test]
    fn a_commit_of_version_10_has_golden_bytes() {
        let partition = |index, offset, epoch, metadata: Option<&'static str>| {
            OffsetCommitRequestPartition::default()
                .with_partition_index(index)
                .with_committed_offset(offset)
                .with_committed_leader_epoch(epoch)
                .with_committed_metadata(metadata.map(text))
        };
        let topic = |partition| OffsetCommitRequestTopic::default().with_partitions(vec![partition]);
        let message = OffsetCommitRequest::default()
            .with_group_id(text("g").into())
            .with_generation_id_or_member_epoch(3)
            .with_member_id(text("m"))
            .with_topics(vec![topic(partition(1, 42, 5, Some("note"))), topic(partition(0, 7, -1, None))]);
        let request = WithTopicIds { message, topic_ids: ids() };
        let mut written = BytesMut::new();
        request.put(10, &mut written).expect("can be written");
        assert_eq!(written, bytes(COMMIT_REQUEST));
        assert_eq!(WithTopicIds::read(&mut bytes(COMMIT_REQUEST), 10), Ok(request));

        let topic = |index, error| {
            let partition = OffsetCommitResponsePartition::default().with_partition_index(index).with_error_code(error);
            OffsetCommitResponseTopic::default().with_partitions(vec![partition])
        };
        let message = OffsetCommitResponse::default().with_topics(vec![topic(1, 0), topic(0, 100)]);
        let response = WithTopicIds { message, topic_ids: ids() };
        assert_eq!(response.encode(), Ok(bytes(COMMIT_RESPONSE)));
        type Request = WithTopicIds<OffsetCommitRequest>;
        assert_eq!(Request::read_response(&mut bytes(COMMIT_RESPONSE), 10), Ok(response));
    }

    #[test]
    fn a_fetch_of_version_10_has_golden_bytes() {
        let group = |id| OffsetFetchRequestGroup::default().with_group_id(text(id).into());
        let topic = OffsetFetchRequestTopics::default().with_partition_indexes(vec![0, 1]);
        let one = group("g").with_member_id(Some(text("m"))).with_member_epoch(3).with_topics(Some(vec![topic]));
        let message = OffsetFetchRequest::default()
            .with_groups(vec![one, group("h").with_topics(None)])
            .with_require_stable(true);
        let request = WithTopicIds { message, topic_ids: ids()[..1].to_vec() };
        let mut written = BytesMut::new();
        request.put(10, &mut written).expect("can be written");
        assert_eq!(written, bytes(FETCH_REQUEST));
        assert_eq!(WithTopicIds::read(&mut bytes(FETCH_REQUEST), 10), Ok(request));

        let topic = |index, offset, epoch, metadata, error| {
            let partition = OffsetFetchResponsePartitions::default()
                .with_partition_index(index)
                .with_committed_offset(offset)
                .with_committed_leader_epoch(epoch)
                .with_metadata(Some(text(metadata)))
                .with_error_code(error);
            OffsetFetchResponseTopics::default().with_partitions(vec![partition])
        };
        let group =
            |id, error| OffsetFetchResponseGroup::default().with_group_id(text(id).into()).with_error_code(error);
        let topics = vec![topic(1, 42, 5, "note", 0), topic(0, -1, -1, "", 100)];
        let groups = vec![group("g", 0).with_topics(topics), group("h", 16)];
        let response = WithTopicIds { message: OffsetFetchResponse::default().with_groups(groups), topic_ids: ids() };
        assert_eq!(response.encode(), Ok(bytes(FETCH_RESPONSE)));
        type Request = WithTopicIds<OffsetFetchRequest>;
        assert_eq!(Request::read_response(&mut bytes(FETCH_RESPONSE), 10), Ok(response));
    }

    #[test]
    fn a_body_that_is_cut_off_is_refused() {
        for (hex, read) in [
            (
                COMMIT_REQUEST,
                (|body| WithTopicIds::<OffsetCommitRequest>::read(body, 10).is_ok()) as fn(&mut Bytes) -> bool,
            ),
            (FETCH_REQUEST, |body| WithTopicIds::<OffsetFetchRequest>::read(body, 10).is_ok()),
        ] {
            let whole = bytes(hex);
            for end in 0..whole.len() {
                assert!(!read(&mut whole.slice(..end)), "cut at {end}");
            }
        }
    }
}
