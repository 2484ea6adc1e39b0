//! What the tests of this room share: two agents that deliver, over one metastore and one store that can misbehave.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::metrics::Metrics;
use crate::base::rng::Rng;
use crate::config::broker::BrokerDefaults;
use crate::config::log::LogSettings;
use crate::config::share::ShareSettings;
use crate::coordinator::placement::{ClusterView, Membership};
use crate::coordinator::share::delivery::parts::DeliveryParts;
use crate::coordinator::share::delivery::service::ShareDelivery;
use crate::coordinator::share::letters::service::{LetterParts, Letters};
use crate::coordinator::share::partition::document::{StoredPartition, decode, encode, partition_key};
use crate::coordinator::share::partition::state::SharePartitionState;
use crate::coordinator::share::values::{
    AcknowledgeType, AcknowledgementBatch, AcquireMode, PartitionAcknowledgement, ShareAcknowledgeRequest,
    ShareFetchAnswer, ShareFetchRequest, SharedRecords,
};
use crate::log::kit::{Agent, DocumentMishap, ToxicMetastore, World, records};
use crate::metastore::cached::CatalogCache;
use crate::metastore::catalog::Catalog;
use crate::metastore::state_store::StateStore;
use crate::metastore::store::Metastore;
use crate::metastore::values::{
    ConfigChange, ConfigResource, DocumentChange, DocumentPut, DocumentVersion, DocumentWrite, Expect, NodeRecord,
};
use crate::model::error::Condition;
use crate::model::group::GroupId;
use crate::model::node::{Endpoint, NodeIdentity};
use crate::model::offset::Offset;
use crate::model::topic::TopicIdPartition;

/// One agent.
pub(super) struct Node {
    pub log: Agent,
    pub delivery: ShareDelivery,
    pub membership: Membership,
    pub catalog: CatalogCache,
    pub metrics: Metrics,
}

/// Two agents that know of each other, or not.
pub(super) struct Kit {
    pub world: World,
    pub one: Node,
    pub two: Node,
}

pub(super) fn group() -> GroupId {
    "g".into()
}

fn view(this: NodeIdentity, nodes: &[NodeIdentity]) -> ClusterView {
    let record = |identity: &NodeIdentity| NodeRecord {
        identity: *identity,
        incarnation: Uuid::nil(),
        endpoint: Endpoint { host: "h".into(), port: 1 },
        rack: None,
        draining: false,
        expires_at: Timestamp(0),
    };
    ClusterView { this, nodes: nodes.iter().map(record).collect() }
}

impl Kit {
    /// Two agents, each of which believes that it is alone. The first two partitions begin at 0 for the group.
    pub(super) async fn new() -> Self {
        let world = World::new().await;
        let (one, two) = (node(&world, 1).await, node(&world, 2).await);
        let kit = Self { world, one, two };
        kit.put(0, &decided(0)).await;
        kit.put(1, &decided(0)).await;
        kit
    }

    /// Two agents that know of each other.
    pub(super) async fn with_two() -> Self {
        let kit = Self::new().await;
        let nodes = [**kit.one.log.node.load(), **kit.two.log.node.load()];
        kit.one.sees(&nodes);
        kit.two.sees(&nodes);
        kit
    }

    /// Puts a partition's document, whatever was there.
    pub(super) async fn put(&self, index: i32, stored: &StoredPartition) {
        let (key, change) = (partition_key(&group(), self.at(index)), DocumentChange::Put(encode(stored)));
        let write = DocumentWrite { puts: vec![DocumentPut { key, expect: Expect::Any, change }] };
        self.world.metastore.inner.write_documents(write).await.expect("available");
    }

    /// What is stored of a partition, and its version.
    pub(super) async fn stored(&self, index: i32) -> (SharePartitionState, DocumentVersion) {
        let key = partition_key(&group(), self.at(index));
        let found = self.world.metastore.inner.get_documents(vec![key]).await.expect("available").remove(0);
        let document = found.expect("there");
        match decode(document.body).expect("readable") {
            StoredPartition::Decided(state) => (state, document.version),
            StoredPartition::Undecided => panic!("partition {index} is not decided"),
        }
    }

    pub(super) fn at(&self, index: i32) -> TopicIdPartition {
        self.world.partition(index)
    }

    /// Appends batches of one record each.
    pub(super) async fn produce(&self, index: i32, count: usize) {
        for _ in 0..count {
            self.one.log.append(self.at(index), &["v"]).await.expect("appended");
        }
    }

    /// Appends one batch.
    pub(super) async fn produce_batch(&self, index: i32, count: usize) {
        self.one.log.append(self.at(index), &vec!["v"; count]).await.expect("appended");
    }

    pub(super) async fn configure(&self, name: &str, value: &str) {
        let change = ConfigChange::Set(name.to_owned(), value.to_owned());
        let altered = self.world.metastore.alter_configs(ConfigResource::Group(group()), vec![change]).await;
        altered.expect("available").expect("legal");
        self.one.catalog.refresh().await.expect("available");
        self.two.catalog.refresh().await.expect("available");
    }

    /// Writes of documents since the last question, by how many documents each had.
    pub(super) fn writes(&self) -> Vec<usize> {
        std::mem::take(&mut *self.world.metastore.documents.writes.lock().unwrap())
    }

    /// Reads of documents since the last question.
    pub(super) fn reads(&self) -> u32 {
        std::mem::take(&mut *self.world.metastore.documents.reads.lock().unwrap())
    }

    pub(super) fn mishaps(&self, mishaps: &[DocumentMishap]) {
        self.world.metastore.documents.next.lock().unwrap().extend(mishaps);
    }

    pub(super) fn writes_take(&self, milliseconds: u64) {
        *self.world.metastore.documents.write_time.lock().unwrap() = Duration::from_millis(milliseconds);
    }

    /// A fetch of partitions that does not wait.
    pub(super) fn fetch(&self, member: &str, partitions: &[i32]) -> ShareFetchRequest {
        ShareFetchRequest {
            group_id: group(),
            member_id: member.into(),
            acknowledgements: Vec::new(),
            partitions: partitions.iter().map(|index| self.at(*index)).collect(),
            records_max: 500,
            batch_size: 500,
            mode: AcquireMode::BatchOptimized,
            bytes_min: 1,
            wait_max: Duration::ZERO,
            bytes_max: 50 << 20,
        }
    }

    pub(super) fn said(&self, index: i32, first: i64, last: i64, kind: AcknowledgeType) -> PartitionAcknowledgement {
        let batch = AcknowledgementBatch { first: Offset(first), last: Offset(last), types: vec![kind] };
        PartitionAcknowledgement { partition: self.at(index), batches: vec![batch] }
    }

    /// What becomes of a member's acknowledgement of partition 0.
    pub(super) async fn say(
        &self,
        node: &Node,
        member: &str,
        (first, last): (i64, i64),
        kind: AcknowledgeType,
    ) -> Result<(), Condition> {
        let acknowledgements = vec![self.said(0, first, last, kind)];
        let request = ShareAcknowledgeRequest { group_id: group(), member_id: member.into(), acknowledgements };
        let outcome = node.delivery.acknowledge(request).await.acknowledged.remove(0);
        outcome.map_err(|failure| failure.condition)
    }
}

impl Node {
    /// This agent believes that these live, from now on.
    pub(super) fn sees(&self, nodes: &[NodeIdentity]) {
        self.membership.replace(view(**self.log.node.load(), nodes));
        self.membership.confirm(tokio::time::Instant::now());
    }

    /// What a fetch acquires of its partitions, one line each.
    pub(super) async fn take(&self, request: ShareFetchRequest) -> Vec<String> {
        texts(&self.delivery.fetch(request).await)
    }
}

pub(super) fn decided(start: i64) -> StoredPartition {
    StoredPartition::Decided(SharePartitionState::starting_at(Offset(start)))
}

/// What every partition gave: `0-9×1 12-12×2`, or the condition of its failure.
pub(super) fn texts(answer: &ShareFetchAnswer) -> Vec<String> {
    let text = |outcome: &Result<SharedRecords, crate::model::error::Failure>| match outcome {
        Ok(got) => {
            let acquired = got.acquired.iter();
            let ranges = acquired.map(|range| format!("{}-{}×{}", range.first, range.last, range.delivery_count));
            ranges.collect::<Vec<_>>().join(" ")
        }
        Err(failure) => failure.condition.to_string(),
    };
    answer.fetched.iter().map(text).collect()
}

/// Offsets of the records that a partition's answer holds.
pub(super) fn offsets(answer: &ShareFetchAnswer, place: usize) -> Vec<i64> {
    let got = answer.fetched[place].as_ref().expect("no failure");
    records(&got.records).into_iter().map(|(offset, _)| offset).collect()
}

/// Something that goes on while the test does something else.
#[allow(clippy::disallowed_methods)]
pub(super) fn meanwhile<T: Send + 'static>(
    doing: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    tokio::spawn(doing)
}

pub(super) async fn pass(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

async fn node(world: &World, seed: u64) -> Node {
    let log = world.agent(seed, LogSettings { puts_per_second: 0.0, ..LogSettings::default() }).await;
    let metastore: Arc<dyn Metastore> = Arc::<ToxicMetastore>::clone(&world.metastore);
    let catalog = CatalogCache::new(Arc::clone(&metastore));
    catalog.refresh().await.expect("available");
    let this = **log.node.load();
    let (membership, metrics) = (Membership::new(view(this, &[this])), Metrics::default());
    let letters = Letters::new(LetterParts {
        metastore: Arc::clone(&metastore),
        catalog: catalog.clone(),
        reader: log.reader.clone(),
        append: log.atomic.clone(),
        defaults: BrokerDefaults::default(),
        rng: Rng::from_seed(seed),
        metrics: metrics.clone(),
    });
    let parts = DeliveryParts {
        metastore,
        membership: membership.clone(),
        catalog: catalog.clone(),
        reader: log.reader.clone(),
        tail: log.tail.clone(),
        offsets: log.offsets.clone(),
        letters,
        settings: ShareSettings::default(),
        rng: Rng::from_seed(seed),
        metrics: metrics.clone(),
    };
    let delivery = ShareDelivery::start(&log.supervisor, parts);
    Node { log, delivery, membership, catalog, metrics }
}

/// Counters by name, as they are rendered.
pub(super) fn counted(node: &Node, name: &str) -> u64 {
    let text = node.metrics.render();
    let lines: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.rsplit_once(' ')).collect();
    lines.get(name).and_then(|value| value.parse().ok()).unwrap_or(0)
}
