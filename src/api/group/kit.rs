//! A group coordinator for tests: one agent, one topic `t` of two partitions, nothing on disk.

use std::sync::Arc;

use uuid::Uuid;

use crate::base::clock::{ManualClock, Timestamp};
use crate::base::metrics::Metrics;
use crate::base::rng::Rng;
use crate::base::task::Supervisor;
use crate::config::coordinators::CoordinatorSettings;
use crate::coordinator::group::context::GroupParts;
use crate::coordinator::group::service::GroupService;
use crate::coordinator::group::values::{MemberClaim, OffsetCommit};
use crate::coordinator::placement::{ClusterView, Membership};
use crate::metastore::cached::CatalogCache;
use crate::metastore::catalog::Catalog;
use crate::metastore::memory::store::MemoryMetastore;
use crate::metastore::values::{Configs, NewTopic, NodeRecord};
use crate::model::group::GenerationId;
use crate::model::node::{Endpoint, NodeEpoch, NodeId, NodeIdentity};
use crate::model::topic::{TopicId, TopicName};

pub(super) struct Kit {
    pub(super) groups: GroupService,
    pub(super) catalog: CatalogCache,
    pub(super) topic_id: TopicId,
    metastore: Arc<MemoryMetastore>,
    membership: Membership,
}

impl Kit {
    pub(super) async fn new() -> Self {
        let metastore = Arc::new(MemoryMetastore::new(Arc::new(ManualClock::starting_at(Timestamp(1)))));
        let catalog = CatalogCache::new(metastore.clone());
        let membership = Membership::new(view(&[1]));
        let parts = GroupParts {
            metastore: metastore.clone(),
            membership: membership.clone(),
            catalog: catalog.clone(),
            settings: CoordinatorSettings::default(),
            rng: Rng::from_seed(1),
            metrics: Metrics::default(),
        };
        let groups = GroupService::start(&Supervisor::default(), parts);
        let kit = Self { groups, catalog, topic_id: TopicId(Uuid::from_u128(1)), metastore, membership };
        kit.create_topic(kit.topic_id).await;
        kit
    }

    async fn create_topic(&self, topic_id: TopicId) {
        let topic = NewTopic {
            topic_id,
            name: TopicName::new("t").unwrap(),
            partition_count: 2,
            replication_factor: 1,
            configs: Configs::new(),
        };
        self.metastore.create_topics(vec![topic]).await.unwrap()[0].clone().unwrap();
        self.catalog.refresh().await.unwrap();
    }

    /// Deletes the topic and makes another one of its name.
    pub(super) async fn recreate_topic(&self) {
        self.metastore.delete_topics(vec![self.topic_id]).await.unwrap()[0].clone().unwrap();
        self.create_topic(TopicId(Uuid::from_u128(2))).await;
    }

    /// Another agent becomes home to everything.
    pub(super) fn leaves_home(&self) {
        self.membership.replace(view(&[2]));
    }

    /// Makes a group without members.
    pub(super) async fn make_group(&self, group_id: &str) {
        let (member_id, generation) = ("".into(), GenerationId(-1));
        let claim = MemberClaim { group_id: group_id.into(), member_id, instance_id: None, generation };
        let commit = OffsetCommit { claim, knows_group_id_not_found: true, retention: None, partitions: Vec::new() };
        self.groups.commit_offsets(commit).await.unwrap();
    }
}

fn view(nodes: &[i32]) -> ClusterView {
    let identity = |id| NodeIdentity { node_id: NodeId(id), node_epoch: NodeEpoch(1) };
    let record = |&id: &i32| NodeRecord {
        identity: identity(id),
        incarnation: Uuid::nil(),
        endpoint: Endpoint { host: "h".into(), port: 1 },
        rack: None,
        draining: false,
        expires_at: Timestamp(0),
    };
    ClusterView { this: identity(1), nodes: nodes.iter().map(record).collect() }
}
