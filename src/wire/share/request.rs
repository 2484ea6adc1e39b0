//! How requests of ShareFetch and ShareAcknowledge begin and end.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::StrBytes;

use crate::wire::fields::{FieldReader, MalformedMessage};
use crate::wire::message::Exchange;
use crate::wire::pieces::Pieces;

/// Reads a request off the front of `body`: its own fields, then tagged fields, none of which is known.
pub(crate) fn read_request<R: Exchange>(
    body: &mut Bytes,
    version: i16,
    own: impl FnOnce(&mut FieldReader<'_>) -> Result<R, MalformedMessage>,
) -> Result<R, String> {
    if !(R::MIN..=R::MAX).contains(&version) {
        return Err(MalformedMessage::Version.to_string());
    }
    let mut fields = FieldReader::new(body);
    let request = own(&mut fields).and_then(|request| fields.tags().map(|()| request));
    request.map_err(|error| error.to_string())
}

/// Begins a request: who asks, and its number in the session.
pub(crate) fn begin(group_id: Option<&StrBytes>, member_id: Option<&StrBytes>, session_epoch: i32) -> Pieces {
    let mut pieces = Pieces::with_capacity(256, 0, true);
    for text in [group_id, member_id] {
        pieces.nullable_string(text.map(|text| text.as_bytes()));
    }
    pieces.own.put_i32(session_epoch);
    pieces
}

/// Ends a request and appends it to the frame.
pub(crate) fn finish(mut pieces: Pieces, frame: &mut BytesMut) {
    pieces.no_tags();
    pieces.finish().iter().for_each(|piece| frame.put_slice(piece));
}

/// Whether records can be renewed at a version (KIP-1222).
pub(crate) fn check_renewal(is_renew: bool, version: i16) -> Result<(), String> {
    if is_renew && version < 2 { Err("records are renewed from version 2 on".to_owned()) } else { Ok(()) }
}
