//! ShareGroupHeartbeat, and the end of sessions.

use std::collections::BTreeSet;

use crate::coordinator::share::group::decide::Turn;
use crate::coordinator::share::group::state::{ShareGroup, ShareMember};
use crate::coordinator::share::values::{Assignment, ShareHeartbeat, ShareHeartbeatAnswer};
use crate::model::error::{Condition, Failure};
use crate::model::group::{GroupId, MemberId};

/// The epoch with which a member joins.
const JOINING: i32 = 0;
/// The epoch with which a member leaves.
const LEAVING: i32 = -1;
/// The longest member id, in characters: a UUID's text.
const MEMBER_ID_CHARACTERS_MAX: usize = 36;

/// A share group that does not exist.
#[must_use]
pub fn not_found(group_id: &GroupId) -> Failure {
    Failure::new(Condition::GroupIdNotFound, format!("Group {group_id} not found."))
}

/// A group that is there, but of another kind.
#[must_use]
pub fn not_a_share_group(group_id: &GroupId) -> Failure {
    Failure::new(Condition::GroupIdNotFound, format!("Group {group_id} is not a share group."))
}

/// Whether a heartbeat makes sense, whatever the group.
///
/// # Errors
/// `InvalidRequest` with what is wrong.
pub fn check(request: &ShareHeartbeat) -> Result<(), Failure> {
    let joins = request.member_epoch == JOINING;
    let wrong = if request.group_id.as_str().is_empty() {
        "GroupId must not be empty."
    } else if request.member_id.as_str().is_empty() {
        "MemberId must not be empty: a member chooses an id and keeps it."
    } else if request.member_id.as_str().chars().count() > MEMBER_ID_CHARACTERS_MAX {
        "MemberId must not be longer than 36 characters."
    } else if request.rack.as_deref().is_some_and(str::is_empty) {
        "RackId must be null or name a rack."
    } else if request.member_epoch < LEAVING {
        "MemberEpoch must be -1, 0 or an epoch that the group gave."
    } else if joins && request.subscribed.as_ref().is_none_or(Vec::is_empty) {
        "SubscribedTopicNames must name a topic when a member joins."
    } else {
        return Ok(());
    };
    Err(Failure::new(Condition::InvalidRequest, wrong))
}

impl ShareGroup {
    /// Takes a member in, keeps it alive or lets it go. Changes nothing when it refuses.
    ///
    /// # Errors
    /// As Kafka's ShareGroupHeartbeat.
    pub fn heartbeat(&mut self, request: ShareHeartbeat, turn: &mut Turn<'_>) -> Result<ShareHeartbeatAnswer, Failure> {
        check(&request)?;
        if request.member_epoch != JOINING && !self.exists {
            return Err(not_found(&self.group_id));
        }
        match request.member_epoch {
            JOINING => self.join(request, turn),
            LEAVING => self.leave(&request.member_id, turn),
            _ => self.live(request, turn),
        }
    }

    /// Removes members that have been silent for too long.
    pub fn expire(&mut self, turn: &mut Turn<'_>) {
        let before = self.members.len();
        self.members.retain(|member_id, member| {
            let lives = member.session_deadline > turn.surroundings.now;
            if !lives {
                tracing::info!(group = %self.group_id, member = %member_id, "member of share group timed out");
            }
            lives
        });
        turn.bump |= self.members.len() != before;
    }

    fn join(&mut self, request: ShareHeartbeat, turn: &mut Turn<'_>) -> Result<ShareHeartbeatAnswer, Failure> {
        let size_max = turn.surroundings.limits.size_max;
        let member_id = request.member_id.clone();
        if !self.members.contains_key(&member_id) {
            if self.members.len() >= size_max {
                let message = format!("Group {} has {size_max} members, no more are allowed.", self.group_id);
                return Err(Failure::new(Condition::GroupMaxSizeReached, message));
            }
            self.exists = true;
            let now = turn.surroundings.now;
            self.members.insert(member_id.clone(), ShareMember::joining(&request, now));
            turn.bump = true;
            turn.hurry = true;
        }
        self.update(request, turn);
        self.settle(turn);
        self.answer(&member_id, true, turn)
    }

    fn live(&mut self, request: ShareHeartbeat, turn: &mut Turn<'_>) -> Result<ShareHeartbeatAnswer, Failure> {
        let (member_id, claimed) = (request.member_id.clone(), request.member_epoch);
        let member = self.members.get_mut(&member_id).ok_or_else(|| unknown(&member_id, &self.group_id))?;
        if !member.may_be_at(claimed, self.assignment_epoch) {
            let order = if claimed > member.epoch { "newer" } else { "older" };
            let message = format!(
                "Member {member_id} is at epoch {}, the request's {claimed} is {order}: give up all partitions and \
                 join again.",
                member.epoch
            );
            return Err(Failure::new(Condition::FencedMemberEpoch, message));
        }
        if claimed > member.epoch {
            member.tell(claimed);
        }
        let names_topics = request.subscribed.is_some();
        self.update(request, turn);
        self.settle(turn);
        self.answer(&member_id, names_topics, turn).map(|mut answer| {
            // What it knows is as old as the epoch it says, also when an answer got lost since.
            let member = self.members.get(&member_id).filter(|member| claimed < member.changed_at);
            answer.assignment = answer.assignment.or_else(|| member.map(|member| member.assigned.clone()));
            answer
        })
    }

    fn leave(&mut self, member_id: &MemberId, turn: &mut Turn<'_>) -> Result<ShareHeartbeatAnswer, Failure> {
        self.members.remove(member_id).ok_or_else(|| unknown(member_id, &self.group_id))?;
        turn.bump = true;
        self.settle(turn);
        let heartbeat_interval = turn.surroundings.limits.heartbeat_interval;
        Ok(ShareHeartbeatAnswer { member_epoch: LEAVING, heartbeat_interval, assignment: None })
    }

    /// Takes over what a member says of itself.
    fn update(&mut self, request: ShareHeartbeat, turn: &mut Turn<'_>) {
        let Some(member) = self.members.get_mut(&request.member_id) else { return };
        let former = (member.rack.clone(), member.client_id.clone(), member.client_host.clone());
        member.rack = request.rack.or_else(|| member.rack.take());
        (member.client_id, member.client_host) = (request.client_id, request.client_host);
        turn.effects.persist |= former.0 != member.rack || (former.1, former.2) != member.origin();
        if let Some(subscribed) = request.subscribed.map(|topics| topics.into_iter().collect::<BTreeSet<_>>())
            && subscribed != member.subscribed
        {
            member.subscribed = subscribed;
            self.seen_catalog = None;
            turn.bump = true;
        }
    }

    /// The answer to a member that is in; its session begins anew.
    fn answer(
        &mut self,
        member_id: &MemberId,
        with_assignment: bool,
        turn: &Turn<'_>,
    ) -> Result<ShareHeartbeatAnswer, Failure> {
        let member = self.members.get_mut(member_id).ok_or_else(|| unknown(member_id, &self.group_id))?;
        member.session_deadline = turn.surroundings.now + turn.surroundings.limits.session_timeout;
        if member.epoch != self.assignment_epoch {
            member.tell(self.assignment_epoch);
        }
        member.is_restored = false;
        Ok(ShareHeartbeatAnswer {
            member_epoch: member.epoch,
            heartbeat_interval: turn.surroundings.limits.heartbeat_interval,
            assignment: with_assignment.then(|| member.assigned.clone()),
        })
    }
}

impl ShareMember {
    fn joining(request: &ShareHeartbeat, now: tokio::time::Instant) -> Self {
        Self {
            rack: request.rack.clone(),
            client_id: request.client_id.clone(),
            client_host: request.client_host.clone(),
            subscribed: BTreeSet::new(),
            epoch: 0,
            previous_epoch: 0,
            changed_at: 0,
            assigned: Assignment::new(),
            is_restored: false,
            session_deadline: now,
        }
    }

    fn origin(&self) -> (std::sync::Arc<str>, std::sync::Arc<str>) {
        (self.client_id.clone(), self.client_host.clone())
    }

    /// Whether the member may have been told this epoch and nothing since, or may have missed the answer that told it
    /// the next one.
    fn may_be_at(&self, claimed: i32, assignment_epoch: i32) -> bool {
        let may_have_been_told = self.is_restored && (self.epoch..=assignment_epoch).contains(&claimed);
        claimed == self.epoch || claimed == self.previous_epoch || may_have_been_told
    }

    fn tell(&mut self, epoch: i32) {
        self.previous_epoch = self.epoch;
        self.epoch = epoch;
    }
}

fn unknown(member_id: &MemberId, group_id: &GroupId) -> Failure {
    let message = format!("Member {member_id} is not in group {group_id}: join again.");
    Failure::new(Condition::UnknownMemberId, message)
}
