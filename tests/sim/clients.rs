//! Simulated clients: they lose requests and answers, change agents, retry as real ones do, and write the history.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use towpath::base::clock::Timestamp;
use towpath::base::rng::Rng;
use towpath::config::topic::{TimestampType, TopicConfig};
use towpath::log::append::values::{AppendRequest, PartitionAppend};
use towpath::log::fetch::values::{FetchOutcome, FetchRequest, PartitionFetch};
use towpath::log::offsets::{OffsetQuery, OffsetSpec};
use towpath::model::error::Condition;
use towpath::model::offset::Offset;
use towpath::model::producer::{ProducerEpoch, ProducerId, Sequence};
use towpath::model::topic::{PartitionIndex, TopicId, TopicIdPartition};
use towpath::record::batch::Batches;
use towpath::record::build::{BatchBuilder, BatchShape, NewRecord};

use crate::history::{Operation, SendOutcome};
use crate::world::World;

/// Values of one simulated topic's partitions.
pub(crate) fn partition(topic: TopicId, index: u32) -> TopicIdPartition {
    TopicIdPartition::new(topic, PartitionIndex(i32::try_from(index).expect("small")))
}

fn batch(value: u64, padding: usize, producer: Option<(ProducerId, ProducerEpoch, Sequence)>) -> Bytes {
    let mut body = value.to_be_bytes().to_vec();
    body.resize(8 + padding, 7);
    let mut builder = BatchBuilder::new(BatchShape { producer, ..BatchShape::default() });
    builder.push(&NewRecord {
        timestamp: Timestamp(1_700_000_000_000 + i64::try_from(value).unwrap_or(0)),
        key: None,
        value: Some(&body),
        headers: Vec::new(),
    });
    builder.build().expect("an uncompressed batch can be built")
}

/// Records of a fetched run: (offset, value), from `from` on, and where the run ends.
pub(crate) fn values(records: Vec<Bytes>, from: i64) -> (Vec<(i64, u64)>, i64) {
    let (mut found, mut end) = (Vec::new(), from);
    let mut run = bytes::BytesMut::new();
    records.iter().for_each(|slice| run.extend_from_slice(slice));
    for batch in Batches::new(run.freeze()) {
        let batch = batch.expect("whole batches");
        batch.verify().expect("served bytes match their checksum");
        end = batch.header().last_offset().0 + 1;
        if batch.header().is_control() {
            continue;
        }
        let body = batch.body(1 << 20).expect("uncompressed");
        for record in batch.records(&body) {
            let record = record.expect("readable record");
            // A marker that has lost its attribute is no value that anybody sent.
            if let Some(value) = record.value.expect("a value").first_chunk() {
                found.push((record.offset.0, u64::from_be_bytes(*value)));
            }
        }
    }
    found.retain(|(offset, _)| *offset >= from);
    (found, end)
}

/// A producer with up to three batches of a partition in flight, each retried until it is acknowledged. An idempotent
/// one takes a new id now and then, as a client that starts again does: first batches are where agents know least.
pub(crate) struct SimProducer {
    pub(crate) world: Arc<World>,
    pub(crate) number: u32,
    pub(crate) id: Option<ProducerId>,
    pub(crate) rng: Rng,
}

impl SimProducer {
    /// Sends until the world says to stop; returns when everything was acknowledged.
    pub(crate) async fn run(self) {
        let producer = Arc::new(self);
        let mut sequences: BTreeMap<u32, Sequence> = BTreeMap::new();
        let mut in_flight: BTreeMap<u32, Vec<tokio::task::JoinHandle<()>>> = BTreeMap::new();
        let (mut count, mut id) = (0_u64, producer.id);
        while !producer.world.stopping() {
            if producer.rng.chance(0.02) {
                id = id.map(|id| ProducerId(id.0 + 100));
                sequences.clear();
            }
            let partition = u32::try_from(producer.rng.below(u64::from(producer.world.partitions))).expect("small");
            let flights = in_flight.entry(partition).or_default();
            flights.retain(|flight| !flight.is_finished());
            if flights.len() < 3 {
                let value = u64::from(producer.number) << 32 | count;
                count += 1;
                let sequence = *sequences.entry(partition).or_insert(Sequence(0));
                sequences.insert(partition, sequence.plus(1));
                let stamp = id.map(|id| (id, ProducerEpoch(0), sequence));
                let sender = Arc::clone(&producer);
                flights.push(tokio::spawn(async move { sender.send(partition, value, stamp).await }));
            }
            tokio::time::sleep(producer.rng.jitter(Duration::from_millis(60))).await;
        }
        for flight in in_flight.into_values().flatten() {
            flight.await.expect("senders do not panic");
        }
    }

    async fn send(&self, index: u32, value: u64, stamp: Option<(ProducerId, ProducerEpoch, Sequence)>) {
        let world = &self.world;
        let padding = usize::try_from(self.rng.below(600)).expect("small");
        let records = batch(value, padding, stamp);
        let called = world.moment();
        let mut unknown = false;
        loop {
            let request = AppendRequest {
                partitions: vec![PartitionAppend {
                    partition: partition(world.topic, index),
                    config: Arc::new(TopicConfig::default()),
                    records: records.clone(),
                }],
                timeout: Duration::from_secs(5),
                produce_version: 9,
            };
            let agent = world.any_agent(&self.rng);
            let answer = world
                .call(&self.rng, agent, move |services| async move { services.writer.append(request).await })
                .await;
            let outcome = match answer.map(|mut outcomes| outcomes.pop().expect("one outcome")) {
                None => {
                    unknown = true;
                    None
                }
                Some(Ok(appended)) => Some(SendOutcome::Acked(appended.base_offset.0)),
                Some(Err(refused)) => self.judge(refused.failure.condition, &mut unknown),
            };
            // Without idempotence a retry after an unknown outcome may write twice, so such a producer gives up.
            let outcome = outcome.or((self.id.is_none() && unknown).then_some(SendOutcome::Unknown));
            if let Some(outcome) = outcome {
                let operation = Operation::Send { producer: self.number, partition: index, value, outcome };
                return world.record(called, operation);
            }
            tokio::time::sleep(Duration::from_millis(20) + self.rng.jitter(Duration::from_millis(150))).await;
        }
    }

    /// `None`: try again. A refusal is final only when nothing about the send is unknown.
    fn judge(&self, condition: Condition, unknown: &mut bool) -> Option<SendOutcome> {
        match condition {
            Condition::RequestTimedOut | Condition::KafkaStorageError | Condition::NotLeaderOrFollower => {
                *unknown |= condition != Condition::NotLeaderOrFollower;
                None
            }
            // An earlier batch of this producer is still on its way: Kafka's clients try again, too.
            Condition::OutOfOrderSequenceNumber => None,
            // Acknowledged long ago, the answer was lost, and its offset is forgotten: fine for the producer.
            Condition::DuplicateSequenceNumber => Some(SendOutcome::Unknown),
            _ if *unknown => Some(SendOutcome::Unknown),
            other => panic!("a healthy send was refused for good: {other}"),
        }
    }
}

/// A consumer that follows every partition, each time at another agent.
pub(crate) struct SimConsumer {
    pub(crate) world: Arc<World>,
    pub(crate) number: u32,
    pub(crate) rng: Rng,
}

impl SimConsumer {
    pub(crate) async fn run(self) {
        let mut next: BTreeMap<u32, i64> = (0..self.world.partitions).map(|index| (index, 0)).collect();
        while !self.world.stopping() {
            let agent = self.world.any_agent(&self.rng);
            let wait = Duration::from_millis(self.rng.below(300));
            self.poll(agent, &mut next, wait).await;
            tokio::time::sleep(self.rng.jitter(Duration::from_millis(40))).await;
        }
    }

    /// One fetch of all partitions; says whether it was answered.
    async fn poll(&self, agent: usize, next: &mut BTreeMap<u32, i64>, wait: Duration) -> bool {
        let world = &self.world;
        let order: Vec<(u32, i64)> = next.iter().map(|(index, offset)| (*index, *offset)).collect();
        let request = FetchRequest {
            partitions: order
                .iter()
                .map(|(index, offset)| PartitionFetch {
                    partition: partition(world.topic, *index),
                    offset: Offset(*offset),
                    bytes_max: 4_000,
                    timestamp_type: TimestampType::CreateTime,
                })
                .collect(),
            bytes_min: 1,
            wait_max: wait,
            bytes_max: 10_000,
            read_committed: false,
        };
        let called = world.moment();
        let answer =
            world.call(&self.rng, agent, move |services| async move { services.reader.fetch(request).await }).await;
        let Some(outcomes) = answer else { return false };
        let mut answered = true;
        let empty = |outcome: &FetchOutcome| outcome.as_ref().is_ok_and(|fetched| fetched.records.is_empty());
        let claims_end = outcomes.iter().all(empty);
        for ((index, from), outcome) in order.into_iter().zip(outcomes) {
            match outcome {
                Ok(fetched) => {
                    let (records, end) = values(fetched.records, from);
                    next.insert(index, end);
                    let high_watermark = fetched.bounds.high_watermark.0;
                    let consumer = self.number;
                    world.record(
                        called,
                        Operation::Read { consumer, partition: index, from, records, high_watermark, claims_end },
                    );
                }
                Err(failure) => {
                    assert!(
                        matches!(
                            failure.condition,
                            // A bit that flips on the way from the bucket must not reach a client; the next try may.
                            Condition::KafkaStorageError | Condition::NotLeaderOrFollower | Condition::CorruptMessage
                        ),
                        "a healthy fetch of partition {index} from {from} was refused: {failure:?}"
                    );
                    answered = false;
                }
            }
        }
        answered
    }

    /// After all faults: reads every partition from its beginning to an end that the metastore itself names.
    pub(crate) async fn read_to_end(&self) {
        let world = &self.world;
        let ends = world.ends().await;
        for index in 0..world.partitions {
            let mut next = BTreeMap::from([(index, 0)]);
            let called = world.moment();
            let mut all = Vec::new();
            let mut patience = 0;
            while next[&index] < ends[&index] {
                let before = world.events();
                let agent = world.any_agent(&self.rng);
                let answered = self.poll(agent, &mut next, Duration::from_millis(100)).await;
                all.extend(world.records_since(before, self.number, index));
                patience += 1;
                assert!(patience < 5_000, "partition {index} can not be read to its end ({answered})");
            }
            world.record(called, Operation::Final { partition: index, records: all });
        }
    }
}

/// Asks for ends, each time at another agent.
pub(crate) struct SimObserver {
    pub(crate) world: Arc<World>,
    pub(crate) rng: Rng,
}

impl SimObserver {
    pub(crate) async fn run(self) {
        while !self.world.stopping() {
            let world = &self.world;
            let index = u32::try_from(self.rng.below(u64::from(world.partitions))).expect("small");
            let query = OffsetQuery {
                partition: partition(world.topic, index),
                spec: OffsetSpec::Latest,
                timestamp_type: TimestampType::CreateTime,
                read_committed: false,
            };
            let called = world.moment();
            let agent = world.any_agent(&self.rng);
            let answer = world
                .call(&self.rng, agent, move |services| async move { services.offsets.find(vec![query]).await })
                .await;
            if let Some(Ok(found)) = answer.and_then(|mut answers| answers.pop()) {
                world.record(called, Operation::End { partition: index, high_watermark: found.offset.0 });
            }
            tokio::time::sleep(self.rng.jitter(Duration::from_millis(200))).await;
        }
    }
}
