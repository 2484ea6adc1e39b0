//! Two agents over one metastore that can be slow and fail on demand.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;

use crate::base::clock::{ManualClock, Timestamp};
use crate::base::metrics::Metrics;
use crate::base::rng::Rng;
use crate::base::task::Supervisor;
use crate::config::coordinators::CoordinatorSettings;
use crate::coordinator::group::context::GroupParts;
use crate::coordinator::group::service::GroupService;
use crate::coordinator::group::values::{
    JoinOutcome, JoinRequest, Joined, MemberClaim, OffsetCommit, OffsetSelection, PartitionCommit, Protocol,
    SyncRequest, Synced,
};
use crate::coordinator::placement::{ClusterView, Membership};
use crate::metastore::batch_index::BatchIndex;
use crate::metastore::cached::CatalogCache;
use crate::metastore::catalog::Catalog;
use crate::metastore::error::{MetastoreError, Result};
use crate::metastore::memory::store::MemoryMetastore;
use crate::metastore::object_ledger::ObjectLedger;
use crate::metastore::state_store::StateStore;
use crate::metastore::store::Metastore;
use crate::metastore::values::*;
use crate::model::error::Condition;
use crate::model::group::{GenerationId, GroupId, MemberId};
use crate::model::node::{Endpoint, NodeEpoch, NodeId, NodeIdentity};
use crate::model::object::ObjectKey;
use crate::model::offset::Offset;
use crate::model::topic::{PartitionIndex, TopicId, TopicIdPartition, TopicName};

/// What happens to a write of documents.
#[derive(Clone, Copy, Debug)]
pub(in crate::coordinator) enum Fault {
    /// It is refused.
    Unavailable,
    /// It is done, but its answer gets lost.
    UnknownDone,
    /// It is not done, and its answer gets lost.
    UnknownUndone,
}

/// A metastore that is slow and fails on demand.
pub(in crate::coordinator) struct Faulty {
    inner: MemoryMetastore,
    faults: Mutex<VecDeque<Fault>>,
    pub(in crate::coordinator) write_ms: AtomicU64,
    pub(in crate::coordinator) writes: AtomicUsize,
}

impl Faulty {
    /// The next writes of documents end so.
    pub(in crate::coordinator) fn fail(&self, faults: &[Fault]) {
        self.faults.lock().unwrap().extend(faults);
    }
}

#[async_trait]
impl StateStore for Faulty {
    async fn get_documents(&self, keys: Vec<DocumentKey>) -> Result<Vec<Option<Document>>> {
        self.inner.get_documents(keys).await
    }

    async fn list_documents(
        &self,
        kind: DocumentKind,
        prefix: &str,
        after: Option<Arc<str>>,
        limit: u32,
    ) -> Result<Vec<Document>> {
        self.inner.list_documents(kind, prefix, after, limit).await
    }

    async fn write_documents(&self, write: DocumentWrite) -> Result<Vec<DocumentVersion>> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(self.write_ms.load(Ordering::Relaxed))).await;
        let fault = self.faults.lock().unwrap().pop_front();
        match fault {
            None => self.inner.write_documents(write).await,
            Some(Fault::Unavailable) => Err(MetastoreError::Unavailable("as planned".to_owned())),
            Some(Fault::UnknownUndone) => Err(MetastoreError::Unknown("as planned".to_owned())),
            Some(Fault::UnknownDone) => {
                self.inner.write_documents(write).await?;
                Err(MetastoreError::Unknown("as planned".to_owned()))
            }
        }
    }
}

#[async_trait]
impl Catalog for Faulty {
    async fn cluster_id(&self, proposed: Uuid) -> Result<Uuid> {
        self.inner.cluster_id(proposed).await
    }
    async fn now(&self) -> Result<Timestamp> {
        self.inner.now().await
    }
    async fn catalog(&self, known: CatalogVersion) -> Result<Option<CatalogSnapshot>> {
        self.inner.catalog(known).await
    }
    async fn create_topics(&self, topics: Vec<NewTopic>) -> Result<Vec<std::result::Result<(), CatalogRefusal>>> {
        self.inner.create_topics(topics).await
    }
    async fn delete_topics(&self, topics: Vec<TopicId>) -> Result<Vec<std::result::Result<(), CatalogRefusal>>> {
        self.inner.delete_topics(topics).await
    }
    async fn create_partitions(&self, topic: TopicId, count: i32) -> Result<std::result::Result<(), CatalogRefusal>> {
        self.inner.create_partitions(topic, count).await
    }
    async fn alter_configs(
        &self,
        resource: ConfigResource,
        changes: Vec<ConfigChange>,
    ) -> Result<std::result::Result<(), CatalogRefusal>> {
        self.inner.alter_configs(resource, changes).await
    }
    async fn register_node(&self, node: NewNode) -> Result<NodeRecord> {
        self.inner.register_node(node).await
    }
    async fn beat(&self, node: NodeIdentity, draining: bool) -> Result<Vec<NodeRecord>> {
        self.inner.beat(node, draining).await
    }
    async fn deregister_node(&self, node: NodeIdentity) -> Result<()> {
        self.inner.deregister_node(node).await
    }
    async fn allocate_producer_ids(&self, count: u32) -> Result<ProducerIdBlock> {
        self.inner.allocate_producer_ids(count).await
    }
}

#[async_trait]
impl BatchIndex for Faulty {
    async fn commit_object(&self, commit: CommitObject) -> Result<CommitReceipt> {
        self.inner.commit_object(commit).await
    }
    async fn receipt(&self, object: &ObjectKey) -> Result<Option<CommitReceipt>> {
        self.inner.receipt(object).await
    }
    async fn find_extents(&self, queries: Vec<ExtentQuery>) -> Result<Vec<Option<PartitionExtents>>> {
        self.inner.find_extents(queries).await
    }
    async fn bounds(&self, partitions: Vec<TopicIdPartition>) -> Result<Vec<Option<PartitionBounds>>> {
        self.inner.bounds(partitions).await
    }
    async fn find_by_time(&self, queries: Vec<TimeQuery>) -> Result<Vec<Option<Extent>>> {
        self.inner.find_by_time(queries).await
    }
    async fn move_log_start(&self, moves: Vec<LogStartMove>) -> Result<Vec<LogStartReceipt>> {
        self.inner.move_log_start(moves).await
    }
    async fn feed(&self, after: FeedPosition, wait: Duration) -> Result<FeedPage> {
        self.inner.feed(after, wait).await
    }
    async fn expire_producers(&self, idle: Duration) -> Result<u64> {
        self.inner.expire_producers(idle).await
    }
}

#[async_trait]
impl ObjectLedger for Faulty {
    async fn object_states(&self, keys: Vec<ObjectKey>) -> Result<Vec<ObjectState>> {
        self.inner.object_states(keys).await
    }
    async fn tombstone(&self, keys: Vec<ObjectKey>) -> Result<Vec<bool>> {
        self.inner.tombstone(keys).await
    }
    async fn dereferenced(&self, grace: Duration, limit: u32) -> Result<Vec<ObjectKey>> {
        self.inner.dereferenced(grace, limit).await
    }
    async fn forget(&self, keys: Vec<ObjectKey>) -> Result<()> {
        self.inner.forget(keys).await
    }
}

#[async_trait]
impl Metastore for Faulty {
    fn backend(&self) -> &'static str {
        "memory"
    }
    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}

/// One agent's group coordinator, and whom it believes to live.
pub(in crate::coordinator) struct Agent {
    pub(in crate::coordinator) groups: GroupService,
    pub(in crate::coordinator) supervisor: Supervisor,
    pub(in crate::coordinator) node_id: i32,
    pub(in crate::coordinator) membership: Membership,
}

impl Agent {
    /// This agent believes that these nodes live; the one of two that is meant to be home is named alone.
    pub(in crate::coordinator) fn sees(&self, nodes: &[i32]) {
        self.membership.replace(view(self.node_id, nodes, false));
    }

    /// This agent knows that it is about to stop.
    pub(in crate::coordinator) fn drains(&self) {
        self.membership.replace(view(self.node_id, &[self.node_id], true));
    }
}

fn view(this: i32, nodes: &[i32], draining: bool) -> ClusterView {
    let identity = |id| NodeIdentity { node_id: NodeId(id), node_epoch: NodeEpoch(1) };
    let record = |&id: &i32| NodeRecord {
        identity: identity(id),
        incarnation: Uuid::nil(),
        endpoint: Endpoint { host: "h".into(), port: 1 },
        rack: None,
        draining,
        expires_at: Timestamp(0),
    };
    ClusterView { this: identity(this), nodes: nodes.iter().map(record).collect() }
}

/// A cluster in which node 1 is home to every group.
pub(in crate::coordinator) struct Kit {
    pub(in crate::coordinator) metastore: Arc<Faulty>,
    pub(in crate::coordinator) catalog: CatalogCache,
    pub(in crate::coordinator) one: Agent,
    pub(in crate::coordinator) two: Agent,
    pub(in crate::coordinator) topic_id: TopicId,
}

impl Kit {
    pub(in crate::coordinator) async fn new() -> Self {
        Self::with(CoordinatorSettings::default()).await
    }

    pub(in crate::coordinator) async fn with(settings: CoordinatorSettings) -> Self {
        let clock = Arc::new(ManualClock::starting_at(Timestamp(1_000_000)));
        let metastore = Arc::new(Faulty {
            inner: MemoryMetastore::new(clock),
            faults: Mutex::default(),
            write_ms: AtomicU64::new(0),
            writes: AtomicUsize::new(0),
        });
        let catalog = CatalogCache::new(metastore.clone());
        let settings = CoordinatorSettings { group_initial_rebalance_delay_ms: 0, ..settings };
        let (one, two) = (agent(1, &metastore, &catalog, &settings), agent(2, &metastore, &catalog, &settings));
        let kit = Self { metastore, catalog, one, two, topic_id: TopicId(Uuid::from_u128(7)) };
        kit.create_topic().await;
        kit
    }

    pub(in crate::coordinator) async fn create_topic(&self) {
        let topic = NewTopic {
            topic_id: self.topic_id,
            name: TopicName::new("t").unwrap(),
            partition_count: 10,
            replication_factor: 1,
            configs: Configs::new(),
        };
        self.metastore.create_topics(vec![topic]).await.unwrap()[0].clone().unwrap();
        self.catalog.refresh().await.unwrap();
    }

    /// Another process in the place of an agent.
    pub(in crate::coordinator) fn restarted(&self, node_id: i32) -> Agent {
        let settings = CoordinatorSettings { group_initial_rebalance_delay_ms: 0, ..CoordinatorSettings::default() };
        agent(node_id, &self.metastore, &self.catalog, &settings)
    }

    pub(in crate::coordinator) fn partition(&self, index: i32) -> TopicIdPartition {
        TopicIdPartition::new(self.topic_id, PartitionIndex(index))
    }

    pub(in crate::coordinator) fn commit_of(&self, claim: &MemberClaim, index: i32, offset: i64) -> OffsetCommit {
        let commit = PartitionCommit {
            partition: self.partition(index),
            offset: Offset(offset),
            leader_epoch: 0,
            metadata: "note".into(),
        };
        OffsetCommit { claim: claim.clone(), knows_group_id_not_found: true, retention: None, partitions: vec![commit] }
    }

    /// Commits one offset.
    pub(in crate::coordinator) async fn commit(
        &self,
        agent: &Agent,
        claim: &MemberClaim,
        index: i32,
        offset: i64,
    ) -> std::result::Result<(), Condition> {
        agent.groups.commit_offsets(self.commit_of(claim, index, offset)).await?.remove(0)
    }

    /// One committed offset.
    pub(in crate::coordinator) async fn fetch(
        &self,
        agent: &Agent,
        index: i32,
    ) -> std::result::Result<Option<i64>, Condition> {
        let partition = self.partition(index);
        let selection = OffsetSelection::Partitions(vec![partition]);
        let found = agent.groups.fetch_offsets(&group(), selection).await?;
        Ok(found.get(&partition).map(|committed| committed.offset.0))
    }
}

fn agent(node_id: i32, metastore: &Arc<Faulty>, catalog: &CatalogCache, settings: &CoordinatorSettings) -> Agent {
    let supervisor = Supervisor::default();
    let membership = Membership::new(view(node_id, &[1], false));
    let parts = GroupParts {
        metastore: metastore.clone(),
        membership: membership.clone(),
        catalog: catalog.clone(),
        settings: settings.clone(),
        rng: Rng::from_seed(u64::from(node_id.unsigned_abs())),
        metrics: Metrics::default(),
    };
    Agent { groups: GroupService::start(&supervisor, parts), supervisor, node_id, membership }
}

pub(in crate::coordinator) fn group() -> GroupId {
    "g".into()
}

/// A member's first JoinGroup, of an old client that needs no id beforehand.
pub(in crate::coordinator) fn join_request(member_id: &str) -> JoinRequest {
    // A subscription to the topic `t`.
    let metadata = Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t");
    JoinRequest {
        group_id: group(),
        member_id: member_id.into(),
        instance_id: None,
        client_id: "client".into(),
        client_host: "/192.0.2.1".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".into(),
        protocols: vec![Protocol { name: "range".into(), metadata }],
        requires_known_member_id: false,
        supports_skipping_assignment: false,
    }
}

/// Who speaks for a member of the first generation, or another one.
pub(in crate::coordinator) fn claim(member_id: &MemberId, generation: i32) -> MemberClaim {
    MemberClaim {
        group_id: group(),
        member_id: member_id.clone(),
        instance_id: None,
        generation: GenerationId(generation),
    }
}

/// A client outside of group membership.
pub(in crate::coordinator) fn nobody() -> MemberClaim {
    claim(&"".into(), -1)
}

pub(in crate::coordinator) async fn sync(
    agent: &Agent,
    claim: &MemberClaim,
    assigned: &[&MemberId],
) -> std::result::Result<Synced, Condition> {
    let assignment =
        |member_id: &&MemberId| ((*member_id).clone(), Bytes::copy_from_slice(member_id.as_str().as_bytes()));
    let request = SyncRequest {
        claim: claim.clone(),
        protocol_type: None,
        protocol_name: None,
        assignments: assigned.iter().map(assignment).collect(),
    };
    agent.groups.sync(request).await
}

/// A stable group of one member.
pub(in crate::coordinator) async fn alone(agent: &Agent) -> MemberId {
    let joined = agent.groups.join(join_request("")).await.unwrap();
    let member_id = joined.member_id;
    sync(agent, &claim(&member_id, joined.generation.0), &[&member_id]).await.unwrap();
    member_id
}

/// Something that goes on while the test does something else.
#[allow(clippy::disallowed_methods)]
pub(in crate::coordinator) fn meanwhile<T: Send + 'static>(
    doing: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    tokio::spawn(doing)
}

/// A JoinGroup that waits.
pub(in crate::coordinator) async fn parked_join(
    agent: &Agent,
    request: JoinRequest,
) -> tokio::task::JoinHandle<JoinOutcome> {
    let groups = agent.groups.clone();
    let parked = meanwhile(async move { groups.join(request).await });
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(!parked.is_finished(), "the join was answered at once");
    parked
}

pub(in crate::coordinator) fn refusal(
    outcome: std::result::Result<Joined, crate::coordinator::group::values::JoinRefused>,
) -> Condition {
    outcome.unwrap_err().condition
}

pub(in crate::coordinator) async fn pass(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}
