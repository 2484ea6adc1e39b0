//! A share group, and small questions about it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::time::Instant;

use crate::coordinator::share::values::{
    Assignment, ShareGroupDescription, ShareGroupListing, ShareGroupState, ShareMemberDescription,
};
use crate::metastore::values::CatalogVersion;
use crate::model::group::{GroupId, MemberId};
use crate::model::topic::{PartitionIndex, TopicId, TopicIdPartition, TopicName};

/// A share group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareGroup {
    /// Its id.
    pub group_id: GroupId,
    /// Whether there is such a group at all.
    pub exists: bool,
    /// Counts changes of members, subscriptions and topics.
    pub group_epoch: i32,
    /// The group epoch that the assignment was made for; behind while an assignment is put off.
    pub assignment_epoch: i32,
    /// Topics with share partitions of this group.
    pub topics: BTreeMap<TopicId, KnownTopic>,
    /// Everyone.
    pub members: BTreeMap<MemberId, ShareMember>,
    /// When the assignor last ran. In memory only.
    pub assigned_at: Option<Instant>,
    /// The catalog that topics were last compared with; `None` when they are to be compared again. In memory only.
    pub seen_catalog: Option<CatalogVersion>,
    /// One step was not enough for all share partitions that come or go. In memory only.
    pub topics_unfinished: bool,
}

/// A topic with share partitions of the group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownTopic {
    /// How many partitions the topic had when it was last looked at. Partitions from here on were added to a topic
    /// that the group knew: nothing in them was ever out of its sight, so they begin at offset 0 (KAFKA-20742).
    pub partition_count: i32,
    /// Partitions that have a document.
    pub initialised: BTreeSet<PartitionIndex>,
}

/// A member of a share group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareMember {
    /// Where it runs.
    pub rack: Option<Arc<str>>,
    /// Its client id.
    pub client_id: Arc<str>,
    /// Where it comes from.
    pub client_host: Arc<str>,
    /// What it subscribes to.
    pub subscribed: BTreeSet<TopicName>,
    /// The epoch it was last told; as stored, it may have been told a later one since.
    pub epoch: i32,
    /// The one before: it still says this one when the last answer was lost.
    pub previous_epoch: i32,
    /// The assignment epoch at which its assignment last changed.
    pub changed_at: i32,
    /// What it may fetch from.
    pub assigned: Assignment,
    /// `epoch` is only what was stored: a former home may have told it a later one. In memory only.
    pub is_restored: bool,
    /// When its session ends. In memory only.
    pub session_deadline: Instant,
}

impl ShareGroup {
    /// The group that does not exist.
    #[must_use]
    pub fn absent(group_id: GroupId) -> Self {
        Self {
            group_id,
            exists: false,
            group_epoch: 0,
            assignment_epoch: 0,
            topics: BTreeMap::new(),
            members: BTreeMap::new(),
            assigned_at: None,
            seen_catalog: None,
            topics_unfinished: false,
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> ShareGroupState {
        match (self.exists, self.members.is_empty()) {
            (false, _) => ShareGroupState::Dead,
            (true, true) => ShareGroupState::Empty,
            (true, false) => ShareGroupState::Stable,
        }
    }

    /// Every topic that somebody subscribes to.
    #[must_use]
    pub fn subscribed(&self) -> BTreeSet<&TopicName> {
        self.members.values().flat_map(|member| &member.subscribed).collect()
    }

    /// Every share partition that has a document.
    pub fn initialised(&self) -> impl Iterator<Item = TopicIdPartition> {
        self.topics.iter().flat_map(|(topic_id, topic)| {
            topic.initialised.iter().map(|partition| TopicIdPartition::new(*topic_id, *partition))
        })
    }

    /// Notes that a share partition's document is gone, and with the last one the topic.
    pub fn forget(&mut self, partition: TopicIdPartition) {
        let Some(topic) = self.topics.get_mut(&partition.topic_id) else { return };
        topic.initialised.remove(&partition.partition);
        if topic.initialised.is_empty() {
            self.topics.remove(&partition.topic_id);
        }
    }

    /// Counts a change.
    pub fn bump(&mut self) {
        self.group_epoch = self.group_epoch.saturating_add(1);
    }

    /// The group as ListGroups shows it.
    #[must_use]
    pub fn listing(&self) -> ShareGroupListing {
        ShareGroupListing { group_id: self.group_id.clone(), state: self.state() }
    }

    /// The group as ShareGroupDescribe shows it.
    #[must_use]
    pub fn describe(&self) -> ShareGroupDescription {
        let describe = |(member_id, member): (&MemberId, &ShareMember)| ShareMemberDescription {
            member_id: member_id.clone(),
            rack: member.rack.clone(),
            member_epoch: member.epoch,
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            subscribed: member.subscribed.iter().cloned().collect(),
            assignment: member.assigned.clone(),
        };
        ShareGroupDescription {
            group_id: self.group_id.clone(),
            state: self.state(),
            group_epoch: self.group_epoch,
            assignment_epoch: self.assignment_epoch,
            members: self.members.iter().map(describe).collect(),
        }
    }
}
