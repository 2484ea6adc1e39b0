//! Whether it is worth asking the lane: a look at what is in memory.

use crate::base::clock::Timestamp;
use crate::coordinator::share::delivery::context::{Context, GroupRules};
use crate::coordinator::share::delivery::living::Living;
use crate::coordinator::share::partition::document::StoredPartition;
use crate::coordinator::share::partition::run::RecordState;
use crate::coordinator::share::partition::state::SharePartitionState;
use crate::model::group::GroupId;
use crate::model::offset::Offset;
use crate::model::topic::TopicIdPartition;
use crate::object::cache::Heat;

/// What memory says of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outlook {
    /// Nothing is known.
    Unknown,
    /// Nothing can be acquired before this moment, unless there are news.
    Nothing(Option<Timestamp>),
    /// About so many bytes can be acquired.
    Bytes(u64),
}

/// What to look with.
#[derive(Debug)]
pub(super) struct Look<'a> {
    pub context: &'a Context,
    pub group_id: &'a GroupId,
    pub rules: &'a GroupRules,
    pub living: Living,
    pub now: Timestamp,
}

impl Look<'_> {
    /// What can be acquired of a partition, counted up to `bytes_max`.
    pub(super) fn outlook(&self, partition: TopicIdPartition, bytes_max: u64) -> Outlook {
        let Some(known) = self.context.cache.get(&(self.group_id.clone(), partition)) else { return Outlook::Unknown };
        let StoredPartition::Decided(state) = &*known.stored else { return Outlook::Unknown };
        let next_change = || Outlook::Nothing(state.next_change(self.now));
        if self.has_lapsed(state) {
            return Outlook::Bytes(bytes_max);
        }
        let Some(offset) = state.next_fetch_offset(self.now, &self.rules.rules) else { return next_change() };
        let Some(bounds) = self.context.parts.tail.bounds(partition) else { return Outlook::Unknown };
        let end = if self.rules.config.read_committed { bounds.last_stable_offset } else { bounds.high_watermark };
        if offset >= end {
            return next_change();
        }
        let bytes = self.known_bytes(partition, offset, bytes_max);
        Outlook::Bytes(bytes.unwrap_or(bytes_max))
    }

    /// Whether acknowledgements there may wait for a moment: no lock ends before `until`, and nobody needs their room.
    pub(super) fn may_wait(&self, partition: TopicIdPartition, until: Timestamp) -> bool {
        let known = self.context.cache.get(&(self.group_id.clone(), partition));
        known.is_some_and(|known| match &*known.stored {
            StoredPartition::Decided(state) => {
                !self.has_lapsed(state)
                    && state.next_change(self.now).is_none_or(|change| change > until)
                    && !self.lacks_room(state, partition)
            }
            StoredPartition::Undecided => false,
        })
    }

    /// Whether there are records that nobody can have because the window is full.
    fn lacks_room(&self, state: &SharePartitionState, partition: TopicIdPartition) -> bool {
        let bounds = self.context.parts.tail.bounds(partition);
        state.next_fetch_offset(self.now, &self.rules.rules).is_none()
            && bounds.is_none_or(|bounds| bounds.high_watermark > state.end_offset())
    }

    /// From where on a partition's records would be read that are most likely not in memory.
    pub(super) fn cold_offset(&self, partition: TopicIdPartition) -> Option<Offset> {
        let known = self.context.cache.get(&(self.group_id.clone(), partition))?;
        let StoredPartition::Decided(state) = &*known.stored else { return None };
        let offset = state.next_fetch_offset(self.now, &self.rules.rules)?;
        let Some(view) = self.context.parts.tail.view(partition, offset, 1) else { return Some(offset) };
        let is_hot = match view.extents.first() {
            Some(known) => known.heat == Heat::Tail,
            None => offset >= view.bounds.high_watermark || offset < view.bounds.log_start_offset,
        };
        (!is_hot).then_some(offset)
    }

    fn known_bytes(&self, partition: TopicIdPartition, offset: Offset, bytes_max: u64) -> Option<u64> {
        let view = self.context.parts.tail.view(partition, offset, bytes_max)?;
        let bytes = view.extents.iter().map(|known| u64::from(known.extent.bytes.length)).sum();
        (bytes > 0).then_some(bytes)
    }

    /// Whether a lock has ended that nobody has looked at since.
    fn has_lapsed(&self, state: &SharePartitionState) -> bool {
        let is_late =
            |state: RecordState| matches!(state, RecordState::Acquired { deadline, .. } if deadline <= self.now);
        state.runs().iter().any(|run| is_late(run.state))
            || state.holders().iter().any(|holder| self.living.is_over(holder))
    }
}
