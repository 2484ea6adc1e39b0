//! A share group under test, with time and topics in hand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::base::clock::Timestamp;
use crate::config::share_group::ShareGroupConfig;
use crate::coordinator::share::group::document;
use crate::coordinator::share::values::Assignment;
use crate::metastore::values::TopicRecord;
use crate::model::error::Condition;
use crate::model::node::{NodeEpoch, NodeId, NodeIdentity};
use crate::model::topic::{PartitionIndex, TopicId};

/// A share group under test.
pub(super) struct Kit {
    pub(super) group: ShareGroup,
    pub(super) limits: ShareGroupLimits,
    pub(super) catalog: CatalogSnapshot,
    pub(super) documents_max: usize,
    pub(super) now: Instant,
    /// How often something was to be stored.
    pub(super) persisted: usize,
    pub(super) initialised: Vec<(TopicIdPartition, bool)>,
    pub(super) forgotten: Vec<TopicIdPartition>,
}

impl Kit {
    pub(super) fn new(topics: &[(&str, i32)]) -> Self {
        let mut kit = Self {
            group: ShareGroup::absent("g".into()),
            limits: ShareGroupLimits::from(&ShareGroupConfig::default()),
            catalog: CatalogSnapshot::default(),
            documents_max: 1_000,
            now: Instant::now(),
            persisted: 0,
            initialised: Vec::new(),
            forgotten: Vec::new(),
        };
        topics.iter().for_each(|(name, count)| kit.topic(name, *count));
        kit
    }

    /// Creates a topic or adds partitions to it.
    pub(super) fn topic(&mut self, name: &str, partition_count: i32) {
        let name = TopicName::new(name).unwrap();
        let known = self.catalog.topics.get(&name).map(|record| record.topic_id);
        self.catalog.version.0 += 1;
        let topic_id = known.unwrap_or(TopicId(uuid::Uuid::from_u128(u128::from(self.catalog.version.0))));
        let record = Arc::new(TopicRecord {
            topic_id,
            name: name.clone(),
            partition_count,
            replication_factor: 1,
            created_at: Timestamp(0),
            configs: BTreeMap::new(),
        });
        self.catalog.topics.insert(name, Arc::clone(&record));
        self.catalog.topics_by_id.insert(topic_id, record);
    }

    /// Deletes a topic.
    pub(super) fn delete_topic(&mut self, name: &str) {
        let record = self.catalog.topics.remove(&TopicName::new(name).unwrap()).unwrap();
        self.catalog.topics_by_id.remove(&record.topic_id);
        self.catalog.version.0 += 1;
    }

    pub(super) fn id_of(&self, name: &str) -> TopicId {
        self.catalog.topics[&TopicName::new(name).unwrap()].topic_id
    }

    fn decide(&mut self, event: Event) -> Option<Result<ShareHeartbeatAnswer, Failure>> {
        let (now, documents_max) = (self.now, self.documents_max);
        let surroundings = Surroundings { now, limits: &self.limits, catalog: &self.catalog, documents_max };
        let before = self.group.clone();
        let (group, effects) = decide(self.group.clone(), event, surroundings);
        self.group = group;
        assert!(effects.initialise.len() + effects.forget.len() <= self.documents_max);
        if effects.persist {
            self.persisted += 1;
            assert_ne!(self.stored(&before), self.stored(&self.group), "every step that is stored can be told apart");
        } else {
            assert_eq!(effects, Effects { answer: effects.answer.clone(), ..Effects::default() });
        }
        self.initialised.extend(effects.initialise.iter().map(|new| (new.partition, new.from_the_beginning)));
        self.forgotten.extend(effects.forget);
        self.check();
        effects.answer
    }

    fn stored(&self, group: &ShareGroup) -> bytes::Bytes {
        document::encode(group, NodeIdentity { node_id: NodeId(1), node_epoch: NodeEpoch(1) })
    }

    /// What always holds.
    fn check(&self) {
        let group = &self.group;
        assert!(group.assignment_epoch <= group.group_epoch);
        for (member_id, member) in &group.members {
            assert!(member.epoch <= group.assignment_epoch && member.previous_epoch <= member.epoch, "{member:?}");
            assert!(member.changed_at <= group.assignment_epoch);
            if group.assignment_epoch == group.group_epoch {
                for (topic_id, partitions) in &member.assigned {
                    let initialised = &group.topics[topic_id].initialised;
                    assert!(partitions.iter().all(|partition| initialised.contains(partition)), "{member_id}");
                }
            }
        }
    }

    /// A request as a member sends it.
    pub(super) fn request(member_id: &str, member_epoch: i32, subscribed: Option<&[&str]>) -> ShareHeartbeat {
        ShareHeartbeat {
            group_id: "g".into(),
            member_id: member_id.into(),
            member_epoch,
            rack: None,
            subscribed: subscribed.map(|topics| topics.iter().map(|name| TopicName::new(name).unwrap()).collect()),
            client_id: "client".into(),
            client_host: "/192.0.2.1".into(),
        }
    }

    pub(super) fn send(&mut self, request: ShareHeartbeat) -> Result<ShareHeartbeatAnswer, Condition> {
        let (before, persisted) = (self.group.clone(), self.persisted);
        let answer = self.decide(Event::Heartbeat(request)).expect("a heartbeat is answered");
        if answer.is_err() {
            assert_eq!((&self.group, self.persisted), (&before, persisted), "who is refused changes nothing");
        }
        answer.map_err(|failure| failure.condition)
    }

    pub(super) fn beat(&mut self, member_id: &str, epoch: i32) -> Result<ShareHeartbeatAnswer, Condition> {
        self.send(Self::request(member_id, epoch, None))
    }

    /// Joins; answers the member's epoch and what it got.
    pub(super) fn join(&mut self, member_id: &str, topics: &[&str]) -> (i32, Vec<String>) {
        let answer = self.send(Self::request(member_id, 0, Some(topics))).unwrap();
        let assignment = answer.assignment.expect("who joins is told what it gets");
        (answer.member_epoch, self.shown(&assignment))
    }

    pub(super) fn tick(&mut self) {
        assert_eq!(self.decide(Event::Tick), None);
    }

    /// Lets time pass, as a shard does: whatever is due is decided.
    pub(super) fn pass(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        for _ in 0..100 {
            match self.group.next_deadline(self.now, &self.limits) {
                Some(due) if due <= end => {
                    self.now = self.now.max(due);
                    self.tick();
                }
                _ => {
                    self.now = end;
                    return;
                }
            }
        }
        panic!("the shard would spin: {:?}", self.group);
    }

    /// Another home reads the group.
    pub(super) fn restart(&mut self) {
        let document = self.stored(&self.group);
        self.group = document::decode(&"g".into(), &document, self.now + self.limits.session_timeout).unwrap();
    }

    /// An assignment as text, such as `t/0,1`.
    pub(super) fn shown(&self, assignment: &Assignment) -> Vec<String> {
        let name = |topic_id| self.catalog.topics_by_id.get(topic_id).map_or("gone", |record| record.name.as_str());
        let list =
            |partitions: &[PartitionIndex]| partitions.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        assignment.iter().map(|(topic_id, partitions)| format!("{}/{}", name(topic_id), list(partitions))).collect()
    }

    pub(super) fn assigned(&self, member_id: &str) -> Vec<String> {
        self.shown(&self.group.members[&member_id.into()].assigned)
    }
}
