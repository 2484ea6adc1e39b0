//! `towpath produce`: lines of standard input become records.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use clap::{Args, ValueEnum};
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::cli::context::{ClientArgs, Context};
use crate::cli::delimiter::{Delimiter, split_pair};
use crate::cli::error::{CliError, Result};
use crate::cli::kafka::producer::{Partitioner, TopicProducer};
use crate::cli::topic::pairs::parse_pair;
use crate::record::build::NewRecord;
use crate::record::decompress::Compression;

/// A batch is sent at this size: below the usual limit of a batch, 1 MiB, with room for one more record.
const BATCH_BYTES: usize = 512 << 10;
/// A record alone may not be larger than this; the broker has the last word.
const RECORD_BYTES_MAX: usize = 64 << 20;
/// A batch waits for more input no longer than this.
const LINGER: Duration = Duration::from_millis(20);

/// Read records from standard input, one a line, and produce them
#[derive(Args, Clone, Debug)]
pub struct ProduceArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// Where to; created when the cluster creates topics by itself
    topic: String,
    /// Which partition; by the key's hash, or in turns, by default
    #[arg(short, long)]
    partition: Option<i32>,
    /// What separates key and value in a record; without it there are no keys
    #[arg(short = 'K', long, value_name = "TEXT")]
    key_delimiter: Option<Delimiter>,
    /// The key of every record that has none of its own
    #[arg(short, long)]
    key: Option<String>,
    /// What ends a record; \n, \t, \0 and \xNN are understood
    #[arg(short = 'D', long, value_name = "TEXT", default_value = "\\n")]
    delimiter: Delimiter,
    /// A header for every record; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME=VALUE", value_parser = parse_pair)]
    headers: Vec<(String, String)>,
    /// Compression of batches
    #[arg(short = 'z', long, value_enum, default_value_t = Codec::None)]
    compression: Codec,
    /// Produce empty values as null (a tombstone on compacted topics)
    #[arg(short = 'Z', long)]
    null_values: bool,
    /// Read this file instead of standard input
    #[arg(short, long, value_name = "PATH")]
    file: Option<PathBuf>,
}

/// A codec by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Codec {
    /// As it is
    None,
    /// gzip
    Gzip,
    /// snappy
    Snappy,
    /// lz4
    Lz4,
    /// zstd
    Zstd,
}

impl From<Codec> for Compression {
    fn from(codec: Codec) -> Self {
        match codec {
            Codec::None => Self::None,
            Codec::Gzip => Self::Gzip,
            Codec::Snappy => Self::Snappy,
            Codec::Lz4 => Self::Lz4,
            Codec::Zstd => Self::Zstd,
        }
    }
}

#[derive(Debug, Serialize)]
struct Summary<'a> {
    topic: &'a str,
    records: u64,
    batches: u64,
}

/// Runs the command until the input ends.
///
/// # Errors
/// When the input can not be read or the cluster refuses a batch. What was sent before is durable.
pub async fn run(context: &mut Context, args: &ProduceArgs) -> Result<()> {
    let input: Box<dyn AsyncRead + Send + Unpin> = match &args.file {
        Some(path) => Box::new(
            tokio::fs::File::open(path)
                .await
                .map_err(|error| CliError::Usage(format!("--file {} can not be read: {error}", path.display())))?,
        ),
        None => Box::new(tokio::io::stdin()),
    };
    let cluster = context.connect(&args.client).await?;
    let producer = TopicProducer::start(Arc::clone(&cluster), &args.topic, args.compression.into()).await?;
    let count = producer.partition_count();
    if let Some(partition) = args.partition.filter(|partition| !(0..count).contains(partition)) {
        let topic = &args.topic;
        return Err(CliError::Usage(format!("topic '{topic}' has no partition {partition}, only 0 to {}", count - 1)));
    }
    let partitioner = Partitioner::new(count, context.rng.next_u64());
    let mut sender = Sender { args, producer, partitioner, pending: Vec::new(), bytes: 0, records: 0, batches: 0 };
    sender.pump(input, &context.clock).await?;
    let summary = Summary { topic: &args.topic, records: sender.records, batches: sender.batches };
    if context.printer.is_json() {
        return context.printer.object(&summary, |_| String::new());
    }
    tracing::info!(topic = summary.topic, records = summary.records, batches = summary.batches, "produced");
    Ok(())
}

/// A record that waits for its batch.
struct PendingRecord {
    partition: i32,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

/// Records on their way into batches.
struct Sender<'a> {
    args: &'a ProduceArgs,
    producer: TopicProducer,
    partitioner: Partitioner,
    pending: Vec<PendingRecord>,
    bytes: usize,
    records: u64,
    batches: u64,
}

impl Sender<'_> {
    async fn pump(
        &mut self,
        mut input: Box<dyn AsyncRead + Send + Unpin>,
        clock: &Arc<dyn crate::base::clock::Clock>,
    ) -> Result<()> {
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(64 << 10);
            let idle = !self.pending.is_empty();
            let read = tokio::select! {
                biased;
                read = input.read_buf(&mut buffer) => Some(read),
                // Cancelling a read that has not finished loses nothing: bytes go into the buffer at once.
                () = tokio::time::sleep(LINGER), if idle => None,
            };
            let Some(read) = read else {
                self.flush(clock).await?;
                continue;
            };
            let ended = read.map_err(|error| CliError::Failed(format!("input can not be read: {error}")))? == 0;
            while let Some(record) = self.args.delimiter.cut(&mut buffer) {
                self.take(&record, clock).await?;
            }
            if buffer.len() > RECORD_BYTES_MAX {
                return Err(CliError::Failed(
                    "a record is larger than 64 MiB; does --delimiter fit the input?".to_owned(),
                ));
            }
            if ended {
                if !buffer.is_empty() {
                    let rest = buffer.split();
                    self.take(&rest, clock).await?;
                }
                return self.flush(clock).await;
            }
        }
    }

    async fn take(&mut self, record: &[u8], clock: &Arc<dyn crate::base::clock::Clock>) -> Result<()> {
        let (key, value) = match &self.args.key_delimiter {
            Some(delimiter) => split_pair(record, delimiter),
            None => (None, record),
        };
        let key = key.map(<[u8]>::to_vec).or_else(|| self.args.key.as_ref().map(|key| key.clone().into_bytes()));
        let value = (!(self.args.null_values && value.is_empty())).then(|| value.to_vec());
        let partition = self.args.partition.unwrap_or_else(|| self.partitioner.partition_of(key.as_deref()));
        let size = key.as_ref().map_or(0, Vec::len) + value.as_ref().map_or(0, Vec::len) + 32;
        if self.bytes + size > BATCH_BYTES && !self.pending.is_empty() {
            self.flush(clock).await?;
        }
        self.bytes += size;
        self.pending.push(PendingRecord { partition, key, value });
        Ok(())
    }

    /// Sends what is pending, one batch per partition.
    async fn flush(&mut self, clock: &Arc<dyn crate::base::clock::Clock>) -> Result<()> {
        let mut pending = std::mem::take(&mut self.pending);
        self.bytes = 0;
        self.partitioner.next_batch();
        // Stable: records of one partition keep their order.
        pending.sort_by_key(|record| record.partition);
        let headers: Vec<(&[u8], Option<&[u8]>)> =
            self.args.headers.iter().map(|(name, value)| (name.as_bytes(), Some(value.as_bytes()))).collect();
        for records in pending.chunk_by(|one, other| one.partition == other.partition) {
            let partition = records.first().map_or(0, |record| record.partition);
            let mut batch = self.producer.batch(partition);
            let timestamp = clock.now();
            for record in records {
                batch.push(&NewRecord {
                    timestamp,
                    key: record.key.as_deref(),
                    value: record.value.as_deref(),
                    headers: headers.clone(),
                });
            }
            self.producer.send(partition, &batch).await?;
            self.records += records.len() as u64;
            self.batches += 1;
        }
        Ok(())
    }
}
