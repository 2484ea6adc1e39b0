//! Judges what a producer sends, by the rules of Kafka's own brokers.
//!
//! The header says almost everything; records are decompressed and walked only where the topic demands it (keys on
//! compacted topics, a lower bound for timestamps) or where an answer must name the records at fault.

use bytes::Bytes;

use crate::base::clock::Timestamp;
use crate::model::error::{Condition, Failure};
use crate::record::batch::{BatchError, BatchHeader, HEADER_BYTES, RecordBatch};
use crate::record::decompress::{Compression, DecompressError};

/// What a topic and a request allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchRules {
    /// The largest batch in bytes.
    pub batch_bytes_max: u32,
    /// Whether zstd may be used (from Produce v7 on).
    pub zstd_allowed: bool,
    /// Whether every record needs a key.
    pub keys_required: bool,
    /// Bounds of the producers' timestamps; none when the log stamps records itself.
    pub timestamps: Option<TimestampBounds>,
}

/// How far a producer's timestamps may lie from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampBounds {
    /// The present moment.
    pub now: Timestamp,
    /// How far before it; `i64::MAX` is no bound.
    pub before_max_ms: i64,
    /// How far after it; `i64::MAX` is no bound.
    pub after_max_ms: i64,
}

/// Why a batch is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidBatch {
    /// Condition and sentence.
    pub failure: Failure,
    /// The records at fault, by index, each with a sentence; at most [`FAULTS_MAX`].
    pub records: Vec<(i32, String)>,
}

/// How many records at fault an answer names.
pub const FAULTS_MAX: usize = 100;

/// The largest body that is decompressed for validation, whatever the topic's limit.
const BODY_BYTES_MAX: usize = 64 << 20;

/// A body may be this many times the largest batch.
const BODY_RATIO_MAX: usize = 16;

/// Accepts exactly one well-formed batch that obeys the rules.
///
/// # Errors
/// With the condition that Kafka's brokers answer.
pub fn validate(records: &Bytes, rules: &BatchRules) -> Result<BatchHeader, InvalidBatch> {
    if records.is_empty() {
        return Err(invalid(Condition::InvalidRecord, "a partition's records hold no batch"));
    }
    let batch = RecordBatch::parse(records).map_err(|error| refuse(&error))?;
    if batch.bytes().len() != records.len() {
        return Err(invalid(Condition::InvalidRecord, "a partition's records hold more than one batch"));
    }
    let header = *batch.header();
    if header.byte_size > rules.batch_bytes_max {
        let message =
            format!("record batch of {} bytes is larger than the topic's {}", header.byte_size, rules.batch_bytes_max);
        return Err(invalid(Condition::MessageTooLarge, message));
    }
    batch.verify().map_err(|error| refuse(&error))?;
    check_header(&header, rules)?;
    check_records(&batch, rules)?;
    Ok(header)
}

fn check_header(header: &BatchHeader, rules: &BatchRules) -> Result<(), InvalidBatch> {
    let refuse_record = |message: String| Err(invalid(Condition::InvalidRecord, message));
    let spanned = i64::from(header.last_offset_delta) + 1;
    if header.record_count <= 0 || spanned != i64::from(header.record_count) {
        return refuse_record(format!(
            "record batch counts {} records but spans {spanned} offsets",
            header.record_count
        ));
    }
    // A record takes at least 7 bytes; uncompressed, a larger count is a lie.
    let body_bytes = header.byte_size as usize - HEADER_BYTES;
    if header.compression() == Ok(Compression::None) && header.record_count as usize > body_bytes / 7 {
        return refuse_record(format!("record batch counts {} records in {body_bytes} bytes", header.record_count));
    }
    if header.base_offset.0 != 0 {
        return refuse_record(format!("a producer's base offset is 0, not {}", header.base_offset));
    }
    if header.is_control() {
        return refuse_record("clients may not write control batches".to_owned());
    }
    if header.producer_id.0 >= 0 && (header.base_sequence.0 < 0 || header.producer_epoch.0 < 0) {
        return refuse_record(format!(
            "producer {} sends sequence {} at epoch {}; both must be at least 0",
            header.producer_id.0, header.base_sequence.0, header.producer_epoch.0
        ));
    }
    if header.producer_id.0 < 0 && header.is_transactional() {
        return refuse_record("a transactional batch needs a producer id".to_owned());
    }
    match header.compression() {
        Ok(Compression::Zstd) if !rules.zstd_allowed => {
            Err(invalid(Condition::UnsupportedCompressionType, "zstd needs Produce version 7"))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(invalid(Condition::InvalidRecord, error.to_string())),
    }
}

fn check_records(batch: &RecordBatch, rules: &BatchRules) -> Result<(), InvalidBatch> {
    let header = batch.header();
    let mut walk = rules.keys_required;
    if let Some(bounds) = &rules.timestamps {
        if header.is_log_append_time() {
            return Err(invalid(Condition::InvalidTimestamp, "producers may not claim log append time"));
        }
        walk |= bounds.before_max_ms != i64::MAX || !bounds.hold(header.max_timestamp);
    }
    if !walk {
        return Ok(());
    }
    let bytes_max = (rules.batch_bytes_max as usize).saturating_mul(BODY_RATIO_MAX).min(BODY_BYTES_MAX);
    let body = batch.body(bytes_max).map_err(|error| refuse(&BatchError::Decompress(error)))?;
    let mut faults = Vec::new();
    let mut condition = Condition::InvalidRecord;
    for (index, record) in (0..).zip(batch.records(&body)) {
        let record = record.map_err(|error| refuse(&BatchError::Record(error)))?;
        if rules.keys_required && record.key.is_none() {
            faults.push((index, "compacted topics need a key in every record".to_owned()));
        } else if rules.timestamps.is_some_and(|bounds| !bounds.hold(record.timestamp)) {
            condition = Condition::InvalidTimestamp;
            faults.push((index, format!("timestamp {} lies outside of the topic's bounds", record.timestamp)));
        }
        if faults.len() == FAULTS_MAX {
            break;
        }
    }
    // The header may claim a time that no record carries; readers by time would believe it.
    if faults.is_empty() && rules.timestamps.is_some_and(|bounds| !bounds.after_holds(header.max_timestamp)) {
        let message = format!("largest timestamp {} lies outside of the topic's bounds", header.max_timestamp);
        return Err(invalid(Condition::InvalidTimestamp, message));
    }
    let Some((_, first)) = faults.first() else {
        return Ok(());
    };
    let message = format!("{} or more records are refused; the first: {first}", faults.len());
    Err(InvalidBatch { failure: Failure::new(condition, message), records: faults })
}

impl TimestampBounds {
    fn hold(&self, timestamp: Timestamp) -> bool {
        let earliest = self.now.0.saturating_sub(self.before_max_ms);
        timestamp == Timestamp::NONE || (timestamp.0 >= earliest && self.after_holds(timestamp))
    }

    fn after_holds(&self, timestamp: Timestamp) -> bool {
        timestamp.0 <= self.now.0.saturating_add(self.after_max_ms)
    }
}

fn refuse(error: &BatchError) -> InvalidBatch {
    let condition = match error {
        BatchError::Length(_) | BatchError::Checksum { .. } => Condition::CorruptMessage,
        // The formats before 2 exist, they are only no longer taken; a higher number is rubbish.
        BatchError::Magic(0 | 1) => Condition::InvalidRecord,
        BatchError::Magic(_) => Condition::CorruptMessage,
        // What is cut off is no batch to Kafka, and a partition without one is invalid.
        BatchError::Truncated { .. }
        | BatchError::Span { .. }
        | BatchError::Record(_)
        | BatchError::Decompress(DecompressError::UnknownCodec(_) | DecompressError::Malformed(_)) => {
            Condition::InvalidRecord
        }
        BatchError::Decompress(DecompressError::TooLarge(_)) => Condition::MessageTooLarge,
    };
    invalid(condition, error.to_string())
}

fn invalid(condition: Condition, message: impl Into<String>) -> InvalidBatch {
    InvalidBatch { failure: Failure::new(condition, message), records: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::crc::crc32c;
    use crate::model::producer::{ProducerEpoch, ProducerId, Sequence};
    use crate::record::build::{BatchBuilder, BatchShape, NewRecord};

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn rules() -> BatchRules {
        let timestamps = TimestampBounds { now: NOW, before_max_ms: i64::MAX, after_max_ms: 3_600_000 };
        BatchRules { batch_bytes_max: 1_000, zstd_allowed: true, keys_required: false, timestamps: Some(timestamps) }
    }

    fn builder(keys: &[Option<&str>]) -> BatchBuilder {
        shaped(BatchShape::default(), keys)
    }

    fn shaped(shape: BatchShape, keys: &[Option<&str>]) -> BatchBuilder {
        let mut builder = BatchBuilder::new(shape);
        for key in keys {
            let key = key.map(str::as_bytes);
            builder.push(&NewRecord { timestamp: NOW, key, value: Some(b"value"), headers: Vec::new() });
        }
        builder
    }

    fn check(records: impl Into<Bytes>, rules: &BatchRules, expected: Result<i32, Condition>) -> Vec<(i32, String)> {
        let outcome = validate(&records.into(), rules);
        let seen = outcome.as_ref().map(|header| header.record_count).map_err(|error| error.failure.condition);
        assert_eq!(seen, expected, "{outcome:?}");
        outcome.err().map(|error| error.records).unwrap_or_default()
    }

    /// A good batch with some bytes replaced and the checksum made right again.
    fn forged(position: usize, value: &[u8]) -> Vec<u8> {
        let mut bytes = builder(&[None]).build().expect("builds").to_vec();
        bytes[position..position + value.len()].copy_from_slice(value);
        let crc = crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    #[test]
    fn one_good_batch_passes_in_every_codec() {
        for code in 0..5 {
            let compression = Compression::from_attributes(code).expect("known");
            let builder = shaped(BatchShape { compression, ..BatchShape::default() }, &[Some("a"), Some("b")]);
            check(builder.build().expect("builds"), &BatchRules { keys_required: true, ..rules() }, Ok(2));
        }
    }

    #[test]
    fn what_is_not_exactly_one_batch_is_refused() {
        let batch = builder(&[None]).build().expect("builds");
        check(Bytes::new(), &rules(), Err(Condition::InvalidRecord));
        check([&batch[..], &batch[..]].concat(), &rules(), Err(Condition::InvalidRecord));
        check([&batch[..], b"x"].concat(), &rules(), Err(Condition::InvalidRecord));
        for bytes in [1, 10, 16, 17, 40, 60, 61, batch.len() - 1] {
            check(batch.slice(..bytes), &rules(), Err(Condition::InvalidRecord));
        }
        check(batch, &rules(), Ok(1));
    }

    #[test]
    fn lengths_that_lie_are_told_apart_as_kafka_does() {
        let length = |length: i32| forged(8, &length.to_be_bytes());
        let real = i32::try_from(length(0).len()).expect("small") - 12;
        check(length(real), &rules(), Ok(1));
        // More than is there: cut off, also where so much would be too large.
        check(length(real + 1), &rules(), Err(Condition::InvalidRecord));
        check(length(i32::MAX), &rules(), Err(Condition::InvalidRecord));
        // Less than a header.
        check(length(48), &rules(), Err(Condition::CorruptMessage));
        check(length(13), &rules(), Err(Condition::CorruptMessage));
        check(length(-1), &rules(), Err(Condition::CorruptMessage));
    }

    #[test]
    fn old_formats_are_invalid_and_unknown_ones_corrupt() {
        for magic in [0, 1] {
            check(forged(16, &[magic]), &rules(), Err(Condition::InvalidRecord));
        }
        for magic in [3, 0x7f, 0xff] {
            check(forged(16, &[magic]), &rules(), Err(Condition::CorruptMessage));
        }
    }

    #[test]
    fn a_flipped_bit_is_corruption() {
        let mut bytes = builder(&[None]).build().expect("builds").to_vec();
        *bytes.last_mut().expect("not empty") ^= 1;
        check(bytes, &rules(), Err(Condition::CorruptMessage));
    }

    #[test]
    fn size_is_judged_before_the_checksum_is_computed() {
        let bytes = builder(&[None]).build().expect("builds");
        let byte_size = bytes.len() as u32;
        check(bytes.clone(), &BatchRules { batch_bytes_max: byte_size, ..rules() }, Ok(1));
        check(bytes, &BatchRules { batch_bytes_max: byte_size - 1, ..rules() }, Err(Condition::MessageTooLarge));
    }

    #[test]
    fn headers_that_contradict_themselves_are_refused() {
        check(forged(23, &7_i32.to_be_bytes()), &rules(), Err(Condition::InvalidRecord));
        check(forged(57, &0_i32.to_be_bytes()), &rules(), Err(Condition::InvalidRecord));
        check(forged(57, &(-1_i32).to_be_bytes()), &rules(), Err(Condition::InvalidRecord));
        check(forged(0, &5_i64.to_be_bytes()), &rules(), Err(Condition::InvalidRecord));
        // Two billion records in a few bytes, consistently claimed.
        let mut liar = forged(23, &(i32::MAX - 1).to_be_bytes());
        liar[57..61].copy_from_slice(&i32::MAX.to_be_bytes());
        let crc = crc32c(&liar[21..]);
        liar[17..21].copy_from_slice(&crc.to_be_bytes());
        check(liar, &rules(), Err(Condition::InvalidRecord));
    }

    #[test]
    fn only_the_log_writes_control_batches() {
        let builder = shaped(BatchShape { control: true, ..BatchShape::default() }, &[None]);
        check(builder.build().expect("builds"), &rules(), Err(Condition::InvalidRecord));
    }

    #[test]
    fn a_producer_id_needs_a_sequence_and_an_epoch() {
        let with = |epoch, sequence| {
            let producer = Some((ProducerId(9), ProducerEpoch(epoch), Sequence(sequence)));
            shaped(BatchShape { producer, ..BatchShape::default() }, &[None]).build().expect("builds")
        };
        check(with(0, 0), &rules(), Ok(1));
        check(with(0, -1), &rules(), Err(Condition::InvalidRecord));
        check(with(-1, 0), &rules(), Err(Condition::InvalidRecord));
    }

    #[test]
    fn records_without_keys_are_named_on_compacted_topics() {
        for compression in [Compression::None, Compression::Zstd] {
            let builder =
                shaped(BatchShape { compression, ..BatchShape::default() }, &[Some("a"), None, Some("c"), None]);
            let rules = BatchRules { keys_required: true, ..rules() };
            let faults = check(builder.build().expect("builds"), &rules, Err(Condition::InvalidRecord));
            assert_eq!(faults.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1, 3]);
        }
    }

    #[test]
    fn timestamps_out_of_bounds_are_named() {
        let mut builder = builder(&[None]);
        builder.push_value(Timestamp(NOW.0 + 3_600_001), b"from the future");
        builder.push_value(Timestamp(NOW.0 - 10_000), b"late");
        let bytes = builder.build().expect("builds");
        let faults = check(bytes.clone(), &rules(), Err(Condition::InvalidTimestamp));
        assert_eq!(faults.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1]);
        let bounds = TimestampBounds { now: NOW, before_max_ms: 9_999, after_max_ms: i64::MAX };
        let strict = BatchRules { timestamps: Some(bounds), ..rules() };
        let faults = check(bytes.clone(), &strict, Err(Condition::InvalidTimestamp));
        assert_eq!(faults.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [2]);
        check(bytes, &BatchRules { timestamps: None, ..rules() }, Ok(3));
    }

    #[test]
    fn zstd_is_refused_below_produce_seven() {
        let batch = shaped(BatchShape { compression: Compression::Zstd, ..BatchShape::default() }, &[None])
            .build()
            .expect("builds");
        check(batch, &BatchRules { zstd_allowed: false, ..rules() }, Err(Condition::UnsupportedCompressionType));
        check(forged(21, &5_i16.to_be_bytes()), &rules(), Err(Condition::InvalidRecord));
    }

    #[test]
    fn a_bomb_is_refused_where_records_must_be_walked() {
        let mut builder = BatchBuilder::new(BatchShape { compression: Compression::Zstd, ..BatchShape::default() });
        let zeros = vec![0; 1 << 20];
        builder.push(&NewRecord { timestamp: NOW, key: Some(b"k"), value: Some(&zeros), headers: Vec::new() });
        let batch = builder.build().expect("builds");
        check(batch.clone(), &rules(), Ok(1));
        check(batch, &BatchRules { keys_required: true, ..rules() }, Err(Condition::MessageTooLarge));
    }
}
