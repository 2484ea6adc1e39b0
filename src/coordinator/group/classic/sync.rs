//! SyncGroup and Heartbeat.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::coordinator::group::classic::state::{ClassicGroup, Turn};
use crate::coordinator::group::values::{Answer, GroupState, MemberClaim, SyncRequest, Synced, Ticket};
use crate::model::error::Condition;
use crate::model::group::MemberId;

impl ClassicGroup {
    /// Gives a member its assignment, or takes all of them from the leader.
    pub fn sync(&mut self, ticket: Ticket, request: SyncRequest, turn: &mut Turn<'_>) {
        if let Err(condition) = self.validate_sync(&request) {
            return turn.effects.refuse_sync(ticket, condition);
        }
        let member_id = request.claim.member_id;
        self.pending_sync.remove(&member_id);
        if self.pending_sync.is_empty() {
            self.sync_deadline = None;
        }
        let synced = self.synced(&member_id);
        let Some(member) = self.members.get_mut(&member_id) else { return };
        if self.state == GroupState::Stable {
            turn.effects.answers.push((ticket, Answer::Sync(Ok(synced))));
            return;
        }
        if let Some(former) = member.awaiting_sync.replace(ticket) {
            // Its client gave that request up.
            turn.effects.refuse_sync(former, Condition::RebalanceInProgress);
        }
        if self.is_leader(&member_id) {
            self.assign(request.assignments, turn);
        }
    }

    fn validate_sync(&self, request: &SyncRequest) -> Result<(), Condition> {
        let differs = |theirs: &Option<Arc<str>>, ours: &Option<Arc<str>>| {
            theirs.as_ref().zip(ours.as_ref()).is_some_and(|(theirs, ours)| theirs != ours)
        };
        self.validate_member(&request.claim.member_id, request.claim.instance_id.as_ref())?;
        if request.claim.generation != self.generation {
            return Err(Condition::IllegalGeneration);
        }
        if differs(&request.protocol_type, &self.protocol_type) || differs(&request.protocol_name, &self.protocol_name)
        {
            return Err(Condition::InconsistentGroupProtocol);
        }
        match self.state {
            GroupState::PreparingRebalance => Err(Condition::RebalanceInProgress),
            GroupState::CompletingRebalance | GroupState::Stable => Ok(()),
            GroupState::Empty | GroupState::Dead => Err(Condition::UnknownMemberId),
        }
    }

    /// The leader has spoken: everyone gets what it says, or nothing, and the group is stable.
    fn assign(&mut self, assignments: Vec<(MemberId, Bytes)>, turn: &mut Turn<'_>) {
        let mut assignments: BTreeMap<_, _> = assignments.into_iter().collect();
        self.transition(GroupState::Stable, turn);
        for member in self.members.values_mut() {
            member.assignment = assignments.remove(&member.member_id).unwrap_or_default();
            if let Some(ticket) = member.awaiting_sync.take() {
                member.extend_session(turn.now.moment);
                let synced = Synced {
                    protocol_type: self.protocol_type.clone(),
                    protocol_name: self.protocol_name.clone(),
                    assignment: member.assignment.clone(),
                };
                turn.effects.answers.push((ticket, Answer::Sync(Ok(synced))));
            }
        }
    }

    fn synced(&self, member_id: &MemberId) -> Synced {
        Synced {
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            assignment: self.members.get(member_id).map(|member| member.assignment.clone()).unwrap_or_default(),
        }
    }

    /// A member lives; it learns whether it has to rejoin.
    ///
    /// # Errors
    /// As Kafka's: unknown or fenced member, wrong generation, or a rebalance that it has to join.
    pub fn heartbeat(&mut self, claim: &MemberClaim, turn: &Turn<'_>) -> Result<(), Condition> {
        self.validate_member(&claim.member_id, claim.instance_id.as_ref())?;
        if claim.generation != self.generation {
            return Err(Condition::IllegalGeneration);
        }
        if let Some(member) = self.members.get_mut(&claim.member_id) {
            member.extend_session(turn.now.moment);
        }
        match self.state {
            GroupState::PreparingRebalance => Err(Condition::RebalanceInProgress),
            GroupState::CompletingRebalance | GroupState::Stable => Ok(()),
            GroupState::Empty | GroupState::Dead => Err(Condition::UnknownMemberId),
        }
    }
}
