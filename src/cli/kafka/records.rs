//! Records as commands print and count them, out of fetched bytes.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::base::clock::Timestamp;
use crate::record::batch::{Batches, RecordBatch};

/// A batch that decompresses to more than this is not read: no client accepts a hundred times the usual limit.
const BODY_BYTES_MAX: usize = 256 << 20;

/// A consumed record, on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumedRecord {
    /// Its offset.
    pub offset: i64,
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value.
    pub value: Option<Bytes>,
    /// Its headers in order.
    pub headers: Vec<(String, Option<Bytes>)>,
}

/// What a fetched run of bytes holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchedRecords {
    /// Records from the wanted offset on, markers and aborted records left out.
    pub records: Vec<ConsumedRecord>,
    /// Where to go on.
    pub next_offset: i64,
}

/// Reads the records of a run of batches from `from` on. `aborted` names aborted transactions by producer id and
/// first offset, as a read_committed fetch does.
///
/// The last batch may be cut off, as brokers are allowed to answer; it is left for the next fetch.
///
/// # Errors
/// A sentence, when a batch is corrupt.
pub fn read(run: &Bytes, from: i64, aborted: &[(i64, i64)]) -> Result<FetchedRecords, String> {
    let mut found = FetchedRecords { records: Vec::new(), next_offset: from };
    let mut aborted: Vec<(i64, i64)> = aborted.to_vec();
    aborted.sort_by_key(|(_, first_offset)| std::cmp::Reverse(*first_offset));
    let mut aborting = BTreeSet::new();
    for batch in Batches::new(run.clone()) {
        let batch = match batch {
            Ok(batch) => batch,
            Err(_) if found.next_offset > from => break,
            Err(error) => return Err(error.to_string()),
        };
        let header = *batch.header();
        let (base, last) = (header.base_offset.0, header.last_offset().0);
        while aborted.last().is_some_and(|(_, first_offset)| *first_offset <= last) {
            aborting.extend(aborted.pop().map(|(producer_id, _)| producer_id));
        }
        if header.is_control() {
            // An abort marker ends its transaction; a commit marker's producer is not in the set.
            aborting.remove(&header.producer_id.0);
        } else if !(header.is_transactional() && aborting.contains(&header.producer_id.0)) {
            take(&batch, from, &mut found.records).map_err(|reason| format!("batch at offset {base}: {reason}"))?;
        }
        found.next_offset = found.next_offset.max(last + 1);
    }
    Ok(found)
}

fn take(batch: &RecordBatch, from: i64, records: &mut Vec<ConsumedRecord>) -> Result<(), String> {
    batch.verify().map_err(|error| error.to_string())?;
    let body = batch.body(BODY_BYTES_MAX).map_err(|error| error.to_string())?;
    for record in batch.records(&body) {
        let record = record.map_err(|error| error.to_string())?;
        if record.offset.0 < from {
            continue;
        }
        let owned = |bytes: Option<&[u8]>| bytes.map(|bytes| body.slice_ref(bytes));
        records.push(ConsumedRecord {
            offset: record.offset.0,
            timestamp: record.timestamp,
            key: owned(record.key),
            value: owned(record.value),
            headers: record
                .headers
                .map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), owned(value)))
                .collect(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::offset::Offset;
    use crate::model::producer::{ProducerEpoch, ProducerId, Sequence};
    use crate::record::build::{BatchBuilder, BatchShape, NewRecord};

    fn batch(base_offset: i64, producer: Option<i64>, control: bool, values: &[&str]) -> Bytes {
        let mut builder = BatchBuilder::new(BatchShape {
            base_offset: Offset(base_offset),
            producer: producer.map(|id| (ProducerId(id), ProducerEpoch(0), Sequence(0))),
            transactional: producer.is_some(),
            control,
            ..BatchShape::default()
        });
        for value in values {
            builder.push(&NewRecord { value: Some(value.as_bytes()), ..NewRecord::default() });
        }
        builder.build().unwrap()
    }

    fn values(found: &FetchedRecords) -> Vec<&str> {
        found.records.iter().map(|record| std::str::from_utf8(record.value.as_deref().unwrap()).unwrap()).collect()
    }

    #[test]
    fn records_before_the_wanted_offset_are_left_out() {
        let run = [batch(5, None, false, &["a", "b", "c"]), batch(8, None, false, &["d"])].concat();
        let found = read(&run.into(), 6, &[]).unwrap();
        assert_eq!(values(&found), ["b", "c", "d"]);
        assert_eq!(found.next_offset, 9);
        assert_eq!(found.records[0].offset, 6);
    }

    #[test]
    fn a_cut_off_last_batch_is_left_for_the_next_fetch() {
        let (first, second) = (batch(0, None, false, &["a"]), batch(1, None, false, &["b"]));
        let run = [&first[..], &second[..second.len() - 1]].concat();
        let found = read(&run.into(), 0, &[]).unwrap();
        assert_eq!((values(&found), found.next_offset), (vec!["a"], 1));
        assert!(read(&first.slice(..20), 0, &[]).is_err(), "nothing could ever be read");
    }

    #[test]
    fn a_corrupt_batch_is_an_error() {
        let mut bytes = batch(0, None, false, &["a"]).to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        assert!(read(&bytes.into(), 0, &[]).unwrap_err().contains("offset 0"));
    }

    #[test]
    fn aborted_records_and_markers_are_left_out_but_counted_over() {
        let run = [
            batch(0, Some(7), false, &["aborted"]),
            batch(1, Some(8), false, &["committed"]),
            batch(2, Some(7), true, &["marker"]),
            batch(3, Some(7), false, &["next transaction"]),
        ]
        .concat();
        let found = read(&run.into(), 0, &[(7, 0)]).unwrap();
        assert_eq!(values(&found), ["committed", "next transaction"]);
        assert_eq!(found.next_offset, 4);
    }
}
