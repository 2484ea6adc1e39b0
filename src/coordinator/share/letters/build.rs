//! Letters as records, and records as batches. Pure.
//!
//! A letter says in its headers which record it stands for, in text, and may carry that record's key and value:
//!
//! | header | text |
//! |---|---|
//! | `__dlq.errors.topic`, `…partition`, `…offset` | where the record is |
//! | `__dlq.errors.group` | who gave it up |
//! | `__dlq.errors.delivery.count` | after how many deliveries |
//! | `__dlq.errors.message` | why |

use bytes::Bytes;

use crate::base::clock::Timestamp;
use crate::config::topic::TopicConfig;
use crate::coordinator::share::partition::letter::{DeadLetter, LetterCause};
use crate::model::group::GroupId;
use crate::model::offset::Offset;
use crate::model::topic::{PartitionIndex, TopicName};
use crate::record::batch::HEADER_BYTES;
use crate::record::build::{BatchBuilder, NewRecord};

/// A batch is closed before it grows beyond this, whatever its topic allows.
const BATCH_BYTES_WISHED: usize = 1 << 20;

/// Where the records of some letters are, as their headers say it.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    pub group_id: GroupId,
    pub topic: TopicName,
    pub partition: PartitionIndex,
}

/// A record's content.
#[derive(Clone, Copy, Debug)]
pub(super) struct Content<'a> {
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
}

impl Content<'_> {
    const NONE: Self = Self { key: None, value: None };

    pub(super) fn byte_size(&self) -> usize {
        self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len)
    }
}

/// What became of the letters of one partition.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub batches: Vec<Bytes>,
    /// Letters in the batches.
    pub written: u64,
    /// Letters that the topic can not take.
    pub dropped: u64,
}

/// Writes the letters of one partition, in order.
#[derive(Debug)]
pub(super) struct LetterWriter<'a> {
    sender: &'a Sender,
    batch_bytes_max: usize,
    keys_required: bool,
    now: Timestamp,
    open: BatchBuilder,
    done: Written,
}

impl<'a> LetterWriter<'a> {
    /// Letters of `sender` for a topic with that configuration.
    pub(super) fn new(sender: &'a Sender, config: &TopicConfig, now: Timestamp) -> Self {
        Self {
            sender,
            batch_bytes_max: config.message_bytes_max as usize,
            keys_required: config.compacted,
            now,
            open: BatchBuilder::default(),
            done: Written::default(),
        }
    }

    /// Writes the letter of one record. Content that does not fit into a batch of the topic stays behind.
    pub(super) fn push(&mut self, offset: Offset, letter: &DeadLetter, content: Option<Content<'_>>) {
        let texts = [
            self.sender.topic.as_str().to_owned(),
            self.sender.partition.0.to_string(),
            offset.0.to_string(),
            self.sender.group_id.as_str().to_owned(),
            letter.delivery_count.to_string(),
            message(letter.cause).to_owned(),
        ];
        let headers = NAMES.iter().zip(&texts).map(|(name, text)| (name.as_bytes(), Some(text.as_bytes()))).collect();
        let Content { key, value } = content.unwrap_or(Content::NONE);
        let mut record = NewRecord { timestamp: self.now, key, value, headers };
        if !self.fits(&record) {
            (record.key, record.value) = (None, None);
        }
        if (self.keys_required && record.key.is_none()) || !self.fits(&record) {
            self.done.dropped += 1;
            return;
        }
        let count = self.open.record_count();
        let grown = HEADER_BYTES + self.open.body_bytes() + record_bytes(&record, count);
        if count > 0 && grown > self.batch_bytes_max.min(BATCH_BYTES_WISHED) {
            self.close();
        }
        self.open.push(&record);
        self.done.written += 1;
    }

    /// The batches.
    pub(super) fn finish(mut self) -> Written {
        self.close();
        self.done
    }

    fn fits(&self, record: &NewRecord<'_>) -> bool {
        HEADER_BYTES + record_bytes(record, 0) <= self.batch_bytes_max
    }

    fn close(&mut self) {
        let full = std::mem::take(&mut self.open);
        if full.record_count() > 0 {
            self.done.batches.push(full.build().expect("without compression nothing can fail"));
        }
    }
}

const NAMES: [&str; 6] = [
    "__dlq.errors.topic",
    "__dlq.errors.partition",
    "__dlq.errors.offset",
    "__dlq.errors.group",
    "__dlq.errors.delivery.count",
    "__dlq.errors.message",
];

fn message(cause: LetterCause) -> &'static str {
    match cause {
        LetterCause::Rejected => "Offset rejected by client.",
        LetterCause::DeliveryLimit => "Offset delivery count exceeded the threshold.",
    }
}

/// How many bytes a record takes as the batch's record number `index`, without compression. All records of a batch
/// have the same timestamp.
fn record_bytes(record: &NewRecord<'_>, index: i32) -> usize {
    let headers = record.headers.iter().map(|(name, value)| nullable_bytes(Some(name)) + nullable_bytes(*value));
    let fields = 1
        + varint_bytes(0)
        + varint_bytes(i64::from(index))
        + nullable_bytes(record.key)
        + nullable_bytes(record.value)
        + varint_bytes(record.headers.len() as i64)
        + headers.sum::<usize>();
    varint_bytes(fields as i64) + fields
}

fn nullable_bytes(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(varint_bytes(-1), |bytes| varint_bytes(bytes.len() as i64) + bytes.len())
}

fn varint_bytes(value: i64) -> usize {
    let zigzag = ((value << 1) ^ (value >> 63)).cast_unsigned();
    (64 - zigzag.leading_zeros().min(63) as usize).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::batch::RecordBatch;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_123);

    fn sender() -> Sender {
        Sender {
            group_id: GroupId::from("workers"),
            topic: TopicName::new("orders").expect("legal"),
            partition: PartitionIndex(3),
        }
    }

    fn config(message_bytes_max: u32) -> TopicConfig {
        TopicConfig { message_bytes_max, ..TopicConfig::default() }
    }

    const REJECTED: DeadLetter =
        DeadLetter { first: Offset(0), last: Offset(99), delivery_count: 2, cause: LetterCause::Rejected };

    /// Offset, key, value and headers of every letter, by batch.
    type Letters = Vec<Vec<(String, Option<Vec<u8>>, Option<Vec<u8>>)>>;

    fn read(written: &Written) -> Letters {
        let batch = |bytes: &Bytes| {
            let batch = RecordBatch::parse(bytes).expect("well-formed");
            batch.verify().expect("a good checksum");
            let records = batch.records(&bytes[HEADER_BYTES..]).map(|record| {
                let record = record.expect("well-formed");
                assert_eq!(record.timestamp, NOW);
                let mut headers = record.headers;
                let offset = headers.find(|(name, _)| *name == b"__dlq.errors.offset").and_then(|(_, text)| text);
                let offset = String::from_utf8(offset.expect("there").to_vec()).expect("text");
                (offset, record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec))
            });
            records.collect()
        };
        written.batches.iter().map(batch).collect()
    }

    #[test]
    fn headers_are_text_and_say_where_who_and_why() {
        let sender = sender();
        let mut writer = LetterWriter::new(&sender, &config(1_000), NOW);
        let limit = DeadLetter { delivery_count: 5, cause: LetterCause::DeliveryLimit, ..REJECTED };
        writer.push(Offset(41), &REJECTED, None);
        writer.push(Offset(42), &limit, Some(Content { key: None, value: Some(b"v") }));
        let written = writer.finish();
        assert_eq!((written.written, written.dropped, written.batches.len()), (2, 0, 1));
        let batch = RecordBatch::parse(&written.batches[0]).expect("well-formed");
        let texts: Vec<Vec<(String, String)>> = batch
            .records(&written.batches[0][HEADER_BYTES..])
            .map(|record| {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
                let headers = record.expect("well-formed").headers;
                headers.map(|(name, value)| (text(name), text(value.expect("never null")))).collect()
            })
            .collect();
        let expected = |offset: &str, count: &str, message: &str| {
            let texts = ["orders", "3", offset, "workers", count, message];
            NAMES.iter().zip(texts).map(|(name, text)| ((*name).to_owned(), text.to_owned())).collect::<Vec<_>>()
        };
        assert_eq!(texts[0], expected("41", "2", "Offset rejected by client."));
        assert_eq!(texts[1], expected("42", "5", "Offset delivery count exceeded the threshold."));
        assert_eq!(read(&written)[0][1].2.as_deref(), Some(&b"v"[..]));
    }

    /// The largest value that fits beside its headers into a batch of `bytes_max`.
    fn room(bytes_max: u32) -> usize {
        let sender = sender();
        let fits = |length: usize| {
            let mut writer = LetterWriter::new(&sender, &config(bytes_max), NOW);
            let value = vec![b'x'; length];
            writer.push(Offset(7), &REJECTED, Some(Content { key: Some(b"k"), value: Some(&value) }));
            let written = writer.finish();
            assert!(written.batches.iter().all(|batch| batch.len() <= bytes_max as usize));
            read(&written)[0][0].2.is_some()
        };
        (0..bytes_max as usize).take_while(|length| fits(*length)).last().expect("something fits")
    }

    #[test]
    fn content_is_copied_up_to_the_very_last_byte_that_fits() {
        let sender = sender();
        let room = room(600);
        for (length, copied) in [(room, true), (room + 1, false)] {
            let mut writer = LetterWriter::new(&sender, &config(600), NOW);
            let value = vec![b'x'; length];
            writer.push(Offset(7), &REJECTED, Some(Content { key: Some(b"k"), value: Some(&value) }));
            let written = writer.finish();
            let expected = if copied { (Some(b"k".to_vec()), Some(value)) } else { (None, None) };
            let (_, key, value) = read(&written)[0][0].clone();
            assert_eq!((key, value), expected, "{length} bytes");
            assert!(!copied || written.batches[0].len() == 600, "{} bytes", written.batches[0].len());
        }
    }

    #[test]
    fn batches_stay_below_the_topics_limit_and_keep_the_order() {
        let sender = sender();
        let mut writer = LetterWriter::new(&sender, &config(900), NOW);
        for offset in 0..40 {
            let value = vec![b'x'; usize::try_from(offset * 7 % 300).expect("small")];
            writer.push(Offset(offset), &REJECTED, Some(Content { key: None, value: Some(&value) }));
        }
        let written = writer.finish();
        assert!(written.batches.len() > 10);
        assert!(written.batches.iter().all(|batch| batch.len() <= 900));
        let offsets: Vec<_> = read(&written).concat().into_iter().map(|(offset, _, _)| offset).collect();
        assert_eq!(offsets, (0..40).map(|offset| offset.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn a_topic_that_can_not_take_a_letter_gets_none() {
        let sender = sender();
        let check = |config: &TopicConfig, content: Option<Content<'_>>, expected: (u64, u64)| {
            let mut writer = LetterWriter::new(&sender, config, NOW);
            writer.push(Offset(7), &REJECTED, content);
            let written = writer.finish();
            assert_eq!((written.written, written.dropped), expected);
        };
        check(&config(200), None, (0, 1));
        let compacted = TopicConfig { compacted: true, ..config(1_000) };
        check(&compacted, None, (0, 1));
        check(&compacted, Some(Content { key: Some(b"k"), value: None }), (1, 0));
        check(&compacted, Some(Content { key: None, value: Some(b"v") }), (0, 1));
    }

    proptest! {
        #[test]
        fn sizes_are_reckoned_exactly(
            parts in prop::collection::vec(
                (prop::option::of(prop::collection::vec(any::<u8>(), 0..200)), prop::option::of(0_usize..70_000)),
                1..150,
            ),
        ) {
            let mut builder = BatchBuilder::default();
            for (index, (key, length)) in (0..).zip(parts) {
                let value = length.map(|length| vec![0; length]);
                let headers = vec![(&b"name"[..], key.as_deref())];
                let record = NewRecord { timestamp: NOW, key: key.as_deref(), value: value.as_deref(), headers };
                let before = builder.body_bytes();
                builder.push(&record);
                prop_assert_eq!(builder.body_bytes() - before, record_bytes(&record, index));
            }
        }
    }
}
