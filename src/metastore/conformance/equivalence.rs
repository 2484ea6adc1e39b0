//! Random steps on two backends must give the same answers (times aside: each has its own clock).
//!
//! A sequence is a list of numbers, each of which makes one operation; a property test draws the numbers, and
//! shrinks a failure by leaving numbers out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::rng::Rng;
use crate::metastore::conformance::kit::{Follower, new_node, partition};
use crate::metastore::error::MetastoreError;
use crate::metastore::sequencing::NO_BOUNDS;
use crate::metastore::store::Metastore;
use crate::metastore::values::{
    BatchCommit, BatchReceipt, BatchRefusal, CatalogVersion, CommitObject, CommitReceipt, ConfigChange, ConfigResource,
    Configs, DocumentChange, DocumentKey, DocumentKind, DocumentPut, DocumentVersion, DocumentWrite, Expect, Extent,
    ExtentQuery, FeedPosition, LogStartMove, NewTopic, ProducerBatch, RangeCommit, TimeQuery, TimeTarget,
};
use crate::model::node::NodeIdentity;
use crate::model::object::ObjectKey;
use crate::model::offset::Offset;
use crate::model::producer::{ProducerEpoch, ProducerId, Sequence};
use crate::model::topic::{TopicId, TopicIdPartition, TopicName};

/// Closes the candidate (or lets it crash) and opens it again over what it stored.
pub type Reopen = dyn Fn() -> BoxFuture<'static, Arc<dyn Metastore>> + Send + Sync;

const TOPICS: u64 = 3;
const PARTITIONS_MAX: i32 = 3;
const OBJECTS: u64 = 40;
const DOCUMENTS: u64 = 4;
const SESSION_MS: u32 = 3_600_000;

/// Performs the operations that `choices` make on both backends; panics at the first answer that differs, and
/// compares everything at the end. With `reopen` the candidate is opened again now and then.
pub async fn compare(
    choices: &[u64],
    specification: Arc<dyn Metastore>,
    candidate: Arc<dyn Metastore>,
    reopen: Option<&Reopen>,
) {
    let mut world = World::new(specification, candidate).await;
    for (index, choice) in choices.iter().enumerate() {
        let random = Rng::from_seed(*choice);
        if random.below(40) == 0
            && let Some(reopen) = reopen
        {
            world.collect_news().await;
            let candidate = reopen().await;
            world.exchange_candidate(candidate).await;
            continue;
        }
        let operation = world.operation(&random);
        let [expected, given] = world.perform(&operation).await;
        assert_eq!(expected, given, "step {index}: {operation:?}");
    }
    world.compare_everything().await;
}

/// One operation, in terms of the world's names.
#[derive(Clone, Debug)]
enum Operation {
    CreateTopic(NewTopic),
    DeleteTopic(TopicId),
    Grow(TopicId, i32),
    AlterConfigs(TopicId, Vec<ConfigChange>),
    Commit { object: ObjectKey, node: usize, ranges: Vec<RangeCommit>, documents: DocumentWrite, all_or_nothing: bool },
    Receipt(ObjectKey),
    FindExtents(ExtentQuery),
    FindByTime(TimeQuery),
    MoveLogStart(Vec<LogStartMove>),
    ObjectStates,
    Tombstone(Vec<ObjectKey>),
    Forget(Vec<ObjectKey>),
    Dereferenced,
    WriteDocuments(DocumentWrite),
    ListDocuments(DocumentKind, String, Option<Arc<str>>, u32),
    ExpireProducers,
    Register(Uuid),
    RegisterAgain(usize),
    Beat(usize, bool),
    Deregister(usize),
}

/// A node under the identity that each backend gave it.
#[derive(Clone, Debug)]
struct Node {
    incarnation: Uuid,
    identities: [NodeIdentity; 2],
    ended: bool,
}

/// Two backends, and what was done to them.
struct World {
    sides: [Arc<dyn Metastore>; 2],
    followers: [Follower; 2],
    news: [BTreeMap<TopicIdPartition, Vec<String>>; 2],
    tag: Uuid,
    /// The living topic of every name, if any.
    topics: [Option<TopicId>; TOPICS as usize],
    /// Every topic there ever was.
    all_topics: Vec<TopicId>,
    /// Keys that may be forgotten: nothing is said of a later commit.
    retired: BTreeSet<ObjectKey>,
    nodes: Vec<Node>,
}

impl World {
    async fn new(specification: Arc<dyn Metastore>, candidate: Arc<dyn Metastore>) -> Self {
        let sides = [specification, candidate];
        let follower = |side: &Arc<dyn Metastore>| Follower::new(Arc::clone(side));
        let mut followers = [follower(&sides[0]), follower(&sides[1])];
        for follower in &mut followers {
            follower.catch_up().await;
        }
        let tag = Rng::from_entropy().uuid();
        let nodes = Vec::new();
        let mut world = Self {
            sides,
            followers,
            news: Default::default(),
            tag,
            topics: [None; TOPICS as usize],
            all_topics: Vec::new(),
            retired: BTreeSet::new(),
            nodes,
        };
        let first = Rng::from_entropy().uuid();
        world.perform(&Operation::Register(first)).await;
        world
    }

    fn topic_id(&self, random: &Rng) -> TopicId {
        let index = usize::try_from(random.below(TOPICS)).unwrap_or(0);
        let last = self.all_topics.last().copied();
        self.topics[index].or(last).unwrap_or(TopicId(self.tag))
    }

    fn partition(&self, random: &Rng) -> TopicIdPartition {
        partition(self.topic_id(random), number(random, PARTITIONS_MAX))
    }

    fn object(&self, random: &Rng) -> ObjectKey {
        self.object_at(random.below(OBJECTS))
    }

    fn object_at(&self, index: u64) -> ObjectKey {
        ObjectKey::from(format!("equivalence/{}/{index}", self.tag).as_str())
    }

    fn document(&self, random: &Rng) -> DocumentKey {
        let kind = if random.chance(0.5) { DocumentKind::Group } else { DocumentKind::CommittedOffset };
        let name = format!("{}/{}", self.tag, random.below(DOCUMENTS)).into();
        DocumentKey { kind, name }
    }

    /// Makes an operation of a number.
    fn operation(&self, random: &Rng) -> Operation {
        match random.below(48) {
            0..=3 => Operation::CreateTopic(self.new_topic(random)),
            4 => Operation::DeleteTopic(self.topic_id(random)),
            5 => Operation::Grow(self.topic_id(random), number(random, PARTITIONS_MAX + 1)),
            6 => Operation::AlterConfigs(self.topic_id(random), changes(random)),
            7..=22 => self.commit(random),
            23 => Operation::Receipt(self.object(random)),
            24..=26 => Operation::FindExtents(ExtentQuery {
                partition: self.partition(random),
                offset: Offset(i64::from(number(random, 40)) - 1),
                bytes_max: random.below(300),
                extents_max: 1 + u32::try_from(random.below(5)).unwrap_or(0),
            }),
            27..=29 => Operation::FindByTime(TimeQuery {
                partition: self.partition(random),
                target: match random.below(3) {
                    0 => TimeTarget::Latest,
                    _ => TimeTarget::AtOrAfter(Timestamp(i64::from(number(random, 12)))),
                },
                by_append_time: false,
            }),
            30..=32 => Operation::MoveLogStart((0..=random.below(2)).map(|_| self.log_start(random)).collect()),
            33 => Operation::ObjectStates,
            34 => Operation::Tombstone((0..=random.below(2)).map(|_| self.object(random)).collect()),
            35 => Operation::Forget((0..=random.below(2)).map(|_| self.object(random)).collect()),
            36 => Operation::Dereferenced,
            37..=40 => Operation::WriteDocuments(self.write(random)),
            41 => self.list(random),
            42 => Operation::ExpireProducers,
            43 => Operation::Register(random.uuid()),
            44 => Operation::RegisterAgain(self.node(random)),
            45 | 46 => Operation::Beat(self.node(random), random.chance(0.3)),
            _ => Operation::Deregister(self.node(random)),
        }
    }

    fn new_topic(&self, random: &Rng) -> NewTopic {
        let index = usize::try_from(random.below(TOPICS)).unwrap_or(0);
        // Sometimes a repetition of the step that created the living topic.
        let repeated = self.topics[index].filter(|_| random.chance(0.3));
        NewTopic {
            topic_id: repeated.unwrap_or_else(|| TopicId(random.uuid())),
            name: self.topic_name(index),
            partition_count: 1 + number(random, PARTITIONS_MAX - 1),
            replication_factor: 1,
            configs: Configs::from([("a".to_owned(), random.below(3).to_string())]),
        }
    }

    fn topic_name(&self, index: usize) -> TopicName {
        TopicName::new(&format!("{}-{index}", self.tag)).expect("the name is legal")
    }

    fn commit(&self, random: &Rng) -> Operation {
        let mut ranges = BTreeMap::new();
        let mut position = 0;
        for _ in 0..=random.below(3) {
            let batches: Vec<_> = (0..=random.below(4)).map(|_| batch(random)).collect();
            ranges.insert(self.partition(random), batches);
        }
        let ranges = ranges.into_iter().map(|(partition, batches)| {
            let range = RangeCommit { partition, position, batches };
            position += range.batches.iter().map(|batch| u64::from(batch.length)).sum::<u64>();
            range
        });
        let ranges = ranges.collect();
        let documents = if random.chance(0.2) { self.write(random) } else { DocumentWrite::default() };
        let (object, node, all_or_nothing) = (self.object(random), self.node(random), random.chance(0.3));
        Operation::Commit { object, node, ranges, documents, all_or_nothing }
    }

    fn log_start(&self, random: &Rng) -> LogStartMove {
        let offset = (!random.chance(0.1)).then(|| Offset(i64::from(number(random, 25))));
        LogStartMove { partition: self.partition(random), offset }
    }

    fn write(&self, random: &Rng) -> DocumentWrite {
        let mut puts = BTreeMap::new();
        for _ in 0..=random.below(3) {
            let expect = match random.below(4) {
                0 | 1 => Expect::Any,
                2 => Expect::Absent,
                _ => Expect::Version(DocumentVersion(random.below(4))),
            };
            let change = match random.below(5) {
                0 => DocumentChange::Check,
                1 => DocumentChange::Delete,
                _ => DocumentChange::Put(random.next_u64().to_be_bytes().to_vec().into()),
            };
            let key = self.document(random);
            puts.insert(key.clone(), DocumentPut { key, expect, change });
        }
        DocumentWrite { puts: puts.into_values().collect() }
    }

    fn list(&self, random: &Rng) -> Operation {
        let after = random.chance(0.5).then(|| self.document(random).name);
        let prefix = if random.chance(0.5) { format!("{}/", self.tag) } else { format!("{}/1", self.tag) };
        Operation::ListDocuments(DocumentKind::Group, prefix, after, number(random, 5).unsigned_abs())
    }

    fn node(&self, random: &Rng) -> usize {
        // Mostly the first, which is rarely ended, so that commits succeed.
        let count = self.nodes.len().max(1) as u64;
        let index = if random.chance(0.7) { 0 } else { random.below(count) };
        usize::try_from(index).unwrap_or(0)
    }

    /// Performs an operation on both sides and answers what they said, in comparable form.
    async fn perform(&mut self, operation: &Operation) -> [String; 2] {
        match operation {
            Operation::Register(incarnation) => return self.register(*incarnation).await,
            Operation::RegisterAgain(index) => return self.register_again(*index).await,
            Operation::Deregister(0) => return Default::default(),
            Operation::Commit { object, .. } | Operation::Receipt(object) if self.retired.contains(object) => {
                return Default::default();
            }
            _ => {}
        }
        let said = [self.perform_on(0, operation).await, self.perform_on(1, operation).await];
        match operation {
            Operation::CreateTopic(topic) if said[0] == "[Ok(())]" => {
                for index in 0..self.topics.len() {
                    if self.topic_name(index) == topic.name {
                        self.topics[index] = Some(topic.topic_id);
                    }
                }
                self.all_topics.push(topic.topic_id);
            }
            Operation::DeleteTopic(gone) => {
                let living = self.topics.iter_mut().filter(|topic| **topic == Some(*gone));
                living.for_each(|topic| *topic = None);
            }
            Operation::Forget(keys) => self.retired.extend(keys.iter().cloned()),
            Operation::Deregister(index) => self.nodes[*index].ended = true,
            _ => {}
        }
        said
    }

    async fn perform_on(&self, side: usize, operation: &Operation) -> String {
        let metastore = &self.sides[side];
        match operation {
            Operation::CreateTopic(topic) => shown(metastore.create_topics(vec![topic.clone()]).await),
            Operation::DeleteTopic(topic_id) => shown(metastore.delete_topics(vec![*topic_id]).await),
            Operation::Grow(topic_id, count) => shown(metastore.create_partitions(*topic_id, *count).await),
            Operation::AlterConfigs(topic_id, changes) => {
                shown(metastore.alter_configs(ConfigResource::Topic(*topic_id), changes.clone()).await)
            }
            Operation::Commit { object, node, ranges, documents, all_or_nothing } => {
                let commit = CommitObject {
                    node: self.nodes[*node].identities[side],
                    object: object.clone(),
                    byte_size: 1,
                    ranges: ranges.clone(),
                    documents: documents.clone(),
                    all_or_nothing: *all_or_nothing,
                };
                shown(metastore.commit_object(commit).await.map(timeless_receipt))
            }
            Operation::Receipt(object) => {
                shown(metastore.receipt(object).await.map(|receipt| receipt.map(timeless_receipt)))
            }
            Operation::FindExtents(query) => self.find_extents(side, *query).await,
            Operation::FindByTime(query) => {
                let found = metastore.find_by_time(vec![*query]).await;
                shown(found.map(|found| found.into_iter().map(|one| one.map(timeless)).collect::<Vec<_>>()))
            }
            Operation::MoveLogStart(moves) => shown(metastore.move_log_start(moves.clone()).await),
            Operation::ObjectStates => self.object_states(side).await,
            Operation::Tombstone(keys) => shown(metastore.tombstone(keys.clone()).await),
            Operation::Forget(keys) => shown(metastore.forget(keys.clone()).await),
            Operation::Dereferenced => self.dereferenced(side).await,
            Operation::WriteDocuments(write) => shown(metastore.write_documents(write.clone()).await),
            Operation::ListDocuments(kind, prefix, after, limit) => {
                shown(metastore.list_documents(*kind, prefix, after.clone(), *limit).await)
            }
            Operation::ExpireProducers => {
                // Others may use the store, so the number says nothing.
                shown(metastore.expire_producers(Duration::ZERO).await.map(|_| ()))
            }
            Operation::Beat(index, draining) => self.beat(side, *index, *draining).await,
            Operation::Deregister(index) => shown(metastore.deregister_node(self.nodes[*index].identities[side]).await),
            Operation::Register(_) | Operation::RegisterAgain(_) => String::new(),
        }
    }

    async fn find_extents(&self, side: usize, query: ExtentQuery) -> String {
        let found = self.sides[side].find_extents(vec![query]).await;
        shown(found.map(|found| {
            let comparable = found.into_iter().map(|one| {
                one.map(|found| (found.bounds, found.extents.into_iter().map(timeless).collect::<Vec<_>>()))
            });
            comparable.collect::<Vec<_>>()
        }))
    }

    async fn object_states(&self, side: usize) -> String {
        let keys = (0..OBJECTS).map(|index| self.object_at(index)).collect();
        shown(self.sides[side].object_states(keys).await)
    }

    async fn dereferenced(&self, side: usize) -> String {
        let own: BTreeSet<_> = (0..OBJECTS).map(|index| self.object_at(index)).collect();
        let due = self.sides[side].dereferenced(Duration::ZERO, u32::MAX).await;
        shown(due.map(|due| due.into_iter().filter(|key| own.contains(key)).collect::<BTreeSet<_>>()))
    }

    /// The living among the world's nodes, by number.
    async fn beat(&self, side: usize, index: usize, draining: bool) -> String {
        let living = self.sides[side].beat(self.nodes[index].identities[side], draining).await;
        shown(living.map(|living| {
            let number = |identity| self.nodes.iter().position(|node| node.identities[side] == identity);
            let own = living.iter().filter_map(|record| Some((number(record.identity)?, record.draining)));
            own.collect::<BTreeSet<_>>()
        }))
    }

    async fn register(&mut self, incarnation: Uuid) -> [String; 2] {
        let mut identities = Vec::new();
        for side in &self.sides {
            let node = new_node(None, incarnation, SESSION_MS);
            identities.push(side.register_node(node).await.expect("a new node registers").identity);
        }
        self.nodes.push(Node { incarnation, identities: [identities[0], identities[1]], ended: false });
        Default::default()
    }

    async fn register_again(&mut self, index: usize) -> [String; 2] {
        let Node { incarnation, identities, ended } = self.nodes[index].clone();
        // Ids of ended nodes may have been given to others, and not to the same by both sides.
        if ended {
            return Default::default();
        }
        let mut said = [String::new(), String::new()];
        for side in 0..2 {
            let node = new_node(Some(identities[side].node_id), incarnation, SESSION_MS);
            let outcome = self.sides[side].register_node(node).await;
            if let Ok(record) = &outcome {
                self.nodes[index].identities[side] = record.identity;
            }
            let rises = |after: NodeIdentity| {
                after.node_id == identities[side].node_id && after.node_epoch > identities[side].node_epoch
            };
            said[side] = shown(outcome.map(|record| rises(record.identity)));
        }
        said
    }

    async fn exchange_candidate(&mut self, candidate: Arc<dyn Metastore>) {
        self.sides[1] = Arc::clone(&candidate);
        self.followers[1] = Follower::new(candidate);
        self.followers[1].catch_up().await;
        // A backend may forget who lived; whoever lives says so.
        for index in 0..self.nodes.len() {
            if !self.nodes[index].ended {
                self.beat(0, index, false).await;
                self.beat(1, index, false).await;
            }
        }
    }

    async fn collect_news(&mut self) {
        for side in 0..2 {
            loop {
                let before: FeedPosition = self.followers[side].position;
                for entry in self.followers[side].pull(Duration::ZERO).await {
                    let extents: Vec<_> = entry.extents.into_iter().map(timeless).collect();
                    // A move of the log start may be told in parts; the commits must agree entry by entry.
                    if !extents.is_empty() {
                        let told = self.news[side].entry(entry.partition).or_default();
                        told.push(format!("{:?} {extents:?}", entry.bounds.high_watermark));
                    }
                }
                if self.followers[side].position == before {
                    break;
                }
            }
        }
    }

    async fn compare_everything(&mut self) {
        self.collect_news().await;
        for topic_id in self.all_topics.clone() {
            for index in 0..=PARTITIONS_MAX + 1 {
                let partition = partition(topic_id, index);
                assert_eq!(self.news[0].get(&partition), self.news[1].get(&partition), "the feed of {partition}");
                let bounds = self.sides[0].bounds(vec![partition]).await.expect("bounds")[0];
                assert_eq!(self.sides[1].bounds(vec![partition]).await.expect("bounds")[0], bounds, "{partition}");
                let offset = bounds.map_or(Offset(0), |bounds| bounds.log_start_offset);
                let query = ExtentQuery { partition, offset, bytes_max: u64::MAX, extents_max: 1_000_000 };
                assert_eq!(self.find_extents(0, query).await, self.find_extents(1, query).await, "{partition}");
            }
        }
        assert_eq!(self.object_states(0).await, self.object_states(1).await);
        assert_eq!(self.dereferenced(0).await, self.dereferenced(1).await);
        for kind in DocumentKind::ALL {
            let prefix = format!("{}/", self.tag);
            let [one, other] =
                [&self.sides[0], &self.sides[1]].map(|side| side.list_documents(kind, &prefix, None, 1000));
            assert_eq!(one.await, other.await);
        }
        assert_eq!(self.catalog(0).await, self.catalog(1).await);
    }

    async fn catalog(&self, side: usize) -> Vec<String> {
        let snapshot = self.sides[side].catalog(CatalogVersion(0)).await.expect("readable").expect("never current");
        let topics = (0..self.topics.len()).map(|index| snapshot.topics.get(&self.topic_name(index)));
        topics
            .map(|topic| {
                format!("{:?}", topic.map(|topic| (topic.topic_id, topic.partition_count, topic.configs.clone())))
            })
            .collect()
    }
}

fn number(random: &Rng, bound: i32) -> i32 {
    i32::try_from(random.below(u64::from(bound.unsigned_abs()))).unwrap_or(0)
}

fn changes(random: &Rng) -> Vec<ConfigChange> {
    let name = |random: &Rng| ["a", "b"][usize::from(random.chance(0.5))].to_owned();
    let change = |_| match random.chance(0.5) {
        true => ConfigChange::Set(name(random), random.below(3).to_string()),
        false => ConfigChange::Remove(name(random)),
    };
    (0..=random.below(2)).map(change).collect()
}

fn batch(random: &Rng) -> BatchCommit {
    let record_count = 1 + number(random, 3).unsigned_abs();
    let base = if random.chance(0.05) { i32::MAX - number(random, 3) } else { number(random, 12) };
    let producer = random.chance(0.7).then(|| ProducerBatch {
        producer_id: ProducerId((1 << 40) + i64::from(number(random, 2))),
        producer_epoch: ProducerEpoch(if random.chance(0.9) { 0 } else { 1 }),
        base_sequence: Sequence(base),
        begins_anywhere: random.chance(0.4),
    });
    BatchCommit {
        length: 1 + number(random, 100).unsigned_abs(),
        crc: number(random, i32::MAX).unsigned_abs(),
        record_count,
        max_timestamp: Timestamp(i64::from(number(random, 12)) - 1),
        producer,
    }
}

/// An answer in comparable form.
fn shown<T: std::fmt::Debug>(answer: Result<T, MetastoreError>) -> String {
    match answer {
        Ok(value) => format!("{value:?}"),
        // Which node is the same only up to its number, and reasons are for people.
        Err(MetastoreError::Fenced { .. }) => "fenced".to_owned(),
        Err(MetastoreError::Unavailable(_)) => "unavailable".to_owned(),
        Err(MetastoreError::Unknown(_)) => "unknown".to_owned(),
        Err(MetastoreError::Unreadable(_)) => "unreadable".to_owned(),
        Err(
            other @ (MetastoreError::Conflict { .. }
            | MetastoreError::Tombstoned { .. }
            | MetastoreError::Refused { .. }),
        ) => other.to_string(),
    }
}

fn timeless(extent: Extent) -> Extent {
    Extent { append_time: Timestamp::NONE, ..extent }
}

fn timeless_receipt(receipt: CommitReceipt) -> CommitReceipt {
    let none = Timestamp::NONE;
    let mut receipt = CommitReceipt { committed_at: none, ..receipt };
    for range in &mut receipt.ranges {
        for batch in &mut range.batches {
            match batch {
                BatchReceipt::Appended { append_time, .. } | BatchReceipt::Duplicate { append_time, .. } => {
                    *append_time = none;
                }
                // Nothing is promised of the bounds of what does not exist.
                BatchReceipt::Refused(BatchRefusal::UnknownPartition) => {
                    range.bounds = NO_BOUNDS;
                }
                BatchReceipt::Refused(_) => {}
            }
        }
        range.extents.iter_mut().for_each(|extent| extent.append_time = none);
    }
    receipt
}
