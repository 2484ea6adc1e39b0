//! A classic group, and small questions about it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::base::clock::Timestamp;
use crate::config::coordinators::CoordinatorSettings;
use crate::coordinator::group::member::Member;
use crate::coordinator::group::subscription;
use crate::coordinator::group::values::{
    CONSUMER_PROTOCOL_TYPE, Effects, GroupDescription, GroupListing, GroupState, MemberDescription, Moment, Now,
    Protocol,
};
use crate::model::error::Condition;
use crate::model::group::{GenerationId, GroupId, GroupInstanceId, MemberId};

/// A classic group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicGroup {
    /// Its id.
    pub group_id: GroupId,
    /// Where it stands.
    pub state: GroupState,
    /// Since when it stands there, by the metastore's clock.
    pub since: Timestamp,
    /// The current round.
    pub generation: GenerationId,
    /// `consumer`, `connect`, …; none for a group that only keeps offsets.
    pub protocol_type: Option<Arc<str>>,
    /// What the members of this round voted for.
    pub protocol_name: Option<Arc<str>>,
    /// Who assigns.
    pub leader: Option<MemberId>,
    /// Everyone.
    pub members: BTreeMap<MemberId, Member>,
    /// The member id behind each static member's instance id.
    pub static_members: BTreeMap<GroupInstanceId, MemberId>,
    /// Members that were told an id and have yet to come back with it, until when. In memory only.
    pub pending_join: BTreeMap<MemberId, Moment>,
    /// Members of this round whose SyncGroup is still missing. In memory only.
    pub pending_sync: BTreeSet<MemberId>,
    /// When those are given up. In memory only.
    pub sync_deadline: Option<Moment>,
    /// When the join phase ends. In memory only.
    pub join_timer: Option<JoinTimer>,
    /// This rebalance began with an empty group. In memory only.
    pub initial_rebalance: bool,
    /// Somebody new came while an initial rebalance waited. In memory only.
    pub new_member_added: bool,
}

/// The end of a join phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinTimer {
    /// When it is due.
    pub due: Moment,
    /// For the first rebalance of an empty group: how long this wait is and how much longer it may become.
    pub initial: Option<InitialDelay>,
}

/// The wait of an initial rebalance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitialDelay {
    /// How long this wait is.
    pub delay_ms: u32,
    /// How much longer it may become.
    pub remaining_ms: u32,
}

/// What one decision works with.
#[derive(Debug)]
pub struct Turn<'a> {
    /// When.
    pub now: Now,
    /// By which limits.
    pub settings: &'a CoordinatorSettings,
    /// What is to be done.
    pub effects: Effects,
}

impl ClassicGroup {
    /// The group that does not exist.
    #[must_use]
    pub fn dead(group_id: GroupId) -> Self {
        Self {
            group_id,
            state: GroupState::Dead,
            since: Timestamp::NONE,
            generation: GenerationId(0),
            protocol_type: None,
            protocol_name: None,
            leader: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending_join: BTreeMap::new(),
            pending_sync: BTreeSet::new(),
            sync_deadline: None,
            join_timer: None,
            initial_rebalance: false,
            new_member_added: false,
        }
    }

    /// Changes the state; says that it has to be stored unless only memory knows of it.
    pub fn transition(&mut self, state: GroupState, turn: &mut Turn<'_>) {
        self.initial_rebalance = self.state == GroupState::Empty && state == GroupState::PreparingRebalance;
        self.state = state;
        self.since = turn.now.wall;
        turn.effects.persist |= !self.initial_rebalance;
    }

    /// Whether the member leads.
    #[must_use]
    pub fn is_leader(&self, member_id: &MemberId) -> bool {
        self.leader.as_ref() == Some(member_id)
    }

    /// How many members' JoinGroup requests wait.
    #[must_use]
    pub fn awaiting_join_count(&self) -> usize {
        self.members.values().filter(|member| member.awaiting_join.is_some()).count()
    }

    /// Whether nobody is missing in the join phase.
    #[must_use]
    pub fn has_all_members_joined(&self) -> bool {
        self.pending_join.is_empty() && self.members.values().all(|member| member.awaiting_join.is_some())
    }

    /// The longest time that a member may take to rejoin.
    #[must_use]
    pub fn rebalance_timeout_ms(&self) -> u32 {
        self.members.values().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0)
    }

    /// Whether somebody with this type and these protocols fits in.
    #[must_use]
    pub fn supports(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if matches!(self.state, GroupState::Empty | GroupState::Dead) {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|protocol| self.members.values().all(|member| member.supports(&protocol.name)))
    }

    /// The protocol that all members support and most prefer; a tie goes to the one the leader prefers.
    #[must_use]
    pub fn vote(&self) -> Option<Arc<str>> {
        let is_candidate = |name: &str| self.members.values().all(|member| member.supports(name));
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let choice = member.protocols.iter().find(|protocol| is_candidate(&protocol.name));
            if let Some(choice) = choice {
                *votes.entry(&choice.name).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        let leader = self.leader.as_ref().and_then(|leader| self.members.get(leader));
        let by_preference = leader.into_iter().chain(self.members.values()).flat_map(|member| &member.protocols);
        by_preference.map(|protocol| &protocol.name).find(|name| votes.get(&***name) == Some(&most)).cloned()
    }

    /// Whether the request's member is who it claims to be.
    ///
    /// # Errors
    /// `UnknownMemberId` when there is no such member, `FencedInstanceId` when another one holds its instance id.
    pub fn validate_member(
        &self,
        member_id: &MemberId,
        instance_id: Option<&GroupInstanceId>,
    ) -> Result<(), Condition> {
        if let Some(instance_id) = instance_id {
            match self.static_members.get(instance_id) {
                None => return Err(Condition::UnknownMemberId),
                Some(holder) if holder != member_id => return Err(Condition::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member_id) { Ok(()) } else { Err(Condition::UnknownMemberId) }
    }

    /// Whether its members are consumers.
    #[must_use]
    pub fn is_of_consumers(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER_PROTOCOL_TYPE)
    }

    /// The topics its members subscribe to, or `None` when that can not be known.
    #[must_use]
    pub fn subscribed_topics(&self) -> Option<BTreeSet<String>> {
        if !self.is_of_consumers() {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol_name = self.protocol_name.as_deref()?;
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            // A member that joined since the vote may not support the protocol; its wish is unknown then.
            topics.extend(subscription::subscribed_topics(&member.metadata(protocol_name))?);
        }
        Some(topics)
    }

    /// The next moment at which something is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        let sessions = self.members.values().filter_map(|member| member.session_deadline);
        let timers = self.join_timer.map(|timer| timer.due).into_iter().chain(self.sync_deadline);
        sessions.chain(timers).chain(self.pending_join.values().copied()).min()
    }

    /// The group as ListGroups shows it.
    #[must_use]
    pub fn listing(&self) -> GroupListing {
        GroupListing {
            group_id: self.group_id.clone(),
            protocol_type: self.protocol_type.clone().unwrap_or_else(|| "".into()),
            state: self.state,
        }
    }

    /// The group as DescribeGroups shows it.
    #[must_use]
    pub fn describe(&self) -> GroupDescription {
        let protocol_name = self.protocol_name.clone().filter(|_| self.state == GroupState::Stable);
        let describe = |member: &Member| MemberDescription {
            member_id: member.member_id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: protocol_name.as_deref().map(|name| member.metadata(name)).unwrap_or_default(),
            assignment: protocol_name.as_ref().map(|_| member.assignment.clone()).unwrap_or_default(),
        };
        GroupDescription {
            state: self.state,
            protocol_type: self.protocol_type.clone().unwrap_or_else(|| "".into()),
            members: self.members.values().map(describe).collect(),
            protocol_name: protocol_name.unwrap_or_else(|| "".into()),
        }
    }
}
