//! From one generation to the next.

use bytes::Bytes;

use crate::coordinator::group::classic::state::{ClassicGroup, InitialDelay, JoinTimer, Turn};
use crate::coordinator::group::member::Member;
use crate::coordinator::group::values::{Answer, GroupState, Joined, JoinedMember, Moment};
use crate::model::error::Condition;
use crate::model::group::{GenerationId, MemberId};

impl ClassicGroup {
    /// Begins a rebalance where one may begin, else ends the join phase if nobody is missing.
    pub fn rebalance_or_complete_join(&mut self, turn: &mut Turn<'_>) {
        match self.state {
            GroupState::Empty | GroupState::CompletingRebalance | GroupState::Stable => self.prepare_rebalance(turn),
            GroupState::PreparingRebalance | GroupState::Dead => self.maybe_complete_join(turn),
        }
    }

    /// Begins a rebalance: members learn of it by their next heartbeat and have to rejoin.
    pub fn prepare_rebalance(&mut self, turn: &mut Turn<'_>) {
        if self.state == GroupState::CompletingRebalance {
            // Those who wait for an assignment of this round will not get one.
            self.reset_assignments(turn);
        }
        self.pending_sync.clear();
        self.sync_deadline = None;
        self.transition(GroupState::PreparingRebalance, turn);
        if self.initial_rebalance {
            let delay_ms = turn.settings.group_initial_rebalance_delay_ms;
            let remaining_ms = self.rebalance_timeout_ms().saturating_sub(delay_ms);
            let initial = Some(InitialDelay { delay_ms, remaining_ms });
            self.join_timer = Some(JoinTimer { due: turn.now.moment.plus_ms(delay_ms), initial });
        } else if self.has_all_members_joined() {
            self.complete_join(turn);
        } else {
            self.await_rejoining(turn);
        }
    }

    /// Gives members as long to rejoin as the slowest of them asked for.
    fn await_rejoining(&mut self, turn: &Turn<'_>) {
        let due = turn.now.moment.plus_ms(self.rebalance_timeout_ms());
        self.join_timer = Some(JoinTimer { due, initial: None });
    }

    /// Ends the join phase if nobody is missing. An initial rebalance always waits for its timer.
    pub fn maybe_complete_join(&mut self, turn: &mut Turn<'_>) {
        let waits = self.state != GroupState::PreparingRebalance || self.initial_rebalance;
        if !waits && self.has_all_members_joined() {
            self.complete_join(turn);
        }
    }

    /// Ends the join phase: who has not come back is out, the others learn of the new generation.
    pub fn complete_join(&mut self, turn: &mut Turn<'_>) {
        self.join_timer = None;
        self.new_member_added = false;
        let missing = |member: &&Member| member.awaiting_join.is_none() && member.instance_id.is_none();
        let missing: Vec<_> = self.members.values().filter(missing).map(|member| member.member_id.clone()).collect();
        for member_id in missing {
            self.remove_member(&member_id, turn);
        }
        if !self.elect_joined_leader() && !self.members.is_empty() {
            // Only static members are left and none has come back: wait for them or for the end of their sessions.
            self.await_rejoining(turn);
            return;
        }
        self.next_generation(turn);
    }

    fn next_generation(&mut self, turn: &mut Turn<'_>) {
        // After 2³¹ rounds the count begins anew.
        self.generation = GenerationId(self.generation.0.checked_add(1).unwrap_or(1));
        self.pending_sync.clear();
        self.protocol_name = self.vote();
        if self.members.is_empty() {
            self.leader = None;
            self.transition(GroupState::Empty, turn);
            return;
        }
        self.transition(GroupState::CompletingRebalance, turn);
        for member in self.members.values_mut() {
            member.assignment = Bytes::new();
            member.is_new = false;
            member.extend_session(turn.now.moment);
        }
        self.pending_sync.extend(self.members.keys().cloned());
        self.sync_deadline = Some(turn.now.moment.plus_ms(self.rebalance_timeout_ms()));
        let member_ids: Vec<_> = self.members.keys().cloned().collect();
        for member_id in member_ids {
            let joined = self.joined(&member_id);
            let waiting = self.members.get_mut(&member_id).and_then(|member| member.awaiting_join.take());
            if let Some(ticket) = waiting {
                turn.effects.answers.push((ticket, Answer::Join(Ok(joined))));
            }
        }
    }

    /// What a member is told of the current generation.
    #[must_use]
    pub fn joined(&self, member_id: &MemberId) -> Joined {
        let members = if self.is_leader(member_id) { self.joined_members() } else { Vec::new() };
        Joined {
            member_id: member_id.clone(),
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader: self.leader.clone().unwrap_or_else(|| "".into()),
            skip_assignment: false,
            members,
        }
    }

    fn joined_members(&self) -> Vec<JoinedMember> {
        let protocol_name = self.protocol_name.as_deref().unwrap_or_default();
        let members = self.members.values();
        members
            .map(|member| JoinedMember {
                member_id: member.member_id.clone(),
                instance_id: member.instance_id.clone(),
                metadata: member.metadata(protocol_name),
            })
            .collect()
    }

    /// Makes sure that the leader is one who has joined; says whether there is such a one.
    fn elect_joined_leader(&mut self) -> bool {
        let has_joined = |member: &Member| member.awaiting_join.is_some();
        if self.leader.as_ref().and_then(|leader| self.members.get(leader)).is_some_and(has_joined) {
            return true;
        }
        let joined = self.members.values().find(|member| has_joined(member)).map(|member| member.member_id.clone());
        let found = joined.is_some();
        if found {
            self.leader = joined;
        }
        found
    }

    /// Takes away all assignments and tells those who wait for one to join again.
    fn reset_assignments(&mut self, turn: &mut Turn<'_>) {
        for member in self.members.values_mut() {
            member.assignment = Bytes::new();
            if let Some(ticket) = member.awaiting_sync.take() {
                member.extend_session(turn.now.moment);
                turn.effects.refuse_sync(ticket, Condition::RebalanceInProgress);
            }
        }
    }

    /// Removes a member from every list. Requests of it that wait are told that it is unknown.
    pub fn remove_member(&mut self, member_id: &MemberId, turn: &mut Turn<'_>) {
        self.pending_join.remove(member_id);
        self.pending_sync.remove(member_id);
        let Some(member) = self.members.remove(member_id) else { return };
        if let Some(ticket) = member.awaiting_join {
            turn.effects.refuse_join(ticket, Condition::UnknownMemberId, "".into());
        }
        if let Some(ticket) = member.awaiting_sync {
            turn.effects.refuse_sync(ticket, Condition::UnknownMemberId);
        }
        if let Some(instance_id) = &member.instance_id {
            self.static_members.remove(instance_id);
        }
        if self.is_leader(member_id) {
            self.leader = self.members.keys().next().cloned();
        }
        turn.effects.persist |= !member.is_new;
    }

    /// Removes a member whose time is up, and rebalances for those who stay.
    fn expire_member(&mut self, member_id: &MemberId, turn: &mut Turn<'_>) {
        self.remove_member(member_id, turn);
        match self.state {
            GroupState::Stable | GroupState::CompletingRebalance => self.prepare_rebalance(turn),
            GroupState::PreparingRebalance if self.has_all_members_joined() => self.complete_join(turn),
            GroupState::PreparingRebalance | GroupState::Empty | GroupState::Dead => {}
        }
    }

    /// Does everything that is due.
    pub fn tick(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now.moment;
        let is_due = |due: Option<Moment>| due.is_some_and(|due| due <= now);
        let pending = self.pending_join.iter().filter(|&(_, due)| *due <= now);
        let pending: Vec<_> = pending.map(|(member_id, _)| member_id.clone()).collect();
        for member_id in pending {
            self.pending_join.remove(&member_id);
            if self.state == GroupState::PreparingRebalance && self.has_all_members_joined() {
                self.complete_join(turn);
            }
        }
        let expired = self.members.values().filter(|member| is_due(member.session_deadline));
        let expired: Vec<_> = expired.map(|member| member.member_id.clone()).collect();
        for member_id in expired {
            let Some(member) = self.members.get_mut(&member_id) else { continue };
            if member.session_deadline.is_none_or(|due| due > now) {
                // The end of the join phase has just extended it.
                continue;
            }
            // A waiting request counts as a heartbeat, save for a newcomer: it may have gone without a trace.
            if member.is_waiting() && !member.is_new {
                member.session_deadline = None;
            } else {
                self.expire_member(&member_id, turn);
            }
        }
        if let Some(timer) = self.join_timer.filter(|timer| timer.due <= now) {
            self.join_phase_due(timer, turn);
        }
        if is_due(self.sync_deadline) {
            self.sync_phase_due(turn);
        }
    }

    fn join_phase_due(&mut self, timer: JoinTimer, turn: &mut Turn<'_>) {
        match timer.initial {
            Some(InitialDelay { delay_ms, remaining_ms }) if self.new_member_added && remaining_ms > 0 => {
                self.new_member_added = false;
                let next_ms = turn.settings.group_initial_rebalance_delay_ms.min(remaining_ms);
                let initial = InitialDelay { delay_ms: next_ms, remaining_ms: remaining_ms.saturating_sub(delay_ms) };
                let due = turn.now.moment.plus_ms(next_ms);
                self.join_timer = Some(JoinTimer { due, initial: Some(initial) });
            }
            _ => self.complete_join(turn),
        }
    }

    /// Removes those who never asked for their assignment.
    fn sync_phase_due(&mut self, turn: &mut Turn<'_>) {
        self.sync_deadline = None;
        let missing = std::mem::take(&mut self.pending_sync);
        if missing.is_empty() || !matches!(self.state, GroupState::CompletingRebalance | GroupState::Stable) {
            return;
        }
        for member_id in &missing {
            self.remove_member(member_id, turn);
        }
        self.prepare_rebalance(turn);
    }
}
