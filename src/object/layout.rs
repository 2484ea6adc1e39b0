//! The WAL object's bytes, format version 1. `docs/formats/wal_object.md` is the same for people who do not read Rust.
//!
//! ```text
//! 0              64                                            64+body            end−64       end
//! ┌──────────────┬───────────┬───────────┬─────┬───────────────┬──────────────────┬────────────┐
//! │ header       │ range 0   │ range 1   │  …  │ range n−1     │ n × index entry  │ trailer    │
//! │ magic … crc  │ batch…    │ batch…    │     │ batch…        │ 40 bytes each    │ crc, magic │
//! └──────────────┴───────────┴───────────┴─────┴───────────────┴──────────────────┴────────────┘
//!                └─────────────────── body ────────────────────┴────────── footer ─────────────┘
//! ```
//!
//! A range is one partition's record batches back to back, the producers' own bytes. Ranges are sorted by topic id
//! and partition and leave no gap. Numbers are big-endian, as in Kafka.

use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;
use xxhash_rust::xxh3::Xxh3;

use crate::base::crc::{combine, crc32c};
use crate::model::node::{NodeEpoch, NodeId, NodeIdentity};
use crate::model::object::ByteRange;
use crate::model::topic::{PartitionIndex, TopicId, TopicIdPartition};

/// The first eight bytes of a WAL object.
pub const HEADER_MAGIC: [u8; 8] = *b"TOWPWAL\n";
/// The last eight bytes of a WAL object.
pub const TRAILER_MAGIC: [u8; 8] = *b"\nLAWPWOT";
/// What this build writes, and all it reads.
pub const FORMAT_VERSION: u16 = 1;
/// Bytes before the body.
pub const HEADER_BYTES: u64 = 64;
/// Bytes of one index entry.
pub const ENTRY_BYTES: u64 = 40;
/// Bytes of the trailer.
pub const TRAILER_BYTES: u64 = 64;

/// Why bytes are not a WAL object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// The footer begins earlier; read this many bytes from the object's end.
    #[error("the footer needs the last {footer_bytes} bytes of the object")]
    NeedMore {
        /// Footer in bytes, index and trailer.
        footer_bytes: u64,
    },
    /// Written by a later build.
    #[error("format version {0} is not known to this build")]
    Version(u16),
    /// Not what a writer wrote.
    #[error("{0}")]
    Corrupt(&'static str),
}

/// An object ready for its PUT: slices that are never joined.
#[derive(Clone, Debug)]
pub struct WalObject {
    /// Header, the batches themselves, footer: in order, the very `Bytes` that were given.
    pub slices: Vec<Bytes>,
    /// The whole object's size.
    pub byte_size: u64,
    /// Where each part went, in the order in which parts were given.
    pub ranges: Vec<ByteRange>,
}

/// A record batch and its checksum.
#[derive(Clone, Debug)]
pub struct WalBatch {
    /// The producer's own bytes.
    pub bytes: Bytes,
    /// CRC-32C of all of them. Whoever admitted the batch knows it already, so it is not computed again.
    pub crc: u32,
}

impl From<Bytes> for WalBatch {
    fn from(bytes: Bytes) -> Self {
        let crc = crc32c(&bytes);
        Self { bytes, crc }
    }
}

impl WalObject {
    /// Lays out `parts`: each partition once, each with its whole record batches.
    ///
    /// Each payload byte is read once (xxh3) and copied never.
    ///
    /// # Panics
    /// When a partition is given twice, has no bytes, or has 4 GiB of them: a bug of the caller, whose buffer is
    /// bounded far below.
    #[must_use]
    pub fn build<B: Into<WalBatch>>(
        cluster_id: Uuid,
        writer: NodeIdentity,
        mut parts: Vec<(TopicIdPartition, Vec<B>)>,
    ) -> Self {
        let mut order: Vec<usize> = (0..parts.len()).collect();
        order.sort_by_key(|&index| parts[index].0);
        assert!(order.windows(2).all(|pair| parts[pair[0]].0 < parts[pair[1]].0), "a partition is given once");

        let slice_count: usize = parts.iter().map(|(_, batches)| batches.len()).sum();
        let mut slices = Vec::with_capacity(slice_count + 2);
        slices.push(Bytes::new());
        let mut ranges = vec![ByteRange { position: 0, length: 0 }; parts.len()];
        let mut entries = Vec::with_capacity(parts.len());
        let mut hash = Xxh3::new();
        let mut position = HEADER_BYTES;
        for index in order {
            let (partition, batches) = &mut parts[index];
            let batches: Vec<WalBatch> = std::mem::take(batches).into_iter().map(Into::into).collect();
            let entry = WalEntry::of(*partition, position, &batches, &mut hash);
            position = entry.bytes.end();
            ranges[index] = entry.bytes;
            entries.push(entry);
            slices.extend(batches.into_iter().map(|batch| batch.bytes));
        }
        let header = WalHeader { cluster_id, writer, body_bytes: position - HEADER_BYTES };
        let footer = WalFooter { body_bytes: header.body_bytes, body_hash: hash.digest128(), entries };
        slices[0] = header.encode();
        slices.push(footer.encode());
        let byte_size = position + footer.encoded_bytes();
        Self { slices, byte_size, ranges }
    }
}

/// What a WAL object says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalHeader {
    /// Whose object it is.
    pub cluster_id: Uuid,
    /// Who wrote it.
    pub writer: NodeIdentity,
    /// Bytes between header and footer.
    pub body_bytes: u64,
}

impl WalHeader {
    /// Reads a header from the first bytes of an object. Never panics, allocates nothing.
    ///
    /// # Errors
    /// When the bytes are not a header of a version we know.
    pub fn parse(head: &[u8]) -> Result<Self, LayoutError> {
        let mut fields = Fields(head);
        if fields.take::<8>()? != HEADER_MAGIC {
            return Err(LayoutError::Corrupt("the header's magic is missing"));
        }
        let version = fields.u16()?;
        if version != FORMAT_VERSION {
            return Err(LayoutError::Version(version));
        }
        let (header_bytes, node_id) = (fields.u16()?, fields.i32()?);
        let cluster_id = Uuid::from_bytes(fields.take()?);
        let (node_epoch, body_bytes, reserved, crc) =
            (fields.i64()?, fields.u64()?, fields.take::<12>()?, fields.u32()?);
        if crc != crc32c(&head[..60]) {
            return Err(LayoutError::Corrupt("the header fails its CRC"));
        }
        if u64::from(header_bytes) != HEADER_BYTES || reserved != [0; 12] {
            return Err(LayoutError::Corrupt("the header's fields contradict version 1"));
        }
        let writer = NodeIdentity { node_id: NodeId(node_id), node_epoch: NodeEpoch(node_epoch) };
        Ok(Self { cluster_id, writer, body_bytes })
    }

    fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(HEADER_BYTES as usize);
        out.put_slice(&HEADER_MAGIC);
        out.put_u16(FORMAT_VERSION);
        out.put_u16(HEADER_BYTES as u16);
        out.put_i32(self.writer.node_id.0);
        out.put_slice(self.cluster_id.as_bytes());
        out.put_i64(self.writer.node_epoch.0);
        out.put_u64(self.body_bytes);
        out.put_bytes(0, 12);
        out.put_u32(crc32c(&out));
        out.freeze()
    }
}

/// One partition's range, as the footer's index names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalEntry {
    /// Whose batches.
    pub partition: TopicIdPartition,
    /// Which bytes of the object.
    pub bytes: ByteRange,
    /// How many record batches.
    pub batch_count: u32,
    /// CRC-32C of the range.
    pub crc: u32,
}

impl WalEntry {
    /// Describes `batches` at `position`, feeding the body's hash on the way.
    fn of(partition: TopicIdPartition, position: u64, batches: &[WalBatch], hash: &mut Xxh3) -> Self {
        let (mut crc, mut length) = (0, 0_u64);
        for batch in batches {
            let batch_bytes = batch.bytes.len() as u64;
            debug_assert_eq!(batch.crc, crc32c(&batch.bytes), "a batch comes with its own checksum");
            hash.update(&batch.bytes);
            crc = if length == 0 { batch.crc } else { combine(crc, batch.crc, batch_bytes) };
            length += batch_bytes;
        }
        assert!(batches.iter().all(|batch| !batch.bytes.is_empty()) && length > 0, "a batch has bytes");
        let length = u32::try_from(length).expect("a partition's share of an object is bounded by the buffer");
        let batch_count = u32::try_from(batches.len()).expect("there are not more batches than bytes");
        Self { partition, bytes: ByteRange { position, length }, batch_count, crc }
    }
}

/// What a WAL object says last: where everything is, and how to check it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalFooter {
    /// Bytes between header and footer.
    pub body_bytes: u64,
    /// xxh3-128 (seed 0) of the body.
    pub body_hash: u128,
    /// The ranges, sorted by partition, without gaps.
    pub entries: Vec<WalEntry>,
}

impl WalFooter {
    /// Reads a footer from the last bytes of an object of `object_bytes` bytes.
    ///
    /// Never panics, and allocates nothing before the bytes that its counts promise are there and pass their CRC.
    ///
    /// # Errors
    /// [`LayoutError::NeedMore`] when `tail` is too short; else when the bytes are not a footer we know.
    pub fn parse(tail: &[u8], object_bytes: u64) -> Result<Self, LayoutError> {
        if (tail.len() as u64) < TRAILER_BYTES {
            let enough = object_bytes >= HEADER_BYTES + TRAILER_BYTES;
            return Err(if enough {
                LayoutError::NeedMore { footer_bytes: TRAILER_BYTES }
            } else {
                LayoutError::Corrupt("the object is shorter than header and trailer")
            });
        }
        let trailer = Trailer::parse(&tail[tail.len() - TRAILER_BYTES as usize..])?;
        let footer_bytes = trailer.check_sizes(object_bytes)?;
        // `check_sizes` proved that the footer is not larger than the object; here, that all of it was read.
        let Some(start) = (tail.len() as u64).checked_sub(footer_bytes) else {
            return Err(LayoutError::NeedMore { footer_bytes });
        };
        let footer = &tail[start as usize..];
        let (checked, crc_and_magic) = footer.split_at(footer.len() - 12);
        if crc_and_magic[..4] != crc32c(checked).to_be_bytes() {
            return Err(LayoutError::Corrupt("the footer fails its CRC"));
        }
        let entries = parse_entries(&footer[..footer.len() - TRAILER_BYTES as usize], trailer.body_bytes)?;
        Ok(Self { body_bytes: trailer.body_bytes, body_hash: trailer.body_hash, entries })
    }

    /// The footer's own size.
    #[must_use]
    pub fn encoded_bytes(&self) -> u64 {
        self.entries.len() as u64 * ENTRY_BYTES + TRAILER_BYTES
    }

    /// Whether `body` (everything between header and footer, in any slices) is what was written.
    #[must_use]
    pub fn matches_body(&self, body: &[Bytes]) -> bool {
        let mut hash = Xxh3::new();
        body.iter().for_each(|slice| hash.update(slice));
        let length: u64 = body.iter().map(|slice| slice.len() as u64).sum();
        length == self.body_bytes && hash.digest128() == self.body_hash
    }

    fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.encoded_bytes() as usize);
        for entry in &self.entries {
            out.put_slice(entry.partition.topic_id.0.as_bytes());
            out.put_i32(entry.partition.partition.0);
            out.put_u64(entry.bytes.position);
            out.put_u32(entry.bytes.length);
            out.put_u32(entry.batch_count);
            out.put_u32(entry.crc);
        }
        out.put_u128(self.body_hash);
        out.put_u64(self.body_bytes);
        out.put_u32(u32::try_from(self.entries.len()).expect("there are not more ranges than bytes"));
        out.put_u64(self.encoded_bytes());
        out.put_u16(FORMAT_VERSION);
        out.put_bytes(0, 14);
        out.put_u32(crc32c(&out));
        out.put_slice(&TRAILER_MAGIC);
        out.freeze()
    }
}

/// The fixed end of a footer.
#[derive(Clone, Copy, Debug)]
struct Trailer {
    body_hash: u128,
    body_bytes: u64,
    entry_count: u32,
    footer_bytes: u64,
}

impl Trailer {
    fn parse(bytes: &[u8]) -> Result<Self, LayoutError> {
        let mut fields = Fields(bytes);
        let body_hash = u128::from_be_bytes(fields.take()?);
        let (body_bytes, entry_count, footer_bytes) = (fields.u64()?, fields.u32()?, fields.u64()?);
        let (version, reserved, _crc) = (fields.u16()?, fields.take::<14>()?, fields.u32()?);
        if fields.take::<8>()? != TRAILER_MAGIC {
            return Err(LayoutError::Corrupt("the trailer's magic is missing"));
        }
        if version != FORMAT_VERSION {
            return Err(LayoutError::Version(version));
        }
        if reserved != [0; 14] {
            return Err(LayoutError::Corrupt("the trailer's fields contradict version 1"));
        }
        Ok(Self { body_hash, body_bytes, entry_count, footer_bytes })
    }

    /// Proves that header, body and footer add up to the object; gives the footer's size.
    fn check_sizes(&self, object_bytes: u64) -> Result<u64, LayoutError> {
        let footer_bytes = u64::from(self.entry_count) * ENTRY_BYTES + TRAILER_BYTES;
        let whole = self.body_bytes.checked_add(HEADER_BYTES + footer_bytes);
        if footer_bytes != self.footer_bytes || whole != Some(object_bytes) {
            return Err(LayoutError::Corrupt("the trailer's sizes do not add up to the object's"));
        }
        Ok(footer_bytes)
    }
}

/// Reads the index and proves that its ranges tile the body in ascending order of partition.
fn parse_entries(mut index: &[u8], body_bytes: u64) -> Result<Vec<WalEntry>, LayoutError> {
    let mut entries: Vec<WalEntry> = Vec::with_capacity(index.len() / ENTRY_BYTES as usize);
    let mut position = HEADER_BYTES;
    while let Some((bytes, rest)) = index.split_at_checked(ENTRY_BYTES as usize) {
        let mut fields = Fields(bytes);
        let topic_id = TopicId(Uuid::from_bytes(fields.take()?));
        let partition = TopicIdPartition::new(topic_id, PartitionIndex(fields.i32()?));
        let bytes = ByteRange { position: fields.u64()?, length: fields.u32()? };
        let (batch_count, crc) = (fields.u32()?, fields.u32()?);
        if bytes.position != position || bytes.length == 0 {
            return Err(LayoutError::Corrupt("the index leaves a gap or overlaps"));
        }
        if entries.last().is_some_and(|last| last.partition >= partition) {
            return Err(LayoutError::Corrupt("the index is not sorted by partition"));
        }
        if batch_count == 0 || batch_count > bytes.length {
            return Err(LayoutError::Corrupt("the index counts batches that can not be there"));
        }
        position = bytes.end();
        entries.push(WalEntry { partition, bytes, batch_count, crc });
        index = rest;
    }
    if position.checked_sub(HEADER_BYTES) != Some(body_bytes) {
        return Err(LayoutError::Corrupt("the index does not cover the body"));
    }
    Ok(entries)
}

/// Reads fixed-width fields one after the other.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], LayoutError> {
        let (field, rest) = self.0.split_first_chunk::<N>().ok_or(LayoutError::Corrupt("the bytes end too early"))?;
        self.0 = rest;
        Ok(*field)
    }

    fn u16(&mut self) -> Result<u16, LayoutError> {
        self.take().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, LayoutError> {
        self.take().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, LayoutError> {
        self.take().map(u64::from_be_bytes)
    }

    fn i32(&mut self) -> Result<i32, LayoutError> {
        self.take().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64, LayoutError> {
        self.take().map(i64::from_be_bytes)
    }
}

#[cfg(test)]
mod tests;
