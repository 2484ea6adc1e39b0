//! What the load consists of.

use bytes::Bytes;
use clap::Args;

use crate::base::clock::Timestamp;
use crate::base::rng::Rng;
use crate::cli::demo::logs::LogSource;
use crate::cli::error::{CliError, Result};
use crate::cli::output::units::parse_bytes;
use crate::cli::produce::Codec;
use crate::record::build::{BatchBuilder, BatchShape};

/// How many different batches are made beforehand, so that making them costs nothing during the measurement.
const VARIANTS: usize = 16;

/// The shape of the load.
#[derive(Args, Clone, Debug)]
pub struct PayloadArgs {
    /// Bytes of one record's value
    #[arg(long, value_name = "SIZE", default_value = "1KiB", value_parser = parse_bytes)]
    pub record_size: u64,
    /// Bytes of one batch, before compression
    #[arg(long, value_name = "SIZE", default_value = "64KiB", value_parser = parse_bytes)]
    pub batch_size: u64,
    /// Compression of batches
    #[arg(short = 'z', long, value_enum, default_value_t = Codec::None)]
    pub compression: Codec,
}

/// Batches, ready to be sent.
#[derive(Clone, Debug)]
pub struct Payload {
    batches: Vec<Bytes>,
    /// Records in each.
    pub records: u64,
    /// Bytes of their values.
    pub value_bytes: u64,
}

impl Payload {
    /// Makes batches of log lines, cut or repeated to size.
    ///
    /// # Errors
    /// When the sizes make no sense.
    pub fn make(args: &PayloadArgs, rng: &Rng, now: Timestamp) -> Result<Self> {
        let wrong = |reason: &str| Err(CliError::Usage(format!("--batch-size and --record-size: {reason}")));
        if args.record_size == 0 {
            return wrong("a record needs at least one byte");
        }
        if args.batch_size > 64 << 20 || args.record_size > 64 << 20 {
            return wrong("64 MiB is the most");
        }
        let records = (args.batch_size / args.record_size).max(1);
        let source = LogSource::new(rng.clone());
        let record_size = usize::try_from(args.record_size).unwrap_or(usize::MAX);
        let mut batches = Vec::with_capacity(VARIANTS);
        for _ in 0..VARIANTS {
            let mut batch =
                BatchBuilder::new(BatchShape { compression: args.compression.into(), ..BatchShape::default() });
            for _ in 0..records {
                batch.push_value(now, &value_of(&source, record_size, now));
            }
            batches.push(batch.build().map_err(|error| CliError::Failed(error.to_string()))?);
        }
        Ok(Self { batches, records, value_bytes: records * args.record_size })
    }

    /// The batch for request `number`.
    #[must_use]
    pub fn batch(&self, number: u64) -> Bytes {
        let index = usize::try_from(number % self.batches.len() as u64).unwrap_or(0);
        self.batches[index].clone()
    }
}

/// Log lines up to exactly `size` bytes.
#[must_use]
pub fn value_of(source: &LogSource, size: usize, now: Timestamp) -> Vec<u8> {
    let mut value = Vec::with_capacity(size);
    while value.len() < size {
        let line = source.next(now).line;
        let room = size - value.len();
        value.extend_from_slice(&line.as_bytes()[..line.len().min(room)]);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::batch::RecordBatch;

    #[test]
    fn batches_have_the_size_that_was_asked_for() {
        let args = PayloadArgs { record_size: 1000, batch_size: 64_000, compression: Codec::None };
        let payload = Payload::make(&args, &Rng::from_seed(1), Timestamp(5)).unwrap();
        assert_eq!((payload.records, payload.value_bytes), (64, 64_000));
        let batch = RecordBatch::parse(&payload.batch(17)).unwrap();
        batch.verify().unwrap();
        assert_eq!(batch.header().record_count, 64);
        assert!((64_000..66_000).contains(&batch.bytes().len()), "{}", batch.bytes().len());
    }

    #[test]
    fn sizes_that_make_no_sense_name_their_flags() {
        let args = PayloadArgs { record_size: 0, batch_size: 1, compression: Codec::None };
        let error = Payload::make(&args, &Rng::from_seed(1), Timestamp(5)).unwrap_err();
        assert!(error.to_string().contains("--record-size"));
    }
}
