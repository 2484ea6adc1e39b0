//! Bytes of stored values: big-endian, lengths before texts, nothing trusted when read.

use std::sync::Arc;

use uuid::Uuid;

use crate::metastore::error::{MetastoreError, Result};

/// Writes one value.
#[derive(Debug)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    /// A value in the format `version`.
    pub(super) fn new(version: u8) -> Self {
        Self(vec![version])
    }

    pub(super) fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub(super) fn u16(mut self, value: u16) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(super) fn u32(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(super) fn u64(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(super) fn i16(self, value: i16) -> Self {
        self.u16(value.cast_unsigned())
    }

    pub(super) fn i32(self, value: i32) -> Self {
        self.u32(value.cast_unsigned())
    }

    pub(super) fn i64(self, value: i64) -> Self {
        self.u64(value.cast_unsigned())
    }

    pub(super) fn uuid(mut self, value: Uuid) -> Self {
        self.0.extend_from_slice(value.as_bytes());
        self
    }

    pub(super) fn count(self, value: usize) -> Self {
        // Nothing that is counted here comes near four thousand million.
        self.u32(u32::try_from(value).unwrap_or(u32::MAX))
    }

    pub(super) fn text(mut self, value: &str) -> Self {
        self = self.count(value.len());
        self.0.extend_from_slice(value.as_bytes());
        self
    }

    /// Takes the rest of the value.
    pub(super) fn tail(mut self, value: &[u8]) -> Self {
        self.0.extend_from_slice(value);
        self
    }

    pub(super) fn done(self) -> Vec<u8> {
        self.0
    }
}

/// Reads one value.
#[derive(Debug)]
pub(super) struct Reader<'bytes> {
    bytes: &'bytes [u8],
    what: &'static str,
}

impl<'bytes> Reader<'bytes> {
    /// Reads a value of the format `version`; `what` names it in errors.
    pub(super) fn new(what: &'static str, version: u8, bytes: &'bytes [u8]) -> Result<Self> {
        let mut reader = Self { bytes, what };
        let found = reader.u8()?;
        if found == version { Ok(reader) } else { Err(reader.unreadable(&format!("format {found} is not known"))) }
    }

    fn unreadable(&self, why: &str) -> MetastoreError {
        MetastoreError::Unreadable(format!("{}: {why}", self.what))
    }

    fn take<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH]> {
        let Some((head, tail)) = self.bytes.split_first_chunk() else { return Err(self.unreadable("it is cut short")) };
        self.bytes = tail;
        Ok(*head)
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        Ok(u8::from_be_bytes(self.take()?))
    }

    pub(super) fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_be_bytes(self.take()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.take()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_be_bytes(self.take()?))
    }

    pub(super) fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.take()?))
    }

    pub(super) fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.take()?))
    }

    pub(super) fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.take()?))
    }

    pub(super) fn uuid(&mut self) -> Result<Uuid> {
        Ok(Uuid::from_bytes(self.take()?))
    }

    /// A number of things that follow, at least `each` bytes long: never more than the bytes that remain allow.
    pub(super) fn count(&mut self, each: usize) -> Result<usize> {
        let count = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        if count.saturating_mul(each.max(1)) > self.bytes.len() {
            return Err(self.unreadable("it counts more than it holds"));
        }
        Ok(count)
    }

    pub(super) fn text(&mut self) -> Result<&'bytes str> {
        let length = self.count(1)?;
        let (head, tail) = self.bytes.split_at(length);
        self.bytes = tail;
        std::str::from_utf8(head).map_err(|_| self.unreadable("a text is not UTF-8"))
    }

    pub(super) fn shared_text(&mut self) -> Result<Arc<str>> {
        Ok(self.text()?.into())
    }

    /// How many bytes remain.
    pub(super) fn remaining(&self) -> usize {
        self.bytes.len()
    }

    /// Ends reading; anything left over is an error.
    pub(super) fn end(self) -> Result<()> {
        if self.bytes.is_empty() { Ok(()) } else { Err(self.unreadable("bytes are left over")) }
    }

    /// An error about the content.
    pub(super) fn refuse<T>(&self, why: &str) -> Result<T> {
        Err(self.unreadable(why))
    }
}
