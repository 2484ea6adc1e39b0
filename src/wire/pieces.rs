//! Writes a body as a list of slices: our own fields in buffers, records as the slices they came in.

use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;

/// The list under construction: what is done, and the buffer that is being written.
#[derive(Debug)]
pub struct Pieces {
    done: Vec<Bytes>,
    /// Where fixed fields go.
    pub own: BytesMut,
    flexible: bool,
}

impl Pieces {
    /// An empty list with room for `own_bytes` of our own and `slices` of the caller's; lengths and tagged fields as
    /// `flexible` versions have them (KIP-482).
    #[must_use]
    pub fn with_capacity(own_bytes: usize, slices: usize, flexible: bool) -> Self {
        Self { done: Vec::with_capacity(2 * slices + 1), own: BytesMut::with_capacity(own_bytes), flexible }
    }

    /// The count of an array, or the length of bytes.
    pub fn count(&mut self, count: usize) {
        if self.flexible {
            self.unsigned_varint(u32::try_from(count).unwrap_or(u32::MAX).saturating_add(1));
        } else {
            self.own.put_i32(i32::try_from(count).unwrap_or(i32::MAX));
        }
    }

    /// A null array.
    pub fn null(&mut self) {
        if self.flexible {
            self.own.put_u8(0);
        } else {
            self.own.put_i32(-1);
        }
    }

    /// A string that is there.
    pub fn string(&mut self, text: &[u8]) {
        if self.flexible {
            self.count(text.len());
        } else {
            // Topic names have at most 249 bytes.
            self.own.put_i16(i16::try_from(text.len()).unwrap_or(i16::MAX));
        }
        self.own.put_slice(text);
    }

    /// A string, or null.
    pub fn nullable_string(&mut self, text: Option<&[u8]>) {
        match text {
            Some(text) => self.string(text),
            None if self.flexible => self.own.put_u8(0),
            None => self.own.put_i16(-1),
        }
    }

    /// An identity.
    pub fn uuid(&mut self, id: Uuid) {
        self.own.put_slice(id.as_bytes());
    }

    /// The end of a struct: no tagged fields.
    pub fn no_tags(&mut self) {
        if self.flexible {
            self.own.put_u8(0);
        }
    }

    /// A length, then the slices themselves.
    pub fn slices(&mut self, slices: Vec<Bytes>) {
        self.count(slices.iter().fold(0_usize, |sum, slice| sum.saturating_add(slice.len())));
        let mut slices = slices.into_iter().filter(|slice| !slice.is_empty()).peekable();
        if slices.peek().is_some() {
            self.done.push(self.own.split().freeze());
            self.done.extend(slices);
        }
    }

    fn unsigned_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            // The mask keeps the lower seven bits.
            self.own.put_u8((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.own.put_u8(value as u8);
    }

    /// The list.
    #[must_use]
    pub fn finish(mut self) -> Vec<Bytes> {
        if !self.own.is_empty() {
            self.done.push(self.own.freeze());
        }
        self.done
    }
}
