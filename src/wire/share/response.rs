//! What ShareFetch and ShareAcknowledge answer alike: topics and partitions under one head.
//!
//! No leader is ever named, and no endpoints with it: any agent serves any partition.

use bytes::{BufMut, Bytes};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::wire::fields::{FieldReader, MalformedMessage};
use crate::wire::pieces::Pieces;

/// An answer, with what `P` says of each partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShareResponse<P> {
    /// How long the client is muted, in milliseconds.
    pub throttle_time_ms: i32,
    /// An error of the whole request.
    pub error_code: i16,
    /// Words on it.
    pub error_message: Option<StrBytes>,
    /// How long acquired or renewed records belong to the member, in milliseconds.
    pub lock_timeout_ms: i32,
    /// Topics in the order of the answer.
    pub topics: Vec<ShareTopicAnswer<P>>,
}

/// A topic's part of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShareTopicAnswer<P> {
    /// The topic.
    pub topic_id: Uuid,
    /// Its partitions in the order of the answer.
    pub partitions: Vec<P>,
}

/// A partition's part of an answer.
pub trait SharePartitionAnswer: Sized {
    /// From which version on the answer says how long locks are.
    const LOCK_TIMEOUT_SINCE: i16;

    /// An upper bound of its bytes that are not records.
    fn own_bytes_max(&self) -> usize;

    /// How many slices of records it has.
    fn slices(&self) -> usize;

    /// Writes it.
    fn put(self, pieces: &mut Pieces);

    /// Reads it.
    ///
    /// # Errors
    /// When it is cut off or malformed.
    fn from_fields(fields: &mut FieldReader<'_>) -> Result<Self, MalformedMessage>;
}

impl<P: SharePartitionAnswer> ShareResponse<P> {
    /// The body at `version` (1–2), to be sent slice after slice.
    #[must_use]
    pub fn encode(self, version: i16) -> Vec<Bytes> {
        let mut pieces = Pieces::with_capacity(self.own_bytes_max(), self.slices(), true);
        pieces.own.put_i32(self.throttle_time_ms);
        put_error(self.error_code, self.error_message.as_ref(), &mut pieces);
        if version >= P::LOCK_TIMEOUT_SINCE {
            pieces.own.put_i32(self.lock_timeout_ms);
        }
        pieces.count(self.topics.len());
        for topic in self.topics {
            pieces.uuid(topic.topic_id);
            pieces.count(topic.partitions.len());
            topic.partitions.into_iter().for_each(|partition| partition.put(&mut pieces));
            pieces.no_tags();
        }
        // No endpoints.
        pieces.count(0);
        pieces.no_tags();
        pieces.finish()
    }

    /// An upper bound of all that is not records.
    pub(crate) fn own_bytes_max(&self) -> usize {
        let topic_bytes =
            |topic: &ShareTopicAnswer<P>| 32 + topic.partitions.iter().map(P::own_bytes_max).sum::<usize>();
        32 + text_bytes(self.error_message.as_ref()) + self.topics.iter().map(topic_bytes).sum::<usize>()
    }

    fn slices(&self) -> usize {
        self.topics.iter().flat_map(|topic| &topic.partitions).map(P::slices).sum()
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
        let throttle_time_ms = fields.i32()?;
        let (error_code, error_message) = read_error(&mut fields)?;
        let lock_timeout_ms = if version >= P::LOCK_TIMEOUT_SINCE { fields.i32()? } else { 0 };
        let topics = fields.array(|fields| {
            let topic = ShareTopicAnswer { topic_id: fields.uuid()?, partitions: fields.array(P::from_fields)? };
            fields.tags()?;
            Ok(topic)
        })?;
        skip_endpoints(&mut fields)?;
        fields.tags()?;
        Ok(Self { throttle_time_ms, error_code, error_message, lock_timeout_ms, topics })
    }
}

/// Writes an error with words on it.
pub(crate) fn put_error(code: i16, message: Option<&StrBytes>, pieces: &mut Pieces) {
    pieces.own.put_i16(code);
    pieces.nullable_string(message.map(|message| message.as_bytes()));
}

/// Reads an error with words on it.
pub(crate) fn read_error(fields: &mut FieldReader<'_>) -> Result<(i16, Option<StrBytes>), MalformedMessage> {
    Ok((fields.i16()?, fields.nullable_string()?))
}

/// How many bytes a text has.
pub(crate) fn text_bytes(text: Option<&StrBytes>) -> usize {
    text.map_or(0, |text| text.len())
}

/// Writes "no leader is named".
pub(crate) fn put_no_leader(pieces: &mut Pieces) {
    pieces.own.put_i32(-1);
    pieces.own.put_i32(-1);
    pieces.no_tags();
}

/// Reads a leader and passes it over: our own client asks any agent.
pub(crate) fn skip_leader(fields: &mut FieldReader<'_>) -> Result<(), MalformedMessage> {
    fields.i32()?;
    fields.i32()?;
    fields.tags()
}

/// Reads nodes' endpoints and passes them over.
fn skip_endpoints(fields: &mut FieldReader<'_>) -> Result<(), MalformedMessage> {
    fields.array(|fields| {
        fields.i32()?;
        fields.string()?;
        fields.i32()?;
        fields.nullable_string()?;
        fields.tags()
    })?;
    Ok(())
}
