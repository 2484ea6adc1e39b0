//! A group under test, with time and clients in hand.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::base::clock::Timestamp;
use crate::config::coordinators::CoordinatorSettings;
use crate::coordinator::group::classic::decide::decide;
use crate::coordinator::group::classic::state::{ClassicGroup, Turn};
use crate::coordinator::group::values::{
    Answer, Effects, Event, GroupState, JoinRefused, JoinRequest, Joined, Leaving, MemberClaim, Moment, Now, Protocol,
    SyncRequest, Synced, Ticket,
};
use crate::model::error::Condition;
use crate::model::group::MemberId;

const SESSION_MS: i32 = 10_000;
const REBALANCE_MS: i32 = 60_000;

/// A group under test, with time in hand and answers by ticket.
pub(super) struct Kit {
    pub(super) group: ClassicGroup,
    pub(super) settings: CoordinatorSettings,
    pub(super) now_ms: u64,
    pub(super) tickets: u64,
    pub(super) answers: BTreeMap<Ticket, Answer>,
    pub(super) persisted: usize,
}

impl Kit {
    pub(super) fn new(initial_delay_ms: u32) -> Self {
        let settings = CoordinatorSettings {
            group_initial_rebalance_delay_ms: initial_delay_ms,
            ..CoordinatorSettings::default()
        };
        let group = ClassicGroup::dead("g".into());
        Self { group, settings, now_ms: 1_000, tickets: 0, answers: BTreeMap::new(), persisted: 0 }
    }

    /// A stable group of dynamic members `a`, `b`, … (old clients that need no id of their own beforehand).
    pub(super) fn stable(count: usize) -> (Self, Vec<MemberId>) {
        let mut kit = Self::new(0);
        let tickets: Vec<_> = (0..count).map(|_| kit.join(request(""))).collect();
        kit.pass(0);
        let members: Vec<_> = tickets.into_iter().map(|ticket| kit.joined(ticket).member_id).collect();
        kit.sync_all();
        assert_eq!(kit.group.state, GroupState::Stable);
        (kit, members)
    }

    pub(super) fn event(&mut self, event: Event) {
        let now = Now { moment: Moment(self.now_ms), wall: Timestamp(i64::try_from(self.now_ms).unwrap()) };
        let (group, effects) = decide(self.group.clone(), event, now, &self.settings);
        self.group = group;
        self.persisted += usize::from(effects.persist);
        for (ticket, answer) in effects.answers {
            assert!(self.answers.insert(ticket, answer).is_none(), "{ticket:?} was answered twice");
        }
    }

    /// Lets time pass, with all timers on the way.
    pub(super) fn pass(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while let Some(due) = self.group.next_deadline().filter(|due| due.0 <= end) {
            self.now_ms = self.now_ms.max(due.0);
            self.event(Event::Tick);
        }
        self.now_ms = end;
    }

    pub(super) fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    pub(super) fn join(&mut self, request: JoinRequest) -> Ticket {
        let ticket = self.ticket();
        self.event(Event::Join { ticket, request, fresh: uuid::Uuid::from_u128(u128::from(ticket.0)) });
        ticket
    }

    pub(super) fn waits(&self, ticket: Ticket) -> bool {
        !self.answers.contains_key(&ticket)
    }

    pub(super) fn joined(&mut self, ticket: Ticket) -> Joined {
        match self.answers.remove(&ticket) {
            Some(Answer::Join(Ok(joined))) => joined,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn join_refused(&mut self, ticket: Ticket) -> (Condition, String) {
        match self.answers.remove(&ticket) {
            Some(Answer::Join(Err(JoinRefused { condition, member_id }))) => (condition, member_id.to_string()),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn sync(&mut self, member_id: &MemberId, assignments: &[(&MemberId, &'static str)]) -> Ticket {
        let claim = self.claim(member_id);
        self.sync_as(claim, assignments)
    }

    pub(super) fn sync_as(&mut self, claim: MemberClaim, assignments: &[(&MemberId, &'static str)]) -> Ticket {
        let ticket = self.ticket();
        let assignment = |(member_id, bytes): &(&MemberId, &'static str)| {
            ((*member_id).clone(), Bytes::from_static(bytes.as_bytes()))
        };
        let request = SyncRequest {
            claim,
            protocol_type: None,
            protocol_name: None,
            assignments: assignments.iter().map(assignment).collect(),
        };
        self.event(Event::Sync { ticket, request });
        ticket
    }

    /// Every member syncs, the leader with an assignment for each.
    pub(super) fn sync_all(&mut self) {
        let members: Vec<_> = self.group.members.keys().cloned().collect();
        for member_id in &members {
            let all: Vec<_> = members.iter().map(|member_id| (member_id, "some")).collect();
            let assignments = if self.group.is_leader(member_id) { &all[..] } else { &[] };
            self.sync(member_id, assignments);
        }
        self.answers.clear();
    }

    pub(super) fn synced(&mut self, ticket: Ticket) -> Result<Bytes, Condition> {
        match self.answers.remove(&ticket) {
            Some(Answer::Sync(Ok(Synced { assignment, .. }))) => Ok(assignment),
            Some(Answer::Sync(Err(condition))) => Err(condition),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn claim(&self, member_id: &MemberId) -> MemberClaim {
        MemberClaim {
            group_id: "g".into(),
            member_id: member_id.clone(),
            instance_id: None,
            generation: self.group.generation,
        }
    }

    pub(super) fn heartbeat(&mut self, member_id: &MemberId) -> Result<(), Condition> {
        let claim = self.claim(member_id);
        self.heartbeat_as(claim)
    }

    pub(super) fn heartbeat_as(&mut self, claim: MemberClaim) -> Result<(), Condition> {
        let ticket = self.ticket();
        self.event(Event::Heartbeat { ticket, claim });
        match self.answers.remove(&ticket) {
            Some(Answer::Heartbeat(outcome)) => outcome,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn leave(&mut self, members: &[(&str, Option<&str>)]) -> Vec<Result<(), Condition>> {
        let ticket = self.ticket();
        let leaving = |(member_id, instance_id): &(&str, Option<&str>)| Leaving {
            member_id: (*member_id).into(),
            instance_id: instance_id.map(Into::into),
        };
        self.event(Event::Leave { ticket, members: members.iter().map(leaving).collect() });
        match self.answers.remove(&ticket) {
            Some(Answer::Leave(Ok(results))) => results,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn commit(&mut self, claim: &MemberClaim, knows_group_id_not_found: bool) -> Result<(), Condition> {
        let now = Now { moment: Moment(self.now_ms), wall: Timestamp(0) };
        let mut turn = Turn { now, settings: &self.settings, effects: Effects::default() };
        self.group.accept_commit(claim, knows_group_id_not_found, &mut turn)
    }
}

pub(super) fn request(member_id: &str) -> JoinRequest {
    JoinRequest {
        group_id: "g".into(),
        member_id: member_id.into(),
        instance_id: None,
        client_id: "client".into(),
        client_host: "/192.0.2.1".into(),
        session_timeout_ms: SESSION_MS,
        rebalance_timeout_ms: REBALANCE_MS,
        protocol_type: "consumer".into(),
        protocols: protocols(&["range"]),
        requires_known_member_id: false,
        supports_skipping_assignment: false,
    }
}

pub(super) fn protocols(names: &[&str]) -> Vec<Protocol> {
    names.iter().map(|name| Protocol { name: (*name).into(), metadata: Bytes::from_static(b"meta") }).collect()
}

pub(super) fn with_metadata(member_id: &MemberId, metadata: &'static str) -> JoinRequest {
    let protocol = Protocol { name: "range".into(), metadata: Bytes::from_static(metadata.as_bytes()) };
    JoinRequest { protocols: vec![protocol], ..request(member_id.as_str()) }
}

pub(super) fn static_request(member_id: &str, instance_id: &str) -> JoinRequest {
    JoinRequest { instance_id: Some(instance_id.into()), ..request(member_id) }
}
