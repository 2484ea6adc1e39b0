//! The body of a ShareFetch response, v1–2, as a list of slices: records are never copied.
//!
//! Both versions look alike. Records are never null: none at all are a length of zero.

use bytes::{BufMut, Bytes};
use kafka_protocol::protocol::StrBytes;

use crate::wire::fields::{FieldReader, MalformedMessage};
use crate::wire::pieces::Pieces;
use crate::wire::share::response::{
    SharePartitionAnswer, ShareResponse, ShareTopicAnswer, put_error, put_no_leader, read_error, skip_leader,
    text_bytes,
};

/// A ShareFetch response.
pub type ShareFetchResponse = ShareResponse<ShareFetchedPartition>;

/// A topic's part of a ShareFetch response.
pub type ShareFetchedTopic = ShareTopicAnswer<ShareFetchedPartition>;

/// A partition's part of a ShareFetch response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShareFetchedPartition {
    /// The partition's index.
    pub partition: i32,
    /// What went wrong with the fetch, or 0.
    pub error_code: i16,
    /// Words on it.
    pub error_message: Option<StrBytes>,
    /// What went wrong with the acknowledgements, or 0.
    pub acknowledge_error_code: i16,
    /// Words on it.
    pub acknowledge_error_message: Option<StrBytes>,
    /// Whole record batches, in order.
    pub records: Vec<Bytes>,
    /// What the member holds from now on.
    pub acquired: Vec<AcquiredRecords>,
}

/// A range that a member holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AcquiredRecords {
    /// The first offset.
    pub first_offset: i64,
    /// The last offset.
    pub last_offset: i64,
    /// Which delivery this is, from 1.
    pub delivery_count: i16,
}

/// What a range takes.
const ACQUIRED_BYTES: usize = 8 + 8 + 2 + 1;

impl SharePartitionAnswer for ShareFetchedPartition {
    const LOCK_TIMEOUT_SINCE: i16 = 1;

    fn own_bytes_max(&self) -> usize {
        64 + text_bytes(self.error_message.as_ref())
            + text_bytes(self.acknowledge_error_message.as_ref())
            + ACQUIRED_BYTES * self.acquired.len()
    }

    fn slices(&self) -> usize {
        self.records.len()
    }

    fn put(self, pieces: &mut Pieces) {
        pieces.own.put_i32(self.partition);
        put_error(self.error_code, self.error_message.as_ref(), pieces);
        put_error(self.acknowledge_error_code, self.acknowledge_error_message.as_ref(), pieces);
        put_no_leader(pieces);
        pieces.slices(self.records);
        pieces.count(self.acquired.len());
        for acquired in &self.acquired {
            pieces.own.put_i64(acquired.first_offset);
            pieces.own.put_i64(acquired.last_offset);
            pieces.own.put_i16(acquired.delivery_count);
            pieces.no_tags();
        }
        pieces.no_tags();
    }

    fn from_fields(fields: &mut FieldReader<'_>) -> Result<Self, MalformedMessage> {
        let partition = fields.i32()?;
        let (error_code, error_message) = read_error(fields)?;
        let (acknowledge_error_code, acknowledge_error_message) = read_error(fields)?;
        skip_leader(fields)?;
        let records = fields.bytes()?;
        let records = if records.is_empty() { Vec::new() } else { vec![records] };
        let acquired = fields.array(read_acquired)?;
        fields.tags()?;
        Ok(Self {
            partition,
            error_code,
            error_message,
            acknowledge_error_code,
            acknowledge_error_message,
            records,
            acquired,
        })
    }
}

fn read_acquired(fields: &mut FieldReader<'_>) -> Result<AcquiredRecords, MalformedMessage> {
    let acquired =
        AcquiredRecords { first_offset: fields.i64()?, last_offset: fields.i64()?, delivery_count: fields.i16()? };
    fields.tags()?;
    Ok(acquired)
}

#[cfg(test)]
mod tests;
