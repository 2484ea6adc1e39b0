//! The demo's producers and consumers.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::base::clock::Clock;
use crate::base::rng::Rng;
use crate::cli::demo::logs::LogSource;
use crate::cli::demo::stats::Stats;
use crate::cli::error::Result;
use crate::cli::kafka::cluster::Cluster;
use crate::cli::kafka::consumer::FetchTuning;
use crate::cli::kafka::group::GroupConsumer;
use crate::cli::kafka::offsets::OffsetChoice;
use crate::cli::kafka::producer::TopicProducer;
use crate::cli::kafka::records::ConsumedRecord;
use crate::record::build::NewRecord;
use crate::record::decompress::Compression;

/// The header that carries when a record was made, in microseconds since the demo began: record timestamps have
/// milliseconds, which is as long as the whole way takes.
const MADE_HEADER: &[u8] = b"made-us";
/// How often a producer sends what has come together.
const TICK: Duration = Duration::from_millis(20);
/// A producer that was held up does not try to make up for more than this.
const BATCH_RECORDS_MAX: u64 = 5_000;

/// What every worker needs.
#[derive(Clone, Debug)]
pub struct Worker {
    /// The cluster to work with.
    pub cluster: Arc<Cluster>,
    /// Wall clock, for record timestamps.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub rng: Rng,
    /// Where everything is counted.
    pub stats: Stats,
    /// When the demo began.
    pub began: Instant,
    /// Cancelled when it ends.
    pub stop: CancellationToken,
}

impl Worker {
    /// Writes logs at a steady rate, batch by batch, to one partition after the other.
    ///
    /// # Errors
    /// When the topic can not be written.
    pub async fn produce(self, topic: String, records_per_second: f64) -> Result<()> {
        let mut producer = TopicProducer::start(Arc::clone(&self.cluster), &topic, Compression::Lz4).await?;
        let source = LogSource::new(self.rng.clone());
        let count = u64::try_from(producer.partition_count()).unwrap_or(1).max(1);
        let began = Instant::now();
        let (mut made, mut round) = (0_u64, self.rng.below(count));
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(()),
                _ = ticks.tick() => {}
            }
            let due = (began.elapsed().as_secs_f64() * records_per_second) as u64;
            let batch_records = due.saturating_sub(made).min(BATCH_RECORDS_MAX);
            made = due;
            if batch_records == 0 {
                continue;
            }
            round += 1;
            let partition = i32::try_from(round % count).unwrap_or(0);
            let mut batch = producer.batch(partition);
            let mut byte_count = 0;
            for _ in 0..batch_records {
                let timestamp = self.clock.now();
                let record = source.next(timestamp);
                let made_us = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX).to_be_bytes();
                byte_count += record.line.len() as u64;
                batch.push(&NewRecord {
                    timestamp,
                    key: Some(record.service.as_bytes()),
                    value: Some(record.line.as_bytes()),
                    headers: vec![(MADE_HEADER, Some(&made_us))],
                });
            }
            let sent = Instant::now();
            producer.send(partition, &batch).await?;
            self.stats.produced(batch_records, byte_count, sent.elapsed());
        }
    }

    /// Reads the topic as a member of a group.
    ///
    /// # Errors
    /// When the group or topic can not be used.
    pub async fn consume(self, topic: String, group: String) -> Result<()> {
        let tuning = FetchTuning::default();
        let topics = [topic];
        let (cluster, clock) = (Arc::clone(&self.cluster), Arc::clone(&self.clock));
        let mut consumer = GroupConsumer::new(cluster, clock, &group, &topics, OffsetChoice::Beginning, tuning);
        loop {
            let news = tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                news = consumer.poll() => news?,
            };
            for record in news.iter().flat_map(|fetched| &fetched.records) {
                let byte_count = record.value.as_ref().map_or(0, |value| value.len() as u64);
                self.stats.consumed(byte_count, self.since_made(record));
            }
        }
        consumer.leave().await
    }

    fn since_made(&self, record: &ConsumedRecord) -> Option<Duration> {
        let value = record.headers.iter().find(|(name, _)| name.as_bytes() == MADE_HEADER)?.1.as_ref()?;
        let made = Duration::from_micros(u64::from_be_bytes(value.as_ref().try_into().ok()?));
        Some(self.began.elapsed().saturating_sub(made))
    }
}
