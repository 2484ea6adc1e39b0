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
        self.charge(STRUCT_MEMORY)?;
        for field in fields {
            if field.tag.is_none() && field.is_in(self.version) {
                self.kind(&field.kind)?;
            }
        }
        if self.flexible { self.tags(fields) } else { Ok(()) }
    }

    fn kind(&mut self, kind: &Kind) -> Result<(), GuardError> {
        match kind {
            Kind::Fixed(bytes) => {
                self.charge((*bytes).max(FIXED_MEMORY))?;
                self.skip(*bytes)
            }
            Kind::String => {
                self.charge(STRING_MEMORY)?;
                let length = if self.flexible { self.compact_length()? } else { self.length_of_two_bytes()? };
                self.skip(length.unwrap_or(0))
            }
            Kind::Bytes => {
                self.charge(STRING_MEMORY)?;
                let length = self.length_or_count()?;
                self.skip(length.unwrap_or(0))
            }
            Kind::Array(element) => self.array(element),
            Kind::Structs(fields) => self.array(&Kind::Struct(fields)),
            Kind::Struct(fields) => self.fields(fields),
            Kind::Optional(fields) => match self.take(1)?[0].cast_signed() {
                1 => self.fields(fields),
                -1 => Ok(()),
                _ => Err(GuardError::Malformed),
            },
        }
    }

    fn array(&mut self, element: &Kind) -> Result<(), GuardError> {
        self.charge(ARRAY_MEMORY)?;
        let count = self.length_or_count()?.unwrap_or(0);
        // Every element takes at least one byte, so this bounds the walk even before its bytes are looked at.
        if count > self.rest.len() {
            return Err(GuardError::BeyondEnd);
        }
        if let Kind::Fixed(bytes) = element {
            let total = count.checked_mul(*bytes).ok_or(GuardError::BeyondEnd)?;
            self.charge(total)?;
            return self.skip(total);
        }
        for _ in 0..count {
            self.kind(element)?;
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
                    self.kind(&field.kind)?;
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
