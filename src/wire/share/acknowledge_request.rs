//! The body of a ShareAcknowledge request, v1–2.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::StrBytes;

use crate::wire::message::{Exchange, ReadRequest};
use crate::wire::share::acknowledge_response::ShareAcknowledgeResponse;
use crate::wire::share::acknowledgements::{ShareTopic, put_topics, read_topics};
use crate::wire::share::request::{begin, check_renewal, finish, read_request};

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

impl ReadRequest for ShareAcknowledgeRequest {
    fn read(body: &mut Bytes, version: i16) -> Result<Self, String> {
        read_request(body, version, |fields| {
            Ok(Self {
                group_id: fields.nullable_string()?,
                member_id: fields.nullable_string()?,
                session_epoch: fields.i32()?,
                is_renew: version >= 2 && fields.bool()?,
                topics: read_topics(fields)?,
            })
        })
    }
}

impl Exchange for ShareAcknowledgeRequest {
    const KEY: i16 = 79;
    const MIN: i16 = 1;
    const MAX: i16 = 2;
    type Response = ShareAcknowledgeResponse;

    fn put(&self, version: i16, frame: &mut BytesMut) -> Result<(), String> {
        check_renewal(self.is_renew, version)?;
        let mut pieces = begin(self.group_id.as_ref(), self.member_id.as_ref(), self.session_epoch);
        if version >= 2 {
            pieces.own.put_u8(u8::from(self.is_renew));
        }
        put_topics(&self.topics, &mut pieces);
        finish(pieces, frame);
        Ok(())
    }

    fn read_response(body: &mut Bytes, version: i16) -> Result<ShareAcknowledgeResponse, String> {
        ShareAcknowledgeResponse::read(body, version).map_err(|error| error.to_string())
    }
}
