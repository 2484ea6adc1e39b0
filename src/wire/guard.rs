//! The guard before the decoder.
//!
//! The decoder allocates by the counts that it reads: four bytes can ask it for gigabytes. So the guard walks each
//! request first, along its shape, without allocating, and proves that
//!
//! - every count and every length fits the bytes that remain,
//! - a known tagged field fills exactly the bytes that it claims,
//! - the decoded request will not take more than [`memory_limit`] bytes beyond its frame. An array of empty strings or a
//!   list of unknown tagged fields is tiny on the wire and large in memory.
//!
//! What the guard lets pass the decoder may still refuse: it checks UTF-8 and fields that must not be null.

use crate::wire::shapes::field::{Field, Kind, Message};
use crate::wire::shapes::table;

/// Why a request is not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    /// There is no shape for this API and version.
    #[error("no shape is known")]
    Unknown,
    /// A fixed field, a length or a count goes beyond the end.
    #[error("a length or a count goes beyond the frame")]
    BeyondEnd,
    /// A length or a count is negative or malformed.
    #[error("a length or a count is malformed")]
    Malformed,
    /// A tagged field does not fill the bytes that it claims.
    #[error("tagged field {0} does not fill its size")]
    TagSize(u32),
    /// Decoded, the request would be far larger than its frame.
    #[error("the request would be far larger in memory than on the wire")]
    Inflated,
}

/// Memory that any request may take once it is decoded, whatever its size.
const MEMORY_BASE: usize = 64 * 1024;
/// Memory that a request may take per byte of its frame.
const MEMORY_PER_BYTE: usize = 16;

/// What decoding costs beside the frame's own bytes, at most: sizes of the decoder's types, rounded up.
const STRUCT_MEMORY: usize = 32;
const STRING_MEMORY: usize = 32;
const ARRAY_MEMORY: usize = 24;
const FIXED_MEMORY: usize = 8;
/// An unknown tagged field is an entry of an ordered map, whose smallest node takes this much.
const UNKNOWN_TAG_MEMORY: usize = 512;

/// How much memory the decoded form of a body of `body_bytes` bytes may take, its own bytes not counted.
#[must_use]
pub const fn memory_limit(body_bytes: usize) -> usize {
    MEMORY_BASE.saturating_add(body_bytes.saturating_mul(MEMORY_PER_BYTE))
}

/// Checks a request's body, and says how many of its bytes the request takes.
///
/// # Errors
/// When the body must not be given to the decoder.
pub fn check_request(key: i16, version: i16, body: &[u8]) -> Result<usize, GuardError> {
    let message = table::request(key).ok_or(GuardError::Unknown)?;
    check(message, version, body)
}

/// Checks a body against a shape, and says how many of its bytes the message takes.
///
/// # Errors
/// As [`check_request`].
pub fn check(message: &Message, version: i16, body: &[u8]) -> Result<usize, GuardError> {
    if !(message.min..=message.max).contains(&version) {
        return Err(GuardError::Unknown);
    }
    let mut walker =
        Walker { rest: body, version, flexible: version >= message.flexible, memory_left: memory_limit(body.len()) };
    walker.fields(message.fields)?;
    Ok(body.len() - walker.rest.len())
}

struct Walker<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
    memory_left: usize,
}

impl Walker<'_> {
    fn fields(&mut self, fields: &[Field]) -> Result<(), GuardError> {
        // Decoded, a struct has all its fields, those of other versions as well.
        self.charge(memory_of_fields(fields))?;
        for field in fields {
            if field.tag.is_none() && field.is_in(self.version) {
                self.kind(&field.kind, field.nullable)?;
            }
        }
        if self.flexible { self.tags(fields) } else { Ok(()) }
    }

    fn kind(&mut self, kind: &Kind, nullable: bool) -> Result<(), GuardError> {
        match kind {
            Kind::Fixed(bytes) => self.skip(*bytes),
            Kind::String => {
                let length = if self.flexible { self.compact_length()? } else { self.length_of_two_bytes()? };
                self.skip(unless_null(length, nullable)?)
            }
            Kind::Bytes => {
                let length = self.length_or_count()?;
                self.skip(unless_null(length, nullable)?)
            }
            Kind::Array(element) => self.array(element, nullable),
            Kind::Structs(fields) => self.array(&Kind::Struct(fields), nullable),
            Kind::Struct(fields) => self.fields(fields),
            Kind::Optional(fields) => match self.take(1)?[0].cast_signed() {
                1 => self.fields(fields),
                -1 if nullable => Ok(()),
                _ => Err(GuardError::Malformed),
            },
        }
    }

    fn array(&mut self, element: &Kind, nullable: bool) -> Result<(), GuardError> {
        let count = self.length_or_count()?;
        let count = unless_null(count, nullable)?;
        // Every element takes at least one byte, so this bounds the walk before any of them is looked at.
        if count > self.rest.len() {
            return Err(GuardError::BeyondEnd);
        }
        match element {
            // Structs are charged as they are walked.
            Kind::Struct(_) => {}
            other => self.charge(count.saturating_mul(memory_of(other)))?,
        }
        for _ in 0..count {
            self.kind(element, false)?;
        }
        Ok(())
    }

    fn tags(&mut self, fields: &[Field]) -> Result<(), GuardError> {
        let count = self.unsigned_varint()?;
        for _ in 0..count {
            let tag = self.unsigned_varint()?;
            let size = usize::try_from(self.unsigned_varint()?).map_err(|_| GuardError::BeyondEnd)?;
            let known = fields.iter().find(|field| field.tag == Some(tag) && field.is_in(self.version));
            match known {
                None => {
                    self.charge(UNKNOWN_TAG_MEMORY)?;
                    self.skip(size)?;
                }
                Some(field) => {
                    let expected = self.rest.len().checked_sub(size).ok_or(GuardError::BeyondEnd)?;
                    self.kind(&field.kind, field.nullable)?;
                    if self.rest.len() != expected {
                        return Err(GuardError::TagSize(tag));
                    }
                }
            }
        }
        Ok(())
    }

    fn length_or_count(&mut self) -> Result<Option<usize>, GuardError> {
        if self.flexible { self.compact_length() } else { self.length_of_four_bytes() }
    }

    fn length_of_two_bytes(&mut self) -> Result<Option<usize>, GuardError> {
        let bytes = self.take(2)?;
        length(i32::from(i16::from_be_bytes([bytes[0], bytes[1]])))
    }

    fn length_of_four_bytes(&mut self) -> Result<Option<usize>, GuardError> {
        let bytes = self.take(4)?;
        length(i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn compact_length(&mut self) -> Result<Option<usize>, GuardError> {
        match self.unsigned_varint()?.checked_sub(1) {
            None => Ok(None),
            Some(length) => usize::try_from(length).map(Some).map_err(|_| GuardError::BeyondEnd),
        }
    }

    fn unsigned_varint(&mut self) -> Result<u32, GuardError> {
        let mut value = 0;
        for shift in [0_u32, 7, 14, 21, 28] {
            let byte = self.take(1)?[0];
            if shift == 28 && byte > 0x0f {
                return Err(GuardError::Malformed);
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(GuardError::Malformed)
    }

    fn skip(&mut self, bytes: usize) -> Result<(), GuardError> {
        self.take(bytes).map(|_| ())
    }

    fn take(&mut self, bytes: usize) -> Result<&[u8], GuardError> {
        let (taken, rest) = self.rest.split_at_checked(bytes).ok_or(GuardError::BeyondEnd)?;
        self.rest = rest;
        Ok(taken)
    }

    fn charge(&mut self, bytes: usize) -> Result<(), GuardError> {
        self.memory_left = self.memory_left.checked_sub(bytes).ok_or(GuardError::Inflated)?;
        Ok(())
    }
}

fn length(value: i32) -> Result<Option<usize>, GuardError> {
    if value == -1 { Ok(None) } else { usize::try_from(value).map(Some).map_err(|_| GuardError::Malformed) }
}

fn unless_null(length: Option<usize>, nullable: bool) -> Result<usize, GuardError> {
    match length {
        Some(length) => Ok(length),
        None if nullable => Ok(0),
        None => Err(GuardError::Malformed),
    }
}

fn memory_of_fields(fields: &[Field]) -> usize {
    fields.iter().fold(STRUCT_MEMORY, |sum, field| sum.saturating_add(memory_of(&field.kind)))
}

/// What a value takes where it stands, without what it points to.
fn memory_of(kind: &Kind) -> usize {
    match kind {
        Kind::Fixed(bytes) => (*bytes).max(FIXED_MEMORY),
        Kind::String | Kind::Bytes => STRING_MEMORY,
        Kind::Array(_) | Kind::Structs(_) => ARRAY_MEMORY,
        Kind::Struct(fields) | Kind::Optional(fields) => memory_of_fields(fields),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(key: i16, version: i16, body: &[u8]) -> Result<usize, GuardError> {
        check_request(key, version, body)
    }

    #[test]
    fn counts_and_lengths_that_lie_are_found() {
        let metadata = 3;
        assert_eq!(outcome(metadata, 1, &[0x7f, 0xff, 0xff, 0xff]), Err(GuardError::BeyondEnd));
        assert_eq!(outcome(metadata, 1, &[0x80, 0, 0, 0]), Err(GuardError::Malformed));
        assert_eq!(outcome(metadata, 1, &[0xff, 0xff, 0xff, 0xff]), Ok(4));
        assert_eq!(outcome(metadata, 12, &[0xff, 0xff, 0xff, 0xff, 0x0f]), Err(GuardError::BeyondEnd));
        assert_eq!(outcome(metadata, 12, &[0xff, 0xff, 0xff, 0xff, 0x1f]), Err(GuardError::Malformed));
        assert_eq!(outcome(metadata, 12, &[0xff, 0xff, 0xff, 0xff, 0xff, 1]), Err(GuardError::Malformed));
        assert_eq!(outcome(metadata, 12, &[0, 1, 1, 0]), Ok(4));
        assert_eq!(outcome(metadata, 12, &[0, 1, 1, 1]), Err(GuardError::BeyondEnd));
        assert_eq!(outcome(metadata, 12, &[0, 1, 1, 0, 99, 99]), Ok(4), "what follows is not the guard's");
        let produce = 0;
        assert_eq!(outcome(produce, 3, &[0xff, 0xfe]), Err(GuardError::Malformed));
        assert_eq!(outcome(produce, 3, &[0x7f, 0xff, 0]), Err(GuardError::BeyondEnd));
    }

    #[test]
    fn null_passes_only_where_it_may_stand() {
        let heartbeat = 12;
        assert_eq!(outcome(heartbeat, 0, &[0xff, 0xff]), Err(GuardError::Malformed));
        assert_eq!(outcome(heartbeat, 3, &[0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]), Ok(10));
        assert_eq!(outcome(heartbeat, 3, &[0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]), Err(GuardError::Malformed));
    }

    #[test]
    fn a_known_tagged_field_fills_its_size() {
        // The cluster id of Fetch v12, after an empty request.
        let with_tag = |size: u8| {
            let mut body = vec![0; 4 + 4 + 4 + 4 + 1 + 4 + 4];
            body.extend([1, 1, 1, 1, 0, size, 3, b'i', b'd']);
            body
        };
        let body = with_tag(3);
        assert_eq!(outcome(1, 12, &body), Ok(body.len()));
        assert_eq!(outcome(1, 12, &with_tag(2)), Err(GuardError::TagSize(0)));
        assert_eq!(outcome(1, 12, &with_tag(4)), Err(GuardError::BeyondEnd));
    }

    #[test]
    fn small_frames_that_are_large_in_memory_are_refused() {
        let unknown_tags = |count: usize| {
            let mut body = vec![0, 1, 1];
            let mut rest = count;
            while rest >= 0x80 {
                body.push((rest & 0x7f) as u8 | 0x80);
                rest >>= 7;
            }
            body.push(rest as u8);
            for _ in 0..count {
                body.extend([50, 0]);
            }
            body
        };
        assert!(outcome(3, 12, &unknown_tags(100)).is_ok());
        assert_eq!(outcome(3, 12, &unknown_tags(1000)), Err(GuardError::Inflated));
        let mut empty_names = 100_000_i32.to_be_bytes().to_vec();
        empty_names.extend(vec![0; 200_000]);
        assert_eq!(outcome(3, 0, &empty_names), Err(GuardError::Inflated));
    }

    #[test]
    fn unknown_apis_and_versions_have_no_shape() {
        assert_eq!(outcome(4, 0, &[]), Err(GuardError::Unknown));
        assert_eq!(outcome(0, 2, &[]), Err(GuardError::Unknown));
        assert_eq!(outcome(0, 14, &[]), Err(GuardError::Unknown));
    }
}
