//! The body of a ShareAcknowledge request, v1–2.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::StrBytes;

use crate::wire::fields::{FieldReader, MalformedMessage};
use crate::wire::message::{Exchange, ReadRequest};
use crate::wire::pieces::Pieces;
use crate::wire::share::acknowledge_response::ShareAcknowledgeResponse;
use crate::wire::share::acknowledgements::{ShareTopic, put_topics, read_topics};

/// A ShareAcknowledge request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShareAcknowledgeRequest {
    /// The group.
    pub group_id: Option<StrBytes>,
    /// Whose records.
    pub member_id: Option<StrBytes>,
    /// The session's next number; −1 closes it.
    pub session_epoch: i32,
    /// Whether records are renewed (v2+, KIP-1222).
    pub is_renew: bool,
    /// What becomes of records.
    pub topics: Vec<ShareTopic>,
}

impl ShareAcknowledgeRequest {
    fn from_fields(fields: &mut FieldReader<'_>, version: i16) -> Result<Self, MalformedMessage> {
        if !(<Self as Exchange>::MIN..=<Self as Exchange>::MAX).contains(&version) {
            return Err(MalformedMessage::Version);
        }
        let request = Self {
            group_id: fields.nullable_string()?,
            member_id: fields.nullable_string()?,
            session_epoch: fields.i32()?,
            is_renew: version >= 2 && fields.bool()?,
            topics: read_topics(fields)?,
        };
        fields.tags()?;
        Ok(request)
    }
}

impl ReadRequest for ShareAcknowledgeRequest {
    fn read(body: &mut Bytes, version: i16) -> Result<Self, String> {
        Self::from_fields(&mut FieldReader::new(body), version).map_err(|error| error.to_string())
    }
}

impl Exchange for ShareAcknowledgeRequest {
    const KEY: i16 = 79;
    const MIN: i16 = 1;
    const MAX: i16 = 2;
    type Response = ShareAcknowledgeResponse;

    fn put(&self, version: i16, frame: &mut BytesMut) -> Result<(), String> {
        if version < 2 && self.is_renew {
            return Err("records are renewed from version 2 on".to_owned());
        }
        let mut pieces = Pieces::with_capacity(256, 0, true);
        for text in [&self.group_id, &self.member_id] {
            pieces.nullable_string(text.as_deref().map(str::as_bytes));
        }
        pieces.own.put_i32(self.session_epoch);
        if version >= 2 {
            pieces.own.put_u8(u8::from(self.is_renew));
        }
        put_topics(&self.topics, &mut pieces);
        pieces.no_tags();
        pieces.finish().iter().for_each(|piece| frame.put_slice(piece));
        Ok(())
    }

    fn read_response(body: &mut Bytes, version: i16) -> Result<ShareAcknowledgeResponse, String> {
        ShareAcknowledgeResponse::read(body, version).map_err(|error| error.to_string())
    }
}
