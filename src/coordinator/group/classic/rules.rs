//! Who may do what with a group's offsets, and when they expire.

use std::time::Duration;

use crate::base::clock::Timestamp;
use crate::coordinator::group::classic::state::{ClassicGroup, Turn};
use crate::coordinator::group::values::{CommittedOffset, GroupState, MemberClaim};
use crate::model::error::Condition;

/// From when on an offset's retention counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetentionBase {
    /// From its commit.
    Commit,
    /// From this moment, or from its commit if that was later.
    AtLeast(Timestamp),
}

impl RetentionBase {
    /// Whether an offset has expired.
    #[must_use]
    pub fn has_expired(self, offset: &CommittedOffset, retention: Duration, now: Timestamp) -> bool {
        if let Some(expires_at) = offset.expires_at {
            return now >= expires_at;
        }
        let base = match self {
            Self::Commit => offset.committed_at,
            Self::AtLeast(since) => offset.committed_at.max(since),
        };
        now >= base.plus(retention)
    }
}

impl ClassicGroup {
    /// Whether a commit is the group's own. It counts as a heartbeat; the first commit to a group that does not
    /// exist makes it, if the client does not claim membership.
    ///
    /// # Errors
    /// As Kafka's: unknown group or member, fenced member, wrong generation, rebalance in progress.
    pub fn accept_commit(
        &mut self,
        claim: &MemberClaim,
        knows_group_id_not_found: bool,
        turn: &mut Turn<'_>,
    ) -> Result<(), Condition> {
        if self.state == GroupState::Dead {
            return match claim.generation.0 {
                ..0 => {
                    self.transition(GroupState::Empty, turn);
                    Ok(())
                }
                _ if knows_group_id_not_found => Err(Condition::GroupIdNotFound),
                _ => Err(Condition::IllegalGeneration),
            };
        }
        if claim.generation.0 < 0 && self.state == GroupState::Empty {
            return Ok(());
        }
        if claim.generation.0 < 0 && claim.member_id.as_str().is_empty() && claim.instance_id.is_none() {
            // A stranger may only commit while nobody else is responsible for the group's offsets.
            return Err(Condition::UnknownMemberId);
        }
        self.validate_member(&claim.member_id, claim.instance_id.as_ref())?;
        if claim.generation != self.generation {
            return Err(Condition::IllegalGeneration);
        }
        if self.state == GroupState::CompletingRebalance {
            return Err(Condition::RebalanceInProgress);
        }
        if let Some(member) = self.members.get_mut(&claim.member_id) {
            member.extend_session(turn.now.moment);
        }
        Ok(())
    }

    /// Whether offsets may be deleted by an administrator.
    ///
    /// # Errors
    /// `GroupIdNotFound`, or `NonEmptyGroup` when it has members whose subscriptions can not be read.
    pub fn accept_offset_delete(&self) -> Result<(), Condition> {
        match self.state {
            GroupState::Dead => Err(Condition::GroupIdNotFound),
            GroupState::Empty => Ok(()),
            _ if self.is_of_consumers() => Ok(()),
            _ => Err(Condition::NonEmptyGroup),
        }
    }

    /// Whether the group may be deleted by an administrator.
    ///
    /// # Errors
    /// `GroupIdNotFound` or `NonEmptyGroup`.
    pub fn accept_delete(&self) -> Result<(), Condition> {
        match self.state {
            GroupState::Dead => Err(Condition::GroupIdNotFound),
            GroupState::Empty => Ok(()),
            _ => Err(Condition::NonEmptyGroup),
        }
    }

    /// Whether a member may subscribe to the topic; a consumers' group whose subscriptions can not be read may.
    #[must_use]
    pub fn may_subscribe_to(&self, topic: &str) -> bool {
        self.subscribed_topics().map_or(self.is_of_consumers(), |topics| topics.contains(topic))
    }

    /// From when on the retention of offsets counts, of those topics that nobody subscribes to; `None` while none
    /// of them may expire.
    #[must_use]
    pub fn retention_base(&self) -> Option<RetentionBase> {
        match self.state {
            _ if self.protocol_type.is_none() => Some(RetentionBase::Commit),
            GroupState::Empty => Some(RetentionBase::AtLeast(self.since)),
            GroupState::Stable if self.subscribed_topics().is_some() => Some(RetentionBase::Commit),
            _ => None,
        }
    }
}
