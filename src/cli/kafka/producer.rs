//! Sends batches, once each: an idempotent producer with one batch in flight per partition.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{InitProducerIdRequest, ProduceRequest, ProduceResponse, TopicName};

use crate::cli::error::{CliError, Result};
use crate::cli::kafka::cluster::{BrokerInfo, Cluster, TopicInfo};
use crate::cli::kafka::connection::Connection;
use crate::cli::kafka::protocol::{ErrorCode, text};
use crate::model::producer::{ProducerEpoch, ProducerId, Sequence};
use crate::record::build::{BatchBuilder, BatchShape};
use crate::record::decompress::Compression;

/// How often a batch is sent again while the cluster says that a later try may succeed.
const ATTEMPTS: u32 = 20;
/// How long the broker may take before it gives up, in milliseconds.
const BROKER_TIMEOUT_MS: i32 = 30_000;

/// A producer for one topic.
#[derive(Debug)]
pub struct TopicProducer {
    cluster: Arc<Cluster>,
    topic: TopicInfo,
    brokers: BTreeMap<i32, BrokerInfo>,
    identity: (ProducerId, ProducerEpoch),
    next_sequences: BTreeMap<i32, Sequence>,
    compression: Compression,
}

impl TopicProducer {
    /// A producer with an id of its own. The topic is created where the cluster creates topics by itself.
    ///
    /// # Errors
    /// When the topic can not be used or no producer id is given out.
    pub async fn start(cluster: Arc<Cluster>, topic: &str, compression: Compression) -> Result<Self> {
        let (topic, brokers) = cluster.topic(topic, true).await?;
        let identity = producer_identity(&cluster).await?;
        Ok(Self { cluster, topic, brokers, identity, next_sequences: BTreeMap::new(), compression })
    }

    /// How many partitions the topic has.
    #[must_use]
    pub fn partition_count(&self) -> i32 {
        i32::try_from(self.topic.partitions.len()).unwrap_or(i32::MAX)
    }

    /// An empty batch, to be filled and then handed to [`TopicProducer::send`] for the same partition, before any
    /// other batch of that partition.
    #[must_use]
    pub fn batch(&self, partition: i32) -> BatchBuilder {
        let sequence = self.next_sequences.get(&partition).copied().unwrap_or(Sequence(0));
        let (producer_id, producer_epoch) = self.identity;
        BatchBuilder::new(BatchShape {
            compression: self.compression,
            producer: Some((producer_id, producer_epoch, sequence)),
            ..BatchShape::default()
        })
    }

    /// Sends a batch and waits until it is durable. Answers its first offset. Retried with the same sequence, so that
    /// a lost answer leaves no duplicate.
    ///
    /// # Errors
    /// When the cluster refuses it, or is gone for too long.
    pub async fn send(&mut self, partition: i32, batch: &BatchBuilder) -> Result<i64> {
        let built = batch.build().map_err(|error| CliError::Failed(error.to_string()))?;
        let mut backoff = self.cluster.backoff();
        let mut attempts_left = ATTEMPTS;
        loop {
            attempts_left -= 1;
            let failure = match self.send_once(partition, built.clone()).await {
                Ok(Ok(base_offset)) => {
                    let count = u32::try_from(batch.record_count()).unwrap_or(0);
                    let next = self.next_sequences.entry(partition).or_insert(Sequence(0));
                    *next = next.plus(count);
                    return Ok(base_offset);
                }
                Ok(Err((code, error))) if code.is_retriable() => error,
                Ok(Err((_, error))) => return Err(error),
                Err(error @ CliError::Unreachable(_)) => error,
                Err(error) => return Err(error),
            };
            if attempts_left == 0 {
                return Err(failure);
            }
            tokio::time::sleep(backoff.next_pause()).await;
            // Another broker may lead by now.
            if let Ok((topic, brokers)) = self.cluster.topic(&self.topic.name, false).await {
                (self.topic, self.brokers) = (topic, brokers);
            }
        }
    }

    async fn send_once(
        &self,
        partition: i32,
        records: Bytes,
    ) -> Result<std::result::Result<i64, (ErrorCode, CliError)>> {
        let leader = self.topic.partitions.iter().find(|info| info.partition == partition).map(|info| info.leader);
        let Some(broker) = leader.and_then(|leader| self.brokers.get(&leader)) else {
            let code = ErrorCode(ResponseError::LeaderNotAvailable.code());
            let name = &self.topic.name;
            let error = CliError::Failed(format!("partition {partition} of topic '{name}' has no leader"));
            return Ok(Err((code, error)));
        };
        let connection = self.cluster.at(&broker.address).await?;
        let sent = produce(&connection, &self.topic.name, partition, records).await;
        if matches!(sent, Err(CliError::Unreachable(_))) {
            self.cluster.forget(&broker.address).await;
        }
        sent
    }
}

/// A producer id of one's own.
///
/// # Errors
/// When the cluster gives none.
pub async fn producer_identity(cluster: &Cluster) -> Result<(ProducerId, ProducerEpoch)> {
    let mut backoff = cluster.backoff();
    let mut attempts_left = ATTEMPTS;
    loop {
        attempts_left -= 1;
        let request = InitProducerIdRequest::default().with_transactional_id(None).with_transaction_timeout_ms(60_000);
        let answer = cluster.send(4, &request).await?;
        match ErrorCode::of(answer.error_code) {
            None => return Ok((ProducerId(answer.producer_id.0), ProducerEpoch(answer.producer_epoch))),
            Some(code) if code.is_retriable() && attempts_left > 0 => tokio::time::sleep(backoff.next_pause()).await,
            Some(code) => return Err(CliError::Failed(format!("asking for a producer id: {code}"))),
        }
    }
}

/// One Produce request with one batch, acknowledged by all. Answers the batch's first offset, or the code and
/// sentence with which it was refused.
///
/// # Errors
/// When the broker does not answer.
pub async fn produce(
    connection: &Connection,
    topic: &str,
    partition: i32,
    records: Bytes,
) -> Result<std::result::Result<i64, (ErrorCode, CliError)>> {
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(records));
    let data = TopicProduceData::default().with_name(TopicName(text(topic))).with_partition_data(vec![data]);
    let request =
        ProduceRequest::default().with_acks(-1).with_timeout_ms(BROKER_TIMEOUT_MS).with_topic_data(vec![data]);
    // Up to version 12 topics go by name.
    let answer: ProduceResponse = connection.send(12, &request).await?;
    let Some(answer) = answer.responses.first().and_then(|topic| topic.partition_responses.first()) else {
        return Err(CliError::Failed(format!("the answer to Produce does not mention '{topic}'")));
    };
    let Some(code) = ErrorCode::of(answer.error_code) else { return Ok(Ok(answer.base_offset)) };
    let sentence = answer.error_message.as_ref().map(|message| format!(": {}", message.as_str()));
    let record = answer.record_errors.first().and_then(|error| error.batch_index_error_message.as_ref());
    let record = record.map(|message| format!(" ({})", message.as_str()));
    let error = CliError::Failed(format!(
        "producing to '{topic}' partition {partition}: {code}{}{}",
        sentence.unwrap_or_default(),
        record.unwrap_or_default()
    ));
    Ok(Err((code, error)))
}

/// Which partition a record goes to.
#[derive(Clone, Debug)]
pub struct Partitioner {
    count: u32,
    sticky: u32,
}

impl Partitioner {
    /// For a topic with `count` partitions, beginning anywhere (`start`) for records without a key.
    #[must_use]
    pub fn new(count: i32, start: u64) -> Self {
        let count = u32::try_from(count).unwrap_or(1).max(1);
        Self { count, sticky: u32::try_from(start % u64::from(count)).unwrap_or(0) }
    }

    /// The partition of a record: by murmur2 of its key as the Java client does, so that keys meet; the sticky
    /// one without a key.
    #[must_use]
    pub fn partition_of(&self, key: Option<&[u8]>) -> i32 {
        let partition = match key {
            Some(key) => (murmur2(key) & 0x7fff_ffff) % self.count,
            None => self.sticky,
        };
        i32::try_from(partition).unwrap_or(0)
    }

    /// Goes on to the next partition for records without a key.
    pub fn next_batch(&mut self) {
        self.sticky = (self.sticky + 1) % self.count;
    }
}

/// MurmurHash2 with the seed of Kafka's default partitioner.
fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let words = bytes.chunks_exact(4);
    let tail = words.remainder();
    for word in words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    if !tail.is_empty() {
        for (index, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_hash_as_in_the_java_client() {
        // From the test of Kafka's own Utils.murmur2.
        let check = |key: &str, expected: i32| assert_eq!(murmur2(key.as_bytes()).cast_signed(), expected, "{key}");
        check("21", -973_932_308);
        check("foobar", -790_332_482);
        check("a-little-bit-long-string", -985_981_536);
        check("a-little-bit-longer-string", -1_486_304_829);
        check("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971);
    }

    #[test]
    fn records_without_a_key_stay_together_until_the_batch_is_sent() {
        let mut partitioner = Partitioner::new(3, 5);
        assert_eq!((partitioner.partition_of(None), partitioner.partition_of(None)), (2, 2));
        partitioner.next_batch();
        assert_eq!(partitioner.partition_of(None), 0);
        let keyed = partitioner.partition_of(Some(b"k"));
        partitioner.next_batch();
        assert_eq!(partitioner.partition_of(Some(b"k")), keyed);
        assert!((0..3).contains(&keyed));
    }
}
