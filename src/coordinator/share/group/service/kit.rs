//! Two agents' share groups, beside their classic groups, over one metastore that can be slow and fail on demand.

use std::sync::Arc;

use crate::base::metrics::Metrics;
use crate::base::rng::Rng;
use crate::base::task::Supervisor;
use crate::config::share::ShareSettings;
use crate::coordinator::group::service::kit::{Agent, Kit as ClassicKit};
use crate::coordinator::share::group::context::ShareGroupParts;
use crate::coordinator::share::group::service::ShareGroups;
use crate::coordinator::share::partition::document::{StoredPartition, decode, name_prefix, partition_of};
use crate::coordinator::share::values::{Assignment, ShareHeartbeat, ShareHeartbeatAnswer};
use crate::metastore::catalog::Catalog;
use crate::metastore::state_store::StateStore;
use crate::metastore::values::{Configs, DocumentKind, NewTopic};
use crate::model::error::{Condition, Failure};
use crate::model::group::GroupId;
use crate::model::topic::{PartitionIndex, TopicId, TopicIdPartition, TopicName};

/// A cluster in which node 1 is home to every group, and a topic `t` has ten partitions.
pub(super) struct Kit {
    /// The agents, their classic groups and the metastore.
    pub(super) classic: ClassicKit,
    pub(super) one: ShareGroups,
    pub(super) two: ShareGroups,
}

impl Kit {
    pub(super) async fn new() -> Self {
        let classic = ClassicKit::new().await;
        let (one, two) = (shares(&classic, &classic.one), shares(&classic, &classic.two));
        Self { classic, one, two }
    }

    /// Another process in the place of an agent that was killed.
    pub(super) fn restarted(&self) -> ShareGroups {
        self.classic.one.supervisor.kill();
        let agent = Agent { supervisor: Supervisor::default(), ..self.classic.restarted(1) };
        shares(&self.classic, &agent)
    }

    /// Creates a topic behind the back of the agents' cache.
    pub(super) async fn create_topic(&self, name: &str, partition_count: i32) -> TopicId {
        let topic_id = TopicId(uuid::Uuid::from_u128(name.bytes().fold(1, |id, byte| (id << 8) | u128::from(byte))));
        let topic =
            NewTopic { topic_id, name: topic(name), partition_count, replication_factor: 1, configs: Configs::new() };
        self.classic.metastore.create_topics(vec![topic]).await.unwrap()[0].clone().unwrap();
        topic_id
    }

    /// The share partitions of a group that have documents.
    pub(super) async fn stored(&self, group_id: &GroupId) -> Vec<(TopicIdPartition, StoredPartition)> {
        let prefix = name_prefix(group_id);
        let kind = DocumentKind::SharePartition;
        let found = self.classic.metastore.list_documents(kind, &prefix, None, 10_000).await.unwrap();
        let read = |document: &crate::metastore::values::Document| {
            (partition_of(&document.key.name, &prefix).unwrap(), decode(document.body.clone()).unwrap())
        };
        found.iter().map(read).collect()
    }

    /// Which agent both believe to be the home.
    pub(super) fn home_is(&self, node_id: i32) {
        self.classic.one.sees(&[node_id]);
        self.classic.two.sees(&[node_id]);
    }
}

fn shares(classic: &ClassicKit, agent: &Agent) -> ShareGroups {
    let parts = ShareGroupParts {
        metastore: Arc::clone(&classic.metastore) as _,
        membership: agent.membership.clone(),
        catalog: classic.catalog.clone(),
        settings: ShareSettings::default(),
        rng: Rng::from_seed(u64::from(agent.node_id.unsigned_abs())),
        metrics: Metrics::default(),
    };
    ShareGroups::start(&agent.supervisor, parts)
}

pub(super) fn topic(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

pub(super) fn request(member_id: &str, member_epoch: i32, topics: Option<&[&str]>) -> ShareHeartbeat {
    ShareHeartbeat {
        group_id: "g".into(),
        member_id: member_id.into(),
        member_epoch,
        rack: None,
        subscribed: topics.map(|topics| topics.iter().map(|name| topic(name)).collect()),
        client_id: "client".into(),
        client_host: "/192.0.2.1".into(),
    }
}

/// Joins with a subscription to `t`.
pub(super) async fn join(shares: &ShareGroups, member_id: &str) -> Result<ShareHeartbeatAnswer, Failure> {
    shares.heartbeat(request(member_id, 0, Some(&["t"]))).await
}

/// Says that a member lives; answers its epoch.
pub(super) async fn beat(shares: &ShareGroups, member_id: &str, epoch: i32) -> Result<i32, Condition> {
    let answer = shares.heartbeat(request(member_id, epoch, None)).await;
    answer.map(|answer| answer.member_epoch).map_err(|failure| failure.condition)
}

pub(super) fn condition<T: std::fmt::Debug>(outcome: Result<T, Failure>) -> Condition {
    outcome.unwrap_err().condition
}

/// The partitions of an assignment, whatever their topics.
pub(super) fn indexes(assignment: Option<Assignment>) -> Vec<i32> {
    assignment.unwrap_or_default().into_values().flatten().map(|PartitionIndex(index)| index).collect()
}
