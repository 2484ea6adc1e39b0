//! Reads the records that are given up, and writes their letters.

use std::time::Duration;

use bytes::Bytes;
use tracing::warn;

use crate::config::topic::TimestampType;
use crate::coordinator::share::letters::build::{Content, LetterWriter};
use crate::coordinator::share::partition::letter::DeadLetter;
use crate::log::fetch::reader::Reader;
use crate::log::fetch::values::{FetchOutcome, FetchRequest, PartitionFetch};
use crate::metastore::store::Metastore;
use crate::model::error::Condition;
use crate::model::offset::Offset;
use crate::model::topic::TopicIdPartition;
use crate::record::batch::{Batches, RecordBatch};

/// So many bytes are read at a time (at least one batch); they are in memory as a rule, since somebody just had them.
const READ_BYTES: u32 = 4 << 20;

/// A batch that would take more memory than this is not unpacked: its letters go without content.
const BODY_BYTES_MAX: usize = 64 << 20;

/// So much content goes with the letters of one round, which is held in memory; letters beyond it go without.
pub(super) const CONTENT_BYTES_MAX: usize = 32 << 20;

/// Why letters can not be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SourceFault {
    /// The topic was deleted.
    Gone,
    /// The records can not be read now.
    Unavailable(String),
}

/// Collects the letters of a round, one partition after the other.
pub(super) struct Collector<'a> {
    pub reader: &'a Reader,
    pub metastore: &'a dyn Metastore,
    /// Whether content goes with the letters.
    pub copies: bool,
    /// So much more content may be copied.
    pub content_bytes_left: usize,
}

/// Letters that are not written yet.
struct Pending {
    /// In order, without overlap.
    letters: Vec<DeadLetter>,
    /// Everything before is done.
    from: Offset,
}

impl Pending {
    fn new(letters: &[DeadLetter]) -> Self {
        let mut letters = letters.to_vec();
        letters.sort_by_key(|letter| letter.first);
        Self { letters, from: Offset(0) }
    }

    /// The first letter that is not written, or what is left of it.
    fn first(&self) -> Option<DeadLetter> {
        self.among(Offset(i64::MAX)).next()
    }

    /// Letters up to `last`, cut to what is not done and not beyond it.
    fn among(&self, last: Offset) -> impl Iterator<Item = DeadLetter> {
        let done = self.letters.partition_point(|letter| letter.last < self.from);
        let rest = self.letters[done..].iter().take_while(move |letter| letter.first <= last);
        rest.map(move |letter| DeadLetter {
            first: letter.first.max(self.from),
            last: letter.last.min(last),
            ..*letter
        })
    }
}

impl Collector<'_> {
    /// Writes a letter for every record in the ranges of `letters`. Offsets without a record make none, as far as can
    /// be seen: below the log's start, and where bytes are damaged, every offset counts as a record, without content.
    pub(super) async fn collect(
        &mut self,
        partition: TopicIdPartition,
        letters: &[DeadLetter],
        writer: &mut LetterWriter<'_>,
    ) -> Result<(), SourceFault> {
        let mut pending = Pending::new(letters);
        while let Some(next) = pending.first() {
            match self.read(partition, next.first).await {
                Ok(fetched) if fetched.records.is_empty() => {
                    let reason = format!("this agent does not know the record at offset {} yet", next.first);
                    return Err(SourceFault::Unavailable(reason));
                }
                Ok(fetched) => {
                    for batch in Batches::new(Bytes::from(fetched.records.concat())) {
                        match batch {
                            Ok(batch) => self.take(&batch, &mut pending, writer),
                            Err(_) => push_bare(&mut pending, next, writer),
                        }
                    }
                }
                Err(failure) => match failure.condition {
                    Condition::UnknownTopicOrPartition | Condition::UnknownTopicId => return Err(SourceFault::Gone),
                    Condition::OffsetOutOfRange => self.skip_to_log_start(partition, &mut pending, writer).await?,
                    Condition::CorruptMessage => {
                        warn!(%partition, first = %next.first, last = %next.last, "dead letters go without damaged records");
                        push_bare(&mut pending, next, writer);
                    }
                    _ => return Err(SourceFault::Unavailable(failure.message)),
                },
            }
        }
        Ok(())
    }

    async fn read(&self, partition: TopicIdPartition, offset: Offset) -> FetchOutcome {
        let timestamp_type = TimestampType::CreateTime;
        let fetch = PartitionFetch { partition, offset, bytes_max: READ_BYTES, timestamp_type };
        let request = FetchRequest {
            partitions: vec![fetch],
            bytes_min: 1,
            wait_max: Duration::ZERO,
            bytes_max: READ_BYTES,
            read_committed: false,
        };
        let mut outcomes = self.reader.fetch(request).await;
        outcomes.pop().expect("one outcome per partition")
    }

    /// The records were deleted since they were delivered.
    async fn skip_to_log_start(
        &self,
        partition: TopicIdPartition,
        pending: &mut Pending,
        writer: &mut LetterWriter<'_>,
    ) -> Result<(), SourceFault> {
        let bounds = self.metastore.bounds(vec![partition]).await;
        let bounds = bounds.map_err(|error| SourceFault::Unavailable(error.to_string()))?;
        let Some(bounds) = bounds.into_iter().next().flatten() else { return Err(SourceFault::Gone) };
        let deleted: Vec<_> = pending.among(bounds.log_start_offset.previous()).collect();
        if deleted.is_empty() {
            return Err(SourceFault::Unavailable("an offset lies beyond the end of its log".to_owned()));
        }
        for letter in deleted {
            push_bare(pending, letter, writer);
        }
        Ok(())
    }

    /// Writes the letters of one batch.
    fn take(&mut self, batch: &RecordBatch, pending: &mut Pending, writer: &mut LetterWriter<'_>) {
        let header = batch.header();
        let (first, last) = (header.base_offset, header.last_offset());
        let wanted: Vec<_> = pending
            .among(last)
            .map(|letter| DeadLetter { first: letter.first.max(first), ..letter })
            .filter(|letter| letter.first <= letter.last)
            .collect();
        let is_dense = header.record_count == header.last_offset_delta.saturating_add(1);
        if wanted.is_empty() || header.is_control() {
            // Nothing of it was given up, or no user's record was.
        } else if is_dense && !self.copies {
            wanted.iter().for_each(|letter| push_all(letter, letter.first, writer));
        } else {
            self.take_records(batch, &wanted, writer);
        }
        pending.from = pending.from.max(last.plus(1));
    }

    fn take_records(&mut self, batch: &RecordBatch, wanted: &[DeadLetter], writer: &mut LetterWriter<'_>) {
        let mut next = batch.header().base_offset;
        let mut is_whole = false;
        if let Ok(body) = batch.body(BODY_BYTES_MAX) {
            let mut records = batch.records(&body);
            is_whole = records.by_ref().all(|record| {
                let Ok(record) = record else { return false };
                next = record.offset.plus(1);
                let place = wanted.partition_point(|letter| letter.last < record.offset);
                if let Some(letter) = wanted.get(place).filter(|letter| letter.first <= record.offset) {
                    let content = self.copy(Content { key: record.key, value: record.value });
                    writer.push(record.offset, letter, content);
                }
                true
            });
        }
        if !is_whole {
            warn!(base_offset = %batch.header().base_offset, "dead letters go without records that can not be read");
            wanted.iter().for_each(|letter| push_all(letter, next, writer));
        }
    }

    /// The content, if it is to go with its letter.
    fn copy<'a>(&mut self, content: Content<'a>) -> Option<Content<'a>> {
        let left = self.content_bytes_left.checked_sub(content.byte_size()).filter(|_| self.copies)?;
        self.content_bytes_left = left;
        Some(content)
    }
}

/// Writes a letter without content for every offset of a range that is not done.
fn push_bare(pending: &mut Pending, letter: DeadLetter, writer: &mut LetterWriter<'_>) {
    push_all(&letter, pending.from, writer);
    pending.from = pending.from.max(letter.last.plus(1));
}

/// Writes a letter without content for every offset of a range, from `from` on.
fn push_all(letter: &DeadLetter, from: Offset, writer: &mut LetterWriter<'_>) {
    for offset in letter.first.max(from).0..=letter.last.0 {
        writer.push(Offset(offset), letter, None);
    }
}
