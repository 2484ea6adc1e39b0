//! JoinGroup.

use crate::coordinator::group::classic::state::{ClassicGroup, Turn};
use crate::coordinator::group::member::Member;
use crate::coordinator::group::values::{Answer, GroupState, JoinRequest, Ticket};
use crate::model::error::Condition;
use crate::model::group::{GroupInstanceId, MemberId};

/// How long a newcomer's JoinGroup may wait: it has no session yet, so nothing else would tell that it is gone.
const NEW_MEMBER_JOIN_TIMEOUT_MS: u32 = 5 * 60 * 1000;

impl ClassicGroup {
    /// Takes a member in, sends it back with an id, or refuses it.
    pub fn join(&mut self, ticket: Ticket, request: JoinRequest, fresh: uuid::Uuid, turn: &mut Turn<'_>) {
        let settings = turn.settings;
        let session_timeouts = settings.group_min_session_timeout_ms..=settings.group_max_session_timeout_ms;
        let is_unknown = request.member_id.as_str().is_empty();
        let refusal = if !u32::try_from(request.session_timeout_ms).is_ok_and(|ms| session_timeouts.contains(&ms)) {
            Some((Condition::InvalidSessionTimeout, request.member_id.clone()))
        } else if self.state == GroupState::Dead && !is_unknown {
            Some((Condition::UnknownMemberId, request.member_id.clone()))
        } else if !self.has_room_for(&request.member_id, settings.group_max_size) {
            self.remove_member(&request.member_id, turn);
            self.maybe_complete_join(turn);
            Some((Condition::GroupMaxSizeReached, "".into()))
        } else if !self.supports(&request.protocol_type, &request.protocols) {
            Some((Condition::InconsistentGroupProtocol, request.member_id.clone()))
        } else {
            None
        };
        if let Some((condition, member_id)) = refusal {
            turn.effects.refuse_join(ticket, condition, member_id);
        } else if is_unknown {
            self.join_unknown_member(ticket, request, fresh, turn);
        } else {
            self.join_known_member(ticket, request, turn);
        }
    }

    /// Whether the group is not full for this member. In a join phase those who have come back count, so that a
    /// group whose limit was lowered shrinks.
    fn has_room_for(&self, member_id: &MemberId, size_max: u32) -> bool {
        let size_max = usize::try_from(size_max).unwrap_or(usize::MAX);
        match self.state {
            GroupState::Empty | GroupState::Dead => true,
            GroupState::PreparingRebalance => {
                let awaits = self.members.get(member_id).is_some_and(|member| member.awaiting_join.is_some());
                awaits || self.awaiting_join_count() < size_max
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                self.members.contains_key(member_id) || self.members.len() < size_max
            }
        }
    }

    fn join_unknown_member(&mut self, ticket: Ticket, request: JoinRequest, fresh: uuid::Uuid, turn: &mut Turn<'_>) {
        if self.state == GroupState::Dead {
            self.transition(GroupState::Empty, turn);
        }
        let prefix = request.instance_id.as_ref().map_or(&*request.client_id, GroupInstanceId::as_str);
        let member_id = MemberId(format!("{prefix}-{fresh}").into());
        let holder = request.instance_id.as_ref().and_then(|instance_id| self.static_members.get(instance_id));
        if let Some(holder) = holder.cloned() {
            self.replace_static_member(ticket, request, &holder, member_id, turn);
        } else if request.instance_id.is_none() && request.requires_known_member_id {
            let due = turn.now.moment.plus_ms(u32::try_from(request.session_timeout_ms).unwrap_or(0));
            self.pending_join.insert(member_id.clone(), due);
            turn.effects.refuse_join(ticket, Condition::MemberIdRequired, member_id);
        } else {
            self.add_member(ticket, request, member_id, turn);
        }
    }

    fn join_known_member(&mut self, ticket: Ticket, request: JoinRequest, turn: &mut Turn<'_>) {
        let member_id = request.member_id.clone();
        if request.instance_id.is_none() && self.pending_join.contains_key(&member_id) {
            return self.add_member(ticket, request, member_id, turn);
        }
        if let Err(condition) = self.validate_member(&member_id, request.instance_id.as_ref()) {
            return turn.effects.refuse_join(ticket, condition, member_id);
        }
        let is_unchanged = self.members.get(&member_id).is_some_and(|member| member.protocols == request.protocols);
        match self.state {
            GroupState::PreparingRebalance => self.rejoin(ticket, request, turn),
            // It may have lost the answer, or only want its assignment again.
            GroupState::CompletingRebalance if is_unchanged => self.tell_generation(ticket, &member_id, turn),
            GroupState::Stable if is_unchanged && !self.is_leader(&member_id) => {
                self.tell_generation(ticket, &member_id, turn);
            }
            // The leader rejoins to have everything assigned anew, for instance when topics have grown.
            GroupState::CompletingRebalance | GroupState::Stable => self.rejoin(ticket, request, turn),
            GroupState::Empty | GroupState::Dead => {
                turn.effects.refuse_join(ticket, Condition::UnknownMemberId, member_id);
            }
        }
    }

    /// Answers with the current generation, without a rebalance.
    fn tell_generation(&self, ticket: Ticket, member_id: &MemberId, turn: &mut Turn<'_>) {
        turn.effects.answers.push((ticket, Answer::Join(Ok(self.joined(member_id)))));
    }

    fn add_member(&mut self, ticket: Ticket, request: JoinRequest, member_id: MemberId, turn: &mut Turn<'_>) {
        if self.state == GroupState::PreparingRebalance && self.initial_rebalance {
            self.new_member_added = true;
        }
        if self.members.is_empty() {
            self.protocol_type = Some(request.protocol_type.clone());
        }
        if let Some(instance_id) = &request.instance_id {
            self.static_members.insert(instance_id.clone(), member_id.clone());
        }
        self.leader.get_or_insert_with(|| member_id.clone());
        self.pending_join.remove(&member_id);
        let mut member = Member::joining(member_id.clone(), request);
        member.awaiting_join = Some(ticket);
        member.session_deadline = Some(turn.now.moment.plus_ms(NEW_MEMBER_JOIN_TIMEOUT_MS));
        self.members.insert(member_id, member);
        self.rebalance_or_complete_join(turn);
    }

    /// Takes over what a member says anew, and rebalances.
    fn rejoin(&mut self, ticket: Ticket, request: JoinRequest, turn: &mut Turn<'_>) {
        self.update_member(ticket, request.member_id.clone(), request, turn);
        self.rebalance_or_complete_join(turn);
    }

    fn update_member(&mut self, ticket: Ticket, member_id: MemberId, request: JoinRequest, turn: &mut Turn<'_>) {
        let Some(member) = self.members.get_mut(&member_id) else { return };
        member.update(request);
        if let Some(former) = member.awaiting_join.replace(ticket) {
            // Its client gave that request up; the answer only frees the connection, if there still is one.
            turn.effects.refuse_join(former, Condition::RebalanceInProgress, member_id);
        }
    }

    /// A static member is back under a new id: the old id is fenced, the assignment stays.
    fn replace_static_member(
        &mut self,
        ticket: Ticket,
        request: JoinRequest,
        former_id: &MemberId,
        member_id: MemberId,
        turn: &mut Turn<'_>,
    ) {
        let former_leader = self.leader.clone().unwrap_or_else(|| "".into());
        let Some(mut member) = self.members.remove(former_id) else { return };
        if let Some(waiting) = member.awaiting_join.take() {
            turn.effects.refuse_join(waiting, Condition::FencedInstanceId, former_id.clone());
        }
        if let Some(waiting) = member.awaiting_sync.take() {
            turn.effects.refuse_sync(waiting, Condition::FencedInstanceId);
        }
        if let Some(instance_id) = &member.instance_id {
            self.static_members.insert(instance_id.clone(), member_id.clone());
        }
        if self.is_leader(former_id) {
            self.leader = Some(member_id.clone());
        }
        self.pending_sync.remove(former_id);
        member.member_id = member_id.clone();
        member.is_new = false;
        member.client_id = request.client_id.clone();
        member.client_host = request.client_host.clone();
        self.members.insert(member_id.clone(), member);
        turn.effects.persist = true;

        let skips_assignment = request.supports_skipping_assignment;
        self.update_member(ticket, member_id.clone(), request, turn);
        if let Some(member) = self.members.get_mut(&member_id) {
            member.extend_session(turn.now.moment);
        }
        match self.state {
            GroupState::Stable if self.vote() == self.protocol_name => {
                let told = (!skips_assignment).then_some(former_leader);
                self.welcome_back(&member_id, told, turn);
            }
            // The leader may have been told the former id already, so its assignment would miss the new one.
            GroupState::CompletingRebalance => self.prepare_rebalance(turn),
            GroupState::Stable => self.rebalance_or_complete_join(turn),
            GroupState::PreparingRebalance | GroupState::Empty | GroupState::Dead => self.maybe_complete_join(turn),
        }
    }
    /// Tells a static member that came back to a stable group to go on with its assignment.
    ///
    /// A client that does not know KIP-814 and leads would assign anew for nothing, so it is named the former id
    /// of the leader and takes itself for a follower.
    fn welcome_back(&mut self, member_id: &MemberId, told_leader: Option<MemberId>, turn: &mut Turn<'_>) {
        let mut joined = self.joined(member_id);
        if let Some(leader) = told_leader {
            joined.leader = leader;
            joined.members.clear();
        } else {
            joined.skip_assignment = self.is_leader(member_id);
        }
        let waiting = self.members.get_mut(member_id).and_then(|member| member.awaiting_join.take());
        if let Some(ticket) = waiting {
            turn.effects.answers.push((ticket, Answer::Join(Ok(joined))));
        }
    }
}
