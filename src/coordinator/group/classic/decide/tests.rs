use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::base::clock::Timestamp;
use crate::coordinator::group::values::{
    GroupState, JoinRefused, JoinRequest, Joined, Leaving, MemberClaim, Moment, Protocol, SyncRequest, Synced, Ticket,
};
use crate::model::error::Condition;
use crate::model::group::{GenerationId, GroupInstanceId, MemberId};

const SESSION_MS: i32 = 10_000;
const REBALANCE_MS: i32 = 60_000;

/// A group under test, with time in hand and answers by ticket.
struct Kit {
    group: ClassicGroup,
    settings: CoordinatorSettings,
    now_ms: u64,
    tickets: u64,
    answers: BTreeMap<Ticket, Answer>,
    persisted: usize,
}

impl Kit {
    fn new(initial_delay_ms: u32) -> Self {
        let settings = CoordinatorSettings {
            group_initial_rebalance_delay_ms: initial_delay_ms,
            ..CoordinatorSettings::default()
        };
        let group = ClassicGroup::dead("g".into());
        Self { group, settings, now_ms: 1_000, tickets: 0, answers: BTreeMap::new(), persisted: 0 }
    }

    /// A stable group of dynamic members `a`, `b`, … (old clients that need no id of their own beforehand).
    fn stable(count: usize) -> (Self, Vec<MemberId>) {
        let mut kit = Self::new(0);
        let tickets: Vec<_> = (0..count).map(|_| kit.join(request(""))).collect();
        kit.pass(0);
        let members: Vec<_> = tickets.into_iter().map(|ticket| kit.joined(ticket).member_id).collect();
        kit.sync_all();
        assert_eq!(kit.group.state, GroupState::Stable);
        (kit, members)
    }

    fn event(&mut self, event: Event) {
        let now = Now { moment: Moment(self.now_ms), wall: Timestamp(i64::try_from(self.now_ms).unwrap()) };
        let (group, effects) = decide(self.group.clone(), event, now, &self.settings);
        self.group = group;
        self.persisted += usize::from(effects.persist);
        for (ticket, answer) in effects.answers {
            assert!(self.answers.insert(ticket, answer).is_none(), "{ticket:?} was answered twice");
        }
    }

    /// Lets time pass, with all timers on the way.
    fn pass(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while let Some(due) = self.group.next_deadline().filter(|due| due.0 <= end) {
            self.now_ms = self.now_ms.max(due.0);
            self.event(Event::Tick);
        }
        self.now_ms = end;
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    fn join(&mut self, request: JoinRequest) -> Ticket {
        let ticket = self.ticket();
        self.event(Event::Join { ticket, request, fresh: uuid::Uuid::from_u128(u128::from(ticket.0)) });
        ticket
    }

    fn waits(&self, ticket: Ticket) -> bool {
        !self.answers.contains_key(&ticket)
    }

    fn joined(&mut self, ticket: Ticket) -> Joined {
        match self.answers.remove(&ticket) {
            Some(Answer::Join(Ok(joined))) => joined,
            other => panic!("{other:?}"),
        }
    }

    fn join_refused(&mut self, ticket: Ticket) -> (Condition, String) {
        match self.answers.remove(&ticket) {
            Some(Answer::Join(Err(JoinRefused { condition, member_id }))) => (condition, member_id.to_string()),
            other => panic!("{other:?}"),
        }
    }

    fn sync(&mut self, member_id: &MemberId, assignments: &[(&MemberId, &'static str)]) -> Ticket {
        let claim = self.claim(member_id);
        self.sync_as(claim, assignments)
    }

    fn sync_as(&mut self, claim: MemberClaim, assignments: &[(&MemberId, &'static str)]) -> Ticket {
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
    fn sync_all(&mut self) {
        let members: Vec<_> = self.group.members.keys().cloned().collect();
        for member_id in &members {
            let all: Vec<_> = members.iter().map(|member_id| (member_id, "some")).collect();
            let assignments = if self.group.is_leader(member_id) { &all[..] } else { &[] };
            self.sync(member_id, assignments);
        }
        self.answers.clear();
    }

    fn synced(&mut self, ticket: Ticket) -> Result<Bytes, Condition> {
        match self.answers.remove(&ticket) {
            Some(Answer::Sync(Ok(Synced { assignment, .. }))) => Ok(assignment),
            Some(Answer::Sync(Err(condition))) => Err(condition),
            other => panic!("{other:?}"),
        }
    }

    fn claim(&self, member_id: &MemberId) -> MemberClaim {
        MemberClaim {
            group_id: "g".into(),
            member_id: member_id.clone(),
            instance_id: None,
            generation: self.group.generation,
        }
    }

    fn heartbeat(&mut self, member_id: &MemberId) -> Result<(), Condition> {
        let claim = self.claim(member_id);
        self.heartbeat_as(claim)
    }

    fn heartbeat_as(&mut self, claim: MemberClaim) -> Result<(), Condition> {
        let ticket = self.ticket();
        self.event(Event::Heartbeat { ticket, claim });
        match self.answers.remove(&ticket) {
            Some(Answer::Heartbeat(outcome)) => outcome,
            other => panic!("{other:?}"),
        }
    }

    fn leave(&mut self, members: &[(&str, Option<&str>)]) -> Vec<Result<(), Condition>> {
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

    fn commit(&mut self, claim: &MemberClaim, knows_group_id_not_found: bool) -> Result<(), Condition> {
        let now = Now { moment: Moment(self.now_ms), wall: Timestamp(0) };
        let mut turn = Turn { now, settings: &self.settings, effects: Effects::default() };
        self.group.accept_commit(claim, knows_group_id_not_found, &mut turn)
    }
}

fn request(member_id: &str) -> JoinRequest {
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

fn protocols(names: &[&str]) -> Vec<Protocol> {
    names.iter().map(|name| Protocol { name: (*name).into(), metadata: Bytes::from_static(b"meta") }).collect()
}

fn with_metadata(member_id: &MemberId, metadata: &'static str) -> JoinRequest {
    let protocol = Protocol { name: "range".into(), metadata: Bytes::from_static(metadata.as_bytes()) };
    JoinRequest { protocols: vec![protocol], ..request(member_id.as_str()) }
}

fn static_request(member_id: &str, instance_id: &str) -> JoinRequest {
    JoinRequest { instance_id: Some(instance_id.into()), ..request(member_id) }
}

// ---------------------------------------------------------------- joining

#[test]
fn a_dynamic_member_is_told_its_id_first() {
    let mut kit = Kit::new(0);
    let ticket = kit.join(JoinRequest { requires_known_member_id: true, ..request("") });
    let (condition, member_id) = kit.join_refused(ticket);
    assert_eq!(condition, Condition::MemberIdRequired);
    assert!(member_id.starts_with("client-"), "{member_id}");
    assert_eq!(kit.group.state, GroupState::Empty);
    assert_eq!(kit.persisted, 1, "a new group is stored");
    let ticket = kit.join(JoinRequest { requires_known_member_id: true, ..request(&member_id) });
    kit.pass(0);
    let joined = kit.joined(ticket);
    assert_eq!((joined.generation, joined.leader.as_str()), (GenerationId(1), &*member_id));
    assert_eq!(joined.members.len(), 1);
}

#[test]
fn a_member_that_never_comes_back_with_its_id_is_forgotten() {
    let mut kit = Kit::new(0);
    let ticket = kit.join(JoinRequest { requires_known_member_id: true, ..request("") });
    let (_, member_id) = kit.join_refused(ticket);
    kit.pass(10_000);
    let ticket = kit.join(request(&member_id));
    assert_eq!(kit.join_refused(ticket), (Condition::UnknownMemberId, member_id));
}

#[test]
fn a_rebalance_waits_for_a_member_that_was_told_its_id() {
    let (mut kit, members) = Kit::stable(1);
    let ticket = kit.join(JoinRequest { requires_known_member_id: true, ..request("") });
    let (_, member_id) = kit.join_refused(ticket);
    let first = kit.join(request(members[0].as_str()));
    assert!(kit.waits(first));
    let second = kit.join(request(&member_id));
    assert_eq!(kit.joined(first).generation, GenerationId(2));
    assert_eq!(kit.joined(second).generation, GenerationId(2));
}

#[test]
fn joins_are_refused_as_kafka_does() {
    let refused = |mut kit: Kit, request: JoinRequest| {
        let ticket = kit.join(request);
        kit.join_refused(ticket)
    };
    let short = JoinRequest { session_timeout_ms: 5_999, ..request("m") };
    let long = JoinRequest { session_timeout_ms: 1_800_001, ..request("m") };
    let negative = JoinRequest { session_timeout_ms: -1, ..request("m") };
    for request in [short, long, negative] {
        assert_eq!(refused(Kit::new(0), request), (Condition::InvalidSessionTimeout, "m".to_owned()));
    }
    assert_eq!(refused(Kit::new(0), request("m")), (Condition::UnknownMemberId, "m".to_owned()));
    let nothing = JoinRequest { protocols: Vec::new(), ..request("") };
    let typeless = JoinRequest { protocol_type: "".into(), ..request("") };
    for request in [nothing, typeless] {
        assert_eq!(refused(Kit::new(0), request), (Condition::InconsistentGroupProtocol, String::new()));
    }
    let other_type = JoinRequest { protocol_type: "connect".into(), ..request("") };
    let other_protocol = JoinRequest { protocols: protocols(&["sticky"]), ..request("") };
    for request in [other_type, other_protocol] {
        assert_eq!(refused(Kit::stable(1).0, request), (Condition::InconsistentGroupProtocol, String::new()));
    }
    assert_eq!(refused(Kit::stable(1).0, request("m")), (Condition::UnknownMemberId, "m".to_owned()));
    assert_eq!(refused(Kit::stable(1).0, static_request("m", "i")), (Condition::UnknownMemberId, "m".to_owned()));
}

#[test]
fn a_refused_join_makes_no_group() {
    let mut kit = Kit::new(0);
    kit.join(JoinRequest { protocols: Vec::new(), ..request("") });
    assert_eq!((kit.group.state, kit.persisted), (GroupState::Dead, 0));
}

#[test]
fn a_full_group_refuses_newcomers_and_keeps_its_members() {
    let (mut kit, members) = Kit::stable(2);
    kit.settings.group_max_size = 2;
    let ticket = kit.join(request(""));
    assert_eq!(kit.join_refused(ticket), (Condition::GroupMaxSizeReached, String::new()));
    let follower = members.iter().find(|member_id| !kit.group.is_leader(member_id)).unwrap().clone();
    let ticket = kit.join(request(follower.as_str()));
    assert_eq!(kit.joined(ticket).generation, GenerationId(1));
}

#[test]
fn a_group_whose_limit_was_lowered_shrinks_by_those_who_rejoin_last() {
    let (mut kit, members) = Kit::stable(3);
    kit.settings.group_max_size = 2;
    let tickets: Vec<_> = members.iter().map(|member_id| kit.join(with_metadata(member_id, "changed"))).collect();
    assert_eq!(kit.join_refused(tickets[2]).0, Condition::GroupMaxSizeReached);
    assert_eq!(kit.joined(tickets[0]).generation, GenerationId(2));
    assert_eq!(kit.group.members.len(), 2);
}

#[test]
fn the_first_rebalance_waits_for_more_members_but_not_for_ever() {
    let mut kit = Kit::new(3_000);
    let first = kit.join(request(""));
    kit.pass(2_000);
    let second = kit.join(request(""));
    kit.pass(2_000);
    assert!(kit.waits(first) && kit.waits(second), "a newcomer extends the wait once");
    kit.pass(2_000);
    assert_eq!(kit.joined(first).members.len(), 2);
    assert_eq!(kit.joined(second).generation, GenerationId(1));

    let mut kit = Kit::new(3_000);
    let first = kit.join(JoinRequest { rebalance_timeout_ms: 10_000, ..request("") });
    for _ in 0..9 {
        kit.pass(1_000);
        assert!(kit.waits(first));
        kit.join(JoinRequest { rebalance_timeout_ms: 10_000, ..request("") });
    }
    kit.pass(3_000);
    assert!(!kit.waits(first), "the wait is bounded by the rebalance timeout");
}

#[test]
fn the_protocol_with_most_votes_among_the_common_ones_wins() {
    let check = |wishes: &[&[&str]], expected: &str| {
        let mut kit = Kit::new(0);
        let mut ticket = Ticket(0);
        for wish in wishes {
            ticket = kit.join(JoinRequest { protocols: protocols(wish), ..request("") });
        }
        kit.pass(0);
        assert_eq!(kit.joined(ticket).protocol_name.as_deref(), Some(expected), "{wishes:?}");
    };
    check(&[&["a", "b"]], "a");
    check(&[&["a", "b"], &["b", "a"], &["b", "a"]], "b");
    check(&[&["a", "b"], &["b"]], "b");
    check(&[&["b", "a"], &["a", "b"]], "b");
}

// ---------------------------------------------------------------- rejoining

#[test]
fn an_unchanged_follower_rejoins_without_a_rebalance() {
    let (mut kit, members) = Kit::stable(2);
    let follower = members.iter().find(|member_id| !kit.group.is_leader(member_id)).unwrap().clone();
    let ticket = kit.join(request(follower.as_str()));
    let joined = kit.joined(ticket);
    assert_eq!((joined.generation, joined.members.len()), (GenerationId(1), 0));
    assert_eq!(kit.group.state, GroupState::Stable);
    let ticket = kit.sync(&follower, &[]);
    assert_eq!(kit.synced(ticket), Ok(Bytes::from_static(b"some")));
}

#[test]
fn a_leader_or_a_changed_member_starts_a_rebalance() {
    for changed in [false, true] {
        let (mut kit, members) = Kit::stable(2);
        let leads = |member_id: &&MemberId| kit.group.is_leader(member_id) != changed;
        let member_id = members.iter().find(leads).unwrap().clone();
        let metadata = if changed { "changed" } else { "meta" };
        let ticket = kit.join(with_metadata(&member_id, metadata));
        assert!(kit.waits(ticket));
        assert_eq!(kit.group.state, GroupState::PreparingRebalance);
        let other = members.iter().find(|other| **other != member_id).unwrap().clone();
        assert_eq!(kit.heartbeat(&other), Err(Condition::RebalanceInProgress));
        kit.join(request(other.as_str()));
        assert_eq!(kit.joined(ticket).generation, GenerationId(2));
    }
}

#[test]
fn a_lost_answer_is_given_again_while_the_rebalance_completes() {
    let mut kit = Kit::new(0);
    let ticket = kit.join(request(""));
    kit.pass(0);
    let joined = kit.joined(ticket);
    let again = kit.join(request(joined.member_id.as_str()));
    assert_eq!(kit.joined(again), joined);
    assert_eq!(kit.group.state, GroupState::CompletingRebalance);
}

#[test]
fn who_does_not_rejoin_in_time_is_out() {
    let (mut kit, members) = Kit::stable(2);
    let leader = kit.group.leader.clone().unwrap();
    let follower = members.into_iter().find(|member_id| *member_id != leader).unwrap();
    let ticket = kit.join(with_metadata(&follower, "changed"));
    for _ in 0..6 {
        // The old leader goes on with its heartbeats and yet does not rejoin.
        assert_eq!(kit.heartbeat(&leader), Err(Condition::RebalanceInProgress));
        kit.pass(9_000);
    }
    assert!(kit.waits(ticket));
    kit.heartbeat(&leader).unwrap_err();
    kit.pass(6_000);
    let joined = kit.joined(ticket);
    assert_eq!((joined.leader, joined.members.len()), (follower, 1));
    assert_eq!(kit.heartbeat(&leader), Err(Condition::UnknownMemberId));
}

#[test]
fn of_two_joins_of_one_member_the_later_one_is_answered_in_full() {
    let (mut kit, members) = Kit::stable(2);
    let first = kit.join(with_metadata(&members[0], "changed"));
    let second = kit.join(with_metadata(&members[0], "changed"));
    assert_eq!(kit.join_refused(first).0, Condition::RebalanceInProgress);
    kit.join(request(members[1].as_str()));
    assert_eq!(kit.joined(second).generation, GenerationId(2));
}

// ---------------------------------------------------------------- syncing

#[test]
fn the_leaders_assignment_reaches_everyone() {
    let mut kit = Kit::new(0);
    let tickets = [kit.join(request("")), kit.join(request(""))];
    kit.pass(0);
    let members = tickets.map(|ticket| kit.joined(ticket).member_id);
    let leader = kit.group.leader.clone().unwrap();
    let follower = members.iter().find(|member_id| **member_id != leader).unwrap();
    let waiting = kit.sync(follower, &[]);
    assert!(kit.waits(waiting));
    let persisted = kit.persisted;
    let own = kit.sync(&leader, &[(&leader, "one"), (follower, "two"), (&"stranger".into(), "three")]);
    assert_eq!(kit.synced(own), Ok(Bytes::from_static(b"one")));
    assert_eq!(kit.synced(waiting), Ok(Bytes::from_static(b"two")));
    assert_eq!((kit.group.state, kit.persisted), (GroupState::Stable, persisted + 1));
}

#[test]
fn whom_the_leader_forgets_gets_nothing() {
    let mut kit = Kit::new(0);
    let ticket = kit.join(request(""));
    kit.pass(0);
    let leader = kit.joined(ticket).member_id;
    let ticket = kit.sync(&leader, &[]);
    assert_eq!(kit.synced(ticket), Ok(Bytes::new()));
    assert_eq!(kit.group.state, GroupState::Stable);
}

#[test]
fn syncs_are_refused_as_kafka_does() {
    let (mut kit, members) = Kit::stable(1);
    let mut check = |change: &dyn Fn(&mut SyncRequest), expected: Result<(), Condition>| {
        let mut request = SyncRequest {
            claim: kit.claim(&members[0]),
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            assignments: Vec::new(),
        };
        change(&mut request);
        let ticket = kit.ticket();
        kit.event(Event::Sync { ticket, request: request.clone() });
        assert_eq!(kit.synced(ticket).map(|_| ()), expected, "{request:?}");
    };
    check(&|_| (), Ok(()));
    check(&|request| request.protocol_name = None, Ok(()));
    check(&|request| request.claim.member_id = "m".into(), Err(Condition::UnknownMemberId));
    check(&|request| request.claim.instance_id = Some("i".into()), Err(Condition::UnknownMemberId));
    check(&|request| request.claim.generation = GenerationId(0), Err(Condition::IllegalGeneration));
    check(&|request| request.protocol_type = Some("connect".into()), Err(Condition::InconsistentGroupProtocol));
    check(&|request| request.protocol_name = Some("sticky".into()), Err(Condition::InconsistentGroupProtocol));
    let mut dead = Kit::new(0);
    let ticket = dead.sync(&"m".into(), &[]);
    assert_eq!(dead.synced(ticket), Err(Condition::UnknownMemberId));
}

#[test]
fn who_never_asks_for_an_assignment_is_removed() {
    let mut kit = Kit::new(0);
    let tickets = [kit.join(request("")), kit.join(request(""))];
    kit.pass(0);
    let members = tickets.map(|ticket| kit.joined(ticket).member_id);
    let leader = kit.group.leader.clone().unwrap();
    let follower = members.iter().find(|member_id| **member_id != leader).unwrap();
    kit.sync(&leader, &[]);
    for _ in 0..7 {
        kit.pass(9_000);
        let _ = (kit.heartbeat(&leader), kit.heartbeat(follower));
    }
    assert_eq!(kit.heartbeat(follower), Err(Condition::UnknownMemberId));
    assert_eq!(kit.heartbeat(&leader), Err(Condition::RebalanceInProgress));
}

#[test]
fn a_newcomer_sends_those_who_wait_for_an_assignment_back_to_join() {
    let mut kit = Kit::new(0);
    let tickets = [kit.join(request("")), kit.join(request(""))];
    kit.pass(0);
    let members = tickets.map(|ticket| kit.joined(ticket).member_id);
    let leader = kit.group.leader.clone().unwrap();
    let follower = members.iter().find(|member_id| **member_id != leader).unwrap();
    let waiting = kit.sync(follower, &[]);
    kit.join(request(""));
    assert_eq!(kit.synced(waiting), Err(Condition::RebalanceInProgress));
    let late = kit.sync(&leader, &[]);
    assert_eq!(kit.synced(late), Err(Condition::RebalanceInProgress));
}

// ---------------------------------------------------------------- living and leaving

#[test]
fn heartbeats_are_answered_as_kafka_does() {
    let (mut kit, members) = Kit::stable(1);
    assert_eq!(kit.heartbeat(&members[0]), Ok(()));
    let claim = kit.claim(&members[0]);
    assert_eq!(kit.heartbeat(&"m".into()), Err(Condition::UnknownMemberId));
    let old = MemberClaim { generation: GenerationId(0), ..claim.clone() };
    assert_eq!(kit.heartbeat_as(old), Err(Condition::IllegalGeneration));
    let instance = MemberClaim { instance_id: Some("i".into()), ..claim };
    assert_eq!(kit.heartbeat_as(instance), Err(Condition::UnknownMemberId));
    assert_eq!(Kit::new(0).heartbeat(&members[0]), Err(Condition::UnknownMemberId));
}

#[test]
fn heartbeats_keep_a_member_and_silence_removes_it() {
    let (mut kit, members) = Kit::stable(2);
    for _ in 0..5 {
        kit.pass(9_000);
        kit.heartbeat(&members[0]).ok();
    }
    assert_eq!(kit.heartbeat(&members[1]), Err(Condition::UnknownMemberId));
    assert_eq!(kit.heartbeat(&members[0]), Err(Condition::RebalanceInProgress));
    let ticket = kit.join(request(members[0].as_str()));
    assert_eq!(kit.joined(ticket).generation, GenerationId(2));
}

#[test]
fn a_waiting_member_outlives_its_session_but_a_silent_newcomer_does_not() {
    let (mut kit, members) = Kit::stable(2);
    let rejoining = kit.join(with_metadata(&members[0], "changed"));
    for _ in 0..5 {
        kit.pass(9_000);
        kit.heartbeat(&members[1]).ok();
    }
    assert!(kit.waits(rejoining), "a rejoining member waits as long as the rebalance takes");

    let mut kit = Kit::new(0);
    let long = JoinRequest { rebalance_timeout_ms: 3_600_000, ..request("") };
    kit.join(long.clone());
    kit.pass(0);
    kit.sync_all();
    let member_id = kit.group.leader.clone().unwrap();
    let newcomer = kit.join(long);
    for _ in 0..40 {
        kit.pass(9_000);
        kit.heartbeat(&member_id).ok();
    }
    assert_eq!(kit.join_refused(newcomer), (Condition::UnknownMemberId, String::new()));
}

#[test]
fn the_last_one_leaves_an_empty_group_of_a_new_generation() {
    let (mut kit, members) = Kit::stable(1);
    let persisted = kit.persisted;
    assert_eq!(kit.leave(&[(members[0].as_str(), None)]), [Ok(())]);
    assert_eq!((kit.group.state, kit.group.generation), (GroupState::Empty, GenerationId(2)));
    assert_eq!((kit.group.leader.clone(), kit.group.protocol_name.clone()), (None, None));
    assert_eq!(kit.group.next_deadline(), None);
    assert!(kit.persisted > persisted);
}

#[test]
fn members_leave_each_for_itself() {
    let (mut kit, members) = Kit::stable(3);
    let pending = kit.join(JoinRequest { requires_known_member_id: true, ..request("") });
    let (_, pending) = kit.join_refused(pending);
    let results = kit.leave(&[(members[0].as_str(), None), ("stranger", None), (&pending, None), ("", Some("i"))]);
    assert_eq!(results, [Ok(()), Err(Condition::UnknownMemberId), Ok(()), Err(Condition::UnknownMemberId)]);
    assert_eq!(kit.group.state, GroupState::PreparingRebalance);
    assert_eq!(kit.group.members.len(), 2);
    assert_eq!(Kit::new(0).leave(&[("m", None)]), [Err(Condition::UnknownMemberId)]);
}

#[test]
fn a_member_that_leaves_while_it_joins_is_told() {
    let (mut kit, members) = Kit::stable(2);
    let ticket = kit.join(with_metadata(&members[0], "changed"));
    kit.leave(&[(members[0].as_str(), None)]);
    assert_eq!(kit.join_refused(ticket), (Condition::UnknownMemberId, String::new()));
}

// ---------------------------------------------------------------- static members

fn stable_static() -> (Kit, MemberId, MemberId) {
    let mut kit = Kit::new(0);
    let first = kit.join(static_request("", "i"));
    let second = kit.join(static_request("", "j"));
    kit.pass(0);
    let (first, second) = (kit.joined(first).member_id, kit.joined(second).member_id);
    kit.sync_all();
    assert!(first.as_str().starts_with("i-"), "{first}");
    (kit, first, second)
}

#[test]
fn a_static_member_comes_back_without_a_rebalance() {
    for (leads, skips) in [(true, true), (true, false), (false, true), (false, false)] {
        let (mut kit, ..) = stable_static();
        let former_leader = kit.group.leader.clone().unwrap();
        let by_lead = |(_, member_id): &(&GroupInstanceId, &MemberId)| (**member_id == former_leader) == leads;
        let (instance_id, former) =
            kit.group.static_members.iter().find(by_lead).map(|(i, m)| (i.clone(), m.clone())).unwrap();
        let persisted = kit.persisted;
        let back = static_request("", instance_id.as_str());
        let ticket = kit.join(JoinRequest { supports_skipping_assignment: skips, ..back });
        let joined = kit.joined(ticket);
        assert_eq!((kit.group.state, joined.generation), (GroupState::Stable, GenerationId(1)));
        assert_eq!(kit.persisted, persisted + 1, "the former id has to be fenced after a restart, too");
        assert_ne!(joined.member_id, former);
        assert_eq!(joined.skip_assignment, leads && skips);
        assert_eq!(joined.members.len(), if leads && skips { 2 } else { 0 });
        let told = if leads && skips { &joined.member_id } else { &former_leader };
        assert_eq!(joined.leader, *told, "leads {leads}, skips {skips}");
        let ticket = kit.sync(&joined.member_id, &[]);
        assert_eq!(kit.synced(ticket), Ok(Bytes::from_static(b"some")));
        let former = MemberClaim { instance_id: Some(instance_id), ..kit.claim(&former) };
        assert_eq!(kit.heartbeat_as(former), Err(Condition::FencedInstanceId));
    }
}

#[test]
fn a_static_member_that_changes_the_protocol_starts_a_rebalance() {
    let mut kit = Kit::new(0);
    let both = JoinRequest { protocols: protocols(&["range", "sticky"]), ..static_request("", "i") };
    kit.join(both.clone());
    kit.pass(0);
    kit.sync_all();
    let ticket = kit.join(JoinRequest { protocols: protocols(&["sticky", "range"]), ..both });
    let joined = kit.joined(ticket);
    assert_eq!((joined.generation, joined.protocol_name.as_deref()), (GenerationId(2), Some("sticky")));
}

#[test]
fn a_second_holder_of_an_instance_id_fences_the_first_at_once() {
    let (mut kit, first, second) = stable_static();
    let waiting = kit.join(JoinRequest { instance_id: Some("i".into()), ..with_metadata(&first, "changed") });
    let back = kit.join(static_request("", "i"));
    assert_eq!(kit.join_refused(waiting), (Condition::FencedInstanceId, first.to_string()));
    kit.join(static_request(second.as_str(), "j"));
    assert_eq!(kit.joined(back).generation, GenerationId(2));
    let ticket = kit.join(static_request(first.as_str(), "i"));
    assert_eq!(kit.join_refused(ticket).0, Condition::FencedInstanceId);
}

#[test]
fn a_static_member_that_comes_back_while_assignments_are_awaited_restarts_the_rebalance() {
    let (mut kit, first, second) = stable_static();
    kit.join(JoinRequest { instance_id: Some("i".into()), ..with_metadata(&first, "changed") });
    kit.join(static_request(second.as_str(), "j"));
    assert_eq!(kit.group.state, GroupState::CompletingRebalance);
    let ticket = kit.join(static_request("", "i"));
    assert!(kit.waits(ticket));
    assert_eq!(kit.group.state, GroupState::PreparingRebalance);
}

#[test]
fn a_static_member_that_is_late_to_rejoin_stays_until_its_session_ends() {
    let (mut kit, first, second) = stable_static();
    let ticket = kit.join(JoinRequest {
        rebalance_timeout_ms: 8_000,
        instance_id: Some("i".into()),
        ..with_metadata(&first, "changed")
    });
    kit.group.members.get_mut(&second).unwrap().rebalance_timeout_ms = 8_000;
    kit.group.join_timer.as_mut().unwrap().due = Moment(kit.now_ms + 8_000);
    kit.pass(8_000);
    assert_eq!(kit.joined(ticket).generation, GenerationId(2));
    assert_eq!(kit.group.members.len(), 2);
}

#[test]
fn an_administrator_removes_a_static_member_by_its_instance_id() {
    let (mut kit, first, _) = stable_static();
    assert_eq!(kit.leave(&[("stranger", Some("i"))]), [Err(Condition::FencedInstanceId)]);
    assert_eq!(kit.leave(&[("", Some("i"))]), [Ok(())]);
    assert!(!kit.group.members.contains_key(&first));
    assert_eq!(kit.group.state, GroupState::PreparingRebalance);
}

// ---------------------------------------------------------------- offsets

#[test]
fn commits_are_judged_as_kafka_does() {
    let claim = |member_id: &str, instance_id: Option<&str>, generation| MemberClaim {
        group_id: "g".into(),
        member_id: member_id.into(),
        instance_id: instance_id.map(Into::into),
        generation: GenerationId(generation),
    };
    let mut dead = Kit::new(0);
    assert_eq!(dead.commit(&claim("m", None, 1), false), Err(Condition::IllegalGeneration));
    assert_eq!(dead.commit(&claim("m", None, 1), true), Err(Condition::GroupIdNotFound));
    assert_eq!(dead.commit(&claim("", None, -1), true), Ok(()));
    assert_eq!((dead.group.state, dead.group.protocol_type.clone()), (GroupState::Empty, None));
    assert_eq!(dead.commit(&claim("m", None, -1), true), Ok(()));
    assert_eq!(dead.commit(&claim("m", None, 0), true), Err(Condition::UnknownMemberId));

    let (mut kit, members) = Kit::stable(1);
    let member_id = members[0].as_str();
    assert_eq!(kit.commit(&claim(member_id, None, 1), true), Ok(()));
    assert_eq!(kit.commit(&claim(member_id, None, 0), true), Err(Condition::IllegalGeneration));
    assert_eq!(kit.commit(&claim(member_id, None, -1), true), Err(Condition::IllegalGeneration));
    assert_eq!(kit.commit(&claim("", None, -1), true), Err(Condition::UnknownMemberId));
    assert_eq!(kit.commit(&claim(member_id, Some("i"), 1), true), Err(Condition::UnknownMemberId));
    kit.join(with_metadata(&members[0], "changed"));
    assert_eq!(kit.group.state, GroupState::CompletingRebalance);
    assert_eq!(kit.commit(&claim(member_id, None, 2), true), Err(Condition::RebalanceInProgress));
}

#[test]
fn members_may_commit_while_others_rejoin_and_it_counts_as_a_heartbeat() {
    let (mut kit, members) = Kit::stable(2);
    kit.join(with_metadata(&members[0], "changed"));
    let claim = kit.claim(&members[1]);
    for _ in 0..4 {
        kit.pass(9_000);
        assert_eq!(kit.commit(&claim, true), Ok(()));
    }
}

#[test]
fn deletions_are_judged_as_kafka_does() {
    let judged = |group: &ClassicGroup| (group.accept_offset_delete(), group.accept_delete());
    let not_found = Err(Condition::GroupIdNotFound);
    assert_eq!(judged(&Kit::new(0).group), (not_found, not_found));
    let (mut kit, members) = Kit::stable(1);
    assert_eq!(judged(&kit.group), (Ok(()), Err(Condition::NonEmptyGroup)));
    kit.group.protocol_type = Some("connect".into());
    assert_eq!(judged(&kit.group), (Err(Condition::NonEmptyGroup), Err(Condition::NonEmptyGroup)));
    kit.leave(&[(members[0].as_str(), None)]);
    assert_eq!(judged(&kit.group), (Ok(()), Ok(())));
}

#[test]
fn subscriptions_are_known_for_consumers_only() {
    let mut kit = Kit::new(0);
    let subscription = Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t");
    let protocol = Protocol { name: "range".into(), metadata: subscription };
    kit.join(JoinRequest { protocols: vec![protocol], ..request("") });
    kit.pass(0);
    assert!(kit.group.may_subscribe_to("t") && !kit.group.may_subscribe_to("u"));
    kit.group.protocol_type = Some("connect".into());
    assert!(!kit.group.may_subscribe_to("t"));
    let (unreadable, _) = Kit::stable(1);
    assert!(unreadable.group.may_subscribe_to("anything"));
}

// ---------------------------------------------------------------- invariants

/// What a random client does.
#[derive(Clone, Debug)]
enum Act {
    Join { client: usize, known: bool, requires_id: bool, metadata: u8 },
    Sync { client: usize },
    Heartbeat { client: usize },
    Leave { client: usize },
    Pass { ms: u64 },
    Move,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let client = 0..4_usize;
    let act = prop_oneof![
        4 => (client.clone(), prop::bool::weighted(0.8), any::<bool>(), 0..2_u8)
            .prop_map(|(client, known, requires_id, metadata)| Act::Join { client, known, requires_id, metadata }),
        4 => client.clone().prop_map(|client| Act::Sync { client }),
        2 => client.clone().prop_map(|client| Act::Heartbeat { client }),
        1 => client.prop_map(|client| Act::Leave { client }),
        3 => prop_oneof![Just(0), Just(3_000), 0..20_000_u64].prop_map(|ms| Act::Pass { ms }),
        1 => Just(Act::Move),
    ];
    prop::collection::vec(act, 0..60)
}

/// Clients 2 and 3 are static.
fn act_join(member_id: &str, client: usize, requires_id: bool, metadata: u8) -> JoinRequest {
    let metadata = Bytes::copy_from_slice(&[metadata]);
    JoinRequest {
        instance_id: (client >= 2).then(|| format!("i{client}").as_str().into()),
        protocols: vec![Protocol { name: "range".into(), metadata }],
        requires_known_member_id: requires_id,
        ..request(member_id)
    }
}

/// What storage holds, apart from the leader while nobody leads yet.
fn stored(group: &ClassicGroup) -> Bytes {
    use crate::model::node::{NodeEpoch, NodeId, NodeIdentity};
    let home = NodeIdentity { node_id: NodeId(1), node_epoch: NodeEpoch(1) };
    let mut group = group.clone();
    if group.members.values().all(|member| member.is_new) && group.state == GroupState::PreparingRebalance {
        // An initial rebalance is read back as an empty group.
        (group.state, group.leader) = (GroupState::Empty, None);
    }
    if group.state == GroupState::PreparingRebalance {
        group.leader = None;
        for member in group.members.values_mut() {
            // Those who have rejoined do it again after a move.
            member.protocols.clear();
            (member.session_timeout_ms, member.rebalance_timeout_ms) = (0, 0);
        }
    }
    if group.state == GroupState::Empty {
        (group.since, group.protocol_type) = (Timestamp(0), None);
    }
    crate::coordinator::group::document::encode(&group, home)
}

fn check_invariants(group: &ClassicGroup) {
    let leads = group.leader.as_ref().is_some_and(|leader| group.members.contains_key(leader));
    match group.state {
        GroupState::Dead | GroupState::Empty => assert!(group.members.is_empty() && group.leader.is_none()),
        GroupState::PreparingRebalance => assert!(leads || group.members.is_empty()),
        GroupState::CompletingRebalance | GroupState::Stable => assert!(leads && group.protocol_name.is_some()),
    }
    for (instance_id, member_id) in &group.static_members {
        assert_eq!(group.members[member_id].instance_id.as_ref(), Some(instance_id));
    }
    let statics = group.members.values().filter(|member| member.instance_id.is_some()).count();
    assert_eq!(statics, group.static_members.len());
    for (member_id, member) in &group.members {
        assert_eq!(*member_id, member.member_id);
        assert!(member.awaiting_join.is_none() || group.state == GroupState::PreparingRebalance);
        assert!(member.awaiting_sync.is_none() || group.state == GroupState::CompletingRebalance);
        assert!(member.session_deadline.is_some() || member.is_waiting(), "{member_id} could stay for ever");
        assert!(!member.is_new || group.state == GroupState::PreparingRebalance);
        let assigned = group.state == GroupState::Stable;
        assert!(!assigned || &member.assignment[..] == b"some", "{member_id} has no assignment");
    }
    assert!(group.pending_sync.iter().all(|member_id| group.members.contains_key(member_id)));
    assert!(group.pending_join.keys().all(|member_id| !group.members.contains_key(member_id)));
    assert!(group.state != GroupState::PreparingRebalance || group.join_timer.is_some(), "nothing ends the join phase");
}

/// Clients that act at random, and what they believe.
struct Crowd {
    kit: Kit,
    ids: [String; 4],
    open: BTreeMap<Ticket, usize>,
    generation: GenerationId,
}

impl Crowd {
    fn event(&mut self, event: Event) {
        let (before, persisted) = (stored(&self.kit.group), self.kit.persisted);
        self.kit.event(event);
        assert!(self.kit.persisted > persisted || before == stored(&self.kit.group), "a change was not persisted");
        check_invariants(&self.kit.group);
        assert!(self.kit.group.generation >= self.generation, "the generation went back");
        self.generation = self.kit.group.generation;
        for (ticket, answer) in std::mem::take(&mut self.kit.answers) {
            let client = self.open.remove(&ticket).expect("only open requests are answered");
            match answer {
                Answer::Join(Ok(joined)) => {
                    assert_eq!(joined.generation, self.generation);
                    self.ids[client] = joined.member_id.to_string();
                }
                Answer::Join(Err(refused)) if refused.condition == Condition::UnknownMemberId => {
                    self.ids[client].clear();
                }
                Answer::Join(Err(refused)) => self.ids[client] = refused.member_id.to_string(),
                Answer::Sync(_) | Answer::Heartbeat(_) | Answer::Leave(_) => {}
            }
        }
    }

    fn act(&mut self, act: &Act) {
        let client = match *act {
            Act::Join { client, .. } | Act::Sync { client } | Act::Heartbeat { client } | Act::Leave { client } => {
                client
            }
            Act::Pass { ms } => return self.pass(ms),
            Act::Move => return self.take_over(),
        };
        let ticket = self.kit.ticket();
        self.open.insert(ticket, client);
        let member_id: MemberId = self.ids[client].as_str().into();
        let instance_id: Option<GroupInstanceId> = (client >= 2).then(|| format!("i{client}").as_str().into());
        let claim = MemberClaim { instance_id: instance_id.clone(), ..self.kit.claim(&member_id) };
        let everyone = self.kit.group.members.keys().map(|member_id| (member_id.clone(), Bytes::from_static(b"some")));
        let assignments = everyone.collect();
        self.event(match act {
            Act::Join { known, requires_id, metadata, .. } => {
                let member_id = if *known { member_id.as_str() } else { "" };
                let request = act_join(member_id, client, *requires_id, *metadata);
                Event::Join { ticket, request, fresh: uuid::Uuid::from_u128(u128::from(ticket.0)) }
            }
            Act::Sync { .. } => {
                let request = SyncRequest { claim, protocol_type: None, protocol_name: None, assignments };
                Event::Sync { ticket, request }
            }
            Act::Heartbeat { .. } => Event::Heartbeat { ticket, claim },
            _ => Event::Leave { ticket, members: vec![Leaving { member_id, instance_id }] },
        });
    }

    fn pass(&mut self, ms: u64) {
        let end = self.kit.now_ms + ms;
        while let Some(due) = self.kit.group.next_deadline().filter(|due| due.0 <= end) {
            self.kit.now_ms = self.kit.now_ms.max(due.0);
            self.event(Event::Tick);
        }
        self.kit.now_ms = end;
    }

    /// The group moves to another home, which knows only what is stored.
    fn take_over(&mut self) {
        if self.kit.group.state == GroupState::Dead {
            return;
        }
        let document = {
            use crate::model::node::{NodeEpoch, NodeId, NodeIdentity};
            let home = NodeIdentity { node_id: NodeId(1), node_epoch: NodeEpoch(1) };
            crate::coordinator::group::document::encode(&self.kit.group, home)
        };
        let now = Moment(self.kit.now_ms);
        self.kit.group = crate::coordinator::group::document::decode(&"g".into(), document, now).unwrap();
        self.open.clear();
        check_invariants(&self.kit.group);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]
    #[test]
    fn whatever_clients_do_the_group_stays_sound(acts in acts(), delay_ms in prop_oneof![Just(0), Just(3_000)]) {
        let kit = Kit::new(delay_ms);
        let ids = std::array::from_fn(|_| String::new());
        let mut crowd = Crowd { kit, ids, open: BTreeMap::new(), generation: GenerationId(0) };
        for act in &acts {
            crowd.act(act);
        }
        // Left alone, the group ends up empty, and nobody waits for an answer.
        crowd.pass(24 * 3_600_000);
        prop_assert!(crowd.kit.group.members.is_empty());
        prop_assert!(crowd.open.is_empty(), "{:?} were never answered", crowd.open);
    }
}
