//! Reads the fields of messages whose codec is ours, in flexible versions (KIP-482).
//!
//! Nothing is allocated for a count before the bytes that it needs are there, so that even a body which no guard has
//! walked can not ask for much.

use bytes::{Buf, Bytes};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

/// Why a message can not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedMessage {
    /// The version is not one that the codec knows.
    #[error("the version is not known")]
    Version,
    /// It ends inside a field.
    #[error("it ends too early")]
    Truncated,
    /// A length, a count or a number is not legal.
    #[error("a length or a count is malformed")]
    Length,
    /// Null stands where it must not.
    #[error("null stands where it must not")]
    Null,
    /// A text is not UTF-8.
    #[error("a text is not UTF-8")]
    Text,
}

type Result<T> = std::result::Result<T, MalformedMessage>;

/// Takes fields off the front of a message.
#[derive(Debug)]
pub struct FieldReader<'a> {
    rest: &'a mut Bytes,
}

impl<'a> FieldReader<'a> {
    /// Reads from the front of `rest`, and leaves what it did not read.
    pub fn new(rest: &'a mut Bytes) -> Self {
        Self { rest }
    }

    /// One byte with a sign.
    ///
    /// # Errors
    /// When nothing is left; as for all that follow.
    pub fn i8(&mut self) -> Result<i8> {
        self.rest.try_get_i8().map_err(|_| MalformedMessage::Truncated)
    }

    /// A truth value: everything but 0 is true.
    ///
    /// # Errors
    /// See [`Self::i8`].
    pub fn bool(&mut self) -> Result<bool> {
        Ok(self.i8()? != 0)
    }

    /// Two bytes.
    ///
    /// # Errors
    /// See [`Self::i8`].
    pub fn i16(&mut self) -> Result<i16> {
        self.rest.try_get_i16().map_err(|_| MalformedMessage::Truncated)
    }

    /// Four bytes.
    ///
    /// # Errors
    /// See [`Self::i8`].
    pub fn i32(&mut self) -> Result<i32> {
        self.rest.try_get_i32().map_err(|_| MalformedMessage::Truncated)
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// See [`Self::i8`].
    pub fn i64(&mut self) -> Result<i64> {
        self.rest.try_get_i64().map_err(|_| MalformedMessage::Truncated)
    }

    /// An identity.
    ///
    /// # Errors
    /// See [`Self::i8`].
    pub fn uuid(&mut self) -> Result<Uuid> {
        self.rest.try_get_u128().map(Uuid::from_u128).map_err(|_| MalformedMessage::Truncated)
    }

    /// A text, or null.
    ///
    /// # Errors
    /// When it is cut off or not UTF-8.
    pub fn nullable_string(&mut self) -> Result<Option<StrBytes>> {
        let Some(length) = self.length()? else { return Ok(None) };
        StrBytes::from_utf8(self.take(length)?).map(Some).map_err(|_| MalformedMessage::Text)
    }

    /// A text.
    ///
    /// # Errors
    /// When it is null, cut off or not UTF-8.
    pub fn string(&mut self) -> Result<StrBytes> {
        self.nullable_string()?.ok_or(MalformedMessage::Null)
    }

    /// Bytes, or an array of single bytes; null counts as none.
    ///
    /// # Errors
    /// When they are cut off.
    pub fn bytes(&mut self) -> Result<Bytes> {
        let length = self.length()?.unwrap_or(0);
        self.take(length)
    }

    /// An array, each of whose elements takes at least one byte.
    ///
    /// # Errors
    /// When it is null or cut off, or what `element` finds.
    pub fn array<T>(&mut self, mut element: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = self.length()?.ok_or(MalformedMessage::Null)?;
        if count > self.rest.remaining() {
            return Err(MalformedMessage::Truncated);
        }
        // An element of ours is at least so large on the wire: a count that lies costs no memory.
        const ELEMENT_BYTES_MIN: usize = 4;
        let mut elements = Vec::with_capacity(count.min(self.rest.remaining() / ELEMENT_BYTES_MIN));
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Ok(elements)
    }

    /// The end of a struct: tagged fields, none of which is known.
    ///
    /// # Errors
    /// When they are cut off.
    pub fn tags(&mut self) -> Result<()> {
        for _ in 0..self.unsigned_varint()? {
            let _tag = self.unsigned_varint()?;
            let bytes = usize::try_from(self.unsigned_varint()?).map_err(|_| MalformedMessage::Length)?;
            self.take(bytes)?;
        }
        Ok(())
    }

    fn take(&mut self, bytes: usize) -> Result<Bytes> {
        if bytes > self.rest.remaining() {
            return Err(MalformedMessage::Truncated);
        }
        Ok(self.rest.split_to(bytes))
    }

    fn length(&mut self) -> Result<Option<usize>> {
        match self.unsigned_varint()?.checked_sub(1) {
            None => Ok(None),
            Some(length) => usize::try_from(length).map(Some).map_err(|_| MalformedMessage::Length),
        }
    }

    fn unsigned_varint(&mut self) -> Result<u32> {
        let mut value = 0_u32;
        for shift in [0_u32, 7, 14, 21, 28] {
            let byte = self.rest.try_get_u8().map_err(|_| MalformedMessage::Truncated)?;
            if shift == 28 && byte > 0x0f {
                return Err(MalformedMessage::Length);
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(MalformedMessage::Length)
    }
}
