//! Which committed offsets may go, and whether the group goes with them.

use std::time::Duration;

use crate::base::clock::Timestamp;
use crate::coordinator::group::classic::state::ClassicGroup;
use crate::coordinator::group::values::{CommittedOffset, GroupState};
use crate::metastore::values::CatalogSnapshot;
use crate::model::topic::TopicIdPartition;

/// By what offsets are judged.
#[derive(Clone, Copy, Debug)]
pub struct Expiry {
    /// The metastore's time.
    pub now: Timestamp,
    /// How long offsets are kept.
    pub retention: Duration,
}

/// What may go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// These offsets.
    pub offsets: Vec<TopicIdPartition>,
    /// The group itself: nobody is in it, and no offset is left.
    pub group: bool,
}

impl Expired {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.offsets.is_empty() && !self.group
    }
}

impl Expiry {
    /// Judges all committed offsets of a group: those of topics that are gone may go, and those of topics that
    /// nobody subscribes to once their time is up. `catalog` must have been read after the offsets.
    #[must_use]
    pub fn judge(
        &self,
        group: &ClassicGroup,
        committed: &[(TopicIdPartition, CommittedOffset)],
        catalog: &CatalogSnapshot,
    ) -> Expired {
        let base = group.retention_base();
        let may_go = |(partition, offset): &(TopicIdPartition, CommittedOffset)| {
            let Some(topic) = catalog.topics_by_id.get(&partition.topic_id) else { return true };
            base.is_some_and(|base| base.has_expired(offset, self.retention, self.now))
                && !group.may_subscribe_to(topic.name.as_str())
        };
        let offsets: Vec<_> = committed.iter().filter(|entry| may_go(entry)).map(|(partition, _)| *partition).collect();
        let is_deserted = group.state == GroupState::Empty && group.pending_join.is_empty();
        Expired { group: is_deserted && offsets.len() == committed.len(), offsets }
    }
}
