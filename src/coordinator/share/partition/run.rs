//! Neighbouring offsets with the same fate, and who holds them.

use crate::base::clock::Timestamp;
use crate::model::group::MemberId;
use crate::model::node::NodeIdentity;
use crate::model::offset::Offset;

/// Neighbouring offsets with the same fate. Two neighbouring runs always differ in more than their offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first offset.
    pub first: Offset,
    /// The last offset, not before the first.
    pub last: Offset,
    /// What became of them.
    pub state: RecordState,
    /// How often they have been delivered, the delivery that is going on included. 0 once nobody asks any more:
    /// acknowledged and archived.
    pub delivery_count: u16,
}

/// What became of a record (KIP-932).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordState {
    /// Delivered before without success; somebody else may try.
    Available {
        /// Not before this moment; `Timestamp(0)`: at once.
        not_before: Timestamp,
    },
    /// With a member.
    Acquired {
        /// Whose.
        holder: HolderIndex,
        /// When the lock ends by itself: from this moment on it has ended.
        deadline: Timestamp,
    },
    /// Processed.
    Acknowledged,
    /// Given up: rejected, delivered too often, withheld (a marker, or aborted), or not there.
    Archived,
}

/// The place of a holder among the holders of its state. Only good for the state it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HolderIndex(pub u32);

/// Who holds locks: a member through a session on one agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The member.
    pub member_id: MemberId,
    /// The agent that its session is with.
    pub node: NodeIdentity,
    /// Its newest acquisition, by the metastore's clock.
    pub acquired_at: Timestamp,
}

impl RecordState {
    /// Whether nothing can happen to such a record any more.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Acknowledged | Self::Archived)
    }

    /// Whether such a record can be acquired at `now`.
    #[must_use]
    pub fn is_ready(self, now: Timestamp) -> bool {
        matches!(self, Self::Available { not_before } if not_before <= now)
    }
}

impl Run {
    /// How many offsets it spans.
    #[must_use]
    pub fn offset_count(&self) -> u64 {
        u64::try_from(self.last.0 - self.first.0 + 1).unwrap_or(0)
    }

    /// Whether `next`, which begins where this ends, differs in nothing else.
    #[must_use]
    pub fn goes_on_in(&self, next: &Self) -> bool {
        self.state == next.state && self.delivery_count == next.delivery_count
    }
}
