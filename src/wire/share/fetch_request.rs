//! The body of a ShareFetch request, v1–2.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::wire::fields::{FieldReader, MalformedMessage};
use crate::wire::message::{Exchange, ReadRequest};
use crate::wire::share::acknowledgements::{ShareTopic, put_topics, read_topics};
use crate::wire::share::fetch_response::ShareFetchResponse;
use crate::wire::share::request::{begin, check_renewal, finish, read_request};

/// A ShareFetch request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareFetchRequest {
    /// The group.
    pub group_id: Option<StrBytes>,
    /// Who asks.
    pub member_id: Option<StrBytes>,
    /// 0 opens a session, −1 closes it, else its next number.
    pub session_epoch: i32,
    /// How long the answer may take, in milliseconds.
    pub wait_max_ms: i32,
    /// How many bytes make an answer worth sending.
    pub bytes_min: i32,
    /// How many bytes of records are wanted at most.
    pub bytes_max: i32,
    /// How many records are wanted at most.
    pub records_max: i32,
    /// The wished size of one acquired range.
    pub batch_size: i32,
    /// 0: whole batches; 1: never more than `records_max` (v2+, KIP-1206).
    pub acquire_mode: i8,
    /// Whether records are renewed: then nothing is fetched (v2+, KIP-1222).
    pub is_renew: bool,
    /// Partitions to fetch from here on, and what becomes of records.
    pub topics: Vec<ShareTopic>,
    /// Partitions to fetch no longer.
    pub forgotten: Vec<ForgottenTopic>,
}

/// Partitions of a topic to fetch no longer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForgottenTopic {
    /// The topic.
    pub topic_id: Uuid,
    /// Its partitions.
    pub partitions: Vec<i32>,
}

impl Default for ShareFetchRequest {
    /// Kafka's defaults of the fields.
    fn default() -> Self {
        Self {
            group_id: None,
            member_id: None,
            session_epoch: 0,
            wait_max_ms: 0,
            bytes_min: 0,
            bytes_max: i32::MAX,
            records_max: 0,
            batch_size: 0,
            acquire_mode: 0,
            is_renew: false,
            topics: Vec::new(),
            forgotten: Vec::new(),
        }
    }
}

impl ReadRequest for ShareFetchRequest {
    fn read(body: &mut Bytes, version: i16) -> Result<Self, String> {
        read_request(body, version, |fields| {
            Ok(Self {
                group_id: fields.nullable_string()?,
                member_id: fields.nullable_string()?,
                session_epoch: fields.i32()?,
                wait_max_ms: fields.i32()?,
                bytes_min: fields.i32()?,
                bytes_max: fields.i32()?,
                records_max: fields.i32()?,
                batch_size: fields.i32()?,
                acquire_mode: if version >= 2 { fields.i8()? } else { 0 },
                is_renew: version >= 2 && fields.bool()?,
                topics: read_topics(fields)?,
                forgotten: fields.array(read_forgotten)?,
            })
        })
    }
}

fn read_forgotten(fields: &mut FieldReader<'_>) -> Result<ForgottenTopic, MalformedMessage> {
    let topic = ForgottenTopic { topic_id: fields.uuid()?, partitions: fields.array(FieldReader::i32)? };
    fields.tags()?;
    Ok(topic)
}

impl Exchange for ShareFetchRequest {
    const KEY: i16 = 78;
    const MIN: i16 = 1;
    const MAX: i16 = 2;
    type Response = ShareFetchResponse;

    fn put(&self, version: i16, frame: &mut BytesMut) -> Result<(), String> {
        check_renewal(self.is_renew, version)?;
        let mut pieces = begin(self.group_id.as_ref(), self.member_id.as_ref(), self.session_epoch);
        for number in [self.wait_max_ms, self.bytes_min, self.bytes_max, self.records_max, self.batch_size] {
            pieces.own.put_i32(number);
        }
        if version >= 2 {
            pieces.own.put_i8(self.acquire_mode);
            pieces.own.put_u8(u8::from(self.is_renew));
        }
        put_topics(&self.topics, &mut pieces);
        pieces.count(self.forgotten.len());
        for topic in &self.forgotten {
            pieces.uuid(topic.topic_id);
            pieces.count(topic.partitions.len());
            topic.partitions.iter().for_each(|partition| pieces.own.put_i32(*partition));
            pieces.no_tags();
        }
        finish(pieces, frame);
        Ok(())
    }

    fn read_response(body: &mut Bytes, version: i16) -> Result<ShareFetchResponse, String> {
        ShareFetchResponse::read(body, version).map_err(|error| error.to_string())
    }
}
