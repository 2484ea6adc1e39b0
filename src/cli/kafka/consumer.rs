//! Reads partitions from given offsets on.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse, TopicName};

use crate::base::backoff::Backoff;
use crate::cli::error::{CliError, Result};
use crate::cli::kafka::cluster::{BrokerInfo, Cluster, TopicInfo};
use crate::cli::kafka::offsets::{OffsetChoice, bounds};
use crate::cli::kafka::protocol::{ErrorCode, text};
use crate::cli::kafka::records::{ConsumedRecord, read};

/// How often a fetch is tried again while its broker is gone.
const ATTEMPTS: u32 = 20;

/// A partition by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Arc<str>,
    /// Its partition.
    pub partition: i32,
}

/// How to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchTuning {
    /// The longest wait for news, in milliseconds.
    pub wait_max_ms: i32,
    /// The most bytes of one answer.
    pub bytes_max: i32,
    /// Whether aborted and undecided transactions are left out.
    pub read_committed: bool,
}

impl Default for FetchTuning {
    fn default() -> Self {
        Self { wait_max_ms: 500, bytes_max: 8 << 20, read_committed: true }
    }
}

/// What one fetch gave of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedPartition {
    /// Which partition.
    pub partition: TopicPartition,
    /// New records, often none.
    pub records: Vec<ConsumedRecord>,
    /// Where the next fetch begins.
    pub next_offset: i64,
    /// Where reading ends for now: the high watermark, or the last stable offset for read_committed.
    pub end_offset: i64,
    /// How many bytes came, as they were produced.
    pub byte_count: usize,
}

/// Reads some partitions. Not tied to a group.
#[derive(Debug)]
pub struct Fetcher {
    cluster: Arc<Cluster>,
    topics: BTreeMap<Arc<str>, TopicInfo>,
    brokers: BTreeMap<i32, BrokerInfo>,
    positions: BTreeMap<TopicPartition, i64>,
    tuning: FetchTuning,
    backoff: Backoff,
    failures: u32,
    rounds: usize,
}

impl Fetcher {
    /// A fetcher without partitions.
    #[must_use]
    pub fn new(cluster: Arc<Cluster>, tuning: FetchTuning) -> Self {
        let backoff = cluster.backoff();
        let (topics, brokers, positions) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { cluster, topics, brokers, positions, tuning, backoff, failures: 0, rounds: 0 }
    }

    /// Reads exactly these partitions from now on, from these offsets.
    ///
    /// # Errors
    /// When a topic can not be used.
    pub async fn assign(&mut self, positions: BTreeMap<TopicPartition, i64>) -> Result<()> {
        self.positions = positions;
        self.refresh().await
    }

    /// Where each partition will be read next.
    #[must_use]
    pub fn positions(&self) -> &BTreeMap<TopicPartition, i64> {
        &self.positions
    }

    /// Reads a partition on from `offset` instead; no effect on one that is not assigned.
    pub fn seek(&mut self, partition: &TopicPartition, offset: i64) {
        if let Some(position) = self.positions.get_mut(partition) {
            *position = offset;
        }
    }

    async fn refresh(&mut self) -> Result<()> {
        let mut names: Vec<Arc<str>> = self.positions.keys().map(|partition| Arc::clone(&partition.topic)).collect();
        names.dedup();
        self.topics.clear();
        for name in names {
            let (topic, brokers) = self.cluster.topic(&name, false).await?;
            self.topics.insert(name, topic);
            self.brokers = brokers;
        }
        Ok(())
    }

    /// Waits for news of any partition, at most as long as the tuning says. Answers one entry per partition that the
    /// brokers spoke of. A broker that is gone is looked for again before this fails.
    ///
    /// Cancelling it loses nothing: positions move only when it answers.
    ///
    /// # Errors
    /// When a partition can not be read, or its broker stays away.
    pub async fn poll(&mut self) -> Result<Vec<FetchedPartition>> {
        let requests = self.requests();
        if requests.is_empty() {
            tokio::time::sleep(self.backoff.next_pause()).await;
            self.refresh().await?;
            return Ok(Vec::new());
        }
        let asked = requests.into_iter().map(|(address, request)| {
            let cluster = Arc::clone(&self.cluster);
            async move {
                let answer = match cluster.at(&address).await {
                    // Up to version 12 topics go by name.
                    Ok(connection) => connection.send(12, &request).await,
                    Err(error) => Err(error),
                };
                (address, answer)
            }
        });
        let mut news = Vec::new();
        let mut stale = None;
        for (address, answer) in join_all(asked).await {
            match answer {
                Ok(answer) => {
                    if let Some(code) = self.take(answer, &mut news).await? {
                        stale = Some(CliError::Failed(format!("fetching from {address}: {code}")));
                    }
                }
                Err(error @ CliError::Unreachable(_)) => {
                    self.cluster.forget(&address).await;
                    stale = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        match stale {
            None => self.failures = 0,
            Some(error) if self.failures >= ATTEMPTS => return Err(error),
            Some(_) => {
                self.failures += 1;
                tokio::time::sleep(self.backoff.next_pause()).await;
                // When even this fails, the next round tries again, up to the limit.
                let _ = self.refresh().await;
            }
        }
        for fetched in &news {
            self.positions.insert(fetched.partition.clone(), fetched.next_offset);
        }
        Ok(news)
    }

    /// One request per leader; partitions take turns at being first.
    fn requests(&mut self) -> BTreeMap<String, FetchRequest> {
        self.rounds = self.rounds.wrapping_add(1);
        let mut by_leader: BTreeMap<&str, Vec<(&TopicPartition, i64)>> = BTreeMap::new();
        for (partition, offset) in &self.positions {
            let info = self
                .topics
                .get(&partition.topic)
                .and_then(|topic| topic.partitions.iter().find(|info| info.partition == partition.partition));
            if let Some(broker) = info.and_then(|info| self.brokers.get(&info.leader)) {
                by_leader.entry(&broker.address).or_default().push((partition, *offset));
            }
        }
        let rounds = self.rounds;
        let requests = by_leader.into_iter().map(|(address, mut partitions)| {
            let turn = rounds % partitions.len();
            partitions.rotate_left(turn);
            (address.to_owned(), fetch_request(&partitions, self.tuning))
        });
        requests.collect()
    }

    async fn take(&mut self, answer: FetchResponse, news: &mut Vec<FetchedPartition>) -> Result<Option<ErrorCode>> {
        let mut stale = ErrorCode::of(answer.error_code);
        for topic in &answer.responses {
            let name: Arc<str> = topic.topic.as_str().into();
            for data in &topic.partitions {
                let partition = TopicPartition { topic: Arc::clone(&name), partition: data.partition_index };
                let Some(from) = self.positions.get(&partition).copied() else { continue };
                match ErrorCode::of(data.error_code) {
                    None => news.push(self.read(partition, from, data)?),
                    Some(code) if code.is(ResponseError::OffsetOutOfRange) => self.reset(&partition, from).await?,
                    Some(code) if code.is_retriable() => stale = Some(code),
                    Some(code) => {
                        let number = partition.partition;
                        return Err(CliError::Failed(format!("fetching '{name}' partition {number}: {code}")));
                    }
                }
            }
        }
        Ok(stale)
    }

    fn read(&self, partition: TopicPartition, from: i64, data: &PartitionData) -> Result<FetchedPartition> {
        let run = data.records.clone().unwrap_or_default();
        let aborted: Vec<(i64, i64)> = data
            .aborted_transactions
            .iter()
            .flatten()
            .map(|aborted| (aborted.producer_id.0, aborted.first_offset))
            .collect();
        let found = read(&run, from, &aborted).map_err(|reason| {
            CliError::Failed(format!("reading '{}' partition {}: {reason}", partition.topic, partition.partition))
        })?;
        let end_offset = if self.tuning.read_committed && data.last_stable_offset >= 0 {
            data.last_stable_offset
        } else {
            data.high_watermark
        };
        let (records, next_offset) = (found.records, found.next_offset);
        Ok(FetchedPartition { partition, records, next_offset, end_offset, byte_count: run.len() })
    }

    /// The records wanted are gone (retention): go on with the first that are left.
    async fn reset(&mut self, partition: &TopicPartition, from: i64) -> Result<()> {
        let Some(topic) = self.topics.get(&partition.topic) else { return Ok(()) };
        let bounds = bounds(&self.cluster, topic, &self.brokers, &[partition.partition]).await?;
        let bounds = bounds.get(&partition.partition).copied().unwrap_or_default();
        let to = from.clamp(bounds.start, bounds.end);
        tracing::warn!(topic = %partition.topic, partition = partition.partition, from, to, "offset is out of range");
        self.positions.insert(partition.clone(), to);
        Ok(())
    }
}

fn fetch_request(partitions: &[(&TopicPartition, i64)], tuning: FetchTuning) -> FetchRequest {
    let mut topics: Vec<FetchTopic> = Vec::new();
    for (partition, offset) in partitions {
        let wanted = FetchPartition::default()
            .with_partition(partition.partition)
            .with_fetch_offset(*offset)
            .with_partition_max_bytes(tuning.bytes_max);
        match topics.iter_mut().find(|topic| topic.topic.as_str() == &*partition.topic) {
            Some(topic) => topic.partitions.push(wanted),
            None => {
                let name = TopicName(text(&partition.topic));
                topics.push(FetchTopic::default().with_topic(name).with_partitions(vec![wanted]));
            }
        }
    }
    FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(tuning.wait_max_ms)
        .with_min_bytes(1)
        .with_max_bytes(tuning.bytes_max)
        .with_isolation_level(i8::from(tuning.read_committed))
        .with_session_epoch(-1)
        .with_topics(topics)
}

/// Positions of whole topics, or of some partitions, by an offset that people chose.
///
/// # Errors
/// When a topic or partition can not be used.
pub async fn positions_of(
    cluster: &Cluster,
    topics: &[String],
    partitions: &[i32],
    choice: OffsetChoice,
    clock: &dyn crate::base::clock::Clock,
) -> Result<BTreeMap<TopicPartition, i64>> {
    let mut positions = BTreeMap::new();
    for name in topics {
        let (topic, brokers) = cluster.topic(name, false).await?;
        let found = crate::cli::kafka::offsets::resolve(cluster, &topic, &brokers, partitions, choice, clock).await?;
        let name: Arc<str> = name.as_str().into();
        positions.extend(
            found
                .into_iter()
                .map(|(partition, offset)| (TopicPartition { topic: Arc::clone(&name), partition }, offset)),
        );
    }
    Ok(positions)
}
