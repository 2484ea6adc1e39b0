//! Request and response headers.
//!
//! ```text
//! request   v1  key i16 | version i16 | correlation id i32 | client id: nullable string
//!           v2  the same, then tagged fields
//! response  v0  correlation id i32
//!           v1  the same, then tagged fields (always none)
//! ```
//!
//! The client id is never a compact string, in no version: a broker must be able to read it before it knows whether
//! it knows the version (KIP-482). ApiVersions is answered with header v0 in all versions, for the same reason.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The largest response that a frame's length can tell.
pub const RESPONSE_BYTES_MAX: usize = i32::MAX as usize;

/// Why a request header can not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The frame ends inside its header.
    #[error("the frame ends inside its request header")]
    Truncated,
    /// The client id is no UTF-8, or its length is negative.
    #[error("the client id is malformed")]
    ClientId,
    /// The tagged fields are malformed.
    #[error("the header's tagged fields are malformed")]
    Tags,
}

/// The first eight bytes of every request, which all versions of all APIs share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestStart {
    /// Which API.
    pub api_key: i16,
    /// Which version of it.
    pub version: i16,
    /// Comes back in the response.
    pub correlation_id: i32,
}

impl RequestStart {
    /// Takes the start off `frame`.
    ///
    /// # Errors
    /// When the frame is shorter than that.
    pub fn take(frame: &mut Bytes) -> Result<Self, HeaderError> {
        if frame.remaining() < 8 {
            return Err(HeaderError::Truncated);
        }
        Ok(Self { api_key: frame.get_i16(), version: frame.get_i16(), correlation_id: frame.get_i32() })
    }

    /// Takes the rest of a header of version `header_version` off `frame` and leaves the body: the client id.
    ///
    /// # Errors
    /// When the frame ends too early or the header is malformed. Tagged fields are checked and skipped: Kafka has
    /// defined none.
    pub fn take_rest(frame: &mut Bytes, header_version: i16) -> Result<Option<Bytes>, HeaderError> {
        let client_id = take_nullable_string(frame)?;
        if header_version >= 2 {
            let tags = take_unsigned_varint(frame).ok_or(HeaderError::Tags)?;
            for _ in 0..tags {
                let _tag = take_unsigned_varint(frame).ok_or(HeaderError::Tags)?;
                let length = take_unsigned_varint(frame).ok_or(HeaderError::Tags)?;
                let length = usize::try_from(length).map_err(|_| HeaderError::Tags)?;
                if frame.remaining() < length {
                    return Err(HeaderError::Tags);
                }
                frame.advance(length);
            }
        }
        Ok(client_id)
    }

    /// Writes a request header of version `header_version`, without the frame's length.
    pub fn put(&self, header_version: i16, client_id: &str, frame: &mut BytesMut) {
        frame.put_i16(self.api_key);
        frame.put_i16(self.version);
        frame.put_i32(self.correlation_id);
        let cut = client_id.floor_char_boundary(MAX_CLIENT_ID);
        let client_id = &client_id.as_bytes()[..cut];
        frame.put_i16(i16::try_from(client_id.len()).unwrap_or(i16::MAX));
        frame.put_slice(client_id);
        if header_version >= 2 {
            frame.put_u8(0);
        }
    }
}

const MAX_CLIENT_ID: usize = i16::MAX as usize;

fn take_nullable_string(frame: &mut Bytes) -> Result<Option<Bytes>, HeaderError> {
    let length = frame.try_get_i16().map_err(|_| HeaderError::Truncated)?;
    if length == -1 {
        return Ok(None);
    }
    let length = usize::try_from(length).map_err(|_| HeaderError::ClientId)?;
    if frame.remaining() < length {
        return Err(HeaderError::Truncated);
    }
    let text = frame.split_to(length);
    match std::str::from_utf8(&text) {
        Ok(_) => Ok(Some(text)),
        Err(_) => Err(HeaderError::ClientId),
    }
}

/// An unsigned variable-length integer of at most 32 bits, or `None` when it is malformed or cut off.
fn take_unsigned_varint(frame: &mut Bytes) -> Option<u32> {
    let mut value = 0_u32;
    for shift in [0_u32, 7, 14, 21, 28] {
        let byte = frame.try_get_u8().ok()?;
        let bits = u32::from(byte & 0x7f);
        if shift == 28 && byte > 0x0f {
            return None;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// How many bytes stand before a response's body: the frame's length, the correlation id and, from header version 1
/// on, the count of tagged fields.
#[must_use]
pub fn response_prefix_bytes(header_version: i16) -> usize {
    if header_version >= 1 { 9 } else { 8 }
}

/// Writes a response's length and header, for a body of `body_bytes` bytes.
///
/// Answers `false`, and writes nothing, when the whole would be longer than a frame can be.
#[must_use]
pub fn put_response_prefix(header_version: i16, correlation_id: i32, body_bytes: usize, frame: &mut BytesMut) -> bool {
    let length = body_bytes.saturating_add(response_prefix_bytes(header_version) - 4);
    let Ok(length) = i32::try_from(length) else { return false };
    frame.put_i32(length);
    frame.put_i32(correlation_id);
    if header_version >= 1 {
        frame.put_u8(0);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back_as_it_was_written() {
        let start = RequestStart { api_key: 18, version: 3, correlation_id: -7 };
        for header_version in [1, 2] {
            let mut frame = BytesMut::new();
            start.put(header_version, "käfka", &mut frame);
            frame.put_slice(b"body");
            let mut frame = frame.freeze();
            assert_eq!(RequestStart::take(&mut frame), Ok(start));
            let client_id = RequestStart::take_rest(&mut frame, header_version).unwrap();
            assert_eq!(client_id.as_deref(), Some("käfka".as_bytes()));
            assert_eq!(frame, "body");
        }
    }

    #[test]
    fn malformed_headers_are_refused() {
        let check = |rest: &'static [u8], expected: HeaderError| {
            let outcome = RequestStart::take_rest(&mut Bytes::from_static(rest), 2);
            assert_eq!(outcome, Err(expected), "{rest:?}");
        };
        check(&[], HeaderError::Truncated);
        check(&[0], HeaderError::Truncated);
        check(&[0, 9, b'a'], HeaderError::Truncated);
        check(&[0xff, 0xfe], HeaderError::ClientId);
        check(&[0, 1, 0xff], HeaderError::ClientId);
        check(&[0xff, 0xff], HeaderError::Tags);
        check(&[0xff, 0xff, 1, 0, 5, 1], HeaderError::Tags);
        check(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], HeaderError::Tags);
        assert_eq!(RequestStart::take(&mut Bytes::from_static(&[0; 7])), Err(HeaderError::Truncated));
    }

    #[test]
    fn unknown_tagged_fields_of_a_header_are_skipped() {
        let mut frame = Bytes::from_static(&[0xff, 0xff, 2, 0, 1, 9, 7, 0, 42]);
        assert_eq!(RequestStart::take_rest(&mut frame, 2), Ok(None));
        assert_eq!(frame.as_ref(), [42]);
    }

    #[test]
    fn a_response_longer_than_a_frame_is_refused() {
        let mut frame = BytesMut::new();
        assert!(!put_response_prefix(1, 5, RESPONSE_BYTES_MAX, &mut frame));
        assert!(frame.is_empty());
        assert!(put_response_prefix(1, 5, 3, &mut frame));
        assert_eq!(frame.as_ref(), [0, 0, 0, 8, 0, 0, 0, 5, 0]);
    }
}
