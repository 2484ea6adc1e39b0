//! Numbers of few bytes: seven bits a byte, the lowest first; signed ones in zigzag.

use crate::coordinator::share::partition::unreadable::UnreadableDocument;

/// Bytes that are being written.
#[derive(Debug, Default)]
pub(super) struct Output(Vec<u8>);

impl Output {
    pub(super) fn reserve(&mut self, bytes: usize) {
        self.0.reserve(bytes);
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(super) fn number(&mut self, mut number: u64) {
        while number > 0x7f {
            // The cast keeps the lowest seven bits.
            self.0.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    pub(super) fn signed(&mut self, number: i64) {
        self.number(((number << 1) ^ (number >> 63)).cast_unsigned());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(super) fn into_inner(self) -> Vec<u8> {
        self.0
    }
}

/// Bytes that are being read.
#[derive(Debug)]
pub(super) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn remaining(&self) -> usize {
        self.0.len()
    }

    pub(super) fn byte(&mut self) -> Result<u8, UnreadableDocument> {
        let (byte, rest) = self.0.split_first().ok_or(UnreadableDocument::Short)?;
        self.0 = rest;
        Ok(*byte)
    }

    pub(super) fn number(&mut self) -> Result<u64, UnreadableDocument> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(UnreadableDocument::Content("a number of more than 64 bits"))
    }

    pub(super) fn signed(&mut self) -> Result<i64, UnreadableDocument> {
        let number = self.number()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    /// How many things follow, none of which takes fewer than `bytes_min` bytes.
    pub(super) fn count(&mut self, bytes_min: usize) -> Result<usize, UnreadableDocument> {
        let count = usize::try_from(self.number()?).map_err(|_| UnreadableDocument::Short)?;
        if count > self.remaining() / bytes_min { Err(UnreadableDocument::Short) } else { Ok(count) }
    }

    pub(super) fn text(&mut self) -> Result<&'a str, UnreadableDocument> {
        let length = self.count(1)?;
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        str::from_utf8(text).map_err(|_| UnreadableDocument::Content("an id that is not UTF-8"))
    }
}
