//! Transactions as the log will offer them, in a world whose log has none yet: the simulated world writes transactional
//! batches and markers into the log past the agents, in the metastore's own steps, and the agents' links tell of them.
//!
//! ```text
//! transactor ─► bucket, metastore: transactional batches … all its markers in one step
//!      └──────► Transactions: what was begun where, and how it ended
//!                    ▲
//! agent ─► link ─────┘  holds the last stable offset back, names what was aborted
//! ```
//!
//! Where a log is stable follows from its end alone: a transaction was open when the end lay behind its first record and
//! not yet behind its marker. So bounds of whatever age, from an answer or from the feed, are what they were then.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use towpath::base::clock::Timestamp;
use towpath::base::crc::crc32c;
use towpath::base::rng::Rng;
use towpath::metastore::batch_index::BatchIndex;
use towpath::metastore::values::{
    AbortedTransaction, BatchCommit, BatchReceipt, CommitObject, DocumentWrite, PartitionBounds, PartitionExtents,
    ProducerBatch, RangeCommit,
};
use towpath::model::node::NodeIdentity;
use towpath::model::offset::Offset;
use towpath::model::producer::{ProducerEpoch, ProducerId, Sequence};
use towpath::model::topic::TopicIdPartition;
use towpath::object::key::wal_key;
use towpath::object::layout::WalObject;
use towpath::object::meter::Purpose;
use towpath::object::store::ObjectStorage;
use towpath::record::batch::RecordBatch;
use towpath::record::build::{BatchBuilder, BatchShape, NewRecord};
use uuid::Uuid;

use crate::clients::partition;
use crate::history::{Operation, Partition, SendOutcome};
use crate::mutants::Mutant;
use crate::world::World;

/// Every transaction there was, by partition. Shared by the world and by all links.
#[derive(Default)]
pub(crate) struct Transactions(Mutex<BTreeMap<TopicIdPartition, Vec<Transaction>>>);

struct Transaction {
    producer_id: ProducerId,
    first_offset: Offset,
    /// Its marker, and whether that says that it was aborted; `None` while it is open.
    end: Option<(Offset, bool)>,
}

impl Transaction {
    /// Whether it was open when the log ended at `high_watermark`.
    fn is_open_at(&self, high_watermark: Offset) -> bool {
        self.first_offset < high_watermark && self.end.is_none_or(|(marker, _)| marker >= high_watermark)
    }
}

impl Transactions {
    fn begun(&self, of: TopicIdPartition, producer_id: ProducerId, first_offset: Offset) {
        let mut all = self.0.lock().expect("whole");
        let known = all.entry(of).or_default();
        if !known.iter().any(|one| one.producer_id == producer_id && one.end.is_none()) {
            known.push(Transaction { producer_id, first_offset, end: None });
        }
    }

    fn ended(&self, of: TopicIdPartition, producer_id: ProducerId, marker: Offset, aborted: bool) {
        let mut all = self.0.lock().expect("whole");
        let open = |one: &&mut Transaction| one.producer_id == producer_id && one.end.is_none();
        all.entry(of).or_default().iter_mut().find(open).expect("it was begun").end = Some((marker, aborted));
    }

    /// Moves the last stable offset back to where it was when the log ended where `bounds` say.
    pub(crate) fn hold_back(&self, of: TopicIdPartition, bounds: &mut PartitionBounds) {
        let all = self.0.lock().expect("whole");
        let open = all.get(&of).into_iter().flatten().filter(|one| one.is_open_at(bounds.high_watermark));
        if let Some(first_offset) = open.map(|one| one.first_offset).min() {
            bounds.last_stable_offset = first_offset;
        }
    }

    /// The aborted transactions that reach into the extents of an answer.
    pub(crate) fn aborted(&self, of: TopicIdPartition, answer: &PartitionExtents) -> Vec<AbortedTransaction> {
        let (Some(first), Some(last)) = (answer.extents.first(), answer.extents.last()) else { return Vec::new() };
        let all = self.0.lock().expect("whole");
        let aborted = all.get(&of).into_iter().flatten().filter_map(|one| match one.end {
            Some((marker, true)) if marker < answer.bounds.high_watermark => Some(AbortedTransaction {
                first_offset: one.first_offset,
                last_offset: marker,
                producer_id: one.producer_id,
            }),
            _ => None,
        });
        let mut reaching: Vec<_> = aborted
            .filter(|one| one.first_offset <= last.last_offset && one.last_offset >= first.base_offset)
            .collect();
        reaching.sort_unstable();
        reaching
    }
}

/// What writes into the log past the agents.
pub(crate) struct Scribe {
    pub(crate) storage: ObjectStorage,
    pub(crate) node: NodeIdentity,
    pub(crate) rng: Rng,
}

impl Scribe {
    /// Puts batches into the bucket, each partition once, to be committed in one step.
    async fn put(&self, parts: Vec<(TopicIdPartition, Vec<Bytes>)>) -> CommitObject {
        let object = WalObject::build(Uuid::nil(), self.node, parts.clone());
        let key = wal_key(&self.rng);
        self.storage.put_new(&key, object.slices, Purpose::Append).await.expect("nothing is wrong with its bucket");
        let mut ranges = Vec::new();
        for ((partition, batches), at) in parts.into_iter().zip(object.ranges) {
            let batches = batches.iter().map(batch_commit).collect();
            ranges.push(RangeCommit { partition, position: at.position, batches });
        }
        let (node, byte_size) = (self.node, object.byte_size);
        CommitObject { node, object: key, byte_size, ranges, documents: DocumentWrite::default(), all_or_nothing: true }
    }
}

fn batch_commit(bytes: &Bytes) -> BatchCommit {
    let batch = RecordBatch::parse(bytes).expect("a whole batch");
    let header = batch.header();
    // A marker is no batch of its producer: it takes no sequence.
    let producer = (header.base_sequence.0 >= 0).then_some(ProducerBatch {
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
        begins_anywhere: false,
    });
    BatchCommit {
        length: header.byte_size,
        crc: crc32c(bytes),
        record_count: header.record_count.unsigned_abs(),
        max_timestamp: header.max_timestamp,
        producer,
    }
}

/// What a transaction wrote to one partition.
#[derive(Default)]
struct Written {
    offsets: Vec<i64>,
    next_sequence: i32,
}

/// A producer that writes in transactions, each left open for a while. Whatever happens to agents does not concern it.
pub(crate) struct SimTransactor {
    pub(crate) world: Arc<World>,
    pub(crate) number: u32,
    pub(crate) rng: Rng,
}

impl SimTransactor {
    /// Transactions until the world says to stop, the last one to its end.
    pub(crate) async fn run(self) {
        let (mut epoch, mut count) = (0, 0);
        while !self.world.stopping() {
            self.transaction(ProducerEpoch(epoch), &mut count).await;
            epoch += 1;
            tokio::time::sleep(self.rng.jitter(Duration::from_millis(400))).await;
        }
    }

    async fn transaction(&self, epoch: ProducerEpoch, count: &mut u64) {
        let producer_id = ProducerId(5_000 + i64::from(self.number));
        let mut written: BTreeMap<Partition, Written> = BTreeMap::new();
        for _ in 0..=self.rng.below(5) {
            let index = u32::try_from(self.rng.below(u64::from(self.world.partitions))).expect("small");
            let part = written.entry(index).or_default();
            let stamp = (producer_id, epoch, Sequence(part.next_sequence));
            let offsets = self.write(index, stamp, count).await;
            part.next_sequence += i32::try_from(offsets.len()).expect("small");
            part.offsets.extend(offsets);
            tokio::time::sleep(self.rng.jitter(Duration::from_millis(150))).await;
        }
        tokio::time::sleep(self.rng.jitter(Duration::from_millis(1_200))).await;
        self.end(producer_id, epoch, written).await;
    }

    /// One to four values that nobody else sends, as a batch: of a transaction or plain.
    fn batch(&self, stamp: Option<(ProducerId, ProducerEpoch, Sequence)>, count: &mut u64) -> (Bytes, Vec<u64>) {
        let shape = BatchShape { producer: stamp, transactional: stamp.is_some(), ..BatchShape::default() };
        let mut builder = BatchBuilder::new(shape);
        let first = u64::from(self.producer()) << 32 | *count;
        let values: Vec<u64> = (first..=first + self.rng.below(4)).collect();
        *count += values.len() as u64;
        values.iter().for_each(|value| builder.push_value(Timestamp(1_700_000_000_000), &value.to_be_bytes()));
        (builder.build().expect("an uncompressed batch can be built"), values)
    }

    fn producer(&self) -> u32 {
        self.number + 1_000
    }

    /// Appends one transactional batch; its records' offsets. In one extent with it there may be others before it and
    /// behind it, of no transaction, as when an agent commits what several producers sent.
    async fn write(&self, index: Partition, stamp: (ProducerId, ProducerEpoch, Sequence), count: &mut u64) -> Vec<i64> {
        let world = &self.world;
        let of = partition(world.topic, index);
        let mut batches = Vec::new();
        if self.rng.chance(0.4) {
            batches.push(self.batch(None, count));
        }
        let place = batches.len();
        batches.push(self.batch(Some(stamp), count));
        if self.rng.chance(0.4) {
            batches.push(self.batch(None, count));
        }
        let scribe = world.scribe.get().expect("the world is prepared for transactions");
        let commit = scribe.put(vec![(of, batches.iter().map(|(bytes, _)| bytes.clone()).collect())]).await;
        // From here to the end nothing is waited for: the memory metastore answers at once.
        let called = world.moment();
        let receipt = world.metastore.commit_object(commit).await.expect("memory is there");
        let mut own = Vec::new();
        for (at, ((_, values), receipt)) in batches.iter().zip(&receipt.ranges[0].batches).enumerate() {
            let base_offset = appended(receipt);
            if at == place {
                world.transactions.begun(of, stamp.0, base_offset);
                own.extend((base_offset.0..).take(values.len()));
            }
            for (offset, value) in (base_offset.0..).zip(values) {
                let (producer, outcome) = (self.producer(), SendOutcome::Acked(offset));
                world.record(called, Operation::Send { producer, partition: index, value: *value, outcome });
            }
        }
        own
    }

    /// Ends a transaction: markers in all its partitions, in one step.
    async fn end(&self, producer_id: ProducerId, epoch: ProducerEpoch, written: BTreeMap<Partition, Written>) {
        let world = &self.world;
        let aborted = self.rng.chance(0.4);
        let marker = marker((producer_id, epoch), aborted, world.mutant != Some(Mutant::UnmarkedControl));
        let batches = written.keys().map(|index| (partition(world.topic, *index), vec![marker.clone()])).collect();
        let scribe = world.scribe.get().expect("the world is prepared for transactions");
        let commit = scribe.put(batches).await;
        // As above: one step for whoever looks.
        let called = world.moment();
        let receipt = world.metastore.commit_object(commit).await.expect("memory is there");
        for ((index, written), range) in written.into_iter().zip(receipt.ranges) {
            let marker = appended(&range.batches[0]);
            world.transactions.ended(range.partition, producer_id, marker, aborted);
            let Written { offsets, .. } = written;
            let ended = Operation::TransactionEnded { partition: index, offsets, marker: marker.0, aborted };
            world.record(called, ended);
        }
    }
}

/// Nobody writes these batches twice, or too late.
fn appended(receipt: &BatchReceipt) -> Offset {
    match receipt {
        BatchReceipt::Appended { base_offset, .. } => *base_offset,
        other => panic!("a batch that nobody can refuse was not appended: {other:?}"),
    }
}

/// A marker as Kafka writes it: the key says whether it commits (1) or aborts (0).
fn marker((producer_id, epoch): (ProducerId, ProducerEpoch), aborted: bool, control: bool) -> Bytes {
    let producer = Some((producer_id, epoch, Sequence(-1)));
    let shape = BatchShape { producer, transactional: true, control, ..BatchShape::default() };
    let mut builder = BatchBuilder::new(shape);
    let key = [0, 0, 0, u8::from(!aborted)];
    builder.push(&NewRecord {
        timestamp: Timestamp(1_700_000_000_000),
        key: Some(&key),
        value: Some(&[0; 6]),
        headers: Vec::new(),
    });
    builder.build().expect("an uncompressed batch can be built")
}
